//! One store on two databases: SQLite or PostgreSQL, told by the URL. [`Store`] holds the pools, [`Conn`] is one
//! connection on loan, and [`on!`](crate::on) writes a query once for both.

mod address;
mod config;
mod conn;
mod error;
mod metrics;
mod migrations;
mod postgres;
mod prepared;
mod space;
mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::{Pool, PoolError};
use prometheus::Registry;
use secrecy::SecretString;
use tokio::time::Instant;

use address::Address;
pub use config::DatabaseConfig;
pub use conn::{Conn, Lease, Pooled, Running};
pub use error::{DbError, OptionalRow, Result};
use metrics::{DbMetrics, PoolName, Work};
pub use migrations::Migrations;
use postgres::Connector;
pub use prepared::{PreparedOnce, prepared_once};
use sqlite::Role;
pub use sqlite::{Executor, SqliteConn};

/// Where a database is and how long it may take.
#[derive(Clone)]
pub struct Settings {
    /// `sqlite:PATH`, or a `postgres://` URL. In the latter, `sslmode` is `disable`, `require`, `verify-ca` or
    /// `verify-full`; all but the first verify the chain and the name of the server, against the file that `sslrootcert`
    /// names or else Mozilla's roots. Without `sslmode`, only a server on this machine is spoken to in the clear.
    pub url: SecretString,
    /// Most connections to PostgreSQL. SQLite always has one for writing and four for reading.
    pub pool_size: usize,
    /// How long to wait for a connection, whether for a free one or for a new one.
    pub wait_timeout: Duration,
    /// How long one statement may take; on SQLite, how long it may wait for another process's lock.
    pub statement_timeout: Duration,
    /// What a commit on SQLite waits for. PostgreSQL is set up by its operator.
    pub synchronous: Synchronous,
}

impl Settings {
    /// Ten connections, two seconds for a connection, five for a statement, and commits that survive a power cut.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            pool_size: 10,
            wait_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            synchronous: Synchronous::Full,
        }
    }
}

/// What a commit on SQLite survives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Synchronous {
    /// A power cut: each commit waits for the disk.
    Full,
    /// A crash of the process. A power cut may undo the last commits.
    Normal,
}

/// The kind of database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Backend {
    /// A file of this machine, for one node.
    Sqlite,
    /// A server, for any number of nodes.
    Postgres,
}

/// How busy the pools are, for metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolStatus {
    /// Connections on loan.
    pub in_use: usize,
    /// Most connections there can be.
    pub size: usize,
    /// Tasks that wait for a connection.
    pub waiting: usize,
}

/// A database. Clones share its pools.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    pools: Pools,
    wait_timeout: Duration,
    statement_timeout: Duration,
    meter: Arc<DbMetrics>,
}

enum Pools {
    Sqlite {
        file: sqlite::File,
        readers: Pool<SqliteConn>,
        // More than one connection for writing only adds waiting.
        writer: Pool<SqliteConn>,
    },
    Postgres {
        connector: Arc<Connector>,
        pool: Pool<AsyncPgConnection>,
    },
}

impl Store {
    /// Opens the database and proves that it answers. SQLite's file and its folder are made if they are not there.
    ///
    /// # Errors
    /// [`DbError::Settings`] for a URL that cannot be used or a server that is too old, [`DbError::Unavailable`] if the
    /// database cannot be reached within the time to wait. Neither tells the password.
    pub async fn connect(settings: &Settings) -> Result<Self> {
        let pools = match Address::parse(&settings.url)? {
            Address::Sqlite(path) => {
                let file = sqlite::File::prepare(path, settings)?;
                Pools::Sqlite {
                    readers: file.pool(Role::Reader)?,
                    writer: file.pool(Role::Writer)?,
                    file,
                }
            }
            Address::Postgres(address) => {
                let connector = Arc::new(Connector::new(*address, settings.statement_timeout)?);
                Pools::Postgres {
                    pool: connector.pool(settings.pool_size)?,
                    connector,
                }
            }
        };
        let store = Self(Arc::new(Inner {
            pools,
            wait_timeout: settings.wait_timeout,
            statement_timeout: settings.statement_timeout,
            meter: Arc::default(),
        }));
        match store.backend() {
            Backend::Sqlite => drop(store.write().await?),
            Backend::Postgres => postgres::refuse_old_server(&mut store.write().await?).await?,
        }
        store.ping().await?;
        Ok(store)
    }

