//! A client with a key of its own (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Response;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared_protocol::jose::{Algorithm, Signer as _, SigningKey};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};

pub(crate) struct Prover(SigningKey);

impl Prover {
    pub(crate) fn new() -> Self {
        let key = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
        Self(SigningKey::from_pkcs8(Algorithm::Es256, &key).unwrap())
    }

    /// That whoever has the key sends this request, with this token if there is one (RFC 9449 §4.2).
    pub(crate) async fn proof(
        &self,
        (method, url): (&str, &str),
        token: Option<&str>,
        nonce: &str,
    ) -> String {
        let part = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
        let mut jwk = self.0.public().to_value();
        let members = jwk.as_object_mut().unwrap();
        members.retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
        let claims = json!({
            "jti": alphanumeric(22, &SystemRandom),
            "htm": method,
            "htu": url,
            "iat": SystemClock.now().as_secs(),
            "ath": token.map(|token| part(&Sha256::digest(token))),
            "nonce": nonce,
        });
        let [header, claims] = [header, claims].map(|value| part(value.to_string().as_bytes()));
        let input = format!("{header}.{claims}");
        let signature = self.0.sign(input.as_bytes()).await.unwrap();
        format!("{input}.{}", part(&signature))
    }
}

/// What the next proof is to hold (RFC 9449 §8, §9).
pub(crate) fn nonce(response: &Response) -> String {
    response.headers()["DPoP-Nonce"]
        .to_str()
        .unwrap()
        .to_owned()
}
