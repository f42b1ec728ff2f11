//! Authorization codes (RFC 6749 §4.1.2): a minute old at most, kept in the ephemeral store, taken by one atomic step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
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
    /// For the ID token (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
}

/// What is kept of a code.
#[derive(Deserialize, Serialize)]
pub struct Kept {
    /// The grant that it brings.
    pub grant_id: GrantId,
    /// The salt of the refresh tokens that the grant brings, if it is to have any.
    pub family_salt: [u8; 16],
    /// What it stands for.
    pub authorization: Authorization,
    /// When it was taken before and nobody could say what came of that: whoever took it was answered 503. The latest few.
    pub unanswered: Vec<Instant>,
    /// When it was made.
    pub issued_at: Instant,
    deadline: Instant,
}

/// What a presented code is.
pub enum Taken {
    /// Good, and from now on used.
    First(Box<Kept>),
    /// Used before: this grant must die (RFC 6749 §4.1.2).
    Before(GrantId),
    /// Nothing that is remembered: made up, expired, or lost with the store.
    Unknown,
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
    /// Makes a code. The grant that it will bring is named here already, so that a second use can revoke it, whether or not
    /// the first has been committed.
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
        let kept = Kept {
            grant_id: GrantId::generate(random),
            family_salt: random::bytes(random),
            authorization,
            unanswered: Vec::new(),
            issued_at: now,
            deadline: now + self.lifetime,
        };
        self.keep(&code, &kept, now).await?;
        Ok(code)
    }

    /// Keeps a code that was taken at `now`, and of which nobody can say what came: it is as good as before, and no longer.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn keep_unanswered(
        &self,
        code: &str,
        mut kept: Box<Kept>,
        now: Instant,
    ) -> Result<(), EphemeralError> {
        if kept.unanswered.len() == MAX_UNANSWERED {
            kept.unanswered.remove(0);
        }
        kept.unanswered.push(now);
        self.keep(code, &kept, now).await
    }

    /// Keeps a code.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn keep(&self, code: &str, kept: &Kept, now: Instant) -> Result<(), EphemeralError> {
        let entry = Entry {
            // Text, numbers and lists of them always have a JSON form.
            value: &serde_json::to_vec(kept).unwrap_or_default(),
            mark: kept.grant_id.as_str().as_bytes(),
            deadline: kept.deadline,
        };
        self.ephemeral.put(&Key::new(CODE, code), entry, now).await
    }

    /// Takes a code: of any number of callers, one is the first.
    ///
    /// # Errors
    /// [`EphemeralError`].
    pub async fn take(&self, code: &str, now: Instant) -> Result<Taken, EphemeralError> {
        Ok(
            match self.ephemeral.take(&Key::new(CODE, code), now).await? {
                Take::First(value) => match serde_json::from_slice::<Kept>(&value) {
                    Ok(kept) => Taken::First(Box::new(kept)),
                    // Written by another release: it is spent, and nothing came of it.
                    Err(_) => Taken::Unknown,
                },
                Take::Before(mark) => std::str::from_utf8(&mark)
                    .ok()
                    .and_then(|mark| mark.parse().ok())
                    .map_or(Taken::Unknown, Taken::Before),
                Take::Unknown => Taken::Unknown,
            },
        )
    }
}

/// What the grant that a code brought is found by later.
#[must_use]
pub fn digest(code: &str) -> [u8; 32] {
    Sha256::digest(code).into()
}
