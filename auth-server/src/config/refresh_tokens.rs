//! What brings people's apps fresh access tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A lost answer is asked for again at once.
const MAX_GRACE: Duration = Duration::from_mins(1);

/// What brings people's apps fresh access tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshTokensConfig {
    /// How long one lives without being used.
    #[serde(with = "shared_server::config::period")]
    pub idle: Duration,
    /// How long a person's consent brings fresh ones.
    #[serde(with = "shared_server::config::period")]
    pub absolute: Duration,
    /// For how long after its first use one brings the same successor again.
    #[serde(with = "shared_server::config::period")]
    pub grace: Duration,
}

impl Default for RefreshTokensConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(24 * 30),
            absolute: Duration::from_hours(24 * 180),
            grace: Duration::from_secs(10),
        }
    }
}

impl RefreshTokensConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.grace > MAX_GRACE {
            problems.push("refresh_tokens.grace is over 1m: a stolen token would work beside its successor for that long".into());
        }
        if self.idle > self.absolute {
            problems.push(
                "refresh_tokens.idle is longer than refresh_tokens.absolute: shorten it".into(),
            );
        }
        problems
    }
}
