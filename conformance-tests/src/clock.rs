//! The one place of this crate that reads the time.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time comes from: the system, or a clock that the owner of the server under test moves.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            #[expect(
                clippy::disallowed_methods,
                reason = "this is the Clock that everything else is handed"
            )]
            let now = SystemTime::now();
            now.duration_since(UNIX_EPOCH).unwrap_or_default()
        })
    }

    /// A clock that answers what `since_epoch` answers: the time since 1970-01-01T00:00:00Z.
    pub fn new(since_epoch: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(since_epoch))
    }

    /// The time since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
