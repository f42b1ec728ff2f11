//! JSON Web Signatures seen from outside: what they say, whether a published key signed them, and forgeries of them.

use std::collections::HashSet;
use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, jwk::Jwk};
use p256::pkcs8::EncodePrivateKey as _;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::target::AssertionKey;

/// A JWT in compact form (RFC 7515 §7.1), parsed and not verified.
#[derive(Clone, Debug)]
pub(crate) struct Jws {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    /// Member names that stand more than once in header or claims.
    pub(crate) repeated: Vec<String>,
    signed: String,
    signature: String,
}

impl Jws {
    /// `None` when `token` is not a JWT: then it is opaque.
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).ok()?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        let mut repeated = Repeated::of(&header)?;
        repeated.extend(Repeated::of(&claims)?);
        Some(Self {
            header: serde_json::from_slice(&header).ok()?,
            claims: serde_json::from_slice(&claims).ok()?,
            repeated,
            signed: signed.to_owned(),
            signature: signature.to_owned(),
        })
    }

    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.header.get("alg")?.as_str()
    }

    /// Verifies the signature with the published key that the header names, or with any of them if it names none.
    pub(crate) fn verify(&self, keys: &[Value]) -> Result<(), String> {
        let kid = self.header.get("kid");
        let mut candidates = keys
            .iter()
            .filter(|key| kid.is_none() || key.get("kid") == kid)
            .peekable();
        if candidates.peek().is_none() {
            return Err("no published key has the kid of the header".into());
        }
        if candidates.any(|key| self.is_signed_by(key)) {
            Ok(())
        } else {
            Err("no published key verifies the signature under the algorithm of the key".into())
        }
    }

    fn is_signed_by(&self, key: &Value) -> bool {
        // RFC 8725 §3.1: the key decides on the algorithm; the header may only agree.
        let Some(algorithm) = self
            .algorithm()
            .filter(|named| fits(key, named))
            .and_then(parse_algorithm)
        else {
            return false;
        };
        let verified = decoding_key(key).map(|key| {
            jsonwebtoken::crypto::verify(&self.signature, self.signed.as_bytes(), &key, algorithm)
        });
        matches!(verified, Some(Ok(true)))
    }
}

/// RFC 9864 §2.2 gave `EdDSA` with Ed25519 a name of its own.
fn parse_algorithm(name: &str) -> Option<Algorithm> {
    if name == "Ed25519" {
        Some(Algorithm::EdDSA)
    } else {
        name.parse().ok()
    }
}

/// Whether the JWK may be used with the algorithm: by its `alg` if it has one, by its type and curve always
/// (RFC 7518 §3.1).
pub(crate) fn fits(key: &Value, algorithm: &str) -> bool {
    let text = |member| key.get(member).and_then(Value::as_str);
    let ed25519 = |name| matches!(name, "EdDSA" | "Ed25519");
    let stated = text("alg")
        .is_none_or(|stated| stated == algorithm || (ed25519(stated) && ed25519(algorithm)));
    stated
        && match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].contains(&algorithm)
            }
            (Some("EC"), Some("P-256")) => algorithm == "ES256",
            (Some("EC"), Some("P-384")) => algorithm == "ES384",
            (Some("EC"), Some("P-521")) => algorithm == "ES512",
            (Some("OKP"), Some("Ed25519")) => ed25519(algorithm),
            _ => false,
        }
}

/// The JWK in the library's form. It knows fewer names of algorithms than there are, and needs none.
pub(crate) fn jwk(key: &Value) -> Option<Jwk> {
    let mut members = key.as_object()?.clone();
    members.remove("alg");
    serde_json::from_value(members.into()).ok()
}

fn decoding_key(key: &Value) -> Option<DecodingKey> {
    DecodingKey::from_jwk(&jwk(key)?).ok()
}

/// A key for ES256 that nobody else has who does not know `seed`.
pub(crate) fn derived_key(seed: &str, kid: &str) -> Option<AssertionKey> {
    let secret = p256::SecretKey::from_slice(&Sha256::digest(seed)).ok()?;
    let der = secret.to_pkcs8_der().ok()?;
    Some(AssertionKey {
        algorithm: Algorithm::ES256,
        kid: Some(kid.to_owned()),
        key: EncodingKey::from_ec_der(der.as_bytes()),
    })
}

/// The JWK set (RFC 7517 §5) with the public part of `key`.
pub(crate) fn public_keys(key: &AssertionKey) -> Option<Value> {
    let mut public =
        serde_json::to_value(Jwk::from_encoding_key(&key.key, key.algorithm).ok()?).ok()?;
    let members = public.as_object_mut()?;
    members.insert("use".into(), "sig".into());
    if let Some(kid) = &key.kid {
        members.insert("kid".into(), kid.as_str().into());
    }
    Some(json!({ "keys": [public] }))
}

/// An assertion signed with the client's own key.
pub(crate) fn sign(key: &AssertionKey, claims: &Map<String, Value>) -> Option<String> {
    sign_with_header(key, Map::new(), claims)
}

/// The same with further header parameters.
pub(crate) fn sign_with_header(
    key: &AssertionKey,
    mut header: Map<String, Value>,
    claims: &Map<String, Value>,
) -> Option<String> {
    header.insert("alg".into(), serde_json::to_value(key.algorithm).ok()?);
    if let Some(kid) = &key.kid {
        header.insert("kid".into(), kid.as_str().into());
    }
    let signed = signing_input(&header, claims);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key.key, key.algorithm).ok()?;
    Some(format!("{signed}.{signature}"))
}

