//! Signing keys: made at the first start, kept encrypted, published a cache's lifetime before they sign (RFC 7517).

pub mod encryption;
mod keyring;
mod metrics;
pub mod root_secret;
mod rotate;
mod schedule;
mod upkeep;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use shared_protocol::jose::{Algorithm, InvalidSigningKey, KeyId, UnknownAlgorithm};
use shared_protocol::random::Random;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use tokio::sync::Mutex;

use crate::store;
use encryption::{KeyEncryption, OpenError};
pub use keyring::{KeyState, Keyring, PrivateHalf};
pub use metrics::KeyMetrics;
use root_secret::RootSecretError;
pub use schedule::Phase;
pub use upkeep::Upkeep;

/// The kind of the rows in `changes` that tell other nodes to read their keys again.
pub const CHANGE_KIND: &str = "keys";

/// Which keys there are and how long they are published.
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// What this server signs with; each has a key.
    pub algorithms: Vec<Algorithm>,
    /// How long a new key is published before it signs: what a published set may be cached for, and some slack.
    pub publish_ahead: Duration,
    /// The longest that any token is valid after it was signed, with the skew that verifiers allow.
    pub max_token_lifetime: Duration,
}

impl KeySettings {
    /// ES256, published ten minutes ahead: a cache holds the set for five.
    #[must_use]
    pub fn new(max_token_lifetime: Duration) -> Self {
        Self {
            algorithms: vec![Algorithm::Es256],
            publish_ahead: Duration::from_mins(10),
            max_token_lifetime,
        }
    }
}

/// Why there are no keys, or none were changed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DbError),
    /// A row of `signing_keys` cannot be used.
    #[error("the signing key {kid} cannot be used: {why}")]
    Row {
        /// Its id.
        kid: String,
        /// What is wrong with it.
        #[source]
        why: InvalidKey,
    },
    /// The secret that other keys are derived from cannot be used.
    #[error(transparent)]
    RootSecret(#[from] RootSecretError),
    /// The crypto provider failed.
    #[error("no signing key for {0} could be made")]
    Generate(Algorithm, #[source] InvalidSigningKey),
    /// Keys of this algorithm are not made here.
    #[error("{0} is not among the configured algorithms")]
    NotConfigured(Algorithm),
    /// A rotation has begun already.
    #[error("the {algorithm} key {kid} waits already and signs from {signs_from} on")]
    NextWaits {
        /// What it will sign with.
        algorithm: Algorithm,
        /// Its id.
        kid: KeyId,
        /// From when it signs.
        signs_from: Instant,
    },
    /// There is no such key.
    #[error("there is no signing key {0}")]
    Unknown(KeyId),
    /// One more, and verifiers would refuse all of them.
    #[error("{0} signing keys are published already; make keys.rotate_every longer")]
    TooMany(usize),
}

fn row_error(kid: &str, why: InvalidKey) -> KeysError {
    KeysError::Row {
        kid: kid.to_owned(),
        why,
    }
}

/// What is wrong with a row of `signing_keys`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidKey {
    /// Its id is none.
    #[error("its id is empty or too long")]
    Kid,
    /// Its algorithm is unknown.
    #[error("its algorithm is {0}")]
    Algorithm(UnknownAlgorithm),
    /// Its private half does not open.
    #[error("its private half does not open: {0}")]
    Sealed(OpenError),
    /// What opened is no private key.
    #[error("what was sealed is {0}")]
    Private(InvalidSigningKey),
    /// Its public half or its id belong to another key.
    #[error("its id and public half are not those of its private half")]
    Halves,
}

/// The keys of this process: a ring that is read without waiting, and what it takes to read it again. Clones share it.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    ring: ArcSwap<Keyring>,
    // Held while the ring is read and put in place, so that an older reading never replaces a newer.
    reading: Mutex<()>,
    store: Store,
    encryption: KeyEncryption,
    settings: KeySettings,
}

impl Keys {
    /// Reads the keys, and makes the first of each configured algorithm that has none. At the first start that one signs at once, for
    /// nobody has published anything else; an algorithm that is added later has to wait, as every new key has, and nothing is announced
    /// or signed with it before. Of several nodes that start at once, one makes it and all use it.
    ///
    /// # Errors
    /// [`KeysError::Row`] if a configured algorithm cannot sign because a key does not open, in which case none is made; otherwise [`KeysError::Database`] or
    /// [`KeysError::Generate`].
    pub async fn open(
        store: Store,
        encryption: KeyEncryption,
        mut settings: KeySettings,
        now: Instant,
        random: &dyn Random,
    ) -> Result<Self, KeysError> {
        let mut seen = HashSet::new();
        settings
            .algorithms
            .retain(|algorithm| seen.insert(*algorithm));
        let ring = read(&store, &encryption, &settings, None).await?;
        let lacking = |algorithm: &Algorithm| ring.signer(*algorithm, now).is_none();
        if let [(kid, why), ..] = ring.unreadable()
            && settings.algorithms.iter().any(lacking)
        {
            return Err(row_error(kid, why.clone()));
        }
        let keys = Self(Arc::new(Inner {
            ring: ArcSwap::from_pointee(ring),
            reading: Mutex::new(()),
            store,
            encryption,
            settings,
        }));
        keys.make_first(now, random).await?;
        Ok(keys)
    }

    /// Reads the keys again. One that does not open keeps no other from being read, for another may have been withdrawn: it is logged
    /// when that begins. After an error the ring is what it was.
    ///
    /// # Errors
    /// [`KeysError::Database`].
    pub async fn reload(&self) -> Result<(), KeysError> {
        let inner = &*self.0;
        let _reading = inner.reading.lock().await;
        let before = self.ring();
        let ring = read(
            &inner.store,
            &inner.encryption,
            &inner.settings,
            Some(&before),
        )
        .await?;
        inner.ring.store(Arc::new(ring));
        Ok(())
    }

    /// What this server signs with.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.0.settings.algorithms
    }

    /// Whether there is a key to sign with for each algorithm that has had its first.
    ///
    /// # Errors
    /// Names the algorithm that cannot sign.
    pub fn check(&self, now: Instant) -> Result<(), CannotSign> {
        let ring = self.ring();
        let waits = |algorithm| ring.schedule().awaits_first(algorithm, now);
        let mut needed = self.algorithms().iter().copied();
        match needed.find(|&alg| ring.signer(alg, now).is_none() && !waits(alg)) {
            Some(algorithm) => Err(CannotSign(algorithm)),
            None => Ok(()),
        }
    }

    /// The keys as they were read last.
    #[must_use]
    pub fn ring(&self) -> Arc<Keyring> {
        self.0.ring.load_full()
    }
}

/// No key of this algorithm can sign here.
#[derive(Debug, thiserror::Error)]
#[error("no signing key for {0} can be used; see the log, and `keys list`")]
pub struct CannotSign(Algorithm);

async fn read(
    store: &Store,
    encryption: &KeyEncryption,
    settings: &KeySettings,
    before: Option<&Keyring>,
) -> Result<Keyring, KeysError> {
    let rows = store::keys::all(&mut store.read().await?).await?;
    let ring = Keyring::open(&rows, encryption, settings, before);
    let known = before.map_or(&[][..], Keyring::unreadable);
    for (kid, why) in ring.unreadable() {
        if !known.iter().any(|(known, _)| known == kid) {
            let error = row_error(kid, why.clone());
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "a signing key is left out"
            );
        }
    }
    Ok(ring)
}
