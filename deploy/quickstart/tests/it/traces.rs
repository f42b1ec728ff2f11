//! What a collector of traces is told: requests with what they asked of the database, and nothing secret (threat 39).

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as AnyValue;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::flow::{Flow, NONCE, STATE, VERIFIER};
use crate::forms::Person;
use crate::process::{Place, http, send};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector that keeps what it is sent, byte for byte. Tests of it have a second thread: it must answer while they wait for the
/// program to end.
#[derive(Clone)]
struct Collector {
    url: String,
    sent: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn start(answer: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            url: format!("http://{}/v1/traces", listener.local_addr().unwrap()),
            sent: Arc::default(),
        };
        let sent = Arc::clone(&collector.sent);
        let app = Router::new()
            .route(
                "/v1/traces",
                post(
                    async move |State(sent): State<Arc<Mutex<Vec<_>>>>,
                                headers: HeaderMap,
                                body: Bytes| {
                        sent.lock().unwrap().push((headers, body));
                        answer
                    },
                ),
            )
            .with_state(sent);
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    fn spans(&self) -> Vec<Span> {
        let sent = self.sent.lock().unwrap();
        let requests = sent
            .iter()
            .map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap());
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }
}

fn attributes(span: &Span) -> HashMap<String, String> {
    let pairs = span.attributes.iter().map(|pair| {
        let value = pair.value.clone().and_then(|value| value.value).unwrap();
        let value = match value {
            AnyValue::StringValue(text) => text,
            AnyValue::IntValue(number) => number.to_string(),
            AnyValue::BoolValue(_)
            | AnyValue::DoubleValue(_)
            | AnyValue::ArrayValue(_)
            | AnyValue::KvlistValue(_)
            | AnyValue::BytesValue(_)
            | AnyValue::StringValueStrindex(_) => panic!("{}: {value:?}", pair.key),
        };
        (pair.key.clone(), value)
    });
    pairs.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Traces to `collector`, and a log in which lines can be found again.
fn traced(place: &Place, collector: &Collector) -> String {
    let config = place.file("auth.toml");
    let operations = place.spare_port;
    let text = format!(
        "[server]\noperations_listen = [\"127.0.0.1:{operations}\"]\n[log]\nfilter = \"info\"\nformat = \"json\"\n\
         [traces]\notlp_endpoint = \"{}\"\nheaders = \"x-collector-key: a-key-of-the-collector\"\n",
        collector.url
    );
    std::fs::write(&config, text).unwrap();
    config.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_continues_the_trace_it_names_and_tells_what_it_asked_of_the_database() {
    let place = Place::new();
    let collector = Collector::start(StatusCode::OK).await;
    let config = traced(&place, &collector);
    let running = place.start(&["--auth-config", &config]);
    let service = place.service();
    let api = place.api("");
    let form = [("grant_type", "client_credentials"), ("resource", &api)];
    let request = service.on(http().post(place.auth("/oauth/token")));
    let named = request
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("x-request-id", "request-1234");
    assert_eq!(send(named.form(&form)).await.status(), 200);
    let unwanted = http().get(place.auth("/oauth/jwks")).header(
        "traceparent",
        "00-11111111111111111111111111111111-2222222222222222-00",
    );
    assert_eq!(send(unwanted).await.status(), 200);
    assert_eq!(place.me(None).await.status(), 401);
    let log = running.log();
    assert!(running.stop("-TERM").success(), "{log}");

    let spans = collector.spans();
    let server: Vec<_> = spans
        .iter()
        .filter(|span| span.kind() == SpanKind::Server)
        .collect();
    let token = server.iter().find(|span| span.name == "POST /oauth/token");
    let token = token.unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(hex(&token.trace_id), TRACE);
    assert_eq!(hex(&token.parent_span_id), PARENT);
    let told = attributes(token);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/oauth/token"),
        ("http.response.status_code", "200"),
        ("client_id", service.id.as_str()),
        ("grant_type", "client_credentials"),
        ("request_id", "request-1234"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{told:?}");
    }
    let child = spans
        .iter()
        .find(|span| span.trace_id == token.trace_id && span.kind() == SpanKind::Client);
    let child = child.unwrap_or_else(|| panic!("nothing was asked: {spans:#?}"));
    assert_eq!(attributes(child)["db.system.name"], "sqlite");
    let known: BTreeSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    for span in &spans {
        let alone = span.kind() == SpanKind::Server && span.parent_span_id.is_empty();
        let parent = known.contains(&span.parent_span_id) || hex(&span.parent_span_id) == PARENT;
        assert!(alone || parent, "polls make no traces: {span:?}");
    }
    assert!(
        !spans
            .iter()
            .any(|span| hex(&span.trace_id).starts_with("1111")),
        "its sender does not trace it"
    );
    // RFC 6750 §3.1: a refusal of the other server, in a trace of its own.
    let refused = server
        .iter()
        .find(|span| span.name == "GET /api/v1/users/me");
    assert_eq!(
        attributes(refused.unwrap())["http.response.status_code"],
        "401"
    );

    let line = log
        .lines()
        .find(|line| line.contains("request-1234"))
        .unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["span"]["trace_id"], TRACE);
    assert_eq!(line["span"]["span_id"], hex(&token.span_id));
    let sent = collector.sent.lock().unwrap();
    assert!(sent.iter().all(
        |(headers, _)| headers["x-collector-key"] == "a-key-of-the-collector"
            && headers["content-type"] == "application/x-protobuf"
    ));
    assert!(!log.contains("a-key-of-the-collector"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_39_nothing_secret_is_in_a_span() {
    let place = Place::new();
    let collector = Collector::start(StatusCode::OK).await;
    let config = traced(&place, &collector);
    let running = place.start(&["--auth-config", &config]);
    let mut secrets = vec![
        STATE.to_owned(),
        NONCE.to_owned(),
        VERIFIER.to_owned(),
        "a-key-of-the-collector".to_owned(),
        place.service().secret,
        place.demo()["person"]["password"]
            .as_str()
            .unwrap()
            .to_owned(),
        "demo@example.com".to_owned(),
    ];
    let flow = Flow::of_app(&place, "http://127.0.0.1:9/callback");
    let mut person = Person::until(&flow.redirect_uri);
    let answer = person.sign_in(&place, &flow.url(&[])).await;
    let code = answer.parameter("code").unwrap();
    let tokens = flow.tokens(&code).await;
    for name in ["access_token", "refresh_token", "id_token"] {
        let token = tokens[name].as_str().unwrap();
        secrets.extend([
            token.to_owned(),
            token.rsplit('.').next().unwrap().to_owned(),
        ]);
    }
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(flow.refresh(refresh_token).await.status(), 200);
    // Refused with a cause, which stays in the log.
    assert_eq!(flow.redeem(&code).await.status(), 400);
    secrets.push(code);
    let query = http().get(place.api("/api/v1/users/me?access_token=token-in-a-query"));
    assert_eq!(send(query).await.status(), 401);
    secrets.push("token-in-a-query".to_owned());
    secrets.extend(
        person
            .cookies_seen
            .iter()
            .chain(&person.fields_seen)
            .cloned(),
    );
    assert!(running.stop("-TERM").success());

    let spans = collector.spans();
    for name in ["POST /oauth/token", "POST /login", "GET /oauth/authorize"] {
        assert!(spans.iter().any(|span| span.name == name), "no {name}");
    }
    let sent = collector.sent.lock().unwrap();
    for (_, body) in sent.iter() {
        let text = String::from_utf8_lossy(body);
        for secret in &secrets {
            assert!(!text.contains(secret), "{secret} was told to the collector");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_refuses_or_is_gone_slows_nobody_and_is_counted() {
    let place = Place::new();
    let refusing = Collector::start(StatusCode::SERVICE_UNAVAILABLE).await;
    let config = traced(&place, &refusing);
    let running = place.start(&["--auth-config", &config]);
    for _ in 0..20 {
        assert_eq!(
            send(http().get(place.auth("/oauth/jwks"))).await.status(),
            200
        );
    }
    let metrics = format!("http://127.0.0.1:{}/metrics", place.spare_port);
    let dropped = "trace_spans_dropped_total{cause=\"not_taken\"} ";
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let text = send(http().get(&metrics)).await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(dropped));
        if line.unwrap().parse::<f64>().unwrap() > 0.0 {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{text}");
        tokio::task::yield_now().await;
    }
    let log = running.log();
    assert_eq!(log.matches("does not take traces").count(), 1, "{log}");
    assert!(running.stop("-TERM").success());
}
