//! The client: a fixed number of connections to this machine, each with one request at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use hyper::Method;
use tokio::task::JoinSet;

use crate::client::{Call, Client, Destination, member};

/// The token endpoint.
pub(crate) const TOKEN: &str = "/oauth/token";

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

impl CodeFlow {
    /// Goes to the authorization endpoint, and comes back with the form of the token request.
    ///
    /// # Errors
    /// If no code comes.
    pub(crate) async fn authorized(&self, client: &mut Client) -> anyhow::Result<String> {
        let code = client.code(&self.authorize, &self.cookie).await?;
        Ok(format!("{}{code}", self.form))
    }
}

/// The requests of a life on refresh tokens.
pub(crate) struct Refresh {
    /// The form of the token request, up to the refresh token.
    pub(crate) form: String,
    /// The first refresh token of each connection.
    pub(crate) tokens: Vec<String>,
}

/// One request.
#[derive(Clone)]
pub(crate) struct Template {
    /// The method.
    pub(crate) method: Method,
    /// The path.
    pub(crate) path: String,
    /// The `Authorization` headers, sent in turn. None is none.
    pub(crate) authorizations: Vec<String>,
    /// The `DPoP` headers, sent in turn. None is none.
    pub(crate) proofs: Vec<String>,
    /// The bodies, sent in turn as forms. None is one empty body.
    pub(crate) bodies: Vec<Bytes>,
}

impl Template {
    /// A GET.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            authorizations: Vec::new(),
            proofs: Vec::new(),
            bodies: Vec::new(),
        }
    }

    /// A POST to the token endpoint.
    pub(crate) fn token(form: String) -> Self {
        Self {
            method: Method::POST,
            path: TOKEN.into(),
            authorizations: Vec::new(),
            proofs: Vec::new(),
            bodies: vec![form.into()],
        }
    }

    fn call(&self, number: usize) -> Call<'_> {
        let turn = number.checked_rem(self.bodies.len()).unwrap_or_default();
        let body = self.bodies.get(turn).cloned().unwrap_or_default();
        let call = Call::new(self.method.clone(), &self.path, body);
        let call = match in_turn(&self.authorizations, number) {
            Some(authorization) => call.authorized(authorization),
            None => call,
        };
        match in_turn(&self.proofs, number) {
            Some(proof) => call.proved(proof),
            None => call,
        }
    }
}

fn in_turn(values: &[String], number: usize) -> Option<&String> {
    values.get(number.checked_rem(values.len())?)
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

/// So many connections.
///
/// # Errors
/// If the server does not take one.
pub(crate) async fn connect(
    to: impl Into<Destination>,
    connections: usize,
) -> anyhow::Result<Vec<Client>> {
    let to = to.into();
    let mut clients = Vec::with_capacity(connections);
    for _ in 0..connections {
        clients.push(Client::connect(to.clone()).await?);
    }
    Ok(clients)
}

/// Performs `script` `requests` times over so many new connections, as [`perform`].
///
/// # Errors
/// As [`connect`] and [`perform`].
pub(crate) async fn drive<T: Send + 'static>(
    to: impl Into<Destination>,
    connections: usize,
    requests: usize,
    script: Script,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> anyhow::Result<Driven<T>> {
    let clients = connect(to, connections).await?;
    perform(clients, requests, script, read).await
}

/// Performs `script` `requests` times over these connections. `read` checks the body that each ends with.
///
/// # Errors
/// If any fails, or ends with anything but 200 and a body that `read` takes: how many, and the first of them.
pub(crate) async fn perform<T: Send + 'static>(
    clients: Vec<Client>,
    requests: usize,
    script: Script,
    read: fn(&Bytes) -> anyhow::Result<T>,
) -> anyhow::Result<Driven<T>> {
    let script = Arc::new(script);
    let connections = clients.len();
    let started = Instant::now();
    let mut running = JoinSet::new();
    for (first, client) in clients.into_iter().enumerate() {
        let numbers = (first..requests).step_by(connections);
        let connection = Connection {
            client,
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

/// One connection, and what it remembers from one unit to the next.
struct Connection {
    client: Client,
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
            let body = script.perform(&mut connection, number).await?;
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
        let client = &mut connection.client;
        match self {
            Self::Repeat(template, times) => {
                let mut body = Bytes::new();
                for _ in 0..*times {
                    body = client.ok(template.call(number)).await?;
                }
                Ok(body)
            }
            Self::CodeFlow(flow) => {
                let form = flow.authorized(client).await?;
                client.ok(Call::post(TOKEN, form)).await
            }
            Self::Refresh(refresh) => {
                let token = connection.refresh_token.take();
                let token = token.context("a connection without a refresh token")?;
                let form = format!("{}{token}", refresh.form);
                let body = client.ok(Call::post(TOKEN, form)).await?;
                connection.refresh_token = Some(member(&body, "refresh_token")?);
                Ok(body)
            }
        }
    }
}

/// Any body but none.
///
/// # Errors
/// If it is empty.
pub(crate) fn anything(body: &Bytes) -> anyhow::Result<()> {
    ensure!(!body.is_empty(), "answered with an empty body");
    Ok(())
}
