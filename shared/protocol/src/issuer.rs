//! Issuer identifiers (RFC 8414 §2, RFC 9207 §2).

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// An issuer identifier: an https URL without query or fragment, compared character by character (RFC 8414 §3.3).
/// http is taken for a loopback host alone, for development.
#[derive(Clone, Debug)]
pub struct Issuer {
    raw: Box<str>,
    url: Url,
}

/// Not an issuer identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "an issuer is an https URL (http for localhost, 127.0.0.1 and [::1]) without user, query or fragment"
)]
pub struct InvalidIssuer;

impl Issuer {
    /// The identifier, exactly as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.raw
    }

    /// The identifier as a URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it is served over plain http, as only development may.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Its path without the terminating slash: empty for an issuer that is a bare origin.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path().trim_end_matches('/')
    }

    /// The address of an endpoint below this issuer; `path` begins with a slash.
    #[must_use]
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.raw.trim_end_matches('/'))
    }

    /// Where its metadata is: the well-known path stands between host and path (RFC 8414 §3.1).
    #[must_use]
    pub fn metadata_url(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!(
            "/.well-known/oauth-authorization-server{}",
            self.path()
        ));
        url
    }
}

/// Whether `url` is http to this machine: the one place where https may be missing (RFC 8252 §8.3).
pub(crate) fn is_loopback_http(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

impl FromStr for Issuer {
    type Err = InvalidIssuer;

    fn from_str(raw: &str) -> Result<Self, InvalidIssuer> {
        let url = Url::parse(raw).map_err(|_| InvalidIssuer)?;
        let bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        // What the parser would change (case, default port, dots) would make the comparison of RFC 8414 §3.3 fail later.
        let unchanged = url.as_str() == raw || url.as_str().strip_suffix('/') == Some(raw);
        let secure = url.scheme() == "https" || is_loopback_http(&url);
        if raw.len() <= 2048 && bare && unchanged && secure {
            Ok(Self {
                raw: raw.into(),
                url,
            })
        } else {
            Err(InvalidIssuer)
        }
    }
}

impl PartialEq for Issuer {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Issuer {}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

crate::text::serde_as_text!(Issuer, InvalidIssuer);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8414_2_what_is_an_issuer() {
        for (raw, valid) in [
            ("https://as.example", true),
            ("https://as.example/tenant", true),
            ("https://as.example:8443/", true),
            ("http://localhost:8000", true),
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://as.example", false),
            ("http://localhost.example", false),
            ("https://as.example?x", false),
            ("https://as.example#x", false),
            ("https://user@as.example", false),
            ("https://AS.example", false),
            ("https://as.example:443", false),
            ("https://as.example/a/../b", false),
            ("ftp://as.example", false),
            ("as.example", false),
            ("", false),
        ] {
            assert_eq!(raw.parse::<Issuer>().is_ok(), valid, "{raw}");
        }
    }

    #[test]
    fn rfc8414_3_1_well_known_path_insertion() {
        for (issuer, expected) in [
            (
                "https://as.example",
                "https://as.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.example/",
                "https://as.example/.well-known/oauth-authorization-server",
            ),
            (
                "https://as.example/t/1",
                "https://as.example/.well-known/oauth-authorization-server/t/1",
            ),
            (
                "https://as.example/t/",
                "https://as.example/.well-known/oauth-authorization-server/t",
            ),
        ] {
            assert_eq!(
                issuer.parse::<Issuer>().unwrap().metadata_url().as_str(),
                expected
            );
        }
    }
}
