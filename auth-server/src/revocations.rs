//! What was revoked before its time, held in memory on every node, so that a JWT is judged without a query.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use crate::store::revocations::{self, RevocationRow};

/// For how long the set is trusted after it was last compared with the database.
const TRUSTED: Duration = Duration::from_secs(2);
/// How far back each comparison looks: longer than a transaction may take and clocks of nodes may differ.
pub const OVERLAP: Duration = Duration::from_secs(15);
/// For how long a revocation is kept past its time: a clock that was wrong may be put right.
const SLACK: Duration = Duration::from_hours(1);
/// Rows for each query of the full load.
const PAGE: i64 = 1000;

/// An access token, by its `jti`.
const TOKEN: &str = "jti";

/// The live set of revocations.
#[derive(Clone)]
pub struct Revocations {
    store: Store,
    state: Arc<State>,
}

struct State {
    live: RwLock<HashMap<Box<str>, Instant>>,
    confirmed: AtomicI64,
}

impl Revocations {
    /// Loads all that still matter.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn load(store: Store, now: Instant) -> Result<Self, DbError> {
        let state = State {
            live: RwLock::default(),
            confirmed: AtomicI64::new(i64::MIN),
        };
        let revocations = Self {
            store,
            state: Arc::new(state),
        };
        revocations.reload(now).await?;
        Ok(revocations)
    }

    /// Loads all that still matter, again.
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
            self.insert(page);
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
            revocations::recorded_since(&mut conn, now - OVERLAP, now).await?
        };
        self.insert(recorded);
        self.write(|live| live.retain(|_, until| *until + SLACK > now));
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
            kind: TOKEN.into(),
            subject: jti.into(),
            matters_until: expires_at,
        };
        revocations::put(&mut self.store.write().await?, &row, now).await?;
        self.insert(vec![row]);
        Ok(())
    }

    /// Whether the access token with this `jti` was revoked. Asks the database where the set has not been confirmed lately.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows.
    pub async fn is_revoked(&self, jti: &str, now: Instant) -> Result<bool, DbError> {
        if self.is_known(jti) {
            return Ok(true);
        }
        if self.is_confirmed(now) {
            return Ok(false);
        }
        revocations::contains(&mut self.store.read().await?, TOKEN, jti).await
    }

    /// Whether the set was compared with the database within the last two seconds.
    #[must_use]
    pub fn is_confirmed(&self, now: Instant) -> bool {
        let confirmed = Instant::from_millis(self.state.confirmed.load(Ordering::Acquire));
        // A clock that was put back proves nothing.
        now.since(confirmed) <= TRUSTED && confirmed.since(now) <= TRUSTED
    }

    fn is_known(&self, jti: &str) -> bool {
        let live = self.state.live.read();
        live.unwrap_or_else(PoisonError::into_inner)
            .contains_key(jti)
    }

    fn confirm(&self, now: Instant) {
        self.state
            .confirmed
            .store(now.as_millis(), Ordering::Release);
    }

    fn insert(&self, rows: Vec<RevocationRow>) {
        if !rows.is_empty() {
            let rows = rows.into_iter();
            self.write(|live| live.extend(rows.map(|row| (row.subject.into(), row.matters_until))));
        }
    }

    fn write(&self, change: impl FnOnce(&mut HashMap<Box<str>, Instant>)) {
        change(
            &mut self
                .state
                .live
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }
}
