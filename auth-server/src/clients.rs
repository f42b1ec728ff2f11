//! Clients: what they registered (RFC 7591 §2) and the one check that it makes sense.

pub mod assertion;
pub mod authenticate;
pub mod directory;
pub mod redirect_uri;
pub mod secret;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, JwkSet};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use self::redirect_uri::{RedirectUri, VerifiedRedirectUri};
use self::secret::SecretDigest;
use crate::accounts::AccountId;
use crate::authorize::request::OwnScope;

/// How a client proves who it is (RFC 7591 §2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// It cannot: a public client (RFC 6749 §2.1).
    None,
    /// A secret in the `Authorization` header (RFC 6749 §2.3.1).
    ClientSecretBasic,
    /// A secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A JWT signed with its private key (RFC 7523 §2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// Every method, in the order in which the metadata lists them.
    pub const ALL: [Self; 4] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
        Self::None,
    ];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Whether it rests on a secret that we made.
    #[must_use]
    pub const fn uses_secret(self) -> bool {
        matches!(self, Self::ClientSecretBasic | Self::ClientSecretPost)
    }
}

/// What a client may be registered for (RFC 7591 §2, `grant_types`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.4.
    ClientCredentials,
}

/// OpenID Connect Registration §2, `application_type`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// Runs on a web server or in a browser.
    #[default]
    Web,
    /// Runs on a person's device (RFC 8252).
    Native,
}

/// Client metadata (RFC 7591 §2), as it is kept and shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadata {
    /// What people are told that it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// How it authenticates.
    pub token_endpoint_auth_method: AuthMethod,
    /// The one algorithm of its assertions; any of ours that fits its keys when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<Algorithm>,
    /// The grants that it may use.
    pub grant_types: BTreeSet<GrantType>,
    /// Web or native.
    #[serde(default)]
    pub application_type: ApplicationType,
    /// Where its people may be sent back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<RedirectUri>,
    /// The scopes that it may ask for.
    #[serde(default)]
    pub scope: ScopeSet,
    /// The audience of its tokens when it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_resource: Option<ResourceId>,
    /// Its public keys, by value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// The signature algorithm of its ID tokens; RS256 when absent (OpenID Connect Registration §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<Algorithm>,
    /// Whether its requests must carry a challenge (RFC 7636) even where the server's policy would not ask for one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_pkce: bool,
    /// Whether its people are not asked: for the operator's own applications.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skip_consent: bool,
}

impl ClientMetadata {
    /// Whether it cannot prove who it is (RFC 6749 §2.1).
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.token_endpoint_auth_method == AuthMethod::None
    }

    /// What its ID tokens are signed with (OpenID Connect Registration §2, `id_token_signed_response_alg`).
    #[must_use]
    pub fn id_token_algorithm(&self) -> Algorithm {
        self.id_token_signed_response_alg
            .unwrap_or(Algorithm::Rs256)
    }

    /// Whether there may ever be an ID token for it.
    #[must_use]
    pub fn may_get_id_tokens(&self) -> bool {
        self.grant_types.contains(&GrantType::AuthorizationCode)
            && OwnScope::OpenId.is_in(&self.scope)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// A contradiction in client metadata (RFC 7591 §3.2.2, `invalid_client_metadata`).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidClientMetadata {
    /// The document is not of the form.
    #[error("the client metadata is malformed: {0}")]
    Malformed(String),
    /// `client_credentials` for a client that cannot prove who it is.
    #[error(
        "client_credentials is for confidential clients (RFC 6749 section 4.4); choose another token_endpoint_auth_method"
    )]
    PublicClientCredentials,
    /// `private_key_jwt` without a key that fits.
    #[error("private_key_jwt needs `jwks` with a public key of the assertion's algorithm")]
    NoKey,
    /// The set of keys is not one, or holds private ones.
    #[error("jwks: {0}")]
    Keys(String),
    /// Keys, or an algorithm for them, that no method uses.
    #[error("jwks and token_endpoint_auth_signing_alg are for private_key_jwt")]
    UnusedKeys,
    /// Redirects for a client without the code grant, or the code grant without redirects.
    #[error("authorization_code needs redirect_uris, and redirect_uris need authorization_code")]
    Redirects,
    /// A plain http redirect outside loopback, or loopback for a web client.
    #[error(
        "redirect URI {0}: http is for the loopback redirects of native clients (RFC 8252 section 7.3)"
    )]
    PlainRedirect(String),
    /// The `sub` of a person's tokens and of a client's must never be the same.
    #[error("a client_id is not of the form of an account's id (RFC 9068 section 5)")]
    AccountId,
    /// Too long or too many of something.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

