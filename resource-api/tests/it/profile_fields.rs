//! `/api/v1/users/me/fields/{field}`: enforced by authorization details (RFC 9396).

use reqwest::{Method, Response, StatusCode};
use resource_api::config::{Introspection, Policy};
use serde_json::{Value, json};
use shared_server::config::Secret;
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::harness::{Api, FakeIssuer, RESOURCE, on_both_stores, problem};

fn details(datatypes: &[&str]) -> Value {
    json!([{"type": "profile_fields", "actions": ["read"], "datatypes": datatypes}])
}

fn with(mut claims: Value, details: Value) -> Value {
    claims["authorization_details"] = details;
    claims["scope"] = "".into();
    claims
}

async fn field(api: &Api, name: &str, token: &str) -> Response {
    let request = api.request(Method::GET, &format!("/api/v1/users/me/fields/{name}"));
    request.bearer_auth(token).send().await.unwrap()
}

on_both_stores! {
    async fn rfc9396_9_a_token_reads_the_fields_that_it_names(storage: Storage) {
        let api = Api::start(storage).await;
        let claims = with(api.person_claims("person-1"), details(&["created_at", "sub"]));
        let token = api.sign(&claims).await;
        for (name, value) in [("sub", "person-1"), ("created_at", "2027-01-15T08:00:00Z")] {
            let response = field(&api, name, &token).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["cache-control"], "no-store");
            let body: Value = response.json().await.unwrap();
            assert_eq!(body, json!({"field": name, "value": value}));
        }
        for name in ["id", "iss"] {
            assert_eq!(field(&api, name, &token).await.status(), StatusCode::FORBIDDEN, "{name}");
        }
        // Nor is it a token for the whole of the profile.
        assert_eq!(api.me_with(&token).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(api.people().await, 1);
    }

    async fn what_is_missing_is_named_in_the_challenge(storage: Storage) {
        let api = Api::start(storage).await;
        let one = |detail: Value| Some(json!([detail]));
        for (what, granted) in [
            ("a scope alone", None),
            ("no details", Some(json!([]))),
            ("another field", Some(details(&["id"]))),
            ("no fields", Some(details(&[]))),
            ("no datatypes", one(json!({"type": "profile_fields", "actions": ["read"]}))),
            ("another type", one(json!({"type": "profile", "datatypes": ["sub"]}))),
            ("another case", one(json!({"type": "Profile_fields", "datatypes": ["sub"]}))),
            ("another action", one(json!({"type": "profile_fields", "actions": ["write"], "datatypes": ["sub"]}))),
            ("of another place", one(json!({"type": "profile_fields", "datatypes": ["sub"], "locations": ["https://other.example"]}))),
            ("with a bound that nobody here understands", one(json!({"type": "profile_fields", "datatypes": ["sub"], "identifier": "7"}))),
        ] {
            let mut claims = api.person_claims("person-1");
            if let Some(granted) = granted {
                claims["authorization_details"] = granted;
            }
            let response = field(&api, "sub", &api.sign(&claims).await).await;
            let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
            for part in [
                r#"Bearer error="insufficient_scope""#,
                r#"authorization_details="[{\"actions\":[\"read\"],\"datatypes\":[\"sub\"],\"type\":\"profile_fields\"}]""#,
                "resource_metadata=",
            ] {
                assert!(challenge.contains(part), "{what}: {challenge}");
            }
            let (status, body) = problem(response).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{what}");
            assert_eq!(body["type"], "urn:problem-type:insufficient-authorization-details", "{what}");
            assert_eq!(body["authorization_details"], details(&["sub"]), "{what}");
        }
        assert_eq!(api.people().await, 0);
    }

    async fn what_allows_it_in_other_ways(storage: Storage) {
        let api = Api::start(storage).await;
        for (what, granted) in [
            ("any action", json!([{"type": "profile_fields", "datatypes": ["sub"]}])),
            ("here", json!([{"type": "profile_fields", "datatypes": ["sub"], "locations": [RESOURCE]}])),
            ("the second of two", json!([{"type": "profile_fields", "datatypes": ["id"]}, {"type": "profile_fields", "datatypes": ["sub"]}])),
            ("beside another type", json!([{"type": "album", "x": 1}, {"type": "profile_fields", "datatypes": ["sub"]}])),
        ] {
            let claims = with(api.person_claims("person-1"), granted);
            let response = field(&api, "sub", &api.sign(&claims).await).await;
            assert_eq!(response.status(), StatusCode::OK, "{what}");
        }
    }

    async fn what_has_no_such_field_is_404_and_without_a_token_401(storage: Storage) {
        let api = Api::start(storage).await;
        let all = details(&["id", "iss", "sub", "created_at", "name"]);
        let person = api.sign(&with(api.person_claims("person-1"), all.clone())).await;
        for name in ["name", "Sub", "sub%20", "%ff", "sub/x", ""] {
            let (status, body) = problem(field(&api, name, &person).await).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{name}");
            assert_eq!(body["type"], "urn:problem-type:not-found", "{name}");
        }
        let service = api.sign(&with(api.service_claims(), all)).await;
        let (status, body) = problem(field(&api, "sub", &service).await).await;
        assert_eq!((status, &body["type"]), (StatusCode::NOT_FOUND, &json!("urn:problem-type:no-profile")));
        for name in ["sub", "name"] {
            let response = api.get(&format!("/api/v1/users/me/fields/{name}")).await;
            let (status, body) = problem(response).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}");
            assert_eq!(body["type"], "urn:problem-type:token-required", "{name}");
        }
        let request = api.request(Method::DELETE, "/api/v1/users/me/fields/sub");
        let refused = request.bearer_auth(&person).send().await.unwrap();
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    async fn rfc9396_9_2_by_introspection_as_by_the_token_itself(storage: Storage) {
        let issuer = FakeIssuer::start().await;
        let api = Api::start_with(storage, issuer, |config| {
            config.issuers[0].policy = Policy::Introspect;
            config.issuers[0].introspection = Some(Introspection {
                client_id: "the-api".parse().unwrap(),
                client_secret: Some(Secret::from("secret".to_owned())),
                client_key: None,
            });
        })
        .await;
        let mut answer = with(api.person_claims("person-1"), details(&["sub"]));
        answer["active"] = true.into();
        Mock::given(method("POST"))
            .and(path("/introspect"))
            .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
            .mount(&api.issuer.server)
            .await;
        assert_eq!(field(&api, "sub", "opaque").await.status(), StatusCode::OK);
        assert_eq!(field(&api, "id", "opaque").await.status(), StatusCode::FORBIDDEN);
    }
}
