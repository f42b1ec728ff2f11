//! The step in which a person decides.

use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::store::consents;
use futures_util::future::join_all;
use reqwest::StatusCode;
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page, code, parameter};
use crate::person;
use crate::server::{API, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    the_page_says_who_asks_for_what_and_where_the_answer_goes,
    rfc6749_4_1_2_1_a_person_who_denies,
    consent_is_remembered_and_asked_again_when_it_grows,
    rfc8252_8_6_a_native_client_is_never_silent,
    first_party_clients_may_skip_it,
    threat_6_of_200_parallel_consents_one_answers,
    threat_9_no_more_is_approved_than_was_shown,
    threat_22_a_form_is_good_for_one_interaction_browser_and_session,
    threat_34_a_client_deleted_while_a_person_decides,
    a_decision_is_approve_or_deny,
);

/// A server with a person who signed in at a browser for `app`, and the consent page.
async fn asked<'a>(
    server: &'a TestServer,
    app: &TestClient,
    changes: &[(&str, &str)],
) -> (Browser<'a>, Page) {
    let browser = Browser::new(server);
    let page = browser.open(server.authorize_url(app, changes)).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert!(page.has("consent"), "{}", page.body);
    (browser, page)
}

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

async fn the_page_says_who_asks_for_what_and_where_the_answer_goes(stores: &Stores) {
    let server = started(stores).await;
    let mut metadata = person::app(AuthMethod::ClientSecretBasic);
    metadata.client_name = Some("<b>An app</b>".into());
    let app = server.register(metadata).await;
    let scope = ("scope", "openid email offline_access read reports");
    let (_, page) = asked(&server, &app, &[scope]).await;
    assert_eq!(page.status, StatusCode::OK);
    for shown in [
        "&#60;b&#62;An app",
        EMAIL,
        "app.example",
        "See your email address",
        "May read",
        "May reports",
        API,
        OTHER_API,
        "data-scope=\"offline_access\"",
    ] {
        assert!(page.body.contains(shown), "{shown} in {}", page.body);
    }
    assert!(!page.body.contains("May write"), "{}", page.body);
    assert!(
        !page
            .header("content-security-policy")
            .contains("form-action")
    );
    assert_eq!(page.header("cache-control"), "no-store");
    server.stop().await;
}

