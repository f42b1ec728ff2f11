//! The section `[dpop]`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use shared_protocol::dpop::{NoncePolicy, Nonces};
use shared_protocol::random::Random;
use shared_server::config::{Mistake, NonceLifetime, Secret};
use zeroize::Zeroizing;

/// The proofs of clients whose tokens are bound to a key (RFC 9449).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DpopConfig {
    /// Whether each has to hold a nonce of ours.
    pub nonce: NoncePolicy,
    /// How long a nonce is good.
    pub nonce_lifetime: NonceLifetime,
    /// 32 bytes in base64, the same on every node. Without it each process makes its own.
    pub nonce_key: Option<Secret>,
}

impl DpopConfig {
    fn key(&self) -> Result<Option<Zeroizing<[u8; 32]>>, Mistake> {
        let Some(encoded) = &self.nonce_key else {
            return Ok(None);
        };
        let mut key = Zeroizing::new([0; 32]);
        match STANDARD.decode_slice(encoded.expose_secret(), &mut *key) {
            Ok(32) => Ok(Some(key)),
            Ok(_) | Err(_) => Err(Mistake::together(
                "dpop.nonce_key",
                "it is not 32 bytes in base64; make some with `openssl rand -base64 32`",
            )),
        }
    }

    /// What makes nonces.
    pub(crate) fn nonces(&self, random: &dyn Random) -> Nonces {
        let drawn = || {
            let mut key = Zeroizing::new([0; 32]);
            random.fill(&mut *key);
            key
        };
        // What is no key stopped the start.
        let key = self.key().ok().flatten();
        Nonces::new(&key.unwrap_or_else(drawn), self.nonce_lifetime.duration())
    }

    /// `shared`: whether other nodes may serve the same clients.
    pub(super) fn mistakes(&self, shared: bool) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        match self.key() {
            Err(mistake) => mistakes.push(mistake),
            Ok(None) if shared => mistakes.push(Mistake::together(
                "dpop.nonce_key",
                "server.nodes or ephemeral.url is of several nodes, which would refuse the nonces of each other; give all of them the same key, of `openssl rand -base64 32`",
            )),
            Ok(_) => {}
        }
        mistakes
    }
}
