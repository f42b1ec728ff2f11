//! DPoP proofs (RFC 9449 §4.3): as they come, and as somebody would sign them who has a key. The former is one line; the latter is a header,
//! in which `"jwk":"K"` stands for the key, and on the next line the claims, in which `"nonce":"N"` stands for a nonce of ours.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};
use shared_protocol::dpop::{
    Dpop, DpopError, DpopSettings, InvalidProof, LocalProofs, NoncePolicy, Nonces, PROOF,
    ProofRequest,
};
use shared_protocol::jose::{Algorithm, EmbeddedJwt, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Instant;
use url::Url;

const NOW: i64 = 1_800_000_000;
const PATH: &str = "/oauth/token";

fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom);
        let key = pkcs8.map(|pkcs8| SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8));
        let Ok(Ok(key)) = key else {
            unreachable!("a key can be made")
        };
        key
    })
}

pub(crate) fn check(bytes: &[u8]) {
    let Some(text) = crate::text(bytes) else {
        return;
    };
    let Some((header, claims)) = text.split_once('\n') else {
        // Nobody here has signed anything.
        let verified = EmbeddedJwt::parse(text).and_then(EmbeddedJwt::verify);
        assert!(verified.is_err(), "a signature that nobody made");
        return;
    };
    let now = Instant::from_secs(NOW);
    let nonces = Nonces::new(&[7; 32], Duration::from_mins(5));
    let nonce = nonces.at(now);
    let origin = Url::parse("https://as.example").unwrap_or_else(|error| unreachable!("{error}"));
    let dpop = Dpop::new(DpopSettings {
        origins: vec![origin],
        nonces,
        used: Arc::new(LocalProofs::new(8, Instant::from_secs(NOW - 3600))),
    });
    let jwk = key().public().to_value().to_string();
    let header = header.replacen("\"jwk\":\"K\"", &format!("\"jwk\":{jwk}"), 1);
    let claims = claims.replacen("\"nonce\":\"N\"", &format!("\"nonce\":\"{nonce}\""), 1);
    let encode = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let input = format!("{}.{}", encode(&header), encode(&claims));
    let signature = at_once(key().sign(input.as_bytes()));
    let signature = signature.unwrap_or_else(|error| unreachable!("{error}"));
    let proof = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    let mut headers = HeaderMap::new();
    let Ok(value) = HeaderValue::try_from(proof) else {
        unreachable!("base64url is printable")
    };
    headers.insert(PROOF, value);
    let request = ProofRequest {
        headers: &headers,
        method: &Method::POST,
        path: PATH,
    };
    let prove = || at_once(dpop.prove(request, None, NoncePolicy::Offered, now));
    match prove() {
        Ok(Some(jkt)) => {
            assert_eq!(jkt, key().public().thumbprint());
            by_rule(&header, &claims, &nonce);
            let again = prove();
            let is_replay = matches!(again, Err(DpopError::Invalid(InvalidProof::Replayed)));
            assert!(is_replay, "a proof is good once");
        }
        Ok(None) => unreachable!("there is a proof"),
        Err(error) => assert!(!matches!(error, DpopError::Memory(_)), "{error}"),
    }
}

/// What an accepted proof is.
fn by_rule(header: &str, claims: &str, nonce: &str) {
    let read = |json: &str| -> Map<String, Value> {
        serde_json::from_str(json).unwrap_or_else(|error| unreachable!("{error}"))
    };
    let (header, claims) = (read(header), read(claims));
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let typ = header.get("typ").and_then(Value::as_str);
    let typ = typ.unwrap_or_default().to_ascii_lowercase();
    assert!(
        matches!(&*typ, "dpop+jwt" | "application/dpop+jwt"),
        "{typ}"
    );
    assert_eq!(header.get("alg"), Some(&Value::from("ES256")));
    let jwk = header.get("jwk").and_then(Value::as_object);
    for private in ["d", "k", "p"] {
        assert!(jwk.is_some_and(|jwk| !jwk.contains_key(private)));
    }
    assert!((1..=256).contains(&text("jti").len()));
    assert_eq!(text("htm"), "POST");
    is_here(text("htu"));
    let iat = claims
        .get("iat")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let now = 1_800_000_000.0;
    match claims.get("nonce").filter(|nonce| !nonce.is_null()) {
        Some(sent) => assert!(sent == nonce && iat <= now + 60.0, "{iat}"),
        None => assert!((now - 61.0..=now + 10.0).contains(&iat), "{iat}"),
    }
}

/// Scheme, authority and path of a URL are ours, by RFC 3986 alone: nothing here parses URLs as browsers do.
fn is_here(htu: &str) {
    let (scheme, rest) = htu
        .split_once("://")
        .unwrap_or_else(|| unreachable!("no authority in {htu}"));
    assert!(scheme.eq_ignore_ascii_case("https"), "{htu}");
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = authority.to_ascii_lowercase();
    let (host, port) = authority.split_once(':').unwrap_or((&authority, ""));
    assert_eq!(host, "as.example", "{htu}");
    // RFC 3986 §6.2.3: none, or the scheme's own, with however many zeros before it.
    assert!(
        port.is_empty() || port.trim_start_matches('0') == "443",
        "{htu}"
    );
    let path = decoded(path.strip_prefix('/').unwrap_or_default());
    // RFC 3986 §5.2.4.
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    assert_eq!(segments, ["oauth", "token"], "{htu}");
    let ends_so = path.ends_with("/.") || path.ends_with("/..");
    assert!(!ends_so, "that is a path which ends with a slash: {htu}");
    assert!(!htu.contains(['\\', ' ', '\t', '\n']), "{htu}");
}

/// Without the percent-encodings of what needs none (RFC 3986 §2.3); a slash that is encoded stays encoded.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).unwrap_or((part, ""));
        match u8::from_str_radix(code, 16) {
            Ok(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                plain.push(char::from(byte));
            }
            _ => {
                plain.push('%');
                plain.push_str(code);
            }
        }
        plain.push_str(rest);
    }
    plain
}

/// The outcome of a future that waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("there is nothing to wait for"),
    }
}
