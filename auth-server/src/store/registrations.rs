//! Clients that registered themselves (RFC 7591), and by what each manages itself (RFC 7592).

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::client_id::ClientId;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::registrations as t;

/// A row of `registrations`.
#[derive(Clone, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct RegistrationRow {
    /// Who registered.
    pub client_id: String,
    /// The digest of the token by which it manages itself.
    pub token_digest: Vec<u8>,
    /// The digest of the token that takes its place as soon as it is used.
    pub next_digest: Option<Vec<u8>>,
    /// What let it in.
    pub permitted_by: String,
}

/// Has everybody else who registers wait for the end of the transaction, so that nobody counts what is about to be more. SQLite's
/// writers are alone anyway.
pub async fn lock_all(conn: &mut Conn) -> Result<()> {
    on!(conn, |_c| std::future::ready(Ok(0)), |c| diesel::sql_query(
        "LOCK TABLE registrations IN SHARE ROW EXCLUSIVE MODE"
    )
    .execute(c))
    .map(drop)
}

/// Adds one.
pub async fn insert(conn: &mut Conn, row: &RegistrationRow) -> Result<()> {
    let insert = diesel::insert_into(t::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// The registration of this client.
pub async fn find(conn: &mut Conn, id: &ClientId) -> Result<Option<RegistrationRow>> {
    let query = t::table.find(id.as_str());
    on!(conn, |c| query.get_result(c)).optional()
}

/// Lets the next token take the place of the one before it, which is dead from then on; whether it was still the next.
pub async fn promote(conn: &mut Conn, id: &ClientId, next: &[u8]) -> Result<bool> {
    let waiting = t::table.find(id.as_str()).filter(t::next_digest.eq(next));
    let update =
        diesel::update(waiting).set((t::token_digest.eq(next), t::next_digest.eq(None::<Vec<u8>>)));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

/// Has `next` wait to take the place of the token that works.
pub async fn offer(conn: &mut Conn, id: &ClientId, next: &[u8]) -> Result<()> {
    let update = diesel::update(t::table.find(id.as_str())).set(t::next_digest.eq(next));
    on!(conn, |c| update.execute(c)).map(drop)
}
