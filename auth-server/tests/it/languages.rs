//! What is shown of a client, in which language and how (OpenID Connect Core §3.1.2.1, `ui_locales` and `display`).

use std::collections::BTreeMap;

use auth_server::clients::AuthMethod;
use serde_json::json;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, code};
use crate::person::app;
use crate::server::{TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_3_1_2_1_and_rfc7591_2_2_names_and_links_in_the_language_of_the_person,
    oidc_3_1_2_1_display_that_nobody_knows_is_as_good_as_none,
);

async fn started(stores: &Stores) -> (TestServer, TestClient) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.person(EMAIL).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.client_name = Some("Photo Album".into());
    metadata.policy_uri = Some("https://album.example/privacy".parse().unwrap());
    metadata.tos_uri = Some("https://album.example/terms".parse().unwrap());
    metadata.localized = BTreeMap::from(
        [
            ("client_name#de", "Fotoalbum"),
            ("client_name#FR-CA", "Album de photos"),
            ("policy_uri#de", "https://album.example/datenschutz"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let app = server.register(metadata).await;
    (server, app)
}

async fn oidc_3_1_2_1_and_rfc7591_2_2_names_and_links_in_the_language_of_the_person(
    stores: &Stores,
) {
    let (server, app) = started(stores).await;
    let (english, german) = ("Photo Album", "Fotoalbum");
    for (locales, accepted, name, lang) in [
        ("", "", english, None),
        ("de", "", german, Some("de")),
        ("DE-at", "", german, Some("de")),
        ("fr-CA de", "", "Album de photos", Some("FR-CA")),
        ("fr de", "", german, Some("de")),
        ("es", "", english, None),
        ("en de", "", english, None),
        ("", "de-CH, en;q=0.5", german, Some("de")),
        ("", "en-GB, de;q=0.5", english, None),
        ("en", "de", english, None),
        ("es", "de", german, Some("de")),
        ("<script> de_DE", "", english, None),
    ] {
        let url = server.authorize_url(&app, &[("ui_locales", locales)]);
        let browser = Browser::new(&server);
        let begun = browser.get(&url).await.location();
        let ask = |url: &str| {
            let request = server.http.get(url);
            if accepted.is_empty() {
                request
            } else {
                request.header("accept-language", accepted)
            }
        };
        let page = browser.send(ask(begun.as_str())).await;
        assert!(page.has("sign-in"));
        let consent = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
        let consent = browser.send(ask(consent.url.as_str())).await;
        for page in [page, consent] {
            let shown = lang.map_or_else(
                || format!("<bdi class=\"name\">{name}</bdi>"),
                |lang| format!("<bdi class=\"name\" lang=\"{lang}\">{name}</bdi>"),
            );
            assert!(
                page.body.contains(&shown),
                "{locales} {accepted}: {}",
                page.body
            );
            assert!(page.body.contains("<html lang=\"en\">"), "our own words");
            // Each on its own: what is not said in the first language may be in the next.
            let links = name == german || locales == "fr-CA de";
            assert_eq!(page.body.contains("/datenschutz\""), links, "{locales}");
            assert_eq!(page.body.contains("/privacy\""), !links, "{locales}");
            assert!(page.body.contains("/terms\""), "said in no other language");
        }
    }
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    assert_eq!(metadata["ui_locales_supported"], json!(["en"]));
    server.stop().await;
}

async fn oidc_3_1_2_1_display_that_nobody_knows_is_as_good_as_none(stores: &Stores) {
    let (server, app) = started(stores).await;
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    let announced = metadata["display_values_supported"].clone();
    assert_eq!(announced, json!(["page", "popup", "touch", "wap"]));
    for (display, shown) in [
        ("", None),
        ("page", None),
        ("popup", Some("popup")),
        ("touch", Some("touch")),
        ("wap", Some("wap")),
        ("POPUP", None),
        ("\"><script>", None),
    ] {
        let browser = Browser::new(&server);
        let changes = [("display", display), ("prompt", "consent")];
        let page = browser.open(server.authorize_url(&app, &changes)).await;
        let sign_up = browser.open(page.link("sign-up-link")).await;
        let consent = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
        for page in [&page, &sign_up, &consent] {
            let body = shown.map_or_else(
                || "<body>".to_owned(),
                |shown| format!("<body data-display=\"{shown}\">"),
            );
            assert!(page.body.contains(&body), "{display}: {}", page.body);
        }
        code(&browser.decide(&consent, "approve").await.location());
    }
    server.stop().await;
}
