//! The section of a configuration that says how much may be asked.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ephemeral::{LONGEST_FILL, MOST_TOKENS};

/// Shorter, and what a client is told, in whole seconds, would be wrong.
const SHORTEST: Duration = Duration::from_secs(1);

/// How much may be asked, and by whom.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimitsConfig {
    /// Whoever comes from one IPv4 address or IPv6 /64. Default 3,000 a minute.
    pub address: Rate,
    /// A client that authenticated, or for which a token was issued. Default 60,000 a minute.
    pub client: Rate,
    /// A person on whose behalf it is asked. Default 600 a minute.
    pub account: Rate,
    /// How long whoever reached a limit gets nothing; each further time doubles it. Default 1 s.
    #[serde(with = "crate::config::period")]
    pub penalty: Duration,
    /// The longest that it grows to. Default 1 min.
    #[serde(with = "crate::config::period")]
    pub longest_penalty: Duration,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// At once, if there were none before; zero for any number.
    pub requests: u32,
    /// How long it takes until as many may come again.
    #[serde(with = "crate::config::period")]
    pub per: Duration,
}

impl Rate {
    /// So many in a minute.
    #[must_use]
    pub const fn per_minute(requests: u32) -> Self {
        Self {
            requests,
            per: Duration::from_mins(1),
        }
    }

    /// What is wrong with it, in words that follow its key: the name of the wrong part, and the reason.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        if self.requests > MOST_TOKENS {
            Some(("requests", "at most 10000000; 0 for no limit"))
        } else if !(SHORTEST..=LONGEST_FILL).contains(&self.per) {
            Some(("per", "between \"1s\" and \"1d\""))
        } else {
            None
        }
    }
}

impl Default for RateLimitsConfig {
    fn default() -> Self {
        Self {
            address: Rate::per_minute(3_000),
            client: Rate::per_minute(60_000),
            account: Rate::per_minute(600),
            penalty: Duration::from_secs(1),
            longest_penalty: Duration::from_mins(1),
        }
    }
}

impl RateLimitsConfig {
    fn rates(&self) -> [(&'static str, &Rate); 3] {
        [
            ("address", &self.address),
            ("client", &self.client),
            ("account", &self.account),
        ]
    }

    /// What is wrong: each with its key and the mend.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, &'static str)> {
        let rates = self.rates().into_iter();
        let mut problems: Vec<_> = rates
            .filter_map(|(name, rate)| {
                let (part, reason) = rate.problem()?;
                Some((format!("rate_limits.{name}.{part}"), reason))
            })
            .collect();
        let mut say = |key: &str, reason| problems.push((format!("rate_limits.{key}"), reason));
        if self.longest_penalty > LONGEST_FILL {
            say("longest_penalty", "at most \"1d\"");
        }
        if self.penalty > self.longest_penalty {
            say(
                "penalty",
                "longer than rate_limits.longest_penalty: shorten it",
            );
        }
        problems
    }

    /// What production should not go without, though it may stand elsewhere, such as in a proxy.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let rates = self.rates().into_iter();
        rates
            .filter(|(_, rate)| rate.requests == 0)
            .map(|(name, _)| {
                format!("rate_limits.{name}.requests is 0: nothing limits how much is asked; a proxy should")
            })
            .collect()
    }
}
