//! The pages. Templates escape whatever they show.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use super::error::AppError;
use super::provider::{Answer, Provider};

/// Nothing but our style sheet. No `form-action`, which Chromium applies to redirects too.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Before anybody signed in.
#[derive(Template)]
#[template(path = "start.html")]
pub(crate) struct StartPage<'a> {
    issuer: &'a str,
    api: &'a str,
    sign_out_page: String,
}

impl<'a> StartPage<'a> {
    pub(crate) fn new(provider: &'a Provider) -> Self {
        Self {
            issuer: provider.issuer(),
            api: provider.api(),
            sign_out_page: provider.sign_out_page(),
        }
    }
}

/// What the tokens brought.
#[derive(Template)]
#[template(path = "signed_in.html")]
pub(crate) struct SignedInPage<'a> {
    pub(crate) form: &'a str,
    pub(crate) id_token: String,
    pub(crate) access_token: String,
    pub(crate) userinfo: Answer,
    pub(crate) me: Answer,
    pub(crate) api: &'a str,
    pub(crate) refreshed: u32,
    pub(crate) refreshable: bool,
}

/// Why it did not go on.
#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage<'a> {
    message: String,
    code: Option<&'a str>,
    description: Option<&'a str>,
}

impl<'a> ErrorPage<'a> {
    pub(crate) fn new(error: &'a AppError) -> Self {
        let (code, description) = match error {
            AppError::Refused { error, description } => {
                (Some(error.as_str()), description.as_deref())
            }
            AppError::NotAskedFor
            | AppError::OtherIssuer
            | AppError::IdToken(_)
            | AppError::LogoutToken(_)
            | AppError::Unexpected(_)
            | AppError::Unreachable(_) => (None, None),
        };
        Self {
            message: error.to_string(),
            code,
            description,
        }
    }
}

/// The page with its policy.
pub(crate) fn respond(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => {
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CONTENT_SECURITY_POLICY, POLICY),
            ];
            (status, headers, html).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// JSON for people.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
