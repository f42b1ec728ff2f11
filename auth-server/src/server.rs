//! The server as a whole: opened from its configuration, then served until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use prometheus::Registry;
use shared_protocol::bearer::Proofs;
use shared_protocol::jose::{Algorithm, VerifiedTokens};
use shared_protocol::random::Random;
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Clock;
use shared_server::ephemeral::Ephemeral;
use shared_server::jobs::Scheduler;
use shared_server::rate_limits::RateLimiter;
use shared_server::telemetry::{self, HttpMetrics, metrics_router};
use shared_server::web::{self, Edge, Health, Limits, Listener, Observed, Shutdown};

use crate::accounts::known_devices::KnownDevices;
use crate::accounts::sign_in::SignIn;
use crate::accounts::sign_up::SignUp;
use crate::authorize::Authorize;
use crate::authorize::checks::Checks;
use crate::authorize::front_channel::FrontChannel;
use crate::authorize::pushed::PushedRequests;
use crate::authorize::request_object::RequestObjects;
use crate::authorize::visit::Dialogue;
use crate::back_channel::BackChannel;
use crate::browser::{Cookies, FormTokens};
use crate::chores;
use crate::clients::authenticate::Authenticator;
use crate::clients::authenticate::binding::Bindings;
use crate::clients::callers::Callers;
use crate::clients::certificate::{Authorities, Certificates};
use crate::clients::jwks_uri::ClientKeys;
use crate::clients::logo::Pictures;
use crate::codes::Codes;
use crate::config::Config;
use crate::consents::Consents;
use crate::device::Devices;
use crate::dpop::{self, TellNonce};
use crate::feed::Feed;
use crate::global_revocation::GlobalRevocation;
use crate::interactions::Interactions;
use crate::introspect::Introspection;
use crate::keys::KeyMetrics;
use crate::openapi;
use crate::pages::Frame;
use crate::published::{Document, Published};
use crate::rate_limits::RateLimits;
use crate::records::Records;
use crate::refresh_tokens::RefreshTokens;
use crate::refusals::{Keeper, RefusalMetrics, Refusals};
use crate::registration::Registration;
use crate::resource_servers::ResourceServer;
use crate::revoke::Revocation;
use crate::routes::{self, AppState, Parts};
use crate::sign_out::SignOut;
use crate::subjects::Subjects;
use crate::telemetry::Metrics;
use crate::token::Grantor;
use crate::token::access_token::AccessTokens;
use crate::token::jwt_bearer::{Judge, JwtBearer, People};
use crate::token::opaque::OpaqueTokens;
use crate::token::password::PasswordGrant;
use crate::userinfo::Userinfo;

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
        records.keys.sign_on(now).await?;
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

/// What requests read and change.
struct Kept<'a> {
    records: &'a Records,
    codes: &'a Codes,
    back_channel: &'a BackChannel,
    limits: RateLimits,
    registration: Registration,
}

fn app_state(
    config: &Config,
    world: &World,
    kept: Kept,
    metrics: &Arc<Metrics>,
    certificates: Certificates,
) -> AppState {
    let Kept {
        records,
        codes,
        back_channel,
        limits,
        registration,
    } = kept;
    let tokens = access_tokens(config, world, records, metrics);
    let sign_in = Arc::new(sign_in(config, world, records, &codes.ephemeral));
    let grantor = Arc::new(Grantor {
        tokens: Arc::clone(&tokens),
        codes: codes.clone(),
        grants: records.grants.clone(),
        refresh_tokens: RefreshTokens::new(records.root_secret.mac_key("refresh token")),
        accounts: limits.account.clone(),
        clients: records.clients.clone(),
        devices: devices(config, &codes.ephemeral),
        password: password_grant(records, &sign_in),
        jwt_bearer: jwt_bearer(config, records, &codes.ephemeral),
    });
    let offered = records.offered.clone();
    let callers = Callers {
        registered: records.clients.clone(),
        documents: records.sites.documents.clone(),
        fetches: limits.documents,
    };
    let proofs = Proofs {
        dpop: dpop::judge(config, &records.root_secret, &codes.ephemeral),
        nonces: config.dpop.nonce,
    };
    let authenticator = Arc::new(Authenticator {
        clients: callers.clone(),
        bindings: Bindings {
            dpop: proofs.dpop.clone(),
            nonce: proofs.nonces,
        },
        keys: records.sites.keys.clone(),
        ephemeral: codes.ephemeral.clone(),
        audiences: offered.audiences(&config.issuer),
        certificates,
        clock: Arc::clone(&world.clock),
        metrics: Arc::clone(metrics),
        requests: limits.client,
        failures: limits.failures,
    });
    AppState(Arc::new(Parts {
        clients: records.clients.clone(),
        dialogue: Arc::new(dialogue(
            config,
            world,
            (records, codes, &tokens),
            (callers, sign_in),
        )),
        global_revocation: Arc::new(GlobalRevocation::new(
            &config.issuer,
            Arc::clone(&authenticator),
            (records.accounts.clone(), records.identity_links.clone()),
        )),
        authenticator,
        tell_nonce: TellNonce::new(proofs.dpop.clone(), Arc::clone(&world.clock)),
        introspection: Arc::new(Introspection {
            tokens: Arc::clone(&tokens),
            grantor: Arc::clone(&grantor),
            clients: records.clients.clone(),
        }),
        revocation: Arc::new(Revocation {
            tokens: Arc::clone(&tokens),
            grantor: Arc::clone(&grantor),
            revocations: records.revocations.clone(),
        }),
        userinfo: Arc::new(userinfo(records, &tokens, limits.account, proofs)),
        addresses: limits.address,
        grantor,
        pictures: Arc::new(Pictures {
            clients: records.clients.clone(),
            documents: records.sites.documents.clone(),
            logos: records.sites.logos.clone(),
        }),
        registration: Arc::new(registration),
        sign_up: Arc::new(SignUp {
            accounts: records.accounts.clone(),
            attempts: limits.sign_up,
            random: Arc::clone(&world.random),
        }),
        sign_out: Arc::new(sign_out(
            config,
            world,
            records,
            (back_channel, &codes.ephemeral),
        )),
        frame: Arc::new(Frame::new(&config.issuer, Arc::clone(&world.random))),
        tokens,
        description: Document::new(&openapi::document(config), "application/json"),
        offered,
        metadata: Published::default(),
        jwks_max_age: config.keys.jwks_max_age,
        jwks: Published::default(),
    }))
}

