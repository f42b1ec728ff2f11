//! JSON Web Keys, signatures and tokens, with the choices of RFC 8725 made: a key has its algorithms, a token has its kind,
//! and the only way to claims is [`UnverifiedJwt::verify`].

mod json;
mod jwe;
mod jwk;
mod jwt;
mod mac;
mod memory;
mod signing_key;

use std::fmt;
use std::iter;
use std::str::FromStr;

pub use json::{InvalidJson, array, is_within, object};
pub use jwe::{
    Content, ContentEncryption, EncryptError, EncryptionKey, KeyManagement,
    UnknownContentEncryption, UnknownKeyManagement, encrypt,
};
pub use jwk::{InvalidJwk, JwkSet, KeyId, PublicJwk, Thumbprint};
pub use jwt::{
    Audience, Claims, EitherJwt, EmbeddedJwt, JwtError, JwtHeader, JwtKind, UnverifiedJwt,
    header_of, sign_jwt, unsecured_claims,
};
pub use mac::{JwsAlgorithm, MacAlgorithm, UnknownJwsAlgorithm};
pub use memory::VerifiedTokens;
pub use signing_key::{InvalidSigningKey, Pkcs8, SignError, Signer, SigningKey};

/// The signature algorithms this project signs and verifies with (RFC 7518 §3.1, RFC 8037 §3.1). All asymmetric: there is no
/// way to name `none` or an HMAC.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// Ed25519.
    EdDsa,
}

/// The name is not one of the algorithms in use here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of ES256, RS256, PS256, EdDSA")]
pub struct UnknownAlgorithm;

impl Algorithm {
    /// Every algorithm, in the order of preference.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Ps256, Self::Rs256];

    /// The registered name, as it stands in a header's `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Every name under which a signature of it is verified: `Ed25519` is the one that RFC 9864 gives to what `EdDSA` means here. What is
    /// signed here goes by [`Self::name`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let other = (self == Self::EdDsa).then_some("Ed25519");
        iter::once(self.name()).chain(other)
    }

    const fn for_verifying(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Exact and case-sensitive (RFC 7515 §4.1.1), by any of [`Algorithm::names`].
impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "ES256" => Ok(Self::Es256),
            "RS256" => Ok(Self::Rs256),
            "PS256" => Ok(Self::Ps256),
            "EdDSA" | "Ed25519" => Ok(Self::EdDsa),
            _ => Err(UnknownAlgorithm),
        }
    }
}

crate::text::serde_as_text!(Algorithm, UnknownAlgorithm);
