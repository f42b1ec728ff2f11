//! The floor: a bare handler behind the listener and the layers that every server here has, so that what a server costs beyond it
//! is its own doing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use clap::Args;
use prometheus::Registry;
use serde::Serialize;
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::telemetry::{self, HttpMetrics, LogSettings, TraceSettings};
use shared_server::web::{
    self, Edge, Limits, Listener, MtlsSettings, Observed, Shutdown, TlsSettings,
};

/// GET: answers a constant.
pub(crate) const ANSWER: &str = "/answer";
/// POST: signs one access token with ES256.
pub(crate) const SIGN: &str = "/sign";

/// Serve the bare handlers: GET /answer answers, POST /sign signs one token
#[derive(Args, Debug)]
pub(crate) struct Floor {
    /// The port on this machine
    #[arg(long)]
    port: u16,
    /// The port that asks clients for certificates
    #[arg(long)]
    mtls_port: u16,
    /// Its certificate
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// The key of the certificate
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Claims as long as those of an access token of the server (RFC 9068 §2.2).
#[derive(Serialize)]
struct Claims {
    iss: &'static str,
    sub: &'static str,
    aud: &'static str,
    client_id: &'static str,
    iat: i64,
    exp: i64,
    jti: &'static str,
    scope: &'static str,
}

const CLAIMS: Claims = Claims {
    iss: "http://127.0.0.1:40000",
    sub: "abcdefghijklmnopqrstuv",
    aud: "https://api.example",
    client_id: "abcdefghijklmnopqrstuv",
    iat: 1_800_000_000,
    exp: 1_800_000_300,
    jti: "abcdefghijklmnopqrstuv",
    scope: "read",
};

#[derive(Serialize)]
struct Issued {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: &'static str,
}

impl Floor {
    /// Serves on these ports of this machine until SIGTERM or Ctrl-C, logging as `log` says.
    ///
    /// # Errors
    /// If a port is taken, or the certificate cannot be used.
    pub(crate) async fn serve(self, log: LogSettings) -> anyhow::Result<()> {
        telemetry::init(&log, &TraceSettings::named("floor"))?;
        let shutdown = Shutdown::new();
        shutdown.on_signal()?;
        // Whoever finds the other open may count on this one.
        let by_certificate = bind(self.mtls_port).await?;
        let listener = bind(self.port).await?;
        let der = SigningKey::generate(Algorithm::Es256, &SystemRandom)?;
        let key = Arc::new(SigningKey::from_pkcs8(Algorithm::Es256, &der)?);
        let registry = Registry::new();
        let observed = Observed {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            metrics: HttpMetrics::register(&registry).context("metrics")?,
            limits: Limits::default(),
            edge: Edge::default(),
            refusals: None,
        };
        let asking = MtlsSettings {
            section: "mtls",
            certificate: &self.certificate,
            key: &self.key,
            tls: &TlsSettings::default(),
        };
        let clock = Arc::clone(&observed.clock);
        let asking = observed.edge.asking_clients(asking, clock, &registry)?;
        let app = Router::new()
            .route(ANSWER, get(async || "ok").post(async |_: Bytes| "ok"))
            .route(SIGN, post(sign))
            .with_state(key);
        let app = web::layers(app, &observed);
        let limits = &observed.limits;
        tokio::join!(
            web::serve(listener, app.clone(), limits, shutdown.clone()),
            web::serve(by_certificate.behind(&asking), app, limits, shutdown),
        );
        Ok(())
    }
}

async fn bind(port: u16) -> anyhow::Result<Listener> {
    Ok(Listener::bind(&[SocketAddr::from((Ipv4Addr::LOCALHOST, port))]).await?)
}

async fn sign(State(key): State<Arc<SigningKey>>, _: Bytes) -> impl IntoResponse {
    let Ok(access_token) = sign_jwt(JwtKind::AccessToken, &CLAIMS, &*key).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let issued = Issued {
        access_token,
        token_type: "Bearer",
        expires_in: 300,
        scope: CLAIMS.scope,
    };
    let body = serde_json::to_vec(&issued).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
