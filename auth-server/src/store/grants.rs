//! What people allowed clients: one row for each redeemed code, and for each answer with tokens of its own.
//!
//! Every question about a grant is asked together with what it depends on: its revocation, which may have been recorded before the
//! grant itself, its session and its person. The SQL of these conditions is the same on both databases.

use std::time::Duration;

use diesel::dsl::{case_when, exists, not};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Json, Nullable, Text};
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result, prepared_once};
use shared_server::on;

use super::accounts::{PERSON, PersonRow};
use super::revocations::cut_off_of;
use super::schema::accounts as a;
use super::schema::grants as t;
use super::schema::revocations as r;
use super::schema::sessions as s;
use crate::grants::GrantsOf;
use crate::revocations::RevocationKind;

/// A row of `grants`.
#[derive(Clone, Queryable)]
pub struct GrantRow {
    /// Its name.
    pub id: String,
    /// SHA-256 of the code that brought it.
    pub code_digest: Option<Vec<u8>>,
    /// The client.
    pub client_id: String,
    /// The person.
    pub account_id: String,
    /// Where they were signed in, if they were: for others an issuer speaks.
    pub session_id: Option<String>,
    /// Whether it outlives that session.
    pub offline: bool,
    /// The scopes of this server that were allowed.
    pub scope: String,
    /// The scopes of resources that were allowed, as a JSON object.
    pub resources: Value,
    /// When the person last proved who they are, as far as that is known.
    pub auth_time: Option<Instant>,
    /// How.
    pub amr: Value,
    /// The salt of its refresh tokens, if it has any.
    pub family_salt: Option<Vec<u8>>,
    /// The generation of its refresh token that is good.
    pub generation: i64,
    /// When that one took the place of the one before it.
    pub rotated_at: Option<Instant>,
    /// What was asked for then.
    pub rotation_digest: Option<Vec<u8>>,
    /// When a refresh token was last used, to within some minutes where they are not rotated.
    pub used_at: Instant,
    /// When the code was redeemed.
    pub created_at: Instant,
    /// From when on no refresh token of it is good, or, of one without a code, when its session is over whatever happens. Access tokens issued before live on for their own lifetime, and whoever prunes
    /// rows waits for those.
    pub expires_at: Instant,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
    /// From when on no access token of it is good.
    pub access_until: Instant,
    /// The claims that were asked for one by one and allowed.
    pub requested_claims: Option<Value>,
    /// How sure the client could be of the person.
    pub acr: Option<String>,
    /// The authorization details that were allowed, by resource, if any were.
    pub authorization_details: Option<Value>,
    /// The issuer that spoke for the person.
    pub issuer: Option<String>,
    /// The grant that it was made of by token exchange, and with which it ends.
    pub parent_id: Option<String>,
    /// Who acts by it, and the tokens that it was exchanged for.
    pub chain: Option<Value>,
    /// What its refresh tokens are bound to.
    pub confirmation: Option<Value>,
}

/// A grant and what it depends on.
#[derive(Queryable)]
pub struct GrantState {
    /// The grant.
    pub row: GrantRow,
    /// Whether it goes on.
    pub standing: Standing,
}

/// What userinfo tells of a person, and whether it may (OpenID Connect Core §5.3).
#[derive(Clone, Queryable)]
pub struct GrantedPerson {
    /// The scopes of this server that were allowed.
    pub scope: String,
    /// The claims that were asked for one by one and allowed.
    pub requested_claims: Option<Value>,
    /// Whose it is.
    pub account_id: String,
    /// What may be told of them.
    pub person: PersonRow,
    /// Whether the grant goes on.
    pub standing: Standing,
}

/// What a grant goes on by.
#[derive(Clone, Queryable)]
pub struct Standing {
    /// Whether it rests on no session: it outlives that, or there was none.
    pub stands_alone: bool,
    /// When it was revoked.
    pub revoked_at: Option<Instant>,
    /// Whether a revocation names it: one may be recorded before the first use of the code commits the grant, so that the row alone
    /// does not tell.
    pub revoked: bool,
    /// When its person was shut out.
    pub disabled_at: Option<Instant>,
    /// Its session, while that is kept.
    pub session: Option<SessionTimes>,
}

