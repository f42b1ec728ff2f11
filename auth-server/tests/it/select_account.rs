//! The step in which a person says which account they mean (OpenID Connect Core §3.1.2.1, `prompt=select_account`).

use reqwest::StatusCode;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, code, parameter};
use crate::server::TestServer;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_3_1_2_1_who_is_signed_in_is_asked_each_time,
    oidc_3_1_2_1_another_account_takes_the_place,
    oidc_3_1_2_1_with_other_prompts,
    threat_22_nobody_else_chooses,
);

const OTHER: &str = "grace@example.com";

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    server.person(OTHER).await;
    server
}

async fn oidc_3_1_2_1_who_is_signed_in_is_asked_each_time(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[("prompt", "select_account")]);
    // Nobody is: to sign in is to choose.
    let page = browser.open(&url).await;
    assert!(page.has("sign-in"), "{}", page.body);
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    code(&browser.decide(&page, "approve").await.location());
    for _ in 0..2 {
        let page = browser.open(&url).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(
            page.has("select-account") && page.body.contains(EMAIL),
            "{}",
            page.body
        );
        assert!(page.body.contains("An app"));
        // A reload changes nothing, and no other way leads past it.
        for path in [
            "/select-account",
            "/login",
            "/consent",
            "/oauth/authorize/resume",
        ] {
            let at = page.url.as_str().replace("/select-account", path);
            assert!(browser.open(&at).await.has("select-account"), "{path}");
        }
        let answer = browser.go_on_as_shown(&page).await;
        code(&answer.location());
        assert!(
            browser.go_on_as_shown(&page).await.has("stale-title"),
            "once"
        );
    }
    server.stop().await;
}

async fn oidc_3_1_2_1_another_account_takes_the_place(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let url = server.authorize_url(&app, &[("prompt", "select_account")]);
    let page = browser.open(&url).await;
    let form = browser.open(page.link("another-account")).await;
    assert!(form.has("sign-in"), "{}", form.body);
    // Who goes back after all still can.
    assert!(browser.open(&page.url).await.has("select-account"));
    let consent = browser.sign_in_as(&form, OTHER, PASSWORD).await;
    assert!(
        consent.has("consent") && consent.body.contains(OTHER),
        "{}",
        consent.body
    );
    // The page that showed the first is out of date.
    let stale = browser.go_on_as_shown(&page).await;
    assert!(
        stale.has("stale-title") && stale.has("go-on"),
        "{}",
        stale.body
    );
    code(&browser.decide(&consent, "approve").await.location());
    server.stop().await;
}

async fn oidc_3_1_2_1_with_other_prompts(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    for (prompt, first, then) in [
        ("select_account", "select-account", ""),
        ("consent select_account", "select-account", "consent"),
        ("select_account login", "sign-in", ""),
        ("login select_account consent", "sign-in", "consent"),
        ("select_account create", "sign-up", ""),
    ] {
        server.clock.advance(std::time::Duration::from_mins(1));
        let page = browser
            .open(server.authorize_url(&app, &[("prompt", prompt)]))
            .await;
        assert!(page.has(first), "{prompt}: {}", page.body);
        let page = match first {
            "select-account" => browser.go_on_as_shown(&page).await,
            "sign-in" => browser.sign_in_as(&page, EMAIL, PASSWORD).await,
            _ => continue,
        };
        assert_eq!(
            page.has("consent"),
            then == "consent",
            "{prompt}: {}",
            page.body
        );
    }
    for prompt in [
        "none select_account",
        "select_account none",
        "select_account x",
    ] {
        let answer = browser
            .get(server.authorize_url(&app, &[("prompt", prompt)]))
            .await;
        let error = parameter(&answer.location(), "error");
        assert_eq!(error.as_deref(), Some("invalid_request"), "{prompt}");
    }
    server.stop().await;
}

async fn threat_22_nobody_else_chooses(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let url = server.authorize_url(&app, &[("prompt", "select_account")]);
    let (victim, attacker) = (Browser::new(&server), Browser::new(&server));
    for browser in [&victim, &attacker] {
        browser
            .sign_in_and_consent(server.authorize_url(&app, &[]))
            .await;
    }
    let (page, theirs) = (victim.open(&url).await, attacker.open(&url).await);
    for csrf in [theirs.input("csrf"), String::new(), "A".repeat(43)] {
        let form = [("interaction", page.input("interaction")), ("csrf", csrf)];
        let form = form.map(|(name, value)| (name.to_owned(), value));
        let answer = victim.post(page.action("select-account"), &form).await;
        assert!(answer.has("stale-title"), "{}", answer.body);
        assert!(victim.open(&page.url).await.has("select-account"));
    }
    // The attacker's own, in the browser of the victim.
    assert!(victim.go_on_as_shown(&theirs).await.has("stale-title"));
    assert!(attacker.open(&theirs.url).await.has("select-account"));
    let form = ["interaction", "csrf"].map(|name| (name.to_owned(), page.input(name)));
    let cross = server.http.post(page.action("select-account")).form(&form);
    let cross = victim.send(cross.header("sec-fetch-site", "cross-site"));
    assert_eq!(cross.await.status, StatusCode::FORBIDDEN);
    code(&victim.go_on_as_shown(&page).await.location());
    server.stop().await;
}
