//! Form parameters (RFC 6749 §3.1, §3.2), beside a second decoder that forgives what ours must not.

use auth_server::parameters::{InvalidParameters, Parameters};
use url::form_urlencoded;

pub(crate) fn check(body: &[u8]) {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let count = |name: &str| pairs.iter().filter(|(known, _)| known == name).count();
    let noted = Parameters::parse_with_repeated(body);
    match Parameters::parse(body) {
        Ok(form) => {
            assert!(is_well_formed(body) && pairs.len() <= 100);
            for (name, value) in &pairs {
                let found: Vec<_> = form.all(name).collect();
                if name == "resource" {
                    let sent = pairs.iter().filter(|(known, _)| known == name);
                    let sent = sent.map(|(_, value)| value.as_str());
                    assert_eq!(found, sent.filter(|it| !it.is_empty()).collect::<Vec<_>>());
                } else {
                    assert_eq!(count(name), 1, "{name:?} twice");
                    let alone = Some(value.as_str()).filter(|value| !value.is_empty());
                    assert_eq!(
                        (form.optional(name), found.len()),
                        (alone, alone.iter().len())
                    );
                }
            }
        }
        Err(InvalidParameters::Repeated(name)) => {
            let repeated = |(known, _): &&(String, String)| {
                known.chars().take(64).eq(name.chars()) && known != "resource" && count(known) > 1
            };
            assert!(
                pairs.iter().find(repeated).is_some(),
                "{name:?} stands once"
            );
            assert!(noted.is_ok());
        }
        Err(InvalidParameters::TooMany) => assert!(pairs.len() > 100 && noted.is_err()),
        Err(InvalidParameters::Encoding) => assert!(!is_well_formed(body) && noted.is_err()),
        Err(other @ (InvalidParameters::Missing(_) | InvalidParameters::Malformed(_))) => {
            unreachable!("{other}: nobody asked for a parameter")
        }
    }
    let Ok(noted) = noted else { return };
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let again = Parameters::parse_with_repeated(noted.encode(&names).as_bytes())
        .unwrap_or_else(|error| unreachable!("{error}"));
    for name in names {
        assert!(
            noted.all(name).eq(again.all(name)),
            "{name:?} printed is another"
        );
        // No copy of what is repeated counts, but where each does.
        let counts = count(name) == 1 || matches!(name, "resource" | "audience");
        assert!(counts || noted.optional(name).is_none());
    }
}

/// Whether each `%` has its two digits, and what comes of it is UTF-8.
fn is_well_formed(body: &[u8]) -> bool {
    let mut bytes = Vec::new();
    let mut rest = body;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let Some((digits, after)) = after.split_at_checked(2) else {
            return false;
        };
        let hex = |byte: &u8| byte.is_ascii_hexdigit();
        let digits = std::str::from_utf8(digits)
            .ok()
            .filter(|it| it.bytes().all(|byte| hex(&byte)));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            return false;
        };
        bytes.push(byte);
        rest = after;
    }
    std::str::from_utf8(&bytes).is_ok()
}
