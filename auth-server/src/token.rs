//! The token endpoint (RFC 6749 §3.2).

pub mod access_token;
pub mod client_credentials;
pub mod error;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use self::access_token::AccessTokens;
use self::error::TokenError;
use crate::clients::authenticate::{AuthenticatedForm, FromParameters};
use crate::parameters::{InvalidParameters, Parameters};

/// The grants that are served: what the endpoint matches on and the metadata announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GrantName {
    /// RFC 6749 §4.4.
    ClientCredentials,
}

impl GrantName {
    /// Every grant that is served.
    pub const ALL: [Self; 1] = [Self::ClientCredentials];

    /// The `grant_type` (RFC 6749 §4.4.2).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
        }
    }
}

/// A request at the token endpoint, by grant.
pub enum TokenRequest {
    /// RFC 6749 §4.4.2.
    ClientCredentials(Target),
}

/// What a token is asked for: scope (RFC 6749 §3.3) and resource (RFC 8707 §2).
pub struct Target {
    /// The scope asked for; all that may be granted when absent.
    pub scope: Option<ScopeSet>,
    /// The resource named.
    pub resource: Option<ResourceId>,
}

impl FromParameters for TokenRequest {
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let name = parameters.required("grant_type")?;
        let grant = GrantName::ALL
            .into_iter()
            .find(|grant| grant.as_str() == name);
        let grant = grant.ok_or(TokenError::UnsupportedGrantType)?;
        tracing::Span::current().record("grant_type", grant.as_str());
        match grant {
            GrantName::ClientCredentials => Ok(Self::ClientCredentials(Target::from_parameters(
                parameters,
            )?)),
        }
    }
}

impl FromParameters for Target {
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let scope = parameters
            .optional("scope")
            .map(str::parse)
            .transpose()
            .map_err(|_| TokenError::InvalidScope)?;
        let mut resources = parameters.all("resource");
        let resource = resources
            .next()
            .map(str::parse)
            .transpose()
            .map_err(|_| TokenError::UnknownResource)?;
        if resources.next().is_some() {
            return Err(TokenError::SeveralResources);
        }
        Ok(Self { scope, resource })
    }
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: String,
    /// How it is presented.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// What it allows: told wherever there is any, since it may be less than asked for.
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
}

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
            (header::PRAGMA, "no-cache"),
        ];
        // Strings and numbers always have a JSON form.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (headers, body).into_response()
    }
}

/// POST `/oauth/token`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(tokens): State<Arc<AccessTokens>>,
    AuthenticatedForm { client, form, now }: AuthenticatedForm<TokenRequest>,
) -> Result<TokenResponse, TokenError> {
    match form {
        TokenRequest::ClientCredentials(target) => {
            client_credentials::grant(&client, &target, &tokens, now).await
        }
    }
}

/// POST `/oauth/introspect` and `/oauth/revoke`: the token that is meant. `token_type_hint` only ever speeds a search up, so that
/// it is not looked at while there is one kind of token (RFC 7662 §2.1, RFC 7009 §2.1).
pub struct TokenParameter(pub String);

impl FromParameters for TokenParameter {
    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let token = parameters.required("token")?;
        if token.len() > 16 * 1024 {
            return Err(InvalidParameters::Malformed("token").into());
        }
        Ok(Self(token.to_owned()))
    }
}
