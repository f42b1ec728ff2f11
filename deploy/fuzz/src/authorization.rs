//! The `Authorization` header: as a resource server reads it (RFC 6750 §2.1), and as the endpoints for clients do (RFC 7617 §2,
//! RFC 6749 §2.3.1). Each line is a value.

use auth_server::clients::authenticate::basic_credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use shared_protocol::bearer::bearer_token;
use url::form_urlencoded;

pub(crate) fn check(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        headers.append(AUTHORIZATION, value);
    }
    let bearer = bearer_token(&headers);
    let is_alone = headers.len() == 1;
    assert_eq!(
        bearer.as_ref().ok().copied(),
        bearer_by_rule(bytes).filter(|_| is_alone)
    );
    let Some((id, secret)) = basic_credentials(&headers) else {
        return;
    };
    assert!(bearer.is_err() && is_alone, "one header of two schemes");
    let (scheme, rest) = bytes.split_at_checked(5).unwrap_or_default();
    assert!(scheme.eq_ignore_ascii_case(b"basic") && rest.starts_with(b" "));
    // What a client of this identifier and this secret sends is read as that (RFC 6749 §2.3.1).
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(id.as_str()), encode(secret.expose()));
    let value = format!("Basic {}", STANDARD.encode(pair));
    let mut again = HeaderMap::new();
    again.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&value).unwrap_or_else(|error| unreachable!("{error}")),
    );
    let (same_id, same_secret) =
        basic_credentials(&again).unwrap_or_else(|| unreachable!("written anew it is none"));
    assert_eq!((same_id, same_secret.expose()), (id, secret.expose()));
}

/// `"Bearer" 1*SP b64token`, from the end.
fn bearer_by_rule(value: &[u8]) -> Option<&str> {
    let value = crate::text(value)?;
    let (before, token) = value.rsplit_once(' ')?;
    let scheme = before.trim_end_matches(' ');
    let letters = token.trim_end_matches('=');
    let is_good = letters
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
    let is_bearer = scheme.eq_ignore_ascii_case("bearer") && !letters.is_empty();
    (is_bearer && is_good && token.len() <= 16 * 1024).then_some(token)
}
