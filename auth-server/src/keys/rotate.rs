//! What changes keys. Private keys are made before a transaction begins: RSA takes a while, and SQLite has one writer.

use std::time::Duration;

use serde_json::Value;
use shared_protocol::jose::{Algorithm, InvalidSigningKey, KeyId, Pkcs8, Signer as _, SigningKey};
use shared_protocol::random::{Random, SystemRandom};
use shared_protocol::time::{Clock, Instant};
use shared_server::db::Conn;

use super::encryption::Sealed;
use super::keyring::{self, label, label_of, unseal};
use super::schedule::{Schedule, Times};
use super::{CHANGE_KIND, Keys, KeysError, root_secret, row_error};
use crate::store::changes;
use crate::store::keys::{self, SigningKeyRow};

/// Verifiers refuse sets of more than a hundred keys; some are left for what people do by hand.
const MAX_PUBLISHED: usize = 80;

/// A key that was made and not yet kept. Its times are those of the moment at which it is kept: to make one may take seconds, and
/// whoever fetches the published keys must know it for as long as was promised before it signs.
struct Made {
    kid: KeyId,
    algorithm: Algorithm,
    jwk: Value,
    sealed: Sealed,
}

impl Made {
    fn row(&self, created_at: Instant, signs_from: Instant) -> SigningKeyRow {
        SigningKeyRow {
            kid: self.kid.as_str().to_owned(),
            alg: self.algorithm.name().to_owned(),
            jwk: self.jwk.clone(),
            sealed: self.sealed.bytes.clone(),
            kek_id: self.sealed.kek_id.as_str().to_owned(),
            created_at,
            signs_from,
            revoked_at: None,
            wiped_at: None,
        }
    }
}

