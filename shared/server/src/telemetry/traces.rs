//! Traces: requests, and what they ask of databases and Redis, told to a collector by OTLP over HTTP. While they are off no span of
//! theirs is built.
//!
//! A span holds names, statuses and ids of requests and clients, never what somebody sent. Telling never slows a request: spans wait
//! in a bounded queue, and what finds no room there is dropped and counted.

mod collector;
mod parent;
mod sampling;

use std::mem;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, TraceId, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    SdkTracer, SdkTracerProvider, SpanData, SpanExporter as _, SpanProcessor,
};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use url::Url;

use self::parent::TraceParent;
use self::sampling::Requests;
use super::TelemetryError;
use crate::config::Secret;

/// The target of spans that are for traces alone; no line of the log knows them.
pub(crate) const SPANS: &str = "spans";
/// The name of the span that surrounds a request.
pub(crate) const REQUEST: &str = "request";

/// Spans that wait to be sent.
const QUEUE: usize = 8192;
/// Spans for one message to the collector.
const BATCH: usize = 512;
/// How long a message that is not full waits for more.
const LINGER: Duration = Duration::from_secs(1);
/// How long the last messages may take once the server has stopped.
const LAST: Duration = Duration::from_secs(5);

/// Where traces go. A section of the configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// The URL to which a collector takes traces by OTLP over HTTP, such as `http://localhost:4318/v1/traces`. Empty turns traces off.
    pub otlp_endpoint: String,
    /// The share of requests that are traced, from 0.0 to 1.0. Of those whose sender says that it traces them, the same share.
    pub sample: f64,
    /// What this server is called in traces.
    pub service_name: String,
    /// Header fields for the collector, each on a line of its own: `authorization: Bearer …`.
    pub headers: Option<Secret>,
}

impl TraceSettings {
    /// Off, and every request once they are on.
    #[must_use]
    pub fn named(service: &str) -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample: 1.0,
            service_name: service.to_owned(),
            headers: None,
        }
    }

    /// What cannot be used: the key within the section, and the mend.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let mut problems = Vec::new();
        if !self.otlp_endpoint.is_empty() && self.endpoint().is_none() {
            problems.push((
                "otlp_endpoint",
                "is not an http or https URL without credentials; use one such as \"http://localhost:4318/v1/traces\"",
            ));
        }
        if !(0.0..=1.0).contains(&self.sample) {
            problems.push(("sample", "is no share; use a number from 0.0 to 1.0"));
        }
        if self.service_name.is_empty() {
            problems.push(("service_name", "is empty; name this server"));
        }
        if self.header_map().is_none() {
            problems.push((
                "headers",
                "are not header fields; write `name: value`, each on a line of its own",
            ));
        }
        problems
    }

    fn endpoint(&self) -> Option<Url> {
        let url = Url::parse(&self.otlp_endpoint).ok()?;
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        let bare = url.username().is_empty() && url.password().is_none();
        (web && bare).then_some(url)
    }

    fn header_map(&self) -> Option<HeaderMap> {
        let Some(headers) = &self.headers else {
            return Some(HeaderMap::new());
        };
        let lines = headers.expose_secret().lines().map(str::trim);
        let fields = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.trim().parse().ok()?;
            let mut value = HeaderValue::from_str(value.trim()).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        });
        fields.collect()
    }
}

/// What tells the collector, until it is finished.
pub struct Exporting {
    counts: Counts,
    task: Option<(JoinHandle<()>, CancellationToken)>,
}

impl Exporting {
    /// Shows in `registry` what became of spans.
    ///
    /// # Errors
    /// If it is shown there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.counts.sent.clone()))?;
        registry.register(Box::new(self.counts.dropped.clone()))
    }

    /// Sends what still waits. Spans that end later are dropped.
    pub async fn finish(self) {
        if let Some((task, stop)) = self.task {
            stop.cancel();
            if tokio::time::timeout(LAST, task).await.is_err() {
                tracing::warn!("the collector of traces did not take the last spans in time");
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Counts {
    sent: IntCounter,
    dropped: IntCounterVec,
    no_room: IntCounter,
    not_taken: IntCounter,
}

impl Default for Counts {
    fn default() -> Self {
        let dropped = Opts::new(
            "trace_spans_dropped_total",
            "Spans that were dropped, because too many waited or because the collector did not take them.",
        );
        let dropped = IntCounterVec::new(dropped, &["cause"]).expect("a valid name and label");
        Self {
            sent: IntCounter::new("trace_spans_sent_total", "Spans that the collector took.")
                .expect("a valid name"),
            no_room: dropped.with_label_values(&["queue_full"]),
            not_taken: dropped.with_label_values(&["not_taken"]),
            dropped,
        }
    }
}

/// Makes what spans are made by, if `settings` turn traces on, and what sends them. Runs inside a Tokio runtime.
pub(super) fn start(
    settings: &TraceSettings,
) -> Result<(Option<SdkTracer>, Exporting), TelemetryError> {
    let counts = Counts::default();
    if settings.otlp_endpoint.is_empty() {
        return Ok((None, Exporting { counts, task: None }));
    }
    let (Some(endpoint), Some(headers)) = (settings.endpoint(), settings.header_map()) else {
        return Err(TelemetryError::Collector);
    };
    let resource = Resource::builder_empty()
        .with_service_name(settings.service_name.clone())
        .with_attributes([KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))])
        .build();
    let mut exporter =
        collector::exporter(&endpoint, headers).map_err(|_| TelemetryError::Collector)?;
    exporter.set_resource(&resource);
    let (queue, waiting) = mpsc::channel(QUEUE);
    let stop = CancellationToken::new();
    let task = tokio::spawn(send(exporter, waiting, counts.clone(), stop.clone()));
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Requests::new(settings.sample))
        .with_span_processor(Queue {
            queue,
            no_room: counts.no_room.clone(),
        })
        .build();
    let exporting = Exporting {
        counts,
        task: Some((task, stop)),
    };
    Ok((Some(provider.tracer("shared-server")), exporting))
}