    /// A connection to read from. On SQLite its statements run on the calling task, so they must be bounded, and
    /// writing fails.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if there is none within the time to wait.
    pub async fn read(&self) -> Result<Conn> {
        match &self.0.pools {
            Pools::Sqlite { readers, .. } => {
                let lent = self.lend(readers.get(), PoolName::Readers, Work::Read);
                Ok(Conn::Sqlite(lent.await?))
            }
            Pools::Postgres { pool, .. } => {
                let lent = self.lend(pool.get(), PoolName::All, Work::Read);
                Ok(Conn::Postgres(lent.await?))
            }
        }
    }

    /// A connection to write to. SQLite has one: whoever holds it must not ask for another.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if there is none within the time to wait.
    pub async fn write(&self) -> Result<Conn> {
        match &self.0.pools {
            Pools::Sqlite { writer, .. } => {
                let lent = self.lend(writer.get(), PoolName::Writer, Work::Write);
                Ok(Conn::Sqlite(lent.await?))
            }
            Pools::Postgres { pool, .. } => {
                let lent = self.lend(pool.get(), PoolName::All, Work::Write);
                Ok(Conn::Postgres(lent.await?))
            }
        }
    }

    /// Does `work` in a transaction on a connection of its own; see [`Conn::transaction`].
    ///
    /// # Errors
    /// What `work` refuses with, or why the transaction could not begin or commit.
    pub async fn transaction<R, E>(
        &self,
        work: impl AsyncFnOnce(&mut Conn) -> Result<R, E>,
    ) -> Result<R, E>
    where
        R: Send,
        E: From<DbError> + Send,
    {
        self.write().await?.transaction(work).await
    }

    /// Asks the database for nothing, to see whether it answers.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if it does not.
    pub async fn ping(&self) -> Result<()> {
        use diesel_async::RunQueryDsl;
        let mut conn = self.read().await?;
        crate::on!(&mut conn, |c| diesel::sql_query("SELECT 1").execute(c)).map(drop)
    }

    /// The kind of database this is.
    #[must_use]
    pub fn backend(&self) -> Backend {
        match self.0.pools {
            Pools::Sqlite { .. } => Backend::Sqlite,
            Pools::Postgres { .. } => Backend::Postgres,
        }
    }

    /// How busy the pools are now.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        let pools = self.pool_statuses();
        let sum = |of: fn(&PoolStatus) -> usize| pools.iter().map(|(_, pool)| of(pool)).sum();
        PoolStatus {
            in_use: sum(|pool| pool.in_use),
            size: sum(|pool| pool.size),
            waiting: sum(|pool| pool.waiting),
        }
    }

    /// Shows in `registry` how busy this database is and how it answers.
    ///
    /// # Errors
    /// If another is shown there already.
    pub fn register(&self, registry: &Registry) -> std::result::Result<(), prometheus::Error> {
        metrics::register(self, registry)
    }

    fn pool_statuses(&self) -> Vec<(PoolName, PoolStatus)> {
        // Of two types, with methods of the same names.
        macro_rules! status {
            ($pool:expr) => {{
                let status = $pool.status();
                PoolStatus {
                    in_use: status.size.saturating_sub(status.available),
                    size: status.max_size,
                    waiting: status.waiting,
                }
            }};
        }
        match &self.0.pools {
            Pools::Sqlite {
                readers, writer, ..
            } => vec![
                (PoolName::Readers, status!(readers)),
                (PoolName::Writer, status!(writer)),
            ],
            Pools::Postgres { pool, .. } => vec![(PoolName::All, status!(pool))],
        }
    }

    async fn lend<O: Pooled>(
        &self,
        connection: impl Future<Output = Result<O, PoolError>>,
        pool: PoolName,
        work: Work,
    ) -> Result<Lease<O>> {
        let (began, meter) = (Instant::now(), &self.0.meter);
        let object = self.within_wait(connection, pool_error).await;
        meter.waited(pool, began.elapsed());
        Ok(Lease::new(object?, self.0.statement_timeout, work, meter))
    }

    /// One bound for all that stands between a task and its connection: the queue, the network, the handshakes.
    async fn within_wait<T, E>(
        &self,
        connection: impl Future<Output = Result<T, E>>,
        why: impl FnOnce(&E) -> String,
    ) -> Result<T> {
        match tokio::time::timeout(self.0.wait_timeout, connection).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(DbError::Unavailable(why(&error))),
            Err(_) => Err(DbError::Unavailable(format!(
                "no connection within {:?}; check that it runs, or allow more connections",
                self.0.wait_timeout
            ))),
        }
    }
}

fn pool_error(error: &PoolError) -> String {
    if let PoolError::Backend(error) = error {
        // Ours, and it says all there is to say.
        error.to_string()
    } else {
        error.to_string()
    }
}
