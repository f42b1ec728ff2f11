//! What a server tells of itself: log lines and metrics.

mod log;
mod metrics;

pub use self::log::{LogFormat, LogSettings, TelemetryError, init, subscriber};
pub use self::metrics::{HttpMetrics, metrics_router};
