//! Signing and judging JWTs, with faults.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, crypto};
use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};

use super::{Members, Rule, Server};

fn secret(seed: u8) -> p256::SecretKey {
    p256::SecretKey::from_slice(&[seed; 32]).unwrap()
}

fn encoding_key(seed: u8) -> EncodingKey {
    EncodingKey::from_ec_der(secret(seed).to_pkcs8_der().unwrap().as_bytes())
}

fn jwk(seed: u8) -> Jwk {
    Jwk::from_encoding_key(&encoding_key(seed), Algorithm::ES256).unwrap()
}

pub(crate) fn client_pem() -> String {
    pem(7)
}

pub(crate) fn pem(seed: u8) -> String {
    let secret = secret(seed);
    secret.to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
}

pub(crate) fn public_key() -> Value {
    key_of(5)
}

pub(crate) fn key_of(seed: u8) -> Value {
    let mut key = serde_json::to_value(jwk(seed)).unwrap();
    for (name, value) in [("kid", "k1"), ("use", "sig"), ("alg", "ES256")] {
        key[name] = json!(value);
    }
    key
}

fn rsa_key() -> EncodingKey {
    EncodingKey::from_rsa_pem(include_bytes!("rsa.pem")).unwrap()
}

pub(crate) fn rsa_public_key() -> Value {
    let jwk = Jwk::from_encoding_key(&rsa_key(), Algorithm::RS256).unwrap();
    let mut key = serde_json::to_value(jwk).unwrap();
    for (name, value) in [("kid", "rsa1"), ("use", "sig"), ("alg", "RS256")] {
        key[name] = json!(value);
    }
    key
}

/// The server's signature under whatever the header says.
pub(crate) fn sign(header: &Members, claims: &str) -> String {
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let signed = format!(
        "{}.{}",
        encode(&Value::Object(header.clone()).to_string()),
        encode(claims)
    );
    let (key, algorithm) = if header.get("alg") == Some(&json!("RS256")) {
        (rsa_key(), Algorithm::RS256)
    } else {
        (encoding_key(5), Algorithm::ES256)
    };
    let signature = crypto::sign(signed.as_bytes(), &key, algorithm).unwrap();
    format!("{signed}.{signature}")
}

pub(crate) struct Parsed {
    pub(crate) header: Members,
    pub(crate) claims: Members,
    signed: String,
    signature: String,
}

impl Parsed {
    pub(crate) fn of(token: &str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode =
            |part: &str| serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let signature = signature.trim_end_matches('=').to_owned();
        Some(Self {
            header: decode(header)?,
            claims: decode(claims)?,
            signed: signed.to_owned(),
            signature,
        })
    }

    fn verifies(&self, algorithm: Algorithm, key: &DecodingKey) -> bool {
        crypto::verify(&self.signature, self.signed.as_bytes(), key, algorithm).unwrap_or(false)
    }

    /// With the algorithm that its header names, if that is one of those that anybody may sign with, or RS256 and `rs256`.
    pub(crate) fn verifies_with_jwk(&self, key: &Value, rs256: bool) -> bool {
        let named = self.header.get("alg").cloned().unwrap_or_default();
        let Ok(algorithm) = serde_json::from_value(named) else {
            return false;
        };
        let usual = [Algorithm::ES256, Algorithm::PS256, Algorithm::EdDSA];
        let permitted = usual.contains(&algorithm) || rs256 && algorithm == Algorithm::RS256;
        let key = serde_json::from_value::<Jwk>(key.clone()).unwrap();
        let key = DecodingKey::from_jwk(&key);
        permitted && key.is_ok_and(|key| self.verifies(algorithm, &key))
    }

    fn verifies_with_rsa(&self) -> bool {
        let key = serde_json::from_value::<Jwk>(rsa_public_key()).unwrap();
        self.header.get("alg") == Some(&json!("RS256"))
            && self.verifies(Algorithm::RS256, &DecodingKey::from_jwk(&key).unwrap())
    }

    pub(crate) fn verifies_with(&self, seed: u8) -> bool {
        self.header.get("alg") == Some(&json!("ES256"))
            && self.verifies(
                Algorithm::ES256,
                &DecodingKey::from_jwk(&jwk(seed)).unwrap(),
            )
    }
}

impl Server {
    /// Whether the server signed it.
    pub(crate) fn is_genuine(&self, token: &Parsed) -> bool {
        self.breaks(Rule::AnySignature) || token.verifies_with(5) || token.verifies_with_rsa()
    }

    /// What the protected resource believes besides, when it is broken.
    pub(crate) fn is_believed(&self, token: &Parsed) -> bool {
        let algorithm = token
            .header
            .get("alg")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if self.breaks(Rule::ApiTakesNone) && algorithm.eq_ignore_ascii_case("none") {
            return true;
        }
        if self.breaks(Rule::ApiConfusesKeys) && algorithm == "HS256" {
            let key = DecodingKey::from_secret(public_key().to_string().as_bytes());
            return token.verifies(Algorithm::HS256, &key);
        }
        if self.breaks(Rule::ApiTrustsEmbeddedKeys)
            && let Some(embedded) = token.header.get("jwk")
        {
            let jwk: Jwk = serde_json::from_value(embedded.clone()).unwrap();
            return token.verifies(Algorithm::ES256, &DecodingKey::from_jwk(&jwk).unwrap());
        }
        self.is_genuine(token)
    }

    /// Whether it is an assertion of the client `signer` (RFC 7523 §3).
    pub(crate) fn is_assertion(&self, token: &Parsed, now: u64) -> bool {
        let text = |name: &str| {
            token
                .claims
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let number = |name: &str| token.claims.get(name).and_then(Value::as_u64);
        let right = |rule, holds: bool| self.breaks(rule) || holds;
        right(Rule::AnySignature, token.verifies_with(7))
            && right(Rule::IgnoreCrit, !token.header.contains_key("crit"))
            && right(Rule::AnyAssertionIssuer, text("iss") == "signer")
            && right(Rule::AnyAssertionSubject, text("sub") == "signer")
            && right(Rule::AnyAssertionAudience, text("aud") == self.issuer)
            && right(
                Rule::AnyAssertionExpiry,
                number("exp").is_some_and(|exp| exp > now),
            )
            && right(
                Rule::AnyAssertionNotBefore,
                number("nbf").is_none_or(|nbf| nbf <= now),
            )
    }
}
