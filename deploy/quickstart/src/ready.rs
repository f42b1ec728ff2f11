//! Whether both servers answer, asked as a client would ask.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use shared_protocol::outbound::{Fetcher, FetcherSettings, Origin};
use tokio::time::{sleep, timeout};
use url::Url;

const PAUSE: Duration = Duration::from_millis(50);

/// Waits until the servers at these addresses say that they can serve.
///
/// # Errors
/// Which one did not within `patience`.
pub(crate) async fn both(servers: [&[SocketAddr]; 2], patience: Duration) -> anyhow::Result<()> {
    for address in servers.into_iter().filter_map(<[_]>::first) {
        let url: Url = format!("http://{}/health/ready", here(*address)).parse()?;
        timeout(patience, answered(&url))
            .await
            .with_context(|| format!("{url} did not answer within {} s", patience.as_secs()))??;
    }
    Ok(())
}

async fn answered(url: &Url) -> anyhow::Result<()> {
    let fetcher = Fetcher::new(FetcherSettings {
        allowed: [Origin::try_from(url)?].into_iter().collect(),
        ..FetcherSettings::default()
    })?;
    loop {
        match fetcher.get(url, "*/*").await {
            Ok(answer) if answer.status.is_success() => return Ok(()),
            Ok(_) | Err(_) => sleep(PAUSE).await,
        }
    }
}

/// An address that listens everywhere is asked on this machine.
fn here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
