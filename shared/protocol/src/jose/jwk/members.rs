//! What a JWK is made of (RFC 7517 §4, RFC 7518 §6).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use super::{InvalidJwk, KeyId};

/// Bytes of a modulus: 2048 bits (RFC 7518 §3.3) to 4096, past which a verification costs more than it protects.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// Members of a private or symmetric key (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::jose) enum Parameters {
    Ec { x: String, y: String },
    Okp { x: String },
    Rsa { n: String, e: String },
}

/// The members of a JWK that holds no secret.
pub(in crate::jose) struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    pub(in crate::jose) fn of(jwk: &'a Map<String, Value>) -> Result<Self, InvalidJwk> {
        if PRIVATE_MEMBERS
            .iter()
            .any(|member| jwk.contains_key(*member))
        {
            return Err(InvalidJwk::Private);
        }
        Ok(Self(jwk))
    }

    pub(in crate::jose) fn text(&self, name: &str) -> Result<Option<&'a str>, InvalidJwk> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(InvalidJwk::Malformed),
        }
    }

    pub(in crate::jose) fn kid(&self) -> Result<Option<KeyId>, InvalidJwk> {
        self.text("kid")?
            .map(|kid| KeyId::new(kid).ok_or(InvalidJwk::Malformed))
            .transpose()
    }

    /// Whether they make a sound key is for [`Parameters`] to say.
    pub(in crate::jose) fn parameters(&self) -> Result<Parameters, InvalidJwk> {
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
pub(super) fn allows_verifying(key_ops: Option<&Value>) -> Result<bool, InvalidJwk> {
    match key_ops {
        None => Ok(true),
        Some(Value::Array(operations)) => {
            Ok(operations.iter().any(|operation| operation == "verify"))
        }
        Some(_) => Err(InvalidJwk::Malformed),
    }
}

impl Parameters {
    pub(super) fn decoding_key(&self) -> Result<DecodingKey, InvalidJwk> {
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
    pub(in crate::jose) fn point(&self) -> Result<Vec<u8>, InvalidJwk> {
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
    pub(in crate::jose) fn modulus_and_exponent(&self) -> Result<(Vec<u8>, Vec<u8>), InvalidJwk> {
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
