//! Refresh tokens by exchange: grants of their own, which end with the ones that they were made of.

use std::time::Duration;

use auth_server::clients::{AuthMethod, GrantType};
use auth_server::grants::GrantId;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{
    ACCESS, API, EXCHANGE, OTHER_API, REFRESH, app_token, exchange, form, gateway, gateway_policy,
    introspects, service,
};
use crate::person::{Scene, app, claims, is_active, sign_in};
use crate::server::{TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8693_2_2_1_a_refresh_token_brings_what_the_exchange_allowed,
    the_end_of_a_grant_is_that_of_what_was_made_of_it,
    a_policy_that_was_taken_back_refreshes_nothing,
    no_refresh_token_is_made_of_one_that_was_made_so,
    threat_34_nothing_is_made_of_a_grant_that_ends_meanwhile,
);

async fn refresh_token(
    server: &TestServer,
    client: &TestClient,
    token: &str,
    resource: &str,
) -> String {
    let mut asked = form(token, resource);
    asked.push(("requested_token_type", REFRESH));
    let answer = exchange(server, client, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(
        (answer.text("issued_token_type"), answer.text("token_type")),
        (REFRESH, "N_A")
    );
    answer.text("access_token").to_owned()
}

async fn rfc8693_2_2_1_a_refresh_token_brings_what_the_exchange_allowed(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid email read").await;
    let refresh = refresh_token(&scene.server, &gateway, &token, OTHER_API).await;
    let clock = &scene.server.clock;
    clock.advance(Duration::from_mins(4));
    let answer = scene.refresh(&gateway, &refresh).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body["id_token"].is_null());
    assert_eq!(answer.text("scope"), "reports");
    let new = claims(answer.text("access_token"));
    assert_eq!(
        (&new["aud"], &new["client_id"], &new["sub"]),
        (
            &json!(OTHER_API),
            &json!(gateway.id),
            &json!(scene.account_id.as_str())
        )
    );
    assert_eq!(
        new["act"],
        json!({"sub": gateway.id, "client_id": gateway.id})
    );
    assert_ne!(new["grant_id"], claims(&token)["grant_id"]);
    assert_eq!(new["exp"], claims(&token)["exp"], "and not for longer");
    assert!(answer.body["expires_in"].as_i64().unwrap() <= 60);
    let new = answer.text("access_token");
    assert!(is_active(&scene.server, &gateway, new).await);
    assert_eq!(scene.userinfo(new).await.status, 403);
    assert_eq!(
        scene.refresh(&scene.app, &refresh).await.error(),
        (400, "invalid_grant"),
        "another's"
    );
    clock.advance(Duration::from_mins(2));
    for token in [new, &refresh] {
        assert!(!is_active(&scene.server, &gateway, token).await);
    }
    assert_eq!(
        scene.refresh(&gateway, &refresh).await.error(),
        (400, "invalid_grant"),
        "it does not outlive the token that was shown"
    );
}

/// A client that may have a refresh token for its own, and no end of them.
async fn no_refresh_token_is_made_of_one_that_was_made_so(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let policy = json!({"audiences": [API], "impersonation": true, "requested_token_types": [REFRESH, ACCESS]});
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::TokenExchange);
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let client = scene.server.register(metadata).await;
    let tokens = scene.tokens(&client, "openid read offline_access").await;
    // It outlives its session, which is over.
    let (sessions, now) = (&scene.server.records.sessions, scene.server.clock.now());
    sessions.end(&scene.session.id, now).await.unwrap();
    let asked = async |token: &str, wanted: &str| {
        let asked = [
            ("grant_type", EXCHANGE),
            ("subject_token", token),
            ("subject_token_type", REFRESH),
            ("requested_token_type", wanted),
            ("resource", API),
        ];
        exchange(&scene.server, &client, &asked).await
    };
    let answer = asked(tokens["refresh_token"].as_str().unwrap(), REFRESH).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let second = answer.text("access_token");
    assert_eq!(scene.refresh(&client, second).await.status, 200);
    assert_eq!(asked(second, ACCESS).await.status, 200);
    let third = asked(second, REFRESH).await;
    assert_eq!(third.error(), (400, "invalid_request"));
}

