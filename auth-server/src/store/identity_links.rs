//! What other issuers call people.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::identity_links as t;

/// A link as it is kept.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct IdentityLinkRow {
    /// Who calls the person so.
    pub issuer: String,
    /// What.
    pub subject: String,
    /// The person.
    pub account_id: String,
    /// When it was made.
    pub created_at: Instant,
}

/// Adds a link. One of a subject that has one is `DbError::Duplicate`, one to nobody `DbError::Reference`.
pub async fn insert(conn: &mut Conn, row: &IdentityLinkRow) -> Result<()> {
    let insert = diesel::insert_into(t::table).values(row);
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Whose account it is that this issuer calls so.
pub async fn find(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<String>> {
    let query = t::table.find((issuer, subject)).select(t::account_id);
    on!(conn, |c| query.get_result(c)).optional()
}

/// The same, and it stays so until the transaction ends: whoever takes the link away waits, and finds what it brought.
pub async fn hold(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<String>> {
    let query = t::table.find((issuer, subject)).select(t::account_id);
    on!(conn, |c| query.get_result(c), |c| query
        .for_share()
        .get_result(c))
    .optional()
}

/// The links of an account, as far as `limit`.
pub async fn of_account(
    conn: &mut Conn,
    account_id: &str,
    limit: i64,
) -> Result<Vec<IdentityLinkRow>> {
    let query = t::table
        .filter(t::account_id.eq(account_id))
        .order((t::issuer, t::subject))
        .limit(limit);
    on!(conn, |c| query.load(c))
}

/// Deletes a link; whose it was, if it was there.
pub async fn delete(conn: &mut Conn, issuer: &str, subject: &str) -> Result<Option<String>> {
    let delete = diesel::delete(t::table.find((issuer, subject))).returning(t::account_id);
    on!(conn, |c| delete.get_result(c)).optional()
}
