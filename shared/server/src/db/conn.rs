//! One connection on loan, of either database, and transactions on it.

use std::sync::Arc;
use std::time::Duration;

use diesel::SqliteConnection;
use diesel::connection::AnsiTransactionManager as SqliteTransactions;
use diesel::connection::TransactionManager as _;
use diesel::result::{DatabaseErrorKind, Error, QueryResult};
use diesel_async::pooled_connection::deadpool::Object;
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::metrics::{DbMetrics, Work};
use super::sqlite::SqliteConn;
use super::{DbError, Result};
use crate::telemetry::SPANS;

/// A connection on loan from a [`Store`](super::Store); goes back when dropped.
pub enum Conn {
    /// To a SQLite file.
    Sqlite(Lease<Object<SqliteConn>>),
    /// To a PostgreSQL server.
    Postgres(Lease<Object<AsyncPgConnection>>),
}

/// Asks a query of a connection, whichever database it is of: `on!(conn, |c| query.execute(c))?`, where the query's future
/// is awaited within. Where the SQL must differ: `on!(conn, |sqlite| one, |postgres| other)`. Gives
/// `Result<T, DbError>`.
#[macro_export]
macro_rules! on {
    ($conn:expr, |$c:ident| $query:expr) => {
        $crate::on!($conn, |$c| $query, |$c| $query)
    };
    ($conn:expr, |$s:ident| $sqlite:expr, |$p:ident| $postgres:expr) => {
        match $conn {
            $crate::db::Conn::Sqlite(lease) => match lease.statement() {
                Ok(($s, running)) => running.until($sqlite).await,
                Err(error) => Err(error),
            },
            $crate::db::Conn::Postgres(lease) => match lease.statement() {
                Ok(($p, running)) => running.until($postgres).await,
                Err(error) => Err(error),
            },
        }
    };
}

impl Conn {
    /// Commits when `work` is `Ok`, rolls back when it is `Err`; inside another transaction, a savepoint. SQLite begins
    /// immediate: a deferred transaction that turns into a writer fails at once, whatever its time to wait.
    ///
    /// A future of this that is dropped half way takes the connection with it and closes it, which rolls back; a
    /// `Conn` that was borrowed for it answers [`DbError::Unavailable`] from then on.
    ///
    /// # Errors
    /// What `work` refuses with, or why the transaction could not begin or commit.
    pub async fn transaction<R, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Send,
        E: From<DbError> + Send,
    {
        let mut held = match self {
            Self::Sqlite(lease) => Self::Sqlite(lease.hold()),
            Self::Postgres(lease) => Self::Postgres(lease.hold()),
        };
        let (began, meter, span) = match &held {
            Self::Sqlite(lease) => lease.begins(),
            Self::Postgres(lease) => lease.begins(),
        };
        let outcome = held.perform(work).instrument(span).await;
        meter.transaction_ended(outcome.is_ok(), began.elapsed());
        *self = held;
        outcome
    }

    async fn perform<R, E>(
        &mut self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<R, E>,
    ) -> Result<R, E>
    where
        E: From<DbError>,
    {
        self.begin().await?;
        *self.unfinished() += 1;
        let (outcome, ended) = match work(self).await {
            Ok(value) => match self.commit().await {
                Ok(()) => (Ok(value), true),
                Err(error) => (Err(E::from(error)), false),
            },
            // The refusal says more than a failure to roll back would; closing the connection rolls back as well.
            Err(refusal) => (Err(refusal), self.rollback().await.is_ok()),
        };
        if ended {
            *self.unfinished() -= 1;
        } else {
            self.discard();
        }
        outcome
    }

    async fn begin(&mut self) -> Result<()> {
        on!(
            self,
            |sqlite| sqlite.spawn_blocking(begin_immediate),
            |postgres| AnsiTransactionManager::begin_transaction(postgres)
        )
    }

    async fn commit(&mut self) -> Result<()> {
        on!(
            self,
            |sqlite| sqlite.spawn_blocking(SqliteTransactions::commit_transaction),
            |postgres| AnsiTransactionManager::commit_transaction(postgres)
        )
    }

    async fn rollback(&mut self) -> Result<()> {
        on!(
            self,
            |sqlite| sqlite.spawn_blocking(SqliteTransactions::rollback_transaction),
            |postgres| AnsiTransactionManager::rollback_transaction(postgres)
        )
    }

    fn unfinished(&mut self) -> &mut u32 {
        match self {
            Self::Sqlite(lease) => &mut lease.unfinished,
            Self::Postgres(lease) => &mut lease.unfinished,
        }
    }

    fn discard(&mut self) {
        match self {
            Self::Sqlite(lease) => lease.discard(),
            Self::Postgres(lease) => lease.discard(),
        }
    }
}

