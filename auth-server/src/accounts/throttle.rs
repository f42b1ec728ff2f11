//! Counts what fails and makes whoever fails wait: by the address that was typed, known or not; by where the request comes from; by
//! known device. Made of the verbs of the ephemeral store, so that all nodes count together.
//!
//! An attempt is counted before its password is looked at, and what succeeds is taken off again: of any number of guesses at once, no
//! more are verified than would be one after the other.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Hits, Key, Kind, PutNew, Result};
use shared_server::rate_limits::Network;

use super::AccountId;

const ATTEMPTS: Kind = Kind::new("attempts");
const SUCCESSES: Kind = Kind::new("attempts-succeeded");
const FORGIVEN: Kind = Kind::new("attempts-forgiven");
const WAIT: Kind = Kind::new("attempts-wait");

/// Who is counted, as a digest, so that no store holds what people typed.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    digest: [u8; 32],
}

impl Subject {
    /// Whoever has this address. What is no address is counted as it stands.
    pub(crate) fn identifier(typed: &str) -> Self {
        Self::new("identifier", typed.as_bytes())
    }

    /// A device known to an account.
    pub(crate) fn device(name: &str) -> Self {
        Self::new("device", name.as_bytes())
    }

    /// Where a request comes from.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::new("network", Network::from(address).as_ref())
    }

    /// Somebody who types the codes of devices.
    pub(crate) fn typist(account_id: &AccountId) -> Self {
        Self::new("typist", account_id.as_str().as_bytes())
    }

    /// Where codes of devices are typed.
    pub(crate) fn typed_at(address: IpAddr) -> Self {
        Self::new("typed-at", Network::from(address).as_ref())
    }

    fn new(kind: &str, value: &[u8]) -> Self {
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(value);
        Self {
            digest: digest.finalize().into(),
        }
    }

    pub(crate) fn digest(&self) -> &[u8] {
        &self.digest
    }
}

/// How much may fail, and what happens then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// Attempts in a window that need not wait.
    pub(crate) free: u64,
    /// How long the first after them makes the next one wait; each further one doubles it.
    pub(crate) first_wait: Duration,
    /// The longest that it grows to.
    pub(crate) longest_wait: Duration,
    /// How long failures count.
    pub(crate) window: Duration,
}

impl Rule {
    fn wait_after(&self, count: u64) -> Option<Duration> {
        let doublings = count.checked_sub(self.free + 1)?;
        let factor = u32::try_from(doublings)
            .ok()
            .and_then(|doublings| 2_u32.checked_pow(doublings))
            .unwrap_or(u32::MAX);
        Some(
            self.first_wait
                .saturating_mul(factor)
                .min(self.longest_wait),
        )
    }
}

/// An attempt that was counted and may go on.
#[derive(Clone, Copy)]
pub(crate) struct Counted {
    /// Attempts that have not succeeded, this one included.
    pub(crate) count: u64,
    hits: Hits,
    waits: bool,
}

/// Whether an attempt may go on.
pub(crate) enum Admission {
    Admitted(Counted),
    /// Not before so long.
    Wait(Duration),
}

/// What a success makes undone.
#[derive(Clone, Copy)]
pub(crate) enum Forgiving {
    /// Every attempt up to this one: the account's owner has come.
    All,
    /// This attempt alone. An address is shared, and who owns one account may guess at others.
    This,
}

/// Counts one subject by one rule.
pub(crate) struct Throttle<'a> {
    pub(crate) ephemeral: &'a Ephemeral,
    pub(crate) subject: Subject,
    pub(crate) rule: Rule,
}

impl Throttle<'_> {
    /// How long the subject has to wait. Asking counts nothing, so that hammering at a wait does not prolong it.
    pub(crate) async fn waiting(&self, now: Instant) -> Result<Option<Duration>> {
        let kept = self.ephemeral.get(&self.key(WAIT), now).await?;
        let until = kept.and_then(|kept| Some(i64::from_be_bytes(kept.try_into().ok()?)));
        Ok(until.map(|until| Instant::from_millis(until).since(now)))
    }

    /// Counts an attempt. Of those that would each make the next one wait, one at a time goes on.
    pub(crate) async fn admit(&self, now: Instant) -> Result<Admission> {
        let hits = self
            .ephemeral
            .hit(&self.key(ATTEMPTS), self.rule.window, now)
            .await?;
        let forgiven = self.ephemeral.get(&self.forgiven(hits), now).await?;
        let count = hits.count.saturating_sub(number(forgiven)).max(1);
        let Some(wait) = self.rule.wait_after(count) else {
            return Ok(Admission::Admitted(Counted {
                count,
                hits,
                waits: false,
            }));
        };
        let until = now + wait;
        let entry = Entry {
            value: &until.as_millis().to_be_bytes(),
            mark: &[],
            deadline: until,
        };
        match self.ephemeral.put_new(&self.key(WAIT), entry, now).await? {
            PutNew::Stored { .. } => Ok(Admission::Admitted(Counted {
                count,
                hits,
                waits: true,
            })),
            PutNew::Exists => Ok(Admission::Wait(self.waiting(now).await?.unwrap_or(wait))),
        }
    }

    /// Takes a success off what was counted.
    pub(crate) async fn forgive(
        &self,
        counted: Counted,
        what: Forgiving,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        let forgiven = match what {
            Forgiving::All => counted.hits.count,
            Forgiving::This => {
                let key = self.key(SUCCESSES);
                self.ephemeral.hit(&key, self.rule.window, now).await?.count
            }
        };
        // Of several at once, one that knew of fewer may write last. Then fewer are forgiven, until the next success.
        let entry = Entry {
            value: &forgiven.to_be_bytes(),
            mark: &[],
            deadline: counted.hits.resets_at,
        };
        let key = self.forgiven(counted.hits);
        self.ephemeral.put(&key, entry, now).await?;
        if counted.waits {
            let over = Entry {
                value: &now.as_millis().to_be_bytes(),
                mark: &[],
                deadline: now,
            };
            self.ephemeral.put(&self.key(WAIT), over, now).await?;
        }
        Ok(())
    }

    fn key(&self, kind: Kind) -> Key {
        Key::new(kind, self.subject.digest)
    }

    /// What is forgiven belongs to a window, as what is counted does.
    fn forgiven(&self, hits: Hits) -> Key {
        let mut id = self.subject.digest.to_vec();
        id.extend(hits.resets_at.as_millis().to_be_bytes());
        Key::new(FORGIVEN, id)
    }
}

fn number(kept: Option<Vec<u8>>) -> u64 {
    kept.and_then(|kept| kept.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_from_the_first_attempt_that_is_not_free() {
        let rule = Rule {
            free: 3,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            window: Duration::from_hours(1),
        };
        for (count, wait) in [
            (1, None),
            (3, None),
            (4, Some(1)),
            (5, Some(2)),
            (6, Some(4)),
            (9, Some(32)),
            (10, Some(60)),
            (100, Some(60)),
            (u64::MAX, Some(60)),
        ] {
            assert_eq!(
                rule.wait_after(count),
                wait.map(Duration::from_secs),
                "{count}"
            );
        }
    }
}
