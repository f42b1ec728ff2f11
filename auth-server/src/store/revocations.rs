//! What was revoked before its time.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::revocations as t;

/// One revocation: what kind of thing, which one, and until when it matters.
#[derive(Clone, Debug, Queryable)]
pub struct RevocationRow {
    /// The kind of `subject`.
    pub kind: String,
    /// What was revoked.
    pub subject: String,
    /// After this instant nothing of it could be used anyway.
    pub matters_until: Instant,
}

/// Records a revocation; one that is there already stands.
pub async fn put(conn: &mut Conn, revocation: &RevocationRow, now: Instant) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((
            t::kind.eq(&revocation.kind),
            t::subject.eq(&revocation.subject),
            t::recorded_at.eq(now),
            t::matters_until.eq(revocation.matters_until),
        ))
        .on_conflict((t::kind, t::subject))
        .do_nothing();
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Whether this was revoked.
pub async fn contains(conn: &mut Conn, kind: &str, subject: &str) -> Result<bool> {
    let query = t::table.find((kind, subject)).select(t::kind);
    Ok(on!(conn, |c| query.get_result::<String>(c))
        .optional()?
        .is_some())
}

/// One page of those that still matter, in the order of kind and subject, after the pair `after`.
pub async fn live(
    conn: &mut Conn,
    after: (&str, &str),
    now: Instant,
    limit: i64,
) -> Result<Vec<RevocationRow>> {
    let (kind, subject) = after;
    let page = t::table
        .filter(t::matters_until.gt(now))
        .filter(
            t::kind
                .gt(kind)
                .or(t::kind.eq(kind).and(t::subject.gt(subject))),
        )
        .order((t::kind, t::subject))
        .select((t::kind, t::subject, t::matters_until))
        .limit(limit);
    on!(conn, |c| page.load(c))
}

/// Those recorded at or after `from`, oldest first, as far as `limit`.
pub async fn recorded_since(
    conn: &mut Conn,
    from: Instant,
    now: Instant,
    limit: usize,
) -> Result<Vec<RevocationRow>> {
    let query = t::table
        .filter(t::recorded_at.ge(from))
        .filter(t::matters_until.gt(now))
        .order(t::recorded_at)
        .select((t::kind, t::subject, t::matters_until))
        .limit(i64::try_from(limit).unwrap_or(i64::MAX));
    on!(conn, |c| query.load(c))
}