/// A client whose metadata made sense.
#[derive(Debug)]
pub struct Client {
    /// Its identifier.
    pub id: ClientId,
    /// What it registered.
    pub metadata: ClientMetadata,
    keys: JwkSet,
    secrets: Vec<(SecretDigest, Option<Instant>)>,
}

impl Client {
    /// The one validation of a client's state, however it came to be or changed (threat 14).
    ///
    /// # Errors
    /// [`InvalidClientMetadata`].
    pub fn new(
        id: ClientId,
        metadata: ClientMetadata,
        secrets: Vec<(SecretDigest, Option<Instant>)>,
    ) -> Result<Self, InvalidClientMetadata> {
        if id.as_str().parse::<AccountId>().is_ok() {
            return Err(InvalidClientMetadata::AccountId);
        }
        let method = metadata.token_endpoint_auth_method;
        if method == AuthMethod::None
            && metadata.grant_types.contains(&GrantType::ClientCredentials)
        {
            return Err(InvalidClientMetadata::PublicClientCredentials);
        }
        if metadata
            .client_name
            .as_ref()
            .is_some_and(|name| name.len() > 256)
        {
            return Err(InvalidClientMetadata::TooLong("client_name"));
        }
        let keys = match &metadata.jwks {
            None => JwkSet::default(),
            Some(Value::Object(set)) => JwkSet::from_object(set)
                .map_err(|error| InvalidClientMetadata::Keys(error.to_string()))?,
            Some(_) => return Err(InvalidClientMetadata::Keys("not an object".into())),
        };
        let alg = metadata.token_endpoint_auth_signing_alg;
        if method == AuthMethod::PrivateKeyJwt {
            let fits = |alg| keys.keys().iter().any(|key| key.verifies(alg));
            if !alg.map_or_else(|| Algorithm::ALL.into_iter().any(fits), fits) {
                return Err(InvalidClientMetadata::NoKey);
            }
        } else if metadata.jwks.is_some() || alg.is_some() {
            return Err(InvalidClientMetadata::UnusedKeys);
        }
        let redirects = &metadata.redirect_uris;
        if redirects.is_empty() == metadata.grant_types.contains(&GrantType::AuthorizationCode) {
            return Err(InvalidClientMetadata::Redirects);
        }
        if redirects.len() > 100 {
            return Err(InvalidClientMetadata::TooLong("redirect_uris"));
        }
        let native = metadata.application_type == ApplicationType::Native;
        if let Some(plain) = redirects
            .iter()
            .find(|uri| uri.is_plain_http() && !(native && uri.is_loopback()))
        {
            return Err(InvalidClientMetadata::PlainRedirect(plain.to_string()));
        }
        Ok(Self {
            id,
            metadata,
            keys,
            secrets,
        })
    }

    /// What people are told that it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.metadata.client_name.as_deref();
        name.unwrap_or(self.id.as_str())
    }

    /// The redirect URI of a request, if it is one that this client registered (RFC 6749 §3.1.2.3): exactly one, but for the port
    /// of a native client's loopback redirect (RFC 8252 §7.3).
    #[must_use]
    pub fn matching(
        &self,
        requested: &str,
        localhost_port_varies: bool,
    ) -> Option<VerifiedRedirectUri> {
        let native = self.metadata.application_type == ApplicationType::Native;
        let registered = &self.metadata.redirect_uris;
        registered
            .iter()
            .find_map(|uri| uri.exactly(requested))
            .or_else(|| {
                let mut natives = registered.iter().filter(|_| native);
                natives.find_map(|uri| uri.on_any_port(requested, localhost_port_varies))
            })
    }

    /// The redirect URI of a request that names none: the only one there is (RFC 6749 §3.1.2.3).
    #[must_use]
    pub fn only_redirect_uri(&self) -> Option<VerifiedRedirectUri> {
        match self.metadata.redirect_uris.as_slice() {
            [only] => Some(only.unnamed()),
            _ => None,
        }
    }

    /// Its keys, for the assertions it signs.
    #[must_use]
    pub fn keys(&self) -> &JwkSet {
        &self.keys
    }

    /// The digests of its secrets that work at `now`.
    pub fn live_secrets(&self, now: Instant) -> impl Iterator<Item = &SecretDigest> {
        self.secrets
            .iter()
            .filter(move |(_, end)| end.is_none_or(|end| end > now))
            .map(|(digest, _)| digest)
    }
}
