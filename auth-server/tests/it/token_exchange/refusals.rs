//! What is refused: the table of threat 10, and what is no request.

use std::time::Duration;

use auth_server::clients::{AuthMethod, GrantType};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{
    ACCESS, EXCHANGE, ID, JWT, REFRESH, app_token, exchange, form, gateway, gateway_policy,
    introspects, service,
};
use crate::person::{Scene, app, claims};
use crate::server::{API, OTHER_API};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8693_2_1_what_is_no_request,
    rfc8693_2_2_2_targets_and_rights_that_are_not_there,
    threat_10_subjects_that_are_not_good_or_not_the_callers,
    threat_10_refresh_tokens_and_id_tokens_of_others,
    rfc8693_2_1_actors_that_are_not_good,
    rfc8693_2_2_2_a_client_that_may_not,
);

/// What a client is told of a token that is not taken, whatever is wrong with it.
const SUBJECT: &str = "the subject_token is unknown, expired, revoked, not of its type, or not one that this client may exchange";

async fn rfc8693_2_1_what_is_no_request(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    let good = form(&token, OTHER_API);
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    let without = |name: &str| {
        let left = good.iter().filter(|(known, _)| *known != name);
        left.copied().collect::<Vec<_>>()
    };
    for (what, asked, expected) in [
        ("good", good.clone(), "no error"),
        ("no subject", without("subject_token"), "invalid_request"),
        ("no type", without("subject_token_type"), "invalid_request"),
        (
            "subject twice",
            with(&[("subject_token", "x")]),
            "invalid_request",
        ),
        (
            "type twice",
            with(&[("subject_token_type", ACCESS)]),
            "invalid_request",
        ),
        (
            "scope twice",
            with(&[("scope", "reports"), ("scope", "reports")]),
            "invalid_request",
        ),
        (
            "requested twice",
            with(&[
                ("requested_token_type", ACCESS),
                ("requested_token_type", ACCESS),
            ]),
            "invalid_request",
        ),
        (
            "a type of subject that nobody knows",
            [
                &without("subject_token_type")[..],
                &[(
                    "subject_token_type",
                    "urn:ietf:params:oauth:token-type:saml2",
                )],
            ]
            .concat(),
            "invalid_request",
        ),
        (
            "a type that nobody knows",
            with(&[("requested_token_type", "access_token")]),
            "invalid_request",
        ),
        (
            "a type of an actor without one",
            with(&[("actor_token_type", ACCESS)]),
            "invalid_request",
        ),
        (
            "an actor without its type",
            with(&[("actor_token", "x")]),
            "invalid_request",
        ),
    ] {
        let answer = exchange(&scene.server, &gateway, &asked).await;
        assert_eq!(answer.error().1, expected, "{what}: {}", answer.body);
    }
}

