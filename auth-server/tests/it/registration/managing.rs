//! Clients that manage themselves (RFC 7592).

use std::time::Duration;

use auth_server::clients::Client;
use futures_util::future::join_all;
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Registered, another, app, scene, server, service, with};
use crate::introspection::eventually;
use crate::person::{code_form, pair, post, refresh_form, userinfo};
use crate::server::{API, Answer, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7592_2_1_a_client_reads_what_stands,
    rfc7592_2_2_a_put_replaces_the_whole,
    rfc7592_2_2_what_a_put_must_not_say,
    rfc7592_2_2_a_switch_of_method_issues_or_drops_the_secret,
    rfc7592_3_the_old_token_works_until_the_new_is_used,
    rfc7592_2_1_a_wrong_token_and_an_unknown_client_are_refused_alike,
    threat_14_an_update_is_judged_as_a_registration,
    what_the_operator_decided_stays,
    rfc7592_2_3_a_deleted_client_is_gone_with_all_that_is_its,
    threat_34_no_token_outlives_a_client_that_is_deleted_while_it_redeems,
    changes_and_deletions_at_once_leave_nothing_half_done,
    what_one_node_changes_the_other_knows,
);

fn assert_unauthorized(answer: &Answer, what: &str) {
    assert_eq!(
        answer.error(),
        (401, "invalid_token"),
        "{what}: {}",
        answer.body
    );
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer error=\"invalid_token\""),
        "{what}: {challenge}"
    );
}

async fn rfc7592_2_1_a_client_reads_what_stands(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&service()).await;
    server.clock.advance(Duration::from_mins(5));
    let read = server.reads(&registered, &registered.token).await;
    assert_eq!(read.status, 200);
    assert_eq!(read.header("cache-control"), "no-store");
    // The secret is kept as a digest; all else, its token included, is told again.
    let expected = with(&registered.document, &json!({"client_secret": null}));
    assert_eq!(read.body, expected);
}

async fn rfc7592_2_2_a_put_replaces_the_whole(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let body = with(
        &service(),
        &json!({"client_uri": "https://service.example/", "contacts": ["a@b.example"]}),
    );
    let registered = server.registers(&body).await;
    let (client, token) = (&registered.client, &registered.token);
    assert_eq!(server.wants_token(client).await.text("scope"), "read");

    let change = json!({"grant_types": ["client_credentials"], "scope": "write", "client_secret": client.secret, "contacts": null});
    let answer = server.puts(&registered, token, &change).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    for gone in ["client_name", "client_uri", "contacts", "client_secret"] {
        assert_eq!(answer.body.get(gone), None, "{gone}");
    }
    for kept in [
        "client_id",
        "client_id_issued_at",
        "client_secret_expires_at",
        "registration_client_uri",
    ] {
        assert_eq!(answer.body[kept], registered.document[kept], "{kept}");
    }
    assert_eq!(answer.body["scope"], "write");
    assert_ne!(answer.text("registration_access_token"), token);
    assert_eq!(
        server.wants_token(client).await.text("scope"),
        "write",
        "with the secret that it has"
    );
}

async fn rfc7592_2_2_what_a_put_must_not_say(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&service()).await;
    let other = server.registers(&service()).await;
    let public = server
        .registers(&with(
            &app(),
            &json!({"token_endpoint_auth_method": "none"}),
        ))
        .await;
    for (what, registered, change) in [
        (
            "another client",
            &registered,
            json!({"client_id": other.client.id}),
        ),
        ("no client", &registered, json!({"client_id": null})),
        (
            "a client that is no text",
            &registered,
            json!({"client_id": 5}),
        ),
        (
            "another secret",
            &registered,
            json!({"client_secret": other.client.secret}),
        ),
        (
            "half the secret",
            &registered,
            json!({"client_secret": registered.client.secret[..20]}),
        ),
        (
            "a secret that is no text",
            &registered,
            json!({"client_secret": 5}),
        ),
        (
            "a secret where there is none",
            &public,
            json!({"client_secret": "x"}),
        ),
        (
            "the token",
            &registered,
            json!({"registration_access_token": registered.token}),
        ),
        (
            "where it is managed",
            &registered,
            json!({"registration_client_uri": registered.url}),
        ),
        (
            "when the secret ends",
            &registered,
            json!({"client_secret_expires_at": 0}),
        ),
        (
            "when it was issued",
            &registered,
            json!({"client_id_issued_at": 0}),
        ),
    ] {
        let id = json!({"client_id": registered.client.id});
        let body = with(&with(&service(), &id), &change);
        let request = server.managing(Method::PUT, registered, &registered.token);
        let answer = server.send(request.json(&body)).await;
        assert_eq!(
            answer.error(),
            (400, "invalid_client_metadata"),
            "{what}: {}",
            answer.body
        );
    }
    let read = server.reads(&registered, &registered.token).await;
    assert_eq!(
        read.body["client_name"], "A service",
        "nothing changed, nor did the token"
    );
    let request = server.managing(Method::PUT, &registered, &registered.token);
    let form = server.send(request.form(&[("client_id", "x")])).await;
    assert_eq!(form.error(), (415, "invalid_request"));
}

