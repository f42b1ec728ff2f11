//! What stands between the network and the routes of one server: proxies, TLS, and the door that shuts before too many are inside.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::http::HeaderValue;
use prometheus::{IntCounter, Registry};
use shared_protocol::time::Clock;

use super::places::Places;
use super::tls::Tls;
use super::{
    ClientAddress, MtlsSettings, Problem, Proxies, TlsError, TlsSettings, client_certificate,
};
use crate::config::Mistake;

/// What an edge is made from.
#[derive(Clone, Copy, Debug)]
pub struct EdgeSettings<'a> {
    /// Whether we end TLS ourselves.
    pub tls: &'a TlsSettings,
    /// Who may stand before us.
    pub proxies: &'a Proxies,
    /// Whether clients reach us by https, whoever ends it.
    pub https: bool,
}

/// The edge of one server; clones are the same edge. The default believes nobody and speaks plain TCP.
#[derive(Clone, Default)]
pub struct Edge(Arc<Parts>);

#[derive(Default)]
struct Parts {
    tls: Option<Tls>,
    proxies: Proxies,
    strict_transport: Option<HeaderValue>,
    requests: AtomicUsize,
    bodies: Places,
    metrics: EdgeMetrics,
}

/// Why there is no edge.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing could be measured.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// A request that is being answered, until it is dropped.
pub(super) struct Turn<'a>(&'a AtomicUsize);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl EdgeSettings<'_> {
    /// What contradicts itself, or must not be in production. Looks at no file.
    #[must_use]
    pub fn mistakes(&self, production: bool) -> Vec<Mistake> {
        let mut mistakes = self.tls.mistakes();
        if self.tls.is_on() && !self.https {
            mistakes.push(Mistake::together(
                "tls.certificate",
                "the public address is plain http; make it https, or take tls.certificate and tls.key out",
            ));
        }
        if !self.proxies.trusted.is_empty() && self.proxies.header.is_none() {
            mistakes.push(Mistake::together(
                "proxies.header",
                "say which header the trusted proxies write, \"forwarded\" or \"x_forwarded_for\": the other they pass on as clients wrote it",
            ));
        }
        if self.proxies.client_certificates && self.proxies.trusted.is_empty() {
            mistakes.push(Mistake::together(
                "proxies.client_certificates",
                "there is no proxy that could tell of certificates; name those that do in proxies.trusted, or take it out",
            ));
        }
        if production && !self.tells_clients_apart() {
            mistakes.push(Mistake::together(
                "tls.certificate",
                "nobody is known to end TLS for the public https address; name tls.certificate and tls.key, or the proxies that do in proxies.trusted",
            ));
        }
        mistakes
    }

    /// Whether addresses of clients are known. They are not where something that nobody named ends TLS before us: then all requests
    /// come from its address.
    #[must_use]
    pub fn tells_clients_apart(&self) -> bool {
        !self.https || self.tls.is_on() || !self.proxies.trusted.is_empty()
    }
}

impl Edge {
    /// Reads certificate and key, if there are any, and adds what is measured to `registry`.
    ///
    /// # Errors
    /// A certificate or key that cannot be used, with the mend.
    pub fn open(
        settings: EdgeSettings<'_>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, EdgeError> {
        let metrics = EdgeMetrics::default();
        metrics.register(registry)?;
        Ok(Self(Arc::new(Parts {
            tls: Tls::open(settings.tls, clock, registry)?,
            proxies: settings.proxies.clone(),
            strict_transport: settings.https.then(|| settings.tls.strict_transport()),
            requests: AtomicUsize::new(0),
            bodies: Places::default(),
            metrics,
        })))
    }

    /// The edge of another listener of the same server, which asks clients for certificates.
    ///
    /// # Errors
    /// As [`Edge::open`].
    pub fn asking_clients(
        &self,
        settings: MtlsSettings<'_>,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<Self, EdgeError> {
        Ok(Self(Arc::new(Parts {
            tls: Some(Tls::asking_clients(&settings, clock, registry)?),
            proxies: self.0.proxies.clone(),
            metrics: self.0.metrics.clone(),
            // Requests are counted where the routes are, which is the other edge.
            ..Parts::default()
        })))
    }

    pub(super) fn certify(&self, request: &mut Request) -> Result<(), Problem> {
        client_certificate::certify(request, &self.0.proxies)
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.0.tls.as_ref()
    }

    /// RFC 6797 §6.1: for those who came by https, which plain http is not told (§7.2).
    pub(super) fn strict_transport(&self) -> Option<&HeaderValue> {
        self.0.strict_transport.as_ref()
    }

    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.proxies.trust(peer)
    }

    pub(super) fn client(&self, request: &Request) -> ClientAddress {
        ClientAddress::of(request, &self.0.proxies)
    }

    /// A turn for `request` unless `most` others have one. Health is always told: whoever asks for it would otherwise take a busy server
    /// for a broken one.
    pub(super) fn turn(&self, most: usize, request: &Request) -> Result<Turn<'_>, Problem> {
        let others = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let turn = Turn(&self.0.requests);
        if others < most || is_health(request.uri().path()) {
            return Ok(turn);
        }
        self.0.metrics.shed.inc();
        Err(Problem::unavailable(
            "overloaded",
            "The server has too much to do",
        ))
    }

    /// Where those wait whose bodies do not come at once.
    pub(super) fn bodies(&self) -> &Places {
        &self.0.bodies
    }

    pub(super) fn refused_connection(&self) {
        self.0.metrics.refused.inc();
    }
}

fn is_health(path: &str) -> bool {
    path.strip_prefix("/health")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("tls", &self.0.tls.is_some())
            .field("proxies", &self.0.proxies)
            .finish_non_exhaustive()
    }
}

/// Whom the edge turned away.
#[derive(Clone)]
struct EdgeMetrics {
    shed: IntCounter,
    refused: IntCounter,
}

impl Default for EdgeMetrics {
    fn default() -> Self {
        let counter = |name, help| IntCounter::new(name, help).expect("a valid name");
        Self {
            shed: counter(
                "http_requests_shed_total",
                "Requests answered with 503 because too many were in progress.",
            ),
            refused: counter(
                "http_connections_refused_total",
                "Connections closed at once because their address had too many.",
            ),
        }
    }
}

impl EdgeMetrics {
    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.shed.clone()))?;
        registry.register(Box::new(self.refused.clone()))
    }
}
