//! Proofs of possession of clients (RFC 9449).

use serde::{Deserialize, Serialize};
use shared_protocol::dpop::NoncePolicy;
use shared_server::config::NonceLifetime;

/// Proofs of possession of clients (RFC 9449).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DpopConfig {
    /// Whether they must carry a nonce of this server.
    pub nonce: NoncePolicy,
    /// How long a nonce is good, at least.
    pub nonce_lifetime: NonceLifetime,
}
