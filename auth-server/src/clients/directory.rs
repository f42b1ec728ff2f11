//! Clients by id and by the origins of their pages, from memory where they were seen before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::lookups::Lookups;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};
use shared_server::web::WebOrigin;
use tokio::sync::Semaphore;

use super::redirect_uri::RedirectUri;
use super::secret::{ClientSecret, SecretDigest};
use super::{Client, ClientMetadata, InvalidClientMetadata};
use crate::grants::{GrantsOf, revoke_of};
use crate::revocations::Revocations;
use crate::store::clients::ClientRow;
use crate::store::revocations::RevocationRow;
use crate::store::{changes, clients, registrations};

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
    seen: Cache<ClientId, Arc<Client>>,
    /// Whether pages of an origin are some client's.
    origins: Cache<WebOrigin, bool>,
    looks: Arc<Semaphore>,
    lookups: Arc<Lookups>,
    revocations: Revocations,
    /// Clients that got their first token, until that is written down.
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Clients {
    /// The clients that `store` keeps, whose end is told by `revocations`.
    #[must_use]
    pub fn new(store: Store, revocations: Revocations) -> Self {
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
            seen,
            origins,
            looks: Arc::new(Semaphore::new(LOOKS)),
            lookups: Arc::default(),
            revocations,
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
        let mut conn = self.store.read().await?;
        let Some((client, _)) = load(&mut conn, id).await? else {
            return Ok(None);
        };
        let client = Arc::new(client);
        self.seen.insert(id.clone(), Arc::clone(&client));
        Ok(Some(client))
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
        self.seen.invalidate(id);
        self.origins.invalidate_all();
    }

    /// Forgets everything that was remembered.
    pub fn forget_all(&self) {
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

    /// Registers a client, or replaces its metadata; with `secret`, adds that one.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn put(
        &self,
        client: &Client,
        secret: Option<&ClientSecret>,
        now: Instant,
    ) -> Result<(), DbError> {
        self.store
            .transaction(async |conn| put(conn, client, secret, now).await)
            .await?;
        self.forget(&client.id);
        Ok(())
    }

    /// Gives a client a new secret; the ones before it work for `overlap` longer.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn rotate_secret(
        &self,
        id: &ClientId,
        secret: &ClientSecret,
        overlap: Duration,
        now: Instant,
    ) -> Result<(), DirectoryError> {
        self.store
            .transaction(async |conn| {
                let (client, _) = load(conn, id)
                    .await?
                    .ok_or_else(|| DirectoryError::Unknown(id.clone()))?;
                if !client.metadata.token_endpoint_auth_method.uses_secret() {
                    return Err(DirectoryError::NoSecret(id.clone()));
                }
                clients::drop_ended_secrets(conn, id, now).await?;
                clients::end_secrets(conn, id, now + overlap).await?;
                clients::add_secret(conn, id, secret.digest().as_bytes(), now).await?;
                Ok(changes::record(conn, CHANGE, id.as_str(), now).await?)
            })
            .await?;
        self.forget(id);
        Ok(())
    }

    /// Deletes a client with all that is its: its secrets, its grants and their tokens. Introspection knows its own tokens no longer.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`] when it was not there.
    pub async fn delete(&self, id: &ClientId, now: Instant) -> Result<(), DirectoryError> {
        let ids = [id.as_str().to_owned()];
        let revoked = self
            .store
            .transaction(async |conn| {
                if clients::lock(conn, &ids).await?.is_empty() {
                    return Err(DirectoryError::Unknown(id.clone()));
                }
                Ok(delete_locked(conn, &ids, now).await?)
            })
            .await?;
        self.forget_deleted(id, revoked);
        Ok(())
    }

    /// Takes in what [`delete_locked`] brought.
    pub(crate) fn forget_deleted(&self, id: &ClientId, revoked: Vec<RevocationRow>) {
        self.revocations.learn(revoked);
        self.forget(id);
    }
}

/// Writes a client in the transaction of whoever changes it; [`Clients::forget`] it once that has committed.
pub(crate) async fn put(
    conn: &mut Conn,
    client: &Client,
    secret: Option<&ClientSecret>,
    now: Instant,
) -> Result<(), DbError> {
    let metadata = serde_json::to_value(&client.metadata).unwrap_or_default();
    let redirects = &client.metadata.redirect_uris;
    let origins = redirects.iter().filter_map(RedirectUri::origin).collect();
    clients::put(conn, &client.id, &metadata, &origins, now).await?;
    if let Some(secret) = secret {
        clients::add_secret(conn, &client.id, secret.digest().as_bytes(), now).await?;
    }
    changes::record(conn, CHANGE, client.id.as_str(), now).await
}

/// Deletes clients that [`clients::lock`] locked. Whoever redeems a code of one waits for that lock, and then there is no such client;
/// whoever was before it has a grant by now, which is revoked here (threat 34).
pub(crate) async fn delete_locked(
    conn: &mut Conn,
    ids: &[String],
    now: Instant,
) -> Result<Vec<RevocationRow>, DbError> {
    let revoked = revoke_of(conn, &GrantsOf::Clients(ids), now).await?;
    clients::delete(conn, ids).await?;
    for id in ids {
        changes::record(conn, CHANGE, id, now).await?;
    }
    Ok(revoked)
}

/// The client of this id and when it came to be, as it stands in the database.
pub(crate) async fn load(
    conn: &mut Conn,
    id: &ClientId,
) -> Result<Option<(Client, Instant)>, DirectoryError> {
    let Some(row) = clients::find(conn, id).await? else {
        return Ok(None);
    };
    let created_at = row.created_at;
    let client = from_row(id, row).map_err(|source| DirectoryError::Damaged {
        id: id.clone(),
        source,
    })?;
    Ok(Some((client, created_at)))
}

fn from_row(id: &ClientId, row: ClientRow) -> Result<Client, InvalidClientMetadata> {
    let malformed = InvalidClientMetadata::Malformed;
    let metadata: ClientMetadata =
        serde_json::from_value(row.metadata).map_err(|error| malformed(error.to_string()))?;
    let secrets = row
        .secrets
        .into_iter()
        .map(|(digest, end)| SecretDigest::from_stored(&digest).map(|digest| (digest, end)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| malformed("the digest of a secret".into()))?;
    let client = Client::new(id.clone(), metadata, secrets)?;
    Ok(client.unused(row.unused_since.is_some()))
}
