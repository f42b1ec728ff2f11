//! What a server needs besides CPU: memory, disk, and time to start.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Call, Client};
use crate::drive::{Script, anything, drive};
use crate::process::Process;
use crate::servers::{AuthServer, Installation, Programs, Server, Stores};
use crate::stats::median;
use crate::workload::token_request;

/// Connections at which memory is read.
const CONNECTIONS: usize = 1000;
/// Starts, whose median the time is.
const STARTS: usize = 5;
/// How long one may take.
const START: Duration = Duration::from_mins(1);
/// How long nothing is asked before memory is called idle: what hashed a password goes with the thread that did, after ten seconds.
const QUIET: Duration = Duration::from_secs(15);
/// Between two looks whether it is ready.
const LOOK: Duration = Duration::from_millis(1);
/// The health endpoint that says so.
const READY: &str = "/health/ready";

/// The figures, each with what it may be at most.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Footprint(pub(crate) Vec<Figure>);

/// One of them.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) what: String,
    /// Its value.
    pub(crate) value: f64,
    /// MiB or ms.
    pub(crate) unit: String,
    /// The most that was decided, if it was.
    pub(crate) budget: Option<f64>,
}

impl Footprint {
    /// Measures all of it; `server` has served nothing yet but what set it up.
    ///
    /// # Errors
    /// If a server does not answer.
    pub(crate) async fn measure(
        server: &AuthServer,
        api: &Server,
        programs: &Programs,
        stores: &Stores,
        requests: usize,
    ) -> anyhow::Result<Self> {
        let first = server.first();
        let mut figures = Vec::new();
        let mut say = |what: &str, value: f64, unit: &str, budget: Option<f64>| {
            figures.push(Figure {
                what: what.into(),
                value,
                unit: unit.into(),
                budget,
            });
        };
        sleep(QUIET).await;
        say("memory when idle", rss(&first.process)?, "MiB", Some(40.0));
        let connected = connected(first).await?;
        say("memory at 1,000 idle connections", connected, "MiB", None);
        first.process.forget_peak()?;
        let script = Script::Repeat(token_request(server), 1);
        drive(
            first.port,
            CONNECTIONS,
            requests.max(CONNECTIONS),
            script,
            anything,
        )
        .await?;
        let (_, peak) = first.process.memory()?;
        say(
            "peak memory under load at 1,000 connections",
            mib(peak * 1024),
            "MiB",
            Some(120.0),
        );
        say(
            "resource API: memory when idle",
            rss(&api.process)?,
            "MiB",
            Some(40.0),
        );
        let size = size(&programs.auth_server()?)?;
        say("size of the program", size, "MiB", Some(40.0));
        let size = self::size(&programs.resource_api()?)?;
        say("resource API: size of the program", size, "MiB", Some(40.0));
        let (fresh, migrated) = starts(programs, stores).await?;
        say("start to ready, empty database", fresh, "ms", Some(1000.0));
        say(
            "start to ready, migrated database",
            migrated,
            "ms",
            Some(1000.0),
        );
        Ok(Self(figures))
    }
}

/// Resident memory with so many connections that have had one answer.
async fn connected(server: &Server) -> anyhow::Result<f64> {
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let mut client = Client::connect(server.port).await.with_context(|| {
            format!("connection {number}; `ulimit -n 4096` allows more than 1,000")
        })?;
        client.send(Call::get(READY)).await?;
        clients.push(client);
    }
    rss(&server.process)
}

fn rss(process: &Process) -> anyhow::Result<f64> {
    Ok(mib(process.memory()?.0 * 1024))
}

fn size(program: &Path) -> anyhow::Result<f64> {
    let metadata = std::fs::metadata(program).with_context(|| program.display().to_string())?;
    Ok(mib(metadata.len()))
}

#[expect(clippy::cast_precision_loss, reason = "sizes here are far below 2^52")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Milliseconds from start to ready: on an empty database, where keys are made too, and on one that is ready for use.
async fn starts(programs: &Programs, stores: &Stores) -> anyhow::Result<(f64, f64)> {
    let program = programs.auth_server()?;
    let (mut fresh, mut migrated) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let installation = Installation::new(&program, stores, 1, Vec::new()).await?;
        for times in [&mut fresh, &mut migrated] {
            times.push(start(&installation).await?.as_secs_f64() * 1000.0);
        }
    }
    Ok((median(&fresh), median(&migrated)))
}

/// One start; the server ends again.
async fn start(installation: &Installation) -> anyhow::Result<Duration> {
    let port = installation
        .port(0)
        .context("an installation without a node")?;
    let began = Instant::now();
    let mut process = Process::start(&mut installation.command_at(0, &["serve"]))?;
    let ready = async {
        loop {
            if let Ok(mut client) = Client::connect(port).await
                && client.ok(Call::get(READY)).await.is_ok()
            {
                return began.elapsed();
            }
            sleep(LOOK).await;
        }
    };
    let ready = timeout(START, ready).await;
    process.still_runs()?;
    process.end().await?;
    ready.context("the server was not ready in time")
}
