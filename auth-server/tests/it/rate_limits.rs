//! Requests by address, client and person, and failures of clients (RFC 6585 §4, draft-ietf-httpapi-ratelimit-headers).

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::config::{Config, Mode};
use shared_server::config::Secret;
use shared_server::rate_limits::Rate;
use shared_testing::on_each_store;
use shared_testing::redis::RedisServer;
use shared_testing::stores::Stores;

use crate::person::{Scene, app, pair};
use crate::server::{API, Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_client_is_refused_beyond_its_limit_until_time_passes,
    an_address_is_refused_in_the_form_of_each_surface_but_for_public_documents,
    a_person_is_counted_whatever_asks_on_their_behalf,
    a_code_that_is_refused_for_the_number_of_requests_is_not_spent,
    anybody_may_name_a_public_client_so_it_is_not_counted,
    the_tightest_limit_is_told,
    wrong_secrets_from_one_address_slow_the_client_nowhere_else,
    failures_as_many_clients_are_the_address_s,
    without_its_ephemeral_store_requests_are_counted_and_answered,
);

const HOUR: Duration = Duration::from_hours(1);
const CLIENT_CREDENTIALS: [(&str, &str); 2] =
    [("grant_type", "client_credentials"), ("resource", API)];

const fn hourly(requests: u32) -> Rate {
    Rate {
        requests,
        per: HOUR,
    }
}

async fn server(stores: &Stores, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut config = config(stores);
    change(&mut config);
    let server = TestServer::start_with(config, Arc::default()).await;
    server.with_resources(None).await
}

fn told(answer: &Answer) -> (&str, &str) {
    (
        answer.header("ratelimit-policy"),
        answer.header("ratelimit"),
    )
}

/// The name and the numbers of `RateLimit`.
fn standing(answer: &Answer) -> (String, u64, u64) {
    let text = answer.header("ratelimit");
    let (name, numbers) = text.split_once(";r=").unwrap();
    let (remaining, reset) = numbers.split_once(";t=").unwrap();
    let number = |text: &str| text.parse().unwrap();
    (name.to_owned(), number(remaining), number(reset))
}

/// 429, and what goes with it; how long to wait.
fn refused(answer: &Answer, policy: &str) -> Duration {
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert_eq!(answer.header("ratelimit-policy"), policy);
    let (name, remaining, reset) = standing(answer);
    assert!(policy.starts_with(&name), "{name} of {policy}");
    assert_eq!(remaining, 0);
    assert_eq!(answer.header("retry-after"), reset.to_string());
    assert!(reset > 0);
    Duration::from_secs(reset)
}

async fn a_client_is_refused_beyond_its_limit_until_time_passes(stores: &Stores) {
    let server = server(stores, |config| config.rate_limits.client = hourly(5)).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let other = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let ask = async |client: &TestClient| {
        let path = "/oauth/token";
        server.post_as(client, path, &CLIENT_CREDENTIALS).await
    };
    let policy = "\"client\";q=5;w=3600";
    for (remaining, reset) in [(4, 720), (3, 1440), (2, 2160), (1, 2880)] {
        let answer = ask(&client).await;
        assert_eq!(answer.status, 200);
        let standing = format!("\"client\";r={remaining};t={reset}");
        assert_eq!(told(&answer), (policy, &*standing));
    }
    // All endpoints where it proves who it is are one.
    for (path, status) in [("/oauth/introspect", 200), ("/oauth/revoke", 429)] {
        let answer = server.post_as(&client, path, &[("token", "x")]).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let answer = ask(&client).await;
    let wait = refused(&answer, policy);
    assert_eq!(answer.error(), (429, "temporarily_unavailable"));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!((Duration::from_mins(10)..=Duration::from_mins(12)).contains(&wait));
    assert_eq!(ask(&other).await.status, 200, "another client");
    let metrics = format!("{}/metrics", server.operations);
    let metrics = server.http.get(metrics).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let line = "rate_limited_total{limit=\"client\"} 2";
    assert!(metrics.contains(line), "{metrics}");

    server.clock.advance(wait);
    assert_eq!(ask(&client).await.status, 200);
    assert_eq!(ask(&client).await.status, 429, "one came, and no more");
    server.clock.advance(HOUR);
    for _ in 0..5 {
        assert_eq!(ask(&client).await.status, 200);
    }
}

async fn an_address_is_refused_in_the_form_of_each_surface_but_for_public_documents(
    stores: &Stores,
) {
    let server = server(stores, |config| config.rate_limits.address = hourly(6)).await;
    let policy = "\"address\";q=6;w=3600";
    for path in [
        "/oauth/authorize",
        "/nothing",
        "/logged-out",
        "/oauth/userinfo",
    ] {
        let answer = server.get(path).await;
        assert_ne!(answer.status, 429, "{path}");
        assert_eq!(answer.header("ratelimit-policy"), policy, "{path}");
    }
    for _ in 0..3 {
        server.get("/nothing").await;
    }
    for (method, path, kind) in [
        ("POST", "/oauth/token", "application/json"),
        ("GET", "/oauth/userinfo", "application/json"),
        ("GET", "/oauth/authorize", "text/html; charset=utf-8"),
        ("GET", "/oauth/logout", "text/html; charset=utf-8"),
        ("GET", "/nothing", "application/json"),
    ] {
        let url = format!("{}{path}", server.issuer);
        let request = server.http.request(method.parse().unwrap(), url);
        let answer = server.send(request).await;
        refused(&answer, policy);
        assert_eq!(answer.header("content-type"), kind, "{path}");
    }
    for path in [
        "/health",
        "/oauth/jwks",
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/openapi.json",
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(told(&answer), ("", ""), "{path}");
    }
    server.clock.advance(HOUR);
    assert_eq!(server.get("/logged-out").await.status, 200);
}

async fn a_person_is_counted_whatever_asks_on_their_behalf(stores: &Stores) {
    let server = server(stores, |config| config.rate_limits.account = hourly(4)).await;
    let scene = Scene::on(server).await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let (access, refresh) = pair(&tokens);
    let answer = scene.userinfo(access).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"account\";q=4;w=3600");
    assert_eq!(standing(&answer).1, 2);
    let refreshed = scene.refresh(&scene.app, refresh).await;
    assert_eq!(refreshed.status, 200);
    let next = refreshed.text("refresh_token");
    assert_eq!(scene.userinfo(access).await.status, 200);

    let policy = "\"account\";q=4;w=3600";
    refused(&scene.userinfo(access).await, policy);
    let answer = scene.refresh(&scene.app, next).await;
    let wait = refused(&answer, policy);
    assert_eq!(answer.error().1, "temporarily_unavailable");
    // Nothing was spent.
    scene.server.clock.advance(wait);
    assert_eq!(scene.refresh(&scene.app, next).await.status, 200);
}

