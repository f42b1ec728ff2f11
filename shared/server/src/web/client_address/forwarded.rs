//! `Forwarded` (RFC 7239 §4), read from its end: the last element is the nearest proxy's, whatever a stranger wrote before it.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The last element of `line`, and what stands before its comma.
///
/// Quotes are paired from the end. In a well-formed line that gives what pairing from the beginning gives, because only inside of quotes
/// may a quote follow an odd number of backslashes; and a stranger's open quote cannot swallow what a proxy appended to it.
pub(super) fn last(line: &str) -> (Option<&str>, &str) {
    let mut quoted = false;
    for (at, symbol) in line.bytes().enumerate().rev() {
        match symbol {
            b'"' if !(quoted && escaped(line, at)) => quoted = !quoted,
            b',' if !quoted => {
                // A comma is one byte, so both halves begin at a character.
                return (line.get(..at), line.get(at + 1..).unwrap_or_default());
            }
            _ => {}
        }
    }
    (None, line)
}

/// Whether the symbol at `at` follows an odd number of backslashes.
fn escaped(line: &str, at: usize) -> bool {
    let before = line.as_bytes().get(..at).unwrap_or_default();
    before.iter().rev().take_while(|&&b| b == b'\\').count() % 2 == 1
}

/// The address of the `for` parameter of one element, if the element is well-formed and tells one (RFC 7239 §4, §5.2, §6).
pub(super) fn address(element: &str) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        // Without its value it is no pair; without its name neither.
        let (name, value) = rest.split_once('=').filter(|(name, _)| is_token(name))?;
        let (value, after) = value_of(value)?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            // RFC 7239 §4: a parameter stands once in an element.
            return None;
        }
        rest = match after.strip_prefix(';') {
            Some(next) => next,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    node(&found?)
}

/// A token or a quoted string (RFC 9110 §5.6.2, §5.6.4), and what follows it.
fn value_of(raw: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(inside) = raw.strip_prefix('"') else {
        let end = raw.find(';').unwrap_or(raw.len());
        let (token, after) = raw.split_at_checked(end)?;
        return is_token(token).then_some((token.into(), after));
    };
    let mut value = String::new();
    let mut symbols = inside.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '"' => return Some((value.into(), inside.get(at + 1..)?)),
            '\\' => value.push(symbols.next()?.1),
            symbol => value.push(symbol),
        }
    }
    None
}

/// RFC 9110 §5.6.2.
fn is_token(raw: &str) -> bool {
    let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !raw.is_empty() && raw.bytes().all(tchar)
}

