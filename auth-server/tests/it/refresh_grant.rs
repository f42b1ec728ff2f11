//! The refresh token grant: rotation, its grace window, replay, and every way in which a refresh token ends (RFC 6749 §6,
//! RFC 9700 §4.14).

use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::config::Config;
use auth_server::grants::GrantId;
use auth_server::store;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{
    Scene, app, ask, claims, is_active, pair, post, refresh_form, sign_in, userinfo,
};
use crate::server::{API, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9700_4_14_2_public_clients_rotate,
    rfc9700_4_14_2_a_replay_kills_the_family_for_ever,
    the_grace_window_brings_the_same_successor_for_the_same_request,
    the_grace_window_closes_when_the_successor_is_used,
    without_a_grace_window_a_second_use_is_a_replay,
    threat_6_of_1000_uses_at_once_one_rotates,
    confidential_clients_keep_their_refresh_token,
    rfc6749_6_scope_narrows_and_never_widens,
    a_scope_taken_from_a_client_is_gone_from_its_grants,
    rfc6749_10_4_another_clients_refresh_token,
    threat_26_a_refresh_token_has_one_form,
    refresh_tokens_end_by_age_and_by_idleness,
    without_offline_access_a_refresh_token_dies_with_its_session,
    rfc7009_2_1_revoking_a_refresh_token_ends_the_grant,
    a_revocation_outlasts_every_access_token_of_its_grant,
    what_is_refreshed_while_the_grant_ends_is_refused,
    rfc7662_2_2_a_refresh_token_is_shown_to_its_client_alone,
    signing_out_everywhere_ends_every_grant,
    refresh_tokens_outlive_a_change_of_key_encryption_keys,
);

const OFFLINE: &str = "openid read offline_access";

async fn assert_refused(scene: &Scene, token: &str, what: &str) {
    let answer = scene.refresh(&scene.app, token).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
}

/// The refresh token of a successful refresh.
async fn next(scene: &Scene, token: &str) -> String {
    let answer = scene.refresh(&scene.app, token).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.text("refresh_token").to_owned()
}

async fn rfc9700_4_14_2_public_clients_rotate(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let mut seen = vec![pair(&tokens).1.to_owned()];
    for round in 0..3 {
        let answer = scene.refresh(&scene.app, seen.last().unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.text("scope"), "offline_access openid read");
        let (access, refresh) = pair(&answer.body);
        assert!(!seen.iter().any(|known| known == refresh), "{round}");
        assert!(scene.is_active(access).await);
        let grant = &claims(tokens["access_token"].as_str().unwrap())["grant_id"];
        assert_eq!(&claims(access)["grant_id"], grant);
        seen.push(refresh.to_owned());
        scene.server.clock.advance(Duration::from_hours(1));
    }
}

/// A replay kills what the newest token stands for, and nothing brings it back: not a restart, not an emptied ephemeral store. Nor does
/// it take what the server remembers to see one.
async fn rfc9700_4_14_2_a_replay_kills_the_family_for_ever(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (access, first) = pair(&tokens);
    let second = next(&scene, first).await;
    let third = next(&scene, &second).await;
    assert_refused(&scene, first, "the replay").await;
    assert!(!scene.is_active(access).await, "at once");
    assert_eq!(scene.userinfo(access).await.status, 401);
    for (what, token) in [("first", first), ("second", &second), ("third", &third)] {
        assert_refused(&scene, token, what).await;
    }
    // Of another family nothing is replayed before the server goes away.
    let quiet = scene.tokens(&scene.app, OFFLINE).await;
    let (_, early) = pair(&quiet);
    let rotated = scene.refresh(&scene.app, early).await.body;
    let (newest, successor) = pair(&rotated);
    scene.server.clock.advance(Duration::from_secs(11));
    let mut again = config(stores);
    again.issuer = scene.server.issuer.parse().unwrap();
    // Another prefix in Redis, and another process's memory: nothing is left of what either knew.
    again.ephemeral.prefix.push_str("emptied");
    let clock = scene.server.clock.clone();
    let Scene {
        server, app, api, ..
    } = scene;
    server.stop().await;
    let server = TestServer::start_with(again, clock).await;
    for token in [first, &second, &third] {
        let answer = ask(&server, &app, &refresh_form(token)).await;
        assert_eq!(answer.error(), (400, "invalid_grant"), "after a restart");
    }
    assert!(!is_active(&server, &api, access).await);
    assert_eq!(userinfo(&server, access).await.status, 401);
    assert!(is_active(&server, &api, newest).await, "until the replay");
    for (what, token) in [("the replay", early), ("its successor", successor)] {
        let answer = ask(&server, &app, &refresh_form(token)).await;
        assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
    }
    assert!(!is_active(&server, &api, newest).await);
    assert_eq!(userinfo(&server, newest).await.status, 401);
}

