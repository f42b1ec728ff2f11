//! Schema changes, applied once however many nodes start at the same time.

use std::collections::HashSet;
use std::error::Error;

use diesel::backend::Backend as DieselBackend;
use diesel::migration::{Migration, MigrationSource};
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, SqliteConnection};
use diesel_async::AsyncPgConnection;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness};

use super::error::chain;
use super::sqlite::Role;
use super::{Backend, DbError, Pools, Result, Store};

/// The same schema for each database.
pub struct Migrations {
    /// For SQLite.
    pub sqlite: EmbeddedMigrations,
    /// For PostgreSQL.
    pub postgres: EmbeddedMigrations,
}

/// The tables of what both servers stand on.
static SHARED: Migrations = Migrations {
    sqlite: diesel_migrations::embed_migrations!("../../migrations/shared/sqlite"),
    postgres: diesel_migrations::embed_migrations!("../../migrations/shared/postgres"),
};

type BoxError = Box<dyn Error + Send + Sync>;

/// Any number will do that nobody else uses in this database.
const LOCK: i64 = 0x6d69_6772_6174_6564;

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

impl Store {
    /// Applies what is pending, in order, on a connection of its own, and gives the names of what was applied: first the tables
    /// of [`jobs`](crate::jobs), then those of `migrations`. Others that do the same at the same time wait, and find nothing to do.
    ///
    /// # Errors
    /// [`DbError::Migration`] naming what failed, [`DbError::Unavailable`] if there is no connection.
    pub async fn migrate(&self, migrations: &'static Migrations) -> Result<Vec<String>> {
        let done = match &self.0.pools {
            Pools::Sqlite { file, .. } => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || {
                    migrate_sqlite(&mut file.open(Role::Migrator)?, migrations)
                })
                .await
            }
            Pools::Postgres { connector, .. } => {
                let connection = connector.connect_unbounded();
                let conn = self.within_wait(connection, ToString::to_string).await?;
                // diesel's migrations know no async, and a thread of the runtime must not wait for itself.
                tokio::task::spawn_blocking(move || migrate_postgres(conn, migrations)).await
            }
        };
        done.map_err(|error| DbError::Migration(error.to_string()))?
            .map_err(|error| DbError::Migration(chain(&*error)))
    }

    /// The names of the migrations that this database does not have yet. Changes nothing.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the database does not answer.
    pub async fn pending(&self, migrations: &'static Migrations) -> Result<Vec<String>> {
        use diesel_async::RunQueryDsl;
        let mut conn = self.read().await?;
        let table = match self.backend() {
            Backend::Sqlite => {
                "SELECT count(*) AS count FROM sqlite_master WHERE name = '__diesel_schema_migrations'"
            }
            Backend::Postgres => "SELECT count(to_regclass('__diesel_schema_migrations')) AS count",
        };
        let exists: Count = crate::on!(&mut conn, |c| diesel::sql_query(table).get_result(c))?;
        let applied: Vec<Version> = if exists.count == 0 {
            Vec::new()
        } else {
            let query = "SELECT version FROM __diesel_schema_migrations";
            crate::on!(&mut conn, |c| diesel::sql_query(query).get_results(c))?
        };
        let applied = applied.into_iter().map(|row| row.version).collect();
        let mut pending = Vec::new();
        for of in [&SHARED, migrations] {
            let missing = match self.backend() {
                Backend::Sqlite => missing::<diesel::sqlite::Sqlite>(&of.sqlite, &applied),
                Backend::Postgres => missing::<diesel::pg::Pg>(&of.postgres, &applied),
            };
            pending.extend(missing.map_err(|error| DbError::Migration(error.to_string()))?);
        }
        Ok(pending)
    }
}

fn missing<DB: DieselBackend>(
    all: &EmbeddedMigrations,
    applied: &HashSet<String>,
) -> Result<Vec<String>, BoxError> {
    let mut all = MigrationSource::<DB>::migrations(all)?;
    all.retain(|migration| !applied.contains(&migration.name().version().to_string()));
    let mut names: Vec<_> = all.iter().map(|m| m.name().to_string()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Both kinds are kept in one list of what was applied, where a version that both have would count as applied for the other.
fn apply<DB: DieselBackend>(
    harness: &mut impl MigrationHarness<DB>,
    [shared, own]: [&'static EmbeddedMigrations; 2],
) -> Result<Vec<String>, BoxError> {
    let versions = |of: &EmbeddedMigrations| -> Result<HashSet<String>, BoxError> {
        let all = MigrationSource::<DB>::migrations(of)?;
        Ok(all.iter().map(|m| m.name().version().to_string()).collect())
    };
    if let Some(version) = versions(shared)?.intersection(&versions(own)?).next() {
        return Err(format!("two migrations have the version {version}").into());
    }
    let mut applied = Vec::new();
    for of in [shared, own] {
        for migration in harness.pending_migrations(Borrowed(of))? {
            let name = migration.name().to_string();
            if let Err(error) = harness.run_migration(&migration) {
                return Err(format!("{name}: {}", chain(&*error)).into());
            }
            applied.push(name);
        }
    }
    Ok(applied)
}

/// `MigrationSource` is implemented for the value alone, which cannot be copied.
struct Borrowed(&'static EmbeddedMigrations);

impl<DB: DieselBackend> MigrationSource<DB> for Borrowed {
    fn migrations(&self) -> diesel::migration::Result<Vec<Box<dyn Migration<DB>>>> {
        self.0.migrations()
    }
}

fn migrate_sqlite(
    conn: &mut SqliteConnection,
    migrations: &'static Migrations,
) -> Result<Vec<String>, BoxError> {
    use diesel::RunQueryDsl;
    conn.exclusive_transaction(|conn| {
        let applied = apply(conn, [&SHARED.sqlite, &migrations.sqlite])?;
        // The keys were off, so that a table could be rebuilt.
        let broken: Count =
            diesel::sql_query("SELECT count(*) AS count FROM pragma_foreign_key_check")
                .get_result(conn)?;
        if broken.count > 0 {
            return Err(format!("rows that break a foreign key: {}", broken.count).into());
        }
        Ok(applied)
    })
}

/// The lock goes with the connection.
fn migrate_postgres(
    conn: AsyncPgConnection,
    migrations: &'static Migrations,
) -> Result<Vec<String>, BoxError> {
    use diesel::RunQueryDsl;
    let mut conn: AsyncConnectionWrapper<AsyncPgConnection> = conn.into();
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(LOCK)
        .execute(&mut conn)?;
    apply(&mut conn, [&SHARED.postgres, &migrations.postgres])
}
