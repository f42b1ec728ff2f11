//! Telling clients that somebody signed out (OpenID Connect Back-Channel Logout 1.0).
//!
//! Who is to hear it stands in rows, written with the end of the session. Whoever signs somebody out tells them at once, for as long as
//! a person may wait; a job tells the rest, and those that could not be told, again and again until they have heard it or it is too
//! late. A client hears it once, but for an answer that got lost. Of what it answers only the status counts.

mod metrics;
mod outcome;
mod token;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use prometheus::Registry;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::outbound::Fetcher;
use shared_protocol::random::Random;
use shared_protocol::time::{Clock, Instant};
use shared_server::db::{DbError, Store};
use tokio::time;
use url::form_urlencoded;

use self::outcome::Failure;
use self::turns::Turns;
use crate::clients::Client;
use crate::clients::directory::{Clients, DirectoryError};
use crate::clients::url::ClientUrl;
use crate::config::Config;
use crate::keys::Keys;
use crate::records::Records;
use crate::server::World;
use crate::store::logout_notices::{self, NoticeRow};
use crate::subjects::Subjects;
pub use metrics::LogoutMetrics;
pub use outcome::Told;

/// How often the rows are looked at.
pub const EVERY: Duration = Duration::from_secs(5);
/// For how long a notice is whoever's that tells the client: longer than any exchange takes.
const LEASE: Duration = Duration::from_secs(30);
/// Clients that are told at a time.
const AT_ONCE: usize = 32;
/// Clients that one look finds.
const CLIENTS: i64 = 1000;
/// Notices of one client that are read at a time.
const PAGE: i64 = 20;
/// How long a client is told one thing after the other before others have their turn.
const TURN: Duration = Duration::from_secs(5);

/// What is too old to be told is there for so long, for somebody to count it.
pub const COUNTED: Duration = Duration::from_hours(1);

/// How long clients are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a person who signs out waits.
    pub wait: Duration,
    /// How long a client is left alone that could not be told, the first time.
    pub retry_after: Duration,
    /// The longest that it is.
    pub longest_rest: Duration,
    /// How often it is tried.
    pub tries: u32,
    /// After how long it is not tried any more.
    pub give_up_after: Duration,
}

impl Patience {
    /// How long a client is left alone after so many tries in vain.
    fn rest_after(&self, tries: i64) -> Duration {
        let doublings = u32::try_from(tries).unwrap_or(0).saturating_sub(1).min(16);
        (self.retry_after * 2_u32.pow(doublings)).min(self.longest_rest)
    }
}

/// Tells clients.
#[derive(Clone)]
pub struct BackChannel {
    store: Store,
    clients: Clients,
    keys: Keys,
    subjects: Subjects,
    issuer: Arc<Issuer>,
    patience: Patience,
    metrics: LogoutMetrics,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    fetcher: Fetcher,
    turns: Turns,
}

/// Whom a notice is for, and where they hear it.
struct Listener {
    client: Arc<Client>,
    uri: ClientUrl,
}

