//! Limiters of several nodes over one store, with the time that the test says.

use std::time::Duration;

use prometheus::Registry;
use shared_protocol::time::{Instant, SystemClock};
use shared_server::ephemeral::{Ephemeral, Settings};
use shared_server::rate_limits::{
    Buckets, Limit, Limited, Rate, RateLimiter, RateLimitsConfig, Standing, UNASKED,
};
use shared_testing::redis::{self, RedisServer};
use tokio::task::JoinSet;

const START: Instant = Instant::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// One node: limiters by client, and the counter of what they refused.
struct Node {
    limiter: RateLimiter,
    registry: Registry,
}

impl Node {
    async fn new(settings: &Settings, rate: Rate, config: &RateLimitsConfig) -> Self {
        let clock = std::sync::Arc::new(SystemClock);
        let ephemeral = Ephemeral::connect(settings, clock).await.unwrap();
        let registry = Registry::new();
        let buckets = Buckets::new(ephemeral, &registry).unwrap();
        Self {
            limiter: buckets.limiter(Limit::Client, rate, config),
            registry,
        }
    }

    async fn admit(&self, now: Instant) -> Result<Option<Standing>, Limited> {
        self.limiter.admit(b"subject", now).await
    }

    fn refused(&self) -> f64 {
        let gathered = self.registry.gather();
        gathered
            .iter()
            .filter(|family| family.name() == "rate_limited_total")
            .flat_map(prometheus::proto::MetricFamily::get_metric)
            .map(|metric| metric.get_counter().get_value())
            .sum()
    }
}

fn rate(requests: u32, per: Duration) -> Rate {
    Rate { requests, per }
}

async fn every_one_is_counted_until_the_limit_and_then_refused(settings: Settings) {
    let config = RateLimitsConfig::default();
    for capacity in [1, 2, 5, 37, 400] {
        let settings = Settings {
            prefix: redis::prefix(),
            ..settings.clone()
        };
        let node = Node::new(&settings, rate(capacity, 600 * SECOND), &config).await;
        for n in 0..capacity {
            assert!(node.admit(START).await.is_ok(), "{n} of {capacity}");
        }
        // A bucket of one that was admitted unasked is drawn from now, and found empty next.
        let _ = node.admit(START).await;
        let limited = node.admit(START).await.unwrap_err();
        assert_eq!(limited.limit(), Limit::Client);
        assert!(
            limited.wait() >= 600 * SECOND / capacity,
            "{:?}",
            limited.wait()
        );
        let then = START + limited.wait();
        assert!(node.admit(then - MILLISECOND).await.is_err());
        assert!(node.admit(then).await.is_ok(), "one of {capacity} came");
        let other = node.limiter.admit(b"another", START).await;
        assert!(other.is_ok(), "nobody else is refused");
        assert!(node.refused() >= 2.0);
    }
}

#[tokio::test]
async fn in_memory_every_one_is_counted_until_the_limit_and_then_refused() {
    every_one_is_counted_until_the_limit_and_then_refused(redis::settings_at("memory")).await;
}

#[tokio::test]
async fn in_redis_every_one_is_counted_until_the_limit_and_then_refused() {
    every_one_is_counted_until_the_limit_and_then_refused(redis::settings()).await;
}

#[tokio::test]
async fn zero_limits_nothing() {
    let settings = redis::settings_at("memory");
    let node = Node::new(&settings, rate(0, SECOND), &RateLimitsConfig::default()).await;
    for _ in 0..10_000 {
        assert!(node.admit(START).await.unwrap().is_none());
    }
}

