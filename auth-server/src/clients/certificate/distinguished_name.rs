//! Distinguished names, as certificates hold them (RFC 5280 §4.1.2.4) and as people write them (RFC 4514). They are compared as names: by
//! the parts that they have, not by how those are encoded or written.

use std::str::FromStr;

use unicode_normalization::UnicodeNormalization as _;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::name::Name;

/// Bytes of a name in writing.
const LONGEST: usize = 1024;

/// Short names of attributes: those of RFC 4514 §3 that everybody must know, and those that certificates of people, companies and machines
/// have besides (RFC 4519, RFC 5280 appendix A.1, RFC 2985 §5.2.1). Others are written as object identifiers.
const SHORT_NAMES: [(&str, &str); 26] = [
    ("CN", "2.5.4.3"),
    ("SN", "2.5.4.4"),
    ("SERIALNUMBER", "2.5.4.5"),
    ("C", "2.5.4.6"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("S", "2.5.4.8"),
    ("STREET", "2.5.4.9"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("TITLE", "2.5.4.12"),
    ("T", "2.5.4.12"),
    ("BUSINESSCATEGORY", "2.5.4.15"),
    ("POSTALCODE", "2.5.4.17"),
    ("GIVENNAME", "2.5.4.42"),
    ("GN", "2.5.4.42"),
    ("INITIALS", "2.5.4.43"),
    ("GENERATIONQUALIFIER", "2.5.4.44"),
    ("DNQUALIFIER", "2.5.4.46"),
    ("PSEUDONYM", "2.5.4.65"),
    ("ORGANIZATIONIDENTIFIER", "2.5.4.97"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("EMAILADDRESS", "1.2.840.113549.1.9.1"),
    ("EMAIL", "1.2.840.113549.1.9.1"),
    ("E", "1.2.840.113549.1.9.1"),
];

/// Kinds of strings that hold ASCII. Past it, nobody agrees what a `TeletexString` means.
const ASCII: [Tag; 5] = [
    Tag::PrintableString,
    Tag::Ia5String,
    Tag::NumericString,
    Tag::VisibleString,
    Tag::TeletexString,
];

/// A distinguished name of at least one part, the most general first, as in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistinguishedName(Vec<Relative>);

/// The attributes of one part, in the order of their types: a set, that no order of writing changes.
type Relative = Vec<(ObjectIdentifier, AttributeValue)>;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum AttributeValue {
    /// As [`prepared`].
    Text(String),
    /// What is no text, in DER.
    Other(Vec<u8>),
}

/// Not a distinguished name in writing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidDistinguishedName {
    /// It would be the name of every certificate without one.
    #[error("it is empty")]
    Empty,
    /// More than anybody's certificate has.
    #[error("it is longer than 1024 bytes")]
    TooLong,
    /// Not of the grammar.
    #[error(
        "it is not written as RFC 4514 does, such as \"CN=worker,O=Example\" (`openssl x509 -noout -subject -nameopt RFC2253` prints it so)"
    )]
    Malformed,
    /// A short name that is not known here.
    #[error("it has an attribute whose short name is unknown; write its object identifier instead")]
    UnknownAttribute,
}

impl DistinguishedName {
    /// The name of a certificate's subject; `None` if that is empty.
    #[must_use]
    pub fn of(name: &Name) -> Option<Self> {
        let parts: Vec<Relative> = name
            .0
            .iter()
            .map(|relative| {
                let attributes = relative.0.iter();
                sorted(attributes.map(|one| (one.oid, AttributeValue::of(&one.value))))
            })
            .collect();
        (!parts.is_empty()).then_some(Self(parts))
    }
}

fn sorted(attributes: impl Iterator<Item = (ObjectIdentifier, AttributeValue)>) -> Relative {
    let mut relative: Relative = attributes.collect();
    relative.sort();
    relative
}

impl AttributeValue {
    fn of(value: &Any) -> Self {
        let bytes = value.value();
        let tag = value.tag();
        let text = if tag == Tag::Utf8String {
            std::str::from_utf8(bytes).ok().map(prepared)
        } else if ASCII.contains(&tag) {
            let ascii = std::str::from_utf8(bytes).ok().filter(|it| it.is_ascii());
            ascii.map(prepared)
        } else if tag == Tag::BmpString {
            two_byte(bytes).as_deref().map(prepared)
        } else {
            None
        };
        text.map_or_else(
            || Self::Other(value.to_der().unwrap_or_default()),
            Self::Text,
        )
    }
}

fn two_byte(bytes: &[u8]) -> Option<String> {
    let (units, rest) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_be_bytes(*unit));
    let text: Result<String, _> = char::decode_utf16(units).collect();
    text.ok().filter(|_| rest.is_empty())
}

