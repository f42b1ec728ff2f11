//! Which pages of other origins may read what we answer (the CORS protocol, Fetch §3.3): refusals as well as the rest. Never with
//! credentials: what a browser adds by itself, such as cookies, opens nothing to them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;
use url::Url;

/// How long finding out may take; then the page is told nothing, and its request goes its way.
const PATIENCE: Duration = Duration::from_millis(500);

/// What a page may read of a response, beside what every page may (Fetch §2.2.6).
const EXPOSED: &str =
    "DPoP-Nonce, WWW-Authenticate, Retry-After, RateLimit, RateLimit-Policy, X-Request-Id";
/// What a page may send: nothing that opens more than the request itself does.
const HEADERS: &str = "Authorization, Content-Type, DPoP, Accept, If-Match, If-None-Match, X-Request-Id, traceparent, tracestate, \
     MCP-Protocol-Version";
/// Which of them a resource takes, it says itself, by 405.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// How long a browser may remember the answer to a preflight, in seconds.
const MAX_AGE: &str = "3600";

/// Room for the longest host.
const MAX_LENGTH: usize = 300;

/// Scheme, host and port of a page, as browsers write them in `Origin` (HTML §7.1.1): in lower case, without the scheme's own port.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct WebOrigin(Box<str>);

/// Not what a browser sends as `Origin`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an origin is written as https://app.example or https://app.example:8443, and no more")]
pub struct InvalidOrigin;

impl WebOrigin {
    /// The origin of the page at `url`, if a page can be there.
    #[must_use]
    pub fn of(url: &Url) -> Option<Self> {
        (matches!(url.scheme(), "https" | "http") && url.has_host())
            .then(|| Self(url.origin().ascii_serialization().into()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one that a request names. `null` is none, and neither are two.
    fn named(headers: &HeaderMap) -> Option<Self> {
        let mut sent = headers.get_all(header::ORIGIN).iter();
        match (sent.next(), sent.next()) {
            (Some(origin), None) => origin.to_str().ok()?.parse().ok(),
            _ => None,
        }
    }
}

impl FromStr for WebOrigin {
    type Err = InvalidOrigin;

    /// Takes one that is written exactly as a browser would.
    fn from_str(raw: &str) -> Result<Self, InvalidOrigin> {
        let url = Some(raw).filter(|raw| raw.len() <= MAX_LENGTH);
        url.and_then(|raw| Url::parse(raw).ok())
            .and_then(|url| Self::of(&url))
            .filter(|origin| *origin.0 == *raw)
            .ok_or(InvalidOrigin)
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Look = dyn Fn(WebOrigin) -> BoxFuture<'static, bool> + Send + Sync;

/// The pages that may read the answers of some routes.
#[derive(Clone)]
pub enum Cors {
    /// None: routes that answer with pages, or are for servers alone.
    Nobody,
    /// All: what anyone may know, and what opens for nothing but a token in the request.
    Anyone,
    /// Those of origins that somebody vouches for; see [`Cors::known`].
    Known(Arc<Look>),
}

impl Cors {
    /// Pages of the origins of which `look` says so.
    pub fn known<F>(look: impl Fn(WebOrigin) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = bool> + Send + 'static,
    {
        Self::Known(Arc::new(move |origin| look(origin).boxed()))
    }

    /// What `Access-Control-Allow-Origin` says to a request with these headers.
    pub(super) async fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match self {
            Self::Nobody => None,
            Self::Anyone => Some(HeaderValue::from_static("*")),
            Self::Known(look) => {
                let origin = WebOrigin::named(headers)?;
                let known = timeout(PATIENCE, look(origin)).await;
                known
                    .is_ok_and(|known| known)
                    .then(|| headers.get(header::ORIGIN).cloned())?
            }
        }
    }

    /// Tells the browser whether the page may read this response.
    pub(super) fn tell(&self, allowed: Option<HeaderValue>, headers: &mut HeaderMap) {
        if matches!(self, Self::Known(_)) {
            // Also where none came: a cache must not hand one page what was for another.
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
        if let Some(origin) = allowed {
            let exposed = HeaderValue::from_static(EXPOSED);
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Whether a browser only asks if a page may send a request (Fetch §3.3.2, "CORS-preflight request").
pub(super) fn is_preflight(request: &Request) -> bool {
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// That it may.
pub(super) fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
