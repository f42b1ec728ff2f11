//! Clients by id and by the origins of their pages, from memory where they were seen before.

mod ending;
mod secrets;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::lookups::Lookups;
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};
use shared_server::rate_limits::Limited;
use shared_server::web::WebOrigin;
use tokio::sync::Semaphore;

use super::redirect_uri::RedirectUri;
use super::secret::{ClientSecret, KeptSecret, SecretDigest};
use super::{Client, ClientMetadata, InvalidClientMetadata};
use crate::documents::DocumentError;
use crate::grants::{GrantsOf, revoke_of};
use crate::keys::encryption::{KeyEncryption, OpenError};
use crate::profiles::Profiles;
use crate::revocations::Revocations;
use crate::store::revocations::RevocationRow;
use crate::store::{changes, clients, registrations};
use crate::token::chain::SubjectToken;
pub(crate) use ending::{delete_locked, delete_unused};

/// Origins that are looked up in the database at a time.
const LOOKS: usize = 2;

/// Clients whose first use is written down by one statement.
const USES: usize = 500;

/// The kind of a change to a client, in the table of changes.
pub const CHANGE: &str = "client";

/// Why a client could not be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row that our own validation would not have let in.
    #[error("the row of client {id} is damaged")]
    Damaged {
        /// Whose row.
        id: ClientId,
        /// What is wrong with it.
        #[source]
        source: InvalidClientMetadata,
    },
    /// A secret that does not open.
    #[error("a secret of client {id} does not open")]
    Sealed {
        /// Whose secret.
        id: ClientId,
        /// What is wrong with it.
        #[source]
        source: OpenError,
    },
    /// A row of a secret that is none.
    #[error("a secret of client {0} is damaged")]
    DamagedSecret(String),
    /// What is kept of its secrets verifies no MAC.
    #[error("client {0} needs a new secret for client_secret_jwt")]
    NewSecret(ClientId),
    /// What a client says of itself could not be had.
    #[error("the client's description of itself: {0}")]
    Document(#[from] DocumentError),
    /// Too many descriptions were fetched for one address.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// No client of this id.
    #[error("there is no client {0}")]
    Unknown(ClientId),
    /// This client has no secret.
    #[error("client {0} does not authenticate by a secret")]
    NoSecret(ClientId),
}

/// The clients of this server.
#[derive(Clone)]
pub struct Clients {
    store: Store,
    encryption: KeyEncryption,
    random: Arc<dyn Random>,
    seen: Cache<ClientId, Arc<Client>>,
    /// Whether pages of an origin are some client's.
    origins: Cache<WebOrigin, bool>,
    looks: Arc<Semaphore>,
    lookups: Arc<Lookups>,
    /// How often something was forgotten.
    forgotten: Arc<AtomicU64>,
    revocations: Revocations,
    profiles: Profiles,
    /// Clients that got their first token, until that is written down.
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Clients {
    /// The clients that `store` keeps, their secrets under `encryption` where a digest does not do, whose end is told by `revocations`, and
    /// of whom is demanded what `profiles` say.
    #[must_use]
    pub fn new(
        store: Store,
        encryption: KeyEncryption,
        random: Arc<dyn Random>,
        revocations: Revocations,
        profiles: Profiles,
    ) -> Self {
        // The time to live bounds what a lost notice of a change could do.
        let seen = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(Duration::from_secs(30))
            .build();
        let origins = Cache::builder()
            .max_capacity(10_000)
            .time_to_live(Duration::from_secs(10))
            .build();
        Self {
            store,
            encryption,
            random,
            seen,
            origins,
            looks: Arc::new(Semaphore::new(LOOKS)),
            lookups: Arc::default(),
            forgotten: Arc::default(),
            revocations,
            profiles,
            used: Arc::default(),
        }
    }

    /// Where they are kept.
    #[must_use]
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// How often a client was remembered.
    #[must_use]
    pub fn lookups(&self) -> Arc<Lookups> {
        Arc::clone(&self.lookups)
    }

    /// The client of this id.
    ///
    /// # Errors
    /// [`DirectoryError::Store`] and [`DirectoryError::Damaged`].
    pub async fn find(&self, id: &ClientId) -> Result<Option<Arc<Client>>, DirectoryError> {
        let seen = self.seen.get(id);
        self.lookups.count(seen.is_some());
        if let Some(client) = seen {
            return Ok(Some(client));
        }
        let before = self.forgotten.load(Ordering::Acquire);
        let mut conn = self.store.read().await?;
        let Some((client, _)) = self.load(&mut conn, id).await? else {
            return Ok(None);
        };
        let client = Arc::new(client);
        self.seen.insert(id.clone(), Arc::clone(&client));
        // What was read may have been changed since, and forgotten before it was remembered.
        if self.forgotten.load(Ordering::Acquire) != before {
            self.seen.invalidate(id);
        }
        Ok(Some(client))
    }

    /// Whether each client is there that one of these tokens was issued to.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn has_all(&self, tokens: &[SubjectToken]) -> Result<bool, DirectoryError> {
        for token in tokens {
            if self.find(&token.client_id).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether pages of this origin are some client's, by its redirect URIs. Not known counts as no.
    pub async fn has_origin(&self, origin: WebOrigin) -> bool {
        if let Some(known) = self.origins.get(&origin) {
            return known;
        }
        // Strangers make origins up. Their look-ups, which nothing else counts, have a few connections to the database at most.
        let Ok(_turn) = self.looks.try_acquire() else {
            return false;
        };
        match self.look_for(&origin).await {
            Ok(known) => {
                self.origins.insert(origin, known);
                known
            }
            Err(error) => {
                tracing::debug!(%error, "an origin could not be looked up");
                false
            }
        }
    }

    async fn look_for(&self, origin: &WebOrigin) -> Result<bool, DbError> {
        clients::has_origin(&mut self.store.read().await?, origin).await
    }

    /// One page of clients in the order of their ids.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn list(&self, after: &str, limit: i64) -> Result<Vec<(String, Value)>, DbError> {
        clients::list(&mut self.store.read().await?, after, limit).await
    }

    /// What let a client in that registered itself.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn permitted_by(&self, id: &ClientId) -> Result<Option<String>, DbError> {
        let found = registrations::find(&mut self.store.read().await?, id).await?;
        Ok(found.map(|row| row.permitted_by))
    }

