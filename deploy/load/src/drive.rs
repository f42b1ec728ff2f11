//! The client: a fixed number of connections to this machine, each with one request at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is sent again and again.
pub(crate) struct Template {
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    /// The bodies, sent in turn as forms. None is one empty body.
    pub(crate) bodies: Vec<Bytes>,
}

impl Template {
    /// A GET.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            authorization: None,
            bodies: Vec::new(),
        }
    }

    fn request(&self, number: usize, host: &str) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(HOST, host);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let turn = number.checked_rem(self.bodies.len()).unwrap_or_default();
        let body = self.bodies.get(turn).cloned().unwrap_or_default();
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        Ok(request.body(Full::new(body))?)
    }
}

/// What came of a round.
pub(crate) struct Driven<T> {
    /// From the first request to the last response.
    pub(crate) elapsed: Duration,
    /// Each request's time, in microseconds.
    pub(crate) latencies: Vec<f64>,
    /// What was read of each response.
    pub(crate) read: Vec<T>,
}

/// Makes `requests` requests to `port` of this machine over `connections` connections. `read` checks each body.
///
/// # Errors
/// If any request fails, or is answered by anything but 200 and a body that `read` takes: how many, and the first of them.
pub(crate) async fn drive<T: Send + 'static>(
    port: u16,
    connections: usize,
    requests: usize,
    template: Template,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> anyhow::Result<Driven<T>> {
    let template = Arc::new(template);
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(port).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for (first, sender) in senders.into_iter().enumerate() {
        let numbers = (first..requests).step_by(connections);
        running.spawn(converse(sender, port, Arc::clone(&template), numbers, read));
    }
    let mut driven = Driven {
        elapsed: Duration::ZERO,
        latencies: Vec::with_capacity(requests),
        read: Vec::with_capacity(requests),
    };
    let mut errors = Vec::new();
    while let Some(part) = running.join_next().await {
        let (latencies, read, failed) = part?;
        driven.latencies.extend(latencies);
        driven.read.extend(read);
        errors.extend(failed);
    }
    driven.elapsed = started.elapsed();
    let failed = requests - driven.read.len();
    match errors.into_iter().next() {
        Some(error) => Err(error.context(format!("{failed} of {requests} requests failed"))),
        None => Ok(driven),
    }
}

async fn connect(port: u16) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// The requests of one connection, until one of them fails.
async fn converse<T>(
    mut sender: SendRequest<Full<Bytes>>,
    port: u16,
    template: Arc<Template>,
    numbers: impl ExactSizeIterator<Item = usize>,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> (Vec<f64>, Vec<T>, Option<anyhow::Error>) {
    let host = format!("127.0.0.1:{port}");
    let mut latencies = Vec::with_capacity(numbers.len());
    let mut values = Vec::with_capacity(numbers.len());
    for number in numbers {
        let started = Instant::now();
        let answered = async {
            let request = template.request(number, &host)?;
            let body = timeout(PATIENCE, answer(&mut sender, request))
                .await
                .context("no answer in time")??;
            latencies.push(started.elapsed().as_secs_f64() * 1e6);
            read(&body)
        };
        match answered.await {
            Ok(value) => values.push(value),
            Err(error) => return (latencies, values, Some(error)),
        }
    }
    (latencies, values, None)
}

async fn answer(
    sender: &mut SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<Bytes> {
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        bail!("answered {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}

/// Any body but none.
///
/// # Errors
/// If it is empty.
pub(crate) fn anything(body: &Bytes) -> anyhow::Result<()> {
    ensure!(!body.is_empty(), "answered with an empty body");
    Ok(())
}