/// The times that a session goes on by. They are compared here and not in SQL: SQLite with its statistics of columns plans a
/// comparison of an indexed column anew for each value.
#[derive(Clone, Queryable)]
pub struct SessionTimes {
    /// When it was ended.
    pub ended_at: Option<Instant>,
    /// When it ends whatever happens.
    pub expires_at: Instant,
    /// When it was last used.
    pub seen_at: Instant,
}

impl Standing {
    /// Whether anything ended the grant: a revocation, its person, its session, which is over when it was not used for
    /// `session_idle`.
    #[must_use]
    pub fn is_over(&self, session_idle: Duration, now: Instant) -> bool {
        let in_session = self.session.as_ref().is_some_and(|session| {
            session.ended_at.is_none()
                && now < session.expires_at
                && now.since(session.seen_at) < session_idle
        });
        self.revoked_at.is_some()
            || self.revoked
            || self.disabled_at.is_some()
            || !(self.stands_alone || in_session)
    }
}

/// Whether a revocation names the grant.
macro_rules! revoked {
    () => {
        exists(
            r::table
                .filter(r::kind.eq(RevocationKind::Grant.as_str()))
                .filter(r::subject.eq(t::id)),
        )
    };
}

/// The columns of [`Standing`].
macro_rules! standing {
    () => {
        (
            t::offline.or(t::session_id.is_null()),
            t::revoked_at,
            revoked!(),
            a::disabled_at,
            (s::ended_at, s::expires_at, s::seen_at).nullable(),
        )
    };
}

/// The columns of a row that is added, as its person's and its session's rows have it.
macro_rules! inserted {
    ($row:expr, $session_id:expr) => {
        (
            $row.id.as_str().into_sql::<Text>(),
            $row.code_digest.as_deref().into_sql::<Nullable<Binary>>(),
            $row.client_id.as_str().into_sql::<Text>(),
            a::id,
            $session_id,
            $row.offline.into_sql::<Bool>(),
            $row.scope.as_str().into_sql::<Text>(),
            (&$row.resources).into_sql::<Json>(),
            $row.auth_time.into_sql::<Nullable<BigInt>>(),
            (&$row.amr).into_sql::<Json>(),
            $row.family_salt.as_deref().into_sql::<Nullable<Binary>>(),
            $row.generation.into_sql::<BigInt>(),
            $row.rotated_at.into_sql::<Nullable<BigInt>>(),
            $row.rotation_digest
                .as_deref()
                .into_sql::<Nullable<Binary>>(),
            $row.used_at.into_sql::<BigInt>(),
            $row.created_at.into_sql::<BigInt>(),
            $row.expires_at.into_sql::<BigInt>(),
            $row.revoked_at.into_sql::<Nullable<BigInt>>(),
            $row.access_until.into_sql::<BigInt>(),
            $row.requested_claims.as_ref().into_sql::<Nullable<Json>>(),
            $row.acr.as_deref().into_sql::<Nullable<Text>>(),
            $row.authorization_details
                .as_ref()
                .into_sql::<Nullable<Json>>(),
            $row.issuer.as_deref().into_sql::<Nullable<Text>>(),
            $row.parent_id.as_deref().into_sql::<Nullable<Text>>(),
            $row.chain.as_ref().into_sql::<Nullable<Json>>(),
            $row.confirmation.as_ref().into_sql::<Nullable<Json>>(),
        )
    };
}

/// Adds a grant, if its person may still use the server, its session, if it has one, goes on, and what its client had got when it was
/// allowed was not revoked; whether all that is so. `DbError::Duplicate` if its code brought one before.
///
/// One statement, and what it rests on does not change until it is done: on PostgreSQL the rows that it reads are locked, first
/// the account and then the session, as everywhere, and read again if it had to wait for them; one of SQLite is alone in writing
/// from its beginning.
pub async fn insert(conn: &mut Conn, row: &GrantRow, allowed_at: Instant) -> Result<bool> {
    macro_rules! add {
        ($standing:expr) => {{
            let standing = $standing;
            let added = on!(
                conn,
                |c| diesel::insert_into(t::table).values(standing).execute(c),
                |c| diesel::insert_into(t::table)
                    .values(standing.for_share())
                    .execute(c)
            )?;
            Ok(added == 1)
        }};
    }
    let person = a::table
        .filter(a::id.eq(&row.account_id))
        .filter(a::disabled_at.is_null())
        .filter(not(exists(cut_off_of!(&row.client_id, allowed_at))));
    let Some(session_id) = &row.session_id else {
        return add!(person.select(inserted!(row, None::<&str>.into_sql::<Nullable<Text>>())));
    };
    // A session that has just run out does not matter to what outlives it.
    let in_time = row
        .offline
        .into_sql::<Bool>()
        .or(s::expires_at.gt(row.created_at));
    let in_session = person
        .inner_join(s::table)
        .filter(s::id.eq(session_id))
        .filter(s::ended_at.is_null())
        .filter(in_time);
    add!(in_session.select(inserted!(row, s::id.nullable())))
}

