//! The log: one line for one event, each with the id of its request.

use std::panic;

use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

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
    /// There is a log already.
    #[error("the log of this process is set up already")]
    Taken(#[source] tracing::dispatcher::SetGlobalDefaultError),
}

/// Logs to standard error from now on, in the whole process, panics included.
///
/// # Errors
/// If the filter cannot be read, or there is a log already.
pub fn init(settings: &LogSettings) -> Result<(), TelemetryError> {
    let subscriber = subscriber(settings, std::io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(TelemetryError::Taken)?;
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string);
        let message = panicked.payload_as_str();
        tracing::error!(place, message, "panicked");
    }));
    Ok(())
}

/// Logs to `writer`; for tests, and for [`init`].
///
/// # Errors
/// If the filter cannot be read.
pub fn subscriber<W>(
    settings: &LogSettings,
    writer: W,
) -> Result<impl Subscriber + Send + Sync + 'static, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = targets(&settings.filter).ok_or(TelemetryError::Filter)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines = match settings.format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    Ok(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// A bare word must be a level: as a target, a misspelt one would silence everything else.
fn targets(filter: &str) -> Option<Targets> {
    let clear = |part: &str| {
        part.contains('=') || (!part.is_empty() && part.parse::<LevelFilter>().is_ok())
    };
    filter.split(',').all(clear).then(|| filter.parse().ok())?
}
