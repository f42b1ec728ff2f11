//! What looks after one job on one node.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::FutureExt as _;
use shared_protocol::time::{Clock, Instant};
use tokio::time;

use super::schedules::{self, ScheduleRow};
use super::watch::Watch;
use super::{Job, JobError, JobMetrics, Pace, Scheduler};
use crate::db::{DbError, Store};
use crate::web::Shutdown;

/// How long a job rests after its first failure; after each further one twice as long, but never longer than between two runs.
const FIRST_RETRY: Duration = Duration::from_secs(10);
/// Characters of a reason that are kept.
const REASON: usize = 300;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The work was done.
    Succeeded,
    /// It was not.
    Failed,
    /// The node stopped, or another one took the job.
    Interrupted,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Succeeded, Self::Failed, Self::Interrupted];

    /// As metrics call it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What looks after one job on one node.
pub struct Runner {
    job: Job,
    store: Store,
    clock: Arc<dyn Clock>,
    node: String,
    pace: Pace,
    metrics: JobMetrics,
    watch: Watch,
}

impl Runner {
    pub(super) fn new(of: &Scheduler, job: Job) -> Self {
        Self {
            job,
            store: of.store.clone(),
            clock: Arc::clone(&of.clock),
            node: of.node.clone(),
            pace: of.pace,
            metrics: of.metrics.clone(),
            watch: Watch::default(),
        }
    }

    /// Looks at the schedule again and again until `shutdown` triggers.
    pub(super) async fn run(mut self, shutdown: Shutdown) {
        let mut failing = false;
        while !shutdown.is_triggered() {
            let looked = self.tick(&shutdown).await;
            if let Err(error) = &looked
                && !failing
            {
                let error = error as &dyn std::error::Error;
                tracing::warn!(job = self.job.name, error, "cannot look at the schedule");
            }
            failing = looked.is_err();
            tokio::select! {
                () = shutdown.triggered() => {}
                () = time::sleep(self.pace.look) => {}
            }
        }
    }

    /// Looks at the schedule once, and does the work if it is due and this node gets it.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows whether it is due, or how it ended could not be noted. Another look will tell.
    pub async fn tick(&mut self, shutdown: &Shutdown) -> Result<Option<Outcome>, DbError> {
        let now = self.clock.now();
        let Some(row) = self.find(now).await? else {
            return Ok(None);
        };
        self.metrics.look(self.job.name, &row, now);
        // Six looks at least pass until a lease counts as lost, whatever the clock does.
        self.watch.look(&row, self.pace.lease / 6, now);
        let Pace { lease, .. } = self.pace;
        if !self.watch.is_free(&row, self.job.every, lease, now) {
            return Ok(None);
        }
        let claimed = {
            let mut conn = self.store.write().await?;
            schedules::claim(&mut conn, &row, &self.node, now).await?
        };
        if !claimed {
            return Ok(None);
        }
        let began = time::Instant::now();
        let done = tokio::select! {
            biased;
            done = AssertUnwindSafe((self.job.work)(now)).catch_unwind() => {
                Some(done.unwrap_or_else(|_| Err("panicked".into())))
            }
            () = shutdown.triggered() => None,
            () = self.keep() => None,
        };
        let outcome = self.note(&row, done).await?;
        self.metrics.ran(self.job.name, outcome, began.elapsed());
        Ok(Some(outcome))
    }

    async fn find(&self, now: Instant) -> Result<Option<ScheduleRow>, DbError> {
        let found = schedules::find(&mut self.store.read().await?, self.job.name).await?;
        if found.is_some() {
            return Ok(found);
        }
        schedules::insert(&mut self.store.write().await?, self.job.name, now).await?;
        schedules::find(&mut self.store.read().await?, self.job.name).await
    }

    /// Shows that this node lives, until it cannot be sure that the others see it.
    async fn keep(&self) {
        let third = self.pace.lease / 3;
        let mut shown = time::Instant::now();
        loop {
            // Others wait for the third third.
            let end = shown + third * 2;
            time::sleep_until((time::Instant::now() + third).min(end)).await;
            let begun = time::Instant::now();
            match time::timeout_at(end, self.renew()).await {
                Ok(Ok(true)) => shown = begun,
                Ok(Err(_)) if time::Instant::now() < end => {}
                Ok(Ok(false) | Err(_)) | Err(_) => return,
            }
        }
    }

    async fn renew(&self) -> Result<bool, DbError> {
        let mut conn = self.store.write().await?;
        schedules::renew(&mut conn, self.job.name, &self.node).await
    }

    async fn note(
        &self,
        row: &ScheduleRow,
        done: Option<Result<(), JobError>>,
    ) -> Result<Outcome, DbError> {
        let (name, node, now) = (self.job.name, &*self.node, self.clock.now());
        let mut conn = self.store.write().await?;
        let noted = match done {
            None => {
                schedules::hand_back(&mut conn, name, node).await?;
                return Ok(Outcome::Interrupted);
            }
            Some(Ok(())) => {
                if row.failures > 0 {
                    tracing::info!(
                        job = name,
                        failures = row.failures,
                        "the job succeeds again"
                    );
                }
                let next_at = now + self.job.every;
                let noted = schedules::succeed(&mut conn, name, node, next_at, now).await?;
                noted.then_some(Outcome::Succeeded)
            }
            Some(Err(error)) => {
                // Once for all nodes, however often it fails from now on.
                if row.failures == 0 {
                    tracing::warn!(
                        job = name,
                        error = &*error as &dyn std::error::Error,
                        "a job failed"
                    );
                }
                let why: String = error.to_string().chars().take(REASON).collect();
                let next = (now + self.rest_after(row.failures), &*why);
                let noted = schedules::fail(&mut conn, name, node, next, now).await?;
                noted.then_some(Outcome::Failed)
            }
        };
        Ok(noted.unwrap_or(Outcome::Interrupted))
    }

    fn rest_after(&self, failures: i64) -> Duration {
        let doublings = u32::try_from(failures).unwrap_or(u32::MAX).min(16);
        (FIRST_RETRY * 2_u32.pow(doublings)).min(self.job.every)
    }
}
