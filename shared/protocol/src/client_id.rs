//! Client identifiers (RFC 6749 §2.2).

use std::fmt;
use std::str::FromStr;

/// A client identifier: 1 to 2048 visible ASCII characters or spaces (RFC 6749 appendix A.1). Not a secret.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientId(Box<str>);

/// Empty, too long, or with a character outside `VSCHAR`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a client_id is 1 to 2048 printable ASCII characters")]
pub struct InvalidClientId;

impl ClientId {
    /// The identifier as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientId {
    type Err = InvalidClientId;

    fn from_str(raw: &str) -> Result<Self, InvalidClientId> {
        let vschar = |byte: u8| (0x20..=0x7E).contains(&byte);
        if (1..=2048).contains(&raw.len()) && raw.bytes().all(vschar) {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidClientId)
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::serde_as_text!(ClientId, InvalidClientId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_a_1_only_vschar() {
        for (raw, valid) in [
            ("a", true),
            ("a b~", true),
            ("", false),
            ("\u{e4}", false),
            ("a\tb", false),
            ("a\0", false),
        ] {
            assert_eq!(raw.parse::<ClientId>().is_ok(), valid, "{raw:?}");
        }
        assert!("c".repeat(2049).parse::<ClientId>().is_err());
    }
}
