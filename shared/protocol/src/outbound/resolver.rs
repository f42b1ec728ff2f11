use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::is_reachable;

/// Look-ups of the system's resolver at one time. Each holds a thread, and a stranger's name server can make it last.
const MAX_LOOKUPS: usize = 64;

/// Addresses of one name that are tried. More would let one URL scan a network.
const MAX_ADDRESSES: usize = 16;

/// Which addresses a name may have.
#[derive(Clone, Debug)]
pub(super) enum Guard {
    /// Public ones, all of them, or of these networks.
    Reachable(Arc<[IpNet]>),
    /// Those of this machine.
    Loopback,
    /// Any: the operator named the origin. But `localhost` is this machine (RFC 6761 §6.3), so that http stays on it.
    Named,
}

impl Guard {
    fn admits(&self, name: &str, address: IpAddr) -> bool {
        match self {
            Self::Reachable(networks) => is_reachable(address, networks),
            Self::Loopback => address.is_loopback(),
            Self::Named => name != "localhost" || address.is_loopback(),
        }
    }
}

/// Why a resolver's answer was not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("{0} is forbidden")]
    Forbidden(IpAddr),
    #[error("no address")]
    NoAddress,
}

/// Stands between the HTTP library and a resolver. The library connects to what this returns and asks nobody else, so the
/// addresses judged are the addresses used.
pub(super) struct GuardedResolver {
    guard: Guard,
    inner: Arc<dyn Resolve>,
}

impl GuardedResolver {
    pub(super) fn new(guard: Guard, inner: Arc<dyn Resolve>) -> Self {
        Self { guard, inner }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.guard.clone();
        let host = name.as_str().to_owned();
        let resolving = self.inner.resolve(name);
        Box::pin(async move {
            let addresses: Vec<IpAddr> = resolving.await?.map(|address| address.ip()).collect();
            // One forbidden address condemns the name: a mixed answer is how rebinding starts.
            if let Some(&address) = addresses.iter().find(|&&a| !guard.admits(&host, a)) {
                return Err(Refused::Forbidden(address).into());
            }
            if addresses.is_empty() {
                return Err(Refused::NoAddress.into());
            }
            // Port 0 stands for the URL's port, so that no resolver chooses another.
            let sockets = addresses.into_iter().take(MAX_ADDRESSES);
            Ok(Box::new(sockets.map(|ip| SocketAddr::new(ip, 0))) as Addrs)
        })
    }
}

/// The system's resolver (`getaddrinfo`, with hosts file and search list), with a bound on look-ups at one time.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let lookups = self.lookups.clone();
        Box::pin(async move {
            let permit = lookups.acquire_owned().await?;
            let found = tokio::task::spawn_blocking(move || {
                // Held by the thread, not by the caller: a caller that gave up does not free the thread.
                let _permit = permit;
                (name.as_str(), 0).to_socket_addrs()
            });
            Ok(Box::new(found.await??) as Addrs)
        })
    }
}
