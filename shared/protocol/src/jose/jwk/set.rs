//! Sets of keys (RFC 7517 §5).

use serde_json::{Map, Value, json};

use super::{InvalidJwk, KeyId, PublicJwk};
use crate::jose::jwe::{EncryptionKey, KeyManagement};
use crate::jose::{Algorithm, json};

/// Keys in a set past this many are a mistake or an attack.
const MAX_KEYS: usize = 100;

/// A set of public keys (RFC 7517 §5).
#[derive(Clone, Debug, Default)]
pub struct JwkSet {
    keys: Vec<PublicJwk>,
    encryption: Vec<EncryptionKey>,
}

impl JwkSet {
    /// The set of these keys.
    #[must_use]
    pub fn new(keys: Vec<PublicJwk>) -> Self {
        Self {
            keys,
            encryption: Vec::new(),
        }
    }

    /// Reads a set from its JSON text. Keys of other types, curves, algorithms or uses are passed over (RFC 7517 §5); one that says
    /// nothing of its use is for signatures and for encryption.
    ///
    /// # Errors
    /// [`InvalidJwk::Set`] or [`InvalidJwk::Malformed`] when it is no such set, [`InvalidJwk::Private`] when it holds a secret.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, InvalidJwk> {
        Self::from_object(&json::object(bytes).map_err(|_| InvalidJwk::Malformed)?)
    }

    /// Reads a set that is part of a larger document.
    ///
    /// # Errors
    /// As [`JwkSet::from_slice`].
    pub fn from_object(set: &Map<String, Value>) -> Result<Self, InvalidJwk> {
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(InvalidJwk::Set);
        };
        if members.len() > MAX_KEYS {
            return Err(InvalidJwk::Set);
        }
        let mut keys = Vec::with_capacity(members.len());
        let mut encryption = Vec::new();
        for member in members {
            let object = member.as_object().ok_or(InvalidJwk::Set)?;
            encryption.extend(EncryptionKey::from_object(object));
            match PublicJwk::from_object(object) {
                Ok(key) => keys.push(key),
                // RFC 7517 §9.2: a published secret is a breach that nobody should build on.
                Err(InvalidJwk::Private) if member.get("kty") != Some(&Value::from("oct")) => {
                    return Err(InvalidJwk::Private);
                }
                Err(_) => {}
            }
        }
        Ok(Self { keys, encryption })
    }

    /// The keys that can verify a token with this `kid` and `alg`: those of the same `kid`, or, for a token without one, all
    /// that fit.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a KeyId>,
        alg: Algorithm,
    ) -> impl Iterator<Item = &'a PublicJwk> + 'a {
        self.keys
            .iter()
            .filter(move |key| key.verifies(alg) && (kid.is_none() || key.kid() == kid))
    }

    /// Whether a key of this id is in the set.
    #[must_use]
    pub fn contains(&self, kid: &KeyId) -> bool {
        self.keys.iter().any(|key| key.kid() == Some(kid))
    }

    /// The key to encrypt to by `alg`, if there is one: never one that is for signatures.
    #[must_use]
    pub fn encryption_key(&self, alg: KeyManagement) -> Option<&EncryptionKey> {
        EncryptionKey::choose(&self.encryption, alg)
    }

    /// The keys that verify signatures, in order.
    #[must_use]
    pub fn keys(&self) -> &[PublicJwk] {
        &self.keys
    }

    /// The set as it is published.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"keys": self.keys.iter().map(PublicJwk::to_value).collect::<Vec<_>>()})
    }
}
