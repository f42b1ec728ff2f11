//! The bearer tokens of registration: initial access tokens (RFC 7591 §3) and registration access tokens (RFC 7592 §3). Only digests
//! are kept; each kind has a table of its own, so that one is never taken for the other (threat 5).

use secrecy::{ExposeSecret as _, SecretString};
use shared_protocol::random::{self, Random};

use crate::clients::secret::SecretDigest;

/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;

/// What a token is for, told by its first letters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TokenKind {
    /// It registers clients.
    Initial,
    /// By it a client manages itself.
    Management,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Initial => "iat_",
            Self::Management => "rat_",
        }
    }
}

/// A token while it is on its way.
pub struct RegistrationToken(SecretString);

impl RegistrationToken {
    /// A new one of 256 bits.
    #[must_use]
    pub fn generate(kind: TokenKind, random: &dyn Random) -> Self {
        let letters = random::alphanumeric(LENGTH, random);
        Self(format!("{}{letters}", kind.prefix()).into())
    }

    /// One that somebody presented.
    #[must_use]
    pub fn presented(token: &str) -> Self {
        Self(token.into())
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.expose_secret())
    }

    /// The token itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}
