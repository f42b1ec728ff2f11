//! Redirect URIs as clients register them (RFC 6749 §3.1.2, RFC 8252 §7).

use std::str::FromStr;

use shared_server::web::WebOrigin;
use url::{Host, Url};

use super::written::{self, as_written};

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

    /// Whether any program on a person's device may be behind it: a loopback or a private-use redirect (RFC 8252 §8.6).
    #[must_use]
    pub fn is_on_device(&self) -> bool {
        self.is_loopback() || self.is_private_use()
    }

    /// Whether its scheme is an app's own (RFC 8252 §7.1).
    #[must_use]
    pub fn is_private_use(&self) -> bool {
        !matches!(self.url.scheme(), "https" | "http")
    }

    /// The host that it leads to, unless that is the person's own device, which is everybody's.
    #[must_use]
    pub fn own_host(&self) -> Option<&str> {
        self.url.host_str().filter(|_| !self.is_on_device())
    }

    /// The origin of the page that it leads to. An app on a device that listens to loopback is no page: its redirect names no port,
    /// for that varies (RFC 8252 §7.3). One that names it may be an app in the making, and counts on that port alone.
    #[must_use]
    pub fn origin(&self) -> Option<WebOrigin> {
        WebOrigin::of(&self.url).filter(|_| !self.is_loopback() || self.url.port().is_some())
    }
}

impl RedirectUri {
    /// Proof that `requested` is this URI: character by character (RFC 9700 §2.1).
    #[must_use]
    pub fn exactly(&self, requested: &str) -> Option<VerifiedRedirectUri> {
        (*self.raw == *requested).then(|| VerifiedRedirectUri {
            uri: self.clone(),
            named: true,
        })
    }

    /// Proof that `requested` is this loopback redirect with a port of its own choice (RFC 8252 §7.3). The three names of
    /// loopback never stand for one another, and everything but the port is compared character by character.
    #[must_use]
    pub fn on_any_port(
        &self,
        requested: &str,
        localhost_port_varies: bool,
    ) -> Option<VerifiedRedirectUri> {
        let registered = Loopback::parse(&self.raw)?;
        let asked = Loopback::parse(requested)?;
        let varies = registered.host != LOCALHOST || localhost_port_varies;
        if !varies || registered != asked {
            return None;
        }
        let uri = requested.parse().ok()?;
        Some(VerifiedRedirectUri { uri, named: true })
    }

    /// This URI for a request that names none.
    #[must_use]
    pub(super) fn unnamed(&self) -> VerifiedRedirectUri {
        VerifiedRedirectUri {
            uri: self.clone(),
            named: false,
        }
    }
}

const LOCALHOST: &str = "localhost";

/// A loopback redirect without its port.
#[derive(Eq, PartialEq)]
struct Loopback<'a> {
    host: &'a str,
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    /// Cut up as text: a parser of URLs would let more than one writing stand for the same.
    fn parse(raw: &'a str) -> Option<Self> {
        let after_scheme = raw.strip_prefix("http://")?;
        let (host, after_host) = ["127.0.0.1", "[::1]", LOCALHOST]
            .into_iter()
            .find_map(|host| Some((host, after_scheme.strip_prefix(host)?)))?;
        let rest = match after_host.strip_prefix(':') {
            None => after_host,
            Some(after_colon) => {
                let end = after_colon.find(['/', '?']).unwrap_or(after_colon.len());
                let (port, rest) = after_colon.split_at(end);
                let number: u16 = port.parse().ok().filter(|port| *port != 0)?;
                if number.to_string() != port {
                    return None;
                }
                rest
            }
        };
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(Self { host, rest })
    }
}

/// A redirect URI that the client of the request registered: the only kind that a browser is ever sent to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedRedirectUri {
    uri: RedirectUri,
    named: bool,
}

impl VerifiedRedirectUri {
    /// The URI, exactly as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri.raw
    }

    /// Whether the request named it: then the token request must as well (RFC 6749 §4.1.3).
    #[must_use]
    pub fn was_named(&self) -> bool {
        self.named
    }

    /// Whether any program on the person's device may be behind it: a loopback or a private-use redirect (RFC 8252 §8.6).
    #[must_use]
    pub fn is_on_device(&self) -> bool {
        self.uri.is_on_device()
    }

    /// Where it leads, for people: a host, with its port if it has one, or the name of a private-use scheme.
    #[must_use]
    pub fn host(&self) -> String {
        match (self.uri.url.host_str(), self.uri.url.port()) {
            (Some(host), Some(port)) if !host.is_empty() => format!("{host}:{port}"),
            (Some(host), None) if !host.is_empty() => host.to_owned(),
            _ => self.uri.url.scheme().to_owned(),
        }
    }
}

