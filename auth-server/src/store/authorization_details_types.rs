//! Types of authorization details.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::authorization_details_types as t;

/// A type as it is kept.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct DetailsTypeRow {
    /// Its name.
    pub name: String,
    /// The resource server that it belongs to (normalized).
    pub resource: String,
    /// What people are told that it allows.
    pub description: String,
    /// Its JSON Schema.
    pub schema: Value,
    /// The names of its lists of which fewer values are less.
    pub additive: Value,
    /// When it was registered.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
}

/// All types: an operator registers them, and every node holds them in memory.
pub async fn all(conn: &mut Conn) -> Result<Vec<DetailsTypeRow>> {
    let query = t::table.order(t::name).limit(10_000);
    on!(conn, |c| query.load(c))
}

/// Writes a type, over what was there.
pub async fn put(conn: &mut Conn, row: &DetailsTypeRow) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values(row)
        .on_conflict(t::name)
        .do_update()
        .set((
            t::resource.eq(&row.resource),
            t::description.eq(&row.description),
            t::schema.eq(&row.schema),
            t::additive.eq(&row.additive),
            t::updated_at.eq(row.updated_at),
        ));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Deletes a type; the resource server that it belonged to, if it was there.
pub async fn delete(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    let delete = diesel::delete(t::table.find(name)).returning(t::resource);
    on!(conn, |c| delete.get_result(c)).optional()
}
