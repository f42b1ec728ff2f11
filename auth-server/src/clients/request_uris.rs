//! Request objects that clients publish at URLs that they registered (RFC 9101 §5.2, OpenID Connect Core §6.2).

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use shared_protocol::outbound::Fetcher;
use shared_protocol::time::Instant;

use super::ClientMetadata;
use super::url::ClientUrl;
use crate::documents::{DocumentError, Documents, FETCHES, Kind};

/// No JWT that is longer is looked at.
const MOST: usize = 16 * 1024;
/// For a client that changes what stands there without a word, neither by headers nor by a fragment.
const LONGEST: Duration = Duration::from_mins(5);
/// Bytes of all that are remembered.
const KEPT: u64 = 8 * 1024 * 1024;

/// A request object as it stands somewhere. Nobody has looked whose it is.
pub struct PublishedObject {
    object: String,
    digest: [u8; 32],
}

impl PublishedObject {
    /// The JWT.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.object
    }
}

/// Where a request object stands, and which it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectReference {
    url: ClientUrl,
    /// SHA-256 of what stands there, if the reference says (OpenID Connect Core §6.2).
    digest: Option<[u8; 32]>,
}

impl ObjectReference {
    /// What `request_uri` refers to, if a client of this metadata registered it. A fragment is no part of what is looked for: it says
    /// what stands there, and one that says something else must be registered so.
    #[must_use]
    pub fn of(request_uri: &str, metadata: &ClientMetadata) -> Option<Self> {
        let (place, fragment) = parts(request_uri);
        let mut registered = metadata.request_uris.iter();
        registered
            .clone()
            .find(|known| parts(known.as_str()).0 == place)?;
        let digest = fragment.map(|fragment| {
            let bytes = URL_SAFE_NO_PAD.decode(fragment).ok();
            bytes.and_then(|bytes| bytes.try_into().ok())
        });
        let digest = match digest {
            None => None,
            Some(Some(digest)) => Some(digest),
            Some(None) => {
                registered.find(|known| known.as_str() == request_uri)?;
                None
            }
        };
        Some(Self {
            url: place.parse().ok()?,
            digest,
        })
    }
}

fn parts(uri: &str) -> (&str, Option<&str>) {
    match uri.split_once('#') {
        Some((place, fragment)) => (place, Some(fragment)),
        None => (uri, None),
    }
}

/// The request objects at such URLs.
#[derive(Clone)]
pub struct PublishedObjects(Documents<PublishedObject>);

impl PublishedObjects {
    /// Objects by this fetcher.
    #[must_use]
    pub fn new(fetcher: &Fetcher) -> Self {
        Self(Documents::new(
            fetcher,
            Kind {
                name: "request_uri",
                accept: "application/oauth-authz-req+jwt, application/jwt",
                longest: LONGEST,
                most: MOST,
                kept: KEPT,
                at_once: FETCHES,
                // Whatever its media type: the signature tells what it is.
                read: Arc::new(|_, fetched| {
                    let object = std::str::from_utf8(&fetched.body)
                        .unwrap_or_default()
                        .trim();
                    let is_written =
                        |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
                    if object.split('.').count() != 3 || !object.bytes().all(is_written) {
                        let reason = "it is not a JWT in the compact form".to_owned();
                        return Err(DocumentError::Content(reason));
                    }
                    let published = PublishedObject {
                        object: object.to_owned(),
                        digest: Sha256::digest(&fetched.body).into(),
                    };
                    Ok((published, 2 * fetched.body.len()))
                }),
            },
        ))
    }

    /// Whether what stands there is remembered and fresh.
    #[must_use]
    pub fn is_fresh(&self, reference: &ObjectReference, now: Instant) -> bool {
        self.0.fresh(&reference.url, now).is_some()
    }

    /// What the reference refers to; `None` if something else stands there.
    ///
    /// # Errors
    /// [`DocumentError`].
    pub async fn find(
        &self,
        reference: &ObjectReference,
        now: Instant,
    ) -> Result<Option<Arc<PublishedObject>>, DocumentError> {
        let is_meant =
            |found: &PublishedObject| reference.digest.is_none_or(|digest| digest == found.digest);
        let found = self.0.current(&reference.url, now).await?;
        if is_meant(&found) {
            return Ok(Some(found));
        }
        // OpenID Connect Core §6.2: another digest tells that what is remembered is good no longer.
        let found = self.0.after(&reference.url, found, now).await;
        Ok(is_meant(&found).then_some(found))
    }

    /// What took the place of `seen`, which does not hold; `None` if nothing did.
    pub async fn after(
        &self,
        reference: &ObjectReference,
        seen: Arc<PublishedObject>,
        now: Instant,
    ) -> Option<Arc<PublishedObject>> {
        if reference.digest.is_some() {
            return None;
        }
        let newer = self.0.after(&reference.url, Arc::clone(&seen), now).await;
        (!Arc::ptr_eq(&newer, &seen)).then_some(newer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oidc_core_6_2_what_is_registered_is_found_with_or_without_its_fragment() {
        let digest = URL_SAFE_NO_PAD.encode([7; 32]);
        let metadata = ClientMetadata {
            request_uris: [
                "https://client.example/a",
                "https://client.example/b?c=1#version2",
            ]
            .map(|uri| uri.parse().unwrap())
            .into(),
            ..ClientMetadata::default()
        };
        for (uri, place, with_digest) in [
            (
                "https://client.example/a",
                Some("https://client.example/a"),
                false,
            ),
            (
                &format!("https://client.example/a#{digest}"),
                Some("https://client.example/a"),
                true,
            ),
            (
                "https://client.example/b?c=1",
                Some("https://client.example/b?c=1"),
                false,
            ),
            (
                "https://client.example/b?c=1#version2",
                Some("https://client.example/b?c=1"),
                false,
            ),
            (
                &format!("https://client.example/b?c=1#{digest}"),
                Some("https://client.example/b?c=1"),
                true,
            ),
            ("https://client.example/b?c=1#version3", None, false),
            ("https://client.example/a#version2", None, false),
            ("https://client.example/a#", None, false),
            ("https://client.example/", None, false),
            ("https://client.example/a/", None, false),
            ("https://client.example/a/b", None, false),
            ("https://client.example/a?", None, false),
            ("https://CLIENT.example/a", None, false),
            ("https://client.example:443/a", None, false),
            ("https://client.example/%61", None, false),
            ("https://client.example/x/../a", None, false),
            ("http://client.example/a", None, false),
            ("https://user@client.example/a", None, false),
            ("https://evil.example/a", None, false),
            ("https://client.example/b", None, false),
            ("", None, false),
            ("#", None, false),
        ] {
            let found = ObjectReference::of(uri, &metadata);
            assert_eq!(
                found.as_ref().map(|found| found.url.as_str()),
                place,
                "{uri}"
            );
            assert_eq!(
                found.is_some_and(|found| found.digest.is_some()),
                with_digest,
                "{uri}"
            );
        }
    }
}
