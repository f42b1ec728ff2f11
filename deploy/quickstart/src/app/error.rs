//! What keeps the app from going on.

use http::StatusCode;
use shared_protocol::outbound::FetchError;

/// Why the app cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// A response or a form that does not belong to this browser.
    #[error(
        "this answer does not belong to a sign-in that this browser began, or it was used before"
    )]
    NotAskedFor,
    /// RFC 9207: another server answered.
    #[error("the answer is not from the authorization server that was asked")]
    OtherIssuer,
    /// An error response (RFC 6749 §4.1.2.1, §5.2).
    #[error("the authorization server refused")]
    Refused {
        /// The code.
        error: String,
        /// What it says to developers.
        description: Option<String>,
    },
    /// An ID token that must not be trusted (OpenID Connect Core §3.1.3.7).
    #[error("the ID token cannot be trusted: {0}")]
    IdToken(&'static str),
    /// A logout token that must not be believed (OpenID Connect Back-Channel Logout §2.6).
    #[error("the logout token cannot be believed: {0}")]
    LogoutToken(&'static str),
    /// Something that the standards do not know.
    #[error("the authorization server answered in an unexpected way: {0}")]
    Unexpected(&'static str),
    /// No answer.
    #[error("a server cannot be reached")]
    Unreachable(#[from] FetchError),
}

impl AppError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotAskedFor | Self::OtherIssuer | Self::Refused { .. } | Self::LogoutToken(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::IdToken(_) | Self::Unexpected(_) | Self::Unreachable(_) => {
                StatusCode::BAD_GATEWAY
            }
        }
    }
}
