//! Writes refusals down, off the path of their requests: a flood of the ones must not become a flood of the others.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};
use serde_json::Value;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use shared_server::web::{Cause, Refusal, Refused, Shutdown};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time;

use super::mends;
use crate::store::refusals::{self, RefusalRow};

/// Refusals that wait to be written.
const QUEUE: usize = 1024;
/// Refusals of one transaction.
const BATCH: usize = 50;
/// The rest after it: with [`BATCH`], 200 rows in a second.
const REST: Duration = Duration::from_millis(250);
/// Refusals of one route with one code that are kept in one second: who brings about one kind pushes out no other.
const SHARE: u32 = 20;
/// Kinds that are told apart in one second. There are fewer.
const KINDS: usize = 512;
/// Bytes of a client's identifier.
const LONGEST_CLIENT_ID: usize = 256;
/// Errors of one chain, and characters of each.
const MOST_CAUSES: usize = 12;
const LONGEST_CAUSE: usize = 1024;

/// What becomes of refusals.
#[derive(Clone)]
pub struct RefusalMetrics {
    kept: IntCounter,
    crowded: IntCounter,
    full: IntCounter,
    store: IntCounter,
}

impl RefusalMetrics {
    /// Makes them known to `registry`.
    ///
    /// # Errors
    /// If one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let outcomes = IntCounterVec::new(
            Opts::new(
                "refusals_explained_total",
                "Refusals whose cause was to be kept, by what became of it: kept, or dropped because there were too many of one kind \
                 (crowded), too many at all (full), or no database (store).",
            ),
            &["outcome"],
        )?;
        registry.register(Box::new(outcomes.clone()))?;
        let counter = |outcome| outcomes.with_label_values(&[outcome]);
        Ok(Self {
            kept: counter("kept"),
            crowded: counter("crowded"),
            full: counter("full"),
            store: counter("store"),
        })
    }
}

enum Message {
    Refused(Box<Refusal>),
    Flush(oneshot::Sender<()>),
}

/// A method, a route and a code.
type Kind = (&'static str, String, &'static str);

/// What was counted in one second.
#[derive(Default)]
struct Second {
    of: i64,
    kinds: HashMap<Kind, u32>,
}

impl Second {
    fn has_room(&mut self, kind: Kind, at: Instant) -> bool {
        // What came earlier and is answered now counts as of now: nobody makes room by being slow.
        if self.of < at.as_secs() {
            self.of = at.as_secs();
            self.kinds.clear();
        }
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&kind) {
            return false;
        }
        let count = self.kinds.entry(kind).or_default();
        *count += 1;
        *count <= SHARE
    }
}

/// Takes refusals, and hands them to a [`Keeper`].
#[derive(Clone)]
pub struct Refusals {
    queue: mpsc::Sender<Message>,
    second: Arc<Mutex<Second>>,
    hurry: Arc<Notify>,
    metrics: RefusalMetrics,
}

impl Refusals {
    /// What takes refusals, and what writes them into `store`.
    #[must_use]
    pub fn new(store: Store, random: Arc<dyn Random>, metrics: RefusalMetrics) -> (Self, Keeper) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let hurry = Arc::<Notify>::default();
        let taking = Self {
            queue,
            second: Arc::default(),
            hurry: Arc::clone(&hurry),
            metrics: metrics.clone(),
        };
        let keeper = Keeper {
            waiting,
            hurry,
            store,
            random,
            metrics,
            failing: false,
        };
        (taking, keeper)
    }

    /// The same as layers of routes want it.
    #[must_use]
    pub fn taking(&self) -> Arc<dyn Fn(Refusal) + Send + Sync> {
        let refusals = self.clone();
        Arc::new(move |refusal| refusals.keep(refusal))
    }

    /// Takes one, if there is room, and if an operator may want to know: what strangers ask that was never there says nothing.
    pub fn keep(&self, refusal: Refusal) {
        let Some(route) = &refusal.route else { return };
        let noise = match refusal.status {
            StatusCode::METHOD_NOT_ALLOWED => true,
            StatusCode::NOT_FOUND => refusal.cause.is_none(),
            _ => false,
        };
        let code = refusal.refused.map_or("", |Refused(code)| code);
        // A device that waits is told so every few seconds (RFC 8628 §3.5).
        let waits = matches!(code, "authorization_pending" | "slow_down");
        if noise || waits {
            return;
        }
        let kind = (refusal.method, route.as_str().to_owned(), code);
        if !self.has_room(kind, refusal.at) {
            self.metrics.crowded.inc();
        } else if self
            .queue
            .try_send(Message::Refused(Box::new(refusal)))
            .is_err()
        {
            self.metrics.full.inc();
        }
    }

    fn has_room(&self, kind: Kind, at: Instant) -> bool {
        let mut second = self.second.lock().unwrap_or_else(PoisonError::into_inner);
        second.has_room(kind, at)
    }

    /// Waits until everything that was taken before is written, or given up.
    pub async fn flush(&self) {
        let (written, told) = oneshot::channel();
        if self.queue.send(Message::Flush(written)).await.is_ok() {
            self.hurry.notify_one();
            // An error says that nobody writes any more.
            let _ = told.await;
        }
    }
}

