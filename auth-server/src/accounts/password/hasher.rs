//! Hashes passwords by Argon2id (RFC 9106), on a bounded pool.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{self, CustomizedPasswordHasher as _, PasswordVerifier as _};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use secrecy::SecretString;
use shared_protocol::random::{self, Random};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Password, PasswordRefusal};
use crate::accounts::email::EmailAddress;
use crate::telemetry::PasswordMetrics;

const SALT_LENGTH: usize = 16;

/// Why a password was not hashed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HashError {
    /// More people wait than the queue holds.
    #[error("too many passwords are hashed at once")]
    Busy,
    /// The machine has no memory left, or the task was ended with its runtime.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes passwords by Argon2id, a few at a time: each takes a core and the configured memory, and whoever waits waits here.
#[derive(Clone)]
pub struct PasswordHasher(Arc<Pool>);

struct Pool {
    params: Params,
    /// One for each that may hash.
    cores: Arc<Semaphore>,
    /// One for each that may hash or wait.
    places: Arc<Semaphore>,
    /// Matches no password and costs as much as one that could.
    decoy: PasswordHash,
    metrics: PasswordMetrics,
}

impl PasswordHasher {
    /// A pool of `cores`, before which `queue` may wait. The parameters are those of new hashes.
    ///
    /// # Errors
    /// The parameters contradict each other.
    pub fn new(
        params: Params,
        cores: usize,
        queue: usize,
        random: &dyn Random,
    ) -> Result<Self, password_hash::Error> {
        let decoy = PasswordHash {
            algorithm: ARGON2ID_IDENT,
            version: Some(Version::default().into()),
            params: (&params).try_into()?,
            salt: Some(random::bytes::<SALT_LENGTH>(random).as_slice().try_into()?),
            hash: Some(random::bytes::<32>(random).as_slice().try_into()?),
        };
        Ok(Self(Arc::new(Pool {
            params,
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(cores.saturating_add(queue))),
            decoy,
            metrics: PasswordMetrics::default(),
        })))
    }

    /// How long people wait, and how much is hashed.
    #[must_use]
    pub fn metrics(&self) -> &PasswordMetrics {
        &self.0.metrics
    }

    /// A place in the queue, taken before anything is counted against anybody.
    ///
    /// # Errors
    /// [`HashError::Busy`].
    pub fn place(&self) -> Result<Place, HashError> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        let place = place.map_err(|_| HashError::Busy)?;
        Ok(Place {
            pool: Arc::clone(&self.0),
            place,
        })
    }

    /// Whether a hash has other parameters than a new one would.
    #[must_use]
    pub fn is_outdated(&self, hash: &str) -> bool {
        let Ok(hash) = PasswordHash::new(hash) else {
            return true;
        };
        let version = Some(Version::default().into());
        let params = Params::try_from(&hash);
        hash.algorithm != ARGON2ID_IDENT
            || hash.version != version
            || !params.is_ok_and(|params| {
                let costs = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
                costs(&params) == costs(&self.0.params)
            })
    }
}

/// A place in the queue of those whose password is hashed. Given up when dropped.
pub struct Place {
    pool: Arc<Pool>,
    place: OwnedSemaphorePermit,
}

