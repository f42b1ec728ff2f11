//! People, each known by issuer and subject.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow, Result};
use shared_server::on;

use super::schema::people as t;

/// A person, as this API knows them.
#[derive(Debug, Queryable)]
pub(crate) struct Person {
    /// What the rest of the API calls them. Says nothing about who they are.
    pub(crate) id: String,
    /// Who vouches for them.
    pub(crate) iss: String,
    /// Who they are at that issuer.
    pub(crate) sub: String,
    /// When they first came.
    pub(crate) created_at: Instant,
    /// What they want to be called.
    pub(crate) display_name: Option<String>,
}

/// The person that `iss` calls `sub`, if they have come before.
pub(crate) async fn find(conn: &mut Conn, iss: &Issuer, sub: &str) -> Result<Option<Person>> {
    on!(conn, |c| t::table
        .filter(t::iss.eq(iss.as_str()))
        .filter(t::sub.eq(sub))
        .select((t::id, t::iss, t::sub, t::created_at, t::display_name))
        .get_result(c))
    .optional()
}

/// Notes what a person wants to be called; whether there is such a person.
pub(crate) async fn rename(conn: &mut Conn, id: &str, display_name: Option<&str>) -> Result<bool> {
    let renamed = on!(conn, |c| diesel::update(t::table.find(id))
        .set(t::display_name.eq(display_name))
        .execute(c))?;
    Ok(renamed == 1)
}

/// Makes a row for the person unless there is one: of any number who try at the same time, the unique index lets one win.
pub(crate) async fn create(
    conn: &mut Conn,
    iss: &Issuer,
    sub: &str,
    id: &str,
    now: Instant,
) -> Result<()> {
    let row = (
        t::id.eq(id),
        t::iss.eq(iss.as_str()),
        t::sub.eq(sub),
        t::created_at.eq(now),
    );
    on!(conn, |c| diesel::insert_into(t::table)
        .values(row)
        .on_conflict((t::iss, t::sub))
        .do_nothing()
        .execute(c))
    .map(drop)
}
