//! What ends with a token, a grant, a session, a client and an account (threats 25, 34): at once where it is revoked, and within a
//! second elsewhere.

use std::time::Duration;

use auth_server::clients::secret::ClientSecret;
use auth_server::clients::{AuthMethod, Client, GrantType};
use auth_server::revocations::{RestsOn, Revocations};
use auth_server::sessions::{Session, SessionToken};
use serde_json::json;
use shared_protocol::client_id::ClientId;
use shared_protocol::time::{Clock as _, Instant};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use tokio::task::JoinSet;

use crate::back_channel::sign_in_now;
use crate::nodes::seen;
use crate::person::{Scene, app, ask, claims, code_form, is_active, pair, refresh_form, userinfo};
use crate::server::{API, TestClient, TestServer};
use crate::users::{ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_25_what_ends_with_each_level_at_once_and_at_another_node,
    threat_25_what_the_command_line_revokes_is_dead_within_a_second,
    what_cannot_be_revoked_is_said,
    a_client_made_anew_has_nothing_of_the_one_before,
    a_cut_off_is_moved_on_and_never_back,
    a_node_that_was_away_learns_of_cut_offs_from_the_database,
    threat_34_nothing_that_is_issued_while_a_client_is_cut_off_outlives_it,
);

/// All that one client may hold.
struct Held {
    /// Confidential, so that it has tokens of its own too.
    client: TestClient,
    session: Session,
    cookie: SessionToken,
    access: String,
    refresh: String,
    offline: String,
    code: String,
    own: String,
}

/// What of it is good: what a person's token opens, what one that outlives the session brings, codes, and what the client has for itself.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of the table"
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Good {
    access: bool,
    refresh: bool,
    offline: bool,
    session: bool,
    own: bool,
}

const ALL: Good = Good {
    access: true,
    refresh: true,
    offline: true,
    session: true,
    own: true,
};

async fn held(scene: &Scene) -> Held {
    let server = &scene.server;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::ClientCredentials);
    let client = server.register(metadata).await;
    // Those of earlier rounds may have ended.
    let account = &scene.account_id;
    let (session, cookie) = sign_in_now(server, account).await;
    let code = async |scope: &str| {
        let mut authorization = scene.authorization(&client, scope);
        authorization.terms.session_id = Some(session.id.clone());
        scene.issue(authorization).await
    };
    let tokens = |answer: crate::server::Answer| {
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (access, refresh) = pair(&answer.body);
        (access.to_owned(), refresh.to_owned())
    };
    let (access, refresh) = tokens(scene.redeem(&client, &code("openid read").await).await);
    let offline = code("openid read offline_access").await;
    let (_, offline) = tokens(scene.redeem(&client, &offline).await);
    let code = code("openid read").await;
    let own = server.token(&client, API).await;
    Held {
        session: session.clone(),
        cookie,
        access,
        refresh,
        offline,
        code,
        own,
        client,
    }
}

/// `None` if it changed while it was looked at: two that must agree do not.
async fn good(server: &TestServer, scene: &Scene, held: &Held) -> Option<Good> {
    let access = is_active(server, &scene.api, &held.access).await;
    let told = userinfo(server, &held.access).await.status == 200;
    let refreshes = async |token: &str| {
        let introspected = is_active(server, &held.client, token).await;
        let answer = ask(server, &held.client, &refresh_form(token)).await;
        (introspected == (answer.status == 200)).then_some(introspected)
    };
    let sessions = &server.records.sessions;
    let person = sessions.find(&held.cookie, server.clock.now()).await;
    let good = Good {
        access,
        refresh: refreshes(&held.refresh).await?,
        offline: refreshes(&held.offline).await?,
        session: person.unwrap().is_some(),
        own: is_active(server, &scene.api, &held.own).await,
    };
    (access == told).then_some(good)
}