async fn rfc6749_4_1_2_1_a_person_who_denies(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    let answer = browser.decide(&page, "deny").await.location();
    for (name, value) in [
        ("error", "access_denied"),
        ("state", "af0ifjsldkj"),
        ("iss", server.issuer.as_str()),
    ] {
        assert_eq!(parameter(&answer, name).as_deref(), Some(value));
    }
    assert_eq!(parameter(&answer, "code"), None);
    // Nothing is remembered, and nothing is left to be approved.
    assert!(browser.decide(&page, "approve").await.has("stale-title"));
    assert!(
        browser
            .open(server.authorize_url(&app, &[]))
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn consent_is_remembered_and_asked_again_when_it_grows(stores: &Stores) {
    let server = started(stores).await;
    let (app, other) = (server.app().await, server.app().await);
    let (browser, page) = asked(
        &server,
        &app,
        &[("scope", "openid read"), ("resource", API)],
    )
    .await;
    browser.decide(&page, "approve").await.location();
    for (what, changes, asked) in [
        (
            "the same",
            &[("scope", "openid read"), ("resource", API)][..],
            false,
        ),
        (
            "without the resource's name",
            &[("scope", "read openid")][..],
            false,
        ),
        ("less", &[("scope", "openid")][..], false),
        ("another scope", &[("scope", "openid write")][..], true),
        (
            "what is known of the person",
            &[("scope", "openid email")][..],
            true,
        ),
        (
            "another resource",
            &[("scope", "openid"), ("resource", OTHER_API)][..],
            true,
        ),
        (
            "access for longer",
            &[("scope", "openid offline_access read")][..],
            true,
        ),
    ] {
        let page = browser.open(server.authorize_url(&app, changes)).await;
        assert_eq!(page.has("consent"), asked, "{what}");
        assert_eq!(page.status == StatusCode::SEE_OTHER, !asked, "{what}");
    }
    assert!(
        browser
            .open(server.authorize_url(&other, &[]))
            .await
            .has("consent")
    );
    // What is agreed to later adds to it.
    let answer = browser
        .arrive(server.authorize_url(&app, &[("scope", "write")]))
        .await;
    code(&answer.location());
    let both = server.authorize_url(&app, &[("scope", "openid read write"), ("prompt", "none")]);
    code(&browser.get(both).await.location());
    // It is the person's, wherever they sign in.
    let elsewhere = Browser::new(&server);
    let page = elsewhere.open(server.authorize_url(&app, &[])).await;
    code(
        &elsewhere
            .sign_in_as(&page, EMAIL, PASSWORD)
            .await
            .location(),
    );
    // And not the next one's.
    server.person("grace@example.com").await;
    let page = Browser::new(&server);
    let form = page.open(server.authorize_url(&app, &[])).await;
    assert!(
        page.sign_in_as(&form, "grace@example.com", PASSWORD)
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn rfc8252_8_6_a_native_client_is_never_silent(stores: &Stores) {
    let server = started(stores).await;
    let account = server
        .records
        .accounts
        .find_by_email(&EMAIL.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    for (redirect, place, skip_consent) in [
        ("http://127.0.0.1/cb", "127.0.0.1", false),
        ("http://[::1]/cb", "[::1]", false),
        ("http://localhost/cb", "localhost", true),
        ("com.example.app:/cb", "com.example.app", true),
    ] {
        let mut metadata = TestServer::native_metadata(redirect);
        metadata.skip_consent = skip_consent;
        let app = server.register(metadata).await;
        let changes = [("redirect_uri", redirect)];
        let (browser, page) = asked(&server, &app, &changes).await;
        let destination = format!("an app on this device, at <bdi>{place}</bdi>");
        assert!(page.body.contains(&destination), "{redirect}");
        let answer = browser.decide(&page, "approve").await;
        assert!(
            answer
                .header("location")
                .starts_with(&format!("{redirect}?code=")),
            "{redirect}"
        );
        let mut conn = server.records.store.read().await.unwrap();
        let remembered = consents::find(&mut conn, &account.id, &app.id.parse().unwrap()).await;
        assert_eq!(remembered.unwrap(), None, "{redirect}");
        drop(conn);
        assert!(
            browser
                .open(server.authorize_url(&app, &changes))
                .await
                .has("consent"),
            "{redirect}"
        );
        let silent = [changes[0], ("prompt", "none")];
        let answer = browser.get(server.authorize_url(&app, &silent)).await;
        assert!(
            answer.header("location").contains("error=consent_required"),
            "{redirect}"
        );
    }
    // A claimed https redirect proves the application (RFC 8252 §7.2).
    let mut metadata = TestServer::native_metadata("https://app.example/cb");
    metadata
        .redirect_uris
        .push("http://127.0.0.1/cb".parse().unwrap());
    let app = server.register(metadata).await;
    let (browser, page) = asked(&server, &app, &[]).await;
    browser.decide(&page, "approve").await.location();
    code(
        &browser
            .get(server.authorize_url(&app, &[("prompt", "none")]))
            .await
            .location(),
    );
    let loopback = [
        ("redirect_uri", "http://127.0.0.1:4/cb"),
        ("prompt", "none"),
    ];
    let answer = browser
        .get(server.authorize_url(&app, &loopback))
        .await
        .location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("consent_required")
    );
    server.stop().await;
}

async fn first_party_clients_may_skip_it(stores: &Stores) {
    let server = started(stores).await;
    let mut metadata = person::app(AuthMethod::None);
    metadata.skip_consent = true;
    let app = server.register(metadata).await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    code(&browser.sign_in_as(&page, EMAIL, PASSWORD).await.location());
    code(
        &browser
            .get(server.authorize_url(&app, &[("prompt", "none")]))
            .await
            .location(),
    );
    assert!(
        browser
            .open(server.authorize_url(&app, &[("prompt", "consent")]))
            .await
            .has("consent")
    );
    server.stop().await;
}

async fn threat_6_of_200_parallel_consents_one_answers(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    let (approve, deny) = (
        Browser::decided(&page, "approve"),
        Browser::decided(&page, "deny"),
    );
    let posts = (0..200).map(|n| {
        let form = if n % 4 == 3 { &deny } else { &approve };
        browser.post(page.action("consent"), form)
    });
    let answers = join_all(posts).await;
    let (answered, stale): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::SEE_OTHER);
    assert_eq!((answered.len(), stale.len()), (1, 199));
    assert!(
        stale
            .iter()
            .all(|page| page.status == StatusCode::BAD_REQUEST && page.has("stale-title"))
    );

    // The same of 200 that go on with an interaction that nothing is left to be asked of.
    browser
        .arrive(server.authorize_url(&app, &[]))
        .await
        .location();
    let form = TestServer::asking(&app, &[]);
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    let resume = Browser::new(&server).post(endpoint, &form).await.location();
    let answers = join_all((0..200).map(|_| browser.get(&resume))).await;
    let answered = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::SEE_OTHER);
    let codes: Vec<_> = answered.map(|answer| code(&answer.location())).collect();
    assert_eq!(codes.len(), 1);
    server.stop().await;
}

async fn threat_9_no_more_is_approved_than_was_shown(stores: &Stores) {
    let server = started(stores).await;
    let mut metadata = person::app(AuthMethod::ClientSecretBasic);
    metadata.scope = "read delete".parse().unwrap();
    let app = server.register(metadata).await;
    // Without a scope, it asks for all that it registered for; `delete` does not exist yet.
    let (browser, page) = asked(&server, &app, &[("scope", "")]).await;
    assert!(!page.body.contains("May delete"));
    server
        .put_resource(API, &["read", "delete"], None, Algorithm::Es256)
        .await;
    let stale = browser.decide(&page, "approve").await;
    assert!(
        stale.has("stale-title") && stale.has("go-on"),
        "{}",
        stale.body
    );
    let page = browser.open(page.url).await;
    assert!(page.body.contains("May delete"));
    code(&browser.decide(&page, "approve").await.location());
    server.stop().await;
}

async fn threat_22_a_form_is_good_for_one_interaction_browser_and_session(stores: &Stores) {
    let server = started(stores).await;
    server.person("grace@example.com").await;
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    let good = Browser::decided(&page, "approve");
    let second = browser.open(server.authorize_url(&app, &[])).await;
    let (attacker, attackers) = asked(&server, &app, &[]).await;
    let changed = |name: &str, value: &str| {
        let mut form = good.clone();
        form.retain(|(known, _)| known != name);
        form.push((name.into(), value.into()));
        form
    };
    for (what, form) in [
        ("no token", changed("csrf", "")),
        ("garbage", changed("csrf", "x")),
        (
            "of another interaction",
            changed("csrf", &second.input("csrf")),
        ),
        (
            "of another browser",
            changed("csrf", &attackers.input("csrf")),
        ),
        (
            "in another browser",
            Browser::decided(&attackers, "approve"),
        ),
        (
            "another interaction",
            changed("interaction", &second.input("interaction")),
        ),
        ("no interaction", changed("interaction", "")),
        (
            "an unknown interaction",
            changed("interaction", "int_AAAAAAAAAAAAAAAAAAAAAA"),
        ),
        (
            "a code as interaction",
            changed("interaction", &"A".repeat(43)),
        ),
        ("a parameter twice", [good.clone(), good.clone()].concat()),
    ] {
        let page = browser.post(page.action("consent"), &form).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}");
        assert_eq!(page.header("location"), "", "{what}");
    }
    // What another browser began says nothing about itself.
    let foreign = browser.get(&attackers.url).await;
    assert!(foreign.has("stale-title") && !foreign.body.contains("An app"));
    // Another site posts: with the cookies (an old browser), or without.
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "https://127.0.0.1"),
    ] {
        let request = server
            .http
            .post(page.action("consent"))
            .form(&good)
            .header(name, value);
        assert_eq!(
            browser.send(request).await.status,
            StatusCode::FORBIDDEN,
            "{value}"
        );
    }
    let without = Browser::new(&server)
        .post(page.action("consent"), &good)
        .await;
    assert!(without.has("stale-title"));
    // Somebody else signed in meanwhile, in another tab.
    let form = browser.get(page.link("another-account")).await;
    assert!(form.has("sign-in"), "{}", form.body);
    let graces = browser
        .sign_in_as(&form, "grace@example.com", PASSWORD)
        .await;
    assert!(graces.body.contains("grace@example.com"), "{}", graces.body);
    let stale = browser.decide(&page, "approve").await;
    assert!(
        stale.has("stale-title") && stale.has("go-on"),
        "{}",
        stale.body
    );
    // All of that has spent nothing.
    code(&browser.decide(&graces, "approve").await.location());
    code(&attacker.decide(&attackers, "approve").await.location());
    server.stop().await;
}

async fn threat_34_a_client_deleted_while_a_person_decides(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    let id = TestServer::client_id(&app);
    server
        .records
        .clients
        .delete(&id, server.clock.now())
        .await
        .unwrap();
    let answer = browser.decide(&page, "approve").await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (StatusCode::BAD_REQUEST, "")
    );
    assert!(answer.has("error-title"));
    // A person who was disabled is nobody, whatever cookie they have.
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    let account = server
        .records
        .accounts
        .find_by_email(&EMAIL.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    server.clock.advance(Duration::from_secs(1));
    server
        .records
        .accounts
        .disable(&account.id, server.clock.now())
        .await
        .unwrap();
    assert!(browser.decide(&page, "approve").await.has("sign-in"));
    server.stop().await;
}

async fn a_decision_is_approve_or_deny(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let (browser, page) = asked(&server, &app, &[]).await;
    for decision in ["", "yes", "Approve"] {
        let answer = browser
            .post(page.action("consent"), &Browser::decided(&page, decision))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{decision}");
    }
    code(&browser.decide(&page, "approve").await.location());
    server.stop().await;
}