fn begin_immediate(conn: &mut SqliteConnection) -> QueryResult<()> {
    match SqliteTransactions::transaction_manager_status_mut(conn).transaction_depth()? {
        None => SqliteTransactions::begin_transaction_sql(conn, "BEGIN IMMEDIATE"),
        Some(_) => SqliteTransactions::begin_transaction(conn),
    }
}

/// A pooled connection together with what was begun on it and not ended. Such a one is closed instead of going back to
/// its pool: the next user must not meet its transaction, nor wait for its statement, and its locks go at once.
pub struct Lease<O: Pooled> {
    // Boxed, for a `Conn` is moved in and out of each transaction.
    object: Option<Box<O>>,
    unfinished: u32,
    limit: Duration,
    work: Work,
    meter: Arc<DbMetrics>,
}

impl<O: Pooled> Lease<O> {
    pub(super) fn new(object: O, limit: Duration, work: Work, meter: &Arc<DbMetrics>) -> Self {
        Self {
            object: Some(Box::new(object)),
            unfinished: 0,
            limit,
            work,
            meter: Arc::clone(meter),
        }
    }

    /// The connection and the mark that a statement runs on it. [`on!`](crate::on) calls this.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the connection was closed for what it was left with.
    pub fn statement(&mut self) -> Result<(&mut O::Target, Running<'_>)> {
        let Some(object) = &mut self.object else {
            return Err(DbError::Unavailable(
                "this connection was closed because a transaction on it broke off".to_owned(),
            ));
        };
        let running = Running {
            work: if self.unfinished > 0 {
                Work::Transaction
            } else {
                self.work
            },
            unfinished: &mut self.unfinished,
            limit: self.limit,
            meter: &self.meter,
            system: O::SYSTEM,
        };
        Ok((&mut ***object, running))
    }

    fn hold(&mut self) -> Self {
        Self {
            object: self.object.take(),
            meter: Arc::clone(&self.meter),
            ..*self
        }
    }

    /// A transaction begins.
    fn begins(&self) -> (Instant, Arc<DbMetrics>, tracing::Span) {
        let span = tracing::debug_span!(
            target: SPANS,
            "database transaction",
            otel.kind = "client",
            db.system.name = O::SYSTEM
        );
        (Instant::now(), Arc::clone(&self.meter), span)
    }

    fn discard(&mut self) {
        if let Some(object) = self.object.take() {
            object.discard();
        }
    }
}

impl<O: Pooled> Drop for Lease<O> {
    fn drop(&mut self) {
        if self.unfinished > 0 {
            self.discard();
        }
    }
}

/// A connection that knows its pool.
pub trait Pooled: std::ops::DerefMut + Send {
    /// What OpenTelemetry calls its database.
    const SYSTEM: &'static str;

    /// Leaves the pool and closes.
    fn discard(self);
}

impl Pooled for Object<SqliteConn> {
    const SYSTEM: &'static str = "sqlite";

    fn discard(self) {
        drop(Object::take(self));
    }
}

impl Pooled for Object<AsyncPgConnection> {
    const SYSTEM: &'static str = "postgresql";

    fn discard(self) {
        drop(Object::take(self));
    }
}

/// A statement that runs. If its future is dropped before it is answered, the connection counts as unfinished.
pub struct Running<'a> {
    unfinished: &'a mut u32,
    limit: Duration,
    work: Work,
    meter: &'a DbMetrics,
    system: &'static str,
}

/// PostgreSQL ends a statement itself when its time is over, and the connection lives on. We only step in when the
/// server or the network is gone.
const GRACE: Duration = Duration::from_secs(1);

impl Running<'_> {
    /// Waits for the answer, within the time that a statement may take.
    ///
    /// # Errors
    /// Why the database did not do as asked.
    pub async fn until<T>(self, query: impl Future<Output = QueryResult<T>>) -> Result<T> {
        *self.unfinished += 1;
        let began = Instant::now();
        let span = tracing::debug_span!(
            target: SPANS,
            "database statement",
            otel.kind = "client",
            db.system.name = self.system,
            db.operation.name = self.work.as_str(),
            error.type = tracing::field::Empty
        );
        let query = query.instrument(span.clone());
        let answer = tokio::time::timeout(self.limit + GRACE, query).await;
        let took = began.elapsed();
        let too_long = || DbError::Unavailable(format!("no answer within {:?}", self.limit));
        let answer = match answer {
            Ok(answer) => {
                *self.unfinished -= 1;
                answer.map_err(|error| {
                    let unknown =
                        matches!(error, Error::DatabaseError(DatabaseErrorKind::Unknown, _));
                    // The server's words for it depend on its language, and diesel keeps its code from us.
                    if unknown && took >= self.limit {
                        too_long()
                    } else {
                        error.into()
                    }
                })
            }
            Err(_) => Err(too_long()),
        };
        if let Some(failure) = self.meter.statement_ended(self.work, took, &answer) {
            span.record("error.type", failure);
        }
        answer
    }
}
