//! The authorization endpoint.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest that a code may be good.
const MAX_CODE_LIFETIME: Duration = Duration::from_mins(1);
/// The longest that a person may take.
const MAX_INTERACTION_LIFETIME: Duration = Duration::from_hours(1);

/// The authorization endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationConfig {
    /// Whose requests must carry a code challenge (RFC 7636).
    pub pkce: PkcePolicy,
    /// Whether the port of a native client's redirect to `localhost` may vary as that of `127.0.0.1` and `[::1]` does.
    pub localhost_port_varies: bool,
    /// How long a code is good (RFC 6749 §4.1.2).
    #[serde(with = "shared_server::config::period")]
    pub code_lifetime: Duration,
    /// How long a person may take to sign in and to decide.
    #[serde(with = "shared_server::config::period")]
    pub interaction_lifetime: Duration,
    /// How many interactions may begin at one network address in a minute; zero for any number.
    pub interactions_per_address: u32,
    /// Whether clients may be told passwords (RFC 6749 §4.3).
    pub password_grant: bool,
}

impl AuthorizationConfig {
    pub(super) fn warnings(&self) -> Option<String> {
        // RFC 9700 §2.4.
        self.password_grant.then(|| "authorization.password_grant is true: clients registered for it are told people's passwords, which RFC 9700 forbids; set it to false as soon as they can do without".into())
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.code_lifetime > MAX_CODE_LIFETIME {
            problems.push("authorization.code_lifetime is above 1m: a code is redeemed at once, and only a thief is late".into());
        }
        if self.code_lifetime < Duration::from_secs(1) {
            problems.push(
                "authorization.code_lifetime is below 1s: no client could redeem a code".into(),
            );
        }
        if self.interaction_lifetime < Duration::from_mins(1) {
            problems.push(
                "authorization.interaction_lifetime is below 1m: nobody signs in so fast".into(),
            );
        }
        if self.interaction_lifetime > MAX_INTERACTION_LIFETIME {
            problems.push("authorization.interaction_lifetime is above 1h: whoever asks, and never signs in, fills the ephemeral store for that long".into());
        }
        problems
    }
}

/// Whose authorization requests must carry a code challenge (RFC 7636, RFC 9700 §2.1.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PkcePolicy {
    /// Everyone's.
    #[default]
    Required,
    /// Public clients', and those of confidential clients that registered for it.
    PublicOnly,
}

impl Default for AuthorizationConfig {
    fn default() -> Self {
        Self {
            pkce: PkcePolicy::default(),
            localhost_port_varies: true,
            code_lifetime: MAX_CODE_LIFETIME,
            interaction_lifetime: Duration::from_mins(30),
            interactions_per_address: 600,
            password_grant: false,
        }
    }
}
