//! People who make an account for themselves.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_server::rate_limits::Rate;

use super::Mode;

/// Who may make an account.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SignUpMode {
    /// Operators, for others.
    Closed,
    /// Anybody, for themselves.
    Open,
}

/// People who make an account for themselves (Initiating User Registration via OpenID Connect 1.0).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignUpConfig {
    /// Who may; anybody in development and operators alone in production where it is not said.
    pub mode: Option<SignUpMode>,
    /// Attempts of one network address.
    pub rate: Rate,
}

impl Default for SignUpConfig {
    fn default() -> Self {
        Self {
            mode: None,
            rate: Rate {
                requests: 30,
                per: Duration::from_hours(1),
            },
        }
    }
}

impl SignUpConfig {
    pub(super) fn is_open(&self, mode: Mode) -> bool {
        let default = match mode {
            Mode::Development => SignUpMode::Open,
            Mode::Production => SignUpMode::Closed,
        };
        self.mode.unwrap_or(default) == SignUpMode::Open
    }

    pub(super) fn problems(&self, mode: Mode) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some((part, reason)) = self.rate.problem() {
            problems.push(format!("sign_up.rate.{part}: {reason}"));
        }
        if mode == Mode::Production && self.is_open(mode) && self.rate.requests == 0 {
            problems.push("sign_up.rate.requests is 0 and sign_up.mode is \"open\": strangers could fill the database, and try whose addresses are known; set a limit, or use \"closed\"".into());
        }
        problems
    }
}
