//! Secrets that every node needs, sealed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::server_secrets as t;

/// The secret of this name: its ciphertext and the key that it is encrypted under.
pub async fn find(conn: &mut Conn, name: &str) -> Result<Option<(Vec<u8>, String)>> {
    let query = t::table.find(name).select((t::sealed, t::kek_id));
    on!(conn, |c| query.get_result(c)).optional()
}

/// Puts a secret, encrypted anew, in place of what was read. `false` if somebody did so in the meantime.
pub async fn reseal(
    conn: &mut Conn,
    name: &str,
    before: &[u8],
    kek_id: &str,
    sealed: &[u8],
) -> Result<bool> {
    let resealed = on!(conn, |c| diesel::update(t::table)
        .filter(t::name.eq(name))
        .filter(t::sealed.eq(before))
        .set((t::sealed.eq(sealed), t::kek_id.eq(kek_id)))
        .execute(c))?;
    Ok(resealed == 1)
}

/// Keeps a secret under a name that had none; of several at once, one is kept.
pub async fn insert_first(
    conn: &mut Conn,
    name: &str,
    sealed: &[u8],
    kek_id: &str,
    now: Instant,
) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((
            t::name.eq(name),
            t::sealed.eq(sealed),
            t::kek_id.eq(kek_id),
            t::created_at.eq(now),
        ))
        .on_conflict(t::name)
        .do_nothing();
    on!(conn, |c| insert.execute(c)).map(drop)
}
