//! Keys of the tests of every kind that JWTs are signed with, for where the algorithm is what is tried.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::jws;
use crate::target::AssertionKey;

/// What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410 §7).
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIA==";

/// Somebody with a key on P-256, one on Ed25519, and one of RSA, which signs with either padding.
pub(crate) struct Signers(Vec<AssertionKey>);

impl Signers {
    /// The one with that seed, but for its RSA key, which is another each time.
    pub(crate) fn of(seed: &str) -> Option<Self> {
        let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256)
            .ok()?
            .serialize_pem();
        let rsa = EncodingKey::from_rsa_pem(rsa.as_bytes()).ok()?;
        let mut ed25519 = BASE64_STANDARD.decode(ED25519).ok()?;
        ed25519.extend(Sha256::digest(seed));
        let signer = |algorithm, kid: &str, key| AssertionKey {
            algorithm,
            kid: Some(kid.to_owned()),
            key,
        };
        Some(Self(vec![
            jws::derived_key(seed, "p-256")?,
            signer(
                Algorithm::EdDSA,
                "ed25519",
                EncodingKey::from_ed_der(&ed25519),
            ),
            signer(Algorithm::PS256, "rsa", rsa.clone()),
            signer(Algorithm::RS256, "rsa", rsa),
        ]))
    }

    /// A key for each algorithm.
    pub(crate) fn all(&self) -> &[AssertionKey] {
        &self.0
    }

    /// The one of them that signs with ES256.
    pub(crate) fn es256(&self) -> Option<&AssertionKey> {
        self.0.first()
    }

    /// The JWK set with the public parts. What a key signs with is not said there: one of them has the choice.
    pub(crate) fn jwks(&self) -> Option<Value> {
        let mut keys: Vec<Value> = Vec::new();
        for signer in &self.0 {
            let mut set = jws::public_keys(signer)?;
            let mut key = set.get_mut("keys")?.get_mut(0)?.take();
            key.as_object_mut()?.remove("alg");
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        Some(json!({ "keys": keys }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::Jws;

    #[test]
    fn what_each_signs_verifies_with_its_published_key() {
        let signers = Signers::of("somebody").unwrap();
        let keys = signers.jwks().unwrap();
        let keys = keys["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 3);
        for (signer, name) in signers
            .all()
            .iter()
            .zip(["ES256", "EdDSA", "PS256", "RS256"])
        {
            let claims = serde_json::Map::from_iter([("sub".to_owned(), "a".into())]);
            let signed = jws::sign(signer, &claims).unwrap();
            let signed = Jws::parse(&signed).unwrap();
            assert_eq!(signed.algorithm(), Some(name));
            assert_eq!(signer.name(), name);
            assert_eq!(signed.verify(keys), Ok(()), "{name}");
        }
    }
}
