//! A future may be dropped at any point. Nobody after it may meet what it left.

use std::pin::pin;
use std::time::{Duration, Instant};

use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use shared_server::db::{Backend, Conn, DbError, Result, Settings, Store};
use shared_server::on;
use tokio::sync::Notify;

use super::{accounts, on_both, open_account, store};

on_both!(
    a_transaction_dropped_between_statements_is_undone,
    a_transaction_dropped_during_a_statement_is_undone,
    a_transaction_dropped_at_any_point_is_done_or_undone,
    a_statement_dropped_alone_spoils_nothing,
    a_connection_whose_transaction_was_dropped_refuses,
);

/// One connection, so that the next user would get the very one that was left.
async fn single(mut settings: Settings) -> Store {
    settings.pool_size = 1;
    store(&settings).await
}

/// Takes a fraction of a second on SQLite, and a minute on PostgreSQL if nobody stops it.
async fn slow(conn: &mut Conn) -> Result<()> {
    on!(
        conn,
        |sqlite| {
            sqlite.batch_execute(
            "INSERT INTO accounts WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000) \
             SELECT 'slow ' || i, 0 FROM n"
        )
        },
        |postgres| postgres.batch_execute("SELECT pg_sleep(60)")
    )
}

async fn the_next_user_is_alone(store: &Store) {
    let before = Instant::now();
    store
        .transaction(async |conn| open_account(conn, "next", 1).await)
        .await
        .unwrap();
    // Far less than the time that a statement may take, so no lock was waited for until it broke.
    assert!(before.elapsed() < Duration::from_secs(4));
    assert_eq!(accounts(store).await, ["next"]);
}

async fn a_transaction_dropped_between_statements_is_undone(settings: Settings) {
    let store = single(settings).await;
    let reached = Notify::new();
    let work = store.transaction(async |conn| {
        open_account(conn, "next", 0).await?;
        reached.notify_one();
        std::future::pending::<Result<()>>().await
    });
    tokio::select! {
        _ = work => unreachable!("it waits for ever"),
        () = reached.notified() => {}
    }
    // The row of the same key is locked for as long as the transaction is open.
    the_next_user_is_alone(&store).await;
}

async fn a_transaction_dropped_during_a_statement_is_undone(settings: Settings) {
    let store = single(settings).await;
    let reached = Notify::new();
    let work = store.transaction(async |conn| {
        open_account(conn, "next", 0).await?;
        reached.notify_one();
        slow(conn).await
    });
    tokio::select! {
        biased;
        () = reached.notified() => {}
        _ = work => panic!("it was to be dropped before its end"),
    }
    the_next_user_is_alone(&store).await;
}

async fn a_transaction_dropped_at_any_point_is_done_or_undone(settings: Settings) {
    let store = single(settings).await;
    let mut finished = 0;
    for patience in 0..60 {
        let (one, two) = (format!("{patience:02} 1"), format!("{patience:02} 2"));
        {
            let mut work = pin!(store.transaction(async |conn| {
                open_account(conn, &one, 0).await?;
                open_account(conn, &two, 0).await
            }));
            let patient = async {
                for _ in 0..patience * patience {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                outcome = &mut work => { outcome.unwrap(); finished += 1; }
                () = patient => {}
            }
        }
        let rows = accounts(&store).await;
        let both = rows.contains(&one) && rows.contains(&two);
        let neither = !rows.contains(&one) && !rows.contains(&two);
        assert!(both || neither, "after {patience}: {rows:?}");
    }
    assert!(finished < 60, "none was dropped");
    store
        .transaction(async |conn| open_account(conn, "next", 1).await)
        .await
        .unwrap();
    let rows = accounts(&store).await;
    assert_eq!(rows.len() % 2, 1, "pairs and the last: {rows:?}");
    let status = store.pool_status();
    assert_eq!((status.in_use, status.waiting), (0, 0));
}

async fn a_statement_dropped_alone_spoils_nothing(settings: Settings) {
    let store = single(settings).await;
    let mut conn = store.write().await.unwrap();
    {
        let mut statement = pin!(slow(&mut conn));
        tokio::select! {
            biased;
            _ = &mut statement => panic!("it was to be dropped before its end"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(conn);
    let before = Instant::now();
    store
        .transaction(async |conn| open_account(conn, "next", 1).await)
        .await
        .unwrap();
    assert!(before.elapsed() < Duration::from_secs(4));
    // A statement alone is a transaction of its own: it may have been done, but it is over.
    let count = accounts(&store).await.len();
    assert!(count == 1 || count == 300_001, "{count}");
}

async fn a_connection_whose_transaction_was_dropped_refuses(settings: Settings) {
    let store = single(settings).await;
    let mut conn = store.write().await.unwrap();
    let reached = Notify::new();
    tokio::select! {
        _ = conn.transaction(async |conn| {
            open_account(conn, "a", 0).await?;
            reached.notify_one();
            std::future::pending::<Result<()>>().await
        }) => unreachable!("it waits for ever"),
        () = reached.notified() => {}
    }
    // Else this would be answered with success and rolled back later.
    let refused = open_account(&mut conn, "next", 1).await;
    assert!(
        matches!(refused, Err(DbError::Unavailable(_))),
        "{refused:?}"
    );
    let refused = conn
        .transaction(async |conn| open_account(conn, "next", 1).await)
        .await;
    assert!(
        matches!(refused, Err(DbError::Unavailable(_))),
        "{refused:?}"
    );
    the_next_user_is_alone(&store).await;
}

#[tokio::test]
async fn postgres_lets_go_of_locks_when_a_transaction_is_dropped() {
    let database =
        shared_testing::databases::PostgresDatabase::create("server", &super::MIGRATIONS).await;
    let store = store(&database.settings()).await;
    assert_eq!(store.backend(), Backend::Postgres);
    let mut watcher = store.read().await.unwrap();
    let asleep = async {
        // Counts nobody until the sleeper is seen asleep, which is a matter of milliseconds.
        let query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        while on!(&mut watcher, |c| diesel::sql_query(query).execute(c)).unwrap() == 0 {}
    };
    tokio::select! {
        _ = store.transaction(async |conn| {
            open_account(conn, "next", 0).await?;
            slow(conn).await
        }) => panic!("it was to be dropped before its end"),
        () = asleep => {}
    }
    // Another connection waits for the row of the same key, for as long as the server does not notice that the sleeper
    // is alone.
    the_next_user_is_alone(&store).await;
}