impl Keys {
    /// Makes a key for `algorithm`, or for each that is configured. It is published from now on and signs when all caches
    /// know it; the one before it is published until the last token it signed has expired.
    ///
    /// # Errors
    /// [`KeysError::NextWaits`] if a rotation of one of them has begun already: nothing is changed then. Otherwise
    /// [`KeysError::NotConfigured`], [`KeysError::Generate`] or [`KeysError::Database`].
    pub async fn rotate(
        &self,
        algorithm: Option<Algorithm>,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Vec<KeyId>, KeysError> {
        let configured = &self.0.settings.algorithms;
        let algorithms = match algorithm {
            Some(one) if configured.contains(&one) => vec![one],
            Some(other) => return Err(KeysError::NotConfigured(other)),
            None => configured.clone(),
        };
        let made = self.make_each(&algorithms, random).await?;
        let kids = made.iter().map(|key| key.kid.clone()).collect();
        let ahead = self.0.settings.publish_ahead;
        self.0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                let now = clock.now();
                for key in &made {
                    if let Some(next) = schedule.next(key.algorithm, ahead, now) {
                        return Err(next_waits(next));
                    }
                    add(conn, key, now, now + ahead).await?;
                }
                Ok(())
            })
            .await?;
        self.reload().await?;
        Ok(kids)
    }

    /// Makes the next key of each algorithm whose current one will have signed for `every` when the next one may. Of several nodes that
    /// find one due, one makes it.
    ///
    /// # Errors
    /// [`KeysError::TooMany`], [`KeysError::Generate`] or [`KeysError::Database`].
    pub async fn rotate_due(
        &self,
        every: Duration,
        clock: &dyn Clock,
        random: &dyn Random,
    ) -> Result<Vec<KeyId>, KeysError> {
        let ahead = self.0.settings.publish_ahead;
        let is_due = |schedule: &Schedule, algorithm, now| {
            let since = schedule.signs_since(algorithm, now);
            since.is_some_and(|since| since + every <= now + ahead)
                && schedule.next(algorithm, ahead, now).is_none()
        };
        self.reload().await?;
        let (ring, now) = (self.ring(), clock.now());
        let mut algorithms = self.0.settings.algorithms.clone();
        algorithms.retain(|algorithm| is_due(ring.schedule(), *algorithm, now));
        if algorithms.is_empty() {
            return Ok(Vec::new());
        }
        let published = ring.published(now).keys().len();
        if published + algorithms.len() > MAX_PUBLISHED {
            return Err(KeysError::TooMany(published));
        }
        let made = self.make_each(&algorithms, random).await?;
        let added = self
            .0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                let now = clock.now();
                let mut added = Vec::new();
                for key in &made {
                    if is_due(&schedule, key.algorithm, now) {
                        add(conn, key, now, now + ahead).await?;
                        added.push(key.kid.clone());
                    }
                }
                Ok::<_, KeysError>(added)
            })
            .await?;
        self.reload().await?;
        Ok(added)
    }

    async fn make_each(
        &self,
        algorithms: &[Algorithm],
        random: &dyn Random,
    ) -> Result<Vec<Made>, KeysError> {
        let mut made = Vec::with_capacity(algorithms.len());
        for &algorithm in algorithms {
            made.push(self.make(algorithm, random).await?);
        }
        Ok(made)
    }

    /// Withdraws a key at once. If it signed, the one before it signs again while verifiers still know that one; else a new
    /// key signs at once, whose id is returned. Withdrawing twice changes nothing.
    ///
    /// # Errors
    /// [`KeysError::Unknown`], [`KeysError::Generate`] or [`KeysError::Database`].
    pub async fn revoke(
        &self,
        kid: &KeyId,
        now: Instant,
        random: &dyn Random,
    ) -> Result<Option<KeyId>, KeysError> {
        // Another node may have made it a moment ago.
        self.reload().await?;
        let states = self.ring().states(now);
        let algorithm = states
            .iter()
            .find(|key| key.kid == *kid)
            .map(|key| key.algorithm)
            .ok_or_else(|| KeysError::Unknown(kid.clone()))?;
        let configured = self.0.settings.algorithms.contains(&algorithm);
        let successor = if configured {
            Some(self.make(algorithm, random).await?)
        } else {
            None
        };
        let added = self
            .0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                // Of a key that does not open here, the times alone say that it could sign.
                let opened = self.ring();
                let another = |schedule: &Schedule| schedule.another_can_sign(kid, algorithm, now);
                let another_signs = another(&schedule) && another(opened.schedule());
                if !keys::revoke(conn, kid.as_str(), now).await? {
                    return Ok(None);
                }
                changes::record(conn, CHANGE_KIND, kid.as_str(), now).await?;
                match successor {
                    Some(key) if !another_signs => {
                        add(conn, &key, now, now).await?;
                        Ok::<_, KeysError>(Some(key.kid))
                    }
                    _ => Ok(None),
                }
            })
            .await?;
        self.reload().await?;
        Ok(added)
    }

    /// Encrypts under the current key-encryption key what is encrypted under another, the root secret too, and says how many that
    /// were. A key that somebody else encrypted anew in the meantime is left alone.
    ///
    /// # Errors
    /// [`KeysError::Row`] and [`KeysError::RootSecret`] if one does not open, [`KeysError::Database`]. Nothing is changed then.
    pub async fn rewrap(&self, now: Instant, random: &dyn Random) -> Result<usize, KeysError> {
        let encryption = &self.0.encryption;
        let mut rows = keys::all(&mut self.0.store.read().await?).await?;
        rows.retain(|row| row.kek_id != encryption.current().as_str());
        let mut resealed = Vec::with_capacity(rows.len());
        for row in rows {
            let private = unseal(&row, encryption).map_err(|why| row_error(&row.kid, why))?;
            let sealed = encryption.seal(label_of(&row), private.expose_der(), random);
            resealed.push((row, sealed));
        }
        self.0
            .store
            .transaction(async |conn| {
                let mut count = root_secret::rewrap(conn, encryption, random).await?;
                for (row, sealed) in &resealed {
                    let kek_id = sealed.kek_id.as_str();
                    if keys::reseal(conn, row, kek_id, &sealed.bytes).await? {
                        changes::record(conn, CHANGE_KIND, &row.kid, now).await?;
                        count += 1;
                    }
                }
                Ok(count)
            })
            .await
    }

    pub(super) async fn make_first(
        &self,
        now: Instant,
        random: &dyn Random,
    ) -> Result<(), KeysError> {
        let ring = self.ring();
        let mut made = Vec::new();
        for &algorithm in &self.0.settings.algorithms {
            if !ring.schedule().has(algorithm) {
                made.push(self.make(algorithm, random).await?);
            }
        }
        if made.is_empty() {
            return Ok(());
        }
        self.0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                let is_live = schedule.keys().iter().any(|key| key.revoked_at.is_none());
                // Where nothing is published yet, nobody has a copy without it.
                let ahead = if is_live {
                    self.0.settings.publish_ahead
                } else {
                    Duration::ZERO
                };
                for key in &made {
                    if !schedule.has(key.algorithm) {
                        add(conn, key, now, now + ahead).await?;
                    }
                }
                Ok::<_, KeysError>(())
            })
            .await?;
        self.reload().await
    }

    /// When the keys sign, and nobody changes that until the transaction ends.
    pub(super) async fn locked_schedule(&self, conn: &mut Conn) -> Result<Schedule, KeysError> {
        keys::lock(conn).await?;
        let rows = keys::all(conn).await?;
        let lifetime = self.0.settings.max_token_lifetime;
        Ok(keyring::schedule(&rows, lifetime))
    }

    async fn make(&self, algorithm: Algorithm, random: &dyn Random) -> Result<Made, KeysError> {
        let failed = |error| KeysError::Generate(algorithm, error);
        let private = generate(algorithm, random).await.map_err(failed)?;
        let key = SigningKey::from_pkcs8(algorithm, &private).map_err(failed)?;
        let public = key.public();
        let kid = public.kid().ok_or_else(|| failed(InvalidSigningKey))?;
        let label = label(kid.as_str(), algorithm.name());
        let sealed = self.0.encryption.seal(label, private.expose_der(), random);
        Ok(Made {
            kid: kid.clone(),
            algorithm,
            jwk: public.to_value(),
            sealed,
        })
    }
}

async fn generate(algorithm: Algorithm, random: &dyn Random) -> Result<Pkcs8, InvalidSigningKey> {
    match algorithm {
        Algorithm::Es256 | Algorithm::EdDsa => SigningKey::generate(algorithm, random),
        // 100 ms of CPU would hold up every request of this thread. RSA does not draw from what is passed.
        Algorithm::Rs256 | Algorithm::Ps256 => {
            tokio::task::spawn_blocking(move || SigningKey::generate(algorithm, &SystemRandom))
                .await
                .map_err(|_| InvalidSigningKey)?
        }
    }
}

async fn add(
    conn: &mut Conn,
    key: &Made,
    now: Instant,
    signs_from: Instant,
) -> Result<(), KeysError> {
    let row = key.row(now, signs_from);
    keys::insert(conn, &row).await?;
    changes::record(conn, CHANGE_KIND, &row.alg, now).await?;
    Ok(())
}

fn next_waits(next: &Times) -> KeysError {
    KeysError::NextWaits {
        algorithm: next.algorithm,
        kid: next.kid.clone(),
        signs_from: next.signs_from,
    }
}
