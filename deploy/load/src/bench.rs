//! The benchmark: rounds of every workload, in turns with the floor.

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum as _};

use crate::backing::Backing;
use crate::client::{Call, Destination};
use crate::count;
use crate::drive::{Script, anything, connect, perform};
use crate::footprint::Footprint;
use crate::process::Process;
use crate::report::{Figures, Report, Row};
use crate::servers::{
    AuthServer, CEILING, Certificates, Programs, ResourceApi, Server, Setup, Stores,
};
use crate::workload::{Terms, Workload};

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
        let certificates = Certificates::new()?;
        let (programs, stores) = (&self.programs, &self.stores);
        let setup = Setup {
            settings: certificates.of_issuer(),
            ..Setup::new(programs, stores)
        };
        let server = AuthServer::start(setup).await?;
        let settings = certificates.of_api();
        let api = ResourceApi::start(&server, programs, stores, &settings).await?;
        let bench = Bench {
            backing: Backing::find(stores).await?,
            server,
            api,
            floor: Server::floor(&certificates).await?,
            certificates,
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
                budget_cpu_ms: workload.terms().budget,
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
        let terms = workload.terms();
        let certificates = &bench.certificates;
        let script = workload
            .script((&bench.server, certificates), self.connections, requests)
            .await
            .with_context(|| format!("before {workload}"))?;
        let at_floor = workload.at_floor(&script);
        let load = (self.connections, requests);
        // Nothing but the server uses what lies behind it.
        let floor = Measured::new(&bench.floor, &certificates.floor, &terms);
        let at_floor = floor
            .figures(&Backing::default(), load, at_floor, anything)
            .await
            .context("floor")?;
        let server = if terms.at_api {
            Measured::new(&bench.api.server, &certificates.api, &terms)
        } else {
            Measured::new(bench.server.first(), &certificates.issuer, &terms)
        };
        let at_server = server
            .figures(&bench.backing, load, script, terms.check)
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
    certificates: Certificates,
}

/// A process, and where it is asked.
struct Measured<'a> {
    process: &'a Process,
    at: Destination,
}

impl<'a> Measured<'a> {
    fn new(server: &'a Server, by_certificate: &Destination, terms: &Terms) -> Self {
        Self {
            process: &server.process,
            at: if terms.by_certificate {
                by_certificate.clone()
            } else {
                server.port.into()
            },
        }
    }

    /// One round.
    async fn figures(
        &self,
        backing: &Backing,
        (connections, requests): (usize, usize),
        script: Script,
        check: fn(&bytes::Bytes) -> anyhow::Result<()>,
    ) -> anyhow::Result<Figures> {
        let mut clients = connect(self.at.clone(), connections).await?;
        for client in &mut clients {
            // Whatever it answers, then its part of a handshake is over too.
            client.send(Call::get("/")).await?;
        }
        let process = self.process;
        process.forget_peak()?;
        let (before, behind) = (process.cpu()?, backing.spent());
        let mut driven = perform(clients, requests, script, check).await?;
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
}
