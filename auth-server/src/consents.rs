//! What people agreed to, remembered so that they are asked again only when more is asked for.

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::claims::ClaimSet;
use crate::clients::Client;
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
        client: &Client,
        agreed: &Agreement,
        now: Instant,
    ) -> Result<(), DbError> {
        self.store
            .transaction(async |conn| {
                // Two that agree at one moment may overwrite each other; the one that is lost is asked again.
                let before = consents::find(conn, account_id, &client.id).await?;
                let before = before.and_then(|consent| agreement(consent, client));
                let mut all = before.unwrap_or_default();
                all.grow(agreed);
                let consent = (
                    all.own.to_string(),
                    serde_json::json!(all.resources),
                    all.details_value(),
                    client.digest().map(Vec::from),
                    (!all.claims.is_empty()).then(|| serde_json::json!(all.claims)),
                );
                consents::put(conn, (account_id, &client.id), &consent, now).await
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

/// A row that makes no sense counts for nothing: the person is asked. Nor does one for what a client that describes itself was before
/// its redirects or keys changed: perhaps it is somebody else's by now.
pub(crate) fn agreement(
    (own, resources, details, client_digest, claims): Consent,
    client: &Client,
) -> Option<Agreement> {
    if client_digest.as_deref() != client.digest().map(<[u8; 32]>::as_slice) {
        return None;
    }
    Some(Agreement {
        own: own.parse().ok()?,
        resources: serde_json::from_value(resources).ok()?,
        claims: claims.map_or(Some(ClaimSet::default()), |claims| {
            serde_json::from_value(claims).ok()
        })?,
        details: Agreement::details_of(details)?,
    })
}
