//! The server as a value: built, bound, served.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use prometheus::Registry;
use shared_protocol::bearer::{
    Certificates, Guard, GuardSettings, InvalidAcrValue, InvalidGuard, Proofs,
};
use shared_protocol::dpop::{Dpop, DpopSettings};
use shared_protocol::outbound::{FetchError, Origin};
use shared_protocol::random::Random;
use shared_protocol::time::Clock;
use shared_server::config::ConfigError;
use shared_server::db::{DbError, Store};
use shared_server::ephemeral::{Ephemeral, EphemeralError};
use shared_server::outbound::OutboundError;
use shared_server::telemetry::{self, HttpMetrics, metrics_router};
use shared_server::web::{
    self, BindError, Cors, Edge, EdgeError, Health, Limits, Listener, Observed, Shutdown, not_found,
};

use crate::Config;
use crate::rate_limits::RateLimits;
use crate::routes::{self, Api};
use crate::store::MIGRATIONS;
use crate::users::People;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration contradicts itself, or its mode.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The ephemeral store cannot be used.
    #[error("ephemeral.url: {0}")]
    Ephemeral(#[from] EphemeralError),
    /// The schema is not this program's, and `database.migrate_at_start` is off.
    #[error("the database lacks {} migrations; run `resource-api migrate`", .0.len())]
    Unmigrated(Vec<String>),
    /// No token could be accepted.
    #[error(transparent)]
    Guard(#[from] InvalidGuard),
    /// A level that nobody could be asked for.
    #[error("step_up.acr_values: {0}")]
    StepUp(InvalidAcrValue),
    /// Nothing could be fetched.
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    /// An issuer that is nobody's server.
    #[error("issuers: {0}")]
    Issuer(#[from] FetchError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Edge(#[from] EdgeError),
    /// Nothing could be measured.
    #[error("the metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// A server that is not listening yet.
pub struct Server {
    listen: Vec<SocketAddr>,
    operations_listen: Vec<SocketAddr>,
    by_certificate: Option<ByCertificate>,
    api: Api,
    pages: Cors,
    observed: Observed,
    registry: Registry,
}

/// Where clients are asked for certificates.
struct ByCertificate {
    listen: Vec<SocketAddr>,
    edge: Edge,
}

/// A server that has its addresses.
pub struct Bound {
    server: Server,
    listener: Listener,
    operations: Listener,
    by_certificate: Option<Listener>,
}

impl Server {
    /// Makes a server: opens the database, migrates it if configured to, and asks nobody else, so an issuer may still be
    /// down.
    ///
    /// # Errors
    /// [`StartError`] says what to mend.
    pub async fn build(
        config: Config,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, StartError> {
        let mistakes = config.check();
        if !mistakes.is_empty() {
            return Err(ConfigError { mistakes }.into());
        }
        let store = Store::connect(&config.database.settings()).await?;
        if config.database.migrate_at_start {
            store.migrate(&MIGRATIONS).await?;
        } else {
            let pending = store.pending(&MIGRATIONS).await?;
            if !pending.is_empty() {
                return Err(StartError::Unmigrated(pending));
            }
        }
        let ephemeral =
            Ephemeral::connect(&config.ephemeral.settings(), Arc::clone(&clock)).await?;
        let registry = Registry::new();
        let edge = Edge::open(config.edge(), Arc::clone(&clock), &registry)?;
        let by_certificate = match config.mtls.section().settings(&config.tls) {
            None => None,
            Some(settings) => Some(ByCertificate {
                listen: config.mtls.listen.clone(),
                edge: edge.asking_clients(settings, Arc::clone(&clock), &registry)?,
            }),
        };
        telemetry::process(&registry, "resource-api", env!("CARGO_PKG_VERSION"))?;
        store.register(&registry)?;
        let guard = guard(&config, Arc::clone(&clock), (&ephemeral, &random))?;
        telemetry::caches(&registry, guard.lookups())?;
        Ok(Self {
            api: Api {
                limits: RateLimits::new(&config, &ephemeral, &registry)?,
                guard,
                step_up: config.step_up.requirement().map_err(StartError::StepUp)?,
                people: People {
                    store,
                    random: Arc::clone(&random),
                },
            },
            pages: config.cors.pages(),
            observed: Observed {
                clock,
                random,
                metrics: HttpMetrics::register(&registry)?,
                limits: config.limits,
                edge,
                refusals: None,
            },
            registry,
            by_certificate,
            listen: config.server.listen,
            operations_listen: config.server.operations_listen,
        })
    }

    /// What is measured of this server.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Takes the addresses, for the API and for operators.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub async fn bind(self) -> Result<Bound, BindError> {
        let by_certificate = match &self.by_certificate {
            None => None,
            Some(known) => Some(Listener::bind(&known.listen).await?.behind(&known.edge)),
        };
        Ok(Bound {
            listener: Listener::bind(&self.listen).await?,
            operations: Listener::bind(&self.operations_listen).await?,
            by_certificate,
            server: self,
        })
    }

    fn health(&self, shutdown: &Shutdown) -> Health {
        let store = self.api.people.store.clone();
        let guard = self.api.guard.clone();
        Health::new(shutdown.clone())
            .check("db", move || {
                let store = store.clone();
                async move { store.ping().await }
            })
            .check("issuers", move || {
                let guard = guard.clone();
                async move { guard.ready().await }
            })
    }
}

impl Bound {
    /// Where the API listens, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listener.addresses()
    }

    /// Where operators find metrics and health; empty if nowhere.
    #[must_use]
    pub fn operations_addresses(&self) -> Vec<SocketAddr> {
        self.operations.addresses()
    }

    /// Where clients are asked for certificates, if anywhere.
    #[must_use]
    pub fn mtls_addresses(&self) -> Vec<SocketAddr> {
        let listener = self.by_certificate.as_ref();
        listener.map(Listener::addresses).unwrap_or_default()
    }

    /// Serves until `shutdown` triggers and requests in flight have finished.
    pub async fn serve(self, shutdown: Shutdown) {
        let server = self.server;
        let mut listeners = vec![("public", &self.listener), ("operations", &self.operations)];
        listeners.extend(
            self.by_certificate
                .iter()
                .map(|listener| ("mtls", listener)),
        );
        telemetry::connections(&server.registry, &listeners);
        let health = server.health(&shutdown);
        let observed = &server.observed;
        let api = server.api.clone();
        let app = routes::router(api, &health, &shutdown, observed, server.pages);
        let limits = &observed.limits;
        let operators = operators(&health, server.registry.clone());
        let by_certificate = async {
            if let Some(listener) = self.by_certificate {
                web::serve(listener, app.clone(), limits, shutdown.clone()).await;
            }
        };
        tokio::join!(
            web::serve(
                self.listener.behind(&server.observed.edge),
                app.clone(),
                limits,
                shutdown.clone()
            ),
            by_certificate,
            operate(self.operations, operators, limits, shutdown.clone()),
        );
    }
}

/// For operators: what strangers must not see. Neither logged nor counted, for scrapers come often.
fn operators(health: &Health, registry: Registry) -> Router {
    metrics_router(registry)
        .merge(health.operators_router())
        .merge(health.router())
        .fallback(not_found)
}

async fn operate(listener: Listener, app: Router, limits: &Limits, shutdown: Shutdown) {
    if !listener.addresses().is_empty() {
        web::serve(listener, app, limits, shutdown).await;
    }
}

fn guard(
    config: &Config,
    clock: Arc<dyn Clock>,
    (ephemeral, random): (&Ephemeral, &Arc<dyn Random>),
) -> Result<Guard, StartError> {
    let origins = config
        .issuers
        .iter()
        .map(|trusted| Origin::try_from(trusted.issuer.url()));
    // The operator named them, so they may stand in a private network.
    let named = origins.collect::<Result<Vec<_>, _>>()?;
    let user_agent = concat!("resource-api/", env!("CARGO_PKG_VERSION"));
    let fetcher = config.outbound.fetcher(named, user_agent)?;
    Ok(Guard::new(GuardSettings {
        resource: config.resource.identifier.clone(),
        issuers: config.trusted_issuers(random),
        fetcher,
        clock,
        remembered: config.tokens.remembered,
        introspection_cache: config.tokens.introspection_cache.duration(),
        algorithms: config.tokens.algorithms.clone(),
        proofs: Some(Proofs {
            dpop: Dpop::new(DpopSettings {
                origins: config.origins(),
                nonces: config.dpop.nonces(&**random),
                used: Arc::new(ephemeral.clone()),
            }),
            nonces: config.dpop.nonce,
        }),
        // The edge has judged whoever tells of one (RFC 9440 §4).
        certificates: if config.mtls.section().is_on(&config.proxies) {
            Certificates::InExtensions
        } else {
            Certificates::Unseen
        },
        sender_constrained: config.tokens.sender_constrained,
    })?)
}