async fn the_grace_window_brings_the_same_successor_for_the_same_request(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (_, first) = pair(&tokens);
    let answer = scene.refresh(&scene.app, first).await;
    let (access, second) = pair(&answer.body);
    scene.server.clock.advance(Duration::from_secs(5));
    let answer = scene.refresh(&scene.app, first).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let (fresh, same) = pair(&answer.body);
    assert_eq!(same, second);
    assert_ne!(fresh, access, "a fresh access token");
    for (what, name, value) in [
        ("another scope", "scope", "read"),
        ("another resource", "resource", API),
    ] {
        let mut form = refresh_form(first).to_vec();
        form.push((name, value));
        let answer = ask(&scene.server, &scene.app, &form).await;
        assert_eq!(answer.error(), (400, "invalid_grant"), "{what}");
    }
    let third = next(&scene, second).await;
    assert!(!third.is_empty(), "the family is untouched");
    scene.server.clock.advance(Duration::from_secs(11));
    assert_refused(&scene, second, "past the window").await;
    assert_refused(&scene, &third, "and that killed the family").await;
}

async fn the_grace_window_closes_when_the_successor_is_used(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (_, first) = pair(&tokens);
    let second = next(&scene, first).await;
    let third = next(&scene, &second).await;
    assert_refused(&scene, first, "within ten seconds, after its successor").await;
    assert_refused(&scene, &third, "the family").await;
}

async fn without_a_grace_window_a_second_use_is_a_replay(stores: &Stores) {
    let mut config = config(stores);
    config.refresh_tokens.grace = Duration::ZERO;
    let scene = Scene::on(TestServer::start_with(config, std::sync::Arc::default()).await).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (_, first) = pair(&tokens);
    let second = next(&scene, first).await;
    assert_refused(&scene, first, "a second use").await;
    assert_refused(&scene, &second, "the family").await;
}

async fn threat_6_of_1000_uses_at_once_one_rotates(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (_, first) = pair(&tokens);
    let other = scene.another_node(stores).await;
    let nodes = [&scene.server, &other];
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..1000 {
        let mut form = refresh_form(first).to_vec();
        form.push(("client_id", &scene.app.id));
        let request = nodes[n % 2].form("/oauth/token", &form);
        tasks.spawn(async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let body: serde_json::Value = response.json().await.unwrap();
            assert_eq!(status, 200, "{body}");
            body["refresh_token"].as_str().unwrap().to_owned()
        });
    }
    let mut successors = tasks.join_all().await;
    successors.dedup();
    assert_eq!(successors.len(), 1, "identical successors");
    let id = claims(tokens["access_token"].as_str().unwrap())["grant_id"].clone();
    let grants = &scene.server.records.grants;
    let found = grants
        .find(
            &id.as_str().unwrap().parse().unwrap(),
            scene.server.clock.now(),
        )
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.family.unwrap().generation, 1, "one rotation");
    scene.server.clock.advance(Duration::from_secs(11));
    assert_refused(&scene, first, "one use after the window").await;
    assert_refused(&scene, &successors[0], "the family").await;
    let answer = ask(&other, &scene.app, &refresh_form(&successors[0])).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "on the other node");
}

