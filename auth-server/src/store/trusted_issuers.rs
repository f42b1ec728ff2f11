//! Issuers that may speak for people or clients here.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::trusted_issuers as t;

/// An issuer as it is kept.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct TrustedIssuerRow {
    /// The `iss` of its assertions.
    pub issuer: String,
    /// What is believed of it.
    pub policy: Value,
    /// When it was registered.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// All of them: an operator registers them, and every node holds them in memory.
pub async fn all(conn: &mut Conn) -> Result<Vec<TrustedIssuerRow>> {
    let query = t::table.order(t::issuer).limit(10_000);
    on!(conn, |c| query.load(c))
}

/// Writes an issuer, over what was there.
pub async fn put(conn: &mut Conn, row: &TrustedIssuerRow) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values(row)
        .on_conflict(t::issuer)
        .do_update()
        .set((t::policy.eq(&row.policy), t::updated_at.eq(row.updated_at)));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Whether this issuer is trusted, and stays so until the transaction ends: whoever removes it waits, and finds what it brought.
pub async fn hold(conn: &mut Conn, issuer: &str) -> Result<bool> {
    let query = t::table.find(issuer).select(t::issuer);
    let found: Option<String> = on!(conn, |c| query.get_result(c), |c| query
        .for_share()
        .get_result(c))
    .optional()?;
    Ok(found.is_some())
}

/// Deletes an issuer; whether it was there.
pub async fn delete(conn: &mut Conn, issuer: &str) -> Result<bool> {
    let delete = diesel::delete(t::table.find(issuer));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