async fn rfc7592_2_2_a_switch_of_method_issues_or_drops_the_secret(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&app()).await;
    let mut token = registered.token.clone();
    let mut to = async |method: &str| {
        let change = with(&app(), &json!({"token_endpoint_auth_method": method}));
        let answer = server.puts(&registered, &token, &change).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        token = answer.text("registration_access_token").to_owned();
        answer.body
    };
    let revokes = async |client: &TestClient| {
        post(&server, client, "/oauth/revoke", &[("token", "x")])
            .await
            .status
            .as_u16()
    };
    assert_eq!(revokes(&registered.client).await, 200);
    assert_eq!(
        to("client_secret_post").await.get("client_secret"),
        None,
        "it keeps the one that it has"
    );
    assert_eq!(
        revokes(&registered.client).await,
        401,
        "by another method now"
    );
    let to_public = to("none").await;
    assert_eq!(to_public.get("client_secret"), None);
    assert_eq!(to_public.get("client_secret_expires_at"), None);
    let public = TestClient {
        secret: String::new(),
        ..registered.client.clone()
    };
    assert_eq!(revokes(&public).await, 200);
    let back = to("client_secret_basic").await;
    assert_eq!(back["client_secret_expires_at"], 0);
    let secret = back["client_secret"].as_str().unwrap();
    assert_eq!(
        revokes(&registered.client).await,
        401,
        "the secret of then is dead"
    );
    let renewed = TestClient {
        secret: secret.to_owned(),
        ..registered.client.clone()
    };
    assert_eq!(revokes(&renewed).await, 200);
}

async fn rfc7592_3_the_old_token_works_until_the_new_is_used(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    for used_by in [Method::GET, Method::PUT, Method::DELETE] {
        let registered = server.registers(&service()).await;
        let first = &registered.token;
        let put = async |token: &str| {
            let answer = server.puts(&registered, token, &service()).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.text("registration_access_token").to_owned()
        };
        let unheard = put(first).await;
        assert_eq!(
            server.reads(&registered, first).await.status,
            200,
            "the answer may be lost"
        );
        let second = put(first).await;
        assert_unauthorized(
            &server.reads(&registered, &unheard).await,
            "another took its place",
        );
        assert_eq!(server.reads(&registered, first).await.status, 200);
        let used = match used_by {
            Method::GET => server.reads(&registered, &second).await,
            Method::PUT => server.puts(&registered, &second, &service()).await,
            _ => server.deletes(&registered, &second).await,
        };
        assert!(used.status.is_success(), "{used_by}: {}", used.body);
        assert_unauthorized(
            &server.reads(&registered, first).await,
            "the new one was used",
        );
        let is_there = server.reads(&registered, &second).await.status == 200;
        assert_eq!(is_there, used_by != Method::DELETE, "{used_by}");
    }
}

async fn rfc7592_2_1_a_wrong_token_and_an_unknown_client_are_refused_alike(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&service()).await;
    let other = server.registers(&service()).await;
    let operators = server
        .client(auth_server::clients::AuthMethod::ClientSecretBasic, "read")
        .await;
    let of = |id: &str| Registered {
        client: TestClient {
            id: id.to_owned(),
            secret: String::new(),
        },
        url: String::new(),
        token: String::new(),
        document: Value::Null,
    };
    let made_by_operators = of(&operators.id);
    let mut seen = Vec::new();
    for (what, whose, token) in [
        ("another client's token", &registered, &*other.token),
        ("a made-up token", &registered, "rat_made-up"),
        ("the secret", &registered, &registered.client.secret),
        ("an unknown client", &of("unknown"), &registered.token),
        (
            "an unknown client, as long",
            &of(&"x".repeat(22)),
            &registered.token,
        ),
        (
            "a client of the operator's",
            &made_by_operators,
            &registered.token,
        ),
        ("a client that cannot be", &of("%00%ff"), &registered.token),
        ("a client with a slash", &of("%2F..%2F"), &registered.token),
        ("a long one", &of(&"x".repeat(3_000)), &registered.token),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let request = server.managing(method.clone(), whose, token);
            let request = if method == Method::PUT {
                request.json(&service())
            } else {
                request
            };
            let answer = server.send(request).await;
            assert_unauthorized(&answer, what);
            seen.push((answer.header("www-authenticate").to_owned(), answer.body));
        }
    }
    assert!(seen.iter().all(|one| *one == seen[0]), "word by word");
    let bare = server.http.get(&registered.url);
    let bare = server.send(bare).await;
    assert_eq!(
        (bare.status.as_u16(), bare.header("www-authenticate")),
        (401, "Bearer realm=\"registration\"")
    );
    let token = server.wants_token(&registered.client).await;
    let access = token.text("access_token");
    assert_unauthorized(
        &server.reads(&registered, access).await,
        "an access token (threat 5)",
    );
}

