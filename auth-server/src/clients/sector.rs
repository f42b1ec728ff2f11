//! Sectors: clients of one owner, by a list of all their redirect URIs (OpenID Connect Registration §5).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::outbound::Fetcher;
use shared_protocol::time::Instant;

use super::ClientMetadata;
use crate::documents::{DocumentError, Documents, Kind, require_json};

/// Bytes of a list, for the sectors of large owners.
const MOST: usize = 64 * 1024;
/// Looked at when a client is registered or changed, and then as it is.
const LONGEST: Duration = Duration::from_secs(10);
/// Bytes of all lists that are remembered so long.
const KEPT: u64 = 1024 * 1024;

/// Why a client is not of the sector that it names.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SectorError {
    /// Anybody on the way could change the list.
    #[error("sector_identifier_uri: use https")]
    Scheme,
    /// There is no list.
    #[error("sector_identifier_uri: {}", .0.told())]
    Document(DocumentError),
    /// One is missing, and perhaps somebody else's.
    #[error(
        "sector_identifier_uri: the list there lacks {0}; add it there, or leave it out of redirect_uris"
    )]
    Redirect(String),
}

impl SectorError {
    /// Whether the client can do nothing about it but try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Document(error) if error.is_ours())
    }
}

/// Looks sectors up.
#[derive(Clone)]
pub struct Sectors(Documents<BTreeSet<Box<str>>>);

impl Sectors {
    /// Lists by this fetcher.
    #[must_use]
    pub fn new(fetcher: &Fetcher) -> Self {
        Self(Documents::new(
            fetcher,
            Kind {
                name: "sector_identifier_uri",
                accept: "application/json",
                longest: LONGEST,
                most: MOST,
                kept: KEPT,
                at_once: 8,
                read: Arc::new(|_, fetched| {
                    require_json(fetched)?;
                    let list = serde_json::from_slice(&fetched.body)
                        .map_err(|_| DocumentError::Content("it is not a list of URIs".into()))?;
                    Ok((list, 2 * fetched.body.len()))
                }),
            },
        ))
    }

    /// Whether a client is of the sector that it names, if it names one: the list there holds every redirect URI of it.
    ///
    /// # Errors
    /// [`SectorError`].
    pub async fn check(&self, metadata: &ClientMetadata, now: Instant) -> Result<(), SectorError> {
        let Some(url) = &metadata.sector_identifier_uri else {
            return Ok(());
        };
        if !url.is_https() {
            return Err(SectorError::Scheme);
        }
        let list = self.0.current(url, now).await;
        let list = list.map_err(SectorError::Document)?;
        let redirects = metadata.redirect_uris.iter().map(ToString::to_string);
        let missing = redirects
            .into_iter()
            .find(|uri| !list.contains(uri.as_str()));
        missing.map_or(Ok(()), |uri| Err(SectorError::Redirect(uri)))
    }
}