async fn a_code_that_is_refused_for_the_number_of_requests_is_not_spent(stores: &Stores) {
    let server = server(stores, |config| {
        config.rate_limits.account = Rate {
            requests: 2,
            per: Duration::from_mins(1),
        };
    })
    .await;
    let scene = Scene::on(server).await;
    let code = scene.code(&scene.app, "openid read").await;
    for _ in 0..2 {
        scene.tokens(&scene.app, "openid").await;
    }
    let answer = scene.redeem(&scene.app, &code).await;
    let wait = refused(&answer, "\"account\";q=2;w=60");
    scene.server.clock.advance(wait);
    assert_eq!(scene.redeem(&scene.app, &code).await.status, 200);
}

async fn anybody_may_name_a_public_client_so_it_is_not_counted(stores: &Stores) {
    let server = server(stores, |config| config.rate_limits.client = hourly(1)).await;
    let public = server.register(app(AuthMethod::None)).await;
    for _ in 0..3 {
        let form = [("token", "x"), ("client_id", &*public.id)];
        let answer = server.send(server.form("/oauth/revoke", &form)).await;
        assert_eq!(answer.status, 200);
    }
}

async fn the_tightest_limit_is_told(stores: &Stores) {
    let server = server(stores, |config| {
        config.rate_limits.address = hourly(100);
        config.rate_limits.client = hourly(10);
        config.rate_limits.account = hourly(5);
    })
    .await;
    let scene = Scene::on(server).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let code = scene.code(&client, "openid").await;
    for (answer, name) in [
        (scene.server.get("/logged-out").await, "\"address\""),
        (
            scene
                .server
                .post_as(&client, "/oauth/revoke", &[("token", "x")])
                .await,
            "\"client\"",
        ),
        (scene.redeem(&client, &code).await, "\"account\""),
    ] {
        assert!(answer.status.is_success());
        assert_eq!(standing(&answer).0, name);
        assert!(answer.header("ratelimit-policy").starts_with(name));
        assert_eq!(answer.header("retry-after"), "");
    }
}

