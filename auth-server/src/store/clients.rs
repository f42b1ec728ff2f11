//! Clients, the digests of their secrets, and the origins of their pages.

use std::collections::BTreeSet;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;
use shared_server::web::WebOrigin;

use super::schema::{client_origins as o, client_secrets as s, clients as t};

/// The digest of a secret and when it stops working, if ever.
pub type SecretRow = (Vec<u8>, Option<Instant>);

/// The metadata document of a client, and its secrets.
pub async fn find(conn: &mut Conn, id: &ClientId) -> Result<Option<(Value, Vec<SecretRow>)>> {
    let client = t::table.find(id.as_str()).select(t::metadata);
    let Some(metadata) = on!(conn, |c| client.get_result::<Value>(c)).optional()? else {
        return Ok(None);
    };
    // Two may live; the bound is for a table that somebody filled by hand.
    let secrets = s::table
        .filter(s::client_id.eq(id.as_str()))
        .order(s::created_at.desc())
        .select((s::digest, s::expires_at))
        .limit(10);
    Ok(Some((metadata, on!(conn, |c| secrets.load(c))?)))
}

/// One page of clients in the order of their ids, after `after`.
pub async fn list(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<(String, Value)>> {
    let page = t::table
        .filter(t::id.gt(after))
        .order(t::id)
        .select((t::id, t::metadata))
        .limit(limit);
    on!(conn, |c| page.load(c))
}

/// Whether pages of this origin are some client's.
pub async fn has_origin(conn: &mut Conn, origin: &WebOrigin) -> Result<bool> {
    let found = diesel::select(exists(o::table.filter(o::origin.eq(origin.as_str()))));
    on!(conn, |c| found.get_result(c))
}

/// Writes a client that was not there, or replaces its metadata and the origins of its pages.
pub async fn put(
    conn: &mut Conn,
    id: &ClientId,
    metadata: &Value,
    origins: &BTreeSet<WebOrigin>,
    now: Instant,
) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((
            t::id.eq(id.as_str()),
            t::metadata.eq(metadata),
            t::created_at.eq(now),
            t::updated_at.eq(now),
        ))
        .on_conflict(t::id)
        .do_update()
        .set((t::metadata.eq(metadata), t::updated_at.eq(now)));
    on!(conn, |c| insert.execute(c))?;
    let before = diesel::delete(o::table.filter(o::client_id.eq(id.as_str())));
    on!(conn, |c| before.execute(c))?;
    for origin in origins {
        let row = (o::client_id.eq(id.as_str()), o::origin.eq(origin.as_str()));
        let insert = diesel::insert_into(o::table).values(row);
        on!(conn, |c| insert.execute(c))?;
    }
    Ok(())
}

/// Adds a secret by its digest.
pub async fn add_secret(conn: &mut Conn, id: &ClientId, digest: &[u8], now: Instant) -> Result<()> {
    let insert = diesel::insert_into(s::table).values((
        s::client_id.eq(id.as_str()),
        s::digest.eq(digest),
        s::created_at.eq(now),
    ));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Lets the secrets that have no end yet, or a later one, end at `at`.
pub async fn end_secrets(conn: &mut Conn, id: &ClientId, at: Instant) -> Result<()> {
    let update = diesel::update(
        s::table
            .filter(s::client_id.eq(id.as_str()))
            .filter(s::expires_at.is_null().or(s::expires_at.gt(at))),
    )
    .set(s::expires_at.eq(at));
    on!(conn, |c| update.execute(c)).map(drop)
}

/// Deletes the secrets that have ended.
pub async fn drop_ended_secrets(conn: &mut Conn, id: &ClientId, now: Instant) -> Result<()> {
    let ended = s::table
        .filter(s::client_id.eq(id.as_str()))
        .filter(s::expires_at.le(now));
    let delete = diesel::delete(ended);
    on!(conn, |c| delete.execute(c)).map(drop)
}

/// Deletes a client with its secrets; whether it was there.
pub async fn delete(conn: &mut Conn, id: &ClientId) -> Result<bool> {
    let delete = diesel::delete(t::table.find(id.as_str()));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