/// Everything about `genuine` but its signature, which is left out, under `alg` `name`: an unsecured JWS
/// (RFC 7515 Appendix A.5).
pub(crate) fn unsigned(genuine: &Jws, name: &str) -> String {
    let mut header = genuine.header.clone();
    header.insert("alg".into(), name.into());
    format!("{}.", signing_input(&header, &genuine.claims))
}

/// `genuine` signed anew by a key that the server has never seen; `embed` puts that key into the header.
pub(crate) fn forged(genuine: &Jws, embed: bool) -> Option<String> {
    // A constant will do: the point of this key is that nobody trusts it.
    let secret = p256::SecretKey::from_slice(&[0x2a; 32]).ok()?;
    let der = secret.to_pkcs8_der().ok()?;
    let key = EncodingKey::from_ec_der(der.as_bytes());
    let mut header = genuine.header.clone();
    header.insert("alg".into(), "ES256".into());
    if embed {
        let public = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        header.insert("jwk".into(), serde_json::to_value(public).ok()?);
        header.remove("kid");
    }
    let signed = signing_input(&header, &genuine.claims);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::ES256).ok()?;
    Some(format!("{signed}.{signature}"))
}

/// `genuine` under HS256 with text of the public key as the secret: the confusion of RFC 8725 §2.1.
pub(crate) fn confused(genuine: &Jws, public_key: &Value) -> Option<String> {
    let mut header = genuine.header.clone();
    header.insert("alg".into(), "HS256".into());
    let signed = signing_input(&header, &genuine.claims);
    let key = EncodingKey::from_secret(public_key.to_string().as_bytes());
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).ok()?;
    Some(format!("{signed}.{signature}"))
}

/// `genuine` with one claim changed under the signature it had.
pub(crate) fn tampered(genuine: &Jws, claim: &str, value: Value) -> String {
    let mut claims = genuine.claims.clone();
    claims.insert(claim.into(), value);
    format!(
        "{}.{}",
        signing_input(&genuine.header, &claims),
        genuine.signature
    )
}

fn signing_input(header: &Map<String, Value>, claims: &Map<String, Value>) -> String {
    let part = |members: &Map<String, Value>| {
        BASE64_URL_SAFE_NO_PAD.encode(Value::Object(members.clone()).to_string())
    };
    format!("{}.{}", part(header), part(claims))
}

/// The names that stand more than once in a JSON object; a map would keep only the last.
struct Repeated(Vec<String>);

impl Repeated {
    fn of(json: &[u8]) -> Option<Vec<String>> {
        serde_json::from_slice::<Self>(json)
            .ok()
            .map(|repeated| repeated.0)
    }
}

impl<'de> Deserialize<'de> for Repeated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Repeated;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Repeated, A::Error> {
                let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
                while let Some((name, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                    if !seen.insert(name.clone()) {
                        repeated.push(name);
                    }
                }
                Ok(Repeated(repeated))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7515 Appendix A.3: a JWS under ES256 and its key.
    const A3: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    fn a3_key() -> Value {
        json!({"kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    #[test]
    fn rfc7515_a_3_the_example_verifies_and_its_forgeries_do_not() {
        let genuine = Jws::parse(A3).unwrap();
        assert_eq!(genuine.verify(&[a3_key()]), Ok(()));
        for (what, token) in [
            ("unsigned", unsigned(&genuine, "none")),
            ("unsigned in other letters", unsigned(&genuine, "nOnE")),
            ("foreign key", forged(&genuine, false).unwrap()),
            ("embedded key", forged(&genuine, true).unwrap()),
            ("confused", confused(&genuine, &a3_key()).unwrap()),
            ("tampered", tampered(&genuine, "iss", "eve".into())),
        ] {
            let forgery =
                Jws::parse(&token).expect("a forgery must be well-formed to prove anything");
            assert!(forgery.verify(&[a3_key()]).is_err(), "{what}");
        }
    }

    #[test]
    fn rfc8725_3_1_the_key_decides_on_the_algorithm() {
        let mut key = a3_key();
        for (algorithm, expected) in [
            ("ES256", true),
            ("ES384", false),
            ("HS256", false),
            ("none", false),
        ] {
            assert_eq!(fits(&key, algorithm), expected, "{algorithm}");
        }
        key["alg"] = "ES384".into();
        assert!(Jws::parse(A3).unwrap().verify(&[key]).is_err());
        let okp = json!({"kty": "OKP", "crv": "Ed25519", "alg": "Ed25519"});
        assert!(fits(&okp, "EdDSA") && fits(&okp, "Ed25519"));
    }

    #[test]
    fn a_kid_that_nobody_published_is_not_replaced_by_another_key() {
        let mut token = Jws::parse(A3).unwrap();
        token.header.insert("kid".into(), "other".into());
        assert!(token.verify(&[a3_key()]).unwrap_err().contains("kid"));
    }

    #[test]
    fn rfc7519_4_repeated_names_are_seen() {
        let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        let token = format!(
            "{}.{}.x",
            part(r#"{"alg":"ES256"}"#),
            part(r#"{"sub":"a","sub":"b"}"#)
        );
        assert_eq!(Jws::parse(&token).unwrap().repeated, ["sub"]);
        for opaque in ["", "abc", "a.b.c", "e30.e30", "W10.e30.x"] {
            assert!(Jws::parse(opaque).is_none(), "{opaque}");
        }
    }
}
