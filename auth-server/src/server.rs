//! The server as a whole: opened from its configuration, then served until it is told to stop.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use prometheus::Registry;
use shared_protocol::jose::{Algorithm, VerifiedTokens};
use shared_protocol::random::Random;
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Clock;
use shared_server::ephemeral::Ephemeral;
use shared_server::jobs::Scheduler;
use shared_server::telemetry::{self, HttpMetrics, metrics_router};
use shared_server::web::{self, Edge, Health, Limits, Listener, Observed, Shutdown};

use crate::back_channel::BackChannel;
use crate::chores;
use crate::clients::certificate::{Authorities, Certificates};
use crate::codes::Codes;
use crate::config::Config;
use crate::feed::Feed;
use crate::keys::KeyMetrics;
use crate::rate_limits::RateLimits;
use crate::records::Records;
use crate::refusals::{Keeper, RefusalMetrics, Refusals};
use crate::registration::Registration;
use crate::resource_servers::ResourceServer;
use crate::routes::{self, AppState};
use crate::subjects::Subjects;
use crate::telemetry::Metrics;
use crate::token::access_token::AccessTokens;
use crate::token::opaque::OpaqueTokens;
use parts::{Kept, app_state};

/// Time and randomness, which everything is handed.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// What clients reach that are asked for certificates.
struct ByCertificate {
    app: Router,
    edge: Edge,
    listener: Option<Listener>,
}

/// The authorization server, ready to serve.
pub struct AuthServer {
    /// What it keeps.
    pub records: Records,
    /// The codes that it gives out and takes back.
    pub codes: Codes,
    /// Tells clients of sign-outs.
    pub back_channel: BackChannel,
    /// Keeps why requests are refused.
    pub refusals: Refusals,
    keeper: Keeper,
    app: Router,
    by_certificate: Option<ByCertificate>,
    authorities: Option<(Arc<Authorities>, Duration)>,
    operations: Router,
    feed: Feed,
    scheduler: Scheduler,
    registry: Registry,
    limits: Limits,
    edge: Edge,
    shutdown: Shutdown,
}

impl AuthServer {
    /// Opens all that it needs.
    ///
    /// # Errors
    /// As [`Records::open`], an ephemeral store that does not answer, and a certificate or key that cannot be used.
    pub async fn open(config: &Config, world: &World, shutdown: Shutdown) -> anyhow::Result<Self> {
        let records = Records::open(config, world).await?;
        let now = world.clock.now();
        let ephemeral = Ephemeral::connect(&config.ephemeral.settings(), Arc::clone(&world.clock))
            .await
            .context("ephemeral.url")?;
        let revocations = records.revocations.clone();
        revocations.reload(now).await?;
        let codes = Codes {
            ephemeral: ephemeral.clone(),
            lifetime: config.authorization.code_lifetime,
        };
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry)?);
        records.accounts.hasher.metrics().register(&registry)?;
        let limits = RateLimits::new(config, &ephemeral, &registry)?;
        let registration = Registration::open(config, &records, world, &limits)?;
        let back_channel = BackChannel::open(config, &records, world, &registry)?;
        let kept = Kept {
            records: &records,
            codes: &codes,
            back_channel: &back_channel,
            limits,
            registration,
        };
        let certificates = Certificates::open(config.mtls.client_ca.as_deref())?;
        let authorities = certificates.authorities().cloned();
        let state = app_state(config, world, kept, &metrics, certificates);
        measure(&registry, &records, &ephemeral, &state)?;
        KeyMetrics::register(records.keys.clone(), Arc::clone(&world.clock), &registry)?;
        let scheduler = chores::scheduler(config, &records, &back_channel, world, &registry)?;
        let health = health(&records, &ephemeral, &scheduler, world, shutdown.clone());
        let edge = Edge::open(config.edge(), Arc::clone(&world.clock), &registry)?;
        let (refusals, keeper) = Refusals::new(
            records.store.clone(),
            Arc::clone(&world.random),
            RefusalMetrics::register(&registry)?,
        );
        let observed = Observed {
            refusals: config.explain.is_on().then(|| refusals.taking()),
            clock: Arc::clone(&world.clock),
            random: Arc::clone(&world.random),
            metrics: HttpMetrics::register(&registry)?,
            limits: config.limits.clone(),
            edge: edge.clone(),
        };
        let app = routes::routes(&config.issuer, &state, &health, &observed, &shutdown);
        let by_certificate = match config.mtls.settings(&config.tls) {
            None => None,
            Some(settings) => Some(ByCertificate {
                app: routes::for_certificates(&config.issuer, &state, &observed, &shutdown),
                edge: edge.asking_clients(settings, Arc::clone(&world.clock), &registry)?,
                listener: None,
            }),
        };
        let operations = metrics_router(registry.clone())
            .merge(health.operators_router())
            .merge(health.router());
        let feed = Feed {
            store: records.store.clone(),
            clients: records.clients.clone(),
            documents: records.sites.documents.clone(),
            resource_servers: records.resource_servers.clone(),
            trusted_issuers: records.trusted_issuers.clone(),
            keys: records.keys.clone(),
            revocations,
            outage: records.grants.outage.clone(),
            clock: Arc::clone(&world.clock),
        };
        Ok(Self {
            records,
            codes,
            back_channel,
            refusals,
            keeper,
            app,
            by_certificate,
            authorities: authorities.map(|known| (known, config.tls.reload)),
            operations,
            feed,
            scheduler,
            registry,
            limits: config.limits.clone(),
            edge,
            shutdown,
        })
    }

    /// What is measured of this server.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Serves on `listener` too, for clients that authenticate by certificates. Without `mtls.listen` in the configuration, nobody does.
    #[must_use]
    pub fn with_mtls(mut self, listener: Listener) -> Self {
        if let Some(by_certificate) = &mut self.by_certificate {
            by_certificate.listener = Some(listener.behind(&by_certificate.edge));
        }
        self
    }

    /// Serves until the shutdown that it was opened with triggers, then lets requests in flight finish.
    pub async fn serve(self, listener: Listener, operations: Listener) {
        let by_certificate = self
            .by_certificate
            .and_then(|known| Some((known.listener?, known.app)));
        let mut listeners = vec![("public", &listener), ("operations", &operations)];
        listeners.extend(
            by_certificate
                .iter()
                .map(|(listener, _)| ("mtls", listener)),
        );
        telemetry::connections(&self.registry, &listeners);
        // What follows the database, and what operators look at, outlives the last request.
        let background = Shutdown::new();
        let feed = tokio::spawn(self.feed.run(background.clone()));
        let keeper = tokio::spawn(self.keeper.run(background.clone()));
        let scheduler = tokio::spawn(self.scheduler.run(self.shutdown.clone()));
        let authorities = self.authorities.map(|(authorities, every)| {
            let background = background.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = authorities.follow_file(every) => {}
                    () = background.triggered() => {}
                }
            })
        });
        let by_certificate = by_certificate.map(|(listener, app)| {
            let (limits, shutdown) = (self.limits.clone(), self.shutdown.clone());
            tokio::spawn(async move { web::serve(listener, app, &limits, shutdown).await })
        });
        let operations = {
            let background = background.clone();
            // By then everybody has had notice.
            let limits = Limits {
                notice: Duration::ZERO,
                ..self.limits.clone()
            };
            tokio::spawn(async move {
                web::serve(operations, self.operations, &limits, background).await;
            })
        };
        let listener = listener.behind(&self.edge);
        web::serve(listener, self.app, &self.limits, self.shutdown).await;
        if let Some(by_certificate) = by_certificate {
            let _ = by_certificate.await;
        }
        background.trigger();
        let _ = tokio::join!(feed, operations, scheduler, keeper);
        if let Some(authorities) = authorities {
            let _ = authorities.await;
        }
    }
}

