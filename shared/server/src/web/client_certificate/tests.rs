use std::net::Ipv4Addr;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shared_protocol::client_cert::{CLIENT_CERT, CLIENT_CERT_CHAIN};

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
fn rfc9440_2_2_what_a_trusted_proxy_writes_wrongly_is_refused() {
    let large = written(&vec![0; LARGEST + 1]);
    for (what, field) in [
        ("no byte sequence", &b"bGVhZg=="[..]),
        ("too large", &large),
    ] {
        let mut request = request(PROXY, &[(CLIENT_CERT, field)]);
        assert!(certify(&mut request, &proxies(true)).is_err(), "{what}");
        assert_eq!(presented(&request), None, "{what}");
    }
}
