//! What the API tells of itself, and what it says where there is nothing.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Api, FakeIssuer, on_both_stores, problem};

on_both_stores! {
    async fn rfc9728_2_protected_resource_metadata(storage: Storage) {
        let api = Api::start(storage).await;
        let response = api.get("/.well-known/oauth-protected-resource").await;
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["cache-control"], "public, max-age=300");
        let metadata: Value = response.json().await.unwrap();
        assert_eq!(metadata, json!({
            "resource": "https://api.example",
            "authorization_servers": [api.issuer.identifier()],
            "scopes_supported": ["profile:read", "profile:write"],
            "bearer_methods_supported": ["header"],
            "authorization_details_types_supported": ["profile_fields"],
            "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"],
        }));
    }

    async fn rfc9728_3_1_the_path_of_the_identifier_follows_the_well_known_path(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.resource.identifier = "https://api.example/:tenant/*x".parse().unwrap();
        })
        .await;
        let place = "/.well-known/oauth-protected-resource/:tenant/*x";
        let metadata: Value = api.get(place).await.json().await.unwrap();
        assert_eq!(metadata["resource"], "https://api.example/:tenant/*x");
        for elsewhere in [
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/a/x",
        ] {
            let (status, _) = problem(api.get(elsewhere).await).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{elsewhere}");
        }
        let challenge = api.get("/api/v1/users/me").await.headers()["www-authenticate"].clone();
        let expected = format!("resource_metadata=\"https://api.example{place}\"");
        assert!(challenge.to_str().unwrap().ends_with(&expected), "{challenge:?}");
    }

    async fn where_there_is_nothing_a_problem_says_so(storage: Storage) {
        let api = Api::start(storage).await;
        for place in ["/", "/api/v1/users", "/api/v1/health/all", "/metrics", "/docs/none.js"] {
            let (status, body) = problem(api.get(place).await).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{place}");
            assert_eq!(body["type"], "urn:problem-type:not-found", "{place}");
        }
    }

    async fn the_description_of_the_api_is_served(storage: Storage) {
        let api = Api::start(storage).await;
        let served: Value = api.get("/openapi.json").await.json().await.unwrap();
        assert_eq!(served, serde_json::to_value(resource_api::openapi()).unwrap());
        assert_eq!(served["openapi"], "3.1.0");
    }

    async fn the_documentation_loads_nothing_from_elsewhere(storage: Storage) {
        let api = Api::start(storage).await;
        for (place, kind) in [
            ("/docs", "text/html"),
            ("/docs/swagger-initializer.js", "text/javascript"),
        ] {
            let response = api.get(place).await;
            assert_eq!(response.status(), StatusCode::OK, "{place}");
            assert_eq!(response.headers()["content-type"], kind, "{place}");
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
            let page = response.text().await.unwrap();
            assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
            assert!(!page.contains("=\"//"), "{page}");
        }
        let initializer = api.get("/docs/swagger-initializer.js").await.text().await.unwrap();
        assert!(initializer.contains("/openapi.json"), "{initializer}");
        for file in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js"] {
            let response = api.get(&format!("/docs/{file}")).await;
            assert_eq!(response.status(), StatusCode::OK, "{file}");
        }
    }
}

#[test]
fn the_description_of_the_api() {
    insta::assert_json_snapshot!(resource_api::openapi());
}
