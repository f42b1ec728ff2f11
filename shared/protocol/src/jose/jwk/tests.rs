use super::*;
use crate::jose::json;

fn parse(json: &str) -> Result<PublicJwk, InvalidJwk> {
    PublicJwk::from_object(&json::object(json.as_bytes()).unwrap())
}

/// The key of RFC 7638 §3.1.
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;
/// The keys of RFC 7517 appendix A.1 and RFC 8037 appendix A.2.
const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
const OKP: &str =
    r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[test]
fn rfc7638_3_1_thumbprint_of_the_example() {
    assert_eq!(
        parse(RSA).unwrap().thumbprint().to_string(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    assert_eq!(
        parse(OKP).unwrap().thumbprint().to_string(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn rfc7517_a_key_published_is_the_key_read() {
    for json in [RSA, EC, OKP] {
        let key = parse(json).unwrap();
        let again = PublicJwk::from_object(key.to_value().as_object().unwrap()).unwrap();
        assert_eq!(
            (again.kid(), again.thumbprint()),
            (key.kid(), key.thumbprint())
        );
    }
}

#[test]
fn rfc8725_3_1_a_key_verifies_only_its_own_algorithms() {
    let (rsa, ec, okp) = (parse(RSA).unwrap(), parse(EC).unwrap(), parse(OKP).unwrap());
    let unnamed = parse(&RSA.replace(r#""alg":"RS256","#, "")).unwrap();
    for (what, key, expected) in [
        ("RSA with alg", rsa, vec![Algorithm::Rs256]),
        (
            "RSA without alg",
            unnamed,
            vec![Algorithm::Ps256, Algorithm::Rs256],
        ),
        ("EC", ec, vec![Algorithm::Es256]),
        ("OKP", okp, vec![Algorithm::EdDsa]),
    ] {
        let verifies: Vec<_> = Algorithm::ALL
            .into_iter()
            .filter(|alg| key.verifies(*alg))
            .collect();
        assert_eq!(verifies, expected, "{what}");
    }
}

#[test]
fn keys_that_are_private_weak_or_foreign_are_refused() {
    let zeros = "A".repeat(342);
    for (what, json, expected) in [
        (
            "a private EC key",
            EC.replace('}', r#","d":"AQ"}"#),
            InvalidJwk::Private,
        ),
        (
            "a private exponent of any kind",
            RSA.replace('}', r#","dp":1}"#),
            InvalidJwk::Private,
        ),
        (
            "a symmetric key",
            r#"{"kty":"oct","k":"AAAA"}"#.into(),
            InvalidJwk::Private,
        ),
        (
            "oct without k",
            r#"{"kty":"oct"}"#.into(),
            InvalidJwk::Unsupported,
        ),
        (
            "another curve",
            EC.replace("P-256", "P-384"),
            InvalidJwk::Unsupported,
        ),
        (
            "off the curve",
            EC.replace("MKBC", "MKBD"),
            InvalidJwk::Weak,
        ),
        (
            "HS256 on an RSA key",
            RSA.replace("RS256", "HS256"),
            InvalidJwk::Unsupported,
        ),
        (
            "ES256 on an RSA key",
            RSA.replace("RS256", "ES256"),
            InvalidJwk::Unsupported,
        ),
        (
            "none",
            RSA.replace("RS256", "none"),
            InvalidJwk::Unsupported,
        ),
        ("exponent 1", RSA.replace("AQAB", "AQ"), InvalidJwk::Weak),
        ("even exponent", RSA.replace("AQAB", "Ag"), InvalidJwk::Weak),
        (
            "a zero modulus",
            format!(r#"{{"kty":"RSA","n":"{zeros}","e":"AQAB"}}"#),
            InvalidJwk::Weak,
        ),
        (
            "a short modulus",
            r#"{"kty":"RSA","n":"_w","e":"AQAB"}"#.into(),
            InvalidJwk::Weak,
        ),
        (
            "for encryption",
            EC.replace('}', r#","use":"enc"}"#),
            InvalidJwk::NotForSignatures,
        ),
        (
            "for signing only",
            EC.replace('}', r#","key_ops":["sign"]}"#),
            InvalidJwk::NotForSignatures,
        ),
        (
            "kid as a number",
            EC.replace('}', r#","kid":1}"#),
            InvalidJwk::Malformed,
        ),
        (
            "a kid of 64 KiB",
            EC.replace('}', &format!(r#","kid":"{}"}}"#, "k".repeat(65536))),
            InvalidJwk::Malformed,
        ),
        (
            "no kty",
            EC.replace(r#""kty":"EC","#, ""),
            InvalidJwk::Malformed,
        ),
        (
            "padding",
            EC.replace("IFyM\"", "IFyM=\""),
            InvalidJwk::Malformed,
        ),
    ] {
        assert_eq!(parse(&json).err(), Some(expected), "{what}");
    }
}

#[test]
fn rfc7517_5_a_set_passes_over_what_it_does_not_know_but_not_secrets() {
    let set = |keys: &str| JwkSet::from_slice(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
    let known = set(&format!(
        r#"{EC},{{"kty":"new"}},{{"kty":"oct","k":"AA"}},{RSA}"#
    ))
    .unwrap();
    assert_eq!(known.keys().len(), 2);
    assert_eq!(
        set(&EC.replace('}', r#","d":"AQ"}"#)).err(),
        Some(InvalidJwk::Private)
    );
    assert_eq!(set("1").err(), Some(InvalidJwk::Set));
    assert_eq!(set(&vec![EC; 101].join(",")).err(), Some(InvalidJwk::Set));
    assert_eq!(JwkSet::from_slice(b"{}").err(), Some(InvalidJwk::Set));
    assert_eq!(
        JwkSet::from_slice(br#"{"keys":[],"keys":[]}"#).err(),
        Some(InvalidJwk::Malformed)
    );
}
