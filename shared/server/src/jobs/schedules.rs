//! The rows of `schedules`. Each change moves `version` on; a change by whoever saw another one does nothing.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;

use self::schedules as t;
use crate::db::{Conn, OptionalRow as _, Result};
use crate::on;

diesel::table! {
    schedules (name) {
        name -> Text,
        version -> BigInt,
        next_at -> BigInt,
        leased_by -> Nullable<Text>,
        started_at -> Nullable<BigInt>,
        finished_at -> Nullable<BigInt>,
        failed_at -> Nullable<BigInt>,
        failures -> BigInt,
        failure -> Nullable<Text>,
    }
}

/// A row of `schedules`.
#[derive(Clone, Debug, Queryable)]
pub(super) struct ScheduleRow {
    /// The job.
    pub(super) name: String,
    /// How often the row has changed.
    pub(super) version: i64,
    /// When the job is due.
    pub(super) next_at: Instant,
    /// The node that is at it.
    pub(super) leased_by: Option<String>,
    /// When it was last begun.
    pub(super) started_at: Option<Instant>,
    /// When it last succeeded.
    pub(super) finished_at: Option<Instant>,
    /// When it last failed.
    pub(super) failed_at: Option<Instant>,
    /// How often it has failed since.
    pub(super) failures: i64,
    /// Why.
    pub(super) failure: Option<String>,
}

/// The schedule of this job.
pub(super) async fn find(conn: &mut Conn, name: &str) -> Result<Option<ScheduleRow>> {
    on!(conn, |c| t::table.find(name).get_result(c)).optional()
}

/// Makes a schedule that is due, unless there is one.
pub(super) async fn insert(conn: &mut Conn, name: &str, now: Instant) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((
            t::name.eq(name),
            t::version.eq(0),
            t::next_at.eq(now),
            t::failures.eq(0),
        ))
        .on_conflict_do_nothing();
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Gives the job to `node`, if the schedule still is what it saw. The version is the lock.
pub(super) async fn claim(
    conn: &mut Conn,
    seen: &ScheduleRow,
    node: &str,
    now: Instant,
) -> Result<bool> {
    let schedule = t::table
        .find(&seen.name)
        .filter(t::version.eq(seen.version));
    let claimed = on!(conn, |c| diesel::update(schedule)
        .set((
            t::version.eq(t::version + 1),
            t::leased_by.eq(node),
            t::started_at.eq(now),
        ))
        .execute(c))?;
    Ok(claimed == 1)
}

/// Shows that `node` is still at it. `false` if it lost the job.
pub(super) async fn renew(conn: &mut Conn, name: &str, node: &str) -> Result<bool> {
    let schedule = t::table.find(name).filter(t::leased_by.eq(node));
    let renewed = on!(conn, |c| diesel::update(schedule)
        .set(t::version.eq(t::version + 1))
        .execute(c))?;
    Ok(renewed == 1)
}

/// Notes that `node` has done the job. `false` if it had lost it.
pub(super) async fn succeed(
    conn: &mut Conn,
    name: &str,
    node: &str,
    next_at: Instant,
    now: Instant,
) -> Result<bool> {
    let schedule = t::table.find(name).filter(t::leased_by.eq(node));
    let noted = on!(conn, |c| diesel::update(schedule)
        .set((
            t::version.eq(t::version + 1),
            t::next_at.eq(next_at),
            t::leased_by.eq(None::<String>),
            t::finished_at.eq(now),
            t::failures.eq(0),
            t::failure.eq(None::<String>),
        ))
        .execute(c))?;
    Ok(noted == 1)
}

/// Notes that `node` failed, and why. `false` if it had lost the job.
pub(super) async fn fail(
    conn: &mut Conn,
    name: &str,
    node: &str,
    (next_at, why): (Instant, &str),
    now: Instant,
) -> Result<bool> {
    let schedule = t::table.find(name).filter(t::leased_by.eq(node));
    let noted = on!(conn, |c| diesel::update(schedule)
        .set((
            t::version.eq(t::version + 1),
            t::next_at.eq(next_at),
            t::leased_by.eq(None::<String>),
            t::failed_at.eq(now),
            t::failures.eq(t::failures + 1),
            t::failure.eq(why),
        ))
        .execute(c))?;
    Ok(noted == 1)
}

/// Gives the job back as it was found: due.
pub(super) async fn hand_back(conn: &mut Conn, name: &str, node: &str) -> Result<()> {
    let schedule = t::table.find(name).filter(t::leased_by.eq(node));
    on!(conn, |c| diesel::update(schedule)
        .set((
            t::version.eq(t::version + 1),
            t::leased_by.eq(None::<String>),
        ))
        .execute(c))
    .map(drop)
}
