mod cancel;
mod metrics;
mod migrate;
mod prepared;
mod space;
mod tls;
mod unavailable;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use diesel_migrations::embed_migrations;
use shared_server::db::{Backend, Conn, DbError, Migrations, OptionalRow, Result, Settings, Store};
use shared_server::on;

pub(crate) static MIGRATIONS: Migrations = Migrations {
    sqlite: embed_migrations!("tests/migrations/sqlite"),
    postgres: embed_migrations!("tests/migrations/postgres"),
};

diesel::table! {
    accounts (id) {
        id -> Text,
        balance -> BigInt,
    }
}

diesel::table! {
    entries (id) {
        id -> BigInt,
        account_id -> Text,
        note -> Text,
    }
}

diesel::joinable!(entries -> accounts (account_id));
diesel::allow_tables_to_appear_in_same_query!(accounts, entries);

/// Runs each behaviour on both databases, and on a runtime of one thread and of several.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => { $(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                let database = shared_testing::databases::SqliteFile::create("server", &$crate::db::MIGRATIONS).await;
                super::$name(database.settings()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite_many_threads() {
                let database = shared_testing::databases::SqliteFile::create("server", &$crate::db::MIGRATIONS).await;
                super::$name(database.settings()).await;
            }

            #[tokio::test]
            async fn postgres() {
                let database = shared_testing::databases::PostgresDatabase::create("server", &$crate::db::MIGRATIONS).await;
                super::$name(database.settings()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres_many_threads() {
                let database = shared_testing::databases::PostgresDatabase::create("server", &$crate::db::MIGRATIONS).await;
                super::$name(database.settings()).await;
            }
        }
    )+ };
}
pub(crate) use on_both;

on_both!(
    an_ok_commits,
    an_err_rolls_back,
    a_refusal_that_is_ok_leaves_its_mark,
    a_savepoint_rolls_back_alone,
    a_commit_that_fails_is_an_error_and_leaves_nothing,
    of_fifty_racing_spenders_one_wins,
    a_second_row_of_the_same_key_is_a_duplicate,
    no_row_is_none,
    other_refusals_keep_their_cause,
    a_future_may_move_between_threads,
    the_pool_tells_how_busy_it_is,
);

async fn store(settings: &Settings) -> Store {
    Store::connect(settings).await.unwrap()
}

