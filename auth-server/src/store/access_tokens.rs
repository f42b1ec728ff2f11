//! Opaque access tokens, by the SHA-256 of each.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::access_tokens as t;

/// A row of `access_tokens`.
#[derive(Insertable)]
#[diesel(table_name = t)]
pub struct AccessTokenRow {
    /// SHA-256 of the token.
    pub digest: Vec<u8>,
    /// What it says.
    pub claims: Value,
    /// Who it was issued to.
    pub client_id: String,
    /// The person on whose behalf, if there is one.
    pub account_id: Option<String>,
    /// What they granted.
    pub grant_id: Option<String>,
    /// When it stops being good.
    pub expires_at: Instant,
}

/// Adds a token.
pub async fn insert(conn: &mut Conn, row: &AccessTokenRow) -> Result<()> {
    on!(conn, |c| diesel::insert_into(t::table)
        .values(row)
        .execute(c))
    .map(drop)
}

/// What the token of this digest says, and of whom.
pub async fn find(conn: &mut Conn, digest: &[u8]) -> Result<Option<(Value, Option<String>)>> {
    let query = t::table.find(digest).select((t::claims, t::account_id));
    on!(conn, |c| query.get_result(c)).optional()
}
