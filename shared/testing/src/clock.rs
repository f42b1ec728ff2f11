//! A clock that tests move.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use shared_protocol::time::{Clock, Instant, SystemClock};

/// Runs with the system's clock, shifted by as much as a test asked for.
#[derive(Debug, Default)]
pub struct MovableClock {
    ahead: AtomicI64,
}

impl MovableClock {
    /// Lets `duration` pass.
    ///
    /// # Panics
    /// When `duration` is longer than 292 million years.
    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).expect("a test's time");
        self.ahead.fetch_add(millis, Ordering::SeqCst);
    }

    /// Puts the clock back.
    ///
    /// # Panics
    /// When `duration` is longer than 292 million years.
    pub fn put_back(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).expect("a test's time");
        self.ahead.fetch_sub(millis, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Instant {
        let real = SystemClock.now().as_millis();
        Instant::from_millis(real + self.ahead.load(Ordering::SeqCst))
    }
}

/// A clock that stands still.
#[derive(Clone, Copy, Debug)]
pub struct StoppedClock(pub Instant);

impl Clock for StoppedClock {
    fn now(&self) -> Instant {
        self.0
    }
}
