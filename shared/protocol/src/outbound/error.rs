use std::error::Error;
use std::io;
use std::net::IpAddr;

use super::resolver::Refused;

/// Why a fetch gave no response. The text is for the operator: it names what happened and the mend, never the URL, so no
/// credential and no query string can be in it. Do not show it to strangers; addresses would tell them about our network.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FetchError {
    /// Neither https nor an http origin of this machine that the operator named.
    #[error(
        "the URL is not https; use https, or for development name its http origin on this machine in the configuration"
    )]
    NotHttps,
    /// The host is, or resolves to, an address that is not public.
    #[error(
        "{0} is not a public address; to reach a server on a private network, name its origin in the configuration"
    )]
    ForbiddenAddress(IpAddr),
    /// The URL holds a user name or a password.
    #[error(
        "the URL holds a user name or password; remove it and send credentials in a header field"
    )]
    UserInfo,
    /// The URL holds a fragment, which is never sent.
    #[error("the URL holds a fragment; remove `#` and what follows")]
    Fragment,
    /// The URL names port 0.
    #[error("the URL names port 0; name the port the server listens on")]
    PortZero,
    /// The URL is longer than 2048 bytes.
    #[error("the URL is longer than 2048 bytes; use a shorter one")]
    UrlTooLong,
    /// Not an absolute URL with a host.
    #[error("not an absolute URL with a host; write it out as https://host/path")]
    InvalidUrl,
    /// The host has no address.
    #[error(
        "the host's name did not resolve to an address; check the name, and the resolver of this machine"
    )]
    Dns,
    /// No connection to any address of the host.
    #[error(
        "could not connect: {0}; check that the server listens and that a firewall lets us out"
    )]
    Connect(String),
    /// The TLS handshake failed, or the certificate is not trusted.
    #[error(
        "TLS failed: {0}; check the server's certificate, or add its CA as an extra root in the configuration"
    )]
    Tls(String),
    /// The whole exchange took longer than the settings allow.
    #[error(
        "the server did not answer in full within the time-out; check that it is up and fast enough"
    )]
    Timeout,
    /// The response is a redirect (3xx), which is never followed.
    #[error(
        "the server answered with a redirect, and redirects are not followed; use the URL it points to"
    )]
    Redirect,
    /// The response body is larger than the settings allow.
    #[error(
        "the response body is larger than the bound; have the server send less, or raise the bound"
    )]
    TooLarge,
    /// What came back is not HTTP, breaks off, or has too many header fields.
    #[error(
        "the server did not answer in proper HTTP: {0}; check that the URL names an HTTP server"
    )]
    Protocol(String),
    /// The settings of a [`Fetcher`](super::Fetcher) make no sense.
    #[error("the fetcher's settings are wrong: {0}")]
    Settings(String),
}

impl FetchError {
    /// Finds the cause in what the HTTP library says, which holds the URL and so must not be kept whole.
    pub(super) fn from_client(error: &reqwest::Error) -> Self {
        for cause in causes(error) {
            if let Some(refused) = cause.downcast_ref::<Refused>() {
                return match refused {
                    Refused::Forbidden(address) => Self::ForbiddenAddress(*address),
                    Refused::NoAddress => Self::Dns,
                };
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls.to_string());
            }
        }
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_dns() {
            Self::Dns
        } else if error.is_connect() {
            Self::Connect(deepest(error))
        } else {
            Self::Protocol(deepest(error))
        }
    }
}

/// What the innermost cause says. The outermost holds the URL and is not asked.
pub(super) fn deepest(error: &reqwest::Error) -> String {
    causes(error)
        .last()
        .map_or_else(|| "no cause given".to_owned(), ToString::to_string)
}

/// The causes below `error`. `io::Error::source` skips the error it wraps, so that one is asked for by name.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| {
        let wrapped = cause
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|inner| inner as &(dyn Error + 'static));
        wrapped.or_else(|| cause.source())
    })
}
