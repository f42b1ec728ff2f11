//! How busy a database is and how it answers.

use std::time::Duration;

use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::{DbError, PoolStatus, Store};
use crate::telemetry::{BUCKETS, gauges, number};

/// What a statement is part of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// A connection that was lent for reading.
    Read,
    /// A connection that was lent for writing, outside of a transaction.
    Write,
    /// A transaction.
    Transaction,
}

impl Work {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Transaction => "transaction",
        }
    }
}

/// The pools that a database may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum PoolName {
    /// Of SQLite, for reading.
    Readers,
    /// Of SQLite, for writing.
    Writer,
    /// Of PostgreSQL.
    All,
}

impl PoolName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Readers => "readers",
            Self::Writer => "writer",
            Self::All => "all",
        }
    }
}

/// Counted in any case, and shown once a registry knows of it: a store is opened before there is one.
pub(super) struct DbMetrics {
    wait: HistogramVec,
    waits: [Histogram; 3],
    statement: HistogramVec,
    statements: [Histogram; 3],
    transaction: HistogramVec,
    committed: Histogram,
    undone: Histogram,
    failures: IntCounterVec,
    unavailable: IntCounter,
    refused: IntCounter,
}

const DECLARED: &str = "a valid name, rising buckets, and as many values as labels";

impl Default for DbMetrics {
    fn default() -> Self {
        let histogram = |name: &str, help: &str, label: &str| {
            let options = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
            HistogramVec::new(options, &[label]).expect(DECLARED)
        };
        let wait = histogram(
            "database_connection_wait_seconds",
            "Time until a connection was lent, or refused for want of one, by pool.",
            "pool",
        );
        let statement = histogram(
            "database_statement_duration_seconds",
            "Time until the database answered a statement, by what the statement was part of.",
            "work",
        );
        let transaction = histogram(
            "database_transaction_duration_seconds",
            "Time from the beginning of a transaction to its end, by outcome.",
            "outcome",
        );
        let failures = IntCounterVec::new(
            Opts::new(
                "database_failures_total",
                "Statements that the database did not do, by whether it could not be asked or refused. A row that is there already, or \
                 is none, is no failure.",
            ),
            &["cause"],
        )
        .expect(DECLARED);
        Self {
            waits: [PoolName::Readers, PoolName::Writer, PoolName::All]
                .map(|pool| wait.with_label_values(&[pool.as_str()])),
            wait,
            statements: [Work::Read, Work::Write, Work::Transaction]
                .map(|work| statement.with_label_values(&[work.as_str()])),
            statement,
            committed: transaction.with_label_values(&["committed"]),
            undone: transaction.with_label_values(&["undone"]),
            transaction,
            unavailable: failures.with_label_values(&["unavailable"]),
            refused: failures.with_label_values(&["refused"]),
            failures,
        }
    }
}

impl DbMetrics {
    pub(super) fn waited(&self, pool: PoolName, took: Duration) {
        let [readers, writer, all] = &self.waits;
        let wait = match pool {
            PoolName::Readers => readers,
            PoolName::Writer => writer,
            PoolName::All => all,
        };
        wait.observe(took.as_secs_f64());
    }

    /// Gives what kind of failure the answer is, if it is one.
    pub(super) fn statement_ended<T>(
        &self,
        work: Work,
        took: Duration,
        answer: &Result<T, DbError>,
    ) -> Option<&'static str> {
        let [read, write, transaction] = &self.statements;
        let statement = match work {
            Work::Read => read,
            Work::Write => write,
            Work::Transaction => transaction,
        };
        statement.observe(took.as_secs_f64());
        match answer {
            Ok(_)
            | Err(DbError::Duplicate(_) | DbError::Query(diesel::result::Error::NotFound)) => None,
            Err(DbError::Unavailable(_)) => {
                self.unavailable.inc();
                Some("unavailable")
            }
            Err(
                DbError::Reference(_)
                | DbError::Settings(_)
                | DbError::Migration(_)
                | DbError::Query(_),
            ) => {
                self.refused.inc();
                Some("refused")
            }
        }
    }

    pub(super) fn transaction_ended(&self, committed: bool, took: Duration) {
        let transaction = if committed {
            &self.committed
        } else {
            &self.undone
        };
        transaction.observe(took.as_secs_f64());
    }
}

pub(super) fn register(store: &Store, registry: &Registry) -> Result<(), Error> {
    let meter = &store.0.meter;
    registry.register(Box::new(meter.wait.clone()))?;
    registry.register(Box::new(meter.statement.clone()))?;
    registry.register(Box::new(meter.transaction.clone()))?;
    registry.register(Box::new(meter.failures.clone()))?;
    for (name, help, of) in [
        (
            "database_connections_in_use",
            "Connections on loan, by pool.",
            (|pool| pool.in_use) as fn(&PoolStatus) -> usize,
        ),
        (
            "database_connections_max",
            "Most connections there can be, by pool.",
            |pool| pool.size,
        ),
        (
            "database_connection_waiters",
            "Tasks that wait for a connection, by pool.",
            |pool| pool.waiting,
        ),
    ] {
        // A weak one would do; a registry lives no longer than its server.
        let store = store.clone();
        gauges(registry, name, help, ["pool"], move || {
            let pools = store.pool_statuses().into_iter();
            pools
                .map(|(name, pool)| ([name.as_str()], number(of(&pool) as u64)))
                .collect()
        })?;
    }
    Ok(())
}
