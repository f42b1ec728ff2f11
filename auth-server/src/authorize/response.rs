//! Answers of the authorization endpoint to the client, written in this one place: by redirect or by a form that the browser
//! posts, always with `state` and with `iss` (RFC 6749 §4.1.2, RFC 9207 §2, Form Post Response Mode §2).

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use shared_protocol::issuer::Issuer;
use shared_server::web::{Cause, Refused};
use url::form_urlencoded::Serializer;

use super::error::RedirectCause;
use super::request::ResponseMode;
use crate::clients::redirect_uri::VerifiedRedirectUri;
use crate::pages::FormPostPage;

/// Where an answer goes, and how.
#[derive(Clone, Debug)]
pub struct ReturnPath {
    /// Who answers.
    pub issuer: Arc<Issuer>,
    /// Where to.
    pub redirect_uri: VerifiedRedirectUri,
    /// By what means.
    pub mode: ResponseMode,
    /// What the client wants back, unchanged.
    pub state: Option<String>,
}

/// What a client is told.
pub enum Outcome {
    /// The person agreed: a code.
    Code(String),
    /// Why there is none.
    Error(RedirectCause),
}

/// An answer to a client.
pub struct AuthorizationResponse {
    /// Where it goes.
    pub back: ReturnPath,
    /// What it says.
    pub outcome: Outcome,
}

impl AuthorizationResponse {
    fn parameters(&self) -> Vec<(String, String)> {
        let mut parameters = match &self.outcome {
            Outcome::Code(code) => vec![("code".to_owned(), code.clone())],
            Outcome::Error(cause) => vec![
                ("error".to_owned(), cause.code().as_str().to_owned()),
                ("error_description".to_owned(), cause.description()),
            ],
        };
        if let Some(state) = &self.back.state {
            parameters.push(("state".to_owned(), state.clone()));
        }
        parameters.push(("iss".to_owned(), self.back.issuer.to_string()));
        parameters
    }

    /// The target of a redirect. A query that the redirect URI has is kept (RFC 6749 §4.1.2); it has no fragment.
    fn location(&self, separator: char) -> String {
        let uri = self.back.redirect_uri.as_str();
        let mut encoded = Serializer::new(String::new());
        encoded.extend_pairs(self.parameters());
        format!("{uri}{separator}{}", encoded.finish())
    }

    fn send(&self) -> Response {
        let uri = self.back.redirect_uri.as_str();
        match self.back.mode {
            ResponseMode::Query => {
                let separator = if uri.contains('?') { '&' } else { '?' };
                see_other(&self.location(separator))
            }
            ResponseMode::Fragment => see_other(&self.location('#')),
            ResponseMode::FormPost => FormPostPage {
                action: uri.to_owned(),
                parameters: self.parameters(),
            }
            .into_response(),
        }
    }
}

impl IntoResponse for AuthorizationResponse {
    fn into_response(self) -> Response {
        let mut response = self.send();
        if let Outcome::Error(cause) = self.outcome {
            let extensions = response.extensions_mut();
            extensions.insert(Refused(cause.code().as_str()));
            extensions.insert(Cause(Arc::new(cause)));
        }
        response
    }
}

/// 303, so that a browser that posted goes on with GET and takes nothing that was posted along (RFC 9700 §4.12).
#[must_use]
pub fn see_other(location: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(location) else {
        // A verified redirect URI and what is form-urlencoded are printable ASCII.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (header::LOCATION, location),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}
