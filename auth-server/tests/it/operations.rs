//! Health, metrics, and backends that go away.

use auth_server::clients::AuthMethod;
use auth_server::config::Config;
use auth_server::server::AuthServer;
use shared_protocol::time::Clock as _;
use shared_server::config::Secret;
use shared_server::web::ForwardedBy;
use shared_testing::on_each_store;
use shared_testing::redis::RedisServer;
use shared_testing::stores::Stores;

use crate::server::{API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_running_server_is_ready_and_counts,
    a_server_with_a_certificate_speaks_https_and_nothing_else,
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
    for _ in 0..3 {
        server.get("/oauth/jwks").await;
    }
    let now = server.clock.now();
    let until = now + std::time::Duration::from_mins(5);
    let revocations = &server.records.revocations;
    revocations.revoke_token("some", until, now).await.unwrap();
    let metrics = server
        .http
        .get(format!("{}/metrics", server.operations))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    // What is remembered may be dropped at any time, so that which of them are hits is not told.
    for (cache, asked) in [("clients", 2), ("jwks", 3)] {
        let looked_up = ["hit", "miss"].map(|outcome| {
            let name = format!("cache_lookups_total{{cache=\"{cache}\",outcome=\"{outcome}\"}} ");
            let found = metrics.lines().find_map(|line| line.strip_prefix(&name));
            found.unwrap().parse::<u32>().unwrap()
        });
        assert_eq!(looked_up.iter().sum::<u32>(), asked, "{cache}");
        assert!(looked_up[1] >= 1, "{cache}");
    }
    for line in [
        "revocations_held{kind=\"jti\"} 1",
        "http_requests_in_flight 0",
        "http_connections_open{listener=\"operations\"} 1",
        "build_info{service=\"auth-server\",version=\"0.1.0\"} 1",
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

async fn a_server_with_a_certificate_speaks_https_and_nothing_else(stores: &Stores) {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = config(stores);
    config.issuer = "https://accounts.example".parse().unwrap();
    config.tls.certificate = Some(certificate.clone());
    config.tls.key = Some(key);
    config.tls.include_subdomains = true;
    let server = TestServer::start_with(config.clone(), std::sync::Arc::default()).await;
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([root])
        .build()
        .unwrap();
    let origin = server
        .issuer
        .replace("http://127.0.0.1", "https://localhost");
    let metadata = format!("{origin}/.well-known/oauth-authorization-server");
    let answer = client.get(metadata).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(
        answer.headers()["strict-transport-security"],
        "max-age=63072000; includeSubDomains"
    );
    assert_eq!(
        answer.headers()["cross-origin-resource-policy"],
        "same-origin"
    );
    let metadata: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(metadata["issuer"], "https://accounts.example");
    let plain = format!("{}/health", server.issuer);
    assert!(server.http.get(plain).send().await.is_err());
    let operations = format!("{}/metrics", server.operations);
    let metrics = server.http.get(operations).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("tls_handshakes_total{listener=\"public\",outcome=\"completed\"} 1"),
        "{metrics}"
    );

    std::fs::write(certificate, "").unwrap();
    let shutdown = shared_server::web::Shutdown::new();
    let refused = AuthServer::open(&config, &server.world, shutdown).await;
    let refused = refused.err().expect("a bad pair stops the start");
    assert!(
        format!("{refused:#}").starts_with("tls.certificate: "),
        "{refused:#}"
    );
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

/// Behind something that nobody named, one stranger would reach them for everybody.
#[test]
fn limits_by_address_hold_where_addresses_are_known() {
    let https = || Config {
        issuer: "https://accounts.example".parse().unwrap(),
        ..Config::default()
    };
    let mut tls = https();
    tls.tls.certificate = Some("tls.crt".into());
    tls.tls.key = Some("tls.key".into());
    let mut proxied = https();
    proxied.proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
    proxied.proxies.header = Some(ForwardedBy::XForwardedFor);
    for (what, mut config, hold) in [
        ("plain http", Config::default(), true),
        ("https by somebody", https(), false),
        ("https by us", tls, true),
        ("https by a proxy", proxied, true),
    ] {
        assert_eq!(config.interactions_per_address() > 0, hold, "{what}");
        let limits = config.sign_in_limits();
        assert_eq!(limits.address_failures_before_wait > 0, hold, "{what}");
        config.mode = auth_server::config::Mode::Production;
        let problems = config.problems();
        let refused = problems
            .iter()
            .any(|problem| problem.starts_with("tls.certificate: nobody is known to end TLS"));
        assert_eq!(refused, !hold, "{what}: {problems:?}");
    }
}

/// Of the default configuration after a change.
fn problems(change: fn(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    config.problems()
}

#[test]
fn contradictions_and_what_production_forbids_are_told_together() {
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

#[test]
fn each_contradiction_names_its_key() {
    for (key, change) in [
        (
            "keys.publish_ahead",
            (|config| config.keys.jwks_max_age *= 2) as fn(&mut Config),
        ),
        ("keys.jwks_max_age", |config| config.keys.jwks_max_age /= 31),
        ("keys.rotate_every", |config| {
            config.keys.rotate_every = config.keys.publish_ahead / 2;
        }),
        ("keys.rotate_every", |config| {
            config.mode = auth_server::config::Mode::Production;
            config.keys.rotate_every /= 31;
        }),
        ("retention.every", |config| config.retention.every *= 1441),
        ("retention.every", |config| config.retention.every /= 61),
        ("retention.every", |config| {
            config.mode = auth_server::config::Mode::Production;
            config.retention.every = std::time::Duration::ZERO;
        }),
        ("retention.changes", |config| config.retention.changes /= 61),
        ("retention.grants", |config| {
            config.retention.grants = config.authorization.code_lifetime / 2;
        }),
        ("retention.grants", |config| {
            config.mode = auth_server::config::Mode::Production;
            config.retention.grants /= 8;
        }),
        ("retention.revocations", |config| {
            config.mode = auth_server::config::Mode::Production;
            config.retention.revocations /= 13;
        }),
        (
            "authorization.interaction_lifetime",
            (|config| config.authorization.interaction_lifetime *= 3) as fn(&mut Config),
        ),
        ("sessions.idle", |config| config.sessions.idle /= 300),
        ("tls.key", |config| {
            config.tls.certificate = Some("x".into());
        }),
        ("tls.certificate", |config| {
            config.tls.certificate = Some("x".into());
            config.tls.key = Some("x".into());
        }),
        ("tls.handshake", |config| {
            config.tls.handshake = std::time::Duration::ZERO;
        }),
        ("proxies.header", |config| {
            config.proxies.trusted = vec!["10.0.0.0/8".parse().unwrap()];
        }),
        ("limits.requests", |config| config.limits.requests = 0),
        ("limits.idle", |config| config.limits.idle /= 3),
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
}
