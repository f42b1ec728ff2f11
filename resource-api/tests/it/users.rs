//! `/api/v1/users/me`.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Api, on_both_stores, problem};

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
    }

    async fn a_profile_cannot_be_written(storage: Storage) {
        let api = Api::start(storage).await;
        let token = api.sign(&api.service_claims()).await;
        let request = api.request(Method::PUT, "/api/v1/users/me").bearer_auth(token);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        let (status, body) = problem(response).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(body["type"], "urn:problem-type:method-not-allowed");
    }
}
