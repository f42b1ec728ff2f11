//! JWTs, opened to be looked at.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// The claims, unverified.
pub(crate) fn claims(token: &str) -> Option<Value> {
    part(token, 1)
}

/// Header and claims, or that there are none to see: to a client an access token means nothing (RFC 9068 §6), and this one is
/// opened for show.
pub(crate) fn decoded(token: &str) -> Value {
    match (part(token, 0), part(token, 1)) {
        (Some(header), Some(claims)) => json!({"header": header, "claims": claims}),
        (_, _) => json!("opaque"),
    }
}

fn part(token: &str, index: usize) -> Option<Value> {
    let encoded = token.split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}
