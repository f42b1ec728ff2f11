//! The token endpoint (RFC 6749 §3.2).

pub mod access_token;
pub mod audience;
pub mod authorization_code;
pub mod chain;
pub mod client_credentials;
pub mod device_code;
mod encryption;
pub mod error;
pub mod jwt_bearer;
pub mod opaque;
pub mod password;
pub mod person;
pub mod preview;
pub mod refresh_token;
mod spent;
pub mod token_exchange;
pub mod token_type;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_server::rate_limits::RateLimiter;
use shared_server::web::{ClientAddress, note_grant_type};

use self::access_token::AccessTokens;
use self::authorization_code::CodeRequest;
use self::device_code::DeviceCodeRequest;
use self::error::TokenError;
use self::jwt_bearer::JwtBearer;
use self::password::{PasswordGrant, PasswordRequest};
use self::refresh_token::RefreshRequest;
use self::token_exchange::ExchangeRequest;
use self::token_type::TokenType;
use crate::authorization_details::InvalidDetails;
use crate::authorize::agreement::Agreement;
use crate::clients::authenticate::binding::Brings;
use crate::clients::authenticate::{AuthenticatedForm, FromParameters};
use crate::clients::directory::Clients;
use crate::codes::Codes;
use crate::device::Devices;
use crate::grants::Grants;
use crate::parameters::{InvalidParameters, Parameters};
use crate::refresh_tokens::RefreshTokens;
use crate::refusals::Detail;
use crate::resource_servers::ResourceServers;

/// The grants that are served: what the endpoint matches on and the metadata announces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GrantName {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// RFC 6749 §6.
    RefreshToken,
    /// RFC 6749 §4.4.
    ClientCredentials,
    /// RFC 6749 §4.3.
    Password,
    /// RFC 8628 §3.4.
    DeviceCode,
    /// RFC 8693 §2.1.
    TokenExchange,
    /// RFC 7523 §2.1.
    JwtBearer,
}

impl GrantName {
    /// Every grant that may be served.
    pub const ALL: [Self; 7] = [
        Self::AuthorizationCode,
        Self::RefreshToken,
        Self::ClientCredentials,
        Self::Password,
        Self::DeviceCode,
        Self::TokenExchange,
        Self::JwtBearer,
    ];

    /// The `grant_type` (RFC 6749 §4.1.3, §4.3.2, §4.4.2, §6, RFC 7523 §2.1, RFC 8628 §3.4, RFC 8693 §2.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::Password => "password",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
            Self::JwtBearer => "urn:ietf:params:oauth:grant-type:jwt-bearer",
        }
    }

    /// Whether its answer may hold an ID token: not where another issuer says who signed in.
    #[must_use]
    pub const fn may_bring_id_tokens(self) -> bool {
        !matches!(self, Self::JwtBearer)
    }
}

/// A request at the token endpoint, by grant.
pub enum TokenRequest {
    /// RFC 6749 §4.1.3.
    AuthorizationCode(CodeRequest),
    /// RFC 6749 §6.
    RefreshToken(RefreshRequest),
    /// RFC 6749 §4.4.2.
    ClientCredentials(Target),
    /// RFC 6749 §4.3.2.
    Password(PasswordRequest),
    /// RFC 8628 §3.4.
    DeviceCode(DeviceCodeRequest),
    /// RFC 8693 §2.1.
    TokenExchange(Box<ExchangeRequest>),
    /// RFC 7521 §4.1, as it came: what it lacks is told only where the grant is served.
    JwtBearer(Parameters),
}

/// What a token is asked for, if anything is: scope (RFC 6749 §3.3), resource (RFC 8707 §2) and authorization details (RFC 9396 §6).
#[derive(Default)]
pub struct Target {
    /// The scope asked for; all that may be granted when absent.
    pub scope: Option<ScopeSet>,
    /// The resource named.
    pub resource: Option<ResourceId>,
    /// The authorization details asked for; all that may be granted when absent, and to a client that acts for itself none.
    pub details: Option<AuthorizationDetails>,
}

impl FromParameters for TokenRequest {
    const BRINGS: Brings = Brings::Tokens;

