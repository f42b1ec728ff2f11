//! What keys need now and then, on one node: the next one, and an end to those that are of no use any more.

use std::sync::Arc;
use std::time::Duration;

use shared_protocol::jose::KeyId;
use shared_protocol::random::Random;
use shared_protocol::time::{Clock, Instant};

use super::keyring::{label_of, wiped_label};
use super::{CHANGE_KIND, KeyState, Keys, KeysError, PrivateHalf};
use crate::store::changes;
use crate::store::keys::{self, SigningKeyRow};

/// Between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// What keys need now and then.
#[derive(Clone)]
pub struct Upkeep {
    /// The keys.
    pub keys: Keys,
    /// How long each signs before the next one does; zero if people say when.
    pub rotate_every: Duration,
    /// How long the public half is kept after all that was signed has expired: an ID token comes back as a hint.
    pub keep: Duration,
    /// Makes keys.
    pub random: Arc<dyn Random>,
}

impl Upkeep {
    /// How often that is looked after.
    #[must_use]
    pub fn every(&self) -> Duration {
        let tenth = self.rotate_every / 10;
        if tenth.is_zero() {
            LONGEST
        } else {
            tenth.clamp(SHORTEST, LONGEST)
        }
    }

    /// Does what is due; how many keys were forgotten.
    ///
    /// # Errors
    /// [`KeysError`].
    pub async fn run(&self, clock: &dyn Clock) -> Result<usize, KeysError> {
        if !self.rotate_every.is_zero() {
            let made = self
                .keys
                .rotate_due(self.rotate_every, clock, &*self.random);
            for kid in made.await? {
                tracing::info!(%kid, "a signing key was made");
            }
        }
        self.keys.end(self.keep, clock.now(), &*self.random).await
    }
}

impl Keys {
    /// Wipes the private half of each key that is of no use any more, and forgets those for which that is `keep` ago; how many.
    ///
    /// # Errors
    /// [`KeysError::Database`].
    pub async fn end(
        &self,
        keep: Duration,
        now: Instant,
        random: &dyn Random,
    ) -> Result<usize, KeysError> {
        let ring = self.ring();
        let is_due = |key: &KeyState| {
            let done_at = ring.done_at(&key.kid, now);
            match key.private_half {
                PrivateHalf::Kept => done_at.is_some(),
                PrivateHalf::Wiped => done_at.is_some_and(|at| at + keep <= now),
                PrivateHalf::Unreadable => false,
            }
        };
        if !ring.states(now).iter().any(is_due) {
            return Ok(0);
        }
        let forgotten = self
            .0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                let mut forgotten = 0;
                for row in keys::all(conn).await? {
                    let kid = KeyId::new(&row.kid);
                    let Some(done_at) = kid.and_then(|kid| schedule.done_at(&kid, now)) else {
                        continue;
                    };
                    // What does not open stays for somebody to look at.
                    if row.wiped_at.is_none() && self.opens(&row) {
                        let label = wiped_label(&row.kid, &row.alg);
                        let sealed = self.0.encryption.seal(label, &[], random);
                        let proof = (sealed.kek_id.as_str(), &*sealed.bytes);
                        keys::wipe(conn, &row, proof, now).await?;
                    } else if done_at + keep <= now && keys::delete(conn, &row.kid).await? {
                        forgotten += 1;
                    } else {
                        continue;
                    }
                    changes::record(conn, CHANGE_KIND, &row.kid, now).await?;
                }
                Ok::<_, KeysError>(forgotten)
            })
            .await?;
        self.reload().await?;
        Ok(forgotten)
    }

    fn opens(&self, row: &SigningKeyRow) -> bool {
        let opened = self
            .0
            .encryption
            .open(label_of(row), &row.kek_id, &row.sealed);
        opened.is_ok()
    }
}
