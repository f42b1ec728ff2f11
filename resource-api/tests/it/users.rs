//! `/api/v1/users/me`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Api, FakeIssuer, on_both_stores, problem};

const ME: &str = "/api/v1/users/me";

/// The claims of a person who may change their profile.
fn writing(api: &Api, sub: &str) -> Value {
    let mut claims = api.person_claims(sub);
    claims["scope"] = "profile:write".into();
    claims
}

async fn put(api: &Api, claims: &Value, body: &Value) -> reqwest::Response {
    let token = api.sign(claims).await;
    let request = api.request(Method::PUT, ME).bearer_auth(token);
    request.json(body).send().await.unwrap()
}

on_both_stores! {
    async fn a_service_is_answered_without_a_row(storage: Storage) {
        let api = Api::start(storage).await;
        let mut with_auth_time = api.service_claims();
        with_auth_time["auth_time"] = with_auth_time["iat"].clone();
        for claims in [api.service_claims(), with_auth_time] {
            let response = api.me(&claims).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let me: Value = response.json().await.unwrap();
            assert_eq!(me, json!({
                "type": "client", "client_id": "service-1", "scope": "profile:read",
            }));
        }
        assert_eq!(api.people().await, 0);
    }

    async fn a_person_gets_one_row_however_often_they_come(storage: Storage) {
        let api = Api::start(storage).await;
        let first: Value = api.me(&api.person_claims("person-1")).await.json().await.unwrap();
        assert_eq!(first["type"], "person");
        assert_eq!(first["iss"], api.issuer.identifier());
        assert_eq!(first["sub"], "person-1");
        assert_eq!(first["created_at"], "2027-01-15T08:00:00Z");
        assert_eq!(first["id"].as_str().unwrap().len(), 22);
        api.clock.advance(std::time::Duration::from_mins(1));
        let again: Value = api.me(&api.person_claims("person-1")).await.json().await.unwrap();
        assert_eq!(again, first);
        let other: Value = api.me(&api.person_claims("person-2")).await.json().await.unwrap();
        assert_ne!(other["id"], first["id"]);
        assert_eq!(api.people().await, 2);
    }

    async fn fifty_first_requests_at_once_make_one_person(storage: Storage) {
        let api = Api::start(storage).await;
        let token = api.sign(&api.person_claims("person-1")).await;
        let mut requests = JoinSet::new();
        for _ in 0..50 {
            let request = api.request(Method::GET, "/api/v1/users/me").bearer_auth(&token);
            requests.spawn(async move {
                let response = request.send().await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                response.json::<Value>().await.unwrap()
            });
        }
        let mut answers = requests.join_all().await;
        assert_eq!(answers.len(), 50);
        answers.dedup();
        assert_eq!(answers.len(), 1);
        assert_eq!(api.people().await, 1);
    }

    async fn a_token_of_neither_client_nor_signed_in_person_is_403(storage: Storage) {
        let api = Api::start(storage).await;
        let mut claims = api.person_claims("person-1");
        claims.as_object_mut().unwrap().remove("auth_time");
        let (status, body) = problem(api.me(&claims).await).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(body["type"], "urn:problem-type:no-person");
        assert_eq!(api.people().await, 0);
        // For whom another issuer spoke, nobody need say when they signed in; that they have a grant tells.
        claims["grant_id"] = json!("grt_0000000000000000000000");
        let me = api.me(&claims).await;
        assert_eq!(me.status(), StatusCode::OK);
        assert_eq!(me.json::<Value>().await.unwrap()["type"], "person");
    }

    async fn a_person_says_what_they_want_to_be_called(storage: Storage) {
        let api = Api::start(storage).await;
        let claims = writing(&api, "person-1");
        for (name, shown) in [
            (json!("Ada"), json!("Ada")),
            (json!("Grace \u{1F40D}"), json!("Grace \u{1F40D}")),
            (Value::Null, Value::Null),
            (json!("x".repeat(200)), json!("x".repeat(200))),
        ] {
            let changed = put(&api, &claims, &json!({"display_name": name})).await;
            assert_eq!(changed.status(), StatusCode::OK);
            let changed: Value = changed.json().await.unwrap();
            assert_eq!(changed["display_name"], shown);
            let me: Value = api.me(&api.person_claims("person-1")).await.json().await.unwrap();
            assert_eq!(me, changed);
        }
        let other: Value = api.me(&api.person_claims("person-2")).await.json().await.unwrap();
        assert_eq!(other["display_name"], Value::Null);
        assert_eq!(api.people().await, 2);
    }

    async fn other_methods_are_refused(storage: Storage) {
        let api = Api::start(storage).await;
        let token = api.sign(&api.service_claims()).await;
        let request = api.request(Method::DELETE, ME).bearer_auth(token);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET,HEAD,PUT");
        let (status, body) = problem(response).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(body["type"], "urn:problem-type:method-not-allowed");
    }

    async fn what_cannot_be_a_profile_is_refused(storage: Storage) {
        let api = Api::start(storage).await;
        let person = writing(&api, "person-1");
        let mut service = api.service_claims();
        service["scope"] = "profile:write".into();
        let reader = api.person_claims("person-1");
        let good = json!({"display_name": "Ada"});
        for (what, claims, body, status) in [
            ("empty", &person, json!({"display_name": ""}), 400),
            ("blank", &person, json!({"display_name": " "}), 400),
            ("too long", &person, json!({"display_name": "x".repeat(201)}), 400),
            ("control characters", &person, json!({"display_name": "a\u{7}"}), 400),
            ("a number", &person, json!({"display_name": 5}), 400),
            ("something else", &person, json!({"display_name": "Ada", "id": "x"}), 400),
            ("a list", &person, json!([]), 400),
            ("too much", &person, json!({"display_name": "x".repeat(70_000)}), 413),
            ("a service", &service, good.clone(), 403),
            ("without the scope", &reader, good, 403),
        ] {
            let (answered, _) = problem(put(&api, claims, &body).await).await;
            assert_eq!(answered.as_u16(), status, "{what}");
        }
        let token = api.sign(&person).await;
        for (kind, body, status) in [
            ("text/plain", "{}", 415),
            ("application/json", "{", 400),
            ("application/json; charset=utf-8", "", 400),
        ] {
            let request = api.request(Method::PUT, ME).bearer_auth(&token);
            let request = request.header("content-type", kind).body(body);
            let (answered, _) = problem(request.send().await.unwrap()).await;
            assert_eq!(answered.as_u16(), status, "{kind} {body}");
        }
        assert_eq!(api.people().await, 0, "nobody was met");
    }

    async fn rfc9470_3_a_change_takes_a_sign_in_that_will_do(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.step_up.acr_values = vec!["urn:example:strong".into()];
            config.step_up.max_age = Some("5m".parse().unwrap());
        })
        .await;
        let claims = writing(&api, "person-1");
        let mut strong = claims.clone();
        strong["acr"] = "urn:example:strong".into();
        let mut old = strong.clone();
        let issued_at = old["iat"].as_i64().unwrap();
        old["auth_time"] = (issued_at - 301).into();
        let good = json!({"display_name": "Ada"});
        for (what, claims) in [("no level", &claims), ("too long ago", &old)] {
            let refused = put(&api, claims, &good).await;
            let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
            for part in [
                "Bearer error=\"insufficient_user_authentication\", ",
                "acr_values=\"urn:example:strong\", max_age=\"300\", ",
                "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"",
            ] {
                assert!(challenge.contains(part), "{what}: {challenge}");
            }
            let (status, body) = problem(refused).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
            assert_eq!(body["type"], "urn:problem-type:insufficient-user-authentication");
            assert_eq!(body["acr_values"], "urn:example:strong");
            assert_eq!(body["max_age"], "300");
            // To read takes no more than before.
            let mut reading = claims.clone();
            reading["scope"] = "profile:read".into();
            assert_eq!(api.me(&reading).await.status(), StatusCode::OK, "{what}");
        }
        assert_eq!(put(&api, &strong, &good).await.status(), StatusCode::OK);
    }
}
