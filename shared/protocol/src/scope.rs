//! Scope (RFC 6749 §3.3).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The most that one scope value may hold: a bound on what a stranger can send.
const MAX_BYTES: usize = 4096;
const MAX_TOKENS: usize = 100;

/// One scope token, `1*NQCHAR` (RFC 6749 §3.3, grammar in appendix A.4).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScopeToken(Box<str>);

/// Not a scope: a character outside `NQCHAR`, an empty token, or more than 100 tokens or 4096 bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a scope is up to 100 space-separated tokens of printable ASCII without quotes and backslashes"
)]
pub struct InvalidScope;

impl ScopeToken {
    /// The token as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScopeToken {
    type Err = InvalidScope;

    fn from_str(raw: &str) -> Result<Self, InvalidScope> {
        let nqchar = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if raw.is_empty() || raw.len() > MAX_BYTES || !raw.bytes().all(nqchar) {
            return Err(InvalidScope);
        }
        Ok(Self(raw.into()))
    }
}

impl fmt::Display for ScopeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

crate::text::serde_as_text!(ScopeToken, InvalidScope);

/// A set of scope tokens: order and repetition carry no meaning (RFC 6749 §3.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ScopeSet(BTreeSet<ScopeToken>);

impl ScopeSet {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this token is in it.
    #[must_use]
    pub fn contains(&self, token: &ScopeToken) -> bool {
        self.0.contains(token)
    }

    /// Whether all of this set is in `other`.
    #[must_use]
    pub fn is_subset(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// The tokens, in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &ScopeToken> {
        self.0.iter()
    }
}

impl FromIterator<ScopeToken> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = ScopeToken>>(tokens: I) -> Self {
        Self(tokens.into_iter().collect())
    }
}

/// `scope-token *( SP scope-token )`; the empty string is the empty set.
impl FromStr for ScopeSet {
    type Err = InvalidScope;

    fn from_str(raw: &str) -> Result<Self, InvalidScope> {
        if raw.is_empty() {
            return Ok(Self::default());
        }
        if raw.len() > MAX_BYTES || raw.bytes().filter(|&byte| byte == b' ').count() >= MAX_TOKENS {
            return Err(InvalidScope);
        }
        raw.split(' ').map(str::parse).collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, token) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{token}")?;
        }
        Ok(())
    }
}

crate::text::serde_as_text!(ScopeSet, InvalidScope);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rfc6749_a_4_accepts_exactly_the_grammar(raw in "[ -~\t\u{e9}]{0,12}") {
            let valid = raw.is_empty() || raw.split(' ').all(|token| {
                !token.is_empty() && token.chars().all(|c| matches!(c, '!' | '#'..='[' | ']'..='~'))
            });
            prop_assert_eq!(raw.parse::<ScopeSet>().is_ok(), valid);
        }

        #[test]
        fn a_scope_printed_is_the_scope_read(raw in "[a-c]{1,2}( [a-c]{1,2}){0,4}") {
            let scope: ScopeSet = raw.parse().unwrap();
            prop_assert_eq!(scope.to_string().parse::<ScopeSet>().unwrap(), scope);
        }
    }

    #[test]
    fn a_scope_of_50_kb_or_101_tokens_is_refused() {
        assert!("a".repeat(50_000).parse::<ScopeSet>().is_err());
        assert!(vec!["a"; 100].join(" ").parse::<ScopeSet>().is_ok());
        assert!(vec!["a"; 101].join(" ").parse::<ScopeSet>().is_err());
    }
}
