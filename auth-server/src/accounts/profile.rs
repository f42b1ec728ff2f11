//! What is known of a person beside their name and address: the standard claims of OpenID Connect Core §5.1, each bounded and of its
//! syntax.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::locales::is_language_tag;

/// Characters of a name, or of a line.
const LONGEST_LINE: usize = 200;
/// Characters of what may have several lines.
const LONGEST_LINES: usize = 500;
/// Bytes of a URL.
const LONGEST_URL: usize = 2048;
/// Bytes of the name of a time zone; the longest that there is has half of that.
const LONGEST_ZONE: usize = 64;

/// What is known of a person. Members that nothing is known of are left out.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Given or first names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_name: Option<Line>,
    /// Surnames or last names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family_name: Option<Line>,
    /// Middle names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<Line>,
    /// A casual name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<Line>,
    /// The name that the person would go by at a client; unique nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_username: Option<Line>,
    /// A page about the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<WebAddress>,
    /// Their picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<WebAddress>,
    /// Their blog or site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub website: Option<WebAddress>,
    /// `female`, `male`, or another word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gender: Option<Line>,
    /// When they were born.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birthdate: Option<Birthdate>,
    /// Their time zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zoneinfo: Option<Zone>,
    /// Their language and region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,
    /// Their postal address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// Their telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<PhoneNumber>,
    /// Whether somebody proved that it is theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_number_verified: Option<bool>,
}

impl Profile {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A postal address (OpenID Connect Core §5.1.1).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Address {
    /// All of it, as on a label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub formatted: Option<Lines>,
    /// Street, house, and the like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub street_address: Option<Lines>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locality: Option<Line>,
    /// State, province, or region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<Line>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<Line>,
    /// Country.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Line>,
}

/// Makes a text that is what its parser lets through.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $error:ident, $told:literal, $is_good:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub struct $name(Box<str>);

        #[doc = concat!("Not a [`", stringify!($name), "`].")]
        #[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
        #[error($told)]
        pub struct $error;

        impl FromStr for $name {
            type Err = $error;