fn userinfo(
    records: &Records,
    tokens: &Arc<AccessTokens>,
    accounts: RateLimiter,
    proofs: Proofs,
) -> Userinfo {
    Userinfo {
        tokens: Arc::clone(tokens),
        grants: records.grants.clone(),
        clients: records.clients.clone(),
        accounts,
        proofs,
    }
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

/// What signing out takes.
fn sign_out(
    config: &Config,
    world: &World,
    records: &Records,
    told: (&BackChannel, &Ephemeral),
) -> SignOut {
    let (back_channel, ephemeral) = told;
    SignOut {
        issuer: Arc::new(config.issuer.clone()),
        sessions: records.sessions.clone(),
        cookies: Cookies::new(&config.issuer),
        forms: FormTokens::new(&records.root_secret),
        clients: records.clients.clone(),
        keys: records.keys.clone(),
        subjects: Subjects::new(&records.root_secret),
        back_channel: back_channel.clone(),
        interactions: interactions(config, ephemeral),
        localhost_port_varies: config.authorization.localhost_port_varies,
        random: Arc::clone(&world.random),
    }
}

/// The steps from an authorization request to its answer.
fn dialogue(
    config: &Config,
    world: &World,
    (records, codes, tokens): (&Records, &Codes, &Arc<AccessTokens>),
    (clients, sign_in): (Callers, Arc<SignIn>),
) -> Dialogue {
    let ephemeral = &codes.ephemeral;
    let issuer = Arc::new(config.issuer.clone());
    Dialogue {
        cookies: Cookies::new(&issuer),
        forms: FormTokens::new(&records.root_secret),
        sign_in,
        may_sign_up: records.offered.sign_up,
        devices: devices(config, ephemeral),
        authorize: Authorize {
            checks: Checks {
                issuer,
                clients,
                resource_servers: records.resource_servers.clone(),
                keys: records.keys.clone(),
                objects: RequestObjects {
                    keys: records.sites.keys.clone(),
                    published: records.sites.request_objects.clone(),
                },
                policy: records.offered.requests.clone(),
                subjects: Subjects::new(&records.root_secret),
                levels: records.offered.acr.clone(),
                sign_up: records.offered.sign_up,
                pkce: config.authorization.pkce,
                localhost_port_varies: config.authorization.localhost_port_varies,
            },
            interactions: interactions(config, ephemeral),
            sessions: records.sessions.clone(),
            consents: Consents {
                store: records.store.clone(),
            },
            codes: codes.clone(),
            front_channel: FrontChannel {
                tokens: Arc::clone(tokens),
                grants: records.grants.clone(),
                session_lifetime: config.sessions.absolute,
            },
            pushed: PushedRequests {
                ephemeral: ephemeral.clone(),
                lifetime: config.authorization.request_lifetime,
                interaction_lifetime: config.authorization.interaction_lifetime,
            },
            random: Arc::clone(&world.random),
        },
    }
}

fn devices(config: &Config, ephemeral: &Ephemeral) -> Devices {
    Devices {
        ephemeral: ephemeral.clone(),
        lifetime: config.device.lifetime,
        interval: config.device.interval,
        per_client: config.device.requests_per_client,
        per_address: config.by_address(config.device.requests_per_address),
        guesses: config.guess_limits(),
    }
}

fn interactions(config: &Config, ephemeral: &Ephemeral) -> Interactions {
    Interactions {
        ephemeral: ephemeral.clone(),
        lifetime: config.authorization.interaction_lifetime,
        per_address: config.interactions_per_address(),
    }
}

/// What the password grant takes, where it is served.
fn password_grant(records: &Records, sign_in: &Arc<SignIn>) -> Option<PasswordGrant> {
    records.offered.password_grant.then(|| PasswordGrant {
        sign_in: Arc::clone(sign_in),
        sessions: records.sessions.clone(),
        resource_servers: records.resource_servers.clone(),
        levels: records.offered.acr.clone(),
    })
}

/// What the JWT bearer grant takes. The keys of issuers are fetched beside those of clients, whom nobody needs to trust.
fn jwt_bearer(config: &Config, records: &Records, ephemeral: &Ephemeral) -> JwtBearer {
    JwtBearer {
        judge: Judge {
            issuers: records.trusted_issuers.clone(),
            keys: ClientKeys::new(&records.sites.fetcher),
            audiences: records.offered.audiences(&config.issuer),
            used: ephemeral.clone(),
        },
        people: People {
            accounts: records.accounts.clone(),
            links: records.identity_links.clone(),
            levels: records.offered.acr.clone(),
        },
    }
}

fn sign_in(config: &Config, world: &World, records: &Records, ephemeral: &Ephemeral) -> SignIn {
    SignIn {
        accounts: records.accounts.clone(),
        ephemeral: ephemeral.clone(),
        devices: KnownDevices::new(&records.root_secret, config.sign_in.known_device),
        limits: config.sign_in_limits(),
        random: Arc::clone(&world.random),
    }
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
