//! The server as a whole: opened from its configuration, then served until it is told to stop.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use axum::Router;
use prometheus::Registry;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, VerifiedTokens};
use shared_protocol::random::{self, Random};
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Clock;
use shared_server::db::Store;
use shared_server::ephemeral::Ephemeral;
use shared_server::telemetry::{HttpMetrics, metrics_router};
use shared_server::web::{self, Health, Limits, Listener, Observed, Shutdown};

use crate::clients::authenticate::Authenticator;
use crate::clients::directory::Clients;
use crate::clients::secret::ClientSecret;
use crate::clients::{Client, ClientMetadata};
use crate::config::Config;
use crate::feed::Feed;
use crate::introspect::Introspection;
use crate::keys::encryption::KeyEncryption;
use crate::keys::{KeySettings, Keys};
use crate::openapi;
use crate::published::{Document, Published};
use crate::resource_servers::{MAX_LIFETIME, ResourceServer, ResourceServers};
use crate::revocations::Revocations;
use crate::revoke::Revocation;
use crate::routes::{self, AppState, Parts};
use crate::store::MIGRATIONS;
use crate::telemetry::Metrics;
use crate::token::access_token::AccessTokens;

/// Time and randomness, which everything is handed.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
}

/// What is kept in rows: enough for the command line, and the ground that the server stands on.
#[derive(Clone)]
pub struct Records {
    /// The database.
    pub store: Store,
    /// Clients.
    pub clients: Clients,
    /// Resource servers.
    pub resource_servers: ResourceServers,
    /// Signing keys.
    pub keys: Keys,
}

impl Records {
    /// Connects to the database, migrates it if the configuration says so, and makes the first keys.
    ///
    /// # Errors
    /// A contradiction in the configuration, a database that does not answer, keys that do not open: each with its mend.
    pub async fn open(config: &Config, world: &World) -> anyhow::Result<Self> {
        let problems = config.problems();
        if !problems.is_empty() {
            bail!(
                "the configuration cannot be used:\n  {}",
                problems.join("\n  ")
            );
        }
        let store = Store::connect(&config.database.settings())
            .await
            .context("database.url")?;
        if config.database.migrate_at_start {
            store
                .migrate(&MIGRATIONS)
                .await
                .context("the database could not be migrated")?;
        } else if !store.pending(&MIGRATIONS).await?.is_empty() {
            bail!(
                "the database is not up to date: run `auth-server migrate`, or set database.migrate_at_start"
            );
        }
        let encryption = key_encryption(config, world)?;
        let settings = KeySettings {
            algorithms: config.keys.algorithms.clone(),
            publish_ahead: config.keys.publish_ahead,
            max_token_lifetime: MAX_LIFETIME,
        };
        let now = world.clock.now();
        let keys = Keys::open(store.clone(), encryption, settings, now, &*world.random).await?;
        let resource_servers = ResourceServers::load(store.clone()).await?;
        Ok(Self {
            clients: Clients::new(store.clone()),
            store,
            resource_servers,
            keys,
        })
    }
}

impl Records {
    /// Registers a client under a new id, with a secret if its method needs one.
    ///
    /// # Errors
    /// Metadata that contradicts itself, a database that does not answer.
    pub async fn register_client(
        &self,
        metadata: ClientMetadata,
        world: &World,
    ) -> anyhow::Result<(ClientId, Option<ClientSecret>)> {
        let random = &*world.random;
        let id: ClientId = random::alphanumeric(22, random).parse()?;
        let uses_secret = metadata.token_endpoint_auth_method.uses_secret();
        let secret = uses_secret.then(|| ClientSecret::generate(random));
        let client = Client::new(id.clone(), metadata, Vec::new())?;
        self.clients
            .put(&client, secret.as_ref(), world.clock.now())
            .await?;
        Ok((id, secret))
    }
}

fn key_encryption(config: &Config, world: &World) -> anyhow::Result<KeyEncryption> {
    let configured = &config.keys.encryption;
    match config.sqlite_path() {
        Some(database) if configured.is_empty() => {
            let path = database.with_extension("key");
            KeyEncryption::from_or_create_file(&path, &*world.random)
                .with_context(|| path.display().to_string())
        }
        Some(_) | None => {
            let keys = configured
                .iter()
                .map(|key| (key.id.clone(), key.key.clone().into_inner()))
                .collect();
            KeyEncryption::new(keys).context("keys.encryption")
        }
    }
}

