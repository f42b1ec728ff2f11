//! Metrics, in the text format of Prometheus.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGauge, Registry, TEXT_FORMAT, TextEncoder,
};

/// Upper bounds, in seconds: most answers take less than a millisecond, a password takes tens of them.
pub(crate) const BUCKETS: [f64; 14] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The methods that requests are told apart by; see [`HttpMetrics::observe`].
const METHODS: [&str; 8] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other",
];

/// Status codes that a route may answer often.
const STATUSES: [&str; 12] = [
    "200", "201", "204", "302", "303", "304", "400", "401", "403", "404", "429", "503",
];

/// What is measured of every request. Clones share it.
#[derive(Clone)]
pub struct HttpMetrics {
    request_duration: HistogramVec,
    in_flight: IntGauge,
    // Finding a series by its labels costs more than observing it.
    routes: Arc<ArcSwap<HashMap<Box<str>, Arc<Series>>>>,
}

/// The series of one route, each looked up once.
type Series = [[OnceLock<Histogram>; STATUSES.len()]; METHODS.len()];

impl HttpMetrics {
    /// Adds these metrics to `registry`: `http_request_duration_seconds{route,method,status}`, from the end of a request's headers
    /// to the beginning of its response, and `http_requests_in_flight`.
    ///
    /// # Errors
    /// If it has them already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let options = HistogramOpts::new(
            "http_request_duration_seconds",
            "Time from the end of a request's headers to the beginning of its response.",
        );
        let request_duration = HistogramVec::new(
            options.buckets(BUCKETS.to_vec()),
            &["route", "method", "status"],
        )?;
        registry.register(Box::new(request_duration.clone()))?;
        let in_flight = IntGauge::new(
            "http_requests_in_flight",
            "Requests that were begun and not answered yet.",
        )?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            request_duration,
            in_flight,
            routes: Arc::default(),
        })
    }

    pub(crate) fn began(&self) {
        self.in_flight.inc();
    }

    /// A request ended. `route` is a template (or `unmatched`), `status` the number (or `aborted`, if the client hung up), `method`
    /// one that everyone knows (or `other`): clients cannot make up labels.
    pub(crate) fn ended(&self, route: &str, method: &str, status: &str, seconds: f64) {
        self.in_flight.dec();
        let find = || {
            self.request_duration
                .with_label_values(&[route, method, status])
        };
        let routes = self.routes.load();
        let Some(series) = routes.get(route) else {
            find().observe(seconds);
            self.remember(route);
            return;
        };
        let place = |names: &[&str], name: &str| names.iter().position(|known| *known == name);
        let known = place(&METHODS, method)
            .and_then(|method| series.get(method))
            .zip(place(&STATUSES, status))
            .and_then(|(of_method, status)| of_method.get(status));
        match known {
            Some(known) => known.get_or_init(find).observe(seconds),
            None => find().observe(seconds),
        }
    }

    /// Routes are few, and all known after a while.
    fn remember(&self, route: &str) {
        self.routes.rcu(|routes| {
            let mut routes = HashMap::clone(routes);
            routes.entry(route.into()).or_default();
            routes
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_once_whether_its_series_is_remembered_or_not() {
        let registry = Registry::new();
        let metrics = HttpMetrics::register(&registry).unwrap();
        for (status, times) in [("200", 3), ("418", 2), ("aborted", 1)] {
            for _ in 0..times {
                metrics.began();
                metrics.ended("/a/{id}", "GET", status, 0.000_2);
            }
        }
        metrics.began();
        let text = TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap();
        for (status, times) in [("200", 3), ("418", 2), ("aborted", 1)] {
            let line = format!(
                r#"http_request_duration_seconds_count{{method="GET",route="/a/{{id}}",status="{status}"}} {times}"#
            );
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("\nhttp_requests_in_flight 1\n"), "{text}");
    }
}
