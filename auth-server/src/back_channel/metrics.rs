//! What is measured of sign-outs that clients are told of.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use shared_server::telemetry::{gauges, number};
use tokio::time::Instant;

use super::Told;

/// One node at a time counts, and another may have taken over since.
const CURRENT: Duration = Duration::from_mins(1);

/// What is measured of sign-outs that clients are told of.
#[derive(Clone)]
pub struct LogoutMetrics {
    notices: IntCounterVec,
    pending: Arc<Mutex<Option<(u64, Instant)>>>,
}

impl LogoutMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let notices = IntCounterVec::new(
            Opts::new(
                "logout_notices_total",
                "Tries of this node to tell clients of sign-outs, by outcome.",
            ),
            &["outcome"],
        )?;
        for told in Told::ALL {
            // So that a rate can be told from the first on.
            notices.with_label_values(&[told.as_str()]);
        }
        registry.register(Box::new(notices.clone()))?;
        let pending = Arc::<Mutex<Option<(u64, Instant)>>>::default();
        let counted = Arc::clone(&pending);
        gauges(
            registry,
            "logout_notices_pending",
            "Clients that are yet to be told of a sign-out, as the node counted that tells them; 0 at others.",
            [],
            move || {
                let counted = *counted.lock().unwrap_or_else(PoisonError::into_inner);
                let current = counted.filter(|(_, at)| at.elapsed() < CURRENT);
                vec![([], number(current.map_or(0, |(count, _)| count)))]
            },
        )?;
        Ok(Self { notices, pending })
    }

    pub(super) fn told(&self, told: Told) {
        self.notices.with_label_values(&[told.as_str()]).inc();
    }

    pub(super) fn pending(&self, count: i64) {
        let count = u64::try_from(count).unwrap_or(0);
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        *pending = Some((count, Instant::now()));
    }
}
