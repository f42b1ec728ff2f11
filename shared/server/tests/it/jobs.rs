//! Work that one node at a time does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use prometheus::{Registry, TextEncoder};
use shared_protocol::random::SystemRandom;
use shared_server::db::Store;
use shared_server::jobs::{JobError, JobMetrics, Outcome, Pace, Runner, Scheduler};
use shared_server::on;
use shared_server::web::Shutdown;
use shared_testing::clock::MovableClock;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use tokio::sync::Notify;

on_each_store!(crate::db::MIGRATIONS;
    of_two_nodes_one_does_the_job_each_time,
    a_node_that_was_killed_loses_its_job,
    a_node_that_stops_hands_its_job_back,
    a_job_may_take_longer_than_a_lease,
    who_lost_a_job_leaves_no_trace_on_it,
    a_job_that_fails_is_tried_again_later_and_later,
    a_clock_that_was_wrong_stops_no_job,
    jobs_run_until_the_server_stops,
    a_job_that_nobody_does_is_told,
);

const EVERY: Duration = Duration::from_hours(1);
/// As much of a leap of the clock as a look counts.
const STEP: Duration = Duration::from_secs(5);

/// What nodes share: a clock that is moved, and a count of runs.
struct Place {
    clock: Arc<MovableClock>,
    runs: Arc<AtomicUsize>,
}

