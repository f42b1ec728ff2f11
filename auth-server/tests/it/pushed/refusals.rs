//! What is refused of pushed requests, and of requests that were not.

use std::sync::Arc;

use auth_server::clients::AuthMethod;
use reqwest::StatusCode;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{PAR, is_refused, push, pushed, started, url_of};
use crate::browser::{Browser, code, parameter};
use crate::person::{self, REDIRECT, post};
use crate::server::{API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9126_2_3_what_is_refused_when_it_is_pushed,
    rfc9126_2_1_who_may_not_push,
    rfc9126_4_what_is_refused_when_it_is_opened,
    rfc9126_5_requests_that_must_be_pushed,
    threat_5_a_pushed_request_is_nothing_else,
);

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9126_2_3_what_is_refused_when_it_is_pushed(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let long = "a".repeat(4097);
    let details = "r".repeat(20_000);
    let other = "https://app.example/other";
    for (what, changes, expected) in [
        (
            "another redirect_uri",
            &[("redirect_uri", other)][..],
            "invalid_request",
        ),
        (
            "a script",
            &[("redirect_uri", "javascript:alert(1)")],
            "invalid_request",
        ),
        (
            "no redirect_uri in OpenID Connect",
            &[("redirect_uri", "")],
            "invalid_request",
        ),
        (
            "no response_type",
            &[("response_type", "")],
            "invalid_request",
        ),
        (
            "an unknown response_type",
            &[("response_type", "saml")],
            "unsupported_response_type",
        ),
        (
            "one that is not served",
            &[("response_type", "token")],
            "unsupported_response_type",
        ),
        (
            "an unknown response_mode",
            &[("response_mode", "web_message")],
            "invalid_request",
        ),
        (
            "no challenge",
            &[("code_challenge", ""), ("code_challenge_method", "")],
            "invalid_request",
        ),
        (
            "a plain challenge",
            &[("code_challenge_method", "plain")],
            "invalid_request",
        ),
        (
            "another's scope",
            &[("scope", "openid admin")],
            "invalid_scope",
        ),
        ("a malformed scope", &[("scope", "a  b")], "invalid_scope"),
        (
            "an unknown resource",
            &[("resource", "https://unknown.example")],
            "invalid_target",
        ),
        (
            "none beside another prompt",
            &[("prompt", "none login")],
            "invalid_request",
        ),
        (
            "a malformed max_age",
            &[("max_age", "soon")],
            "invalid_request",
        ),
        (
            "no ID token as a hint",
            &[("id_token_hint", "x")],
            "invalid_request",
        ),
        ("a state of 4 KB", &[("state", &long)], "invalid_request"),
        (
            "more than is kept",
            &[("login_hint", &details)],
            "invalid_request",
        ),
        (
            "registration",
            &[("registration", "{}")],
            "registration_not_supported",
        ),
        (
            "a request object that is none",
            &[("request", "x")],
            "invalid_request_object",
        ),
        (
            "a request_uri",
            &[("request_uri", "https://app.example/r")],
            "invalid_request",
        ),
        (
            "the name of a pushed one",
            &[("request_uri", "urn:ietf:params:oauth:request_uri:x")],
            "invalid_request",
        ),
        (
            "a repeated state",
            &[("state", "a"), ("state", "b")],
            "invalid_request",
        ),
        (
            "a repeated redirect_uri",
            &[("redirect_uri", REDIRECT), ("redirect_uri", other)],
            "invalid_request",
        ),
    ] {
        let answer = push(&server, &app, changes).await;
        assert_eq!(answer.error(), (400, expected), "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert_eq!(answer.header("location"), "", "{what}");
        assert!(!answer.text("error_description").is_empty(), "{what}");
    }
    // Several resources are no repetition; nobody needs to be signed in for what is silent.
    for changes in [
        &[("resource", API), ("resource", API)][..],
        &[("prompt", "none"), ("unknown", "y")],
    ] {
        let answer = push(&server, &app, changes).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let url = format!("{}{PAR}", server.issuer);
    let json = server
        .http
        .post(&url)
        .basic_auth(&app.id, Some(&app.secret));
    let answer = server
        .send(json.header("content-type", "application/json").body("{}"))
        .await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    assert_eq!(server.get(PAR).await.status, 405);
    let large = format!("x={}", "a".repeat(70_000));
    let large = server
        .http
        .post(&url)
        .basic_auth(&app.id, Some(&app.secret))
        .body(large);
    let form = "application/x-www-form-urlencoded";
    TestServer::send_too_much(large.header("content-type", form), "a large body").await;
    server.stop().await;
}

async fn rfc9126_2_1_who_may_not_push(stores: &Stores) {
    let server = started(stores).await;
    let (app, other) = (server.app().await, server.app().await);
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let url = format!("{}{PAR}", server.issuer);
    let form = TestServer::asking(&app, &[]);
    let asked = || server.http.post(&url).form(&form);
    for (what, request) in [
        ("nobody", asked()),
        ("a wrong secret", asked().basic_auth(&app.id, Some("wrong"))),
        (
            "another client",
            asked().basic_auth(&other.id, Some(&other.secret)),
        ),
        (
            "an unknown client",
            server.http.post(&url).form(&[("client_id", "nobody")]),
        ),
        (
            "no client",
            server.http.post(&url).form(&[("scope", "read")]),
        ),
    ] {
        let answer = server.send(request).await;
        assert_eq!(answer.error(), (401, "invalid_client"), "{what}");
    }
    // It never sends anybody anywhere.
    let answer = push(&server, &service, &[]).await;
    assert_eq!(answer.error(), (400, "invalid_request"), "{}", answer.body);
    server.stop().await;
}

async fn rfc9126_4_what_is_refused_when_it_is_opened(stores: &Stores) {
    let server = started(stores).await;
    let (app, other) = (server.app().await, server.app().await);
    let good = pushed(&server, &app, &[]).await;
    let cut = &good[..good.len() - 1];
    let stranger = Browser::new(&server);
    for (what, client, uri) in [
        ("of another client", &other, good.clone()),
        ("cut", &app, cut.to_owned()),
        ("longer", &app, format!("{good}a")),
        ("another letter", &app, format!("{cut}\u{e4}")),
        (
            "made up",
            &app,
            format!("urn:ietf:params:oauth:request_uri:{}", "a".repeat(43)),
        ),
        (
            "empty",
            &app,
            "urn:ietf:params:oauth:request_uri:".to_owned(),
        ),
        (
            "another name of the same",
            &app,
            good.replacen("urn:", "URN:", 1),
        ),
    ] {
        let url = url_of(&server, client, &uri);
        assert!(is_refused(&stranger.open(&url).await), "{what}");
        // A redirect URI of the client that names it is proven, and told.
        let told = format!("{url}&redirect_uri={REDIRECT}&state=s");
        let answer = stranger.open(&told).await.location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some("invalid_request_uri"),
            "{what}"
        );
        assert_eq!(parameter(&answer, "state").as_deref(), Some("s"), "{what}");
        assert_eq!(
            parameter(&answer, "iss").as_deref(),
            Some(server.issuer.as_str()),
            "{what}"
        );
        let elsewhere = format!("{url}&redirect_uri=https%3A%2F%2Fevil.example");
        assert!(is_refused(&stranger.open(&elsewhere).await), "{what}");
    }
    for query in [
        format!("request_uri={good}"),
        format!("request_uri={good}&client_id=nobody"),
        format!(
            "request_uri={good}&client_id={}&client_id={}",
            app.id, app.id
        ),
    ] {
        let page = stranger
            .open(format!("{}/oauth/authorize?{query}", server.issuer))
            .await;
        assert!(is_refused(&page), "{query}");
    }
    let url = url_of(&server, &app, &good);
    // Twice is not at all (threat 3).
    let twice = format!("{url}&request_uri={good}");
    assert!(is_refused(&stranger.open(&twice).await));
    let told = format!("{twice}&redirect_uri={REDIRECT}");
    let error = parameter(&stranger.open(told).await.location(), "error");
    assert_eq!(error.as_deref(), Some("invalid_request"));
    // A pushed request beside an object is the pushed one.
    let page = stranger.open(format!("{url}&request=x")).await;
    assert!(page.has("sign-in"), "{}", page.body);
    // None of the others had it: it is still good, for the browser that just came.
    code(&stranger.sign_in_and_consent(&url).await);
    server.stop().await;
}

async fn rfc9126_5_requests_that_must_be_pushed(stores: &Stores) {
    started(stores).await.stop().await;
    for by_server in [true, false] {
        let mut config = config(stores);
        config.authorization.require_pushed_authorization_requests = by_server;
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let metadata = server.get("/.well-known/oauth-authorization-server").await;
        assert_eq!(
            metadata.body["require_pushed_authorization_requests"],
            by_server
        );
        let mut strict = person::app(AuthMethod::ClientSecretBasic);
        strict.require_pushed_authorization_requests = !by_server;
        let strict = server.register(strict).await;
        let browser = Browser::new(&server);
        for url in [
            server.authorize_url(&strict, &[]),
            server.authorize_url(&strict, &[("prompt", "none")]),
        ] {
            let answer = browser.open(url).await.location();
            assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some("invalid_request")
            );
        }
        let form = TestServer::asking(&strict, &[]);
        let endpoint = format!("{}/oauth/authorize", server.issuer);
        let answer = browser.post(endpoint, &form).await.location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some("invalid_request")
        );
        let url = url_of(&server, &strict, &pushed(&server, &strict, &[]).await);
        code(&browser.sign_in_and_consent(url).await);
        if !by_server {
            let page = browser
                .open(server.authorize_url(&server.app().await, &[]))
                .await;
            assert!(page.has("consent"), "others need not");
        }
        server.stop().await;
    }
}

