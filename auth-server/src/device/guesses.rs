//! What guessing at user codes costs (RFC 8628 §5.1, threat 12): attempts are counted by the account that types and by where it does,
//! and who fails too often waits. A session has no count of its own, for its account's holds for all of its sessions.

use std::net::IpAddr;
use std::time::Duration;

use shared_protocol::time::Instant;
use shared_server::ephemeral::{Ephemeral, EphemeralError};

use crate::accounts::throttle::{Admission, Counted, Forgiving, Rule, Throttle};
use crate::accounts::{AccountId, Subject};

/// How many failures are suffered.
#[derive(Clone, Copy, Debug)]
pub struct GuessLimits {
    /// Failures of one account after which the next attempt has to wait.
    pub failures_before_wait: u32,
    /// The same of one network address, which many people may share. Zero: addresses are not counted.
    pub address_failures_before_wait: u32,
    /// How long the first wait is. Each further failure doubles it.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// How long a failure counts.
    pub window: Duration,
}

/// Whoever types a code.
pub(super) struct Typist<'a> {
    account: Throttle<'a>,
    network: Option<Throttle<'a>>,
}

/// An attempt that was counted and may go on.
pub(super) struct Guess {
    account: Counted,
    network: Option<Counted>,
}

impl<'a> Typist<'a> {
    pub(super) fn new(
        limits: &GuessLimits,
        ephemeral: &'a Ephemeral,
        account_id: &AccountId,
        address: IpAddr,
    ) -> Self {
        let throttle = |subject, free: u32| Throttle {
            ephemeral,
            subject,
            rule: Rule {
                free: free.into(),
                first_wait: limits.first_wait,
                longest_wait: limits.longest_wait,
                window: limits.window,
            },
        };
        let of_network = limits.address_failures_before_wait;
        Self {
            account: throttle(Subject::typist(account_id), limits.failures_before_wait),
            network: (of_network != 0).then(|| throttle(Subject::typed_at(address), of_network)),
        }
    }

    /// Counts an attempt before it is looked at, unless somebody has to wait: of any number at once, no more are looked at than would be
    /// one after the other. `Err` says for how long.
    pub(super) async fn admit(
        &self,
        now: Instant,
    ) -> Result<Result<Guess, Duration>, EphemeralError> {
        let mut wait = self.account.waiting(now).await?;
        if let Some(network) = &self.network {
            wait = wait.max(network.waiting(now).await?);
        }
        if let Some(wait) = wait {
            return Ok(Err(wait));
        }
        // The network first: what it refuses must not count against the account.
        let network = match &self.network {
            None => None,
            Some(network) => match network.admit(now).await? {
                Admission::Admitted(counted) => Some(counted),
                Admission::Wait(wait) => return Ok(Err(wait)),
            },
        };
        Ok(match self.account.admit(now).await? {
            Admission::Admitted(account) => Ok(Guess { account, network }),
            Admission::Wait(wait) => Err(wait),
        })
    }

    /// Takes a success off what was counted, and nothing else: who has a device of their own could otherwise guess at others' for ever.
    pub(super) async fn forgive(&self, guess: &Guess, now: Instant) -> Result<(), EphemeralError> {
        self.account
            .forgive(guess.account, Forgiving::This, now)
            .await?;
        if let (Some(network), Some(counted)) = (&self.network, guess.network) {
            network.forgive(counted, Forgiving::This, now).await?;
        }
        Ok(())
    }
}
