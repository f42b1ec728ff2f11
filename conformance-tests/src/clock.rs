//! The one place of this crate that reads the time, and waits.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the time comes from: the system, or a clock that the owner of the server under test moves.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    advance: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
}

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
        Self {
            now: Arc::new(since_epoch),
            advance: None,
        }
    }

    /// The same clock, which `advance` moves on where a check has to wait: no longer than a device between two polls
    /// (RFC 8628 §3.5).
    #[must_use]
    pub fn moved_by(self, advance: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self {
            advance: Some(Arc::new(advance)),
            ..self
        }
    }

    /// The time since 1970-01-01T00:00:00Z.
    pub(crate) fn now(&self) -> Duration {
        (self.now)()
    }

    /// Ends when that much time has passed on it.
    pub(crate) async fn wait(&self, time: Duration) {
        match &self.advance {
            Some(advance) => advance(time),
            None => tokio::time::sleep(time).await,
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
