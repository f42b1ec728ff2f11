//! JSON Web Encryption in the compact form (RFC 7516 §7.1): written, never read. What is encrypted here is for clients, and whoever has no
//! key of its own to decrypt with cannot be made to.
//!
//! Of the algorithms of RFC 7518 there are two for keys, ECDH-ES in its direct form on P-256 (§4.6) and RSA-OAEP-256 (§4.3), and one for
//! content, A256GCM (§5.3).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPublicKeyUncompressedBin};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::KeyId;
use super::jwk::{InvalidJwk, Members, Parameters};
use crate::random::{self, Random};

/// Bytes of a content encryption key of A256GCM, and of what SHA-256 gives.
const CONTENT_KEY: usize = 32;
/// RFC 7518 §5.3: 96 bits.
const NONCE: usize = 12;

/// How the key of the content reaches who is to decrypt it (RFC 7518 §4.1, `alg`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyManagement {
    /// Agreed on with an ephemeral key on P-256, and used as it is (RFC 7518 §4.6).
    EcdhEs,
    /// Encrypted by RSA with OAEP and SHA-256 (RFC 7518 §4.3).
    RsaOaep256,
}

/// The name is not one of the algorithms in use here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of ECDH-ES, RSA-OAEP-256")]
pub struct UnknownKeyManagement;

impl KeyManagement {
    /// Every algorithm, in the order of preference.
    pub const ALL: [Self; 2] = [Self::EcdhEs, Self::RsaOaep256];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdhEs => "ECDH-ES",
            Self::RsaOaep256 => "RSA-OAEP-256",
        }
    }
}

impl fmt::Display for KeyManagement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyManagement {
    type Err = UnknownKeyManagement;

    fn from_str(name: &str) -> Result<Self, UnknownKeyManagement> {
        let mut all = Self::ALL.into_iter();
        all.find(|alg| alg.name() == name)
            .ok_or(UnknownKeyManagement)
    }
}

crate::text::serde_as_text!(KeyManagement, UnknownKeyManagement);

/// What the content is encrypted with (RFC 7518 §5.1, `enc`).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ContentEncryption {
    /// AES-256 in GCM.
    A256Gcm,
}

/// The name is not one of the algorithms in use here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not A256GCM, the one that is served")]
pub struct UnknownContentEncryption;

impl ContentEncryption {
    /// Every algorithm.
    pub const ALL: [Self; 1] = [Self::A256Gcm];

    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A256Gcm => "A256GCM",
        }
    }
}

impl fmt::Display for ContentEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ContentEncryption {
    type Err = UnknownContentEncryption;

    fn from_str(name: &str) -> Result<Self, UnknownContentEncryption> {
        let mut all = Self::ALL.into_iter();
        all.find(|enc| enc.name() == name)
            .ok_or(UnknownContentEncryption)
    }
}

crate::text::serde_as_text!(ContentEncryption, UnknownContentEncryption);

#[derive(Clone, Debug)]
enum Public {
    /// A point on P-256, uncompressed.
    Ec(Vec<u8>),
    Rsa(PublicEncryptingKey),
}

/// A public key that others encrypt to.
#[derive(Clone, Debug)]
pub struct EncryptionKey {
    kid: Option<KeyId>,
    alg: Option<KeyManagement>,
    /// Whether `use` says that it is for this, and not merely nothing to the contrary.
    is_meant: bool,
    public: Public,
}

impl EncryptionKey {
    /// Reads a public JWK. One whose `use`, `key_ops` or `alg` says that it is for signatures is none (RFC 7517 §4.2 to §4.4).
    ///
    /// # Errors
    /// [`InvalidJwk`] says which rule it breaks.
    pub fn from_object(jwk: &Map<String, Value>) -> Result<Self, InvalidJwk> {
        let members = Members::of(jwk)?;
        let purpose = members.text("use")?;
        if !matches!(purpose, None | Some("enc")) {
            return Err(InvalidJwk::NotForEncryption);
        }
        let alg = members.text("alg")?;
        let alg = alg.map(|alg| alg.parse().map_err(|_| InvalidJwk::NotForEncryption));
        let parameters = members.parameters()?;
        if !allows_encrypting(&parameters, jwk.get("key_ops"))? {
            return Err(InvalidJwk::NotForEncryption);
        }
        let public = match &parameters {
            Parameters::Ec { .. } => Public::Ec(parameters.point()?),
            Parameters::Rsa { .. } => {
                let (n, e) = parameters.modulus_and_exponent()?;
                let key = PublicEncryptingKey::from_der(&subject_public_key_info(&n, &e));
                Public::Rsa(key.map_err(|_| InvalidJwk::Weak)?)
            }
            Parameters::Okp { .. } => return Err(InvalidJwk::Unsupported),
        };
        let key = Self {
            kid: members.kid()?,
            alg: alg.transpose()?,
            is_meant: purpose.is_some(),
            public,
        };
        match key.alg {
            Some(alg) if !key.is_of(alg) => Err(InvalidJwk::Unsupported),
            Some(_) | None => Ok(key),
        }
    }

