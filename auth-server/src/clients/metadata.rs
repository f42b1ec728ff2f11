//! Client metadata (RFC 7591 §2): each field has the name that it has on the wire.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::jose::{Algorithm, JwsAlgorithm};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use super::redirect_uri::RedirectUri;
use super::url::ClientUrl;
use crate::authorize::request::OwnScope;

/// How a client proves who it is (RFC 7591 §2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// It cannot: a public client (RFC 6749 §2.1).
    None,
    /// A secret in the `Authorization` header (RFC 6749 §2.3.1).
    #[default]
    ClientSecretBasic,
    /// A secret in the body (RFC 6749 §2.3.1).
    ClientSecretPost,
    /// A JWT with a MAC under its secret (RFC 7523 §2.2).
    ClientSecretJwt,
    /// A JWT signed with its private key (RFC 7523 §2.2).
    PrivateKeyJwt,
    /// A certificate of an authority that we trust, for its name (RFC 8705 §2.1).
    TlsClientAuth,
    /// A certificate with one of its keys (RFC 8705 §2.2).
    SelfSignedTlsClientAuth,
}

impl AuthMethod {
    /// Every method, in the order in which the metadata lists them.
    pub const ALL: [Self; 7] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::ClientSecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
        Self::None,
    ];

    /// The registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    /// Whether it rests on a secret that we made.
    #[must_use]
    pub const fn uses_secret(self) -> bool {
        matches!(
            self,
            Self::ClientSecretBasic | Self::ClientSecretPost | Self::ClientSecretJwt
        )
    }

    /// Whether it rests on the keys that the client registered.
    #[must_use]
    pub const fn uses_keys(self) -> bool {
        matches!(self, Self::PrivateKeyJwt | Self::SelfSignedTlsClientAuth)
    }

    /// Whether it rests on the certificate of the connection (RFC 8705 §2).
    #[must_use]
    pub const fn uses_certificate(self) -> bool {
        matches!(self, Self::TlsClientAuth | Self::SelfSignedTlsClientAuth)
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientMetadata {
    /// What people are told that it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// How it authenticates.
    pub token_endpoint_auth_method: AuthMethod,
    /// The one algorithm of its assertions; any of ours that fits its keys, or its secret, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<JwsAlgorithm>,
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
    /// The subject of its certificate (RFC 8705 §2.1.2): a distinguished name as RFC 4514 writes them. Of this and the four that follow,
    /// `tls_client_auth` takes exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_subject_dn: Option<String>,
    /// A DNS name in its certificate's `subjectAltName`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_dns: Option<String>,
    /// A URI there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// An IP address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_ip: Option<String>,
    /// An email address there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_email: Option<String>,
    /// Where its public keys are published; never beside `jwks` (RFC 7591 §2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<ClientUrl>,
    /// Where the redirect URIs of its sector are listed (OpenID Connect Registration §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sector_identifier_uri: Option<ClientUrl>,
    /// Its picture, fetched by us and shown from our own origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<ClientUrl>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<ClientUrl>,
    /// What it does with what it learns of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<ClientUrl>,
    /// Its terms of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<ClientUrl>,
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