/// Revokes at this level.
async fn revoke(scene: &Scene, held: &Held, level: &str) {
    let (server, now) = (&scene.server, scene.server.clock.now());
    let records = &server.records;
    match level {
        "token" => {
            let form = [("token", held.access.as_str())];
            let answer = server.post_as(&held.client, "/oauth/revoke", &form).await;
            assert_eq!(answer.status, 200);
        }
        "grant" => {
            let form = [("token", held.refresh.as_str())];
            let answer = server.post_as(&held.client, "/oauth/revoke", &form).await;
            assert_eq!(answer.status, 200);
        }
        "session" => records.sessions.end(&held.session.id, now).await.unwrap(),
        "client" => {
            let id = TestServer::client_id(&held.client);
            records.clients.revoke_tokens(&id, now).await.unwrap();
        }
        _ => {
            let all = records.sessions.end_all(&scene.account_id, now);
            all.await.unwrap();
        }
    }
}

/// What is left, and whether the code still brings anything.
fn left(level: &str) -> (Good, bool) {
    match level {
        "token" => (
            Good {
                access: false,
                ..ALL
            },
            true,
        ),
        "grant" => (
            Good {
                access: false,
                refresh: false,
                ..ALL
            },
            true,
        ),
        "session" => (
            Good {
                access: false,
                refresh: false,
                session: false,
                ..ALL
            },
            false,
        ),
        "client" => (
            Good {
                session: true,
                access: false,
                refresh: false,
                offline: false,
                own: false,
            },
            false,
        ),
        _ => (
            Good {
                own: true,
                access: false,
                refresh: false,
                offline: false,
                session: false,
            },
            false,
        ),
    }
}

const LEVELS: [&str; 5] = ["token", "grant", "session", "client", "account"];

async fn threat_25_what_ends_with_each_level_at_once_and_at_another_node(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    for level in LEVELS {
        let bystander = held(&scene).await;
        let one = held(&scene).await;
        assert_eq!(
            good(&scene.server, &scene, &one).await,
            Some(ALL),
            "{level}"
        );
        assert_eq!(good(&other, &scene, &one).await, Some(ALL), "{level}");

        revoke(&scene, &one, level).await;
        let (expected, code) = left(level);
        assert_eq!(
            good(&scene.server, &scene, &one).await,
            Some(expected),
            "{level}"
        );
        seen(level, async || {
            good(&other, &scene, &one).await == Some(expected)
        })
        .await;
        // The code is only good where it is kept; without a shared store that is the node that made it.
        let answer = ask(&scene.server, &one.client, &code_form(&one.code)).await;
        assert_eq!(answer.status == 200, code, "{level}: {}", answer.body);
        if !code {
            assert_eq!(answer.error(), (400, "invalid_grant"), "{level}");
        }
        if level == "account" {
            let own = is_active(&scene.server, &scene.api, &bystander.own).await;
            assert!(own, "a client's own");
        } else {
            let untouched = good(&scene.server, &scene, &bystander).await;
            assert_eq!(untouched, Some(ALL), "{level}: another client's");
        }
        // What comes afterwards is good: a client's from the next second on, for tokens tell no less.
        scene.server.clock.advance(Duration::from_secs(1));
        let fresh = held(&scene).await;
        assert_eq!(
            good(&scene.server, &scene, &fresh).await,
            Some(ALL),
            "{level}"
        );
        if level == "client" {
            let fresh = scene.server.token(&one.client, API).await;
            for node in [&scene.server, &other] {
                assert!(is_active(node, &scene.api, &fresh).await, "{level}");
            }
        }
    }
}