/// What is compared of a text: `caseIgnoreMatch` (RFC 4517 §4.2.11), by which RFC 5280 §7.1 has names compared. NFKC, lower case, and
/// spaces only between words (RFC 4518 §2).
fn prepared(text: &str) -> String {
    let lower: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
    let mut words = String::with_capacity(lower.len());
    for word in lower.split_whitespace() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }
    words
}

impl FromStr for DistinguishedName {
    type Err = InvalidDistinguishedName;

    fn from_str(raw: &str) -> Result<Self, InvalidDistinguishedName> {
        if raw.is_empty() {
            return Err(InvalidDistinguishedName::Empty);
        }
        if raw.len() > LONGEST {
            return Err(InvalidDistinguishedName::TooLong);
        }
        let mut parts = Vec::new();
        let mut relative = Vec::new();
        let mut rest = raw;
        loop {
            let (kind, after) = rest
                .split_once('=')
                .ok_or(InvalidDistinguishedName::Malformed)?;
            let kind = attribute(kind)?;
            let (value, after) = value(after).ok_or(InvalidDistinguishedName::Malformed)?;
            relative.push((kind, value));
            let Some(separator) = after.chars().next() else {
                break;
            };
            if separator == ',' {
                parts.push(sorted(relative.drain(..)));
            }
            // Not in RFC 4514, but many write a space behind the comma.
            rest = after.get(1..).unwrap_or_default().trim_start_matches(' ');
        }
        parts.push(sorted(relative.into_iter()));
        // RFC 4514 §2.1: the last part is written first.
        parts.reverse();
        Ok(Self(parts))
    }
}

/// RFC 4514 §2.3: a short name in any case, or an object identifier (RFC 4512 §1.4).
fn attribute(raw: &str) -> Result<ObjectIdentifier, InvalidDistinguishedName> {
    if raw.starts_with(|first: char| first.is_ascii_digit()) {
        // The parser of identifiers counts in 32 bits, and beyond them it panics.
        let is_counted = raw.split('.').all(|arc| arc.parse::<u32>().is_ok());
        let identifier = is_counted.then(|| ObjectIdentifier::new(raw).ok());
        return identifier
            .flatten()
            // No number begins with a zero (RFC 4512 §1.4).
            .filter(|identifier| identifier.to_string() == raw)
            .ok_or(InvalidDistinguishedName::Malformed);
    }
    let is_name = raw.starts_with(|first: char| first.is_ascii_alphabetic())
        && raw
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_name {
        return Err(InvalidDistinguishedName::Malformed);
    }
    let known = SHORT_NAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(raw))
        .and_then(|(_, identifier)| ObjectIdentifier::new(identifier).ok());
    known.ok_or(InvalidDistinguishedName::UnknownAttribute)
}

/// RFC 4514 §2.4, §3: a value, and what follows it, which begins with its separator.
fn value(raw: &str) -> Option<(AttributeValue, &str)> {
    if let Some(hex) = raw.strip_prefix('#') {
        let end = hex.find([',', '+']).unwrap_or(hex.len());
        let (hex, after) = hex.split_at_checked(end)?;
        let (pairs, odd) = hex.as_bytes().as_chunks::<2>();
        let der: Option<Vec<u8>> = pairs.iter().copied().map(byte).collect();
        let der = der.filter(|der| odd.is_empty() && !der.is_empty())?;
        return Some((AttributeValue::of(&Any::from_der(&der).ok()?), after));
    }
    if raw.starts_with(' ') {
        return None;
    }
    let bytes = raw.as_bytes();
    let mut text = Vec::new();
    let mut at = 0;
    let mut ends_bare = false;
    while let Some(&symbol) = bytes.get(at) {
        match symbol {
            b',' | b'+' => break,
            b'"' | b';' | b'<' | b'>' | 0 => return None,
            b'\\' => {
                let next = *bytes.get(at + 1)?;
                if b" \"#+,;<=>\\".contains(&next) {
                    text.push(next);
                    at += 2;
                } else {
                    let pair = bytes.get(at + 1..at + 3)?.try_into().ok()?;
                    text.push(byte(pair)?);
                    at += 3;
                }
                ends_bare = false;
            }
            symbol => {
                text.push(symbol);
                at += 1;
                ends_bare = symbol == b' ';
            }
        }
    }
    if ends_bare {
        return None;
    }
    // Escaped bytes are those of UTF-8. Separators are ASCII, so what follows begins at a character.
    let text = String::from_utf8(text).ok()?;
    Some((AttributeValue::Text(prepared(&text)), raw.get(at..)?))
}

fn byte(pair: [u8; 2]) -> Option<u8> {
    let digits = std::str::from_utf8(&pair).ok()?;
    // `from_str_radix` takes a sign.
    let is_hex = pair.iter().all(u8::is_ascii_hexdigit);
    is_hex
        .then(|| u8::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests;
