//! What clients publish at URLs of theirs: fetched when somebody needs it, and remembered while it is fresh.
//!
//! Whoever names a URL may be a stranger, so that everything is bounded: bytes and number of documents, fetches at a time, requests
//! that wait for one, and how often a URL is asked. Each URL has one fetch at a time, which all who need it share.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use shared_protocol::outbound::{FetchError, Fetched, Fetcher};
use shared_protocol::time::Instant;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore};
use tokio::task::JoinHandle;

use crate::clients::url::ClientUrl;

/// The shortest that a document is believed, so that `max-age=0` does not make each request a fetch.
const SHORTEST: Duration = Duration::from_secs(10);
/// How long a failure is remembered.
const FAILURE: Duration = Duration::from_secs(30);
/// A document that does not explain what it should is fetched again, so long after the last time at the earliest.
const AGAIN: Duration = Duration::from_secs(10);
/// URLs that are remembered.
const URLS: u64 = 10_000;
/// Requests that wait for one URL, and for all of a kind.
const WAITING_FOR_ONE: usize = 64;
const WAITING: usize = 256;
/// Fetches at a time, of a kind whose documents cost little to read.
pub const FETCHES: usize = 32;
/// How long a request waits for a turn to fetch.
const TURN: Duration = Duration::from_secs(2);

/// Why a document could not be had.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing came back.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Only 200 brings a document.
    #[error("the answer was {0} and not 200")]
    Status(StatusCode),
    /// It says that it is something else.
    #[error("the answer is of another media type")]
    MediaType,
    /// It is not what it should be.
    #[error("{0}")]
    Content(String),
    /// Too much is being fetched: nobody's fault but ours, and over soon.
    #[error("too many documents of clients are being fetched")]
    Busy,
}

impl DocumentError {
    /// Whether the client can do nothing about it but try again.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        *self == Self::Busy
    }

    /// What is wrong, for whoever named the URL: nothing of what our network made of the attempt (threat 18).
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Fetch(FetchError::Redirect | FetchError::TooLarge)
            | Self::Status(_)
            | Self::MediaType
            | Self::Content(_)
            | Self::Busy => self.to_string(),
            Self::Fetch(_) => "it could not be fetched".into(),
        }
    }
}

/// What documents of one kind are like.
pub struct Kind<T> {
    /// What they are called in the log.
    pub name: &'static str,
    /// The media types that are asked for.
    pub accept: &'static str,
    /// The longest that one is believed without another look; also when its server names no time.
    pub longest: Duration,
    /// Bytes that one may have.
    pub most: usize,
    /// Bytes of all that are remembered.
    pub kept: u64,
    /// Fetches of the kind at a time.
    pub at_once: usize,
    /// Makes one of what came back, or says what is wrong with it.
    pub read: Read<T>,
}

/// Reads an answer of status 200, away from the threads that serve requests. With the document come the bytes that it takes in memory.
pub type Read<T> =
    Arc<dyn Fn(&ClientUrl, &Fetched) -> Result<(T, usize), DocumentError> + Send + Sync>;

/// The documents of one kind, by URL. Clones share them.
pub struct Documents<T>(Arc<Shelf<T>>);

struct Shelf<T> {
    kind: Kind<T>,
    fetcher: Fetcher,
    found: Cache<ClientUrl, Found<T>>,
    sources: Cache<ClientUrl, Arc<Source>>,
    waiting: Semaphore,
    turns: Semaphore,
}

struct Found<T> {
    document: Arc<T>,
    bytes: u32,
    refresh_at: Instant,
    stale_at: Instant,
}

struct Source {
    waiting: Semaphore,
    // Held during a fetch: there is never more than one.
    attempts: Arc<Mutex<Attempts>>,
}

#[derive(Default)]
struct Attempts {
    at: Option<Instant>,
    failure: Option<DocumentError>,
}

/// Why a document is looked for.
enum Reason<T> {
    /// There is none, or it is old.
    Age,
    /// This one does not explain what it should.
    Unexplained(Arc<T>),
}

impl<T> Clone for Documents<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        Self {
            document: Arc::clone(&self.document),
            ..*self
        }
    }
}

