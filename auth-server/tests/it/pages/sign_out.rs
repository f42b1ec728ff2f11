//! Signing out: asked first, by our own form, and then truly.

use auth_server::sessions::SessionToken;
use diesel_async::RunQueryDsl as _;
use reqwest::StatusCode;
use shared_protocol::time::Clock as _;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, Page};
use crate::person::{person, sign_in};
use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_person_is_asked_and_signed_out_for_good,
    a_form_that_is_not_ours_signs_nobody_out,
    who_is_signed_out_already_is_told_so,
    a_form_that_cannot_be_read_is_a_page,
    paths_lie_below_the_issuer_s,
    without_its_database_nobody_is_told_that_they_are_signed_out,
);

const LOGOUT: &str = "/oauth/logout";

/// A browser in which somebody is signed in.
async fn signed_in<'a>(server: &'a TestServer, email: &str) -> (Browser<'a>, SessionToken) {
    let account_id = person(server, email).await;
    let (_, token) = sign_in(server, &account_id).await;
    let browser = Browser::new(server);
    browser.set_cookie(&cookie_name(server), token.expose());
    (browser, token)
}

fn cookie_name(server: &TestServer) -> String {
    format!("session-{}", server.issuer.rsplit(':').next().unwrap())
}

async fn get(server: &TestServer, browser: &Browser<'_>, path: &str) -> Page {
    browser.get(format!("{}{path}", server.issuer)).await
}

async fn post(server: &TestServer, browser: &Browser<'_>, form: &[(&str, &str)]) -> Page {
    browser.send(server.form(LOGOUT, form)).await
}

/// The token of the form that asks.
async fn csrf(server: &TestServer, browser: &Browser<'_>) -> String {
    let page = get(server, browser, LOGOUT).await;
    assert_eq!(page.status, StatusCode::OK);
    page.input("sign_out_form")
}

async fn is_signed_in(server: &TestServer, token: &SessionToken) -> bool {
    let sessions = &server.records.sessions;
    let found = sessions.find(token, server.clock.now()).await;
    found.unwrap().is_some()
}

fn leads_to(page: &Page, path: &str) {
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.header("location"), path);
}

