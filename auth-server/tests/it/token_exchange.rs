//! Token exchange (RFC 8693): what comes of it, and what ends it.

mod assertions;
mod chain;
mod intersection;
mod names;
mod opaque;
mod operator;

mod refresh;
mod refusals;

use std::collections::BTreeSet;

use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use serde_json::{Value, json};
use shared_protocol::jose::Algorithm;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{Scene, claims, is_active, userinfo};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8693_2_2_1_a_service_acts_for_a_person_at_the_next_service,
    rfc8693_1_1_impersonation_says_nothing_of_who_asked,
    rfc8693_4_1_an_actor_token_names_who_acts,
    rfc8693_2_1_an_id_token_and_a_refresh_token_stand_for_their_grant,
    rfc8693_2_2_1_an_id_token_for_the_service_itself,
    rfc8693_a_service_exchanges_the_token_of_a_service,
    rfc8693_2_1_a_target_by_each_of_its_names,
    what_userinfo_tells_of_a_token_that_was_exchanged,
);

pub(crate) const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
pub(crate) const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
pub(crate) const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
pub(crate) const ID: &str = "urn:ietf:params:oauth:token-type:id_token";
pub(crate) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
pub(crate) const ASSERTION: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// A service that may exchange tokens as `policy` says.
pub(crate) fn service(scope: &str, policy: &Value) -> ClientMetadata {
    let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, scope);
    metadata.grant_types = BTreeSet::from([
        GrantType::ClientCredentials,
        GrantType::RefreshToken,
        GrantType::TokenExchange,
    ]);
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    metadata.token_exchange = Some(serde_json::from_value(policy.clone()).unwrap());
    metadata
}

/// The gateway of [`API`], for which reading there means reports at [`OTHER_API`].
pub(crate) fn gateway_policy() -> Value {
    json!({
        "audiences": [API, OTHER_API],
        "requested_token_types": [ACCESS, JWT, REFRESH, ID],
        "downstream": [{"from": API, "scope": "read", "to": OTHER_API, "scopes": "reports"}],
    })
}

/// A person, their app, and the gateway of [`API`] in the place of what introspects there.
pub(crate) async fn gateway(stores: &Stores, policy: &Value) -> (Scene, TestClient) {
    let scene = Scene::set(stores).await;
    let gateway = scene
        .server
        .register(service("openid email read write reports", policy))
        .await;
    introspects(&scene, API, &["read", "write"], &gateway).await;
    (scene, gateway)
}

pub(crate) async fn introspects(scene: &Scene, api: &str, scopes: &[&str], client: &TestClient) {
    let server = &scene.server;
    server
        .put_resource(api, scopes, Some(client), Algorithm::Es256)
        .await;
}

pub(crate) fn form<'a>(token: &'a str, resource: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ACCESS),
        ("resource", resource),
    ]
}

pub(crate) async fn exchange(
    server: &TestServer,
    client: &TestClient,
    form: &[(&str, &str)],
) -> Answer {
    server.post_as(client, "/oauth/token", form).await
}

/// How long what was brought lives: the clock goes on from the token that was shown.
pub(crate) fn ends_in(answer: &Answer, seconds: i64) {
    let told = answer.body["expires_in"].as_i64().unwrap();
    assert!((seconds - 10..=seconds).contains(&told), "{told}");
}