async fn threat_5_a_pushed_request_is_nothing_else(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let uri = pushed(&server, &app, &[]).await;
    let bare = uri.rsplit(':').next().unwrap().to_owned();
    let browser = Browser::new(&server);
    let page = browser.open(server.authorize_url(&app, &[])).await;
    let interaction = page.input("interaction");
    for one in [&uri, &bare] {
        for (form, expected) in [
            (
                &[
                    ("grant_type", "authorization_code"),
                    ("code", one.as_str()),
                    ("redirect_uri", REDIRECT),
                ][..],
                "invalid_grant",
            ),
            (
                &[("grant_type", "refresh_token"), ("refresh_token", one)],
                "invalid_grant",
            ),
        ] {
            let answer = post(&server, &app, "/oauth/token", form).await;
            assert_eq!(answer.error(), (400, expected), "{one}");
        }
        let answer = post(&server, &app, "/oauth/introspect", &[("token", one)]).await;
        assert_eq!(answer.body["active"], false);
        for path in ["/login", "/consent", "/oauth/authorize/resume"] {
            let page = browser
                .get(format!("{}{path}?interaction={one}", server.issuer))
                .await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(page.has("stale-title"), "{path}");
        }
    }
    // And nothing else is taken for one.
    let answer = browser
        .sign_in_and_consent(server.authorize_url(&app, &[]))
        .await;
    for other in [code(&answer), interaction] {
        for uri in [format!("urn:ietf:params:oauth:request_uri:{other}"), other] {
            assert!(
                is_refused(&browser.open(url_of(&server, &app, &uri)).await),
                "{uri}"
            );
        }
    }
    code(&browser.open(url_of(&server, &app, &uri)).await.location());
    server.stop().await;
}
