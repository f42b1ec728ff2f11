//! All signing keys as they were when they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::jose::{Algorithm, JwkSet, KeyId, Pkcs8, Signer, SigningKey};
use shared_protocol::time::Instant;

use super::encryption::{KeyEncryption, Label};
use super::schedule::{Phase, Schedule, Times};
use super::{InvalidKey, KeysError};
use crate::store::keys::SigningKeyRow;

/// One key, as an operator sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyState {
    /// The key's thumbprint (RFC 7638).
    pub kid: KeyId,
    /// What it signs with.
    pub algorithm: Algorithm,
    /// Where it stands in its life.
    pub phase: Phase,
    /// When it was made.
    pub created_at: Instant,
    /// From when it may sign.
    pub signs_from: Instant,
    /// When it was withdrawn, if it was.
    pub revoked_at: Option<Instant>,
}

/// All signing keys as they were when they were read. A ring never changes; [`Keys`](super::Keys) puts another in its place.
pub struct Keyring {
    schedule: Schedule,
    signers: HashMap<KeyId, Arc<dyn Signer>>,
    verifying: JwkSet,
}

impl Keyring {
    pub(super) fn open(
        rows: &[SigningKeyRow],
        encryption: &KeyEncryption,
        max_token_lifetime: Duration,
    ) -> Result<Self, KeysError> {
        let mut signers: HashMap<KeyId, Arc<dyn Signer>> = HashMap::with_capacity(rows.len());
        for row in rows {
            let (kid, signer) = open(row, encryption)?;
            signers.insert(kid, Arc::new(signer));
        }
        let schedule = Schedule::new(times(rows)?, max_token_lifetime);
        let good = schedule
            .keys()
            .iter()
            .filter(|key| key.revoked_at.is_none());
        let verifying = good
            .filter_map(|key| signers.get(&key.kid))
            .map(|signer| signer.public().clone())
            .collect();
        Ok(Self {
            schedule,
            signers,
            verifying: JwkSet::new(verifying),
        })
    }

    /// What signs with `algorithm` now. `None` if there is no such key.
    #[must_use]
    pub fn signer(&self, algorithm: Algorithm, now: Instant) -> Option<Arc<dyn Signer>> {
        let key = self.schedule.signer(algorithm, now)?;
        self.signers.get(&key.kid).cloned()
    }

    /// The keys to publish (RFC 7517 §5): those that sign, those that will, and those whose tokens have not all expired.
    #[must_use]
    pub fn published(&self, now: Instant) -> JwkSet {
        let keys = self.schedule.published(now);
        let signers = keys.filter_map(|key| self.signers.get(&key.kid));
        JwkSet::new(signers.map(|signer| signer.public().clone()).collect())
    }

    /// The next instant at which [`Keyring::published`] or [`Keyring::signer`] may answer otherwise.
    #[must_use]
    pub fn published_until(&self, now: Instant) -> Option<Instant> {
        self.schedule.next_change(now)
    }

    /// The keys that this server itself verifies with: every one that was not withdrawn, published or not, for an ID token
    /// may come back as a hint long after it expired. Whether a token has expired is for its own claims to say.
    #[must_use]
    pub fn verifying(&self) -> &JwkSet {
        &self.verifying
    }

    /// Whether what this key signed still counts: it is here and was not withdrawn.
    #[must_use]
    pub fn is_current(&self, kid: &KeyId) -> bool {
        self.verifying.contains(kid)
    }

    /// Every key, by the instant from which it may sign.
    #[must_use]
    pub fn states(&self, now: Instant) -> Vec<KeyState> {
        let state = |key: &Times| KeyState {
            kid: key.kid.clone(),
            algorithm: key.algorithm,
            phase: self.schedule.phase(key, now),
            created_at: key.created_at,
            signs_from: key.signs_from,
            revoked_at: key.revoked_at,
        };
        self.schedule.keys().iter().map(state).collect()
    }
}

/// What the private half of a key is sealed for.
pub(super) fn label<'a>(kid: &'a str, alg: &'a str) -> Label<'a> {
    Label {
        purpose: "signing key",
        parts: [kid, alg],
    }
}

/// The private half of a row.
pub(super) fn unseal(row: &SigningKeyRow, encryption: &KeyEncryption) -> Result<Pkcs8, KeysError> {
    let opened = encryption.open(label(&row.kid, &row.alg), &row.kek_id, &row.sealed);
    let mut der = opened.map_err(|error| invalid(row, InvalidKey::Sealed(error)))?;
    // Moved, not copied: the bytes are wiped by their new owner.
    Ok(Pkcs8::from_der(std::mem::take(&mut *der)))
}

fn open(row: &SigningKeyRow, encryption: &KeyEncryption) -> Result<(KeyId, SigningKey), KeysError> {
    let algorithm = algorithm(row)?;
    let key = SigningKey::from_pkcs8(algorithm, &unseal(row, encryption)?)
        .map_err(|error| invalid(row, InvalidKey::Private(error)))?;
    let public = key.public();
    match public.kid() {
        Some(kid) if kid.as_str() == row.kid && public.to_value() == row.jwk => {
            Ok((kid.clone(), key))
        }
        _ => Err(invalid(row, InvalidKey::Halves)),
    }
}

/// When the keys of these rows sign, without opening them.
pub(super) fn times(rows: &[SigningKeyRow]) -> Result<Vec<Times>, KeysError> {
    let times = |row: &SigningKeyRow| {
        Ok(Times {
            kid: KeyId::new(&row.kid).ok_or_else(|| invalid(row, InvalidKey::Kid))?,
            algorithm: algorithm(row)?,
            created_at: row.created_at,
            signs_from: row.signs_from,
            revoked_at: row.revoked_at,
        })
    };
    rows.iter().map(times).collect()
}

fn algorithm(row: &SigningKeyRow) -> Result<Algorithm, KeysError> {
    row.alg
        .parse()
        .map_err(|error| invalid(row, InvalidKey::Algorithm(error)))
}

fn invalid(row: &SigningKeyRow, why: InvalidKey) -> KeysError {
    KeysError::Row {
        kid: row.kid.clone(),
        why,
    }
}