    /// RFC 8693 §2.1: `audience` may repeat there.
    fn check_repeated(parameters: &Parameters) -> Result<(), InvalidParameters> {
        if parameters.optional("grant_type") == Some(GrantName::TokenExchange.as_str()) {
            parameters.all_once_but("audience")
        } else {
            parameters.all_once()
        }
    }

    fn from_parameters(parameters: &Parameters) -> Result<Self, TokenError> {
        let name = parameters.required("grant_type")?;
        let grant = GrantName::ALL
            .into_iter()
            .find(|grant| grant.as_str() == name);
        let unknown = || TokenError::NoSuchGrantType(Detail::new(format!("{name:?}")));
        let grant = grant.ok_or_else(unknown)?;
        note_grant_type(grant.as_str());
        match grant {
            GrantName::AuthorizationCode => {
                let text = |name| parameters.optional(name).map(str::to_owned);
                Ok(Self::AuthorizationCode(CodeRequest {
                    code: parameters.required("code")?.to_owned(),
                    redirect_uri: text("redirect_uri"),
                    code_verifier: text("code_verifier"),
                    target: Target {
                        // RFC 6749 §4.1.3: the scope was chosen before.
                        scope: None,
                        resource: resource(parameters)?,
                        details: details(parameters)?,
                    },
                }))
            }
            GrantName::RefreshToken => Ok(Self::RefreshToken(RefreshRequest {
                refresh_token: parameters.required("refresh_token")?.to_owned(),
                target: Target::from_parameters(parameters)?,
            })),
            GrantName::ClientCredentials => Ok(Self::ClientCredentials(Target::from_parameters(
                parameters,
            )?)),
            GrantName::DeviceCode => Ok(Self::DeviceCode(DeviceCodeRequest {
                device_code: parameters.required("device_code")?.to_owned(),
                target: Target {
                    // RFC 8628 §3.1: the scope was chosen before.
                    scope: None,
                    resource: resource(parameters)?,
                    details: details(parameters)?,
                },
            })),
            // Nobody is shown what would be allowed by them.
            GrantName::Password if details(parameters)?.is_some() => {
                Err(InvalidDetails::NotGranted.into())
            }
            // Missing is told only where the grant is served.
            GrantName::Password => Ok(Self::Password(PasswordRequest {
                username: parameters.optional("username").map(str::to_owned),
                password: parameters.optional("password").map(Into::into),
                asked: parameters.only(&["scope", "resource"]),
                target: Target {
                    // As at the authorization endpoint, all that is asked for is granted or nothing.
                    resource: resource(parameters)?,
                    ..Target::default()
                },
            })),
            GrantName::TokenExchange => {
                let request = ExchangeRequest::from_parameters(parameters)?;
                Ok(Self::TokenExchange(Box::new(request)))
            }
            GrantName::JwtBearer => Ok(Self::JwtBearer(parameters.only(&jwt_bearer::PARAMETERS))),
        }
    }
}