/// Whether the grant of this name still is there and nobody revoked it. Until the transaction ends it stays so: whoever revokes it waits,
/// and then finds what was made of it (threat 34).
pub async fn hold(conn: &mut Conn, id: &str) -> Result<bool> {
    let query = t::table
        .find(id)
        .filter(t::revoked_at.is_null())
        .filter(not(revoked!()))
        .select(t::id);
    let held: Option<String> = on!(conn, |c| query.get_result(c), |c| query
        .for_share()
        .get_result(c))
    .optional()?;
    Ok(held.is_some())
}

/// Keeps the grants of a session that have no refresh tokens until this instant, at which it ends: by them its clients hear of its end.
pub async fn keep_of(conn: &mut Conn, session_id: &str, until: Instant) -> Result<()> {
    let kept = t::table
        .filter(t::session_id.eq(session_id))
        .filter(t::family_salt.is_null())
        .filter(t::expires_at.lt(until));
    let update = diesel::update(kept).set(t::expires_at.eq(until));
    on!(conn, |c| update.execute(c)).map(drop)
}

/// Takes a grant for `row` that was committed as that row at one of these instants, and that nothing has come of since; of any number
/// of callers, one does.
pub async fn adopt(conn: &mut Conn, row: &GrantRow, committed: &[Instant]) -> Result<bool> {
    let untouched = t::used_at
        .eq(t::created_at)
        .and(t::created_at.eq_any(committed))
        .and(t::used_at.lt(row.used_at))
        .and(t::generation.eq(row.generation))
        .and(t::revoked_at.is_null())
        .and(not(revoked!()));
    let update = diesel::update(t::table.find(&row.id))
        .filter(t::code_digest.eq(&row.code_digest))
        .filter(untouched)
        .set((
            t::used_at.eq(row.used_at),
            t::access_until.eq(row.access_until),
            // Nobody got the tokens that were bound to anything else.
            t::confirmation.eq(row.confirmation.as_ref()),
        ))
        .returning(t::family_salt);
    let found: Option<Option<Vec<u8>>> = on!(conn, |c| update.get_result(c)).optional()?;
    Ok(found.is_some_and(|salt| salt == row.family_salt))
}

/// The grant that the code of this digest brought.
pub async fn find_by_code(conn: &mut Conn, code_digest: &[u8]) -> Result<Option<String>> {
    let query = t::table
        .filter(t::code_digest.eq(code_digest))
        .select(t::id);
    on!(conn, |c| query.get_result(c)).optional()
}

/// The grant of this name.
pub async fn find(conn: &mut Conn, id: &str) -> Result<Option<GrantState>> {
    let query = t::table
        .inner_join(a::table)
        .left_join(s::table.on(s::id.nullable().eq(t::session_id)))
        .filter(t::id.eq(id))
        .select((t::all_columns, standing!()));
    on!(conn, |c| query.get_result(c)).optional()
}

/// The grant of this name with its person, by one query.
pub async fn find_person(conn: &mut Conn, id: &str) -> Result<Option<GrantedPerson>> {
    let query = t::table
        .inner_join(a::table)
        .left_join(s::table.on(s::id.nullable().eq(t::session_id)))
        .filter(t::id.eq(id))
        .select((
            t::scope,
            t::requested_claims,
            t::account_id,
            PERSON,
            standing!(),
        ));
    on!(conn, |c| query.get_result(c)).optional()
}