    /// Whether content keys may reach its owner by `alg`: its own `alg` is that one, or it names none and its type fits.
    #[must_use]
    pub fn takes(&self, alg: KeyManagement) -> bool {
        self.alg.is_none_or(|own| own == alg) && self.is_of(alg)
    }

    fn is_of(&self, alg: KeyManagement) -> bool {
        match (&self.public, alg) {
            (Public::Ec(_), KeyManagement::EcdhEs)
            | (Public::Rsa(_), KeyManagement::RsaOaep256) => true,
            (Public::Ec(_), KeyManagement::RsaOaep256)
            | (Public::Rsa(_), KeyManagement::EcdhEs) => false,
        }
    }

    /// Of several keys, the one to encrypt to by `alg`: rather one that is meant for it than one that could be for anything.
    pub(super) fn choose(keys: &[Self], alg: KeyManagement) -> Option<&Self> {
        let fitting = |key: &&Self| key.takes(alg);
        let mut meant = keys.iter().filter(fitting).filter(|key| key.is_meant);
        meant.next().or_else(|| keys.iter().find(fitting))
    }
}

/// RFC 7517 §4.3. A public key of ECDH has no operation of its own, and so browsers write an empty list.
fn allows_encrypting(parameters: &Parameters, key_ops: Option<&Value>) -> Result<bool, InvalidJwk> {
    let operations = match key_ops {
        None => return Ok(true),
        Some(Value::Array(operations)) => operations,
        Some(_) => return Err(InvalidJwk::Malformed),
    };
    let has = |names: [&str; 2]| {
        let mut operations = operations.iter().filter_map(Value::as_str);
        operations.any(|operation| names.contains(&operation))
    };
    Ok(match parameters {
        Parameters::Rsa { .. } => has(["encrypt", "wrapKey"]),
        Parameters::Ec { .. } | Parameters::Okp { .. } => {
            operations.is_empty() || has(["deriveKey", "deriveBits"])
        }
    })
}

/// What is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Content {
    /// A signed JWT: the outer one then is a Nested JWT (RFC 7519 §5.2).
    Jwt,
    /// The claims themselves.
    Claims,
}

/// The crypto provider refused; with keys that were read as [`EncryptionKey`]s it does not.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("encryption failed")]
pub struct EncryptError;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    enc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cty: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epk: Option<EphemeralKey>,
}

/// RFC 7518 §4.6.1.1.
#[derive(Serialize)]
struct EphemeralKey {
    kty: &'static str,
    crv: &'static str,
    x: String,
    y: String,
}

/// What a message is encrypted with, and how its recipient comes to know.
struct Sealing {
    content_key: Zeroizing<[u8; CONTENT_KEY]>,
    encrypted_key: Vec<u8>,
    epk: Option<EphemeralKey>,
}

/// Encrypts `plaintext` to `key`: a compact JWE.
///
/// # Errors
/// [`EncryptError`], also when the key is not one for `alg`.
pub fn encrypt(
    plaintext: &[u8],
    content: Content,
    (key, alg, enc): (&EncryptionKey, KeyManagement, ContentEncryption),
    random: &dyn Random,
) -> Result<String, EncryptError> {
    let sealing = match (alg, &key.public) {
        (KeyManagement::EcdhEs, Public::Ec(point)) => agreed(point, enc, random)?,
        (KeyManagement::RsaOaep256, Public::Rsa(key)) => wrapped(key, random)?,
        (KeyManagement::EcdhEs, Public::Rsa(_)) | (KeyManagement::RsaOaep256, Public::Ec(_)) => {
            return Err(EncryptError);
        }
    };
    let header = Header {
        alg: alg.name(),
        enc: enc.name(),
        cty: (content == Content::Jwt).then_some("JWT"),
        kid: key.kid.as_ref().map(KeyId::as_str),
        epk: sealing.epk,
    };
    let header = serde_json::to_vec(&header).map_err(|_| EncryptError)?;
    let mut token = String::with_capacity(1024 + plaintext.len() * 4 / 3);
    URL_SAFE_NO_PAD.encode_string(header, &mut token);
    // A key of its own for each message: no nonce is ever used twice with one.
    let nonce: [u8; NONCE] = random::bytes(random);
    let unbound = UnboundKey::new(&AES_256_GCM, &*sealing.content_key).map_err(|_| EncryptError)?;
    let mut ciphertext = plaintext.to_vec();
    // RFC 7516 §5.1, step 14: what is authenticated beside it is the header as it is sent.
    let tag = LessSafeKey::new(unbound)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(token.as_bytes()),
            &mut ciphertext,
        )
        .map_err(|_| EncryptError)?;
    for part in [
        sealing.encrypted_key.as_slice(),
        &nonce,
        &ciphertext,
        tag.as_ref(),
    ] {
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(part, &mut token);
    }
    Ok(token)
}

