//! Health, metrics, and backends that go away.

use auth_server::clients::AuthMethod;
use auth_server::config::Config;
use shared_server::config::Secret;
use shared_testing::on_each_store;
use shared_testing::redis::RedisServer;
use shared_testing::stores::Stores;

use crate::server::{API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_running_server_is_ready_and_counts,
    without_its_ephemeral_store_assertions_get_503_and_secrets_still_work,
);

async fn a_running_server_is_ready_and_counts(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    for path in ["/health", "/health/live", "/health/ready"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(
        server.get("/metrics").await.status,
        404,
        "metrics are for operators"
    );
    assert_eq!(server.get("/nothing").await.status, 404);
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    server.token(&client, API).await;
    server
        .post_as(&client, "/oauth/token", &[("grant_type", "x")])
        .await;
    let metrics = server
        .http
        .get(format!("{}/metrics", server.operations))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for line in [
        "oauth_tokens_issued_total{grant_type=\"client_credentials\"} 1",
        "oauth_client_authentications_total{method=\"client_secret_basic\",outcome=\"accepted\"} 2",
        "password_hash_wait_seconds_count 0",
        "password_hashes_total 0",
        "oauth_refusals_total{error=\"unsupported_grant_type\"} 1",
        "http_request_duration_seconds_count{method=\"POST\",route=\"/oauth/token\",status=\"200\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains(&client.id), "no client in a label");
}

async fn without_its_ephemeral_store_assertions_get_503_and_secrets_still_work(stores: &Stores) {
    let mut redis = RedisServer::start(&[]).await;
    let mut config = config(stores);
    config.ephemeral.url = Secret::from(redis.url());
    let server = TestServer::start_with(config, std::sync::Arc::default())
        .await
        .with_resources(None)
        .await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let (signing, key) = server
        .signing_client(shared_protocol::jose::Algorithm::Es256, "read")
        .await;
    redis.stop();
    server.token(&client, API).await;
    let now = shared_protocol::time::Clock::now(&*server.clock).as_secs();
    let claims = serde_json::json!({"iss": signing.id, "sub": signing.id, "aud": server.issuer, "iat": now,
        "exp": now + 60, "jti": "x"});
    let assertion = server.assertion(&key, &claims).await;
    let form = [
        ("grant_type", "client_credentials"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", &assertion),
    ];
    let answer = server.send(server.form("/oauth/token", &form)).await;
    assert_eq!(answer.error(), (503, "temporarily_unavailable"));
    assert_eq!(answer.header("retry-after"), "1");
}

/// Behind a proxy one stranger would reach them for everybody.
#[test]
fn limits_by_address_are_for_servers_that_are_reached_directly() {
    let mut config = Config::default();
    assert!(config.interactions_per_address() > 0);
    assert!(config.sign_in_limits().address_failures_before_wait > 0);
    config.issuer = "https://accounts.example".parse().unwrap();
    assert_eq!(config.interactions_per_address(), 0);
    assert_eq!(config.sign_in_limits().address_failures_before_wait, 0);
}

#[test]
fn contradictions_and_what_production_forbids_are_told_together() {
    let problems = |change: fn(&mut Config)| {
        let mut config = Config::default();
        change(&mut config);
        config.problems()
    };
    assert_eq!(problems(|_| ()), Vec::<String>::new());
    let production = problems(|config| config.mode = auth_server::config::Mode::Production);
    assert_eq!(production.len(), 2, "{production:?}");
    let nodes = problems(|config| config.nodes = 2);
    assert!(
        nodes
            .iter()
            .any(|problem| problem.starts_with("ephemeral.url")),
        "{nodes:?}"
    );
    let hasty = problems(|config| config.keys.publish_ahead = std::time::Duration::ZERO);
    assert!(
        hasty
            .iter()
            .any(|problem| problem.starts_with("keys.publish_ahead")),
        "{hasty:?}"
    );
    let guessable = problems(|config| {
        config.passwords.memory = 7;
        config.sign_in.failures_before_lock = 0;
        config.sign_in.lock = std::time::Duration::ZERO;
        config.sign_in.longest_wait = std::time::Duration::ZERO;
    });
    assert_eq!(guessable.len(), 4, "{guessable:?}");
    let forgetful = problems(|config| {
        config.authorization.code_lifetime = std::time::Duration::from_secs(61);
        config.authorization.interaction_lifetime = std::time::Duration::ZERO;
    });
    assert_eq!(forgetful.len(), 2, "{forgetful:?}");
    for (key, change) in [
        (
            "authorization.interaction_lifetime",
            (|config| config.authorization.interaction_lifetime *= 3) as fn(&mut Config),
        ),
        ("sessions.idle", |config| config.sessions.idle /= 300),
        ("sessions.idle", |config| config.sessions.absolute /= 15),
        ("sign_in.longest_wait", |config| {
            config.sign_in.longest_wait *= 61;
        }),
        ("keys.algorithms", |config| {
            config.mode = auth_server::config::Mode::Production;
            config.keys.algorithms.truncate(1);
        }),
    ] {
        let told = problems(change);
        let named = told.iter().filter(|problem| problem.starts_with(key));
        assert_eq!(named.count(), 1, "{told:?}");
    }
    let cheap = problems(|config| {
        config.mode = auth_server::config::Mode::Production;
        config.passwords.memory = 1024;
    });
    assert!(
        cheap
            .iter()
            .any(|problem| problem.starts_with("passwords.memory")),
        "{cheap:?}"
    );
    let nothing = problems(|config| {
        config.server.listen.clear();
        config.keys.algorithms.clear();
    });
    assert_eq!(nothing.len(), 2, "{nothing:?}");
}
