//! Client secrets. They are made here with 256 bits of entropy, so that one SHA-256 is all that a guess must be denied; a slow hash
//! would buy nothing and cost every request.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use shared_protocol::random::{self, Random};
use subtle::{Choice, ConstantTimeEq as _};

/// 43 letters and digits hold 256 bits.
const LENGTH: usize = 43;

/// A client secret while it is on its way.
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// A new secret of 256 bits.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        Self(random::alphanumeric(LENGTH, random).into())
    }

    /// One that a client presented.
    #[must_use]
    pub fn presented(secret: String) -> Self {
        Self(secret.into())
    }

    /// What is kept of it.
    #[must_use]
    pub fn digest(&self) -> SecretDigest {
        SecretDigest::of(self.0.expose_secret())
    }

    /// The secret itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// SHA-256 of a client secret, or of another secret that was made here.
#[derive(Clone)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// A digest that no secret has: what an unknown client's secret is compared with.
    pub const UNMATCHED: Self = Self([0; 32]);

    /// The digest of a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// A digest that was kept; `None` if it is not one.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to keep.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are of one secret, in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl std::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretDigest(..)")
    }
}
