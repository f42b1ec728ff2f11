//! Nodes and backends are killed under mixed load: nothing is lost, nothing is used twice, and everything is back soon.

mod backends;
mod killed;
mod seen;
mod worker;

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use self::backends::{Postgres, Redis};
use self::killed::Killed as _;
use self::seen::Seen;
use self::worker::{Traffic, Worker};
use crate::count;
use crate::servers::{AuthServer, Programs, ResourceApi, Server, Setup};

/// How long what was killed stays away.
const AWAY: Duration = Duration::from_secs(5);
/// How soon everything works again after it is back.
const BACK: Duration = Duration::from_secs(2);
/// By then every node knows of what was revoked at another.
const KNOWN: Duration = Duration::from_secs(1);
/// After this long we stop looking.
const GIVE_UP: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Kills a node, Redis, PostgreSQL and then everything under mixed load; whatever is lost or used twice is a failure.
///
/// Starts a PostgreSQL that waits for the disk, a Redis without persistence, two nodes and a resource API. Clients may meet
/// connection errors and 503 with Retry-After, and try again at the other node; anything else is a failure, as is a service that is
/// not back two seconds after its backend.
#[derive(Args, Debug)]
pub(crate) struct Faults {
    #[command(flatten)]
    programs: Programs,
    /// The folder of PostgreSQL's programs [default: the newest in /usr/lib/postgresql]
    #[arg(long, value_name = "FOLDER")]
    postgres_programs: Option<PathBuf>,
    /// Seconds of load before each fault, and after the last
    #[arg(long, default_value_t = 20, value_parser = count(1..=3600))]
    seconds: usize,
    /// Clients at a time
    #[arg(long, default_value_t = 8, value_parser = count(1..=256))]
    clients: usize,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What is killed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    Node,
    Redis,
    Postgres,
    Everything,
}

/// What came of one fault.
#[derive(Serialize)]
struct Phase {
    fault: Fault,
    /// From the moment when what was killed answers again until every node is ready and does all that there is to ask.
    back_after_ms: Option<u128>,
    seen: Seen,
}

#[derive(Serialize)]
struct Outcome {
    phases: Vec<Phase>,
    /// Refresh tokens whose last one worked at the end.
    chains: u64,
    /// Looks at revoked tokens that were dead.
    dead: u64,
    /// What was met after the last fault, and when all was quiet.
    last: Seen,
}

/// All that can be killed.
struct Cluster {
    traffic: Arc<Traffic>,
    nodes: Vec<Option<Server>>,
    postgres: Postgres,
    redis: Redis,
    probe: Worker,
}

