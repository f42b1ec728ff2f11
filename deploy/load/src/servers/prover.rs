//! Whoever has a key to which tokens are bound (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_protocol::jose::{Algorithm, Signer as _, SigningKey};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};

/// The key, and the header that all its proofs have.
pub(crate) struct Prover {
    key: SigningKey,
    header: String,
}

impl Prover {
    /// With a new key.
    ///
    /// # Errors
    /// If none can be made.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let der = SigningKey::generate(Algorithm::Es256, &SystemRandom)?;
        let key = SigningKey::from_pkcs8(Algorithm::Es256, &der)?;
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": key.public().to_value()});
        Ok(Self {
            header: encode(&header),
            key,
        })
    }

    /// A proof for one request (§4.2), good for a minute; with the hash of a token where one goes with it.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(crate) async fn proof(
        &self,
        method: &str,
        url: &str,
        token: Option<&str>,
    ) -> anyhow::Result<String> {
        let mut claims = json!({
            "jti": alphanumeric(22, &SystemRandom),
            "htm": method,
            "htu": url,
            "iat": SystemClock.now().as_secs(),
        });
        if let (Some(token), Some(claims)) = (token, claims.as_object_mut()) {
            let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
            claims.insert("ath".into(), hash.into());
        }
        let input = format!("{}.{}", self.header, encode(&claims));
        let signature = self.key.sign(input.as_bytes()).await?;
        Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// So many of them.
    ///
    /// # Errors
    /// If one cannot be signed.
    pub(crate) async fn proofs(
        &self,
        count: usize,
        method: &str,
        url: &str,
        token: Option<&str>,
    ) -> anyhow::Result<Vec<String>> {
        let mut proofs = Vec::with_capacity(count);
        for _ in 0..count {
            proofs.push(self.proof(method, url, token).await?);
        }
        Ok(proofs)
    }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
