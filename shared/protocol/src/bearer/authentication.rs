//! How the person behind a token must have proven who they are (RFC 9470).

use std::time::Duration;

use super::AccessToken;
use crate::time::Instant;

/// What a route needs of the sign-in behind a token. The default needs nothing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AuthenticationRequirement {
    acr_values: Vec<String>,
    max_age: Option<Duration>,
}

/// A level that no challenge could name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an acr value is printable ASCII without spaces, quotes and backslashes")]
pub struct InvalidAcrValue;

impl AuthenticationRequirement {
    /// One of these levels if there are any, and a sign-in that is no older than `max_age`.
    ///
    /// # Errors
    /// [`InvalidAcrValue`].
    pub fn new(
        acr_values: Vec<String>,
        max_age: Option<Duration>,
    ) -> Result<Self, InvalidAcrValue> {
        let printable = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let is_name = |value: &String| !value.is_empty() && value.bytes().all(printable);
        if acr_values.iter().all(is_name) {
            Ok(Self {
                acr_values,
                max_age,
            })
        } else {
            Err(InvalidAcrValue)
        }
    }

    /// A sign-in that is no older than `max_age`, in any way.
    #[must_use]
    pub fn within(max_age: Duration) -> Self {
        Self {
            acr_values: Vec::new(),
            max_age: Some(max_age),
        }
    }

    /// Whether the sign-in behind this token is one of those. A token that does not tell is none.
    pub(super) fn is_met(&self, token: &AccessToken, now: Instant) -> bool {
        let is_level = |acr: &str| self.acr_values.iter().any(|known| known == acr);
        let level = self.acr_values.is_empty() || token.acr().is_some_and(is_level);
        // RFC 9470 §4: as at the authorization server, to which the client goes with the same number.
        let recent = self.max_age.is_none_or(|max_age| {
            let signed_in = token.auth_time();
            signed_in.is_some_and(|auth_time| now.since(auth_time) <= max_age)
        });
        level && recent
    }

    /// Names and values, as a challenge has them (RFC 9470 §3).
    #[must_use]
    pub fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if !self.acr_values.is_empty() {
            parameters.push(("acr_values", self.acr_values.join(" ")));
        }
        if let Some(max_age) = self.max_age {
            parameters.push(("max_age", max_age.as_secs().to_string()));
        }
        parameters
    }
}
