//! HTTP as both servers speak it: the listener and its limits, what surrounds every request, problems, health, shutdown.

mod health;
mod layers;
mod listener;
mod patience;
pub mod problem;
mod request_id;
mod shutdown;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::health::Health;
pub use self::layers::{Cause, Now, Observed, layers, method_not_allowed, not_found};
pub use self::listener::{BindError, Listener, serve};
pub use self::problem::Problem;
pub use self::request_id::RequestId;
pub use self::shutdown::{Shutdown, uninterrupted};

/// How much one client may ask of us, and for how long. A section of the configuration.
///
/// Routes that need more, such as uploads, stand in a router of their own with [`layers`] of their own, merged into the rest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a request's body; more is 413. Default 64 KiB.
    pub body: usize,
    /// From the end of a request's headers to the beginning of its response; longer is 503. A client that takes nothing of
    /// a response for as long is disconnected. Default 30 s.
    #[serde(with = "crate::config::period")]
    pub request: Duration,
    /// From the first moment of an HTTP/1.1 connection, or the end of its last response, to the end of the next request's
    /// headers; longer is closed. So it is also how long a connection may idle. Default 10 s.
    #[serde(with = "crate::config::period")]
    pub header_read: Duration,
    /// Bytes of a request's line and headers; more is 431. At least 8 KiB. Default 16 KiB.
    pub header_bytes: usize,
    /// Connections at a time on one [`Listener`]; more wait in the backlog of the system. Default 10,000.
    pub connections: usize,
    /// From the signal to stop until new connections are refused, while readiness already says no: time for a load balancer
    /// to look away. Default none.
    #[serde(with = "crate::config::period")]
    pub notice: Duration,
    /// How long requests in flight may take to finish once new connections are refused. Default 30 s.
    #[serde(with = "crate::config::period")]
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 * 1024,
            request: Duration::from_secs(30),
            header_read: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            connections: 10_000,
            notice: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}
