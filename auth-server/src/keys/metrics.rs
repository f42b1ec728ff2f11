//! What operators see of keys: how many stand where, and since when each algorithm's signs.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry};
use shared_protocol::time::{Clock, Instant};

use super::{Keys, Phase};

/// Told anew each time somebody asks, for phases change as time passes.
pub struct KeyMetrics {
    keys: Keys,
    clock: Arc<dyn Clock>,
    count: GaugeVec,
    signs_from: GaugeVec,
}

impl KeyMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(
        keys: Keys,
        clock: Arc<dyn Clock>,
        registry: &Registry,
    ) -> Result<(), prometheus::Error> {
        registry.register(Box::new(Self {
            keys,
            clock,
            count: GaugeVec::new(
                Opts::new("signing_keys", "Signing keys, by where they stand."),
                &["phase"],
            )?,
            signs_from: GaugeVec::new(
                Opts::new(
                    "signing_key_signs_from_timestamp_seconds",
                    "Since when the current key of an algorithm signs.",
                ),
                &["alg"],
            )?,
        }))
    }
}

impl Collector for KeyMetrics {
    fn desc(&self) -> Vec<&Desc> {
        let mut all = self.count.desc();
        all.extend(self.signs_from.desc());
        all
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let now = self.clock.now();
        let states = self.keys.ring().states(now);
        for phase in Phase::ALL {
            let count = states.iter().filter(|key| key.phase == phase).count();
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            let gauge = self.count.with_label_values(&[phase.as_str()]);
            gauge.set(count.into());
        }
        for key in states.iter().filter(|key| key.phase == Phase::Current) {
            let since = key.signs_from.since(Instant::EPOCH).as_secs_f64();
            let gauge = self.signs_from.with_label_values(&[key.algorithm.name()]);
            gauge.set(since);
        }
        let mut all = self.count.collect();
        all.extend(self.signs_from.collect());
        all
    }
}
