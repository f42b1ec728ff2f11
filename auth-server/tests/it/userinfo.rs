//! Userinfo (OpenID Connect Core §5.3).

use auth_server::clients::AuthMethod;
use diesel_async::RunQueryDsl as _;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_server::on;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::introspection::eventually;
use crate::person::{Scene, app, ask, pair, refresh_form, userinfo};
use crate::server::API;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_5_4_claims_follow_the_scope,
    oidc_core_5_3_1_the_token_comes_in_the_header_or_in_a_form,
    rfc6750_3_1_refusals_are_challenges,
    what_changed_of_a_person_shows_at_once,
    what_is_told_of_a_person_is_a_second_old_at_most_and_never_outlives_their_session,
    rfc6749_6_a_token_for_this_server_tells_no_more_than_its_scope,
    a_session_that_ran_out_tells_nothing_more,
    a_form_that_is_too_large_is_told_so,
);

async fn oidc_core_5_4_claims_follow_the_scope(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let sub = scene.account_id.as_str();
    for (scope, expected) in [
        ("openid", json!({"sub": sub})),
        ("openid read", json!({"sub": sub})),
        (
            "openid email",
            json!({"sub": sub, "email": "alice@example.com", "email_verified": true}),
        ),
        (
            "openid profile read",
            json!({"sub": sub, "name": "Alice", "updated_at": scene.session.auth_time.as_secs()}),
        ),
    ] {
        let tokens = scene.tokens(&scene.app, scope).await;
        let token = tokens["access_token"].as_str().unwrap();
        let mut answer = scene.userinfo(token).await;
        assert_eq!(answer.status, 200, "{scope}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        if let Some(at) = answer.body.get_mut("updated_at") {
            // To the second, the account was made when its owner signed in, or just before.
            let known = scene.session.auth_time.as_secs();
            assert!((known - 1..=known).contains(&at.as_i64().unwrap()));
            *at = known.into();
        }
        assert_eq!(answer.body, expected, "{scope}");
    }
}

async fn oidc_core_5_3_1_the_token_comes_in_the_header_or_in_a_form(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let tokens = scene.tokens(&scene.app, "openid").await;
    let token = tokens["access_token"].as_str().unwrap();
    let url = format!("{}/oauth/userinfo", server.issuer);
    let form = [("access_token", token)];
    let in_query = format!("{url}?access_token={token}");
    let post = || server.http.post(&url);
    for (what, request, status, error) in [
        (
            "GET, header",
            server.http.get(&url).bearer_auth(token),
            200,
            "",
        ),
        ("POST, header", post().bearer_auth(token), 200, ""),
        ("POST, form", post().form(&form), 200, ""),
        (
            "POST, header beside another form",
            post().bearer_auth(token).form(&[("x", "y")]),
            200,
            "",
        ),
        (
            "POST, both",
            post().bearer_auth(token).form(&form),
            400,
            "invalid_request",
        ),
        (
            "POST, form, twice",
            post().form(&[form[0], form[0]]),
            400,
            "invalid_request",
        ),
        ("POST, neither", post(), 401, ""),
        ("GET, form", server.http.get(&url).form(&form), 401, ""),
        ("GET, query", server.http.get(&in_query), 401, ""),
        ("POST, query", server.http.post(&in_query), 401, ""),
        (
            "POST, JSON",
            post().json(&json!({"access_token": token})),
            401,
            "",
        ),
        (
            "two headers",
            post().bearer_auth(token).bearer_auth(token),
            400,
            "invalid_request",
        ),
        (
            "a tab",
            server
                .http
                .get(&url)
                .header("authorization", format!("Bearer\t{token}")),
            400,
            "invalid_request",
        ),
        (
            "Basic",
            server.http.get(&url).basic_auth("x", Some(token)),
            401,
            "",
        ),
    ] {
        let answer = server.send(request).await;
        assert_eq!(answer.status, status, "{what}");
        let challenge = answer.header("www-authenticate");
        if status == 200 {
            assert_eq!(challenge, "", "{what}");
        } else if error.is_empty() {
            // RFC 6750 §3: no code without a token, and at least one parameter.
            assert_eq!(challenge, "Bearer scope=\"openid\"", "{what}");
        } else {
            assert!(
                challenge.starts_with(&format!("Bearer error=\"{error}\"")),
                "{what}: {challenge}"
            );
        }
    }
}

async fn rfc6750_3_1_refusals_are_challenges(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let without = scene.tokens(&scene.app, "read").await;
    let of_service = scene.server.token(&service, API).await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let (access, _) = pair(&tokens);
    let cut = &access[..access.len() - 1];
    for (what, token, status, error) in [
        ("no openid", pair(&without).0, 403, "insufficient_scope"),
        ("a service", &of_service, 403, "insufficient_scope"),
        ("noise", "x", 401, "invalid_token"),
        ("cut", cut, 401, "invalid_token"),
    ] {
        let answer = scene.userinfo(token).await;
        assert_eq!(answer.status, status, "{what}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with(&format!("Bearer error=\"{error}\"")),
            "{what}: {challenge}"
        );
        // RFC 6750 §3: what to ask for.
        let needed = "scope=\"openid\"";
        assert!(challenge.ends_with(needed), "{what}: {challenge}");
    }
    scene
        .server
        .clock
        .advance(std::time::Duration::from_mins(5));
    assert_eq!(scene.userinfo(access).await.status, 401, "expired");
}

