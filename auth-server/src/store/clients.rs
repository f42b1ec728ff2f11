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

/// A row of `client_secrets`, without whose it is.
#[derive(Clone, Debug, Queryable)]
pub struct SecretRow {
    /// SHA-256 of the secret.
    pub digest: Vec<u8>,
    /// When it stops working, if ever.
    pub expires_at: Option<Instant>,
    /// The secret itself, encrypted, of a client that makes MACs with it.
    pub sealed: Option<Vec<u8>>,
    /// The key that it is encrypted under.
    pub kek_id: Option<String>,
}

const SECRET: (s::digest, s::expires_at, s::sealed, s::kek_id) =
    (s::digest, s::expires_at, s::sealed, s::kek_id);

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
        .select(SECRET)
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

/// Adds a secret by its digest; `sealed`, with the key that it is encrypted under, of a client that makes MACs with it.
pub async fn add_secret(
    conn: &mut Conn,
    id: &ClientId,
    digest: &[u8],
    sealed: Option<(&str, &[u8])>,
    now: Instant,
) -> Result<()> {
    let insert = diesel::insert_into(s::table).values((
        s::client_id.eq(id.as_str()),
        s::digest.eq(digest),
        s::sealed.eq(sealed.map(|(_, sealed)| sealed)),
        s::kek_id.eq(sealed.map(|(kek_id, _)| kek_id)),
        s::created_at.eq(now),
    ));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Forgets what was sealed of a client's secrets; their digests stay.
pub async fn wipe_sealed_secrets(conn: &mut Conn, id: &ClientId) -> Result<()> {
    let sealed = s::table
        .filter(s::client_id.eq(id.as_str()))
        .filter(s::sealed.is_not_null());
    let update =
        diesel::update(sealed).set((s::sealed.eq(None::<Vec<u8>>), s::kek_id.eq(None::<String>)));
    on!(conn, |c| update.execute(c)).map(drop)
}

/// Deletes the secrets of which only the digest is there.
pub async fn drop_unsealed_secrets(conn: &mut Conn, id: &ClientId) -> Result<()> {
    let unsealed = s::table
        .filter(s::client_id.eq(id.as_str()))
        .filter(s::sealed.is_null());
    let delete = diesel::delete(unsealed);
    on!(conn, |c| delete.execute(c)).map(drop)
}

/// Deletes all secrets of a client.
pub async fn drop_secrets(conn: &mut Conn, id: &ClientId) -> Result<()> {
    let delete = diesel::delete(s::table.filter(s::client_id.eq(id.as_str())));
    on!(conn, |c| delete.execute(c)).map(drop)
}

/// Whether a client has any secret.
pub async fn has_secret(conn: &mut Conn, id: &ClientId) -> Result<bool> {
    let of_client = s::table.filter(s::client_id.eq(id.as_str()));
    let found = diesel::select(exists(of_client));
    on!(conn, |c| found.get_result(c))
}

/// A few secrets, with whose they are, that are encrypted under another key than `kek_id`.
pub async fn sealed_under_others(
    conn: &mut Conn,
    kek_id: &str,
    limit: i64,
) -> Result<Vec<(String, SecretRow)>> {
    let others = s::table
        .filter(s::kek_id.is_not_null())
        .filter(s::kek_id.ne(kek_id))
        .order((s::client_id, s::digest))
        .select((s::client_id, SECRET))
        .limit(limit);
    on!(conn, |c| others.load(c))
}

/// Puts a secret, encrypted anew, in place of what `row` has. `false` if somebody changed it in the meantime.
pub async fn reseal_secret(
    conn: &mut Conn,
    id: &str,
    row: &SecretRow,
    kek_id: &str,
    sealed: &[u8],
) -> Result<bool> {
    let update = diesel::update(
        s::table
            .filter(s::client_id.eq(id))
            .filter(s::digest.eq(&row.digest))
            .filter(s::sealed.eq(&row.sealed)),
    )
    .set((s::sealed.eq(sealed), s::kek_id.eq(kek_id)));
    Ok(on!(conn, |c| update.execute(c))? == 1)
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
