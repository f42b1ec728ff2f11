//! A database that is away, slow or busy is an error in time, never a wait without end.

use std::time::{Duration, Instant};

use diesel_async::RunQueryDsl;
use secrecy::ExposeSecret;
use shared_server::db::{DbError, Settings, Store};
use shared_server::on;
use shared_testing::databases::{PostgresDatabase, SqliteFile};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{MIGRATIONS, accounts, on_both, open_account, store};

on_both!(an_exhausted_pool_is_unavailable_in_time);

const WAIT: Duration = Duration::from_millis(300);

fn postgres_at(port: u16) -> Settings {
    let mut settings =
        Settings::new(format!("postgres://user:hunter2@127.0.0.1:{port}/database").into());
    settings.wait_timeout = WAIT;
    settings
}

async fn refusal(settings: &Settings) -> String {
    let began = Instant::now();
    let Err(error) = Store::connect(settings).await else {
        panic!("connected");
    };
    assert!(began.elapsed() < WAIT + Duration::from_secs(1));
    assert!(matches!(error, DbError::Unavailable(_)), "{error:?}");
    let message = format!("{error} {error:?}");
    assert!(!message.contains("hunter2"), "{message}");
    message
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let message = refusal(&postgres_at(port)).await;
    assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    assert!(message.contains("refused"), "{message}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_unavailable_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
        }
    });
    refusal(&postgres_at(port)).await;
    silent.abort();
}

#[tokio::test]
async fn a_folder_instead_of_a_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::new(format!("sqlite:{}", folder.path().display()).into());
    settings.wait_timeout = WAIT;
    let message = refusal(&settings).await;
    assert!(message.contains("cannot open"), "{message}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("letter.txt");
    std::fs::write(&file, "Dear reader, this is not a database. ".repeat(100)).unwrap();
    let message = refusal(&Settings::new(format!("sqlite:{}", file.display()).into())).await;
    assert!(message.contains("letter.txt"), "{message}");
    assert!(message.contains("not a database"), "{message}");
}

async fn an_exhausted_pool_is_unavailable_in_time(mut settings: Settings) {
    settings.pool_size = 1;
    settings.wait_timeout = WAIT;
    let store = store(&settings).await;
    let held = store.write().await.unwrap();
    let began = Instant::now();
    assert!(matches!(store.write().await, Err(DbError::Unavailable(_))));
    assert!(began.elapsed() >= WAIT);
    drop(held);
    store.write().await.unwrap();
}

#[tokio::test]
async fn postgres_statement_that_takes_too_long_is_unavailable_and_the_connection_lives() {
    let database = PostgresDatabase::create("server", &MIGRATIONS).await;
    let mut settings = database.settings();
    settings.statement_timeout = Duration::from_millis(200);
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    let began = Instant::now();
    let slow = on!(&mut conn, |c| diesel::sql_query("SELECT pg_sleep(60)")
        .execute(c));
    assert!(matches!(slow, Err(DbError::Unavailable(_))), "{slow:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    open_account(&mut conn, "a", 1).await.unwrap();
}

#[tokio::test]
async fn postgres_row_that_another_transaction_holds_is_unavailable_in_time() {
    let database = PostgresDatabase::create("server", &MIGRATIONS).await;
    let mut settings = database.settings();
    settings.statement_timeout = Duration::from_millis(200);
    let store = store(&settings).await;
    store
        .transaction(async |conn| {
            open_account(conn, "a", 1).await?;
            let waits = store
                .transaction(async |conn| open_account(conn, "a", 2).await)
                .await;
            assert!(matches!(waits, Err(DbError::Unavailable(_))), "{waits:?}");
            Ok::<_, DbError>(())
        })
        .await
        .unwrap();
    assert_eq!(accounts(&store).await, ["a"]);
}

#[tokio::test]
async fn sqlite_lock_of_another_process_is_unavailable_in_time() {
    let file = SqliteFile::create("server", &MIGRATIONS).await;
    let mut settings = file.settings();
    settings.statement_timeout = Duration::from_millis(200);
    let (ours, theirs) = (store(&settings).await, store(&settings).await);
    theirs
        .transaction(async |_| {
            let waits = ours
                .transaction(async |conn| open_account(conn, "a", 2).await)
                .await;
            assert!(matches!(waits, Err(DbError::Unavailable(_))), "{waits:?}");
            Ok::<_, DbError>(())
        })
        .await
        .unwrap();
    ours.transaction(async |conn| open_account(conn, "a", 2).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn postgres_connection_that_the_server_ends_is_unavailable_once() {
    let database = PostgresDatabase::create("server", &MIGRATIONS).await;
    let mut settings = database.settings();
    settings.pool_size = 1;
    let (victim, other) = (store(&settings).await, store(&settings).await);
    let mut conn = victim.write().await.unwrap();
    let mut killer = other.write().await.unwrap();
    let kill = diesel::sql_query(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    on!(&mut killer, |c| kill.execute(c)).unwrap();
    let broken = open_account(&mut conn, "a", 1).await;
    assert!(matches!(broken, Err(DbError::Unavailable(_))), "{broken:?}");
    drop(conn);
    victim.ping().await.unwrap();
}

/// Passes bytes on until it is told to stall, then keeps the connections open and says nothing.
async fn stalling_proxy(server: String) -> (u16, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stall, stalled) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let (server, mut stalled) = (server.clone(), stalled.clone());
            tokio::spawn(async move {
                let mut far = TcpStream::connect(server).await.unwrap();
                tokio::select! {
                    biased;
                    _ = stalled.changed() => {}
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                }
                // Keeps both ends open.
                std::future::pending::<()>().await;
            });
        }
    });
    (port, stall)
}

#[tokio::test]
async fn postgres_that_falls_silent_is_unavailable_in_time() {
    let database = PostgresDatabase::create("server", &MIGRATIONS).await;
    let mut settings = database.settings();
    let url = settings.url.expose_secret().to_owned();
    let authority = url.split('/').nth(2).unwrap();
    let server = authority.split('@').next_back().unwrap();
    let (port, stall) = stalling_proxy(server.to_owned()).await;
    settings.url = url.replace(server, &format!("127.0.0.1:{port}")).into();
    settings.statement_timeout = Duration::from_millis(100);
    settings.wait_timeout = WAIT;
    settings.pool_size = 1;
    let store = store(&settings).await;
    store
        .transaction(async |conn| open_account(conn, "a", 1).await)
        .await
        .unwrap();
    stall.send(true).unwrap();
    for what in ["a connection that was open", "a new connection"] {
        let began = Instant::now();
        let silent = store.ping().await;
        assert!(
            matches!(silent, Err(DbError::Unavailable(_))),
            "{what}: {silent:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(3), "{what}");
    }
}
