//! Many at once, and those who take their time.

use axum::routing::{get as route_get, post};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};

use super::*;

/// Requests to `/wait` wait for a permit.
#[derive(Clone)]
struct Gate {
    begun: Arc<Notify>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
        }
    }

    fn app(&self) -> Router {
        let gate = self.clone();
        let wait = move || {
            let gate = gate.clone();
            async move {
                gate.begun.notify_one();
                gate.open.acquire().await.unwrap().forget();
                "waited"
            }
        };
        Router::new()
            .route("/wait", route_get(wait))
            .route("/health/live", route_get(|| async { "alive" }))
            .route("/body", post(|body: String| async move { body }))
            .route("/", route_get(|| async { "root" }))
    }

    async fn begun(&self) {
        timeout(SOON, self.begun.notified()).await.unwrap();
    }
}

async fn behind(edge: EdgeSettings<'_>, app: Router, limits: Limits) -> Server {
    let registry = Registry::new();
    let edge = Edge::open(edge, Arc::new(SystemClock), &registry).unwrap();
    Server::start_behind(edge, registry, app, limits, Shutdown::new()).await
}

const NO_TLS: fn() -> TlsSettings = TlsSettings::default;

fn plain<'a>(tls: &'a TlsSettings, proxies: &'a Proxies) -> EdgeSettings<'a> {
    EdgeSettings {
        tls,
        proxies,
        https: false,
    }
}

#[tokio::test]
async fn requests_beyond_the_cap_are_503_at_once_but_for_health() {
    let gate = Gate::new();
    let limits = Limits {
        requests: 3,
        ..Limits::default()
    };
    let server = behind(plain(&NO_TLS(), &Proxies::default()), gate.app(), limits).await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.send(&get("/wait", "")).await;
        gate.begun().await;
        waiting.push(client);
    }
    let refused = futures_util::future::join_all((0..50).map(|_| async {
        let answer = server.says(&get("/", "X-Request-Id: abcdefgh\r\n")).await;
        assert_eq!(status(&answer), "503", "{answer}");
        assert_eq!(header(&answer, "retry-after"), Some("1"));
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        let problem: Value = serde_json::from_str(body(&answer)).unwrap();
        assert_eq!(problem["type"], "urn:problem-type:overloaded");
        assert_eq!(problem["request_id"], "abcdefgh");
    }));
    timeout(SOON, refused).await.unwrap();
    assert_eq!(server.measured("http_requests_shed_total", None), 50);
    assert_eq!(status(&server.says(&get("/health/live", "")).await), "200");
    assert_eq!(status(&server.says(&get("/healthy", "")).await), "503");
    gate.open.add_permits(3);
    for mut client in waiting {
        assert_eq!(body(&client.rest().await), "waited");
    }
    assert_eq!(status(&server.says(&get("/", "")).await), "200");
}

#[tokio::test]
async fn a_request_whose_client_hung_up_gives_its_turn_back() {
    let gate = Gate::new();
    let limits = Limits {
        requests: 1,
        ..Limits::default()
    };
    let server = Server::start(gate.app(), limits).await;
    let mut client = server.connect().await;
    client.send(&get("/wait", "")).await;
    gate.begun().await;
    drop(client);
    let admitted = async { while status(&server.says(&get("/", "")).await) != "200" {} };
    timeout(SOON, admitted).await.unwrap();
}

#[tokio::test]
async fn one_address_has_its_connections_and_no_more() {
    for (trusted, answered) in [(&[][..], false), (&["127.0.0.1"], true)] {
        let proxies = Proxies {
            trusted: trusted.iter().map(|raw| raw.parse().unwrap()).collect(),
            ..Proxies::default()
        };
        let limits = Limits {
            connections_per_address: 2,
            ..Limits::default()
        };
        let server = behind(plain(&NO_TLS(), &proxies), Gate::new().app(), limits).await;
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut client = server.connect().await;
            client
                .send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            client.until("root").await;
            held.push(client);
        }
        let answer = server.says(&get("/", "")).await;
        assert_eq!(status(&answer) == "200", answered, "{trusted:?}: {answer}");
        let refused = server.measured("http_connections_refused_total", None);
        assert_eq!(refused, u64::from(!answered));
        drop(held);
        let admitted = async { while status(&server.says(&get("/", "")).await) != "200" {} };
        timeout(SOON, admitted).await.unwrap();
    }
}

