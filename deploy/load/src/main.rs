//! Benchmark of a running server: CPU for each request beside a bare handler.

mod drive;
mod floor;
mod process;
mod report;
mod servers;
mod stats;
mod workload;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum as _};
use shared_server::telemetry::LogSettings;

use crate::drive::{Script, anything, drive};
use crate::process::Process;
use crate::report::{Figures, Report, Row};
use crate::servers::{AuthServer, Server, Stores};
use crate::workload::Workload;

/// As the server allocates, so does the floor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What both servers log: nothing of a request that succeeds.
const LOG_FILTER: &str = "warn";

/// Measures the CPU time of an authorization server for each request, beside a bare handler.
///
/// Starts the server on a database of its own in a temporary folder, and a bare handler behind the same listener and layers; drives
/// both in turns over connections within this machine; prints medians. The figure that counts is CPU time of the server's process,
/// user and system: seconds for 1,000 requests are milliseconds a request. The rest drifts with the machine.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  cargo build --release -p auth-server -p load
  target/release/load
  target/release/load --workload client-credentials --save before.json
  target/release/load --workload client-credentials --compare before.json"
)]
struct Cli {
    #[command(flatten)]
    benchmark: Benchmark,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the bare handlers: GET /answer answers, POST /sign signs one token
    Floor {
        /// The port on this machine
        #[arg(long)]
        port: u16,
    },
}

#[derive(Args, Debug)]
struct Benchmark {
    /// The authorization server's program, a release build [default: auth-server beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// What to measure (may repeat) [default: everything]
    #[arg(long = "workload", value_enum)]
    workloads: Vec<Workload>,
    /// Connections at a time
    #[arg(long, default_value_t = 32, value_parser = count(1..=4096))]
    connections: usize,
    /// Requests of each round
    #[arg(long, default_value_t = 20_000, value_parser = count(1..=10_000_000))]
    requests: usize,
    /// Rounds of each workload
    #[arg(long, default_value_t = 3, value_parser = count(1..=100))]
    rounds: usize,
    #[command(flatten)]
    stores: Stores,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
    /// Keep the figures in a file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Print the change since figures that were kept
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
}

/// A number within `range`.
fn count(
    range: std::ops::RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    move |raw| match raw.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Floor { port }) => {
            let log = LogSettings {
                filter: LOG_FILTER.into(),
                ..LogSettings::default()
            };
            floor::serve(port, log).await
        }
        None => cli.benchmark.run().await,
    }
}

impl Benchmark {
    async fn run(self) -> anyhow::Result<()> {
        let before = self.compare.as_deref().map(Report::read).transpose()?;
        let report = self.measure().await?;
        let json = serde_json::to_string_pretty(&report)?;
        if let Some(path) = &self.save {
            std::fs::write(path, &json).with_context(|| path.display().to_string())?;
        }
        let mut out = io::stdout();
        if self.json {
            writeln!(out, "{json}")?;
        } else {
            write!(out, "{report}")?;
        }
        if let Some(before) = before.filter(|_| !self.json) {
            write!(out, "\n{}", report.compared_with(&before))?;
        }
        Ok(())
    }

    /// Rounds of all workloads take turns, each beside its floor, so that a slow minute of the machine touches all alike.
    async fn measure(&self) -> anyhow::Result<Report> {
        let program = match &self.server {
            Some(program) => program.clone(),
            None => std::env::current_exe()?.with_file_name("auth-server"),
        };
        let workloads = if self.workloads.is_empty() {
            Workload::value_variants()
        } else {
            &self.workloads
        };
        let server = AuthServer::start(&program, &self.stores).await?;
        let floor = Server::floor().await?;
        let (idle_memory_kib, _) = server.server.process.memory()?;
        let mut rounds = vec![(Vec::new(), Vec::new()); workloads.len()];
        // Once without measuring: caches fill, threads start.
        for &workload in workloads {
            let few = self.requests.min(1000);
            self.round(workload, &server, &floor, few).await?;
        }
        for _ in 0..self.rounds {
            for (&workload, (floors, servers)) in workloads.iter().zip(&mut rounds) {
                let (at_floor, at_server) =
                    self.round(workload, &server, &floor, self.requests).await?;
                floors.push(at_floor);
                servers.push(at_server);
            }
        }
        let rows = workloads
            .iter()
            .zip(&rounds)
            .map(|(workload, (floors, servers))| Row {
                workload: workload.to_string(),
                server: Figures::medians(servers),
                floor: Figures::medians(floors),
                budget_cpu_ms: workload.budget(),
            });
        Ok(Report {
            connections: self.connections,
            requests: self.requests,
            rounds: self.rounds,
            idle_memory_kib,
            rows: rows.collect(),
        })
    }

    /// The same requests to the floor and to the server.
    async fn round(
        &self,
        workload: Workload,
        server: &AuthServer,
        floor: &Server,
        requests: usize,
    ) -> anyhow::Result<(Figures, Figures)> {
        let script = workload
            .script(server, self.connections, requests)
            .await
            .with_context(|| format!("before {workload}"))?;
        let at_floor = workload.at_floor(&script);
        let load = (self.connections, requests);
        let at_floor = figures(floor, load, at_floor, anything)
            .await
            .context("floor")?;
        let at_server = figures(&server.server, load, script, workload.check())
            .await
            .with_context(|| workload.to_string())?;
        Ok((at_floor, at_server))
    }
}

/// One round against one process.
async fn figures(
    server: &Server,
    (connections, requests): (usize, usize),
    script: Script,
    check: fn(&bytes::Bytes) -> anyhow::Result<()>,
) -> anyhow::Result<Figures> {
    let process: &Process = &server.process;
    process.forget_peak()?;
    let before = process.cpu()?;
    let mut driven = drive(server.port, connections, requests, script, check).await?;
    let spent = process.cpu()?.since(&before);
    let (_, peak) = process.memory()?;
    Ok(Figures::of(
        spent,
        driven.elapsed,
        &mut driven.latencies,
        peak,
    ))
}
