//! How sure a client may be of a person: levels, what asks for them, and what tells of them (OpenID Connect Core §3.1.2.1, §5.5.1.1,
//! RFC 9470).

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::config::{AcrLevel, Config};
use auth_server::sessions::Amr;
use serde_json::{Value, json};
use shared_server::config::Period;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::{app, ask, claims, code_form, refresh_form};
use crate::server::{API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_2_rfc9068_2_2_1_rfc9470_6_2_tokens_tell_the_level,
    oidc_3_1_2_1_acr_values_and_max_age_sign_in_again,
    oidc_5_5_1_1_and_rfc9470_5_what_cannot_be_met_is_told,
    oidc_registration_2_default_acr_values,
    oidc_discovery_3_levels_are_announced,
);

const WEAK: &str = "urn:example:weak";
const RECENT: &str = "urn:example:recent";

/// A weak level, and one that is over after five minutes.
fn levels(stores: &Stores) -> Config {
    let mut config = config(stores);
    let level = |value: &str, within| AcrLevel {
        value: value.into(),
        amr: vec![Amr::Pwd],
        within,
    };
    let five_minutes = Some(Period::from_secs(300));
    config.acr = vec![level(WEAK, None), level(RECENT, five_minutes)];
    config
}

async fn started(config: Config) -> TestServer {
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    server.person(EMAIL).await;
    server
}

/// The tokens of a code.
async fn redeemed(server: &TestServer, app: &TestClient, answer: &url::Url) -> Value {
    let tokens = ask(server, app, &code_form(&code(answer))).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    tokens.body
}

/// What ID token and access token say, which is the same.
fn told(tokens: &Value) -> (Value, Value) {
    let [id_token, access_token] =
        ["id_token", "access_token"].map(|name| claims(tokens[name].as_str().unwrap()));
    for name in ["acr", "auth_time", "amr"] {
        assert_eq!(id_token[name], access_token[name], "{name}");
    }
    (id_token["acr"].clone(), id_token["auth_time"].clone())
}

async fn oidc_2_rfc9068_2_2_1_rfc9470_6_2_tokens_tell_the_level(stores: &Stores) {
    let server = TestServer::start_with(levels(stores), Arc::default()).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let server = server.with_resources(Some(&api)).await;
    server.person(EMAIL).await;
    let app = server.register(app(AuthMethod::None)).await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(
        &app,
        &[("resource", API), ("scope", "openid offline_access read")],
    );
    let tokens = redeemed(&server, &app, &browser.sign_in_and_consent(&url).await).await;
    let (acr, auth_time) = told(&tokens);
    assert_eq!(acr, RECENT, "signed in just now");
    // What a token says of the sign-in stays as it was, however late it is asked for.
    server.clock.advance(Duration::from_mins(20));
    let refreshed = refresh_form(tokens["refresh_token"].as_str().unwrap());
    let refreshed = ask(&server, &app, &refreshed).await.body;
    assert_eq!(told(&refreshed), (acr.clone(), auth_time.clone()));
    let token = refreshed["access_token"].as_str().unwrap();
    let introspected = server
        .post_as(&api, "/oauth/introspect", &[("token", token)])
        .await;
    assert_eq!(introspected.body["acr"], acr);
    assert_eq!(introspected.body["auth_time"], auth_time);
    // The row knows as well as the memory.
    let mut config = levels(stores);
    config.issuer = server.issuer.parse().unwrap();
    let second = TestServer::start_with(config, server.clock.clone()).await;
    let refreshed = refresh_form(refreshed["refresh_token"].as_str().unwrap());
    let refreshed = ask(&second, &app, &refreshed).await.body;
    assert_eq!(told(&refreshed), (acr, auth_time));
    second.stop().await;
    // A session of before is worth less, and the client is told so.
    let later = redeemed(&server, &app, &browser.sign_in_and_consent(&url).await).await;
    assert_eq!(told(&later).0, WEAK);
    server.stop().await;
}

async fn oidc_3_1_2_1_acr_values_and_max_age_sign_in_again(stores: &Stores) {
    let server = started(levels(stores)).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    let essential = json!({"id_token": {"acr": {"essential": true, "values": [RECENT]}}});
    let (essential, either) = (essential.to_string(), format!("{WEAK} {RECENT}"));
    for (changes, again, acr) in [
        (&[][..], false, WEAK),
        (&[("acr_values", WEAK)], false, WEAK),
        (&[("acr_values", either.as_str())], false, WEAK),
        (&[("acr_values", "urn:example:unknown")], false, WEAK),
        (&[("acr_values", RECENT)], true, RECENT),
        (&[("claims", essential.as_str())], true, RECENT),
        (&[("acr_values", WEAK), ("max_age", "300")], true, WEAK),
    ] {
        server.clock.advance(Duration::from_mins(6));
        let silent: Vec<_> = changes
            .iter()
            .copied()
            .chain([("prompt", "none")])
            .collect();
        let silent = browser.get(server.authorize_url(&app, &silent)).await;
        let refused = parameter(&silent.location(), "error");
        let expected = again.then(|| "login_required".to_owned());
        assert_eq!(refused, expected, "{changes:?}");
        let page = browser.open(server.authorize_url(&app, changes)).await;
        assert_eq!(page.has("sign-in"), again, "{changes:?}: {}", page.body);
        let answer = if again {
            browser
                .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
                .await
        } else {
            page
        };
        let tokens = redeemed(&server, &app, &answer.location()).await;
        assert_eq!(told(&tokens).0, acr, "{changes:?}");
    }
    // However long the person takes to agree, the level is the one for which they signed in.
    server.clock.advance(Duration::from_mins(6));
    let changes = [("acr_values", RECENT), ("prompt", "consent")];
    let page = browser.open(server.authorize_url(&app, &changes)).await;
    let page = browser
        .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
        .await;
    server.clock.advance(Duration::from_mins(20));
    let answer = browser.decide(&page, "approve").await.location();
    assert_eq!(told(&redeemed(&server, &app, &answer).await).0, RECENT);
    server.stop().await;
}

