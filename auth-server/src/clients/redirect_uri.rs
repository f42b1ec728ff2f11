//! Redirect URIs as clients register them (RFC 6749 §3.1.2, RFC 8252 §7).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A registered redirect URI: absolute, without fragment and user; https, http, or a private-use scheme with a period in its name
/// (RFC 8252 §7.1). Kept exactly as written, because it is compared exactly.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RedirectUri {
    raw: Box<str>,
    url: Url,
}

/// Not a redirect URI that a client may register (RFC 7591 §3.2.2, `invalid_redirect_uri`).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a redirect URI is absolute, without fragment or user: https, http to loopback, or a private-use scheme with a period"
)]
pub struct InvalidRedirectUri;

impl RedirectUri {
    /// Whether it goes over plain http.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it leads to this very machine: `127.0.0.1`, `[::1]` or `localhost` (RFC 8252 §7.3, §8.3).
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }
}

impl FromStr for RedirectUri {
    type Err = InvalidRedirectUri;

    fn from_str(raw: &str) -> Result<Self, InvalidRedirectUri> {
        let printable = raw.len() <= 2048
            && raw
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        let url = Url::parse(raw).map_err(|_| InvalidRedirectUri)?;
        let scheme = match url.scheme() {
            "https" | "http" => url.has_host(),
            private => private.contains('.'),
        };
        let bare =
            url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        if printable && scheme && bare {
            Ok(Self {
                raw: raw.into(),
                url,
            })
        } else {
            Err(InvalidRedirectUri)
        }
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl Serialize for RedirectUri {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RedirectUri {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc6749_3_1_2_and_rfc8252_7_what_may_be_registered() {
        for (raw, valid) in [
            ("https://app.example/cb", true),
            ("https://app.example/cb?x=1", true),
            ("http://127.0.0.1/callback", true),
            ("com.example.app:/cb", true),
            ("https://app.example/cb#x", false),
            ("https://app.example/cb#", false),
            ("https://user@app.example/cb", false),
            ("https://app.example\\@evil.example/cb", false),
            ("javascript:alert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("myapp:/cb", false),
            ("/cb", false),
            ("https://", false),
            ("https://app.example/c b", false),
            ("", false),
        ] {
            assert_eq!(raw.parse::<RedirectUri>().is_ok(), valid, "{raw}");
        }
    }
}
