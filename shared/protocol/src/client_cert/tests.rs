use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const LEAF: &[u8] = b":bGVhZg==:";

fn told(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn read(fields: &[(HeaderName, &[u8])]) -> Result<Vec<Vec<u8>>, InvalidClientCert> {
    let chain = chain(&told(fields))?;
    Ok(chain.iter().map(|one| one.to_vec()).collect())
}

fn written(bytes: &[u8]) -> Vec<u8> {
    format!(":{}:", STANDARD.encode(bytes)).into_bytes()
}

#[test]
fn rfc9440_2_2_and_2_3_one_form_and_no_other() {
    use InvalidClientCert::{ByteSequence, NoLeaf, TooMuch, Twice};
    let largest = written(&vec![0; LARGEST]);
    let larger = written(&vec![0; LARGEST + 1]);
    let eight = [LEAF; MOST_BETWEEN].join(&b", "[..]);
    let nine = [LEAF; MOST_BETWEEN + 1].join(&b","[..]);
    for (what, leaf, chain, expected) in [
        ("one", LEAF, None, Ok(1)),
        ("spaces around", b" :bGVhZg==: ", None, Ok(1)),
        ("a chain", LEAF, Some(LEAF), Ok(2)),
        ("two", LEAF, Some(&b":YQ==: ,\t:Yg==:"[..]), Ok(3)),
        ("as long as may be", LEAF, Some(&eight), Ok(9)),
        ("longer", LEAF, Some(&nine), Err(TooMuch)),
        ("as large as may be", &largest, None, Ok(1)),
        ("too large", &larger, None, Err(TooMuch)),
        ("too large behind", LEAF, Some(&larger), Err(TooMuch)),
        ("nothing", b"", None, Err(ByteSequence)),
        ("nothing in it", b"::", None, Err(ByteSequence)),
        ("one colon", b":", None, Err(ByteSequence)),
        ("no colons", b"bGVhZg==", None, Err(ByteSequence)),
        ("one colon short", b":bGVhZg==", None, Err(ByteSequence)),
        // RFC 8941 §4.2.7.
        ("no padding", b":bGVhZg:", None, Ok(1)),
        ("half of the padding", b":bGVhZg=:", None, Ok(1)),
        ("bits behind the end", b":bGVhZh==:", None, Ok(1)),
        ("too much padding", b":bGVhZg===:", None, Err(ByteSequence)),
        ("padding inside", b":bGVh=Zg==:", None, Err(ByteSequence)),
        ("six bits", b":bGVhZ:", None, Err(ByteSequence)),
        ("padding alone", b":==:", None, Err(ByteSequence)),
        ("base64url", b":-_-_:", None, Err(ByteSequence)),
        ("a space inside", b":bGVh Zg==:", None, Err(ByteSequence)),
        ("a parameter", b":bGVhZg==:;a=1", None, Err(ByteSequence)),
        ("a list", b":bGVhZg==:, :bGVhZg==:", None, Err(ByteSequence)),
        (
            "PEM",
            b"-----BEGIN CERTIFICATE-----",
            None,
            Err(ByteSequence),
        ),
        ("a string", b"\"bGVhZg==\"", None, Err(ByteSequence)),
        ("an empty chain", LEAF, Some(b""), Err(ByteSequence)),
        (
            "an empty member",
            LEAF,
            Some(b":YQ==:,,:Yg==:"),
            Err(ByteSequence),
        ),
        (
            "a comma at the end",
            LEAF,
            Some(b":YQ==:,"),
            Err(ByteSequence),
        ),
        ("no ASCII", b":\xe9:", None, Err(ByteSequence)),
    ] {
        let mut fields = vec![(CLIENT_CERT, leaf)];
        fields.extend(chain.map(|chain| (CLIENT_CERT_CHAIN, chain)));
        assert_eq!(read(&fields).map(|chain| chain.len()), expected, "{what}");
    }
    assert_eq!(
        read(&[(CLIENT_CERT, LEAF), (CLIENT_CERT, LEAF)]),
        Err(Twice)
    );
    assert_eq!(read(&[(CLIENT_CERT_CHAIN, LEAF)]), Err(NoLeaf));
    assert_eq!(read(&[]), Ok(Vec::new()));
}

#[test]
fn rfc8941_4_2_7_the_bytes_count_and_not_how_they_are_written() {
    let forms: [&[u8]; 4] = [LEAF, b":bGVhZg:", b":bGVhZh==:", b":bGVhZv:"];
    for form in forms {
        assert_eq!(read(&[(CLIENT_CERT, form)]), Ok(vec![b"leaf".to_vec()]));
    }
}

proptest! {
    #[test]
    fn rfc9440_2_read_of_what_was_written_is_identity(
        chain in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..60), 1..=MOST_BETWEEN + 1),
        in_lines in any::<bool>(),
    ) {
        let (leaf, between) = chain.split_first().unwrap();
        let leaf = written(leaf);
        let members: Vec<_> = between.iter().map(|one| written(one)).collect();
        let line = members.join(&b", "[..]);
        let mut fields: Vec<(HeaderName, &[u8])> = vec![(CLIENT_CERT, &leaf)];
        if in_lines {
            fields.extend(members.iter().map(|member| (CLIENT_CERT_CHAIN, member.as_slice())));
        } else if !members.is_empty() {
            fields.push((CLIENT_CERT_CHAIN, &line));
        }
        prop_assert_eq!(read(&fields), Ok(chain));
    }

    #[test]
    fn whatever_a_proxy_writes_nothing_panics(leaf in "[:A-Za-z0-9+/=, ;\\-]{0,60}", chain in "[:A-Za-z0-9+/=, ;\t]{0,80}") {
        let read = read(&[(CLIENT_CERT, leaf.as_bytes()), (CLIENT_CERT_CHAIN, chain.as_bytes())]);
        prop_assert!(read.is_err() || read.is_ok_and(|chain| !chain.is_empty()));
    }
}
