//! Who may not sign in for a while. Rows, because an emptied cache must not unlock anybody.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::sign_in_locks as t;

/// Ended locks that are removed for each that is set. More than one, so that the table shrinks after an attack.
const PRUNED: i64 = 3;

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

/// Removes a few locks that have ended, so that the table cannot grow for ever. Not within a transaction: each statement holds one
/// row and waits for none while it does, so that no two of them wait for each other.
pub async fn prune(conn: &mut Conn, now: Instant) -> Result<()> {
    let ended = t::table
        .filter(t::locked_until.le(now))
        .select(t::identifier_digest)
        .limit(PRUNED);
    let ended: Vec<Vec<u8>> = on!(conn, |c| ended.load(c))?;
    for digest in ended {
        // It may have been set anew meanwhile.
        let lock = t::table.find(digest).filter(t::locked_until.le(now));
        on!(conn, |c| diesel::delete(lock).execute(c))?;
    }
    Ok(())
}

/// Lifts a lock before its time.
pub async fn unlock(conn: &mut Conn, digest: &[u8]) -> Result<()> {
    on!(conn, |c| diesel::delete(t::table.find(digest)).execute(c)).map(drop)
}
