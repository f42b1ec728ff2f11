//! Who may not sign in for a while. Rows, because an emptied cache must not unlock anybody.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::sign_in_locks as t;

/// Until when this one is locked, if at all.
pub async fn locked_until(conn: &mut Conn, digest: &[u8], now: Instant) -> Result<Option<Instant>> {
    let query = t::table
        .find(digest)
        .filter(t::locked_until.gt(now))
        .select(t::locked_until);
    on!(conn, |c| query.get_result(c)).optional()
}

/// Locks until `until`.
pub async fn lock(conn: &mut Conn, digest: &[u8], until: Instant) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((t::identifier_digest.eq(digest), t::locked_until.eq(until)))
        .on_conflict(t::identifier_digest)
        .do_update()
        .set(t::locked_until.eq(until));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Lifts a lock before its time.
pub async fn unlock(conn: &mut Conn, digest: &[u8]) -> Result<()> {
    on!(conn, |c| diesel::delete(t::table.find(digest)).execute(c)).map(drop)
}