impl FromStr for RedirectUri {
    type Err = InvalidRedirectUri;

    fn from_str(raw: &str) -> Result<Self, InvalidRedirectUri> {
        let url = written::url(raw).ok_or(InvalidRedirectUri)?;
        let scheme = match url.scheme() {
            "https" | "http" => url.has_host(),
            private => private.contains('.'),
        };
        if scheme && url.fragment().is_none() {
            Ok(Self {
                raw: raw.into(),
                url,
            })
        } else {
            Err(InvalidRedirectUri)
        }
    }
}

as_written!(RedirectUri);

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use proptest::test_runner::TestRunner;

    use super::*;

    fn matches(registered: &str, requested: &str, localhost_port_varies: bool) -> bool {
        let registered: RedirectUri = registered.parse().unwrap();
        registered.exactly(requested).is_some()
            || registered
                .on_any_port(requested, localhost_port_varies)
                .is_some()
    }

    #[test]
    fn rfc8252_7_3_only_the_port_of_a_loopback_redirect_varies() {
        for (registered, requested, matching) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb", true),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1:51004/cb", true),
            ("http://127.0.0.1:1/cb", "http://127.0.0.1/cb", true),
            ("http://[::1]/cb", "http://[::1]:51004/cb", true),
            ("http://localhost/cb", "http://localhost:51004/cb", true),
            ("http://127.0.0.1/cb?x=1", "http://127.0.0.1:9/cb?x=1", true),
            ("http://127.0.0.1?x=1", "http://127.0.0.1:9?x=1", true),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:080/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+80/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1:80@evil.example/cb",
                false,
            ),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80#/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80\\/cb", false),
            (
                "http://127.0.0.1/cb",
                "http://127.0.0.1.evil.example/cb",
                false,
            ),
            ("http://127.0.0.1/cb", "https://127.0.0.1:80/cb", false),
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
            ("http://127.0.0.1/cb", "http://[::1]/cb", false),
            ("http://127.0.0.1/cb", "http://127.1/cb", false),
            ("http://127.0.0.1/cb", "http://2130706433/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.2:80/cb", false),
            ("http://127.0.0.2/cb", "http://127.0.0.2:80/cb", false),
            ("http://localhost/cb", "http://127.0.0.1/cb", false),
            ("http://localhost/cb", "http://localhost./cb", false),
            ("http://localhost/cb", "http://LOCALHOST:1/cb", false),
            (
                "http://localhost/cb",
                "http://localhost.evil.example/cb",
                false,
            ),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80/cb/", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:80/cb?x", false),
            (
                "https://app.example/cb",
                "https://app.example:8443/cb",
                false,
            ),
            (
                "https://app.example/cb",
                "https://app.example:443/cb",
                false,
            ),
        ] {
            assert_eq!(
                matches(registered, requested, true),
                matching,
                "{requested} for {registered}"
            );
        }
        assert!(!matches(
            "http://localhost/cb",
            "http://localhost:1/cb",
            false
        ));
        assert!(matches(
            "http://127.0.0.1/cb",
            "http://127.0.0.1:1/cb",
            false
        ));
    }

    #[test]
    fn fetch_3_3_a_redirect_uri_has_the_origin_of_its_page() {
        for (registered, origin) in [
            ("https://app.example/cb?x=1", Some("https://app.example")),
            ("https://APP.example:443/cb", Some("https://app.example")),
            ("https://app.example:8443", Some("https://app.example:8443")),
            ("https://app.example./cb", Some("https://app.example.")),
            ("https://[2001:DB8::1]/cb", Some("https://[2001:db8::1]")),
            ("http://localhost:5173/cb", Some("http://localhost:5173")),
            ("http://127.0.0.1/cb", None),
            ("http://[::1]/cb", None),
            ("http://localhost/cb", None),
            ("com.example.app:/cb", None),
            ("com.example.app://host/cb", None),
        ] {
            let uri: RedirectUri = registered.parse().unwrap();
            let found = uri.origin();
            assert_eq!(
                found.as_ref().map(WebOrigin::as_str),
                origin,
                "{registered}"
            );
        }
    }

    /// Every way to write a URI a little differently that has fooled a server.
    fn mutations(registered: &str) -> Vec<String> {
        let (scheme, rest) = registered.split_once("://").unwrap_or(("", registered));
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = |host: &str| format!("{scheme}://{host}/{path}");
        let mut all = vec![
            authority(&format!("{host}.evil.example")),
            authority(&format!("evil.example.{host}")),
            authority(&format!("evil{host}")),
            authority(&format!("{host}@evil.example")),
            authority(&format!("user@{host}")),
            authority(&format!("user:password@{host}")),
            authority(&format!("{host}.")),
            authority(&format!("{host}:")),
            authority(&format!("{host}\\@evil.example")),
            authority(&format!("evil.example\\.{host}")),
            authority(&format!("evil.example#@{host}")),
            authority(&format!("evil.example?.{host}")),
            authority(&format!("{host}%2eevil.example")),
            authority(&host.replace('.', "%2e")),
            authority(&host.replace('.', "\u{3002}")),
            authority(&host.replacen('.', "x", 1)),
            format!("{registered}#"),
            format!("{registered}#x"),
            format!("{registered}?"),
            format!("{registered}?x=1"),
            format!("{registered}&x=1"),
            format!("{registered}/"),
            format!("{registered}/.."),
            format!("{registered}/../cb"),
            format!("{registered}/./"),
            format!("{registered}%00"),
            format!("{registered}%2f.."),
            format!("{registered}\0"),
            format!("{registered} "),
            format!(" {registered}"),
            format!("{registered}\n"),
            format!("\t{registered}"),
            format!("{registered};x"),
            format!("{registered}x"),
            format!("//{rest}"),
            format!("javascript://{rest}"),
            format!("data://{rest}"),
            registered.to_uppercase(),
            registered.replacen("http", "Http", 1),
            registered.replacen("://", ":/", 1),
            registered.replacen("://", ":///", 1),
            registered.replacen("://", ":\\\\", 1),
            registered.replace("/cb", "//cb"),
            registered.replace("/cb", "/x/../cb"),
            registered.replace("/cb", "/%63b"),
            registered.replace("/cb", "\\cb"),
            registered.replace("/cb", "/CB"),
        ];
        all.retain(|mutation| mutation != registered);
        all
    }

    proptest! {
        #[test]
        fn threat_1_no_mutation_of_a_registered_uri_matches(
            scheme in "https?", host in "(127\\.0\\.0\\.1|localhost|\\[::1\\]|[a-z]{1,8}\\.example)",
            port in proptest::option::of(1_u16..), other in 1_u16.., path in "(/[a-z]{0,4}){0,2}/cb",
        ) {
            let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
            let registered = format!("{scheme}://{host}{port_text}{path}");
            prop_assert!(matches(&registered, &registered, true));
            for mutation in mutations(&registered) {
                prop_assert!(!matches(&registered, &mutation, true), "{} for {}", mutation, registered);
            }
            let moved = format!("{scheme}://{host}:{other}{path}");
            let loopback = scheme == "http" && !host.ends_with(".example");
            prop_assert_eq!(matches(&registered, &moved, true), loopback || moved == registered, "{} for {}", moved, registered);
        }
    }

    #[test]
    fn threat_1_what_matches_differs_in_the_port_alone() {
        let host = r"(127\.0\.0\.1|localhost|\[::1\])";
        let requested = format!("http://{host}(:[0-9]{{0,6}})?[ -~]{{0,2}}/cb[ -~]{{0,1}}");
        let requested = proptest::string::string_regex(&requested).unwrap();
        let (matched, refused) = (Cell::new(0), Cell::new(0));
        let run = TestRunner::default().run(&requested, |requested| {
            for registered in [
                "http://127.0.0.1/cb",
                "http://[::1]/cb",
                "http://localhost/cb",
            ] {
                if !matches(registered, &requested, true) {
                    refused.set(refused.get() + 1);
                    continue;
                }
                matched.set(matched.get() + 1);
                let host = registered.strip_suffix("/cb").unwrap();
                let after = requested.strip_prefix(host).unwrap();
                let port = after.strip_suffix("/cb").unwrap();
                let digits = port.strip_prefix(':').unwrap_or_default();
                prop_assert!(port.is_empty() || digits.parse::<u16>().is_ok());
            }
            Ok(())
        });
        run.unwrap();
        assert!(matched.get() > 0 && refused.get() > 0, "both were seen");
    }

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
