//! Client secrets. They are made here with more than 256 bits of entropy, so that one SHA-256 is all that a guess must be denied; a
//! slow hash would buy nothing and cost every request. A digest verifies no MAC, so that the secrets of clients that make those are
//! kept themselves, encrypted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use shared_protocol::client_id::ClientId;
use shared_protocol::random::{self, Random};
use shared_protocol::time::Instant;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use crate::keys::encryption::{KeyEncryption, Label, OpenError, Sealed};

/// 43 letters and digits would hold 256 bits. HS512 wants 64 bytes (RFC 7518 §3.2).
const LENGTH: usize = 64;

/// A client secret while it is on its way.
pub struct ClientSecret(SecretString);

impl ClientSecret {
    /// A new secret.
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

    /// The secret itself, encrypted, for the row of `client` that has its digest.
    #[must_use]
    pub fn seal(
        &self,
        client: &ClientId,
        encryption: &KeyEncryption,
        random: &dyn Random,
    ) -> Sealed {
        let digest = self.digest().as_text();
        encryption.seal(label(client, &digest), self.expose().as_bytes(), random)
    }

    /// The secret itself, to be shown once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// What a client's secret is sealed for: whoever can write to the database cannot give it to another client.
fn label<'a>(client: &'a ClientId, digest: &'a str) -> Label<'a> {
    Label {
        purpose: "client secret",
        parts: [client.as_str(), digest],
    }
}

/// A client secret with which MACs are verified.
pub struct MacSecret(Zeroizing<Vec<u8>>);

impl MacSecret {
    /// Decrypts what [`ClientSecret::seal`] made.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        client: &ClientId,
        digest: &SecretDigest,
        (kek_id, sealed): (&str, &[u8]),
        encryption: &KeyEncryption,
    ) -> Result<Self, OpenError> {
        let digest = digest.as_text();
        encryption
            .open(label(client, &digest), kek_id, sealed)
            .map(Self)
    }

    /// Encrypts it under the key-encryption key that is current now.
    #[must_use]
    pub fn seal(
        &self,
        client: &ClientId,
        digest: &SecretDigest,
        encryption: &KeyEncryption,
        random: &dyn Random,
    ) -> Sealed {
        encryption.seal(label(client, &digest.as_text()), &self.0, random)
    }

    /// The key of the MAC: the bytes of the secret as the client has it (OpenID Connect Core §10.1).
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for MacSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MacSecret(..)")
    }
}

/// One of a client's secrets, as it is kept.
#[derive(Debug)]
pub struct KeptSecret {
    /// Its digest.
    pub digest: SecretDigest,
    /// The secret itself, of a client that makes MACs with it.
    pub mac: Option<MacSecret>,
    /// When it stops working, if ever.
    pub ends_at: Option<Instant>,
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

    fn as_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
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