/// When the person was shut out that this grant would be of; `None` if they or their session are gone.
pub async fn find_shut_out(conn: &mut Conn, row: &GrantRow) -> Result<Option<Option<Instant>>> {
    let person = a::table.filter(a::id.eq(&row.account_id));
    let Some(session_id) = &row.session_id else {
        let query = person.select(a::disabled_at);
        return on!(conn, |c| query.get_result(c)).optional();
    };
    let in_session = person.inner_join(s::table).filter(s::id.eq(session_id));
    let query = in_session.select(a::disabled_at);
    on!(conn, |c| query.get_result(c)).optional()
}

/// One rotation of a family of refresh tokens.
pub struct Rotation<'a> {
    /// Whose.
    pub id: &'a str,
    /// From which generation.
    pub from: i64,
    /// What was asked for.
    pub digest: &'a [u8],
    /// What the next generation is bound to: it is the last then.
    pub confirmation: Option<&'a Value>,
    /// [`GrantRow::access_until`] from now on, unless it is later already.
    pub access_until: Instant,
    /// A family that was not used since is over.
    pub idle_since: Instant,
    /// A session that was not used since is over.
    pub session_idle_since: Instant,
}

/// The later of an instant and what a column holds.
macro_rules! at_least {
    ($column:expr, $instant:expr) => {
        case_when($column.gt($instant), $column).otherwise($instant)
    };
}

/// Moves a family on by one generation, at most once (RFC 9700 §4.14.2), if it goes on and so does its grant ([`Standing`]). The
/// conditions are the lock: whatever ends the grant meanwhile, be it the end of its session or of its person, marks this row, and
/// then it is not moved on. Nor is one that is bound to a key or a certificate, whatever is remembered of it.
pub async fn rotate(conn: &mut Conn, rotation: &Rotation<'_>, now: Instant) -> Result<bool> {
    // A sum, so that SQLite does not take the column's index into account, and plan anew for each instant.
    let in_session = exists(
        s::table
            .filter(s::id.nullable().eq(t::session_id))
            .filter(s::ended_at.is_null())
            .filter((s::expires_at + 0).gt(now))
            .filter((s::seen_at + 0).gt(rotation.session_idle_since)),
    );
    let admitted = exists(
        a::table
            .filter(a::id.eq(t::account_id))
            .filter(a::disabled_at.is_null()),
    );
    let update = diesel::update(t::table.find(rotation.id))
        .filter(t::generation.eq(rotation.from))
        .filter(t::confirmation.is_null())
        .filter((t::expires_at + 0).gt(now))
        .filter(t::used_at.gt(rotation.idle_since))
        .filter(t::revoked_at.is_null())
        .filter(not(revoked!()))
        .filter(admitted)
        .filter(t::offline.or(t::session_id.is_null()).or(in_session))
        .set((
            t::generation.eq(rotation.from + 1),
            t::rotated_at.eq(now),
            t::rotation_digest.eq(rotation.digest),
            t::confirmation.eq(rotation.confirmation),
            t::used_at.eq(now),
            t::access_until.eq(at_least!(t::access_until, rotation.access_until)),
        ));
    Ok(on!(conn, |c| prepared_once(update).execute(c))? == 1)
}

/// Notes that a refresh token was used that stays as it is; whether the grant goes on, as in [`rotate`].
pub async fn note(conn: &mut Conn, id: &str, access_until: Instant, now: Instant) -> Result<bool> {
    // Of several at a time, the one that is noted last is not the last to run out.
    let update = diesel::update(t::table.find(id))
        .filter(t::revoked_at.is_null())
        .filter(not(revoked!()))
        .set((
            t::used_at.eq(at_least!(t::used_at, now)),
            t::access_until.eq(at_least!(t::access_until, access_until)),
        ));
    Ok(on!(conn, |c| prepared_once(update).execute(c))? == 1)
}

/// Notes how long an access token lives that comes of a grant, which is no use of its refresh tokens; whether the grant goes on, as in
/// [`rotate`].
pub async fn cover(conn: &mut Conn, id: &str, access_until: Instant) -> Result<bool> {
    let update = diesel::update(t::table.find(id))
        .filter(t::revoked_at.is_null())
        .filter(not(revoked!()))
        .set(t::access_until.eq(at_least!(t::access_until, access_until)));
    Ok(on!(conn, |c| prepared_once(update).execute(c))? == 1)
}

