//! What surrounds a request.

use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, StatusCode, header as name};
use axum::response::IntoResponse;
use axum::routing::{get as route_get, post};
use serde_json::{Value, json};

use super::*;

fn app() -> Router {
    Router::new()
        .route(
            "/id",
            route_get(|Extension(id): Extension<RequestId>| async move { id.as_str().to_owned() }),
        )
        .route(
            "/peer",
            route_get(
                |ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.ip().to_string() },
            ),
        )
        .route(
            "/now",
            route_get(|Now(now): Now| async move { now.to_string() }),
        )
        .route("/panic", route_get(panics))
        .route("/slow", route_get(std::future::pending::<()>))
        .route(
            "/problem/{name}",
            route_get(|| async {
                Problem::new(StatusCode::CONFLICT, "name-taken", "The name is taken")
                    .with("name", "x")
            }),
        )
        .route(
            "/own",
            route_get(|| async {
                (
                    [
                        (name::CACHE_CONTROL, "max-age=60"),
                        (name::CONTENT_SECURITY_POLICY, "default-src 'self'"),
                    ],
                    "own",
                )
            }),
        )
        .route("/post", post(|| async {}))
        .route("/body", post(|_: String| async {}))
        .fallback(not_found)
}

async fn panics() {
    panic!("hunter2 is wrong");
}

fn problem(answer: &str) -> Value {
    assert_eq!(
        header(answer, "content-type"),
        Some("application/problem+json")
    );
    assert_eq!(
        header(answer, "content-length"),
        Some(&*body(answer).len().to_string())
    );
    let problem: Value = serde_json::from_str(body(answer)).unwrap();
    assert_eq!(problem["status"].to_string(), status(answer));
    assert_eq!(
        problem["request_id"].as_str(),
        header(answer, "x-request-id")
    );
    problem
}

#[tokio::test]
async fn a_request_id_is_taken_over_or_made_and_told_everywhere() {
    let server = Server::start(app(), Limits::default()).await;
    let answer = server
        .says(&get("/id", "X-Request-Id: abc-DEF_123\r\n"))
        .await;
    assert_eq!(header(&answer, "x-request-id"), Some("abc-DEF_123"));
    assert_eq!(body(&answer), "abc-DEF_123");
    for sent in [
        "",
        "X-Request-Id: short\r\n",
        "X-Request-Id: with space\r\n",
    ] {
        let answer = server.says(&get("/id", sent)).await;
        assert_eq!(body(&answer).len(), 22, "{sent}");
        assert_eq!(
            header(&answer, "x-request-id"),
            Some(body(&answer)),
            "{sent}"
        );
    }
}

#[tokio::test]
async fn handlers_learn_peer_and_time() {
    let server = Server::start(app(), Limits::default()).await;
    assert_eq!(body(&server.says(&get("/peer", "")).await), "127.0.0.1");
    assert!(body(&server.says(&get("/now", "")).await).starts_with("20"));
}

#[tokio::test]
async fn a_problem_carries_the_id_of_its_request() {
    let server = Server::start(app(), Limits::default()).await;
    let answer = server
        .says(&get("/problem/x", "X-Request-Id: abcdefgh\r\n"))
        .await;
    assert_eq!(
        problem(&answer),
        json!({"status": 409, "type": "urn:problem-type:name-taken", "title": "The name is taken", "request_id": "abcdefgh", "name": "x"})
    );
}