            fn from_str(raw: &str) -> Result<Self, $error> {
                let is_good: fn(&str) -> bool = $is_good;
                if is_good(raw) { Ok(Self(raw.into())) } else { Err($error) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        shared_protocol::serde_as_text!($name, $error);
    };
}

text!(
    /// One line: of 1 to 200 characters, not blank, none of them a control character.
    Line, InvalidLine, "1 to 200 characters in one line, none of them a control character",
    |raw| is_text(raw, LONGEST_LINE, false)
);
text!(
    /// One or more lines: of 1 to 500 characters, not blank, none of them a control character but for the ends of lines.
    Lines, InvalidLines, "1 to 500 characters, none of them a control character but for line breaks",
    |raw| is_text(raw, LONGEST_LINES, true)
);
text!(
    /// An absolute https URL.
    WebAddress, InvalidWebAddress, "an https URL without user, of at most 2048 ASCII characters",
    is_web_address
);
text!(
    /// A day (`YYYY-MM-DD`), one of no known year (`0000-MM-DD`), or a year (`YYYY`).
    Birthdate, InvalidBirthdate, "YYYY-MM-DD, 0000-MM-DD where the year is not told, or YYYY",
    is_birthdate
);
text!(
    /// The name of a time zone, such as `Europe/Vienna`. Whether there is one of that name changes with each edition of the database.
    Zone, InvalidZone, "the name of a time zone, such as Europe/Vienna",
    is_zone
);
text!(
    /// A language tag (RFC 5646).
    Locale, InvalidLocale, "a language tag, such as de-AT",
    is_language_tag
);
text!(
    /// A telephone number as E.164 writes it, with an extension as in RFC 3966 §5.3.
    PhoneNumber, InvalidPhoneNumber, "+ and 4 to 15 digits, such as +431234567, and perhaps ;ext= with up to 8 digits",
    is_phone_number
);

pub(super) fn is_text(raw: &str, longest: usize, lines: bool) -> bool {
    let is_end = |c: char| lines && matches!(c, '\n' | '\r');
    !raw.trim().is_empty()
        && raw.chars().count() <= longest
        && !raw.chars().any(|c| c.is_control() && !is_end(c))
}

fn is_web_address(raw: &str) -> bool {
    let is_plain = raw.len() <= LONGEST_URL && raw.bytes().all(|byte| byte.is_ascii_graphic());
    // The parser would let `https:host` stand for the same.
    is_plain
        && raw.starts_with("https://")
        && Url::parse(raw).is_ok_and(|url| {
            url.has_host() && url.username().is_empty() && url.password().is_none()
        })
}

fn is_birthdate(raw: &str) -> bool {
    let number = |digits: &str, length: usize| {
        let is_number = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let mut parts = raw.split('-');
    let year = parts.next().and_then(|year| number(year, 4));
    let (month, day, rest) = (parts.next(), parts.next(), parts.next());
    let Some(year) = year else { return false };
    let (month, day) = match (month, day, rest) {
        (None, None, None) => return year != 0,
        (Some(month), Some(day), None) => (number(month, 2), number(day, 2)),
        _ => return false,
    };
    // Year 0 is any, and may have been a leap year.
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        Some(1 | 3 | 5 | 7 | 8 | 10 | 12) => 31,
        Some(4 | 6 | 9 | 11) => 30,
        Some(2) if is_leap => 29,
        Some(2) => 28,
        _ => return false,
    };
    day.is_some_and(|day| (1..=days).contains(&day))
}

fn is_zone(raw: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+'))
    };
    raw.len() <= LONGEST_ZONE && raw.split('/').all(is_part)
}

fn is_phone_number(raw: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (number, extension) = match raw.split_once(";ext=") {
        Some((number, extension)) => (number, Some(extension)),
        None => (raw, None),
    };
    let number = number.strip_prefix('+');
    number.is_some_and(|number| {
        (4..=15).contains(&number.len()) && digits(number) && !number.starts_with('0')
    }) && extension.is_none_or(|extension| (1..=8).contains(&extension.len()) && digits(extension))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn oidc_core_5_1_each_claim_has_its_syntax() {
        let long = "x".repeat(LONGEST_LINE + 1);
        let longer = "x".repeat(LONGEST_LINES + 1);
        let url = format!("https://example.com/{}", "x".repeat(LONGEST_URL));
        for (name, good, bad) in [
            (
                "nickname",
                vec!["Ada", "エイダ", "O'Neil"],
                vec!["", "  ", "a\nb", "a\u{0}", &long],
            ),
            (
                "picture",
                vec!["https://example.com/ada.png", "https://example.com"],
                vec![
                    "http://example.com/ada.png",
                    "javascript:alert(1)",
                    "https:example.com",
                    "https://user@example.com/",
                    "https://exa mple.com/",
                    "data:image/png;base64,AA",
                    "",
                    &url,
                ],
            ),
            (
                "birthdate",
                vec!["1815-12-10", "0000-02-29", "1815", "2000-02-29"],
                vec![
                    "1815-13-01",
                    "1815-02-29",
                    "1900-02-29",
                    "1815-12-00",
                    "1815-12",
                    "15-12-10",
                    "1815-12-1",
                    "0000",
                    "1815-12-10T00:00:00Z",
                    "+815-12-10",
                    "",
                ],
            ),
            (
                "zoneinfo",
                vec![
                    "Europe/Vienna",
                    "UTC",
                    "Etc/GMT+5",
                    "America/Argentina/Buenos_Aires",
                ],
                vec![
                    "",
                    "/",
                    "Europe/",
                    "../etc/passwd",
                    "Europe/Vienna ",
                    "+01:00",
                ],
            ),
            (
                "locale",
                vec!["de", "de-AT", "zh-Hant-TW"],
                vec!["", "de_AT", "de-", "1de"],
            ),
            (
                "phone_number",
                vec!["+431234567", "+14255551212;ext=5678"],
                vec![
                    "431234567",
                    "+043123",
                    "+43 1 23",
                    "+",
                    "+1234567890123456",
                    "+431234567;ext=",
                    "+431234567;ext=x",
                    "+43123;x=1",
                ],
            ),
        ] {
            let read = |text: &str| serde_json::from_value::<Profile>(json!({name: text}));
            for text in good {
                let profile = read(text).unwrap();
                assert_eq!(serde_json::to_value(profile).unwrap(), json!({name: text}));
            }
            for text in bad {
                assert!(read(text).is_err(), "{name}: {text:?}");
            }
        }
        let address = |text: &str| {
            serde_json::from_value::<Profile>(json!({"address": {"formatted": text}})).is_ok()
        };
        assert!(address("Main Street 1\r\n1010 Vienna"));
        assert!(!address("\u{7}") && !address(&longer));
        for unknown in [
            json!({"shoe_size": "44"}),
            json!({"address": {"planet": "Earth"}}),
        ] {
            assert!(serde_json::from_value::<Profile>(unknown).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(raw in any::<String>()) {
            let _ = (is_birthdate(&raw), is_zone(&raw), is_phone_number(&raw), is_web_address(&raw));
        }

        #[test]
        fn days_are_days(year in 1u32..10000, month in 0u32..14, day in 0u32..33) {
            let text = format!("{year:04}-{month:02}-{day:02}");
            let is_day = time_of(year, month, day);
            prop_assert_eq!(is_birthdate(&text), is_day, "{}", text);
        }
    }

    /// By counting, and not by a table.
    fn time_of(year: u32, month: u32, day: u32) -> bool {
        let leap =
            (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
        let last = [
            31,
            28 + u32::from(leap),
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        let index = usize::try_from(month).unwrap().wrapping_sub(1);
        last.get(index).is_some_and(|last| day >= 1 && day <= *last)
    }
}
