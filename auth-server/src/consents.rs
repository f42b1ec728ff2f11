//! What people agreed to, remembered so that they are asked again only when more is asked for.

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::store::consents::{self, Consent};

/// The consents of this server.
#[derive(Clone)]
pub struct Consents {
    /// Where they are kept.
    pub store: Store,
}

impl Consents {
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
                let before = consents::find(conn, account_id, client_id).await?;
                let mut all = before.and_then(agreement).unwrap_or_default();
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
pub(crate) fn agreement((own, resources): Consent) -> Option<Agreement> {
    Some(Agreement {
        own: own.parse().ok()?,
        resources: serde_json::from_value(resources).ok()?,
    })
}
