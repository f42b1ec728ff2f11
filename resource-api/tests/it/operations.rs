//! Starting, stopping, health and metrics.

use std::sync::Arc;

use diesel_async::RunQueryDsl;
use reqwest::StatusCode;
use resource_api::{Server, StartError};
use secrecy::ExposeSecret;
use serde_json::Value;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::db::{Conn, DbError, Settings, Store};
use shared_server::on;
use shared_server::web::Shutdown;
use shared_testing::databases::{PostgresDatabase, SqliteFile};

use crate::harness::{Api, FakeIssuer, Storage, config, on_both_stores, problem};

on_both_stores! {
    async fn a_server_is_ready_when_database_and_issuers_answer(storage: Storage) {
        let api = Api::start(storage).await;
        for place in ["/health", "/health/live", "/health/ready"] {
            assert_eq!(api.get(place).await.status(), StatusCode::OK, "{place}");
        }
        let all: Value = operators(&api, "/api/v1/health/all").await.1;
        assert_eq!(all["status"], "up");
        let names = all["checks"].as_array().unwrap().iter().map(|check| &check["name"]);
        assert_eq!(names.collect::<Vec<_>>(), ["db", "issuers"]);
    }

    async fn a_server_starts_without_its_issuer_and_is_not_ready(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::silent().await, |_| {}).await;
        assert_eq!(api.get("/health/live").await.status(), StatusCode::OK);
        assert_eq!(api.get("/health/ready").await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let (status, finding) = operators(&api, "/api/v1/health/issuers").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let reason = finding["reason"].as_str().unwrap();
        assert!(reason.contains(&api.issuer.identifier()), "{reason}");
        let (status, _) = operators(&api, "/api/v1/health/db").await;
        assert_eq!(status, StatusCode::OK);
    }

    async fn a_first_visit_without_the_database_is_503_with_retry_after(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.database.statement_timeout = "1s".parse().unwrap();
            config.database.wait_timeout = "1s".parse().unwrap();
        })
        .await;
        let kept = take_away(&api.storage).await;
        let response = api.me(&api.person_claims("person-1")).await;
        assert!(response.headers().contains_key("retry-after"));
        let (status, body) = problem(response).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["type"], "urn:problem-type:database-unavailable");
        assert!(body.get("detail").is_none(), "{body}");
        // Services need no database.
        assert_eq!(api.me(&api.service_claims()).await.status(), StatusCode::OK);
        drop(kept);
    }

    async fn a_fault_of_ours_is_500_and_tells_nothing_of_it(storage: Storage) {
        let api = Api::start(storage).await;
        unmigrate(&api.storage.settings()).await;
        let (status, body) = problem(api.me(&api.person_claims("person-1")).await).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["type"], "urn:problem-type:internal");
        assert!(body.get("detail").is_none(), "{body}");
    }

    async fn metrics_name_routes_by_their_template(storage: Storage) {
        let api = Api::start(storage).await;
        api.get("/api/v1/users/me").await;
        api.get("/no/such/place").await;
        let place = format!("{}/metrics", api.operations);
        let metrics = api.client.get(place).send().await.unwrap().text().await.unwrap();
        for labels in [
            r#"{method="GET",route="/api/v1/users/me",status="401"}"#,
            r#"{method="GET",route="unmatched",status="404"}"#,
        ] {
            let line = format!("http_request_duration_seconds_count{labels} 1");
            assert!(metrics.contains(&line), "{metrics}");
        }
    }

    async fn a_server_stops_when_asked(storage: Storage) {
        let api = Api::start(storage).await;
        assert_eq!(api.me(&api.service_claims()).await.status(), StatusCode::OK);
        let (base, client) = (api.base.clone(), reqwest::Client::builder().no_proxy());
        api.stop().await;
        let refused = client.build().unwrap().get(base).send().await.unwrap_err();
        assert!(refused.is_connect(), "{refused}");
    }

    async fn without_migrations_a_server_says_how_to_get_them(storage: Storage) {
        let mut config = config(&storage, &FakeIssuer::silent().await);
        config.database.migrate_at_start = false;
        let start = async |config| {
            Server::build(config, Arc::new(SystemClock), Arc::new(SystemRandom)).await
        };
        assert!(start(config.clone()).await.is_ok());
        unmigrate(&storage.settings()).await;
        let Err(StartError::Unmigrated(pending)) = start(config.clone()).await else {
            panic!("the server starts on an empty database");
        };
        assert_eq!(pending.len(), 3, "of every server, and its own");
        config.database.migrate_at_start = true;
        assert!(start(config).await.is_ok());
    }
}

