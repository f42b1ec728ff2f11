//! Where servers keep things.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use shared_protocol::random::{SystemRandom, alphanumeric};
use url::Url;

use crate::kept::Database;

/// Where the servers keep things.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Stores {
    /// A PostgreSQL in which databases are made, and left [default: SQLite in a temporary folder]
    #[arg(long, value_name = "URL")]
    pub(crate) postgres: Option<String>,
    /// A Redis [default: the memory of the server]
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
}

impl Stores {
    /// Whether several nodes can share them.
    pub(crate) fn shared(&self) -> bool {
        self.postgres.is_some() && self.redis.is_some()
    }

    /// The URL of an empty database: a new one in PostgreSQL, else `file`.
    ///
    /// # Errors
    /// If PostgreSQL makes none.
    pub(crate) async fn database(&self, file: &Path) -> anyhow::Result<String> {
        let Some(postgres) = &self.postgres else {
            return Ok(format!("sqlite:{}", file.display()));
        };
        let name = format!("load_{}", alphanumeric(12, &SystemRandom).to_lowercase());
        let database = Database::connect(postgres).await.context("--postgres")?;
        database.perform(&format!("CREATE DATABASE {name}")).await?;
        named(postgres, &name).context("--postgres is not a URL")
    }
}

/// The URL of another database of the same server.
fn named(url: &str, name: &str) -> anyhow::Result<String> {
    let mut url = Url::parse(url)?;
    url.set_path(name);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_a_server_keeps_all_else_of_its_url() {
        let url = named(
            "postgres://a:b@127.0.0.1:5/postgres?sslmode=disable",
            "load_x",
        )
        .unwrap();
        assert_eq!(url, "postgres://a:b@127.0.0.1:5/load_x?sslmode=disable");
    }
}
