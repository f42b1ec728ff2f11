//! Which tokens are accepted, and the challenges of RFC 6750 §3 on the wire.

use std::time::Duration;

use reqwest::header::AUTHORIZATION;
use reqwest::{Method, StatusCode};
use resource_api::config::{Introspection, Policy};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, sign_jwt};
use shared_server::config::Secret;
use wiremock::matchers::{body_string_contains, header, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::harness::{Api, FakeIssuer, new_key, on_both_stores, problem};

const METADATA: &str =
    r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource""#;

on_both_stores! {
    async fn rfc6750_3_who_sends_no_token_learns_no_error_code(storage: Storage) {
        let api = Api::start(storage).await;
        for (what, authorization) in [
            ("nothing", None),
            ("another scheme", Some("Basic c2VydmljZS0xOnNlY3JldA==")),
        ] {
            let mut request = api.request(Method::GET, "/api/v1/users/me");
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.unwrap();
            assert_eq!(
                response.headers()["www-authenticate"],
                format!("Bearer scope=\"profile:read\", {METADATA}"),
                "{what}"
            );
            let (status, body) = problem(response).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
            assert_eq!(body["type"], "urn:problem-type:token-required", "{what}");
        }
    }

    async fn fapi2_5_4_1_an_operator_says_which_algorithms_are_good(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.tokens.algorithms = vec![Algorithm::EdDsa, Algorithm::Ps256];
        })
        .await;
        // The issuer signs with ES256.
        let token = api.sign(&api.service_claims()).await;
        refused(&api, &token, "another algorithm").await;
        let response = api.get("/api/v1/users/me").await;
        let challenges = response.headers().get_all("www-authenticate").iter();
        let algorithms = "algs=\"EdDSA Ed25519 PS256\"";
        let told = challenges.filter(|line| line.to_str().unwrap().contains(algorithms));
        assert_eq!(told.count(), 1);
        let metadata = api.get("/.well-known/oauth-protected-resource").await;
        let metadata: Value = metadata.json().await.unwrap();
        let told = &metadata["dpop_signing_alg_values_supported"];
        assert_eq!(*told, json!(["EdDSA", "Ed25519", "PS256"]));
    }

    async fn rfc9068_4_what_is_no_good_token_is_invalid_token(storage: Storage) {
        let api = Api::start(storage).await;
        let now = api.service_claims()["iat"].as_i64().unwrap();
        for (what, claim, value) in [
            ("another audience", "aud", json!("https://other.example")),
            ("no audience", "aud", Value::Null),
            ("another issuer", "iss", json!("https://other.example")),
            ("expired this second", "exp", json!(now)),
            ("not valid yet", "nbf", json!(now + 60)),
            ("bound to nobody knows what", "cnf", json!({ "jkt": "x" })),
            ("no subject", "sub", Value::Null),
            ("no client", "client_id", Value::Null),
        ] {
            let mut claims = api.service_claims();
            claims[claim] = value;
            refused(&api, &api.sign(&claims).await, what).await;
        }
        let claims = api.service_claims();
        let assertion = sign_jwt(JwtKind::ClientAssertion, &claims, &api.issuer.key).await;
        refused(&api, &assertion.unwrap(), "a client assertion").await;
        let stranger = sign_jwt(JwtKind::AccessToken, &claims, &new_key()).await;
        refused(&api, &stranger.unwrap(), "a stranger's key").await;
        refused(&api, "an-opaque-token", "opaque").await;
    }

    async fn a_remembered_token_expires_all_the_same(storage: Storage) {
        let api = Api::start(storage).await;
        let token = api.sign(&api.service_claims()).await;
        assert_eq!(api.me_with(&token).await.status(), StatusCode::OK);
        api.clock.advance(Duration::from_mins(5));
        refused(&api, &token, "expired since").await;
    }

    async fn rfc6750_3_1_insufficient_scope_names_the_scope_needed(storage: Storage) {
        let api = Api::start(storage).await;
        let mut claims = api.service_claims();
        claims["scope"] = "profile:write".into();
        let response = api.me(&claims).await;
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        for part in [r#"error="insufficient_scope""#, r#"scope="profile:read""#, METADATA] {
            assert!(challenge.contains(part), "{challenge}");
        }
        let (status, body) = problem(response).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(body["type"], "urn:problem-type:insufficient-scope");
        assert_eq!(body["scope"], "profile:read");
    }

    async fn rfc6750_3_1_a_header_that_cannot_be_read_is_invalid_request(storage: Storage) {
        let api = Api::start(storage).await;
        let good = format!("Bearer {}", api.sign(&api.service_claims()).await);
        for (what, headers) in [
            ("a space in the token", vec!["Bearer a b"]),
            ("a tab for the space", vec!["Bearer\ta"]),
            ("two headers", vec![&good, &good]),
        ] {
            let mut request = api.request(Method::GET, "/api/v1/users/me");
            for value in headers {
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.unwrap();
            let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
            assert!(challenge.contains(r#"error="invalid_request""#), "{what}: {challenge}");
            let (status, body) = problem(response).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{what}");
            assert_eq!(body["type"], "urn:problem-type:invalid-authorization", "{what}");
        }
    }

    async fn every_route_of_the_description_asks_for_a_token_with_its_scope_or_its_details(storage: Storage) {
        let api = Api::start(storage).await;
        let described = serde_json::to_value(resource_api::openapi()).unwrap();
        let mut claims = api.service_claims();
        claims["scope"] = "none".into();
        let token = api.sign(&claims).await;
        let mut routes = 0;
        for (path, methods) in described["paths"].as_object().unwrap() {
            for (method, route) in methods.as_object().unwrap() {
                // What asks for no scope asks for authorization details.
                assert!(route["security"][0]["bearer"].is_array(), "{method} {path}");
                let mut path = path.clone();
                for parameter in route["parameters"].as_array().into_iter().flatten() {
                    let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
                    path = path.replace(&name, parameter["example"].as_str().unwrap());
                }
                let method: Method = method.to_uppercase().parse().unwrap();
                let request = || api.request(method.clone(), &path);
                let stranger = request().send().await.unwrap();
                assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
                let lacking = request().bearer_auth(&token).send().await.unwrap();
                assert_eq!(lacking.status(), StatusCode::FORBIDDEN, "{method} {path}");
                routes += 1;
            }
        }
        assert!(routes > 0);
    }

    async fn an_issuer_that_was_never_reached_is_503_and_not_the_token_s_fault(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::silent().await, |_| {}).await;
        let response = api.me(&api.service_claims()).await;
        assert!(response.headers().get("www-authenticate").is_none());
        assert!(response.headers().contains_key("retry-after"));
        let (status, body) = problem(response).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body["type"], "urn:problem-type:issuer-unavailable");
    }

    async fn rfc7662_the_issuer_is_asked_if_so_configured(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.issuers[0].policy = Policy::Introspect;
            config.issuers[0].introspection = Some(Introspection {
                client_id: "api".parse().unwrap(),
                client_secret: Some(Secret::from("secret".to_owned())),
                client_key: None,
            });
        })
        .await;
        let mut active = api.service_claims();
        active["active"] = true.into();
        for (token, answer) in [("good", active), ("revoked", json!({ "active": false }))] {
            Mock::given(method("POST"))
                .and(path("/introspect"))
                .and(header("authorization", "Basic YXBpOnNlY3JldA=="))
                .and(body_string_contains(format!("token={token}&")))
                .respond_with(ResponseTemplate::new(200).set_body_json(answer))
                .mount(&api.issuer.server)
                .await;
        }
        let me: Value = api.me_with("good").await.json().await.unwrap();
        assert_eq!(me["client_id"], "service-1");
        refused(&api, "revoked", "revoked").await;
    }
}

/// 401 `invalid_token`, with a challenge and a problem.
async fn refused(api: &Api, token: &str, what: &str) {
    let response = api.me_with(token).await;
    let challenge = response.headers()["www-authenticate"]
        .to_str()
        .unwrap()
        .to_owned();
    let bearer = r#"Bearer error="invalid_token", error_description=""#;
    assert!(challenge.starts_with(bearer), "{what}: {challenge}");
    assert!(challenge.ends_with(METADATA), "{what}: {challenge}");
    assert_eq!(response.headers()["cache-control"], "no-store", "{what}");
    let (status, body) = problem(response).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
    assert_eq!(body["type"], "urn:problem-type:invalid-token", "{what}");
}
