//! The keys of clients, registered by value or published by the client (RFC 7591 §2, `jwks` and `jwks_uri`).

use std::sync::Arc;
use std::time::Duration;

use shared_protocol::jose::{
    Claims, EncryptionKey, JwkSet, JwtError, KeyManagement, PublicJwk, UnverifiedJwt,
};
use shared_protocol::outbound::Fetcher;
use shared_protocol::time::Instant;

use super::Client;
use super::url::ClientUrl;
use crate::documents::{DocumentError, Documents, FETCHES, Kind};

/// A key that a client withdrew is good for so long at most.
const LONGEST: Duration = Duration::from_mins(5);
/// A hundred RSA keys, with certificates beside some.
const MOST: usize = 64 * 1024;
/// For about a thousand clients of usual key sets on one node to have theirs at hand.
const KEPT: u64 = 32 * 1024 * 1024;

/// Why a client's keys prove nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientKeysError {
    /// They do not verify it.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// They could not be had.
    #[error("the keys at the client's jwks_uri: {0}")]
    Document(#[from] DocumentError),
}

/// Why nothing can be encrypted to a client.
#[derive(Debug, thiserror::Error)]
pub enum NothingToEncryptTo {
    /// Its keys could not be had.
    #[error("the keys at the client's jwks_uri: {}", .0.told())]
    Document(#[from] DocumentError),
    /// It has none that fits.
    #[error("no key of the client is for {0}; publish one whose use is enc")]
    NoKey(KeyManagement),
}

impl NothingToEncryptTo {
    /// Whether the client can do nothing about it but try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Document(error) if error.is_ours())
    }
}

/// Where somebody's keys are.
#[derive(Clone, Copy)]
pub struct KeyPlace<'a> {
    /// Where they are published, if they are.
    pub published: Option<&'a ClientUrl>,
    /// Else the keys, by value.
    pub registered: &'a Arc<JwkSet>,
}

impl<'a> From<&'a Client> for KeyPlace<'a> {
    fn from(client: &'a Client) -> Self {
        Self {
            published: client.metadata.jwks_uri.as_ref(),
            registered: client.keys(),
        }
    }
}

/// The keys of clients, or of others who sign what they send, wherever they are.
#[derive(Clone)]
pub struct ClientKeys(Documents<JwkSet>);

impl ClientKeys {
    /// Keys by this fetcher.
    #[must_use]
    pub fn new(fetcher: &Fetcher) -> Self {
        Self(Documents::new(
            fetcher,
            Kind {
                name: "jwks_uri",
                accept: "application/jwk-set+json, application/json",
                longest: LONGEST,
                most: MOST,
                kept: KEPT,
                at_once: FETCHES,
                // Whatever its media type: key sets are published with all kinds of them, and no other document passes for one.
                read: Arc::new(|_, fetched| {
                    let keys = JwkSet::from_slice(&fetched.body)
                        .map_err(|error| DocumentError::Content(error.to_string()))?;
                    Ok((keys, 4 * fetched.body.len()))
                }),
            },
        ))
    }

    /// The keys of a client.
    ///
    /// # Errors
    /// [`DocumentError`] when they are published and could not be fetched.
    pub async fn of(&self, client: &Client, now: Instant) -> Result<Arc<JwkSet>, DocumentError> {
        self.at(client.into(), now).await
    }

    async fn at(&self, place: KeyPlace<'_>, now: Instant) -> Result<Arc<JwkSet>, DocumentError> {
        match place.published {
            Some(url) => self.0.current(url, now).await,
            None => Ok(Arc::clone(place.registered)),
        }
    }

    /// Whether they are known without anybody being asked.
    #[must_use]
    pub fn are_fresh(&self, client: &Client, now: Instant) -> bool {
        let url = client.metadata.jwks_uri.as_ref();
        url.is_none_or(|url| self.0.fresh(url, now).is_some())
    }

    /// The keys of a client that took the place of `seen`, among which was none that fits. `seen` itself if nothing did, or if it
    /// may not be asked again yet.
    pub async fn after(&self, client: &Client, seen: Arc<JwkSet>, now: Instant) -> Arc<JwkSet> {
        self.after_at(client.into(), seen, now).await
    }

    async fn after_at(&self, place: KeyPlace<'_>, seen: Arc<JwkSet>, now: Instant) -> Arc<JwkSet> {
        match place.published {
            Some(url) => self.0.after(url, seen, now).await,
            None => seen,
        }
    }

    /// The key of a client to encrypt to by `alg`. One that is not there may have come just now.
    ///
    /// # Errors
    /// [`NothingToEncryptTo`].
    pub async fn to_encrypt(
        &self,
        client: &Client,
        alg: KeyManagement,
        now: Instant,
    ) -> Result<EncryptionKey, NothingToEncryptTo> {
        let keys = self.of(client, now).await?;
        if let Some(key) = keys.encryption_key(alg) {
            return Ok(key.clone());
        }
        let newer = self.after(client, keys, now).await;
        let key = newer.encryption_key(alg).cloned();
        key.ok_or(NothingToEncryptTo::NoKey(alg))
    }

    /// The claims of a JWT, if a key of this client, or of whoever has these, signed it. A `kid` that is not known, and a signature without one that no key made,
    /// may be of a key that came just now.
    ///
    /// # Errors
    /// [`ClientKeysError`].
    pub async fn verify(
        &self,
        signer: impl Into<KeyPlace<'_>>,
        jwt: UnverifiedJwt<'_>,
        now: Instant,
    ) -> Result<(Claims, PublicJwk), ClientKeysError> {
        let signer = signer.into();
        if signer.published.is_none() {
            return Ok(jwt.verify(signer.registered)?);
        }
        let mut keys = self.at(signer, now).await?;
        if keys.candidates(jwt.kid(), jwt.algorithm()).next().is_none() {
            keys = self.after_at(signer, keys, now).await;
        }
        let nameless = jwt.kid().is_none().then(|| jwt.clone());
        match (jwt.verify(&keys), nameless) {
            (Err(JwtError::Signature), Some(jwt)) => {
                let newer = self.after_at(signer, Arc::clone(&keys), now).await;
                if Arc::ptr_eq(&newer, &keys) {
                    return Err(JwtError::Signature.into());
                }
                Ok(jwt.verify(&newer)?)
            }
            (verified, _) => Ok(verified?),
        }
    }
}
