//! What people agreed to, remembered so that they are asked again only when more is asked for.

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};

use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::store::consents;

/// The consents of this server.
#[derive(Clone)]
pub struct Consents {
    /// Where they are kept.
    pub store: Store,
}

impl Consents {
    /// What a person agreed to for a client.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn find(
        &self,
        account_id: &AccountId,
        client_id: &ClientId,
    ) -> Result<Option<Agreement>, DbError> {
        load(&mut self.store.read().await?, account_id, client_id).await
    }

    /// Remembers that a person agreed to this, beside what they agreed to before.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn remember(
        &self,
        account_id: &AccountId,
        client_id: &ClientId,
        agreed: &Agreement,
        now: Instant,
    ) -> Result<(), DbError> {
        self.store
            .transaction(async |conn| {
                // Two that agree at one moment may overwrite each other; the one that is lost is asked again.
                let before = load(conn, account_id, client_id).await?;
                let mut all = before.unwrap_or_default();
                all.grow(agreed);
                let resources = serde_json::json!(all.resources);
                let scope = all.own.to_string();
                consents::put(conn, (account_id, client_id), &scope, &resources, now).await
            })
            .await
    }

    /// Forgets what a person agreed to for a client.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn forget(
        &self,
        account_id: &AccountId,
        client_id: &ClientId,
    ) -> Result<bool, DbError> {
        consents::delete(&mut self.store.write().await?, account_id, client_id).await
    }
}

/// A row that makes no sense counts for nothing: the person is asked.
async fn load(
    conn: &mut Conn,
    account_id: &AccountId,
    client_id: &ClientId,
) -> Result<Option<Agreement>, DbError> {
    let Some((own, resources)) = consents::find(conn, account_id, client_id).await? else {
        return Ok(None);
    };
    Ok(own.parse().ok().and_then(|own| {
        let resources = serde_json::from_value(resources).ok()?;
        Some(Agreement { own, resources })
    }))
}
