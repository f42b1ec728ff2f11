//! The authorization code grant: what a code brings, and when it brings nothing (RFC 6749 §4.1, RFC 7636).

use std::collections::BTreeSet;
use std::time::Duration;

use auth_server::authorize::request::OwnScope;
use auth_server::clients::{AuthMethod, GrantType};
use auth_server::codes::{Authorization, Taken};
use auth_server::grants::GrantId;
use auth_server::revocations::RevocationKind;
use auth_server::store;
use diesel_async::RunQueryDsl as _;
use serde_json::json;
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::introspection::eventually;
use crate::person::{
    Scene, VERIFIER, app, ask, claims, code_form, grant_of_seed, is_active, pair, refresh_form,
    sign_in, userinfo,
};
use crate::server::{API, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_4_1_4_a_code_brings_tokens_of_the_grant,
    rfc6749_4_1_3_what_does_not_fit_is_refused_and_the_code_is_dead,
    rfc6749_4_1_3_a_redirect_uri_that_was_not_named_may_be_left_out,
    threat_8_the_matrix_of_challenge_and_verifier,
    rfc6749_4_1_2_a_second_use_revokes_what_the_first_brought,
    rfc6749_4_1_2_a_late_second_use_revokes_too_whatever_the_store_of_codes_forgot,
    rfc6749_4_1_2_a_second_use_that_is_refused_for_another_reason_revokes_too,
    rfc6749_4_1_2_a_revocation_that_came_before_the_grant_holds,
    rfc6749_4_1_2_a_code_is_good_for_a_minute,
    threat_6_of_1000_redemptions_one_wins_and_its_grant_is_dead,
    threat_6_of_1000_redemptions_on_two_nodes_one_wins,
    threat_34_a_code_does_not_outlive_its_session_or_its_person,
    threat_34_of_hundreds_of_redemptions_none_outlives_an_end_that_comes_meanwhile,
    rfc8707_2_2_the_audience_of_a_grant,
    rfc6749_5_1_clients_that_did_not_register_for_it,
    threat_9_a_grant_reaches_only_what_the_person_saw,
    threat_9_a_resource_server_has_no_scope_of_this_server,
    a_database_that_is_gone_spends_no_code,
    threat_34_a_client_that_is_deleted_gets_no_tokens,
    a_person_with_thousands_of_grants_signs_out_everywhere,
);

async fn rfc6749_4_1_4_a_code_brings_tokens_of_the_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let answer = scene
        .redeem(&scene.app, &scene.code(&scene.app, "openid read").await)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.text("token_type"), "Bearer");
    assert_eq!(answer.text("scope"), "openid read");
    let (access, refresh) = pair(&answer.body);
    let told = claims(access);
    assert_eq!(told["sub"], scene.account_id.as_str());
    assert_eq!(told["client_id"], scene.app.id);
    assert_eq!(told["scope"], "read", "the audience's own");
    assert_eq!(told["amr"], json!(["pwd"]));
    assert_eq!(told["auth_time"], scene.session.auth_time.as_secs());
    assert!(told["grant_id"].as_str().unwrap().starts_with("grt_"));
    assert_eq!(refresh.len(), 70);
    assert!(scene.is_active(access).await);
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types = BTreeSet::from([GrantType::AuthorizationCode]);
    let plain = scene.server.register(metadata).await;
    let tokens = scene.tokens(&plain, "read").await;
    assert!(tokens.get("refresh_token").is_none(), "not registered");
    assert!(tokens.get("id_token").is_none(), "no openid");
}

