//! Authorization codes (RFC 6749 §4.1.2): a minute old at most, kept in the ephemeral store, taken by one atomic step.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_protocol::confirmation::Confirmation;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Key, Kind, Take};

use crate::grants::{GrantId, Terms};
use crate::pkce::CodeChallenge;

const CODE: Kind = Kind::new("code");
/// Uses of one code that went unanswered, of which is remembered when they were.
const MAX_UNANSWERED: usize = 8;
/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;

/// What a code stands for.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Authorization {
    /// What was allowed.
    pub terms: Terms,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// Whether the request named the redirect URI: then the token request must as well (RFC 6749 §4.1.3).
    pub redirect_uri_named: bool,
    /// The challenge whose verifier must come with the code.
    pub code_challenge: Option<CodeChallenge>,
    /// What whoever redeems it must prove to have (RFC 9449 §10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Confirmation>,
    /// For the ID token (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
}

/// What is kept of a code, or of whatever else brings one grant.
#[derive(Deserialize, Serialize)]
pub struct Kept<A = Authorization> {
    /// The grant that it brings. Named before there is one, so that a second use can revoke it, whether or not the first has been
    /// committed.
    pub grant_id: GrantId,
    /// The salt of the refresh tokens that the grant brings, if it is to have any.
    pub family_salt: [u8; 16],
    /// What it stands for.
    pub authorization: A,
    /// When it was taken before and nobody could say what came of that: whoever took it was answered 503. The latest few.
    pub unanswered: Vec<Instant>,
    /// When it was made.
    pub issued_at: Instant,
    deadline: Instant,
}

/// What a presented code is.
pub enum Taken<A = Authorization> {
    /// Good, and from now on used.
    First(Box<Kept<A>>),
    /// Used before: this grant must die (RFC 6749 §4.1.2).
    Before(GrantId),
    /// Nothing that is remembered: made up, expired, or lost with the store.
    Unknown,
}

impl<A> Kept<A> {
    /// Of one that is made now and is good until then.
    #[must_use]
    pub fn new(authorization: A, (now, deadline): (Instant, Instant), random: &dyn Random) -> Self {
        Self {
            grant_id: GrantId::generate(random),
            family_salt: random::bytes(random),
            authorization,
            unanswered: Vec::new(),
            issued_at: now,
            deadline,
        }
    }

    /// The same, after it was taken at `now` and nobody can say what came of that.
    #[must_use]
    pub fn unanswered_at(mut self, now: Instant) -> Self {
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.remove(0);
        }
        self.unanswered.push(now);
        self
    }
}

impl<A: Serialize> Kept<A> {
    /// As it is written.
    #[must_use]
    pub fn to_value(&self) -> Vec<u8> {
        // Text, numbers and lists of them always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What is written is `value`, and once it was taken, the grant.
    #[must_use]
    pub fn entry<'a>(&'a self, value: &'a [u8]) -> Entry<'a> {
        Entry {
            value,
            mark: self.grant_id.as_str().as_bytes(),
            deadline: self.deadline,
        }
    }

    /// Keeps it, as good as before and no longer.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn put(
        &self,
        ephemeral: &Ephemeral,
        key: &Key,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        ephemeral.put(key, self.entry(&self.to_value()), now).await
    }
}

impl<A: DeserializeOwned> From<Take> for Taken<A> {
    fn from(take: Take) -> Self {
        match take {
            Take::First(value) => match serde_json::from_slice::<Kept<A>>(&value) {
                Ok(kept) => Self::First(Box::new(kept)),
                // Written by another release: it is spent, and nothing came of it.
                Err(_) => Self::Unknown,
            },
            Take::Before(mark) => std::str::from_utf8(&mark)
                .ok()
                .and_then(|mark| mark.parse().ok())
                .map_or(Self::Unknown, Self::Before),
            Take::Unknown => Self::Unknown,
        }
    }
}

/// Makes codes and takes them back.
#[derive(Clone)]
pub struct Codes {
    /// Where they are kept.
    pub ephemeral: Ephemeral,
    /// How long they are good: at most a minute.
    pub lifetime: Duration,
}

impl Codes {
    /// Makes a code.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn issue(
        &self,
        authorization: Authorization,
        now: Instant,
        random: &dyn Random,
    ) -> Result<String, EphemeralError> {
        let code = random::alphanumeric(LENGTH, random);
        let kept = Kept::new(authorization, (now, now + self.lifetime), random);
        self.keep(&code, &kept, now).await?;
        Ok(code)
    }

    /// Keeps a code.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn keep(&self, code: &str, kept: &Kept, now: Instant) -> Result<(), EphemeralError> {
        kept.put(&self.ephemeral, &key(code), now).await
    }

    /// Takes a code: of any number of callers, one is the first.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn take(&self, code: &str, now: Instant) -> Result<Taken, EphemeralError> {
        Ok(self.ephemeral.take(&key(code), now).await?.into())
    }
}

/// Where a code is kept.
#[must_use]
pub fn key(code: &str) -> Key {
    Key::new(CODE, code)
}

/// What the grant that a code brought is found by later.
#[must_use]
pub fn digest(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}
