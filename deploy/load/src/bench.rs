//! The benchmark: rounds of every workload, in turns with the floor.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};

use crate::backing::Backing;
use crate::count;
use crate::drive::{Script, anything, drive};
use crate::footprint::Footprint;
use crate::process::Process;
use crate::report::{Figures, Report, Row};
use crate::servers::{AuthServer, CEILING, Programs, ResourceApi, Server, Setup, Stores};
use crate::workload::Workload;

/// Measures the CPU time of each request.
#[derive(Args, Debug)]
pub(crate) struct Benchmark {
    #[command(flatten)]
    programs: Programs,
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

impl Benchmark {
    /// Measures and prints.
    ///
    /// # Errors
    /// If a server does not start, or any response is not what it must be.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
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
        let workloads = if self.workloads.is_empty() {
            Workload::value_variants()
        } else {
            &self.workloads
        };
        let server = AuthServer::start(Setup::new(&self.programs, &self.stores)).await?;
        let api = ResourceApi::start(&server, &self.programs, &self.stores).await?;
        let bench = Bench {
            backing: Backing::find(&self.stores).await?,
            server,
            api,
            floor: Server::floor().await?,
        };
        let footprint = if self.workloads.is_empty() {
            Some(self.footprint(&bench).await?)
        } else {
            None
        };
        let mut rounds = vec![(Vec::new(), Vec::new()); workloads.len()];
        // Once without measuring: caches fill, threads start.
        for &workload in workloads {
            let few = self.requests.min(1000);
            self.round(workload, &bench, few).await?;
        }
        for _ in 0..self.rounds {
            for (&workload, (floors, servers)) in workloads.iter().zip(&mut rounds) {
                let (at_floor, at_server) = self.round(workload, &bench, self.requests).await?;
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
            ceiling: CEILING,
            footprint,
            rows: rows.collect(),
        })
    }

    async fn footprint(&self, bench: &Bench) -> anyhow::Result<Footprint> {
        let (server, api) = (&bench.server, &bench.api.server);
        Footprint::measure(server, api, &self.programs, &self.stores, self.requests)
            .await
            .context("footprint")
    }

    /// The same requests to the floor and to the server.
    async fn round(
        &self,
        workload: Workload,
        bench: &Bench,
        requests: usize,
    ) -> anyhow::Result<(Figures, Figures)> {
        let script = workload
            .script(&bench.server, self.connections, requests)
            .await
            .with_context(|| format!("before {workload}"))?;
        let at_floor = workload.at_floor(&script);
        let load = (self.connections, requests);
        // Nothing but the server uses what lies behind it.
        let at_floor = figures(&bench.floor, &Backing::default(), load, at_floor, anything)
            .await
            .context("floor")?;
        let server = if workload.at_api() {
            &bench.api.server
        } else {
            bench.server.first()
        };
        let at_server = figures(server, &bench.backing, load, script, workload.check())
            .await
            .with_context(|| workload.to_string())?;
        Ok((at_floor, at_server))
    }
}

/// Everything that runs during a measurement.
struct Bench {
    server: AuthServer,
    api: ResourceApi,
    floor: Server,
    backing: Backing,
}

/// One round against one process.
async fn figures(
    server: &Server,
    backing: &Backing,
    (connections, requests): (usize, usize),
    script: Script,
    check: fn(&bytes::Bytes) -> anyhow::Result<()>,
) -> anyhow::Result<Figures> {
    let process: &Process = &server.process;
    process.forget_peak()?;
    let (before, behind) = (process.cpu()?, backing.spent());
    let mut driven = drive(server.port, connections, requests, script, check).await?;
    let (spent, behind) = (
        process.cpu()?.since(&before),
        backing.spent().since(&behind),
    );
    let (_, peak) = process.memory()?;
    Ok(Figures::of(
        spent,
        behind,
        driven.elapsed,
        &mut driven.latencies,
        peak,
    ))
}
