//! Requests of attackers: what they cannot change (threat 21), and what they cannot break (threats 30, 31); pages of other origins
//! (threat 32).

use std::net::SocketAddr;

use reqwest::Method;
use resource_api::config::AllowedOrigin;
use serde_json::json;
use shared_testing::wire::{broken_requests, get, says, status};

use crate::harness::{Api, FakeIssuer, on_both_stores};

const ME: &str = "/api/v1/users/me";
const METADATA: &str = "/.well-known/oauth-protected-resource";
const PAGE: &str = "https://app.example";

impl Api {
    async fn says(&self, request: &[u8]) -> String {
        let address: SocketAddr = self.base.strip_prefix("http://").unwrap().parse().unwrap();
        says(address, request).await
    }

    /// `Access-Control-Allow-Origin` of the answer to a page of this origin.
    async fn allows(&self, method: &Method, path: &str, origin: &str) -> (u16, String) {
        let request = self.request(method.clone(), path).header("origin", origin);
        let request = request.header("access-control-request-method", "GET");
        let response = request.send().await.unwrap();
        assert!(
            !response
                .headers()
                .contains_key("access-control-allow-credentials")
        );
        let allowed = response.headers().get("access-control-allow-origin");
        let allowed = allowed.map_or("", |origin| origin.to_str().unwrap());
        (response.status().as_u16(), allowed.to_owned())
    }
}

on_both_stores! {
    async fn threat_21_what_a_request_says_of_its_way_changes_no_answer(storage: Storage) {
        let api = Api::start(storage).await;
        for path in [METADATA, ME, "/openapi.json", "/docs", "/docs/", "/health", "/nothing"] {
            let settled = |answer: &str| {
                let lines = answer.split("\r\n").filter(|line| {
                    let line = line.to_ascii_lowercase();
                    !["date:", "x-request-id:", "ratelimit"].iter().any(|name| line.starts_with(name))
                });
                // The last member of a problem, an id.
                lines.collect::<Vec<_>>().join("\r\n").split("\"request_id\"").next().unwrap().to_owned()
            };
            let clean = settled(&api.says(&get(path, "")).await);
            for claim in [
                "Host: evil.example",
                "Host: ",
                "Forwarded: for=192.0.2.1;host=evil.example;proto=https",
                "X-Forwarded-For: 192.0.2.1",
                "X-Forwarded-Host: evil.example",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Port: 443",
                "X-Forwarded-Prefix: /evil",
                "X-Original-URL: /health",
                "X-Rewrite-URL: /health",
                "X-HTTP-Method-Override: DELETE",
                "Origin: https://evil.example",
                "Referer: https://evil.example/",
            ] {
                let host = if claim.starts_with("Host") { "" } else { "Host: localhost\r\n" };
                let request = format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n{claim}\r\n\r\n");
                let answer = api.says(request.as_bytes()).await;
                assert_eq!(settled(&answer), clean, "{path} with {claim}");
            }
            let absolute = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
            assert_eq!(settled(&api.says(absolute.as_bytes()).await), clean, "{path}, absolute");
        }
        api.stop().await;
    }

    async fn threats_30_31_broken_requests_are_refused_and_the_next_is_served(storage: Storage) {
        let api = Api::start(storage).await;
        for (what, request, right) in broken_requests(ME) {
            let answer = api.says(&request).await;
            assert!(right.contains(&status(&answer)), "{what}: {answer}");
        }
        let token = api.sign(&api.person_claims("person-1")).await;
        let long = "a".repeat(15_000);
        for (what, headers) in [
            ("a tab after Bearer", format!("Authorization: Bearer\t{token}\r\n")),
            ("two tokens", format!("Authorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n")),
            ("a list of tokens", format!("Authorization: Bearer {token}, Bearer {token}\r\n")),
            ("more after the token", format!("Authorization: Bearer {token} x\r\n")),
            ("a long token", format!("Authorization: Bearer {long}\r\n")),
            ("dots", format!("Authorization: Bearer {}\r\n", ".".repeat(15_000))),
        ] {
            let answer = api.says(&get(ME, &headers)).await;
            assert!(["400", "401"].contains(&status(&answer)), "{what}: {answer}");
            assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{what}: {answer}");
        }
        // Nested deeper than a stack is high.
        for claims in ["[", "{\"a\":"].map(|open| open.repeat(2000)) {
            use base64::Engine as _;
            let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            let header = encode(r#"{"alg":"ES256","typ":"at+jwt"}"#);
            for token in [format!("{header}.{}.AA", encode(&claims)), format!("{}.e30.AA", encode(&claims))] {
                let answer = api.says(&get(ME, &format!("Authorization: Bearer {token}\r\n"))).await;
                assert_eq!(status(&answer), "401", "{answer}");
            }
        }
        let me = api.me(&api.person_claims("person-1")).await;
        assert_eq!(me.status(), 200);
        let mut nested = json!(1);
        for _ in 0..100 {
            nested = json!([nested]);
        }
        let mut claims = api.person_claims("person-2");
        claims["nested"] = nested;
        assert!(!api.me(&claims).await.status().is_server_error());
        api.stop().await;
    }

    async fn threat_32_pages_of_configured_origins_may_call(storage: Storage) {
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.cors.origins = vec![PAGE.parse().unwrap()];
        })
        .await;
        for (path, origin, expected) in [
            (ME, PAGE, PAGE),
            (ME, "https://evil.example", ""),
            (ME, "https://app.example.evil.example", ""),
            (ME, "null", ""),
            (METADATA, "https://evil.example", "*"),
            ("/openapi.json", "https://evil.example", "*"),
            ("/docs/", PAGE, ""),
            ("/health", PAGE, ""),
            ("/nothing", PAGE, ""),
        ] {
            for method in [Method::GET, Method::DELETE, Method::OPTIONS] {
                let (code, allowed) = api.allows(&method, path, origin).await;
                assert_eq!(allowed, expected, "{method} {path} from {origin}");
                let may_go_on = method == Method::OPTIONS && !expected.is_empty();
                assert_eq!(code == 204, may_go_on, "{method} {path} from {origin}");
            }
        }
        api.stop().await;
    }

    async fn pages_call_from_nowhere_or_everywhere_as_configured(storage: Storage) {
        let api = Api::start(storage).await;
        let (_, allowed) = api.allows(&Method::GET, ME, PAGE).await;
        assert_eq!(allowed, "");
        let Api { storage, .. } = api;
        let api = Api::start_with(storage, FakeIssuer::start().await, |config| {
            config.cors.origins = vec![AllowedOrigin::Any];
        })
        .await;
        for origin in [PAGE, "null"] {
            assert_eq!(api.allows(&Method::GET, ME, origin).await, (401, "*".to_owned()));
            assert_eq!(api.allows(&Method::OPTIONS, ME, origin).await, (204, "*".to_owned()));
        }
        assert_eq!(api.me(&api.person_claims("person-1")).await.status(), 200);
        api.stop().await;
    }
}