async fn a_person_is_asked_and_signed_out_for_good(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let (browser, token) = signed_in(&server, "ada@example.com").await;
    let page = get(&server, &browser, LOGOUT).await;
    let policy = page.header("content-security-policy");
    assert!(policy.ends_with("form-action 'self'"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.body.contains("ada@example.com"));
    assert!(
        is_signed_in(&server, &token).await,
        "being asked changes nothing"
    );
    let csrf = csrf(&server, &browser).await;
    let answer = post(&server, &browser, &[("sign_out_form", &csrf)]).await;
    leads_to(&answer, "/logged-out");
    let name = cookie_name(&server);
    let cleared = format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    assert_eq!(answer.header("set-cookie"), cleared);
    assert!(
        !is_signed_in(&server, &token).await,
        "the cookie is worth nothing"
    );
    let told = get(&server, &browser, "/logged-out").await;
    assert_eq!(told.status, StatusCode::OK);
    assert!(told.has("signed-out"));
    // The same form once more, from the history of the browser, and as if it had kept the cookie.
    leads_to(
        &post(&server, &browser, &[("sign_out_form", &csrf)]).await,
        "/logged-out",
    );
    browser.set_cookie(&name, token.expose());
    leads_to(
        &post(&server, &browser, &[("sign_out_form", &csrf)]).await,
        "/logged-out",
    );
}

async fn a_form_that_is_not_ours_signs_nobody_out(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let (browser, token) = signed_in(&server, "ada@example.com").await;
    let (other, others) = signed_in(&server, "grace@example.com").await;
    let good = csrf(&server, &browser).await;
    let of_another = csrf(&server, &other).await;
    let (cut, longer) = (&good[..good.len() - 1], format!("{good}A"));
    let flipped = good.replacen(|_| true, if good.starts_with('A') { "B" } else { "A" }, 1);
    for (what, csrf) in [
        ("made up", "x"),
        ("of another session", &of_another),
        ("cut", cut),
        ("longer", &longer),
        ("flipped", &flipped),
        (
            "no base64url",
            "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+",
        ),
    ] {
        let refused = post(&server, &browser, &[("sign_out_form", csrf)]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{what}");
        assert!(refused.has("stale-title"), "{what}");
        assert_eq!(refused.link("go-on").path(), LOGOUT, "{what}: a way on");
    }
    assert!(is_signed_in(&server, &token).await && is_signed_in(&server, &others).await);
}

async fn who_is_signed_out_already_is_told_so(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let stranger = Browser::new(&server);
    let answer = get(&server, &stranger, LOGOUT).await;
    leads_to(&answer, "/logged-out");
    assert!(!answer.headers.contains_key("set-cookie"));
    leads_to(
        &post(&server, &stranger, &[("sign_out_form", "x")]).await,
        "/logged-out",
    );
    assert_eq!(get(&server, &stranger, "/logged-out").await.status, 200);
    let (browser, _) = signed_in(&server, "ada@example.com").await;
    leads_to(&get(&server, &browser, "/logged-out").await, LOGOUT);
    let lifetimes = server.records.sessions.lifetimes;
    server.clock.advance(lifetimes.idle);
    let expired = get(&server, &browser, LOGOUT).await;
    leads_to(&expired, "/logged-out");
    assert!(
        !expired.headers.contains_key("set-cookie"),
        "any site may have led here"
    );
    let posted = post(&server, &browser, &[("sign_out_form", "x")]).await;
    leads_to(&posted, "/logged-out");
    assert!(posted.headers.contains_key("set-cookie"), "it is useless");
}

async fn a_form_that_cannot_be_read_is_a_page(stores: &Stores) {
    let server = TestServer::start(stores).await;
    for (what, content_type, body, status) in [
        ("JSON", "application/json", "{}", 415),
        (
            "repeated",
            "application/x-www-form-urlencoded",
            "csrf=a&csrf=b",
            400,
        ),
        (
            "no UTF-8",
            "application/x-www-form-urlencoded",
            "csrf=%ff",
            400,
        ),
    ] {
        let request = server.http.post(format!("{}{LOGOUT}", server.issuer));
        let request = request.header("content-type", content_type);
        let response = request.body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), status, "{what}");
    }
    let long = "x".repeat(65 * 1024);
    let request = server.http.post(format!("{}{LOGOUT}", server.issuer));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    TestServer::send_too_much(request.body(long), "too long").await;
    assert_eq!(server.get("/oauth/logout/x").await.status, 404);
    assert_eq!(
        server.get("/oauth/logout/x").await.text("type"),
        "urn:problem-type:not-found"
    );
}

async fn paths_lie_below_the_issuer_s(stores: &Stores) {
    let mut config = config(stores);
    config.issuer = "http://localhost:1/tenant".parse().unwrap();
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let stranger = Browser::new(&server);
    leads_to(&get(&server, &stranger, LOGOUT).await, "/tenant/logged-out");
    leads_to(&post(&server, &stranger, &[]).await, "/tenant/oauth/logout");
}

async fn without_its_database_nobody_is_told_that_they_are_signed_out(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let (browser, _) = signed_in(&server, "ada@example.com").await;
    let csrf = csrf(&server, &browser).await;
    {
        let mut conn = server.records.store.write().await.unwrap();
        let gone = diesel::sql_query("ALTER TABLE sessions RENAME TO gone");
        on!(&mut conn, |c| gone.execute(c)).unwrap();
    }
    for response in [
        get(&server, &browser, LOGOUT).await,
        post(&server, &browser, &[("sign_out_form", &csrf)]).await,
        get(&server, &browser, "/logged-out").await,
    ] {
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.header("retry-after"), "1");
        assert!(!response.headers.contains_key("set-cookie"));
        let id = response.header("x-request-id");
        assert!(!id.is_empty() && response.body.contains(id));
        assert!(response.has("error-title"));
        assert!(
            !response.body.contains("sessions"),
            "nothing of the database is told"
        );
    }
}
