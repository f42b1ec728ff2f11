//! The section of a configuration that says where the database is.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::config::{Period, Secret};

/// The relational store, as a configuration has it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite:PATH` or a `postgres://` URL; see [`Settings::url`].
    pub url: Secret,
    /// Most connections to PostgreSQL.
    pub pool_size: usize,
    /// How long to wait for a connection.
    pub wait_timeout: Period,
    /// How long one statement may take.
    pub statement_timeout: Period,
    /// Whether `serve` applies pending migrations; else it refuses to start until `migrate` has.
    pub migrate_at_start: bool,
}

impl DatabaseConfig {
    /// The defaults, at `url`.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self {
            url: Secret::from(url.to_owned()),
            pool_size: 10,
            wait_timeout: Period::from_secs(2),
            statement_timeout: Period::from_secs(5),
            migrate_at_start: true,
        }
    }

    /// The same, as the database takes it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(self.url.clone().into_inner());
        settings.pool_size = self.pool_size;
        settings.wait_timeout = self.wait_timeout.duration();
        settings.statement_timeout = self.statement_timeout.duration();
        settings
    }
}
