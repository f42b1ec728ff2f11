//! Request objects at URLs that clients registered (RFC 9101 §5.2, OpenID Connect Core §6.2).

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::ClientMetadata;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Scene, metadata, url};
use crate::browser::{Browser, code, parameter};
use crate::person::REDIRECT;
use crate::server::{TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_6_2_a_registered_reference_is_fetched,
    oidc_core_6_2_what_is_not_registered_is_not_fetched,
    oidc_core_6_2_a_fragment_says_what_stands_there,
    an_object_that_took_the_place_of_another_is_found,
    threat_18_strangers_have_keys_fetched_so_often_and_no_more,
);

const PATH: &str = "/request.jwt";

impl Scene {
    /// With a site, where the app publishes its requests.
    async fn with_site(stores: &Stores) -> (Self, Site) {
        let site = Site::start().await;
        let mut config = config(stores);
        site.open_to(&mut config);
        config.client_documents.fetches_per_address = 0;
        let server = TestServer::start_with(config, Arc::default()).await;
        let mut scene = Self::on(server).await;
        let registered = ClientMetadata {
            request_uris: vec![site.at(PATH).parse().unwrap()],
            ..metadata(&scene.key)
        };
        scene.app = scene.server.register(registered).await;
        (scene, site)
    }

    fn named(&self, uri: &str) -> String {
        url(
            &self.server,
            &self.app,
            ("request_uri", uri),
            &[("redirect_uri", REDIRECT)],
        )
    }
}

fn publish(site: &Site, object: &str) {
    let header = [("content-type", "application/oauth-authz-req+jwt")];
    site.put_with(PATH, 200, &header, object.to_owned());
}

async fn oidc_core_6_2_a_registered_reference_is_fetched(stores: &Stores) {
    let (scene, site) = Scene::with_site(stores).await;
    publish(&site, &format!("{}\n", scene.object(&json!({})).await));
    let browser = Browser::new(&scene.server);
    for _ in 0..3 {
        code(
            &browser
                .sign_in_and_consent(scene.named(&site.at(PATH)))
                .await,
        );
    }
    assert_eq!(site.asked(PATH), 1, "remembered");
    let announced = scene.server.get("/.well-known/openid-configuration").await;
    for name in [
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "require_request_uri_registration",
    ] {
        assert_eq!(announced.body[name], true, "{name}");
    }
    scene.server.stop().await;
}

async fn oidc_core_6_2_what_is_not_registered_is_not_fetched(stores: &Stores) {
    let (scene, site) = Scene::with_site(stores).await;
    publish(&site, &scene.object(&json!({})).await);
    let browser = Browser::new(&scene.server);
    let registered = site.at(PATH);
    for uri in [
        site.at("/other.jwt"),
        format!("{registered}?x"),
        format!("{registered}/"),
        format!("{registered}#"),
        format!("{registered}#x"),
        registered.replacen("https", "http", 1),
        registered.replacen("127.0.0.1", "localhost", 1),
        registered.to_uppercase(),
        format!("{registered}?{}", "x".repeat(512)),
        "https://app.example/cb".to_owned(),
        "data:,x".to_owned(),
        "file:///etc/passwd".to_owned(),
        "urn:x".to_owned(),
        "x".to_owned(),
    ] {
        let answer = browser.open(scene.named(&uri)).await.location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some("invalid_request_uri"),
            "{uri}"
        );
    }
    assert_eq!(site.asked_in_all(), 0);
    scene.server.stop().await;
}

async fn oidc_core_6_2_a_fragment_says_what_stands_there(stores: &Stores) {
    let (scene, site) = Scene::with_site(stores).await;
    let digest = |object: &str| URL_SAFE_NO_PAD.encode(Sha256::digest(object));
    let browser = Browser::new(&scene.server);
    let first = scene.object(&json!({"state": "first"})).await;
    publish(&site, &first);
    let named = |digest: &str| scene.named(&format!("{}#{digest}", site.at(PATH)));
    let answer = browser.sign_in_and_consent(named(&digest(&first))).await;
    assert_eq!(parameter(&answer, "state").as_deref(), Some("first"));
    // Another fragment: what is remembered is good no longer. Nobody has us ask more often than every ten seconds.
    let second = scene.object(&json!({"state": "second"})).await;
    publish(&site, &second);
    let answer = browser.open(named(&digest(&second))).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request_uri")
    );
    scene.server.clock.advance(Duration::from_secs(10));
    let answer = browser.open(named(&digest(&second))).await.location();
    assert_eq!(parameter(&answer, "state").as_deref(), Some("second"));
    assert_eq!(site.asked(PATH), 2);
    for _ in 0..5 {
        let answer = browser
            .open(named(&digest("something else")))
            .await
            .location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some("invalid_request_uri")
        );
    }
    assert_eq!(site.asked(PATH), 2);
    scene.server.stop().await;
}

async fn an_object_that_took_the_place_of_another_is_found(stores: &Stores) {
    let (scene, site) = Scene::with_site(stores).await;
    let browser = Browser::new(&scene.server);
    publish(&site, &scene.object(&json!({"state": "first"})).await);
    let url = scene.named(&site.at(PATH));
    browser.sign_in_and_consent(&url).await;
    // Two minutes before it would be fetched again anyway.
    scene.server.clock.advance(Duration::from_mins(3));
    let expired = json!({"exp": 1});
    publish(&site, &scene.object(&expired).await);
    let answer = browser.open(&url).await.location();
    assert_eq!(
        parameter(&answer, "state").as_deref(),
        Some("first"),
        "still fresh"
    );
    scene.server.clock.advance(Duration::from_mins(3));
    let answer = browser.open(&url).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request_object")
    );
    publish(&site, &scene.object(&json!({"state": "second"})).await);
    let answer = browser.open(&url).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request_object")
    );
    scene.server.clock.advance(Duration::from_secs(10));
    let answer = browser.open(&url).await.location();
    assert_eq!(parameter(&answer, "state").as_deref(), Some("second"));
    scene.server.stop().await;
}

/// Whoever makes requests up has us look at the keys of clients: counted by where they come from, as all that strangers have fetched.
async fn threat_18_strangers_have_keys_fetched_so_often_and_no_more(stores: &Stores) {
    let site = Site::start().await;
    let mut config = config(stores);
    site.open_to(&mut config);
    config.client_documents.fetches_per_address = 3;
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let object = scene.object(&json!({})).await;
    let mut refused = 0;
    for n in 0..6 {
        let path = format!("/keys-{n}.json");
        site.put(&path, &json!({"keys": []}));
        let client = scene.server.register(ClientMetadata {
            jwks: None,
            jwks_uri: Some(site.at(&path).parse().unwrap()),
            ..metadata(&scene.key)
        });
        let asked = url(&scene.server, &client.await, ("request", &object), &[]);
        let page = Browser::new(&scene.server).get(&asked).await;
        refused += usize::from(page.status == 429);
        assert_eq!(site.asked(&path), usize::from(page.status != 429), "{n}");
    }
    assert_eq!(refused, 3);
}