async fn threat_14_an_update_is_judged_as_a_registration(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&app()).await;
    let token = &registered.token;
    for (what, change, code) in [
        (
            "a script",
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            "invalid_redirect_uri",
        ),
        (
            "plain http",
            json!({"redirect_uris": ["http://app.example/cb"]}),
            "invalid_redirect_uri",
        ),
        (
            "no redirects",
            json!({"redirect_uris": null}),
            "invalid_redirect_uri",
        ),
        (
            "another's scope",
            json!({"scope": "openid reports"}),
            "invalid_client_metadata",
        ),
        (
            "a public service",
            json!({"grant_types": ["client_credentials"], "redirect_uris": null,
            "token_endpoint_auth_method": "none"}),
            "invalid_client_metadata",
        ),
        (
            "no keys",
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            "invalid_client_metadata",
        ),
        (
            "what is not offered",
            json!({"frontchannel_logout_uri": "https://app.example/out"}),
            "invalid_client_metadata",
        ),
        (
            "an algorithm we lack",
            json!({"id_token_signed_response_alg": "PS256"}),
            "invalid_client_metadata",
        ),
        (
            "a long name",
            json!({"client_name": "n".repeat(300)}),
            "invalid_client_metadata",
        ),
    ] {
        let answer = server
            .puts(&registered, token, &with(&app(), &change))
            .await;
        assert_eq!(answer.error(), (400, code), "{what}: {}", answer.body);
    }
    let operators = json!({"skip_consent": true, "default_resource": API, "require_pkce": false});
    let answer = server
        .puts(&registered, token, &with(&app(), &operators))
        .await;
    assert_eq!(answer.status, 200);
    let id = TestServer::client_id(&registered.client);
    let client = server.records.clients.find(&id).await.unwrap().unwrap();
    assert!(!client.metadata.skip_consent && client.metadata.default_resource.is_none());
}

