//! All signing keys as they were when they were read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::jose::{Algorithm, JwkSet, KeyId, Pkcs8, PublicJwk, Signer, SigningKey};
use shared_protocol::time::Instant;

use super::encryption::{KeyEncryption, Label};
use super::schedule::{Phase, Schedule, Times};
use super::{InvalidKey, KeySettings};
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
    /// What there is of its private half.
    pub private_half: PrivateHalf,
}

/// What there is of the private half of a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PrivateHalf {
    /// It opens.
    Kept,
    /// It went when the key had become useless.
    Wiped,
    /// It does not open here.
    Unreadable,
}

/// All signing keys as they were when they were read. A ring never changes; [`Keys`](super::Keys) puts another in its place.
pub struct Keyring {
    algorithms: Vec<Algorithm>,
    schedule: Schedule,
    signers: HashMap<KeyId, Arc<dyn Signer>>,
    publics: HashMap<KeyId, PublicJwk>,
    verifying: JwkSet,
    unreadable: Vec<(String, InvalidKey)>,
}

impl Keyring {
    /// Opens what opens. A row that does not is left out, but for a key that `before` holds: what is in memory is good whatever became of
    /// the row's private half, as long as the row is there and the key was not withdrawn.
    pub(super) fn open(
        rows: &[SigningKeyRow],
        encryption: &KeyEncryption,
        settings: &KeySettings,
        before: Option<&Self>,
    ) -> Self {
        let lifetime = settings.max_token_lifetime;
        let mut ring = Self {
            algorithms: settings.algorithms.clone(),
            schedule: Schedule::new(Vec::new(), lifetime),
            signers: HashMap::with_capacity(rows.len()),
            publics: HashMap::with_capacity(rows.len()),
            verifying: JwkSet::default(),
            unreadable: Vec::new(),
        };
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let opened = open(row, encryption);
            let mut times = match times(row) {
                Ok(times) => times,
                Err(why) => {
                    ring.unreadable.push((row.kid.clone(), why));
                    continue;
                }
            };
            if let Err(why) = &opened {
                ring.unreadable.push((row.kid.clone(), why.clone()));
            }
            let opened = opened.ok().or_else(|| before?.recall(&times));
            times.opens = opened.is_some();
            match opened {
                Some(Opened::Whole(signer)) => {
                    let public = signer.public().clone();
                    ring.publics.insert(times.kid.clone(), public);
                    ring.signers.insert(times.kid.clone(), signer);
                }
                Some(Opened::Public(public)) => {
                    ring.publics.insert(times.kid.clone(), public);
                }
                None => {}
            }
            all.push(times);
        }
        ring.schedule = Schedule::new(all, lifetime);
        let good = ring.schedule.keys().iter();
        let good = good.filter(|key| key.revoked_at.is_none());
        let verifying = good.filter_map(|key| ring.publics.get(&key.kid)).cloned();
        ring.verifying = JwkSet::new(verifying.collect());
        ring
    }

    /// A key that this ring holds, if it is the same.
    fn recall(&self, times: &Times) -> Option<Opened> {
        let signer = self.signers.get(&times.kid)?;
        let is_same = signer.algorithm() == times.algorithm && times.wiped_at.is_none();
        is_same.then(|| Opened::Whole(Arc::clone(signer)))
    }

    /// The rows that do not open, and why.
    pub(super) fn unreadable(&self) -> &[(String, InvalidKey)] {
        &self.unreadable
    }

    /// The configured algorithms with which a token can be signed now.
    #[must_use]
    pub fn signing(&self, now: Instant) -> Vec<Algorithm> {
        let can_sign = |algorithm: &&Algorithm| self.schedule.signer(**algorithm, now).is_some();
        self.algorithms.iter().filter(can_sign).copied().collect()
    }

    /// When a key was of no use any more, if that has come.
    pub(super) fn done_at(&self, kid: &KeyId, now: Instant) -> Option<Instant> {
        self.schedule.done_at(kid, now)
    }

    pub(super) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What signs with `algorithm` now. `None` if there is no such key, or the algorithm is not configured: then nothing is signed with
    /// the keys that are left of it.
    #[must_use]
    pub fn signer(&self, algorithm: Algorithm, now: Instant) -> Option<Arc<dyn Signer>> {
        if !self.algorithms.contains(&algorithm) {
            return None;
        }
        let key = self.schedule.signer(algorithm, now)?;
        self.signers.get(&key.kid).cloned()
    }

    /// The keys to publish (RFC 7517 §5): those that sign, those that will, and those whose tokens have not all expired.
    #[must_use]
    pub fn published(&self, now: Instant) -> JwkSet {
        let keys = self.schedule.published(now);
        let publics = keys.filter_map(|key| self.publics.get(&key.kid));
        JwkSet::new(publics.cloned().collect())
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
            private_half: match (key.opens, key.wiped_at) {
                (false, _) => PrivateHalf::Unreadable,
                (true, None) => PrivateHalf::Kept,
                (true, Some(_)) => PrivateHalf::Wiped,
            },
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

/// What a key that was wiped is known by. Nothing is sealed, but for this label: a public half whose thumbprint it names is of a key
/// that this server had, whoever can write to the database.
pub(super) fn wiped_label<'a>(kid: &'a str, alg: &'a str) -> Label<'a> {
    Label {
        purpose: "wiped signing key",
        parts: [kid, alg],
    }
}

/// What a row is sealed for.
pub(super) fn label_of(row: &SigningKeyRow) -> Label<'_> {
    let label = if row.wiped_at.is_some() {
        wiped_label
    } else {
        label
    };
    label(&row.kid, &row.alg)
}

