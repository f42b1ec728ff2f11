//! What was measured: as a table, as JSON, and beside an earlier measurement.

use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::stats::{median, percentile};

/// All figures of one measurement.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// Requests of each round.
    pub(crate) requests: usize,
    /// Rounds, whose medians the figures are.
    pub(crate) rounds: usize,
    /// Resident memory of the server before the first request, in KiB.
    pub(crate) idle_memory_kib: u64,
    /// One for each workload.
    pub(crate) rows: Vec<Row>,
}

/// The figures of one workload.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) workload: String,
    /// The server's.
    pub(crate) server: Figures,
    /// The bare handler's.
    pub(crate) floor: Figures,
    /// CPU time that a request may cost, in milliseconds.
    pub(crate) budget_cpu_ms: f64,
}

/// Figures of one process: of one round, or medians over rounds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// CPU time of the process, user and system: milliseconds a request, which is seconds for 1,000.
    pub(crate) cpu_ms: f64,
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Half of all requests were faster, in microseconds.
    pub(crate) p50_us: f64,
    /// 99 of 100 requests were faster, in microseconds.
    pub(crate) p99_us: f64,
    /// The highest resident memory, in MiB.
    pub(crate) peak_mib: f64,
}

impl Figures {
    /// Of one round.
    pub(crate) fn of(
        cpu: std::time::Duration,
        elapsed: std::time::Duration,
        latencies: &mut [f64],
        peak_kib: u64,
    ) -> Self {
        let requests = to_float(latencies.len());
        Self {
            cpu_ms: cpu.as_secs_f64() * 1000.0 / requests,
            per_second: requests / elapsed.as_secs_f64(),
            p50_us: percentile(latencies, 50),
            p99_us: percentile(latencies, 99),
            peak_mib: to_float(usize::try_from(peak_kib).unwrap_or(usize::MAX)) / 1024.0,
        }
    }

    /// The median of each figure.
    pub(crate) fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        Self {
            cpu_ms: of(|round| round.cpu_ms),
            per_second: of(|round| round.per_second),
            p50_us: of(|round| round.p50_us),
            p99_us: of(|round| round.p99_us),
            peak_mib: of(|round| round.peak_mib),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn to_float(count: usize) -> f64 {
    count as f64
}

impl Row {
    fn ratio(&self) -> f64 {
        self.server.cpu_ms / self.floor.cpu_ms
    }
}

impl Report {
    /// Reads one that was saved.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Each workload's CPU time beside that of `before`.
    pub(crate) fn compared_with(&self, before: &Self) -> String {
        let mut text = format!(
            "{:<24}{:>12}{:>12}{:>10}\n",
            "CPU s / 1,000 requests", "before", "now", "change"
        );
        for row in &self.rows {
            let earlier = before
                .rows
                .iter()
                .find(|other| other.workload == row.workload);
            let name = &row.workload;
            let now = row.server.cpu_ms;
            let _ = match earlier.map(|earlier| earlier.server.cpu_ms) {
                Some(was) => {
                    let change = (now / was - 1.0) * 100.0;
                    writeln!(text, "{name:<24}{was:>12.4}{now:>12.4}{change:>+9.1}%")
                }
                None => writeln!(text, "{name:<24}{:>12}{now:>12.4}", "-"),
            };
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} connections, {} requests a round, medians of {} rounds; memory when idle {} MiB",
            self.connections,
            self.requests,
            self.rounds,
            self.idle_memory_kib / 1024
        )?;
        writeln!(
            f,
            "{:<24}{:>11}{:>9}{:>8}{:>9}{:>8}{:>10}{:>10}{:>10}{:>10}",
            "",
            "CPU s/1,000",
            "floor",
            "ratio",
            "budget",
            "",
            "requests/s",
            "p50 µs",
            "p99 µs",
            "peak MiB"
        )?;
        for row in &self.rows {
            let server = row.server;
            let verdict = if server.cpu_ms <= row.budget_cpu_ms {
                "kept"
            } else {
                "over"
            };
            writeln!(
                f,
                "{:<24}{:>11.4}{:>9.4}{:>8.2}{:>9.3}{verdict:>8}{:>10.0}{:>10.0}{:>10.0}{:>10.1}",
                row.workload,
                server.cpu_ms,
                row.floor.cpu_ms,
                row.ratio(),
                row.budget_cpu_ms,
                server.per_second,
                server.p50_us,
                server.p99_us,
                server.peak_mib
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cpu_ms: f64) -> Report {
        let figures = |cpu_ms| Figures {
            cpu_ms,
            ..Figures::default()
        };
        Report {
            connections: 1,
            requests: 1,
            rounds: 1,
            idle_memory_kib: 1024,
            rows: vec![Row {
                workload: "jwks".into(),
                server: figures(cpu_ms),
                floor: figures(0.01),
                budget_cpu_ms: 0.012,
            }],
        }
    }

    #[test]
    fn a_report_survives_being_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        std::fs::write(&path, serde_json::to_vec(&report(0.02)).unwrap()).unwrap();
        assert_eq!(Report::read(&path).unwrap(), report(0.02));
        assert!(Report::read(folder.path()).is_err());
    }

    #[test]
    fn the_table_tells_the_ratio_and_who_is_over_budget() {
        for (cpu_ms, expected) in [(0.012, ["1.20", "kept"]), (0.02, ["2.00", "over"])] {
            let table = report(cpu_ms).to_string();
            for text in expected {
                assert!(table.contains(text), "{text} in {table}");
            }
        }
    }

    #[test]
    fn a_comparison_tells_the_change_of_what_both_measured() {
        let both = report(0.03).compared_with(&report(0.02));
        assert!(both.contains("+50.0%"), "{both}");
        let mut before = report(0.02);
        before.rows.clear();
        let only_now = report(0.03).compared_with(&before);
        assert!(
            !only_now.contains('%') && only_now.contains("0.0300"),
            "{only_now}"
        );
    }
}
