//! Nodes say for how long they sign with what, so that all know when the last one has stopped: nodes need not have one configuration,
//! and the one that stops may be the one that is taken away.

use std::time::Duration;

use shared_protocol::time::Instant;

use super::{CHANGE_KIND, Keys, KeysError};
use crate::store::{changes, keys};

/// For how long it is said at a time. A key is published for so much longer than its last token lives, at most.
pub(super) const SAID_FOR: Duration = Duration::from_mins(10);
/// It is said again when less than this is left: a node that cannot write for so long still signs within what it said.
const SAID_AGAIN: Duration = Duration::from_mins(5);

impl Keys {
    /// Says that this node signs with what is configured, unless that was said a moment ago by any node. For whoever serves, now and
    /// then. An algorithm that had been taken out signs again with its old key where verifiers still know that one.
    ///
    /// # Errors
    /// [`KeysError::Database`].
    pub async fn sign_on(&self, now: Instant) -> Result<(), KeysError> {
        let settings = &self.0.settings;
        let when = (settings.publish_ahead, now + SAID_AGAIN);
        let ring = self.ring();
        let to_say = ring.schedule().to_say(&settings.algorithms, when, now);
        if to_say.is_empty() {
            return Ok(());
        }
        self.0
            .store
            .transaction(async |conn| {
                let schedule = self.locked_schedule(conn).await?;
                for key in schedule.to_say(&settings.algorithms, when, now) {
                    keys::sign_until(conn, key.kid.as_str(), now + SAID_FOR).await?;
                    if schedule.is_stopped(key, now) {
                        changes::record(conn, CHANGE_KIND, key.kid.as_str(), now).await?;
                    }
                }
                Ok::<_, KeysError>(())
            })
            .await?;
        self.reload().await
    }
}
