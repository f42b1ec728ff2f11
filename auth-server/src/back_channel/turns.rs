//! How much one server is told at a time, by this node: many people may sign out at once, and whoever registers a client may name a
//! server that is not theirs (threat 38).

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
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

    /// A turn at the server of `url`, if there is one now.
    pub(super) fn take(&self, url: &Url) -> Option<OwnedSemaphorePermit> {
        let server = url.origin().ascii_serialization();
        let turns = self
            .0
            .get_with(server, || Arc::new(Semaphore::new(AT_A_TIME)));
        turns.try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_38_a_server_is_told_so_much_at_a_time_whatever_its_paths() {
        let turns = Turns::new();
        let url = |raw: &str| Url::parse(raw).unwrap();
        let mut taken: Vec<_> = (0..AT_A_TIME)
            .map(|n| turns.take(&url(&format!("https://app.example/{n}"))))
            .collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(turns.take(&url("https://app.example:443/out")).is_none());
        assert!(turns.take(&url("https://other.example/")).is_some());
        taken.pop();
        assert!(turns.take(&url("https://app.example/out")).is_some());
    }
}