async fn rfc8693_2_2_2_targets_and_rights_that_are_not_there(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let token = app_token(&scene, "openid read").await;
    let good = form(&token, OTHER_API);
    let with = |more: &[(&'static str, &'static str)]| [&good[..], more].concat();
    for (what, asked, expected) in [
        (
            "two resources",
            with(&[("resource", API)]),
            "invalid_target",
        ),
        (
            "an audience beside another resource",
            with(&[("audience", API)]),
            "invalid_target",
        ),
        (
            "an audience that nobody is",
            with(&[("audience", "https://nobody.example")]),
            "invalid_target",
        ),
        (
            "a resource that is none",
            with(&[("resource", "nowhere")]),
            "invalid_target",
        ),
        ("a bad scope", with(&[("scope", "\u{e4}")]), "invalid_scope"),
        (
            "a scope that is not there",
            with(&[("scope", "reports write")]),
            "invalid_scope",
        ),
        (
            "details",
            with(&[("authorization_details", r#"[{"type":"album"}]"#)]),
            "invalid_authorization_details",
        ),
    ] {
        let answer = exchange(&scene.server, &gateway, &asked).await;
        assert_eq!(answer.error().1, expected, "{what}: {}", answer.body);
    }
    let many: Vec<_> = (0..11).map(|_| ("audience", OTHER_API)).collect();
    let answer = exchange(&scene.server, &gateway, &[&good[..], &many].concat()).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    // Threat 3: elsewhere it stands once.
    let twice = [
        ("grant_type", "client_credentials"),
        ("audience", API),
        ("audience", API),
    ];
    let answer = exchange(&scene.server, &gateway, &twice).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
}

async fn threat_10_subjects_that_are_not_good_or_not_the_callers(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let server = &scene.server;
    let tokens = scene.tokens(&scene.app, "openid read offline_access").await;
    let member = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let good = member("access_token");
    let foreign = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let foreign = SigningKey::from_pkcs8(Algorithm::Es256, &foreign).unwrap();
    let said = claims(&good);
    let forged = sign_jwt(JwtKind::AccessToken, &said, &foreign).await;
    let forged = forged.unwrap();
    let revoked = app_token(&scene, "openid read").await;
    let form_of = [("token", revoked.as_str())];
    crate::person::post(server, &scene.app, "/oauth/revoke", &form_of).await;
    let elsewhere = scene.tokens(&scene.app, "openid reports").await;
    let for_userinfo = scene.tokens(&scene.app, "openid").await;
    let mut flipped = good.clone().into_bytes();
    let last = flipped.len() - 10;
    flipped[last] = if flipped[last] == b'A' { b'B' } else { b'A' };
    let text = |tokens: &Value| tokens["access_token"].as_str().unwrap().to_owned();
    for (what, token, token_type) in [
        ("noise", "x".to_owned(), ACCESS),
        ("foreign", forged, ACCESS),
        ("changed", String::from_utf8(flipped).unwrap(), ACCESS),
        ("revoked", revoked.clone(), ACCESS),
        ("revoked, as a JWT", revoked, JWT),
        ("of another audience", text(&elsewhere), ACCESS),
        ("of this server", text(&for_userinfo), ACCESS),
        ("an ID token as an access token", member("id_token"), ACCESS),
        ("an ID token as a JWT", member("id_token"), JWT),
        ("an access token as an ID token", good.clone(), ID),
        ("an access token as a refresh token", good.clone(), REFRESH),
        (
            "a refresh token as an access token",
            member("refresh_token"),
            ACCESS,
        ),
        ("another's refresh token", member("refresh_token"), REFRESH),
        ("another's ID token", member("id_token"), ID),
        ("too long", "x".repeat(20_000), ACCESS),
    ] {
        let mut asked = form(&token, OTHER_API);
        asked[2].1 = token_type;
        let answer = exchange(server, &gateway, &asked).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{what}");
        assert_eq!(answer.text("error_description"), SUBJECT, "{what}");
    }
    assert_eq!(
        exchange(server, &gateway, &form(&good, OTHER_API))
            .await
            .status,
        200
    );
    server.clock.advance(Duration::from_mins(5));
    let answer = exchange(server, &gateway, &form(&good, OTHER_API)).await;
    assert_eq!(answer.text("error_description"), SUBJECT, "expired");
    // Whoever is shut out, and whose session idles, is nobody to act for.
    let good = app_token(&scene, "openid read").await;
    let now = server.clock.now();
    server
        .records
        .accounts
        .disable(&scene.account_id, now)
        .await
        .unwrap();
    let answer = exchange(server, &gateway, &form(&good, OTHER_API)).await;
    assert_eq!(answer.text("error_description"), SUBJECT, "shut out");
}

async fn threat_10_refresh_tokens_and_id_tokens_of_others(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::TokenExchange);
    let policy = json!({"audiences": [API]});
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let own = scene.server.register(metadata).await;
    let server = &scene.server;
    let tokens = scene.tokens(&own, "openid read offline_access").await;
    let ask = async |member: &str, token_type: &str| {
        let token = tokens[member].as_str().unwrap();
        let mut asked = form(token, API);
        asked[2].1 = token_type;
        exchange(server, &own, &asked).await
    };
    for (member, token_type) in [("refresh_token", REFRESH), ("id_token", ID)] {
        let answer = ask(member, token_type).await;
        assert_eq!(answer.status, 200, "{member}: {}", answer.body);
    }
    // The audience is not the policy's.
    let mut asked = form(tokens["id_token"].as_str().unwrap(), OTHER_API);
    asked[2].1 = ID;
    let answer = exchange(server, &own, &asked).await;
    assert_eq!(answer.error(), (400, "invalid_target"));
    server.clock.advance(Duration::from_mins(5));
    let answer = ask("id_token", ID).await;
    assert_eq!(answer.text("error_description"), SUBJECT, "expired");
    assert_eq!(ask("refresh_token", REFRESH).await.status, 200);
    let form_of = [("token", tokens["refresh_token"].as_str().unwrap())];
    server.post_as(&own, "/oauth/revoke", &form_of).await;
    let answer = ask("refresh_token", REFRESH).await;
    assert_eq!(answer.text("error_description"), SUBJECT, "revoked");
    // The family of a token that was never good lives on.
    let answer = exchange(
        server,
        &own,
        &[
            ("grant_type", EXCHANGE),
            ("subject_token", "x"),
            ("subject_token_type", REFRESH),
        ],
    )
    .await;
    assert_eq!(answer.text("error_description"), SUBJECT);
}

async fn rfc8693_2_1_actors_that_are_not_good(stores: &Stores) {
    let (scene, gateway) = gateway(stores, &gateway_policy()).await;
    let server = &scene.server;
    let token = app_token(&scene, "openid read").await;
    let worker = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let anothers = server.token(&worker, API).await;
    let delegated = super::exchanged(server, &gateway, &token, API).await;
    for (what, actor, token_type) in [
        ("noise", "x", ACCESS),
        ("another's", anothers.as_str(), ACCESS),
        ("the app's", token.as_str(), ACCESS),
        ("one that was exchanged", delegated.as_str(), ACCESS),
        ("an ID token", token.as_str(), ID),
        ("a refresh token", "x", REFRESH),
    ] {
        let mut asked = form(&token, OTHER_API);
        asked.extend([("actor_token", actor), ("actor_token_type", token_type)]);
        let answer = exchange(server, &gateway, &asked).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{what}");
    }
    // RFC 8693 section 4.4: only who may.
    let mut metadata = app(AuthMethod::None);
    metadata.may_act = Some(worker.id.parse().unwrap());
    let picky = server.register(metadata).await;
    let tokens = scene.tokens(&picky, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(
        claims(token)["may_act"],
        json!({"sub": worker.id, "client_id": worker.id})
    );
    let answer = exchange(server, &gateway, &form(token, OTHER_API)).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    let mut metadata = app(AuthMethod::None);
    metadata.may_act = Some(gateway.id.parse().unwrap());
    let friendly = server.register(metadata).await;
    let tokens = scene.tokens(&friendly, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    let answer = exchange(server, &gateway, &form(token, OTHER_API)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let new = claims(answer.text("access_token"));
    assert_eq!(
        new["may_act"]["client_id"],
        gateway.id.as_str(),
        "nobody else may later"
    );
}

async fn rfc8693_2_2_2_a_client_that_may_not(stores: &Stores) {
    let (scene, _) = gateway(stores, &gateway_policy()).await;
    let server = &scene.server;
    let token = app_token(&scene, "openid read").await;
    let service = async |scope: &str, policy: Value| {
        let client = server.register(service(scope, &policy)).await;
        introspects(&scene, API, &["read", "write"], &client).await;
        client
    };
    let plain = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let no_audience = service("read reports", json!({})).await;
    let ask = async |client, more: &[(&str, &str)]| {
        let asked = [&form(&token, OTHER_API)[..], more].concat();
        exchange(server, client, &asked).await
    };
    assert_eq!(ask(&plain, &[]).await.error(), (400, "unauthorized_client"));
    assert_eq!(
        ask(&no_audience, &[]).await.error(),
        (400, "invalid_target")
    );
    let answer = exchange(server, &no_audience, &form(&token, API)).await;
    assert_eq!(
        answer.error(),
        (400, "invalid_target"),
        "nor what the token is for"
    );
    let no_rule = service("read reports", json!({"audiences": [OTHER_API]})).await;
    let answer = ask(&no_rule, &[]).await;
    assert_eq!(answer.error(), (400, "invalid_scope"), "no rule");
    let no_scope = service("read", gateway_policy()).await;
    let answer = ask(&no_scope, &[]).await;
    assert_eq!(answer.error(), (400, "invalid_scope"), "not its own");
    let mut policy = gateway_policy();
    policy["requested_token_types"] = json!([ACCESS]);
    let access_only = service("read reports", policy).await;
    for requested in [REFRESH, ID, JWT, "urn:ietf:params:oauth:token-type:id-jag"] {
        let answer = ask(&access_only, &[("requested_token_type", requested)]).await;
        assert_eq!(answer.error(), (400, "unauthorized_client"), "{requested}");
    }
    let mut policy = gateway_policy();
    policy["delegation"] = json!(false);
    policy["impersonation"] = json!(true);
    let alone = service("read reports", policy).await;
    let actor = server.token(&alone, OTHER_API).await;
    let answer = ask(
        &alone,
        &[("actor_token", &actor), ("actor_token_type", ACCESS)],
    )
    .await;
    assert_eq!(answer.error(), (400, "unauthorized_client"));
    assert_eq!(ask(&alone, &[]).await.status, 200);
    // The gateway that no longer introspects for the API is a stranger to its tokens, unless the operator named whose it may take.
    let mut policy = gateway_policy();
    policy["subject_clients"] = json!([scene.app.id]);
    let named = server
        .register(super::service("read reports", &policy))
        .await;
    assert_eq!(ask(&named, &[]).await.status, 200);
    let stranger = server
        .register(super::service("read reports", &gateway_policy()))
        .await;
    assert_eq!(ask(&stranger, &[]).await.text("error_description"), SUBJECT);
}