/// The bound that the module states, for floods of every pace, on two nodes that take turns or not.
#[tokio::test]
async fn two_nodes_share_a_bucket_but_for_their_leases() {
    const NODES: usize = 2;
    let config = RateLimitsConfig {
        penalty: Duration::ZERO,
        longest_penalty: Duration::ZERO,
        ..RateLimitsConfig::default()
    };
    for (capacity, pace) in [(60, 1), (60, 400), (600, 3), (600, 45)] {
        let settings = redis::settings();
        let rate = rate(capacity, 60 * SECOND);
        let nodes = [
            Node::new(&settings, rate, &config).await,
            Node::new(&settings, rate, &config).await,
        ];
        let (mut now, mut admitted) = (START, Vec::new());
        for n in 0..3_000 {
            now = now + pace * MILLISECOND;
            // Now one node, now the other, now both by turns.
            let node = if n % 500 < 200 {
                n % NODES
            } else {
                n / 500 % NODES
            };
            if nodes[node].admit(now).await.is_ok() {
                admitted.push(now);
            }
        }
        let whole = now.since(START);
        let elapsed = |seconds: f64| f64::from(capacity) / 60.0 * seconds;
        for (first, from) in admitted.iter().enumerate() {
            for (count, until) in admitted[first..].iter().enumerate() {
                let seconds = until.since(*from).as_secs_f64();
                let unasked = 1.0 + elapsed(seconds) / f64::from(UNASKED);
                let bound = f64::from(capacity) + elapsed(seconds + 1.0) + 2.0 * unasked;
                let count = f64::from(u32::try_from(count + 1).unwrap());
                assert!(count <= bound, "{count} of {capacity} in {seconds} s");
            }
        }
        // Nor is much lost: what either node leased and did not use.
        let asked = 3_000.0;
        let due = (f64::from(capacity) + elapsed(whole.as_secs_f64())).min(asked);
        let count = f64::from(u32::try_from(admitted.len()).unwrap());
        assert!(
            count >= 0.85 * due,
            "{count} of {due} that were due, one each {pace} ms"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_once_get_what_there_is() {
    let config = RateLimitsConfig::default();
    for settings in [redis::settings_at("memory"), redis::settings()] {
        let node = Node::new(&settings, rate(300, 60 * SECOND), &config).await;
        let mut callers = JoinSet::new();
        for _ in 0..1_000 {
            let limiter = node.limiter.clone();
            callers.spawn(async move { limiter.admit(b"subject", START).await.is_ok() });
        }
        let admitted = callers
            .join_all()
            .await
            .into_iter()
            .filter(|is| *is)
            .count();
        // One that was admitted unasked may go unpaid, if the bucket was emptied before it was settled.
        assert!((290..=301).contains(&admitted), "{admitted}");
    }
}

#[tokio::test]
async fn a_request_is_no_command_and_neither_is_one_too_many() {
    let redis = RedisServer::start(&[]).await;
    let settings = redis::settings_at(redis.url());
    let config = RateLimitsConfig::default();
    let node = Node::new(&settings, rate(60_000, 60 * SECOND), &config).await;
    let drawn = async || {
        let told: String = redis.run(&["INFO", "commandstats"]).await;
        let calls = told
            .lines()
            .filter(|line| line.starts_with("cmdstat_eval"))
            .filter_map(|line| {
                line.split_once("calls=")?
                    .1
                    .split_once(',')?
                    .0
                    .parse::<u32>()
                    .ok()
            });
        calls.sum::<u32>()
    };
    // Beside the draws, every tag is looked after each second.
    let background = drawn().await;
    let began = std::time::Instant::now();
    let mut now = START;
    for _ in 0..20_000 {
        // 2,000 a second for ten seconds.
        now = now + MILLISECOND / 2;
        assert!(
            node.admit(Instant::from_millis(now.as_millis()))
                .await
                .is_ok()
        );
    }
    let mut refused = 0;
    for _ in 0..60_000 {
        refused += u32::from(node.admit(now).await.is_err());
    }
    assert!(refused > 9_000, "{refused}");
    let watched = 32 * u32::try_from(began.elapsed().as_secs() + 2).unwrap();
    let commands = drawn().await - background;
    assert!(
        commands < 120 + watched,
        "{commands} commands for 80,000 requests"
    );

    // People who come now and then are not even asked for.
    let before = drawn().await;
    let began = std::time::Instant::now();
    for n in 0..5_000_u32 {
        let admitted = node.limiter.admit(&n.to_be_bytes(), now).await;
        assert!(admitted.is_ok());
    }
    let watched = 32 * u32::try_from(began.elapsed().as_secs() + 2).unwrap();
    assert!(drawn().await - before <= watched);
}

#[tokio::test]
async fn without_its_store_a_node_counts_alone_and_comes_back() {
    let mut redis = RedisServer::start(&[]).await;
    let mut settings = redis::settings_at(redis.url());
    settings.timeout = Duration::from_millis(200);
    let config = RateLimitsConfig::default();
    let node = Node::new(&settings, rate(100, 60 * SECOND), &config).await;
    for _ in 0..10 {
        assert!(node.admit(START).await.is_ok());
    }
    redis.stop();
    let began = std::time::Instant::now();
    let mut admitted = 0;
    for _ in 0..1_000 {
        admitted += u32::from(node.admit(START).await.is_ok());
    }
    assert!((95..=110).contains(&admitted), "{admitted}");
    assert!(began.elapsed() < 5 * SECOND, "one waits, and not all");
    redis.start_again().await;
    // Back at the store, where the bucket is full.
    let later = START + 300 * SECOND;
    let mut admitted = 0;
    for n in 0..100 {
        admitted += u32::from(node.admit(later + n * 2 * SECOND).await.is_ok());
    }
    assert_eq!(admitted, 100);
}

#[tokio::test]
async fn failures_are_suffered_up_to_a_number_and_then_progressively() {
    for settings in [redis::settings_at("memory"), redis::settings()] {
        let config = RateLimitsConfig::default();
        let node = Node::new(&settings, rate(3, 60 * SECOND), &config).await;
        let check = |now| node.limiter.check(|| b"somebody", now);
        let mut now = START;
        for _ in 0..3 {
            check(now).unwrap();
            node.limiter.count(b"somebody", now).await;
        }
        for wait in [20, 20, 20, 20, 20, 32, 60] {
            check(now).unwrap();
            // What came while it waited is spent at once.
            node.limiter.count(b"somebody", now).await;
            while check(now).is_ok() {
                node.limiter.count(b"somebody", now).await;
            }
            let limited = check(now).unwrap_err();
            assert!(
                limited.wait() <= wait * SECOND,
                "{:?} for {wait}",
                limited.wait()
            );
            assert!(node.limiter.check(|| b"somebody else", now).is_ok());
            now = now + limited.wait();
        }
    }
}
