//! A client that proves itself with a key (RFC 7523 §2.2).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared_protocol::jose::{Algorithm, JwtKind, Signer as _, SigningKey, sign_jwt};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};

use super::{Installation, output};

/// How long an assertion is good, in seconds: longer than a round.
const LIFETIME: i64 = 1800;

/// The client and its key.
pub(crate) struct KeyedClient {
    id: String,
    key: SigningKey,
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    jti: String,
}

impl KeyedClient {
    /// Registers one with a new key.
    ///
    /// # Errors
    /// If the server refuses it.
    pub(crate) async fn register(installation: &Installation) -> anyhow::Result<Self> {
        let der = SigningKey::generate(Algorithm::Es256, &SystemRandom)?;
        let key = SigningKey::from_pkcs8(Algorithm::Es256, &der)?;
        let file = installation.folder().join("client.jwks.json");
        let set = json!({"keys": [key.public().to_value()]});
        std::fs::write(&file, set.to_string())?;
        let file = file.to_string_lossy();
        let create = [
            &["client", "create", "--name", "keyed"][..],
            &["--auth-method", "private_key_jwt", "--signing-alg", "ES256"],
            &["--jwks", &file, "--grant", "client_credentials"],
            &["--scope", "profile:read"],
        ];
        let registered: Registered = output(installation.command(&create.concat())).await?;
        let id = registered.client_id;
        Ok(Self { id, key })
    }

    /// A token request with a new assertion (RFC 7523 §3) for `issuer`. A JWT needs no escapes.
    ///
    /// # Errors
    /// If it cannot be signed.
    pub(crate) async fn form(&self, issuer: &str) -> anyhow::Result<Bytes> {
        let now = SystemClock.now().as_secs();
        let assertion = Assertion {
            iss: &self.id,
            sub: &self.id,
            aud: issuer,
            exp: now + LIFETIME,
            iat: now,
            jti: alphanumeric(22, &SystemRandom),
        };
        let assertion = sign_jwt(JwtKind::ClientAssertion, &assertion, &self.key).await?;
        let form = format!(
            "grant_type=client_credentials&scope=profile:read\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer\
             &client_assertion={assertion}"
        );
        Ok(form.into())
    }
}
