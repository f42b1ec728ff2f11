//! The verbs, on every store; and what a Redis that fails, forgets or is set up wrongly does to them.

mod faults;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use shared_protocol::time::{Clock, Instant};
use shared_server::ephemeral::{Bucket, Entry, Ephemeral, Hits, Key, Kind, PutNew, Settings, Take};
use shared_testing::redis::{self, RedisCluster};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

const START: Instant = Instant::from_secs(1_700_000_000);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const CODE: Kind = Kind::new("code");

/// A clock that stands where it is put.
struct Hands(AtomicI64);

impl Hands {
    fn at(now: Instant) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.as_millis())))
    }

    fn move_to(&self, now: Instant) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::SeqCst))
    }
}

async fn connect(settings: &Settings) -> Ephemeral {
    let connected = Ephemeral::connect(settings, Hands::at(START)).await;
    connected.unwrap_or_else(|error| panic!("{error:?}"))
}

fn entry<'a>(value: &'a [u8], mark: &'a [u8], deadline: Instant) -> Entry<'a> {
    Entry {
        value,
        mark,
        deadline,
    }
}

fn first(value: &[u8]) -> Take {
    Take::First(value.to_vec())
}

fn before(mark: &[u8]) -> Take {
    Take::Before(mark.to_vec())
}

/// Each rule becomes a test in memory and a test on the shared Redis, and part of the one test on a Cluster.
macro_rules! on_every_store {
    ($($rule:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                super::$rule(super::connect(&super::redis::settings_at("memory")).await).await;
            })*
        }

        mod single {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $rule() {
                super::$rule(super::connect(&super::redis::settings()).await).await;
            })*
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
        async fn a_cluster_of_three_masters_keeps_every_rule() {
            let cluster = RedisCluster::start().await;
            $($rule(connect(&redis::settings_at(cluster.url())).await).await;)*
            for node in cluster.nodes() {
                let held: u64 = node.run(&["DBSIZE"]).await;
                assert!(held > 0, "keys are on every master");
            }
        }
    };
}

on_every_store!(
    put_is_found_until_its_deadline_by_the_clock_that_is_passed,
    put_replaces_even_what_was_taken,
    put_new_stores_once_until_the_deadline,
    put_new_is_refused_by_the_mark_of_what_was_taken,
    take_answers_once_and_then_the_mark_until_the_deadline,
    bytes_come_back_as_they_went_in,
    a_thousand_callers_of_put_new_have_one_winner,
    a_thousand_callers_of_take_have_one_winner,
    a_thousand_hits_are_a_thousand,
    hits_are_counted_by_window,
    hits_of_other_widths_and_entries_do_not_meet,
    kinds_do_not_meet,
    ids_of_any_length_and_bytes_differ,
    a_deadline_in_the_past_or_the_far_future_is_no_error,
    the_epoch_is_when_the_store_began,
    a_thousand_draws_take_what_is_there_and_no_more,
    draws_follow_the_bucket_step_by_step,
    buckets_meet_neither_each_other_nor_entries_nor_counters,
    it_answers_a_ping,
    what_it_was_asked_and_did_not_do_is_counted,
);

async fn put_is_found_until_its_deadline_by_the_clock_that_is_passed(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let deadline = START + MINUTE;
    assert_eq!(store.get(&key, START).await.unwrap(), None);
    store
        .put(&key, entry(b"value", b"", deadline), START)
        .await
        .unwrap();

    let value = Some(b"value".to_vec());
    let last = deadline - Duration::from_millis(1);
    // Forwards and back again: an answer depends on no clock but the caller's.
    for (now, found) in [
        (START, &value),
        (last, &value),
        (deadline, &None),
        (deadline + 100 * MINUTE, &None),
        (last, &value),
        (START - 100 * MINUTE, &value),
    ] {
        assert_eq!(&store.get(&key, now).await.unwrap(), found, "{now}");
    }
}

async fn put_replaces_even_what_was_taken(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let deadline = START + MINUTE;
    for value in [b"one", b"two"] {
        let entry = entry(value, b"mark", deadline);
        store.put(&key, entry, START).await.unwrap();
    }
    assert!(store.take(&key, START).await.unwrap() == first(b"two"));
    let again = entry(b"three", b"other", deadline + MINUTE);
    store.put(&key, again, START).await.unwrap();
    assert!(store.take(&key, deadline).await.unwrap() == first(b"three"));
    assert!(store.take(&key, deadline).await.unwrap() == before(b"other"));
}

