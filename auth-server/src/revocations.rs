//! What was revoked before its time, held in memory on every node, so that a JWT is judged without a query.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
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
    /// Whatever a client got until an instant, for people and for itself.
    Client,
    /// Whatever was issued on behalf of a person until an instant.
    Account,
}

impl RevocationKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Token, Self::Grant, Self::Client, Self::Account];

    /// As it stands in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Token => "jti",
            Self::Grant => "grant",
            Self::Client => "client",
            Self::Account => "account",
        }
    }
}

/// What an access token rests on: it dies with any of it.
#[derive(Clone, Copy, Debug)]
pub struct RestsOn<'a> {
    /// Its identifier.
    pub jti: &'a str,
    /// What a person granted, if one did.
    pub grant_id: Option<&'a str>,
    /// Who it was issued to.
    pub client_id: &'a str,
    /// That person, where the token calls them what everybody does; elsewhere their grants are all that tells.
    pub account_id: Option<&'a str>,
    /// When it was issued, to the second.
    pub issued_at: Instant,
}

impl RestsOn<'_> {
    /// The first instants, of its client and of its person, at which a cut-off kills it.
    ///
    /// It says the second in which it was issued and no more. What a client got in the second of the cut-off is dead. A person may sign
    /// in again in that second, as one does who has just chosen a new password; of what they had before, the grants were ended.
    pub(crate) fn dead_from(&self) -> (Instant, Instant) {
        let second = self.issued_at.as_secs();
        (
            Instant::from_secs(second),
            Instant::from_secs(second.saturating_add(1)),
        )
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

/// What is revoked, and until when that matters.
#[derive(Default)]
struct Live {
    tokens: HashMap<Box<str>, Instant>,
    grants: HashMap<Box<str>, Instant>,
    clients: HashMap<Box<str>, CutOff>,
    accounts: HashMap<Box<str>, CutOff>,
}

/// The end of what somebody got until an instant.
#[derive(Clone, Copy)]
struct CutOff {
    at: Instant,
    matters_until: Instant,
}

impl Live {
    fn len(&self, kind: RevocationKind) -> usize {
        match kind {
            RevocationKind::Token => self.tokens.len(),
            RevocationKind::Grant => self.grants.len(),
            RevocationKind::Client => self.clients.len(),
            RevocationKind::Account => self.accounts.len(),
        }
    }

    fn learn(&mut self, kind: RevocationKind, row: RevocationRow) {
        let subject = row.subject.into();
        let cut_offs = match kind {
            RevocationKind::Token => {
                self.tokens.insert(subject, row.matters_until);
                return;
            }
            RevocationKind::Grant => {
                self.grants.insert(subject, row.matters_until);
                return;
            }
            RevocationKind::Client => &mut self.clients,
            RevocationKind::Account => &mut self.accounts,
        };
        let learnt = CutOff {
            // Nobody writes one without: then nothing of theirs is good.
            at: row.cutoff.unwrap_or(row.matters_until),
            matters_until: row.matters_until,
        };
        let known = cut_offs.entry(subject).or_insert(learnt);
        // It may have been read before it was moved on.
        if known.at < learnt.at {
            *known = learnt;
        }
    }

    fn forget(&mut self, is_over: impl Fn(Instant) -> bool) {
        let over = |until: &Instant| is_over(*until);
        let cut_off_is_over = |cut_off: &CutOff| is_over(cut_off.matters_until);
        retain(&mut self.tokens, over);
        retain(&mut self.grants, over);
        retain(&mut self.clients, cut_off_is_over);
        retain(&mut self.accounts, cut_off_is_over);
    }

    fn kills(&self, rests: &RestsOn<'_>) -> bool {
        let (of_client, of_account) = rests.dead_from();
        let cut_off = |of: &HashMap<Box<str>, CutOff>, who: &str, from: Instant| {
            of.get(who).is_some_and(|cut_off| cut_off.at >= from)
        };
        let grant = |id: &str| self.grants.contains_key(id);
        let account = |id: &str| cut_off(&self.accounts, id, of_account);
        rests.grant_id.is_some_and(grant)
            || self.tokens.contains_key(rests.jti)
            || cut_off(&self.clients, rests.client_id, of_client)
            || rests.account_id.is_some_and(account)
    }
}

fn retain<V>(held: &mut HashMap<Box<str>, V>, is_over: impl Fn(&V) -> bool) {
    held.retain(|_, value| !is_over(value));
    // After a wave the memory goes back too.
    if held.capacity() > ROOMY && held.len() < held.capacity() / 4 {
        held.shrink_to(held.len() * 2);
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
        self.write(|live| live.forget(|until| until + self.kept <= now));
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
            cutoff: None,
        };
        revocations::put(&mut self.store.write().await?, &row, now).await?;
        self.learn(vec![row]);
        Ok(())
    }

    /// Whether anything was revoked that this rests on. Asks the database where the set has not been confirmed lately.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows.
    pub async fn is_revoked(&self, rests: &RestsOn<'_>, now: Instant) -> Result<bool, DbError> {
        if self.read().kills(rests) {
            return Ok(true);
        }
        if self.is_confirmed(now) {
            return Ok(false);
        }
        revocations::contains(&mut self.store.read().await?, rests).await
    }

    /// Whether the set was compared with the database within the last two seconds.
    #[must_use]
    pub fn is_confirmed(&self, now: Instant) -> bool {
        let confirmed = Instant::from_millis(self.state.confirmed.load(Ordering::Acquire));
        // A clock that was put back proves nothing.
        now.since(confirmed) <= TRUSTED && confirmed.since(now) <= TRUSTED
    }

    /// Whether this node knows a revocation of this.
    #[must_use]
    pub fn is_known(&self, kind: RevocationKind, subject: &str) -> bool {
        let live = self.read();
        match kind {
            RevocationKind::Token => live.tokens.contains_key(subject),
            RevocationKind::Grant => live.grants.contains_key(subject),
            RevocationKind::Client => live.clients.contains_key(subject),
            RevocationKind::Account => live.accounts.contains_key(subject),
        }
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
                    live.learn(kind, row);
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
                    .map(|kind| ([kind.as_str()], number(live.len(kind) as u64)));
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

    fn read(&self) -> RwLockReadGuard<'_, Live> {
        let live = self.state.live.read();
        live.unwrap_or_else(PoisonError::into_inner)
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
