//! Public keys as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::jwe::{EncryptionKey, KeyManagement};
use super::{Algorithm, json};
use crate::confirmation::{InvalidThumbprint, digest_of_text};
use crate::text::serde_as_text;

/// Keys in a set past this many are a mistake or an attack.
const MAX_KEYS: usize = 100;
/// Bytes of a modulus: 2048 bits (RFC 7518 §3.3) to 4096, past which a verification costs more than it protects.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// Members of a private or symmetric key (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

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

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Parameters {
    Ec { x: String, y: String },
    Okp { x: String },
    Rsa { n: String, e: String },
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

/// The members of a JWK that holds no secret.
pub(super) struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    pub(super) fn of(jwk: &'a Map<String, Value>) -> Result<Self, InvalidJwk> {
        if PRIVATE_MEMBERS
            .iter()
            .any(|member| jwk.contains_key(*member))
        {
            return Err(InvalidJwk::Private);
        }
        Ok(Self(jwk))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, InvalidJwk> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(InvalidJwk::Malformed),
        }
    }

    pub(super) fn kid(&self) -> Result<Option<KeyId>, InvalidJwk> {
        self.text("kid")?
            .map(|kid| KeyId::new(kid).ok_or(InvalidJwk::Malformed))
            .transpose()
    }

    /// Whether they make a sound key is for [`Parameters`] to say.
    pub(super) fn parameters(&self) -> Result<Parameters, InvalidJwk> {
        let required = |name: &str| self.text(name)?.ok_or(InvalidJwk::Malformed);
        Ok(match (required("kty")?, self.text("crv")?) {
            ("EC", Some("P-256")) => Parameters::Ec {
                x: required("x")?.into(),
                y: required("y")?.into(),
            },
            ("OKP", Some("Ed25519")) => Parameters::Okp {
                x: required("x")?.into(),
            },
            ("RSA", None) => Parameters::Rsa {
                n: required("n")?.into(),
                e: required("e")?.into(),
            },
            _ => return Err(InvalidJwk::Unsupported),
        })
    }
}

/// RFC 7517 §4.3.
fn allows_verifying(key_ops: Option<&Value>) -> Result<bool, InvalidJwk> {
    match key_ops {
        None => Ok(true),
        Some(Value::Array(operations)) => {
            Ok(operations.iter().any(|operation| operation == "verify"))
        }
        Some(_) => Err(InvalidJwk::Malformed),
    }
}

impl Parameters {
    fn decoding_key(&self) -> Result<DecodingKey, InvalidJwk> {
        match self {
            Self::Ec { .. } => Ok(DecodingKey::from_ec_der(&self.point()?)),
            Self::Okp { x } => match decode(x)? {
                x if x.len() == 32 => Ok(DecodingKey::from_ed_der(&x)),
                _ => Err(InvalidJwk::Weak),
            },
            Self::Rsa { .. } => {
                let (n, e) = self.modulus_and_exponent()?;
                Ok(DecodingKey::from_rsa_raw_components(&n, &e))
            }
        }
    }

    /// The point of an EC key, uncompressed, if it is on the curve.
    pub(super) fn point(&self) -> Result<Vec<u8>, InvalidJwk> {
        let Self::Ec { x, y } = self else {
            return Err(InvalidJwk::Unsupported);
        };
        let (x, y) = (decode(x)?, decode(y)?);
        let point = [&[0x04], x.as_slice(), y.as_slice()].concat();
        if x.len() != 32 || p256::PublicKey::from_sec1_bytes(&point).is_err() {
            return Err(InvalidJwk::Weak);
        }
        Ok(point)
    }

    /// The numbers of an RSA key, if they are sound.
    pub(super) fn modulus_and_exponent(&self) -> Result<(Vec<u8>, Vec<u8>), InvalidJwk> {
        let Self::Rsa { n, e } = self else {
            return Err(InvalidJwk::Unsupported);
        };
        let (n, e) = (decode(n)?, decode(e)?);
        let (Some(&n_first), Some(&n_last), Some(&e_first), Some(&e_last)) =
            (n.first(), n.last(), e.first(), e.last())
        else {
            return Err(InvalidJwk::Malformed);
        };
        // RFC 7518 §6.3.1: no leading zero octets. An even number is no RSA modulus or exponent, 1 signs nothing.
        let sound = RSA_MODULUS_BYTES.contains(&n.len())
            && n_first >= 0x80
            && n_last % 2 == 1
            && e.len() <= 4
            && e_first != 0
            && e_last % 2 == 1
            && e != [1];
        if sound {
            Ok((n, e))
        } else {
            Err(InvalidJwk::Weak)
        }
    }
}

