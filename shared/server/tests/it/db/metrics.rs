//! What is counted of a database is what happened to it.

use prometheus::{Registry, TextEncoder};
use shared_server::db::{Backend, DbError, Settings};

use super::{balance, on_both, open_account, store};

on_both!(
    what_is_on_loan_and_what_was_asked_is_counted,
    a_refusal_undoes_and_a_second_row_is_no_failure,
    a_wait_in_vain_is_counted,
);

fn shown(registry: &Registry) -> String {
    TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap()
}

/// The value of a series, `name{labels}`.
fn value(registry: &Registry, series: &str) -> f64 {
    let text = shown(registry);
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let found = found.unwrap_or_else(|| panic!("no {series} in {text}"));
    found.parse().unwrap()
}

async fn what_is_on_loan_and_what_was_asked_is_counted(settings: Settings) {
    let store = store(&settings).await;
    let registry = Registry::new();
    store.register(&registry).unwrap();
    assert!(store.register(&registry).is_err(), "shown once");
    let (pool, most) = match store.backend() {
        Backend::Sqlite => ("writer", 1.0),
        Backend::Postgres => ("all", 10.0),
    };
    let of_pool = |what: &str| value(&registry, &format!("database_{what}{{pool=\"{pool}\"}}"));
    let statements = |work: &str| {
        let name = "database_statement_duration_seconds_count";
        value(&registry, &format!("{name}{{work=\"{work}\"}}"))
    };
    let (reads, writes) = (statements("read"), statements("write"));
    let waits = of_pool("connection_wait_seconds_count");
    store
        .transaction(async |conn| {
            open_account(conn, "a", 1).await?;
            assert!((of_pool("connections_in_use") - 1.0).abs() < 0.1);
            assert!((of_pool("connections_max") - most).abs() < 0.1);
            assert!(of_pool("connection_waiters").abs() < 0.1);
            Ok::<_, DbError>(())
        })
        .await
        .unwrap();
    assert!(of_pool("connections_in_use").abs() < 0.1);
    assert!((of_pool("connection_wait_seconds_count") - waits - 1.0).abs() < 0.1);
    // The row and the commit; the beginning is no part of it yet.
    assert!((statements("transaction") - 2.0).abs() < 0.1);
    assert!((statements("write") - writes - 1.0).abs() < 0.1);
    let committed = "database_transaction_duration_seconds_count{outcome=\"committed\"}";
    assert!((value(&registry, committed) - 1.0).abs() < 0.1);
    assert_eq!(
        balance(&mut store.read().await.unwrap(), "a")
            .await
            .unwrap(),
        Some(1)
    );
    assert!((statements("read") - reads - 1.0).abs() < 0.1);
}

async fn a_refusal_undoes_and_a_second_row_is_no_failure(settings: Settings) {
    let store = store(&settings).await;
    let registry = Registry::new();
    store.register(&registry).unwrap();
    let refused = store
        .transaction(async |conn| {
            open_account(conn, "a", 1).await?;
            open_account(conn, "a", 2).await
        })
        .await;
    assert!(matches!(refused, Err(DbError::Duplicate(_))), "{refused:?}");
    let undone = "database_transaction_duration_seconds_count{outcome=\"undone\"}";
    assert!((value(&registry, undone) - 1.0).abs() < 0.1);
    for cause in ["unavailable", "refused"] {
        let failures = format!("database_failures_total{{cause=\"{cause}\"}}");
        assert!(value(&registry, &failures).abs() < 0.1, "{cause}");
    }
    let mut conn = store.write().await.unwrap();
    let broken = diesel::sql_query("SELECT no_such_column FROM accounts");
    let refused = {
        use diesel_async::RunQueryDsl;
        shared_server::on!(&mut conn, |c| broken.execute(c))
    };
    assert!(refused.is_err());
    let failures = "database_failures_total{cause=\"refused\"}";
    assert!((value(&registry, failures) - 1.0).abs() < 0.1);
    let told = shown(&registry);
    assert!(!told.contains("no_such_column"), "names of ours alone");
}

async fn a_wait_in_vain_is_counted(mut settings: Settings) {
    settings.pool_size = 1;
    settings.wait_timeout = std::time::Duration::from_millis(200);
    let store = store(&settings).await;
    let registry = Registry::new();
    store.register(&registry).unwrap();
    let pool = match store.backend() {
        Backend::Sqlite => "writer",
        Backend::Postgres => "all",
    };
    let held = store.write().await.unwrap();
    let waited = format!("database_connection_wait_seconds_sum{{pool=\"{pool}\"}}");
    let before = value(&registry, &waited);
    assert!(store.write().await.is_err());
    assert!(value(&registry, &waited) - before >= 0.15);
    drop(held);
}
