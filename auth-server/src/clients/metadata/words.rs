//! The words of client metadata that have a meaning each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shared_protocol::jose::{Algorithm, UnknownAlgorithm};

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
    /// RFC 6749 §4.2, and whatever else comes with the answer of the authorization endpoint itself.
    Implicit,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 8628.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// RFC 8693 §2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
    /// RFC 7523 §2.1.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:jwt-bearer")]
    JwtBearer,
}

/// How a client signs its request objects (OpenID Connect Registration §2, `request_object_signing_alg`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectAlgorithm {
    /// Not at all.
    None,
    /// With one of its keys.
    Signature(Algorithm),
}

impl fmt::Display for ObjectAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Signature(alg) => alg.fmt(f),
        }
    }
}

impl FromStr for ObjectAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        match name {
            "none" => Ok(Self::None),
            _ => name.parse().map(Self::Signature),
        }
    }
}

shared_protocol::serde_as_text!(ObjectAlgorithm, UnknownAlgorithm);

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
