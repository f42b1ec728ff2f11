//! Signing keys: the public half in the clear, the private half sealed.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, Result};
use shared_server::on;

use super::schema::signing_keys as t;

/// A row of `signing_keys`. It outlives the key's use: an ID token that it signed may come back as a hint much later.
#[derive(Clone, Debug, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct SigningKeyRow {
    /// The key's thumbprint (RFC 7638).
    pub kid: String,
    /// The one algorithm it signs with.
    pub alg: String,
    /// The public half.
    pub jwk: Value,
    /// The private half in PKCS#8, encrypted; of a key that was wiped, nothing, encrypted.
    pub sealed: Vec<u8>,
    /// The key that it is encrypted under.
    pub kek_id: String,
    /// When it was made.
    pub created_at: Instant,
    /// From when it may sign.
    pub signs_from: Instant,
    /// When it was withdrawn, if it was.
    pub revoked_at: Option<Instant>,
    /// When its private half went, if it did.
    pub wiped_at: Option<Instant>,
}

/// Makes whoever else would add or withdraw a key wait until this transaction ends; readers go on.
pub async fn lock(conn: &mut Conn) -> Result<()> {
    // A transaction on SQLite begins with the one lock there is.
    on!(conn, |_c| std::future::ready(Ok(0)), |c| diesel::sql_query(
        "LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE"
    )
    .execute(c))
    .map(drop)
}

/// Every key that is kept. Rotation by the month makes a dozen a year.
pub async fn all(conn: &mut Conn) -> Result<Vec<SigningKeyRow>> {
    on!(conn, |c| t::table.order((t::signs_from, t::kid)).load(c))
}

/// Adds a key.
pub async fn insert(conn: &mut Conn, row: &SigningKeyRow) -> Result<()> {
    on!(conn, |c| diesel::insert_into(t::table)
        .values(row)
        .execute(c))
    .map(drop)
}

/// Withdraws a key. `false` if there is none of this id that was not withdrawn before.
pub async fn revoke(conn: &mut Conn, kid: &str, now: Instant) -> Result<bool> {
    let revoked = on!(conn, |c| diesel::update(t::table)
        .filter(t::kid.eq(kid))
        .filter(t::revoked_at.is_null())
        .set(t::revoked_at.eq(now))
        .execute(c))?;
    Ok(revoked == 1)
}

/// Puts the private half of `row`, encrypted anew, in place of what `row` has. `false` if somebody did so in the meantime.
pub async fn reseal(
    conn: &mut Conn,
    row: &SigningKeyRow,
    kek_id: &str,
    sealed: &[u8],
) -> Result<bool> {
    let resealed = on!(conn, |c| diesel::update(t::table)
        .filter(t::kid.eq(&row.kid))
        .filter(t::sealed.eq(&row.sealed))
        .set((t::sealed.eq(sealed), t::kek_id.eq(kek_id)))
        .execute(c))?;
    Ok(resealed == 1)
}

/// Puts `sealed` in place of the private half that `row` has. `false` if somebody changed it in the meantime.
pub async fn wipe(
    conn: &mut Conn,
    row: &SigningKeyRow,
    (kek_id, sealed): (&str, &[u8]),
    now: Instant,
) -> Result<bool> {
    let wiped = on!(conn, |c| diesel::update(t::table)
        .filter(t::kid.eq(&row.kid))
        .filter(t::sealed.eq(&row.sealed))
        .set((
            t::sealed.eq(sealed),
            t::kek_id.eq(kek_id),
            t::wiped_at.eq(now),
        ))
        .execute(c))?;
    Ok(wiped == 1)
}

/// Forgets a key whose private half is gone. `false` if there is none.
pub async fn delete(conn: &mut Conn, kid: &str) -> Result<bool> {
    let deleted = on!(conn, |c| diesel::delete(t::table)
        .filter(t::kid.eq(kid))
        .filter(t::wiped_at.is_not_null())
        .execute(c))?;
    Ok(deleted == 1)
}
