//! Every refusal of the endpoints that clients call directly, and its form on the wire (RFC 6749 §5.2).

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_protocol::dpop::DpopError;
use shared_protocol::jose::{Algorithm, EncryptError, SignError};
use shared_protocol::scope::ScopeSet;
use shared_server::db::DbError;
use shared_server::ephemeral::EphemeralError;
use shared_server::rate_limits::Limited;
use shared_server::web::{Cause, Refused};

use crate::accounts::sign_in::SignInRefusal;
use crate::assertions::Unusable;
use crate::authorization_details::InvalidDetails;
use crate::authorize::error::{AuthorizeError, AuthorizeErrorCode, PageCause, RedirectCause};
use crate::authorize::page::retry_after;
use crate::clients::GrantType;
use crate::clients::authenticate::ClientAuthError;
use crate::clients::authenticate::binding::BindingError;
use crate::clients::directory::DirectoryError;
use crate::clients::jwks_uri::NothingToEncryptTo;
use crate::device::BeginError;
use crate::documents::DocumentError;
use crate::form::FormError;
use crate::grants::GrantsError;
use crate::parameters::InvalidParameters;
use crate::profiles::Unmet;
use crate::refusals::Detail;
use crate::token::jwt_bearer::AssertionRefusal;
use crate::token::token_exchange::error::ExchangeError;

