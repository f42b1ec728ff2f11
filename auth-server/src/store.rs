//! Rows: free functions by noun on a connection. No query stands outside this module.

pub mod access_tokens;
pub mod accounts;
pub mod authorization_details_types;
pub mod changes;
pub mod clients;
pub mod consents;
pub mod grants;
pub mod identity_links;
pub mod keys;
pub mod logout_notices;
pub mod pruning;
pub mod refusals;
pub mod registration_tokens;
pub mod registrations;
pub mod resource_servers;
pub mod revocations;
pub mod schema;
pub mod server_secrets;
pub mod sessions;
pub mod sign_in_locks;
pub mod trusted_issuers;

use shared_server::db::Migrations;

/// The schema of this server, for both databases.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: diesel_migrations::embed_migrations!("../migrations/auth/sqlite"),
    postgres: diesel_migrations::embed_migrations!("../migrations/auth/postgres"),
};
