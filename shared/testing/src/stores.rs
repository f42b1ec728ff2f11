//! The two pairs of stores that every behaviour is tested on.

use std::time::Duration;

use shared_server::db::{self, Migrations};
use shared_server::ephemeral;

use crate::databases::{PostgresDatabase, SqliteFile};
use crate::redis;

/// A migrated database and an ephemeral store that belong to one test alone.
pub struct Stores {
    database: Database,
    /// The settings of the ephemeral store.
    pub ephemeral: ephemeral::Settings,
}

enum Database {
    Sqlite(SqliteFile),
    Postgres(PostgresDatabase),
}

impl Stores {
    /// A SQLite file and the in-process store.
    pub async fn sqlite_memory(name: &'static str, migrations: &'static Migrations) -> Self {
        let database = Database::Sqlite(SqliteFile::create(name, migrations).await);
        let ephemeral = ephemeral::Settings {
            url: "memory".into(),
            prefix: redis::prefix(),
            capacity: 100_000,
            timeout: Duration::from_secs(5),
        };
        Self {
            database,
            ephemeral,
        }
    }

    /// A database of the shared PostgreSQL and a key prefix of the shared Redis, which `deploy/test` starts.
    pub async fn postgres_redis(name: &'static str, migrations: &'static Migrations) -> Self {
        let database = Database::Postgres(PostgresDatabase::create(name, migrations).await);
        Self {
            database,
            ephemeral: redis::settings(),
        }
    }

    /// The settings of the database.
    #[must_use]
    pub fn database(&self) -> db::Settings {
        match &self.database {
            Database::Sqlite(file) => file.settings(),
            Database::Postgres(database) => database.settings(),
        }
    }
}

/// Makes, of each `async fn name(stores: &Stores)`, a test on SQLite and memory and one on PostgreSQL and Redis:
/// `on_each_store!(my_crate::MIGRATIONS; one, another)`.
#[macro_export]
macro_rules! on_each_store {
    ($migrations:path; $($name:ident),+ $(,)?) => { $(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_memory() {
                let name = "migrated";
                super::$name(&$crate::stores::Stores::sqlite_memory(name, &$migrations).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_redis() {
                let name = "migrated";
                super::$name(&$crate::stores::Stores::postgres_redis(name, &$migrations).await).await;
            }
        }
    )+ };
}
