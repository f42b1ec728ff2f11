//! What clients publish at sites of their own, by the one fetcher of this server.

use shared_protocol::outbound::Fetcher;
use shared_server::outbound::OutboundError;

use super::document::ClientDocuments;
use super::jwks_uri::ClientKeys;
use super::logo::Logos;
use super::request_uris::PublishedObjects;
use super::sector::Sectors;
use crate::config::Config;
use crate::resource_servers::ResourceServers;

/// What clients publish at sites of their own.
#[derive(Clone)]
pub struct Sites {
    /// Fetches all of it, and tells clients what they want to hear.
    pub fetcher: Fetcher,
    /// Their keys.
    pub keys: ClientKeys,
    /// Their descriptions of themselves, unless none may have one.
    pub documents: Option<ClientDocuments>,
    /// The authorization requests that they publish.
    pub request_objects: PublishedObjects,
    /// The sectors that they name.
    pub sectors: Sectors,
    /// Their pictures.
    pub logos: Logos,
}

impl Sites {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub fn open(
        config: &Config,
        resource_servers: &ResourceServers,
    ) -> Result<Self, OutboundError> {
        let user_agent = concat!("auth-server/", env!("CARGO_PKG_VERSION"));
        let fetcher = config.outbound.fetcher([], user_agent)?;
        let documents = config.documents_are_on().then(|| {
            let signs = (config.signing_algorithms(), config.profiles());
            let settings = &config.client_documents;
            ClientDocuments::new(&fetcher, settings, resource_servers.clone(), signs)
        });
        Ok(Self {
            documents,
            keys: ClientKeys::new(&fetcher),
            request_objects: PublishedObjects::new(&fetcher),
            sectors: Sectors::new(&fetcher),
            logos: Logos::new(&fetcher),
            fetcher,
        })
    }
}
