//! Shutdown, and requests that outlive their client.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::middleware::from_fn_with_state;
use axum::routing::get as route_get;
use tokio::sync::{Notify, Semaphore};

use super::*;

/// Lets a test see that a handler has begun, and decide when it ends.
#[derive(Clone)]
struct Gate {
    begun: Arc<Notify>,
    open: Arc<Semaphore>,
    done: Arc<AtomicBool>,
}

impl Gate {
    fn new() -> Self {
        Self {
            begun: Arc::default(),
            open: Arc::new(Semaphore::new(0)),
            done: Arc::default(),
        }
    }

    fn app(&self) -> Router {
        let gate = self.clone();
        let handler = move || {
            let gate = gate.clone();
            async move {
                gate.begun.notify_one();
                gate.open.acquire().await.unwrap().forget();
                gate.done.store(true, Ordering::SeqCst);
                "finished"
            }
        };
        Router::new().route("/wait", route_get(handler))
    }

    async fn begun(&self) {
        timeout(SOON, self.begun.notified()).await.unwrap();
    }
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_refuses_the_rest() {
    let gate = Gate::new();
    let server = Server::start(gate.app(), Limits::default()).await;
    let mut waiting = server.connect().await;
    waiting
        .send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    gate.begun().await;
    let h2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()
        .unwrap();
    let waiting_h2 = tokio::spawn(h2.get(server.url("/wait")).send());
    gate.begun().await;
    let mut idle = server.connect().await;
    server.shutdown.trigger();
    assert_eq!(idle.rest().await, "", "idle connections close at once");
    let refused = TcpStream::connect(server.address).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(!server.serving.is_finished());
    gate.open.add_permits(2);
    let answer = waiting.rest().await;
    assert_eq!((status(&answer), body(&answer)), ("200", "finished"));
    assert_eq!(header(&answer, "connection"), Some("close"));
    let answer = timeout(SOON, waiting_h2).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "finished");
    server.stopped().await;
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_cut_off() {
    let gate = Gate::new();
    let limits = Limits {
        drain: Duration::from_millis(50),
        ..Limits::default()
    };
    let server = Server::start(gate.app(), limits).await;
    let mut waiting = server.connect().await;
    waiting.send(&get("/wait", "")).await;
    gate.begun().await;
    server.shutdown.trigger();
    server.stopped().await;
    assert_eq!(waiting.rest().await, "");
    assert!(!gate.done.load(Ordering::SeqCst));
}

#[tokio::test]
async fn notice_is_given_before_connections_are_refused() {
    let limits = Limits {
        notice: Duration::from_hours(1),
        ..Limits::default()
    };
    let shutdown = Shutdown::new();
    let health = Health::new(shutdown.clone());
    let server = Server::start_with(health.router(), limits, shutdown).await;
    server.shutdown.trigger();
    let answer = server.says(&get("/health/ready", "")).await;
    assert_eq!(status(&answer), "503");
    assert!(!server.serving.is_finished());
}

#[tokio::test]
async fn an_uninterrupted_request_finishes_after_its_client_hung_up() {
    for uninterruptible in [true, false] {
        let gate = Gate::new();
        let shutdown = Shutdown::new();
        let app = if uninterruptible {
            gate.app()
                .layer(from_fn_with_state(shutdown.clone(), uninterrupted))
        } else {
            gate.app()
        };
        let server = Server::start_with(app, Limits::default(), shutdown).await;
        let mut client = server.connect().await;
        client.send(&get("/wait", "")).await;
        gate.begun().await;
        drop(client);
        aborted(&server.registry).await;
        server.shutdown.trigger();
        assert_eq!(server.shutdown.writes.is_empty(), !uninterruptible);
        gate.open.add_permits(1);
        // Shutdown waits for it.
        server.stopped().await;
        assert_eq!(gate.done.load(Ordering::SeqCst), uninterruptible);
    }
}

/// Waits until the server has seen that a client hung up.
async fn aborted(registry: &Registry) {
    let seen = async {
        while !registry.gather().iter().any(|family| {
            family
                .get_metric()
                .iter()
                .any(|m| m.get_label().iter().any(|l| l.value() == "aborted"))
        }) {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, seen).await.unwrap();
}

#[tokio::test]
async fn a_panic_in_an_uninterrupted_request_is_a_500() {
    async fn panics() {
        panic!("wrong");
    }
    let shutdown = Shutdown::new();
    let app = Router::new()
        .route("/", route_get(panics))
        .layer(from_fn_with_state(shutdown.clone(), uninterrupted));
    let server = Server::start_with(app, Limits::default(), shutdown).await;
    assert_eq!(status(&server.says(&get("/", "")).await), "500");
}

#[tokio::test]
async fn sigterm_and_ctrl_c_trigger() {
    for signal in ["TERM", "INT"] {
        let shutdown = Shutdown::new();
        shutdown.on_signal().unwrap();
        let this = std::process::id().to_string();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &this])
            .status();
        assert!(sent.unwrap().success());
        timeout(SOON, shutdown.triggered()).await.expect(signal);
    }
}
