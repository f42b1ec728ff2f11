//! Distinguished names in writing (RFC 4514) and in certificates. What is no text is taken for the DER of one.

use std::fmt::Write as _;

use auth_server::clients::certificate::DistinguishedName;
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _, Tag, Tagged as _};
use x509_cert::name::Name;

pub(crate) fn check(bytes: &[u8]) {
    if let Ok(name) = Name::from_der(bytes) {
        of_a_certificate(&name);
    }
    let Some(raw) = crate::text(bytes) else {
        return;
    };
    let Ok(name) = raw.parse::<DistinguishedName>() else {
        return;
    };
    assert!((1..=1024).contains(&raw.len()) && raw.contains('='));
    // Every character may be written as an escape (RFC 4514 §2.4).
    if let Some(escaped) = escaped(raw).filter(|escaped| escaped.len() <= 1024) {
        assert_eq!(escaped.parse().as_ref(), Ok(&name), "{escaped}");
    }
    // One more part is another name, and so is one less.
    let longer = format!("{raw},DC=x");
    if let Ok(longer) = longer.parse::<DistinguishedName>() {
        assert_ne!(longer, name);
    }
}

/// Whether each identifier is encoded in the shortest way (X.690 §8.19.2). The others are compared as they are, and equal nothing in writing.
fn is_short(name: &Name) -> bool {
    let mut attributes = name.0.iter().flat_map(|relative| relative.0.iter());
    attributes.all(|one| ObjectIdentifier::new(&one.oid.to_string()) == Ok(one.oid))
}

/// The name of a certificate, written down, is the name.
fn of_a_certificate(name: &Name) {
    let Some(own) = DistinguishedName::of(name) else {
        assert!(name.0.is_empty());
        return;
    };
    for in_der in [true, false] {
        let parts: Vec<String> = name
            .0
            .iter()
            .rev()
            .map(|relative| {
                let attributes = relative
                    .0
                    .iter()
                    .map(|one| format!("{}={}", one.oid, written(&one.value, in_der)));
                attributes.collect::<Vec<_>>().join("+")
            })
            .collect();
        let written = parts.join(",");
        if written.len() <= 1024
            && is_short(name)
            && name.0.iter().all(|relative| !relative.0.is_empty())
        {
            assert_eq!(written.parse().as_ref(), Ok(&own), "{written}");
        }
    }
}

fn written(value: &Any, in_der: bool) -> String {
    let mut written = String::new();
    let text = std::str::from_utf8(value.value()).ok();
    let is_text = value.tag() == Tag::Utf8String
        || (matches!(value.tag(), Tag::PrintableString | Tag::Ia5String)
            && value.value().is_ascii());
    let (bytes, escape) = if let Some(text) = text.filter(|_| is_text && !in_der) {
        (text.as_bytes().to_vec(), "\\")
    } else {
        written.push('#');
        (value.to_der().unwrap_or_default(), "")
    };
    for byte in bytes {
        let _ = write!(written, "{escape}{byte:02x}");
    }
    written
}

/// The same name with each character of its texts escaped; `None` if a value is in DER.
fn escaped(raw: &str) -> Option<String> {
    let mut escaped = String::new();
    let mut rest = raw;
    loop {
        let (kind, value) = rest.split_once('=')?;
        if value.starts_with('#') {
            return None;
        }
        escaped.push_str(kind);
        escaped.push('=');
        let bytes = value.as_bytes();
        let mut at = 0;
        let separator = loop {
            let Some(&byte) = bytes.get(at) else {
                return Some(escaped);
            };
            if matches!(byte, b',' | b'+') {
                break char::from(byte);
            }
            let (byte, width) = match (byte, bytes.get(at + 1..at + 3)) {
                (b'\\', Some(pair)) if pair.iter().all(u8::is_ascii_hexdigit) => (
                    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?,
                    3,
                ),
                (b'\\', _) => (*bytes.get(at + 1)?, 2),
                (byte, _) => (byte, 1),
            };
            let _ = write!(escaped, "\\{byte:02X}");
            at += width;
        };
        escaped.push(separator);
        rest = value.get(at + 1..)?.trim_start_matches(' ');
    }
}
