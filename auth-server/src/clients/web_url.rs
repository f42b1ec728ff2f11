//! Pages of clients: links for people, and where sign-ins may be asked for.

use std::str::FromStr;

use super::written::{self, as_written};

/// The URL of a page: https, or http, with a host and without a user. Kept exactly as written. A link to a script is none (threat 2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebUrl {
    raw: Box<str>,
    https: bool,
}

/// Not the URL of a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not the http or https URL of a page")]
pub struct InvalidWebUrl;

impl WebUrl {
    /// Whether it goes over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }
}

impl FromStr for WebUrl {
    type Err = InvalidWebUrl;

    fn from_str(raw: &str) -> Result<Self, InvalidWebUrl> {
        let url = written::url(raw).ok_or(InvalidWebUrl)?;
        let https = url.scheme() == "https";
        if url.has_host() && (https || url.scheme() == "http") {
            Ok(Self {
                raw: raw.into(),
                https,
            })
        } else {
            Err(InvalidWebUrl)
        }
    }
}

as_written!(WebUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_are_linked_to() {
        for (raw, valid) in [
            ("https://app.example/", true),
            ("https://app.example/terms?lang=de#top", true),
            ("http://app.example", true),
            ("http://[::1]:8080/", true),
            ("javascript:alert(1)", false),
            ("JavaScript://app.example/%0Aalert(1)", false),
            ("data:text/html,x", false),
            ("file:///etc/passwd", false),
            ("com.example.app:/page", false),
            ("https://user@app.example/", false),
            ("https://user:secret@app.example/", false),
            ("https://app.example/\u{e9}", false),
            ("https:\\\\app.example", false),
            ("//app.example", false),
            ("/page", false),
            ("", false),
        ] {
            assert_eq!(raw.parse::<WebUrl>().is_ok(), valid, "{raw:?}");
        }
        let long = format!("https://app.example/{}", "a".repeat(2048));
        assert!(long.parse::<WebUrl>().is_err());
    }
}