async fn put_new_stores_once_until_the_deadline(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let deadline = START + MINUTE;
    let stored = PutNew::Stored { epoch: START };
    for (now, value, outcome) in [
        (START, b"one", stored),
        (START, b"two", PutNew::Exists),
        (START - MINUTE, b"two", PutNew::Exists),
        (deadline - Duration::from_millis(1), b"two", PutNew::Exists),
        (deadline, b"new", stored),
        (deadline, b"two", PutNew::Exists),
    ] {
        let entry = entry(value, b"", now.max(START) + MINUTE);
        assert_eq!(store.put_new(&key, entry, now).await.unwrap(), outcome);
    }
    let value = store.get(&key, deadline).await.unwrap();
    assert_eq!(value.as_deref(), Some(b"new".as_slice()));
}

async fn put_new_is_refused_by_the_mark_of_what_was_taken(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let deadline = START + MINUTE;
    let entry = entry(b"value", b"mark", deadline);
    store.put_new(&key, entry, START).await.unwrap();
    assert!(store.take(&key, START).await.unwrap() == first(b"value"));
    let again = store.put_new(&key, entry, START).await.unwrap();
    assert_eq!(again, PutNew::Exists);
    assert!(store.take(&key, START).await.unwrap() == before(b"mark"));
    assert_ne!(
        store.put_new(&key, entry, deadline).await.unwrap(),
        PutNew::Exists
    );
}

async fn take_answers_once_and_then_the_mark_until_the_deadline(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let deadline = START + MINUTE;
    assert!(store.take(&key, START).await.unwrap() == Take::Unknown);
    let entry = entry(b"value", b"mark", deadline);
    store.put(&key, entry, START).await.unwrap();
    for (now, taken) in [
        (deadline, Take::Unknown),
        (START, first(b"value")),
        (START, before(b"mark")),
        (deadline, Take::Unknown),
        (deadline - Duration::from_millis(1), before(b"mark")),
    ] {
        assert!(store.take(&key, now).await.unwrap() == taken, "{now}");
        if taken != Take::Unknown {
            assert_eq!(store.get(&key, now).await.unwrap(), None);
        }
    }
}

async fn bytes_come_back_as_they_went_in(store: Ephemeral) {
    let all: Vec<u8> = (0..=255).collect();
    let long = vec![0; 100_000];
    for (id, (value, mark)) in [
        ("empty", (&[][..], &[][..])),
        ("all", (&all[..], &all[..])),
        ("no mark", (&all[..], &[][..])),
        ("no value", (&[][..], &all[..])),
        ("long", (&long[..], &long[..])),
    ] {
        let key = Key::new(CODE, id);
        let entry = entry(value, mark, START + MINUTE);
        store.put_new(&key, entry, START).await.unwrap();
        assert_eq!(
            store.get(&key, START).await.unwrap().as_deref(),
            Some(value)
        );
        assert!(
            store.take(&key, START).await.unwrap() == first(value),
            "{id}"
        );
        assert!(
            store.take(&key, START).await.unwrap() == before(mark),
            "{id}"
        );
    }
}

/// What a thousand tasks, let go together, were answered.
async fn race<T, F>(caller: impl Fn(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(1_000));
    let mut callers = JoinSet::new();
    for n in 0..1_000 {
        let (start, call) = (Arc::clone(&start), caller(n));
        callers.spawn(async move {
            start.wait().await;
            call.await
        });
    }
    callers.join_all().await
}

async fn a_thousand_callers_of_put_new_have_one_winner(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let answers = race(|n| {
        let store = store.clone();
        async move {
            let value = n.to_string();
            let entry = entry(value.as_bytes(), b"", START + MINUTE);
            let outcome = store.put_new(&key, entry, START).await.unwrap();
            (outcome, value)
        }
    })
    .await;
    let winners: Vec<_> = answers
        .into_iter()
        .filter(|(outcome, _)| *outcome != PutNew::Exists)
        .collect();
    assert_eq!(winners.len(), 1);
    let kept = store.get(&key, START).await.unwrap();
    assert_eq!(kept, Some(winners[0].1.clone().into_bytes()));
}

