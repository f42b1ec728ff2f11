//! What was measured: as a table, as JSON, and beside an earlier measurement.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::backing::Spent;
use crate::footprint::{Figure, Footprint};
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
    /// Requests of one address, client or person in a minute that the limits of the server, which count each, let through.
    pub(crate) ceiling: u32,
    /// Memory, disk and start; not when single workloads were chosen.
    pub(crate) footprint: Option<Footprint>,
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
    /// CPU time that a request may cost, in milliseconds, if that was decided.
    pub(crate) budget_cpu_ms: Option<f64>,
}

/// Figures of one process: of one round, or medians over rounds.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Figures {
    /// CPU time of the process, user and system: milliseconds a request, which is seconds for 1,000.
    pub(crate) cpu_ms: f64,
    /// The same of PostgreSQL, if one of this machine is used.
    pub(crate) postgres_ms: Option<f64>,
    /// The same of Redis, if one of this machine is used.
    pub(crate) redis_ms: Option<f64>,
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
        cpu: Duration,
        behind: Spent,
        elapsed: Duration,
        latencies: &mut [f64],
        peak_kib: u64,
    ) -> Self {
        let requests = to_float(latencies.len());
        let a_request = |spent: Duration| spent.as_secs_f64() * 1000.0 / requests;
        Self {
            cpu_ms: a_request(cpu),
            postgres_ms: behind.postgres.map(a_request),
            redis_ms: behind.redis.map(a_request),
            per_second: requests / elapsed.as_secs_f64(),
            p50_us: percentile(latencies, 50),
            p99_us: percentile(latencies, 99),
            peak_mib: to_float(usize::try_from(peak_kib).unwrap_or(usize::MAX)) / 1024.0,
        }
    }

    /// The median of each figure.
    pub(crate) fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        let known = |figure: fn(&Self) -> Option<f64>| {
            let values: Vec<_> = rounds.iter().filter_map(figure).collect();
            (!values.is_empty()).then(|| median(&values))
        };
        Self {
            cpu_ms: of(|round| round.cpu_ms),
            postgres_ms: known(|round| round.postgres_ms),
            redis_ms: known(|round| round.redis_ms),
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
            "{} connections, {} requests a round, medians of {} rounds; rate limits at {} a minute",
            self.connections, self.requests, self.rounds, self.ceiling
        )?;
        writeln!(
            f,
            "{:<24}{:>11}{:>9}{:>7}{:>8}{:>6}{:>11}{:>9}{:>12}{:>9}{:>9}{:>10}",
            "CPU s / 1,000 requests",
            "server",
            "floor",
            "ratio",
            "budget",
            "",
            "PostgreSQL",
            "Redis",
            "requests/s",
            "p50 µs",
            "p99 µs",
            "peak MiB"
        )?;
        for row in &self.rows {
            let server = row.server;
            writeln!(
                f,
                "{:<24}{:>11.4}{:>9.4}{:>7.2}{:>8}{:>6}{:>11}{:>9}{:>12.0}{:>9.0}{:>9.0}{:>10.1}",
                row.workload,
                server.cpu_ms,
                row.floor.cpu_ms,
                row.ratio(),
                figure(row.budget_cpu_ms, 3),
                verdict(server.cpu_ms, row.budget_cpu_ms),
                figure(server.postgres_ms, 4),
                figure(server.redis_ms, 4),
                server.per_second,
                server.p50_us,
                server.p99_us,
                server.peak_mib
            )?;
        }
        let Some(Footprint(figures)) = &self.footprint else {
            return Ok(());
        };
        writeln!(f)?;
        for Figure {
            what,
            value,
            unit,
            budget,
        } in figures
        {
            writeln!(
                f,
                "{what:<44}{value:>9.1} {unit:<4}{:>8}{:>6}",
                figure(*budget, 0),
                verdict(*value, *budget)
            )?;
        }
        Ok(())
    }
}

/// A figure, or a dash for none.
fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn verdict(value: f64, budget: Option<f64>) -> &'static str {
    match budget {
        Some(budget) if value <= budget => "kept",
        Some(_) => "over",
        None => "",
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
            ceiling: 1,
            footprint: Some(Footprint(vec![Figure {
                what: "memory when idle".into(),
                value: 41.0,
                unit: "MiB".into(),
                budget: Some(40.0),
            }])),
            rows: vec![Row {
                workload: "jwks".into(),
                server: figures(cpu_ms),
                floor: figures(0.01),
                budget_cpu_ms: Some(0.012),
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
    fn what_was_not_decided_or_not_measured_is_a_dash() {
        let mut report = report(0.02);
        let row = report.rows.first_mut().unwrap();
        row.budget_cpu_ms = None;
        row.server.postgres_ms = Some(0.5);
        let table = report.to_string();
        let line = table.lines().find(|line| line.starts_with("jwks")).unwrap();
        let cells: Vec<_> = line.split_whitespace().collect();
        assert_eq!(cells[4..7], ["-", "0.5000", "-"], "{table}");
        let line = table.lines().last().unwrap();
        assert!(
            line.starts_with("memory when idle") && line.ends_with("over"),
            "{table}"
        );
        report.footprint = None;
        assert!(!report.to_string().contains("memory when idle"));
    }

    #[test]
    fn medians_leave_out_what_was_not_measured() {
        let rounds = [None, Some(1.0), Some(3.0)].map(|redis_ms| Figures {
            redis_ms,
            ..Figures::default()
        });
        let medians = Figures::medians(&rounds);
        assert_eq!((medians.redis_ms, medians.postgres_ms), (Some(2.0), None));
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
