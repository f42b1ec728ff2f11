//! What surrounds every request, in one function.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http_body_util::Limited;
use hyper::body::Body as _;
use opentelemetry::trace::TraceId;
use shared_protocol::random::Random;
use shared_protocol::time::{Clock, Instant};
use tokio::time::timeout;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use super::noted::{self, Noted};
use super::paced::{Late, Paced, Room};
use super::request_id::X_REQUEST_ID;
use super::{Cors, Detail, Edge, Limits, Problem, RequestId, cors};
use crate::telemetry::{self, HttpMetrics, REQUEST};

/// Of the requests in progress, one address may have every so many of those whose bodies are waited for.
const SHARE: usize = 8;

/// What the layers need.
#[derive(Clone)]
pub struct Observed {
    /// Read once for each request; see [`Now`].
    pub clock: Arc<dyn Clock>,
    /// Makes the ids of requests.
    pub random: Arc<dyn Random>,
    /// Counts requests.
    pub metrics: HttpMetrics,
    /// Bounds requests.
    pub limits: Limits,
    /// Where requests come from, and how many at a time.
    pub edge: Edge,
    /// Is told of each request that was refused, if anybody wants to hear: must not wait.
    pub refusals: Option<Arc<dyn Fn(Refusal) + Send + Sync>>,
}

/// A request that was refused: its answer bore a [`Cause`] or [`Refused`].
pub struct Refusal {
    /// What it was called.
    pub request_id: RequestId,
    /// When it came.
    pub at: Instant,
    /// Its method.
    pub method: &'static str,
    /// The template of its path, if there is anything.
    pub route: Option<MatchedPath>,
    /// The status that it was answered with.
    pub status: StatusCode,
    /// The error code that its client read.
    pub refused: Option<Refused>,
    /// Why.
    pub cause: Option<Cause>,
    /// Whose it was.
    pub noted: Noted,
    /// The trace that it was part of.
    pub trace_id: Option<String>,
}

/// Why a request failed, for the log and for operators alone: an extension of the response.
#[derive(Clone, Debug)]
pub struct Cause(pub Arc<dyn Error + Send + Sync>);

/// The error code with which a request was refused, as its client reads it: for the log, an extension of the response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused(pub &'static str);

/// When the request came, read once from the clock: an extractor, so that everything that happens in one request happens at
/// one time.
#[derive(Clone, Copy, Debug)]
pub struct Now(pub Instant);

impl<S: Sync> FromRequestParts<S> for Now {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a router without its layers lacks it.
        parts.extensions.get().copied().ok_or_else(internal)
    }
}

/// Surrounds all routes of `app` with request id, span, log, metrics, security headers, problem bodies, limits and a net for
/// panics.
///
/// A handler adds to its request's line in the log by [`note_client`](super::note_client) or
/// [`note_grant_type`](super::note_grant_type), and by a [`Cause`] and [`Refused`]; it overrides a security header by setting it.
pub fn layers(app: Router, observed: &Observed) -> Router {
    layers_for(app, observed, Cors::Nobody)
}

/// As [`layers`], for routes whose answers, refusals among them, pages of other origins may read.
pub fn layers_for(app: Router, observed: &Observed, pages: Cors) -> Router {
    app.method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(
            Arc::new((observed.clone(), pages)),
            surround,
        ))
}

/// For `Router::fallback`: 404.
pub async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
}

/// 405, to which the router adds `Allow` (RFC 9110 §15.5.6). [`layers`] sets it for all routes that have no other.
pub async fn method_not_allowed() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "This resource does not take that method",
    )
}

