//! Every refusal of the authorization endpoint: a page until client and redirect URI are proven, an answer to the client from then
//! on (RFC 6749 §4.1.2.1).

use std::time::Duration;

use shared_server::db::DbError;
use shared_server::ephemeral::EphemeralError;

use super::response::ReturnPath;
use crate::accounts::AccountError;
use crate::clients::directory::DirectoryError;
use crate::form::FormError;
use crate::parameters::InvalidParameters;

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
    UnknownClient,
    /// No `redirect_uri`, though the client registered several, or though OpenID Connect requires one.
    #[error("the redirect_uri is missing")]
    NoRedirectUri,
    /// None that the client registered.
    #[error("the redirect_uri is not one that the client registered")]
    UnregisteredRedirectUri,
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
    UnsupportedResponseMode,
    /// OpenID Connect Core §6.1.
    #[error("request objects are not supported")]
    RequestObject,
    /// OpenID Connect Core §6.2.
    #[error("request_uri is not supported")]
    RequestUri,
    /// OpenID Connect Core §7.2.1.
    #[error("registration is not supported")]
    Registration,
    /// Only `code` is served.
    #[error("the response_type is not supported")]
    UnsupportedResponseType,
    /// The client did not register the grant.
    #[error("the client is not registered for authorization_code")]
    UnauthorizedClient,
    /// RFC 7636 §4.4.1.
    #[error("a code_challenge is required")]
    NoCodeChallenge,
    /// RFC 7636 §4.3: without a method it is `plain`, which is not served.
    #[error("the code_challenge_method must be S256")]
    CodeChallengeMethod,
    /// A method for nothing.
    #[error("there is a code_challenge_method but no code_challenge")]
    MethodWithoutChallenge,
    /// `none` beside another, or one that is not served.
    #[error("the prompt is not supported, or holds none beside others")]
    Prompt,
    /// OpenID Connect Core §3.1.2.1.
    #[error("the id_token_hint is not an ID token of this server for the client")]
    IdTokenHint,
    /// Malformed, not the client's, or nothing left of it.
    #[error("the scope is malformed, not allowed to the client, or none of the resource")]
    InvalidScope,
    /// RFC 8707 §2.
    #[error("a resource is malformed or unknown")]
    UnknownResource,
    /// OpenID Connect Core §3.1.2.6.
    #[error("the person would have to sign in")]
    LoginRequired,
    /// OpenID Connect Core Error Code `unmet_authentication_requirements` 1.0 §3.
    #[error("this server cannot be as sure of the person as the request requires")]
    UnmetAuthenticationRequirements,
    /// OpenID Connect Core §3.1.2.6.
    #[error("the person would have to consent")]
    ConsentRequired,
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
}

/// Error codes of RFC 6749 §4.1.2.1, RFC 8707 §2, OpenID Connect Core §3.1.2.6 and RFC 9470 §5.
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
    /// Nobody is signed in, and nothing may be shown.
    LoginRequired,
    /// Nobody agreed, and nothing may be shown.
    ConsentRequired,
    /// Nobody can be as sure of the person as the client wants.
    UnmetAuthenticationRequirements,
    /// `request` is not served.
    RequestNotSupported,
    /// `request_uri` is not served.
    RequestUriNotSupported,
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
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::UnmetAuthenticationRequirements => "unmet_authentication_requirements",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
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
            | Self::UnsupportedResponseMode
            | Self::NoCodeChallenge
            | Self::CodeChallengeMethod
            | Self::MethodWithoutChallenge
            | Self::IdTokenHint
            | Self::Prompt => AuthorizeErrorCode::InvalidRequest,
            Self::RequestObject => AuthorizeErrorCode::RequestNotSupported,
            Self::RequestUri => AuthorizeErrorCode::RequestUriNotSupported,
            Self::Registration => AuthorizeErrorCode::RegistrationNotSupported,
            Self::UnsupportedResponseType => AuthorizeErrorCode::UnsupportedResponseType,
            Self::UnauthorizedClient => AuthorizeErrorCode::UnauthorizedClient,
            Self::InvalidScope => AuthorizeErrorCode::InvalidScope,
            Self::UnknownResource => AuthorizeErrorCode::InvalidTarget,
            Self::LoginRequired => AuthorizeErrorCode::LoginRequired,
            Self::ConsentRequired => AuthorizeErrorCode::ConsentRequired,
            Self::UnmetAuthenticationRequirements => {
                AuthorizeErrorCode::UnmetAuthenticationRequirements
            }
            Self::Denied => AuthorizeErrorCode::AccessDenied,
            Self::Busy | Self::Account(_) | Self::Store(_) | Self::Ephemeral(_) => {
                AuthorizeErrorCode::TemporarilyUnavailable
            }
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
