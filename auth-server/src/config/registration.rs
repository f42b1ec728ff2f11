//! Clients that register themselves.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::scope::ScopeToken;
use shared_server::rate_limits::Rate;

use super::Mode;
use crate::authorization_details::TypeName;
use crate::registration::statement::{StatementIssuer, StatementIssuers};

/// Shorter, and a person could not sign in before the client is gone; longer, and it piles up.
const UNUSED_LIFETIME: RangeInclusive<Duration> =
    Duration::from_mins(10)..=Duration::from_hours(24 * 30);

/// Who may register clients.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RegistrationMode {
    /// Anybody.
    Open,
    /// Whoever has an initial access token, or a software statement of an issuer that is trusted.
    Token,
    /// Nobody.
    Closed,
}

/// Clients that register themselves (RFC 7591).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationConfig {
    /// Who may; anybody in development and whoever has a token in production where it is not said.
    pub mode: Option<RegistrationMode>,
    /// Scopes of resource servers that they may get, beside those of this server.
    pub scopes: Vec<ScopeToken>,
    /// Whether they get all of those, and are told so, where they name less.
    pub widen_scope: bool,
    /// Types of authorization details that they may ask for.
    pub authorization_details_types: Vec<TypeName>,
    /// How many may be there that never got a token; zero for any number.
    pub max_unused: u32,
    /// How long one of them stays.
    #[serde(with = "shared_server::config::period")]
    pub unused_lifetime: Duration,
    /// Registrations and changes of one network address.
    pub rate: Rate,
    /// Whose software statements are believed.
    pub software_statement_issuers: Vec<StatementIssuer>,
}

impl Default for RegistrationConfig {
    fn default() -> Self {
        Self {
            mode: None,
            scopes: Vec::new(),
            widen_scope: false,
            authorization_details_types: Vec::new(),
            max_unused: 10_000,
            unused_lifetime: Duration::from_hours(24),
            rate: Rate {
                requests: 100,
                per: Duration::from_hours(1),
            },
            software_statement_issuers: Vec::new(),
        }
    }
}

impl RegistrationConfig {
    /// Who may register clients of a server in this mode.
    #[must_use]
    pub fn mode(&self, mode: Mode) -> RegistrationMode {
        self.mode.unwrap_or(match mode {
            Mode::Development => RegistrationMode::Open,
            Mode::Production => RegistrationMode::Token,
        })
    }

    pub(super) fn problems(&self, mode: Mode) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some((part, reason)) = self.rate.problem() {
            problems.push(format!("registration.rate.{part}: {reason}"));
        }
        if !UNUSED_LIFETIME.contains(&self.unused_lifetime) {
            problems.push("registration.unused_lifetime is not between 10m and 30d: shorter, and nobody could sign in before the client is gone; longer, and they pile up".into());
        }
        let issuers = StatementIssuers::new(&self.software_statement_issuers);
        if let Err((index, reason)) = issuers {
            problems.push(format!(
                "registration.software_statement_issuers[{index}]: {reason}"
            ));
        }
        match self.mode(mode) {
            RegistrationMode::Closed if !self.software_statement_issuers.is_empty() => {
                problems.push("registration.mode is \"closed\" although registration.software_statement_issuers names some: remove them, or use \"token\"".into());
            }
            RegistrationMode::Open if mode == Mode::Production => {
                for (key, is_missing) in [
                    ("rate.requests", self.rate.requests == 0),
                    ("max_unused", self.max_unused == 0),
                ] {
                    if is_missing {
                        problems.push(format!("registration.{key} is 0 and registration.mode is \"open\": strangers could fill the database; set a limit, or use \"token\""));
                    }
                }
            }
            RegistrationMode::Open | RegistrationMode::Token | RegistrationMode::Closed => {}
        }
        problems
    }
}
