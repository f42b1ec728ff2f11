//! Clients by id and by the origins of their pages, from memory where they were seen before.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::lookups::Lookups;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};
use shared_server::rate_limits::Limited;
use shared_server::web::WebOrigin;
use tokio::sync::Semaphore;

use super::redirect_uri::RedirectUri;
use super::secret::{ClientSecret, SecretDigest};
use super::{Client, ClientMetadata, InvalidClientMetadata};
use crate::documents::DocumentError;
use crate::store::{changes, clients};

/// Origins that are looked up in the database at a time.
const LOOKS: usize = 2;

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
    seen: Cache<ClientId, Arc<Client>>,
    /// Whether pages of an origin are some client's.
    origins: Cache<WebOrigin, bool>,
    looks: Arc<Semaphore>,
    lookups: Arc<Lookups>,
}

impl Clients {
    /// The clients that `store` keeps.
    #[must_use]
    pub fn new(store: Store) -> Self {
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
        }
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
        let Some(client) = load(&mut conn, id).await? else {
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
        let metadata = serde_json::to_value(&client.metadata).unwrap_or_default();
        let redirects = &client.metadata.redirect_uris;
        let origins = redirects.iter().filter_map(RedirectUri::origin).collect();
        self.store
            .transaction(async |conn| {
                clients::put(conn, &client.id, &metadata, &origins, now).await?;
                if let Some(secret) = secret {
                    clients::add_secret(conn, &client.id, secret.digest().as_bytes(), now).await?;
                }
                changes::record(conn, CHANGE, client.id.as_str(), now).await
            })
            .await?;
        self.forget(&client.id);
        Ok(())
    }

    /// Keeps what a client says of itself that somebody is about to approve: consents and grants refer to it.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn keep(&self, client: &Client, now: Instant) -> Result<(), DbError> {
        let said = |client: &Client| serde_json::to_value(&client.metadata).ok();
        match self.find(&client.id).await {
            Ok(Some(kept)) if said(&kept) == said(client) => Ok(()),
            Err(DirectoryError::Store(error)) => Err(error),
            Ok(_) | Err(_) => self.put(client, None, now).await,
        }
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
                let client = load(conn, id)
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

    /// Deletes a client with its secrets; introspection knows its tokens no longer.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`] when it was not there.
    pub async fn delete(&self, id: &ClientId, now: Instant) -> Result<(), DirectoryError> {
        self.store
            .transaction(async |conn| {
                if !clients::delete(conn, id).await? {
                    return Err(DirectoryError::Unknown(id.clone()));
                }
                Ok(changes::record(conn, CHANGE, id.as_str(), now).await?)
            })
            .await?;
        self.forget(id);
        Ok(())
    }
}

async fn load(conn: &mut Conn, id: &ClientId) -> Result<Option<Client>, DirectoryError> {
    let Some((metadata, secrets)) = clients::find(conn, id).await? else {
        return Ok(None);
    };
    let damaged = |source| DirectoryError::Damaged {
        id: id.clone(),
        source,
    };
    let malformed = |what: String| damaged(InvalidClientMetadata::Malformed(what));
    let metadata: ClientMetadata =
        serde_json::from_value(metadata).map_err(|error| malformed(error.to_string()))?;
    let secrets = secrets
        .into_iter()
        .map(|(digest, end)| SecretDigest::from_stored(&digest).map(|digest| (digest, end)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| malformed("the digest of a secret".into()))?;
    Client::new(id.clone(), metadata, secrets)
        .map(Some)
        .map_err(damaged)
}