/// RFC 7239 §6: an address and perhaps a port. `unknown` and obfuscated names are no addresses.
fn node(raw: &str) -> Option<IpAddr> {
    let (address, port) = if let Some(inside) = raw.strip_prefix('[') {
        let (address, port) = inside.split_once(']')?;
        (address.parse::<Ipv6Addr>().ok()?.into(), port)
    } else {
        let end = raw.find(':').unwrap_or(raw.len());
        let (address, port) = raw.split_at_checked(end)?;
        (address.parse::<Ipv4Addr>().ok()?.into(), port)
    };
    (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(address)
}

/// RFC 7239 §6: digits, or an obfuscated port.
fn is_port(raw: &str) -> bool {
    if let Some(name) = raw.strip_prefix('_') {
        let symbol = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        return !name.is_empty() && name.bytes().all(symbol);
    }
    (1..=5).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn elements(line: &str) -> Vec<&str> {
        let mut rest = Some(line);
        let mut found = Vec::new();
        while let Some(line) = rest {
            let (before, element) = last(line);
            found.push(element);
            rest = before;
        }
        found.reverse();
        found
    }

    /// Written with what RFC 7239 leaves free: order, case, quotes, backslashes, a port.
    fn printed(address: IpAddr, port: Option<&str>, style: u8) -> String {
        let node = match address {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let node = port.map_or(node.clone(), |port| format!("{node}:{port}"));
        let escaped: String = node.chars().flat_map(|symbol| ['\\', symbol]).collect();
        match style {
            0 if is_token(&node) => format!("for={node}"),
            1 => format!("for=\"{escaped}\""),
            2 => format!("proto=https;FOR=\"{node}\";by=_a"),
            3 => format!("host=\"a,\\\"b;for=\\\\\";For=\"{node}\""),
            _ => format!("for=\"{node}\""),
        }
    }

    proptest! {
        #[test]
        fn parse_of_what_was_printed_is_identity(
            hops in prop::collection::vec(
                (any::<IpAddr>(), prop::option::of("[0-9]{1,5}|_[A-Za-z0-9._-]{1,8}"), 0u8..5), 1..6),
        ) {
            let written: Vec<String> = hops
                .iter()
                .map(|(address, port, style)| printed(*address, port.as_deref(), *style))
                .collect();
            let line = written.join(",");
            let read: Vec<_> = elements(&line).into_iter().map(address).collect();
            let meant: Vec<_> = hops.iter().map(|(address, _, _)| Some(*address)).collect();
            prop_assert_eq!(read, meant);
        }

        #[test]
        fn whatever_a_stranger_sends_the_last_element_is_the_proxys(garbage in any::<String>(), hop in any::<IpAddr>(), style in 0u8..5) {
            let appended = printed(hop, None, style);
            let line = format!("{garbage}, {appended}");
            let (_, element) = last(&line);
            prop_assert_eq!(address(element.trim()), Some(hop));
        }

        #[test]
        fn nothing_panics(line in "[for=\";,\\\\\\[\\]:_ 0-9a-fé]{0,80}") {
            for element in elements(&line) {
                address(element);
            }
        }
    }

    #[test]
    fn rfc7239_6_only_addresses_count() {
        for (element, expected) in [
            ("for=192.0.2.60", Some("192.0.2.60")),
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                Some("192.0.2.60"),
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"",
                Some("2001:db8:cafe::17"),
            ),
            ("for=\"[2001:db8::1]\"", Some("2001:db8::1")),
            ("for=\"192.0.2.60:_port\"", Some("192.0.2.60")),
            ("for=192.0.2.60;", Some("192.0.2.60")),
            ("for=unknown", None),
            ("for=_hidden", None),
            ("for=\"_SEVKISEK\"", None),
            ("proto=https", None),
            ("", None),
            ("for", None),
            ("for=", None),
            ("for=\"\"", None),
            ("=192.0.2.60", None),
            ("for =192.0.2.60", None),
            ("for= 192.0.2.60", None),
            ("for=192.0.2.60 ;proto=http", None),
            ("for=192.0.2.60;for=192.0.2.61", None),
            ("for=192.0.2.60;For=unknown", None),
            ("for=192.0.2.60:80", None),
            ("for=[2001:db8::1]", None),
            ("for=\"2001:db8::1\"", None),
            ("for=\"[2001:db8::1\"", None),
            ("for=\"[192.0.2.60]\"", None),
            ("for=\"[fe80::1%eth0]\"", None),
            ("for=\"192.0.2.60", None),
            ("for=\"192.0.2.60\"x", None),
            ("for=\"192.0.2.60\\", None),
            ("for=\"192.0.2.60:\"", None),
            ("for=\"192.0.2.60:123456\"", None),
            ("for=\"192.0.2.60:_\"", None),
            ("for=192.0.2.060", None),
            ("for=256.0.2.60", None),
            ("for=example.com", None),
            ("for=192.0.2.60;proto", None),
            ("for=192.0.2.60;pr oto=x", None),
            ("for=\"192.0.2.60\u{e9}\"", None),
        ] {
            let expected: Option<IpAddr> = expected.map(|raw| raw.parse().unwrap());
            assert_eq!(address(element), expected, "{element}");
        }
    }
}
