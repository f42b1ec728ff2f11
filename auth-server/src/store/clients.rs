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

/// A client with its secrets.
pub struct ClientRow {
    /// Its metadata document.
    pub metadata: Value,
    /// When it came to be.
    pub created_at: Instant,
    /// When it registered itself, if it never got a token since.
    pub unused_since: Option<Instant>,
    /// The digests of its secrets.
    pub secrets: Vec<SecretRow>,
}

/// The client of this id.
pub async fn find(conn: &mut Conn, id: &ClientId) -> Result<Option<ClientRow>> {
    let client = t::table
        .find(id.as_str())
        .select((t::metadata, t::created_at, t::unused_since));
    let found = on!(conn, |c| client
        .get_result::<(Value, Instant, Option<Instant>)>(c));
    let Some((metadata, created_at, unused_since)) = found.optional()? else {
        return Ok(None);
    };
    // Two may live; the bound is for a table that somebody filled by hand.
    let secrets = s::table
        .filter(s::client_id.eq(id.as_str()))
        .order(s::created_at.desc())
        .select(SECRET)
        .limit(10);
    Ok(Some(ClientRow {
        metadata,
        created_at,
        unused_since,
        secrets: on!(conn, |c| secrets.load(c))?,
    }))
}

/// Has everybody else who would change or delete these clients, or refer to them, wait for the end of the transaction: those of them
/// that are there, in the order of their ids. SQLite's writers are alone anyway.
pub async fn lock(conn: &mut Conn, ids: &[String]) -> Result<Vec<String>> {
    let query = t::table
        .filter(t::id.eq_any(ids))
        .order(t::id)
        .select(t::id);
    on!(conn, |c| query.load(c), |c| query.for_update().load(c))
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
    let by_session = metadata.get("backchannel_logout_session_required");
    let told = (
        t::hears_logout.eq(metadata.get("backchannel_logout_uri").is_some()),
        t::hears_by_session.eq(by_session.and_then(Value::as_bool) == Some(true)),
    );
    let insert = diesel::insert_into(t::table)
        .values((
            t::id.eq(id.as_str()),
            t::metadata.eq(metadata),
            t::created_at.eq(now),
            t::updated_at.eq(now),
            told,
        ))
        .on_conflict(t::id)
        .do_update()
        .set((t::metadata.eq(metadata), t::updated_at.eq(now), told));
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

/// Whether a client has a secret that works at `now`.
pub async fn has_secret(conn: &mut Conn, id: &ClientId, now: Instant) -> Result<bool> {
    let of_client = s::table
        .filter(s::client_id.eq(id.as_str()))
        .filter(s::expires_at.is_null().or(s::expires_at.gt(now)));
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

/// Deletes clients with all that is theirs.
pub async fn delete(conn: &mut Conn, ids: &[String]) -> Result<()> {
    let delete = diesel::delete(t::table.filter(t::id.eq_any(ids)));
    on!(conn, |c| delete.execute(c)).map(drop)
}

/// Marks a client as one that never got a token.
pub async fn set_unused(conn: &mut Conn, id: &ClientId, now: Instant) -> Result<()> {
    let update = diesel::update(t::table.find(id.as_str())).set(t::unused_since.eq(now));
    on!(conn, |c| update.execute(c)).map(drop)
}

/// Marks clients as ones that got a token.
pub async fn set_used(conn: &mut Conn, ids: &[String]) -> Result<()> {
    let unused = t::table
        .filter(t::id.eq_any(ids))
        .filter(t::unused_since.is_not_null());
    let update = diesel::update(unused).set(t::unused_since.eq(None::<Instant>));
    on!(conn, |c| update.execute(c)).map(drop)
}

/// How many clients never got a token.
pub async fn count_unused(conn: &mut Conn) -> Result<i64> {
    let count = t::table.filter(t::unused_since.is_not_null()).count();
    on!(conn, |c| count.get_result(c))
}