/// Writes refusals.
pub struct Keeper {
    waiting: mpsc::Receiver<Message>,
    hurry: Arc<Notify>,
    store: Store,
    random: Arc<dyn Random>,
    metrics: RefusalMetrics,
    failing: bool,
}

impl Keeper {
    /// Writes what comes, until `shutdown` triggers, and then what is left.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut messages = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = shutdown.triggered() => break,
                _ = self.waiting.recv_many(&mut messages, BATCH) => {}
            }
            if messages.is_empty() {
                return;
            }
            self.write(mem::take(&mut messages)).await;
            tokio::select! {
                () = time::sleep(REST) => {}
                () = self.hurry.notified() => {}
                () = shutdown.triggered() => break,
            }
        }
        self.waiting.close();
        while self.waiting.recv_many(&mut messages, BATCH).await > 0 {
            self.write(mem::take(&mut messages)).await;
        }
    }

    async fn write(&mut self, messages: Vec<Message>) {
        let (mut rows, mut flushed) = (Vec::new(), Vec::new());
        for message in messages {
            match message {
                Message::Refused(refusal) => rows.push(self.row(*refusal)),
                Message::Flush(written) => flushed.push(written),
            }
        }
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let insert = self.store.transaction(async |conn| {
            for row in &rows {
                refusals::insert(conn, row).await?;
            }
            Ok::<_, DbError>(())
        });
        if count > 0 {
            match insert.await {
                Ok(()) => {
                    self.metrics.kept.inc_by(count);
                    self.failing = false;
                }
                Err(error) => {
                    self.metrics.store.inc_by(count);
                    // Once, not with each batch of an outage.
                    if !mem::replace(&mut self.failing, true) {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, "why requests were refused could not be kept");
                    }
                }
            }
        }
        for written in flushed {
            // Whoever asked may be gone.
            let _ = written.send(());
        }
    }

    fn row(&self, refusal: Refusal) -> RefusalRow {
        let causes = refusal.cause.as_ref().map(Cause::texts).unwrap_or_default();
        let client_id = refusal.noted.client.map(|client| {
            let id = client.client_id();
            id.get(..LONGEST_CLIENT_ID).unwrap_or(id).to_owned()
        });
        RefusalRow {
            request_id: refusal.request_id.as_str().to_owned(),
            id: alphanumeric(22, &*self.random),
            refused_at: refusal.at,
            method: refusal.method.to_owned(),
            route: refusal
                .route
                .map(|route| route.as_str().to_owned())
                .unwrap_or_default(),
            status: refusal.status.as_u16().into(),
            error: refusal.refused.map(|Refused(code)| code.to_owned()),
            mend: refusal.cause.as_ref().and_then(mends::mend),
            causes: outer_to_inner(causes),
            client_id,
            grant_type: refusal.noted.grant_type.map(str::to_owned),
            trace_id: refusal.trace_id,
        }
    }
}

/// Each text once: an error that only passes on what caused it says the same as that.
fn outer_to_inner(mut causes: Vec<String>) -> Value {
    causes.dedup();
    causes.truncate(MOST_CAUSES);
    for cause in &mut causes {
        if let Some((end, _)) = cause.char_indices().nth(LONGEST_CAUSE) {
            cause.truncate(end);
        }
        if cause.contains(char::is_control) {
            *cause = cause.escape_debug().to_string();
        }
    }
    causes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_30_one_kind_has_its_share_of_a_second() {
        let mut second = Second::default();
        let kind = |route: &str| ("POST", route.to_owned(), "invalid_client");
        let at = Instant::from_secs(1_700_000_000);
        let taken = |second: &mut Second, route: &str, at| {
            (0..100)
                .filter(|_| second.has_room(kind(route), at))
                .count()
        };
        assert_eq!(taken(&mut second, "/token", at), 20);
        assert_eq!(taken(&mut second, "/token", at), 0);
        assert_eq!(taken(&mut second, "/par", at), 20);
        assert_eq!(
            taken(&mut second, "/token", at + Duration::from_secs(1)),
            20
        );
        // Those that came earlier make no room by being slow.
        assert_eq!(taken(&mut second, "/token", at), 0);
        let at = at + Duration::from_secs(2);
        let kinds = (0..2 * KINDS).filter(|n| second.has_room(kind(&n.to_string()), at));
        assert_eq!(kinds.count(), KINDS);
    }
}
