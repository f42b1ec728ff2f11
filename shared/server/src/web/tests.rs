//! Through real sockets, byte for byte: what a client may do, and what it gets.

mod cors;
mod crowds;
mod flood;
mod framing;
mod health;
mod log;
mod mtls;
mod requests;
mod stopping;
mod tls;

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use prometheus::Registry;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::telemetry::HttpMetrics;

/// Far longer than anything here takes, so that a hang fails.
const SOON: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    shutdown: Shutdown,
    registry: Registry,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(app: Router, limits: Limits) -> Self {
        Self::start_with(app, limits, Shutdown::new()).await
    }

    async fn start_with(app: Router, limits: Limits, shutdown: Shutdown) -> Self {
        Self::start_behind(Edge::default(), Registry::new(), app, limits, shutdown).await
    }

    async fn start_behind(
        edge: Edge,
        registry: Registry,
        app: Router,
        limits: Limits,
        shutdown: Shutdown,
    ) -> Self {
        let observed = Observed {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            metrics: HttpMetrics::register(&registry).unwrap(),
            limits: limits.clone(),
            edge: edge.clone(),
            refusals: None,
        };
        let app = layers(app, &observed);
        Self {
            registry,
            ..Self::serving(&edge, app, limits, shutdown).await
        }
    }

    /// Of an app that has its layers.
    async fn start_surrounded(app: Router, limits: Limits) -> Self {
        Self::serving(&Edge::default(), app, limits, Shutdown::new()).await
    }

    async fn serving(edge: &Edge, app: Router, limits: Limits, shutdown: Shutdown) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(&[any]).await.unwrap().behind(edge);
        let address = listener.addresses()[0];
        let stop = shutdown.clone();
        let serving = tokio::spawn(async move { serve(listener, app, &limits, stop).await });
        Self {
            address,
            shutdown,
            registry: Registry::new(),
            serving,
        }
    }

    /// A counter or gauge, of all its labels or of those with the value `label`.
    fn measured(&self, name: &str, label: Option<&str>) -> u64 {
        let families = self.registry.gather();
        let of_name = families.iter().filter(|family| family.name() == name);
        let counted = of_name
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .filter(|metric| {
                label.is_none_or(|label| metric.get_label().iter().any(|l| l.value() == label))
            });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and small"
        )]
        counted
            .map(|metric| {
                (metric.get_counter().get_value() + metric.get_gauge().get_value()) as u64
            })
            .sum()
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// All that the server says to `bytes` until it closes the connection.
    async fn says(&self, bytes: &[u8]) -> String {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.rest().await
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn stopped(self) {
        timeout(SOON, self.serving).await.unwrap().unwrap();
    }
}

struct Client(TcpStream);

impl Client {
    /// A server may close before it has read everything.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    async fn rest(&mut self) -> String {
        let mut said = Vec::new();
        let read = timeout(SOON, self.0.read_to_end(&mut said)).await.unwrap();
        // A reset ends a connection too.
        if let Err(error) = read {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        String::from_utf8(said).unwrap()
    }

    /// What comes, up to and with `end`.
    async fn until(&mut self, end: &str) -> String {
        let mut said = String::new();
        while !said.ends_with(end) {
            let byte = timeout(SOON, self.0.read_u8()).await.unwrap().unwrap();
            said.push(char::from(byte));
        }
        said
    }
}

/// A request of one line and headers, after which the connection closes.
fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n")
        .into_bytes()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("closed")
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = answer.split_once("\r\n\r\n")?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

/// What was logged.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
