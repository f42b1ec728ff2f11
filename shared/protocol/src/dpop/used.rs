//! The memory of proofs that were used (RFC 9449 §11.1).

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
        /// Since when it has certainly remembered everything: by the clocks of all nodes, which may be
        /// [`CLOCK_SKEW`](crate::time::CLOCK_SKEW) apart.
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
    /// Remembers until `until` that a proof was used, and half a minute more: whoever asks read its clock a while ago, and it may be slow.
    /// One atomic step: of any number of callers with one proof, on all nodes, one is told that it is the first.
    fn note(
        &self,
        proof: ProofId,
        until: Instant,
        now: Instant,
    ) -> BoxFuture<'_, Result<ProofUse, MemoryFailure>>;
}

/// How far apart two readings of the clock for one request may be: a body and another server's answer may come in between.
const SLACK: Duration = Duration::from_secs(30);

/// The most that one request forgets; each brings one.
const FORGET_AT_ONCE: usize = 1000;

/// The memory of a server that runs in one process. It never forgets a proof that is still good: when it is full, it refuses.
pub struct LocalProofs {
    since: Instant,
    capacity: usize,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    proofs: HashSet<ProofId>,
    /// The same by the second in which they are over, so that each is touched once more, and a flood stops nobody.
    by_end: BTreeMap<i64, Vec<ProofId>>,
    /// Some of those that were over in this second, and all that were before, are forgotten.
    forgotten: Option<i64>,
}

impl Used {
    /// Forgets what is over, a little at a time.
    fn forget(&mut self, now: Instant) {
        let mut left = FORGET_AT_ONCE;
        while let Some(mut first) = self.by_end.first_entry()
            && *first.key() < now.as_secs()
            && left > 0
        {
            self.forgotten = self.forgotten.max(Some(*first.key()));
            let listed = first.get_mut();
            let rest = listed.len().saturating_sub(left);
            left -= listed.len() - rest;
            for proof in listed.drain(rest..) {
                self.proofs.remove(&proof);
            }
            if rest == 0 {
                first.remove();
            }
        }
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
        used.forget(now);
        if used.proofs.contains(&proof) {
            return Ok(ProofUse::Again);
        }
        let end = (until + SLACK).as_secs();
        if used.forgotten.is_some_and(|forgotten| end <= forgotten) {
            // Whoever asks read the clock so long ago that it may have been there. What comes later than this proof is remembered.
            return Ok(ProofUse::First { since: until });
        }
        if used.proofs.len() >= self.capacity {
            return Err(MemoryFailure::new(Full));
        }
        used.proofs.insert(proof);
        used.by_end.entry(end).or_default().push(proof);
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
        // Who read the clock earlier, and asks later, is not told that it is the first.
        assert_eq!(
            used.note(two, until, until + SLACK).await.unwrap(),
            ProofUse::Again
        );
        let over = until + SLACK + Duration::from_secs(1);
        assert_eq!(used.note(three, over, over).await.unwrap(), first);
        let later = over + Duration::from_secs(1);
        assert_eq!(used.note(two, later, over).await.unwrap(), first);
        // Who asks later still, about what may be forgotten by now, is told that nothing is known of it.
        let unknown = ProofUse::First { since: until };
        assert_eq!(used.note(one, until, now).await.unwrap(), unknown);
    }

    #[tokio::test]
    async fn threat_30_what_is_over_makes_room_and_nothing_else_is_searched() {
        let now = Instant::from_secs(1_800_000_000);
        let used = LocalProofs::new(5000, now);
        let id = |n: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            ProofId(bytes)
        };
        // A hundred a second, for as long as it takes to fill it twenty times.
        for n in 0..100_000 {
            let at = now + Duration::from_millis(n * 10);
            let noted = used.note(id(n), at + Duration::from_secs(1), at).await;
            assert!(noted.is_ok(), "{n}");
        }
        let kept = used.used.lock().unwrap();
        let listed: usize = kept.by_end.values().map(Vec::len).sum();
        assert_eq!(kept.proofs.len(), listed);
        assert!(listed <= 3300, "{listed}");
    }
}
