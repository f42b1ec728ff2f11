//! Series that are read when somebody asks for them, and cost nothing until then.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Error, Registry};
use shared_protocol::lookups::Lookups;

use crate::web::Listener;

/// One value with the values of its labels, in the order of their names.
pub type Reading<const N: usize> = ([&'static str; N], f64);

/// Shows in `registry` what `read` finds at that moment, as gauges. Read only when somebody looks.
///
/// # Errors
/// If the name is taken or malformed.
pub fn gauges<const N: usize>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: [&'static str; N],
    read: impl Fn() -> Vec<Reading<N>> + Send + Sync + 'static,
) -> Result<(), Error> {
    let read = AtScrape {
        desc: desc(name, help, &labels)?,
        kind: MetricType::GAUGE,
        labels,
        read,
    };
    registry.register(Box::new(read))
}

/// As [`gauges`], for what never falls.
///
/// # Errors
/// If the name is taken or malformed.
pub fn counters<const N: usize>(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: [&'static str; N],
    read: impl Fn() -> Vec<Reading<N>> + Send + Sync + 'static,
) -> Result<(), Error> {
    let read = AtScrape {
        desc: desc(name, help, &labels)?,
        kind: MetricType::COUNTER,
        labels,
        read,
    };
    registry.register(Box::new(read))
}

/// Shows how often each cache had what it was asked for.
///
/// # Errors
/// If it is shown already.
pub fn caches(
    registry: &Registry,
    caches: impl IntoIterator<Item = (&'static str, Arc<Lookups>)>,
) -> Result<(), Error> {
    let caches: Vec<_> = caches.into_iter().collect();
    counters(
        registry,
        "cache_lookups_total",
        "Look-ups in what is remembered in this process, by cache and by whether it was there.",
        ["cache", "outcome"],
        move || {
            let both = caches.iter().flat_map(|(name, lookups)| {
                [
                    ([*name, "hit"], number(lookups.hits())),
                    ([*name, "miss"], number(lookups.misses())),
                ]
            });
            both.collect()
        },
    )
}

/// Shows how many connections are open on each listener.
pub fn connections(registry: &Registry, listeners: &[(&'static str, &Listener)]) {
    let listeners = listeners.iter();
    let listeners: Vec<_> = listeners
        .map(|(name, listener)| (*name, listener.open()))
        .collect();
    let shown = gauges(
        registry,
        "http_connections_open",
        "Connections that are open, by listener.",
        ["listener"],
        move || {
            let open = listeners.iter().map(|(name, open)| {
                let open = open.load(Ordering::Relaxed);
                ([*name], number(open as u64))
            });
            open.collect()
        },
    );
    // A server is served once, and works without it.
    if let Err(error) = shown {
        tracing::error!(%error, "connections cannot be counted");
    }
}

/// A count as Prometheus has it.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    reason = "nothing here is counted to 2^53, and Prometheus knows no other numbers"
)]
pub fn number(count: u64) -> f64 {
    count as f64
}

fn desc(name: &str, help: &str, labels: &[&'static str]) -> Result<Desc, Error> {
    let labels = labels.iter().map(ToString::to_string).collect();
    Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
}

struct AtScrape<const N: usize, F> {
    desc: Desc,
    kind: MetricType,
    labels: [&'static str; N],
    read: F,
}

impl<const N: usize, F> Collector for AtScrape<N, F>
where
    F: Fn() -> Vec<Reading<N>> + Send + Sync,
{
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = |(values, value): Reading<N>| {
            let pairs = self.labels.iter().zip(values).map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name((*name).to_owned());
                pair.set_value(value.to_owned());
                pair
            });
            let mut metric = Metric::from_label(pairs.collect());
            if self.kind == MetricType::COUNTER {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            } else {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
            metric
        };
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(self.kind);
        family.set_metric((self.read)().into_iter().map(metric).collect());
        vec![family]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read_at_that_moment() {
        let registry = Registry::new();
        let lookups = Arc::new(Lookups::default());
        caches(&registry, [("clients", Arc::clone(&lookups))]).unwrap();
        gauges(&registry, "held", "Held.", [], || vec![([], 1.5)]).unwrap();
        assert!(gauges(&registry, "held", "Held.", [], Vec::new).is_err());
        let shown = || {
            prometheus::TextEncoder::new()
                .encode_to_string(&registry.gather())
                .unwrap()
        };
        assert!(shown().contains("# TYPE held gauge\nheld 1.5\n"));
        for found in [true, false, true] {
            lookups.count(found);
        }
        let shown = shown();
        for line in [
            "# TYPE cache_lookups_total counter",
            r#"cache_lookups_total{cache="clients",outcome="hit"} 2"#,
            r#"cache_lookups_total{cache="clients",outcome="miss"} 1"#,
        ] {
            assert!(shown.contains(line), "{line} in {shown}");
        }
    }
}
