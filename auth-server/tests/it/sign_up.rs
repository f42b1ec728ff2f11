//! The step in which a person makes an account (Initiating User Registration via OpenID Connect 1.0).

use std::sync::Arc;

use auth_server::config::{Config, Mode, SignUpMode};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page, code, parameter};
use crate::person::{ask, claims, code_form, userinfo};
use crate::server::{TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    prompt_create_4_a_person_makes_an_account_and_the_client_gets_a_code,
    who_has_none_makes_one_from_the_sign_in_page,
    prompt_create_4_2_where_it_is_closed_nothing_of_it_is_there,
    what_will_not_do_is_said_and_kept_but_the_password,
    threat_24_a_taken_address_costs_what_a_free_one_costs,
    threat_30_attempts_of_one_address_are_counted,
    threat_22_a_form_of_another_browser_makes_no_account,
    threat_22_who_was_signed_in_before_is_not_any_more,
    of_many_at_once_one_gets_the_address,
    without_the_database_nobody_is_made,
);

const NEW: &str = "grace@example.com";

async fn started(stores: &Stores) -> TestServer {
    on(config(stores)).await
}

async fn on(config: Config) -> TestServer {
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

fn closed(stores: &Stores) -> Config {
    let mut config = config(stores);
    config.sign_up.mode = Some(SignUpMode::Closed);
    config
}

async fn prompt_create_4_a_person_makes_an_account_and_the_client_gets_a_code(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let changes = [
        ("prompt", "create"),
        ("login_hint", NEW),
        ("scope", "openid profile email"),
    ];
    let page = browser.open(server.authorize_url(&app, &changes)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.has("sign-up") && page.body.contains("An app"),
        "{}",
        page.body
    );
    assert_eq!(page.input("email"), NEW, "as hinted");
    let page = browser.sign_up_as(&page, NEW, PASSWORD).await;
    assert!(
        page.has("consent") && page.body.contains(NEW),
        "{}",
        page.body
    );
    let answer = browser.decide(&page, "approve").await.location();
    let tokens = ask(&server, &app, &code_form(&code(&answer))).await;
    let claims = claims(tokens.text("id_token"));
    assert_eq!(claims["amr"], json!(["pwd"]));
    let told = userinfo(&server, tokens.text("access_token")).await.body;
    assert_eq!(told["email"], NEW);
    assert_eq!(
        told["email_verified"], false,
        "nobody has shown that it is theirs"
    );
    assert_eq!(told["name"], "Grace Hopper");
    // Signed in from now on, and able to sign in anywhere else.
    let url = server.authorize_url(&app, &[("scope", "openid email")]);
    code(&browser.get(&url).await.location());
    let elsewhere = Browser::new(&server);
    let page = elsewhere.open(&url).await;
    code(&elsewhere.sign_in_as(&page, NEW, PASSWORD).await.location());
    // Asked for another time, it is shown again.
    let again = browser
        .open(server.authorize_url(&app, &[("prompt", "create")]))
        .await;
    assert!(again.has("sign-up"), "{}", again.body);
    // Who has an account after all signs in there.
    let sign_in = browser.open(again.link("sign-in-link")).await;
    let answer = browser.sign_in_as(&sign_in, EMAIL, PASSWORD).await;
    assert!(answer.has("consent"), "{}", answer.body);
    server.stop().await;
}

async fn who_has_none_makes_one_from_the_sign_in_page(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    let page = browser.open(page.link("sign-up-link")).await;
    let reloaded = browser.get(&page.url).await;
    assert_eq!(reloaded.input("interaction"), page.input("interaction"));
    let page = browser.sign_up_as(&page, NEW, PASSWORD).await;
    let answer = browser.decide(&page, "approve").await;
    code(&answer.location());
    // Done already.
    assert!(browser.get(&reloaded.url).await.has("stale-title"));
    server.stop().await;
}

async fn prompt_create_4_2_where_it_is_closed_nothing_of_it_is_there(stores: &Stores) {
    for (config, is_open) in [(config(stores), true), (closed(stores), false)] {
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let metadata = server.get("/.well-known/openid-configuration").await.body;
        let prompts = metadata["prompt_values_supported"].as_array().unwrap();
        assert_eq!(prompts.contains(&json!("create")), is_open);
        for always in ["none", "login", "consent", "select_account"] {
            assert!(prompts.contains(&json!(always)), "{always}");
        }
        let app = server.app().await;
        let browser = Browser::new(&server);
        let page = browser.open(server.authorize_url(&app, &[])).await;
        assert_eq!(page.has("sign-up-link"), is_open);
        let register = page.url.as_str().replace("/login?", "/register?");
        let opened = browser.get(&register).await;
        let expected = if is_open { 200 } else { 404 };
        assert_eq!(opened.status, expected);
        let form = Browser::filled_in(&page, NEW, PASSWORD);
        let posted = browser.post(&register, &form).await;
        // Where it is open, the form of another page is no good there.
        assert_eq!(posted.status, if is_open { 400 } else { 404 });
        let asked = browser.get(server.authorize_url(&app, &[("prompt", "create")]));
        let asked = parameter(&asked.await.location(), "error");
        assert_eq!(asked.as_deref(), (!is_open).then_some("invalid_request"));
        let accounts = server.records.accounts.list("", 10).await.unwrap();
        assert!(accounts.is_empty());
        server.stop().await;
    }
    let production = Config {
        mode: Mode::Production,
        ..config(stores)
    };
    assert!(
        !production.offered().sign_up,
        "closed where nothing is said"
    );
    let mut open = production;
    open.sign_up.mode = Some(SignUpMode::Open);
    assert!(open.offered().sign_up);
    let named = |config: &Config| {
        let problems = config.problems().into_iter();
        problems
            .filter(|problem| problem.starts_with("sign_up."))
            .count()
    };
    assert_eq!(named(&open), 0);
    open.sign_up.rate.requests = 0;
    assert_eq!(named(&open), 1, "strangers without a limit");
}

async fn opened(browser: &Browser<'_>, server: &TestServer) -> Page {
    let app = server.app().await;
    let url = server.authorize_url(&app, &[("prompt", "create")]);
    browser.open(url).await
}

async fn what_will_not_do_is_said_and_kept_but_the_password(stores: &Stores) {
    let server = started(stores).await;
    let browser = Browser::new(&server);
    let page = opened(&browser, &server).await;
    let long = "x".repeat(300);
    for (what, email, name, password, said) in [
        (
            "no address",
            "grace",
            "Grace",
            PASSWORD,
            "not an email address",
        ),
        ("none at all", "", "Grace", PASSWORD, "not an email address"),
        (
            "an address too long",
            &*long,
            "Grace",
            PASSWORD,
            "not an email address",
        ),
        (
            "a short password",
            NEW,
            "Grace",
            "short",
            "at least 8 characters",
        ),
        ("no password", NEW, "Grace", "", "at least 8 characters"),
        (
            "a long password",
            NEW,
            "Grace",
            &"x".repeat(300),
            "at most 256 characters",
        ),
        (
            "a common password",
            NEW,
            "Grace",
            "password1234",
            "would guess",
        ),
        ("their own address", NEW, "Grace", NEW, "would guess"),
        ("a name too long", NEW, &long, PASSWORD, "A name has"),
        ("a name of nothing", NEW, "a\u{7}b", PASSWORD, "A name has"),
        (
            "taken",
            EMAIL,
            "Grace",
            PASSWORD,
            "No account could be created",
        ),
        (
            "taken, in capitals",
            "ADA@example.com",
            "",
            PASSWORD,
            "No account could be created",
        ),
        (
            "hostile",
            "\"><script>alert(1)</script>",
            "<b>",
            PASSWORD,
            "not an email address",
        ),
    ] {
        let mut form = Browser::filled_in(&page, email, password);
        form.push(("name".into(), name.into()));
        let again = browser.post(page.action("sign-up"), &form).await;
        assert_eq!(again.status, StatusCode::BAD_REQUEST, "{what}");
        assert!(again.has("sign-up-notice"), "{what}: {}", again.body);
        assert!(again.body.contains(said), "{what}: {}", again.body);
        assert_eq!(again.input("email"), email, "{what}");
        assert_eq!(again.input("name"), name, "{what}");
        assert_eq!(again.input("password"), "", "{what}");
        assert!(!again.body.contains("<script>alert"), "{what}");
        assert_eq!(again.headers.get("set-cookie"), None, "{what}");
    }
    let accounts = server.records.accounts.list("", 10).await.unwrap();
    assert_eq!(accounts.len(), 1, "nobody was made");
    // The form is as good as before.
    let page = browser.sign_up_as(&page, NEW, PASSWORD).await;
    assert!(page.has("consent"), "{}", page.body);
    server.stop().await;
}

async fn threat_24_a_taken_address_costs_what_a_free_one_costs(stores: &Stores) {
    let server = started(stores).await;
    let hashes = || server.records.accounts.hasher.metrics().hashes();
    for (email, is_free) in [(EMAIL, false), (NEW, true), (NEW, false)] {
        let browser = Browser::new(&server);
        let page = opened(&browser, &server).await;
        let before = hashes();
        let answer = browser.sign_up_as(&page, email, PASSWORD).await;
        assert_eq!(answer.has("consent"), is_free);
        assert_eq!(hashes() - before, 1, "{email}");
        // Who chose a password that will not do learns nothing of the address.
        let weak = opened(&browser, &server).await;
        if weak.has("sign-up") {
            let weak = browser.sign_up_as(&weak, email, "password").await;
            assert!(weak.body.contains("would guess"), "{email}");
        }
    }
    // Nothing is counted against who has the address: they sign in at once.
    let app = server.app().await;
    let owner = Browser::new(&server);
    let page = owner.open(server.authorize_url(&app, &[])).await;
    assert!(
        owner
            .sign_in_as(&page, EMAIL, PASSWORD)
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn threat_30_attempts_of_one_address_are_counted(stores: &Stores) {
    let mut config = config(stores);
    config.sign_up.rate.requests = 3;
    let server = on(config).await;
    let mut refused = None;
    for attempt in 0..10 {
        // Each from a browser of its own, with an account or without.
        let browser = Browser::new(&server);
        let page = opened(&browser, &server).await;
        let email = if attempt % 2 == 0 {
            EMAIL
        } else {
            "no address"
        };
        let answer = browser.sign_up_as(&page, email, PASSWORD).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some((attempt, browser, page, answer));
            break;
        }
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    let (attempts, browser, page, answer) = refused.expect("a limit");
    assert!(
        attempts >= 6,
        "what is no address is not counted: {attempts}"
    );
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait > 0 && answer.body.contains("Try again in"));
    assert_eq!(answer.input("email"), EMAIL);
    server.clock.advance(std::time::Duration::from_hours(2));
    let page = browser.get(&page.url).await;
    assert!(page.has("stale-title"));
    let page = opened(&browser, &server).await;
    assert!(
        browser
            .sign_up_as(&page, NEW, PASSWORD)
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn threat_22_a_form_of_another_browser_makes_no_account(stores: &Stores) {
    let server = started(stores).await;
    let attacker = Browser::new(&server);
    let theirs = opened(&attacker, &server).await;
    let forged = Browser::filled_in(&theirs, "mallory@example.com", PASSWORD);
    let victim = Browser::new(&server);
    let page = opened(&victim, &server).await;
    for browser in [&victim, &Browser::new(&server)] {
        let answer = browser.post(theirs.action("sign-up"), &forged).await;
        assert!(answer.has("stale-title"), "{}", answer.body);
        assert_eq!(browser.cookie("session"), None);
    }
    // The sign-in form's token is no good here, nor is one of nothing.
    let sign_in = victim.open(page.link("sign-in-link")).await;
    for csrf in [theirs.input("csrf"), sign_in.input("csrf"), String::new()] {
        let mut form = Browser::filled_in(&page, "mallory@example.com", PASSWORD);
        form[1].1 = csrf;
        let answer = victim.post(page.action("sign-up"), &form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.has("sign-up-notice"), "{}", answer.body);
        assert_eq!(victim.cookie("session"), None);
    }
    let good = Browser::filled_in(&page, NEW, PASSWORD);
    let cross = server.http.post(page.action("sign-up")).form(&good);
    let cross = victim.send(cross.header("sec-fetch-site", "cross-site"));
    assert_eq!(cross.await.status, StatusCode::FORBIDDEN);
    let accounts = server.records.accounts.list("", 10).await.unwrap();
    assert_eq!(accounts.len(), 1, "nobody was made");
    server.stop().await;
}

async fn threat_22_who_was_signed_in_before_is_not_any_more(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[]);
    browser.sign_in_and_consent(&url).await;
    let before = browser.cookies();
    let page = opened(&browser, &server).await;
    let page = browser.sign_up_as(&page, NEW, PASSWORD).await;
    assert!(
        page.body.contains(NEW) && !page.body.contains(EMAIL),
        "{}",
        page.body
    );
    assert_ne!(browser.cookie("session"), before.values().next().cloned());
    let old = Browser::new(&server);
    for (name, value) in before {
        old.set_cookie(&name, &value);
    }
    assert!(old.open(&url).await.has("sign-in"));
    server.stop().await;
}

async fn of_many_at_once_one_gets_the_address(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let url = server.authorize_url(&app, &[("prompt", "create")]);
    let attempts = (0..20).map(async |_| {
        let browser = Browser::new(&server);
        let page = browser.open(&url).await;
        browser.sign_up_as(&page, NEW, PASSWORD).await
    });
    let answers = join_all(attempts).await;
    let made = answers.iter().filter(|page| page.has("consent")).count();
    assert_eq!(made, 1);
    for refused in answers.iter().filter(|page| !page.has("consent")) {
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.has("sign-up-notice"));
    }
    let accounts = server.records.accounts.list("", 10).await.unwrap();
    assert_eq!(accounts.len(), 2);
    server.stop().await;
}

async fn without_the_database_nobody_is_made(stores: &Stores) {
    use diesel_async::RunQueryDsl as _;
    let server = started(stores).await;
    let browser = Browser::new(&server);
    let page = opened(&browser, &server).await;
    let mut conn = server.records.store.write().await.unwrap();
    let conn = &mut conn;
    for statement in [
        "DROP TABLE grants",
        "DROP TABLE consents",
        "DROP TABLE sessions",
    ] {
        let dropped = shared_server::on!(conn, |c| diesel::sql_query(statement).execute(c));
        dropped.unwrap();
    }
    let form = Browser::filled_in(&page, NEW, PASSWORD);
    let answer = browser.post(page.action("sign-up"), &form).await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.body
    );
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(browser.cookie("session"), None);
    server.stop().await;
}
