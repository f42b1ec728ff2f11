//! People signed in at browsers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shorter, and people would be signed out while they read a page.
const MIN_SESSION_IDLE: Duration = Duration::from_mins(5);

/// People signed in at browsers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// How long a session lives without being used.
    #[serde(with = "shared_server::config::period")]
    pub idle: Duration,
    /// How long a session lives since the person last proved who they are.
    #[serde(with = "shared_server::config::period")]
    pub absolute: Duration,
}

impl SessionsConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.idle < MIN_SESSION_IDLE {
            problems.push(
                "sessions.idle is below 5m: people would be signed out while they read".into(),
            );
        }
        if self.idle > self.absolute {
            problems.push("sessions.idle is longer than sessions.absolute: shorten it".into());
        }
        problems
    }
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(24),
            absolute: Duration::from_hours(24 * 14),
        }
    }
}
