//! What clients publish at sites of their own, by the one fetcher of this server.

use shared_protocol::outbound::Fetcher;
use shared_server::outbound::OutboundError;

use super::jwks_uri::ClientKeys;
use crate::config::Config;

/// What clients publish at sites of their own.
#[derive(Clone)]
pub struct Sites {
    /// Their keys.
    pub keys: ClientKeys,
    fetcher: Fetcher,
}

impl Sites {
    /// Nothing is fetched yet.
    ///
    /// # Errors
    /// [`OutboundError`].
    pub fn open(config: &Config) -> Result<Self, OutboundError> {
        let user_agent = concat!("auth-server/", env!("CARGO_PKG_VERSION"));
        let fetcher = config.outbound.fetcher([], user_agent)?;
        Ok(Self {
            keys: ClientKeys::new(&fetcher),
            fetcher,
        })
    }
}
