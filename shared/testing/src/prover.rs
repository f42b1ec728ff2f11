//! Somebody with a key of their own, and the proofs that they make of it (RFC 9449 §4).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, Signer as _, SigningKey};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::Instant;

/// A server that requests are sent to.
pub trait Destination {
    /// Where this path of it is, as those who send see it.
    fn url(&self, path: &str) -> String;

    /// The time there.
    fn now(&self) -> Instant;
}

/// Somebody with a key.
pub struct Prover {
    /// The key.
    pub key: SigningKey,
}

impl Default for Prover {
    fn default() -> Self {
        Self::new()
    }
}

impl Prover {
    /// With a new key on P-256.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Algorithm::Es256)
    }

    /// With a new key for this algorithm.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn of(alg: Algorithm) -> Self {
        let pkcs8 = SigningKey::generate(alg, &SystemRandom).expect("a key");
        let key = SigningKey::from_pkcs8(alg, &pkcs8).expect("the key that was made");
        Self { key }
    }

    /// What is bound to it names it so.
    #[must_use]
    pub fn jkt(&self) -> String {
        self.key.public().thumbprint().to_string()
    }

    /// The `cnf` of a token that is bound to it (RFC 9449 §6.1).
    #[must_use]
    pub fn cnf(&self) -> Value {
        json!({ "jkt": self.jkt() })
    }

    /// The header of a good proof.
    #[must_use]
    pub fn header(&self) -> Value {
        let jwk = self.key.public().to_value();
        json!({"typ": "dpop+jwt", "alg": self.key.algorithm().name(), "jwk": jwk})
    }

    /// Signs whatever it is.
    ///
    /// # Panics
    /// If the key does not sign.
    pub async fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let input = format!("{}.{}", encode(header), encode(claims));
        let signature = self.key.sign(input.as_bytes()).await.expect("a signature");
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A good proof for a POST there, with these claims beside those that it must have, or in their place; `null` leaves one out.
    pub async fn proof(&self, to: &impl Destination, path: &str, changes: &Value) -> String {
        self.sign(&self.header(), &with(&good(to, path), changes))
            .await
    }
}

/// The claims of a good proof for a POST there.
#[must_use]
pub fn good(to: &impl Destination, path: &str) -> Value {
    json!({"htm": "POST", "htu": to.url(path), "iat": to.now().as_secs(), "jti": unique()})
}

/// `ath` of a token (RFC 9449 §4.2).
#[must_use]
pub fn ath(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()))
}

/// Nobody else has it.
pub(crate) fn unique() -> String {
    alphanumeric(22, &SystemRandom)
}

/// An object with these members beside its own, or in their place; `null` leaves one out.
///
/// # Panics
/// If either is no object.
#[must_use]
pub fn with(object: &Value, changes: &Value) -> Value {
    let mut members = object.as_object().expect("an object").clone();
    members.extend(changes.as_object().expect("an object").clone());
    members.retain(|_, value| !value.is_null());
    members.into()
}
