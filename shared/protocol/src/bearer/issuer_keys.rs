//! What an issuer publishes: its metadata (RFC 8414) and its keys (RFC 7517), kept fresh by the requests that need them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OwnedMutexGuard};
use url::Url;

use super::IssuerFailure;
use crate::issuer::Issuer;
use crate::jose::{JwkSet, KeyId, PublicJwk, object};
use crate::outbound::{Fetched, Fetcher};
use crate::time::{Clock, Instant};

/// The longest that a key set is believed without a look at the issuer; also without `max-age`.
const MAX_FRESH: Duration = Duration::from_mins(5);
/// The shortest, so that `max-age=0` does not make each request a fetch.
const MIN_FRESH: Duration = Duration::from_secs(10);
/// An unknown `kid` leads to one fetch in this time.
const UNKNOWN_KEY_SPACING: Duration = Duration::from_secs(10);
/// Documents this young are not fetched again for an unknown `kid`: the issuer published them just now.
const JUST_FETCHED: Duration = Duration::from_secs(1);
/// After a failure the next attempt waits this long, then twice as long, up to the limit.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// What an issuer published.
pub(super) struct Published {
    keys: JwkSet,
    // A remembered token is bound to the key itself, because a `kid` may come back with another one.
    thumbprints: Vec<KeyId>,
    introspection_endpoint: Option<Url>,
    fetched_at: Instant,
    refresh_at: Instant,
    stale_at: Instant,
}

/// The documents of one issuer. Cheap to clone.
#[derive(Clone)]
pub(super) struct IssuerKeys(Arc<Source>);

struct Source {
    issuer: Issuer,
    with_keys: bool,
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    published: ArcSwapOption<Published>,
    failing: AtomicBool,
    // Held during a fetch: there is never more than one.
    attempts: Arc<Mutex<Attempts>>,
}

#[derive(Default)]
struct Attempts {
    failure: Option<(IssuerFailure, Duration, Instant)>,
    for_unknown_key: Option<Instant>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Reason {
    Age,
    UnknownKey,
}

impl Published {
    /// The keys.
    pub(super) fn keys(&self) -> &JwkSet {
        &self.keys
    }

    /// Whether a key, by the name that [`name_of`] gives it, is in the set.
    pub(super) fn has(&self, name: &KeyId) -> bool {
        self.thumbprints.contains(name)
    }

    /// Where to ask about tokens (RFC 7662 §2).
    pub(super) fn introspection_endpoint(&self) -> Option<&Url> {
        self.introspection_endpoint.as_ref()
    }
}

/// A key's thumbprint as its name.
pub(super) fn name_of(key: &PublicJwk) -> Option<KeyId> {
    KeyId::new(&key.thumbprint().to_string())
}

impl IssuerKeys {
    /// Nothing is fetched yet. Without `with_keys` the metadata alone ever is.
    pub(super) fn new(
        issuer: Issuer,
        with_keys: bool,
        fetcher: Fetcher,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(Source {
            issuer,
            with_keys,
            fetcher,
            clock,
            published: ArcSwapOption::empty(),
            failing: AtomicBool::new(false),
            attempts: Arc::default(),
        }))
    }

    /// What the issuer publishes. Fetches if nothing is there or it is stale; ahead of that, in the background. While the
    /// issuer fails, the last good documents stay.
    ///
    /// # Errors
    /// [`IssuerFailure`] when there is nothing at all.
    pub(super) async fn current(&self) -> Result<Arc<Published>, IssuerFailure> {
        let now = self.0.clock.now();
        if let Some(published) = self.0.published.load_full() {
            if now < published.refresh_at {
                return Ok(published);
            }
            // Whoever holds the lock is fetching already.
            if let Ok(attempts) = Arc::clone(&self.0.attempts).try_lock_owned() {
                drop(self.fetch(attempts, Reason::Age));
            }
            // While the issuer fails, nobody waits for it again and again.
            if now < published.stale_at || self.0.failing.load(Ordering::Relaxed) {
                return Ok(published);
            }
        }
        self.attempt(Reason::Age).await
    }

    /// After a token that none of the keys in `seen` signed: what the issuer publishes now, if it may be asked again.
    pub(super) async fn after_unknown_key(&self, seen: Arc<Published>) -> Arc<Published> {
        self.attempt(Reason::UnknownKey).await.unwrap_or(seen)
    }

    async fn attempt(&self, reason: Reason) -> Result<Arc<Published>, IssuerFailure> {
        let attempts = Arc::clone(&self.0.attempts).lock_owned().await;
        // In a task of its own: a client that hangs up must not make the others start anew.
        let fetched = self.fetch(attempts, reason).await;
        fetched.unwrap_or(Err(IssuerFailure::Metadata))
    }

