//! What is kept in rows.

use std::num::NonZeroUsize;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use shared_protocol::client_id::ClientId;
use shared_protocol::random;
use shared_protocol::time::Instant;
use shared_server::db::Store;

use crate::accounts::Accounts;
use crate::accounts::password::hasher::PasswordHasher;
use crate::clients::directory::Clients;
use crate::clients::secret::ClientSecret;
use crate::clients::sites::Sites;
use crate::clients::{Client, ClientMetadata};
use crate::config::Config;
use crate::grants::{GrantLifetimes, Grants, SettledGrants, Told};
use crate::identity_links::IdentityLinks;
use crate::keys::encryption::KeyEncryption;
use crate::keys::root_secret::RootSecret;
use crate::keys::{KeySettings, Keys};
use crate::metadata::Offered;
use crate::outage::Outage;
use crate::resource_servers::{MAX_LIFETIME, ResourceServers};
use crate::revocations::Revocations;
use crate::server::World;
use crate::sessions::{SessionLifetimes, Sessions};
use crate::store::MIGRATIONS;
use crate::trusted_issuers::TrustedIssuers;

/// What is kept in rows: enough for the command line, and the ground that the server stands on.
#[derive(Clone)]
pub struct Records {
    /// The database.
    pub store: Store,
    /// Clients.
    pub clients: Clients,
    /// What clients publish at sites of their own.
    pub sites: Sites,
    /// What is taken of clients.
    pub offered: Offered,
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
    /// Who may speak for them.
    pub trusted_issuers: TrustedIssuers,
    /// What others call them.
    pub identity_links: IdentityLinks,
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
            algorithms: config.signing_algorithms(),
            publish_ahead: config.keys.publish_ahead,
            max_token_lifetime: MAX_LIFETIME,
        };
        let now = world.clock.now();
        let root_secret = RootSecret::open(&store, &encryption, now, &*world.random).await?;
        let client_encryption = encryption.clone();
        let keys = Keys::open(store.clone(), encryption, settings, now, &*world.random).await?;
        let resource_servers = ResourceServers::load(store.clone()).await?;
        let sites = Sites::open(config, &resource_servers)?;
        let revocations = Revocations::new(store.clone(), config.retention.revocations);
        let trusted_issuers =
            TrustedIssuers::load(&config.issuer, store.clone(), revocations.clone()).await?;
        let clients = Clients::new(
            store.clone(),
            client_encryption,
            Arc::clone(&world.random),
            revocations.clone(),
            config.profiles(),
        );
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
            trusted_issuers,
            identity_links: IdentityLinks {
                store: store.clone(),
                revocations: revocations.clone(),
            },
            clients,
            sites,
            offered: config.offered(),
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
                    session_absolute: config.sessions.absolute,
                },
                outage: Outage::default(),
                settled: SettledGrants::default(),
                told: Told::default(),
            },
            revocations,
            store,
            resource_servers,
            keys,
            root_secret: Arc::new(root_secret),
        })
    }

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
        let client = self.judged(&id, metadata, world.clock.now())?;
        let sectors = &self.sites.sectors;
        sectors.check(&client.metadata, world.clock.now()).await?;
        self.clients
            .put(&client, secret.as_ref(), world.clock.now())
            .await?;
        Ok((id, secret))
    }

    /// A client of this metadata, if what comes of it makes sense and is served. What its profile says for it is judged, and not written
    /// down: under another profile, or none, something else is meant.
    ///
    /// # Errors
    /// What is wrong.
    pub fn judged(
        &self,
        id: &ClientId,
        metadata: ClientMetadata,
        now: Instant,
    ) -> anyhow::Result<Client> {
        let profiles = self.offered.profiles;
        let mut meant = metadata.clone();
        profiles.complete(&mut meant);
        meant.check_served((&self.offered, &*self.keys.ring()), now)?;
        Client::new(id.clone(), meant, Vec::new())?.meeting(profiles)?;
        Ok(Client::new(id.clone(), metadata, Vec::new())?)
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