impl Faults {
    /// Runs and prints.
    ///
    /// # Errors
    /// If something does not start.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let postgres = Postgres::start(self.postgres_programs.clone()).await?;
        let redis = Redis::start().await?;
        let stores = backends::stores(&postgres, &redis);
        let setup = Setup {
            nodes: 2,
            settings: vec![
                ("keys.algorithms", "[\"ES256\"]".into()),
                // Each 503 is warned of.
                ("log.filter", "error".into()),
            ],
            ..Setup::new(&self.programs, &stores)
        };
        let mut server = AuthServer::start(setup).await?;
        let _api = ResourceApi::start(&server, &self.programs, &stores, &[]).await?;
        let nodes = std::mem::take(&mut server.nodes);
        let traffic = Arc::new(Traffic {
            ports: nodes.iter().map(|node| node.port).collect(),
            server,
            seen: std::sync::Mutex::default(),
            losses: 0.into(),
            ends: false.into(),
        });
        let mut cluster = Cluster {
            probe: Worker::new(&traffic, 0, false),
            traffic,
            nodes: nodes.into_iter().map(Some).collect(),
            postgres,
            redis,
        };
        let outcome = self.perform(&mut cluster).await?;
        let mut out = io::stdout();
        if self.json {
            writeln!(out, "{}", serde_json::to_string_pretty(&outcome)?)?;
        } else {
            write!(out, "{outcome}")?;
        }
        Ok(if outcome.passed() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    async fn perform(&self, cluster: &mut Cluster) -> anyhow::Result<Outcome> {
        let traffic = Arc::clone(&cluster.traffic);
        let mut running = JoinSet::new();
        for turn in 0..self.clients {
            running.spawn(Worker::new(&traffic, turn, true).work());
        }
        let steady = Duration::from_secs(u64::try_from(self.seconds)?);
        let mut phases = Vec::new();
        for fault in [
            Fault::Node,
            Fault::Redis,
            Fault::Postgres,
            Fault::Everything,
        ] {
            sleep(steady).await;
            cluster.kill(fault).await?;
            sleep(AWAY).await;
            cluster
                .start_again(fault)
                .await
                .with_context(|| format!("after {fault:?}"))?;
            let back_after_ms = cluster.back_after().await.map(|time| time.as_millis());
            let phase = Phase {
                fault,
                back_after_ms,
                seen: std::mem::take(&mut *traffic.seen()),
            };
            eprint!("{phase}");
            phases.push(phase);
        }
        sleep(steady).await;
        traffic.ends.store(true, Ordering::Release);
        let workers = running.join_all().await;
        sleep(KNOWN).await;
        let (mut chains, mut dead) = (0, 0);
        for mut worker in workers {
            let settled = worker.settle().await;
            chains += settled.0;
            dead += settled.1;
        }
        let last = std::mem::take(&mut *traffic.seen());
        Ok(Outcome {
            phases,
            chains,
            dead,
            last,
        })
    }
}

impl Cluster {
    async fn kill(&mut self, fault: Fault) -> anyhow::Result<()> {
        let everything = matches!(fault, Fault::Everything);
        if everything || matches!(fault, Fault::Node) {
            let count = if everything { self.nodes.len() } else { 1 };
            for node in self.nodes.iter_mut().take(count) {
                node.kill().await?;
            }
        }
        if everything || matches!(fault, Fault::Redis) {
            self.redis.kill().await?;
            self.traffic.losses.fetch_add(1, Ordering::AcqRel);
        }
        if everything || matches!(fault, Fault::Postgres) {
            self.postgres.kill().await?;
        }
        Ok(())
    }

    async fn start_again(&mut self, fault: Fault) -> anyhow::Result<()> {
        if matches!(fault, Fault::Everything | Fault::Postgres) {
            self.postgres.start_again().await?;
        }
        if matches!(fault, Fault::Everything | Fault::Redis) {
            self.redis.start_again().await?;
        }
        for (number, node) in self.nodes.iter_mut().enumerate() {
            if node.is_none() {
                *node = Some(self.traffic.server.installation.start(number).await?);
            }
        }
        Ok(())
    }

    /// How long it takes until every node is ready and does everything.
    async fn back_after(&mut self) -> Option<Duration> {
        let since = Instant::now();
        while since.elapsed() < GIVE_UP {
            let mut served = true;
            for node in 0..self.nodes.len() {
                served = served && self.probe.is_served(node).await;
            }
            if served {
                return Some(since.elapsed());
            }
            sleep(PAUSE).await;
        }
        None
    }
}

impl Phase {
    fn passed(&self) -> bool {
        let in_time = |ms| ms <= BACK.as_millis();
        self.back_after_ms.is_some_and(in_time) && self.seen.wrong == 0
    }
}

impl Outcome {
    fn passed(&self) -> bool {
        self.phases.iter().all(Phase::passed) && self.last.wrong == 0 && self.chains > 0
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let back = self
            .back_after_ms
            .map_or("never".into(), |ms| format!("{ms} ms"));
        writeln!(f, "{:?} killed; back after {back}", self.fault)?;
        write!(f, "{}", self.seen)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for phase in &self.phases {
            write!(f, "{phase}")?;
        }
        writeln!(
            f,
            "At the end: {} refresh tokens work, {} looks at revoked tokens found them dead",
            self.chains, self.dead
        )?;
        write!(f, "{}", self.last)?;
        writeln!(f, "{}", if self.passed() { "passed" } else { "FAILED" })
    }
}