/// The authorization server, ready to serve.
pub struct AuthServer {
    /// What it keeps.
    pub records: Records,
    app: Router,
    operations: Router,
    feed: Feed,
    limits: Limits,
    shutdown: Shutdown,
}

impl AuthServer {
    /// Opens all that it needs.
    ///
    /// # Errors
    /// As [`Records::open`], and an ephemeral store that does not answer.
    pub async fn open(config: &Config, world: &World, shutdown: Shutdown) -> anyhow::Result<Self> {
        let records = Records::open(config, world).await?;
        let now = world.clock.now();
        let ephemeral = Ephemeral::connect(&config.ephemeral(), Arc::clone(&world.clock))
            .await
            .context("ephemeral.url")?;
        let revocations = Revocations::load(records.store.clone(), now).await?;
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry)?);
        let state = app_state(config, world, &records, &ephemeral, &revocations, &metrics);
        let health = health(
            &records.store,
            &ephemeral,
            &revocations,
            world,
            shutdown.clone(),
        );
        let observed = Observed {
            clock: Arc::clone(&world.clock),
            random: Arc::clone(&world.random),
            metrics: HttpMetrics::register(&registry)?,
            limits: config.limits.clone(),
        };
        let app = routes::routes(&config.issuer, state, shutdown.clone()).merge(health.router());
        let operations = metrics_router(registry)
            .merge(health.operators_router())
            .merge(health.router());
        let feed = Feed {
            store: records.store.clone(),
            clients: records.clients.clone(),
            resource_servers: records.resource_servers.clone(),
            keys: records.keys.clone(),
            revocations,
            clock: Arc::clone(&world.clock),
        };
        let app = web::layers(app, &observed);
        Ok(Self {
            records,
            app,
            operations,
            feed,
            limits: config.limits.clone(),
            shutdown,
        })
    }

    /// Serves until the shutdown that it was opened with triggers, then lets requests in flight finish.
    pub async fn serve(self, listener: Listener, operations: Listener) {
        // What follows the database, and what operators look at, outlives the last request.
        let background = Shutdown::new();
        let feed = tokio::spawn(self.feed.run(background.clone()));
        let operations = {
            let (limits, background) = (self.limits.clone(), background.clone());
            tokio::spawn(async move {
                web::serve(operations, self.operations, &limits, background).await;
            })
        };
        web::serve(listener, self.app, &self.limits, self.shutdown).await;
        background.trigger();
        let _ = tokio::join!(feed, operations);
    }
}

fn app_state(
    config: &Config,
    world: &World,
    records: &Records,
    ephemeral: &Ephemeral,
    revocations: &Revocations,
    metrics: &Arc<Metrics>,
) -> AppState {
    let issuer = Arc::new(config.issuer.clone());
    let alg = config
        .keys
        .algorithms
        .first()
        .copied()
        .unwrap_or(Algorithm::Es256);
    let own = ResourceServer::of_issuer(ResourceId::from(&config.issuer), alg);
    let tokens = Arc::new(AccessTokens {
        issuer: Arc::clone(&issuer),
        keys: records.keys.clone(),
        own: Arc::new(own),
        resource_servers: records.resource_servers.clone(),
        random: Arc::clone(&world.random),
        metrics: Arc::clone(metrics),
        verified: VerifiedTokens::new(10_000),
    });
    AppState(Arc::new(Parts {
        authenticator: Arc::new(Authenticator {
            clients: records.clients.clone(),
            ephemeral: ephemeral.clone(),
            issuer,
            clock: Arc::clone(&world.clock),
            metrics: Arc::clone(metrics),
        }),
        introspection: Arc::new(Introspection {
            tokens: Arc::clone(&tokens),
            revocations: revocations.clone(),
            clients: records.clients.clone(),
        }),
        revocation: Arc::new(Revocation {
            tokens: Arc::clone(&tokens),
            revocations: revocations.clone(),
        }),
        tokens,
        description: Document::new(&openapi::document(&config.issuer), "application/json"),
        metadata: Published::default(),
        jwks: Published::default(),
    }))
}

fn health(
    store: &Store,
    ephemeral: &Ephemeral,
    revocations: &Revocations,
    world: &World,
    shutdown: Shutdown,
) -> Health {
    let (store, ephemeral, revocations) = (store.clone(), ephemeral.clone(), revocations.clone());
    let clock = Arc::clone(&world.clock);
    Health::new(shutdown)
        .check("database", move || {
            let store = store.clone();
            async move { store.ping().await }
        })
        .check("ephemeral", move || {
            let ephemeral = ephemeral.clone();
            async move { ephemeral.ping().await }
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
