//! Opaque access tokens: through every grant and every endpoint that takes them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::authorize::request::ResponseType;
use auth_server::clients::{AuthMethod, GrantType};
use auth_server::resource_servers::TokenFormat;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD};
use crate::introspection::eventually;
use crate::person::{Scene, app, ask, claims, code_form, is_active, userinfo};
use crate::pruning::{count, pruning, run};
use crate::response_types::{metadata as every_type, told};
use crate::server::{API, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_1_4_every_grant_brings_one_for_a_resource_server_that_asks,
    rfc7662_2_2_the_resource_server_is_told_what_a_jwt_would_say,
    rfc7009_2_one_that_is_revoked_is_dead_at_once_and_on_another_node,
    what_ends_a_grant_ends_its_opaque_tokens,
    threat_26_no_character_of_an_opaque_token_can_be_changed,
    threat_5_an_opaque_token_is_nothing_else,
    tokens_of_the_other_format_live_on_when_it_is_switched,
    nothing_is_spent_for_a_token_that_cannot_be_kept,
    rows_go_when_their_tokens_expire,
    threat_39_the_database_holds_no_token,
);

async fn switch(server: &TestServer, format: TokenFormat) {
    server
        .change_resource(API, |changed| changed.token_format = format)
        .await;
}

/// A scene whose [`API`] gets opaque tokens.
async fn scene(stores: &Stores) -> Scene {
    let scene = Scene::set(stores).await;
    switch(&scene.server, TokenFormat::Opaque).await;
    scene
}