#[tokio::test]
async fn a_server_without_its_database_is_alive_but_not_ready_postgres_redis() {
    let api = Api::start(Storage::postgres().await).await;
    let _kept = take_away(&api.storage).await;
    assert_eq!(api.get("/health/live").await.status(), StatusCode::OK);
    let response = api.get("/health/ready").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(response.text().await.unwrap(), "");
    let (status, finding) = operators(&api, "/api/v1/health/db").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(finding["reason"].is_string(), "{finding}");
}

#[tokio::test]
async fn an_api_with_a_certificate_speaks_https_and_a_bad_one_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let (storage, issuer) = (Storage::sqlite().await, FakeIssuer::silent().await);
    let mut config = config(&storage, &issuer);
    config.resource.identifier = "https://api.example".parse().unwrap();
    config.tls.certificate = Some(certificate.clone());
    config.tls.key = Some(key);
    let start = async || {
        Server::build(
            config.clone(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
        )
        .await
    };
    let bound = start().await.ok().unwrap().bind().await.unwrap();
    let port = bound.addresses()[0].port();
    let shutdown = Shutdown::new();
    let serving = tokio::spawn(bound.serve(shutdown.clone()));
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([root]);
    let url = format!("https://localhost:{port}/health");
    let answer = client.build().unwrap().get(url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(
        answer.headers()["strict-transport-security"],
        "max-age=63072000"
    );
    shutdown.trigger();
    serving.await.unwrap();

    std::fs::write(certificate, "").unwrap();
    let Err(StartError::Edge(refused)) = start().await else {
        panic!("the API starts on a bad certificate");
    };
    assert!(
        refused.to_string().starts_with("tls.certificate: "),
        "{refused}"
    );
}

async fn operators(api: &Api, path: &str) -> (StatusCode, Value) {
    let place = format!("{}{path}", api.operations);
    let response = api.client.get(place).send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// Makes writing impossible for as long as the result lives: another process holds the lock of the file, or the database
/// is gone from its server.
async fn take_away(storage: &Storage) -> Conn {
    match storage {
        Storage::Sqlite(file) => lock(file).await,
        Storage::Postgres(database) => drop_database(database).await,
    }
}

async fn lock(file: &SqliteFile) -> Conn {
    let store = Store::connect(&file.settings()).await.unwrap();
    let mut conn = store.write().await.unwrap();
    let begin = diesel::sql_query("BEGIN IMMEDIATE");
    on!(&mut conn, |c| begin.execute(c)).unwrap();
    conn
}

async fn drop_database(database: &PostgresDatabase) -> Conn {
    let url = database.settings().url;
    let mut url = url::Url::parse(url.expose_secret()).unwrap();
    let name = url.path().trim_start_matches('/').to_owned();
    url.set_path("/postgres");
    let server = Store::connect(&Settings::new(url.as_str().into()))
        .await
        .unwrap();
    let mut conn = server.write().await.unwrap();
    let drop = diesel::sql_query(format!("DROP DATABASE {name} WITH (FORCE)"));
    on!(&mut conn, |c| drop.execute(c)).unwrap();
    conn
}

async fn unmigrate(settings: &Settings) {
    let store = Store::connect(settings).await.unwrap();
    for table in ["people", "schedules", "__diesel_schema_migrations"] {
        let mut conn = store.write().await.unwrap();
        let drop = diesel::sql_query(format!("DROP TABLE {table}"));
        let dropped: Result<usize, DbError> = on!(&mut conn, |c| drop.execute(c));
        dropped.unwrap();
    }
}
