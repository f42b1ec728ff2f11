//! Resource servers and their scopes.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::resource::ResourceId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, Result};
use shared_server::on;

use super::schema::{resource_servers as t, scopes as s};

/// A resource server as it is kept.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct ResourceServerRow {
    /// The identifier, with `/` for an empty path.
    pub normal: String,
    /// The identifier as it was registered: the `aud`.
    pub identifier: String,
    /// What people call it.
    pub name: String,
    /// The signature algorithm of its access tokens.
    pub alg: String,
    /// How long its access tokens live, in milliseconds.
    pub lifetime: i64,
    /// The client that introspects for it.
    pub introspection_client_id: Option<String>,
    /// When it was registered.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// What people are called to it.
    pub subject_type: String,
    /// How its access tokens are written.
    pub token_format: String,
    /// The claims that they carry beside the standard ones, if there are any.
    pub claims: Option<Value>,
}

/// All resource servers: an operator registers them, and every node holds them in memory.
pub async fn all(conn: &mut Conn) -> Result<Vec<ResourceServerRow>> {
    let query = t::table.order(t::normal).limit(10_000);
    on!(conn, |c| query.load(c))
}

/// All scopes: resource (normalized), name, description.
pub async fn all_scopes(conn: &mut Conn) -> Result<Vec<(String, String, String)>> {
    let query = s::table.order((s::resource, s::name)).limit(100_000);
    on!(conn, |c| query.load(c))
}

/// Writes a resource server; its scopes become exactly `scopes` (name, description).
pub async fn put(
    conn: &mut Conn,
    row: &ResourceServerRow,
    scopes: &[(String, String)],
) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values(row)
        .on_conflict(t::normal)
        .do_update()
        .set((
            t::identifier.eq(&row.identifier),
            t::name.eq(&row.name),
            t::alg.eq(&row.alg),
            t::lifetime.eq(row.lifetime),
            t::introspection_client_id.eq(&row.introspection_client_id),
            t::updated_at.eq(row.updated_at),
            t::subject_type.eq(&row.subject_type),
            t::token_format.eq(&row.token_format),
            t::claims.eq(&row.claims),
        ));
    on!(conn, |c| insert.execute(c))?;
    let clear = diesel::delete(s::table.filter(s::resource.eq(&row.normal)));
    on!(conn, |c| clear.execute(c))?;
    for (name, description) in scopes {
        let scope = diesel::insert_into(s::table).values((
            s::resource.eq(&row.normal),
            s::name.eq(name),
            s::description.eq(description),
        ));
        on!(conn, |c| scope.execute(c))?;
    }
    Ok(())
}

/// Deletes a resource server with its scopes; whether it was there.
pub async fn delete(conn: &mut Conn, resource: &ResourceId) -> Result<bool> {
    let delete = diesel::delete(t::table.find(resource.normal()));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