async fn introspect(server: &TestServer, client: &TestClient, token: &str) -> Value {
    let form = [("token", token)];
    let answer = server.post_as(client, "/oauth/introspect", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body
}

fn assert_opaque(token: &str, what: &str) {
    assert!(token.starts_with("oat_"), "{what}");
    assert_eq!(token.len(), 47, "{what}");
}

/// The tokens of a new grant that [`API`] is for.
async fn tokens(scene: &Scene, client: &TestClient, scope: &str) -> (String, String) {
    let tokens = scene.tokens(client, scope).await;
    let text = |name: &str| tokens[name].as_str().unwrap_or_default().to_owned();
    assert_opaque(&text("access_token"), scope);
    (text("access_token"), text("refresh_token"))
}

async fn rfc6749_1_4_every_grant_brings_one_for_a_resource_server_that_asks(stores: &Stores) {
    let mut config = config(stores);
    config.authorization.password_grant = true;
    config.authorization.response_types = ResponseType::ALL.into();
    let server = TestServer::start_with(config, Arc::default()).await;
    let scene = Scene::on(server).await;
    let server = &scene.server;
    switch(server, TokenFormat::Opaque).await;
    server.person(EMAIL).await;
    let mut got: Vec<(&str, TestClient, Value, bool)> = Vec::new();

    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let form = [("grant_type", "client_credentials")];
    let answer = ask(server, &service, &form).await;
    got.push(("client_credentials", service, answer.body, false));

    let confidential = server.register(app(AuthMethod::ClientSecretBasic)).await;
    for client in [&scene.app, &confidential] {
        let tokens = scene.tokens(client, "openid read offline_access").await;
        let refresh = tokens["refresh_token"].as_str().unwrap().to_owned();
        got.push(("authorization_code", client.clone(), tokens, true));
        let refreshed = scene.refresh(client, &refresh).await;
        got.push(("refresh_token", client.clone(), refreshed.body, true));
    }

    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types = BTreeSet::from([GrantType::Password]);
    metadata.redirect_uris.clear();
    metadata.skip_consent = true;
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    let trusted = server.register(metadata).await;
    let form = [
        ("grant_type", "password"),
        ("username", EMAIL),
        ("password", PASSWORD),
        ("scope", "openid read"),
    ];
    let answer = ask(server, &trusted, &form).await;
    got.push(("password", trusted, answer.body, true));

    let in_front = server.register(every_type(&ResponseType::ALL)).await;
    let browser = Browser::new(server);
    let asked = [("response_type", "token"), ("scope", "openid read")];
    let url = server.authorize_url(&in_front, &asked);
    let (answer, _) = told(&browser.sign_in_and_consent(url).await);
    got.push(("token", in_front, json!(answer), true));

    for (what, client, answer, has_person) in got {
        let token = answer["access_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("{what}: {answer}"));
        assert_opaque(token, what);
        assert!(answer["scope"].as_str().unwrap().contains("read"), "{what}");
        let seen = introspect(server, &scene.api, token).await;
        assert_eq!(seen["active"], true, "{what}: {seen}");
        assert_eq!(seen["client_id"], client.id, "{what}");
        assert_eq!(
            (&seen["aud"], &seen["scope"]),
            (&json!(API), &json!("read")),
            "{what}"
        );
        assert_eq!(seen["grant_id"].is_string(), has_person, "{what}");
        let told = userinfo(server, token).await;
        let expected = if has_person { 200 } else { 403 };
        assert_eq!(told.status, expected, "{what}: {}", told.body);
        if has_person {
            assert_eq!(told.body["sub"], seen["sub"], "{what}: public to both");
            if let Some(id_token) = answer["id_token"].as_str() {
                assert!(claims(id_token)["at_hash"].is_string(), "{what}");
            }
        } else {
            assert_eq!(seen["sub"], client.id, "{what}");
        }
    }
}

async fn rfc7662_2_2_the_resource_server_is_told_what_a_jwt_would_say(stores: &Stores) {
    let scene = scene(stores).await;
    let stranger = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let (opaque, _) = tokens(&scene, &client, "openid read").await;
    switch(&scene.server, TokenFormat::Jwt).await;
    let jwt = scene.tokens(&client, "openid read").await;
    let jwt = jwt["access_token"].as_str().unwrap();
    let mut answers = Vec::new();
    for token in [&opaque, jwt] {
        // Twice: the second time it is remembered.
        let mut seen = introspect(&scene.server, &scene.api, token).await;
        assert_eq!(seen, introspect(&scene.server, &scene.api, token).await);
        let members = seen.as_object_mut().unwrap();
        // Made one after the other.
        for own in ["jti", "grant_id", "iat", "exp", "auth_time"] {
            assert!(members.remove(own).is_some(), "{own}");
        }
        answers.push(seen);
        assert_eq!(
            introspect(&scene.server, &client, token).await["active"],
            true
        );
        let of_stranger = introspect(&scene.server, &stranger, token).await;
        assert_eq!(of_stranger, json!({"active": false}));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0]["token_type"], "Bearer");
    // Its time runs out there as here.
    scene.server.clock.advance(Duration::from_mins(5));
    for token in [&opaque, jwt] {
        assert!(!scene.is_active(token).await);
        assert_eq!(scene.userinfo(token).await.status, 401);
    }
}

async fn rfc7009_2_one_that_is_revoked_is_dead_at_once_and_on_another_node(stores: &Stores) {
    let scene = scene(stores).await;
    let other = scene.another_node(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let (token, _) = tokens(&scene, &client, "openid read").await;
    let (kept, _) = tokens(&scene, &client, "openid read").await;
    assert!(
        is_active(&other, &scene.api, &token).await,
        "known there too"
    );
    let form = [("token", token.as_str())];
    let by_another = scene
        .server
        .post_as(&scene.api, "/oauth/revoke", &form)
        .await;
    assert_eq!(by_another.error(), (400, "invalid_grant"));
    assert!(scene.is_active(&token).await);
    let revoked = scene.server.post_as(&client, "/oauth/revoke", &form).await;
    assert_eq!(revoked.status, 200);
    assert!(!scene.is_active(&token).await);
    assert_eq!(scene.userinfo(&token).await.status, 401);
    assert!(eventually(async || !is_active(&other, &scene.api, &token).await).await);
    assert!(scene.is_active(&kept).await);
    // One that was never issued is as good as revoked.
    let made_up = format!("oat_{}", "A".repeat(43));
    let form = [("token", made_up.as_str())];
    let answer = scene.server.post_as(&client, "/oauth/revoke", &form).await;
    assert_eq!(answer.status, 200);
}

async fn what_ends_a_grant_ends_its_opaque_tokens(stores: &Stores) {
    let scene = scene(stores).await;
    let server = &scene.server;
    let client = server.register(app(AuthMethod::ClientSecretBasic)).await;
    for what in [
        "a code replayed",
        "the refresh token",
        "the client",
        "the account",
    ] {
        let code = scene.code(&client, "openid read offline_access").await;
        let answer = scene.redeem(&client, &code).await;
        let (token, refresh) = (
            answer.text("access_token").to_owned(),
            answer.text("refresh_token").to_owned(),
        );
        assert!(scene.is_active(&token).await, "{what}");
        let now = server.clock.now();
        match what {
            "a code replayed" => {
                let again = ask(server, &client, &code_form(&code)).await;
                assert_eq!(again.error(), (400, "invalid_grant"));
            }
            "the refresh token" => {
                let form = [("token", refresh.as_str())];
                server.post_as(&client, "/oauth/revoke", &form).await;
            }
            "the client" => {
                let id = client.id.parse().unwrap();
                server.records.clients.delete(&id, now).await.unwrap();
                let made_again = server.register(app(AuthMethod::ClientSecretBasic)).await;
                assert!(!scene.is_active(&token).await, "{what}");
                let tokens = scene.tokens(&made_again, "openid read").await;
                let last = tokens["access_token"].as_str().unwrap();
                let accounts = &server.records.accounts;
                accounts.disable(&scene.account_id, now).await.unwrap();
                assert!(!scene.is_active(last).await, "the account");
                return;
            }
            _ => unreachable!(),
        }
        assert!(!scene.is_active(&token).await, "{what}");
        assert_eq!(scene.userinfo(&token).await.status, 401, "{what}");
    }
}

async fn threat_26_no_character_of_an_opaque_token_can_be_changed(stores: &Stores) {
    let scene = scene(stores).await;
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let token = scene.server.token(&service, API).await;
    assert!(scene.is_active(&token).await);
    let mut changed: Vec<String> = Vec::new();
    // Every bit of what is one byte a character.
    for at in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            changed.push(String::from_utf8(bytes).unwrap());
        }
    }
    changed.extend((1..token.len()).map(|length| token[..length].to_owned()));
    for extra in ["A", "=", ".", " ", "\0", "oat_", "AAAA"] {
        changed.push(format!("{token}{extra}"));
        changed.push(format!("{extra}{token}"));
    }
    changed.push(token.to_uppercase());
    changed.push(token.replace("oat_", "oat-"));
    for changed in &changed {
        assert_ne!(*changed, token);
        let seen = introspect(&scene.server, &scene.api, changed).await;
        assert_eq!(seen, json!({"active": false}), "{changed:?}");
    }
    assert!(scene.is_active(&token).await);
}

