use std::sync::Arc;

use diesel_async::RunQueryDsl;
use diesel_migrations::embed_migrations;
use shared_server::db::{DbError, Migrations, Settings, Store};
use shared_server::on;
use shared_testing::databases::PostgresDatabase;
use tokio::sync::Barrier;

use super::MIGRATIONS;

/// A database with no table of ours.
static NONE: Migrations = Migrations {
    sqlite: diesel_migrations::EmbeddedMigrations::new(&[]),
    postgres: diesel_migrations::EmbeddedMigrations::new(&[]),
};

static BROKEN: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations/broken"),
    postgres: embed_migrations!("tests/migrations/broken"),
};

static DANGLING: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations/dangling"),
    postgres: embed_migrations!("tests/migrations/dangling"),
};

const SHARED: &str = "2026-11-21-130000_schedules";
const OWN: [&str; 2] = ["20260101000000_accounts", "20260101000001_entries"];

/// Without the tables of what every server stands on, which come first, and which a database made for a test may have.
fn own(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| name != SHARED);
    names
}

#[tokio::test]
async fn the_tables_of_every_server_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new.db").display());
    let store = Store::connect(&Settings::new(url.into())).await.unwrap();
    let all = [SHARED, OWN[0], OWN[1]];
    assert_eq!(store.pending(&MIGRATIONS).await.unwrap(), all);
    assert_eq!(store.migrate(&MIGRATIONS).await.unwrap(), all);
}

/// With the version of one that every server has.
static TAKEN: Migrations = Migrations {
    sqlite: embed_migrations!("../../migrations/shared/sqlite"),
    postgres: embed_migrations!("../../migrations/shared/postgres"),
};

async fn a_version_that_is_taken_is_refused(settings: Settings) {
    let store = Store::connect(&settings).await.unwrap();
    let refused = store.migrate(&TAKEN).await.unwrap_err().to_string();
    assert!(refused.contains("20261121130000"), "{refused}");
}

async fn on_sqlite<F: Future<Output = ()>>(behaviour: impl FnOnce(Settings) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("new.db").display());
    behaviour(Settings::new(url.into())).await;
}

async fn on_postgres<F: Future<Output = ()>>(behaviour: impl FnOnce(Settings) -> F) {
    let database = PostgresDatabase::create("empty", &NONE).await;
    behaviour(database.settings()).await;
}

async fn six_racing_starters_apply_each_once(settings: Settings) {
    assert_eq!(own(applied_by_six(settings).await), OWN);
}

async fn applied_by_six(settings: Settings) -> Vec<String> {
    let line = Arc::new(Barrier::new(6));
    let starters: Vec<_> = (0..6)
        .map(|_| {
            let (settings, line) = (settings.clone(), Arc::clone(&line));
            tokio::spawn(async move {
                let store = Store::connect(&settings).await.unwrap();
                // A starter that cannot connect must fail the test, not leave the others waiting.
                let all = tokio::time::timeout(std::time::Duration::from_secs(30), line.wait());
                all.await.unwrap();
                store.migrate(&MIGRATIONS).await.unwrap()
            })
        })
        .collect();
    let mut applied = Vec::new();
    for starter in starters {
        let names = starter.await.unwrap();
        assert!(
            names.is_empty() || applied.is_empty(),
            "half: {names:?} after {applied:?}"
        );
        applied.extend(names);
    }
    applied
}

/// The same where nobody has to make the table of migrations first, as when a later release starts.
async fn six_racing_starters_of_a_later_release_apply_each_once(settings: Settings) {
    let store = Store::connect(&settings).await.unwrap();
    store.migrate(&NONE).await.unwrap();
    assert_eq!(applied_by_six(settings).await, OWN);
}

async fn pending_names_what_is_missing_and_changes_nothing(settings: Settings) {
    let store = Store::connect(&settings).await.unwrap();
    for _ in 0..2 {
        assert_eq!(own(store.pending(&MIGRATIONS).await.unwrap()), OWN);
    }
    assert_eq!(own(store.migrate(&MIGRATIONS).await.unwrap()), OWN);
    assert!(store.pending(&MIGRATIONS).await.unwrap().is_empty());
    assert!(store.migrate(&MIGRATIONS).await.unwrap().is_empty());
}

async fn what_fails_is_named_and_undone(settings: Settings) {
    let store = Store::connect(&settings).await.unwrap();
    for (what, migrations, name, why) in [
        (
            "a table that is not there",
            &BROKEN,
            "20260101000000_half",
            "nowhere",
        ),
        ("a row that refers to no row", &DANGLING, "", "foreign key"),
    ] {
        let Err(DbError::Migration(message)) = store.migrate(migrations).await else {
            panic!("{what} was not refused");
        };
        assert!(
            message.contains(name) && message.contains(why),
            "{what}: {message}"
        );
        let mut pending = store.pending(migrations).await.unwrap();
        // SQLite undoes all of it together.
        pending.retain(|name| name != SHARED);
        assert_eq!(pending.len(), 1, "{what}");
    }
    let mut conn = store.read().await.unwrap();
    for table in ["half", "parents", "children"] {
        let query = diesel::sql_query(format!("SELECT * FROM {table}"));
        assert!(on!(&mut conn, |c| query.execute(c)).is_err(), "{table}");
    }
}

macro_rules! on_empty {
    ($($name:ident),+ $(,)?) => { $( mod $name {
        #[tokio::test]
        async fn sqlite() {
            super::on_sqlite(super::$name).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn sqlite_many_threads() {
            super::on_sqlite(super::$name).await;
        }

        #[tokio::test]
        async fn postgres() {
            super::on_postgres(super::$name).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn postgres_many_threads() {
            super::on_postgres(super::$name).await;
        }
    } )+ };
}

on_empty!(
    six_racing_starters_apply_each_once,
    six_racing_starters_of_a_later_release_apply_each_once,
    pending_names_what_is_missing_and_changes_nothing,
    what_fails_is_named_and_undone,
    a_version_that_is_taken_is_refused,
);