async fn confidential_clients_keep_their_refresh_token(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene.tokens(&client, OFFLINE).await;
    let (_, refresh) = pair(&tokens);
    for _ in 0..3 {
        // Each use counts against the idle time.
        scene.server.clock.advance(Duration::from_hours(24 * 20));
        let answer = scene.refresh(&client, refresh).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.get("refresh_token").is_none());
        assert!(scene.is_active(answer.text("access_token")).await);
    }
    let wrong = TestClient {
        id: client.id.clone(),
        secret: "x".into(),
    };
    let refused = scene.refresh(&wrong, refresh).await;
    assert_eq!(refused.error(), (401, "invalid_client"));
    let unproven = TestClient {
        id: client.id.clone(),
        secret: String::new(),
    };
    let refused = scene.refresh(&unproven, refresh).await;
    assert_eq!(refused.error(), (401, "invalid_client"));
}

async fn rfc6749_6_scope_narrows_and_never_widens(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene
        .tokens(&client, "openid read reports offline_access")
        .await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let issuer = scene.server.issuer.clone();
    for (what, scope, resource, expected) in [
        ("narrowed to one API", Some("read"), None, Ok((API, "read"))),
        (
            "narrowed to the other",
            Some("reports"),
            None,
            Ok((OTHER_API, "reports")),
        ),
        (
            "this server's own alone",
            Some("openid"),
            None,
            Ok((&*issuer, "openid")),
        ),
        ("whole again", None, Some(API), Ok((API, "read"))),
        (
            "nothing named",
            None,
            None,
            Ok((&*issuer, "offline_access openid")),
        ),
        ("widened", Some("read write"), None, Err("invalid_scope")),
        ("unknown", Some("x"), None, Err("invalid_scope")),
        ("malformed", Some("a\"b"), None, Err("invalid_scope")),
        (
            "a resource whose scope was left out",
            Some("read"),
            Some(OTHER_API),
            Err("invalid_target"),
        ),
    ] {
        let mut form = refresh_form(refresh).to_vec();
        form.extend(scope.map(|scope| ("scope", scope)));
        form.extend(resource.map(|resource| ("resource", resource)));
        let answer = ask(&scene.server, &client, &form).await;
        match expected {
            Ok((audience, audience_scope)) => {
                assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                let told = claims(answer.text("access_token"));
                assert_eq!(
                    (&told["aud"], &told["scope"]),
                    (&json!(audience), &json!(audience_scope)),
                    "{what}"
                );
                let granted = scope.unwrap_or("openid");
                let own = granted.split(' ').any(|scope| scope == "openid");
                let told: Vec<_> = answer.text("scope").split(' ').collect();
                assert_eq!(told.contains(&"openid"), own, "{what}");
                assert_eq!(answer.body["id_token"].is_string(), own, "{what}");
            }
            Err(error) => assert_eq!(answer.error(), (400, error), "{what}"),
        }
    }
    let public = scene.tokens(&scene.app, OFFLINE).await;
    let mut form = refresh_form(pair(&public).1).to_vec();
    form.push(("scope", "read write"));
    let answer = ask(&scene.server, &scene.app, &form).await;
    assert_eq!(answer.error(), (400, "invalid_scope"));
    next(&scene, pair(&public).1).await;
    scene.server.clock.advance(Duration::from_hours(1));
}

async fn a_scope_taken_from_a_client_is_gone_from_its_grants(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let scope = "openid email read write offline_access";
    let tokens = scene.tokens(&scene.app, scope).await;
    let code = scene.code(&scene.app, scope).await;
    let (access, refresh) = pair(&tokens);
    assert!(scene.userinfo(access).await.body["email"].is_string());
    let left = "openid read offline_access";
    scene.change_scope(&scene.app, left).await;
    let answer = scene.refresh(&scene.app, refresh).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.text("scope"), "offline_access openid read");
    let (access, refresh) = pair(&answer.body);
    assert_eq!(claims(access)["scope"], "read");
    assert!(scene.userinfo(access).await.body.get("email").is_none());
    let mut form = refresh_form(refresh).to_vec();
    form.push(("scope", "write"));
    let answer = ask(&scene.server, &scene.app, &form).await;
    assert_eq!(answer.error(), (400, "invalid_scope"));
    let answer = scene.redeem(&scene.app, &code).await;
    assert_eq!(answer.text("scope"), "offline_access openid read", "a code");
    scene.change_scope(&scene.app, "reports").await;
    let answer = scene.refresh(&scene.app, refresh).await;
    assert_eq!(answer.error(), (400, "invalid_scope"), "nothing is left");
    scene.change_scope(&scene.app, scope).await;
    let answer = scene.refresh(&scene.app, refresh).await;
    assert_eq!(
        answer.text("scope"),
        "email offline_access openid read write"
    );
}

