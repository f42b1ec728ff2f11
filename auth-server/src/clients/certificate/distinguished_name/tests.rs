use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName as Written, DnType, DnValue, KeyPair};
use x509_cert::Certificate;

use super::*;

fn parse(raw: &str) -> Result<DistinguishedName, InvalidDistinguishedName> {
    raw.parse()
}

/// The subject of a certificate with these attributes.
fn subject(attributes: &[(DnType, DnValue)]) -> Option<DistinguishedName> {
    let mut params = CertificateParams::default();
    params.distinguished_name = Written::new();
    for (kind, value) in attributes {
        params.distinguished_name.push(kind.clone(), value.clone());
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let certificate = Certificate::from_der(certificate.der()).unwrap();
    DistinguishedName::of(&certificate.tbs_certificate.subject)
}

#[test]
fn rfc4514_4_examples_are_read() {
    for raw in [
        "UID=jsmith,DC=example,DC=net",
        "OU=Sales+CN=J.  Smith,DC=example,DC=net",
        r#"CN=James \"Jim\" Smith\, III,DC=example,DC=net"#,
        r"CN=Before\0dAfter,DC=example,DC=net",
        "1.3.6.1.4.1.1466.0=#04024869",
        r"CN=Lu\C4\8Di\C4\87",
    ] {
        assert!(parse(raw).is_ok(), "{raw}");
    }
}

#[test]
fn rfc4514_2_one_name_in_many_writings() {
    let name = parse("CN=J. Smith,OU=Sales,O=Example AG,C=CH").unwrap();
    for raw in [
        "cn=J. Smith,ou=Sales,o=Example AG,c=CH",
        "CN=J. Smith, OU=Sales,  O=Example AG, C=CH",
        "CN=J. Smith,OU=sales,O=EXAMPLE  ag,C=ch",
        r"CN=J\2e\20Smith,OU=Sales,O=Example AG,C=CH",
        r"CN=\ J. Smith\ ,OU=Sales,O=Example AG,C=CH",
        "2.5.4.3=J. Smith,2.5.4.11=Sales,2.5.4.10=Example AG,2.5.4.6=CH",
        "CN=#0c084a2e20536d697468,OU=Sales,O=Example AG,C=CH",
        "CN=#13084A2E20536D697468,OU=Sales,O=Example AG,C=CH",
    ] {
        assert_eq!(parse(raw).as_ref(), Ok(&name), "{raw}");
    }
    assert_eq!(parse(r"CN=Lu\C4\8Di\C4\87"), parse("CN=Lučić"));
    assert_eq!(parse("OU=Sales+CN=Ann,O=x"), parse("CN=Ann+OU=Sales,O=x"));
    for raw in [
        "OU=Sales,CN=J. Smith,O=Example AG,C=CH",
        "C=CH,O=Example AG,OU=Sales,CN=J. Smith",
        "CN=J. Smith+OU=Sales,O=Example AG,C=CH",
        "CN=J. Smith,OU=Sales,O=Example AG",
        "CN=J. Smith,OU=Sales,O=Example AG,C=CH,C=CH",
        "CN=J. Smith+CN=J. Smith,OU=Sales,O=Example AG,C=CH",
        "CN=J.Smith,OU=Sales,O=Example AG,C=CH",
        "CN=J. Smith2,OU=Sales,O=Example AG,C=CH",
        r"CN=J. Smith\00,OU=Sales,O=Example AG,C=CH",
        r"CN=J. Smith\,OU\=Sales,O=Example AG,C=CH",
        "SN=J. Smith,OU=Sales,O=Example AG,C=CH",
        "CN=#04084a2e20536d697468,OU=Sales,O=Example AG,C=CH",
    ] {
        let other = parse(raw).unwrap();
        assert_ne!(other, name, "{raw}");
    }
}

#[test]
fn rfc4514_3_what_is_no_name() {
    use InvalidDistinguishedName::{Empty, Malformed, TooLong, UnknownAttribute};
    let long = format!("CN={}", "a".repeat(1022));
    for (raw, expected) in [
        ("", Empty),
        (long.as_str(), TooLong),
        (" ", Malformed),
        ("CN", Malformed),
        ("=a", Malformed),
        ("CN=a,", Malformed),
        ("2.4294967296=a", Malformed),
        ("22222222222222222222222222222222.1=a", Malformed),
        ("88888888888888888888888888=a", Malformed),
        ("CN=a+", Malformed),
        (",CN=a", Malformed),
        ("CN=a,,O=b", Malformed),
        ("CN=a;O=b", Malformed),
        ("CN= a", Malformed),
        ("CN=a ", Malformed),
        ("CN=a ,O=b", Malformed),
        ("CN =a", Malformed),
        ("CN=\"a\"", Malformed),
        ("CN=a<b", Malformed),
        ("CN=a\0", Malformed),
        ("CN=a\\", Malformed),
        ("CN=a\\0", Malformed),
        ("CN=a\\zz", Malformed),
        ("CN=\\ff", Malformed),
        ("CN=\\é", Malformed),
        ("CN=#", Malformed),
        ("CN=#0", Malformed),
        ("CN=#0c0", Malformed),
        ("CN=#0c0161ff", Malformed),
        ("CN=#zz", Malformed),
        ("CN=#+c", Malformed),
        ("2.5=a,b", Malformed),
        ("2.5.4.=a", Malformed),
        ("02.5.4.3=a", Malformed),
        ("OID.2.5.4.3=a", Malformed),
        ("C_N=a", Malformed),
        ("FOO=a", UnknownAttribute),
    ] {
        assert_eq!(parse(raw), Err(expected), "{raw:?}");
    }
}

#[test]
fn rfc5280_7_1_subjects_of_certificates_are_the_names_they_hold() {
    let attributes = [
        (
            DnType::CountryName,
            DnValue::PrintableString("CH".try_into().unwrap()),
        ),
        (DnType::OrganizationName, "Example, Inc.".into()),
        (
            DnType::CommonName,
            DnValue::BmpString("Lučić".try_into().unwrap()),
        ),
        (
            DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 25]),
            DnValue::Ia5String("example".try_into().unwrap()),
        ),
    ];
    let found = subject(&attributes).unwrap();
    assert_eq!(
        Ok(found),
        parse(r"DC=example,CN=Lučić,O=Example\, Inc.,C=CH")
    );
    assert_eq!(subject(&[]), None, "an empty subject is nobody's name");
}