async fn oidc_5_5_1_1_and_rfc9470_5_what_cannot_be_met_is_told(stores: &Stores) {
    let server = started(levels(stores)).await;
    let app = server.app().await;
    let unknown = json!({"id_token": {"acr": {"essential": true, "value": "urn:example:unknown"}}});
    let unknown = unknown.to_string();
    let unmet = "unmet_authentication_requirements";
    for (what, changes, expected) in [
        (
            "an essential claim",
            &[("claims", unknown.as_str())][..],
            unmet,
        ),
        (
            "silently",
            &[("claims", &unknown), ("prompt", "none")],
            unmet,
        ),
        (
            "without openid",
            &[("scope", "read"), ("acr_values", "x")],
            unmet,
        ),
        (
            "claims that are none",
            &[("claims", "[")],
            "invalid_request",
        ),
        (
            "claims twice",
            &[("claims", "{}"), ("claims", "{}")],
            "invalid_request",
        ),
        (
            "acr_values twice",
            &[("acr_values", WEAK), ("acr_values", WEAK)],
            "invalid_request",
        ),
    ] {
        // Whether or not anybody is signed in: it is no matter of who is there.
        let answer = Browser::new(&server)
            .get(server.authorize_url(&app, changes))
            .await
            .location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some(expected),
            "{what}"
        );
        assert!(parameter(&answer, "iss").is_some(), "{what}");
        assert!(parameter(&answer, "state").is_some(), "{what}");
    }
    server.stop().await;
}

async fn oidc_registration_2_default_acr_values(stores: &Stores) {
    let server = started(levels(stores)).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.default_acr_values = vec![RECENT.into()];
    let app = server.register(metadata.clone()).await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app, &[]);
    let answer = browser.sign_in_and_consent(&url).await;
    assert_eq!(told(&redeemed(&server, &app, &answer).await).0, RECENT);
    server.clock.advance(Duration::from_mins(6));
    assert!(browser.open(&url).await.has("sign-in"));
    let weak = server.authorize_url(&app, &[("acr_values", WEAK)]);
    let answer = browser.open(weak).await.location();
    assert_eq!(told(&redeemed(&server, &app, &answer).await).0, WEAK);
    for too_much in [vec!["x".repeat(257)], vec!["x".to_owned(); 11]] {
        metadata.default_acr_values = too_much;
        let refused = server
            .records
            .register_client(metadata.clone(), &server.world)
            .await;
        assert!(refused.is_err());
    }
    // Strangers may say so too, and are told what they said.
    let members = json!({"redirect_uris": ["https://app.example/cb"], "default_acr_values": [WEAK],
        "id_token_signed_response_alg": "ES256"});
    let url = format!("{}/oauth/register", server.issuer);
    let registered = server.send(server.http.post(url).json(&members)).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    assert_eq!(registered.body["default_acr_values"], json!([WEAK]));
    server.stop().await;
}

async fn oidc_discovery_3_levels_are_announced(stores: &Stores) {
    let mut none = config(stores);
    none.acr = Vec::new();
    TestServer::start(stores).await.person(EMAIL).await;
    for (config, announced) in [
        (config(stores), json!(["https://refeds.org/profile/sfa"])),
        (levels(stores), json!([WEAK, RECENT])),
        (none, Value::Null),
    ] {
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let metadata = server.get("/.well-known/openid-configuration").await.body;
        assert_eq!(metadata["acr_values_supported"], announced);
        let claims = metadata["claims_supported"].as_array().unwrap();
        assert_eq!(claims.contains(&json!("acr")), !announced.is_null());
        // What is announced is reached.
        let app = server.app().await;
        for level in announced.as_array().into_iter().flatten() {
            let changes = [("acr_values", level.as_str().unwrap())];
            let browser = Browser::new(&server);
            let answer = browser.sign_in_and_consent(server.authorize_url(&app, &changes));
            assert_eq!(
                told(&redeemed(&server, &app, &answer.await).await).0,
                *level
            );
        }
        server.stop().await;
    }
}

#[test]
fn levels_that_make_no_sense_stop_the_start() {
    let level = |value: &str, within: Option<&str>| AcrLevel {
        value: value.into(),
        amr: vec![Amr::Pwd],
        within: within.map(|within| within.parse().unwrap()),
    };
    let nothing = AcrLevel {
        amr: Vec::new(),
        ..level("x", None)
    };
    for (levels, key) in [
        (vec![level("", None)], "acr[0].value"),
        (vec![level("two words", None)], "acr[0].value"),
        (vec![level("x\"y", None)], "acr[0].value"),
        (vec![level(&"x".repeat(257), None)], "acr[0].value"),
        (vec![level("x", None), level("x", None)], "acr[1].value"),
        (vec![nothing], "acr[0].amr"),
        (vec![level("x", Some("10ms"))], "acr[0].within"),
        (
            (0..11).map(|n| level(&n.to_string(), None)).collect(),
            "acr has more than",
        ),
    ] {
        let config = Config {
            acr: levels,
            ..Config::default()
        };
        let problems = config.problems();
        assert!(
            problems.iter().any(|problem| problem.starts_with(key)),
            "{key}: {problems:?}"
        );
    }
}