async fn rfc6749_10_4_another_clients_refresh_token(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (access, refresh) = pair(&tokens);
    for method in [AuthMethod::None, AuthMethod::ClientSecretBasic] {
        let other = scene.server.register(app(method)).await;
        let answer = scene.refresh(&other, refresh).await;
        assert_eq!(answer.error(), (400, "invalid_grant"), "{method:?}");
        let revoked = post(
            &scene.server,
            &other,
            "/oauth/revoke",
            &[("token", refresh)],
        )
        .await;
        assert_eq!(revoked.error(), (400, "invalid_grant"), "{method:?}");
    }
    assert!(scene.is_active(access).await, "the family is untouched");
    next(&scene, refresh).await;
}

async fn threat_26_a_refresh_token_has_one_form(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (_, refresh) = pair(&tokens);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut forged = vec![
        refresh[..69].to_owned(),
        refresh[1..].to_owned(),
        format!("{refresh}A"),
        format!("{refresh}="),
        format!("A{refresh}"),
        format!("{} ", &refresh[..69]),
        format!("{}é", &refresh[..68]),
        refresh.to_lowercase(),
        "A".repeat(70),
    ];
    for at in 0..refresh.len() {
        let known = refresh.as_bytes()[at];
        // A neighbour in the alphabet differs in the lowest bit; any other in some bit.
        let place = alphabet.bytes().position(|byte| byte == known).unwrap();
        for other in [place ^ 1, place ^ 32] {
            let mut bytes = refresh.as_bytes().to_vec();
            bytes[at] = alphabet.as_bytes()[other];
            forged.push(String::from_utf8(bytes).unwrap());
        }
    }
    for token in forged {
        assert_refused(&scene, &token, &token).await;
    }
    next(&scene, refresh).await;
}

async fn refresh_tokens_end_by_age_and_by_idleness(stores: &Stores) {
    let short = |config: &mut Config| {
        config.refresh_tokens.idle = Duration::from_hours(2);
        config.refresh_tokens.absolute = Duration::from_hours(5);
    };
    let mut config = config(stores);
    short(&mut config);
    let scene = Scene::on(TestServer::start_with(config, std::sync::Arc::default()).await).await;
    let confidential = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let idle = scene.tokens(&scene.app, OFFLINE).await;
    let mut used = pair(&scene.tokens(&scene.app, OFFLINE).await).1.to_owned();
    let kept = scene.tokens(&confidential, OFFLINE).await;
    for _ in 0..4 {
        scene.server.clock.advance(Duration::from_mins(70));
        used = next(&scene, &used).await;
        let answer = scene.refresh(&confidential, pair(&kept).1).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    assert_refused(&scene, pair(&idle).1, "idle").await;
    scene.server.clock.advance(Duration::from_mins(21));
    assert_refused(&scene, &used, "too old").await;
    let answer = scene.refresh(&confidential, pair(&kept).1).await;
    assert_eq!(answer.error(), (400, "invalid_grant"), "too old");
}

async fn without_offline_access_a_refresh_token_dies_with_its_session(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (records, clock) = (&scene.server.records, &scene.server.clock);
    let bound = scene.tokens(&scene.app, "openid read").await;
    let offline = scene.tokens(&scene.app, OFFLINE).await;
    let bound_next = next(&scene, pair(&bound).1).await;
    // A session that nobody uses for a day is over.
    clock.advance(Duration::from_hours(25));
    assert_refused(&scene, &bound_next, "the session is idle").await;
    let offline_next = next(&scene, pair(&offline).1).await;
    let (session, cookie) = sign_in(&scene.server, &scene.account_id).await;
    let mut authorization = scene.authorization(&scene.app, "openid read");
    authorization.terms.session_id = Some(session.id.clone());
    let code = scene.issue(authorization).await;
    let answer = scene.redeem(&scene.app, &code).await;
    let (access, refresh) = pair(&answer.body);
    // Somebody else signs in at this browser.
    let bob = crate::person::person(&scene.server, "bob@example.com").await;
    let proven = auth_server::accounts::Proven {
        account_id: bob,
        epoch: 0,
    };
    let beginning = auth_server::sessions::Beginning {
        proven: &proven,
        amr: &[auth_server::sessions::Amr::Pwd],
        user_agent: None,
        before: Some(&cookie),
    };
    records
        .sessions
        .begin(&beginning, clock.now(), &*scene.server.world.random)
        .await
        .unwrap();
    assert!(!scene.is_active(access).await, "at once");
    assert_refused(&scene, refresh, "the session gave way").await;
    next(&scene, &offline_next).await;
}

async fn rfc7009_2_1_revoking_a_refresh_token_ends_the_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    for (what, older) in [("the last one", false), ("one that was replaced", true)] {
        let tokens = scene.tokens(&scene.app, OFFLINE).await;
        let (access, first) = pair(&tokens);
        let second = next(&scene, first).await;
        let revoked = if older { first } else { &second };
        let form = [("token", revoked), ("token_type_hint", "access_token")];
        for _ in 0..2 {
            let answer = post(&scene.server, &scene.app, "/oauth/revoke", &form).await;
            assert_eq!(answer.status, 200, "{what}");
        }
        assert!(!scene.is_active(access).await, "{what}: at once");
        assert_eq!(scene.userinfo(access).await.status, 401, "{what}");
        assert_refused(&scene, &second, what).await;
        assert_eq!(userinfo(&other, access).await.status, 401, "{what}");
        let seen = async || !is_active(&other, &scene.api, access).await;
        assert!(crate::introspection::eventually(seen).await, "{what}");
    }
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let (access, refresh) = pair(&tokens);
    post(
        &scene.server,
        &scene.app,
        "/oauth/revoke",
        &[("token", access)],
    )
    .await;
    assert!(!scene.is_active(access).await);
    assert_eq!(scene.userinfo(access).await.status, 401);
    next(&scene, refresh).await;
}

