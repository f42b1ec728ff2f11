//! URLs in client metadata: documents that we fetch, and pages that people are led to.

use std::str::FromStr;

use url::{Host, Url};

use super::written::{self, LONGEST, as_written};

/// An absolute https URL without user, or an http one of this very machine, which development alone fetches. Kept exactly as
/// written, because registration returns it so (RFC 7591 §3.2.1).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClientUrl {
    raw: Box<str>,
    url: Url,
}

/// Not a URL that client metadata may hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a URL in client metadata is absolute, https (http for loopback), without user, in at most {LONGEST} ASCII characters"
)]
pub struct InvalidClientUrl;

impl ClientUrl {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The same, in parts.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it is protected on its way.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it names a part of a document, which is never sent.
    #[must_use]
    pub fn has_fragment(&self) -> bool {
        self.url.fragment().is_some()
    }
}

impl FromStr for ClientUrl {
    type Err = InvalidClientUrl;

    fn from_str(raw: &str) -> Result<Self, InvalidClientUrl> {
        // The parser would let `https:host` and `https:///host` stand for the same.
        let authority = raw
            .strip_prefix("https://")
            .or_else(|| raw.strip_prefix("http://"))
            .is_some_and(|rest| !rest.starts_with('/'));
        if !authority {
            return Err(InvalidClientUrl);
        }
        let url = written::url(raw).ok_or(InvalidClientUrl)?;
        let loopback = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.port() != Some(0) && (url.scheme() == "https" || loopback) {
            let raw = raw.into();
            Ok(Self { raw, url })
        } else {
            Err(InvalidClientUrl)
        }
    }
}

as_written!(ClientUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_absolute_https_and_name_no_user() {
        let long = format!("https://client.example/{}", "a".repeat(LONGEST - 23));
        for (raw, good) in [
            ("https://client.example", true),
            ("https://client.example/keys?v=1", true),
            ("https://client.example:8443/keys", true),
            ("https://client.example/terms#privacy", true),
            ("http://localhost:8081/keys", true),
            ("http://127.0.0.1:8081/keys", true),
            ("http://[::1]:8081/keys", true),
            (&long, true),
            (&format!("{long}a"), false),
            ("", false),
            ("/keys", false),
            ("client.example/keys", false),
            ("http://client.example/keys", false),
            ("http://localhost.example/keys", false),
            ("HTTPS://client.example/keys", false),
            ("https:client.example/keys", false),
            ("https:///client.example/keys", false),
            ("https://user@client.example/keys", false),
            ("https://:secret@client.example/keys", false),
            ("https://client.example:0/keys", false),
            ("https://client.example\\@other.example/keys", false),
            ("https://client.example/ke ys", false),
            ("https://client.example/k\u{e4}ys", false),
            ("https://client.example/keys\n", false),
            ("javascript:alert(1)", false),
            ("data:application/json,{}", false),
            ("file:///etc/passwd", false),
        ] {
            let parsed = raw.parse::<ClientUrl>();
            assert_eq!(parsed.is_ok(), good, "{raw}");
            if let Ok(url) = parsed {
                assert_eq!(url.to_string(), raw);
            }
        }
    }
}
