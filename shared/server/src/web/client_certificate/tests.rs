use std::net::Ipv4Addr;

use axum::body::Body;
use axum::http::HeaderValue;
use proptest::prelude::*;

use super::*;

const PROXY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

fn proxies(client_certificates: bool) -> Proxies {
    Proxies {
        trusted: vec!["10.0.0.0/8".parse().unwrap()],
        header: None,
        client_certificates,
    }
}

fn request(peer: Ipv4Addr, headers: &[(HeaderName, &[u8])]) -> Request {
    let mut request = Request::new(Body::empty());
    let peer = ConnectInfo(SocketAddr::from((peer, 1)));
    request.extensions_mut().insert(peer);
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).unwrap();
        request.headers_mut().append(name.clone(), value);
    }
    request
}

fn presented(request: &Request) -> Option<Vec<Vec<u8>>> {
    let presented: &ClientCertificate = request.extensions().get()?;
    let all = std::iter::once(presented.leaf()).chain(presented.between());
    Some(all.map(|one| one.to_vec()).collect())
}

fn written(bytes: &[u8]) -> Vec<u8> {
    format!(":{}:", STANDARD.encode(bytes)).into_bytes()
}

#[test]
fn rfc9440_2_4_only_of_proxies_that_are_trusted_with_it() {
    let (leaf, chain) = (written(b"leaf"), written(b"between"));
    let of_leaf: &[(HeaderName, &[u8])] = &[(CLIENT_CERT, &leaf)];
    let of_chain: &[(HeaderName, &[u8])] = &[(CLIENT_CERT_CHAIN, &chain)];
    for (what, peer, trusted, headers, told) in [
        ("a stranger", STRANGER, true, of_leaf, None),
        ("a stranger with a chain", STRANGER, true, of_chain, None),
        (
            "a proxy that does not write it",
            PROXY,
            false,
            of_leaf,
            None,
        ),
        ("a stranger beside it", STRANGER, false, of_chain, None),
        ("nobody says anything", STRANGER, true, &[], Some(0)),
        ("the proxy says nothing", PROXY, true, &[], Some(0)),
        ("the proxy says so", PROXY, true, of_leaf, Some(1)),
        ("a chain of nothing", PROXY, true, of_chain, None),
    ] {
        let mut request = request(peer, headers);
        let certified = certify(&mut request, &proxies(trusted));
        assert_eq!(certified.is_ok(), told.is_some(), "{what}");
        let count = presented(&request).map_or(0, |all| all.len());
        assert_eq!(count, told.unwrap_or(0), "{what}");
    }
}

#[test]
fn a_proxys_own_certificate_is_none_of_its_clients() {
    let own = ClientCertificate::new(&[CertificateDer::from(b"proxy".as_slice())]).unwrap();
    let leaf = written(b"client");
    let mut silent = request(PROXY, &[]);
    silent.extensions_mut().insert(own.clone());
    certify(&mut silent, &proxies(true)).unwrap();
    assert_eq!(presented(&silent), None);
    let mut telling = request(PROXY, &[(CLIENT_CERT, &leaf)]);
    telling.extensions_mut().insert(own.clone());
    certify(&mut telling, &proxies(true)).unwrap();
    assert_eq!(presented(&telling), Some(vec![b"client".to_vec()]));
    let mut direct = request(STRANGER, &[]);
    direct.extensions_mut().insert(own);
    certify(&mut direct, &proxies(true)).unwrap();
    assert_eq!(presented(&direct), Some(vec![b"proxy".to_vec()]));
}

#[test]
fn rfc9440_2_2_and_2_3_one_form_and_no_other() {
    let good: &[u8] = b":bGVhZg==:";
    let long = written(&vec![0; LARGEST + 1]);
    let nine = [good; MOST_BETWEEN + 1].join(&b","[..]);
    let eight = [good; MOST_BETWEEN].join(&b", "[..]);
    for (what, leaf, chain, good) in [
        ("one", good, None, true),
        ("spaces around", b" :bGVhZg==: ", None, true),
        ("a chain", good, Some(good), true),
        (
            "a chain of two",
            good,
            Some(b":YQ==: ,\t:Yg==:".as_slice()),
            true,
        ),
        ("as long as may be", good, Some(&eight), true),
        ("longer", good, Some(&nine), false),
        ("too large", &long, None, false),
        ("nothing", b"", None, false),
        ("nothing in it", b"::", None, false),
        ("one colon", b":", None, false),
        ("no colons", b"bGVhZg==", None, false),
        ("one colon short", b":bGVhZg==", None, false),
        ("no padding", b":bGVhZg:", None, false),
        ("bits behind the end", b":bGVhZh==:", None, false),
        ("base64url", b":-_-_:", None, false),
        ("a space inside", b":bGVh Zg==:", None, false),
        ("a parameter", b":bGVhZg==:;a=1", None, false),
        ("a list", b":bGVhZg==:, :bGVhZg==:", None, false),
        ("PEM", b"-----BEGIN CERTIFICATE-----", None, false),
        ("a string", b"\"bGVhZg==\"", None, false),
        ("an empty chain", good, Some(b"".as_slice()), false),
        (
            "an empty member",
            good,
            Some(b":YQ==:,,:Yg==:".as_slice()),
            false,
        ),
        (
            "a comma at the end",
            good,
            Some(b":YQ==:,".as_slice()),
            false,
        ),
        ("no ASCII", b":\xe9:", None, false),
    ] {
        let mut headers: Vec<(HeaderName, &[u8])> = vec![(CLIENT_CERT, leaf)];
        headers.extend(chain.map(|chain| (CLIENT_CERT_CHAIN, chain)));
        let mut request = request(PROXY, &headers);
        let certified = certify(&mut request, &proxies(true));
        assert_eq!(certified.is_ok(), good, "{what}");
        assert_eq!(presented(&request).is_some(), good, "{what}");
    }
    let mut twice = request(PROXY, &[(CLIENT_CERT, good), (CLIENT_CERT, good)]);
    assert!(certify(&mut twice, &proxies(true)).is_err(), "two headers");
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
        let mut headers: Vec<(HeaderName, &[u8])> = vec![(CLIENT_CERT, &leaf)];
        if in_lines {
            headers.extend(members.iter().map(|member| (CLIENT_CERT_CHAIN, member.as_slice())));
        } else if !members.is_empty() {
            headers.push((CLIENT_CERT_CHAIN, &line));
        }
        let mut request = request(PROXY, &headers);
        certify(&mut request, &proxies(true)).unwrap();
        prop_assert_eq!(presented(&request), Some(chain));
    }

    #[test]
    fn whatever_a_proxy_writes_nothing_panics(leaf in "[:A-Za-z0-9+/=, ;\\-]{0,60}", chain in "[:A-Za-z0-9+/=, ;\t]{0,80}") {
        let mut request = request(PROXY, &[(CLIENT_CERT, leaf.as_bytes()), (CLIENT_CERT_CHAIN, chain.as_bytes())]);
        let certified = certify(&mut request, &proxies(true));
        prop_assert_eq!(certified.is_ok(), presented(&request).is_some());
    }
}
