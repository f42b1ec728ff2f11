//! What a person is told who was not signed out.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_server::db::DbError;
use shared_server::ephemeral::EphemeralError;
use shared_server::web::Cause;

use crate::accounts::AccountError;
use crate::authorize::page::retry_after;
use crate::clients::directory::DirectoryError;
use crate::form::FormError;
use crate::interactions::BeginError;
use crate::pages::{ErrorPage, StalePage};
use crate::parameters::InvalidParameters;

/// Why nobody was signed out.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    /// No form could be read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// A link or a form that is not of its form: a parameter twice, or too long.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// The form was made for another session, or by another site.
    #[error("the form is stale, or not ours")]
    Stale {
        /// Where to be asked anew.
        again: String,
    },
    /// What another site posted was looked at before, or too long ago.
    #[error("the request to sign out is over")]
    Over {
        /// Where to be asked anew.
        again: String,
    },
    /// Enough was posted from this address.
    #[error("too many requests to sign out were posted from one address")]
    TooMany {
        /// How long to wait.
        wait: Duration,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The ephemeral store did not answer.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
    /// The account could not be read.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The client could not be read.
    #[error(transparent)]
    Clients(#[from] DirectoryError),
}

impl From<BeginError> for SignOutError {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::TooMany { wait } => Self::TooMany { wait },
            BeginError::Ephemeral(error) => error.into(),
        }
    }
}

fn page(status: StatusCode, title: &str, message: &str) -> Response {
    let page = ErrorPage {
        status,
        title: title.into(),
        message: message.into(),
    };
    page.into_response()
}

fn stale(message: &str, again: &str) -> Response {
    let page = StalePage {
        message: message.into(),
        go_on: Some(again.to_owned()),
        start_again: None,
    };
    page.into_response()
}

impl IntoResponse for SignOutError {
    fn into_response(self) -> Response {
        let mut response = match &self {
            Self::Form(error) => page(
                error.status(),
                "This form could not be read",
                "Go back, reload the page, and try again.",
            ),
            Self::Parameters(error) => page(
                StatusCode::BAD_REQUEST,
                "This request to sign out could not be read",
                &format!("You have not been signed out: {error}."),
            ),
            Self::Stale { again } => stale(
                "Somebody signed in or out since it was opened. You have not been signed out.",
                again,
            ),
            Self::Over { again } => stale(
                "This request to sign out was opened before, or too long ago. Go on to sign out.",
                again,
            ),
            Self::TooMany { wait } => {
                let page = page(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too much at once",
                    "Your network asked this server for more than it answers. Wait a moment, then reload the page.",
                );
                retry_after(page, *wait)
            }
            Self::Store(_) | Self::Ephemeral(_) | Self::Account(_) | Self::Clients(_) => {
                let page = page(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "You are still signed in",
                    "This server cannot answer right now. Wait a moment, then reload the page.",
                );
                let again = HeaderValue::from_static("1");
                ([(header::RETRY_AFTER, again)], page).into_response()
            }
        };
        response.extensions_mut().insert(Cause(Arc::new(self)));
        response
    }
}