    fn fetch(
        &self,
        mut attempts: OwnedMutexGuard<Attempts>,
        reason: Reason,
    ) -> tokio::task::JoinHandle<Result<Arc<Published>, IssuerFailure>> {
        let source = Arc::clone(&self.0);
        tokio::spawn(async move { source.fetch_if_due(&mut attempts, reason).await })
    }
}

impl Source {
    async fn fetch_if_due(
        &self,
        attempts: &mut Attempts,
        reason: Reason,
    ) -> Result<Arc<Published>, IssuerFailure> {
        let now = self.clock.now();
        let known = self.published.load_full();
        if let Some(known) = &known
            && !attempts.due(known, reason, now)
        {
            return Ok(Arc::clone(known));
        }
        if let Some((failure, spacing, at)) = &attempts.failure
            && now < *at + *spacing
        {
            return known.ok_or_else(|| failure.clone());
        }
        if reason == Reason::UnknownKey {
            attempts.for_unknown_key = Some(now);
        }
        match self.documents(now).await {
            Ok(published) => {
                attempts.failure = None;
                self.failing.store(false, Ordering::Relaxed);
                let published = Arc::new(published);
                self.published.store(Some(Arc::clone(&published)));
                Ok(published)
            }
            Err(failure) => {
                tracing::warn!(issuer = %self.issuer, %failure, "cannot fetch the issuer's keys");
                let spacing = match &attempts.failure {
                    Some((_, spacing, _)) => (*spacing * 2).min(MAX_RETRY),
                    None => FIRST_RETRY,
                };
                attempts.failure = Some((failure.clone(), spacing, now));
                self.failing.store(true, Ordering::Relaxed);
                known.ok_or(failure)
            }
        }
    }

    async fn documents(&self, now: Instant) -> Result<Published, IssuerFailure> {
        let (metadata, mut max_age) = self.metadata().await?;
        let keys = if self.with_keys {
            let url = url_of(&metadata, "jwks_uri")?.ok_or(IssuerFailure::NoJwksUri)?;
            let fetched = self
                .fetcher
                .get(&url, "application/jwk-set+json, application/json")
                .await?;
            max_age = fetched.max_age;
            JwkSet::from_slice(&content(fetched)?.body).map_err(IssuerFailure::Keys)?
        } else {
            JwkSet::default()
        };
        let fresh = max_age.unwrap_or(MAX_FRESH).clamp(MIN_FRESH, MAX_FRESH);
        Ok(Published {
            thumbprints: keys.keys().iter().filter_map(name_of).collect(),
            keys,
            introspection_endpoint: url_of(&metadata, "introspection_endpoint")?,
            fetched_at: now,
            refresh_at: now + fresh * 4 / 5,
            stale_at: now + fresh,
        })
    }

    /// RFC 8414 §3, or the place where OpenID providers have theirs (OpenID Connect Discovery 1.0 §4).
    async fn metadata(&self) -> Result<(Map<String, Value>, Option<Duration>), IssuerFailure> {
        let json = "application/json";
        let mut fetched = self.fetcher.get(&self.issuer.metadata_url(), json).await?;
        if fetched.status == http::StatusCode::NOT_FOUND {
            let url = self.issuer.endpoint("/.well-known/openid-configuration");
            let url = Url::parse(&url).map_err(|_| IssuerFailure::Metadata)?;
            fetched = self.fetcher.get(&url, json).await?;
        }
        let fetched = content(fetched)?;
        let metadata = object(&fetched.body).map_err(|_| IssuerFailure::Metadata)?;
        // RFC 8414 §3.3: identical, or the document is not to be used.
        if metadata.get("issuer").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err(IssuerFailure::OtherIssuer);
        }
        Ok((metadata, fetched.max_age))
    }
}

impl Attempts {
    /// Whether what is `known` may be fetched again now.
    fn due(&self, known: &Published, reason: Reason, now: Instant) -> bool {
        match reason {
            Reason::Age => now >= known.refresh_at,
            Reason::UnknownKey => {
                now >= known.fetched_at + JUST_FETCHED
                    && self
                        .for_unknown_key
                        .is_none_or(|last| now >= last + UNKNOWN_KEY_SPACING)
            }
        }
    }
}

fn content(fetched: Fetched) -> Result<Fetched, IssuerFailure> {
    if fetched.status == http::StatusCode::OK {
        Ok(fetched)
    } else {
        Err(IssuerFailure::Status(fetched.status))
    }
}

fn url_of(metadata: &Map<String, Value>, name: &str) -> Result<Option<Url>, IssuerFailure> {
    let Some(value) = metadata.get(name) else {
        return Ok(None);
    };
    let url = value.as_str().and_then(|url| Url::parse(url).ok());
    url.map(Some).ok_or(IssuerFailure::Metadata)
}