#[tokio::test]
async fn rfc9110_15_5_9_a_body_that_does_not_come_in_time_is_408() {
    let limits = Limits {
        body_read: Duration::from_millis(100),
        ..Limits::default()
    };
    let server = Server::start(Gate::new().app(), limits).await;
    for (what, framing) in [
        ("nothing of it", "Content-Length: 10\r\n\r\n"),
        ("half of it", "Content-Length: 10\r\n\r\nhello"),
        (
            "half of its chunks",
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
    ] {
        let request = format!("POST /body HTTP/1.1\r\nHost: localhost\r\n{framing}");
        // Until the connection closes: nobody waits for the rest.
        let answer = server.says(request.as_bytes()).await;
        assert_eq!(status(&answer), "408", "{what}: {answer}");
        assert_eq!(header(&answer, "connection"), Some("close"), "{what}");
        assert!(answer.contains("urn:problem-type:body-too-slow"), "{what}");
    }
    let (mut trickle, mut sent) = (server.connect().await, 0);
    trickle
        .send(b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n")
        .await;
    let mut every = tokio::time::interval(Duration::from_millis(10));
    let ended = async {
        while trickle.0.write_all(b"x").await.is_ok() {
            sent += 1;
            every.tick().await;
        }
    };
    timeout(SOON, ended).await.expect("a trickle ends too");
    assert!(sent < 1000, "{sent}");

    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy();
    let endless = futures_util::stream::pending::<Result<hyper::body::Frame<&[u8]>, io::Error>>();
    let slow = client.build().unwrap().post(server.url("/body"));
    let slow = slow
        .body(reqwest::Body::wrap(http_body_util::StreamBody::new(
            endless,
        )))
        .send();
    let answer = timeout(SOON, slow).await.unwrap().unwrap();
    assert_eq!(answer.status(), 408, "over HTTP/2");
}

#[tokio::test]
async fn a_silent_http2_connection_ends() {
    let limits = Limits {
        request: Duration::from_millis(200),
        idle: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(Gate::new().app(), limits).await;
    let mut client = server.connect().await;
    // The preface and empty SETTINGS, and nothing else.
    client
        .send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    let mut said = Vec::new();
    // PONG bounds a client that does not take the good-bye; one that does goes at once.
    let ended = tokio::io::AsyncReadExt::read_u8(&mut client.0);
    timeout(SOON, ended).await.unwrap().unwrap();
    let goaway = async {
        let mut buffer = [0; 256];
        // Frame type 7 is GOAWAY.
        while !said.windows(2).any(|pair| pair == [7, 0]) {
            let read = client.0.read(&mut buffer).await.unwrap();
            assert!(read > 0, "told before it closes");
            said.extend_from_slice(&buffer[..read]);
        }
    };
    timeout(SOON, goaway).await.unwrap();
}

#[tokio::test]
async fn threat_21_what_strangers_forward_changes_nothing() {
    let whence =
        route_get(|ClientAddress(address): ClientAddress| async move { address.to_string() });
    let app = Router::new().route("/", whence);
    let garbage = "Forwarded: for=192.0.2.1;host=evil.example;proto=https\r\nX-Forwarded-For: 192.0.2.1\r\n\
        X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n";
    for (trusted, expected) in [("10.0.0.0/8", "127.0.0.1"), ("127.0.0.0/8", "192.0.2.1")] {
        let proxies = Proxies {
            trusted: vec![trusted.parse().unwrap()],
            header: Some(ForwardedBy::Forwarded),
            ..Proxies::default()
        };
        let server = behind(plain(&NO_TLS(), &proxies), app.clone(), Limits::default()).await;
        let answer = server.says(&get("/", garbage)).await;
        assert_eq!(body(&answer), expected);
        assert!(!answer.contains("evil.example"));
        assert_eq!(header(&answer, "strict-transport-security"), None);
    }
}

/// Threat 30: a body that is waited for holds a request's turn.
#[tokio::test]
async fn one_address_cannot_have_all_turns_by_sending_slowly() {
    let limits = Limits {
        requests: 16,
        body_read: SOON * 2,
        ..Limits::default()
    };
    let server = Server::start(Gate::new().app(), limits).await;
    let begin = b"POST /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let waited_for = async || {
        let mut client = server.connect().await;
        client.send(begin).await;
        client.until("100 Continue\r\n\r\n").await;
        client
    };
    let (mut first, mut second) = (waited_for().await, waited_for().await);
    let refused = server.says(begin).await;
    assert_eq!(status(&refused), "408", "{refused}");
    assert!(refused.contains("urn:problem-type:body-too-slow"));
    // Whoever sends all at once needs no such place.
    let at_once = b"POST /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(status(&server.says(at_once).await), "200");
    first.send(b"body").await;
    assert_eq!(status(&first.rest().await), "200");
    let mut third = waited_for().await;
    for client in [&mut second, &mut third] {
        client.send(b"body").await;
        assert_eq!(status(&client.rest().await), "200");
    }
}
