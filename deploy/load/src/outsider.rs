//! A verifier that trusts nothing of ours: another library, and the published keys for as long as the server says they may be kept.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context as _;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderMap};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use tokio::time::Instant;

use crate::client::{Call, Client};

/// The published keys (RFC 7517 §5).
const JWKS: &str = "/oauth/jwks";

/// An outside verifier with a cache of its own.
pub(crate) struct Outsider {
    port: u16,
    keys: HashMap<String, DecodingKey>,
    until: Option<Instant>,
    /// How often it fetched.
    pub(crate) fetches: u64,
}

impl Outsider {
    /// One that gets the keys at this port and has none yet.
    pub(crate) fn at(port: u16) -> Self {
        Self {
            port,
            keys: HashMap::new(),
            until: None,
            fetches: 0,
        }
    }

    /// Verifies signature and `exp` with the keys of its cache, which is filled anew when `max-age` is over and never before; the
    /// `kid` that signed.
    ///
    /// # Errors
    /// Why it does not verify.
    pub(crate) async fn verify(&mut self, token: &str) -> anyhow::Result<String> {
        if self.until.is_none_or(|until| Instant::now() >= until) {
            self.fetch().await.context("the published keys")?;
        }
        let header = decode_header(token)?;
        let kid = header.kid.context("a token without kid")?;
        let key = self.keys.get(&kid);
        let key = key.with_context(|| format!("the key {kid} is not in the cache"))?;
        let mut validation = Validation::new(header.alg);
        // Who a token is for is the business of others.
        validation.validate_aud = false;
        decode::<Value>(token, key, &validation).with_context(|| format!("by the key {kid}"))?;
        Ok(kid)
    }

    async fn fetch(&mut self) -> anyhow::Result<()> {
        // Age counts from before the answer was made.
        let asked = Instant::now();
        // The server closes connections that have been idle for as long as keys may be kept.
        let mut client = Client::connect(self.port).await?;
        let answer = client.send(Call::get(JWKS)).await?;
        anyhow::ensure!(answer.status == StatusCode::OK, "{}", answer.describe());
        let max_age = max_age(&answer.headers).context("no max-age")?;
        let set: JwkSet = serde_json::from_slice(&answer.body)?;
        self.keys.clear();
        for jwk in &set.keys {
            let kid = jwk.common.key_id.clone().context("a key without kid")?;
            self.keys.insert(kid, DecodingKey::from_jwk(jwk)?);
        }
        self.until = Some(asked + max_age);
        self.fetches += 1;
        Ok(())
    }
}

/// `max-age` of `Cache-Control` (RFC 9111 §5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let control = headers.get(CACHE_CONTROL)?.to_str().ok()?;
    let mut directives = control.split(',').map(str::trim);
    let seconds = directives.find_map(|directive| directive.strip_prefix("max-age="))?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9111_5_2_2_1_max_age_is_read() {
        for (control, expected) in [
            ("public, max-age=300", Some(300)),
            ("max-age=10", Some(10)),
            ("no-store", None),
            ("max-age=x", None),
        ] {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, control.parse().unwrap())]);
            assert_eq!(
                max_age(&headers),
                expected.map(Duration::from_secs),
                "{control}"
            );
        }
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
