//! What the authorization endpoint refuses, and whom it tells.

use std::sync::Arc;

use auth_server::clients::AuthMethod;
use auth_server::config::PkcePolicy;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Changes, started};
use crate::browser::{Browser, parameter};
use crate::person::{self, CHALLENGE, REDIRECT};
use crate::server::{API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_3_1_2_4_what_is_told_to_the_person_alone,
    rfc6749_4_1_2_1_what_is_told_to_the_client,
    oidc_3_1_2_1_an_id_token_hint_is_ours_and_for_the_client,
    rfc7636_4_3_the_challenge_matrix,
    threat_3_repeated_and_empty_parameters,
);

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc6749_3_1_2_4_what_is_told_to_the_person_alone(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let mut several = person::app(AuthMethod::ClientSecretBasic);
    several
        .redirect_uris
        .push("https://app.example/other".parse().unwrap());
    let several = server.register(several).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let evil = "https://evil.example/cb";
    let rows: [(&str, &TestClient, Changes<'_>); 16] = [
        ("no client_id", &app, &[("client_id", "")]),
        ("an unknown client", &app, &[("client_id", "nobody")]),
        ("a malformed client_id", &app, &[("client_id", "\u{e4}")]),
        ("another redirect_uri", &app, &[("redirect_uri", evil)]),
        (
            "a longer path",
            &app,
            &[("redirect_uri", "https://app.example/cb/x")],
        ),
        (
            "another port",
            &app,
            &[("redirect_uri", "https://app.example:8443/cb")],
        ),
        (
            "another case",
            &app,
            &[("redirect_uri", "https://APP.example/cb")],
        ),
        (
            "a user",
            &app,
            &[("redirect_uri", "https://app.example@evil.example/cb")],
        ),
        (
            "a fragment",
            &app,
            &[("redirect_uri", "https://app.example/cb#x")],
        ),
        (
            "a query",
            &app,
            &[("redirect_uri", "https://app.example/cb?x")],
        ),
        ("a script", &app, &[("redirect_uri", "javascript:alert(1)")]),
        (
            "data",
            &app,
            &[
                ("redirect_uri", "data:text/html,x"),
                ("response_mode", "form_post"),
            ],
        ),
        (
            "no redirect_uri in OpenID Connect",
            &app,
            &[("redirect_uri", "")],
        ),
        (
            "no redirect_uri of several",
            &several,
            &[("redirect_uri", ""), ("scope", "read")],
        ),
        ("a client without redirects", &service, &[]),
        (
            "a client without redirects, none named",
            &service,
            &[("redirect_uri", ""), ("scope", "read")],
        ),
    ];
    let browser = Browser::new(&server);
    for (what, client, changes) in rows {
        for prompt in ["", "none"] {
            let mut changes = changes.to_vec();
            changes.push(("prompt", prompt));
            let page = browser.get(server.authorize_url(client, &changes)).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}");
            assert!(
                page.has("error-title") && page.has("error-message"),
                "{what}"
            );
            assert_eq!(page.header("location"), "", "{what}");
            assert!(!page.body.contains("evil.example"), "{what}");
            let form = TestServer::asking(client, &changes);
            let page = browser
                .post(format!("{}/oauth/authorize", server.issuer), &form)
                .await;
            assert_eq!(
                (page.status, page.header("location")),
                (StatusCode::BAD_REQUEST, ""),
                "{what}"
            );
        }
    }
    for query in ["%ff=1", "client_id=%4", &"a=1&".repeat(200)] {
        let page = browser
            .get(format!("{}/oauth/authorize?{query}", server.issuer))
            .await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
    }
    let post = server
        .http
        .post(format!("{}/oauth/authorize", server.issuer));
    let page = browser
        .send(post.header("content-type", "application/json").body("{}"))
        .await;
    assert_eq!(page.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    server.stop().await;
}

fn long(length: usize) -> String {
    "a".repeat(length)
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc6749_4_1_2_1_what_is_told_to_the_client(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let (state, nonce, scope) = (long(4097), long(1025), long(5000));
    let browser = Browser::new(&server);
    let rows: [(&str, Changes<'_>, &str); 29] = [
        (
            "no response_type",
            &[("response_type", "")],
            "invalid_request",
        ),
        (
            "the implicit grant",
            &[("response_type", "token")],
            "unsupported_response_type",
        ),
        (
            "an ID token",
            &[("response_type", "id_token")],
            "unsupported_response_type",
        ),
        (
            "the hybrid flow",
            &[("response_type", "code id_token")],
            "unsupported_response_type",
        ),
        (
            "none",
            &[("response_type", "none")],
            "unsupported_response_type",
        ),
        (
            "an unknown response_mode",
            &[("response_mode", "web_message")],
            "invalid_request",
        ),
        ("a malformed scope", &[("scope", "a  b")], "invalid_scope"),
        ("a quoted scope", &[("scope", "\"read\"")], "invalid_scope"),
        (
            "a scope of another client",
            &[("scope", "openid admin")],
            "invalid_scope",
        ),
        ("a scope of 5 KB", &[("scope", &scope)], "invalid_scope"),
        (
            "a scope of another resource alone",
            &[("scope", "reports"), ("resource", API)],
            "invalid_scope",
        ),
        (
            "an unknown resource",
            &[("resource", "https://unknown.example")],
            "invalid_target",
        ),
        (
            "a malformed resource",
            &[("resource", "api")],
            "invalid_target",
        ),
        (
            "a resource with a fragment",
            &[("resource", "https://api.example#x")],
            "invalid_target",
        ),
        (
            "an unknown resource beside another",
            &[("resource", API), ("resource", "https://x.example")],
            "invalid_target",
        ),
        ("a state of 4 KB", &[("state", &state)], "invalid_request"),
        ("a nonce of 1 KB", &[("nonce", &nonce)], "invalid_request"),
        (
            "an unknown prompt",
            &[("prompt", "signup")],
            "invalid_request",
        ),
        (
            "none beside create",
            &[("prompt", "none create")],
            "invalid_request",
        ),
        (
            "none beside another",
            &[("prompt", "none login")],
            "invalid_request",
        ),
        (
            "a negative max_age",
            &[("max_age", "-1")],
            "invalid_request",
        ),
        ("a signed max_age", &[("max_age", "+1")], "invalid_request"),
        (
            "a word as max_age",
            &[("max_age", "soon")],
            "invalid_request",
        ),
        (
            "a request object that nobody signed",
            &[("request", "eyJhbGciOiJub25lIn0.e30.")],
            "invalid_request_object",
        ),
        (
            "a request_uri that is not registered",
            &[("request_uri", "https://app.example/request")],
            "invalid_request_uri",
        ),
        (
            "a pushed request that nobody knows",
            &[("request_uri", "urn:ietf:params:oauth:request_uri:x")],
            "invalid_request_uri",
        ),
        (
            "registration",
            &[("registration", "{}")],
            "registration_not_supported",
        ),
        (
            "nobody is signed in",
            &[("prompt", "none")],
            "login_required",
        ),
        (
            "nobody is signed in, by fragment",
            &[("prompt", "none"), ("response_mode", "fragment")],
            "login_required",
        ),
    ];
    for (what, changes, expected) in rows {
        let page = browser.get(server.authorize_url(&app, changes)).await;
        let mut answer = page.location();
        let in_front = |(name, value): &(&str, &str)| {
            (*name, *value) == ("response_mode", "fragment")
                || (*name == "response_type" && value.contains("token"))
        };
        if changes.iter().any(in_front) {
            assert_eq!(answer.query(), None, "{what}");
            let fragment = answer.fragment().unwrap().to_owned();
            answer.set_query(Some(&fragment));
        }
        assert!(answer.as_str().starts_with(REDIRECT), "{what}: {answer}");
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some(expected),
            "{what}"
        );
        assert!(parameter(&answer, "error_description").is_some(), "{what}");
        assert_eq!(
            parameter(&answer, "iss").as_deref(),
            Some(server.issuer.as_str()),
            "{what}"
        );
        let echoed = (what != "a state of 4 KB").then(|| "af0ifjsldkj".to_owned());
        assert_eq!(parameter(&answer, "state"), echoed, "{what}");
        assert_eq!(parameter(&answer, "code"), None, "{what}");
        assert_eq!(page.header("cache-control"), "no-store", "{what}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{what}");
    }
    server.stop().await;
}

/// Threats 15 and 26 are the reader's, whose tests lie beside it; here is that it is asked, and what it is asked for.
async fn oidc_3_1_2_1_an_id_token_hint_is_ours_and_for_the_client(stores: &Stores) {
    let server = started(stores).await;
    let (app, other) = (server.app().await, server.app().await);
    let now = server.clock.now();
    let account = server.person("grace@example.com").await;
    let ours = server.records.keys.ring();
    let ours = ours.signer(Algorithm::Es256, now).unwrap();
    let der = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let foreign = SigningKey::from_pkcs8(Algorithm::Es256, &der).unwrap();
    let good = json!({"iss": server.issuer, "sub": account.as_str(), "aud": app.id, "exp": 1});
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let id_token = async |claims: &Value| sign_jwt(JwtKind::IdToken, claims, &*ours).await.unwrap();
    let token = id_token(&good).await;
    let payload = token.split('.').nth(1).unwrap();
    let browser = Browser::new(&server);
    for (what, hint, accepted) in [
        ("good, and expired", token.clone(), true),
        (
            "for several",
            id_token(&with("aud", json!(["x", app.id]))).await,
            true,
        ),
        ("no JWT", "x".into(), false),
        ("an account", account.to_string(), false),
        ("cut", token[..token.len() - 1].to_owned(), false),
        ("longer", format!("{token}A"), false),
        ("too long", long(7000), false),
        (
            "of another key",
            sign_jwt(JwtKind::IdToken, &good, &foreign).await.unwrap(),
            false,
        ),
        (
            "of none",
            format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."),
            false,
        ),
        (
            "an access token",
            sign_jwt(JwtKind::AccessToken, &good, &*ours).await.unwrap(),
            false,
        ),
        (
            "of another issuer",
            id_token(&with("iss", json!("https://evil.example"))).await,
            false,
        ),
        (
            "for another client",
            id_token(&with("aud", json!(other.id))).await,
            false,
        ),
        ("for nobody", id_token(&with("aud", json!([]))).await, false),
        // What people are called is the client's and ours; nobody is called so.
        (
            "of somebody unknown",
            id_token(&with("sub", json!("x"))).await,
            true,
        ),
        (
            "without an end, as what userinfo signs",
            id_token(&with("exp", Value::Null)).await,
            false,
        ),
        (
            "of nobody",
            id_token(&with("sub", Value::Null)).await,
            false,
        ),
    ] {
        let url = server.authorize_url(&app, &[("id_token_hint", &hint), ("prompt", "none")]);
        let answer = browser.get(url).await.location();
        let expected = if accepted {
            "login_required"
        } else {
            "invalid_request"
        };
        let error = parameter(&answer, "error");
        assert_eq!(error.as_deref(), Some(expected), "{what}");
    }
    server.stop().await;
}

async fn rfc7636_4_3_the_challenge_matrix(stores: &Stores) {
    for policy in [PkcePolicy::Required, PkcePolicy::PublicOnly] {
        let mut config = config(stores);
        config.authorization.pkce = policy;
        let server = TestServer::start_with(config, Arc::default())
            .await
            .with_resources(None)
            .await;
        let mut tight = person::app(AuthMethod::ClientSecretBasic);
        tight.require_pkce = true;
        let confidential = server.app().await;
        let tight = server.register(tight).await;
        let public = server.register(person::app(AuthMethod::None)).await;
        let browser = Browser::new(&server);
        let short = &CHALLENGE[1..];
        for (client, bound) in [
            (&confidential, policy == PkcePolicy::Required),
            (&tight, true),
            (&public, true),
        ] {
            for (challenge, method, refused) in [
                (CHALLENGE, "S256", false),
                ("", "", bound),
                (CHALLENGE, "", true),
                (CHALLENGE, "plain", true),
                (CHALLENGE, "s256", true),
                (CHALLENGE, "S512", true),
                ("", "S256", true),
                ("", "plain", true),
                (short, "S256", true),
                ("not base64url but as long as a challenge is", "S256", true),
            ] {
                let changes = [
                    ("code_challenge", challenge),
                    ("code_challenge_method", method),
                    ("prompt", "none"),
                ];
                let answer = browser
                    .get(server.authorize_url(client, &changes))
                    .await
                    .location();
                // Nobody is signed in: what gets as far as that passed.
                let expected = if refused {
                    "invalid_request"
                } else {
                    "login_required"
                };
                assert_eq!(
                    parameter(&answer, "error").as_deref(),
                    Some(expected),
                    "{policy:?} {challenge} {method}"
                );
            }
        }
        server.stop().await;
    }
}

async fn threat_3_repeated_and_empty_parameters(stores: &Stores) {
    let server = started(stores).await;
    let app = server.app().await;
    let browser = Browser::new(&server);
    for name in [
        "client_id",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "prompt",
        "max_age",
        "login_hint",
        "id_token_hint",
        "code_challenge",
        "code_challenge_method",
        "request",
        "unknown",
    ] {
        for second in ["", "https://evil.example/cb"] {
            let url = server.authorize_url(&app, &[]);
            let first = if url.contains(&format!("{name}=")) {
                ""
            } else {
                &format!("&{name}=query")
            };
            let second =
                url::form_urlencoded::byte_serialize(second.as_bytes()).collect::<String>();
            let page = browser.get(format!("{url}{first}&{name}={second}")).await;
            if ["client_id", "redirect_uri"].contains(&name) {
                assert_eq!(
                    (page.status, page.header("location")),
                    (StatusCode::BAD_REQUEST, ""),
                    "{name}"
                );
            } else {
                let answer = page.location();
                assert!(answer.as_str().starts_with(REDIRECT), "{name}");
                assert_eq!(
                    parameter(&answer, "error").as_deref(),
                    Some("invalid_request"),
                    "{name}"
                );
                assert_eq!(
                    parameter(&answer, "state").is_some(),
                    name != "state",
                    "{name}"
                );
            }
        }
    }
    // Empty is absent; unknown is ignored (RFC 6749 §3.1).
    let url = server.authorize_url(&app, &[]);
    let page = browser
        .open(format!(
            "{url}&prompt=&max_age=&request=&display=popup&ui_locales=de&claims={{}}&foo=bar"
        ))
        .await;
    assert!(page.has("sign-in"), "{}", page.body);
    server.stop().await;
}
