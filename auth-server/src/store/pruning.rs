//! Removing rows whose time has passed, in batches that hold nobody up.

use diesel::dsl::{exists, not};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Backend, Conn, Result, Store};
use shared_server::on;

use super::schema::{clients as c, grants as g, sessions as s};
use crate::clients::directory;

/// Rows of one batch: some milliseconds of SQLite's one writer.
pub const BATCH: usize = 500;

/// A table that is pruned by an instant of its rows alone. There is an index on that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// Secrets of clients, by their end.
    ClientSecrets,
    /// Changes, by when they were made.
    Changes,
    /// Revocations, by until when they matter.
    Revocations,
    /// Locks of accounts, by their end.
    SignInLocks,
    /// Grants, by the end of their refresh tokens.
    Grants,
    /// Grants, by when they were revoked.
    RevokedGrants,
    /// Initial access tokens, by their end.
    RegistrationTokens,
    /// What clients did not hear of, by when it happened.
    LogoutNotices,
    /// Opaque access tokens, by their end.
    AccessTokens,
    /// Why requests were refused, by when they came.
    Refusals,
}

impl Table {
    /// As the database calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClientSecrets => "client_secrets",
            Self::Changes => "changes",
            Self::Revocations => "revocations",
            Self::SignInLocks => "sign_in_locks",
            Self::Grants | Self::RevokedGrants => "grants",
            Self::RegistrationTokens => "registration_tokens",
            Self::LogoutNotices => "logout_notices",
            Self::AccessTokens => "access_tokens",
            Self::Refusals => "refusals",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::ClientSecrets => "client_id, digest",
            Self::Changes | Self::Revocations => "kind, subject",
            Self::SignInLocks => "identifier_digest",
            Self::LogoutNotices => "ended, client_id",
            Self::AccessTokens => "digest",
            Self::Refusals => "request_id, id",
            Self::Grants | Self::RevokedGrants | Self::RegistrationTokens => "id",
        }
    }

    const fn instant(self) -> &'static str {
        match self {
            Self::ClientSecrets | Self::Grants | Self::RegistrationTokens | Self::AccessTokens => {
                "expires_at"
            }
            Self::Changes => "changed_at",
            Self::Revocations => "matters_until",
            Self::SignInLocks => "locked_until",
            Self::RevokedGrants => "revoked_at",
            Self::LogoutNotices => "created_at",
            Self::Refusals => "refused_at",
        }
    }

    /// The statement that removes one batch of what ended at `$1` or before, the earliest first.
    #[must_use]
    pub fn statement(self, backend: Backend) -> String {
        let (table, key, at) = (self.name(), self.key(), self.instant());
        let ended =
            format!("SELECT {key} FROM {table} WHERE {at} <= $1 ORDER BY {at} LIMIT {BATCH}");
        match backend {
            Backend::Sqlite => format!("DELETE FROM {table} WHERE ({key}) IN ({ended})"),
            // Whoever uses a row is not waited for, and what has got another time meanwhile is not locked: the lock looks again.
            Backend::Postgres => format!(
                "WITH ended AS MATERIALIZED ({ended} FOR UPDATE SKIP LOCKED) \
                 DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM ended)"
            ),
        }
    }
}

/// Removes one batch of a table's rows that ended at `until` or before; how many that were.
pub async fn prune(store: &Store, table: Table, until: Instant) -> Result<usize> {
    let statement = table.statement(store.backend());
    let delete = diesel::sql_query(statement).bind::<BigInt, _>(until);
    let mut conn = store.write().await?;
    on!(&mut conn, |c| delete.execute(c))
}

/// How a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SessionEnd {
    /// It ran out.
    Expired,
    /// Nobody used it for too long.
    Idle,
    /// Somebody ended it.
    Ended,
}

/// Removes one batch of the sessions that ended so at `until` or before; how many that were. The grants that do not outlive them end
/// with them: their refresh tokens were dead already, and nothing else would tell when the rows may go.
pub async fn prune_sessions(
    store: &Store,
    how: SessionEnd,
    until: Instant,
    now: Instant,
) -> Result<usize> {
    store
        .transaction(async |conn| {
            let ids = ended_sessions(conn, how, until).await?;
            if ids.is_empty() {
                return Ok(0);
            }
            let theirs = g::session_id.eq_any(&ids).and(g::offline.eq(false));
            let end = diesel::update(g::table.filter(theirs).filter(g::expires_at.gt(now)))
                .set(g::expires_at.eq(now));
            on!(conn, |c| end.execute(c))?;
            let delete = diesel::delete(s::table.filter(s::id.eq_any(&ids)));
            on!(conn, |c| delete.execute(c))
        })
        .await
}

async fn ended_sessions(conn: &mut Conn, how: SessionEnd, until: Instant) -> Result<Vec<String>> {
    let batch = i64::try_from(BATCH).unwrap_or(i64::MAX);
    macro_rules! ended_by {
        ($column:expr) => {{
            let ended = s::table
                .filter($column.le(until))
                .order($column)
                .select(s::id)
                .limit(batch);
            on!(conn, |c| ended.load(c), |c| ended
                .for_update()
                .skip_locked()
                .load(c))
        }};
    }
    match how {
        SessionEnd::Expired => ended_by!(s::expires_at),
        SessionEnd::Idle => ended_by!(s::seen_at),
        SessionEnd::Ended => ended_by!(s::ended_at),
    }
}

/// Removes one batch of the clients that registered themselves at `until` or before and never got a token; how many that were. One
/// that has a grant got a token, which a node stopped before it wrote that down.
pub async fn prune_unused_clients(store: &Store, until: Instant, now: Instant) -> Result<usize> {
    store
        .transaction(async |conn| {
            let granted = exists(g::table.filter(g::client_id.eq(c::id)));
            let unused = c::table
                .filter(c::unused_since.le(until))
                .filter(not(granted))
                .order(c::unused_since)
                .select(c::id)
                .limit(i64::try_from(BATCH).unwrap_or(i64::MAX));
            let ids: Vec<String> = on!(conn, |c| unused.load(c), |c| unused
                .for_update()
                .skip_locked()
                .load(c))?;
            directory::delete_unused(conn, &ids, now).await?;
            Ok(ids.len())
        })
        .await
}
