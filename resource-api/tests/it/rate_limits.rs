//! How much may be asked (RFC 6585 §4, draft-ietf-httpapi-ratelimit-headers).

use std::time::Duration;

use reqwest::{Response, StatusCode};
use resource_api::Config;
use resource_api::config::Mode;
use shared_server::rate_limits::{Rate, RateLimitsConfig};

use crate::harness::{Api, FakeIssuer, Storage, on_both_stores, problem};

const HOUR: Duration = Duration::from_hours(1);

fn limits(address: u32, client: u32, account: u32) -> RateLimitsConfig {
    let rate = |requests| Rate {
        requests,
        per: HOUR,
    };
    RateLimitsConfig {
        address: rate(address),
        client: rate(client),
        account: rate(account),
        ..RateLimitsConfig::default()
    }
}

async fn api(storage: Storage, limits: RateLimitsConfig) -> Api {
    Api::start_with(storage, FakeIssuer::start().await, |config| {
        // Reached directly, so that addresses count.
        if limits.address.requests > 0 {
            config.resource.identifier = "http://api.example".parse().unwrap();
        }
        config.rate_limits = limits;
    })
    .await
}

/// A problem that names the limit; how long to wait.
async fn refused(response: Response, limit: &str) -> Duration {
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let wait = header("retry-after");
    assert_eq!(header("ratelimit"), format!("\"{limit}\";r=0;t={wait}"));
    let name = format!("\"{limit}\";q=");
    assert!(header("ratelimit-policy").starts_with(&name));
    let (status, problem) = problem(response).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(problem["type"], "urn:problem-type:too-many-requests");
    assert_eq!(problem["limit"], limit);
    Duration::from_secs(wait.parse().unwrap())
}

on_both_stores! {
    async fn a_client_is_refused_beyond_its_limit_with_any_of_its_tokens(storage: Storage) {
        let api = api(storage, limits(0, 3, 0)).await;
        for n in 0..3 {
            let mut claims = api.service_claims();
            claims["jti"] = format!("token-{n}").into();
            let response = api.me(&claims).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()["ratelimit-policy"], "\"client\";q=3;w=3600");
            let remaining = format!("\"client\";r={};t={}", 2 - n, (n + 1) * 1200);
            assert_eq!(response.headers()["ratelimit"], remaining);
        }
        // On shared stores the first is admitted unasked, and settled with the second.
        let wait = refused(api.me(&api.service_claims()).await, "client").await;
        let mut other = api.service_claims();
        other["sub"] = "service-2".into();
        other["client_id"] = "service-2".into();
        assert_eq!(api.me(&other).await.status(), StatusCode::OK);
        api.clock.advance(wait);
        let mut later = api.service_claims();
        later["exp"] = (later["exp"].as_i64().unwrap() + 7200).into();
        assert_eq!(api.me(&later).await.status(), StatusCode::OK);
    }

    async fn a_person_is_refused_beyond_their_limit_with_the_tokens_of_any_client(storage: Storage) {
        let api = api(storage, limits(0, 0, 3)).await;
        for n in 0..3 {
            let mut claims = api.person_claims("person-1");
            claims["client_id"] = format!("client-{n}").into();
            assert_eq!(api.me(&claims).await.status(), StatusCode::OK);
        }
        refused(api.me(&api.person_claims("person-1")).await, "account").await;
        let other = api.me(&api.person_claims("person-2")).await;
        assert_eq!(other.status(), StatusCode::OK);
        assert_eq!(api.me(&api.service_claims()).await.status(), StatusCode::OK);
    }

    async fn an_address_is_refused_beyond_its_limit_but_for_public_documents(storage: Storage) {
        let api = api(storage, limits(3, 0, 0)).await;
        for path in ["/nothing", "/api/v1/users/me", "/nothing"] {
            let response = api.get(path).await;
            assert_eq!(response.headers()["ratelimit-policy"], "\"address\";q=3;w=3600");
        }
        for path in ["/nothing", "/api/v1/users/me"] {
            refused(api.get(path).await, "address").await;
        }
        for path in ["/health", "/openapi.json", "/.well-known/oauth-protected-resource"] {
            let response = api.get(path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert!(!response.headers().contains_key("ratelimit"), "{path}");
        }
    }
}

#[test]
fn production_warns_of_what_is_not_limited_and_starts() {
    let mut config = Config {
        rate_limits: limits(0, 1, 1),
        ..Config::default()
    };
    assert_eq!(config.check(), []);
    assert!(config.warnings().is_empty(), "on one machine");
    config.server.mode = Mode::Production;
    let warnings = config.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("rate_limits.address.requests"));
}
