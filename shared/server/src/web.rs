//! HTTP as both servers speak it: the listener and its limits, what surrounds every request, problems, health, shutdown.

mod client_address;
mod client_certificate;
mod cors;
mod detail;
mod edge;
mod health;
mod layers;
mod listener;
mod mtls;
mod noted;
mod paced;
mod patience;
mod places;
pub mod problem;
mod request_id;
mod shutdown;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::client_address::{ClientAddress, ForwardedBy, InvalidNetwork, Network, Proxies};
pub use self::client_certificate::ClientCertificate;
pub use self::cors::{Cors, InvalidOrigin, WebOrigin};
pub use self::detail::Detail;
pub use self::edge::{Edge, EdgeError, EdgeSettings};
pub use self::health::Health;
pub use self::layers::{
    Cause, Now, Observed, Refusal, Refused, layers, layers_for, method_not_allowed, not_found,
};
pub use self::listener::{BindError, Listener, serve};
pub use self::mtls::MtlsSection;
pub use self::noted::{Caller, Noted, note_claim, note_client, note_grant_type};
pub use self::problem::Problem;
pub use self::request_id::RequestId;
pub use self::shutdown::{Shutdown, uninterrupted};
pub(crate) use self::tls::read_pem;
pub use self::tls::{MtlsSettings, TlsError, TlsSettings};
use crate::config::Mistake;

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
    /// From when the body of a request is first waited for to its end; longer is 408. Default 10 s.
    #[serde(with = "crate::config::period")]
    pub body_read: Duration,
    /// Requests in progress at a time on one server; more are 503 at once, but for health. Default 2,000.
    pub requests: usize,
    /// From the first moment of an HTTP/1.1 connection, or the end of its last response, to the end of the next request's
    /// headers; longer is closed. So it is also how long a connection may idle. Default 10 s.
    #[serde(with = "crate::config::period")]
    pub header_read: Duration,
    /// Bytes of a request's line and headers; more is 431. At least 8 KiB. Default 16 KiB.
    pub header_bytes: usize,
    /// Connections at a time on one [`Listener`]; more wait in the backlog of the system. Default 10,000.
    pub connections: usize,
    /// Connections at a time of one IPv4 address or IPv6 /64, but for trusted proxies; more are closed at once. Default 1,000.
    pub connections_per_address: usize,
    /// An HTTP/2 connection on which nothing was asked or answered for as long is closed; at least `request`. Default 60 s.
    #[serde(with = "crate::config::period")]
    pub idle: Duration,
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
            body_read: Duration::from_secs(10),
            requests: 2_000,
            header_read: Duration::from_secs(10),
            header_bytes: 16 * 1024,
            connections: 10_000,
            connections_per_address: 1_000,
            idle: Duration::from_mins(1),
            notice: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}

/// The least that the listener takes of [`Limits::header_bytes`].
const LEAST_HEADER_BYTES: usize = 8 * 1024;

impl Limits {
    /// Bounds that would refuse every request.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (key, most) in [
            ("limits.requests", self.requests),
            ("limits.connections", self.connections),
            (
                "limits.connections_per_address",
                self.connections_per_address,
            ),
        ] {
            if most == 0 {
                mistakes.push(Mistake::together(key, "must be at least 1"));
            }
        }
        for (key, period) in [
            ("limits.request", self.request),
            ("limits.body_read", self.body_read),
            ("limits.header_read", self.header_read),
            ("limits.idle", self.idle),
        ] {
            if period.is_zero() {
                mistakes.push(Mistake::together(
                    key,
                    "nothing is done in no time; use some seconds",
                ));
            }
        }
        if self.idle < self.request {
            mistakes.push(Mistake::together(
                "limits.idle",
                "a request may take longer; use at least limits.request",
            ));
        }
        if self.header_bytes < LEAST_HEADER_BYTES {
            mistakes.push(Mistake::together(
                "limits.header_bytes",
                "tokens may not fit; use at least 8192",
            ));
        }
        mistakes
    }
}
