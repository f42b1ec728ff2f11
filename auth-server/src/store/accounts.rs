//! People: what is kept of them, and the digest of their password.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::accounts as t;

/// A row of `accounts`.
#[derive(Clone, Insertable, Queryable)]
#[diesel(table_name = t)]
pub struct AccountRow {
    /// Its name to clients: `sub`.
    pub id: String,
    /// The address, as it is shown.
    pub email: String,
    /// The address, as it is looked up.
    pub email_normal: String,
    /// Whether somebody proved that it is theirs.
    pub email_verified: bool,
    /// What the person is called.
    pub name: Option<String>,
    /// The password's hash as a PHC string.
    pub password_hash: Option<String>,
    /// When the password last changed.
    pub password_changed_at: Option<Instant>,
    /// How often all sessions of the account were ended: none begins on what was proven in an earlier epoch.
    pub epoch: i64,
    /// When the person last signed in.
    pub signed_in_at: Option<Instant>,
    /// Since when the account may not be used.
    pub disabled_at: Option<Instant>,
    /// When it was made.
    pub created_at: Instant,
    /// When what is told of the person last changed.
    pub updated_at: Instant,
    /// What else is known of them, by the names of claims.
    pub profile: Option<Value>,
    /// What operators say of them.
    pub attributes: Option<Value>,
}

/// What may be told of a person.
#[derive(Clone, Queryable)]
pub struct PersonRow {
    /// Their address.
    pub email: String,
    /// Whether it was verified.
    pub email_verified: bool,
    /// What they are called.
    pub name: Option<String>,
    /// What else is known of them, by the names of claims.
    pub profile: Option<Value>,
    /// When any of this last changed.
    pub updated_at: Instant,
}

/// A person with what operators say of them.
#[derive(Clone, Queryable)]
pub struct DescribedPersonRow {
    /// What may be told of them.
    pub person: PersonRow,
    /// What operators say of them.
    pub attributes: Option<Value>,
}

/// The columns of [`PersonRow`].
pub(super) const PERSON: (
    t::email,
    t::email_verified,
    t::name,
    t::profile,
    t::updated_at,
) = (
    t::email,
    t::email_verified,
    t::name,
    t::profile,
    t::updated_at,
);

/// Adds an account. One whose address is taken is `DbError::Duplicate`.
pub async fn insert(conn: &mut Conn, row: &AccountRow) -> Result<()> {
    on!(conn, |c| diesel::insert_into(t::table)
        .values(row)
        .execute(c))
    .map(drop)
}

/// The account of this id.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<AccountRow>> {
    let query = t::table.find(id);
    on!(conn, |c| query.get_result(c)).optional()
}

/// The account of this address.
pub async fn find_by_email_normal(conn: &mut Conn, normal: &str) -> Result<Option<AccountRow>> {
    let query = t::table.filter(t::email_normal.eq(normal));
    on!(conn, |c| query.get_result(c)).optional()
}

/// What may be told of the person of this id.
pub async fn find_person(conn: &mut Conn, id: &str) -> Result<Option<PersonRow>> {
    let query = t::table.find(id).select(PERSON);
    on!(conn, |c| query.get_result(c)).optional()
}

/// The person of this id, with what operators say of them.
pub async fn find_described(conn: &mut Conn, id: &str) -> Result<Option<DescribedPersonRow>> {
    let query = t::table.find(id).select((PERSON, t::attributes));
    on!(conn, |c| query.get_result(c)).optional()
}

/// Writes what operators say of a person over what was; whether they were there.
pub async fn set_attributes(conn: &mut Conn, id: &str, attributes: Option<&Value>) -> Result<bool> {
    let update = diesel::update(t::table.find(id)).set(t::attributes.eq(attributes));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

/// Writes what is known of a person over what was; whether they were there.
pub async fn set_profile(
    conn: &mut Conn,
    id: &str,
    (name, profile): (Option<&str>, Option<&Value>),
    now: Instant,
) -> Result<bool> {
    let update = diesel::update(t::table.find(id)).set((
        t::name.eq(name),
        t::profile.eq(profile),
        t::updated_at.eq(now),
    ));
    Ok(on!(conn, |c| update.execute(c))? == 1)
}

/// One page of accounts in the order of their ids, after `after`.
pub async fn list(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<AccountRow>> {
    let page = t::table.filter(t::id.gt(after)).order(t::id).limit(limit);
    on!(conn, |c| page.load(c))
}

/// Gives an account a new password; whether it was there.
pub async fn set_password(conn: &mut Conn, id: &str, hash: &str, now: Instant) -> Result<bool> {
    let changed = on!(conn, |c| diesel::update(t::table.find(id))
        .set((t::password_hash.eq(hash), t::password_changed_at.eq(now)))
        .execute(c))?;
    Ok(changed == 1)
}

/// Replaces the hash of a password by another of the same password, if it still is `before`: a password that was changed
/// meanwhile stays changed.
pub async fn update_hash(conn: &mut Conn, id: &str, before: &str, after: &str) -> Result<bool> {
    let account = t::table.find(id).filter(t::password_hash.eq(before));
    let updated = on!(conn, |c| diesel::update(account)
        .set(t::password_hash.eq(after))
        .execute(c))?;
    Ok(updated == 1)
}

/// Disables an account or enables it; whether it was there.
pub async fn set_disabled(conn: &mut Conn, id: &str, at: Option<Instant>) -> Result<bool> {
    let account = t::table.find(id);
    let there = on!(conn, |c| diesel::update(account)
        .set(t::disabled_at.eq(at))
        .execute(c))?;
    Ok(there == 1)
}

/// Begins an epoch of the account: what was proven before is worth nothing. Locks its row until the transaction ends.
pub async fn begin_epoch(conn: &mut Conn, id: &str) -> Result<()> {
    on!(conn, |c| diesel::update(t::table.find(id))
        .set(t::epoch.eq(t::epoch + 1))
        .execute(c))
    .map(drop)
}

/// Notes that the person proved in this epoch of the account who they are, unless it is disabled or another one has begun. Clocks
/// have no say in it: a password may be changed by one that is behind.
///
/// The row stays locked until the transaction ends: a session that begins in it is either seen by the change of password that ends all,
/// or refused here.
pub async fn note_sign_in(conn: &mut Conn, id: &str, epoch: i64, now: Instant) -> Result<bool> {
    let account = t::table
        .find(id)
        .filter(t::disabled_at.is_null())
        .filter(t::epoch.eq(epoch));
    let noted = on!(conn, |c| diesel::update(account)
        .set(t::signed_in_at.eq(now))
        .execute(c))?;
    Ok(noted == 1)
}
