//! The server as a whole: opened from its configuration, then served until it is told to stop.

use std::num::NonZeroUsize;
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

use crate::accounts::Accounts;
use crate::accounts::known_devices::KnownDevices;
use crate::accounts::password::hasher::PasswordHasher;
use crate::accounts::sign_in::SignIn;
use crate::authorize::Authorize;
use crate::authorize::checks::Checks;
use crate::authorize::visit::Dialogue;
use crate::browser::{Cookies, FormTokens};
use crate::clients::authenticate::Authenticator;
use crate::clients::directory::Clients;
use crate::clients::secret::ClientSecret;
use crate::clients::{Client, ClientMetadata};
use crate::codes::Codes;
use crate::config::Config;
use crate::consents::Consents;
use crate::feed::Feed;
use crate::grants::{GrantLifetimes, Grants};
use crate::interactions::Interactions;
use crate::introspect::Introspection;
use crate::keys::encryption::KeyEncryption;
use crate::keys::root_secret::RootSecret;
use crate::keys::{KeySettings, Keys};
use crate::openapi;
use crate::pages::Frame;
use crate::published::{Document, Published};
use crate::refresh_tokens::RefreshTokens;
use crate::resource_servers::{MAX_LIFETIME, ResourceServer, ResourceServers};
use crate::revocations::Revocations;
use crate::revoke::Revocation;
use crate::routes::{self, AppState, Parts};
use crate::sessions::{SessionLifetimes, Sessions};
use crate::sign_out::SignOut;
use crate::store::MIGRATIONS;
use crate::telemetry::Metrics;
use crate::token::Grantor;
use crate::token::access_token::AccessTokens;
use crate::userinfo::Userinfo;

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
    /// What single purposes' keys are derived from.
    pub root_secret: Arc<RootSecret>,
    /// People signed in at browsers.
    pub sessions: Sessions,
    /// What people allowed clients.
    pub grants: Grants,
    /// What was revoked; loaded by whoever serves.
    pub revocations: Revocations,
    /// People.
    pub accounts: Accounts,
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
        let root_secret = RootSecret::open(&store, &encryption, now, &*world.random).await?;
        let keys = Keys::open(store.clone(), encryption, settings, now, &*world.random).await?;
        let resource_servers = ResourceServers::load(store.clone()).await?;
        let revocations = Revocations::new(store.clone());
        let sessions = Sessions {
            store: store.clone(),
            revocations: revocations.clone(),
            lifetimes: SessionLifetimes {
                idle: config.sessions.idle,
                absolute: config.sessions.absolute,
            },
        };
        let accounts = Accounts {
            store: store.clone(),
            sessions: sessions.clone(),
            hasher: password_hasher(config, world)?,
        };
        Ok(Self {
            clients: Clients::new(store.clone()),
            sessions,
            accounts,
            grants: Grants {
                store: store.clone(),
                revocations: revocations.clone(),
                lifetimes: GrantLifetimes {
                    idle: config.refresh_tokens.idle,
                    absolute: config.refresh_tokens.absolute,
                    grace: config.refresh_tokens.grace,
                    session_idle: config.sessions.idle,
                },
            },
            revocations,
            store,
            resource_servers,
            keys,
            root_secret: Arc::new(root_secret),
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
        let is_used =
            metadata.may_get_id_tokens() || metadata.id_token_signed_response_alg.is_some();
        let alg = metadata.id_token_algorithm();
        if is_used && !self.keys.algorithms().contains(&alg) {
            bail!(
                "id_token_signed_response_alg is {alg} (RS256 where it is left out), with which this server does not sign; name another, or add it to keys.algorithms"
            );
        }
        let client = Client::new(id.clone(), metadata, Vec::new())?;
        self.clients
            .put(&client, secret.as_ref(), world.clock.now())
            .await?;
        Ok((id, secret))
    }
}

/// One core is left for everything else.
fn password_hasher(config: &Config, world: &World) -> anyhow::Result<PasswordHasher> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let cores = cores.saturating_sub(1).max(1);
    let params = config.passwords.params().context("passwords")?;
    PasswordHasher::new(params, cores, config.passwords.queue, &*world.random).context("passwords")
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
    /// The codes that it gives out and takes back.
    pub codes: Codes,
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
        let revocations = records.revocations.clone();
        revocations.reload(now).await?;
        let codes = Codes {
            ephemeral: ephemeral.clone(),
            lifetime: config.authorization.code_lifetime,
        };
        let registry = Registry::new();
        let metrics = Arc::new(Metrics::register(&registry)?);
        records.accounts.hasher.metrics().register(&registry)?;
        let state = app_state(config, world, &records, &codes, &metrics);
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
            codes,
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
    codes: &Codes,
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
        revocations: records.revocations.clone(),
        random: Arc::clone(&world.random),
        metrics: Arc::clone(metrics),
        verified: VerifiedTokens::new(10_000),
    });
    let grantor = Arc::new(Grantor {
        tokens: Arc::clone(&tokens),
        codes: codes.clone(),
        grants: records.grants.clone(),
        refresh_tokens: RefreshTokens::new(records.root_secret.mac_key("refresh token")),
    });
    AppState(Arc::new(Parts {
        dialogue: Arc::new(dialogue(config, world, records, codes)),
        authenticator: Arc::new(Authenticator {
            clients: records.clients.clone(),
            ephemeral: codes.ephemeral.clone(),
            issuer,
            clock: Arc::clone(&world.clock),
            metrics: Arc::clone(metrics),
        }),
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
        userinfo: Arc::new(Userinfo {
            tokens: Arc::clone(&tokens),
            grants: records.grants.clone(),
            clients: records.clients.clone(),
        }),
        grantor,
        sign_out: Arc::new(SignOut {
            issuer: Arc::new(config.issuer.clone()),
            sessions: records.sessions.clone(),
            cookies: Cookies::new(&config.issuer),
            forms: FormTokens::new(&records.root_secret),
        }),
        frame: Arc::new(Frame::new(&config.issuer, Arc::clone(&world.random))),
        tokens,
        description: Document::new(&openapi::document(&config.issuer), "application/json"),
        metadata: Published::default(),
        jwks: Published::default(),
    }))
}

/// The steps from an authorization request to its answer.
fn dialogue(config: &Config, world: &World, records: &Records, codes: &Codes) -> Dialogue {
    let ephemeral = &codes.ephemeral;
    let issuer = Arc::new(config.issuer.clone());
    Dialogue {
        cookies: Cookies::new(&issuer),
        forms: FormTokens::new(&records.root_secret),
        sign_in: Arc::new(sign_in(config, world, records, ephemeral)),
        authorize: Authorize {
            checks: Checks {
                issuer,
                clients: records.clients.clone(),
                resource_servers: records.resource_servers.clone(),
                keys: records.keys.clone(),
                pkce: config.authorization.pkce,
                localhost_port_varies: config.authorization.localhost_port_varies,
            },
            interactions: Interactions {
                ephemeral: ephemeral.clone(),
                lifetime: config.authorization.interaction_lifetime,
                per_address: config.interactions_per_address(),
            },
            sessions: records.sessions.clone(),
            consents: Consents {
                store: records.store.clone(),
            },
            codes: codes.clone(),
            random: Arc::clone(&world.random),
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
