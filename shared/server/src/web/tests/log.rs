//! One line for each request, and nothing secret in it.

use std::fmt;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;
use tracing::instrument::WithSubscriber;

use super::*;
use crate::telemetry::{LogFormat, LogSettings, TraceSettings, dispatch};

#[derive(Debug)]
struct Failed(&'static str, Option<Box<Failed>>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

async fn token(_body: String) -> &'static str {
    tracing::Span::current().record("client_id", "client-1");
    tracing::Span::current().record("grant_type", "refresh_token");
    tracing::info!("inside");
    "hunter2-answer"
}

async fn fails() -> Response {
    let source = Failed("connection refused\nforged line", None);
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Try again")
        .because(Failed("no connection", Some(Box::new(source))))
        .into_response()
}

/// Runs `request` through the layers and gives what was logged.
async fn logged(format: LogFormat, request: axum::http::Request<axum::body::Body>) -> String {
    let captured = Captured::default();
    let settings = LogSettings {
        format,
        filter: "trace".to_owned(),
    };
    let writer = captured.clone();
    let traces = TraceSettings::named("test");
    let (dispatch, _) = dispatch(&settings, &traces, move || writer.clone()).unwrap();
    let work = async {
        let observed = Observed {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            metrics: HttpMetrics::register(&Registry::new()).unwrap(),
            limits: Limits::default(),
            edge: Edge::default(),
            refusals: None,
        };
        let app = Router::new()
            .route("/token/{id}", post(token))
            .route("/fails", post(fails));
        let mut app = layers(app, &observed);
        let response = tower::Service::call(&mut app, request).await.unwrap();
        axum::body::to_bytes(response.into_body(), 10_000)
            .await
            .unwrap();
    };
    work.with_subscriber(dispatch).await;
    captured.text()
}

fn secretive(path: &str) -> axum::http::Request<axum::body::Body> {
    axum::http::Request::post(format!("{path}?code=hunter2-query"))
        .header("host", "hunter2-host")
        .header("authorization", "Bearer hunter2-header")
        .header("cookie", "session=hunter2-cookie")
        .header("x-request-id", "request-1")
        .body(axum::body::Body::from("password=hunter2-body"))
        .unwrap()
}

#[tokio::test]
async fn a_request_is_one_line_with_its_route_and_what_its_handler_recorded() {
    let log = logged(LogFormat::Json, secretive("/token/hunter2-path")).await;
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [inside, ended] = &lines[..] else {
        panic!("{log}")
    };
    assert_eq!(
        inside["span"]["request_id"], "request-1",
        "every line has the id"
    );
    assert_eq!(ended["level"], "INFO");
    assert_eq!(ended["route"], "/token/{id}");
    assert_eq!(ended["method"], "POST");
    assert_eq!(ended["status"], "200");
    assert!(ended["elapsed_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(ended["span"]["request_id"], "request-1");
    assert_eq!(ended["span"]["client_id"], "client-1");
    assert_eq!(ended["span"]["grant_type"], "refresh_token");
    assert_eq!(ended.get("cause"), None);
}

#[tokio::test]
async fn a_trace_that_a_request_names_stands_in_every_line_though_nobody_is_told() {
    let trace = "0af7651916cd43dd8448eb211c80319c";
    for (sent, told) in [
        (format!("00-{trace}-b7ad6b7169203331-01"), true),
        (format!("00-{trace}-hunter2-01"), false),
    ] {
        let mut request = secretive("/token/1");
        let sent = HeaderValue::try_from(sent).unwrap();
        request.headers_mut().insert("traceparent", sent);
        let log = logged(LogFormat::Json, request).await;
        assert_eq!(
            log.matches(trace).count(),
            if told { 2 } else { 0 },
            "{log}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_the_code_that_its_client_reads() {
    let log = logged(LogFormat::Json, secretive("/nowhere")).await;
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(line["error"], Value::Null, "not every 404 is a problem");
    let log = logged(LogFormat::Json, secretive("/fails")).await;
    let line: Value = serde_json::from_str(&log).unwrap();
    assert_eq!(
        (&line["error"], &line["status"]),
        (&"unavailable".into(), &"503".into())
    );
}

#[tokio::test]
async fn a_failure_is_a_warning_with_its_causes_on_one_line() {
    for format in [LogFormat::Json, LogFormat::Text] {
        let log = logged(format, secretive("/fails")).await;
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.contains("WARN"), "{log}");
        assert!(log.contains("no connection: connection refused"), "{log}");
        assert!(log.contains("request-1"), "{log}");
    }
}

#[tokio::test]
async fn threat_39_nothing_that_a_client_sends_or_gets_is_logged() {
    for format in [LogFormat::Json, LogFormat::Text] {
        for path in ["/token/hunter2-path", "/fails", "/hunter2-nowhere"] {
            let log = logged(format, secretive(path)).await;
            assert!(log.contains("request-1"), "{log}");
            assert!(!log.contains("hunter2"), "{log}");
        }
    }
}

#[tokio::test]
async fn traces_that_cannot_be_sent_are_refused() {
    let off = || TraceSettings::named("test");
    let to = |url: &str| TraceSettings {
        otlp_endpoint: url.to_owned(),
        ..off()
    };
    let with = |headers: &str| TraceSettings {
        headers: Some(headers.to_owned().into()),
        ..to("https://collector.example/v1/traces")
    };
    for (what, settings, key) in [
        ("off", off(), None),
        ("http", to("http://localhost:4318/v1/traces"), None),
        ("headers", with("authorization: Bearer x\nx-y: z\n"), None),
        ("no URL", to("localhost"), Some("otlp_endpoint")),
        (
            "another scheme",
            to("ftp://localhost/"),
            Some("otlp_endpoint"),
        ),
        (
            "credentials",
            to("http://a:hunter2@localhost/"),
            Some("otlp_endpoint"),
        ),
        ("no header", with("Bearer hunter2"), Some("headers")),
        (
            "a header that breaks off",
            with("a: hunter2\u{1}"),
            Some("headers"),
        ),
        (
            "a share above all",
            TraceSettings {
                sample: 1.1,
                ..off()
            },
            Some("sample"),
        ),
        (
            "no share",
            TraceSettings {
                sample: f64::NAN,
                ..off()
            },
            Some("sample"),
        ),
        (
            "no name",
            TraceSettings {
                service_name: String::new(),
                ..off()
            },
            Some("service_name"),
        ),
    ] {
        let problems = settings.problems();
        let keys: Vec<_> = problems.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, Vec::from_iter(key), "{what}");
        assert!(
            !format!("{problems:?} {settings:?}").contains("Bearer x"),
            "{what}"
        );
        let log = LogSettings::default();
        let refused = dispatch(&log, &settings, io::sink).is_err();
        assert_eq!(
            refused,
            matches!(key, Some("otlp_endpoint" | "headers")),
            "{what}"
        );
    }
}

#[test]
fn a_filter_that_cannot_be_read_is_refused() {
    for (filter, good) in [
        ("info", true),
        ("warn,auth_server=debug", true),
        ("off", true),
        ("loud", false),
        ("", false),
        ("info,auth_server", false),
        ("auth_server=loud", false),
        ("a=b=c", false),
    ] {
        let settings = LogSettings {
            format: LogFormat::Text,
            filter: filter.to_owned(),
        };
        let traces = TraceSettings::named("test");
        let made = dispatch(&settings, &traces, io::sink);
        assert_eq!(made.is_ok(), good, "{filter}");
    }
}
