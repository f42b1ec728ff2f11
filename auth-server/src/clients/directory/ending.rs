//! The end of clients, and of all that they got.

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError};

use super::{CHANGE, Clients, DirectoryError};
use crate::grants::{GrantsOf, revoke_of};
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::RevocationKind;
use crate::store::revocations::RevocationRow;
use crate::store::{changes, clients, revocations};

impl Clients {
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
        self.forget_with(id, revoked);
        Ok(())
    }

    /// Revokes all that a client got until now: its own tokens, what people allowed it, and the codes that it has not used yet.
    ///
    /// # Errors
    /// [`DirectoryError::Unknown`] when it was not there.
    pub async fn revoke_tokens(&self, id: &ClientId, now: Instant) -> Result<(), DirectoryError> {
        let ids = [id.as_str().to_owned()];
        // Whoever redeems a code waits for the lock, and may have looked for a cut-off before: what it then brings, the second time ends.
        for _ in 0..2 {
            let revoked = self
                .store
                .transaction(async |conn| {
                    if clients::lock(conn, &ids).await?.is_empty() {
                        return Err(DirectoryError::Unknown(id.clone()));
                    }
                    Ok(revoke_locked(conn, &ids, now).await?)
                })
                .await?;
            self.revocations.learn(revoked);
        }
        Ok(())
    }
}

/// Revokes all that clients got which [`clients::lock`] locked.
async fn revoke_locked(
    conn: &mut Conn,
    ids: &[String],
    now: Instant,
) -> Result<Vec<RevocationRow>, DbError> {
    let mut revoked = revoke_of(conn, &GrantsOf::Clients(ids), now).await?;
    let until = now + MAX_LIFETIME;
    revoked.extend(revocations::cut_off(conn, RevocationKind::Client, ids, until, now).await?);
    Ok(revoked)
}

/// Deletes clients that [`clients::lock`] locked. Whoever redeems a code of one waits for that lock, and then there is no such client;
/// whoever was before it has a grant by now, which is revoked here (threat 34).
pub(crate) async fn delete_locked(
    conn: &mut Conn,
    ids: &[String],
    now: Instant,
) -> Result<Vec<RevocationRow>, DbError> {
    // The cut-off is for who is registered under the same name later.
    let revoked = revoke_locked(conn, ids, now).await?;
    remove(conn, ids, now).await?;
    Ok(revoked)
}

/// The same of clients that never got a token, of which there may be thousands: there is nothing to cut off.
pub(crate) async fn delete_unused(
    conn: &mut Conn,
    ids: &[String],
    now: Instant,
) -> Result<(), DbError> {
    // Whoever redeems a first code in this very moment had the lock before.
    revoke_of(conn, &GrantsOf::Clients(ids), now).await?;
    remove(conn, ids, now).await
}

async fn remove(conn: &mut Conn, ids: &[String], now: Instant) -> Result<(), DbError> {
    clients::delete(conn, ids).await?;
    for id in ids {
        changes::record(conn, CHANGE, id, now).await?;
    }
    Ok(())
}
