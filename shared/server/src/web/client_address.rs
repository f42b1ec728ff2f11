//! Where a request comes from. Whoever connects is believed to be who it is; what a header says is believed of proxies that the
//! operator named, and of nobody else.

mod forwarded;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Problem;
use super::layers::internal;

/// How many proxies may stand in a row; what is further away is not looked at.
const HOPS: usize = 32;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The network address of whoever sent the request, an IPv4 address never mapped into IPv6: an extractor, set by
/// [`layers`](super::layers).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of the peer or, if that is a trusted proxy, what it says.
    pub(super) fn of(request: &Request, proxies: &Proxies) -> Self {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        // Only a router that is not served by a listener lacks it.
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0.ip());
        Self(proxies.client(peer, request.headers()))
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a router without its layers lacks it.
        parts.extensions.get().copied().ok_or_else(internal)
    }
}

/// The proxies before a server. A section of the configuration.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxies {
    /// Those whose header is believed. Default none.
    pub trusted: Vec<Network>,
    /// The header that they write; any other is ignored. No default: one that they pass on is their clients' to write.
    pub header: Option<ForwardedBy>,
    /// Whether they end TLS, ask clients for certificates, and tell of them in `Client-Cert` and `Client-Cert-Chain` (RFC 9440), which they
    /// take off what clients send. Default no.
    pub client_certificates: bool,
}

/// Where proxies write who asked them.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardedBy {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

impl Proxies {
    /// Whether `address` is a trusted proxy.
    pub(super) fn trust(&self, address: IpAddr) -> bool {
        // Mapped or not, it is the same machine.
        let address = address.to_canonical();
        self.trusted
            .iter()
            .any(|Network(network)| network.contains(&address))
    }

    /// The nearest address that is not a trusted proxy's. Each proxy appends whom it was asked by, so the list is read from its end;
    /// what lies beyond the first hop that is no address may be anyone's invention.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut nearest = peer.to_canonical();
        let Some(header) = self.header.filter(|_| self.trust(nearest)) else {
            return nearest;
        };
        let name = match header {
            ForwardedBy::Forwarded => FORWARDED,
            ForwardedBy::XForwardedFor => X_FORWARDED_FOR,
        };
        // A byte that is no ASCII spoils its own element, not what a proxy wrote behind it.
        let lines = headers.get_all(name).into_iter().rev();
        let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
        let mut hops = 0;
        for line in lines {
            for hop in header.hops(&line) {
                hops += 1;
                let Some(address) = hop.filter(|_| hops <= HOPS) else {
                    return nearest;
                };
                nearest = address.to_canonical();
                if !self.trust(nearest) {
                    return nearest;
                }
            }
        }
        nearest
    }
}

impl ForwardedBy {
    /// The addresses of one header, the last first; `None` for what is none.
    fn hops(self, line: &str) -> impl Iterator<Item = Option<IpAddr>> {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let (before, last) = match self {
                Self::Forwarded => forwarded::last(rest?),
                Self::XForwardedFor => match rest?.rsplit_once(',') {
                    Some((before, last)) => (Some(before), last),
                    None => (None, rest?),
                },
            };
            rest = before;
            let last = last.trim_matches([' ', '\t']);
            Some(match self {
                Self::Forwarded => forwarded::address(last),
                Self::XForwardedFor => bare(last),
            })
        })
    }
}

/// No document says how `X-Forwarded-For` is written: an address, in brackets or not, with its port or not.
fn bare(raw: &str) -> Option<IpAddr> {
    raw.parse()
        .ok()
        .or_else(|| Some(raw.parse::<SocketAddr>().ok()?.ip()))
        .or_else(|| {
            let inside = raw.strip_prefix('[')?.strip_suffix(']')?;
            Some(IpAddr::V6(inside.parse().ok()?))
        })
}

/// An address, or a network such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network(IpNet);

/// Neither an address nor a network.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidNetwork {
    /// It cannot be read.
    #[error("not an address such as \"192.0.2.1\" or a network such as \"10.0.0.0/8\"")]
    Malformed,
    /// `10.0.0.1/8` may mean the one or the other.
    #[error(
        "an address and a network at once; write either the address, without /, or the network, with zeros behind its prefix"
    )]
    Host,
    /// Peers are compared as what they are.
    #[error("an IPv4 address inside IPv6; write it as IPv4")]
    Mapped,
    /// Trusting everyone is no choice.
    #[error("every address there is; name fewer")]
    Everyone,
}

impl Network {
    /// The network, or that of one address alone.
    #[must_use]
    pub fn net(&self) -> IpNet {
        self.0
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(raw: &str) -> Result<Self, InvalidNetwork> {
        let network = match raw.parse::<IpAddr>() {
            Ok(address) => IpNet::from(address),
            Err(_) => raw.parse().map_err(|_| InvalidNetwork::Malformed)?,
        };
        if network.addr() != network.network() {
            return Err(InvalidNetwork::Host);
        }
        if network.addr().to_canonical() != network.addr() {
            return Err(InvalidNetwork::Mapped);
        }
        if network.prefix_len() == 0 {
            return Err(InvalidNetwork::Everyone);
        }
        Ok(Self(network))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        raw.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
