//! Devices on which nobody can sign in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::waits;
use crate::device::GuessLimits;

/// The longest that a code on a screen may be good.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// A device that waits longer seems to hang.
const MAX_INTERVAL: Duration = Duration::from_mins(1);

/// Devices on which nobody can sign in (RFC 8628).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceConfig {
    /// How long a device's codes are good.
    #[serde(with = "shared_server::config::period")]
    pub lifetime: Duration,
    /// How long a device waits between two polls.
    #[serde(with = "shared_server::config::period")]
    pub interval: Duration,
    /// How many requests of one client begin in a lifetime.
    pub requests_per_client: u32,
    /// How many requests of one network address begin in a lifetime; zero for any number.
    pub requests_per_address: u32,
    /// Wrong user codes of one account after which the next attempt has to wait.
    pub failures_before_wait: u32,
    /// The same of one network address, which many people may share; zero turns it off.
    pub address_failures_before_wait: u32,
    /// How long the first wait is. Each further failure doubles it.
    #[serde(with = "shared_server::config::period")]
    pub first_wait: Duration,
    /// The longest wait.
    #[serde(with = "shared_server::config::period")]
    pub longest_wait: Duration,
    /// How long a failure counts.
    #[serde(with = "shared_server::config::period")]
    pub window: Duration,
}

impl DeviceConfig {
    pub(super) fn guesses(&self) -> GuessLimits {
        GuessLimits {
            failures_before_wait: self.failures_before_wait,
            address_failures_before_wait: self.address_failures_before_wait,
            first_wait: self.first_wait,
            longest_wait: self.longest_wait,
            window: self.window,
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.lifetime < Duration::from_mins(1) {
            problems.push("device.lifetime is below 1m: nobody signs in so fast".into());
        }
        if self.lifetime > MAX_LIFETIME {
            problems.push("device.lifetime is above 30m: the longer codes are good, the more of them there are to guess; shorten it".into());
        }
        if self.interval < Duration::from_secs(1) {
            problems.push("device.interval is below 1s: devices would ask without rest".into());
        }
        if self.interval > MAX_INTERVAL {
            problems.push(
                "device.interval is above 1m: people would think that nothing happens; shorten it"
                    .into(),
            );
        }
        if self.interval.subsec_nanos() != 0 {
            problems.push("device.interval is told to devices in whole seconds: make it so".into());
        }
        if self.requests_per_client == 0 {
            problems.push("device.requests_per_client is 0: no device could ask; take device_code from the clients instead".into());
        }
        if self.window < Duration::from_mins(1) {
            problems.push("device.window is below 1m: guessing would cost nothing".into());
        }
        if self.first_wait < Duration::from_secs(1) {
            problems.push("device.first_wait is below 1s: guessing would cost nothing".into());
        }
        let periods = (self.first_wait, self.longest_wait);
        problems.extend(waits::problems("device", periods, self.window));
        problems
    }
}

impl Default for DeviceConfig {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_mins(10),
            interval: Duration::from_secs(5),
            requests_per_client: 10_000,
            requests_per_address: 200,
            failures_before_wait: 5,
            address_failures_before_wait: 50,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
            window: Duration::from_hours(1),
        }
    }
}
