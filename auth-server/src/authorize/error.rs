//! Every refusal of the authorization endpoint: a page until client and redirect URI are proven, an answer to the client from then
//! on (RFC 6749 §4.1.2.1).

use std::time::Duration;

use shared_protocol::jose::Algorithm;
use shared_server::db::DbError;
use shared_server::ephemeral::EphemeralError;

use super::request_object::{RequestObjectError, RequestUriError};
use super::response::ReturnPath;
use crate::accounts::AccountError;
use crate::authorization_details::InvalidDetails;
use crate::clients::directory::DirectoryError;
use crate::form::FormError;
use crate::id_token_hint::InvalidHint;
use crate::parameters::InvalidParameters;
use crate::profiles::Unmet;
use crate::refusals::Detail;
use crate::token::error::{ErrorCode, TokenError};

/// Why there was no code.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Nobody may be told but the person: there is no proven place to send an answer to.
    #[error(transparent)]
    Page(#[from] PageCause),
    /// The client is told.
    #[error("{1}")]
    Redirect(Box<ReturnPath>, #[source] RedirectCause),
}

/// What keeps a request from having an answer that a client could be sent.
#[derive(Debug, thiserror::Error)]
pub enum PageCause {
    /// Not parameters, or too many or too long.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// No form could be read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// No client of this id.
    #[error("the client is unknown")]
    UnknownClient(#[source] Detail),
    /// No `redirect_uri`, though the client registered several, or though OpenID Connect requires one.
    #[error("the redirect_uri is missing")]
    NoRedirectUri,
    /// None that the client registered.
    #[error("the redirect_uri is not one that the client registered")]
    UnregisteredRedirectUri(#[source] Detail),
    /// What stands in an object, or elsewhere, could not be read, and nothing beside it says where to tell that.
    #[error("{0}")]
    Unread(#[source] Box<RedirectCause>),
    /// Too many requests that ask for a person came from one address.
    #[error("too many interactions began at one address")]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The directory of clients failed.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What a client did wrong, or a person did not want, or we could not do.
#[derive(Debug, thiserror::Error)]
pub enum RedirectCause {
    /// A parameter twice, or without its form.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// Longer than anything that is kept while a person signs in.
    #[error("the request is too long")]
    TooLong,
    /// No such way to answer.
    #[error("the response_mode is not supported")]
    UnsupportedResponseMode(#[source] Detail),
    /// A token in a query would stand in logs and histories.
    #[error("the response_type carries a token, which a query may not: leave response_mode out")]
    TokensInQuery,
    /// The answer could not be signed.
    #[error(
        "the answer would be signed with {0}, with which this server does not sign: register another authorization_signed_response_alg"
    )]
    UnsignedResponseMode(Algorithm),
    /// `request` and `request_uri` are two requests.
    #[error("there is a request beside a request_uri")]
    TwoRequests,
    /// What the client signed, or said it did.
    #[error(transparent)]
    RequestObject(#[from] RequestObjectError),
    /// What should stand elsewhere.
    #[error(transparent)]
    RequestUri(#[from] RequestUriError),
    /// RFC 9126 §5.
    #[error("requests must be pushed (RFC 9126)")]
    NotPushed,
    /// RFC 9101 §10.5.
    #[error("requests must be signed (RFC 9101)")]
    NotSigned,
    /// What the profile has answers be.
    #[error("answers must be signed: the response_mode must be jwt, or end in .jwt (JARM)")]
    UnsignedAnswer,
    /// The client is not what its profile, or the server's, demands.
    #[error(transparent)]
    Profile(Unmet),
    /// RFC 8707 §2: none was named, which the profile demands.
    #[error(
        "resource is missing, which the profile demands (MCP, Resource Parameter Implementation)"
    )]
    NoResource,
    /// OpenID Connect Core §7.2.1.
    #[error("registration is not supported")]
    Registration,
    /// No such type, or none that is served.
    #[error("the response_type is not supported")]
    UnsupportedResponseType(#[source] Detail),
    /// The client did not register the response type.
    #[error("the client is not registered for the response_type")]
    UnauthorizedClient(#[source] Detail),
    /// RFC 7636 §4.4.1.
    #[error("a code_challenge is required")]
    NoCodeChallenge,
    /// RFC 7636 §4.3: without a method it is `plain`, which is not served.
    #[error("the code_challenge_method must be S256")]
    CodeChallengeMethod(#[source] Detail),
    /// A method for nothing.
    #[error("there is a code_challenge_method but no code_challenge")]
    MethodWithoutChallenge,
    /// RFC 9449 §10.1.
    #[error("dpop_jkt is not the key, or the certificate, that the client binds its tokens to")]
    OtherKey,
    /// A key, or a certificate, beside a response type whose access token nothing binds to it.
    #[error(
        "the access token of this response_type cannot be bound to a key or a certificate; ask for code alone"
    )]
    UnboundInFront,
    /// `none` beside another, or one that is not served.
    #[error("the prompt is not supported, or holds none beside others")]
    Prompt(#[source] Detail),
    /// OpenID Connect Core §3.1.2.1.
    #[error("the id_token_hint is not an ID token of this server for the client")]
    IdTokenHint(#[from] InvalidHint),
    /// Malformed, not the client's, or nothing left of it.
    #[error("the scope is malformed, not allowed to the client, or none of the resource")]
    InvalidScope(#[source] Detail),
    /// RFC 8707 §2.
    #[error("a resource is malformed or unknown")]
    UnknownResource(#[source] Detail),
    /// RFC 9396 §5.
    #[error(transparent)]
    AuthorizationDetails(#[from] InvalidDetails),
    /// OpenID Connect Core §3.1.2.6.
    #[error("the person would have to sign in")]
    LoginRequired(#[source] Detail),
    /// OpenID Connect Core Error Code `unmet_authentication_requirements` 1.0 §3.
    #[error("this server cannot be as sure of the person as the request requires")]
    UnmetAuthenticationRequirements(#[source] Detail),
    /// OpenID Connect Core §3.1.2.6.
    #[error("the person would have to consent")]
    ConsentRequired(#[source] Detail),
    /// The person said no.
    #[error("the person denied the request")]
    Denied,
    /// Too many requests begin at this address.
    #[error("too many requests begin at this address")]
    Busy,
    /// The account of who is signed in could not be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
    /// The tokens of the answer itself could not be made.
    #[error(transparent)]
    Tokens(#[from] Box<TokenError>),
}

/// Error codes of RFC 6749 §4.1.2.1, RFC 8707 §2, RFC 9101 §7, RFC 9396 §5, OpenID Connect Core §3.1.2.6 and RFC 9470 §5.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuthorizeErrorCode {
    /// Malformed.
    InvalidRequest,
    /// Not for this client.
    UnauthorizedClient,
    /// The person said no.
    AccessDenied,
    /// No such response type.
    UnsupportedResponseType,
    /// A scope that cannot be granted.
    InvalidScope,
    /// A resource that cannot be a target.
    InvalidTarget,
    /// Authorization details that cannot be granted.
    InvalidAuthorizationDetails,
    /// Nobody is signed in, and nothing may be shown.
    LoginRequired,
    /// Nobody agreed, and nothing may be shown.
    ConsentRequired,
    /// A request object that does not hold.
    InvalidRequestObject,
    /// A `request_uri` that leads to no request.
    InvalidRequestUri,
    /// Nobody can be as sure of the person as the client wants.
    UnmetAuthenticationRequirements,
    /// `registration` is not served.
    RegistrationNotSupported,
    /// Try again later.
    TemporarilyUnavailable,
}

impl AuthorizeErrorCode {
    /// The code as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::AccessDenied => "access_denied",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::InvalidAuthorizationDetails => "invalid_authorization_details",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::InvalidRequestObject => "invalid_request_object",
            Self::InvalidRequestUri => "invalid_request_uri",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
        }
    }
}

impl RedirectCause {
    /// The code of each cause.
    #[must_use]
    pub fn code(&self) -> AuthorizeErrorCode {
        match self {
            Self::Parameters(_)
            | Self::TooLong
            | Self::UnsupportedResponseMode(_)
            | Self::UnsignedResponseMode(_)
            | Self::TokensInQuery
            | Self::TwoRequests
            | Self::NotPushed
            | Self::NotSigned
            | Self::UnsignedAnswer
            | Self::NoCodeChallenge
            | Self::CodeChallengeMethod(_)
            | Self::MethodWithoutChallenge
            | Self::OtherKey
            | Self::UnboundInFront
            | Self::IdTokenHint(_)
            | Self::Prompt(_) => AuthorizeErrorCode::InvalidRequest,
            // What the client registered, or asked for, brings none, and it can mend that.
            Self::Tokens(error) if error.wire().1 == ErrorCode::InvalidTarget => {
                AuthorizeErrorCode::InvalidTarget
            }
            Self::Tokens(error) if error.wire().1 == ErrorCode::InvalidRequest => {
                AuthorizeErrorCode::InvalidRequest
            }
            Self::Busy
            | Self::Account(_)
            | Self::Store(_)
            | Self::Ephemeral(_)
            | Self::RequestUri(RequestUriError::Ephemeral(_))
            | Self::Tokens(_) => AuthorizeErrorCode::TemporarilyUnavailable,
            Self::RequestObject(RequestObjectError::Keys(error))
            | Self::RequestUri(RequestUriError::Document(error))
                if error.is_ours() =>
            {
                AuthorizeErrorCode::TemporarilyUnavailable
            }
            Self::RequestObject(_) => AuthorizeErrorCode::InvalidRequestObject,
            Self::RequestUri(_) => AuthorizeErrorCode::InvalidRequestUri,
            Self::Registration => AuthorizeErrorCode::RegistrationNotSupported,
            Self::UnsupportedResponseType(_) => AuthorizeErrorCode::UnsupportedResponseType,
            Self::UnauthorizedClient(_) | Self::Profile(_) => {
                AuthorizeErrorCode::UnauthorizedClient
            }
            Self::InvalidScope(_) => AuthorizeErrorCode::InvalidScope,
            Self::UnknownResource(_) | Self::NoResource => AuthorizeErrorCode::InvalidTarget,
            Self::AuthorizationDetails(_) => AuthorizeErrorCode::InvalidAuthorizationDetails,
            Self::LoginRequired(_) => AuthorizeErrorCode::LoginRequired,
            Self::ConsentRequired(_) => AuthorizeErrorCode::ConsentRequired,
            Self::UnmetAuthenticationRequirements(_) => {
                AuthorizeErrorCode::UnmetAuthenticationRequirements
            }
            Self::Denied => AuthorizeErrorCode::AccessDenied,
        }
    }

    /// What a developer is told: printable ASCII without quotes and backslashes (RFC 6749 §4.1.2.1), and nothing of our insides.
    #[must_use]
    pub fn description(&self) -> String {
        if self.code() == AuthorizeErrorCode::TemporarilyUnavailable {
            return "try again later".into();
        }
        let mut description = self.to_string();
        description.retain(|c| matches!(c, ' '..='~') && c != '"' && c != '\\');
        description
    }
}