/// Shows what is measured of all that this server stands on.
fn measure(
    registry: &Registry,
    records: &Records,
    ephemeral: &Ephemeral,
    AppState(state): &AppState,
) -> Result<(), prometheus::Error> {
    telemetry::process(registry, "auth-server", env!("CARGO_PKG_VERSION"))?;
    records.store.register(registry)?;
    ephemeral.register(registry)?;
    records.revocations.register(registry)?;
    telemetry::caches(
        registry,
        [
            ("clients", records.clients.lookups()),
            ("verified_tokens", state.tokens.verified.lookups()),
            ("opaque_tokens", state.tokens.opaque.lookups()),
            ("metadata", state.metadata.lookups()),
            ("jwks", state.jwks.lookups()),
        ],
    )
}

/// What makes access tokens and knows them again.
pub(crate) fn access_tokens(
    config: &Config,
    world: &World,
    records: &Records,
    metrics: &Arc<Metrics>,
) -> Arc<AccessTokens> {
    let algorithms = records.keys.algorithms();
    // The first that can sign: one that was added in front of the others has to wait, for the next start after its time has come.
    let signing = records.keys.ring().signing(world.clock.now());
    let alg = signing.first().or(algorithms.first()).copied();
    let alg = alg.unwrap_or(Algorithm::Es256);
    let own = ResourceServer::of_issuer(ResourceId::from(&config.issuer), alg);
    Arc::new(AccessTokens {
        issuer: Arc::new(config.issuer.clone()),
        keys: records.keys.clone(),
        own: Arc::new(own),
        resource_servers: records.resource_servers.clone(),
        profiles: records.offered.profiles,
        subjects: Subjects::new(&records.root_secret),
        people: records.store.clone(),
        client_keys: records.sites.keys.clone(),
        revocations: records.revocations.clone(),
        random: Arc::clone(&world.random),
        metrics: Arc::clone(metrics),
        verified: VerifiedTokens::new(10_000),
        opaque: OpaqueTokens::new(records.store.clone()),
    })
}

fn health(
    records: &Records,
    ephemeral: &Ephemeral,
    scheduler: &Scheduler,
    world: &World,
    shutdown: Shutdown,
) -> Health {
    let (store, ephemeral) = (records.store.clone(), ephemeral.clone());
    let (keys, revocations) = (records.keys.clone(), records.revocations.clone());
    let (clock, keys_clock) = (Arc::clone(&world.clock), Arc::clone(&world.clock));
    let jobs = scheduler.report();
    Health::new(shutdown)
        .check("db", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .check("redis", move || {
            let ephemeral = ephemeral.clone();
            async move { ephemeral.ping().await }
        })
        .check("keys", move || {
            std::future::ready(keys.check(keys_clock.now()))
        })
        .detail("jobs", move || {
            let jobs = jobs.clone();
            async move { jobs.check().await }
        })
        .check("revocations", move || {
            let confirmed = revocations.is_confirmed(clock.now());
            async move {
                if confirmed {
                    Ok(())
                } else {
                    Err("not compared with the database for two seconds")
                }
            }
        })
}
