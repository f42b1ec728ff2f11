//! The step in which a person signs in.

use std::sync::Arc;
use std::time::Duration;

use diesel_async::RunQueryDsl as _;
use reqwest::StatusCode;
use shared_protocol::time::Clock as _;
use shared_server::config::Secret;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::redis::RedisServer;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, code, parameter};
use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    a_form_that_failed_keeps_what_was_typed_but_the_password,
    too_many_failures_are_429,
    threat_22_the_session_changes_at_sign_in,
    threat_22_login_forgery,
    two_tabs_go_on_after_one_sign_in,
    reload_and_back_button,
    an_interaction_is_over_after_half_an_hour,
    cookies_follow_the_issuer,
    who_sends_no_cookie_is_told_so,
    threat_30_interactions_that_begin_at_one_address_are_counted,
    threat_30_what_is_typed_is_bounded,
    a_store_that_fails_is_told_to_the_client_or_the_person,
    an_ephemeral_store_that_is_gone_is_told_to_the_client_or_the_person,
);

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

async fn a_form_that_failed_keeps_what_was_typed_but_the_password(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("An app"));
    let mut shown = Vec::new();
    for (email, password) in [
        (EMAIL, "another password"),
        ("nobody@example.com", "another password"),
        ("no address", "another password"),
        (EMAIL, ""),
        ("\"><script>", "another password"),
    ] {
        let form = Browser::filled_in(&page, email, password);
        let again = browser.post(page.action("sign-in"), &form).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "{email}");
        assert_eq!(again.input("email"), email);
        assert!(again.has("sign-in-notice"));
        assert!(!again.body.contains("another password") && !again.body.contains("<script>"));
        assert_eq!(again.headers.get("set-cookie"), None);
        shown.push(again.body.contains("is wrong"));
    }
    assert_eq!(shown, [true; 5]);
    // The form still works, and the one that was shown again too.
    let again = browser.sign_in_as(&page, EMAIL, "another password").await;
    assert!(
        browser
            .sign_in_as(&again, EMAIL, PASSWORD)
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn too_many_failures_are_429(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    for attempt in 0.. {
        let again = browser.sign_in_as(&page, EMAIL, "another password").await;
        assert!(again.has("sign-in"));
        if again.status == StatusCode::TOO_MANY_REQUESTS {
            let wait: u64 = again.header("retry-after").parse().unwrap();
            assert!(again.body.contains("Try again in"));
            // The right one has to wait as well.
            let form = Browser::filled_in(&page, EMAIL, PASSWORD);
            let refused = browser.post(page.action("sign-in"), &form).await;
            assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
            server.clock.advance(Duration::from_secs(wait));
            break;
        }
        assert_eq!(again.status, StatusCode::BAD_REQUEST);
        assert!(attempt < 50);
    }
    assert!(
        browser
            .sign_in_as(&page, EMAIL, PASSWORD)
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn threat_22_the_session_changes_at_sign_in(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    assert_eq!(browser.cookie("session"), None);
    // An attacker plants a session of theirs before the person signs in.
    let attacker = Browser::new(&server);
    server.person("mallory@example.com").await;
    let theirs = attacker.open(server.authorize_url(&app, &[])).await;
    attacker
        .sign_in_as(&theirs, "mallory@example.com", PASSWORD)
        .await;
    let name = attacker
        .cookies()
        .into_keys()
        .find(|name| name.starts_with("session"))
        .unwrap();
    for planted in ["A".repeat(43), attacker.cookie("session").unwrap()] {
        let victim = Browser::new(&server);
        victim.set_cookie(&name, &planted);
        let page = victim
            .open(server.authorize_url(&app, &[("prompt", "login")]))
            .await;
        let page = victim.sign_in_as(&page, EMAIL, PASSWORD).await;
        assert!(page.has("consent"), "{}", page.body);
        assert!(page.body.contains(EMAIL), "{}", page.body);
        assert_ne!(victim.cookie("session").unwrap(), planted);
    }
    assert!(
        attacker
            .open(server.authorize_url(&app, &[]))
            .await
            .has("sign-in")
    );
    // At every sign-in of one person too, and the cookie before is dead.
    browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    let first = browser.cookie("session").unwrap();
    server.clock.advance(Duration::from_mins(1));
    let page = browser
        .open(server.authorize_url(&app, &[("prompt", "login")]))
        .await;
    browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert_ne!(browser.cookie("session").unwrap(), first);
    let old = Browser::new(&server);
    old.set_cookie(&name, &first);
    assert!(
        old.open(server.authorize_url(&app, &[]))
            .await
            .has("sign-in")
    );
    server.stop().await;
}

async fn threat_22_login_forgery(stores: &Stores) {
    let server = started(stores).await;
    server.person("mallory@example.com").await;
    let app = server.app().await;
    let attacker = Browser::new(&server);
    let theirs = attacker.open(server.authorize_url(&app, &[])).await;
    let forged = Browser::filled_in(&theirs, "mallory@example.com", PASSWORD);
    // The attacker's form, posted in the browser of a victim: one that was here before, and one that was not.
    let victim = Browser::new(&server);
    let page = victim.open(server.authorize_url(&app, &[])).await;
    for browser in [&victim, &Browser::new(&server)] {
        let answer = browser.post(theirs.action("sign-in"), &forged).await;
        assert!(answer.has("stale-title"), "{}", answer.body);
        assert_eq!(browser.cookie("session"), None);
        assert!(browser.open(&theirs.url).await.has("stale-title"));
    }
    // The victim's own interaction, with a token of the attacker's, or none.
    for csrf in [
        theirs.input("csrf"),
        String::new(),
        "A".repeat(43),
        "x".repeat(10_000),
    ] {
        let mut form = Browser::filled_in(&page, "mallory@example.com", PASSWORD);
        form[1].1 = csrf;
        let answer = victim.post(page.action("sign-in"), &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.has("sign-in-notice"));
        assert_eq!(victim.cookie("session"), None);
    }
    let good = Browser::filled_in(&page, EMAIL, PASSWORD);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        let request = server
            .http
            .post(page.action("sign-in"))
            .form(&good)
            .header(name, value);
        let answer = victim.send(request).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{value}");
        assert_eq!(victim.cookie("session"), None);
    }
    // What browsers say of a form of ours: no-referrer hides even our own origin.
    let request = server.http.post(page.action("sign-in")).form(&good);
    let request = request
        .header("origin", "null")
        .header("sec-fetch-site", "same-origin");
    assert_eq!(victim.send(request).await.status, StatusCode::SEE_OTHER);
    assert!(victim.cookie("session").is_some());
    server.stop().await;
}

async fn two_tabs_go_on_after_one_sign_in(stores: &Stores) {
    let server = started(stores).await;
    let (app, other) = (server.app().await, server.app().await);
    let browser = Browser::new(&server);
    let first = browser
        .open(server.authorize_url(&app, &[("state", "first")]))
        .await;
    let second = browser
        .open(server.authorize_url(&other, &[("state", "second")]))
        .await;
    let third = browser
        .open(server.authorize_url(&other, &[("state", "third"), ("prompt", "login")]))
        .await;
    let consent = browser.sign_in_as(&first, EMAIL, PASSWORD).await;
    let answer = browser.decide(&consent, "approve").await.location();
    assert_eq!(parameter(&answer, "state").as_deref(), Some("first"));
    // The stale form says so and goes on, whatever was typed into it.
    let stale = browser.sign_in_as(&second, EMAIL, "another password").await;
    assert!(stale.has("stale-title"), "{}", stale.body);
    let consent = browser.open(stale.link("go-on")).await;
    let answer = browser.decide(&consent, "approve").await.location();
    assert_eq!(parameter(&answer, "state").as_deref(), Some("second"));
    // Reloading it does as well; a sign-in in any tab since it began is one.
    let page = browser.open(&third.url).await;
    assert_eq!(
        parameter(&page.location(), "state").as_deref(),
        Some("third")
    );
    server.stop().await;
}

async fn reload_and_back_button(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[]);
    let page = browser.open(&url).await;
    let reloaded = browser.get(&page.url).await;
    assert_eq!(reloaded.input("interaction"), page.input("interaction"));
    let consent = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    let consent = browser.get(&consent.url).await;
    // Back to the sign-in page, which goes forth again.
    assert!(browser.open(&page.url).await.has("consent"));
    code(&browser.decide(&consent, "approve").await.location());
    // Back, reload, and submit again: it is over, and says so.
    for over in [&page.url, &consent.url] {
        let stale = browser.open(over).await;
        assert!(
            stale.has("stale-title") && !stale.has("go-on"),
            "{}",
            stale.body
        );
        assert_eq!(stale.status, StatusCode::BAD_REQUEST);
    }
    assert!(browser.decide(&consent, "approve").await.has("stale-title"));
    assert!(
        browser
            .sign_in_as(&page, EMAIL, PASSWORD)
            .await
            .has("stale-title")
    );
    // Back to where it began is a new request, and nothing is left to be asked.
    code(&browser.open(&url).await.location());
    for path in [
        "/login",
        "/consent",
        "/oauth/authorize/resume",
        "/login?interaction=x",
    ] {
        let page = browser.get(format!("{}{path}", server.issuer)).await;
        assert!(page.has("stale-title"), "{path}");
    }
    server.stop().await;
}

async fn an_interaction_is_over_after_half_an_hour(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    server.clock.advance(Duration::from_mins(29));
    assert!(browser.get(&page.url).await.has("sign-in"));
    server.clock.advance(Duration::from_mins(1));
    assert!(
        browser
            .sign_in_as(&page, EMAIL, PASSWORD)
            .await
            .has("stale-title")
    );
    assert_eq!(browser.cookie("session"), None);
    server.stop().await;
}

async fn cookies_follow_the_issuer(stores: &Stores) {
    let mut config = config(stores);
    config.issuer = "https://as.example".parse().unwrap();
    let mut server = TestServer::start_with(config, Arc::default())
        .await
        .with_resources(None)
        .await;
    // It is reached over plain http here, behind what would speak TLS.
    server.issuer = server.issuer.trim_end_matches('/').to_owned();
    server.person(EMAIL).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let begun = browser.get(server.authorize_url(&app, &[])).await;
    let page = browser.follow(begun).await;
    let form = Browser::filled_in(&page, EMAIL, PASSWORD);
    let signed_in = browser.post(page.action("sign-in"), &form).await;
    let set: Vec<_> = signed_in
        .headers
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(set.len(), 2);
    for (cookie, name) in set.iter().zip(["__Host-session=", "__Host-device="]) {
        assert!(cookie.starts_with(name), "{cookie}");
        assert!(
            cookie.contains("; Path=/; Secure; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
    }
    assert!(browser.cookies().contains_key("__Host-browser"));
    server.stop().await;
}

async fn who_sends_no_cookie_is_told_so(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let url = server.authorize_url(&app, &[]);
    let begun = Browser::new(&server).get(&url).await;
    let blocked = Browser::new(&server).get(begun.location()).await;
    assert_eq!(blocked.status, StatusCode::BAD_REQUEST);
    assert!(blocked.has("stale-title") && blocked.body.contains("allow cookies"));
    // A request that came by POST gets one on the way, which does not come back either.
    let form = TestServer::asking(&app, &[]);
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    let mut page = Browser::new(&server).post(endpoint, &form).await;
    while page.status == StatusCode::SEE_OTHER {
        page = Browser::new(&server).get(page.location()).await;
    }
    assert!(page.body.contains("allow cookies"), "{}", page.body);
    // Another browser is not told that its cookies are blocked.
    let other = Browser::new(&server);
    other.get(&url).await;
    let stale = other.get(begun.location()).await;
    assert!(stale.has("stale-title") && !stale.body.contains("allow cookies"));
    server.stop().await;
}

async fn threat_30_interactions_that_begin_at_one_address_are_counted(stores: &Stores) {
    let mut config = config(stores);
    config.authorization.interactions_per_address = 3;
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let app = server.app().await;
    let into = server.clock.now().as_millis().rem_euclid(60_000);
    let rest = Duration::from_millis((60_000 - into).unsigned_abs());
    server.clock.advance(rest);
    let url = server.authorize_url(&app, &[]);
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    let form = TestServer::asking(&app, &[]);
    let known = Browser::new(&server);
    let signed_in = known.sign_in_and_consent(&url).await;
    code(&signed_in);
    for _ in 0..2 {
        let begun = Browser::new(&server).post(&endpoint, &form).await;
        begun.location();
    }
    let stranger = Browser::new(&server);
    for refused in [
        stranger.get(&url).await,
        stranger.post(&endpoint, &form).await,
    ] {
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
        assert!(refused.has("error-title") && refused.headers.get("set-cookie").is_none());
    }
    // Nothing is kept where nobody is asked.
    code(&known.get(&url).await.location());
    let silent = server.authorize_url(&app, &[("prompt", "none")]);
    let silent = stranger.get(silent).await.location();
    assert_eq!(
        parameter(&silent, "error").as_deref(),
        Some("login_required")
    );
    // By POST it would be kept; nobody looks at a page then, and the client waits.
    let silent = TestServer::asking(&app, &[("prompt", "none")]);
    let silent = stranger.post(&endpoint, &silent).await.location();
    assert_eq!(
        parameter(&silent, "error").as_deref(),
        Some("temporarily_unavailable")
    );
    server.clock.advance(Duration::from_mins(1));
    assert!(stranger.open(&url).await.has("sign-in"));
    server.stop().await;
}

async fn threat_30_what_is_typed_is_bounded(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    let long = "a".repeat(20_000);
    let again = browser.sign_in_as(&page, &long, &long).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.input("email").len() <= 1024);
    // The answer may come, and the connection end, while the body is still being sent.
    let form = Browser::filled_in(&page, EMAIL, &"a".repeat(100_000));
    let sent = server.http.post(page.action("sign-in")).form(&form).send();
    let sent = sent.await;
    assert!(sent.is_err() || sent.is_ok_and(|answer| answer.status() == 413));
    let many: Vec<_> = (0..200)
        .map(|n| (format!("p{n}"), "x".to_owned()))
        .collect();
    assert_eq!(
        browser.post(page.action("sign-in"), &many).await.status,
        StatusCode::BAD_REQUEST
    );
    let json = server
        .http
        .post(page.action("sign-in"))
        .header("content-type", "application/json")
        .body("{}");
    assert_eq!(
        browser.send(json).await.status,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    // A request that could not be kept while somebody signs in.
    let resource = format!("https://api.example?{}", "a".repeat(1900));
    let many = vec![("resource", resource.as_str()); 4];
    let answer = browser
        .get(server.authorize_url(&app, &many))
        .await
        .location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_target")
    );
    server.stop().await;
}

/// Makes every query of this table fail.
async fn break_table(server: &TestServer, table: &str) {
    let mut conn = server.records.store.write().await.unwrap();
    let statement = diesel::sql_query(format!("DROP TABLE {table}"));
    on!(&mut conn, |c| statement.execute(c)).unwrap();
}

async fn a_store_that_fails_is_told_to_the_client_or_the_person(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .arrive(server.authorize_url(&app, &[]))
        .await
        .location();
    // Once the redirect is proven, the client is told.
    break_table(&server, "consents").await;
    let answer = browser
        .get(server.authorize_url(&app, &[]))
        .await
        .location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("temporarily_unavailable")
    );
    assert_eq!(
        parameter(&answer, "error_description").as_deref(),
        Some("try again later")
    );
    assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
    // While somebody types, the person.
    let page = Browser::new(&server);
    let form = page.open(server.authorize_url(&app, &[])).await;
    break_table(&server, "sessions").await;
    let again = page.sign_in_as(&form, EMAIL, PASSWORD).await;
    assert_eq!(again.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(again.header("retry-after"), "1");
    assert_eq!(again.input("email"), EMAIL);
    assert!(!again.body.contains("sessions") && page.cookie("session").is_none());
    // Before anything is proven, the person too.
    break_table(&server, "client_secrets").await;
    server.records.clients.forget_all();
    let down = browser.get(server.authorize_url(&app, &[])).await;
    assert_eq!(
        (down.status, down.header("location")),
        (StatusCode::SERVICE_UNAVAILABLE, "")
    );
    assert!(down.has("error-title") && !down.body.contains("client_secrets"));
    assert_eq!(down.header("retry-after"), "1");
    server.stop().await;
}

async fn an_ephemeral_store_that_is_gone_is_told_to_the_client_or_the_person(stores: &Stores) {
    let mut redis = RedisServer::start(&[]).await;
    let mut config = config(stores);
    config.ephemeral.url = Secret::from(redis.url());
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[]);
    browser.arrive(&url).await.location();
    let page = browser
        .open(server.authorize_url(&app, &[("prompt", "login")]))
        .await;
    redis.stop();
    // No code can be kept, nor a request while somebody signs in.
    for browser in [&browser, &Browser::new(&server)] {
        let answer = browser.get(&url).await.location();
        let error = parameter(&answer, "error");
        assert_eq!(error.as_deref(), Some("temporarily_unavailable"));
    }
    let form = Browser::filled_in(&page, EMAIL, PASSWORD);
    for answer in [
        browser.get(&page.url).await,
        browser.post(page.action("sign-in"), &form).await,
    ] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "1");
        assert!(answer.has("error-title"), "{}", answer.body);
    }
    server.stop().await;
}
