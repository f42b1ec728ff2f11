//! What userinfo told of people within the last second, for apps that ask with every click.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use shared_protocol::time::Instant;

use super::GrantId;
use crate::store::grants::GrantedPerson;

/// What changes of a person shows after so long at the latest. The end of a session or an account does not wait for it: both revoke
/// their grants.
const REMEMBERED: Duration = Duration::from_secs(1);

/// People by grant, with the instant at which they were read.
#[derive(Clone)]
pub struct Told(Cache<GrantId, (Arc<GrantedPerson>, Instant)>);

impl Default for Told {
    fn default() -> Self {
        Self(
            Cache::builder()
                .max_capacity(10_000)
                .time_to_live(REMEMBERED)
                .build(),
        )
    }
}

impl Told {
    pub(super) fn recall(&self, id: &GrantId, now: Instant) -> Option<Arc<GrantedPerson>> {
        let (person, read_at) = self.0.get(id)?;
        (read_at <= now && now.since(read_at) < REMEMBERED).then_some(person)
    }

    pub(super) fn remember(&self, id: &GrantId, person: &Arc<GrantedPerson>, now: Instant) {
        self.0.insert(id.clone(), (Arc::clone(person), now));
    }
}