impl BackChannel {
    /// Tells the clients of `records`.
    ///
    /// # Errors
    /// If the name of a metric is taken.
    pub fn open(
        config: &Config,
        records: &Records,
        world: &World,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            store: records.store.clone(),
            clients: records.clients.clone(),
            keys: records.keys.clone(),
            subjects: Subjects::new(&records.root_secret),
            issuer: Arc::new(config.issuer.clone()),
            patience: config.logout.patience(),
            metrics: LogoutMetrics::register(registry)?,
            clock: Arc::clone(&world.clock),
            random: Arc::clone(&world.random),
            fetcher: records.sites.fetcher.clone(),
            turns: Turns::new(),
        })
    }

    /// Until when whoever signs somebody out at `now` has its clients to itself.
    #[must_use]
    pub fn lead(&self, now: Instant) -> Instant {
        if self.patience.wait.is_zero() {
            now
        } else {
            now + LEASE
        }
    }

    /// Tells clients for the first time, all at once, while a person waits: no longer than they may. Who has not heard it by then
    /// is told later.
    pub async fn tell_at_once(&self, notices: Vec<NoticeRow>, now: Instant) {
        let end = time::Instant::now() + self.patience.wait;
        let telling = stream::iter(notices).map(|notice| async move {
            if let Err(error) = self.tell(&notice, end, now).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a client is told later that somebody signed out");
            }
        });
        telling
            .buffer_unordered(AT_ONCE)
            .for_each(async |()| ())
            .await;
    }

    /// Tells those whose time has come: one thing after the other to each client, and several clients at once. A client that cannot be
    /// told is left alone until the next run.
    ///
    /// # Errors
    /// [`DbError`]; who was told until then was.
    pub async fn run(&self) -> Result<(), DbError> {
        let now = self.clock.now();
        let clients = {
            let mut conn = self.store.read().await?;
            logout_notices::due_clients(&mut conn, now, CLIENTS).await?
        };
        let telling = stream::iter(clients).map(|id| async move { self.tell_client(&id).await });
        let told: Vec<_> = telling.buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().collect::<Result<(), _>>()?;
        let pending = logout_notices::count(&mut self.store.read().await?).await?;
        self.metrics.pending(pending);
        Ok(())
    }

    async fn tell_client(&self, id: &str) -> Result<(), DbError> {
        let began = time::Instant::now();
        loop {
            let now = self.clock.now();
            let due = {
                let mut conn = self.store.read().await?;
                logout_notices::due_of(&mut conn, id, now, PAGE).await?
            };
            if due.is_empty() {
                return Ok(());
            }
            for mut notice in due {
                if began.elapsed() > TURN {
                    return Ok(());
                }
                let now = self.clock.now();
                let until = now + LEASE;
                let mut conn = self.store.write().await?;
                if !logout_notices::claim(&mut conn, &notice, until).await? {
                    continue;
                }
                drop(conn);
                notice.due_at = until;
                let end = time::Instant::now() + LEASE / 2;
                match self.tell(&notice, end, now).await? {
                    Some(Told::Delivered | Told::Refused | Told::Gone) => {}
                    Some(Told::Failed | Told::GivenUp) | None => return Ok(()),
                }
            }
        }
    }

    /// Tells a client, before `end`, what the caller has to itself. `None` if it was not its turn until then: whoever looks next, when
    /// the caller's time for it is over, tells it.
    async fn tell(
        &self,
        notice: &NoticeRow,
        end: time::Instant,
        now: Instant,
    ) -> Result<Option<Told>, DbError> {
        let listener = match self.listener(notice).await {
            Ok(Some(listener)) => listener,
            Ok(None) => return self.settle(notice, Told::Gone).await.map(Some),
            Err(DirectoryError::Store(error)) => return Err(error),
            Err(error) => {
                let told = self.judge(&Failure::Client(error), notice, now);
                return self.settle(notice, told).await.map(Some);
            }
        };
        let Some(_turn) = self.turns.take(listener.uri.url(), end).await else {
            return Ok(None);
        };
        let patience = end.saturating_duration_since(time::Instant::now());
        if patience.is_zero() {
            return Ok(None);
        }
        let told = match self.send(&listener, notice, patience, now).await {
            Ok(()) => Told::Delivered,
            Err(failure) => self.judge(&failure, notice, now),
        };
        self.settle(notice, told).await.map(Some)
    }

    /// Where a notice goes; `None` if its client is gone, or wants to hear nothing any more.
    async fn listener(&self, notice: &NoticeRow) -> Result<Option<Listener>, DirectoryError> {
        let Ok(id) = notice.client_id.parse::<ClientId>() else {
            return Ok(None);
        };
        let client = self.clients.find(&id).await?;
        Ok(client.and_then(|client| {
            let uri = client.metadata.backchannel_logout_uri.clone()?;
            Some(Listener { client, uri })
        }))
    }

    async fn send(
        &self,
        listener: &Listener,
        notice: &NoticeRow,
        patience: Duration,
        now: Instant,
    ) -> Result<(), Failure> {
        let token = self.logout_token(&listener.client, notice, now).await?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("logout_token", &token)
            .finish();
        let status = self
            .fetcher
            .tell(listener.uri.url(), form, patience)
            .await?;
        if status.is_success() {
            Ok(())
        } else {
            Err(Failure::Status(status.as_u16()))
        }
    }

    /// What a failure makes of a notice, and of the log.
    fn judge(&self, failure: &Failure, notice: &NoticeRow, now: Instant) -> Told {
        let tries = notice.tries + 1;
        let old = now.since(notice.created_at) >= self.patience.give_up_after;
        let client_id = notice.client_id.as_str();
        let error = failure as &dyn std::error::Error;
        if !failure.is_final() && tries < self.patience.tries.into() && !old {
            tracing::info!(
                client_id,
                tries,
                error,
                "a client is told again of a sign-out"
            );
            return Told::Failed;
        }
        let told = if failure.is_final() {
            Told::Refused
        } else {
            Told::GivenUp
        };
        tracing::warn!(
            client_id,
            tries,
            error,
            "a client hears no more of a sign-out"
        );
        told
    }

    /// Writes down what became of a notice, unless somebody else has it by now.
    async fn settle(&self, notice: &NoticeRow, told: Told) -> Result<Told, DbError> {
        let mut conn = self.store.write().await?;
        match told {
            Told::Delivered | Told::Refused | Told::GivenUp | Told::Gone => {
                logout_notices::remove(&mut conn, notice).await?;
            }
            Told::Failed => {
                let due_at = self.clock.now() + self.patience.rest_after(notice.tries + 1);
                logout_notices::note_failure(&mut conn, notice, due_at).await?;
            }
        }
        self.metrics.told(told);
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_left_alone_twice_as_long_each_time() {
        let patience = Patience {
            wait: Duration::ZERO,
            retry_after: Duration::from_secs(10),
            longest_rest: Duration::from_hours(1),
            tries: 12,
            give_up_after: Duration::from_hours(24),
        };
        for (tries, seconds) in [
            (1, 10),
            (2, 20),
            (3, 40),
            (9, 2560),
            (10, 3600),
            (100, 3600),
        ] {
            let rest = patience.rest_after(tries);
            assert_eq!(rest, Duration::from_secs(seconds), "{tries}");
        }
    }
}
