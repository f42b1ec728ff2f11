//! What is around the content of every page.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{self, Random};
use shared_server::web::{Problem, RequestId};

use crate::authorize::display::Display;

/// 22 letters and digits hold 131 bits; CSP Level 3 §8.1 asks for 128.
const NONCE_LENGTH: usize = 22;

/// Where the forms of a page may go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Posts {
    /// To this server, which answers with a page of its own.
    Here,
    /// To this server, which may answer with a redirect to a client: Chromium holds `form-action` against that too. A script sees to
    /// it that the form is posted once, because the answer to a second click is not a redirect any more.
    MayEndAtClient,
    /// To this server, which answers with a page, from one that shows a client's picture. A second click is no second post, which would
    /// be answered otherwise.
    HereOnce,
    /// To a client, at once, by a script.
    ByItself,
}

impl Posts {
    /// The content policy, the one place where it is written. Nothing is loaded from anywhere else; what stands in the page needs its nonce.
    fn policy(self, nonce: &str) -> String {
        let base = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
        );
        match self {
            Self::Here => format!("{base}; form-action 'self'"),
            // A client's picture is shown from here.
            Self::MayEndAtClient => {
                format!("{base}; script-src 'nonce-{nonce}'; img-src 'self'")
            }
            Self::HereOnce => {
                format!("{base}; script-src 'nonce-{nonce}'; img-src 'self'; form-action 'self'")
            }
            Self::ByItself => format!("{base}; script-src 'nonce-{nonce}'"),
        }
    }
}

/// What a page says, on its way to the layer that puts it into its frame.
#[derive(Clone)]
pub(super) struct Content(Option<Arc<Parts>>);

#[derive(Clone)]
struct Parts {
    title: String,
    main: String,
    posts: Posts,
    shows_request_id: bool,
    display: Display,
}

impl Content {
    pub(super) fn of(title: &str, page: &impl Template, posts: Posts) -> Self {
        // Writing text to memory does not fail; if it did, the layer would answer 500.
        Self(page.render().ok().map(|main| {
            Arc::new(Parts {
                title: title.to_owned(),
                main,
                posts,
                shows_request_id: false,
                display: Display::default(),
            })
        }))
    }

    pub(super) fn shown_as(self, display: Display) -> Self {
        Self(self.0.map(|parts| {
            Arc::new(Parts {
                display,
                ..Arc::unwrap_or_clone(parts)
            })
        }))
    }

    pub(super) fn with_request_id(self) -> Self {
        Self(self.0.map(|parts| {
            Arc::new(Parts {
                shows_request_id: true,
                ..Arc::unwrap_or_clone(parts)
            })
        }))
    }
}

impl IntoResponse for Content {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}

/// Makes whole documents of pages.
pub struct Frame {
    site: String,
    random: Arc<dyn Random>,
}

#[derive(Template)]
#[template(path = "document.html")]
struct Document<'a> {
    title: &'a str,
    site: &'a str,
    nonce: &'a str,
    main: &'a str,
    posts: Posts,
    request_id: Option<&'a str>,
    display: Option<&'a str>,
}

impl Frame {
    /// The frame of the pages of `issuer`, which show its host.
    #[must_use]
    pub fn new(issuer: &Issuer, random: Arc<dyn Random>) -> Self {
        let url = issuer.url();
        let host = url.host_str().unwrap_or_default();
        Self {
            site: url
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            random,
        }
    }

    fn document(&self, parts: &Parts, request_id: Option<&str>) -> Option<(HeaderValue, String)> {
        let nonce = random::alphanumeric(NONCE_LENGTH, &*self.random);
        let document = Document {
            title: &parts.title,
            site: &self.site,
            nonce: &nonce,
            main: &parts.main,
            posts: parts.posts,
            request_id: request_id.filter(|_| parts.shows_request_id),
            display: (parts.display != Display::Page).then(|| parts.display.as_str()),
        };
        let policy = HeaderValue::try_from(parts.posts.policy(&nonce)).ok()?;
        Some((policy, document.render().ok()?))
    }
}

/// For [`axum::middleware::from_fn_with_state`]: puts pages into their frame, and lets everything else pass.
pub async fn framed(State(frame): State<Arc<Frame>>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let mut response = next.run(request).await;
    let Some(Content(content)) = response.extensions_mut().remove() else {
        return response;
    };
    let id = id.as_ref().map(RequestId::as_str);
    let Some((policy, document)) = content.and_then(|parts| frame.document(&parts, id)) else {
        let (status, slug) = (StatusCode::INTERNAL_SERVER_ERROR, "internal");
        return Problem::new(status, slug, "The server failed to answer").into_response();
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    *response.body_mut() = document.into();
    response
}