/// The access token that comes of another one.
pub(crate) async fn exchanged(
    server: &TestServer,
    client: &TestClient,
    token: &str,
    resource: &str,
) -> String {
    let answer = exchange(server, client, &form(token, resource)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("access_token").to_owned()
}

/// The app's access token for [`API`].
pub(crate) async fn app_token(scene: &Scene, scope: &str) -> String {
    let tokens = scene.tokens(&scene.app, scope).await;
    tokens["access_token"].as_str().unwrap().to_owned()
}

async fn rfc8693_2_2_1_a_service_acts_for_a_person_at_the_next_service(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read write").await;
    let answer = exchange(&scene.server, &gateway, &form(&token, OTHER_API)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(
        (answer.text("issued_token_type"), answer.text("token_type")),
        (ACCESS, "Bearer")
    );
    assert_eq!(answer.text("scope"), "reports");
    ends_in(&answer, 300);
    assert!(answer.body["refresh_token"].is_null() && answer.body["id_token"].is_null());
    let (old, new) = (claims(&token), claims(answer.text("access_token")));
    for same in ["iss", "sub", "grant_id", "auth_time", "amr"] {
        assert_eq!(old[same], new[same], "{same}");
    }
    assert_eq!(
        (&new["aud"], &new["client_id"], &new["scope"]),
        (&json!(OTHER_API), &json!(gateway.id), &json!("reports"))
    );
    assert_eq!(
        new["act"],
        json!({"sub": gateway.id, "client_id": gateway.id})
    );
    assert_eq!(
        new["subject_tokens"],
        json!([{"jti": old["jti"], "client_id": scene.app.id, "iat": old["iat"]}])
    );
    assert_ne!(old["jti"], new["jti"]);
    // At the same audience it may be less.
    let mut narrow = form(&token, API);
    narrow.push(("scope", "write"));
    let answer = exchange(&scene.server, &gateway, &narrow).await;
    assert_eq!(answer.text("scope"), "write");
    assert!(is_active(&scene.server, &gateway, answer.text("access_token")).await);
    // It ends no later than what it was exchanged for.
    scene
        .server
        .clock
        .advance(std::time::Duration::from_secs(200));
    let answer = exchange(&scene.server, &gateway, &form(&token, OTHER_API)).await;
    ends_in(&answer, 100);
    assert_eq!(claims(answer.text("access_token"))["exp"], old["exp"]);
}

async fn rfc8693_1_1_impersonation_says_nothing_of_who_asked(stores: &Stores) {
    let mut policy = gateway_policy();
    policy["impersonation"] = json!(true);
    let (scene, gateway) = gateway(stores, &policy).await;
    let token = app_token(&scene, "openid read").await;
    let mut asked = form(&token, OTHER_API);
    asked.push(("requested_token_type", JWT));
    let answer = exchange(&scene.server, &gateway, &asked).await;
    assert_eq!(answer.text("issued_token_type"), JWT);
    let new = claims(answer.text("access_token"));
    assert!(new["act"].is_null());
    assert_eq!(new["sub"], scene.account_id.as_str());
}

async fn rfc8693_4_1_an_actor_token_names_who_acts(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    let own = scene.server.token(&gateway, OTHER_API).await;
    let mut asked = form(&token, OTHER_API);
    asked.extend([("actor_token", own.as_str()), ("actor_token_type", ACCESS)]);
    let answer = exchange(&scene.server, &gateway, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let new = claims(answer.text("access_token"));
    assert_eq!(
        new["act"],
        json!({"sub": gateway.id, "client_id": gateway.id})
    );
    assert_eq!(new["subject_tokens"].as_array().unwrap().len(), 2);
    // With the token of the actor it dies too.
    let new = answer.text("access_token");
    assert!(is_active(&scene.server, &gateway, new).await);
    let revoked = scene
        .server
        .post_as(&gateway, "/oauth/revoke", &[("token", &own)])
        .await;
    assert_eq!(revoked.status, 200);
    assert!(!is_active(&scene.server, &gateway, new).await);
}

async fn rfc8693_2_1_an_id_token_and_a_refresh_token_stand_for_their_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = crate::person::app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::TokenExchange);
    let policy = json!({"audiences": [OTHER_API], "impersonation": true});
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let app = scene.server.register(metadata).await;
    let tokens = scene
        .tokens(&app, "openid read reports offline_access")
        .await;
    for (member, token_type) in [("refresh_token", REFRESH), ("id_token", ID)] {
        let token = tokens[member].as_str().unwrap();
        let asked = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", token_type),
        ];
        for _ in 0..2 {
            let answer = exchange(&scene.server, &app, &asked).await;
            assert_eq!(answer.status, 200, "{member}: {}", answer.body);
            assert_eq!(answer.text("scope"), "reports");
            let new = claims(answer.text("access_token"));
            assert_eq!(new["aud"], OTHER_API);
            assert_eq!(
                new["grant_id"],
                claims(tokens["access_token"].as_str().unwrap())["grant_id"]
            );
            assert!(is_active(&scene.server, &app, answer.text("access_token")).await);
        }
    }
    // It was not spent.
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(scene.refresh(&app, refresh).await.status, 200);
}