async fn a_thousand_callers_of_take_have_one_winner(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"mark", START + MINUTE);
    store.put(&key, entry, START).await.unwrap();
    let answers = race(|_| {
        let store = store.clone();
        async move { store.take(&key, START).await.unwrap() }
    })
    .await;
    let winners = answers.iter().filter(|t| **t == first(b"value")).count();
    let losers = answers.iter().filter(|t| **t == before(b"mark")).count();
    assert_eq!((winners, losers), (1, 999));
}

async fn a_thousand_hits_are_a_thousand(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let counts = race(|_| {
        let store = store.clone();
        async move { store.hit(&key, MINUTE, START).await.unwrap().count }
    })
    .await;
    let distinct: BTreeSet<_> = counts.into_iter().collect();
    assert!(distinct.into_iter().eq(1..=1_000));
}

async fn hits_are_counted_by_window(store: Ephemeral) {
    // START is 20 seconds into its minute.
    let key = Key::new(CODE, "a");
    let end = START + 40 * SECOND;
    let last = end - Duration::from_millis(1);
    for (now, count, resets_at) in [
        (START, 1, end),
        (START, 2, end),
        (last, 3, end),
        (end, 1, end + MINUTE),
        (last, 4, end),
        (end + SECOND, 2, end + MINUTE),
    ] {
        let hits = store.hit(&key, MINUTE, now).await.unwrap();
        assert_eq!(hits, Hits { count, resets_at }, "{now}");
    }
}

async fn hits_of_other_widths_and_entries_do_not_meet(store: Ephemeral) {
    let key = Key::new(CODE, "a");
    let entry = entry(b"value", b"", START + MINUTE);
    store.put(&key, entry, START).await.unwrap();
    for width in [SECOND, MINUTE, 60 * MINUTE] {
        assert_eq!(store.hit(&key, width, START).await.unwrap().count, 1);
    }
    assert_eq!(store.hit(&key, MINUTE, START).await.unwrap().count, 2);
    assert!(store.take(&key, START).await.unwrap() == first(b"value"));
}

async fn kinds_do_not_meet(store: Ephemeral) {
    let keys = [
        Key::new(Kind::new("a"), "b:c"),
        Key::new(Kind::new("a:b"), "c"),
        Key::new(Kind::new("a"), "c"),
        Key::new(Kind::new("b"), "c"),
        Key::new(Kind::new("a:b:c"), ""),
        Key::new(Kind::new("epoch"), "c"),
    ];
    for (n, key) in keys.iter().enumerate() {
        let value = n.to_string();
        let entry = entry(value.as_bytes(), b"", START + MINUTE);
        let outcome = store.put_new(key, entry, START).await.unwrap();
        assert_eq!(outcome, PutNew::Stored { epoch: START }, "{key:?}");
        assert_eq!(store.hit(key, MINUTE, START).await.unwrap().count, 1);
    }
    for (n, key) in keys.iter().enumerate() {
        let taken = store.take(key, START).await.unwrap();
        assert!(taken == first(n.to_string().as_bytes()), "{key:?}");
    }
}

async fn ids_of_any_length_and_bytes_differ(store: Ephemeral) {
    let long = "x".repeat(1_000_000);
    let ids = [
        &b""[..],
        b"\0",
        b"\0\0",
        b"\xff\xfe",
        b"a b\r\nSET c d",
        b"{tag}",
        long.as_bytes(),
        &long.as_bytes()[1..],
    ];
    for id in ids {
        let entry = entry(id, b"", START + MINUTE);
        let outcome = store.put_new(&Key::new(CODE, id), entry, START).await;
        assert_ne!(outcome.unwrap(), PutNew::Exists);
    }
    for id in ids {
        assert!(store.take(&Key::new(CODE, id), START).await.unwrap() == first(id));
    }
}

async fn a_deadline_in_the_past_or_the_far_future_is_no_error(store: Ephemeral) {
    let far = Instant::from_millis(i64::MAX);
    for (id, deadline, live) in [
        ("past", START - MINUTE, false),
        ("before 1970", Instant::from_secs(-1), false),
        ("far", far, true),
    ] {
        let key = Key::new(CODE, id);
        let entry = entry(b"value", b"", deadline);
        store.put(&key, entry, START).await.unwrap();
        let found = store.get(&key, START).await.unwrap().is_some();
        assert_eq!(found, live, "{id}");
        let again = store.put_new(&key, entry, START).await.unwrap();
        assert_eq!(again == PutNew::Exists, live, "{id}");
    }
}