/// Presented where other things are taken.
async fn threat_5_an_opaque_token_is_nothing_else(stores: &Stores) {
    let scene = scene(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let (token, refresh) = tokens(&scene, &client, "openid read offline_access").await;
    let as_code = scene.redeem(&client, &token).await;
    assert_eq!(as_code.error(), (400, "invalid_grant"));
    let as_refresh = scene.refresh(&client, &token).await;
    assert_eq!(as_refresh.error(), (400, "invalid_grant"));
    assert!(!scene.is_active(&format!("oat_{refresh}")).await);
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&token));
    assert!(
        !scene.is_active(&format!("oat_{digest}")).await,
        "what is kept is no token"
    );
    assert!(scene.is_active(&token).await);
}

async fn tokens_of_the_other_format_live_on_when_it_is_switched(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let jwt = scene.tokens(&scene.app, "openid read offline_access").await;
    let refresh = jwt["refresh_token"].as_str().unwrap().to_owned();
    let jwt = jwt["access_token"].as_str().unwrap();
    switch(&scene.server, TokenFormat::Opaque).await;
    assert!(scene.is_active(jwt).await);
    let opaque = scene.refresh(&scene.app, &refresh).await;
    assert_opaque(opaque.text("access_token"), "from the next on");
    assert!(scene.is_active(jwt).await && scene.is_active(opaque.text("access_token")).await);
    // A use within the grace window brings the same refresh token.
    let again = scene.refresh(&scene.app, &refresh).await;
    assert_eq!(again.text("refresh_token"), opaque.text("refresh_token"));
    assert_ne!(again.text("access_token"), opaque.text("access_token"));
    switch(&scene.server, TokenFormat::Jwt).await;
    let next = scene
        .refresh(&scene.app, opaque.text("refresh_token"))
        .await;
    assert!(next.text("access_token").contains('.'));
    for token in [jwt, opaque.text("access_token"), next.text("access_token")] {
        assert!(scene.is_active(token).await);
        assert_eq!(scene.userinfo(token).await.status, 200);
    }
    // Another resource server went on as it was.
    let other = scene.tokens(&scene.app, "reports").await;
    assert_eq!(
        claims(other["access_token"].as_str().unwrap())["aud"],
        OTHER_API
    );
}

