//! What nodes cache and somebody changed: one row for each thing, moved on in the transaction that changes it.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, Result};
use shared_server::on;

use super::schema::changes;

/// That a thing changed.
#[derive(Clone, Debug, Eq, PartialEq, Queryable)]
pub struct Change {
    /// What kind of thing, such as `keys`.
    pub kind: String,
    /// Which one.
    pub subject: String,
    /// When it changed last, by the clock of the node that changed it.
    pub changed_at: Instant,
}

/// Two changes of one thing never bear the same instant, even if they fell into one millisecond or the clock went back: a
/// node that saw the first would take the second for the same.
const MOVED_ON: &str = "CASE WHEN changes.changed_at < excluded.changed_at THEN excluded.changed_at ELSE changes.changed_at + 1 END";

/// Records that `subject` changed.
pub async fn record(conn: &mut Conn, kind: &str, subject: &str, now: Instant) -> Result<()> {
    let row = (
        changes::kind.eq(kind),
        changes::subject.eq(subject),
        changes::changed_at.eq(now),
    );
    on!(conn, |c| diesel::insert_into(changes::table)
        .values(row)
        .on_conflict((changes::kind, changes::subject))
        .do_update()
        .set(changes::changed_at.eq(sql::<BigInt>(MOVED_ON)))
        .execute(c))
    .map(drop)
}

/// At most `limit` changes later than `after`, the earliest first.
///
/// A transaction may commit after one that bears a later instant, and clocks differ between nodes, so a reader looks back
/// by some seconds and passes over what it has seen. One that is given `limit` of them has missed too much to tell what
/// is left, and forgets all it caches.
pub async fn since(conn: &mut Conn, after: Instant, limit: i64) -> Result<Vec<Change>> {
    on!(conn, |c| changes::table
        .filter(changes::changed_at.gt(after))
        .order((changes::changed_at, changes::kind, changes::subject))
        .limit(limit)
        .load(c))
}
