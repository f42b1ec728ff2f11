//! What browsers are given and bring back: cookies, and the tokens of forms.

mod cookies;
mod form_tokens;

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use shared_protocol::random::{self, Random};

pub use self::cookies::Cookies;
pub use self::form_tokens::{Binding, Form, FormTokens};

/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;

/// A browser before anybody signed in: the secret that ties an interaction to it (threat 22).
#[derive(Clone)]
pub struct BrowserId(SecretString);

impl BrowserId {
    /// A new one.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(random::alphanumeric(LENGTH, random).into())
    }

    /// One that a browser presented; only such as we make.
    fn presented(value: &str) -> Option<Self> {
        let ours = value.len() == LENGTH && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        ours.then(|| Self(value.to_owned().into()))
    }

    /// For the cookie.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it, and what forms are bound to.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.expose_secret()).into()
    }
}
