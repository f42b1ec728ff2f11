//! What servers keep, as an operator sees it: rows, bytes, entries of the ephemeral store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use diesel::sql_types::{BigInt, Text};
use diesel::{QueryableByName, sql_query};
use diesel_async::RunQueryDsl;
use shared_server::db::{Backend, Settings, Store};
use shared_server::on;

use crate::client::{Call, Client};

/// A server's database, read beside it.
pub(crate) struct Database {
    store: Store,
    /// SQLite's.
    file: Option<PathBuf>,
}

/// Bytes of a database.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Bytes {
    /// On the disk, the write-ahead log of SQLite included.
    pub(crate) on_disk: u64,
    /// Of those, what holds rows: SQLite's file without its free pages, the tables of PostgreSQL without their indices.
    pub(crate) in_use: u64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    value: String,
}

const SQLITE_TABLES: &str = "SELECT name AS value FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
const POSTGRES_TABLES: &str = "SELECT relname::text AS value FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
const SQLITE_IN_USE: &str = "SELECT (p.page_count - f.freelist_count) * s.page_size AS value \
     FROM pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s";
const POSTGRES_IN_USE: &str = "SELECT coalesce(sum(pg_relation_size(oid)), 0)::bigint AS value FROM pg_class \
     WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace";
const POSTGRES_ON_DISK: &str = "SELECT pg_database_size(current_database()) AS value";

impl Database {
    /// Connects.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        Ok(Self {
            store: Store::connect(&Settings::new(url.into())).await?,
            file: url.strip_prefix("sqlite:").map(PathBuf::from),
        })
    }

    /// A statement without an answer, outside of a transaction.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) async fn perform(&self, statement: &str) -> anyhow::Result<()> {
        let mut conn = self.store.write().await?;
        on!(&mut conn, |c| sql_query(statement).execute(c))?;
        Ok(())
    }

    async fn number(&self, query: &str) -> anyhow::Result<i64> {
        let mut conn = self.store.read().await?;
        let number: Number = on!(&mut conn, |c| sql_query(query).get_result(c))?;
        Ok(number.value)
    }

    /// How many rows each table has.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(crate) async fn rows(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let tables = match self.store.backend() {
            Backend::Sqlite => SQLITE_TABLES,
            Backend::Postgres => POSTGRES_TABLES,
        };
        let mut conn = self.store.read().await?;
        let names: Vec<Name> = on!(&mut conn, |c| sql_query(tables).get_results(c))?;
        drop(conn);
        let mut rows = BTreeMap::new();
        for Name { value: name } in names {
            let count = format!("SELECT count(*) AS value FROM \"{name}\"");
            rows.insert(name, self.number(&count).await?.unsigned_abs());
        }
        Ok(rows)
    }

    /// How large it is.
    ///
    /// # Errors
    /// If the database or the file system does not answer.
    pub(crate) async fn bytes(&self) -> anyhow::Result<Bytes> {
        let (in_use, on_disk) = if let Some(file) = &self.file {
            (SQLITE_IN_USE, length(file) + length(&log_of(file)))
        } else {
            let on_disk = self.number(POSTGRES_ON_DISK).await?;
            (POSTGRES_IN_USE, on_disk.unsigned_abs())
        };
        Ok(Bytes {
            on_disk,
            in_use: self.number(in_use).await?.unsigned_abs(),
        })
    }

    /// What a PostgreSQL does by itself in production, where autovacuum is on: it makes the room of deleted rows free.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) async fn vacuum(&self) -> anyhow::Result<()> {
        match self.store.backend() {
            Backend::Sqlite => Ok(()),
            Backend::Postgres => self.perform("VACUUM").await,
        }
    }

    /// The process of PostgreSQL that all others are children of, if it runs on this machine.
    ///
    /// # Errors
    /// If the database does not answer.
    pub(crate) async fn backend_pid(&self) -> anyhow::Result<Option<u32>> {
        if self.file.is_some() {
            return Ok(None);
        }
        let pid = self
            .number("SELECT pg_backend_pid()::bigint AS value")
            .await?;
        Ok(u32::try_from(pid).ok())
    }
}

fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |file| file.len())
}

/// A Redis beside the server.
pub(crate) struct Redis(redis::aio::MultiplexedConnection);

impl Redis {
    /// Connects.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = redis::Client::open(url)?;
        Ok(Self(client.get_multiplexed_async_connection().await?))
    }

    /// How many keys it holds.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) async fn keys(&mut self) -> anyhow::Result<u64> {
        Ok(redis::cmd("DBSIZE").query_async(&mut self.0).await?)
    }

    /// Its process.
    ///
    /// # Errors
    /// If it does not tell.
    pub(crate) async fn pid(&mut self) -> anyhow::Result<u32> {
        let mut command = redis::cmd("INFO");
        let info: String = command.arg("server").query_async(&mut self.0).await?;
        let pid = info
            .lines()
            .find_map(|line| line.strip_prefix("process_id:"));
        let pid = pid.and_then(|pid| pid.trim().parse().ok());
        pid.context("Redis does not tell its process_id")
    }
}

/// The gauge of entries that a node holds in its own memory.
const ENTRIES: &str = "ephemeral_entries";

/// How many entries a node holds in its own memory, if it tells its operator.
///
/// # Errors
/// If it does not answer.
pub(crate) async fn entries(operations_port: u16) -> anyhow::Result<Option<u64>> {
    let mut client = Client::connect(operations_port).await?;
    let body = client.ok(Call::get("/metrics")).await?;
    Ok(gauge(&String::from_utf8_lossy(&body), ENTRIES))
}

/// The value of a series without labels in the text format of Prometheus.
fn gauge(metrics: &str, name: &str) -> Option<u64> {
    let mut values = metrics.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = values.find(|(series, _)| *series == name)?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_read_by_its_whole_name() {
        let text = "# TYPE ephemeral_entries gauge\nephemeral_entries_max 9\nephemeral_entries 7\n";
        assert_eq!(gauge(text, ENTRIES), Some(7));
        assert_eq!(gauge(text, "ephemeral"), None);
    }

    #[tokio::test]
    async fn rows_and_bytes_of_a_database_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("kept.db").display());
        let database = Database::connect(&url).await.unwrap();
        database.perform("CREATE TABLE t (a TEXT)").await.unwrap();
        database
            .perform("INSERT INTO t VALUES ('x'), ('y')")
            .await
            .unwrap();
        let rows = database.rows().await.unwrap();
        assert_eq!(rows, BTreeMap::from([("t".to_owned(), 2)]));
        let before = database.bytes().await.unwrap();
        assert!(
            before.in_use > 0 && before.on_disk >= before.in_use,
            "{before:?}"
        );
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) \
             INSERT INTO t SELECT hex(randomblob(50)) FROM n";
        database.perform(many).await.unwrap();
        let full = database.bytes().await.unwrap();
        assert!(full.in_use > before.in_use + 100_000, "{full:?}");
        database
            .perform("DELETE FROM t WHERE length(a) > 1")
            .await
            .unwrap();
        let after = database.bytes().await.unwrap();
        assert!(after.in_use <= before.in_use + 4096, "{after:?}");
    }
}