impl Place {
    /// The hash of a password that a person chose for themselves, as a PHC string, or why it will not do. Judging takes a core too.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn choose(
        self,
        typed: &SecretString,
        email: &EmailAddress,
        name: Option<&str>,
        random: &dyn Random,
    ) -> Result<Result<String, PasswordRefusal>, HashError> {
        let salt: [u8; SALT_LENGTH] = random::bytes(random);
        let (typed, email, name) = (typed.clone(), email.clone(), name.map(str::to_owned));
        let params = self.pool.params.clone();
        let work = move || match Password::choose(&typed, &email, name.as_deref()) {
            Ok(password) => hash(&password, &salt, params).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        };
        self.run(work).await?
    }

    /// The hash of a password, as a PHC string.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn hash(self, password: &Password, random: &dyn Random) -> Result<String, HashError> {
        let salt: [u8; SALT_LENGTH] = random::bytes(random);
        let (password, params) = (password.clone(), self.pool.params.clone());
        self.run(move || hash(&password, &salt, params)).await?
    }

    /// Whether the password is the one of this hash. Without a hash, or with one that cannot be read, it costs the same and is not.
    ///
    /// # Errors
    /// [`HashError::Failed`].
    pub async fn verify(self, password: &Password, hash: Option<&str>) -> Result<bool, HashError> {
        let kept = hash.and_then(|hash| PasswordHash::new(hash).ok());
        let exists = kept.is_some();
        let hash = kept.unwrap_or_else(|| self.pool.decoy.clone());
        let (password, params) = (password.clone(), self.pool.params.clone());
        // By the parameters of the hash; ours fill in for what it does not name.
        let work = move || argon2id(params).verify_password(password.0.as_bytes(), &hash);
        match self.run(work).await? {
            Ok(()) => Ok(exists),
            Err(password_hash::Error::OutOfMemory) => Err(HashError::Failed),
            Err(_) => Ok(false),
        }
    }

    async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let Self { pool, place } = self;
        let waited = pool.metrics.wait();
        let core = Arc::clone(&pool.cores).acquire_owned().await;
        let core = core.map_err(|_| HashError::Failed)?;
        waited.observe_duration();
        pool.metrics.hashed();
        let hashing = tokio::task::spawn_blocking(move || {
            // Held here, because whoever asked may be gone while the core still works.
            let (_core, _place) = (core, place);
            work()
        });
        hashing.await.map_err(|_| HashError::Failed)
    }
}

fn argon2id(params: Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::default(), params)
}

fn hash(password: &Password, salt: &[u8], params: Params) -> Result<String, HashError> {
    argon2id(params.clone())
        .hash_password_with_params(password.0.as_bytes(), salt, params)
        .map(|hash| hash.to_string())
        .map_err(|_| HashError::Failed)
}

#[cfg(test)]
mod tests {
    use shared_protocol::random::SystemRandom;

    use super::*;

    fn hasher(memory: u32) -> PasswordHasher {
        let params = Params::new(memory, 1, 1, None).unwrap();
        PasswordHasher::new(params, 1, 0, &SystemRandom).unwrap()
    }

    #[tokio::test]
    async fn a_hash_knows_its_password_however_it_was_composed() {
        let hasher = hasher(8);
        let chosen = Password::typed(&"caf\u{e9} au lait 7".into());
        let hash = hasher
            .place()
            .unwrap()
            .hash(&chosen, &SystemRandom)
            .await
            .unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        for (typed, expected) in [
            ("caf\u{e9} au lait 7", true),
            ("cafe\u{301} au lait 7", true),
            ("cafe au lait 7", false),
            ("CAF\u{c9} au lait 7", false),
            ("", false),
        ] {
            let typed = Password::typed(&typed.into());
            let place = hasher.place().unwrap();
            assert_eq!(place.verify(&typed, Some(&hash)).await, Ok(expected));
        }
        for kept in [None, Some(""), Some("$argon2id$"), Some("$1$x$y")] {
            let place = hasher.place().unwrap();
            let verified = place.verify(&chosen, kept).await;
            assert_eq!(verified, Ok(false), "{kept:?}");
        }
        assert_eq!(hasher.metrics().hashes(), 10);
    }

    #[tokio::test]
    async fn a_hash_is_outdated_when_the_parameters_are_others() {
        let (old, new) = (hasher(8), hasher(16));
        let password = Password::typed(&"kx8vbq2m".into());
        let hash = old
            .place()
            .unwrap()
            .hash(&password, &SystemRandom)
            .await
            .unwrap();
        assert!(!old.is_outdated(&hash));
        assert!(new.is_outdated(&hash));
        assert!(new.is_outdated("$2b$12$"));
        let verified = new.place().unwrap().verify(&password, Some(&hash)).await;
        assert_eq!(verified, Ok(true), "by the parameters that it names");
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away() {
        let hasher = hasher(8);
        let place = hasher.place().unwrap();
        assert_eq!(hasher.place().err(), Some(HashError::Busy));
        drop(place);
        assert!(hasher.place().is_ok());
    }
}