/// As RFC 4514 §2.4 writes a value, with more escapes than it asks for where `style` says so.
fn written(value: &str, style: u8) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut written = String::new();
    for (at, symbol) in value.chars().enumerate() {
        let mut bytes = [0; 4];
        let bytes = symbol.encode_utf8(&mut bytes).bytes();
        if style == 2 || symbol == '\0' || (style == 1 && !symbol.is_ascii()) {
            written.extend(bytes.map(|byte| format!("\\{byte:02x}")));
        } else {
            let special = "\"+,;<>\\".contains(symbol)
                || (at == 0 && "# ".contains(symbol))
                || (at == last && symbol == ' ');
            if special {
                written.push('\\');
            }
            written.push(symbol);
        }
    }
    written
}

proptest! {
    #[test]
    fn rfc4514_2_read_of_what_was_written_is_the_name(
        parts in prop::collection::vec(prop::collection::vec((0..SHORT_NAMES.len(), "\\PC{0,12}|[ #+,;<>=\\\\\"\0a]{0,6}"), 1..3), 1..5),
        style in 0u8..3,
    ) {
        let kind = |at: usize| ObjectIdentifier::new(SHORT_NAMES[at].1).unwrap();
        let meant = DistinguishedName(
            parts.iter().rev().map(|relative| {
                sorted(relative.iter().map(|(at, value)| (kind(*at), AttributeValue::Text(prepared(value)))))
            }).collect(),
        );
        let raw = parts.iter().map(|relative| {
            relative.iter()
                .map(|(at, value)| format!("{}={}", SHORT_NAMES[*at].0, written(value, style)))
                .collect::<Vec<_>>()
                .join("+")
        }).collect::<Vec<_>>().join(",");
        prop_assert_eq!(parse(&raw), Ok(meant), "{}", raw);
    }

    #[test]
    fn whatever_a_stranger_registers_nothing_panics(raw in "\\PC{0,60}|[A-Za-z0-9=,+#\\\\\" .é]{0,60}") {
        let _ = parse(&raw);
    }

    #[test]
    fn rfc4518_2_what_was_prepared_stays(text in any::<String>()) {
        let once = prepared(&text);
        prop_assert_eq!(prepared(&once), once);
    }
}