/// Why an endpoint that clients call refused: as many as there are reasons, so that logs and tests can tell
/// them apart.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No form could be read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The parameters are not well-formed.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// RFC 6749 §2.3: more than one authentication method.
    #[error("more than one client authentication method in one request")]
    SeveralMethods,
    /// The client is not who it says.
    #[error(transparent)]
    ClientAuth(#[from] ClientAuthError),
    /// RFC 9449 §5: the proof is none, or lacks what it must have.
    #[error(transparent)]
    Dpop(#[from] DpopError),
    /// Nothing to bind tokens to, or too much.
    #[error(transparent)]
    Binding(#[from] BindingError),
    /// `grant_type` is none that is served.
    #[error("the grant type is not supported")]
    UnsupportedGrantType,
    /// The same of a name that no grant has.
    #[error("the grant type is not supported")]
    NoSuchGrantType(#[source] Detail),
    /// The client did not register this grant.
    #[error("the client is not registered for {0:?}")]
    UnauthorizedClient(GrantType),
    /// A public client asked for what takes a proof.
    #[error("a public client may not do this")]
    ConfidentialOnly,
    /// The client is not what its profile, or the server's, demands.
    #[error(transparent)]
    Profile(Unmet),
    /// The tokens of the resource are signed with what the profile forbids.
    #[error(
        "the tokens of the resource are signed with {0}, which the profile forbids (FAPI 2.0 Security Profile section 5.4.1)"
    )]
    TokenAlgorithm(Algorithm),
    /// RFC 8707 §2: none was named, which the profile demands.
    #[error(
        "resource is missing, which the profile demands (MCP, Resource Parameter Implementation)"
    )]
    NoResource,
    /// A scope that is malformed, unknown, or not the client's.
    #[error("the scope is malformed, unknown, or not allowed to the client")]
    InvalidScope,
    /// The same of scopes that are well-formed.
    #[error("the scope is malformed, unknown, or not allowed to the client")]
    ScopeNotAllowed(#[source] Detail),
    /// No scope of the resource is granted.
    #[error("no scope of the resource may be granted to the client")]
    NoScope,
    /// RFC 8707 §2: a resource that is malformed or unknown.
    #[error("the resource is malformed or unknown")]
    UnknownResource,
    /// The same, with the one that was named.
    #[error("the resource is malformed or unknown")]
    NoSuchResource(#[source] Detail),
    /// The claims that the resource server asks for take more than a token may.
    #[error(
        "the claims that the resource asks for are too long for a token; name another resource"
    )]
    ClaimsTooLong,
    /// RFC 8707 §2.2: a token is for one resource.
    #[error("name one resource; a token is for one audience")]
    SeveralResources,
    /// RFC 9068 §3: the scopes asked for belong to several resources, and none was named.
    #[error("the scopes belong to several resources; name one with resource")]
    AmbiguousScope,
    /// RFC 9396 §5, §6.
    #[error(transparent)]
    AuthorizationDetails(#[from] InvalidDetails),
    /// RFC 7009 §2.1: a token that was issued to another client.
    #[error("the token was issued to another client")]
    NotIssuedToClient,
    /// Global Token Revocation §3.2: a body in JSON.
    #[error("the content type is not application/json")]
    NotJson,
    /// Global Token Revocation §3.4.2: no subject identifier, or of a format that is not known here.
    #[error("sub_id is not a subject identifier (RFC 9493) of the format opaque, iss_sub or email")]
    SubjectIdentifier,
    /// Global Token Revocation §3.4.2: the operator did not let this client.
    #[error("the client may not have the tokens of others revoked")]
    NotTrustedToRevoke,
    /// Global Token Revocation §3.4.2: nobody here.
    #[error("there is no such subject")]
    UnknownSubject,
    /// A row that should not be.
    #[error("{0}")]
    Account(String),
    /// Made up, expired, or forgotten.
    #[error("the code is unknown")]
    CodeUnknown,
    /// RFC 6749 §4.1.2: used before; what it brought is dead.
    #[error("the code was used before")]
    CodeReplayed,
    /// RFC 6749 §4.1.3: issued to another client.
    #[error("the code was issued to another client")]
    CodeOfAnother(#[source] Detail),
    /// RFC 8628 §3.5: nobody has decided yet.
    #[error("nobody has let the device in yet; go on polling")]
    DevicePending,
    /// RFC 8628 §3.5: nobody has, and the device asks too often.
    #[error("the device polls too often: wait five seconds more each time")]
    DeviceTooSoon,
    /// RFC 8628 §3.5: somebody said no.
    #[error("the person did not let the device in")]
    DeviceDenied,
    /// RFC 8628 §3.5: nobody said anything in time.
    #[error("the device code has expired; begin again")]
    DeviceExpired,
    /// Too many devices wait.
    #[error("too many devices of the client, or from the network, wait to be let in")]
    TooManyDevices {
        /// How long to wait.
        wait: Duration,
    },
    /// As it almost never happens.
    #[error("no user code is free")]
    NoUserCode,
    /// The person signed out since the code was made.
    #[error("the session of the code is over")]
    SessionOver,
    /// The person was shut out since the code was made.
    #[error("the account of the code is gone")]
    PersonGone,
    /// All that the client had got was revoked since the code was made.
    #[error("what the client had got was revoked since the code was made")]
    CodeRevoked,
    /// RFC 6749 §4.1.3: not the one of the authorization request, or missing although that named one.
    #[error("redirect_uri is not the one of the authorization request")]
    RedirectUri(#[source] Detail),
    /// RFC 7636 §4.6.
    #[error("code_verifier does not match the code_challenge")]
    Verifier,
    /// RFC 7636 §4.6: there was a challenge.
    #[error("code_verifier is missing although there was a code_challenge")]
    NoVerifier,
    /// RFC 9700 §2.1.1: there was none.
    #[error("code_verifier came although there was no code_challenge")]
    NoChallenge,
    /// RFC 9449 §10: bound to what whoever redeems it did not prove to have.
    #[error("the code is bound to a key, or a certificate, that the token request does not prove")]
    CodeOfAnotherKey,
    /// None of ours, or none of a grant that is remembered.
    #[error("the refresh token is unknown")]
    RefreshUnknown,
    /// RFC 6749 §10.4: issued to another client.
    #[error("the refresh token was issued to another client")]
    RefreshOfAnother(#[source] Detail),
    /// RFC 9449 §5, RFC 8705 §4: bound to what whoever uses it did not prove to have.
    #[error(
        "the refresh token is bound to a key, or a certificate, that the request does not prove"
    )]
    RefreshOfAnotherKey,
    /// Not used for too long, or too old.
    #[error("the refresh token has expired")]
    RefreshExpired,
    /// RFC 9700 §4.14.2: replaced before; its family is dead.
    #[error("the refresh token was used before")]
    RefreshReplayed,
    /// Used a moment ago, for something else.
    #[error("the refresh token was used a moment ago with other parameters")]
    RefreshOtherRequest,
    /// Revoked, or its session or its person is gone.
    #[error("the grant is over")]
    GrantOver,
    /// The assertion of an issuer brings nothing (RFC 7521 §4.1.1).
    #[error(transparent)]
    Assertion(#[from] AssertionRefusal),
    /// RFC 8693 §2.2.2.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Nobody signed in by the password (RFC 6749 §4.3.2).
    #[error(transparent)]
    SignIn(#[from] SignInRefusal),
    /// Too many requests, or failures, of one address, client or person.
    #[error(transparent)]
    RateLimited(#[from] Limited),
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A grant that should not be.
    #[error(transparent)]
    Grants(GrantsError),
    /// The ephemeral store did not answer.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
    /// A row that should not be.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// Too much is being fetched.
    #[error(transparent)]
    Document(DocumentError),
    /// RFC 9126 §2.3: what the authorization endpoint would refuse is refused when it is pushed.
    #[error(transparent)]
    Request(Box<AuthorizeError>),
    /// RFC 9126 §2.1.
    #[error("a request that is pushed has no request_uri")]
    PushedRequestUri,
    /// Nothing to encrypt to.
    #[error(transparent)]
    Encryption(#[from] NothingToEncryptTo),
    /// Nothing could be encrypted.
    #[error(transparent)]
    Encrypt(#[from] EncryptError),
    /// The key is out of reach.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No key of the algorithm of this resource, or of the client's ID tokens.
    #[error(
        "there is no signing key for the algorithm of the resource or of the client's ID tokens"
    )]
    NoSigningKey,
}

/// Error codes of RFC 6749 §5.2, RFC 8628 §3.5, RFC 9449 §5 and §8, RFC 8707 §2, RFC 9396 §5, RFC 7591 §3.2.2 with RFC 6750 §3.1 for its tokens, and, for a backend that is gone and for
/// too many requests, RFC 6749 §4.1.2.1's word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ErrorCode {
    /// Malformed.
    InvalidRequest,
    /// Client authentication failed.
    InvalidClient,
    /// A token or code that is not the client's.
    InvalidGrant,
    /// A DPoP proof that is missing, or proves nothing (RFC 9449 §5).
    InvalidDpopProof,
    /// A DPoP proof without a good nonce (RFC 9449 §8).
    UseDpopNonce,
    /// Not for this client.
    UnauthorizedClient,
    /// A grant that is not served.
    UnsupportedGrantType,
    /// A scope that cannot be granted.
    InvalidScope,
    /// A resource that cannot be a target.
    InvalidTarget,
    /// Authorization details that cannot be granted.
    InvalidAuthorizationDetails,
    /// A redirect URI that may not be registered.
    InvalidRedirectUri,
    /// Metadata that makes no sense, or that this server cannot do.
    InvalidClientMetadata,
    /// A software statement that says nothing.
    InvalidSoftwareStatement,
    /// A software statement of somebody who is not trusted.
    UnapprovedSoftwareStatement,
    /// No token to register or to manage a client, or one that is no good.
    InvalidToken,
    /// Nobody has let the device in yet (RFC 8628 §3.5).
    AuthorizationPending,
    /// The device polls too often (RFC 8628 §3.5).
    SlowDown,
    /// The device code has expired (RFC 8628 §3.5).
    ExpiredToken,
    /// What the authorization endpoint tells of a request (RFC 9126 §2.3).
    Authorization(AuthorizeErrorCode),
    /// Try again later.
    TemporarilyUnavailable,
}

impl ErrorCode {
    /// The code as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::InvalidSoftwareStatement => "invalid_software_statement",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidToken => "invalid_token",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::Authorization(code) => code.as_str(),
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl TokenError {
    /// RFC 6749 §5.2: 400, or 401 if client authentication failed.
    #[must_use]
    pub fn wire(&self) -> (StatusCode, ErrorCode) {
        match self {
            Self::Form(FormError::ContentType)
            | Self::Parameters(_)
            | Self::SeveralMethods
            | Self::PushedRequestUri
            | Self::NotJson
            | Self::SubjectIdentifier => (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest),
            Self::Dpop(error) => of_proof(error),
            Self::Binding(error) => of_binding(*error),
            Self::NotTrustedToRevoke => (StatusCode::FORBIDDEN, ErrorCode::UnauthorizedClient),
            Self::UnknownSubject => (StatusCode::NOT_FOUND, ErrorCode::InvalidRequest),
            Self::Request(error) => of_request(error),
            Self::Exchange(error) => (StatusCode::BAD_REQUEST, error.code()),
            // What it registered cannot be done for it, and it can mend that.
            Self::Encryption(error) if !error.is_ours() => {
                (StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest)
            }
            Self::Assertion(refusal) if !refusal.is_ours() => {
                (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant)
            }
            Self::Form(FormError::Body(status)) => (*status, ErrorCode::InvalidRequest),
            Self::ClientAuth(_) => (StatusCode::UNAUTHORIZED, ErrorCode::InvalidClient),
            Self::UnsupportedGrantType | Self::NoSuchGrantType(_) => {
                (StatusCode::BAD_REQUEST, ErrorCode::UnsupportedGrantType)
            }
            Self::UnauthorizedClient(_) | Self::ConfidentialOnly | Self::Profile(_) => {
                (StatusCode::BAD_REQUEST, ErrorCode::UnauthorizedClient)
            }
            Self::InvalidScope
            | Self::ScopeNotAllowed(_)
            | Self::NoScope
            | Self::AmbiguousScope => (StatusCode::BAD_REQUEST, ErrorCode::InvalidScope),
            Self::UnknownResource
            | Self::TokenAlgorithm(_)
            | Self::NoResource
            | Self::NoSuchResource(_)
            | Self::ClaimsTooLong
            | Self::SeveralResources => (StatusCode::BAD_REQUEST, ErrorCode::InvalidTarget),
            Self::AuthorizationDetails(_) => (
                StatusCode::BAD_REQUEST,
                ErrorCode::InvalidAuthorizationDetails,
            ),
            Self::NotIssuedToClient
            | Self::CodeUnknown
            | Self::CodeReplayed
            | Self::CodeOfAnother(_)
            | Self::SessionOver
            | Self::PersonGone
            | Self::CodeRevoked
            | Self::RedirectUri(_)
            | Self::Verifier
            | Self::NoVerifier
            | Self::NoChallenge
            | Self::CodeOfAnotherKey
            | Self::RefreshUnknown
            | Self::RefreshOfAnother(_)
            | Self::RefreshOfAnotherKey
            | Self::RefreshExpired
            | Self::RefreshReplayed
            | Self::RefreshOtherRequest
            | Self::GrantOver
            | Self::SignIn(SignInRefusal::Credentials(_)) => {
                (StatusCode::BAD_REQUEST, ErrorCode::InvalidGrant)
            }
            Self::DevicePending => (StatusCode::BAD_REQUEST, ErrorCode::AuthorizationPending),
            Self::DeviceTooSoon => (StatusCode::BAD_REQUEST, ErrorCode::SlowDown),
            Self::DeviceExpired => (StatusCode::BAD_REQUEST, ErrorCode::ExpiredToken),
            Self::DeviceDenied => (
                StatusCode::BAD_REQUEST,
                ErrorCode::Authorization(AuthorizeErrorCode::AccessDenied),
            ),
            // RFC 6585 §4.
            Self::RateLimited(_)
            | Self::TooManyDevices { .. }
            | Self::SignIn(SignInRefusal::TooMany { .. }) => (
                StatusCode::TOO_MANY_REQUESTS,
                ErrorCode::TemporarilyUnavailable,
            ),
            Self::Store(_)
            | Self::Grants(_)
            | Self::Account(_)
            | Self::Ephemeral(_)
            | Self::Directory(_)
            | Self::Document(_)
            | Self::Assertion(_)
            | Self::Encryption(_)
            | Self::Encrypt(_)
            | Self::Sign(_)
            | Self::NoSigningKey
            | Self::NoUserCode
            | Self::SignIn(
                SignInRefusal::Busy
                | SignInRefusal::Hash
                | SignInRefusal::Store(_)
                | SignInRefusal::Ephemeral(_),
            ) => (
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::TemporarilyUnavailable,
            ),
        }
    }

    /// Of the scopes that are asked for, some may not be had.
    pub(super) fn not_allowed(asked: &ScopeSet, allowed: &ScopeSet) -> Self {
        let more = asked.iter().filter(|scope| !allowed.contains(scope));
        let (more, allowed) = (Detail::list(more), Detail::list(allowed.iter()));
        let why = format!("asked for {more}, which is not among what may be had: {allowed}");
        Self::ScopeNotAllowed(Detail::new(why))
    }

    /// What a developer is told: the rule that was broken, and never which part of a credential was wrong.
    fn description(&self) -> String {
        if self.memory_begins().is_some() {
            return self.to_string();
        }
        if self.wire().0 == StatusCode::SERVICE_UNAVAILABLE {
            return "try again later".into();
        }
        if let Self::ClientAuth(error) = self {
            return error.description();
        }
        if let Self::Exchange(error) = self {
            return error.description();
        }
        // Whether a code or a token exists, whose it is, and what became of it shows to nobody who merely found it.
        if matches!(
            self,
            Self::CodeUnknown
                | Self::CodeReplayed
                | Self::CodeOfAnother(_)
                | Self::SessionOver
                | Self::PersonGone
                | Self::CodeRevoked
        ) {
            return "the code is unknown, expired, used, revoked, or not this client's".into();
        }
        if matches!(
            self,
            Self::RefreshUnknown
                | Self::RefreshOfAnother(_)
                | Self::RefreshOfAnotherKey
                | Self::RefreshExpired
                | Self::RefreshReplayed
                | Self::GrantOver
        ) {
            return "the refresh token is unknown, expired, used, revoked, or not this client's"
                .into();
        }
        if matches!(self, Self::Assertion(_)) {
            return "the assertion is malformed, expired, used, or of an issuer, subject or client for which it is no good".into();
        }
        self.to_string()
    }
}

impl TokenError {
    /// How long it takes until an assertion can be believed, where that is what is wrong.
    fn memory_begins(&self) -> Option<Duration> {
        if let Self::Assertion(AssertionRefusal::Unusable(Unusable::MemoryBegins { wait })) = self {
            Some(*wait)
        } else {
            None
        }
    }
}

/// RFC 9449 §5, §8.
fn of_proof(error: &DpopError) -> (StatusCode, ErrorCode) {
    match error {
        DpopError::Invalid(_) => (StatusCode::BAD_REQUEST, ErrorCode::InvalidDpopProof),
        DpopError::UseNonce(_) => (StatusCode::BAD_REQUEST, ErrorCode::UseDpopNonce),
        DpopError::Memory(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::TemporarilyUnavailable,
        ),
    }
}

/// RFC 9449 §5.2: a proof that is missing is invalid.
fn of_binding(error: BindingError) -> (StatusCode, ErrorCode) {
    let code = match error {
        BindingError::NoProof | BindingError::Unbound => ErrorCode::InvalidDpopProof,
        BindingError::NoCertificate | BindingError::TwoWays => ErrorCode::InvalidRequest,
    };
    (StatusCode::BAD_REQUEST, code)
}

/// RFC 9126 §2.3: also what would be told on a page.
fn of_request(error: &AuthorizeError) -> (StatusCode, ErrorCode) {
    let code = match error {
        AuthorizeError::Page(PageCause::Unread(cause)) => cause.code(),
        AuthorizeError::Page(_) => AuthorizeErrorCode::InvalidRequest,
        AuthorizeError::Redirect(_, cause) => cause.code(),
    };
    if code == AuthorizeErrorCode::TemporarilyUnavailable {
        let code = ErrorCode::TemporarilyUnavailable;
        return (StatusCode::SERVICE_UNAVAILABLE, code);
    }
    (StatusCode::BAD_REQUEST, ErrorCode::Authorization(code))
}

impl From<AuthorizeError> for TokenError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Page(PageCause::Directory(DirectoryError::Limited(limited))) => {
                limited.into()
            }
            AuthorizeError::Page(PageCause::Directory(error)) => error.into(),
            // It is who it is no longer.
            AuthorizeError::Page(PageCause::UnknownClient(_)) => ClientAuthError::Refused.into(),
            error @ (AuthorizeError::Page(_) | AuthorizeError::Redirect(..)) => {
                Self::Request(Box::new(error))
            }
        }
    }
}

impl From<BeginError> for TokenError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::TooMany { wait } => Self::TooManyDevices { wait },
            BeginError::Crowded => Self::NoUserCode,
            BeginError::Ephemeral(error) => Self::Ephemeral(error),
        }
    }
}

