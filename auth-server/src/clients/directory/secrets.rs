//! The secrets of clients: one that its client can use, or none.

use std::time::Duration;

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError};

use super::{CHANGE, Clients, DirectoryError};
use crate::clients::secret::{ClientSecret, MacSecret, SecretDigest};
use crate::clients::{AuthMethod, Client};
use crate::keys::encryption::Sealed;
use crate::store::clients::SecretRow;
use crate::store::{changes, clients};

/// Secrets that are encrypted anew in one transaction.
const BATCH: i64 = 100;

impl Clients {
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
                clients::lock(conn, &[id.as_str().to_owned()]).await?;
                let (client, _) = self
                    .load(conn, id)
                    .await?
                    .ok_or_else(|| DirectoryError::Unknown(id.clone()))?;
                let method = client.metadata.token_endpoint_auth_method;
                if !method.uses_secret() {
                    return Err(DirectoryError::NoSecret(id.clone()));
                }
                clients::drop_ended_secrets(conn, id, now).await?;
                clients::end_secrets(conn, id, now + overlap).await?;
                self.add_secret(conn, id, method, secret, now).await?;
                Ok(changes::record(conn, CHANGE, id.as_str(), now).await?)
            })
            .await?;
        self.forget(id);
        Ok(())
    }

    /// Encrypts under the current key-encryption key the secrets that are encrypted under another, and says how many that were. One
    /// that somebody else encrypted anew in the meantime is left alone.
    ///
    /// # Errors
    /// [`DirectoryError::Sealed`] if one does not open; those before it are done.
    pub async fn rewrap_secrets(&self) -> Result<usize, DirectoryError> {
        let current = self.encryption.current().as_str();
        let mut count = 0;
        loop {
            let mut conn = self.store.read().await?;
            let rows = clients::sealed_under_others(&mut conn, current, BATCH).await?;
            drop(conn);
            if rows.is_empty() {
                return Ok(count);
            }
            let mut resealed = Vec::with_capacity(rows.len());
            for (id, row) in rows {
                let sealed = self.seal_anew(&id, &row)?;
                resealed.push((id, row, sealed));
            }
            count += self
                .store
                .transaction(async |conn| {
                    let mut count = 0;
                    for (id, row, sealed) in &resealed {
                        let (kek_id, bytes) = (sealed.kek_id.as_str(), &sealed.bytes);
                        if clients::reseal_secret(conn, id, row, kek_id, bytes).await? {
                            count += 1;
                        }
                    }
                    Ok::<_, DbError>(count)
                })
                .await?;
        }
    }

    fn seal_anew(&self, id: &str, row: &SecretRow) -> Result<Sealed, DirectoryError> {
        let damaged = || DirectoryError::DamagedSecret(id.to_owned());
        let id: ClientId = id.parse().map_err(|_| damaged())?;
        let digest = SecretDigest::from_stored(&row.digest).ok_or_else(damaged)?;
        let secret = self.open_secret(&id, row)?.ok_or_else(damaged)?;
        Ok(secret.seal(&id, &digest, &self.encryption, &*self.random))
    }

    /// The secret itself, of a row that holds it.
    pub(super) fn open_secret(
        &self,
        id: &ClientId,
        row: &SecretRow,
    ) -> Result<Option<MacSecret>, DirectoryError> {
        let digest = SecretDigest::from_stored(&row.digest);
        let sealed = row.kek_id.as_deref().zip(row.sealed.as_deref());
        digest
            .zip(sealed)
            .map(|(digest, sealed)| MacSecret::open(id, &digest, sealed, &self.encryption))
            .transpose()
            .map_err(|source| DirectoryError::Sealed {
                id: id.clone(),
                source,
            })
    }

    pub(super) async fn fit_secrets(
        &self,
        conn: &mut Conn,
        client: &Client,
        secret: Option<&ClientSecret>,
        now: Instant,
    ) -> Result<(), DirectoryError> {
        let (id, method) = (&client.id, client.metadata.token_endpoint_auth_method);
        match method {
            AuthMethod::ClientSecretJwt => clients::drop_unsealed_secrets(conn, id).await?,
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => {
                clients::wipe_sealed_secrets(conn, id).await?;
            }
            AuthMethod::None
            | AuthMethod::PrivateKeyJwt
            | AuthMethod::TlsClientAuth
            | AuthMethod::SelfSignedTlsClientAuth => clients::drop_secrets(conn, id).await?,
        }
        if let Some(secret) = secret {
            self.add_secret(conn, id, method, secret, now).await?;
        } else if method == AuthMethod::ClientSecretJwt
            && !clients::has_secret(conn, id, now).await?
        {
            return Err(DirectoryError::NewSecret(id.clone()));
        }
        Ok(())
    }

    async fn add_secret(
        &self,
        conn: &mut Conn,
        id: &ClientId,
        method: AuthMethod,
        secret: &ClientSecret,
        now: Instant,
    ) -> Result<(), DbError> {
        let sealed = (method == AuthMethod::ClientSecretJwt)
            .then(|| secret.seal(id, &self.encryption, &*self.random));
        let sealed = sealed
            .as_ref()
            .map(|sealed| (sealed.kek_id.as_str(), sealed.bytes.as_slice()));
        clients::add_secret(conn, id, secret.digest().as_bytes(), sealed, now).await
    }
}
