//! Initial access tokens (RFC 7591 §3), by their digests.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::registration_tokens as t;

/// A row of `registration_tokens`.
#[derive(Clone, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct RegistrationTokenRow {
    /// What operators call it by.
    pub id: String,
    /// Its digest.
    pub digest: Vec<u8>,
    /// What it is for.
    pub name: Option<String>,
    /// How many clients it may still register.
    pub uses_left: i64,
    /// When it was made.
    pub created_at: Instant,
    /// When it ends.
    pub expires_at: Instant,
}

/// Adds one.
pub async fn insert(conn: &mut Conn, row: &RegistrationTokenRow) -> Result<()> {
    let insert = diesel::insert_into(t::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// One page of them in the order of their ids, after `after`.
pub async fn list(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<RegistrationTokenRow>> {
    let page = t::table.filter(t::id.gt(after)).order(t::id).limit(limit);
    on!(conn, |c| page.load(c))
}

/// What the token of this digest is called, if it registers another client.
pub async fn find_good(conn: &mut Conn, digest: &[u8], now: Instant) -> Result<Option<String>> {
    let query = t::table
        .filter(t::digest.eq(digest))
        .filter(t::uses_left.gt(0))
        .filter(t::expires_at.gt(now))
        .select(t::id);
    on!(conn, |c| query.get_result(c)).optional()
}

/// Counts a use; whether there was one left. The conditions are the lock: of any number of callers, as many succeed as it has uses.
pub async fn spend(conn: &mut Conn, id: &str, now: Instant) -> Result<bool> {
    let good = t::table
        .find(id)
        .filter(t::uses_left.gt(0))
        .filter(t::expires_at.gt(now));
    let update = diesel::update(good).set(t::uses_left.eq(t::uses_left - 1));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

/// Deletes one; whether it was there.
pub async fn delete(conn: &mut Conn, id: &str) -> Result<bool> {
    let delete = diesel::delete(t::table.find(id));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
