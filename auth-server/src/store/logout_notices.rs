//! Clients that are to hear that somebody signed out (OpenID Connect Back-Channel Logout 1.0).
//!
//! Each is written in the transaction that ends the sessions, and is the message to whoever tells the client: another node, or this one,
//! now or later. `due_at` and `tries` are the lock: whoever changes a notice names those that it saw.

use diesel::dsl::{case_when, exists};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, Result};
use shared_server::on;

use super::schema::{clients as c, grants as g, logout_notices as t, sessions as s};

/// A row of `logout_notices`.
#[derive(Clone, Debug, Queryable)]
pub struct NoticeRow {
    /// The session that ended, or the account all of whose sessions did.
    pub ended: String,
    /// Who is to hear it.
    pub client_id: String,
    /// Who signed out.
    pub account_id: String,
    /// When.
    pub created_at: Instant,
    /// Until when nobody else tells the client.
    pub due_at: Instant,
    /// How often it was tried in vain.
    pub tries: i64,
}

const COLUMNS: (
    t::ended,
    t::client_id,
    t::account_id,
    t::created_at,
    t::due_at,
    t::tries,
) = (
    t::ended,
    t::client_id,
    t::account_id,
    t::created_at,
    t::due_at,
    t::tries,
);

/// The rest of a notice: its times, and that it was not tried.
macro_rules! new {
    ($due_at:expr, $now:expr) => {
        (
            $now.into_sql::<BigInt>(),
            $due_at.into_sql::<BigInt>(),
            0_i64.into_sql::<BigInt>(),
        )
    };
}

/// Has the clients that got a grant in this session hear of its end, whatever became of the grant: nobody tells them before `due_at` but
/// the caller, who gets the notices. To be called once for a session, in the transaction that ends it, and before its grants are
/// revoked.
pub async fn insert_of_session(
    conn: &mut Conn,
    session_id: &str,
    due_at: Instant,
    now: Instant,
) -> Result<Vec<NoticeRow>> {
    let (created_at, due_at, tries) = new!(due_at, now);
    let notices = g::table
        .inner_join(c::table.on(c::id.eq(g::client_id)))
        .filter(g::session_id.eq(session_id))
        .filter(c::hears_logout.eq(true))
        .select((
            g::session_id.assume_not_null(),
            g::client_id,
            g::account_id,
            created_at,
            due_at,
            tries,
        ))
        .distinct();
    on!(conn, |c| diesel::insert_into(t::table)
        .values(notices)
        .into_columns(COLUMNS)
        .on_conflict_do_nothing()
        .returning(COLUMNS)
        .get_results(c))
}

/// Has clients hear that every session of a person ended: those that got a grant in a session which goes on or ran out, and those whose
/// grant outlives its session. Who does not know what that means hears of each session, and who never heard of one, because an issuer
/// spoke for the person, hears nothing. To be called in the transaction that ends them,
/// before it does.
///
/// What a client had not heard of yet when this happens again is told once.
pub async fn insert_of_account(conn: &mut Conn, account_id: &str, now: Instant) -> Result<()> {
    let (created_at, due_at, tries) = new!(now, now);
    let in_session = exists(
        s::table
            .filter(s::id.nullable().eq(g::session_id))
            .filter(s::ended_at.is_null()),
    );
    let alone = g::offline
        .eq(true)
        .and(g::session_id.is_not_null())
        .and(g::revoked_at.is_null())
        .and(g::expires_at.gt(now));
    let notices = g::table
        .inner_join(c::table.on(c::id.eq(g::client_id)))
        .filter(g::account_id.eq(account_id))
        .filter(c::hears_logout.eq(true))
        .filter(in_session.or(alone))
        .select((
            case_when(
                c::hears_by_session.eq(true),
                g::session_id.assume_not_null(),
            )
            .otherwise(g::account_id),
            g::client_id,
            g::account_id,
            created_at,
            due_at,
            tries,
        ))
        .distinct();
    let insert = diesel::insert_into(t::table)
        .values(notices)
        .into_columns(COLUMNS)
        .on_conflict((t::ended, t::client_id))
        .do_update()
        .set((t::created_at.eq(now), t::due_at.eq(now), t::tries.eq(0)));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Clients of which a notice is due, the longest due first, as far as `limit`.
pub async fn due_clients(conn: &mut Conn, now: Instant, limit: i64) -> Result<Vec<String>> {
    let query = t::table
        .filter(t::due_at.le(now))
        .group_by(t::client_id)
        .order(diesel::dsl::min(t::due_at))
        .select(t::client_id)
        .limit(limit);
    on!(conn, |c| query.load(c))
}

/// Notices of a client that are due, the longest due first, as far as `limit`.
pub async fn due_of(
    conn: &mut Conn,
    client_id: &str,
    now: Instant,
    limit: i64,
) -> Result<Vec<NoticeRow>> {
    let query = t::table
        .filter(t::client_id.eq(client_id))
        .filter(t::due_at.le(now))
        .order(t::due_at)
        .limit(limit);
    on!(conn, |c| query.load(c))
}

/// How many there are.
pub async fn count(conn: &mut Conn) -> Result<i64> {
    let query = t::table.count();
    on!(conn, |c| query.get_result(c))
}

/// The notice as it was seen.
macro_rules! seen {
    ($notice:expr) => {
        t::table
            .find((&$notice.ended, &$notice.client_id))
            .filter(t::due_at.eq($notice.due_at))
            .filter(t::tries.eq($notice.tries))
    };
}

/// Has nobody else tell the client before `until`; whether nobody did in the meantime.
pub async fn claim(conn: &mut Conn, notice: &NoticeRow, until: Instant) -> Result<bool> {
    put_off(conn, notice, until, notice.tries).await
}

/// Notes that a try was in vain, and when the next one is due.
pub async fn note_failure(conn: &mut Conn, notice: &NoticeRow, due_at: Instant) -> Result<bool> {
    put_off(conn, notice, due_at, notice.tries + 1).await
}

async fn put_off(conn: &mut Conn, notice: &NoticeRow, due_at: Instant, tries: i64) -> Result<bool> {
    let update = diesel::update(seen!(notice)).set((t::due_at.eq(due_at), t::tries.eq(tries)));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

/// Removes a notice, unless it was made anew since it was seen.
pub async fn remove(conn: &mut Conn, notice: &NoticeRow) -> Result<bool> {
    let delete = diesel::delete(seen!(notice));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