impl TokenRequest {
    /// Whether it says whom the token is for (RFC 8707 §2.2, RFC 8693 §2.1).
    fn names_resource(&self) -> bool {
        match self {
            Self::AuthorizationCode(request) => request.target.resource.is_some(),
            Self::RefreshToken(request) => request.target.resource.is_some(),
            Self::ClientCredentials(target) => target.resource.is_some(),
            Self::Password(request) => request.target.resource.is_some(),
            Self::DeviceCode(request) => request.target.resource.is_some(),
            Self::TokenExchange(request) => {
                !request.resources.is_empty() || !request.audiences.is_empty()
            }
            Self::JwtBearer(parameters) => parameters.optional("resource").is_some(),
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
        Ok(Self {
            scope,
            resource: resource(parameters)?,
            details: details(parameters)?,
        })
    }
}

impl Target {
    /// What of `allowed` is asked for (RFC 6749 §6, RFC 9396 §6): it may be less, and never more; what less of an object is, its type
    /// says.
    ///
    /// # Errors
    /// [`TokenError::InvalidScope`], [`InvalidDetails::NotGranted`].
    pub fn of(
        &self,
        allowed: Agreement,
        servers: &ResourceServers,
    ) -> Result<Agreement, TokenError> {
        let allowed = match &self.scope {
            None => allowed,
            Some(asked) if asked.is_subset(&allowed.scope()) => allowed.narrowed(asked),
            Some(asked) => {
                let allowed = allowed.scope();
                return Err(TokenError::not_allowed(asked, &allowed));
            }
        };
        match &self.details {
            None => Ok(allowed),
            Some(asked) => {
                let is_within = |asked: &_, granted: &_| servers.is_within(asked, granted);
                let left = allowed.with_details(asked, is_within);
                Ok(left.ok_or(InvalidDetails::NotGranted)?)
            }
        }
    }
}

fn details(parameters: &Parameters) -> Result<Option<AuthorizationDetails>, InvalidDetails> {
    let raw = parameters.optional("authorization_details");
    Ok(raw.map(str::parse).transpose()?)
}

/// RFC 8707 §2.2: at the token endpoint there is one, for a token has one audience.
fn resource(parameters: &Parameters) -> Result<Option<ResourceId>, TokenError> {
    let mut resources = parameters.all("resource");
    let parse = |raw: &str| {
        let unknown = |_| TokenError::NoSuchResource(Detail::new(Detail::uri(raw)));
        raw.parse().map_err(unknown)
    };
    let resource = resources.next().map(parse).transpose()?;
    if resources.next().is_some() {
        return Err(TokenError::SeveralResources);
    }
    Ok(resource)
}

/// RFC 6749 §5.1.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token, or whatever else was asked for in its place (RFC 8693 §2.2.1).
    pub access_token: String,
    /// What that is, of a token that was exchanged (RFC 8693 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_token_type: Option<TokenType>,
    /// How it is presented.
    pub token_type: &'static str,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// What it allows: told wherever there is any, since it may be less than asked for.
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
    /// The same in more words, as far as this token has them (RFC 9396 §7).
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// What brings the next one (RFC 6749 §1.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in (OpenID Connect Core §3.1.3.3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
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

/// What the token endpoint takes.
pub struct Grantor {
    /// Makes access tokens and ID tokens.
    pub tokens: Arc<AccessTokens>,
    /// Takes codes back.
    pub codes: Codes,
    /// Keeps what people allowed.
    pub grants: Grants,
    /// Makes refresh tokens.
    pub refresh_tokens: RefreshTokens,
    /// Counts what is asked on behalf of people.
    pub accounts: RateLimiter,
    /// Is told whom tokens were given.
    pub clients: Clients,
    /// Devices that wait for somebody to let them in.
    pub devices: Devices,
    /// What the password grant takes, where it is served.
    pub password: Option<PasswordGrant>,
    /// What the JWT bearer grant takes.
    pub jwt_bearer: JwtBearer,
}

/// POST `/oauth/token`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(grantor): State<Arc<Grantor>>,
    ClientAddress(address): ClientAddress,
    AuthenticatedForm { client, form, now }: AuthenticatedForm<TokenRequest>,
) -> Result<TokenResponse, TokenError> {
    if client.client().demands().named_resources() && !form.names_resource() {
        return Err(TokenError::NoResource);
    }
    let response = match form {
        TokenRequest::AuthorizationCode(request) => {
            authorization_code::grant(&client, &request, &grantor, now).await
        }
        TokenRequest::RefreshToken(request) => {
            refresh_token::grant(&client, &request, &grantor, now).await
        }
        TokenRequest::ClientCredentials(target) => {
            client_credentials::grant(&client, &target, &grantor.tokens, now).await
        }
        TokenRequest::Password(request) => {
            password::grant(&client, request, address, &grantor, now).await
        }
        TokenRequest::DeviceCode(request) => {
            device_code::grant(&client, &request, &grantor, now).await
        }
        TokenRequest::TokenExchange(request) => {
            token_exchange::grant(&client, &request, &grantor, now).await
        }
        TokenRequest::JwtBearer(request) => {
            jwt_bearer::grant(&client, &request, &grantor, now).await
        }
    }?;
    grantor.clients.note_use(client.client());
    Ok(response)
}

/// POST `/oauth/introspect` and `/oauth/revoke`: the token that is meant. `token_type_hint` only ever speeds a search up, so that
/// it is not looked at: the two kinds of token look nothing alike (RFC 7662 §2.1, RFC 7009 §2.1).
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
