//! `Client-Cert` and `Client-Cert-Chain` (RFC 9440). Each line is a value: the first of the former, the others of the latter; one that
//! begins with `!` is of the former too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use shared_server::web::ClientCertificate;

const LEAF: &str = "client-cert";
const CHAIN: &str = "client-cert-chain";

pub(crate) fn check(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for (number, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let (name, value) = match line.strip_prefix(b"!") {
            Some(value) => (LEAF, value),
            None => (if number == 0 { LEAF } else { CHAIN }, line),
        };
        let Ok(value) = HeaderValue::from_bytes(value) else {
            return;
        };
        headers.append(name, value);
    }
    let told = ClientCertificate::from_headers(&headers);
    let Ok(Some(presented)) = told else {
        assert!(told.is_err(), "there is a header, and nothing comes of it");
        return;
    };
    assert_eq!(headers.get_all(LEAF).iter().count(), 1);
    let chain = headers.get_all(CHAIN).iter();
    let members: usize = chain
        .map(|line| line.as_bytes().split(|&byte| byte == b',').count())
        .sum();
    assert_eq!(presented.between().len(), members);
    let all = || std::iter::once(presented.leaf()).chain(presented.between());
    assert!(members <= 8 && all().all(|one| (1..=16 * 1024).contains(&one.len())));
    let written = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    let mut again = HeaderMap::new();
    let mut put = |name: &'static str, value: String| {
        let value = HeaderValue::from_str(&value);
        again.append(name, value.unwrap_or_else(|error| unreachable!("{error}")));
    };
    put(LEAF, written(presented.leaf()));
    if members > 0 {
        let between: Vec<_> = presented.between().iter().map(|one| written(one)).collect();
        put(CHAIN, between.join(", "));
    }
    let again = ClientCertificate::from_headers(&again);
    let again = again
        .ok()
        .flatten()
        .unwrap_or_else(|| unreachable!("written anew it is none"));
    assert!(again.leaf() == presented.leaf() && again.between() == presented.between());
    assert_eq!(again.digest(), presented.digest());
}
