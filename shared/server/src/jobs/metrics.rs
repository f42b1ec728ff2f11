//! What is measured of jobs.

use std::time::Duration;

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};
use shared_protocol::time::Instant;

use super::Outcome;
use super::schedules::ScheduleRow;

/// What is measured of jobs, labelled by their names: as `task`, because Prometheus calls what it scrapes `job`.
#[derive(Clone)]
pub struct JobMetrics {
    runs: IntCounterVec,
    duration: HistogramVec,
    last_success: GaugeVec,
    lateness: GaugeVec,
}

impl JobMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let duration =
            HistogramOpts::new("job_duration_seconds", "Time that a run on this node took.")
                .buckets(vec![0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0]);
        let metrics = Self {
            runs: IntCounterVec::new(
                Opts::new("job_runs_total", "Runs on this node, by outcome."),
                &["task", "outcome"],
            )?,
            duration: HistogramVec::new(duration, &["task"])?,
            last_success: GaugeVec::new(
                Opts::new(
                    "job_last_success_timestamp_seconds",
                    "When the job last succeeded on any node.",
                ),
                &["task"],
            )?,
            lateness: GaugeVec::new(
                Opts::new(
                    "job_lateness_seconds",
                    "Time since the job was due; it ends when the run does.",
                ),
                &["task"],
            )?,
        };
        registry.register(Box::new(metrics.runs.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.last_success.clone()))?;
        registry.register(Box::new(metrics.lateness.clone()))?;
        Ok(metrics)
    }

    pub(super) fn look(&self, job: &str, row: &ScheduleRow, now: Instant) {
        let labels = &[job];
        if let Some(at) = row.finished_at {
            let since = at.since(Instant::EPOCH).as_secs_f64();
            self.last_success.with_label_values(labels).set(since);
        }
        let late = now.since(row.next_at).as_secs_f64();
        self.lateness.with_label_values(labels).set(late);
        for outcome in Outcome::ALL {
            // So that a rate can be told from the first run on.
            self.runs.with_label_values(&[job, outcome.as_str()]);
        }
    }

    pub(super) fn ran(&self, job: &str, outcome: Outcome, took: Duration) {
        self.runs.with_label_values(&[job, outcome.as_str()]).inc();
        self.duration
            .with_label_values(&[job])
            .observe(took.as_secs_f64());
    }
}