/// The code stays dead after every refusal that depends on it.
async fn rfc6749_4_1_3_what_does_not_fit_is_refused_and_the_code_is_dead(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let confidential = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let other_public = server.register(app(AuthMethod::None)).await;
    let cases: [(&str, &TestClient, &str, Option<&str>); 8] = [
        ("another public client", &other_public, "", None),
        ("a confidential client", &confidential, "", None),
        (
            "another redirect",
            &scene.app,
            "redirect_uri",
            Some("https://app.example/other"),
        ),
        (
            "a redirect with a slash more",
            &scene.app,
            "redirect_uri",
            Some("https://app.example/cb/"),
        ),
        (
            "no redirect although named",
            &scene.app,
            "redirect_uri",
            None,
        ),
        (
            "another verifier",
            &scene.app,
            "code_verifier",
            Some("aBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        ),
        ("no verifier", &scene.app, "code_verifier", None),
        (
            "a foreign resource",
            &scene.app,
            "resource",
            Some(OTHER_API),
        ),
    ];
    for (what, client, name, value) in cases {
        let code = scene.code(&scene.app, "openid read").await;
        let mut form = code_form(&code).to_vec();
        form.retain(|(known, _)| *known != name);
        form.extend(value.map(|value| (name, value)));
        let expected = if name == "resource" {
            (400, "invalid_target")
        } else {
            (400, "invalid_grant")
        };
        let answer = ask(server, client, &form).await;
        assert_eq!(answer.error(), expected, "{what}");
        let again = scene.redeem(&scene.app, &code).await;
        assert_eq!(again.error(), (400, "invalid_grant"), "{what}: dead");
    }
    for (what, form) in [
        ("no code", vec![("grant_type", "authorization_code")]),
        (
            "an empty code",
            vec![("grant_type", "authorization_code"), ("code", "")],
        ),
        (
            "two codes",
            vec![
                ("grant_type", "authorization_code"),
                ("code", "a"),
                ("code", "b"),
            ],
        ),
    ] {
        let answer = ask(server, &scene.app, &form).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{what}");
    }
    let long = "x".repeat(60_000);
    for unknown in ["x", "SplxlOBeZQQYbYS6WxSbIA", &long] {
        let answer = scene.redeem(&scene.app, unknown).await;
        assert_eq!(answer.error(), (400, "invalid_grant"));
    }
    let code = scene.code(&scene.app, "read").await;
    let wrong = TestClient {
        id: confidential.id.clone(),
        secret: "wrong".into(),
    };
    assert_eq!(
        scene.redeem(&wrong, &code).await.error(),
        (401, "invalid_client")
    );
    let spent = scene.redeem(&scene.app, &code).await;
    assert_eq!(spent.status, 200, "nothing is spent for a stranger");
}

async fn rfc6749_4_1_3_a_redirect_uri_that_was_not_named_may_be_left_out(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let unnamed = || Authorization {
        redirect_uri_named: false,
        ..scene.authorization(&scene.app, "read")
    };
    for (what, redirect, status) in [
        ("left out", None, 200),
        ("given and equal", Some("https://app.example/cb"), 200),
        ("given and other", Some("https://app.example/x"), 400),
    ] {
        let code = scene.issue(unnamed()).await;
        let mut form = code_form(&code).to_vec();
        form.retain(|(name, _)| *name != "redirect_uri");
        form.extend(redirect.map(|uri| ("redirect_uri", uri)));
        let answer = ask(&scene.server, &scene.app, &form).await;
        assert_eq!(answer.status, status, "{what}");
    }
}

async fn threat_8_the_matrix_of_challenge_and_verifier(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let short = &VERIFIER[..42];
    let long = "a".repeat(129);
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    for (challenged, verifier, method, granted) in [
        (true, Some(VERIFIER), None, true),
        (true, Some(VERIFIER), Some("plain"), true),
        (true, None, None, false),
        (true, Some(""), None, false),
        (true, Some(challenge), None, false),
        (true, Some(challenge), Some("plain"), false),
        (true, Some(short), None, false),
        (true, Some(&*long), None, false),
        (false, None, None, true),
        (false, Some(""), None, true),
        (false, Some(VERIFIER), None, false),
        (false, Some("x"), Some("plain"), false),
    ] {
        let mut authorization = scene.authorization(&scene.app, "read");
        if !challenged {
            authorization.code_challenge = None;
        }
        let code = scene.issue(authorization).await;
        let mut form = code_form(&code).to_vec();
        form.retain(|(name, _)| *name != "code_verifier");
        form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
        form.extend(method.map(|method| ("code_challenge_method", method)));
        let answer = ask(&scene.server, &scene.app, &form).await;
        let what = format!("challenge {challenged}, verifier {verifier:?}, method {method:?}");
        if granted {
            assert_eq!(answer.status, 200, "{what}");
        } else {
            assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
        }
    }
}

/// That nothing of a grant works any more.
async fn assert_dead(scene: &Scene, server: &TestServer, access: &str, refresh: &str) {
    assert!(
        eventually(async || !is_active(server, &scene.api, access).await).await,
        "introspection"
    );
    assert_eq!(userinfo(server, access).await.status, 401, "userinfo");
    let answer = ask(server, &scene.app, &refresh_form(refresh)).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "refresh");
}

async fn rfc6749_4_1_2_a_second_use_revokes_what_the_first_brought(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.server.register(app(AuthMethod::None)).await;
    for (what, second) in [("itself", &scene.app), ("another client", &other)] {
        let code = scene.code(&scene.app, "openid read").await;
        let first = scene.redeem(&scene.app, &code).await;
        let (access, refresh) = pair(&first.body);
        assert_eq!(scene.userinfo(access).await.status, 200);
        let replay = scene.redeem(second, &code).await;
        assert_eq!(replay.error(), (400, "invalid_grant"), "{what}");
        assert!(!scene.is_active(access).await, "{what}: at once");
        assert_dead(&scene, &scene.server, access, refresh).await;
    }
}

async fn rfc6749_4_1_2_a_late_second_use_revokes_too_whatever_the_store_of_codes_forgot(
    stores: &Stores,
) {
    let scene = Scene::set(stores).await;
    let code = scene.code(&scene.app, "openid read").await;
    let first = scene.redeem(&scene.app, &code).await;
    let (_, refresh) = pair(&first.body);
    // Past the lifetime of codes nothing of it is left in the ephemeral store.
    scene.server.clock.advance(Duration::from_hours(20));
    let again = scene.refresh(&scene.app, refresh).await;
    let (access, refresh) = pair(&again.body);
    assert_eq!(
        scene.redeem(&scene.app, &code).await.error(),
        (400, "invalid_grant")
    );
    assert_dead(&scene, &scene.server, access, refresh).await;
}

/// The store of codes gave a code out twice: then the grants tell, also where the second use is refused for another reason.
async fn rfc6749_4_1_2_a_second_use_that_is_refused_for_another_reason_revokes_too(
    stores: &Stores,
) {
    let scene = Scene::set(stores).await;
    let (records, now) = (&scene.server.records, scene.server.clock.now());
    let other = scene.server.register(app(AuthMethod::None)).await;
    for what in ["another client", "no verifier", "a resource", "signed out"] {
        let (session, _) = sign_in(&scene.server, &scene.account_id).await;
        let mut authorization = scene.authorization(&scene.app, "openid read offline_access");
        authorization.terms.session_id = Some(session.id.clone());
        let code = scene.issue(authorization).await;
        let Taken::First(kept) = scene.server.codes.take(&code, now).await.unwrap() else {
            panic!("{what}");
        };
        let codes = &scene.server.codes;
        codes.keep(&code, &kept, now).await.unwrap();
        let first = scene.redeem(&scene.app, &code).await;
        let (access, refresh) = pair(&first.body);
        codes.keep(&code, &kept, now).await.unwrap();
        let mut form = code_form(&code).to_vec();
        let mut client = &scene.app;
        match what {
            "another client" => client = &other,
            "no verifier" => form.retain(|(name, _)| *name != "code_verifier"),
            "a resource" => form.push(("resource", OTHER_API)),
            _ => records.sessions.end(&session.id, now).await.unwrap(),
        }
        assert!(scene.is_active(access).await, "{what}");
        let again = ask(&scene.server, client, &form).await;
        assert_eq!(again.status, 400, "{what}");
        assert!(!scene.is_active(access).await, "{what}: at once");
        assert_dead(&scene, &scene.server, access, refresh).await;
    }
}

/// A second use may be recorded while the first has not been committed: no row is marked then.
async fn rfc6749_4_1_2_a_revocation_that_came_before_the_grant_holds(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let code = scene.code_of_seed(&[&scene.server]).await;
    let id = grant_of_seed();
    let (grants, now) = (&scene.server.records.grants, scene.server.clock.now());
    grants.revoke(&id, now).await.unwrap();
    let first = scene.redeem(&scene.app, &code).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let (access, refresh) = pair(&first.body);
    assert_eq!(claims(access)["grant_id"], id.as_str());
    assert!(!scene.is_active(access).await, "at once");
    assert_dead(&scene, &scene.server, access, refresh).await;
    scene.server.clock.advance(Duration::from_hours(23));
    let answer = scene.refresh(&scene.app, refresh).await;
    assert_eq!(answer.error(), (400, "invalid_grant"));
}

async fn rfc6749_4_1_2_a_code_is_good_for_a_minute(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let code = scene.code(&scene.app, "read").await;
    scene.server.clock.advance(Duration::from_mins(1));
    assert_eq!(
        scene.redeem(&scene.app, &code).await.error(),
        (400, "invalid_grant")
    );
}

/// Presents a code a thousand times at once, in turn at each of `nodes`; the one success.
async fn a_thousand(scene: &Scene, nodes: &[&TestServer], code: &str) -> serde_json::Value {
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let server = nodes[n % nodes.len()];
        let mut form = code_form(code).to_vec();
        form.push(("client_id", &scene.app.id));
        let request = server.form("/oauth/token", &form);
        tasks.spawn(async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            (status, response.json::<serde_json::Value>().await.unwrap())
        });
    }
    let answers = tasks.join_all().await;
    let refused = answers
        .iter()
        .filter(|(status, body)| *status == 400 && body["error"] == "invalid_grant");
    assert_eq!(
        refused.count(),
        999,
        "{:?}",
        answers
            .iter()
            .find(|(status, _)| ![200, 400].contains(status))
    );
    let won: Vec<_> = answers
        .into_iter()
        .filter(|(status, _)| *status == 200)
        .collect();
    assert_eq!(won.len(), 1);
    won[0].1.clone()
}

