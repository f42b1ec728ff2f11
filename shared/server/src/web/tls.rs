//! TLS 1.3 and 1.2 by rustls, with a certificate that is read again when its files change.

mod certificate;
mod clients;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use serde::{Deserialize, Serialize};
use shared_protocol::time::Clock;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use self::certificate::TlsError;
pub(crate) use self::certificate::read_pem;
use self::certificate::{Current, Digest, Files};
use self::clients::AnyCertificate;
use super::EdgeError;
use crate::config::Mistake;

/// RFC 7301: both are spoken on one port.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// TLS on the addresses for everyone. A section of the configuration.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSettings {
    /// A PEM file: the certificate, then those between it and the root. None, as the key, for plain TCP.
    pub certificate: Option<PathBuf>,
    /// A PEM file: the private key of the certificate.
    pub key: Option<PathBuf>,
    /// How long a handshake may take. Default 10 s.
    #[serde(with = "crate::config::period")]
    pub handshake: Duration,
    /// How often the files are looked at. Default 10 s.
    #[serde(with = "crate::config::period")]
    pub reload: Duration,
    /// Whether browsers should insist on https for all subdomains too (RFC 6797 §6.1.2), whoever ends TLS. Default no.
    pub include_subdomains: bool,
}

impl Default for TlsSettings {
    fn default() -> Self {
        Self {
            certificate: None,
            key: None,
            handshake: Duration::from_secs(10),
            reload: Duration::from_secs(10),
            include_subdomains: false,
        }
    }
}

impl TlsSettings {
    /// Whether TLS is spoken.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.certificate.is_some() && self.key.is_some()
    }

    pub(super) fn mistakes(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        match (&self.certificate, &self.key) {
            (Some(_), None) => mistakes.push(Mistake::together(
                "tls.key",
                "tls.certificate is set; name the file of its private key too",
            )),
            (None, Some(_)) => mistakes.push(Mistake::together(
                "tls.certificate",
                "tls.key is set; name the file of its certificate too",
            )),
            (Some(_), Some(_)) | (None, None) => {}
        }
        for (key, period) in [
            ("tls.handshake", self.handshake),
            ("tls.reload", self.reload),
        ] {
            if period.is_zero() {
                mistakes.push(Mistake::together(
                    key,
                    "nothing is done in no time; use some seconds",
                ));
            }
        }
        mistakes
    }

    /// RFC 6797 §6.1, for two years.
    pub(super) fn strict_transport(&self) -> HeaderValue {
        HeaderValue::from_static(if self.include_subdomains {
            "max-age=63072000; includeSubDomains"
        } else {
            "max-age=63072000"
        })
    }
}

/// A listener that asks clients for certificates (RFC 8705 §2), and takes them without one too.
#[derive(Clone, Copy, Debug)]
pub struct MtlsSettings<'a> {
    /// The section of the configuration that names certificate and key.
    pub section: &'static str,
    /// Its certificate, as [`TlsSettings::certificate`].
    pub certificate: &'a Path,
    /// Its key, as [`TlsSettings::key`].
    pub key: &'a Path,
    /// How long handshakes may take, and how often the files are looked at.
    pub tls: &'a TlsSettings,
}

/// The end of TLS of one listener.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    handshake: Duration,
    reload: Duration,
    files: Files,
    current: Arc<Current>,
    seen: Mutex<Seen>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
}

/// What the files held when we looked last.
struct Seen {
    loaded: Digest,
    refused: Refused,
}

/// What was complained of last.
#[derive(Eq, PartialEq)]
enum Refused {
    Nothing,
    Unreadable,
    Files(Digest),
}

