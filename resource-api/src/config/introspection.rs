//! The section `[issuers.introspection]`.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use shared_protocol::bearer::IntrospectionCredentials;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::SigningKey;
use shared_protocol::random::Random;
use shared_server::config::Secret;

/// The client that this API is at an issuer. It has a secret or a private key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Introspection {
    /// Its `client_id`.
    pub client_id: ClientId,
    /// Its secret (`client_secret_basic`).
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// Its private key in PEM (`private_key_jwt`).
    #[serde(default)]
    pub client_key: Option<Secret>,
}

impl Introspection {
    /// What it proves itself with; none where that is missing, doubled, or no key.
    pub(super) fn credentials(&self, random: &Arc<dyn Random>) -> Option<IntrospectionCredentials> {
        let client_id = self.client_id.clone();
        match (&self.client_secret, &self.client_key) {
            (Some(secret), None) => Some(IntrospectionCredentials::ClientSecretBasic {
                client_id,
                client_secret: secret.clone().into_inner(),
            }),
            (None, Some(key)) => Some(IntrospectionCredentials::PrivateKeyJwt {
                client_id,
                key: Arc::new(signing_key(key)?),
                random: Arc::clone(random),
            }),
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    /// The key of this section that is wrong, and why.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        match (&self.client_secret, &self.client_key) {
            (None, None) => Some((
                "client_secret",
                "the issuer could not know who asks; give client_secret or client_key",
            )),
            (Some(_), Some(_)) => Some((
                "client_key",
                "a client proves itself in one way; take client_secret or client_key out",
            )),
            (None, Some(key)) if signing_key(key).is_none() => Some((
                "client_key",
                "it is no private key in PEM; make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`",
            )),
            (Some(_), None) | (None, Some(_)) => None,
        }
    }
}

fn signing_key(pem: &Secret) -> Option<SigningKey> {
    SigningKey::from_pem(pem.expose_secret().as_bytes()).ok()
}