async fn threat_6_of_1000_redemptions_one_wins_and_its_grant_is_dead(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let code = scene.code(&scene.app, "openid read").await;
    let won = a_thousand(&scene, &[&scene.server], &code).await;
    let (access, refresh) = pair(&won);
    assert_dead(&scene, &scene.server, access, refresh).await;
}

async fn threat_6_of_1000_redemptions_on_two_nodes_one_wins(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let code = scene.code_of_seed(&[&scene.server, &other]).await;
    let won = a_thousand(&scene, &[&scene.server, &other], &code).await;
    let (access, refresh) = pair(&won);
    assert_dead(&scene, &scene.server, access, refresh).await;
    assert_dead(&scene, &other, access, refresh).await;
}

async fn threat_34_a_code_does_not_outlive_its_session_or_its_person(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (records, now) = (&scene.server.records, scene.server.clock.now());
    let codes = [
        scene.code(&scene.app, "read").await,
        scene.code(&scene.app, "read offline_access").await,
    ];
    let kept = scene.tokens(&scene.app, "openid read offline_access").await;
    let bound = scene.tokens(&scene.app, "openid read").await;
    records.sessions.end(&scene.session.id, now).await.unwrap();
    for code in &codes {
        assert_eq!(
            scene.redeem(&scene.app, code).await.error(),
            (400, "invalid_grant")
        );
    }
    let (access, refresh) = pair(&bound);
    assert!(!scene.is_active(access).await, "at once");
    assert_dead(&scene, &scene.server, access, refresh).await;
    let (access, refresh) = pair(&kept);
    assert!(scene.is_active(access).await, "offline_access");
    let again = scene.refresh(&scene.app, refresh).await;
    assert_eq!(again.status, 200, "offline_access");
    let (access, refresh) = pair(&again.body);
    let (session, _) = sign_in(&scene.server, &scene.account_id).await;
    let mut authorization = scene.authorization(&scene.app, "read");
    authorization.terms.session_id = Some(session.id);
    let code = scene.issue(authorization).await;
    records
        .accounts
        .disable(&scene.account_id, now)
        .await
        .unwrap();
    assert_eq!(
        scene.redeem(&scene.app, &code).await.error(),
        (400, "invalid_grant")
    );
    assert_dead(&scene, &scene.server, access, refresh).await;
}