async fn threat_25_what_the_command_line_revokes_is_dead_within_a_second(stores: &Stores) {
    let scene = Scene::set(stores).await;
    for level in LEVELS {
        let one = held(&scene).await;
        let told = claims(&one.access);
        let name = match level {
            "token" => told["jti"].as_str().unwrap(),
            "grant" => told["grant_id"].as_str().unwrap(),
            "session" => one.session.id.as_str(),
            "client" => &one.client.id,
            _ => "alice@example.com",
        };
        let printed = ran_json(stores, &["revoke", level, name], "");
        let id = if level == "account" {
            scene.account_id.as_str()
        } else {
            name
        };
        assert_eq!(printed, json!({"revoked": level, "id": id}));
        let (expected, _) = left(level);
        seen(level, async || {
            good(&scene.server, &scene, &one).await == Some(expected)
        })
        .await;
    }
}

async fn what_cannot_be_revoked_is_said(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let (access, refresh) = pair(&tokens);
    for (what, mend) in [
        (["revoke", "token", access], "a jti is wanted"),
        (["revoke", "token", ""], "a jti is wanted"),
        (["revoke", "grant", refresh], "invalid value"),
        (
            ["revoke", "grant", "grt_0123456789012345678901"],
            "there is no grant",
        ),
        (
            ["revoke", "session", "ses_0123456789012345678901"],
            "there is no session",
        ),
        (["revoke", "client", "nobody"], "there is no client nobody"),
        (
            ["revoke", "account", "x@example.com"],
            "there is no account",
        ),
        (["revoke", "account", "x"], "neither the address nor the id"),
    ] {
        let refused = run(stores, &what, "");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{what:?}");
        assert!(told.contains(mend), "{what:?}: {told}");
    }
    assert!(scene.is_active(access).await);
    // Some of ours begin so, and are no options.
    let dashed = ran_json(stores, &["revoke", "token", "-J"], "");
    assert_eq!(dashed, json!({"revoked": "token", "id": "-J"}));
}

async fn a_client_made_anew_has_nothing_of_the_one_before(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let one = held(&scene).await;
    let id = TestServer::client_id(&one.client);
    let clients = &scene.server.records.clients;
    let found = clients.find(&id).await.unwrap().unwrap();
    let metadata = found.metadata.clone();
    clients.delete(&id, scene.server.clock.now()).await.unwrap();

    scene.server.clock.advance(Duration::from_secs(1));
    let anew = Client::new(id.clone(), metadata, Vec::new()).unwrap();
    let secret = ClientSecret::generate(&*scene.server.world.random);
    let now = scene.server.clock.now();
    clients.put(&anew, Some(&secret), now).await.unwrap();
    let anew = TestClient {
        id: one.client.id.clone(),
        secret: secret.expose().to_owned(),
    };
    let fresh = scene.server.token(&anew, API).await;
    for node in [&scene.server, &other] {
        seen("the one before", async || {
            !is_active(node, &scene.api, &one.own).await
        })
        .await;
        seen("the new one", async || {
            is_active(node, &scene.api, &fresh).await
        })
        .await;
        assert!(!is_active(node, &scene.api, &one.access).await);
        assert_eq!(userinfo(node, &one.access).await.status, 401);
    }
    for token in [&one.refresh, &one.offline] {
        let refused = ask(&scene.server, &anew, &refresh_form(token)).await;
        assert_eq!(refused.error(), (400, "invalid_grant"));
    }
    let refused = ask(&scene.server, &anew, &code_form(&one.code)).await;
    assert_eq!(refused.error(), (400, "invalid_grant"));
}

async fn a_cut_off_is_moved_on_and_never_back(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let id = TestServer::client_id(&client);
    let (clients, second) = (&server.records.clients, Duration::from_secs(1));
    let first = server.token(&client, API).await;
    clients
        .revoke_tokens(&id, server.clock.now())
        .await
        .unwrap();
    server.clock.advance(second);
    let next = server.token(&client, API).await;
    assert!(!scene.is_active(&first).await);
    assert!(scene.is_active(&next).await);
    // Somebody whose clock is behind has no say in what was cut off.
    let early = server.clock.now() - Duration::from_mins(1);
    clients.revoke_tokens(&id, early).await.unwrap();
    assert!(!scene.is_active(&first).await);
    assert!(scene.is_active(&next).await);
    clients
        .revoke_tokens(&id, server.clock.now())
        .await
        .unwrap();
    assert!(!scene.is_active(&next).await);
    let other = scene.another_node(stores).await;
    for token in [&first, &next] {
        assert!(!is_active(&other, &scene.api, token).await, "from the row");
    }
    server.clock.advance(second);
    let last = server.token(&client, API).await;
    assert!(is_active(&other, &scene.api, &last).await);
}

