//! Signing keys.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::jose::Algorithm;
use shared_server::config::Secret;

use super::Mode;

/// What passes, beside the time in a cache, until every node publishes a new key and every cache has fetched it.
const SLACK: Duration = Duration::from_mins(1);
/// The same on one machine.
const DEVELOPMENT_SLACK: Duration = Duration::from_secs(10);
/// Verifiers keep a set for no less, whatever they are told, and for no longer than a day.
const JWKS_MAX_AGE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_hours(24);
/// A key is published for a day after it signed, and verifiers refuse sets of more than a hundred.
const MIN_ROTATE_EVERY: Duration = Duration::from_hours(24);

/// Signing keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// One key is made for each at first start.
    pub algorithms: Vec<Algorithm>,
    /// Key-encryption keys; the first encrypts, all decrypt. Made beside the database in development when empty.
    pub encryption: Vec<EncryptionKey>,
    /// How long a new key is published before it signs.
    #[serde(with = "shared_server::config::period")]
    pub publish_ahead: Duration,
    /// How long a key signs before the next one does; zero if people say when.
    #[serde(with = "shared_server::config::period")]
    pub rotate_every: Duration,
    /// For how long anyone may keep the published keys.
    #[serde(with = "shared_server::config::period")]
    pub jwks_max_age: Duration,
}

/// A key-encryption key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionKey {
    /// Its name, kept beside what it encrypted.
    pub id: String,
    /// 32 bytes in base64.
    pub key: Secret,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            // RFC 9068 §2.1: RS256 must be among them.
            algorithms: vec![Algorithm::Es256, Algorithm::Rs256],
            encryption: Vec::new(),
            publish_ahead: Duration::from_mins(10),
            rotate_every: Duration::from_hours(24 * 30),
            jwks_max_age: Duration::from_mins(5),
        }
    }
}

impl KeysConfig {
    /// `on_sqlite`: whether there is a file to make a key-encryption key beside. `may_sign`: what the profile permits.
    pub(super) fn problems(
        &self,
        mode: Mode,
        on_sqlite: bool,
        may_sign: impl Fn(Algorithm) -> bool,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        if self.algorithms.is_empty() {
            problems.push("keys.algorithms is empty: name at least one, such as \"ES256\"".into());
        }
        if !JWKS_MAX_AGE.contains(&self.jwks_max_age) {
            problems.push("keys.jwks_max_age is not between 10s and 1d: shorter, and each verifier would ask all the time; longer, and a withdrawn key would be trusted for days".into());
        }
        let (slack, name) = match mode {
            Mode::Production => (SLACK, "1m"),
            Mode::Development => (DEVELOPMENT_SLACK, "10s"),
        };
        if self.publish_ahead < self.jwks_max_age + slack {
            problems.push(format!("keys.publish_ahead is below keys.jwks_max_age and {name}: verifiers that keep the published keys for so long would not know the one that signs"));
        }
        if !self.rotate_every.is_zero() && self.rotate_every < self.publish_ahead {
            problems.push("keys.rotate_every is below keys.publish_ahead: the next key would be due before the one before it signs; make it longer, or \"0s\" to turn it off".into());
        }
        if mode == Mode::Production {
            if !self.rotate_every.is_zero() && self.rotate_every < MIN_ROTATE_EVERY {
                problems.push("keys.rotate_every is below 1d: each key is published for a day after it signed, and verifiers refuse large sets".into());
            }
            if may_sign(Algorithm::Rs256) && !self.algorithms.contains(&Algorithm::Rs256) {
                problems.push("keys.algorithms lacks \"RS256\": every client may count on it (RFC 9068 section 2.1, OpenID Connect Discovery section 3)".into());
            }
            if self.encryption.is_empty() {
                problems.push("keys.encryption is empty: give a key of 32 random bytes in base64, or keys.encryption[].key_file".into());
            }
        } else if self.encryption.is_empty() && !on_sqlite {
            problems.push("keys.encryption is empty: beside PostgreSQL there is no file to make one in; give one".into());
        }
        problems
    }
}
