//! Telling clients that somebody signed out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::back_channel::Patience;

/// The longest that a person who signs out may have to wait.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// The longest between two tries.
const MAX_REST: Duration = Duration::from_hours(1);
/// As often, and a client that is gone for good is asked for weeks.
const MAX_TRIES: u32 = 100;
/// As long, and what a client is told is of no use to it any more.
const MAX_AGE: Duration = Duration::from_hours(24 * 14);

/// Telling clients that somebody signed out (OpenID Connect Back-Channel Logout 1.0).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutConfig {
    /// How long a person who signs out waits for the clients, all of which are told at once.
    #[serde(with = "shared_server::config::period")]
    pub wait: Duration,
    /// How long a client is left alone that could not be told; twice as long after each further time.
    #[serde(with = "shared_server::config::period")]
    pub retry_after: Duration,
    /// How often it is tried.
    pub tries: u32,
    /// After how long it is not tried any more.
    #[serde(with = "shared_server::config::period")]
    pub give_up_after: Duration,
}

impl LogoutConfig {
    /// The same, as it is acted on.
    #[must_use]
    pub fn patience(&self) -> Patience {
        Patience {
            wait: self.wait,
            retry_after: self.retry_after,
            longest_rest: MAX_REST,
            tries: self.tries,
            give_up_after: self.give_up_after,
        }
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.wait > MAX_WAIT {
            problems.push("logout.wait is above 10s: people would think that signing out does not work; who has not answered by then is told later".into());
        }
        if self.retry_after < Duration::from_secs(1) {
            problems.push(
                "logout.retry_after is below 1s: a client that is down would be asked without rest"
                    .into(),
            );
        }
        if self.retry_after > MAX_REST {
            problems.push("logout.retry_after is above 1h: shorten it".into());
        }
        if !(1..=MAX_TRIES).contains(&self.tries) {
            problems.push(
                "logout.tries is not from 1 to 100: choose how often a client is tried to be told"
                    .into(),
            );
        }
        if self.give_up_after < self.retry_after {
            problems.push("logout.give_up_after is below logout.retry_after: no client would be tried a second time; make it longer".into());
        }
        if self.give_up_after > MAX_AGE {
            problems.push("logout.give_up_after is above 14d: shorten it".into());
        }
        problems
    }
}

impl Default for LogoutConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            retry_after: Duration::from_secs(10),
            tries: 12,
            give_up_after: Duration::from_hours(24),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change to the defaults.
    type Change = fn(&mut LogoutConfig);

    #[test]
    fn bounds_have_bounds() {
        let hour = Duration::from_hours(1);
        assert_eq!(LogoutConfig::default().problems(), Vec::<String>::new());
        let rows: [(Change, &[&str]); 9] = [
            (|c| c.wait = Duration::ZERO, &[]),
            (|c| c.wait = Duration::from_secs(11), &["logout.wait"]),
            (|c| c.retry_after = Duration::ZERO, &["logout.retry_after"]),
            (|c| c.retry_after = 2 * MAX_REST, &["logout.retry_after"]),
            (|c| c.tries = 0, &["logout.tries"]),
            (|c| c.tries = 101, &["logout.tries"]),
            (|c| c.tries = 1, &[]),
            (
                |c| c.give_up_after = Duration::ZERO,
                &["logout.give_up_after"],
            ),
            (|c| c.give_up_after = 2 * MAX_AGE, &["logout.give_up_after"]),
        ];
        for (change, keys) in rows {
            let mut config = LogoutConfig::default();
            change(&mut config);
            let problems = config.problems();
            assert_eq!(problems.len(), keys.len(), "{problems:?}");
            for (problem, key) in problems.iter().zip(keys) {
                assert!(problem.starts_with(key), "{problem}");
            }
        }
        assert_eq!(LogoutConfig::default().patience().longest_rest, hour);
    }
}
