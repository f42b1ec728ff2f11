//! Every refusal of a registration, and its form on the wire (RFC 7591 §3.2.2, RFC 7592 §2, RFC 6750 §3).

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_protocol::bearer::{BearerError, header_parameters};
use shared_protocol::scope::ScopeToken;
use shared_server::db::DbError;
use shared_server::rate_limits::Limited;
use shared_server::web::Cause;

use super::statement::StatementError;
use crate::authorization_details::TypeName;
use crate::clients::InvalidClientMetadata;
use crate::clients::directory::DirectoryError;
use crate::clients::sector::SectorError;
use crate::token::error::{ErrorCode, refusal};

/// Characters of what a developer is told: it may repeat what they sent.
const LONGEST_DESCRIPTION: usize = 300;
/// Seconds after which some of those that were never used may have gone.
const FULL_FOR: HeaderValue = HeaderValue::from_static("60");

/// Why a client was not registered, told, changed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// Not `application/json`, or no content type, or two.
    #[error("the content type is not application/json")]
    ContentType,
    /// Too large, too slow, or broken off.
    #[error("the body could not be read")]
    Body(StatusCode),
    /// Not an object, a name twice, or nested without sense.
    #[error("the body is not a JSON object with unique names, or is nested too deeply")]
    Json,
    /// The metadata contradicts itself, or asks for what is not done here.
    #[error(transparent)]
    Metadata(#[from] InvalidClientMetadata),
    /// It is not of the sector that it names.
    #[error(transparent)]
    Sector(#[from] SectorError),
    /// Registration is not a way to every scope.
    #[error("scope: {0} is not for clients that register themselves")]
    Scope(ScopeToken),
    /// Nor to every authorization details type.
    #[error(
        "authorization_details_types: {0} is unknown, or not for clients that register themselves"
    )]
    DetailsType(TypeName),
    /// The software statement says nothing.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// RFC 7592 §2.2: what the server alone decides.
    #[error("{0} is the server's to set; leave it out")]
    ServerOwned(&'static str),
    /// RFC 7592 §2.2: missing, or another client's.
    #[error("client_id is missing, or is not the one of this client")]
    OtherClientId,
    /// RFC 7592 §2.2: not the one that it has.
    #[error("client_secret is not the one of this client")]
    OtherClientSecret,
    /// A token is needed, and none was shown.
    #[error("a token is needed")]
    NoToken,
    /// The `Authorization` header cannot be read in one way.
    #[error(transparent)]
    Header(BearerError),
    /// Unknown, expired, used up, revoked, or not this client's; or there is no such client (RFC 7592 §2.1).
    #[error("the token is unknown, expired, used up, or not the one of this client")]
    TokenRefused,
    /// Too many requests of one address.
    #[error(transparent)]
    RateLimited(#[from] Limited),
    /// Too many clients that were never used.
    #[error("too many clients were registered and never used; try again later")]
    Full,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row that should not be.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl RegistrationError {
    /// Status and code.
    #[must_use]
    pub fn wire(&self) -> (StatusCode, ErrorCode) {
        use ErrorCode as Code;
        match self {
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidRequest),
            Self::Body(status) => (*status, Code::InvalidRequest),
            Self::Metadata(error) if error.is_of_redirects() => {
                (StatusCode::BAD_REQUEST, Code::InvalidRedirectUri)
            }
            Self::Sector(error) if error.is_ours() => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::TemporarilyUnavailable,
            ),
            Self::Json
            | Self::Metadata(_)
            | Self::Sector(_)
            | Self::Scope(_)
            | Self::DetailsType(_)
            | Self::ServerOwned(_)
            | Self::OtherClientId
            | Self::OtherClientSecret => (StatusCode::BAD_REQUEST, Code::InvalidClientMetadata),
            Self::Statement(StatementError::Unapproved) => {
                (StatusCode::BAD_REQUEST, Code::UnapprovedSoftwareStatement)
            }
            Self::Statement(_) => (StatusCode::BAD_REQUEST, Code::InvalidSoftwareStatement),
            Self::Header(_) => (StatusCode::BAD_REQUEST, Code::InvalidRequest),
            Self::NoToken | Self::TokenRefused => (StatusCode::UNAUTHORIZED, Code::InvalidToken),
            Self::RateLimited(_) | Self::Full => {
                (StatusCode::TOO_MANY_REQUESTS, Code::TemporarilyUnavailable)
            }
            Self::Store(_) | Self::Directory(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::TemporarilyUnavailable,
            ),
        }
    }

    fn description(&self) -> String {
        if self.wire().0 == StatusCode::SERVICE_UNAVAILABLE {
            return "try again later".into();
        }
        let mut description = self.to_string();
        if let Some((end, _)) = description.char_indices().nth(LONGEST_DESCRIPTION) {
            description.truncate(end);
        }
        description
    }

    /// RFC 6750 §3: what tells how to come back. Who showed no token learns no code, but what is protected.
    fn challenge(&self) -> Option<String> {
        let code = self.wire().1.as_str().to_owned();
        match self {
            Self::NoToken => {
                let realm = ("realm", "registration".to_owned());
                Some(header_parameters("Bearer", &[realm]))
            }
            Self::Header(_) | Self::TokenRefused => {
                let parameters = [("error", code), ("error_description", self.description())];
                Some(header_parameters("Bearer", &parameters))
            }
            Self::ContentType
            | Self::Body(_)
            | Self::Json
            | Self::Metadata(_)
            | Self::Sector(_)
            | Self::Scope(_)
            | Self::DetailsType(_)
            | Self::Statement(_)
            | Self::ServerOwned(_)
            | Self::OtherClientId
            | Self::OtherClientSecret
            | Self::RateLimited(_)
            | Self::Full
            | Self::Store(_)
            | Self::Directory(_) => None,
        }
    }
}

impl IntoResponse for RegistrationError {
    fn into_response(self) -> Response {
        let (status, code) = self.wire();
        let mut response = refusal(status, code, self.description());
        let headers = response.headers_mut();
        let challenge = self.challenge().map(HeaderValue::try_from);
        if let Some(Ok(challenge)) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Self::RateLimited(limited) = &self {
            limited.write(headers);
        } else if matches!(self, Self::Full) {
            headers.insert(header::RETRY_AFTER, FULL_FOR);
        }
        response.extensions_mut().insert(Cause(Arc::new(self)));
        response
    }
}
