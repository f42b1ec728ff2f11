//! Clients: what they registered (RFC 7591 §2) and the one check that it makes sense.

pub mod assertion;
pub mod authenticate;
pub mod directory;
mod metadata;
pub mod redirect_uri;
pub mod secret;
pub mod submitted;
pub mod web_url;
mod written;

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, JwkSet};
use shared_protocol::time::Instant;

pub use self::metadata::{
    ApplicationType, AuthMethod, ClientMetadata, GrantType, REGISTRABLE, ResponseType,
};
use self::redirect_uri::{InvalidRedirectUri, VerifiedRedirectUri};
use self::secret::SecretDigest;
use crate::accounts::AccountId;

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
    /// One that nobody may be sent back to.
    #[error("redirect URI {uri}: {source}")]
    RedirectUri {
        /// As it was written.
        uri: String,
        /// What is wrong with it.
        source: InvalidRedirectUri,
    },
    /// Other response types than its grants imply (RFC 7591 §2.1).
    #[error("response_types: [code] goes with authorization_code, and none without it")]
    ResponseTypes,
    /// OpenID Connect Registration §2.
    #[error("initiate_login_uri must be https")]
    PlainInitiateLogin,
    /// What people would be shown cannot be read.
    #[error("{0} is empty, or holds control characters or marks that turn text around")]
    Unreadable(String),
    /// RFC 7591 §2.2.
    #[error("{0}: what follows # is a language tag (RFC 5646), and each comes once")]
    LanguageTag(String),
    /// What somebody would have to enforce.
    #[error("{0}: this server does not offer that yet; leave it out")]
    NotOffered(&'static str),
    /// Its ID tokens could not be signed.
    #[error(
        "id_token_signed_response_alg is {0} (RS256 where it is left out), with which this server does not sign; name another, or have the operator add it to keys.algorithms and wait until its key signs"
    )]
    NotSigned(Algorithm),
    /// Too long or too many of something.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

impl InvalidClientMetadata {
    /// Whether it is about where people are sent back to (RFC 7591 §3.2.2, `invalid_redirect_uri`).
    #[must_use]
    pub fn is_of_redirects(&self) -> bool {
        matches!(
            self,
            Self::Redirects | Self::PlainRedirect(_) | Self::RedirectUri { .. }
        )
    }
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
    /// Whether it registered itself and never got a token, as far as is known here.
    unused: AtomicBool,
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
        metadata.check_texts()?;
        let responses = &metadata.response_types;
        if !responses.is_empty() && responses.as_slice() != metadata.implied_response_types() {
            return Err(InvalidClientMetadata::ResponseTypes);
        }
        let initiate_login = metadata.initiate_login_uri.as_ref();
        if initiate_login.is_some_and(|uri| !uri.is_https()) {
            return Err(InvalidClientMetadata::PlainInitiateLogin);
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
        let after_logout = &metadata.post_logout_redirect_uris;
        if after_logout.len() > 100 {
            return Err(InvalidClientMetadata::TooLong("post_logout_redirect_uris"));
        }
        let native = metadata.application_type == ApplicationType::Native;
        if let Some(plain) = redirects
            .iter()
            .chain(after_logout)
            .find(|uri| uri.is_plain_http() && !(native && uri.is_loopback()))
        {
            return Err(InvalidClientMetadata::PlainRedirect(plain.to_string()));
        }
        Ok(Self {
            id,
            metadata,
            keys,
            secrets,
            unused: AtomicBool::new(false),
        })
    }

    /// The same, if it registered itself and never got a token.
    #[must_use]
    pub(crate) fn unused(self, unused: bool) -> Self {
        Self {
            unused: AtomicBool::new(unused),
            ..self
        }
    }

    /// Whether it was unused until now; it is used from then on.
    pub(crate) fn is_used_first(&self) -> bool {
        // Nearly always it is not: a look that disturbs nobody.
        self.unused.load(Ordering::Relaxed) && self.unused.swap(false, Ordering::Relaxed)
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