/// A set that was not confirmed lately is not trusted: the database is asked.
async fn a_node_that_was_away_learns_of_cut_offs_from_the_database(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let one = held(&scene).await;
    let told = claims(&one.access);
    let issued_at = Instant::from_secs(told["iat"].as_i64().unwrap());
    let rests = |issued_at| RestsOn {
        jti: "another",
        grant_id: Some("grt_another"),
        client_id: &one.client.id,
        account_id: Some(scene.account_id.as_str()),
        issued_at,
    };
    let unloaded = Revocations::new(server.records.store.clone(), Duration::ZERO);
    let now = server.clock.now();
    let is_dead = async |issued_at| {
        let asked = unloaded.is_revoked(&rests(issued_at), now).await.unwrap();
        let live = &server.records.revocations;
        let known = live.is_revoked(&rests(issued_at), now).await.unwrap();
        assert_eq!(asked, known, "the database says what the memory does");
        asked
    };
    let second = Duration::from_secs(1);
    assert!(!is_dead(issued_at).await);
    let sessions = &server.records.sessions;
    sessions.end_all(&scene.account_id, now).await.unwrap();
    let this = Instant::from_secs(now.as_secs());
    assert!(is_dead(this - second).await, "of the second before");
    assert!(!is_dead(this).await, "who signs in again at once may go on");
    let id = TestServer::client_id(&one.client);
    server
        .records
        .clients
        .revoke_tokens(&id, now)
        .await
        .unwrap();
    assert!(is_dead(this).await, "a client's of that second");
    assert!(!is_dead(this + second).await);
}

async fn threat_34_nothing_that_is_issued_while_a_client_is_cut_off_outlives_it(stores: &Stores) {
    const CODES: usize = 60;
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let mut codes = Vec::new();
    for _ in 0..CODES {
        codes.push(scene.code(&client, "openid read offline_access").await);
    }
    let mut redeeming = JoinSet::new();
    for code in codes {
        let (http, client) = (scene.server.http.clone(), client.clone());
        let url = format!("{}/oauth/token", scene.server.issuer);
        redeeming.spawn(async move {
            let request = http.post(url).form(&code_form(&code));
            let request = request.basic_auth(&client.id, Some(&client.secret));
            let response = request.send().await.unwrap();
            (response.status(), response.json().await.unwrap())
        });
    }
    let id: ClientId = TestServer::client_id(&client);
    let mut answers: Vec<(reqwest::StatusCode, serde_json::Value)> = Vec::new();
    // Some are through by then.
    for _ in 0..5 {
        answers.push(redeeming.join_next().await.unwrap().unwrap());
    }
    let now = scene.server.clock.now();
    let clients = &scene.server.records.clients;
    clients.revoke_tokens(&id, now).await.unwrap();
    while let Some(answer) = redeeming.join_next().await {
        answers.push(answer.unwrap());
    }
    assert_eq!(answers.len(), CODES);
    other.records.revocations.refresh(now).await.unwrap();
    for (status, body) in answers {
        if status != 200 {
            assert_eq!(
                (status.as_u16(), &body["error"]),
                (400, &json!("invalid_grant"))
            );
            continue;
        }
        let (access, refresh) = pair(&body);
        for node in [&scene.server, &other] {
            assert!(!is_active(node, &scene.api, access).await);
            let refused = ask(node, &client, &refresh_form(refresh)).await;
            assert_eq!(refused.error(), (400, "invalid_grant"));
        }
    }
}
