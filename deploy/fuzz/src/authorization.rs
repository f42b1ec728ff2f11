//! The `Authorization` header: as a resource server reads it (RFC 6750 §2.1, RFC 9449 §7.1), and as the endpoints for clients do (RFC 7617 §2,
//! RFC 6749 §2.3.1). Each line is a value.

use auth_server::clients::authenticate::basic_credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use shared_protocol::bearer::{Scheme, access_token, bearer_token};
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
    let [by_bearer, by_dpop] =
        ["bearer", "dpop"].map(|scheme| by_rule(scheme, bytes).filter(|_| is_alone));
    assert_eq!(bearer.as_ref().ok().copied(), by_bearer);
    let presented = access_token(&headers);
    let (of_bearer, of_dpop) = match &presented {
        Ok(presented) => match presented.scheme {
            Scheme::Bearer => (Some(presented.token), None),
            Scheme::Dpop => (None, Some(presented.token)),
        },
        Err(_) => (None, None),
    };
    assert_eq!((of_bearer, of_dpop), (by_bearer, by_dpop));
    // The answer is for the scheme that was used.
    if let Ok(presented) = &presented {
        assert_eq!(Scheme::of(&headers), Some(presented.scheme));
    }
    let Some((id, secret)) = basic_credentials(&headers) else {
        return;
    };
    assert!(presented.is_err() && is_alone, "one header of two schemes");
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

/// `scheme 1*SP b64token`, from the end.
fn by_rule<'a>(scheme: &str, value: &'a [u8]) -> Option<&'a str> {
    let value = crate::text(value)?;
    let (before, token) = value.rsplit_once(' ')?;
    let named = before.trim_end_matches(' ');
    let letters = token.trim_end_matches('=');
    let is_good = letters
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
    let is_named = named.eq_ignore_ascii_case(scheme) && !letters.is_empty();
    (is_named && is_good && token.len() <= 16 * 1024).then_some(token)
}