/// Where ended spans wait.
#[derive(Debug)]
struct Queue {
    queue: mpsc::Sender<SpanData>,
    no_room: IntCounter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {}

    fn on_end(&self, mut span: SpanData) {
        // A field of that name would stand in each line of the log.
        if matches!(span.span_kind, SpanKind::Internal) {
            span.span_kind = SpanKind::Server;
        }
        span.attributes
            .retain(|attribute| !matches!(attribute.key.as_str(), "trace_id" | "span_id"));
        if self.queue.try_send(span).is_err() {
            self.no_room.inc();
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Sends what waits until `stop`, then what is left.
async fn send(
    exporter: SpanExporter,
    mut waiting: mpsc::Receiver<SpanData>,
    counts: Counts,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut failing = false;
    loop {
        let first = tokio::select! {
            first = waiting.recv() => first,
            () = stop.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        };
        let Some(first) = first else { return };
        if waiting.len() < BATCH {
            tokio::select! {
                () = tokio::time::sleep(LINGER) => {}
                () = stop.cancelled() => {}
            }
        }
        batch.push(first);
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let count = batch.len() as u64;
        let sent = exporter.export(mem::take(&mut batch)).await;
        match &sent {
            Ok(()) => {
                counts.sent.inc_by(count);
                if failing {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(error) => {
                counts.not_taken.inc_by(count);
                if !failing {
                    tracing::warn!(%error, "the collector does not take traces; spans are dropped");
                }
            }
        }
        failing = sent.is_err();
    }
}

/// Makes the span of a request part of the trace that the request names (W3C Trace Context §3.2), or of a new one: which that is.
pub(crate) fn join(
    span: &Span,
    headers: &HeaderMap,
    name: impl FnOnce() -> String,
) -> Option<TraceId> {
    let parent = TraceParent::of(headers);
    if !on() {
        let parent = parent?;
        span.record("trace_id", tracing::field::display(parent.trace_id()));
        return Some(parent.trace_id());
    }
    if let Some(parent) = parent {
        // Fails for a span that has begun, which this one has not.
        let _ = span.set_parent(parent.context());
    }
    let context = span.context();
    let ours = context.span();
    let place = ours.span_context();
    if place.is_valid() {
        span.record("trace_id", tracing::field::display(place.trace_id()));
        span.record("span_id", tracing::field::display(place.span_id()));
    }
    if ours.is_recording() {
        ours.update_name(name());
    }
    place.is_valid().then(|| place.trace_id())
}

/// Tells how a request ended, in the words of the semantic conventions.
pub(crate) fn ended(span: &Span, route: Option<&str>, method: &'static str, status: Option<u16>) {
    if !on() {
        return;
    }
    let context = span.context();
    let ours = context.span();
    if !ours.is_recording() {
        return;
    }
    ours.set_attribute(KeyValue::new("http.request.method", method));
    if let Some(route) = route {
        ours.set_attribute(KeyValue::new("http.route", route.to_owned()));
    }
    match status {
        Some(status) => {
            ours.set_attribute(KeyValue::new(
                "http.response.status_code",
                i64::from(status),
            ));
            if status >= 500 {
                ours.set_attribute(KeyValue::new("error.type", status.to_string()));
                ours.set_status(Status::error(""));
            }
        }
        None => ours.set_attribute(KeyValue::new("error.type", "aborted")),
    }
}

/// Whether anybody takes spans.
fn on() -> bool {
    tracing::span_enabled!(target: SPANS, Level::DEBUG)
}
