//! Whether the process lives, whether it can serve, and, for operators, why not.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{Shutdown, not_found};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long an answer about readiness is given again without new checks: anyone may ask, and checks cost queries.
const FRESH: Duration = Duration::from_secs(1);
/// In seconds, when to ask again.
const AGAIN: HeaderValue = HeaderValue::from_static("1");
/// The same while it is not ready: whoever waits for it should not wait longer than it takes.
const FRESH_UNREADY: Duration = Duration::from_millis(100);

type Run = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// The checks of a server. Cheap to clone; the clones share what they found.
#[derive(Clone)]
pub struct Health {
    shutdown: Shutdown,
    checks: Vec<Check>,
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

#[derive(Clone)]
struct Check {
    name: &'static str,
    needed: bool,
    run: Arc<Run>,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    #[serde(skip)]
    needed: bool,
    status: Status,
    latency_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Up,
    Down,
}

impl Health {
    /// No checks yet: ready until `shutdown` triggers.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            checks: Vec::new(),
            last: Arc::default(),
        }
    }

    /// Adds a check that must pass within one second for the server to be ready. Its error is shown to operators alone.
    #[must_use]
    pub fn check<F, E>(
        self,
        name: &'static str,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.with(name, true, run)
    }

    /// Adds a check that operators see, and without which the server serves all the same.
    #[must_use]
    pub fn detail<F, E>(
        self,
        name: &'static str,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        self.with(name, false, run)
    }

    fn with<F, E>(
        mut self,
        name: &'static str,
        needed: bool,
        run: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run: Arc<Run> = Arc::new(move || {
            let checked = run();
            Box::pin(async move { checked.await.map_err(|error| error.to_string()) })
        });
        self.checks.push(Check { name, needed, run });
        self
    }

    /// For everyone, a status and nothing else: `/health` and `/health/live` say that the process answers, `/health/ready`
    /// that it can serve.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/health", get(|| async { StatusCode::OK }))
            .route("/health/live", get(|| async { StatusCode::OK }))
            .route("/health/ready", get(ready))
            .with_state(self.clone())
    }

    /// For operators, on a listener that strangers cannot reach: `/api/v1/health` in short, `/api/v1/health/all`, and
    /// `/api/v1/health/{name}` for one check.
    pub fn operators_router(&self) -> Router {
        Router::new()
            .route("/api/v1/health", get(short))
            .route("/api/v1/health/all", get(all))
            .route("/api/v1/health/{name}", get(one))
            .with_state(self.clone())
    }

    pub(super) async fn is_ready(&self, now: Instant) -> bool {
        if self.shutdown.is_triggered() {
            return false;
        }
        // Held while checking, so that a crowd of askers waits for one round of checks.
        let mut last = self.last.lock().await;
        if let Some((at, ready)) = *last
            && now.duration_since(at) < if ready { FRESH } else { FRESH_UNREADY }
        {
            return ready;
        }
        let needed = self.checks.iter().filter(|check| check.needed);
        let ready = join_all(needed.map(Check::run))
            .await
            .iter()
            .all(|finding| finding.status == Status::Up);
        // From its end: those who waited for it share what it found, however long it took.
        *last = Some((Instant::now().max(now), ready));
        ready
    }

    async fn run_all(&self) -> Vec<Finding> {
        join_all(self.checks.iter().map(Check::run)).await
    }
}

impl Finding {
    /// Whether the server can serve as far as this goes.
    fn is_well(&self) -> bool {
        self.status == Status::Up || !self.needed
    }
}

impl Check {
    async fn run(&self) -> Finding {
        let started = Instant::now();
        let outcome = timeout(PATIENCE, (self.run)()).await;
        let reason = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(reason)) => Some(reason),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        Finding {
            name: self.name,
            needed: self.needed,
            status: if reason.is_none() {
                Status::Up
            } else {
                Status::Down
            },
            latency_ms: started.elapsed().as_secs_f64() * 1000.0,
            reason,
        }
    }
}

async fn ready(State(health): State<Health>) -> Response {
    if health.is_ready(Instant::now()).await {
        StatusCode::OK.into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, AGAIN)],
        )
            .into_response()
    }
}

async fn short(State(health): State<Health>) -> Response {
    let stopping = health.shutdown.is_triggered();
    told(
        &health.run_all().await,
        stopping,
        Finding::is_well,
        |_, status| serde_json::json!({ "status": status }),
    )
}

async fn all(State(health): State<Health>) -> Response {
    let stopping = health.shutdown.is_triggered();
    told(
        &health.run_all().await,
        stopping,
        Finding::is_well,
        |findings, status| serde_json::json!({ "status": status, "stopping": stopping, "checks": findings }),
    )
}

async fn one(State(health): State<Health>, Path(name): Path<String>) -> Response {
    let Some(check) = health.checks.iter().find(|check| check.name == name) else {
        return not_found().await.into_response();
    };
    told(
        &[check.run().await],
        false,
        |finding| finding.status == Status::Up,
        |findings, _| serde_json::json!(findings.first()),
    )
}

fn told(
    findings: &[Finding],
    stopping: bool,
    is_well: impl Fn(&Finding) -> bool,
    body: impl FnOnce(&[Finding], Status) -> serde_json::Value,
) -> Response {
    let up = !stopping && findings.iter().all(is_well);
    let (code, status) = if up {
        (StatusCode::OK, Status::Up)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, Status::Down)
    };
    let json = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    let mut response = (code, [json], body(findings, status).to_string()).into_response();
    if !up {
        response.headers_mut().insert(header::RETRY_AFTER, AGAIN);
    }
    response
}