/// The app's grant, one of a service made of that, and one of another service made of the second.
async fn three_grants(scene: &Scene, a: &TestClient, b: &TestClient) -> (String, [String; 2]) {
    let token = app_token(scene, "openid read").await;
    let second = refresh_token(&scene.server, a, &token, OTHER_API).await;
    let answer = scene.refresh(a, &second).await;
    let third = refresh_token(&scene.server, b, answer.text("access_token"), OTHER_API).await;
    (token, [second, third])
}

async fn the_end_of_a_grant_is_that_of_what_was_made_of_it(stores: &Stores) {
    let (mut scene, a) = gateway(stores, &gateway_policy()).await;
    let policy = json!({"audiences": [OTHER_API], "requested_token_types": [REFRESH]});
    let b = scene.server.register(service("reports", &policy)).await;
    introspects(&scene, OTHER_API, &["reports"], &b).await;
    for end in ["grant", "session", "app", "account"] {
        scene.session = sign_in(&scene.server, &scene.account_id).await.0;
        let (token, [second, third]) = three_grants(&scene, &a, &b).await;
        let brought = scene.refresh(&b, &third).await;
        assert_eq!(brought.status, 200, "{end}: {}", brought.body);
        let brought = brought.text("access_token").to_owned();
        assert!(is_active(&scene.server, &b, &brought).await);
        let (records, now) = (&scene.server.records, scene.server.clock.now());
        match end {
            "grant" => {
                let id = claims(&token)["grant_id"].as_str().unwrap().to_owned();
                let id: GrantId = id.parse().unwrap();
                records.grants.revoke(&id, now).await.unwrap();
            }
            "session" => records.sessions.end(&scene.session.id, now).await.unwrap(),
            "app" => {
                let id = TestServer::client_id(&scene.app);
                records.clients.delete(&id, now).await.unwrap();
                scene.app = scene.server.register(app(AuthMethod::None)).await;
            }
            _ => records
                .accounts
                .disable(&scene.account_id, now)
                .await
                .unwrap(),
        }
        assert!(!is_active(&scene.server, &b, &brought).await, "{end}");
        for (client, token) in [(&a, &second), (&b, &third)] {
            let answer = scene.refresh(client, token).await;
            assert_eq!(answer.error(), (400, "invalid_grant"), "{end}");
        }
    }
}

async fn a_policy_that_was_taken_back_refreshes_nothing(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    let refresh = refresh_token(&scene.server, &gateway, &token, OTHER_API).await;
    assert_eq!(scene.refresh(&gateway, &refresh).await.status, 200);
    let clients = &scene.server.records.clients;
    let id = TestServer::client_id(&gateway);
    let (mut policy, now) = (gateway_policy(), scene.server.clock.now());
    policy["audiences"] = json!([API]);
    let changed = service("openid email read write reports", &policy);
    let changed = auth_server::clients::Client::new(id, changed, Vec::new()).unwrap();
    clients.put(&changed, None, now).await.unwrap();
    assert!(!is_active(&scene.server, &gateway, &refresh).await);
    assert_eq!(
        scene.refresh(&gateway, &refresh).await.error(),
        (400, "invalid_grant")
    );
}

async fn threat_34_nothing_is_made_of_a_grant_that_ends_meanwhile(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    for _ in 0..5 {
        let token = app_token(&scene, "openid read").await;
        let id: GrantId = claims(&token)["grant_id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let mut asked = form(&token, OTHER_API);
        asked.push(("requested_token_type", REFRESH));
        let exchanges = (0..20).map(|_| exchange(&scene.server, &gateway, &asked));
        let (grants, now) = (&scene.server.records.grants, scene.server.clock.now());
        let revoke = grants.revoke(&id, now);
        let (answers, revoked) = tokio::join!(futures_util::future::join_all(exchanges), revoke);
        revoked.unwrap();
        for answer in answers {
            if answer.status == 200 {
                let refreshed = scene.refresh(&gateway, answer.text("access_token")).await;
                assert_eq!(refreshed.error(), (400, "invalid_grant"));
            } else {
                assert_eq!(answer.error(), (400, "invalid_request"));
            }
        }
    }
}
