//! The memory of DPoP proofs that were used (RFC 9449 §11.1), shared by all nodes: a place of its own in memory, among the rest in Redis.

use futures_util::future::BoxFuture;
use shared_protocol::dpop::{MemoryFailure, ProofId, ProofUse, UsedProofs};
use shared_protocol::time::{CLOCK_SKEW, Instant};

use super::{Entry, Ephemeral, Key, Kind, PutNew, Store};

const PROOF: Kind = Kind::new("dpop-proof");

impl UsedProofs for Ephemeral {
    fn note(
        &self,
        proof: ProofId,
        until: Instant,
        now: Instant,
    ) -> BoxFuture<'_, Result<ProofUse, MemoryFailure>> {
        if let Store::Memory(memory) = &self.store {
            return memory.proofs().note(proof, until, now);
        }
        Box::pin(async move {
            let entry = Entry {
                value: &[],
                mark: &[],
                deadline: until,
            };
            let key = Key::new(PROOF, proof.as_bytes());
            match self.put_new(&key, entry, now).await {
                // One node made the nonce, and another dated the beginning.
                Ok(PutNew::Stored { epoch }) => Ok(ProofUse::First {
                    since: epoch + CLOCK_SKEW,
                }),
                Ok(PutNew::Exists) => Ok(ProofUse::Again),
                Err(error) => Err(MemoryFailure::new(error)),
            }
        })
    }
}