async fn rfc8693_2_2_1_an_id_token_for_the_service_itself(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid email read").await;
    let mut asked = form(&token, API);
    asked.pop();
    asked.extend([
        ("requested_token_type", ID),
        ("audience", gateway.id.as_str()),
    ]);
    let answer = exchange(&scene.server, &gateway, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        (answer.text("issued_token_type"), answer.text("token_type")),
        (ID, "N_A")
    );
    let id_token = claims(answer.text("access_token"));
    assert_eq!(
        (&id_token["aud"], &id_token["sub"], &id_token["exp"]),
        (
            &json!(gateway.id),
            &json!(scene.account_id.as_str()),
            &claims(&token)["exp"]
        )
    );
    assert!(id_token["email"].is_null() && id_token["grant_id"].is_null());
    // It stands for no grant of the service.
    let again = answer.text("access_token").to_owned();
    let asked = [
        ("grant_type", EXCHANGE),
        ("subject_token", again.as_str()),
        ("subject_token_type", ID),
        ("resource", OTHER_API),
    ];
    let answer = exchange(&scene.server, &gateway, &asked).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    // Who did not sign in with OpenID Connect is nobody whom a client may know.
    let token = app_token(&scene, "read").await;
    let mut asked = form(&token, API);
    asked.pop();
    asked.push(("requested_token_type", ID));
    let answer = exchange(&scene.server, &gateway, &asked).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
}

async fn rfc8693_a_service_exchanges_the_token_of_a_service(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let worker = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let token = scene.server.token(&worker, API).await;
    let new = exchanged(&scene.server, &gateway, &token, OTHER_API).await;
    assert_eq!(
        (&claims(&new)["sub"], &claims(&new)["client_id"]),
        (&json!(worker.id), &json!(gateway.id))
    );
    assert!(is_active(&scene.server, &gateway, &new).await);
    for requested in [REFRESH, ID] {
        let mut asked = form(&token, OTHER_API);
        if requested == ID {
            asked.pop();
        }
        asked.push(("requested_token_type", requested));
        let answer = exchange(&scene.server, &gateway, &asked).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{requested}");
    }
    let id = TestServer::client_id(&worker);
    let clients = &scene.server.records.clients;
    let now = shared_protocol::time::Clock::now(&*scene.server.clock);
    clients.delete(&id, now).await.unwrap();
    assert!(
        !is_active(&scene.server, &gateway, &new).await,
        "its subject is gone"
    );
}

async fn rfc8693_2_1_a_target_by_each_of_its_names(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let backend = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "reports")
        .await;
    introspects(&scene, OTHER_API, &["reports"], &backend).await;
    let token = app_token(&scene, "openid read").await;
    let bare = &form(&token, API)[..3];
    for (what, named, aud) in [
        ("none", vec![], API),
        ("resource", vec![("resource", OTHER_API)], OTHER_API),
        ("audience", vec![("audience", OTHER_API)], OTHER_API),
        (
            "its client",
            vec![("audience", backend.id.as_str())],
            OTHER_API,
        ),
        (
            "all of them, twice",
            vec![
                ("resource", OTHER_API),
                ("resource", OTHER_API),
                ("audience", OTHER_API),
                ("audience", backend.id.as_str()),
            ],
            OTHER_API,
        ),
    ] {
        let asked = [bare, &named].concat();
        let answer = exchange(&scene.server, &gateway, &asked).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!(claims(answer.text("access_token"))["aud"], aud, "{what}");
    }
}

async fn what_userinfo_tells_of_a_token_that_was_exchanged(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid email read").await;
    assert_eq!(userinfo(&scene.server, &token).await.status, 200);
    for resource in [API, OTHER_API] {
        let new = exchanged(&scene.server, &gateway, &token, resource).await;
        let answer = userinfo(&scene.server, &new).await;
        assert_eq!(
            answer.status, 403,
            "a scope of {resource} is none of this server's"
        );
    }
}
