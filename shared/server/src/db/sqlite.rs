//! SQLite: one file, one connection that writes and a few that read.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, ConnectionError, ConnectionResult, SqliteConnection};
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::sync_connection_wrapper::{SpawnBlocking, SyncConnectionWrapper};
use futures_util::future::{BoxFuture, FutureExt, TryFutureExt, lazy};

use super::error::chain;
use super::{DbError, Result, Settings, Synchronous};

/// An async connection to SQLite whose executor is told at set-up where to run.
pub type SqliteConn = SyncConnectionWrapper<SqliteConnection, Executor>;

const READERS: usize = 4;

/// Where the statements of a connection run.
#[derive(Clone, Copy, Debug)]
pub enum Executor {
    /// On the calling task: a point read costs about as much as a thread hop, and never waits for the disk to sync.
    Inline,
    /// On a thread that may block: a commit waits for the disk.
    OffThread,
}

impl SpawnBlocking for Executor {
    fn spawn_blocking<'a, R: Send + 'static>(
        &mut self,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> BoxFuture<'a, Result<R, Box<dyn std::error::Error + Send + Sync>>> {
        match self {
            Self::Inline => lazy(|_| Ok(task())).boxed(),
            // diesel-async's own waits for the statement when its future is dropped, and so panics on a runtime of one
            // thread. Here the statement runs to its end alone, and its `Lease` closes the connection.
            Self::OffThread => tokio::task::spawn_blocking(task).map_err(Box::from).boxed(),
        }
    }

    fn get_runtime() -> Self {
        Self::OffThread
    }
}

#[derive(Clone, Copy)]
pub(super) enum Role {
    Reader,
    Writer,
    /// Changes the schema. Rebuilding a table, the only way SQLite has to change most of it, must not cascade.
    Migrator,
}

/// The file and how to open it.
#[derive(Clone)]
pub(super) struct File {
    path: Arc<str>,
    busy_timeout: Duration,
    synchronous: Synchronous,
}

/// Between two tries to set up a file that another starter is setting up.
const PAUSE: Duration = Duration::from_millis(10);

impl File {
    /// Makes the file and its folder, for this user alone, if they are not there.
    pub(super) fn prepare(path: PathBuf, settings: &Settings) -> Result<Self> {
        let fail = |doing: &str, error: &std::io::Error| {
            DbError::Unavailable(format!(
                "cannot {doing} {}: {error}; check the path and who may write there",
                path.display()
            ))
        };
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder
                .create(folder)
                .map_err(|error| fail("make the folder of", &error))?;
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).append(true).create(true);
        // The journal and its index take the permissions of the file.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path).map_err(|error| fail("open", &error))?;
        let path = path
            .into_os_string()
            .into_string()
            .map_err(|_| DbError::Settings("the path of the SQLite file is not UTF-8".into()))?;
        Ok(Self {
            path: path.into(),
            busy_timeout: settings.statement_timeout,
            synchronous: settings.synchronous,
        })
    }

    /// Bytes of what was written and is not in the file yet.
    pub(super) fn journal_length(&self) -> u64 {
        fs::metadata(format!("{}-wal", self.path)).map_or(0, |journal| journal.len())
    }

    pub(super) fn pool(&self, role: Role) -> Result<Pool<SqliteConn>> {
        let file = self.clone();
        let mut config = ManagerConfig::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| {
            let file = file.clone();
            async move {
                let runtime = match role {
                    Role::Reader => Executor::Inline,
                    Role::Writer | Role::Migrator => Executor::OffThread,
                };
                let conn = tokio::task::spawn_blocking(move || file.open(role))
                    .await
                    .map_err(|error| ConnectionError::BadConnection(error.to_string()))??;
                Ok(SqliteConn::with_runtime(conn, runtime))
            }
            .boxed()
        });
        Pool::builder(AsyncDieselConnectionManager::new_with_config(
            &*self.path,
            config,
        ))
        .max_size(match role {
            Role::Reader => READERS,
            Role::Writer | Role::Migrator => 1,
        })
        .build()
        .map_err(|error| DbError::Settings(error.to_string()))
    }

    /// Blocks.
    pub(super) fn open(&self, role: Role) -> ConnectionResult<SqliteConnection> {
        let (busy_timeout, rules) = match role {
            Role::Reader => (
                self.busy_timeout,
                "foreign_keys = ON; PRAGMA query_only = ON",
            ),
            Role::Writer => (self.busy_timeout, "foreign_keys = ON"),
            Role::Migrator => (Duration::from_mins(1), "foreign_keys = OFF"),
        };
        let synchronous = match self.synchronous {
            Synchronous::Full => "FULL",
            Synchronous::Normal => "NORMAL",
        };
        // Only a file without a page yet takes it, and asking writes.
        let is_new = fs::metadata(&*self.path).is_ok_and(|file| file.len() == 0);
        let auto_vacuum = if is_new {
            "PRAGMA auto_vacuum = INCREMENTAL;"
        } else {
            ""
        };
        let mut conn = SqliteConnection::establish(&self.path)?;
        let set_up = format!(
            "PRAGMA busy_timeout = {};
             {auto_vacuum}
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = {synchronous};
             PRAGMA cache_size = -16000;
             PRAGMA temp_store = MEMORY;
             PRAGMA mmap_size = 134217728;
             PRAGMA trusted_schema = OFF;
             PRAGMA {rules};",
            busy_timeout.as_millis(),
        );
        let mut waited = Duration::ZERO;
        loop {
            match conn.batch_execute(&set_up) {
                Ok(()) => return Ok(conn),
                // Turning a new file to WAL takes a lock that another starter may hold, and SQLite does not wait for that
                // one: two that both read already would wait for each other.
                Err(error) if waited < busy_timeout && error.to_string().contains("locked") => {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "on a thread that may block, and only at start"
                    )]
                    std::thread::sleep(PAUSE);
                    waited += PAUSE;
                }
                Err(error) => {
                    let (path, cause) = (&self.path, chain(&error));
                    let message = format!("cannot set up the SQLite file {path}: {cause}");
                    return Err(ConnectionError::BadConnection(message));
                }
            }
        }
    }
}