async fn nothing_is_spent_for_a_token_that_cannot_be_kept(stores: &Stores) {
    let scene = scene(stores).await;
    let store = &scene.server.records.store;
    let (_, refresh) = tokens(&scene, &scene.app, "openid read offline_access").await;
    let code = scene.code(&scene.app, "openid read").await;
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let (known, _) = tokens(&scene, &scene.app, "openid read").await;
    run(store, "ALTER TABLE access_tokens RENAME TO taken_away").await;
    let redeemed = scene.redeem(&scene.app, &code).await;
    assert_eq!(redeemed.status, 503, "{}", redeemed.body);
    assert!(!redeemed.header("retry-after").is_empty());
    assert_eq!(scene.refresh(&scene.app, &refresh).await.status, 503);
    let form = [("grant_type", "client_credentials")];
    assert_eq!(ask(&scene.server, &service, &form).await.status, 503);
    // Nobody knows of a token that is not remembered here, and that is not the same as inactive.
    let form = [("token", known.as_str())];
    for (path, client) in [
        ("/oauth/introspect", &scene.api),
        ("/oauth/revoke", &service),
    ] {
        let answer = scene.server.post_as(client, path, &form).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
    }
    assert_eq!(scene.userinfo(&known).await.status, 503);
    // For JWTs nothing of this is needed.
    let other = scene.tokens(&scene.app, "reports").await;
    assert!(other["access_token"].as_str().unwrap().contains('.'));

    run(store, "ALTER TABLE taken_away RENAME TO access_tokens").await;
    let redeemed = scene.redeem(&scene.app, &code).await;
    assert_eq!(redeemed.status, 200, "{}", redeemed.body);
    assert!(scene.is_active(redeemed.text("access_token")).await);
    let refreshed = scene.refresh(&scene.app, &refresh).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert!(scene.is_active(refreshed.text("access_token")).await);
    assert!(scene.is_active(&known).await);
}

async fn rows_go_when_their_tokens_expire(stores: &Stores) {
    let scene = scene(stores).await;
    let store = &scene.server.records.store;
    let (early, _) = tokens(&scene, &scene.app, "openid read").await;
    scene.server.clock.advance(Duration::from_mins(3));
    let (late, _) = tokens(&scene, &scene.app, "openid read").await;
    scene.server.clock.advance(Duration::from_mins(3));
    assert_eq!(count(store, "access_tokens").await, 2);
    let pruning = pruning(store);
    pruning.run(scene.server.clock.now()).await.unwrap();
    assert_eq!(count(store, "access_tokens").await, 1);
    assert!(!scene.is_active(&early).await && scene.is_active(&late).await);
    // A refusal late in a grant leaves no more behind than the rest: a replay writes no row.
    let code = scene.code(&scene.app, "openid read").await;
    assert_eq!(scene.redeem(&scene.app, &code).await.status, 200);
    for _ in 0..3 {
        assert_eq!(scene.redeem(&scene.app, &code).await.status, 400);
    }
    assert_eq!(count(store, "access_tokens").await, 2);
}

async fn threat_39_the_database_holds_no_token(stores: &Stores) {
    use diesel::QueryableByName;
    use diesel_async::RunQueryDsl as _;
    use shared_server::on;

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Binary)]
        digest: Vec<u8>,
        #[diesel(sql_type = diesel::sql_types::Text)]
        claims: String,
    }

    let scene = scene(stores).await;
    let (token, _) = tokens(&scene, &scene.app, "openid read").await;
    let query = "SELECT digest, CAST(claims AS TEXT) AS claims FROM access_tokens";
    let mut conn = scene.server.records.store.read().await.unwrap();
    let row: Row = on!(&mut conn, |c| diesel::sql_query(query).get_result(c)).unwrap();
    assert_eq!(row.digest.len(), 32);
    let secret = token.strip_prefix("oat_").unwrap();
    assert!(!row.claims.contains(secret) && !row.claims.contains(&token));
}
