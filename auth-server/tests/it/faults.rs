//! PostgreSQL and Redis die under a node, and come back: what its clients see, and that nothing is lost or used twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_server::codes;
use auth_server::store::{MIGRATIONS, grants};
use reqwest::{Method, RequestBuilder};
use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared_server::config::Secret;
use shared_server::db::Store;
use shared_testing::line::Line;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code};
use crate::dpop::{self, Prover};
use crate::introspection::eventually;
use crate::person::{Scene, claims, code_form, pair, refresh_form};
use crate::pushed::{push, pushed, url_of};
use crate::registration::REGISTER;
use crate::server::{Answer, TestServer, config};

const OFFLINE: &str = "openid read offline_access";

async fn stores() -> Stores {
    Stores::postgres_redis("migrated", &MIGRATIONS).await
}

/// A node whose database is at the end of a line.
async fn with_a_line_to_its_database(stores: &Stores) -> (Line, Scene) {
    let mut config = config(stores);
    let (line, url) = Line::to(&stores.database().url).await;
    config.database.url = Secret::from(exposed(&url));
    // Its configuration is large.
    let server = Box::pin(TestServer::start_with(config, Arc::default())).await;
    (line, Scene::on(server).await)
}

fn exposed(url: &SecretString) -> String {
    secrecy::ExposeSecret::expose_secret(url).to_owned()
}

/// Whether load balancers send requests here.
async fn is_ready(scene: &Scene) -> bool {
    scene.server.get("/health/ready").await.status == 200
}

/// A client that was told to try again, and does.
async fn answered(mut ask: impl AsyncFnMut() -> Answer) -> Answer {
    let mut last = ask().await;
    eventually(async || {
        let is_answered = last.status != 503;
        if !is_answered {
            last = ask().await;
        }
        is_answered
    })
    .await;
    last
}

fn assert_unavailable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 503, "{what}: {}", answer.body);
    assert!(!answer.header("retry-after").is_empty(), "{what}");
}

