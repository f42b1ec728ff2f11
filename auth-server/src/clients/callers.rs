//! Whoever calls: clients that were registered, and those that describe themselves.

use std::net::IpAddr;
use std::sync::Arc;

use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::rate_limits::{Network, RateLimiter};

use super::Client;
use super::directory::{Clients, DirectoryError};
use super::document::{self, ClientDocuments};

/// Finds clients by their identifiers.
#[derive(Clone)]
pub struct Callers {
    /// Those that were registered.
    pub registered: Clients,
    /// Those that describe themselves, unless none may.
    pub documents: Option<ClientDocuments>,
    /// Counts what strangers have us fetch.
    pub fetches: RateLimiter,
}

impl Callers {
    /// The client of this identifier. What it says of itself is fetched for whoever is at `address`, if that is not asked too often.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn find(
        &self,
        id: &ClientId,
        address: IpAddr,
        now: Instant,
    ) -> Result<Option<Arc<Client>>, DirectoryError> {
        if !document::is_document(id) {
            return self.registered.find(id).await;
        }
        let Some((documents, url)) = self.documents.as_ref().zip(document::document_url(id)) else {
            return Ok(None);
        };
        if let Some(client) = documents.fresh(&url, now) {
            return Ok(Some(client));
        }
        let network = Network::from(address);
        self.fetches.admit(network.as_ref(), now).await?;
        Ok(Some(documents.current(&url, now).await?))
    }

    /// The same where no person is about: of clients that describe themselves, only those that somebody approved.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub async fn find_approved(
        &self,
        id: &ClientId,
        address: IpAddr,
        now: Instant,
    ) -> Result<Option<Arc<Client>>, DirectoryError> {
        let registered = self.registered.find(id).await?;
        if registered.is_some() && document::is_document(id) {
            return self.find(id, address, now).await;
        }
        Ok(registered)
    }
}
