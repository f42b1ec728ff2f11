//! Identity assertions (draft-ietf-oauth-identity-assertion-authz-grant-03), as the identity provider gives them.

use std::time::Duration;

use auth_server::clients::{AuthMethod, GrantType};
use auth_server::trusted_issuers::TrustedIssuer;
use serde_json::{Value, json};
use shared_protocol::jose::{JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ACCESS, ASSERTION, EXCHANGE, ID, REFRESH, ends_in, exchange};
use crate::jwt_bearer;
use crate::person::{Scene, app, claims, is_active, person};
use crate::server::{API, Answer, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    id_jag_an_assertion_for_the_server_of_another,
    id_jag_what_the_operator_did_not_allow,
    id_jag_from_an_app_by_its_identity_provider_to_the_api_of_another,
);

const OTHER: &str = "https://chat.example";
const RESOURCE: &str = "https://api.chat.example";

async fn client(scene: &Scene) -> TestClient {
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::TokenExchange);
    let policy = json!({
        "requested_token_types": [ASSERTION],
        "identity_assertions": [{"audience": OTHER, "client_id": "wiki-at-chat", "resources": [RESOURCE],
            "scopes": "chat.history chat.read"}],
    });
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    scene.server.register(metadata).await
}

fn form<'a>(tokens: &'a Value, token_type: &'a str) -> Vec<(&'a str, &'a str)> {
    let member = match token_type {
        ID => "id_token",
        REFRESH => "refresh_token",
        _ => "access_token",
    };
    vec![
        ("grant_type", EXCHANGE),
        ("requested_token_type", ASSERTION),
        ("subject_token", tokens[member].as_str().unwrap()),
        ("subject_token_type", token_type),
        ("audience", OTHER),
    ]
}

async fn verified(scene: &Scene, answer: &Answer) -> Value {
    let keys = scene.server.get("/oauth/jwks").await.body;
    let keys = JwkSet::from_object(keys.as_object().unwrap()).unwrap();
    let token = answer.text("access_token");
    let jwt = UnverifiedJwt::parse(token, JwtKind::IdentityAssertion).unwrap();
    let (claims, _) = jwt.verify(&keys).unwrap();
    // It passes for nothing else.
    for kind in [JwtKind::AccessToken, JwtKind::IdToken] {
        assert!(UnverifiedJwt::parse(token, kind).is_err());
    }
    claims.parse().unwrap()
}

async fn id_jag_an_assertion_for_the_server_of_another(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = client(&scene).await;
    let scope = "openid email read offline_access";
    let tokens = scene.tokens(&client, scope).await;
    for token_type in [ID, REFRESH] {
        let mut asked = form(&tokens, token_type);
        asked.extend([("resource", RESOURCE), ("scope", "chat.read")]);
        let answer = exchange(&scene.server, &client, &asked).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            (answer.text("issued_token_type"), answer.text("token_type")),
            (ASSERTION, "N_A")
        );
        assert_eq!(answer.text("scope"), "chat.read");
        ends_in(&answer, 300);
        let claims = verified(&scene, &answer).await;
        for (claim, expected) in [
            ("iss", json!(scene.server.issuer)),
            ("sub", json!(scene.account_id.as_str())),
            ("aud", json!(OTHER)),
            ("client_id", json!("wiki-at-chat")),
            ("resource", json!(RESOURCE)),
            ("scope", json!("chat.read")),
            ("auth_time", json!(scene.session.auth_time.as_secs())),
            ("amr", json!(["pwd"])),
            ("email", json!("alice@example.com")),
            ("email_verified", json!(true)),
        ] {
            assert_eq!(claims[claim], expected, "{claim}");
        }
        assert!(claims["jti"].as_str().unwrap().len() >= 22);
        // Nor does this server take it for anything.
        let token = answer.text("access_token").to_owned();
        let form = [("token", token.as_str())];
        let seen = scene
            .server
            .post_as(&client, "/oauth/introspect", &form)
            .await;
        assert_eq!(seen.body, json!({"active": false}));
    }
    let tokens = scene.tokens(&client, "openid read").await;
    let answer = exchange(&scene.server, &client, &form(&tokens, ID)).await;
    let claims = verified(&scene, &answer).await;
    assert_eq!(claims["scope"], "chat.history chat.read");
    assert!(claims["email"].is_null() && claims["resource"].is_null());
}

