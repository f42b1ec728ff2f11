//! Identifiers of protected resources (RFC 8707 §2, RFC 9728 §1.2).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::str::FromStr;

use url::Url;

use crate::issuer::Issuer;

/// The identifier of a resource server: an absolute URI without a fragment (RFC 8707 §2). Two that differ only in an empty path, or in
/// capitals of scheme and host, are the same one; the text that was registered is what stands in `aud`.
#[derive(Clone, Debug)]
pub struct ResourceId {
    raw: Box<str>,
    normal: Box<str>,
    url: Url,
}

/// Not an absolute URI of at most 2048 bytes without a fragment.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a resource is an absolute URI of at most 2048 bytes without a fragment")]
pub struct InvalidResourceId;

impl ResourceId {
    fn new(raw: &str, url: Url) -> Self {
        // RFC 3986 §6.2.2.1. Nothing else is normalized: identifiers are compared as text (RFC 7519 §2).
        let mut normal = raw.to_owned();
        let (scheme, host) = parts_without_case(raw);
        for part in [scheme, host] {
            if let Some(part) = normal.get_mut(part) {
                part.make_ascii_lowercase();
            }
        }
        if url.as_str().strip_suffix('/') == Some(&*normal) {
            normal.push('/');
        }
        Self {
            raw: raw.into(),
            normal: normal.into(),
            url,
        }
    }

    /// The identifier as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The identifier with `/` for an empty path, and scheme and host in lower case: the same for equal identifiers.
    #[must_use]
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// The identifier as a URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }
}

/// Where the scheme of a URI stands, and its host with the port, if it has one.
fn parts_without_case(uri: &str) -> (Range<usize>, Range<usize>) {
    let scheme = uri.find(':').unwrap_or_default();
    let Some(rest) = uri.get(scheme..).and_then(|rest| rest.strip_prefix("://")) else {
        return (0..scheme, 0..0);
    };
    let begin = uri.len() - rest.len();
    let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or_default();
    // What stands before the host is somebody's name and password.
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    (0..scheme, begin + user..begin + authority.len())
}

impl FromStr for ResourceId {
    type Err = InvalidResourceId;

    fn from_str(raw: &str) -> Result<Self, InvalidResourceId> {
        let printable = raw.len() <= 2048 && raw.bytes().all(|byte| byte.is_ascii_graphic());
        match Url::parse(raw) {
            Ok(url) if printable && url.fragment().is_none() => Ok(Self::new(raw, url)),
            _ => Err(InvalidResourceId),
        }
    }
}

/// An authorization server as the audience of tokens (RFC 9068 §3): an issuer is an absolute URI without a fragment.
impl From<&Issuer> for ResourceId {
    fn from(issuer: &Issuer) -> Self {
        Self::new(issuer.as_str(), issuer.url().clone())
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl Eq for ResourceId {}

impl Hash for ResourceId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normal.hash(state);
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

crate::text::serde_as_text!(ResourceId, InvalidResourceId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8707_2_absolute_uris_without_fragment() {
        for (raw, valid) in [
            ("https://api.example", true),
            ("https://api.example/v1?x=1", true),
            ("urn:example:api", true),
            ("https://api.example/#x", false),
            ("https://api.example/#", false),
            ("/v1", false),
            ("", false),
            ("https://api.example/\u{e4}", false),
            ("https://api.example/a b", false),
        ] {
            assert_eq!(raw.parse::<ResourceId>().is_ok(), valid, "{raw}");
        }
        let parse = |raw: &str| raw.parse::<ResourceId>().unwrap();
        assert_eq!(parse("https://api.example"), parse("https://api.example/"));
        assert_ne!(
            parse("https://api.example/a"),
            parse("https://api.example/a/")
        );
        assert_eq!(parse("https://api.example").as_str(), "https://api.example");
        for other in [
            "https://api.example:443",
            "https://api.example/a/../",
            "https://api.example//",
            "https:api.example",
            "https:/api.example",
            "https://api.example.",
        ] {
            assert_ne!(parse(other), parse("https://api.example"), "{other}");
        }
    }

    #[test]
    fn rfc3986_6_2_2_1_scheme_and_host_have_no_case() {
        let parse = |raw: &str| raw.parse::<ResourceId>().unwrap();
        for (one, other, normal) in [
            (
                "https://api.example",
                "HTTPS://API.Example",
                "https://api.example/",
            ),
            (
                "https://api.example/a",
                "Https://API.example/a",
                "https://api.example/a",
            ),
            (
                "https://api.example?a=B",
                "https://API.example?a=B",
                "https://api.example?a=B",
            ),
            (
                "http://[::a]:8080/A",
                "http://[::A]:8080/A",
                "http://[::a]:8080/A",
            ),
            (
                "https://Me@api.example/",
                "https://Me@API.example/",
                "https://Me@api.example/",
            ),
            ("urn:example:API", "URN:example:API", "urn:example:API"),
        ] {
            assert_eq!(parse(one), parse(other), "{one}");
            assert_eq!(parse(other).normal(), normal);
            assert_eq!(parse(other).as_str(), other, "as it was written");
        }
        for (one, other) in [
            ("https://api.example/a", "https://api.example/A"),
            ("https://api.example/?a", "https://api.example/?A"),
            ("https://me@api.example/", "https://Me@api.example/"),
            ("urn:example:api", "urn:Example:api"),
        ] {
            assert_ne!(parse(one), parse(other), "{one}");
        }
    }
}
