//! Reading the one place where a token may stand: the `Authorization` header (RFC 6750 §2.1, RFC 9449 §7.1). Tokens in a query or a form are
//! not looked at (RFC 9700 §4.3.2).

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::BearerError;

/// The longest token that is looked at, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// The authentication schemes under which access tokens are sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// By whoever has it (RFC 6750 §2.1), or by the client of a certificate (RFC 8705 §3).
    Bearer,
    /// With the proof of a key (RFC 9449 §7.1).
    Dpop,
}

/// An access token, as a request presents it.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// Under which scheme.
    pub scheme: Scheme,
    /// The token.
    pub token: &'a str,
}

impl Scheme {
    const ALL: [Self; 2] = [Self::Bearer, Self::Dpop];

    /// As challenges name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// RFC 9110 §11.1: in any case.
    fn named(name: &str) -> Option<Self> {
        let is_named = |scheme: &Self| name.eq_ignore_ascii_case(scheme.name());
        Self::ALL.into_iter().find(is_named)
    }

    /// The one that the request uses beyond doubt, whatever follows it.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, _) = credentials(headers).ok()?;
        Self::named(scheme)
    }
}

/// The token of `Authorization: Bearer b64token`.
///
/// # Errors
/// [`BearerError::NoToken`] without the header or under another scheme, [`BearerError::Repeated`] and
/// [`BearerError::Malformed`] when it cannot be read in exactly one way.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, BearerError> {
    let (scheme, rest) = credentials(headers)?;
    match Scheme::named(scheme) {
        Some(Scheme::Bearer) => b64token(rest),
        Some(Scheme::Dpop) | None => Err(BearerError::NoToken),
    }
}

/// The same under any [`Scheme`].
///
/// # Errors
/// As [`bearer_token`].
pub fn access_token(headers: &HeaderMap) -> Result<Presented<'_>, BearerError> {
    let (scheme, rest) = credentials(headers)?;
    let scheme = Scheme::named(scheme).ok_or(BearerError::NoToken)?;
    let token = b64token(rest)?;
    Ok(Presented { scheme, token })
}

/// The name of the scheme, and what stands behind it.
fn credentials(headers: &HeaderMap) -> Result<(&str, &str), BearerError> {
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
    Ok((scheme, rest))
}

/// What follows the name of a scheme, if it is a space or more and a token.
fn b64token(rest: &str) -> Result<&str, BearerError> {
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

/// RFC 6750 §2.1, and RFC 9449 §7.1 by another name: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
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
        let bearer = bearer_token(&headers).map(str::to_owned);
        // Whoever takes DPoP too reads the rest alike.
        let presented = access_token(&headers);
        match (&bearer, &presented) {
            (Ok(token), Ok(presented)) => assert_eq!(
                (presented.scheme, presented.token),
                (Scheme::Bearer, &**token)
            ),
            (Err(BearerError::NoToken), Ok(presented)) => {
                assert_eq!(presented.scheme, Scheme::Dpop);
            }
            (Err(_), Err(_)) => {}
            (bearer, _) => panic!("{bearer:?}"),
        }
        bearer
    }

    fn read_any(value: &[u8]) -> Result<(Scheme, String), BearerError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        access_token(&headers).map(|presented| (presented.scheme, presented.token.to_owned()))
    }

    /// Threat 31, of the other scheme.
    #[test]
    fn rfc9449_7_1_exactly_one_header_of_exactly_one_form() {
        for good in ["DPoP abc", "dpop abc", "DPOP abc", "dPoP    abc"] {
            let (scheme, token) = read_any(good.as_bytes()).unwrap();
            assert_eq!((scheme, &*token), (Scheme::Dpop, "abc"), "{good}");
        }
        let malformed: [&[u8]; 12] = [
            b"DPoP",
            b"DPoP ",
            b"DPoP\tabc",
            b"DPoP \tabc",
            b"DPoP\t abc",
            b"DPoP abc ",
            b"DPoP abc def",
            b"DPoP abc, Bearer abc",
            b"DPoP \"abc\"",
            b"DPoP:abc",
            b" DPoP abc",
            b"DPoP \xe9",
        ];
        for value in malformed {
            assert!(
                matches!(read_any(value), Err(BearerError::Malformed)),
                "{}",
                String::from_utf8_lossy(value)
            );
        }
        for other in ["DPoPX abc", "DPo abc", "Basic abc"] {
            let read = read_any(other.as_bytes());
            assert!(matches!(read, Err(BearerError::NoToken)), "{other}");
        }
    }

    #[test]
    fn rfc9449_7_2_the_scheme_of_a_challenge_is_the_one_that_was_used() {
        for (values, expected) in [
            (&["Bearer abc"][..], Some(Scheme::Bearer)),
            (&["dpop\tabc"], Some(Scheme::Dpop)),
            (&["Basic abc"], None),
            (&["DPoP abc", "DPoP abc"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            assert_eq!(Scheme::of(&headers), expected, "{values:?}");
        }
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
