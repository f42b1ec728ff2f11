//! Metrics, in the text format of Prometheus.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{HistogramOpts, HistogramVec, Registry, TEXT_FORMAT, TextEncoder};

/// Upper bounds, in seconds: most answers take less than a millisecond, a password takes tens of them.
const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// What is measured of every request.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    /// `http_request_duration_seconds{route,method,status}`: from the end of a request's headers to the beginning of its
    /// response. `route` is the template (or `unmatched`), `status` the number (or `aborted`, if the client hung up).
    pub request_duration: HistogramVec,
}

impl HttpMetrics {
    /// Adds these metrics to `registry`.
    ///
    /// # Errors
    /// If it has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "http_request_duration_seconds",
            "Time from the end of a request's headers to the beginning of its response",
        );
        let request_duration = HistogramVec::new(
            options.buckets(BUCKETS.to_vec()),
            &["route", "method", "status"],
        )?;
        registry.register(Box::new(request_duration.clone()))?;
        Ok(Self { request_duration })
    }
}

/// `GET /metrics`: all that `registry` holds. For operators, on a listener that strangers cannot reach.
pub fn metrics_router(registry: Registry) -> Router {
    Router::new().route(
        "/metrics",
        get(move || std::future::ready(rendered(&registry))),
    )
}

fn rendered(registry: &Registry) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(TEXT_FORMAT));
            ([kind], text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
