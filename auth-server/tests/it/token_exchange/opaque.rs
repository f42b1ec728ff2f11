//! Exchange where tokens are opaque, before it or after.

use auth_server::clients::{AuthMethod, GrantType};
use auth_server::resource_servers::TokenFormat;
use auth_server::subjects::SubjectType;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ACCESS, JWT, app_token, exchange, exchanged, form, gateway, gateway_policy};
use crate::person::{Scene, app, is_active, post};
use crate::server::{API, OTHER_API, TestClient};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8693_3_what_comes_of_it_is_opaque_where_its_audience_asks_for_that,
    rfc8693_2_1_an_opaque_token_is_exchanged_as_an_access_token_alone,
    oidc_core_8_its_owner_does_not_read_what_an_api_calls_who_acts,
    threat_25_what_its_client_got_is_revoked_and_what_came_of_it_dies,
);

async fn switch(scene: &Scene, api: &str, format: TokenFormat) {
    scene
        .server
        .change_resource(api, |changed| changed.token_format = format)
        .await;
}

async fn asked_for(
    scene: &Scene,
    gateway: &TestClient,
    token: &str,
    wanted: &str,
) -> (u16, String) {
    let form = [
        form(token, OTHER_API),
        vec![("requested_token_type", wanted)],
    ]
    .concat();
    let answer = exchange(&scene.server, gateway, &form).await;
    let told = answer.body["access_token"].as_str();
    let status = answer.status.as_u16();
    (status, told.unwrap_or(answer.error().1).to_owned())
}

async fn rfc8693_3_what_comes_of_it_is_opaque_where_its_audience_asks_for_that(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    assert_eq!(asked_for(&scene, &gateway, &token, JWT).await.0, 200);
    switch(&scene, OTHER_API, TokenFormat::Opaque).await;
    let refused = asked_for(&scene, &gateway, &token, JWT).await;
    assert_eq!(refused, (400, "invalid_target".to_owned()));

    let (status, opaque) = asked_for(&scene, &gateway, &token, ACCESS).await;
    assert_eq!(status, 200, "{opaque}");
    assert!(opaque.starts_with("oat_"), "{opaque}");
    let asked = [("token", &*opaque)];
    let told = scene
        .server
        .post_as(&gateway, "/oauth/introspect", &asked)
        .await
        .body;
    assert_eq!(
        (&told["active"], &told["aud"]),
        (&json!(true), &json!(OTHER_API))
    );
    assert_eq!(told["act"]["client_id"], gateway.id);
    assert_eq!(told["sub"], scene.account_id.as_str());

    let revoked = [("token", &*token)];
    let answer = post(&scene.server, &scene.app, "/oauth/revoke", &revoked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(!is_active(&scene.server, &gateway, &opaque).await);
}

async fn rfc8693_2_1_an_opaque_token_is_exchanged_as_an_access_token_alone(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    switch(&scene, API, TokenFormat::Opaque).await;
    let token = app_token(&scene, "openid read").await;
    assert!(token.starts_with("oat_"), "{token}");
    let as_jwt = [
        ("grant_type", super::EXCHANGE),
        ("subject_token", &*token),
        ("subject_token_type", JWT),
        ("resource", OTHER_API),
    ];
    let answer = exchange(&scene.server, &gateway, &as_jwt).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    let brought = exchanged(&scene.server, &gateway, &token, OTHER_API).await;
    assert!(is_active(&scene.server, &gateway, &brought).await);

    let revoked = [("token", &*token)];
    post(&scene.server, &scene.app, "/oauth/revoke", &revoked).await;
    assert!(!is_active(&scene.server, &gateway, &brought).await);
    let again = exchange(&scene.server, &gateway, &form(&token, OTHER_API)).await;
    assert_eq!(again.error(), (400, "invalid_request"));
}

async fn oidc_core_8_its_owner_does_not_read_what_an_api_calls_who_acts(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.subject_type = Some(SubjectType::Pairwise);
    metadata.grant_types.insert(GrantType::TokenExchange);
    let policy = json!({"audiences": [API]});
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let client = scene.server.register(metadata).await;
    let tokens = scene.tokens(&client, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    let actor = [("actor_token", token), ("actor_token_type", ACCESS)];
    let asked = [&form(token, API)[..], &actor].concat();
    let answer = exchange(&scene.server, &client, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let brought = [("token", answer.text("access_token"))];
    let seen = async |client: &TestClient| {
        let server = &scene.server;
        server
            .post_as(client, "/oauth/introspect", &brought)
            .await
            .body
    };
    let account = scene.account_id.as_str();
    let by_api = seen(&scene.api).await;
    assert_eq!(
        (&by_api["sub"], &by_api["act"]["sub"]),
        (&json!(account), &json!(account))
    );
    let by_owner = seen(&client).await;
    assert_eq!(by_owner["active"], true);
    assert_eq!(by_owner["act"]["client_id"], client.id);
    assert!(!by_owner.to_string().contains(account), "{by_owner}");
}

async fn threat_25_what_its_client_got_is_revoked_and_what_came_of_it_dies(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    let brought = exchanged(&scene.server, &gateway, &token, OTHER_API).await;
    assert!(is_active(&scene.server, &gateway, &brought).await);
    let (id, now) = (scene.app.id.parse().unwrap(), scene.server.clock.now());
    let clients = &scene.server.records.clients;
    clients.revoke_tokens(&id, now).await.unwrap();
    assert!(!is_active(&scene.server, &gateway, &brought).await);
    let again = exchange(&scene.server, &gateway, &form(&token, OTHER_API)).await;
    assert_eq!(again.error(), (400, "invalid_request"));
}
