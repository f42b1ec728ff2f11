//! What was revoked before its time, held in memory on every node, so that a JWT is judged without a query.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use prometheus::Registry;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};
use shared_server::telemetry::{gauges, number};

use crate::store::revocations::{self, RevocationRow};

/// For how long the set is trusted after it was last compared with the database.
const TRUSTED: Duration = Duration::from_secs(2);
/// How far back each comparison looks: longer than a transaction may take and clocks of nodes may differ.
pub const OVERLAP: Duration = Duration::from_secs(30);
/// Rows for each query of the full load.
const PAGE: i64 = 1000;
/// Rows for the one query of a comparison.
const MAX_RECORDED: usize = 10_000;

/// Entries for which a map may have room whatever it holds.
const ROOMY: usize = 4096;

/// What is revoked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RevocationKind {
    /// An access token, by its `jti`.
    Token,
    /// A grant with every token of it, by its name.
    Grant,
}

impl RevocationKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Token, Self::Grant];

    /// As it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "jti",
            Self::Grant => "grant",
        }
    }
}

/// The live set of revocations.
#[derive(Clone)]
pub struct Revocations {
    store: Store,
    kept: Duration,
    state: Arc<State>,
}

struct State {
    live: RwLock<Live>,
    confirmed: AtomicI64,
}

/// Until when each revocation matters, by kind.
#[derive(Default)]
struct Live {
    tokens: HashMap<Box<str>, Instant>,
    grants: HashMap<Box<str>, Instant>,
}

impl Live {
    fn of(&self, kind: RevocationKind) -> &HashMap<Box<str>, Instant> {
        match kind {
            RevocationKind::Token => &self.tokens,
            RevocationKind::Grant => &self.grants,
        }
    }

    fn of_mut(&mut self, kind: RevocationKind) -> &mut HashMap<Box<str>, Instant> {
        match kind {
            RevocationKind::Token => &mut self.tokens,
            RevocationKind::Grant => &mut self.grants,
        }
    }
}

impl Revocations {
    /// A set that has not been loaded: until [`Revocations::reload`] the database is asked each time. Each is `kept` for so long past
    /// its time, as its row is, for a clock that was wrong may be put right.
    #[must_use]
    pub fn new(store: Store, kept: Duration) -> Self {
        let state = State {
            live: RwLock::default(),
            confirmed: AtomicI64::new(i64::MIN),
        };
        Self {
            store,
            kept,
            state: Arc::new(state),
        }
    }

    /// Loads all that still matter.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn reload(&self, now: Instant) -> Result<(), DbError> {
        let mut conn = self.store.read().await?;
        let mut after = (String::new(), String::new());
        loop {
            let page = revocations::live(&mut conn, (&after.0, &after.1), now, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = (last.kind.clone(), last.subject.clone());
            self.learn(page);
        }
        // What is committed meanwhile, before the place that was read, is within the overlap of the next comparison.
        self.confirm(now);
        Ok(())
    }

    /// Compares with what the database recorded lately, and forgets what no longer matters.
    ///
    /// # Errors
    /// [`DbError`]; the set is then trusted for two seconds after it was last confirmed.
    pub async fn refresh(&self, now: Instant) -> Result<(), DbError> {
        let recorded = {
            let mut conn = self.store.read().await?;
            revocations::recorded_since(&mut conn, now - OVERLAP, now, MAX_RECORDED).await?
        };
        // So many at once, and perhaps more: page by page then.
        if recorded.len() == MAX_RECORDED {
            self.reload(now).await?;
        } else {
            self.learn(recorded);
        }
        self.write(|live| {
            for kind in RevocationKind::ALL {
                let of_kind = live.of_mut(kind);
                of_kind.retain(|_, until| *until + self.kept > now);
                // After a wave the memory goes back too.
                if of_kind.capacity() > ROOMY && of_kind.len() < of_kind.capacity() / 4 {
                    of_kind.shrink_to(of_kind.len() * 2);
                }
            }
        });
        self.confirm(now);
        Ok(())
    }

    /// Revokes the access token with this `jti`, which expires at `expires_at`. Seen at once on this node.
    ///
    /// # Errors
    /// [`DbError`]; nothing is revoked then.
    pub async fn revoke_token(
        &self,
        jti: &str,
        expires_at: Instant,
        now: Instant,
    ) -> Result<(), DbError> {
        let row = RevocationRow {
            kind: RevocationKind::Token.as_str().into(),
            subject: jti.into(),
            matters_until: expires_at,
        };
        revocations::put(&mut self.store.write().await?, &row, now).await?;
        self.learn(vec![row]);
        Ok(())
    }

    /// Whether this was revoked. Asks the database where the set has not been confirmed lately.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows.
    pub async fn is_revoked(
        &self,
        kind: RevocationKind,
        subject: &str,
        now: Instant,
    ) -> Result<bool, DbError> {
        if self.is_known(kind, subject) {
            return Ok(true);
        }
        if self.is_confirmed(now) {
            return Ok(false);
        }
        revocations::contains(&mut self.store.read().await?, kind.as_str(), subject).await
    }

    /// Whether the set was compared with the database within the last two seconds.
    #[must_use]
    pub fn is_confirmed(&self, now: Instant) -> bool {
        let confirmed = Instant::from_millis(self.state.confirmed.load(Ordering::Acquire));
        // A clock that was put back proves nothing.
        now.since(confirmed) <= TRUSTED && confirmed.since(now) <= TRUSTED
    }

    /// Whether this node knows that it was revoked.
    #[must_use]
    pub fn is_known(&self, kind: RevocationKind, subject: &str) -> bool {
        let live = self.state.live.read();
        live.unwrap_or_else(PoisonError::into_inner)
            .of(kind)
            .contains_key(subject)
    }

    /// Takes in what was committed, so that it is seen at once on this node.
    pub fn learn(&self, rows: Vec<RevocationRow>) {
        if rows.is_empty() {
            return;
        }
        self.write(|live| {
            for row in rows {
                // Another release may know kinds that this one does not judge by.
                let kind = RevocationKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == row.kind);
                if let Some(kind) = kind {
                    live.of_mut(kind)
                        .insert(row.subject.into(), row.matters_until);
                }
            }
        });
    }

    /// Shows in `registry` how many revocations are held, and when they were last compared with the database.
    ///
    /// # Errors
    /// If it is shown there already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        let state = Arc::clone(&self.state);
        gauges(
            registry,
            "revocations_held",
            "Revocations held in memory until they no longer matter, by what they revoke.",
            ["kind"],
            move || {
                let live = state.live.read().unwrap_or_else(PoisonError::into_inner);
                let held = RevocationKind::ALL
                    .map(|kind| ([kind.as_str()], number(live.of(kind).len() as u64)));
                held.into()
            },
        )?;
        let state = Arc::clone(&self.state);
        gauges(
            registry,
            "revocations_confirmed_timestamp_seconds",
            "When the revocations were last compared with the database, in seconds since 1970.",
            [],
            move || {
                let confirmed = state.confirmed.load(Ordering::Acquire).max(0);
                vec![([], number(confirmed.unsigned_abs()) / 1000.0)]
            },
        )
    }

    fn confirm(&self, now: Instant) {
        self.state
            .confirmed
            .store(now.as_millis(), Ordering::Release);
    }

    fn write(&self, change: impl FnOnce(&mut Live)) {
        change(
            &mut self
                .state
                .live
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
