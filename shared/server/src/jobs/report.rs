//! How the jobs are, for operators.

use std::sync::Arc;
use std::time::Duration;

use shared_protocol::time::{Clock, Instant};

use super::schedules::{self, ScheduleRow};
use crate::db::{DbError, Store};

/// One failure may be the database that was restarted.
const FAILURES: i64 = 3;
/// Nobody does a job that is late by so many of its periods, and by the least that is worth a look.
const PERIODS: u32 = 3;
const LATE: Duration = Duration::from_mins(2);

/// How the jobs are, whichever node does them.
#[derive(Clone)]
pub struct Report {
    store: Store,
    clock: Arc<dyn Clock>,
    jobs: Vec<(&'static str, Duration)>,
}

/// What is wrong with the jobs.
#[derive(Debug, thiserror::Error)]
pub enum JobsUnwell {
    /// Nobody knows how they are.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Those that fail or are late, and why.
    #[error("{0}")]
    Jobs(String),
}

impl Report {
    pub(super) fn new(
        store: Store,
        clock: Arc<dyn Clock>,
        jobs: Vec<(&'static str, Duration)>,
    ) -> Self {
        Self { store, clock, jobs }
    }

    /// Whether all of them are done as they should be.
    ///
    /// # Errors
    /// [`JobsUnwell`].
    pub async fn check(&self) -> Result<(), JobsUnwell> {
        let now = self.clock.now();
        let mut conn = self.store.read().await?;
        let mut unwell = Vec::new();
        for (name, every) in &self.jobs {
            // Each job is looked at within a second of the start, and has a row then.
            if let Some(row) = schedules::find(&mut conn, name).await? {
                unwell.extend(complaint(&row, *every, now));
            }
        }
        if unwell.is_empty() {
            Ok(())
        } else {
            Err(JobsUnwell::Jobs(unwell.join("; ")))
        }
    }
}

fn complaint(row: &ScheduleRow, every: Duration, now: Instant) -> Option<String> {
    let name = &row.name;
    let told = |at: Option<Instant>| at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    if row.failures >= FAILURES {
        let (failures, why) = (row.failures, row.failure.as_deref().unwrap_or("unknown"));
        let (failed, done) = (told(row.failed_at), told(row.finished_at));
        return Some(format!(
            "{name} failed {failures} times, last at {failed}, and last succeeded {done}: {why}"
        ));
    }
    let late = now.since(row.next_at);
    (late > (every * PERIODS).max(LATE)).then(|| {
        let (seconds, begun) = (late.as_secs(), told(row.started_at));
        let by = row.leased_by.as_deref().unwrap_or("nobody");
        format!("{name} is {seconds} s late; last begun {begun}, under way at {by}")
    })
}
