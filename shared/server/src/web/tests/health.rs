//! Health, for everyone and for operators.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn the_process_lives_whatever_its_checks_say() {
    let health = Health::new(Shutdown::new()).check("database", || async { Err("gone") });
    let server = Server::start(health.router(), Limits::default()).await;
    for (path, expected) in [
        ("/health", "200"),
        ("/health/live", "200"),
        ("/health/ready", "503"),
    ] {
        let answer = server.says(&get(path, "")).await;
        assert_eq!((status(&answer), body(&answer)), (expected, ""), "{path}");
        assert_eq!(
            header(&answer, "retry-after").is_some(),
            expected == "503",
            "{path}"
        );
    }
}

#[tokio::test]
async fn readiness_follows_the_checks_and_ends_with_shutdown() {
    let (up, asked) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (checked, counted) = (Arc::clone(&up), Arc::clone(&asked));
    let shutdown = Shutdown::new();
    let health = Health::new(shutdown.clone())
        .check("cache", || async { Ok::<_, String>(()) })
        .check("database", move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let up = checked.load(Ordering::SeqCst);
            async move { if up { Ok(()) } else { Err("gone") } }
        });
    let now = tokio::time::Instant::now();
    assert!(health.is_ready(now).await);
    assert!(health.clone().is_ready(now).await);
    assert_eq!(
        asked.load(Ordering::SeqCst),
        1,
        "asked once a second at most"
    );
    up.store(false, Ordering::SeqCst);
    let now = now + Duration::from_secs(2);
    assert!(!health.is_ready(now).await);
    up.store(true, Ordering::SeqCst);
    let now = now + Duration::from_secs(2);
    assert!(health.is_ready(now).await);
    shutdown.trigger();
    assert!(!health.is_ready(now).await);
}

#[tokio::test]
async fn operators_learn_latency_and_reason() {
    let health = Health::new(Shutdown::new())
        .check("database", || async { Ok::<_, String>(()) })
        .check("redis", || async { Err("connection refused") })
        .check("storage", std::future::pending::<Result<(), String>>);
    let server = Server::start(health.operators_router(), Limits::default()).await;
    for (path, code, expected) in [
        ("/api/v1/health", "503", json!({"status": "down"})),
        (
            "/api/v1/health/database",
            "200",
            json!({"name": "database", "status": "up"}),
        ),
        (
            "/api/v1/health/redis",
            "503",
            json!({"name": "redis", "status": "down", "reason": "connection refused"}),
        ),
        (
            "/api/v1/health/all",
            "503",
            json!({"status": "down", "stopping": false, "checks": [
                {"name": "database", "status": "up"},
                {"name": "redis", "status": "down", "reason": "connection refused"},
                {"name": "storage", "status": "down", "reason": "no answer within 1 s"},
            ]}),
        ),
        ("/api/v1/health/other", "404", Value::Null),
    ] {
        let answer = server.says(&get(path, "")).await;
        assert_eq!(status(&answer), code, "{path}");
        if expected.is_null() {
            continue;
        }
        let mut told: Value = serde_json::from_str(body(&answer)).unwrap();
        let mut findings: Vec<&mut Value> = match path {
            "/api/v1/health/all" => told["checks"].as_array_mut().unwrap().iter_mut().collect(),
            "/api/v1/health" => Vec::new(),
            _ => vec![&mut told],
        };
        for finding in &mut findings {
            let latency = finding
                .as_object_mut()
                .unwrap()
                .remove("latency_ms")
                .unwrap();
            assert!(latency.as_f64().unwrap() >= 0.0, "{path}");
        }
        assert_eq!(told, expected, "{path}");
    }
}