async fn the_epoch_is_when_the_store_began(store: Ephemeral) {
    for n in 0..100 {
        let now = START + n * SECOND;
        let entry = entry(b"", b"", now + MINUTE);
        let key = Key::new(CODE, n.to_string());
        let outcome = store.put_new(&key, entry, now).await.unwrap();
        assert_eq!(outcome, PutNew::Stored { epoch: START });
    }
}

async fn a_thousand_draws_take_what_is_there_and_no_more(store: Ephemeral) {
    let bucket = Bucket::new(300, MINUTE, SECOND, MINUTE);
    let key = Key::new(CODE, "a");
    for (now, there) in [(START, 300), (START + MINUTE / 2, 150)] {
        let answers = race(|n| {
            let store = store.clone();
            // Wants of two meet a single one at the end.
            let want = if n % 2 == 0 { 1 } else { 2 };
            async move { store.draw(&key, &bucket, want, now).await.unwrap().granted }
        })
        .await;
        assert_eq!(answers.into_iter().sum::<u32>(), there);
    }
}

/// What one answers to every draw of a long, fixed sequence, all do: expected is what a bucket of its own says, without any store.
async fn draws_follow_the_bucket_step_by_step(store: Ephemeral) {
    let model = connect(&redis::settings_at("memory")).await;
    let buckets = [
        Bucket::new(10, 10 * SECOND, SECOND, 7 * SECOND),
        Bucket::new(7, 3 * SECOND, Duration::ZERO, Duration::ZERO),
        Bucket::new(u32::MAX, 100_000 * SECOND, SECOND, 100_000 * SECOND),
    ];
    let mut now = START;
    let mut random = 1_u64;
    for step in 0..600 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (pass, want) = ((random >> 33) % 1_500, (random >> 50) % 5);
        now = now + Duration::from_millis(pass);
        let back = Duration::from_millis((random >> 60) * 10);
        let bucket = buckets[usize::try_from(random >> 40).unwrap() % buckets.len()];
        let key = Key::new(CODE, format!("{bucket:?}"));
        let want = u32::try_from(want).unwrap();
        let (is, expected) = (
            store.draw(&key, &bucket, want, now - back).await.unwrap(),
            model.draw(&key, &bucket, want, now - back).await.unwrap(),
        );
        assert_eq!(is, expected, "step {step}");
    }
}

async fn buckets_meet_neither_each_other_nor_entries_nor_counters(store: Ephemeral) {
    let bucket = Bucket::new(1, MINUTE, SECOND, MINUTE);
    let key = Key::new(CODE, "a");
    let put = store.put(&key, entry(b"value", b"", START + MINUTE), START);
    put.await.unwrap();
    store.hit(&key, MINUTE, START).await.unwrap();
    for id in ["a", "b"] {
        let key = Key::new(CODE, id);
        for granted in [1, 0] {
            let drawn = store.draw(&key, &bucket, 5, START).await.unwrap();
            assert_eq!(drawn.granted, granted, "{id}");
        }
    }
    assert!(store.get(&key, START).await.unwrap().is_some());
}

async fn what_it_was_asked_and_did_not_do_is_counted(store: Ephemeral) {
    let registry = prometheus::Registry::new();
    store.register(&registry).unwrap();
    let key = Key::new(CODE, "counted");
    let entry = entry(b"value", b"", START + MINUTE);
    store.put(&key, entry, START).await.unwrap();
    store.take(&key, START).await.unwrap();
    store.take(&key, START).await.unwrap();
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let commands = u8::from(store.is_shared());
    for line in [
        format!("redis_command_duration_seconds_count{{verb=\"put\"}} {commands}"),
        format!(
            "redis_command_duration_seconds_count{{verb=\"take\"}} {}",
            2 * commands
        ),
        "ephemeral_failures_total{cause=\"full\",verb=\"put\"} 0".to_owned(),
    ] {
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert_eq!(
        text.contains("\nephemeral_entries 1\n"),
        !store.is_shared(),
        "{text}"
    );
}

async fn it_answers_a_ping(store: Ephemeral) {
    store.ping().await.unwrap();
    assert_ne!(store.is_shared(), store.len_hint().is_some());
}
