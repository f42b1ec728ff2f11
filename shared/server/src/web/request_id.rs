//! One name for one request, in its response, its problem and every line it logs.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use shared_protocol::random::{Random, alphanumeric};

/// The header that carries it, both ways.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// 8 to 64 characters of `[A-Za-z0-9_-]`. An extension of every request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The one the client sent, if it is well-formed and the only one; else a new one of 22 characters.
    pub(super) fn of(headers: &HeaderMap, random: &dyn Random) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if well_formed(id.as_bytes()) => Self(id.clone()),
            _ => Self(
                HeaderValue::try_from(alphanumeric(22, random))
                    .expect("letters and digits make a header value"),
            ),
        }
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made of letters, digits, `_` and `-`, so never the default.
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn well_formed(raw: &[u8]) -> bool {
    (8..=64).contains(&raw.len())
        && raw
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use shared_protocol::random::SystemRandom;

    use super::*;

    #[test]
    fn only_one_well_formed_id_is_taken_over() {
        let longest = "x".repeat(64);
        for (what, sent, taken) in [
            (
                "a UUID",
                &["6a57dbc4-0e57-4f5c-8ee1-0c0a4b9a5d7e"][..],
                true,
            ),
            ("the shortest", &["abcd_123"], true),
            ("the longest", &[longest.as_str()], true),
            ("none", &[], false),
            ("empty", &[""], false),
            ("too short", &["abcd123"], false),
            ("too long", &[&format!("{longest}x")], false),
            ("a space", &["abcd 1234"], false),
            ("a tab", &["abcd\t1234"], false),
            ("a quote", &["abcd\"1234"], false),
            ("markup", &["<b>bold</b>"], false),
            ("no ASCII", &["ünïcödé1"], false),
            ("two", &["abcd1234", "abcd1234"], false),
        ] {
            let mut headers = HeaderMap::new();
            for id in sent {
                headers.append(
                    X_REQUEST_ID,
                    HeaderValue::from_bytes(id.as_bytes()).unwrap(),
                );
            }
            let id = RequestId::of(&headers, &SystemRandom);
            assert_eq!(sent.contains(&id.as_str()), taken, "{what}");
            assert!(well_formed(id.as_str().as_bytes()), "{what}");
        }
    }
}
