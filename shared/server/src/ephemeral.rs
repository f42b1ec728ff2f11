//! What a server remembers for minutes: codes, pushed requests, replayed `jti`s, counters. In memory for one node, in
//! Redis for many, behind the same six verbs.
//!
//! Each of [`Ephemeral::put_new`], [`Ephemeral::take`], [`Ephemeral::hit`] and [`Ephemeral::draw`] is one atomic step, so that "at most
//! once" holds against any number of callers on any number of nodes. Every value carries its own deadline, which is
//! compared with the `now` that the caller passes; the store's own expiry only collects rubbish, a minute later.

pub(crate) mod bucket;
mod config;
mod memory;
mod metrics;
mod proofs;
mod redis;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus::Registry;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use shared_protocol::time::{Clock, Instant};
use thiserror::Error;

pub use self::bucket::{Bucket, Drawn, LONGEST_FILL, MOST_TOKENS};
pub use self::config::EphemeralConfig;
use self::memory::Memory;
use self::metrics::{EphemeralMetrics, Verb};
use self::redis::Redis;

/// How long an entry is kept after its deadline. Callers read their clocks a little apart, on several nodes: one that
/// is behind must still find what is live to it.
const SLACK: Duration = Duration::from_mins(1);

/// The result of a verb.
pub type Result<T, E = EphemeralError> = std::result::Result<T, E>;

/// Where the ephemeral store is, and its bounds.
#[derive(Clone)]
pub struct Settings {
    /// `memory`; `redis://` or, over TLS with a certificate of a public authority, `rediss://`, then `[user:password@]host[:port][/database]`; for a Cluster
    /// `redis+cluster://` or `rediss+cluster://`, then `[user:password@]host:port,host:port,…`.
    pub url: SecretString,
    /// What the names of all keys in Redis begin with: ASCII letters, digits, `-`, `_`, `.` and `:`, at least one.
    pub prefix: String,
    /// The most entries and counters that `memory` holds; beyond it, it refuses. Redis has `maxmemory` for this.
    pub capacity: usize,
    /// The longest that Redis may take to answer one command or to accept a connection. Usually 500 ms.
    pub timeout: Duration,
}

/// Why a verb, or the connection, failed. No variant has kept or counted anything that it did not report, except that
/// a store which is [`EphemeralError::Unavailable`] may have done what was asked: ask again only what may happen twice.
#[derive(Debug, Error)]
pub enum EphemeralError {
    /// There is no room. Nothing that is still live is ever dropped to make some: it may be what refuses a replay.
    #[error("the ephemeral store is full: raise its capacity (memory) or maxmemory (Redis)")]
    Full,
    /// Redis refused, answered late or not at all.
    #[error("the ephemeral store is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The settings are wrong, or the Redis they name is not one that can be relied on. Says what to mend.
    #[error("{0}")]
    Settings(String),
}

/// A family of keys, such as `code` or `dpop-jti`. What is stored under one kind cannot be found under another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Kind(&'static str);

impl Kind {
    /// The kind of that name.
    ///
    /// # Panics
    ///
    /// If the name is empty; in a constant, this is a compile error.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        assert!(!name.is_empty(), "a kind has a name");
        Self(name)
    }
}

/// Names one entry or counter.
///
/// Only the SHA-256 of the id is kept, so that ids of strangers may have any length and any bytes, and that whoever
/// reads the store learns no code.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Key {
    kind: Kind,
    digest: [u8; 32],
}

impl Key {
    /// The key of `id` in the family `kind`.
    #[must_use]
    pub fn new(kind: Kind, id: impl AsRef<[u8]>) -> Self {
        Self {
            kind,
            digest: Sha256::digest(id.as_ref()).into(),
        }
    }

    /// A number below `buckets`, the same for the same id, to spread keys by.
    fn bucket(&self, buckets: usize) -> usize {
        let [first, ..] = self.digest;
        usize::from(first) % buckets
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.kind).finish()
    }
}