async fn what_the_operator_decided_stays(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let registered = server.registers(&app()).await;
    let (id, clients) = (
        TestServer::client_id(&registered.client),
        &server.records.clients,
    );
    let mut metadata = clients.find(&id).await.unwrap().unwrap().metadata.clone();
    metadata.require_pkce = true;
    metadata.default_resource = Some(API.parse().unwrap());
    let decided = Client::new(id.clone(), metadata, Vec::new()).unwrap();
    clients
        .put(&decided, None, server.clock.now())
        .await
        .unwrap();
    let answer = server.puts(&registered, &registered.token, &app()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for own in ["require_pkce", "default_resource"] {
        assert_eq!(answer.body.get(own), None, "{own} is the operator's");
    }
    let client = clients.find(&id).await.unwrap().unwrap();
    assert!(client.metadata.require_pkce && client.metadata.default_resource.is_some());
}

async fn rfc7592_2_3_a_deleted_client_is_gone_with_all_that_is_its(stores: &Stores) {
    let (scene, app) = scene(stores).await;
    let server = &scene.server;
    let other = scene.another_node(stores).await;
    let service = server.registers(&service()).await;
    let own = server.token(&service.client, API).await;
    let tokens = scene.tokens(&app.client, "openid profile read").await;
    let (access, refresh) = pair(&tokens);
    let code = scene.code(&app.client, "openid read").await;
    for node in [server, &other] {
        for token in [access, &own] {
            assert!(crate::person::is_active(node, &scene.api, token).await);
        }
        assert_eq!(userinfo(node, access).await.status, 200);
    }
    for registered in [&app, &service] {
        let answer = server.deletes(registered, &registered.token).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert_eq!(answer.body, Value::Null);
        let again = server.deletes(registered, &registered.token).await;
        assert_unauthorized(&again, "gone");
    }
    for node in [server, &other] {
        let is_dead = async || {
            let mut dead = true;
            for token in [access, &own] {
                dead &= !crate::person::is_active(node, &scene.api, token).await;
            }
            dead && userinfo(node, access).await.status == 401
                && node.wants_token(&service.client).await.status == 401
        };
        assert!(eventually(is_dead).await);
        let form = refresh_form(refresh);
        let refreshed = post(node, &app.client, "/oauth/token", &form).await;
        assert_eq!(refreshed.error(), (401, "invalid_client"));
        let redeemed = post(node, &app.client, "/oauth/token", &code_form(&code)).await;
        assert_eq!(redeemed.error(), (401, "invalid_client"));
    }
    for ended in [&app, &service] {
        let listed = server.records.clients.list("", 100).await.unwrap();
        assert!(listed.iter().all(|(id, _)| *id != ended.client.id));
    }
}

/// Redemption and deletion meet in every order; what came of it is dead.
async fn threat_34_no_token_outlives_a_client_that_is_deleted_while_it_redeems(stores: &Stores) {
    let (scene, _) = scene(stores).await;
    let server = &scene.server;
    let other = scene.another_node(stores).await;
    let public = with(&app(), &json!({"token_endpoint_auth_method": "none"}));
    let mut granted = 0;
    for round in 0..20 {
        let app = server.registers(&public).await;
        // Both nodes remember the client.
        let form = [("token", "x")];
        assert_eq!(
            post(&other, &app.client, "/oauth/revoke", &form)
                .await
                .status,
            200
        );
        let mut codes = Vec::new();
        for _ in 0..6 {
            codes.push(scene.code(&app.client, "openid profile read").await);
        }
        let forms: Vec<_> = codes.iter().map(|code| code_form(code)).collect();
        let node = if stores.ephemeral.url.expose_secret() == "memory" {
            server
        } else {
            &other
        };
        let redeeming = forms
            .iter()
            .map(|form| post(node, &app.client, "/oauth/token", form));
        let deleting = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            server.deletes(&app, &app.token).await
        };
        let (answers, deleted) = tokio::join!(join_all(redeeming), deleting);
        assert_eq!(deleted.status, 204, "{}", deleted.body);
        for answer in answers {
            assert!(
                answer.status == 200 || answer.status == 401 || answer.status == 400,
                "{}",
                answer.body
            );
            if answer.status != 200 {
                continue;
            }
            granted += 1;
            let (access, refresh) = pair(&answer.body);
            for node in [server, &other] {
                let is_dead = async || !crate::person::is_active(node, &scene.api, access).await;
                assert!(eventually(is_dead).await);
                let form = refresh_form(refresh);
                let is_dead =
                    async || post(node, &app.client, "/oauth/token", &form).await.status != 200;
                assert!(eventually(is_dead).await);
                assert_eq!(userinfo(node, access).await.status, 401);
            }
        }
    }
    println!("{granted} redemptions came first");
}

async fn changes_and_deletions_at_once_leave_nothing_half_done(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    for _ in 0..5 {
        let registered = server.registers(&app()).await;
        let body = app();
        let putting = (0..10).map(|_| server.puts(&registered, &registered.token, &body));
        let deleting = (0..2).map(|_| server.deletes(&registered, &registered.token));
        let reading = (0..5).map(|_| server.reads(&registered, &registered.token));
        let (put, deleted, read) =
            tokio::join!(join_all(putting), join_all(deleting), join_all(reading));
        for answer in put.iter().chain(&read) {
            assert!(
                answer.status == 200 || answer.status == 401,
                "{} {}",
                answer.status,
                answer.body
            );
        }
        let gone = deleted.iter().filter(|answer| answer.status == 204).count();
        assert_eq!(gone, 1);
        let listed = server.records.clients.list("", 100).await.unwrap();
        assert!(
            listed.iter().all(|(id, _)| *id != registered.client.id),
            "no change brought it back"
        );
    }
}

async fn what_one_node_changes_the_other_knows(stores: &Stores) {
    let one = server(stores, |_| {}).await;
    let other = another(stores, &one, |_| {}).await;
    let registered = one.registers(&service()).await;
    let asks = async || other.wants_token(&registered.client).await;
    assert_eq!(asks().await.text("scope"), "read");
    let wider = with(&service(), &json!({"scope": "read write"}));
    let answer = other.puts(&registered, &registered.token, &wider).await;
    assert_eq!(answer.status, 200, "managed anywhere: {}", answer.body);
    let narrower = with(&service(), &json!({"scope": "write"}));
    let token = answer.text("registration_access_token");
    let answer = one.puts(&registered, token, &narrower).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(eventually(async || asks().await.text("scope") == "write").await);
    assert_unauthorized(
        &other.reads(&registered, &registered.token).await,
        "replaced at the other node",
    );
    let token = answer.text("registration_access_token");
    assert_eq!(other.deletes(&registered, token).await.status, 204);
    assert!(eventually(async || one.wants_token(&registered.client).await.status == 401).await);
}