/// What is wrong with what a request is for, where the client asks here for what it would ask for at the authorization endpoint.
pub(crate) fn of_targets(cause: RedirectCause) -> TokenError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "nothing else comes of targets"
    )]
    match cause {
        RedirectCause::Parameters(error) => error.into(),
        RedirectCause::AuthorizationDetails(error) => error.into(),
        RedirectCause::UnknownResource(why) => TokenError::NoSuchResource(why),
        RedirectCause::InvalidScope(why) => TokenError::ScopeNotAllowed(why),
        _ => TokenError::InvalidScope,
    }
}

impl From<GrantsError> for TokenError {
    fn from(error: GrantsError) -> Self {
        match error {
            GrantsError::Store(error) => Self::Store(error),
            GrantsError::Damaged(_) => Self::Grants(error),
        }
    }
}

impl IntoResponse for TokenError {
    fn into_response(self) -> Response {
        let (status, code) = self.wire();
        let mut response = refusal(status, code, self.description());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 names a scheme; Basic is the one that works with a header.
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"oauth\", charset=\"UTF-8\""),
            );
        }
        if let Self::RateLimited(limited) = &self {
            limited.write(headers);
        }
        if let Self::SignIn(SignInRefusal::TooMany { wait, .. }) | Self::TooManyDevices { wait } =
            &self
        {
            response = retry_after(response, *wait);
        }
        if let Some(wait) = self.memory_begins() {
            response = retry_after(response, wait);
        }
        response.extensions_mut().insert(Cause(Arc::new(self)));
        response
    }
}

/// A refusal in the form of RFC 6749 §5.2, which that of RFC 7591 §3.2.2 is too.
pub(crate) fn refusal(status: StatusCode, code: ErrorCode, mut description: String) -> Response {
    // RFC 6749 §5.2 admits only printable ASCII without quotes and backslashes.
    description.retain(|c| matches!(c, ' '..='~') && c != '"' && c != '\\');
    let body = serde_json::json!({"error": code.as_str(), "error_description": description});
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response.extensions_mut().insert(code);
    response.extensions_mut().insert(Refused(code.as_str()));
    response
}
