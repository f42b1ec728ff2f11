//! Addresses by which people sign in.

use std::str::FromStr;

use serde::{Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

/// Bytes of an address (RFC 5321 §4.5.3.1.3, without the angle brackets of its path).
const LONGEST: usize = 254;
/// Bytes of what stands before the `@` (RFC 5321 §4.5.3.1.1).
const LONGEST_LOCAL: usize = 64;
/// Bytes that are looked at. Normalization may shorten, so this is more than an address has.
const LONGEST_RAW: usize = 4 * LONGEST;

/// Not an address that mail could be sent to, or one that could pass for another.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a mail address, such as jo@example.com")]
pub struct InvalidEmail;

/// A mail address, in the form that is shown and in the form by which it is looked up.
///
/// Both are NFKC, made before anything is checked (threat 19): a full-width `＠` counts as the `@` that it becomes, and an address
/// that looks like another after normalization is that other one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EmailAddress {
    shown: Box<str>,
    normal: Box<str>,
}

impl EmailAddress {
    /// As it is shown and sent to.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// As it is looked up: in lower case too. RFC 5321 §2.4 lets a host tell `Jo` from `jo`; none that people use does, and two
    /// accounts that differ in case alone would be taken for each other.
    #[must_use]
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// What stands before the `@`, in lower case.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.normal.split_once('@').map_or("", |(local, _)| local)
    }

    /// What stands behind the `@`, in lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.normal.split_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    fn from_str(raw: &str) -> Result<Self, InvalidEmail> {
        // Keyboards of phones leave a space behind what they complete.
        let raw = raw.trim();
        if raw.len() > LONGEST_RAW {
            return Err(InvalidEmail);
        }
        let shown: String = raw.nfkc().collect();
        let normal = fixed_point(&shown).ok_or(InvalidEmail)?;
        if is_address(&shown) && is_address(&normal) {
            Ok(Self {
                shown: shown.into(),
                normal: normal.into(),
            })
        } else {
            Err(InvalidEmail)
        }
    }
}

/// Lower case and NFKC, until neither changes anything: what is normal must be its own normal form, or one person could be had twice.
fn fixed_point(text: &str) -> Option<String> {
    let once = |text: &str| -> String {
        // Letter by letter, because lower case by context would tell a `Σ` at the end of a word from one within.
        text.chars().flat_map(char::to_lowercase).nfkc().collect()
    };
    let mut normal = once(text);
    for _ in 0..3 {
        let next = once(&normal);
        if next == normal {
            return Some(normal);
        }
        normal = next;
    }
    None
}

/// A dot-atom at a domain (RFC 5322 §3.4.1, RFC 6531 §3.3 for what is not ASCII). Quoted local parts and address literals are not
/// for people.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else {
        return false;
    };
    text.len() <= LONGEST
        && local.len() <= LONGEST_LOCAL
        && local.split('.').all(|atom| word(atom, is_atext))
        && domain.split('.').all(|label| {
            word(label, |c| c == '-' || is_letter_or_digit(c))
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn word(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(allowed)
}

fn is_atext(c: char) -> bool {
    is_letter_or_digit(c) || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// A letter or digit of any script, or a mark on one, that can be seen: what has no shape of its own could make two addresses that look
/// alike.
fn is_letter_or_digit(c: char) -> bool {
    let unseen = matches!(c, '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{FE00}'..='\u{FE0F}')
        || matches!(c, '\u{E0100}'..='\u{E01EF}');
    !unseen && (c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(c))
}

impl std::fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Serialize for EmailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(raw: &str) -> Result<EmailAddress, InvalidEmail> {
        raw.parse()
    }

    #[test]
    fn an_address_is_shown_as_typed_and_looked_up_in_lower_case() {
        let address = parsed("  Jo.Doe+news@Example.COM ").unwrap();
        assert_eq!(address.as_str(), "Jo.Doe+news@Example.COM");
        assert_eq!(address.normal(), "jo.doe+news@example.com");
        assert_eq!(address.local_part(), "jo.doe+news");
        assert_eq!(address.domain(), "example.com");
    }

    #[test]
    fn addresses_that_normalize_alike_are_one() {
        for raw in [
            "jo@example.com",
            "JO@EXAMPLE.COM",
            "ｊｏ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "ⓙⓞ@example.com",
            "𝕛𝕠@example.com",
        ] {
            assert_eq!(parsed(raw).unwrap().normal(), "jo@example.com", "{raw}");
        }
        let composed = parsed("jos\u{e9}@example.com").unwrap();
        let decomposed = parsed("jose\u{301}@example.com").unwrap();
        assert_eq!(composed, decomposed);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}com", "example.".repeat(32));
        let far = "a".repeat(100_000);
        for raw in [
            "",
            "@",
            "jo",
            "jo@",
            "@example.com",
            "jo@x@example.com",
            "jo＠x@example.com",
            "jo doe@example.com",
            "jo\u{a0}doe@example.com",
            "jo\u{3000}@example.com",
            "jo\n@example.com",
            "jo\0@example.com",
            "jo\u{200b}@example.com",
            "jo\u{202e}@example.com",
            "jo\u{feff}@example.com",
            "jo\u{fe0f}@example.com",
            "jo\u{3164}@example.com",
            "\"jo\"@example.com",
            "<jo@example.com>",
            "jo@example..com",
            "jo@.example.com",
            "jo@example.com.",
            "jo@[127.0.0.1]",
            "jo@-example.com",
            ".jo@example.com",
            "jo..doe@example.com",
            "jo@example.com,ann@example.com",
            &long,
            &longer,
            &far,
        ] {
            assert_eq!(parsed(raw), Err(InvalidEmail), "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_bounded_has_one_at_and_is_its_own_normal_form(raw in "\\PC{0,20}@\\PC{1,20}") {
            if let Ok(address) = parsed(&raw) {
                prop_assert!(address.as_str().len() <= LONGEST && address.normal().len() <= LONGEST);
                prop_assert_eq!(address.normal().matches('@').count(), 1);
                prop_assert!(!address.normal().chars().any(|c| c.is_whitespace() || c.is_control()));
                let again = parsed(address.as_str()).unwrap();
                prop_assert_eq!(&again, &address);
                let normal = parsed(address.normal()).unwrap();
                prop_assert_eq!(normal.normal(), address.normal());
            }
        }

        #[test]
        fn any_text_is_judged_without_a_panic(raw in any::<String>()) {
            let _ = parsed(&raw);
        }
    }
}