/// Every request passes here; what surrounds it, from the outside in.
async fn surround(
    State(surroundings): State<Arc<(Observed, Cors)>>,
    mut request: Request,
    next: Next,
) -> Response {
    let (observed, pages) = &*surroundings;
    let id = RequestId::of(request.headers(), &*observed.random);
    let _turn = match observed.edge.turn(observed.limits.requests, &request) {
        Ok(turn) => turn,
        // Before any other work, a line in the log included.
        Err(overloaded) => return finished(overloaded.into_response(), &id, &observed.edge),
    };
    let mut ending = Ending::of(&request, &id, &observed.metrics);
    request.extensions_mut().insert(id.clone());
    let now = observed.clock.now();
    request.extensions_mut().insert(Now(now));
    let address = observed.edge.client(&request);
    request.extensions_mut().insert(address);
    // hyper hides whether a chunked request had a Content-Length too, after which the connection must be closed
    // (RFC 9112 §6.1): nothing that follows such a body is ever taken for a request.
    let close = request.headers().contains_key(header::TRANSFER_ENCODING);
    let allowed = pages.allowed(request.headers()).await;
    let response = if let Err(refused) = observed.edge.certify(&mut request) {
        refused.into_response()
    } else if allowed.is_some() && cors::is_preflight(&request) {
        cors::preflight()
    } else {
        let room = Room {
            places: observed.edge.bodies().clone(),
            address: address.0,
            most: (observed.limits.requests / SHARE).max(1),
        };
        noted::follow(bounded(request, next, &observed.limits, room))
            .instrument(ending.span.clone())
            .await
    };
    let mut response = finished(response, &id, &observed.edge);
    pages.tell(allowed, response.headers_mut());
    if close {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    ending.status = Some(response.status());
    ending.cause = response.extensions_mut().remove();
    ending.refused = response.extensions_mut().remove();
    let noted = response.extensions_mut().remove();
    if let Some(tell) = &observed.refusals
        && (ending.cause.is_some() || ending.refused.is_some())
    {
        tell(Refusal {
            request_id: id,
            at: now,
            method: ending.method,
            route: ending.route.clone(),
            status: response.status(),
            refused: ending.refused,
            cause: ending.cause.clone(),
            noted: noted.unwrap_or_default(),
            trace_id: ending.trace_id.map(|id| id.to_string()),
        });
    }
    response
}

fn finished(mut response: Response, id: &RequestId, edge: &Edge) -> Response {
    Problem::render(&mut response, id);
    set_headers(response.headers_mut(), id, edge);
    response
}

/// The request within its limits, and a 500 if it panics.
async fn bounded(request: Request, next: Next, limits: &Limits, room: Room) -> Response {
    let version = request.version();
    let (request, late) = match admit(request, limits, room) {
        Ok(admitted) => admitted,
        Err(problem) => return problem.into_response(),
    };
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind();
    match timeout(limits.request, answered).await {
        Ok(Ok(response)) if late.is_late() && !response.status().is_success() => too_slow(version),
        Ok(Ok(response)) => response,
        // The hook of `telemetry::init` has told where.
        Ok(Err(_)) => internal().into_response(),
        Err(_) => Problem::unavailable("timed-out", "The request took too long").into_response(),
    }
}

/// RFC 9110 §15.5.9: the rest of the body is not waited for.
fn too_slow(version: Version) -> Response {
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body-too-slow",
        "The body of the request did not come in time",
    );
    let close = HeaderValue::from_static("close");
    // RFC 9113 §8.2.2: HTTP/2 has no such header.
    match version {
        Version::HTTP_2 => problem,
        _ => problem.header(header::CONNECTION, close),
    }
    .into_response()
}

/// The request, its body bounded, if it says clearly where it goes and does not announce too much.
fn admit(request: Request, limits: &Limits, room: Room) -> Result<(Request, Late), Problem> {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    // RFC 9112 §3.2.
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "ambiguous-host",
            "A request must have exactly one Host header",
        ));
    }
    // What is packed could unfold without end, so none of it is taken.
    let mut codings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    if !codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        // RFC 9110 §15.5.16.
        let plain = HeaderValue::from_static("identity");
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-coding",
            "The body of a request must not be compressed",
        )
        .header(header::ACCEPT_ENCODING, plain));
    }
    // hyper's buffer lets up to twice as much through, as the bytes happen to arrive.
    if header_bytes(&request) > limits.header_bytes {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            "The headers of the request are too large",
        ));
    }
    let limit = u64::try_from(limits.body).unwrap_or(u64::MAX);
    let length = request.body().size_hint().exact();
    if let Some(length) = length
        && length > limit
    {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The body of the request is too large",
        )
        .with("limit", limit));
    }
    let mut late = Late::default();
    let mut request = if length == Some(0) {
        request
    } else {
        request.map(|body| {
            let paced;
            (paced, late) = Paced::new(body, limits.body_read, room);
            match length {
                // hyper reads no more than was announced.
                Some(_) => Body::new(paced),
                None => Body::new(Limited::new(paced, limits.body)),
            }
        })
    };
    DefaultBodyLimit::disable().apply(&mut request);
    Ok((request, late))
}