/// What a row held.
enum Opened {
    /// A key.
    Whole(Arc<dyn Signer>),
    /// What is left of one that was wiped.
    Public(PublicJwk),
}

/// The private half of a row; nothing, of one that was wiped.
pub(super) fn unseal(row: &SigningKeyRow, encryption: &KeyEncryption) -> Result<Pkcs8, InvalidKey> {
    let opened = encryption.open(label_of(row), &row.kek_id, &row.sealed);
    let mut der = opened.map_err(InvalidKey::Sealed)?;
    // Moved, not copied: the bytes are wiped by their new owner.
    Ok(Pkcs8::from_der(std::mem::take(&mut *der)))
}

fn open(row: &SigningKeyRow, encryption: &KeyEncryption) -> Result<Opened, InvalidKey> {
    let (algorithm, private) = (algorithm(row)?, unseal(row, encryption)?);
    if row.wiped_at.is_some() {
        return public_half(row, algorithm)
            .map(Opened::Public)
            .ok_or(InvalidKey::Halves);
    }
    let key = SigningKey::from_pkcs8(algorithm, &private).map_err(InvalidKey::Private)?;
    let public = key.public();
    match public.kid() {
        Some(kid) if kid.as_str() == row.kid && public.to_value() == row.jwk => {
            Ok(Opened::Whole(Arc::new(key)))
        }
        _ => Err(InvalidKey::Halves),
    }
}

/// The public half of a row, if it is the key that the row is named by.
fn public_half(row: &SigningKeyRow, algorithm: Algorithm) -> Option<PublicJwk> {
    let public = PublicJwk::from_object(row.jwk.as_object()?).ok()?;
    let kid = public.kid()?.as_str();
    let is_named = kid == row.kid && public.thumbprint().to_string() == row.kid;
    let alg = row.jwk.get("alg")?.as_str()?;
    (is_named && alg == algorithm.name() && public.to_value() == row.jwk).then_some(public)
}

/// When the key of a row signs, without opening it.
fn times(row: &SigningKeyRow) -> Result<Times, InvalidKey> {
    Ok(Times {
        kid: KeyId::new(&row.kid).ok_or(InvalidKey::Kid)?,
        algorithm: algorithm(row)?,
        created_at: row.created_at,
        signs_from: row.signs_from,
        revoked_at: row.revoked_at,
        wiped_at: row.wiped_at,
        opens: true,
    })
}

fn algorithm(row: &SigningKeyRow) -> Result<Algorithm, InvalidKey> {
    row.alg.parse().map_err(InvalidKey::Algorithm)
}

/// When the keys of these rows sign, without opening them; without those that cannot be keys.
pub(super) fn schedule(rows: &[SigningKeyRow], max_token_lifetime: Duration) -> Schedule {
    let times = rows.iter().filter_map(|row| times(row).ok());
    Schedule::new(times.collect(), max_token_lifetime)
}
