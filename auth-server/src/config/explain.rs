//! Why requests were refused, kept for operators.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Mode;

/// Shorter, and it is gone before anybody asks.
const MIN_KEEP: Duration = Duration::from_mins(1);
/// Longer, and it tells of people and clients that left.
const MAX_KEEP: Duration = Duration::from_hours(24 * 30);
/// Some gigabytes.
const MOST: u32 = 10_000_000;

/// Why requests were refused, kept for operators.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExplainConfig {
    /// For how long; zero keeps nothing.
    #[serde(with = "shared_server::config::period")]
    pub keep: Duration,
    /// How many refusals; the oldest go.
    pub most: u32,
}

impl Default for ExplainConfig {
    fn default() -> Self {
        Self {
            keep: Duration::from_hours(24),
            most: 100_000,
        }
    }
}

impl ExplainConfig {
    /// Whether anything is kept.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.keep.is_zero()
    }

    pub(super) fn problems(&self, prunes: bool, mode: Mode) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.is_on() {
            return problems;
        }
        if self.keep < MIN_KEEP {
            problems.push(
                "explain.keep is below 1m: nobody asks so soon; use \"0s\" to keep nothing".into(),
            );
        }
        if self.keep > MAX_KEEP {
            problems.push("explain.keep is above 30d: shorten it".into());
        }
        if !(1..=MOST).contains(&self.most) {
            problems.push("explain.most is not from 1 to 10000000: choose how many refusals are kept, or explain.keep = \"0s\" for none".into());
        }
        if !prunes && mode == Mode::Production {
            problems.push("explain.keep is set but retention.every is 0s: what is kept would never go; use \"0s\" for both".into());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change to the defaults.
    type Change = fn(&mut ExplainConfig);

    #[test]
    fn bounds_have_bounds() {
        let rows: [(Change, &[&str]); 7] = [
            (|_| {}, &[]),
            (|c| c.keep = Duration::ZERO, &[]),
            (
                |c| {
                    c.keep = Duration::ZERO;
                    c.most = 0;
                },
                &[],
            ),
            (|c| c.keep = Duration::from_secs(59), &["explain.keep"]),
            (|c| c.keep = 2 * MAX_KEEP, &["explain.keep"]),
            (|c| c.most = 0, &["explain.most"]),
            (|c| c.most = MOST + 1, &["explain.most"]),
        ];
        for (change, keys) in rows {
            let mut config = ExplainConfig::default();
            change(&mut config);
            let problems = config.problems(true, Mode::Production);
            assert_eq!(problems.len(), keys.len(), "{problems:?}");
            for (problem, key) in problems.iter().zip(keys) {
                assert!(problem.starts_with(key), "{problem}");
            }
        }
        let default = ExplainConfig::default();
        assert_eq!(default.problems(false, Mode::Production).len(), 1);
        assert!(default.problems(false, Mode::Development).is_empty());
    }
}
