//! For how long rows are kept past their end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ExplainConfig, Mode};
use crate::pruning::Retention;
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::OVERLAP;

/// Nodes look back by `OVERLAP` for what changed.
const MIN_CHANGES: Duration = Duration::from_mins(1);
/// Clocks of nodes differ, and one that is behind accepts a token for so much longer.
const MIN_REVOCATIONS: Duration = Duration::from_mins(5);
/// Less often, and a day's rows go at once.
const MAX_EVERY: Duration = Duration::from_hours(24);

/// For how long rows are kept past their end.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// How often rows are removed; zero for never.
    #[serde(with = "shared_server::config::period")]
    pub every: Duration,
    /// Sessions.
    #[serde(with = "shared_server::config::period")]
    pub sessions: Duration,
    /// Grants.
    #[serde(with = "shared_server::config::period")]
    pub grants: Duration,
    /// Revocations.
    #[serde(with = "shared_server::config::period")]
    pub revocations: Duration,
    /// What tells other nodes that something changed.
    #[serde(with = "shared_server::config::period")]
    pub changes: Duration,
    /// The public half of signing keys.
    #[serde(with = "shared_server::config::period")]
    pub signing_keys: Duration,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        let days = |days: u64| Duration::from_hours(24 * days);
        Self {
            every: Duration::from_mins(1),
            sessions: days(7),
            grants: days(7),
            revocations: Duration::from_hours(1),
            changes: Duration::from_hours(1),
            signing_keys: days(30),
        }
    }
}

impl RetentionConfig {
    /// The same, as pruning takes it, with how long clients stay that were never used, what clients could not be told, and why and of
    /// how many requests were refused.
    #[must_use]
    pub fn periods(
        &self,
        unused_clients: Duration,
        logout_notices: Duration,
        explain: &ExplainConfig,
    ) -> Retention {
        Retention {
            refusals: explain.keep,
            most_refusals: explain.most,
            unused_clients,
            logout_notices,
            sessions: self.sessions,
            grants: self.grants,
            revocations: self.revocations,
            changes: self.changes,
        }
    }

    /// `code_lifetime`: how long a code is good.
    pub(super) fn problems(&self, mode: Mode, code_lifetime: Duration) -> Vec<String> {
        const { assert!(MIN_CHANGES.as_secs() >= 2 * OVERLAP.as_secs()) };
        let mut problems = Vec::new();
        if self.every > MAX_EVERY {
            problems.push("retention.every is above 1d: a day's rows would go at once".into());
        }
        if !self.every.is_zero() && self.every < Duration::from_secs(1) {
            problems.push("retention.every is below 1s: use \"0s\" to turn it off".into());
        }
        if self.changes < MIN_CHANGES {
            problems.push("retention.changes is below 1m: nodes that were cut off for a moment would miss what changed".into());
        }
        if self.grants < code_lifetime {
            problems.push(
                "retention.grants is below authorization.code_lifetime: a code could be used twice"
                    .into(),
            );
        }
        if mode == Mode::Production {
            if self.every.is_zero() {
                problems
                    .push("retention.every is 0s: tables would grow until the disk is full".into());
            }
            if self.grants < MAX_LIFETIME {
                problems.push("retention.grants is below 1d: access tokens of a grant that is forgotten could not be revoked with the account".into());
            }
            if self.revocations < MIN_REVOCATIONS {
                problems.push("retention.revocations is below 5m: a node whose clock is behind would accept what was revoked".into());
            }
        }
        problems
    }
}
