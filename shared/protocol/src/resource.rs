//! Identifiers of protected resources (RFC 8707 §2, RFC 9728 §1.2).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use url::Url;

use crate::issuer::Issuer;

/// The identifier of a resource server: an absolute URI without a fragment (RFC 8707 §2). Two that differ only in an empty path
/// are the same one; the text that was registered is what stands in `aud`.
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
        // Nothing else is normalized: identifiers are compared as text (RFC 7519 §2).
        let is_bare = url.as_str().strip_suffix('/') == Some(raw);
        let normal = if is_bare { url.as_str() } else { raw };
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

    /// The identifier with `/` for an empty path: the same for equal identifiers.
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
            "https://API.example",
            "https://api.example:443",
            "https://api.example/a/../",
            "https://api.example//",
        ] {
            assert_ne!(parse(other), parse("https://api.example"), "{other}");
        }
    }
}