/// What to remember.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// What [`Ephemeral::get`] and the first [`Ephemeral::take`] answer.
    pub value: &'a [u8],
    /// What every later [`Ephemeral::take`] answers.
    pub mark: &'a [u8],
    /// From this instant on there is no entry.
    pub deadline: Instant,
}

/// What became of [`Ephemeral::put_new`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PutNew {
    /// It was new, as far as the store remembers.
    Stored {
        /// Since when this store has certainly remembered everything. Whatever was issued before may have been here
        /// and been forgotten: refuse it. The epoch is by the clock of some node, the issue by the clock of its
        /// issuer; allow for the skew between them as for any other date, towards refusal.
        epoch: Instant,
    },
    /// A live entry, or the mark of one that was taken, is there; it is unchanged.
    Exists,
}

/// What [`Ephemeral::take`] found.
#[derive(Clone, Eq, PartialEq)]
pub enum Take {
    /// The value, to this one caller.
    First(Vec<u8>),
    /// It was taken before; this is its mark.
    Before(Vec<u8>),
    /// There is nothing, or no longer.
    Unknown,
}

/// The state of a counter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hits {
    /// How many hits its window has had, this one included.
    pub count: u64,
    /// When its window ends and the next begins, at zero.
    pub resets_at: Instant,
}

/// One of the windows, all of one width, into which the time since 1970 is cut.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
struct Window {
    width: i64,
    number: i64,
}

impl Window {
    fn at(now: Instant, width: Duration) -> Self {
        let width = i64::try_from(width.as_millis()).unwrap_or(i64::MAX).max(1);
        Self {
            width,
            number: now.as_millis().div_euclid(width),
        }
    }

    fn end(self) -> Instant {
        Instant::from_millis(self.number.saturating_add(1).saturating_mul(self.width))
    }
}

/// The ephemeral store. Clones share it.
#[derive(Clone)]
pub struct Ephemeral {
    store: Store,
    meter: Arc<EphemeralMetrics>,
}

#[derive(Clone)]
enum Store {
    Memory(Arc<Memory>),
    Redis(Redis<::redis::aio::ConnectionManager>),
    Cluster(Redis<::redis::cluster_async::ClusterConnection>),
}

impl Ephemeral {
    /// Opens the store that `settings` name. `clock` dates the beginning of an epoch, and moves the collection of
    /// rubbish in memory. Background work ends when the last clone is dropped. Runs inside a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`EphemeralError::Settings`] if the URL or the prefix is malformed, if Redis refuses the credentials, is older
    /// than 6.2, or may evict entries (a `maxmemory-policy` other than `noeviction`);
    /// [`EphemeralError::Unavailable`] if Redis does not answer.
    pub async fn connect(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let meter = Arc::<EphemeralMetrics>::default();
        let store = match redis::Target::parse(settings)? {
            redis::Target::Memory => Store::Memory(Memory::start(settings.capacity, clock)),
            redis::Target::Single(server) => {
                Store::Redis(redis::connect(*server, settings, clock, &meter).await?)
            }
            redis::Target::Cluster(seeds) => {
                Store::Cluster(redis::connect_cluster(seeds, settings, clock, &meter).await?)
            }
        };
        Ok(Self { store, meter })
    }

