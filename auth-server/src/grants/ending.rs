//! How grants end: by revocation, with all that came of them.

use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError};

use super::{GrantId, Grants};
use crate::accounts::AccountId;
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::RevocationKind;
use crate::sessions::SessionId;
use crate::store::grants;
use crate::store::revocations::{self, RevocationRow};

/// Several grants at once.
#[derive(Clone, Copy, Debug)]
pub enum GrantsOf<'a> {
    /// Those of a session that do not outlive it.
    Session(&'a SessionId),
    /// Every one of a person, those that outlive their session too.
    Account(&'a AccountId),
    /// Every one of these clients.
    Clients(&'a [String]),
    /// Every one of people for whom this issuer spoke.
    Issuer(&'a str),
    /// Those of one of them.
    Link(&'a str, &'a AccountId),
}

impl Grants {
    /// Revokes a grant with all that came of it, whether or not it has been committed yet.
    ///
    /// # Errors
    /// [`DbError`]; nothing is revoked then.
    pub async fn revoke(&self, id: &GrantId, now: Instant) -> Result<(), DbError> {
        // A code that is used a thousand times is not written of a thousand times.
        if self
            .revocations
            .is_known(RevocationKind::Grant, id.as_str())
        {
            return Ok(());
        }
        let revoked = self
            .store
            .transaction(async |conn| self.revoke_in(conn, id.as_str(), now).await)
            .await?;
        self.revocations.learn(revoked);
        Ok(())
    }

    async fn revoke_in(
        &self,
        conn: &mut Conn,
        id: &str,
        now: Instant,
    ) -> Result<Vec<RevocationRow>, DbError> {
        // Once the row is marked, only access tokens are left to be told. Without a row, the first use of the code may be about to
        // commit one, and this is all that will ever be known of its end.
        let access_until = grants::revoke(conn, id, now).await?;
        let matters_until = access_until.unwrap_or(now + MAX_LIFETIME + self.lifetimes.absolute);
        let row = revocation(id.to_owned(), matters_until);
        revocations::put(conn, &row, now).await?;
        let mut rows = vec![row];
        rows.extend(revoke_children(conn, now).await?);
        Ok(rows)
    }
}

/// Revokes several grants in the transaction of whatever ends them; [`Revocations::learn`](crate::revocations::Revocations::learn) what comes back once it has committed.
///
/// # Errors
/// [`DbError`].
pub async fn revoke_of(
    conn: &mut Conn,
    of: &GrantsOf<'_>,
    now: Instant,
) -> Result<Vec<RevocationRow>, DbError> {
    let revoked = grants::revoke_of(conn, of, now).await?;
    if revoked.is_empty() {
        return Ok(Vec::new());
    }
    grants::record_revoked(conn, of, now).await?;
    let children = revoke_children(conn, now).await?;
    let rows = revoked.into_iter().map(|(id, until)| revocation(id, until));
    Ok(rows.chain(children).collect())
}

/// What was made of the grants that were revoked at this instant by token exchange ends with them.
async fn revoke_children(conn: &mut Conn, now: Instant) -> Result<Vec<RevocationRow>, DbError> {
    let children = grants::revoke_children(conn, now).await?;
    if !children.is_empty() {
        grants::record_children(conn, now).await?;
    }
    let rows = children
        .into_iter()
        .map(|(id, until)| revocation(id, until));
    Ok(rows.collect())
}

fn revocation(id: String, matters_until: Instant) -> RevocationRow {
    RevocationRow {
        kind: RevocationKind::Grant.as_str().into(),
        subject: id,
        matters_until,
        cutoff: None,
    }
}