/// Redeems a code at a node whose database makes the grant, and is away before anybody hears of it.
async fn redeemed_unheard(
    (stores, line): (&Stores, &Line),
    code: &str,
    redeeming: impl Future<Output = Answer>,
) {
    let store = Store::connect(&stores.database()).await.unwrap();
    let digest = codes::digest(code);
    // The statement that makes the grant is the first that holds it.
    line.hush_after(&digest);
    let committed = async {
        let is_there = async || {
            let mut conn = store.read().await.unwrap();
            let found = grants::find_by_code(&mut conn, &digest).await.unwrap();
            found.is_some()
        };
        assert!(eventually(is_there).await);
        line.cut();
    };
    let (unheard, ()) = tokio::join!(redeeming, committed);
    assert_unavailable(&unheard, "nobody knows");
    assert_eq!(unheard.error(), (503, "temporarily_unavailable"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redemption_that_was_committed_unheard_is_answered_once() {
    let stores = stores().await;
    let (line, scene) = with_a_line_to_its_database(&stores).await;
    let code = scene.code(&scene.app, OFFLINE).await;
    let redeeming = scene.redeem(&scene.app, &code);
    redeemed_unheard((&stores, &line), &code, redeeming).await;
    assert_unavailable(&scene.redeem(&scene.app, &code).await, "still away");

    line.mend();
    scene.server.clock.advance(Duration::from_secs(1));
    let tokens = answered(async || scene.redeem(&scene.app, &code).await).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let (access, refresh) = pair(&tokens.body);
    assert!(scene.is_active(access).await);
    let next = scene.refresh(&scene.app, refresh).await;
    assert_eq!(next.status, 200, "{}", next.body);

    // RFC 6749 §4.1.2: once is once.
    let again = scene.redeem(&scene.app, &code).await;
    assert_eq!(again.error(), (400, "invalid_grant"));
    assert!(!scene.is_active(access).await);
    let next = scene.refresh(&scene.app, next.text("refresh_token")).await;
    assert_eq!(next.error(), (400, "invalid_grant"));
}

/// Nobody got the tokens that were bound to anything else (RFC 9449 §5).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redemption_that_was_committed_unheard_is_bound_as_whoever_is_answered_shows() {
    let stores = stores().await;
    let (line, scene) = with_a_line_to_its_database(&stores).await;
    let (server, app) = (&scene.server, &scene.app);
    // So that no proof is from before the memory of used ones.
    server.clock.advance(Duration::from_mins(2));
    let (one, other) = (Prover::new(), Prover::new());
    let ask = async |form: &[(&str, &str)], prover: Option<&Prover>| match prover {
        Some(prover) => dpop::ask(server, app, form, prover).await,
        None => crate::person::ask(server, app, form).await,
    };
    for (first, then) in [
        (Some(&one), Some(&other)),
        (Some(&one), None),
        (None, Some(&other)),
    ] {
        let code = scene.code(app, OFFLINE).await;
        let redeem = async |prover| ask(&code_form(&code), prover).await;
        redeemed_unheard((&stores, &line), &code, redeem(first)).await;
        line.mend();
        server.clock.advance(Duration::from_secs(1));
        let tokens = answered(async || redeem(then).await).await;
        dpop::assert_bound(&tokens, then, "redeemed again");
        assert!(scene.is_active(tokens.text("access_token")).await);
        let refresh = refresh_form(tokens.text("refresh_token"));
        if then.is_some() {
            for prover in [Some(&one), None] {
                let answer = ask(&refresh, prover).await;
                assert_eq!(answer.error(), (400, "invalid_grant"));
            }
        }
        dpop::assert_bound(&ask(&refresh, then).await, then, "refreshed");
    }
}

/// However long the outage: the client never had anything but the token that it used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_that_was_committed_unheard_brings_its_successor_after_an_outage() {
    let stores = stores().await;
    let (line, scene) = with_a_line_to_its_database(&stores).await;
    let store = Store::connect(&stores.database()).await.unwrap();
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (access, first) = pair(&tokens);
    let grant_id = claims(access)["grant_id"].as_str().unwrap().to_owned();

    // What is kept of what was asked for, which no other statement holds.
    line.hush_after(&Sha256::digest("\n\n"));
    let committed = async {
        let is_rotated = async || {
            let mut conn = store.read().await.unwrap();
            let found = grants::find(&mut conn, &grant_id).await.unwrap();
            found.unwrap().row.generation == 1
        };
        assert!(eventually(is_rotated).await);
        line.cut();
    };
    let (unheard, ()) = tokio::join!(scene.refresh(&scene.app, first), committed);
    assert_unavailable(&unheard, "nobody knows");
    let outage = &scene.server.records.grants.outage;
    assert!(eventually(async || outage.is_now()).await);
    let clock = &scene.server.clock;
    clock.advance(Duration::from_mins(2));

    line.mend();
    let next = answered(async || scene.refresh(&scene.app, first).await).await;
    assert_eq!(next.status, 200, "{}", next.body);
    let successor = next.text("refresh_token");
    let again = scene.refresh(&scene.app, first).await;
    assert_eq!(again.text("refresh_token"), successor, "the same");

    // The time in which the server could be used counts as ever.
    assert!(eventually(async || !outage.is_now()).await);
    clock.advance(Duration::from_secs(10));
    for (what, token) in [("a replay", first), ("and its family", successor)] {
        let answer = scene.refresh(&scene.app, token).await;
        assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
    }
}

/// What is asked, and whether it is answered as usual while a backend is away.
type Asked = (&'static str, RequestBuilder, bool);

async fn requests(scene: &Scene) -> Vec<Asked> {
    let server = &scene.server;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (access, refresh) = pair(&tokens);
    let code = scene.code(&scene.app, OFFLINE).await;
    let service = json!({"grant_types": ["client_credentials"], "scope": "openid"});
    let registered = server.registers(&service).await;
    let public = |form: &[(&str, &str)]| {
        let mut form = form.to_vec();
        form.push(("client_id", &scene.app.id));
        server.form("/oauth/token", &form)
    };
    let as_api = |path: &str, form: &[(&str, &str)]| {
        let request = server.form(path, form);
        request.basic_auth(&scene.api.id, Some(&scene.api.secret))
    };
    let get = |path: &str| server.http.get(format!("{}{path}", server.issuer));
    vec![
        ("JWKS", get("/oauth/jwks"), true),
        (
            "metadata",
            get("/.well-known/oauth-authorization-server"),
            true,
        ),
        ("liveness", get("/health/live"), true),
        ("readiness", get("/health/ready"), false),
        (
            "introspection",
            as_api("/oauth/introspect", &[("token", access)]),
            false,
        ),
        (
            "userinfo",
            get("/oauth/userinfo").bearer_auth(access),
            false,
        ),
        ("refreshing", public(&refresh_form(refresh)), false),
        ("a code", public(&code_form(&code)), false),
        (
            "registering",
            server
                .http
                .post(format!("{}{REGISTER}", server.issuer))
                .json(&service),
            false,
        ),
        (
            "a client that reads",
            server.managing(Method::GET, &registered, &registered.token),
            false,
        ),
        (
            "an authorization request",
            server.http.get(server.authorize_url(&scene.app, &[])),
            false,
        ),
    ]
}

/// Asks all of it; what is not as it should be, with the backend away or there.
async fn wrong(server: &TestServer, requests: &[Asked], away: bool, here: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (what, request, lives_on) in requests {
        let answer = server.send(request.try_clone().unwrap()).await;
        let told = answer.header("location").to_owned();
        // RFC 6749 §4.1.2.1: an app that is known is told by a redirect, which has no other status.
        let to_app = told.contains("error=temporarily_unavailable");
        let is_wrong = if away && !lives_on && !here.contains(what) {
            !to_app && (answer.status != 503 || answer.header("retry-after").is_empty())
        } else {
            to_app || !(answer.status.is_success() || answer.status == 303)
        };
        if is_wrong {
            wrong.push(format!("{what}: {} {told}{}", answer.status, answer.body));
        }
    }
    wrong
}

/// The promise is two seconds; a busy machine gets some more.
const BACK_WITHIN: Duration = Duration::from_secs(5);

async fn comes_back(scene: &Scene, line: &Line, requests: &[Asked]) {
    line.mend();
    let since = Instant::now();
    // One by one: a code that was answered is used.
    for request in requests {
        let ask = || wrong(&scene.server, std::slice::from_ref(request), false, &[]);
        let mut left = ask().await;
        while !left.is_empty() && since.elapsed() < BACK_WITHIN {
            left = ask().await;
        }
        assert_eq!(left, Vec::<String>::new());
    }
    assert!(eventually(async || is_ready(scene).await).await);
}

/// Nobody can confirm what was revoked: a token is not called good. What needs no store is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_node_says_503_and_is_back_soon() {
    let stores = stores().await;
    let (line, scene) = with_a_line_to_its_database(&stores).await;
    assert!(eventually(async || is_ready(&scene).await).await);
    let mut requests = requests(&scene).await;
    // A stranger at a client that the node remembers is shown to the sign-in page, which takes no database.
    requests.retain(|(what, ..)| *what != "an authorization request");
    line.cut();
    // Nothing that was confirmed before is trusted for longer than this.
    scene.server.clock.advance(Duration::from_secs(3));
    assert!(eventually(async || !is_ready(&scene).await).await);
    for _ in 0..2 {
        let wrong = wrong(&scene.server, &requests, true, &[]).await;
        assert_eq!(wrong, Vec::<String>::new());
    }
    comes_back(&scene, &line, &requests).await;
}

/// Flows in progress wait or end; what people and clients have goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_node_goes_on_but_for_new_flows_and_is_back_soon() {
    let stores = stores().await;
    let mut config = config(&stores);
    let (line, url) = Line::to(&stores.ephemeral.url).await;
    config.ephemeral.url = Secret::from(exposed(&url));
    // The same refresh token is used throughout, on a busy machine.
    config.refresh_tokens.grace = Duration::from_mins(1);
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    assert!(eventually(async || is_ready(&scene).await).await);
    let requests = requests(&scene).await;
    line.cut();
    assert!(eventually(async || !is_ready(&scene).await).await);
    let here = [
        "introspection",
        "userinfo",
        "refreshing",
        "registering",
        "a client that reads",
    ];
    for _ in 0..2 {
        let wrong = wrong(&scene.server, &requests, true, &here).await;
        assert_eq!(wrong, Vec::<String>::new());
    }
    comes_back(&scene, &line, &requests).await;
}

/// Neither lost nor spent: whoever was told to try again, and does, goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_pushed_request_waits() {
    let stores = stores().await;
    let mut config = config(&stores);
    let (line, url) = Line::to(&stores.ephemeral.url).await;
    config.ephemeral.url = Secret::from(exposed(&url));
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let server = &scene.server;
    server.person(EMAIL).await;
    let app = server.app().await;
    let browser = Browser::new(server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let pushed = url_of(server, &app, &pushed(server, &app, &[]).await);
    line.cut();
    assert!(eventually(async || !is_ready(&scene).await).await);
    let answer = push(server, &app, &[]).await;
    assert_unavailable(&answer, "pushing");
    assert_eq!(answer.error(), (503, "temporarily_unavailable"));
    let page = browser.open(&pushed).await;
    assert_eq!((page.status.as_u16(), page.header("location")), (503, ""));
    assert!(!page.header("retry-after").is_empty());
    line.mend();
    assert!(eventually(async || is_ready(&scene).await).await);
    code(&browser.open(&pushed).await.location());
}