/// RFC 7518 §4.6: the key that both agree on is that of the content; none is sent.
fn agreed(
    point: &[u8],
    enc: ContentEncryption,
    random: &dyn Random,
) -> Result<Sealing, EncryptError> {
    // A scalar of zero or past the order of the group is drawn again; it never happens.
    let ephemeral = loop {
        let scalar = Zeroizing::new(random::bytes::<32>(random));
        if let Ok(key) = PrivateKey::from_private_key(&ECDH_P256, &*scalar) {
            break key;
        }
    };
    let own: EcPublicKeyUncompressedBin<'_> = ephemeral
        .compute_public_key()
        .and_then(|public| public.as_be_bytes())
        .map_err(|_| EncryptError)?;
    let (x, y) = own
        .as_ref()
        .get(1..)
        .and_then(|point| point.split_at_checked(32))
        .ok_or(EncryptError)?;
    let peer = UnparsedPublicKey::new(&ECDH_P256, point);
    let content_key = agreement::agree(&ephemeral, peer, EncryptError, |secret| {
        Ok(concat_kdf(secret, enc.name(), (b"", b""), 256))
    })?;
    Ok(Sealing {
        content_key,
        encrypted_key: Vec::new(),
        epk: Some(EphemeralKey {
            kty: "EC",
            crv: "P-256",
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }),
    })
}

/// RFC 7518 §4.3: a random key, encrypted.
fn wrapped(key: &PublicEncryptingKey, random: &dyn Random) -> Result<Sealing, EncryptError> {
    let content_key = Zeroizing::new(random::bytes::<CONTENT_KEY>(random));
    let oaep = OaepPublicEncryptingKey::new(key.clone()).map_err(|_| EncryptError)?;
    let mut encrypted = vec![0; oaep.ciphertext_size()];
    let encrypted_key = oaep
        .encrypt(&OAEP_SHA256_MGF1SHA256, &*content_key, &mut encrypted, None)
        .map_err(|_| EncryptError)?
        .to_vec();
    Ok(Sealing {
        content_key,
        encrypted_key,
        epk: None,
    })
}

/// The key of `bits` that an agreed secret makes (RFC 7518 §4.6.2, with SHA-256 as its hash): one round, for no key is longer than that.
fn concat_kdf(
    secret: &[u8],
    algorithm: &str,
    (apu, apv): (&[u8], &[u8]),
    bits: u32,
) -> Zeroizing<[u8; CONTENT_KEY]> {
    let mut hash = Sha256::new_with_prefix(1_u32.to_be_bytes());
    hash.update(secret);
    for part in [algorithm.as_bytes(), apu, apv] {
        // Names and parties are short.
        hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.update(bits.to_be_bytes());
    Zeroizing::new(hash.finalize().into())
}

/// RFC 5280 §4.1.2.7 and RFC 3279 §2.3.1, of numbers without leading zeros.
fn subject_public_key_info(n: &[u8], e: &[u8]) -> Vec<u8> {
    /// `rsaEncryption` with its `NULL`.
    const ALGORITHM: [u8; 13] = [
        0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01, 0x05, 0x00,
    ];
    const SEQUENCE: u8 = 0x30;
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        let zeros = length.iter().take_while(|byte| **byte == 0).count();
        let length = length.get(zeros..).unwrap_or_default();
        let mut out = vec![tag];
        if content.len() >= 0x80 {
            // The length of a length is one digit.
            out.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
        }
        out.extend(if content.is_empty() { &[0] } else { length });
        out.extend_from_slice(content);
        out
    }
    let integer = |number: &[u8]| {
        // Positive, whatever its first bit is.
        let sign = number.first().filter(|first| **first >= 0x80).map(|_| 0);
        let number: Vec<u8> = sign.into_iter().chain(number.iter().copied()).collect();
        der(0x02, &number)
    };
    let numbers = der(SEQUENCE, &[integer(n), integer(e)].concat());
    let bits = der(0x03, &[&[0], numbers.as_slice()].concat());
    der(SEQUENCE, &[der(SEQUENCE, &ALGORITHM), bits].concat())
}

#[cfg(test)]
mod tests;
