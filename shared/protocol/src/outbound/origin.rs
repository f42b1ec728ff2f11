use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::{Host, Url};

use super::FetchError;

/// Scheme, host and port of a server the operator named, such as a trusted issuer. Its address may be private; an http one
/// must be this machine: `localhost`, 127.0.0.0/8 or `[::1]`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

impl TryFrom<&Url> for Origin {
    type Error = FetchError;

    /// The origin of `url`; its path and query do not matter.
    ///
    /// # Errors
    ///
    /// [`FetchError::NotHttps`], [`FetchError::UserInfo`], [`FetchError::PortZero`].
    fn try_from(url: &Url) -> Result<Self, FetchError> {
        let (host, port) = web_authority(url)?;
        let https = url.scheme() == "https";
        if !https && !is_loopback(&host) {
            return Err(FetchError::NotHttps);
        }
        Ok(Self {
            https,
            host: host.to_owned(),
            port,
        })
    }
}

impl FromStr for Origin {
    type Err = FetchError;

    /// An origin as it is written in a configuration: nothing behind host and port.
    fn from_str(raw: &str) -> Result<Self, FetchError> {
        let url = Url::parse(raw).map_err(|_| FetchError::InvalidUrl)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if bare {
            Self::try_from(&url)
        } else {
            Err(FetchError::InvalidUrl)
        }
    }
}

crate::text::serde_as_text!(Origin, FetchError);

impl Origin {
    /// Whether it is https, and not plain http to this machine.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether `url`, whose port is `port`, has exactly this scheme, host and port.
    pub(super) fn is_of(&self, url: &Url, port: u16) -> bool {
        let scheme = if self.https { "https" } else { "http" };
        url.scheme() == scheme
            && url.host().is_some_and(|host| host == self.host)
            && port == self.port
    }
}

impl fmt::Display for Origin {
    /// The URL of the server, with its port: `https://issuer.example:443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Host and port of an http or https URL that has no userinfo.
pub(super) fn web_authority(url: &Url) -> Result<(Host<&str>, u16), FetchError> {
    if !matches!(url.scheme(), "https" | "http") {
        return Err(FetchError::NotHttps);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::UserInfo);
    }
    match (url.host(), url.port_or_known_default()) {
        (Some(_), Some(0)) => Err(FetchError::PortZero),
        (Some(host), Some(port)) => Ok((host, port)),
        (None, _) | (_, None) => Err(FetchError::InvalidUrl),
    }
}

/// Whether a host is this machine by its very name.
pub(super) fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => Ipv4Addr::is_loopback(address),
        Host::Ipv6(address) => Ipv6Addr::is_loopback(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Result<Origin, FetchError> {
        Origin::try_from(&Url::parse(url).unwrap())
    }

    #[test]
    fn http_is_for_this_machine_alone() {
        for (url, expected) in [
            (
                "https://issuer.example/tenant?x",
                Ok("https://issuer.example:443"),
            ),
            ("https://10.0.0.1:8443", Ok("https://10.0.0.1:8443")),
            ("http://localhost:8000", Ok("http://localhost:8000")),
            ("http://127.9.8.7", Ok("http://127.9.8.7:80")),
            ("http://[::1]:8000", Ok("http://[::1]:8000")),
            ("http://LOCALHOST", Ok("http://localhost:80")),
            ("http://localhost.", Err(FetchError::NotHttps)),
            ("http://app.localhost", Err(FetchError::NotHttps)),
            ("http://localhost.example", Err(FetchError::NotHttps)),
            ("http://128.0.0.1", Err(FetchError::NotHttps)),
            ("http://[::2]", Err(FetchError::NotHttps)),
            ("http://[::ffff:127.0.0.1]", Err(FetchError::NotHttps)),
            ("http://issuer.example", Err(FetchError::NotHttps)),
            ("ftp://localhost", Err(FetchError::NotHttps)),
            ("file:///etc/passwd", Err(FetchError::NotHttps)),
            ("https://user@issuer.example", Err(FetchError::UserInfo)),
            ("https://:secret@issuer.example", Err(FetchError::UserInfo)),
            ("https://issuer.example:0", Err(FetchError::PortZero)),
        ] {
            let made = origin(url).map(|origin| origin.to_string());
            assert_eq!(made.as_deref(), expected.as_ref().copied(), "{url}");
        }
    }
}