async fn open_account(conn: &mut Conn, id: &str, balance: i64) -> Result<()> {
    let row = (accounts::id.eq(id), accounts::balance.eq(balance));
    let insert = diesel::insert_into(accounts::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

async fn note(conn: &mut Conn, account: &str, note: &str) -> Result<()> {
    let row = (entries::account_id.eq(account), entries::note.eq(note));
    let insert = diesel::insert_into(entries::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

async fn balance(conn: &mut Conn, id: &str) -> Result<Option<i64>> {
    let query = accounts::table.find(id).select(accounts::balance);
    on!(conn, |c| query.first(c)).optional()
}

async fn accounts(store: &Store) -> Vec<String> {
    let mut conn = store.read().await.unwrap();
    let query = accounts::table.select(accounts::id).order(accounts::id);
    on!(&mut conn, |c| query.load(c)).unwrap()
}

/// Takes all or nothing; the `WHERE` clause is the lock.
async fn spend(conn: &mut Conn, id: &str, amount: i64) -> Result<bool> {
    let update = diesel::update(accounts::table)
        .filter(accounts::id.eq(id))
        .filter(accounts::balance.ge(amount))
        .set(accounts::balance.eq(accounts::balance - amount));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

async fn an_ok_commits(settings: Settings) {
    let store = store(&settings).await;
    let balance = store
        .transaction(async |conn| {
            open_account(conn, "a", 1).await?;
            balance(conn, "a").await
        })
        .await
        .unwrap();
    assert_eq!(balance, Some(1));
    assert_eq!(accounts(&store).await, ["a"]);
}

async fn an_err_rolls_back(settings: Settings) {
    #[derive(Debug, thiserror::Error)]
    enum Refusal {
        #[error("no")]
        No,
        #[error(transparent)]
        Db(#[from] DbError),
    }
    let store = store(&settings).await;
    let refused: Result<(), Refusal> = store
        .transaction(async |conn| {
            open_account(conn, "a", 1).await?;
            Err(Refusal::No)
        })
        .await;
    assert!(matches!(refused, Err(Refusal::No)));
    assert!(accounts(&store).await.is_empty());
}

async fn a_refusal_that_is_ok_leaves_its_mark(settings: Settings) {
    let store = store(&settings).await;
    let refused: Result<(), &str> = store
        .transaction(async |conn| {
            open_account(conn, "mark", 1).await?;
            Ok::<_, DbError>(Err("refused"))
        })
        .await
        .unwrap();
    assert_eq!(refused, Err("refused"));
    assert_eq!(accounts(&store).await, ["mark"]);
}

async fn a_savepoint_rolls_back_alone(settings: Settings) {
    let store = store(&settings).await;
    store
        .transaction(async |conn| {
            open_account(conn, "outer", 1).await?;
            let inner = conn
                .transaction(async |conn| {
                    open_account(conn, "inner", 1).await?;
                    open_account(conn, "outer", 1).await
                })
                .await;
            assert!(matches!(inner, Err(DbError::Duplicate(_))), "{inner:?}");
            conn.transaction(async |conn| open_account(conn, "second", 1).await)
                .await
        })
        .await
        .unwrap();
    assert_eq!(accounts(&store).await, ["outer", "second"]);
}

async fn a_commit_that_fails_is_an_error_and_leaves_nothing(mut settings: Settings) {
    settings.pool_size = 1;
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    // The foreign key is looked at when the transaction ends.
    let outcome = conn
        .transaction(async |conn| note(conn, "nobody", "n").await)
        .await;
    assert!(matches!(outcome, Err(DbError::Reference(_))), "{outcome:?}");
    drop(conn);
    store
        .transaction(async |conn| open_account(conn, "next", 1).await)
        .await
        .unwrap();
    assert_eq!(accounts(&store).await, ["next"]);
}

async fn of_fifty_racing_spenders_one_wins(settings: Settings) {
    let store = store(&settings).await;
    store
        .transaction(async |conn| open_account(conn, "a", 10).await)
        .await
        .unwrap();
    let spenders: Vec<_> = (0..50)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .transaction(async |conn| {
                        let won = spend(conn, "a", 10).await?;
                        if won {
                            note(conn, "a", &format!("spender {n}")).await?;
                        }
                        Ok::<_, DbError>(won)
                    })
                    .await
                    .unwrap()
            })
        })
        .collect();
    let mut won = 0;
    for spender in spenders {
        won += u32::from(spender.await.unwrap());
    }
    assert_eq!(won, 1);
    let mut conn = store.read().await.unwrap();
    assert_eq!(balance(&mut conn, "a").await.unwrap(), Some(0));
    let count = entries::table.count();
    let noted: i64 = on!(&mut conn, |c| count.get_result(c)).unwrap();
    assert_eq!(noted, 1);
}

async fn a_second_row_of_the_same_key_is_a_duplicate(settings: Settings) {
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    open_account(&mut conn, "secret-value", 1).await.unwrap();
    note(&mut conn, "secret-value", "secret-value")
        .await
        .unwrap();
    for (what, outcome, index) in [
        (
            "primary key",
            open_account(&mut conn, "secret-value", 1).await,
            "accounts",
        ),
        (
            "unique column",
            note(&mut conn, "secret-value", "secret-value").await,
            "note",
        ),
    ] {
        let Err(DbError::Duplicate(which)) = outcome else {
            panic!("{what}: {outcome:?}");
        };
        assert!(which.contains(index), "{what}: {which}");
        assert!(!which.contains("secret-value"), "{what}: {which}");
    }
}

async fn no_row_is_none(settings: Settings) {
    let store = store(&settings).await;
    let mut conn = store.read().await.unwrap();
    assert_eq!(balance(&mut conn, "nobody").await.unwrap(), None);
}

async fn other_refusals_keep_their_cause(settings: Settings) {
    use diesel::result::{DatabaseErrorKind, Error};
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    let refused = open_account(&mut conn, "a", -1).await;
    assert!(
        matches!(
            refused,
            Err(DbError::Query(Error::DatabaseError(
                DatabaseErrorKind::CheckViolation,
                _
            )))
        ),
        "{refused:?}"
    );
    let refused = on!(&mut conn, |c| diesel::sql_query(
        "SELECT nothing FROM nowhere"
    )
    .execute(c));
    assert!(matches!(refused, Err(DbError::Query(_))), "{refused:?}");
}

/// Futures of handlers must be `Send`: this does not compile if one here is not.
async fn a_future_may_move_between_threads(settings: Settings) {
    struct UseCase {
        store: Store,
    }
    impl UseCase {
        async fn pay(&self, from: &str, to: &str, amount: i64) -> Result<bool> {
            self.store
                .transaction(async |conn| {
                    let paid = spend(conn, from, amount).await?;
                    if paid {
                        conn.transaction(async |conn| open_account(conn, to, amount).await)
                            .await?;
                    }
                    Ok(paid)
                })
                .await
        }
    }
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    open_account(&mut conn, "a", 2).await.unwrap();
    drop(conn);
    let use_case = UseCase { store };
    assert!(send(use_case.pay("a", "b", 2)).await.unwrap());
    let task = tokio::spawn(async move { use_case.pay("a", "b", 2).await });
    assert!(!task.await.unwrap().unwrap());
}

async fn the_pool_tells_how_busy_it_is(mut settings: Settings) {
    settings.pool_size = 3;
    let store = store(&settings).await;
    let size = match store.backend() {
        Backend::Sqlite => 5,
        Backend::Postgres => 3,
    };
    let conn = store.write().await.unwrap();
    let status = store.pool_status();
    assert_eq!((status.in_use, status.size, status.waiting), (1, size, 0));
    drop(conn);
    assert_eq!(store.pool_status().in_use, 0);
}

#[tokio::test]
async fn sqlite_readers_cannot_write() {
    let file = shared_testing::databases::SqliteFile::create("server", &MIGRATIONS).await;
    let store = store(&file.settings()).await;
    let mut conn = store.read().await.unwrap();
    let refused = open_account(&mut conn, "a", 1).await;
    assert!(matches!(refused, Err(DbError::Query(_))), "{refused:?}");
}

#[tokio::test]
async fn sqlite_reads_on_the_calling_task_and_writes_off_it() {
    let file = shared_testing::databases::SqliteFile::create("server", &MIGRATIONS).await;
    let store = store(&file.settings()).await;
    let here = std::thread::current().id();
    for (conn, inline) in [(store.read().await, true), (store.write().await, false)] {
        let Conn::Sqlite(mut lease) = conn.unwrap() else {
            panic!("the file is SQLite's");
        };
        let (c, running) = lease.statement().unwrap();
        let statement = c.spawn_blocking(|_| Ok(std::thread::current().id()));
        assert_eq!(running.until(statement).await.unwrap() == here, inline);
    }
}

/// Two stores on one file are as two processes. A transaction that read first and then had to become a writer would fail
/// at once if another wrote in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_transactions_that_read_and_then_write_wait_for_each_other() {
    let file = shared_testing::databases::SqliteFile::create("server", &MIGRATIONS).await;
    let stores = [store(&file.settings()).await, store(&file.settings()).await];
    let mut conn = stores[0].write().await.unwrap();
    open_account(&mut conn, "a", 200).await.unwrap();
    drop(conn);
    let spenders = stores.map(|store| {
        tokio::spawn(async move {
            for _ in 0..100 {
                store
                    .transaction(async |conn| {
                        let before = balance(conn, "a").await?;
                        assert!(spend(conn, "a", 1).await?);
                        assert_eq!(balance(conn, "a").await?, before.map(|before| before - 1));
                        Ok::<_, DbError>(())
                    })
                    .await
                    .unwrap();
            }
            store
        })
    });
    for spender in spenders {
        let store = spender.await.unwrap();
        let mut conn = store.read().await.unwrap();
        assert!(balance(&mut conn, "a").await.unwrap() <= Some(100));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn sqlite_file_and_folder_are_for_this_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("not/there");
    let file = inner.join("a b.db");
    let store = store(&Settings::new(
        format!("sqlite://{}", file.display()).into(),
    ))
    .await;
    store.migrate(&MIGRATIONS).await.unwrap();
    let mut conn = store.write().await.unwrap();
    open_account(&mut conn, "a", 1).await.unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&inner), 0o700);
    for name in ["a b.db", "a b.db-wal", "a b.db-shm"] {
        assert_eq!(mode(&inner.join(name)), 0o600, "{name}");
    }
}

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    value: i64,
}

#[tokio::test]
async fn sqlite_is_set_up_as_the_settings_say() {
    use shared_server::db::Synchronous;
    let file = shared_testing::databases::SqliteFile::create("server", &MIGRATIONS).await;
    for (synchronous, expected) in [(Synchronous::Full, 2), (Synchronous::Normal, 1)] {
        let mut settings = file.settings();
        settings.synchronous = synchronous;
        let store = store(&settings).await;
        for mut conn in [store.read().await.unwrap(), store.write().await.unwrap()] {
            for (pragma, expected) in [
                ("synchronous", expected),
                ("foreign_keys", 1),
                ("trusted_schema", 0),
            ] {
                let query = format!("SELECT {pragma} AS value FROM pragma_{pragma}");
                let got: Setting =
                    on!(&mut conn, |c| diesel::sql_query(query).get_result(c)).unwrap();
                assert_eq!(got.value, expected, "{pragma}");
            }
        }
    }
}