impl<T: Send + Sync + 'static> Documents<T> {
    /// Documents of this kind; none yet.
    #[must_use]
    pub fn new(fetcher: &Fetcher, kind: Kind<T>) -> Self {
        let found = Cache::builder()
            .weigher(|_, found: &Found<T>| found.bytes)
            .max_capacity(kind.kept)
            .eviction_policy(EvictionPolicy::lru());
        let sources = Cache::builder()
            .max_capacity(URLS)
            .eviction_policy(EvictionPolicy::lru());
        Self(Arc::new(Shelf {
            fetcher: fetcher.within(kind.most),
            found: found.build(),
            sources: sources.build(),
            waiting: Semaphore::new(WAITING),
            turns: Semaphore::new(kind.at_once),
            kind,
        }))
    }

    /// The document, if it is remembered and fresh. Ahead of its end it is fetched again, while nobody waits.
    #[must_use]
    pub fn fresh(&self, url: &ClientUrl, now: Instant) -> Option<Arc<T>> {
        let found = self.0.found.get(url)?;
        if found.stale_at <= now {
            return None;
        }
        if found.refresh_at <= now {
            let source = self.source(url);
            // Whoever holds the lock is fetching already.
            if let Ok(attempts) = Arc::clone(&source.attempts).try_lock_owned() {
                drop(self.fetch(url, attempts, Reason::Age, now));
            }
        }
        Some(found.document)
    }

    /// Forgets what was read, not when it was asked for: what it was read by has changed.
    pub fn forget_all(&self) {
        self.0.found.invalidate_all();
    }

    /// The document, fetched if it is not remembered or not fresh.
    ///
    /// # Errors
    /// [`DocumentError`], also of a failure less than half a minute ago.
    pub async fn current(&self, url: &ClientUrl, now: Instant) -> Result<Arc<T>, DocumentError> {
        match self.fresh(url, now) {
            Some(document) => Ok(document),
            None => self.attempt(url, Reason::Age, now).await,
        }
    }

    /// The document that took the place of `seen`, which does not explain what it should: fetched, if the last time was ten seconds
    /// ago. `seen` itself if nothing did.
    pub async fn after(&self, url: &ClientUrl, seen: Arc<T>, now: Instant) -> Arc<T> {
        let unexplained = Reason::Unexplained(Arc::clone(&seen));
        self.attempt(url, unexplained, now).await.unwrap_or(seen)
    }

    fn source(&self, url: &ClientUrl) -> Arc<Source> {
        self.0.sources.get_with_by_ref(url, || {
            Arc::new(Source {
                waiting: Semaphore::new(WAITING_FOR_ONE),
                attempts: Arc::default(),
            })
        })
    }

    async fn attempt(
        &self,
        url: &ClientUrl,
        reason: Reason<T>,
        now: Instant,
    ) -> Result<Arc<T>, DocumentError> {
        let source = self.source(url);
        // Nobody, by naming a URL that never answers, has all requests of this server wait.
        let (Ok(_here), Ok(_anywhere)) =
            (source.waiting.try_acquire(), self.0.waiting.try_acquire())
        else {
            return Err(DocumentError::Busy);
        };
        let attempts = Arc::clone(&source.attempts).lock_owned().await;
        // In a task of its own: a client that hangs up must not make the others start anew.
        let outcome = self.fetch(url, attempts, reason, now).await;
        outcome.unwrap_or(Err(DocumentError::Busy))
    }

    fn fetch(
        &self,
        url: &ClientUrl,
        mut attempts: OwnedMutexGuard<Attempts>,
        reason: Reason<T>,
        now: Instant,
    ) -> JoinHandle<Result<Arc<T>, DocumentError>> {
        let (kept, url) = (Arc::clone(&self.0), url.clone());
        tokio::spawn(async move {
            let outcome = kept.fetch_if_due(&url, &mut attempts, reason, now);
            outcome.await
        })
    }
}

impl<T: Send + Sync + 'static> Shelf<T> {
    async fn fetch_if_due(
        &self,
        url: &ClientUrl,
        attempts: &mut Attempts,
        reason: Reason<T>,
        now: Instant,
    ) -> Result<Arc<T>, DocumentError> {
        let known = self.found.get(url).filter(|found| now < found.stale_at);
        if let Some(known) = &known {
            let is_due = match &reason {
                Reason::Age => known.refresh_at <= now,
                Reason::Unexplained(seen) => {
                    Arc::ptr_eq(&known.document, seen) && attempts.is_past(AGAIN, now)
                }
            };
            if !is_due {
                return Ok(Arc::clone(&known.document));
            }
        }
        let known = known.map(|found| found.document);
        if let Some(failure) = &attempts.failure
            && !attempts.is_past(FAILURE, now)
        {
            return known.ok_or_else(|| failure.clone());
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(TURN, self.turns.acquire()).await else {
            return known.ok_or(DocumentError::Busy);
        };
        attempts.at = Some(now);
        match self.document(url, now).await {
            Ok(document) => {
                attempts.failure = None;
                Ok(document)
            }
            Err(error) => {
                let host = url.url().host_str();
                tracing::info!(document = self.kind.name, host, %error, "a client's document could not be fetched");
                attempts.failure = Some(error.clone());
                known.ok_or(error)
            }
        }
    }

    async fn document(&self, url: &ClientUrl, now: Instant) -> Result<Arc<T>, DocumentError> {
        let kind = &self.kind;
        let fetched = self.fetcher.get(url.url(), kind.accept).await?;
        if fetched.status != StatusCode::OK {
            return Err(DocumentError::Status(fetched.status));
        }
        let fresh = fetched.max_age.unwrap_or(kind.longest);
        let fresh = fresh.clamp(SHORTEST, kind.longest);
        let (read, named) = (Arc::clone(&kind.read), url.clone());
        let read = tokio::task::spawn_blocking(move || read(&named, &fetched)).await;
        let unreadable = |_| DocumentError::Content("it cannot be read".into());
        let (document, bytes) = read.map_err(unreadable)??;
        let document = Arc::new(document);
        let bytes = 256 + 2 * url.as_str().len() + bytes;
        let found = Found {
            document: Arc::clone(&document),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            refresh_at: now + fresh * 4 / 5,
            stale_at: now + fresh,
        };
        self.found.insert(url.clone(), found);
        Ok(document)
    }
}

impl Attempts {
    /// Whether the last one was so long ago.
    fn is_past(&self, period: Duration, now: Instant) -> bool {
        self.at.is_none_or(|at| at + period <= now)
    }
}

/// Refuses what does not say that it is JSON: `application/json`, or a name that ends in `+json` (RFC 6839 §3.1).
///
/// # Errors
/// [`DocumentError::MediaType`].
pub fn require_json(fetched: &Fetched) -> Result<(), DocumentError> {
    let named = fetched.media_type.as_deref().unwrap_or_default();
    let is_json = named == "application/json"
        || (named.starts_with("application/") && named.ends_with("+json"));
    if is_json {
        Ok(())
    } else {
        Err(DocumentError::MediaType)
    }
}