async fn wrong_secrets_from_one_address_slow_the_client_nowhere_else(stores: &Stores) {
    let server = server(stores, |config| {
        config.client_authentication.failures = 5;
        config.client_authentication.window = HOUR;
    })
    .await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let other = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let wrong = TestClient {
        secret: "wrong".into(),
        ..client.clone()
    };
    let ask = async |client: &TestClient| {
        let path = "/oauth/token";
        server.post_as(client, path, &CLIENT_CREDENTIALS).await
    };
    // One more finds out that there were enough.
    for n in 0..6 {
        assert_eq!(ask(&wrong).await.status, 401, "{n}");
    }
    let policy = "\"client-failures\";q=5;w=3600";
    let wait = refused(&ask(&wrong).await, policy);
    refused(&ask(&client).await, policy);
    assert_eq!(ask(&other).await.status, 200, "another client from there");

    let elsewhere = reqwest::Client::builder()
        .local_address(Some(Ipv4Addr::new(127, 0, 0, 2).into()))
        .build()
        .unwrap();
    let url = format!("{}/oauth/token", server.issuer);
    let request = elsewhere.post(url).form(&CLIENT_CREDENTIALS);
    let answer = server
        .send(request.basic_auth(&client.id, Some(&client.secret)))
        .await;
    assert_eq!(answer.status, 200, "the same client from elsewhere");

    server.clock.advance(wait);
    assert_eq!(ask(&wrong).await.status, 401);
    server.clock.advance(HOUR);
    assert_eq!(ask(&client).await.status, 200);
}

async fn failures_as_many_clients_are_the_address_s(stores: &Stores) {
    let server = server(stores, |config| {
        config.client_authentication.address_failures = 5;
        config.client_authentication.window = HOUR;
    })
    .await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    for n in 0..6 {
        let guessed = TestClient {
            id: format!("guess-{n}"),
            secret: "wrong".into(),
        };
        let answer = server
            .post_as(&guessed, "/oauth/token", &CLIENT_CREDENTIALS)
            .await;
        assert_eq!(answer.status, 401, "{n}");
    }
    let answer = server
        .post_as(&client, "/oauth/token", &CLIENT_CREDENTIALS)
        .await;
    let wait = refused(&answer, "\"address-failures\";q=5;w=3600");
    server.clock.advance(wait);
    server.token(&client, API).await;
}

/// Client credentials need no ephemeral store, and must not begin to.
async fn without_its_ephemeral_store_requests_are_counted_and_answered(stores: &Stores) {
    let mut redis = RedisServer::start(&[]).await;
    let server = server(stores, |config| {
        config.ephemeral.url = Secret::from(redis.url());
        config.rate_limits.client = hourly(10);
    })
    .await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    server.token(&client, API).await;
    redis.stop();
    let mut answered = 0;
    for _ in 0..20 {
        let path = "/oauth/token";
        let answer = server.post_as(&client, path, &CLIENT_CREDENTIALS).await;
        match answer.status.as_u16() {
            200 => answered += 1,
            429 => {}
            status => panic!("{status}: {}", answer.body),
        }
    }
    assert!((9..=12).contains(&answered), "{answered}");
}

#[test]
fn limits_by_address_are_for_servers_that_are_reached_directly() {
    let mut config = Config::default();
    assert!(config.requests_per_address().requests > 0);
    config.issuer = "https://accounts.example".parse().unwrap();
    assert_eq!(config.requests_per_address().requests, 0);
    let (as_one, as_any) = config.client_failures();
    assert_eq!((as_one.requests, as_any.requests), (0, 0));
}

#[test]
fn production_warns_of_what_is_not_limited_and_starts() {
    let mut config = Config::default();
    config.rate_limits.client.requests = 0;
    assert_eq!(config.problems(), Vec::<String>::new());
    assert_eq!(config.warnings(), Vec::<String>::new(), "on one machine");
    config.mode = Mode::Production;
    let [warning] = &config.warnings()[..] else {
        panic!("one warning: {:?}", config.warnings());
    };
    assert!(warning.contains("rate_limits.client.requests"), "{warning}");
}

#[test]
fn bad_rates_name_their_key() {
    type Edit = fn(&mut Config);
    let cases: [(&str, Edit); 7] = [
        ("rate_limits.address.requests", |c| {
            c.rate_limits.address.requests = 10_000_001;
        }),
        ("rate_limits.client.per", |c| {
            c.rate_limits.client.per = Duration::ZERO;
        }),
        ("rate_limits.account.per", |c| {
            c.rate_limits.account.per = 25 * HOUR;
        }),
        ("rate_limits.penalty", |c| c.rate_limits.penalty = HOUR),
        ("rate_limits.longest_penalty", |c| {
            c.rate_limits.longest_penalty = 25 * HOUR;
        }),
        ("client_authentication.failures", |c| {
            c.client_authentication.failures = u32::MAX;
        }),
        ("client_authentication.address_failures", |c| {
            c.client_authentication.address_failures = u32::MAX;
        }),
    ];
    for (key, edit) in cases {
        let mut config = Config::default();
        edit(&mut config);
        let [problem] = &config.problems()[..] else {
            panic!("{key}: {:?}", config.problems());
        };
        assert!(problem.starts_with(&format!("{key}: ")), "{problem}");
    }
}
