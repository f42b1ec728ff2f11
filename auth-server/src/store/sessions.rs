//! Sessions of people at browsers.

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::accounts::AccountRow;
use super::consents::Consent;
use super::schema::{accounts, consents, sessions as t};

/// A row of `sessions`.
#[derive(Clone, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct SessionRow {
    /// Its public name.
    pub id: String,
    /// SHA-256 of the cookie.
    pub cookie_digest: Vec<u8>,
    /// Whose it is.
    pub account_id: String,
    /// When they last proved who they are.
    pub auth_time: Instant,
    /// How: a list of RFC 8176 values.
    pub amr: Value,
    /// What the browser called itself.
    pub user_agent: Option<String>,
    /// When it began.
    pub created_at: Instant,
    /// When it was last used, to about five minutes.
    pub seen_at: Instant,
    /// When it ends whatever happens.
    pub expires_at: Instant,
    /// When it was ended.
    pub ended_at: Option<Instant>,
}

/// The session whose cookie has this digest.
pub async fn find(conn: &mut Conn, cookie_digest: &[u8]) -> Result<Option<SessionRow>> {
    let query = t::table.filter(t::cookie_digest.eq(cookie_digest));
    on!(conn, |c| query.get_result(c)).optional()
}

/// The session whose cookie has this digest, and whose it is.
pub async fn find_with_account(
    conn: &mut Conn,
    cookie_digest: &[u8],
) -> Result<Option<(SessionRow, AccountRow)>> {
    let query = t::table
        .inner_join(accounts::table)
        .filter(t::cookie_digest.eq(cookie_digest));
    on!(conn, |c| query.get_result(c)).optional()
}

/// The same with what the person agreed to for a client, as [`consents::find`](super::consents::find) has it, by one query.
pub async fn find_with_consent(
    conn: &mut Conn,
    cookie_digest: &[u8],
    client_id: &ClientId,
) -> Result<Option<(SessionRow, AccountRow, Option<Consent>)>> {
    let theirs = consents::account_id
        .eq(t::account_id)
        .and(consents::client_id.eq(client_id.as_str()));
    let query = t::table
        .inner_join(accounts::table)
        .left_join(consents::table.on(theirs))
        .filter(t::cookie_digest.eq(cookie_digest))
        .select((
            t::all_columns,
            accounts::all_columns,
            (
                consents::scope,
                consents::resources,
                consents::authorization_details,
                consents::client_digest,
                consents::claims,
            )
                .nullable(),
        ));
    on!(conn, |c| query.get_result(c)).optional()
}

/// Whether there is a session of this name.
pub async fn is_kept(conn: &mut Conn, id: &str) -> Result<bool> {
    let found = diesel::select(exists(t::table.find(id)));
    on!(conn, |c| found.get_result(c))
}

/// Adds a session.
pub async fn insert(conn: &mut Conn, row: &SessionRow) -> Result<()> {
    on!(conn, |c| diesel::insert_into(t::table)
        .values(row)
        .execute(c))
    .map(drop)
}

/// Gives the session `row.id` the cookie and the proof of `row`, if its cookie still is `before` and it has not ended.
pub async fn renew(conn: &mut Conn, before: &[u8], row: &SessionRow) -> Result<bool> {
    let renewed = on!(conn, |c| diesel::update(t::table)
        .filter(t::id.eq(&row.id))
        .filter(t::cookie_digest.eq(before))
        .filter(t::ended_at.is_null())
        .set((
            t::cookie_digest.eq(&row.cookie_digest),
            t::auth_time.eq(row.auth_time),
            t::amr.eq(&row.amr),
            t::user_agent.eq(&row.user_agent),
            t::seen_at.eq(row.seen_at),
            t::expires_at.eq(row.expires_at),
        ))
        .execute(c))?;
    Ok(renewed == 1)
}

/// Notes that a session was used.
pub async fn note(conn: &mut Conn, id: &str, now: Instant) -> Result<()> {
    on!(conn, |c| diesel::update(t::table.find(id))
        .filter(t::seen_at.lt(now))
        .set(t::seen_at.eq(now))
        .execute(c))
    .map(drop)
}

/// Ends every session of a person.
pub async fn end_all(conn: &mut Conn, account_id: &str, now: Instant) -> Result<()> {
    on!(conn, |c| diesel::update(t::table)
        .filter(t::account_id.eq(account_id))
        .filter(t::ended_at.is_null())
        .set(t::ended_at.eq(now))
        .execute(c))
    .map(drop)
}

/// Ends a session; whether it went on until now.
pub async fn end(conn: &mut Conn, id: &str, now: Instant) -> Result<bool> {
    let ended = on!(conn, |c| diesel::update(t::table.find(id))
        .filter(t::ended_at.is_null())
        .set(t::ended_at.eq(now))
        .execute(c))?;
    Ok(ended == 1)
}
