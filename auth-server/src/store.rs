//! Rows: free functions by noun on a connection. No query stands outside this module.

pub mod changes;
pub mod clients;
pub mod keys;
pub mod resource_servers;
pub mod revocations;
pub mod schema;

use shared_server::db::Migrations;

/// The schema of this server, for both databases.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: diesel_migrations::embed_migrations!("../migrations/auth/sqlite"),
    postgres: diesel_migrations::embed_migrations!("../migrations/auth/postgres"),
};
