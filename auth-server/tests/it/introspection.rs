//! Introspection and revocation.

use std::time::Duration;

use auth_server::clients::AuthMethod;
use serde_json::json;
use shared_protocol::jose::Algorithm;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::server::{API, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7662_2_who_learns_of_a_token,
    rfc7662_2_2_what_is_not_active_says_nothing_else,
    rfc7662_2_1_public_clients_do_not_introspect,
    rfc7009_2_a_revoked_token_is_dead_at_once_and_after_a_restart,
    rfc7009_2_1_only_the_clients_own_tokens,
    a_revocation_is_seen_by_the_other_node,
    a_node_that_missed_a_minute_learns_of_all_that_was_revoked_in_it,
    threat_26_no_bit_of_a_token_can_be_changed,
    a_withdrawn_key_takes_its_tokens_along,
    a_client_deleted_on_another_node_is_forgotten,
);

const TOKEN: &str = "/oauth/token";

async fn introspect(server: &TestServer, client: &TestClient, token: &str) -> serde_json::Value {
    let answer = server
        .post_as(client, "/oauth/introspect", &[("token", token)])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.body
}

async fn server_and_clients(stores: &Stores) -> (TestServer, TestClient, TestClient) {
    let server = TestServer::start(stores).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read reports")
        .await;
    let server = server.with_resources(Some(&api)).await;
    (server, api, client)
}

async fn rfc7662_2_who_learns_of_a_token(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let stranger = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let token = server.token(&client, API).await;
    let other = server.token(&client, OTHER_API).await;
    let answer = introspect(&server, &api, &token).await;
    assert_eq!(
        (&answer["active"], &answer["client_id"], &answer["sub"]),
        (&json!(true), &json!(client.id), &json!(client.id))
    );
    assert_eq!(
        (&answer["aud"], &answer["scope"], &answer["iss"]),
        (&json!(API), &json!("read"), &json!(server.issuer))
    );
    assert_eq!(answer["token_type"], "Bearer");
    for claim in ["exp", "iat", "jti"] {
        assert!(!answer[claim].is_null(), "{claim}");
    }
    assert_eq!(
        introspect(&server, &client, &token).await["active"],
        true,
        "its owner"
    );
    let inactive = json!({"active": false});
    assert_eq!(
        introspect(&server, &stranger, &token).await,
        inactive,
        "a stranger"
    );
    assert_eq!(
        introspect(&server, &api, &other).await,
        inactive,
        "another audience's"
    );
    let unproven = server
        .send(server.form("/oauth/introspect", &[("token", &token)]))
        .await;
    assert_eq!(unproven.error(), (401, "invalid_client"));
    let missing = server
        .post_as(
            &api,
            "/oauth/introspect",
            &[("token_type_hint", "access_token")],
        )
        .await;
    assert_eq!(missing.error(), (400, "invalid_request"));
    let hint = [
        ("token", token.as_str()),
        ("token_type_hint", "refresh_token"),
    ];
    assert_eq!(
        server.post_as(&api, "/oauth/introspect", &hint).await.body["active"],
        true,
        "a wrong hint"
    );
}

async fn rfc7662_2_2_what_is_not_active_says_nothing_else(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let token = server.token(&client, API).await;
    let foreign =
        shared_protocol::jose::SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let foreign =
        shared_protocol::jose::SigningKey::from_pkcs8(Algorithm::Es256, &foreign).unwrap();
    let claims = json!({"iss": server.issuer, "sub": "x", "aud": API, "client_id": client.id, "iat": 1,
        "exp": i64::MAX, "jti": "x", "scope": "read"});
    let forged = shared_protocol::jose::sign_jwt(
        shared_protocol::jose::JwtKind::AccessToken,
        &claims,
        &foreign,
    )
    .await
    .unwrap();
    for (what, token) in [
        ("noise", "x"),
        ("three dots", "..."),
        ("forged", &forged),
        ("a code", "SplxlOBeZQQYbYS6WxSbIA"),
    ] {
        assert_eq!(
            introspect(&server, &api, token).await,
            json!({"active": false}),
            "{what}"
        );
    }
    server.clock.advance(Duration::from_mins(5));
    assert_eq!(
        introspect(&server, &api, &token).await,
        json!({"active": false}),
        "expired"
    );
    let long = server
        .post_as(&api, "/oauth/introspect", &[("token", &"a".repeat(20_000))])
        .await;
    assert_eq!(long.error(), (400, "invalid_request"));
}

async fn rfc7662_2_1_public_clients_do_not_introspect(stores: &Stores) {
    let (server, _, client) = server_and_clients(stores).await;
    let public = server.client(AuthMethod::None, "").await;
    let token = server.token(&client, API).await;
    let form = [("token", token.as_str()), ("client_id", &public.id)];
    let answer = server.send(server.form("/oauth/introspect", &form)).await;
    assert_eq!(answer.error(), (400, "unauthorized_client"));
}