/// What came of a grant.
struct Spent {
    what: &'static str,
    grant_id: String,
    accesses: Vec<String>,
    newest: String,
}

/// Uses a grant for an hour, each time once more than its client knows of, as one does whose answer was lost.
async fn spend(scene: &Scene, client: &TestClient, what: &'static str) -> Spent {
    let tokens = scene.tokens(client, OFFLINE).await;
    let (access, refresh) = pair(&tokens);
    let mut spent = Spent {
        what,
        grant_id: claims(access)["grant_id"].as_str().unwrap().to_owned(),
        accesses: vec![access.to_owned()],
        newest: refresh.to_owned(),
    };
    for seconds in [100, 1, 290, 2000, 9] {
        scene.server.clock.advance(Duration::from_secs(seconds));
        let used = spent.newest.clone();
        for _ in 0..2 {
            let answer = scene.refresh(client, &used).await;
            assert_eq!(answer.status, 200, "{what}: {}", answer.body);
            spent.accesses.push(answer.text("access_token").to_owned());
            if let Some(next) = answer.body["refresh_token"].as_str() {
                next.clone_into(&mut spent.newest);
            }
            scene.server.clock.advance(Duration::from_secs(5));
        }
    }
    spent
}

async fn assert_outlasted(scene: &Scene, spent: &Spent) {
    let what = spent.what;
    for access in &spent.accesses {
        assert!(!scene.is_active(access).await, "{what}");
    }
    let now = scene.server.clock.now();
    let mut conn = scene.server.records.store.read().await.unwrap();
    let recorded = store::revocations::live(&mut conn, ("", ""), now, 100).await;
    let recorded = recorded.unwrap();
    let row = recorded.iter().find(|row| row.subject == spent.grant_id);
    let until = row.expect(what).matters_until;
    let expires_at = |access: &String| claims(access)["exp"].as_i64().unwrap();
    let last = spent.accesses.iter().map(expires_at).max().unwrap();
    assert!(last <= until.as_secs(), "{what}");
    assert!(until <= now + Duration::from_hours(1), "{what}: {until:?}");
}