/// Each code is redeemed before the end, and what it brought dies with the session or the person, or it brings nothing.
async fn threat_34_of_hundreds_of_redemptions_none_outlives_an_end_that_comes_meanwhile(
    stores: &Stores,
) {
    const BEFORE: usize = 40;
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let records = &scene.server.records;
    for (end, scope) in [
        ("sign-out", "openid read"),
        ("shut out", "openid read offline_access"),
    ] {
        let (session, _) = sign_in(&scene.server, &scene.account_id).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..200 {
            let mut authorization = scene.authorization(&scene.app, scope);
            authorization.terms.session_id = Some(session.id.clone());
            let code = scene.issue(authorization).await;
            let mut form = code_form(&code).to_vec();
            form.push(("client_id", &scene.app.id));
            let request = scene.server.form("/oauth/token", &form);
            tasks.spawn(async move {
                let response = request.send().await.unwrap();
                let status = response.status().as_u16();
                (status, response.json::<serde_json::Value>().await.unwrap())
            });
        }
        let mut answers = Vec::new();
        while answers.len() < BEFORE {
            answers.push(tasks.join_next().await.unwrap().unwrap());
        }
        let now = scene.server.clock.now();
        if end == "sign-out" {
            records.sessions.end(&session.id, now).await.unwrap();
        } else {
            let accounts = &records.accounts;
            accounts.disable(&scene.account_id, now).await.unwrap();
        }
        answers.extend(tasks.join_all().await);
        for (n, (status, body)) in answers.iter().enumerate() {
            if *status == 200 {
                let (access, refresh) = pair(body);
                let active = scene.is_active(access).await;
                assert!(!active, "{end}, {n}: at once on the node that ended it");
                assert_dead(&scene, &other, access, refresh).await;
            } else {
                assert!(n >= BEFORE, "{end}, {n}: {body}");
                assert_eq!((*status, &body["error"]), (400, &json!("invalid_grant")));
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc8707_2_2_the_audience_of_a_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = app(AuthMethod::None);
    metadata.default_resource = Some(OTHER_API.parse().unwrap());
    let defaulting = scene.server.register(metadata).await;
    let issuer = scene.server.issuer.clone();
    let all = "openid email read write reports";
    for (what, client, scope, named, asked, expected) in [
        (
            "asked",
            &scene.app,
            all,
            &[][..],
            Some(API),
            Ok((API, "read write")),
        ),
        (
            "asked, the other",
            &scene.app,
            all,
            &[],
            Some(OTHER_API),
            Ok((OTHER_API, "reports")),
        ),
        (
            "the issuer asked",
            &scene.app,
            all,
            &[],
            Some(&*issuer),
            Ok((&*issuer, "email openid")),
        ),
        (
            "the default",
            &defaulting,
            all,
            &[],
            None,
            Ok((OTHER_API, "reports")),
        ),
        (
            "a default that was not granted",
            &defaulting,
            "read",
            &[],
            None,
            Ok((API, "read")),
        ),
        (
            "a default that was not named",
            &defaulting,
            all,
            &[API],
            None,
            Ok((API, "read write")),
        ),
        (
            "the only one",
            &scene.app,
            "openid read",
            &[],
            None,
            Ok((API, "read")),
        ),
        (
            "the only one named",
            &scene.app,
            all,
            &[API],
            None,
            Ok((API, "read write")),
        ),
        (
            "several",
            &scene.app,
            all,
            &[],
            None,
            Ok((&*issuer, "email openid")),
        ),
        (
            "none",
            &scene.app,
            "openid",
            &[],
            None,
            Ok((&*issuer, "openid")),
        ),
        (
            "one that was not named",
            &scene.app,
            all,
            &[API],
            Some(OTHER_API),
            Err("invalid_target"),
        ),
        (
            "one without a scope",
            &scene.app,
            "read",
            &[],
            Some(OTHER_API),
            Err("invalid_target"),
        ),
        (
            "one that nobody knows",
            &scene.app,
            all,
            &[],
            Some("https://x.example"),
            Err("invalid_target"),
        ),
        (
            "one that is none",
            &scene.app,
            all,
            &[],
            Some("x"),
            Err("invalid_target"),
        ),
    ] {
        let mut authorization = scene.authorization(client, scope);
        authorization.terms.agreed = scene.agreed(scope, named);
        let code = scene.issue(authorization).await;
        let mut form = code_form(&code).to_vec();
        form.extend(asked.map(|asked| ("resource", asked)));
        let answer = ask(&scene.server, client, &form).await;
        match expected {
            Ok((audience, scope)) => {
                assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                let told = claims(answer.text("access_token"));
                assert_eq!(
                    (&told["aud"], &told["scope"]),
                    (&json!(audience), &json!(scope)),
                    "{what}"
                );
            }
            Err(error) => assert_eq!(answer.error(), (400, error), "{what}"),
        }
    }
    let code = scene.code(&scene.app, all).await;
    let mut form = code_form(&code).to_vec();
    form.extend([("resource", API), ("resource", OTHER_API)]);
    let answer = ask(&scene.server, &scene.app, &form).await;
    assert_eq!(answer.error(), (400, "invalid_target"), "two at once");
    assert_eq!(
        scene.redeem(&scene.app, &code).await.status,
        200,
        "nothing was spent"
    );
}

async fn rfc6749_5_1_clients_that_did_not_register_for_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let code = scene.code(&scene.app, "read").await;
    let refused = (400, "unauthorized_client");
    assert_eq!(scene.redeem(&service, &code).await.error(), refused);
    assert_eq!(scene.refresh(&service, "x").await.error(), refused);
    let tokens = scene.tokens(&scene.app, "read").await;
    let mut metadata = app(AuthMethod::None);
    metadata.grant_types = BTreeSet::from([GrantType::AuthorizationCode]);
    let client =
        auth_server::clients::Client::new(scene.app.id.parse().unwrap(), metadata, Vec::new());
    let clients = &scene.server.records.clients;
    clients
        .put(&client.unwrap(), None, scene.server.clock.now())
        .await
        .unwrap();
    let answer = scene.refresh(&scene.app, pair(&tokens).1).await;
    assert_eq!(answer.error(), refused, "no longer registered");
    clients
        .delete(&scene.app.id.parse().unwrap(), scene.server.clock.now())
        .await
        .unwrap();
    let (access, refresh) = pair(&tokens);
    assert!(!scene.is_active(access).await);
    assert_eq!(scene.userinfo(access).await.status, 401);
    assert_eq!(
        scene.refresh(&scene.app, refresh).await.error(),
        (401, "invalid_client"),
        "a public client that nobody knows"
    );
}

/// What is registered after the person agreed is not what they agreed to.
async fn threat_9_a_grant_reaches_only_what_the_person_saw(stores: &Stores) {
    const LATER: &str = "https://later.example";
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    // Its refresh tokens stay the same.
    let client = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let code = scene.code(&client, "openid read").await;
    let tokens = scene.tokens(&client, "openid read").await;
    let mut authorization = scene.authorization(&client, "openid read");
    authorization.terms.agreed = scene.agreed("openid read", &[OTHER_API]);
    let named = scene.issue(authorization).await;
    let named = scene.redeem(&client, &named).await.body;
    let es256 = Algorithm::Es256;
    server.put_resource(LATER, &["read"], None, es256).await;
    server
        .put_resource(OTHER_API, &["reports", "read"], None, es256)
        .await;
    for (what, tokens, resource, expected) in [
        ("a server registered later", &tokens, Some(LATER), None),
        ("a scope added later", &tokens, Some(OTHER_API), None),
        ("what was seen", &tokens, Some(API), Some("read")),
        ("the only one that was seen", &tokens, None, Some("read")),
        ("a scope added to a named one", &named, None, Some("")),
    ] {
        let mut form = refresh_form(tokens["refresh_token"].as_str().unwrap()).to_vec();
        form.extend(resource.map(|resource| ("resource", resource)));
        let answer = ask(server, &client, &form).await;
        let Some(scope) = expected else {
            assert_eq!(answer.error(), (400, "invalid_target"), "{what}");
            continue;
        };
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        let told = claims(answer.text("access_token"));
        assert_eq!(told["scope"].as_str().unwrap_or_default(), scope, "{what}");
    }
    let mut form = code_form(&code).to_vec();
    form.push(("resource", LATER));
    let answer = ask(server, &client, &form).await;
    assert_eq!(
        answer.error(),
        (400, "invalid_target"),
        "a code from before"
    );
}

/// What people allow here must not be a right there, not even where the row was written by hand.
async fn threat_9_a_resource_server_has_no_scope_of_this_server(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (records, now) = (&scene.server.records, scene.server.clock.now());
    let servers = &records.resource_servers;
    let known = servers.find(&API.parse().unwrap()).unwrap();
    for own in OwnScope::ALL {
        let mut server = (*known).clone();
        let scope = own.as_str().parse().unwrap();
        server.scopes.push((scope, "May not".into()));
        let refused = servers.put(&server, now).await.unwrap_err().to_string();
        assert!(refused.contains(own.as_str()), "{refused}");
        assert!(refused.contains("another name"), "{refused}");
    }
    let by_hand = diesel::sql_query(format!(
        "INSERT INTO scopes (resource, name, description) VALUES ('{}', 'email', 'May not')",
        known.identifier.normal()
    ));
    {
        let mut conn = records.store.write().await.unwrap();
        on!(&mut conn, |c| by_hand.execute(c)).unwrap();
    }
    servers.reload().await.unwrap();
    let tokens = scene.tokens(&scene.app, "openid email read").await;
    assert_eq!(claims(pair(&tokens).0)["scope"], "read");
}

async fn rename(server: &TestServer, from: &str, to: &str) {
    let mut conn = server.records.store.write().await.unwrap();
    let statement = diesel::sql_query(format!("ALTER TABLE {from} RENAME TO {to}"));
    on!(&mut conn, |c| statement.execute(c)).unwrap();
}

/// Nothing is left half done: the client tries again.
async fn a_database_that_is_gone_spends_no_code(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let code = scene.code(&scene.app, "openid read").await;
    let foreign = scene.code(&scene.app, "openid read").await;
    rename(&scene.server, "grants", "grants_gone").await;
    let unavailable = (503, "temporarily_unavailable");
    for _ in 0..2 {
        let answer = scene.redeem(&scene.app, &code).await;
        assert_eq!(answer.error(), unavailable);
        assert_eq!(answer.header("retry-after"), "1");
    }
    // A refusal that may have to revoke something, and cannot.
    let mut form = code_form(&foreign).to_vec();
    form.retain(|(name, _)| *name != "code_verifier");
    let answer = ask(&scene.server, &scene.app, &form).await;
    assert_eq!(answer.error(), unavailable);
    rename(&scene.server, "grants_gone", "grants").await;
    let answer = scene.redeem(&scene.app, &foreign).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "it was refused");
    let tokens = scene.redeem(&scene.app, &code).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    let (access, refresh) = pair(&tokens.body);
    assert!(scene.is_active(access).await);
    assert_eq!(scene.refresh(&scene.app, refresh).await.status, 200);
    let again = scene.redeem(&scene.app, &code).await;
    assert_eq!(again.error(), (400, "invalid_grant"), "a second use");
    assert_dead(&scene, &scene.server, access, refresh).await;
    let late = scene.code(&scene.app, "read").await;
    rename(&scene.server, "grants", "grants_gone").await;
    let answer = scene.redeem(&scene.app, &late).await;
    assert_eq!(answer.error(), unavailable);
    rename(&scene.server, "grants_gone", "grants").await;
    scene.server.clock.advance(Duration::from_mins(1));
    let answer = scene.redeem(&scene.app, &late).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "not a minute more");
}