/// Work that begins and does not end.
#[derive(Clone, Default)]
struct Stuck {
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Place {
    fn new() -> Self {
        Self {
            clock: Arc::default(),
            runs: Arc::default(),
        }
    }

    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    async fn scheduler(&self, stores: &Stores) -> (Scheduler, Registry) {
        let store = Store::connect(&stores.database()).await.unwrap();
        let registry = Registry::new();
        let metrics = JobMetrics::register(&registry).unwrap();
        let clock = self.clock.clone();
        (
            Scheduler::new(store, clock, &SystemRandom, metrics),
            registry,
        )
    }

    /// A node whose job counts its runs.
    async fn counting(&self, stores: &Stores) -> Runner {
        let runs = self.runs.clone();
        let work = move |_| {
            let runs = runs.clone();
            async move {
                runs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        };
        only(&self.scheduler(stores).await.0.job("job", EVERY, work))
    }

    /// A node whose job is stuck.
    async fn stuck(&self, stores: &Stores, pace: Pace) -> (Runner, Stuck) {
        let stuck = Stuck::default();
        let held = stuck.clone();
        let work = move |_| {
            let held = held.clone();
            async move {
                held.begun.notify_one();
                held.go.notified().await;
                Ok(())
            }
        };
        let scheduler = self.scheduler(stores).await.0.at_pace(pace);
        (only(&scheduler.job("job", EVERY, work)), stuck)
    }

    /// Looks, and lets time pass until `node` gets the job; how long that was.
    async fn wait_for(&self, node: &mut Runner) -> Duration {
        let mut waited = Duration::ZERO;
        while tick(node).await.is_none() {
            self.clock.advance(STEP);
            waited += STEP;
            assert!(waited < EVERY * 2, "never");
        }
        waited
    }
}

fn only(scheduler: &Scheduler) -> Runner {
    let mut runners = scheduler.runners();
    assert_eq!(runners.len(), 1);
    runners.remove(0)
}

async fn tick(node: &mut Runner) -> Option<Outcome> {
    node.tick(&Shutdown::new()).await.unwrap()
}

async fn of_two_nodes_one_does_the_job_each_time(stores: &Stores) {
    let place = Place::new();
    let at_it = Arc::new(AtomicBool::new(false));
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let (runs, at_it) = (place.runs.clone(), at_it.clone());
        let work = move |_| {
            let (runs, at_it) = (runs.clone(), at_it.clone());
            async move {
                assert!(!at_it.swap(true, Ordering::SeqCst), "one at a time");
                tokio::task::yield_now().await;
                at_it.store(false, Ordering::SeqCst);
                runs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        };
        let scheduler = place.scheduler(stores).await.0;
        nodes.push(only(&scheduler.job("job", EVERY, work)));
    }
    for round in 1..=20 {
        let mut looking = tokio::task::JoinSet::new();
        for mut node in nodes.drain(..) {
            looking.spawn(async move {
                let mut done = 0;
                for _ in 0..25 {
                    match tick(&mut node).await {
                        None => {}
                        Some(Outcome::Succeeded) => done += 1,
                        Some(other) => panic!("{other:?}"),
                    }
                }
                (node, done)
            });
        }
        let mut done = 0;
        for (node, by_it) in looking.join_all().await {
            done += by_it;
            nodes.push(node);
        }
        assert_eq!((done, place.runs()), (1, round));
        place.clock.advance(EVERY);
    }
}

async fn a_node_that_was_killed_loses_its_job(stores: &Stores) {
    let place = Place::new();
    let (mut killed, stuck) = place.stuck(stores, Pace::default()).await;
    let mut other = place.counting(stores).await;
    let killed = tokio::spawn(async move { tick(&mut killed).await });
    stuck.begun.notified().await;
    assert_eq!(tick(&mut other).await, None);
    killed.abort();
    assert!(killed.await.unwrap_err().is_cancelled());
    let waited = place.wait_for(&mut other).await;
    let lease = Pace::default().lease;
    assert!(waited >= lease && waited <= lease + STEP, "{waited:?}");
    assert_eq!(place.runs(), 1);
}

async fn a_node_that_stops_hands_its_job_back(stores: &Stores) {
    let place = Place::new();
    let (mut stopping, stuck) = place.stuck(stores, Pace::default()).await;
    let mut other = place.counting(stores).await;
    let shutdown = Shutdown::new();
    let stop = shutdown.clone();
    let stopping = tokio::spawn(async move { stopping.tick(&stop).await.unwrap() });
    stuck.begun.notified().await;
    assert_eq!(tick(&mut other).await, None);
    shutdown.trigger();
    assert_eq!(stopping.await.unwrap(), Some(Outcome::Interrupted));
    assert_eq!(tick(&mut other).await, Some(Outcome::Succeeded), "at once");
}

async fn a_job_may_take_longer_than_a_lease(stores: &Stores) {
    use diesel_async::RunQueryDsl as _;

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let place = Place::new();
    let often = Pace {
        lease: Duration::from_millis(1500),
        ..Pace::default()
    };
    let (mut slow, stuck) = place.stuck(stores, often).await;
    let mut other = place.counting(stores).await;
    let store = Store::connect(&stores.database()).await.unwrap();
    let version = async || {
        let mut conn = store.read().await.unwrap();
        let query = diesel::sql_query("SELECT version FROM schedules");
        let row: Row = on!(&mut conn, |c| query.get_result(c)).unwrap();
        row.version
    };
    let slow = tokio::spawn(async move { tick(&mut slow).await });
    stuck.begun.notified().await;
    let mut seen = version().await;
    // Several leases pass, and within each it shows that it lives.
    for _ in 0..8 {
        assert_eq!(tick(&mut other).await, None);
        place.clock.advance(STEP);
        assert_eq!(tick(&mut other).await, None);
        loop {
            let now = version().await;
            if now > seen {
                seen = now;
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    stuck.go.notify_one();
    assert_eq!(slow.await.unwrap(), Some(Outcome::Succeeded));
    assert_eq!(place.runs(), 0);
}

async fn who_lost_a_job_leaves_no_trace_on_it(stores: &Stores) {
    let place = Place::new();
    let (mut slow, stuck) = place.stuck(stores, Pace::default()).await;
    let mut other = place.counting(stores).await;
    let slow = tokio::spawn(async move { tick(&mut slow).await });
    stuck.begun.notified().await;
    place.wait_for(&mut other).await;
    assert_eq!(place.runs(), 1);
    // Its clock says that it had its lease all the time.
    stuck.go.notify_one();
    assert_eq!(slow.await.unwrap(), Some(Outcome::Interrupted));
    assert_eq!(tick(&mut other).await, None, "not due again");
    place.clock.advance(EVERY);
    assert_eq!(tick(&mut other).await, Some(Outcome::Succeeded));
}

async fn a_job_that_fails_is_tried_again_later_and_later(stores: &Stores) {
    let place = Place::new();
    let works = Arc::new(AtomicBool::new(false));
    let (runs, does) = (place.runs.clone(), works.clone());
    let work = move |_| {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        let works = does.load(Ordering::SeqCst);
        async move {
            // A panic is a failure like any other.
            assert!(works || run % 2 == 0, "an odd one");
            let refused: JobError = "the disk is made of cheese".into();
            if works { Ok(()) } else { Err(refused) }
        }
    };
    let (scheduler, registry) = place.scheduler(stores).await;
    let scheduler = scheduler.job("job", Duration::from_mins(2), work);
    let report = scheduler.report();
    let mut node = only(&scheduler);
    report.check().await.unwrap();
    for (run, rest) in [10_u64, 20, 40, 80, 120, 120].into_iter().enumerate() {
        assert_eq!(tick(&mut node).await, Some(Outcome::Failed), "{run}");
        assert_eq!(report.check().await.is_ok(), run < 2, "{run}");
        place
            .clock
            .advance(Duration::from_secs(rest - STEP.as_secs()));
        assert_eq!(tick(&mut node).await, None, "{run}");
        place.clock.advance(STEP);
    }
    place.clock.put_back(STEP);
    let told = report.check().await.unwrap_err().to_string();
    assert!(told.starts_with("job failed 6 times"), "{told}");
    place.clock.advance(STEP);
    assert_eq!(tick(&mut node).await, Some(Outcome::Failed));
    let told = report.check().await.unwrap_err().to_string();
    assert!(told.ends_with("the disk is made of cheese"), "{told}");
    works.store(true, Ordering::SeqCst);
    place.clock.advance(Duration::from_mins(2));
    assert_eq!(tick(&mut node).await, Some(Outcome::Succeeded));
    report.check().await.unwrap();
    let metrics = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    for line in [
        r#"job_runs_total{outcome="failed",task="job"} 7"#,
        r#"job_runs_total{outcome="succeeded",task="job"} 1"#,
        r#"job_runs_total{outcome="interrupted",task="job"} 0"#,
        r#"job_duration_seconds_count{task="job"} 8"#,
        r#"job_lateness_seconds{task="job"} "#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    tick(&mut node).await;
    let metrics = TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    assert!(metrics.contains(r#"job_last_success_timestamp_seconds{task="job"} "#));
}

async fn a_clock_that_was_wrong_stops_no_job(stores: &Stores) {
    let year = Duration::from_hours(24 * 365);
    let place = Place::new();
    let mut node = place.counting(stores).await;
    place.clock.advance(year);
    assert_eq!(tick(&mut node).await, Some(Outcome::Succeeded));
    place.clock.put_back(year);
    let waited = place.wait_for(&mut node).await;
    assert!(waited >= EVERY && waited <= EVERY + STEP, "{waited:?}");
    // From here on as ever.
    assert_eq!(tick(&mut node).await, None);
    place.clock.advance(EVERY);
    assert_eq!(tick(&mut node).await, Some(Outcome::Succeeded));
    assert_eq!(place.runs(), 3);
}

async fn jobs_run_until_the_server_stops(stores: &Stores) {
    let place = Place::new();
    let done = Arc::new(Notify::new());
    let (one, two) = (done.clone(), done.clone());
    let scheduler = place.scheduler(stores).await.0;
    let scheduler = scheduler
        .job("first", EVERY, move |_| {
            one.notify_one();
            std::future::pending()
        })
        // One that takes for ever holds no other up.
        .job("second", EVERY, move |_| {
            two.notify_one();
            std::future::ready(Ok(()))
        });
    let shutdown = Shutdown::new();
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    done.notified().await;
    shutdown.trigger();
    running.await.unwrap();
}

async fn a_job_that_nobody_does_is_told(stores: &Stores) {
    let place = Place::new();
    let mut node = place.counting(stores).await;
    let scheduler = place.scheduler(stores).await.0;
    let work = |_| std::future::ready(Ok(()));
    let report = scheduler.job("job", EVERY, work).report();
    tick(&mut node).await;
    place.clock.advance(EVERY * 3);
    report.check().await.unwrap();
    place.clock.advance(EVERY + STEP);
    let told = report.check().await.unwrap_err().to_string();
    assert!(told.contains("s late"), "{told}");
}
