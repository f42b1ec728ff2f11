//! Assertions with a MAC, as clients make them: by hand, so that no code of the server's vouches for itself.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An identifier that no other assertion has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("jti {}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An assertion with these claims under a secret.
pub(crate) fn assertion(alg: &str, secret: &[u8], claims: &Value) -> String {
    with_header(&json!({"alg": alg, "typ": "JWT"}), secret, claims)
}

/// The same with a header of its own; an algorithm that is none here makes a MAC of HS256.
pub(crate) fn with_header(header: &Value, secret: &[u8], claims: &Value) -> String {
    let algorithm = match header["alg"].as_str() {
        Some("HS384") => hmac::HMAC_SHA384,
        Some("HS512") => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", encoded(header), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}
