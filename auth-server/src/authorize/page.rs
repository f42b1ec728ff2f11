//! What a person is told when an interaction cannot go on: pages without our insides, written in this one place.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_server::ephemeral::EphemeralError;
use shared_server::rate_limits::Limited;
use shared_server::web::Cause;

use super::error::{AuthorizeError, AuthorizeErrorCode, PageCause};
use crate::accounts::AccountError;
use crate::clients::directory::DirectoryError;
use crate::form::FormError;
use crate::pages::{ErrorPage, StalePage, StartAgain};
use crate::parameters::InvalidParameters;
use crate::token::error::TokenError;

/// Why a step of an interaction shows something else.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// No form could be read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The parameters of a link or form of ours are not as we wrote them.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// Another site posted a form that only our pages post.
    #[error("a form of ours was posted by another site")]
    CrossSite,
    /// The interaction is over, unknown, or another browser's: the same answer to all, so that nothing is learnt.
    #[error("the interaction is over, unknown, or another browser's")]
    Stale,
    /// The same of an interaction whose client may be asked to begin another.
    #[error("the interaction is over, unknown, or another browser's; its client can begin another")]
    Over(Box<StartAgain>),
    /// The browser brought no cookie of ours.
    #[error("the browser sent no cookie")]
    NoCookie,
    /// A device's code is unknown, expired, decided, or another session's: the same answer to all. At this path another is typed.
    #[error("the user code is unknown, expired, decided, or another session's")]
    DeviceCode(String),
    /// Who is signed in could not be looked up.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A client could not be looked up.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The form was made for another state of this browser's affairs; at this path it goes on.
    #[error("the form is stale")]
    StaleForm(String),
    /// The request itself cannot be answered, or is answered now.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// Too many requests of one address.
    #[error(transparent)]
    RateLimited(#[from] Limited),
    /// The ephemeral store failed.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
    /// An answer that the client wants signed could not be.
    #[error(transparent)]
    Unsigned(#[from] Box<TokenError>),
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let response = match self {
            Self::Authorize(error) => return error.into_response(),
            Self::Form(error) => error_page(error.status(), "This form could not be read", "Go back, reload the page, and try again."),
            Self::Parameters(_) => error_page(
                StatusCode::BAD_REQUEST,
                "This link is not complete",
                "Go back to the app and begin again.",
            ),
            Self::CrossSite => error_page(
                StatusCode::FORBIDDEN,
                "This came from another site",
                "A form of this server was filled in elsewhere, so it was not accepted. Go back to the app and begin again.",
            ),
            Self::Stale => ended(None),
            Self::Over(ref way) => ended(Some((**way).clone())),
            Self::NoCookie => StalePage {
                message: "This browser sent no cookie, without which nobody can sign in here: allow cookies for this site. If you began in another browser, go on there. Otherwise go back to the app and begin again."
                    .into(),
                go_on: None,
                start_again: None,
            }
            .into_response(),
            Self::StaleForm(ref path) => StalePage {
                message: "This page was out of date, because something changed in another tab. Nothing was done."
                    .into(),
                go_on: Some(path.clone()),
                start_again: None,
            }
            .into_response(),
            Self::DeviceCode(ref path) => StalePage {
                message: "This code cannot be used: it is not known here, has expired, or was used already. Your device can show you a new one."
                    .into(),
                go_on: Some(path.clone()),
                start_again: None,
            }
            .into_response(),
            Self::Directory(DirectoryError::Limited(limited)) => {
                return Self::RateLimited(limited).into_response();
            }
            Self::RateLimited(ref limited) => {
                let mut page = error_page(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Too much at once",
                    "Your network asked this server for more than it answers. Wait a moment, then reload the page.",
                );
                limited.write(page.headers_mut());
                page
            }
            Self::Ephemeral(_) | Self::Unsigned(_) | Self::Account(_) | Self::Directory(_) => {
                unavailable()
            }
        };
        caused(response, self)
    }
}

/// A refusal before there is anybody but the person to tell.
pub(super) fn refusal(cause: PageCause) -> Response {
    let title = "This app sent a request that cannot be answered";
    let bad = |message: &str| error_page(StatusCode::BAD_REQUEST, title, message);
    let response = match &cause {
        PageCause::Form(error) => error_page(error.status(), title, "The request is not a form."),
        PageCause::Parameters(error) => bad(&format!("The app's request is malformed: {error}.")),
        PageCause::UnknownClient(_) => bad("The app is not known here."),
        PageCause::NoRedirectUri => bad("The app did not say where to send you back to."),
        PageCause::UnregisteredRedirectUri(_) => {
            bad("The app asked to send you to a place that it did not register.")
        }
        PageCause::Unread(cause) if cause.code() == AuthorizeErrorCode::TemporarilyUnavailable => {
            unavailable()
        }
        PageCause::Unread(cause) => bad(&format!(
            "The app's request cannot be used: {}. Go back to the app and begin again.",
            cause.description()
        )),
        PageCause::TooMany { wait } => {
            let page = error_page(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many sign-ins began at once",
                "More apps than usual were opened from your network. Wait a minute, then reload the page.",
            );
            retry_after(page, *wait)
        }
        PageCause::Directory(DirectoryError::Limited(limited)) => {
            return PageError::RateLimited(limited.clone()).into_response();
        }
        PageCause::Directory(DirectoryError::Document(error)) if !error.is_ours() => bad(&format!(
            "The app describes itself at the address that is its client_id, and that description cannot be used: {}.",
            error.told()
        )),
        PageCause::Directory(_) => unavailable(),
    };
    caused(response, cause)
}

/// The same page to all who cannot have the interaction, but for the way back to its app.
fn ended(start_again: Option<StartAgain>) -> Response {
    let page = StalePage {
        message: "This sign-in has ended: it was finished already, took too long, or was begun in another browser. Go back to the app and begin again."
            .into(),
        go_on: None,
        start_again,
    };
    page.into_response()
}

/// The same answer, with its cause.
pub(super) fn caused(
    mut response: Response,
    cause: impl std::error::Error + Send + Sync + 'static,
) -> Response {
    response.extensions_mut().insert(Cause(Arc::new(cause)));
    response
}

fn error_page(status: StatusCode, title: &str, message: &str) -> Response {
    let page = ErrorPage {
        status,
        title: title.into(),
        message: message.into(),
    };
    page.into_response()
}

fn unavailable() -> Response {
    let page = error_page(
        StatusCode::SERVICE_UNAVAILABLE,
        "This server cannot answer right now",
        "Wait a moment, then reload the page.",
    );
    retry_after(page, Duration::from_secs(1))
}

/// Tells a machine how long to wait (RFC 9110 §10.2.3), in whole seconds and never too few.
pub(crate) fn retry_after(mut response: Response, wait: Duration) -> Response {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    if let Ok(seconds) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}