/// However the grant ends, and whatever came of it: a row of the revocations that goes before the last access token would bring that
/// back to life, and one that stays for longer fills the memory of every node.
async fn a_revocation_outlasts_every_access_token_of_its_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let confidential = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let mut left = Vec::new();
    for (client, what) in [(&scene.app, "rotating"), (&confidential, "staying")] {
        let spent = spend(&scene, client, what).await;
        let form = [("token", spent.newest.as_str())];
        let answer = post(server, client, "/oauth/revoke", &form).await;
        assert_eq!(answer.status, 200, "{what}");
        assert_outlasted(&scene, &spent).await;
        left.push(spend(&scene, client, what).await);
    }
    let (sessions, now) = (&server.records.sessions, server.clock.now());
    sessions.end_all(&scene.account_id, now).await.unwrap();
    // Of the first, the access tokens expired long before.
    assert_outlasted(&scene, &left[1]).await;
}

/// A refresh token that stays is used while its grant is revoked: no access token may live longer than what was recorded of it.
async fn what_is_refreshed_while_the_grant_ends_is_refused(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let tokens = scene.tokens(&client, OFFLINE).await;
    let grant_id = claims(pair(&tokens).0)["grant_id"].clone();
    let id: GrantId = grant_id.as_str().unwrap().parse().unwrap();
    let grants = &server.records.grants;
    server.clock.advance(Duration::from_secs(100));
    let now = server.clock.now();
    let family = grants
        .find(&id, now)
        .await
        .unwrap()
        .unwrap()
        .family
        .unwrap();
    grants.revoke(&id, now).await.unwrap();
    let lifetime = Duration::from_mins(5);
    let goes_on = grants.note_use(&id, &family, lifetime, now).await.unwrap();
    assert!(!goes_on, "it was read before it ended");
}

async fn rfc7662_2_2_a_refresh_token_is_shown_to_its_client_alone(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene.tokens(&client, OFFLINE).await;
    let (_, refresh) = pair(&tokens);
    let form = [("token", refresh)];
    let told = post(&scene.server, &client, "/oauth/introspect", &form).await;
    assert_eq!(told.body["active"], true);
    assert_eq!(told.text("client_id"), client.id);
    assert_eq!(told.text("sub"), scene.account_id.as_str());
    assert_eq!(told.text("scope"), "offline_access openid read");
    assert!(told.body.get("token_type").is_none());
    assert!(!scene.is_active(refresh).await, "not even an API");
    let now = scene.server.clock.now();
    let sessions = &scene.server.records.sessions;
    sessions.end_all(&scene.account_id, now).await.unwrap();
    let told = post(&scene.server, &client, "/oauth/introspect", &form).await;
    assert_eq!(told.body, json!({"active": false}));
}

async fn signing_out_everywhere_ends_every_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = [
        scene.tokens(&scene.app, OFFLINE).await,
        scene.tokens(&scene.app, "openid read").await,
    ];
    let now = scene.server.clock.now();
    let sessions = &scene.server.records.sessions;
    sessions.end_all(&scene.account_id, now).await.unwrap();
    for tokens in &tokens {
        let (access, refresh) = pair(tokens);
        assert!(!scene.is_active(access).await, "at once");
        assert_eq!(scene.userinfo(access).await.status, 401);
        assert_refused(&scene, refresh, "all of them").await;
    }
}

async fn refresh_tokens_outlive_a_change_of_key_encryption_keys(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, OFFLINE).await;
    let issuer = scene.server.issuer.clone();
    let (server, client) = (scene.server, scene.app);
    let clock = server.clock.clone();
    server.stop().await;
    let new = "HxsdHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";
    let old = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let with = |keys: serde_json::Value| {
        let mut config = config(stores);
        config.issuer = issuer.parse().unwrap();
        config.keys.encryption = serde_json::from_value(keys).unwrap();
        TestServer::start_with(config, clock.clone())
    };
    let both = with(json!([{"id": "new", "key": new}, {"id": "test", "key": old}])).await;
    let (keys, random) = (&both.records.keys, &*both.world.random);
    let count = keys.rewrap(both.clock.now(), random).await.unwrap();
    assert_eq!(count, 2, "the signing key and the root secret");
    assert_eq!(keys.rewrap(both.clock.now(), random).await.unwrap(), 0);
    both.stop().await;
    let server = with(json!([{"id": "new", "key": new}])).await;
    let answer = ask(&server, &client, &refresh_form(pair(&tokens).1)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
