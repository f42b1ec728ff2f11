//! Message authentication codes under a secret that client and server share (RFC 7518 §3.2), for assertions of clients alone. They
//! are a family of their own: no public key verifies one, and no secret a signature (RFC 8725 §3.1).

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;

use super::Algorithm;

/// HMAC with SHA-2.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MacAlgorithm {
    /// With SHA-256.
    Hs256,
    /// With SHA-384.
    Hs384,
    /// With SHA-512.
    Hs512,
}

impl MacAlgorithm {
    /// Every algorithm, in the order of preference.
    pub const ALL: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// The registered name, as it stands in a header's `alg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    fn parameters(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }

    /// Whether a secret is as long as the hash, which it must be.
    pub(super) fn takes(self, secret: &[u8]) -> bool {
        secret.len() >= self.parameters().digest_algorithm().output_len
    }

    /// Whether `tag` is the MAC of `message` under `secret`, in constant time.
    pub(super) fn verifies(self, secret: &[u8], message: &[u8], tag: &[u8]) -> bool {
        let key = hmac::Key::new(self.parameters(), secret);
        hmac::verify(&key, message, tag).is_ok()
    }
}

/// An algorithm of either family, as a client registers the one of its assertions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum JwsAlgorithm {
    /// By a private key.
    Signature(Algorithm),
    /// By a shared secret.
    Mac(MacAlgorithm),
}

/// The name is not one of the algorithms in use here.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not one of ES256, RS256, PS256, EdDSA, HS256, HS384, HS512")]
pub struct UnknownJwsAlgorithm;

impl JwsAlgorithm {
    /// The registered name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Signature(alg) => alg.name(),
            Self::Mac(alg) => alg.name(),
        }
    }
}

impl From<Algorithm> for JwsAlgorithm {
    fn from(alg: Algorithm) -> Self {
        Self::Signature(alg)
    }
}

impl From<MacAlgorithm> for JwsAlgorithm {
    fn from(alg: MacAlgorithm) -> Self {
        Self::Mac(alg)
    }
}

impl fmt::Display for JwsAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Exact and case-sensitive (RFC 7515 §4.1.1).
impl FromStr for JwsAlgorithm {
    type Err = UnknownJwsAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownJwsAlgorithm> {
        let mac = MacAlgorithm::ALL.into_iter().find(|alg| alg.name() == name);
        match mac {
            Some(alg) => Ok(Self::Mac(alg)),
            None => name
                .parse()
                .map(Self::Signature)
                .map_err(|_| UnknownJwsAlgorithm),
        }
    }
}

crate::text::serde_as_text!(JwsAlgorithm, UnknownJwsAlgorithm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7515_4_1_1_names_are_exact() {
        for alg in MacAlgorithm::ALL.map(JwsAlgorithm::Mac) {
            assert_eq!(alg.to_string().parse(), Ok(alg));
        }
        for alg in Algorithm::ALL.map(JwsAlgorithm::Signature) {
            assert_eq!(alg.to_string().parse(), Ok(alg));
        }
        assert_eq!("Ed25519".parse(), Ok(JwsAlgorithm::from(Algorithm::EdDsa)));
        for name in ["none", "nOnE", "hs256", "HS256 ", "HS1", "ES384", ""] {
            assert_eq!(
                name.parse::<JwsAlgorithm>(),
                Err(UnknownJwsAlgorithm),
                "{name}"
            );
        }
    }

    #[test]
    fn rfc4231_4_3_test_case_2_and_what_is_not_it() {
        // Short secrets are refused one level up, by `takes`.
        let (secret, message) = (b"Jefe", b"what do ya want for nothing?");
        let tag = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95,
            0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9,
            0x64, 0xec, 0x38, 0x43,
        ];
        assert!(MacAlgorithm::Hs256.verifies(secret, message, &tag));
        assert!(!MacAlgorithm::Hs384.verifies(secret, message, &tag));
        assert!(!MacAlgorithm::Hs256.verifies(b"jefe", message, &tag));
        for cut in 0..tag.len() {
            assert!(!MacAlgorithm::Hs256.verifies(secret, message, &tag[..cut]));
        }
    }

    #[test]
    fn rfc7518_3_2_a_secret_is_as_long_as_the_hash() {
        for (alg, length) in [
            (MacAlgorithm::Hs256, 32),
            (MacAlgorithm::Hs384, 48),
            (MacAlgorithm::Hs512, 64),
        ] {
            assert!(alg.takes(&vec![b'a'; length]));
            assert!(!alg.takes(&vec![b'a'; length - 1]));
        }
    }
}