/// Marks a grant as revoked; until when access tokens of it may live, if there is such a row.
pub async fn revoke(conn: &mut Conn, id: &str, now: Instant) -> Result<Option<Instant>> {
    // One that was marked before keeps its instant, and is there all the same.
    let mark = diesel::update(t::table.find(id))
        .filter(t::revoked_at.is_null())
        .set(t::revoked_at.eq(now))
        .returning(t::access_until);
    let marked = on!(conn, |c| mark.get_result(c)).optional()?;
    if marked.is_some() {
        return Ok(marked);
    }
    let query = t::table.find(id).select(t::access_until);
    on!(conn, |c| query.get_result(c)).optional()
}

/// The same statement with the condition of each kind of [`GrantsOf`], which are of different types.
macro_rules! each {
    ($of:expr, |$which:ident| $statement:expr) => {
        match $of {
            GrantsOf::Session(id) => {
                let $which = t::session_id.eq(id.as_str()).and(t::offline.eq(false));
                $statement
            }
            GrantsOf::Account(id) => {
                let $which = t::account_id.eq(id.as_str());
                $statement
            }
            GrantsOf::Clients(ids) => {
                let $which = t::client_id.eq_any(*ids);
                $statement
            }
            GrantsOf::Issuer(issuer) => {
                let $which = t::issuer.eq(*issuer);
                $statement
            }
            GrantsOf::Link(issuer, id) => {
                let $which = t::issuer.eq(*issuer).and(t::account_id.eq(id.as_str()));
                $statement
            }
        }
    };
}

/// Marks those of these grants as revoked that have a token left to die, and names them with the instant until which access tokens
/// of each may live: one statement, however many they are.
pub async fn revoke_of(
    conn: &mut Conn,
    of: &GrantsOf<'_>,
    now: Instant,
) -> Result<Vec<(String, Instant)>> {
    each!(of, |which| {
        let live = t::expires_at.gt(now).or(t::access_until.gt(now));
        on!(conn, |c| diesel::update(t::table)
            .filter(which.and(t::revoked_at.is_null()).and(live))
            .set(t::revoked_at.eq(now))
            .returning((t::id, t::access_until))
            .get_results(c))
    })
}

/// Records those of these grants that were marked at this instant.
macro_rules! record {
    ($conn:expr, $which:expr, $now:expr) => {{
        let marked = t::table
            .filter($which)
            .filter(t::revoked_at.eq($now))
            .select((
                RevocationKind::Grant.as_str().into_sql::<Text>(),
                t::id,
                $now.into_sql::<BigInt>(),
                t::access_until,
            ));
        let insert = diesel::insert_into(r::table)
            .values(marked)
            .into_columns((r::kind, r::subject, r::recorded_at, r::matters_until))
            .on_conflict_do_nothing();
        on!($conn, |c| insert.execute(c)).map(drop)
    }};
}

/// Records for every node what [`revoke_of`] marked at this instant, by one statement however many there are.
pub async fn record_revoked(conn: &mut Conn, of: &GrantsOf<'_>, now: Instant) -> Result<()> {
    each!(of, |which| record!(conn, which, now))
}

/// Marks as revoked what was made of the grants that were marked at this instant, then what was made of that, until there is nothing
/// more; names each with the instant until which access tokens of it may live.
pub async fn revoke_children(conn: &mut Conn, now: Instant) -> Result<Vec<(String, Instant)>> {
    let parents = diesel::alias!(super::schema::grants as parents);
    let mut all = Vec::new();
    loop {
        let marked = parents
            .filter(parents.field(t::revoked_at).eq(now))
            .select(parents.field(t::id).nullable());
        let children: Vec<(String, Instant)> = on!(conn, |c| diesel::update(t::table)
            .filter(t::parent_id.eq_any(marked))
            .filter(t::revoked_at.is_null())
            .set(t::revoked_at.eq(now))
            .returning((t::id, t::access_until))
            .get_results(c))?;
        if children.is_empty() {
            return Ok(all);
        }
        all.extend(children);
    }
}

/// Records for every node what [`revoke_children`] marked at this instant.
pub async fn record_children(conn: &mut Conn, now: Instant) -> Result<()> {
    record!(conn, t::parent_id.is_not_null(), now)
}