/// The length of the target and of all header fields, each with its colon, space and line end.
fn header_bytes(request: &Request) -> usize {
    let target = request.uri().path_and_query();
    let fields = request.headers().iter();
    target.map_or(0, |target| target.as_str().len())
        + fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

pub(super) fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "The server failed to answer",
    )
}

/// Other sites may not embed what is here (WHATWG Fetch §3.7); requests that CORS allows are not meant by it.
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// What suits a JSON API (OWASP, REST Security); a handler that set one keeps its own.
fn set_headers(headers: &mut HeaderMap, id: &RequestId, edge: &Edge) {
    headers.reserve(10);
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    if let Some(strict) = edge.strict_transport() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, strict.clone());
    }
    headers.insert(X_REQUEST_ID, id.header());
}

/// Counts and logs the request when it ends, also if it ends because its client hung up.
struct Ending {
    span: Span,
    metrics: HttpMetrics,
    route: Option<MatchedPath>,
    method: &'static str,
    trace_id: Option<TraceId>,
    started: tokio::time::Instant,
    status: Option<StatusCode>,
    cause: Option<Cause>,
    refused: Option<Refused>,
}

impl Ending {
    fn of(request: &Request, id: &RequestId, metrics: &HttpMetrics) -> Self {
        let span = tracing::info_span!(
            REQUEST,
            request_id = id.as_str(),
            trace_id = Empty,
            span_id = Empty,
            client_id = Empty,
            grant_type = Empty
        );
        let route: Option<MatchedPath> = request.extensions().get().cloned();
        let method = known(request.method());
        let trace_id = telemetry::join(&span, request.headers(), || match &route {
            Some(route) => format!("{method} {}", route.as_str()),
            None => method.to_owned(),
        });
        metrics.began();
        Self {
            span,
            metrics: metrics.clone(),
            route,
            method,
            trace_id,
            started: tokio::time::Instant::now(),
            status: None,
            cause: None,
            refused: None,
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        let matched = self.route.as_ref().map(MatchedPath::as_str);
        telemetry::ended(
            &self.span,
            matched,
            self.method,
            self.status.map(|status| status.as_u16()),
        );
        let route = matched.unwrap_or("unmatched");
        let status = self.status.as_ref().map_or("aborted", StatusCode::as_str);
        self.metrics
            .ended(route, self.method, status, elapsed.as_secs_f64());
        let elapsed_ms = elapsed.as_secs_f64() * 1000.0;
        let cause = self.cause.as_ref().map(Cause::on_one_line);
        let error = self.refused.map(|Refused(code)| code);
        macro_rules! tell {
            ($level:expr) => {
                tracing::event!(
                    parent: &self.span,
                    $level,
                    route,
                    method = self.method,
                    status,
                    elapsed_ms,
                    error,
                    cause = cause.as_deref(),
                    "request"
                )
            };
        }
        if self.status.is_some_and(|status| status.is_server_error()) {
            tell!(Level::WARN);
        } else {
            tell!(Level::INFO);
        }
    }
}

/// The name of a method that RFC 9110 or 5789 knows: a client must not be able to make up labels.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

impl Cause {
    fn chain(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let outermost: &(dyn Error + 'static) = &*self.0;
        std::iter::successors(Some(outermost), |&error| error.source())
    }

    /// The error and all that caused it, the outermost first.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.chain().map(ToString::to_string).collect()
    }

    /// The same for the log, on one line whatever the texts are: without what the client sent, which is for those who ask.
    fn on_one_line(&self) -> String {
        let logged = self.chain().filter(|error| !error.is::<Detail>());
        let texts: Vec<String> = logged.map(ToString::to_string).collect();
        let told = texts.join(": ");
        if told.contains(char::is_control) {
            told.escape_debug().to_string()
        } else {
            told
        }
    }
}