async fn what_changed_of_a_person_shows_at_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let confidential = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene
        .tokens(&confidential, "openid read offline_access")
        .await;
    let (access, refresh) = pair(&tokens);
    assert_eq!(scene.userinfo(access).await.status, 200);
    let now = scene.server.clock.now();
    let accounts = &scene.server.records.accounts;
    accounts.disable(&scene.account_id, now).await.unwrap();
    assert_eq!(scene.userinfo(access).await.status, 401);
    accounts.enable(&scene.account_id).await.unwrap();
    assert_eq!(scene.userinfo(access).await.status, 401, "stays ended");
    let answer = scene.refresh(&confidential, refresh).await;
    assert_eq!(answer.error(), (400, "invalid_grant"));
}

async fn what_is_told_of_a_person_is_a_second_old_at_most_and_never_outlives_their_session(
    stores: &Stores,
) {
    let scene = Scene::set(stores).await;
    let other = scene.another_node(stores).await;
    let (server, clock) = (&scene.server, &scene.server.clock);
    let tokens = scene.tokens(&scene.app, "openid profile read").await;
    let (access, _) = pair(&tokens);
    for node in [server, &other] {
        assert_eq!(userinfo(node, access).await.body["name"], "Alice");
    }
    let mut conn = server.records.store.write().await.unwrap();
    let renamed = diesel::sql_query("UPDATE accounts SET name = 'Alicia'");
    on!(&mut conn, |c| renamed.execute(c)).unwrap();
    drop(conn);
    clock.advance(std::time::Duration::from_secs(1));
    for node in [server, &other] {
        assert_eq!(userinfo(node, access).await.body["name"], "Alicia");
    }
    let sessions = &server.records.sessions;
    sessions.end(&scene.session.id, clock.now()).await.unwrap();
    assert_eq!(userinfo(server, access).await.status, 401, "at once");
    let ends = async || userinfo(&other, access).await.status == 401;
    assert!(eventually(ends).await, "on the other node");
}

async fn rfc6749_6_a_token_for_this_server_tells_no_more_than_its_scope(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene.tokens(&client, "openid email profile read").await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let issuer = &*scene.server.issuer;
    for (scope, resource, status, told) in [
        ("openid email profile", issuer, 200, &["email", "name"][..]),
        ("openid email", issuer, 200, &["email"]),
        ("openid", issuer, 200, &[]),
        ("email", issuer, 403, &[]),
        ("read", issuer, 403, &[]),
        // An API's token names only its own scopes, and stands for the grant here.
        ("read", API, 200, &["email", "name"]),
    ] {
        let mut form = refresh_form(refresh).to_vec();
        form.extend([("scope", scope), ("resource", resource)]);
        let answer = ask(&scene.server, &client, &form).await;
        let answer = scene.userinfo(answer.text("access_token")).await;
        assert_eq!(answer.status, status, "{scope} {resource}");
        let challenge = answer.header("www-authenticate");
        let refused = challenge.starts_with("Bearer error=\"insufficient_scope\"");
        assert_eq!(refused, status == 403, "{scope} {resource}: {challenge}");
        for name in ["email", "name"] {
            let is_told = answer.body.get(name).is_some();
            assert_eq!(is_told, told.contains(&name), "{scope} {resource}: {name}");
        }
    }
}

/// Only what the person allowed beyond their session goes on.
async fn a_session_that_ran_out_tells_nothing_more(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let idle = scene.server.records.sessions.lifetimes.idle;
    let nearly = idle.saturating_sub(std::time::Duration::from_mins(1));
    scene.server.clock.advance(nearly);
    let bound = scene.tokens(&scene.app, "openid read").await;
    let offline = scene.tokens(&scene.app, "openid read offline_access").await;
    for tokens in [&bound, &offline] {
        assert_eq!(scene.userinfo(pair(tokens).0).await.status, 200);
    }
    scene
        .server
        .clock
        .advance(std::time::Duration::from_mins(2));
    assert_eq!(scene.userinfo(pair(&bound).0).await.status, 401);
    assert_eq!(scene.userinfo(pair(&offline).0).await.status, 200);
}

/// As at every other endpoint, also where nobody said in advance how long it is.
async fn a_form_that_is_too_large_is_told_so(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let address = scene.server.issuer.trim_start_matches("http://");
    let mut connection = TcpStream::connect(address).await.unwrap();
    let body = format!("access_token={}", "x".repeat(64 * 1024));
    // No last chunk follows: the server reads all there is, and need not break the connection off.
    let request = format!(
        "POST /oauth/userinfo HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n",
        body.len()
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    connection.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
}
