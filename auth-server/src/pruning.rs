//! Rows whose time has passed go, on one node at a time, in batches between which everybody else has the database.

use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use tokio::time;

use crate::store::pruning::{self, BATCH, SessionEnd, Table};
use crate::store::refusals;

/// Batches of one table in one run. What is left is for the next one.
const MOST: usize = 1000;
/// The shortest rest after a batch, and the longest. Between them it is as long as the batch took, so that half of the time of SQLite's
/// one writer is for requests whatever there is to remove.
const SHORTEST_REST: Duration = Duration::from_millis(5);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// For how long rows are kept past their end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retention {
    /// Sessions.
    pub sessions: Duration,
    /// Grants, which outlive their last token.
    pub grants: Duration,
    /// Revocations, past the expiry of what they revoke.
    pub revocations: Duration,
    /// What tells other nodes that something changed.
    pub changes: Duration,
    /// Clients that registered themselves and never got a token.
    pub unused_clients: Duration,
    /// What clients could not be told, past the time in which that is tried.
    pub logout_notices: Duration,
    /// Why requests were refused.
    pub refusals: Duration,
    /// And of how many; the oldest go before their time.
    pub most_refusals: u32,
}

/// How many rows went, by table.
#[derive(Clone)]
pub struct PruningMetrics(IntCounterVec);

impl PruningMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let rows = IntCounterVec::new(
            Opts::new(
                "pruned_rows_total",
                "Rows removed by this node because their time had passed.",
            ),
            &["table"],
        )?;
        registry.register(Box::new(rows.clone()))?;
        Ok(Self(rows))
    }

    /// Rows of this table went.
    pub fn pruned(&self, table: &str, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.0.with_label_values(&[table]).inc_by(rows);
    }
}

/// What removes rows.
#[derive(Clone)]
pub struct Pruning {
    /// Where they are.
    pub store: Store,
    /// For how long they are kept.
    pub retention: Retention,
    /// A session that is not used for so long is over.
    pub session_idle: Duration,
    /// Counts them.
    pub metrics: PruningMetrics,
}

impl Pruning {
    /// Removes what has been past its end for long enough at `now`, and gives the space back.
    ///
    /// # Errors
    /// [`DbError`]; what was removed until then stays removed.
    pub async fn run(&self, now: Instant) -> Result<(), DbError> {
        let Retention {
            sessions,
            grants,
            revocations,
            changes,
            unused_clients,
            logout_notices,
            refusals,
            most_refusals,
        } = self.retention;
        let refused_until = self.too_many_refusals(most_refusals).await?;
        // Sessions first: with them end the grants that do not outlive them.
        for (what, until) in [
            (Rows::Sessions(SessionEnd::Expired), now - sessions),
            (
                Rows::Sessions(SessionEnd::Idle),
                now - self.session_idle - sessions,
            ),
            (Rows::Sessions(SessionEnd::Ended), now - sessions),
            (Rows::Of(Table::Grants), now - grants),
            (Rows::Of(Table::RevokedGrants), now - grants),
            (Rows::Of(Table::Revocations), now - revocations),
            (Rows::Of(Table::Changes), now - changes),
            (Rows::Of(Table::SignInLocks), now),
            (Rows::Of(Table::ClientSecrets), now),
            (Rows::Of(Table::RegistrationTokens), now),
            (Rows::Of(Table::AccessTokens), now),
            (Rows::Of(Table::LogoutNotices), now - logout_notices),
            (
                Rows::Of(Table::Refusals),
                refused_until.map_or(now - refusals, |until| until.max(now - refusals)),
            ),
            (Rows::UnusedClients, now - unused_clients),
        ] {
            self.remove(what, until, now).await?;
        }
        while self.store.give_back_space().await? {
            time::sleep(SHORTEST_REST).await;
        }
        Ok(())
    }

    /// When the newest refusal came that there is no room for.
    async fn too_many_refusals(&self, most: u32) -> Result<Option<Instant>, DbError> {
        let mut conn = self.store.read().await?;
        refusals::newest_beyond(&mut conn, most.into()).await
    }

    /// Batch after batch, until one is not full.
    async fn remove(&self, what: Rows, until: Instant, now: Instant) -> Result<(), DbError> {
        let table = match what {
            Rows::Sessions(_) => "sessions",
            Rows::UnusedClients => "clients",
            Rows::Of(table) => table.name(),
        };
        self.metrics.pruned(table, 0);
        for _ in 0..MOST {
            let began = time::Instant::now();
            let rows = match what {
                Rows::Sessions(how) => {
                    pruning::prune_sessions(&self.store, how, until, now).await?
                }
                Rows::UnusedClients => {
                    pruning::prune_unused_clients(&self.store, until, now).await?
                }
                Rows::Of(table) => pruning::prune(&self.store, table, until).await?,
            };
            self.metrics.pruned(table, rows);
            if rows < BATCH {
                break;
            }
            time::sleep(began.elapsed().clamp(SHORTEST_REST, LONGEST_REST)).await;
        }
        Ok(())
    }
}

/// What is removed.
#[derive(Clone, Copy)]
enum Rows {
    Sessions(SessionEnd),
    UnusedClients,
    Of(Table),
}
