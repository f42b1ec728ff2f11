//! What was revoked before its time.

use diesel::dsl::{case_when, exists};
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::revocations as t;
use crate::revocations::{RestsOn, RevocationKind};

/// One revocation: what kind of thing, which one, and until when it matters.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct RevocationRow {
    /// The kind of `subject`.
    pub kind: String,
    /// What was revoked.
    pub subject: String,
    /// After this instant nothing of it could be used anyway.
    pub matters_until: Instant,
    /// Of a client or an account: until when what it got is revoked.
    pub cutoff: Option<Instant>,
}

/// The columns of [`RevocationRow`].
const ROW: (t::kind, t::subject, t::matters_until, t::cutoff) =
    (t::kind, t::subject, t::matters_until, t::cutoff);

/// The cut-off of a client, if what it got at this instant is revoked by it.
macro_rules! cut_off_of {
    ($client_id:expr, $at:expr) => {
        $crate::store::schema::revocations::table
            .filter(
                $crate::store::schema::revocations::kind
                    .eq($crate::revocations::RevocationKind::Client.as_str()),
            )
            .filter($crate::store::schema::revocations::subject.eq($client_id))
            .filter($crate::store::schema::revocations::cutoff.ge($at))
    };
}

pub(super) use cut_off_of;

/// Records a revocation; one that is there already stands.
pub async fn put(conn: &mut Conn, revocation: &RevocationRow, now: Instant) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((revocation.clone(), t::recorded_at.eq(now)))
        .on_conflict((t::kind, t::subject))
        .do_nothing();
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Records that what these got until now is revoked, and says what was recorded. One that is there already is moved on, and never back.
pub async fn cut_off(
    conn: &mut Conn,
    kind: RevocationKind,
    subjects: &[String],
    matters_until: Instant,
    now: Instant,
) -> Result<Vec<RevocationRow>> {
    let row = |subject: &String| RevocationRow {
        kind: kind.as_str().to_owned(),
        subject: subject.clone(),
        matters_until,
        cutoff: Some(now),
    };
    let rows: Vec<_> = subjects.iter().map(row).collect();
    for row in &rows {
        let (until, cutoff) = (excluded(t::matters_until), excluded(t::cutoff));
        let insert = diesel::insert_into(t::table)
            .values((row.clone(), t::recorded_at.eq(now)))
            .on_conflict((t::kind, t::subject))
            .do_update()
            .set((
                t::recorded_at.eq(now),
                t::matters_until
                    .eq(case_when(t::matters_until.gt(until), t::matters_until).otherwise(until)),
                t::cutoff.eq(case_when(t::cutoff.gt(cutoff), t::cutoff).otherwise(cutoff)),
            ));
        on!(conn, |c| insert.execute(c))?;
    }
    Ok(rows)
}

/// Whether anything was revoked that this rests on.
pub async fn contains(conn: &mut Conn, rests: &RestsOn<'_>) -> Result<bool> {
    // No name is empty.
    let named = |name: Option<&str>| name.unwrap_or_default().to_owned();
    let is = |kind: RevocationKind, subject: String| {
        t::kind.eq(kind.as_str()).and(t::subject.eq(subject))
    };
    let (of_client, of_account) = rests.dead_from();
    let found = t::table
        .filter(
            is(RevocationKind::Token, rests.jti.to_owned())
                .or(is(RevocationKind::Grant, named(rests.grant_id)))
                .or(is(RevocationKind::Client, rests.client_id.to_owned())
                    .and(t::cutoff.ge(of_client).assume_not_null()))
                .or(is(RevocationKind::Account, named(rests.account_id))
                    .and(t::cutoff.ge(of_account).assume_not_null())),
        )
        .select(t::kind);
    Ok(on!(conn, |c| found.get_result::<String>(c))
        .optional()?
        .is_some())
}

/// Whether what this client got at `at` is revoked.
pub async fn is_cut_off(conn: &mut Conn, client_id: &str, at: Instant) -> Result<bool> {
    let found = diesel::select(exists(cut_off_of!(client_id, at)));
    on!(conn, |c| found.get_result(c))
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
        .select(ROW)
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
        .select(ROW)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX));
    on!(conn, |c| query.load(c))
}