impl Tls {
    /// Reads the files, if any are named.
    pub(super) fn open(
        settings: &TlsSettings,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Option<Self>, EdgeError> {
        let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else {
            return Ok(None);
        };
        let files = Files {
            section: "tls",
            certificate: certificate.clone(),
            key: key.clone(),
        };
        let nobody = WebPkiClientVerifier::no_client_auth();
        let metrics = Metrics::register(registry, "public")?;
        Self::of(files, nobody, settings, clock, metrics).map(Some)
    }

    /// Reads the files of a listener that asks clients for certificates.
    pub(super) fn asking_clients(
        settings: &MtlsSettings<'_>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, EdgeError> {
        let files = Files {
            section: settings.section,
            certificate: settings.certificate.to_owned(),
            key: settings.key.to_owned(),
        };
        let metrics = Metrics::register(registry, "mtls")?;
        let anybody = Arc::new(AnyCertificate::default());
        Self::of(files, anybody, settings.tls, clock, metrics)
    }

    fn of(
        files: Files,
        clients: Arc<dyn ClientCertVerifier>,
        settings: &TlsSettings,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, EdgeError> {
        let pem = files.read()?;
        let pair = pem.pair(&files, clock.now())?;
        metrics.not_after.set(pair.not_after);
        let current = Arc::new(Current::new(pair.certified));
        let config = protocol(&current, clients)?;
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            handshake: settings.handshake,
            reload: settings.reload,
            files,
            current,
            seen: Mutex::new(Seen {
                loaded: pem.digest(),
                refused: Refused::Nothing,
            }),
            clock,
            metrics,
        })
    }

    /// The handshake, if it succeeds in time.
    pub(super) async fn accept(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let (outcome, accepted) = match timeout(self.handshake, self.acceptor.accept(stream)).await
        {
            Ok(Ok(stream)) => ("completed", Some(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "no TLS handshake");
                ("failed", None)
            }
            Err(_) => ("timed_out", None),
        };
        self.metrics.handshakes.with_label_values(&[outcome]).inc();
        accepted
    }

    /// Looks at the files again and again, until dropped.
    pub(super) async fn follow_files(&self) {
        // They have just been read.
        let mut ticks = interval_at(Instant::now() + self.reload, self.reload);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Takes what the files hold, if that changed and can be used; complains once of what cannot.
    pub(super) async fn look(&self) {
        // Before the files are read: of two looks, the later one must not come first.
        let mut seen = self.seen.lock().await;
        let files = self.files.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || files.read()).await else {
            return;
        };
        let (error, refused) = match read {
            Err(error) => (error, Refused::Unreadable),
            Ok(pem) => {
                let digest = pem.digest();
                if digest == seen.loaded {
                    seen.refused = Refused::Nothing;
                    return;
                }
                // Judged at every look: a certificate that is not valid yet becomes so without a change.
                match pem.pair(&self.files, self.clock.now()) {
                    Err(error) => (error, Refused::Files(digest)),
                    Ok(pair) => {
                        self.metrics.not_after.set(pair.not_after);
                        self.current.replace(pair.certified);
                        *seen = Seen {
                            loaded: digest,
                            refused: Refused::Nothing,
                        };
                        self.metrics.reloads.with_label_values(&["loaded"]).inc();
                        tracing::info!("new connections see the new certificate");
                        return;
                    }
                }
            }
        };
        if seen.refused != refused {
            seen.refused = refused;
            self.metrics.reloads.with_label_values(&["refused"]).inc();
            tracing::warn!(%error, "the certificate in use stays");
        }
    }
}

/// `clients` says what is asked of clients: nothing, or any certificate. Nobody is sent tickets for early data (0-RTT), which anyone
/// could replay. A session that is resumed keeps the certificate of its first handshake, which is judged with each request.
fn protocol(
    current: &Arc<Current>,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Protocol)?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(Arc::<Current>::clone(current));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

/// What is measured of TLS.
struct Metrics {
    handshakes: IntCounterVec,
    reloads: IntCounterVec,
    not_after: IntGauge,
}

impl Metrics {
    fn register(registry: &Registry, listener: &str) -> Result<Self, prometheus::Error> {
        let opts = |name, help| Opts::new(name, help).const_label("listener", listener);
        let by_outcome = |name, help| IntCounterVec::new(opts(name, help), &["outcome"]);
        let metrics = Self {
            handshakes: by_outcome("tls_handshakes_total", "TLS handshakes, by outcome.")?,
            reloads: by_outcome(
                "tls_certificate_reloads_total",
                "Changes of the certificate's files, by outcome.",
            )?,
            not_after: IntGauge::with_opts(opts(
                "tls_certificate_not_after_timestamp_seconds",
                "When the certificate in use expires.",
            ))?,
        };
        registry.register(Box::new(metrics.handshakes.clone()))?;
        registry.register(Box::new(metrics.reloads.clone()))?;
        registry.register(Box::new(metrics.not_after.clone()))?;
        Ok(metrics)
    }
}
