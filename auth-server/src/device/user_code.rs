//! The code that a person carries from a device to a browser (RFC 8628 §6.1).

use std::fmt;
use std::str::FromStr;

use shared_protocol::random::{self, Random};

/// No vowels, so that no words come of it, and nothing that looks like something else.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20 to the power of 8 is 2^34.5.
const LENGTH: usize = 8;
/// As much as is looked at of what was typed.
const LONGEST_TYPED: usize = 64;

/// Eight letters of twenty, shown in two groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UserCode(Box<str>);

/// Not a code that this server gives to devices.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a user code")]
pub struct InvalidUserCode;

impl UserCode {
    /// A new one, each letter drawn without bias.
    #[must_use]
    pub fn generate(random: &dyn Random) -> Self {
        let mut code = String::with_capacity(LENGTH);
        while code.len() < LENGTH {
            let drawn: [u8; 16] = random::bytes(random);
            // 5 bits at a time; the twelve values past the alphabet are drawn again.
            let letters = drawn
                .iter()
                .filter_map(|byte| ALPHABET.get(usize::from(byte & 0x1F)));
            let missing = LENGTH - code.len();
            code.extend(letters.take(missing).map(|&letter| char::from(letter)));
        }
        Self(code.into())
    }

    /// The letters alone.
    #[must_use]
    pub fn letters(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at_checked(LENGTH / 2).unwrap_or_default();
        write!(f, "{first}-{second}")
    }
}

impl FromStr for UserCode {
    type Err = InvalidUserCode;

    /// As people type it: in either case, with any marks and spaces between the letters or none (RFC 8628 §6.1).
    fn from_str(typed: &str) -> Result<Self, InvalidUserCode> {
        if typed.len() > LONGEST_TYPED {
            return Err(InvalidUserCode);
        }
        let letters = typed.chars().filter(|c| c.is_alphanumeric());
        let code: String = letters.map(|c| c.to_ascii_uppercase()).collect();
        let is_ours = code.len() == LENGTH && code.bytes().all(|b| ALPHABET.contains(&b));
        is_ours.then(|| Self(code.into())).ok_or(InvalidUserCode)
    }
}

shared_protocol::serde_as_text!(UserCode, InvalidUserCode);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared_protocol::random::SystemRandom;

    use super::*;

    #[test]
    fn rfc8628_6_1_codes_are_of_twenty_letters_and_typed_as_people_do() {
        let code = UserCode::generate(&SystemRandom);
        let shown = code.to_string();
        assert_eq!(shown.len(), LENGTH + 1);
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            shown.replace('-', " "),
            shown.replace('-', "\u{2013}"),
            format!("  {}. ", shown.replace('-', " - ")),
            code.letters().replace("", " "),
        ] {
            assert_eq!(typed.parse(), Ok(code.clone()), "{typed}");
        }
        for typed in [
            "",
            "WDJB",
            "WDJB-MJH",
            "WDJB-MJHTT",
            "WDJB-MJHA",
            "WDJB-MJH0",
            "WDJB-MJH\u{e4}",
            "\u{ff37}DJB-MJHT",
            &"W".repeat(1000),
        ] {
            assert_eq!(typed.parse::<UserCode>(), Err(InvalidUserCode), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_shown_and_read_again(typed in "[A-Za-z0-9 -]{0,12}") {
            let letters: String = typed.chars().filter(char::is_ascii_alphanumeric).collect();
            let letters = letters.to_ascii_uppercase();
            let is_ours = letters.len() == LENGTH && letters.bytes().all(|b| ALPHABET.contains(&b));
            let read = typed.parse::<UserCode>();
            prop_assert_eq!(read.is_ok(), is_ours);
            if let Ok(code) = read {
                prop_assert_eq!(code.letters(), letters.as_str());
                prop_assert_eq!(code.to_string().parse(), Ok(code));
            }
        }

        #[test]
        fn any_text_is_read_or_refused(typed in "\\PC{0,80}") {
            let _ = typed.parse::<UserCode>();
        }
    }
}
