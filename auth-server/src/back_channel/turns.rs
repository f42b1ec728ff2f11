//! How much one server is told at a time, by this node: many people may sign out at once, and whoever registers a client may name a
//! server that is not theirs (threat 38).

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use url::Url;

/// Of one server.
const AT_A_TIME: usize = 8;
/// Servers that are remembered.
const SERVERS: u64 = 10_000;

/// Turns by server.
#[derive(Clone)]
pub(super) struct Turns(Cache<String, Arc<Semaphore>>);

impl Turns {
    pub(super) fn new() -> Self {
        Self(Cache::new(SERVERS))
    }

    /// A turn at the server of `url`, if there is one before `end`.
    pub(super) async fn take(&self, url: &Url, end: Instant) -> Option<OwnedSemaphorePermit> {
        let server = url.origin().ascii_serialization();
        let turns = self
            .0
            .get_with(server, || Arc::new(Semaphore::new(AT_A_TIME)));
        timeout_at(end, turns.acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threat_38_a_server_is_told_so_much_at_a_time_whatever_its_paths() {
        let turns = Turns::new();
        let take = async |raw: &str| {
            let url = Url::parse(raw).unwrap();
            turns.take(&url, Instant::now()).await
        };
        let mut taken = Vec::new();
        for n in 0..AT_A_TIME {
            taken.push(take(&format!("https://app.example/{n}")).await);
        }
        assert!(taken.iter().all(Option::is_some));
        assert!(take("https://app.example:443/out").await.is_none());
        assert!(take("https://other.example/").await.is_some());
        taken.pop();
        assert!(take("https://app.example/out").await.is_some());
    }
}