    /// Forgets what was remembered of a client that changed.
    pub fn forget(&self, id: &ClientId) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.seen.invalidate(id);
        self.origins.invalidate_all();
    }

    /// Forgets everything that was remembered.
    pub fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.seen.invalidate_all();
        self.origins.invalidate_all();
    }

    /// Notes that a client got a token. Only the first one of a client that registered itself is of interest: it is written down a
    /// moment later, by [`Clients::record_uses`].
    pub fn note_use(&self, client: &Client) {
        if client.is_used_first() {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.insert(client.id.as_str().to_owned());
        }
    }

    /// Writes down who got a first token since this was done before. Does nothing if nobody did.
    ///
    /// # Errors
    /// [`DbError`]; it is tried again next time.
    pub async fn record_uses(&self) -> Result<(), DbError> {
        let batch: Vec<String> = {
            let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.iter().take(USES).cloned().collect()
        };
        if batch.is_empty() {
            return Ok(());
        }
        clients::set_used(&mut self.store.write().await?, &batch).await?;
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &batch {
            used.remove(id);
        }
        Ok(())
    }

    /// Registers a client, or replaces its metadata; with `secret`, adds that one. Of its secrets only those are left that its method
    /// can use, and of those only what it needs.
    ///
    /// # Errors
    /// [`DirectoryError::NewSecret`] if it changes to `client_secret_jwt` without a secret, [`DirectoryError::Store`].
    pub async fn put(
        &self,
        client: &Client,
        secret: Option<&ClientSecret>,
        now: Instant,
    ) -> Result<(), DirectoryError> {
        let revoked = self
            .store
            .transaction(async |conn| self.put_in(conn, client, secret, now).await)
            .await?;
        self.forget_with(&client.id, revoked);
        Ok(())
    }

    /// Puts what `change` makes of what is registered in its place, profiles aside; whether there is such a client. What anybody else changes
    /// waits until then, so that none of it is undone (threats 14, 34).
    ///
    /// # Errors
    /// [`DirectoryError`], and those of `change`.
    pub async fn change<E>(
        &self,
        id: &ClientId,
        change: impl FnOnce(ClientMetadata) -> Result<Client, E> + Send,
        now: Instant,
    ) -> Result<bool, E>
    where
        E: From<DbError> + From<DirectoryError> + Send,
    {
        let changed = self.store.transaction(async |conn| {
            clients::lock(conn, &[id.as_str().to_owned()]).await?;
            let Some(row) = clients::find(conn, id).await? else {
                return Ok(None);
            };
            let client = change(metadata_of(id, row.metadata)?)?;
            Ok::<_, E>(Some(self.put_in(conn, &client, None, now).await?))
        });
        let Some(revoked) = changed.await? else {
            return Ok(false);
        };
        self.forget_with(id, revoked);
        Ok(true)
    }

    /// The same in the transaction of whoever changes it; [`Clients::forget_with`] what comes back once that has committed.
    ///
    /// Where it would call people by other names from now on, what they allowed ends: they allowed it to who knew them by the old ones,
    /// and `sub` never changes under an ID token (OpenID Connect Core §8.1, §12.2).
    pub(crate) async fn put_in(
        &self,
        conn: &mut Conn,
        client: &Client,
        secret: Option<&ClientSecret>,
        now: Instant,
    ) -> Result<Vec<RevocationRow>, DirectoryError> {
        let before = self.load(conn, &client.id).await?;
        write(conn, client, now).await?;
        self.fit_secrets(conn, client, secret, now).await?;
        let names = |client: &Client| client.metadata.names_of_people().map(str::to_owned);
        if before.is_none_or(|(before, _)| names(&before) == names(client)) {
            return Ok(Vec::new());
        }
        let ids = [client.id.as_str().to_owned()];
        Ok(revoke_of(conn, &GrantsOf::Clients(&ids), now).await?)
    }

    /// Keeps what a client says of itself that somebody is about to approve: consents and grants refer to it. It has no secrets.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn keep(&self, client: &Client, now: Instant) -> Result<(), DbError> {
        let said = |client: &Client| serde_json::to_value(&client.metadata).ok();
        match self.find(&client.id).await {
            Ok(Some(kept)) if said(&kept) == said(client) => return Ok(()),
            Err(DirectoryError::Store(error)) => return Err(error),
            Ok(_) | Err(_) => {}
        }
        self.store
            .transaction(async |conn| write(conn, client, now).await)
            .await?;
        self.forget(&client.id);
        Ok(())
    }

    /// The client of this id and when it came to be, as it stands in the database.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub(crate) async fn load(
        &self,
        conn: &mut Conn,
        id: &ClientId,
    ) -> Result<Option<(Client, Instant)>, DirectoryError> {
        let Some(row) = clients::find(conn, id).await? else {
            return Ok(None);
        };
        let mut metadata = metadata_of(id, row.metadata)?;
        self.profiles.complete(&mut metadata);
        let mut secrets = Vec::with_capacity(row.secrets.len());
        for secret in row.secrets {
            secrets.push(KeptSecret {
                digest: SecretDigest::from_stored(&secret.digest)
                    .ok_or_else(|| malformed(id, "the digest of a secret".into()))?,
                mac: self.open_secret(id, &secret)?,
                ends_at: secret.expires_at,
            });
        }
        let client = Client::new(id.clone(), metadata, secrets);
        let client = client.map_err(|error| damaged(id, error))?;
        let client = client.under(self.profiles);
        let client = client.unused(row.unused_since.is_some());
        Ok(Some((client, row.created_at)))
    }

    /// Takes in what [`delete_locked`] brought.
    pub(crate) fn forget_with(&self, id: &ClientId, revoked: Vec<RevocationRow>) {
        self.revocations.learn(revoked);
        self.forget(id);
    }
}

fn metadata_of(id: &ClientId, written: Value) -> Result<ClientMetadata, DirectoryError> {
    serde_json::from_value(written).map_err(|error| malformed(id, error.to_string()))
}

fn malformed(id: &ClientId, what: String) -> DirectoryError {
    damaged(id, InvalidClientMetadata::Malformed(what))
}

fn damaged(id: &ClientId, source: InvalidClientMetadata) -> DirectoryError {
    DirectoryError::Damaged {
        id: id.clone(),
        source,
    }
}

/// Writes what a client registered, and tells every node.
async fn write(conn: &mut Conn, client: &Client, now: Instant) -> Result<(), DbError> {
    let metadata = serde_json::to_value(&client.metadata).unwrap_or_default();
    let redirects = &client.metadata.redirect_uris;
    let origins = redirects.iter().filter_map(RedirectUri::origin).collect();
    clients::put(conn, &client.id, &metadata, &origins, now).await?;
    changes::record(conn, CHANGE, client.id.as_str(), now).await
}
