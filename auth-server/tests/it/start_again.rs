//! The way back to an app whose interaction is over (OpenID Connect Core §4, `initiate_login_uri`).

use std::time::Duration;

use auth_server::clients::AuthMethod;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::app;
use crate::server::TestServer;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_4_who_comes_too_late_is_led_back_to_the_app,
);

async fn oidc_core_4_who_comes_too_late_is_led_back_to_the_app(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.initiate_login_uri = Some("https://app.example/begin?tenant=1".parse().unwrap());
    let app = server.register(metadata).await;
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    // Over because it was answered.
    let answered = browser.arrive(&page.url).await;
    code(&answered.location());
    let later = browser
        .open(server.authorize_url(&app, &[("prompt", "login")]))
        .await;
    // Over because it took too long.
    server.clock.advance(Duration::from_mins(31));
    for over in [&page.url, &later.url] {
        let stale = browser.open(over).await;
        assert_eq!(stale.status, 400);
        assert!(
            stale.has("stale-title") && stale.body.contains("An app"),
            "{}",
            stale.body
        );
        let link = stale.link("start-again");
        assert!(
            link.as_str()
                .starts_with("https://app.example/begin?tenant=1&iss="),
            "{link}"
        );
        assert_eq!(
            parameter(&link, "iss").as_deref(),
            Some(server.issuer.as_str())
        );
    }
    // Nothing is kept for ever, and who makes up a name learns nothing.
    server.clock.advance(Duration::from_mins(31));
    let unknown = format!(
        "{}/login?interaction=int_0123456789abcdefghijkl",
        server.issuer
    );
    for over in [later.url.as_str(), &unknown] {
        let stale = browser.open(over).await;
        assert!(
            stale.has("stale-title") && !stale.has("start-again"),
            "{over}"
        );
    }
    // A client that said nothing of it.
    let other = server.app().await;
    let page = browser
        .open(server.authorize_url(&other, &[("prompt", "login")]))
        .await;
    server.clock.advance(Duration::from_mins(31));
    let stale = browser.open(&page.url).await;
    assert!(stale.has("stale-title") && !stale.has("start-again"));
    server.stop().await;
}
