//! Several nodes over the same stores: what is changed or revoked at one is so at the others.

use std::time::{Duration, Instant};

use auth_server::clients::secret::ClientSecret;
use auth_server::clients::{AuthMethod, Client};
use auth_server::store::MIGRATIONS;
use shared_protocol::jose::Algorithm;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_server::db::Store;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::introspection::eventually;
use crate::person::{Scene, app, is_active, pair, sign_in, userinfo};
use crate::server::{API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_client_that_changed_at_one_node_has_changed_at_the_other,
    a_resource_server_that_changed_at_one_node_has_changed_at_the_other,
    a_key_that_was_revoked_at_one_node_is_gone_at_the_other,
    what_was_revoked_at_one_node_is_dead_at_the_other,
);

/// The promise is one second; a busy machine gets some more.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

pub(crate) async fn seen(what: &str, is_so: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    assert!(eventually(is_so).await, "{what}");
    assert!(
        since.elapsed() < SEEN_WITHIN,
        "{what}: {:?}",
        since.elapsed()
    );
}

async fn a_client_that_changed_at_one_node_has_changed_at_the_other(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (one, other) = (&scene.server, scene.another_node(stores).await);
    let metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    let client = one.register(metadata.clone()).await;
    let grant = [("grant_type", "client_credentials"), ("resource", API)];
    let asks = async || other.post_as(&client, "/oauth/token", &grant).await;
    // The other node remembers it from now on.
    assert_eq!(asks().await.text("scope"), "read");

    let (id, clients) = (TestServer::client_id(&client), &one.records.clients);
    let mut wider = metadata;
    wider.scope = "read write".parse().unwrap();
    let changed = Client::new(id.clone(), wider, Vec::new()).unwrap();
    clients.put(&changed, None, one.clock.now()).await.unwrap();
    seen("a wider scope", async || {
        asks().await.text("scope") == "read write"
    })
    .await;

    let secret = ClientSecret::generate(&SystemRandom);
    let now = one.clock.now();
    let rotated = clients.rotate_secret(&id, &secret, Duration::ZERO, now);
    rotated.await.unwrap();
    seen("another secret", async || asks().await.status == 401).await;
}

async fn a_resource_server_that_changed_at_one_node_has_changed_at_the_other(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (one, other) = (&scene.server, scene.another_node(stores).await);
    let client = one
        .client(AuthMethod::ClientSecretBasic, "read audit")
        .await;
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", API),
        ("scope", "audit"),
    ];
    let asks = async || other.post_as(&client, "/oauth/token", &form).await;
    assert_eq!(asks().await.error(), (400, "invalid_scope"));
    let token = other.token(&client, API).await;
    assert!(is_active(&other, &scene.api, &token).await);

    one.put_resource(API, &["read", "audit"], None, Algorithm::Es256)
        .await;
    seen("another scope", async || asks().await.status == 200).await;
    let shown = is_active(&other, &scene.api, &token).await;
    assert!(!shown, "and nobody introspects for it any longer");

    let servers = &one.records.resource_servers;
    let api = API.parse().unwrap();
    servers.delete(&api, one.clock.now()).await.unwrap();
    seen("its end", async || {
        asks().await.error() == (400, "invalid_target")
    })
    .await;
}

async fn a_key_that_was_revoked_at_one_node_is_gone_at_the_other(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (one, other) = (&scene.server, scene.another_node(stores).await);
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let (access, _) = pair(&tokens);
    assert!(is_active(&other, &scene.api, access).await);
    assert_eq!(userinfo(&other, access).await.status, 200);

    let (keys, now) = (&one.records.keys, one.clock.now());
    let kid = keys.ring().states(now)[0].kid.clone();
    keys.revoke(&kid, now, &SystemRandom).await.unwrap();
    seen("introspection", async || {
        !is_active(&other, &scene.api, access).await
    })
    .await;
    assert_eq!(userinfo(&other, access).await.status, 401);
    let published = other.get("/oauth/jwks").await.body.to_string();
    assert!(!published.contains(kid.as_str()), "{published}");
    let client = one.client(AuthMethod::ClientSecretBasic, "read").await;
    let fresh = other.token(&client, API).await;
    assert!(is_active(one, &scene.api, &fresh).await, "a new key signs");
}

async fn what_was_revoked_at_one_node_is_dead_at_the_other(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (one, other) = (&scene.server, scene.another_node(stores).await);
    for what in ["a token", "a grant", "a session", "a person"] {
        let (session, _) = sign_in(one, &scene.account_id).await;
        let app = one.register(app(AuthMethod::None)).await;
        let mut authorization = scene.authorization(&app, "openid read");
        authorization.terms.session_id = Some(session.id.clone());
        let code = scene.issue(authorization).await;
        let tokens = scene.redeem(&app, &code).await.body;
        let (access, refresh) = pair(&tokens);
        assert!(is_active(&other, &scene.api, access).await, "{what}");
        assert_eq!(userinfo(&other, access).await.status, 200, "{what}");

        let (records, now) = (&one.records, one.clock.now());
        let revoke = async |token: &str| {
            let form = [("token", token), ("client_id", &app.id)];
            let answer = one.send(one.form("/oauth/revoke", &form)).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        };
        match what {
            "a token" => revoke(access).await,
            "a grant" => revoke(refresh).await,
            "a session" => records.sessions.end(&session.id, now).await.unwrap(),
            _ => {
                let all = records.sessions.end_all(&scene.account_id, now);
                all.await.unwrap();
            }
        }
        let is_dead = async || !is_active(&other, &scene.api, access).await;
        seen(what, is_dead).await;
        let refused = userinfo(&other, access).await;
        assert_eq!(refused.status, 401, "{what}: {}", refused.body);
    }
}

/// A node that has not loaded what was revoked would call dead tokens good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_serves_only_after_a_full_load() {
    let stores = Stores::postgres_redis("migrated", &MIGRATIONS).await;
    let scene = Scene::set(&stores).await;
    let store = Store::connect(&stores.database()).await.unwrap();
    let begun = store
        .transaction(async |conn| {
            let lock = diesel::sql_query("LOCK TABLE revocations IN ACCESS EXCLUSIVE MODE");
            on!(conn, |c| diesel_async::RunQueryDsl::execute(lock, c))?;
            let mut second = config(&stores);
            second.issuer = scene.server.issuer.parse().unwrap();
            second.database.statement_timeout = shared_server::config::Period::from_secs(60);
            let clock = scene.server.clock.clone();
            let starting = tokio::spawn(TestServer::start_with(second, clock));
            // Both wait for it: what the node that runs follows, and what the new one loads.
            let loads = async || waiting(&store, "revocations").await >= 2;
            assert!(eventually(loads).await, "it loads");
            assert!(!starting.is_finished(), "and does not listen yet");
            assert_eq!(scene.server.get("/oauth/jwks").await.status, 200);
            Ok::<_, shared_server::db::DbError>(starting)
        })
        .await
        .unwrap();
    let other = begun.await.unwrap();
    seen("readiness", async || {
        other.get("/health/ready").await.status == 200
    })
    .await;
}

/// How many statements of this database wait for a lock on a table.
async fn waiting(store: &Store, table: &str) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let query = diesel::sql_query(format!(
        "SELECT count(*) AS count FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    ));
    let mut conn = store.read().await.unwrap();
    let found: Count = on!(&mut conn, |c| diesel_async::RunQueryDsl::get_result(
        query, c
    ))
    .unwrap();
    found.count
}
