//! The memory of proofs that were used (RFC 9449 §11.1).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::jose::Thumbprint;
use crate::time::Instant;

/// Names a proof: its key and its `jti`, by digest.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ProofId([u8; 32]);

impl ProofId {
    pub(super) fn new(jkt: &Thumbprint, jti: &str) -> Self {
        let mut digest = Sha256::new();
        digest.update(jkt.as_bytes());
        digest.update(jti);
        Self(digest.finalize().into())
    }

    /// 32 bytes that no other proof has.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What a memory says of a proof that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofUse {
    /// It was not used before, as far as the memory goes back.
    First {
        /// Since when it has certainly remembered everything.
        since: Instant,
    },
    /// It was.
    Again,
}

/// Nobody knows whether a proof was used.
#[derive(Clone)]
pub struct MemoryFailure(Arc<dyn Error + Send + Sync>);

impl MemoryFailure {
    /// For this reason.
    #[must_use]
    pub fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }
}

impl fmt::Debug for MemoryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for MemoryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the memory of used proofs does not answer")
    }
}

impl Error for MemoryFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// Remembers proofs, for all nodes that take the same ones.
pub trait UsedProofs: Send + Sync + 'static {
    /// Remembers until `until` that a proof was used. One atomic step: of any number of callers with one proof, on all nodes, one is told
    /// that it is the first.
    fn note(
        &self,
        proof: ProofId,
        until: Instant,
        now: Instant,
    ) -> BoxFuture<'_, Result<ProofUse, MemoryFailure>>;
}

/// The memory of a server that runs in one process. It never forgets a proof that is still good: when it is full, it refuses.
pub struct LocalProofs {
    since: Instant,
    capacity: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    until: HashMap<ProofId, Instant>,
    /// How many may be there before those that are over are thrown away.
    sweep_at: usize,
    /// None is over before; `None` if there is none.
    earliest: Option<Instant>,
}

impl Used {
    /// Throws away what is over. Where nothing is, it is not searched, so that refusing is cheap while it stays full.
    fn sweep(&mut self, now: Instant) {
        if self.earliest.is_some_and(|earliest| earliest <= now) {
            self.until.retain(|_, until| *until > now);
            self.earliest = self.until.values().min().copied();
        }
        self.sweep_at = (self.until.len() * 2).max(1024);
    }
}

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the memory of used proofs is full: raise its capacity")]
struct Full;

impl LocalProofs {
    /// An empty one for so many proofs, which remembers from now on.
    #[must_use]
    pub fn new(capacity: usize, now: Instant) -> Self {
        Self {
            since: now,
            capacity,
            used: Mutex::default(),
        }
    }

    fn note_now(
        &self,
        proof: ProofId,
        until: Instant,
        now: Instant,
    ) -> Result<ProofUse, MemoryFailure> {
        // Nothing panics while it is held.
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if used.until.get(&proof).is_some_and(|until| *until > now) {
            return Ok(ProofUse::Again);
        }
        if used.until.len() >= used.sweep_at.min(self.capacity) {
            used.sweep(now);
            if used.until.len() >= self.capacity {
                return Err(MemoryFailure::new(Full));
            }
        }
        used.until.insert(proof, until);
        used.earliest = Some(used.earliest.map_or(until, |earliest| earliest.min(until)));
        Ok(ProofUse::First { since: self.since })
    }
}

impl UsedProofs for LocalProofs {
    fn note(
        &self,
        proof: ProofId,
        until: Instant,
        now: Instant,
    ) -> BoxFuture<'_, Result<ProofUse, MemoryFailure>> {
        Box::pin(std::future::ready(self.note_now(proof, until, now)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_proof_is_remembered_until_it_is_over_and_never_less() {
        let now = Instant::from_secs(1_800_000_000);
        let used = LocalProofs::new(2, now);
        let [one, two, three] = [1, 2, 3].map(|byte| ProofId([byte; 32]));
        let until = now + Duration::from_mins(1);
        let first = ProofUse::First { since: now };
        assert_eq!(used.note(one, until, now).await.unwrap(), first);
        assert_eq!(used.note(one, until, now).await.unwrap(), ProofUse::Again);
        assert_eq!(used.note(two, until, now).await.unwrap(), first);
        assert!(used.note(three, until, now).await.is_err());
        assert_eq!(used.note(two, until, now).await.unwrap(), ProofUse::Again);
        assert_eq!(used.note(three, until, until).await.unwrap(), first);
    }
}
