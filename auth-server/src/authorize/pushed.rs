//! Requests that clients pushed ahead (RFC 9126): kept under a name that nobody can guess, for the client that pushed it and the first
//! browser that brings the name. Loading one does not spend it, because a page may be loaded again; answering it does, by one atomic
//! step.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::Confirmation;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Key, Kind, PutNew, Take};

use super::request_object::RequestUriError;
use crate::browser::BrowserId;
use crate::parameters::Parameters;

/// Those that were pushed, until they expire.
const PUSHED: Kind = Kind::new("pushed-request");
/// Those that a browser loaded, until they are answered.
const LOADED: Kind = Kind::new("pushed-request-loaded");
/// RFC 9126 §2.2.
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";
/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;

/// The `request_uri` of a pushed request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PushedUri(Box<str>);

/// Not a name that this server gives to a pushed request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the request_uri of a pushed request")]
pub struct InvalidPushedUri;

impl PushedUri {
    /// A new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(format!("{PREFIX}{}", random::alphanumeric(LENGTH, random)).into())
    }

    /// Whether a `request_uri` is meant to be one of these, whatever is wrong with it.
    #[must_use]
    pub fn is_meant(request_uri: &str) -> bool {
        request_uri.starts_with(PREFIX)
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PushedUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PushedUri {
    type Err = InvalidPushedUri;

    fn from_str(raw: &str) -> Result<Self, InvalidPushedUri> {
        let rest = raw.strip_prefix(PREFIX).ok_or(InvalidPushedUri)?;
        if rest.len() == LENGTH && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidPushedUri)
        }
    }
}

shared_protocol::serde_as_text!(PushedUri, InvalidPushedUri);

/// What is kept of a pushed request.
#[derive(Clone, Deserialize, Serialize)]
pub struct PushedRequest {
    /// Who pushed it.
    pub client_id: ClientId,
    /// Its parameters, form-urlencoded.
    pub parameters: String,
    /// Whether the client signed them.
    pub is_signed: bool,
    /// What it proved to have when it pushed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// When.
    pub pushed_at: Instant,
}

#[derive(Deserialize, Serialize)]
struct Loaded {
    request: PushedRequest,
    browser: [u8; 32],
    first_at: Instant,
}

/// The pushed requests of this server.
#[derive(Clone)]
pub struct PushedRequests {
    /// Where they are kept.
    pub ephemeral: Ephemeral,
    /// How long after it was pushed a request may be loaded for the first time.
    pub lifetime: Duration,
    /// How long after that its browser may load it again. A person then has as much time once more.
    pub interaction_lifetime: Duration,
}

