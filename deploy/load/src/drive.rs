//! The client: a fixed number of connections to this machine, each with one request at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest that one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection does again and again: one unit of what is measured.
pub(crate) enum Script {
    /// One request, so many times.
    Repeat(Template, usize),
    /// A person who is signed in and has agreed before sends an app a code, which it redeems (RFC 6749 §4.1).
    CodeFlow(CodeFlow),
    /// An app lives on refresh tokens, each of which brings the next (RFC 6749 §6).
    Refresh(Refresh),
}

/// The requests of a code flow.
pub(crate) struct CodeFlow {
    /// The authorization request: path and query.
    pub(crate) authorize: String,
    /// The `Cookie` header of the person's browser.
    pub(crate) cookie: String,
    /// The form of the token request, up to the code.
    pub(crate) form: String,
}

/// The requests of a life on refresh tokens.
pub(crate) struct Refresh {
    /// The form of the token request, up to the refresh token.
    pub(crate) form: String,
    /// The first refresh token of each connection.
    pub(crate) tokens: Vec<String>,
}

/// One request.
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

    /// A POST to the token endpoint.
    pub(crate) fn token(form: String) -> Self {
        Self {
            method: Method::POST,
            path: "/oauth/token".into(),
            authorization: None,
            bodies: vec![form.into()],
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

/// Performs `script` `requests` times at `port` of this machine over `connections` connections. `read` checks the body that each
/// ends with.
///
/// # Errors
/// If any fails, or ends with anything but 200 and a body that `read` takes: how many, and the first of them.
pub(crate) async fn drive<T: Send + 'static>(
    port: u16,
    connections: usize,
    requests: usize,
    script: Script,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> anyhow::Result<Driven<T>> {
    let script = Arc::new(script);
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(port).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for (first, sender) in senders.into_iter().enumerate() {
        let numbers = (first..requests).step_by(connections);
        let connection = Connection {
            sender,
            host: format!("127.0.0.1:{port}"),
            refresh_token: script.refresh_token(first),
        };
        running.spawn(converse(connection, Arc::clone(&script), numbers, read));
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

/// One connection, and what it remembers from one unit to the next.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    refresh_token: Option<String>,
}

/// The units of one connection, until one of them fails.
async fn converse<T>(
    mut connection: Connection,
    script: Arc<Script>,
    numbers: impl ExactSizeIterator<Item = usize>,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> (Vec<f64>, Vec<T>, Option<anyhow::Error>) {
    let mut latencies = Vec::with_capacity(numbers.len());
    let mut values = Vec::with_capacity(numbers.len());
    for number in numbers {
        let started = Instant::now();
        let answered = async {
            let body = timeout(PATIENCE, script.perform(&mut connection, number))
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

impl Script {
    /// What the connection of this number begins with.
    fn refresh_token(&self, connection: usize) -> Option<String> {
        match self {
            Self::Refresh(refresh) => refresh.tokens.get(connection).cloned(),
            Self::Repeat(..) | Self::CodeFlow(_) => None,
        }
    }

    async fn perform(&self, connection: &mut Connection, number: usize) -> anyhow::Result<Bytes> {
        match self {
            Self::Repeat(template, times) => {
                let mut body = Bytes::new();
                for _ in 0..*times {
                    let request = template.request(number, &connection.host)?;
                    body = connection.answer(request).await?;
                }
                Ok(body)
            }
            Self::CodeFlow(flow) => {
                let code = connection.code(flow).await?;
                let form = format!("{}{code}", flow.form);
                let request = Template::token(form).request(number, &connection.host)?;
                connection.answer(request).await
            }
            Self::Refresh(refresh) => {
                let token = connection.refresh_token.take();
                let token = token.context("a connection without a refresh token")?;
                let form = format!("{}{token}", refresh.form);
                let request = Template::token(form).request(number, &connection.host)?;
                let body = connection.answer(request).await?;
                connection.refresh_token = Some(member(&body, "refresh_token")?);
                Ok(body)
            }
        }
    }
}

impl Connection {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Response<Incoming>> {
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }

    /// The body of an answer that must be 200.
    async fn answer(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<Bytes> {
        let response = self.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK {
            bail!("answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// The code that an authorization request is answered with.
    async fn code(&mut self, flow: &CodeFlow) -> anyhow::Result<String> {
        let request = Request::get(&flow.authorize)
            .header(HOST, &self.host)
            .header(COOKIE, &flow.cookie)
            .body(Full::default())?;
        let response = self.send(request).await?;
        let status = response.status();
        let location = response.headers().get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok()?.split_once("code="));
        let code = location.map(|(_, rest)| rest.split('&').next().unwrap_or_default().to_owned());
        let body = response.into_body().collect().await?.to_bytes();
        code.with_context(|| {
            format!(
                "no code came, but {status}: {}",
                String::from_utf8_lossy(&body)
            )
        })
    }
}

/// A text member of a JSON object.
pub(crate) fn member(body: &Bytes, name: &str) -> anyhow::Result<String> {
    let response: Value = serde_json::from_slice(body)?;
    let text = response.get(name).and_then(Value::as_str);
    Ok(text
        .with_context(|| format!("a response without {name}"))?
        .to_owned())
}

/// Any body but none.
///
/// # Errors
/// If it is empty.
pub(crate) fn anything(body: &Bytes) -> anyhow::Result<()> {
    ensure!(!body.is_empty(), "answered with an empty body");
    Ok(())
}