async fn id_jag_what_the_operator_did_not_allow(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = client(&scene).await;
    let tokens = scene.tokens(&client, "openid read").await;
    let good = form(&tokens, ID);
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let to = |audience: &'static str| {
        let mut asked = good.clone();
        asked[4].1 = audience;
        asked
    };
    for (what, asked, expected) in [
        (
            "another server",
            to("https://elsewhere.example"),
            "invalid_target",
        ),
        ("its path", to("https://chat.example/x"), "invalid_target"),
        ("no server", good[..4].to_vec(), "invalid_target"),
        (
            "two servers",
            with(&[("audience", "https://elsewhere.example")]),
            "invalid_target",
        ),
        (
            "another resource",
            with(&[("resource", "https://elsewhere.example")]),
            "invalid_target",
        ),
        (
            "more scope",
            with(&[("scope", "chat.write")]),
            "invalid_scope",
        ),
        (
            "an actor",
            with(&[("actor_token", "x"), ("actor_token_type", ACCESS)]),
            "invalid_request",
        ),
        ("an access token", form(&tokens, ACCESS), "invalid_request"),
        (
            "something else",
            [&good[..1], &good[2..], &[("requested_token_type", ACCESS)]].concat(),
            "unauthorized_client",
        ),
    ] {
        let answer = exchange(&scene.server, &client, &asked).await;
        assert_eq!(answer.error(), (400, expected), "{what}");
    }
    let tokens = scene.tokens(&client, "read").await;
    let mut asked = good.clone();
    let refresh = tokens["refresh_token"].as_str().unwrap();
    (asked[2].1, asked[3].1) = (refresh, REFRESH);
    let answer = exchange(&scene.server, &client, &asked).await;
    assert_eq!(answer.error(), (400, "invalid_request"), "no openid");
}

/// The chat of one company, its wiki, and the server at which its people sign in to both: the wiki reads in the chat, and nobody is asked.
async fn id_jag_from_an_app_by_its_identity_provider_to_the_api_of_another(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let others = Stores::sqlite_memory("migrated", &auth_server::store::MIGRATIONS).await;
    let chat = TestServer::start(&others).await;
    let api = chat.client(AuthMethod::ClientSecretBasic, "").await;
    let chat = chat.with_resources(Some(&api)).await;
    for clock in [&scene.server.clock, &chat.clock] {
        clock.advance(Duration::from_mins(2));
    }
    let account_id = person(&chat, "ada@chat.example").await;
    let there = chat
        .register(jwt_bearer::metadata(AuthMethod::ClientSecretBasic))
        .await;

    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::TokenExchange);
    let policy = json!({
        "requested_token_types": [ASSERTION],
        "identity_assertions": [{"audience": chat.issuer, "client_id": there.id, "resources": [API], "scopes": "read write"}],
    });
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let wiki = scene.server.register(metadata).await;
    let tokens = scene.tokens(&wiki, "openid").await;
    let asked = [
        ("grant_type", EXCHANGE),
        ("requested_token_type", ASSERTION),
        ("subject_token", tokens["id_token"].as_str().unwrap()),
        ("subject_token_type", ID),
        ("audience", chat.issuer.as_str()),
        ("resource", API),
        ("scope", "read"),
    ];
    let asserted = exchange(&scene.server, &wiki, &asked).await;
    assert_eq!(asserted.status, 200, "{}", asserted.body);
    let subject = verified(&scene, &asserted).await["sub"].clone();
    let shown = [
        ("grant_type", jwt_bearer::GRANT),
        ("assertion", asserted.text("access_token")),
    ];
    let bring = async || chat.post_as(&there, "/oauth/token", &shown).await;
    assert_eq!(bring().await.status, 400, "nobody is trusted yet");

    let keys = scene.server.get("/oauth/jwks").await.body;
    let policy = json!({"kind": "id-jag", "jwks": keys, "algorithms": ["ES256"], "subject": "linked", "scope": "read",
        "max_lifetime_seconds": 300});
    let issuer = scene.server.issuer.parse().unwrap();
    let policy = serde_json::from_value(policy).unwrap();
    let issuer = TrustedIssuer::new(issuer, policy).unwrap();
    let (records, now) = (&chat.records, chat.clock.now());
    records.trusted_issuers.put(&issuer, now).await.unwrap();
    let name = subject.as_str().unwrap().parse().unwrap();
    let links = &records.identity_links;
    links
        .link(&account_id, (&issuer.issuer, &name), now)
        .await
        .unwrap();
    let brought = bring().await;
    assert_eq!(brought.status, 200, "{}", brought.body);
    assert_eq!(brought.text("scope"), "read");
    let token = claims(brought.text("access_token"));
    assert_eq!(
        (&token["sub"], &token["aud"], &token["client_id"]),
        (&json!(account_id), &json!(API), &json!(there.id))
    );
    assert!(is_active(&chat, &api, brought.text("access_token")).await);
    assert_eq!(bring().await.error(), (400, "invalid_grant"), "once");
}
