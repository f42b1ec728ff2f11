//! What is executed often is prepared once.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use shared_server::db::{Conn, Result, Settings, prepared_once};
use shared_server::on;
use shared_testing::databases::PostgresDatabase;

use super::{MIGRATIONS, accounts, balance, on_both, open_account, store};

on_both!(a_statement_that_is_prepared_once_binds_anew_each_time);

/// How often statements of this beginning were prepared and are kept, and how often they were executed.
#[derive(Debug, Eq, PartialEq, QueryableByName)]
struct Kept {
    #[diesel(sql_type = BigInt)]
    prepared: i64,
    #[diesel(sql_type = BigInt)]
    executed: i64,
}

async fn set(conn: &mut Conn, id: &str, amount: i64) -> Result<usize> {
    let update = diesel::update(accounts::table.find(id)).set(accounts::balance.eq(amount));
    on!(conn, |c| prepared_once(update).execute(c))
}

async fn a_statement_that_is_prepared_once_binds_anew_each_time(settings: Settings) {
    let store = store(&settings).await;
    let mut conn = store.write().await.unwrap();
    for id in ["a", "b"] {
        open_account(&mut conn, id, 0).await.unwrap();
    }
    for (id, amount) in [("a", 1), ("b", 2), ("a", 3)] {
        assert_eq!(set(&mut conn, id, amount).await.unwrap(), 1);
        assert_eq!(balance(&mut conn, id).await.unwrap(), Some(amount));
    }
    assert_eq!(set(&mut conn, "c", 4).await.unwrap(), 0);
}

#[tokio::test]
async fn postgres_keeps_one_prepared_statement_for_each_connection() {
    let database = PostgresDatabase::create("server", &MIGRATIONS).await;
    let store = store(&database.settings()).await;
    let mut conn = store.write().await.unwrap();
    for amount in 1..=3 {
        set(&mut conn, "a", amount).await.unwrap();
    }
    let query = "SELECT count(*) AS prepared, sum(generic_plans + custom_plans)::bigint AS executed \
                 FROM pg_prepared_statements WHERE statement LIKE 'UPDATE%'";
    let kept: Kept = on!(&mut conn, |c| diesel::sql_query(query).get_result(c)).unwrap();
    let once = Kept {
        prepared: 1,
        executed: 3,
    };
    assert_eq!(kept, once);
}
