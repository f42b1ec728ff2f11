//! A SQLite file that shrinks.

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use secrecy::ExposeSecret as _;
use shared_server::db::Store;
use shared_server::on;
use shared_testing::databases::SqliteFile;

use super::MIGRATIONS;

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = BigInt)]
    auto_vacuum: i64,
}

async fn run(store: &Store, statement: &str) {
    let mut conn = store.write().await.unwrap();
    on!(&mut conn, |c| diesel::sql_query(statement).execute(c)).unwrap();
}

/// Threat 36: the disk is given back, not only the rows.
#[tokio::test]
async fn what_deleted_rows_took_goes_back_to_the_file_system() {
    let database = SqliteFile::create("server", &MIGRATIONS).await;
    let settings = database.settings();
    let path = settings.url.expose_secret().replace("sqlite:", "");
    let size = || {
        std::fs::metadata(&path).unwrap().len()
            + std::fs::metadata(format!("{path}-wal")).unwrap().len()
    };
    let store = Store::connect(&settings).await.unwrap();
    {
        let mut conn = store.read().await.unwrap();
        let told: Told = on!(&mut conn, |c| diesel::sql_query(
            "SELECT auto_vacuum FROM pragma_auto_vacuum"
        )
        .get_result(c))
        .unwrap();
        assert_eq!(told.auto_vacuum, 2, "incremental");
    }
    let before = size();
    run(
        &store,
        "CREATE TABLE filler (id INTEGER PRIMARY KEY, text TEXT)",
    )
    .await;
    run(
        &store,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO filler SELECT i, hex(randomblob(250)) FROM n",
    )
    .await;
    assert!(size() > before + 10_000_000);
    run(&store, "DELETE FROM filler").await;
    let mut steps = 0;
    while store.give_back_space().await.unwrap() {
        steps += 1;
    }
    assert!(steps > 5, "in small steps: {steps}");
    let after = size();
    assert!(
        after < before + (2 << 20),
        "{before} bytes before, {after} after"
    );
    assert!(!store.give_back_space().await.unwrap());
}
