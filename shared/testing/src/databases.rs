//! A database of its own for each test, migrated already: a copied file for SQLite, a copied template for PostgreSQL.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use diesel_async::RunQueryDsl;
use secrecy::{ExposeSecret, SecretString};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_server::db::{Conn, Migrations, Settings, Store, Synchronous};
use shared_server::on;
use tempfile::TempDir;
use tokio::sync::Mutex;

/// A migrated SQLite file in a folder of its own, removed when this is dropped.
pub struct SqliteFile {
    folder: TempDir,
}

/// The bytes of one migrated file for each name, made once in a run.
static TEMPLATES: Mutex<BTreeMap<&'static str, Vec<u8>>> = Mutex::const_new(BTreeMap::new());

impl SqliteFile {
    /// A file with `migrations` applied. One `name` stands for one schema.
    ///
    /// # Panics
    /// If the file cannot be made or migrated.
    pub async fn create(name: &'static str, migrations: &'static Migrations) -> Self {
        let mut templates = TEMPLATES.lock().await;
        let template = match templates.entry(name) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(place) => place.insert(template_file(migrations).await),
        };
        let file = Self::empty();
        std::fs::write(file.path(), template).expect("the temporary folder can be written");
        file
    }

    fn empty() -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        Self { folder }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("test.db")
    }

    /// How to reach it. Does not wait for the disk, which no test can unplug.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = patient(format!("sqlite:{}", self.path().display()).into());
        settings.synchronous = Synchronous::Normal;
        settings
    }
}

/// Many tests share a machine, and none should fail because it is slow.
fn patient(url: SecretString) -> Settings {
    let mut settings = Settings::new(url);
    settings.wait_timeout = Duration::from_secs(20);
    settings
}

async fn template_file(migrations: &'static Migrations) -> Vec<u8> {
    let file = SqliteFile::empty();
    let store = open(&file.settings()).await;
    store
        .migrate(migrations)
        .await
        .expect("the migrations for SQLite apply");
    let mut conn = store.write().await.expect("the file can be written");
    // Else the newest pages would be in the journal, which is not copied.
    on!(&mut conn, |c| diesel::sql_query(
        "PRAGMA wal_checkpoint(TRUNCATE)"
    )
    .execute(c))
    .expect("nobody else reads the file");
    drop((conn, store));
    std::fs::read(file.path()).expect("the file was made above")
}

async fn open(settings: &Settings) -> Store {
    Store::connect(settings)
        .await
        .unwrap_or_else(|error| panic!("{error}"))
}

/// A migrated database on the server that `TEST_PG_URL` names. It goes when the server does, which is thrown away after
/// the tests.
pub struct PostgresDatabase {
    url: SecretString,
}

impl PostgresDatabase {
    /// A database with `migrations` applied. One `name` stands for one schema.
    ///
    /// # Panics
    /// Without `TEST_PG_URL`, or if the server does not do as asked.
    pub async fn create(name: &'static str, migrations: &'static Migrations) -> Self {
        let server = server();
        let mut settings = Settings::new(server.clone());
        settings.pool_size = 1;
        // Others may be making the same template, or the server may be busy with copies.
        settings.wait_timeout = Duration::from_mins(1);
        settings.statement_timeout = Duration::from_mins(1);
        let store = open(&settings).await;
        let mut conn = store.write().await.expect("the server has a connection");

        let template = template_name(name);
        let lock = hash(&template).cast_signed();
        let locked = diesel::sql_query("SELECT pg_advisory_lock($1)").bind::<BigInt, _>(lock);
        on!(&mut conn, |c| locked.execute(c)).expect("the lock comes free");
        if !exists(&mut conn, &template).await {
            make_template(&mut conn, &server, &template, migrations).await;
        }
        let unlocked = diesel::sql_query("SELECT pg_advisory_unlock($1)").bind::<BigInt, _>(lock);
        on!(&mut conn, |c| unlocked.execute(c)).expect("the lock was taken above");

        let database = format!("test_{}", alphanumeric(16, &SystemRandom).to_lowercase());
        run(
            &mut conn,
            &format!("CREATE DATABASE {database} TEMPLATE {template} STRATEGY file_copy"),
        )
        .await;
        Self {
            url: with_database(&server, &database),
        }
    }

    /// How to reach it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        patient(self.url.clone())
    }
}

fn server() -> SecretString {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command that runs the tests says here where their server is"
    )]
    let url = std::env::var("TEST_PG_URL");
    url.unwrap_or_else(|_| {
        panic!("TEST_PG_URL must name a PostgreSQL server to test with: run the tests through deploy/test")
    })
    .into()
}

/// Named by the program that holds the migrations, for a change of theirs is a change of it.
fn template_name(name: &str) -> String {
    let program = std::env::current_exe().expect("this program is a file");
    let made = program.metadata().and_then(|file| file.modified());
    let hash = hash(&(&program, made.expect("files have a time here")));
    format!("template_{name}_{hash:016x}")
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn exists(conn: &mut Conn, database: &str) -> bool {
    let sql = "SELECT count(*) AS count FROM pg_database WHERE datname = $1";
    let query = diesel::sql_query(sql).bind::<Text, _>(database);
    let found: Count = on!(conn, |c| query.get_result(c)).expect("the server lists its databases");
    found.count == 1
}

/// Under another name until it is ready: one that was begun and not ended is made anew, and a copy needs a template that
/// nobody is connected to.
async fn make_template(
    conn: &mut Conn,
    server: &SecretString,
    template: &str,
    migrations: &'static Migrations,
) {
    let unready = format!("{template}_wip");
    run(
        conn,
        &format!("DROP DATABASE IF EXISTS {unready} WITH (FORCE)"),
    )
    .await;
    run(
        conn,
        &format!("CREATE DATABASE {unready} TEMPLATE template0 STRATEGY file_copy"),
    )
    .await;
    let store = open(&Settings::new(with_database(server, &unready))).await;
    store
        .migrate(migrations)
        .await
        .expect("the migrations for PostgreSQL apply");
    drop(store);
    run(
        conn,
        &format!("ALTER DATABASE {unready} WITH ALLOW_CONNECTIONS false"),
    )
    .await;
    // The server notices a closed connection a little later; what is still there is ours and idle.
    run(
        conn,
        &format!("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{unready}'"),
    )
    .await;
    run(
        conn,
        &format!("ALTER DATABASE {unready} RENAME TO {template}"),
    )
    .await;
}

async fn run(conn: &mut Conn, statement: &str) {
    if let Err(error) = on!(conn, |c| diesel::sql_query(statement).execute(c)) {
        panic!("{statement}: {error}");
    }
}

/// The same server, another database.
fn with_database(server: &SecretString, database: &str) -> SecretString {
    let url = server.expose_secret();
    let (place, parameters) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, place) = place.split_once("://").unwrap_or(("postgres", place));
    let host = place.split_once('/').map_or(place, |(host, _)| host);
    format!("{scheme}://{host}/{database}?{parameters}").into()
}
