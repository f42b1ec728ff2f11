//! The log: one line for one event, each with the id of its request.

use std::panic;

use opentelemetry_sdk::trace::SdkTracer;
use serde::{Deserialize, Serialize};
use tracing::{Dispatch, Metadata};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use super::traces::{self, Exporting, REQUEST, SPANS, TraceSettings};

/// How and what to log. A section of the configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `json` (the default) or `text`.
    pub format: LogFormat,
    /// A level (`off`, `error`, `warn`, `info`, `debug`, `trace`) and exceptions by target: `info,auth_server=debug`. Default
    /// `info`.
    pub filter: String,
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// An object, for machines.
    Json,
    /// For people.
    Text,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            filter: "info".to_owned(),
        }
    }
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("the log filter cannot be read; write it like \"info,auth_server=debug\"")]
    Filter,
    /// Nobody can be told of traces there.
    #[error(
        "traces cannot be sent; traces.otlp_endpoint is a URL such as \"http://localhost:4318/v1/traces\", and traces.headers holds `name: value` on each line"
    )]
    Collector,
    /// There is a log already.
    #[error("the log of this process is set up already")]
    Taken(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

/// Logs to standard error from now on, in the whole process, panics included, and traces where `traces` say. Runs inside a Tokio
/// runtime.
///
/// # Errors
/// If a setting cannot be used, or there is a log already.
pub fn init(log: &LogSettings, traces: &TraceSettings) -> Result<Exporting, TelemetryError> {
    let (dispatch, exporting) = dispatch(log, traces, std::io::stderr)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(TelemetryError::Taken)?;
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string);
        let message = panicked.payload_as_str();
        tracing::error!(place, message, "panicked");
    }));
    Ok(exporting)
}

/// Logs to `writer`, and traces where `traces` say; for tests, and for [`init`].
///
/// # Errors
/// If a setting cannot be used.
pub fn dispatch<W>(
    log: &LogSettings,
    traces: &TraceSettings,
    writer: W,
) -> Result<(Dispatch, Exporting), TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = targets(&log.filter).ok_or(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    let (maker, exporting) = traces::start(traces)?;
    let lines = tracing_subscriber::registry().with(lines.with_filter(filter));
    // Without traces nothing of them is asked.
    let dispatch = match maker {
        None => Dispatch::new(lines),
        Some(maker) => Dispatch::new(lines.with(spans(maker).with_filter(filter_fn(traced)))),
    };
    Ok((dispatch, exporting))
}

/// What makes traces of spans: of their fields, and of nothing that is logged within them.
fn spans<S>(tracer: SdkTracer) -> OpenTelemetryLayer<S, SdkTracer>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_context_activation(false)
        .with_level(false)
        .with_location(false)
        .with_target(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
}

fn traced(about: &Metadata<'_>) -> bool {
    about.is_span()
        && (about.target() == SPANS
            || (about.name() == REQUEST && about.target().starts_with("shared_server::")))
}

/// A bare word must be a level: as a target, a misspelt one would silence everything else.
fn targets(filter: &str) -> Option<Targets> {
    let clear = |part: &str| {
        part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    let filter: Targets = filter
        .split(',')
        .all(clear)
        .then(|| filter.parse().ok())??;
    Some(filter.with_target(SPANS, LevelFilter::OFF))
}
