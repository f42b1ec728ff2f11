//! What a server tells of itself: log lines, metrics and traces.

mod log;
mod metrics;
mod process;
mod readings;
mod traces;

pub use self::log::{LogFormat, LogSettings, TelemetryError, dispatch, init};
pub(crate) use self::metrics::BUCKETS;
pub use self::metrics::{HttpMetrics, metrics_router};
pub use self::process::process;
pub use self::readings::{Reading, caches, connections, counters, gauges, number};
pub use self::traces::{Exporting, TraceSettings};
pub(crate) use self::traces::{REQUEST, SPANS, ended, join};
