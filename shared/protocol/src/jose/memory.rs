//! A bounded memory of signatures that were found good: verifying ES256 costs 55 µs, looking up a digest half of one.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest, Sha256};

use super::KeyId;
use crate::lookups::Lookups;

/// Remembers, by the digest of a token, which key signed it and what its claims were. What changes with time or with the
/// request (expiry, audience, revocation, proof of possession) is never remembered and must be checked each time.
pub struct VerifiedTokens<T> {
    seen: Cache<[u8; 32], (KeyId, Arc<T>)>,
    lookups: Arc<Lookups>,
}

impl<T: Send + Sync + 'static> VerifiedTokens<T> {
    /// A memory of at most `capacity` tokens.
    #[must_use]
    pub fn new(capacity: u64) -> Self {
        // A token that is forgotten is verified again; ten minutes is longer than most live.
        let seen = Cache::builder()
            .max_capacity(capacity)
            .time_to_live(Duration::from_mins(10))
            .build();
        Self {
            seen,
            lookups: Arc::default(),
        }
    }

    /// How often a token was remembered.
    #[must_use]
    pub fn lookups(&self) -> Arc<Lookups> {
        Arc::clone(&self.lookups)
    }

    /// The claims of this very token, if its signature was verified before with a key that `is_current`.
    pub fn recall(&self, token: &str, is_current: impl FnOnce(&KeyId) -> bool) -> Option<Arc<T>> {
        let digest = digest(token);
        let claims = self.seen.get(&digest).and_then(|(kid, claims)| {
            if is_current(&kid) {
                return Some(claims);
            }
            self.seen.invalidate(&digest);
            None
        });
        self.lookups.count(claims.is_some());
        claims
    }

    /// Keeps the claims of a token whose signature was just verified with the key `kid`.
    pub fn remember(&self, token: &str, kid: KeyId, claims: Arc<T>) {
        self.seen.insert(digest(token), (kid, claims));
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
