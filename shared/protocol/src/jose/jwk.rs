//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).

mod members;
mod set;

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use members::allows_verifying;
pub(super) use members::{Members, Parameters};
pub use set::JwkSet;

use super::Algorithm;
use crate::confirmation::{InvalidThumbprint, digest_of_text};
use crate::text::serde_as_text;

/// A key id (RFC 7517 §4.5): 1 to 256 bytes, compared as bytes and never used as a path or a query.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct KeyId(Box<str>);

impl KeyId {
    /// `None` when empty or longer than 256 bytes.
    #[must_use]
    pub fn new(raw: &str) -> Option<Self> {
        (1..=256).contains(&raw.len()).then(|| Self(raw.into()))
    }

    /// The id as it stands in `kid`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JWK thumbprint with SHA-256 (RFC 7638 §3).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Thumbprint([u8; 32]);

impl Thumbprint {
    /// The digest itself.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Base64url without padding, as in `jkt` (RFC 9449 §6).
impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl FromStr for Thumbprint {
    type Err = InvalidThumbprint;

    fn from_str(raw: &str) -> Result<Self, InvalidThumbprint> {
        digest_of_text(raw).map(Self)
    }
}

serde_as_text!(Thumbprint, InvalidThumbprint);

/// Why a JWK is not a public key that this project verifies with.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidJwk {
    /// Not a JSON object with unique names, or a member is of the wrong kind.
    #[error("not a JSON Web Key")]
    Malformed,
    /// It carries `d`, `k` or another secret member.
    #[error("the key holds a private or symmetric member; publish only public keys")]
    Private,
    /// The key type, the curve or `alg` is none of those in use here.
    #[error("the key's type, curve or algorithm is not supported")]
    Unsupported,
    /// Off the curve, a short modulus, a weak exponent.
    #[error("the key's numbers are out of range")]
    Weak,
    /// `use` or `key_ops` says that it does not verify signatures.
    #[error("the key is not for signatures")]
    NotForSignatures,
    /// `use`, `key_ops` or `alg` says that nothing is encrypted to it.
    #[error("the key is not for encryption")]
    NotForEncryption,
    /// A set with too many keys, or without `keys`.
    #[error("not a JSON Web Key Set of at most 100 keys")]
    Set,
}

/// A public key that verifies signatures, with the algorithms it may verify.
#[derive(Clone)]
pub struct PublicJwk {
    kid: Option<KeyId>,
    alg: Option<Algorithm>,
    parameters: Parameters,
    decoding: DecodingKey,
}

impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicJwk")
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

impl PublicJwk {
    /// A P-256 key from its coordinates, 32 bytes each.
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Result<Self, InvalidJwk> {
        Self::new(
            Parameters::Ec {
                x: URL_SAFE_NO_PAD.encode(x),
                y: URL_SAFE_NO_PAD.encode(y),
            },
            Some(Algorithm::Es256),
        )
    }

    /// An Ed25519 key from its 32 bytes.
    pub(super) fn ed25519(x: &[u8]) -> Result<Self, InvalidJwk> {
        Self::new(
            Parameters::Okp {
                x: URL_SAFE_NO_PAD.encode(x),
            },
            Some(Algorithm::EdDsa),
        )
    }

    /// An RSA key from its modulus and exponent, big-endian without leading zeros.
    pub(super) fn rsa(n: &[u8], e: &[u8], alg: Algorithm) -> Result<Self, InvalidJwk> {
        Self::new(
            Parameters::Rsa {
                n: URL_SAFE_NO_PAD.encode(n),
                e: URL_SAFE_NO_PAD.encode(e),
            },
            Some(alg),
        )
    }

    fn new(parameters: Parameters, alg: Option<Algorithm>) -> Result<Self, InvalidJwk> {
        let decoding = parameters.decoding_key()?;
        let jwk = Self {
            kid: None,
            alg,
            parameters,
            decoding,
        };
        match alg {
            Some(alg) if !jwk.fits(alg) => Err(InvalidJwk::Unsupported),
            Some(_) | None => Ok(jwk),
        }
    }

    /// The same key under its thumbprint as `kid`.
    #[must_use]
    pub(super) fn named_by_thumbprint(mut self) -> Self {
        self.kid = KeyId::new(&self.thumbprint().to_string());
        self
    }

    /// Reads a public JWK.
    ///
    /// # Errors
    /// [`InvalidJwk`] says which rule it breaks.
    pub fn from_object(jwk: &Map<String, Value>) -> Result<Self, InvalidJwk> {
        let members = Members::of(jwk)?;
        if !matches!(members.text("use")?, None | Some("sig"))
            || !allows_verifying(jwk.get("key_ops"))?
        {
            return Err(InvalidJwk::NotForSignatures);
        }
        let parameters = members.parameters()?;
        let alg = members
            .text("alg")?
            .map(|alg| alg.parse().map_err(|_| InvalidJwk::Unsupported))
            .transpose()?;
        let kid = members.kid()?;
        Ok(Self {
            kid,
            ..Self::new(parameters, alg)?
        })
    }

    /// Its `kid`, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&KeyId> {
        self.kid.as_ref()
    }

    /// Whether both are one key, whatever they are called and meant for. Each key has one form of its parameters: base64url without bits
    /// behind the end, numbers without leading zeros.
    #[must_use]
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.parameters == other.parameters
    }

    /// Whether a signature under `alg` may be verified with this key: its `alg` is that one, or it names none and its type
    /// fits (RFC 8725 §3.1).
    #[must_use]
    pub fn verifies(&self, alg: Algorithm) -> bool {
        self.alg.is_none_or(|own| own == alg) && self.fits(alg)
    }

    fn fits(&self, alg: Algorithm) -> bool {
        match (&self.parameters, alg) {
            (Parameters::Ec { .. }, Algorithm::Es256)
            | (Parameters::Okp { .. }, Algorithm::EdDsa)
            | (Parameters::Rsa { .. }, Algorithm::Rs256 | Algorithm::Ps256) => true,
            (Parameters::Ec { .. } | Parameters::Okp { .. } | Parameters::Rsa { .. }, _) => false,
        }
    }

    /// Whether `signature` (base64url) is this key's over `message`.
    pub(super) fn verify(&self, message: &[u8], signature: &str, alg: Algorithm) -> bool {
        self.verifies(alg)
            && jsonwebtoken::crypto::verify(signature, message, &self.decoding, alg.for_verifying())
                .unwrap_or(false)
    }

    /// The thumbprint of RFC 7638 §3: SHA-256 over the required members in the order of their names.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        // The members are base64url, so that nothing in them needs an escape.
        let canonical = match &self.parameters {
            Parameters::Ec { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Parameters::Okp { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
            Parameters::Rsa { n, e } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        };
        Thumbprint(Sha256::digest(canonical).into())
    }

    /// The JWK as it is published: `kty`, its members, `use`, and `kid` and `alg` where known.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut jwk = match &self.parameters {
            Parameters::Ec { x, y } => json!({"kty": "EC", "crv": "P-256", "x": x, "y": y}),
            Parameters::Okp { x } => json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            Parameters::Rsa { n, e } => json!({"kty": "RSA", "n": n, "e": e}),
        };
        if let Some(members) = jwk.as_object_mut() {
            members.insert("use".into(), "sig".into());
            members.extend(self.alg.map(|alg| ("alg".into(), alg.name().into())));
            members.extend(
                self.kid
                    .as_ref()
                    .map(|kid| ("kid".into(), kid.as_str().into())),
            );
        }
        jwk
    }
}

#[cfg(test)]
mod tests;
