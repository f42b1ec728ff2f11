//! What the app remembers of browsers: in memory, bounded in number and time.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use moka::sync::Cache;
use secrecy::SecretString;
use serde_json::Value;

use super::SECRET_LENGTH;
use super::error::AppError;
use super::provider::{LogoutToken, Tokens};

const MOST: u64 = 1000;
/// Long enough to sign in, read and agree.
const TO_SIGN_IN: Duration = Duration::from_mins(15);
const SIGNED_IN: Duration = Duration::from_hours(12);
/// Longer than a logout token is good for.
const HEARD: Duration = Duration::from_mins(5);

/// A flow that went to the authorization server and has not come back.
#[derive(Clone)]
pub(crate) struct Started {
    /// The browser.
    pub(crate) visit: String,
    /// Must come back in the ID token (OpenID Connect Core §3.1.2.1).
    pub(crate) nonce: String,
    /// Proves that who redeems the code is who asked for it (RFC 7636 §4.1).
    pub(crate) verifier: SecretString,
    /// What the API is told once they have signed in: the name by which they want to be called.
    pub(crate) name: Option<String>,
}

/// What a person's sign-in brought.
pub(crate) struct SignedIn {
    pub(crate) tokens: Tokens,
    /// The claims of the ID token.
    pub(crate) id_token: Value,
    /// What forms must hold.
    pub(crate) form: SecretString,
    /// How often the tokens were refreshed.
    pub(crate) refreshed: u32,
}

/// All of it.
pub(crate) struct Visits {
    started: Cache<String, Started>,
    signed_in: Cache<String, Arc<SignedIn>>,
    leaving: Cache<String, ()>,
    heard: Cache<String, ()>,
}

impl Default for Visits {
    fn default() -> Self {
        Self {
            started: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(TO_SIGN_IN)
                .build(),
            signed_in: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(SIGNED_IN)
                .build(),
            leaving: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(TO_SIGN_IN)
                .build(),
            heard: Cache::builder()
                .max_capacity(MOST)
                .time_to_live(HEARD)
                .build(),
        }
    }
}

impl Visits {
    pub(crate) fn start(&self, state: String, started: Started) {
        self.started.insert(state, started);
    }

    /// The flow of this `state`, at most once.
    pub(crate) fn take(&self, state: &str) -> Option<Started> {
        self.started.remove(state)
    }

    pub(crate) fn sign_in(&self, visit: String, signed_in: SignedIn) {
        self.signed_in.insert(visit, Arc::new(signed_in));
    }

    pub(crate) fn signed_in(&self, visit: &str) -> Option<Arc<SignedIn>> {
        self.signed_in.get(visit)
    }

    pub(crate) fn sign_out(&self, visit: &str) {
        self.signed_in.invalidate(visit);
    }

    /// Somebody goes to the authorization server to sign out there, and comes back with this `state`.
    pub(crate) fn leave(&self, state: String) {
        self.leaving.insert(state, ());
    }

    /// Whether somebody did, at most once.
    pub(crate) fn has_left(&self, state: &str) -> bool {
        self.leaving.remove(state).is_some()
    }

    /// Ends what a logout token is about: one session there, or all of a person's. Each token is heard once.
    ///
    /// # Errors
    /// [`AppError::LogoutToken`].
    pub(crate) fn hear(&self, logout: &LogoutToken) -> Result<(), AppError> {
        if !self
            .heard
            .entry(logout.jti.clone())
            .or_insert(())
            .is_fresh()
        {
            return Err(AppError::LogoutToken("it was heard before"));
        }
        let is = |signed_in: &SignedIn, name: &str, value: &Option<String>| {
            let claim = signed_in.id_token.get(name).and_then(Value::as_str);
            value.is_none() || claim == value.as_deref()
        };
        for (visit, signed_in) in &self.signed_in {
            if is(&signed_in, "sub", &logout.sub) && is(&signed_in, "sid", &logout.sid) {
                self.signed_in.invalidate(&*visit);
            }
        }
        Ok(())
    }
}

/// The app's cookie. Its name holds the port, because browsers send cookies of `localhost` to all of its ports.
pub(crate) struct Cookie {
    name: String,
}

impl Cookie {
    pub(crate) fn of_port(port: u16) -> Self {
        Self {
            name: format!("demo-app-{port}"),
        }
    }

    /// What the browser presented, if it looks like ours.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<String> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == self.name)
            .map(|(_, value)| value)
            .filter(|value| {
                value.len() == SECRET_LENGTH
                    && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
            .map(str::to_owned)
    }

    pub(crate) fn set(&self, visit: &str) -> HeaderValue {
        self.header(visit, "")
    }

    pub(crate) fn clear(&self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    /// `Lax`: the browser must send it when it comes back from the authorization server. No `Secure`: this is plain http.
    fn header(&self, value: &str, more: &str) -> HeaderValue {
        let cookie = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax{more}",
            self.name
        );
        HeaderValue::try_from(cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
