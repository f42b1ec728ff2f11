//! The rows of this API: one file for each noun. Nothing outside asks the database.

pub(crate) mod people;
mod schema;

use shared_server::db::Migrations;

/// The schema of this API's own database.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: diesel_migrations::embed_migrations!("../migrations/api/sqlite"),
    postgres: diesel_migrations::embed_migrations!("../migrations/api/postgres"),
};
