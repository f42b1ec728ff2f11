//! The authorization endpoint.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::authorize::request::{RequestPolicy, ResponseType};
use crate::profiles::Demands;

/// The longest that a code may be good.
const MAX_CODE_LIFETIME: Duration = Duration::from_mins(1);
/// The longest that a person may take.
const MAX_INTERACTION_LIFETIME: Duration = Duration::from_hours(1);

/// A pushed request is opened at once (RFC 9126 §2.2); FAPI 2.0 Security Profile §5.3.2.2 has less than 600 seconds.
const MAX_REQUEST_LIFETIME: Duration = Duration::from_secs(599);

/// The authorization endpoint.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in the file"
)]
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
    /// Whether every request must be pushed (RFC 9126 §5).
    pub require_pushed_authorization_requests: bool,
    /// How long a pushed request may wait to be opened.
    #[serde(with = "shared_server::config::period")]
    pub request_lifetime: Duration,
    /// Whether every request must be signed (RFC 9101 §10.5).
    pub require_signed_request_object: bool,
    /// Whether clients may register request objects without a signature.
    pub unsigned_request_objects: bool,
    /// What requests may ask for.
    pub response_types: Vec<ResponseType>,
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
        if self.request_lifetime < Duration::from_secs(5) {
            problems.push(
                "authorization.request_lifetime is below 5s: no browser opens a page so fast"
                    .into(),
            );
        }
        if self.request_lifetime > MAX_REQUEST_LIFETIME {
            problems.push("authorization.request_lifetime is above 599s: a pushed request is opened at once, and only a thief is late".into());
        }
        if self.require_signed_request_object && self.unsigned_request_objects {
            problems.push("authorization.unsigned_request_objects is true beside require_signed_request_object: set one of them to false".into());
        }
        if !self.response_types.contains(&ResponseType::Code) {
            problems.push("authorization.response_types lacks \"code\", which every app of today asks for: add it".into());
        }
        problems
    }

    /// What is asked of requests, and what they may ask for, at a server that holds to these demands.
    pub(super) fn request_policy(&self, demands: Demands) -> RequestPolicy {
        let served = |known: &ResponseType| self.response_types.contains(known);
        RequestPolicy {
            response_types: ResponseType::ALL.into_iter().filter(served).collect(),
            require_pushed: self.require_pushed_authorization_requests || demands.pushed_requests(),
            require_signed: self.require_signed_request_object || demands.signed_requests(),
            unsigned_objects: self.unsigned_request_objects,
        }
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
            require_pushed_authorization_requests: false,
            request_lifetime: Duration::from_mins(1),
            require_signed_request_object: false,
            unsigned_request_objects: false,
            // RFC 9700 §2.1.2.
            response_types: vec![ResponseType::Code],
            password_grant: false,
        }
    }
}