/// Between its authentication and its grant: this node still remembers the client.
async fn threat_34_a_client_that_is_deleted_gets_no_tokens(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.tokens(&scene.app, "openid read").await;
    let code = scene.code(&scene.app, "openid read").await;
    let id = scene.app.id.parse().unwrap();
    let records = &scene.server.records;
    {
        let mut conn = records.store.write().await.unwrap();
        let ids = [scene.app.id.clone()];
        store::clients::delete(&mut conn, &ids).await.unwrap();
    }
    assert!(records.clients.find(&id).await.unwrap().is_some());
    let answer = scene.redeem(&scene.app, &code).await;
    assert_eq!(answer.error(), (401, "invalid_client"));
}

/// More than one comparison of the other node takes in at once.
async fn a_person_with_thousands_of_grants_signs_out_everywhere(stores: &Stores) {
    const MANY: usize = 10_100;
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let (records, now) = (&scene.server.records, scene.server.clock.now());
    let tokens = scene.tokens(&scene.app, "openid read offline_access").await;
    let old = scene.tokens(&scene.app, "openid read offline_access").await;
    let id_of = |tokens: &serde_json::Value| {
        let told = claims(tokens["access_token"].as_str().unwrap());
        told["grant_id"].as_str().unwrap().to_owned()
    };
    let (id, old) = (id_of(&tokens), id_of(&old));
    let mut ids = Vec::new();
    records
        .store
        .transaction(async |conn| {
            let found = store::grants::find(conn, &id).await?.unwrap();
            for _ in 0..MANY {
                let id = GrantId::generate(&*scene.server.world.random).to_string();
                let row = store::grants::GrantRow {
                    id: id.clone(),
                    code_digest: None,
                    ..found.row.clone()
                };
                store::grants::insert(conn, &row, now).await?;
                ids.push(id);
            }
            let expired = diesel::sql_query(format!(
                "UPDATE grants SET expires_at = {0}, access_until = {0} WHERE id = '{old}'",
                now.as_millis()
            ));
            on!(conn, |c| expired.execute(c)).map(drop)
        })
        .await
        .unwrap();
    records
        .sessions
        .end_all(&scene.account_id, now)
        .await
        .unwrap();
    other.records.revocations.refresh(now).await.unwrap();
    let known = |node: &TestServer, id: &str| {
        let revocations = &node.records.revocations;
        revocations.is_known(RevocationKind::Grant, id)
    };
    for node in [&scene.server, &other] {
        assert!(ids.iter().all(|id| known(node, id)), "every one");
        assert!(known(node, &id));
        assert!(!known(node, &old), "what expired long ago is let be");
    }
    let (access, refresh) = pair(&tokens);
    assert_dead(&scene, &scene.server, access, refresh).await;
    assert_dead(&scene, &other, access, refresh).await;
}