fn decode(text: &str) -> Result<Vec<u8>, InvalidJwk> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| InvalidJwk::Malformed)
}

/// A set of public keys (RFC 7517 §5).
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    keys: Vec<PublicJwk>,
    encryption: Vec<EncryptionKey>,
}

impl JwkSet {
    /// The set of these keys.
    #[must_use]
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        Self {
            keys,
            encryption: Vec::new(),
        }
    }

    /// Reads a set from its JSON text. Keys of other types, curves, algorithms or uses are passed over (RFC 7517 §5); one that says
    /// nothing of its use is for signatures and for encryption.
    ///
    /// # Errors
    /// [`InvalidJwk::Set`] or [`InvalidJwk::Malformed`] when it is no such set, [`InvalidJwk::Private`] when it holds a secret.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidJwk> {
        Self::from_object(&json::object(bytes).map_err(|_| InvalidJwk::Malformed)?)
    }

    /// Reads a set that is part of a larger document.
    ///
    /// # Errors
    /// As [`JwkSet::from_slice`].
    pub fn from_object(set: &Map<String, Value>) -> Result<Self, InvalidJwk> {
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(InvalidJwk::Set);
        };
        if members.len() > MAX_KEYS {
            return Err(InvalidJwk::Set);
        }
        let mut keys = Vec::with_capacity(members.len());
        let mut encryption = Vec::new();
        for member in members {
            let object = member.as_object().ok_or(InvalidJwk::Set)?;
            encryption.extend(EncryptionKey::from_object(object));
            match PublicJwk::from_object(object) {
                Ok(key) => keys.push(key),
                // RFC 7517 §9.2: a published secret is a breach that nobody should build on.
                Err(InvalidJwk::Private) if member.get("kty") != Some(&Value::from("oct")) => {
                    return Err(InvalidJwk::Private);
                }
                Err(_) => {}
            }
        }
        Ok(Self { keys, encryption })
    }

    /// The keys that can verify a token with this `kid` and `alg`: those of the same `kid`, or, for a token without one, all
    /// that fit.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a KeyId>,
        alg: Algorithm,
    ) -> impl Iterator<Item = &'a PublicJwk> + 'a {
        self.keys
            .iter()
            .filter(move |key| key.verifies(alg) && (kid.is_none() || key.kid() == kid))
    }

    /// Whether a key of this id is in the set.
    #[must_use]
    pub fn contains(&self, kid: &KeyId) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// The key to encrypt to by `alg`, if there is one: never one that is for signatures.
    #[must_use]
    pub fn encryption_key(&self, alg: KeyManagement) -> Option<&EncryptionKey> {
        EncryptionKey::choose(&self.encryption, alg)
    }

    /// The keys that verify signatures, in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// The set as it is published.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublicJwk::to_value).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<PublicJwk, InvalidJwk> {
        PublicJwk::from_object(&json::object(json.as_bytes()).unwrap())
    }

    /// The key of RFC 7638 §3.1.
    const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
    /// The keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    const OKP: &str =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn rfc7638_3_1_thumbprint_of_the_example() {
        assert_eq!(
            parse(RSA).unwrap().thumbprint().to_string(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
        assert_eq!(
            parse(OKP).unwrap().thumbprint().to_string(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn rfc7517_a_key_published_is_the_key_read() {
        for json in [RSA, EC, OKP] {
            let key = parse(json).unwrap();
            let again = PublicJwk::from_object(key.to_value().as_object().unwrap()).unwrap();
            assert_eq!(
                (again.kid(), again.thumbprint()),
                (key.kid(), key.thumbprint())
            );
        }
    }

    #[test]
    fn rfc8725_3_1_a_key_verifies_only_its_own_algorithms() {
        let (rsa, ec, okp) = (parse(RSA).unwrap(), parse(EC).unwrap(), parse(OKP).unwrap());
        let unnamed = parse(&RSA.replace(r#""alg":"RS256","#, "")).unwrap();
        for (what, key, expected) in [
            ("RSA with alg", rsa, vec![Algorithm::Rs256]),
            (
                "RSA without alg",
                unnamed,
                vec![Algorithm::Ps256, Algorithm::Rs256],
            ),
            ("EC", ec, vec![Algorithm::Es256]),
            ("OKP", okp, vec![Algorithm::EdDsa]),
        ] {
            let verifies: Vec<_> = Algorithm::ALL
                .into_iter()
                .filter(|alg| key.verifies(*alg))
                .collect();
            assert_eq!(verifies, expected, "{what}");
        }
    }

    #[test]
    fn keys_that_are_private_weak_or_foreign_are_refused() {
        let zeros = "A".repeat(342);
        for (what, json, expected) in [
            (
                "a private EC key",
                EC.replace('}', r#","d":"AQ"}"#),
                InvalidJwk::Private,
            ),
            (
                "a private exponent of any kind",
                RSA.replace('}', r#","dp":1}"#),
                InvalidJwk::Private,
            ),
            (
                "a symmetric key",
                r#"{"kty":"oct","k":"AAAA"}"#.into(),
                InvalidJwk::Private,
            ),
            (
                "oct without k",
                r#"{"kty":"oct"}"#.into(),
                InvalidJwk::Unsupported,
            ),
            (
                "another curve",
                EC.replace("P-256", "P-384"),
                InvalidJwk::Unsupported,
            ),
            (
                "off the curve",
                EC.replace("MKBC", "MKBD"),
                InvalidJwk::Weak,
            ),
            (
                "HS256 on an RSA key",
                RSA.replace("RS256", "HS256"),
                InvalidJwk::Unsupported,
            ),
            (
                "ES256 on an RSA key",
                RSA.replace("RS256", "ES256"),
                InvalidJwk::Unsupported,
            ),
            (
                "none",
                RSA.replace("RS256", "none"),
                InvalidJwk::Unsupported,
            ),
            ("exponent 1", RSA.replace("AQAB", "AQ"), InvalidJwk::Weak),
            ("even exponent", RSA.replace("AQAB", "Ag"), InvalidJwk::Weak),
            (
                "a zero modulus",
                format!(r#"{{"kty":"RSA","n":"{zeros}","e":"AQAB"}}"#),
                InvalidJwk::Weak,
            ),
            (
                "a short modulus",
                r#"{"kty":"RSA","n":"_w","e":"AQAB"}"#.into(),
                InvalidJwk::Weak,
            ),
            (
                "for encryption",
                EC.replace('}', r#","use":"enc"}"#),
                InvalidJwk::NotForSignatures,
            ),
            (
                "for signing only",
                EC.replace('}', r#","key_ops":["sign"]}"#),
                InvalidJwk::NotForSignatures,
            ),
            (
                "kid as a number",
                EC.replace('}', r#","kid":1}"#),
                InvalidJwk::Malformed,
            ),
            (
                "a kid of 64 KiB",
                EC.replace('}', &format!(r#","kid":"{}"}}"#, "k".repeat(65536))),
                InvalidJwk::Malformed,
            ),
            (
                "no kty",
                EC.replace(r#""kty":"EC","#, ""),
                InvalidJwk::Malformed,
            ),
            (
                "padding",
                EC.replace("IFyM\"", "IFyM=\""),
                InvalidJwk::Malformed,
            ),
        ] {
            assert_eq!(parse(&json).err(), Some(expected), "{what}");
        }
    }

    #[test]
    fn rfc7517_5_a_set_passes_over_what_it_does_not_know_but_not_secrets() {
        let set = |keys: &str| JwkSet::from_slice(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        let known = set(&format!(
            r#"{EC},{{"kty":"new"}},{{"kty":"oct","k":"AA"}},{RSA}"#
        ))
        .unwrap();
        assert_eq!(known.keys().len(), 2);
        assert_eq!(
            set(&EC.replace('}', r#","d":"AQ"}"#)).err(),
            Some(InvalidJwk::Private)
        );
        assert_eq!(set("1").err(), Some(InvalidJwk::Set));
        assert_eq!(set(&vec![EC; 101].join(",")).err(), Some(InvalidJwk::Set));
        assert_eq!(JwkSet::from_slice(b"{}").err(), Some(InvalidJwk::Set));
        assert_eq!(
            JwkSet::from_slice(br#"{"keys":[],"keys":[]}"#).err(),
            Some(InvalidJwk::Malformed)
        );
    }
}
