//! How many failures to sign in are suffered.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::waits;
use crate::accounts::sign_in::SignInLimits;

/// How many failures to sign in are suffered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignInConfig {
    /// Failures of one account after which the next attempt has to wait.
    pub failures_before_wait: u32,
    /// The same of one network address, which many people may share; zero turns it off.
    pub address_failures_before_wait: u32,
    /// How long the first wait is. Each further failure doubles it.
    #[serde(with = "shared_server::config::period")]
    pub first_wait: Duration,
    /// The longest wait.
    #[serde(with = "shared_server::config::period")]
    pub longest_wait: Duration,
    /// Failures after which the account is locked, but for known devices.
    pub failures_before_lock: u32,
    /// How long a lock lasts.
    #[serde(with = "shared_server::config::period")]
    pub lock: Duration,
    /// How long a failure counts.
    #[serde(with = "shared_server::config::period")]
    pub window: Duration,
    /// How long a browser is known after somebody signed in with it.
    #[serde(with = "shared_server::config::period")]
    pub known_device: Duration,
}

impl SignInConfig {
    pub(super) fn limits(&self) -> SignInLimits {
        SignInLimits {
            failures_before_wait: self.failures_before_wait,
            address_failures_before_wait: self.address_failures_before_wait,
            first_wait: self.first_wait,
            longest_wait: self.longest_wait,
            failures_before_lock: self.failures_before_lock,
            lock: self.lock,
            window: self.window,
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.failures_before_lock == 0 {
            problems.push("sign_in.failures_before_lock is 0: the first slip would lock".into());
        }
        for (name, period) in [("lock", self.lock), ("window", self.window)] {
            // Shorter, and a guesser need not fear it; a window has to hold the waits before a lock.
            if period < Duration::from_mins(1) {
                problems.push(format!(
                    "sign_in.{name} is below 1m: guessing would cost nothing"
                ));
            }
        }
        let periods = (self.first_wait, self.longest_wait);
        problems.extend(waits::problems("sign_in", periods, self.window));
        problems
    }
}

impl Default for SignInConfig {
    fn default() -> Self {
        Self {
            failures_before_wait: 3,
            address_failures_before_wait: 50,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            failures_before_lock: 10,
            lock: Duration::from_mins(15),
            window: Duration::from_hours(1),
            known_device: Duration::from_hours(24 * 180),
        }
    }
}