impl PushedRequests {
    /// Keeps a request.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn keep(
        &self,
        uri: &PushedUri,
        request: &PushedRequest,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        // Text and numbers always have a JSON form.
        let value = serde_json::to_vec(request).unwrap_or_default();
        let entry = Entry {
            value: &value,
            mark: &[],
            deadline: request.pushed_at + self.lifetime,
        };
        let key = Key::new(PUSHED, uri.as_str());
        self.ephemeral.put(&key, entry, now).await
    }

    /// The request of this name, for the client that pushed it, at the first browser that brought it. Its time is judged then.
    ///
    /// # Errors
    /// [`RequestUriError::Unknown`] whatever is wrong, so that nothing is learnt; [`RequestUriError::Ephemeral`].
    pub async fn load(
        &self,
        uri: &PushedUri,
        client_id: &ClientId,
        browser: &BrowserId,
        now: Instant,
    ) -> Result<PushedRequest, RequestUriError> {
        if let Some(loaded) = self.find_loaded(uri, now).await? {
            return self.again(loaded, client_id, browser, now);
        }
        let key = Key::new(PUSHED, uri.as_str());
        let pushed = self.ephemeral.get(&key, now).await?;
        // Written by another release: the client begins again.
        let request = pushed.and_then(|value| read::<PushedRequest>(&value));
        let request = request.filter(|request| request.client_id == *client_id);
        let request = request.ok_or(RequestUriError::Unknown)?;
        let first = Loaded {
            request,
            browser: browser.digest(),
            first_at: now,
        };
        // No sooner gone than what it was loaded from: the mark of an answer must be there for as long.
        let pushed_until = first.request.pushed_at + self.lifetime;
        let entry = Entry {
            value: &serde_json::to_vec(&first).unwrap_or_default(),
            mark: &[],
            deadline: pushed_until.max(now + self.interaction_lifetime * 2),
        };
        let key = Key::new(LOADED, uri.as_str());
        match self.ephemeral.put_new(&key, entry, now).await? {
            // It may have been answered, and the store forgot. Both instants are by clocks of our own.
            PutNew::Stored { epoch } if first.request.pushed_at < epoch => {
                Err(RequestUriError::Unknown)
            }
            PutNew::Stored { .. } => Ok(first.request),
            PutNew::Exists => {
                let loaded = self.find_loaded(uri, now).await?;
                // Answered already.
                let loaded = loaded.ok_or(RequestUriError::Unknown)?;
                self.again(loaded, client_id, browser, now)
            }
        }
    }

    fn again(
        &self,
        loaded: Loaded,
        client_id: &ClientId,
        browser: &BrowserId,
        now: Instant,
    ) -> Result<PushedRequest, RequestUriError> {
        let is_theirs =
            loaded.browser == browser.digest() && loaded.request.client_id == *client_id;
        if is_theirs && now < loaded.first_at + self.interaction_lifetime {
            Ok(loaded.request)
        } else {
            Err(RequestUriError::Unknown)
        }
    }

    async fn find_loaded(
        &self,
        uri: &PushedUri,
        now: Instant,
    ) -> Result<Option<Loaded>, EphemeralError> {
        let key = Key::new(LOADED, uri.as_str());
        let found = self.ephemeral.get(&key, now).await?;
        Ok(found.and_then(|value| read(&value)))
    }

    /// Spends a request that was loaded: of any number of callers, in however many interactions, one is told that it may answer.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn take(&self, uri: &PushedUri, now: Instant) -> Result<bool, EphemeralError> {
        let key = Key::new(LOADED, uri.as_str());
        Ok(match self.ephemeral.take(&key, now).await? {
            Take::First(_) => true,
            Take::Before(_) | Take::Unknown => false,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

/// The name of the pushed request that a request consists of, if it is one; malformed names too.
#[must_use]
pub fn named(parameters: &Parameters) -> Option<&str> {
    let uri = parameters.optional("request_uri");
    uri.filter(|uri| PushedUri::is_meant(uri))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared_protocol::random::SystemRandom;

    use super::*;

    #[test]
    fn rfc9126_2_2_names_are_of_one_form() {
        let good = PushedUri::generate(&SystemRandom);
        assert_eq!(good.as_str().parse(), Ok(good.clone()));
        let rest = &good.as_str()[PREFIX.len()..];
        for raw in [
            String::new(),
            rest.to_owned(),
            PREFIX.to_owned(),
            format!("{good}a"),
            format!("{PREFIX}{}", &rest[1..]),
            format!("{PREFIX}{}-", &rest[1..]),
            format!("{PREFIX}{}\u{e4}", &rest[2..]),
            format!(" {good}"),
            format!("{good}#"),
            good.as_str().to_uppercase(),
            format!("https://client.example/{good}"),
        ] {
            assert_eq!(raw.parse::<PushedUri>(), Err(InvalidPushedUri), "{raw}");
        }
    }

    proptest! {
        #[test]
        fn names_are_read_as_they_are_written(raw in "(urn:ietf:params:oauth:request_uri:)?[A-Za-z0-9:#%_-]{0,50}") {
            let is_name = raw.strip_prefix(PREFIX).is_some_and(|rest| {
                rest.len() == LENGTH && rest.chars().all(|c| c.is_ascii_alphanumeric())
            });
            let parsed = raw.parse::<PushedUri>();
            prop_assert_eq!(parsed.is_ok(), is_name);
            if let Ok(uri) = parsed {
                prop_assert_eq!(uri.as_str(), raw.as_str());
                prop_assert!(PushedUri::is_meant(&raw));
            }
        }

        #[test]
        fn letters_and_digits_of_the_right_number_are_a_name(rest in "[A-Za-z0-9]{43}") {
            let raw = format!("{PREFIX}{rest}");
            prop_assert!(raw.parse::<PushedUri>().is_ok());
        }

        #[test]
        fn any_text_is_read_or_refused(raw in "\\PC{0,80}") {
            let _ = raw.parse::<PushedUri>();
        }
    }
}
