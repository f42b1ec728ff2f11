//! Work that one node at a time does every so often.
//!
//! Each job has a row that tells when it is due and who is at it. Every node looks at the rows once a second; of those that find one
//! due, one claims it and shows that it lives by moving the row on. See `watch` for why no clock of another node is believed.

mod metrics;
mod report;
mod runner;
mod schedules;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared_protocol::random::{self, Random};
use shared_protocol::time::{Clock, Instant};
use tokio::task::JoinSet;

use crate::db::Store;
use crate::web::Shutdown;

pub use self::metrics::JobMetrics;
pub use self::report::{JobsUnwell, Report};
pub use self::runner::{Outcome, Runner};

/// Why a job failed.
pub type JobError = Box<dyn std::error::Error + Send + Sync>;

type Work = dyn Fn(Instant) -> BoxFuture<'static, Result<(), JobError>> + Send + Sync;

#[derive(Clone)]
struct Job {
    name: &'static str,
    every: Duration,
    work: Arc<Work>,
}

/// How often nodes look, and for how long they wait for one that is silent.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks of a node at a schedule.
    pub look: Duration,
    /// A node that shows no sign of life for so long has lost what it was at.
    pub lease: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(1),
            lease: Duration::from_secs(30),
        }
    }
}

/// The jobs of a node.
pub struct Scheduler {
    store: Store,
    clock: Arc<dyn Clock>,
    node: String,
    pace: Pace,
    metrics: JobMetrics,
    jobs: Vec<Job>,
}

impl Scheduler {
    /// No jobs yet. Each scheduler is a node of its own.
    #[must_use]
    pub fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        random: &dyn Random,
        metrics: JobMetrics,
    ) -> Self {
        Self {
            store,
            clock,
            node: random::alphanumeric(16, random),
            pace: Pace::default(),
            metrics,
            jobs: Vec::new(),
        }
    }

    /// At another pace, for tests.
    #[must_use]
    pub fn at_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Adds work that is begun `every` so long after it last ended; it is told the time at which it begins. It may be dropped at any
    /// point, when the node stops or has lost its lease, and is then done again from the start: each step of it must stand alone.
    #[must_use]
    pub fn job<F>(
        mut self,
        name: &'static str,
        every: Duration,
        work: impl Fn(Instant) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let work: Arc<Work> = Arc::new(move |now| work(now).boxed());
        self.jobs.push(Job { name, every, work });
        self
    }

    /// What looks after each job.
    #[must_use]
    pub fn runners(&self) -> Vec<Runner> {
        let runner = |job: &Job| Runner::new(self, job.clone());
        self.jobs.iter().map(runner).collect()
    }

    /// Tells operators how the jobs are, whichever node does them.
    #[must_use]
    pub fn report(&self) -> Report {
        let jobs = self.jobs.iter().map(|job| (job.name, job.every));
        Report::new(self.store.clone(), Arc::clone(&self.clock), jobs.collect())
    }

    /// Does the jobs as they come due, each beside the others, until `shutdown` triggers. What is under way then is given up, for
    /// another node to do.
    pub async fn run(self, shutdown: Shutdown) {
        let mut running: JoinSet<()> = self
            .runners()
            .into_iter()
            .map(|runner| runner.run(shutdown.clone()))
            .collect();
        while running.join_next().await.is_some() {}
    }
}
