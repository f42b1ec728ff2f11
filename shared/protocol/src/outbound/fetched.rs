use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, DATE, EXPIRES, HeaderMap, HeaderName, WWW_AUTHENTICATE,
};

/// A response, whatever its status below 300 or above 399.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetched {
    /// The status code.
    pub status: StatusCode,
    /// `type/subtype` of `Content-Type` in lower case, without parameters; `None` if absent, repeated or malformed.
    pub media_type: Option<String>,
    /// `max-age` of `Cache-Control` (RFC 9111 §5.2.2.1), else the time from `Date` to `Expires` (§5.3). Zero if the response says
    /// `no-store` or `no-cache`, or if the value is not a number or a date (§4.2.1); `None` if it says nothing.
    pub max_age: Option<Duration>,
    /// `WWW-Authenticate` (RFC 9110 §11.6.1); `None` if absent, repeated or not text.
    pub challenge: Option<String>,
    /// The content as sent: a `Content-Encoding` is not undone.
    pub body: Bytes,
}

impl Fetched {
    pub(super) fn new(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Self {
        Self {
            status,
            media_type: media_type(headers),
            max_age: max_age(headers).or_else(|| until_expiry(headers)),
            challenge: challenge(headers),
            body,
        }
    }
}

fn challenge(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(WWW_AUTHENTICATE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    value.to_str().ok().map(str::to_owned)
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let essence = value.to_str().ok()?.split(';').next()?.trim();
    let (kind, subtype) = essence.split_once('/')?;
    // RFC 9110 §8.3.1: two tokens.
    let token = |part: &str| {
        let tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !part.is_empty() && part.bytes().all(tchar)
    };
    (token(kind) && token(subtype)).then(|| essence.to_ascii_lowercase())
}

fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(','))
        .filter_map(|directive| {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => Some(0),
                "max-age" => Some(delta_seconds(argument)),
                _ => None,
            }
        });
    // Of contradicting directives the strictest counts (RFC 9111 §4.2.1).
    seconds.min().map(Duration::from_secs)
}

/// RFC 9111 §5.3. Told by the server's own clock, so that it need not be right; a date that cannot be read lies in the past.
fn until_expiry(headers: &HeaderMap) -> Option<Duration> {
    let expires = headers.get(EXPIRES).map(|_| seconds(headers, EXPIRES))?;
    let fresh = expires.zip(seconds(headers, DATE));
    let fresh = fresh.and_then(|(expires, date)| u64::try_from(expires - date).ok());
    Some(Duration::from_secs(fresh.unwrap_or(0)))
}

/// The date of a field that stands there once (RFC 9110 §5.6.7), in seconds since 1970.
fn seconds(headers: &HeaderMap, name: HeaderName) -> Option<i64> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let date = jiff::fmt::rfc2822::parse(value.to_str().ok()?).ok()?;
    Some(date.timestamp().as_second())
}

/// RFC 9111 §1.2.2: too large a number stands for 2^31; a quoted one is read as well (§5.2).
fn delta_seconds(argument: &str) -> u64 {
    let digits = argument.trim().trim_matches('"');
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    digits.parse().unwrap_or(1 << 31).min(1 << 31)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn rfc9111_freshness_is_the_strictest_that_is_said() {
        for (fields, expected) in [
            (&[][..], None),
            (&["public"], None),
            (&["max-age=60"], Some(60)),
            (&["Max-Age=60"], Some(60)),
            (&["max-age=\"60\""], Some(60)),
            (&["public,max-age=60 , must-revalidate"], Some(60)),
            (&["s-maxage=60"], None),
            (&["max-age=60, max-age=30"], Some(30)),
            (&["max-age=60", "no-store"], Some(0)),
            (&["no-cache, max-age=60"], Some(0)),
            (&["no-cache=\"set-cookie\", max-age=60"], Some(0)),
            (&["max-age=-1"], Some(0)),
            (&["max-age=+60"], Some(0)),
            (&["max-age=soon"], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age=99999999999999999999999"], Some(1 << 31)),
            (&["max-age=4294967296"], Some(1 << 31)),
            (&["x-max-age=60"], None),
        ] {
            let mut headers = HeaderMap::new();
            for &field in fields {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            assert_eq!(
                max_age(&headers),
                expected.map(Duration::from_secs),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn rfc9111_5_3_expires_counts_from_the_servers_own_date() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (fields, expected) in [
            (&[][..], None),
            (&[("date", date)], None),
            (
                &[("date", date), ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")],
                Some(60),
            ),
            (
                &[("date", date), ("expires", "Sun, 06 Nov 1994 08:49:36 GMT")],
                Some(0),
            ),
            (&[("date", date), ("expires", date)], Some(0)),
            (&[("date", date), ("expires", "0")], Some(0)),
            (&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(0)),
            (
                &[("date", date), ("expires", date), ("expires", date)],
                Some(0),
            ),
            (
                &[
                    ("date", date),
                    ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
                    ("cache-control", "max-age=30"),
                ],
                Some(30),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for &(name, value) in fields {
                headers.append(name, HeaderValue::from_static(value));
            }
            let fetched = Fetched::new(StatusCode::OK, &headers, Bytes::new());
            assert_eq!(
                fetched.max_age,
                expected.map(Duration::from_secs),
                "{fields:?}"
            );
        }
    }

    #[test]
    fn rfc9110_8_3_1_media_types_are_two_tokens() {
        for (fields, expected) in [
            (&[][..], None),
            (&["application/json"], Some("application/json")),
            (
                &["Application/JSON ; charset=\"utf-8\""],
                Some("application/json"),
            ),
            (
                &["application/jwk-set+json"],
                Some("application/jwk-set+json"),
            ),
            (&["application"], None),
            (&["/json"], None),
            (&["application/"], None),
            (&["application/json, text/html"], None),
            (&["application /json"], None),
            (&["application/json/x"], None),
            (&["application/json", "text/html"], None),
        ] {
            let mut headers = HeaderMap::new();
            for &field in fields {
                headers.append(CONTENT_TYPE, HeaderValue::from_static(field));
            }
            assert_eq!(media_type(&headers).as_deref(), expected, "{fields:?}");
        }
    }
}
