//! What people agreed to, by person and client.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, OptionalRow as _, Result};
use shared_server::on;

use super::schema::consents as t;
use crate::accounts::AccountId;

/// The scopes of this server, the scopes and the authorization details of resources as JSON objects, what the client was that describes
/// itself, and claims as a list of their names.
pub type Consent = (String, Value, Option<Value>, Option<Vec<u8>>, Option<Value>);

/// What a person agreed to for a client.
pub async fn find(
    conn: &mut Conn,
    account_id: &AccountId,
    client_id: &ClientId,
) -> Result<Option<Consent>> {
    let query = t::table
        .find((account_id.as_str(), client_id.as_str()))
        .select((
            t::scope,
            t::resources,
            t::authorization_details,
            t::client_digest,
            t::claims,
        ));
    on!(conn, |c| query.get_result(c)).optional()
}

/// Writes what a person agrees to, over what was there.
pub async fn put(
    conn: &mut Conn,
    (account_id, client_id): (&AccountId, &ClientId),
    (scope, resources, details, client_digest, claims): &Consent,
    now: Instant,
) -> Result<()> {
    let insert = diesel::insert_into(t::table)
        .values((
            t::account_id.eq(account_id.as_str()),
            t::client_id.eq(client_id.as_str()),
            t::scope.eq(scope),
            t::resources.eq(resources),
            t::authorization_details.eq(details),
            t::client_digest.eq(client_digest),
            t::claims.eq(claims),
            t::created_at.eq(now),
            t::updated_at.eq(now),
        ))
        .on_conflict((t::account_id, t::client_id))
        .do_update()
        .set((
            t::scope.eq(scope),
            t::resources.eq(resources),
            t::authorization_details.eq(details),
            t::client_digest.eq(client_digest),
            t::claims.eq(claims),
            t::updated_at.eq(now),
        ));
    on!(conn, |c| insert.execute(c)).map(drop)
}

/// Forgets what a person agreed to for a client; whether there was anything.
pub async fn delete(conn: &mut Conn, account_id: &AccountId, client_id: &ClientId) -> Result<bool> {
    let delete = diesel::delete(t::table.find((account_id.as_str(), client_id.as_str())));
    Ok(on!(conn, |c| delete.execute(c))? == 1)
}
