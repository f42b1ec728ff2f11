//! Proof Key for Code Exchange (RFC 7636). Only S256: `plain` protects against nobody who reads the request.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

/// The one `code_challenge_method` that is served.
pub const METHOD: &str = "S256";

/// A `code_challenge` of method S256 (RFC 7636 §4.2): the SHA-256 of the verifier.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CodeChallenge([u8; 32]);

/// Not 43 characters of base64url.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a code_challenge is the base64url of a SHA-256, 43 characters")]
pub struct InvalidCodeChallenge;

impl CodeChallenge {
    /// Whether `verifier` is of the form of RFC 7636 §4.1 and made this challenge (§4.6).
    #[must_use]
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let unreserved =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(unreserved)
            && bool::from(Sha256::digest(verifier).as_slice().ct_eq(&self.0))
    }
}

impl FromStr for CodeChallenge {
    type Err = InvalidCodeChallenge;

    fn from_str(raw: &str) -> Result<Self, InvalidCodeChallenge> {
        let bytes = URL_SAFE_NO_PAD.decode(raw).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(InvalidCodeChallenge)
    }
}

impl Serialize for CodeChallenge {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for CodeChallenge {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7636_appendix_b_the_example_and_what_differs_from_it() {
        let challenge: CodeChallenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
            .parse()
            .unwrap();
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(challenge.is_met_by(verifier));
        for other in [
            "",
            &verifier[1..],
            &format!("{verifier}x"),
            &verifier.to_uppercase(),
            &"a".repeat(129),
        ] {
            assert!(!challenge.is_met_by(other), "{other}");
        }
        for malformed in [
            "",
            "E9Melhoa",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=",
        ] {
            assert!(malformed.parse::<CodeChallenge>().is_err(), "{malformed}");
        }
    }
}