    /// Shows in `registry` how this store answers, and how full it is where that is known.
    ///
    /// # Errors
    /// If another is shown there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let memory = match &self.store {
            Store::Memory(memory) => Some(Arc::clone(memory)),
            Store::Redis(_) | Store::Cluster(_) => None,
        };
        self.meter.register(registry, memory)
    }

    /// Stores `entry`, whatever was there before.
    pub async fn put(&self, key: &Key, entry: Entry<'_>, now: Instant) -> Result<()> {
        match &self.store {
            Store::Memory(memory) => self.meter.failed(Verb::Put, memory.put(key, entry, now)),
            Store::Redis(redis) => redis.put(key, entry, now).await,
            Store::Cluster(redis) => redis.put(key, entry, now).await,
        }
    }

    /// Stores `entry` if no live one is there, taken or not. Of any number of callers exactly one stores.
    pub async fn put_new(&self, key: &Key, entry: Entry<'_>, now: Instant) -> Result<PutNew> {
        match &self.store {
            Store::Memory(memory) => self
                .meter
                .failed(Verb::PutNew, memory.put_new(key, entry, now)),
            Store::Redis(redis) => redis.put_new(key, entry, now).await,
            Store::Cluster(redis) => redis.put_new(key, entry, now).await,
        }
    }

    /// The value, if it is live and was not taken.
    pub async fn get(&self, key: &Key, now: Instant) -> Result<Option<Vec<u8>>> {
        match &self.store {
            Store::Memory(memory) => Ok(memory.get(key, now)),
            Store::Redis(redis) => redis.get(key, now).await,
            Store::Cluster(redis) => redis.get(key, now).await,
        }
    }

    /// Takes the value and leaves its mark, which stays until the deadline of the entry. Of any number of callers
    /// exactly one is the first.
    pub async fn take(&self, key: &Key, now: Instant) -> Result<Take> {
        match &self.store {
            Store::Memory(memory) => Ok(memory.take(key, now)),
            Store::Redis(redis) => redis.take(key, now).await,
            Store::Cluster(redis) => redis.take(key, now).await,
        }
    }

    /// Counts one hit in the window, `window` wide (to the millisecond), that `now` falls in. Counters and entries of
    /// the same key do not meet, nor do counters of different widths.
    pub async fn hit(&self, key: &Key, window: Duration, now: Instant) -> Result<Hits> {
        let window = Window::at(now, window);
        let count = match &self.store {
            Store::Memory(memory) => self.meter.failed(Verb::Hit, memory.hit(key, window, now))?,
            Store::Redis(redis) => redis.hit(key, window, now).await?,
            Store::Cluster(redis) => redis.hit(key, window, now).await?,
        };
        Ok(Hits {
            count,
            resets_at: window.end(),
        })
    }

    /// Takes up to `want` tokens out of the bucket of this key; one that was never drawn from is full. Buckets, entries and
    /// counters of the same key do not meet. In memory, buckets that nobody drew from lately are forgotten when there are many.
    pub async fn draw(&self, key: &Key, bucket: &Bucket, want: u32, now: Instant) -> Result<Drawn> {
        match &self.store {
            Store::Memory(memory) => Ok(memory.draw(key, bucket, want, now)),
            Store::Redis(redis) => redis.draw(key, bucket, want, now).await,
            Store::Cluster(redis) => redis.draw(key, bucket, want, now).await,
        }
    }

    /// Whether the store answers; in a Cluster, every master.
    pub async fn ping(&self) -> Result<()> {
        match &self.store {
            Store::Memory(_) => Ok(()),
            Store::Redis(redis) => redis.ping().await,
            Store::Cluster(redis) => redis.ping().await,
        }
    }

    /// Whether other nodes see the same entries.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match &self.store {
            Store::Memory(_) => false,
            Store::Redis(_) | Store::Cluster(_) => true,
        }
    }

    /// How many entries and counters are held, those not yet collected included (buckets are not); `None` where asking costs a command.
    #[must_use]
    pub fn len_hint(&self) -> Option<usize> {
        match &self.store {
            Store::Memory(memory) => Some(memory.len()),
            Store::Redis(_) | Store::Cluster(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_meet_and_do_not_overlap() {
        let minute = Duration::from_mins(1);
        for (now, end) in [(0, 60_000), (59_999, 60_000), (60_000, 120_000), (-1, 0)] {
            let window = Window::at(Instant::from_millis(now), minute);
            assert_eq!(window.end(), Instant::from_millis(end), "{now}");
        }
        let whole = Window::at(Instant::EPOCH, Duration::MAX);
        assert_eq!(whole.end().as_millis(), i64::MAX);
        assert_eq!(
            Window::at(Instant::EPOCH, Duration::ZERO).end().as_millis(),
            1
        );
    }
}
