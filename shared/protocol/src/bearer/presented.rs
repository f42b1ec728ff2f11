//! Reading the one place where a token may stand: the `Authorization` header (RFC 6750 §2.1). Tokens in a query or a form are
//! not looked at (RFC 9700 §4.3.2).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::BearerError;

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The token of `Authorization: Bearer b64token`.
///
/// # Errors
/// [`BearerError::NoToken`] without the header or under another scheme, [`BearerError::Repeated`] and
/// [`BearerError::Malformed`] when it cannot be read in exactly one way.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerError::NoToken)?;
    if values.next().is_some() {
        return Err(BearerError::Repeated);
    }
    let value = value.to_str().map_err(|_| BearerError::Malformed)?;
    // RFC 9110 §11.4: auth-scheme [ 1*SP ( token68 / ... ) ]; a tab or a comma ends the scheme's name too, but is no separator.
    let end = value.find(|c| !is_tchar(c)).unwrap_or(value.len());
    let (scheme, rest) = value.split_at(end);
    if scheme.is_empty() {
        return Err(BearerError::Malformed);
    }
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(BearerError::NoToken);
    }
    let token = rest.trim_start_matches(' ');
    if token.len() == rest.len() || token.len() > MAX_BYTES || !is_b64token(token) {
        return Err(BearerError::Malformed);
    }
    Ok(token)
}

/// RFC 9110 §5.6.2.
fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

/// RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(token: &str) -> bool {
    let body = token.trim_end_matches('=');
    !body.is_empty()
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&[u8]]) -> Result<String, BearerError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer_token(&headers).map(str::to_owned)
    }

    /// Threat 31: what lax parsers take.
    #[test]
    fn rfc6750_2_1_exactly_one_header_of_exactly_one_form() {
        for good in ["Bearer abc", "bearer abc", "BEARER abc", "Bearer    abc"] {
            assert_eq!(read(&[good.as_bytes()]).unwrap(), "abc", "{good}");
        }
        assert_eq!(read(&[b"Bearer a-._~+/9=="]).unwrap(), "a-._~+/9==");
        let malformed: [&[u8]; 17] = [
            b"Bearer",
            b"Bearer ",
            b"Bearer\tabc",
            b"Bearer \tabc",
            b"Bearer\t abc",
            b"Bearer abc ",
            b"Bearer abc\t",
            b"Bearer abc def",
            b"Bearer abc, Bearer def",
            b"Bearer abc,",
            b"Bearer \"abc\"",
            b"Bearer =",
            b"Bearer a=b",
            b"Bearer:abc",
            b" Bearer abc",
            b"Bearer \xe9",
            b"",
        ];
        for value in malformed {
            assert!(
                matches!(read(&[value]), Err(BearerError::Malformed)),
                "{}",
                String::from_utf8_lossy(value)
            );
        }
        for other in ["Basic abc", "DPoP abc", "BearerX abc", "Negotiate"] {
            assert!(
                matches!(read(&[other.as_bytes()]), Err(BearerError::NoToken)),
                "{other}"
            );
        }
        assert!(matches!(read(&[]), Err(BearerError::NoToken)));
        for two in [["Bearer abc", "Bearer abc"], ["Basic abc", "Bearer abc"]] {
            let two = two.map(str::as_bytes);
            assert!(matches!(read(&two), Err(BearerError::Repeated)));
        }
    }

    #[test]
    fn a_token_of_16_kib_is_read_and_one_byte_more_is_not() {
        let longest = format!("Bearer {}", "a".repeat(MAX_BYTES));
        assert!(read(&[longest.as_bytes()]).is_ok());
        let longer = format!("{longest}a");
        assert!(matches!(
            read(&[longer.as_bytes()]),
            Err(BearerError::Malformed)
        ));
    }

    proptest! {
        #[test]
        fn rfc6750_2_1_accepts_exactly_the_grammar(token in "[ -~]{0,6}={0,2}") {
            let spaceless = token.trim_start_matches(' ');
            let body = spaceless.trim_end_matches('=');
            let valid = !body.is_empty()
                && body.chars().all(|c| matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~' | '+' | '/'));
            let header = format!("Bearer {token}");
            prop_assert_eq!(read(&[header.as_bytes()]).is_ok(), valid);
        }
    }
}
