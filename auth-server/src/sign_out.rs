//! Signing out, after asking: a link or a form on another site must not do it for the person (OpenID Connect RP-Initiated Logout §6).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::web::{Cause, Now};

use crate::accounts::AccountError;
use crate::authorize::response::see_other;
use crate::browser::{Binding, Cookies, Form, FormTokens};
use crate::form::{self, FormError};
use crate::pages::{ErrorPage, SignOutPage, SignedOutPage, StalePage};
use crate::parameters::{InvalidParameters, Parameters};
use crate::routes::{LOGGED_OUT, LOGOUT};
use crate::sessions::{Person, SessionToken, Sessions};

/// What signing out takes.
pub struct SignOut {
    /// Whose paths and cookies.
    pub issuer: Arc<Issuer>,
    /// What ends.
    pub sessions: Sessions,
    /// Where browsers keep it.
    pub cookies: Cookies,
    /// What shows that the form is ours.
    pub forms: FormTokens,
}

/// Why nobody was signed out.
#[derive(Debug, thiserror::Error)]
pub enum SignOutError {
    /// No form could be read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The form is not as we wrote it.
    #[error(transparent)]
    Parameters(#[from] InvalidParameters),
    /// The form was made for another session, or by another site.
    #[error("the form is stale, or not ours")]
    Stale {
        /// Where to be asked anew.
        again: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// The account could not be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl SignOut {
    fn path(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.issuer.path())
    }

    /// Who is signed in at the browser of a request.
    async fn person(
        &self,
        headers: &HeaderMap,
        now: Instant,
    ) -> Result<Option<(SessionToken, Person)>, AccountError> {
        let Some(token) = self.cookies.session(headers) else {
            return Ok(None);
        };
        let person = self.sessions.find(&token, now).await?;
        Ok(person.map(|person| (token, person)))
    }

    /// The answer to all who posted and are signed out: the cookie goes, also one that was good for nothing.
    fn signed_out(&self, headers: &HeaderMap) -> Response {
        let mut response = see_other(&self.path(LOGGED_OUT));
        if self.cookies.session(headers).is_some() {
            let clear = self.cookies.clear_session();
            response.headers_mut().insert(header::SET_COOKIE, clear);
        }
        response
    }
}

/// Bound to the session: a form of one person signs out no other who came after them.
fn binding(token: &SessionToken) -> Binding<'_> {
    Binding {
        session: Some(token),
        ..Binding::to(Form::SignOut)
    }
}

/// GET `/oauth/logout`: asks.
///
/// # Errors
/// [`SignOutError`].
pub async fn ask(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    headers: HeaderMap,
) -> Result<Response, SignOutError> {
    let Some((token, person)) = sign_out.person(&headers, now).await? else {
        // Nothing changes here, not even a cookie: a link on any site leads to this.
        return Ok(see_other(&sign_out.path(LOGGED_OUT)));
    };
    let page = SignOutPage {
        action: sign_out.path(LOGOUT),
        csrf: sign_out.forms.token(&binding(&token)),
        email: person.account.email.to_string(),
    };
    Ok(page.into_response())
}

/// POST `/oauth/logout`: signs out, if our own form asks for it. A client's form, which another site posts and which comes without
/// our cookie, is answered with a GET, where the cookie can be read (OpenID Connect RP-Initiated Logout §2).
///
/// # Errors
/// [`SignOutError`].
pub async fn answer(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    request: Request,
) -> Result<Response, SignOutError> {
    let (headers, body) = form::read(request).await?;
    let form = Parameters::parse(&body)?;
    let again = sign_out.path(LOGOUT);
    let Some(csrf) = form.optional("csrf") else {
        return Ok(see_other(&again));
    };
    let Some((token, person)) = sign_out.person(&headers, now).await? else {
        return Ok(sign_out.signed_out(&headers));
    };
    if !sign_out.forms.verify(&binding(&token), csrf) {
        return Err(SignOutError::Stale { again });
    }
    sign_out.sessions.end(&person.session.id, now).await?;
    Ok(sign_out.signed_out(&headers))
}

/// GET `/logged-out`: says so, where it is so.
///
/// # Errors
/// [`SignOutError`].
pub async fn done(
    State(sign_out): State<Arc<SignOut>>,
    Now(now): Now,
    headers: HeaderMap,
) -> Result<Response, SignOutError> {
    // Perhaps signed in again since, and come back by the history of the browser.
    if sign_out.person(&headers, now).await?.is_some() {
        return Ok(see_other(&sign_out.path(LOGOUT)));
    }
    Ok(SignedOutPage.into_response())
}

impl IntoResponse for SignOutError {
    fn into_response(self) -> Response {
        let unreadable = |status| {
            let page = ErrorPage {
                status,
                title: "This form could not be read".into(),
                message: "Go back, reload the page, and try again.".into(),
            };
            page.into_response()
        };
        let mut response = match &self {
            Self::Form(error) => unreadable(error.status()),
            Self::Parameters(_) => unreadable(StatusCode::BAD_REQUEST),
            Self::Stale { again } => StalePage {
                message:
                    "Somebody signed in or out since it was opened. You have not been signed out."
                        .into(),
                go_on: Some(again.clone()),
                start_again: None,
            }
            .into_response(),
            Self::Store(_) | Self::Account(_) => {
                let page = ErrorPage {
                    status: StatusCode::SERVICE_UNAVAILABLE,
                    title: "You are still signed in".into(),
                    message:
                        "This server cannot answer right now. Wait a moment, then reload the page."
                            .into(),
                };
                let again = HeaderValue::from_static("1");
                ([(header::RETRY_AFTER, again)], page).into_response()
            }
        };
        response.extensions_mut().insert(Cause(Arc::new(self)));
        response
    }
}