async fn rfc7009_2_a_revoked_token_is_dead_at_once_and_after_a_restart(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let (token, kept) = (
        server.token(&client, API).await,
        server.token(&client, API).await,
    );
    for _ in 0..2 {
        let answer = server
            .post_as(&client, "/oauth/revoke", &[("token", &token)])
            .await;
        assert_eq!(answer.status, 200, "also the second time");
    }
    let check = async |server: &TestServer| {
        assert_eq!(
            introspect(server, &api, &token).await,
            json!({"active": false})
        );
        assert_eq!(introspect(server, &api, &kept).await["active"], true);
    };
    check(&server).await;
    let mut again = config(stores);
    again.issuer = server.issuer.parse().unwrap();
    let clock = server.clock.clone();
    server.stop().await;
    check(&TestServer::start_with(again, clock).await).await;
}

async fn rfc7009_2_1_only_the_clients_own_tokens(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let token = server.token(&client, API).await;
    let answer = server
        .post_as(&api, "/oauth/revoke", &[("token", &token)])
        .await;
    assert_eq!(answer.error(), (400, "invalid_grant"));
    assert_eq!(introspect(&server, &api, &token).await["active"], true);
    for unknown in ["x", "a.b.c"] {
        let answer = server
            .post_as(
                &client,
                "/oauth/revoke",
                &[("token", unknown), ("token_type_hint", "x")],
            )
            .await;
        assert_eq!(answer.status, 200, "RFC 7009 section 2.2");
    }
    let missing = server.post_as(&client, "/oauth/revoke", &[]).await;
    assert_eq!(missing.error(), (400, "invalid_request"));
}

/// Waits, within bounds, until `done`; says whether it came.
pub(crate) async fn eventually(mut done: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..100 {
        if done().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

async fn a_revocation_is_seen_by_the_other_node(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let mut second = config(stores);
    second.issuer = server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, server.clock.clone()).await;
    let token = server.token(&client, API).await;
    assert_eq!(introspect(&other, &api, &token).await["active"], true);
    server
        .post_as(&client, "/oauth/revoke", &[("token", &token)])
        .await;
    assert!(eventually(async || introspect(&other, &api, &token).await["active"] == false).await);
    // The other node asks the database where it has not compared its set for two seconds.
    let late = server.token(&client, API).await;
    server
        .post_as(&client, "/oauth/revoke", &[("token", &late)])
        .await;
    server.clock.advance(Duration::from_secs(3));
    assert_eq!(introspect(&other, &api, &late).await["active"], false);
}

async fn a_node_that_missed_a_minute_learns_of_all_that_was_revoked_in_it(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let mut second = config(stores);
    second.issuer = server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, server.clock.clone()).await;
    let token = server.token(&client, API).await;
    server
        .post_as(&client, "/oauth/revoke", &[("token", &token)])
        .await;
    // For the other node's next look the revocation lies a minute back, outside of what it usually compares.
    server.clock.advance(Duration::from_mins(1));
    for _ in 0..30 {
        assert_eq!(
            introspect(&other, &api, &token).await,
            json!({"active": false})
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn threat_26_no_bit_of_a_token_can_be_changed(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let token = server.token(&client, API).await;
    let signature_start = token.rfind('.').unwrap();
    for at in (0..token.len())
        .step_by(7)
        .chain(signature_start..token.len())
    {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(
            introspect(&server, &api, &changed).await,
            json!({"active": false}),
            "byte {at}"
        );
    }
    for changed in [
        format!("{token}A"),
        token[..token.len() - 1].to_owned(),
        format!(" {token}"),
        format!("{token}."),
    ] {
        assert_eq!(
            introspect(&server, &api, &changed).await,
            json!({"active": false})
        );
    }
}

async fn a_withdrawn_key_takes_its_tokens_along(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let token = server.token(&client, API).await;
    assert_eq!(introspect(&server, &api, &token).await["active"], true);
    let keys = &server.records.keys;
    let now = server.clock.now();
    let kid = keys.ring().states(now)[0].kid.clone();
    keys.revoke(&kid, now, &SystemRandom).await.unwrap();
    assert_eq!(
        introspect(&server, &api, &token).await,
        json!({"active": false})
    );
    let token = server.token(&client, API).await;
    assert_eq!(
        introspect(&server, &api, &token).await["active"],
        true,
        "a new key signs"
    );
}

async fn a_client_deleted_on_another_node_is_forgotten(stores: &Stores) {
    let (server, api, client) = server_and_clients(stores).await;
    let mut second = config(stores);
    second.issuer = server.issuer.parse().unwrap();
    let other = TestServer::start_with(second, server.clock.clone()).await;
    let token = other.token(&client, API).await;
    assert_eq!(introspect(&other, &api, &token).await["active"], true);
    server
        .records
        .clients
        .delete(&TestServer::client_id(&client), server.clock.now())
        .await
        .unwrap();
    let grant = [("grant_type", "client_credentials"), ("resource", API)];
    assert!(eventually(async || other.post_as(&client, TOKEN, &grant).await.status == 401).await);
    assert_eq!(
        introspect(&other, &api, &token).await,
        json!({"active": false}),
        "and its tokens with it"
    );
}