#[tokio::test]
async fn the_layers_own_refusals_are_problems() {
    let limits = Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(app(), limits).await;
    let post = |path: &str, length: usize| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: l\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        )
        .into_bytes()
    };
    for (what, request, code, slug) in [
        ("nothing there", get("/nowhere", ""), "404", "not-found"),
        (
            "another method",
            get("/post", ""),
            "405",
            "method-not-allowed",
        ),
        ("a panic", get("/panic", ""), "500", "internal"),
        ("too slow", get("/slow", ""), "503", "timed-out"),
        (
            "a body that does not come",
            post("/body", 10),
            "503",
            "timed-out",
        ),
        ("too long", post("/post", 70_000), "413", "body-too-large"),
        (
            "no host",
            b"GET /id HTTP/1.1\r\nConnection: close\r\n\r\n".to_vec(),
            "400",
            "ambiguous-host",
        ),
    ] {
        let answer = server.says(&request).await;
        assert_eq!(status(&answer), code, "{what}");
        assert_eq!(
            problem(&answer)["type"],
            format!("urn:problem-type:{slug}"),
            "{what}"
        );
        assert!(!answer.contains("hunter2"), "{what}: internals");
    }
}

#[tokio::test]
async fn rfc9110_15_5_6_a_405_says_what_is_allowed() {
    let server = Server::start(app(), Limits::default()).await;
    let answer = server.says(&get("/post", "")).await;
    assert_eq!(header(&answer, "allow"), Some("POST"));
}

#[tokio::test]
async fn security_headers_are_set_unless_a_handler_sets_its_own() {
    let server = Server::start(app(), Limits::default()).await;
    let expected = [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("cache-control", "no-store"),
    ];
    for path in ["/id", "/nowhere", "/panic", "/problem/x"] {
        let answer = server.says(&get(path, "")).await;
        for (name, value) in expected {
            assert_eq!(header(&answer, name), Some(value), "{path}");
        }
    }
    let own = server.says(&get("/own", "")).await;
    assert_eq!(header(&own, "cache-control"), Some("max-age=60"));
    assert_eq!(
        own.to_lowercase()
            .matches("content-security-policy")
            .count(),
        1
    );
}

#[tokio::test]
async fn requests_are_counted_by_route_method_and_status_and_no_other_label() {
    let server = Server::start(app(), Limits::default()).await;
    server.says(&get("/problem/first", "")).await;
    server.says(&get("/problem/second?x=y", "")).await;
    server.says(&get("/no/such/path", "")).await;
    server
        .says(b"BREW /pot HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")
        .await;
    let metrics = Server::start(
        crate::telemetry::metrics_router(server.registry.clone()),
        Limits::default(),
    )
    .await;
    let answer = metrics.says(&get("/metrics", "")).await;
    assert!(
        header(&answer, "content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    for (labels, count) in [
        (r#"method="GET",route="/problem/{name}",status="409""#, 2),
        (r#"method="GET",route="unmatched",status="404""#, 1),
        (r#"method="other",route="unmatched",status="404""#, 1),
    ] {
        let line = format!("http_request_duration_seconds_count{{{labels}}} {count}\n");
        assert!(answer.contains(&line), "{line} in {answer}");
    }
    for secret in ["first", "x=y", "such", "BREW"] {
        assert!(!answer.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn routers_with_limits_of_their_own_merge() {
    let registry = Registry::new();
    let observed = Observed {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        metrics: HttpMetrics::register(&registry).unwrap(),
        limits: Limits {
            body: 10,
            ..Limits::default()
        },
        edge: Edge::default(),
        refusals: None,
    };
    let roomy = Observed {
        limits: Limits {
            body: 100,
            ..Limits::default()
        },
        ..observed.clone()
    };
    let length = |body: axum::body::Bytes| async move { body.len().to_string().into_response() };
    let small = layers(Router::new().route("/small", post(length)), &observed);
    let large = layers(Router::new().route("/large", post(length)), &roomy);
    let mut app = small.merge(large);
    for (path, length, expected) in [
        ("/small", 10, 200),
        ("/small", 11, 413),
        ("/large", 100, 200),
        ("/large", 101, 413),
    ] {
        let request = axum::http::Request::post(path)
            .header(name::HOST, HeaderValue::from_static("localhost"))
            .body(axum::body::Body::from("x".repeat(length)))
            .unwrap();
        let response = tower::Service::call(&mut app, request).await.unwrap();
        assert_eq!(response.status(), expected, "{path} {length}");
    }
}
