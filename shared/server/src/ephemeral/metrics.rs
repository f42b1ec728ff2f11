//! How the ephemeral store answers, and how full it is.

use std::sync::Arc;

use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::memory::Memory;
use super::{EphemeralError, Result};
use crate::telemetry::{BUCKETS, SPANS, gauges, number};

/// What is asked of the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verb {
    Put,
    PutNew,
    Get,
    Take,
    Hit,
    Draw,
    Ping,
    /// Redis: the look whether it lost what it held.
    Witness,
}

impl Verb {
    const ALL: [Self; 8] = [
        Self::Put,
        Self::PutNew,
        Self::Get,
        Self::Take,
        Self::Hit,
        Self::Draw,
        Self::Ping,
        Self::Witness,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::PutNew => "put_new",
            Self::Get => "get",
            Self::Take => "take",
            Self::Hit => "hit",
            Self::Draw => "draw",
            Self::Ping => "ping",
            Self::Witness => "witness",
        }
    }
}

/// Counted in any case, and shown once a registry knows of it.
pub(super) struct EphemeralMetrics {
    duration: HistogramVec,
    failures: IntCounterVec,
    verbs: [Measured; Verb::ALL.len()],
}

struct Measured {
    duration: Histogram,
    full: IntCounter,
    unavailable: IntCounter,
}

const DECLARED: &str = "a valid name, rising buckets, and as many values as labels";

impl Default for EphemeralMetrics {
    fn default() -> Self {
        let options = HistogramOpts::new(
            "redis_command_duration_seconds",
            "Time until Redis answered, or was given up, by verb. In-process stores have none.",
        );
        let duration =
            HistogramVec::new(options.buckets(BUCKETS.to_vec()), &["verb"]).expect(DECLARED);
        let failures = IntCounterVec::new(
            Opts::new(
                "ephemeral_failures_total",
                "What the ephemeral store did not do, by verb and by whether it was full or could not be asked.",
            ),
            &["cause", "verb"],
        )
        .expect(DECLARED);
        let verbs = Verb::ALL.map(|verb| Measured {
            duration: duration.with_label_values(&[verb.as_str()]),
            full: failures.with_label_values(&["full", verb.as_str()]),
            unavailable: failures.with_label_values(&["unavailable", verb.as_str()]),
        });
        Self {
            duration,
            failures,
            verbs,
        }
    }
}

impl EphemeralMetrics {
    /// Measures one command of Redis.
    pub(super) async fn observe<T>(
        &self,
        verb: Verb,
        command: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let span = tracing::debug_span!(
            target: SPANS,
            "redis command",
            otel.kind = "client",
            db.system.name = "redis",
            db.operation.name = verb.as_str(),
            error.type = tracing::field::Empty
        );
        let began = Instant::now();
        let answer = command.instrument(span.clone()).await;
        let took = began.elapsed().as_secs_f64();
        self.of(verb).duration.observe(took);
        match &answer {
            Ok(_) => {}
            Err(EphemeralError::Full) => {
                span.record("error.type", "full");
            }
            Err(EphemeralError::Unavailable(_) | EphemeralError::Settings(_)) => {
                span.record("error.type", "unavailable");
            }
        }
        self.failed(verb, answer)
    }

    /// Counts a failure, and gives the answer back.
    pub(super) fn failed<T>(&self, verb: Verb, answer: Result<T>) -> Result<T> {
        match &answer {
            Ok(_) => {}
            Err(EphemeralError::Full) => self.of(verb).full.inc(),
            Err(EphemeralError::Unavailable(_) | EphemeralError::Settings(_)) => {
                self.of(verb).unavailable.inc();
            }
        }
        answer
    }

    fn of(&self, verb: Verb) -> &Measured {
        let [put, put_new, get, take, hit, draw, ping, witness] = &self.verbs;
        match verb {
            Verb::Put => put,
            Verb::PutNew => put_new,
            Verb::Get => get,
            Verb::Take => take,
            Verb::Hit => hit,
            Verb::Draw => draw,
            Verb::Ping => ping,
            Verb::Witness => witness,
        }
    }

    pub(super) fn register(
        &self,
        registry: &Registry,
        memory: Option<Arc<Memory>>,
    ) -> Result<(), Error> {
        registry.register(Box::new(self.duration.clone()))?;
        registry.register(Box::new(self.failures.clone()))?;
        let Some(memory) = memory else { return Ok(()) };
        let capacity = number(memory.capacity() as u64);
        gauges(
            registry,
            "ephemeral_entries",
            "Entries and counters in the in-process store, those not yet collected included.",
            [],
            move || vec![([], number(memory.len() as u64))],
        )?;
        gauges(
            registry,
            "ephemeral_entries_max",
            "Entries and counters that the in-process store holds at most.",
            [],
            move || vec![([], capacity)],
        )
    }
}
