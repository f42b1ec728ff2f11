//! The configuration: built-in defaults, a TOML file, the environment, flags. Every key stands in
//! `deploy/config/auth-server.example.toml`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Algorithm;
use shared_server::config::Secret;
use shared_server::db::DatabaseConfig;
use shared_server::ephemeral;
use shared_server::telemetry::LogSettings;
use shared_server::web::Limits;

/// A cache lifetime of the published keys, and a minute.
const MIN_PUBLISH_AHEAD: Duration = Duration::from_mins(6);

/// What is at stake.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// On one machine, for a look or for tests.
    #[default]
    Development,
    /// For real: what is insecure stops the start.
    Production,
}

/// The configuration of the authorization server.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Development or production.
    pub mode: Mode,
    /// The issuer identifier, from which every public URL is made.
    pub issuer: Issuer,
    /// How many nodes serve this issuer.
    pub nodes: u32,
    /// Where it listens.
    pub server: ServerConfig,
    /// Bounds on requests and connections.
    pub limits: Limits,
    /// The relational store.
    pub database: DatabaseConfig,
    /// The store of what is minutes old at most.
    pub ephemeral: EphemeralConfig,
    /// Signing keys.
    pub keys: KeysConfig,
    /// The log.
    pub log: LogSettings,
}

/// Where the server listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Addresses for everyone.
    pub listen: Vec<SocketAddr>,
    /// Addresses for operators: metrics and detailed health. May be empty.
    pub operations_listen: Vec<SocketAddr>,
}

/// The ephemeral store.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EphemeralConfig {
    /// `memory`, `redis://…`, `rediss://…`, `redis+cluster://…` or `rediss+cluster://…`.
    pub url: Secret,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// Entries that the in-process store holds at most.
    pub capacity: usize,
    /// How long one command may take.
    #[serde(with = "shared_server::config::period")]
    pub timeout: Duration,
}

/// Signing keys.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeysConfig {
    /// One key is made for each at first start.
    pub algorithms: Vec<Algorithm>,
    /// Key-encryption keys; the first encrypts, all decrypt. Made beside the database in development when empty.
    pub encryption: Vec<EncryptionKey>,
    /// How long a new key is published before it signs.
    #[serde(with = "shared_server::config::period")]
    pub publish_ahead: Duration,
}

/// A key-encryption key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EncryptionKey {
    /// Its name, kept beside what it encrypted.
    pub id: String,
    /// 32 bytes in base64.
    pub key: Secret,
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "constants, parsed by every test")]
    fn default() -> Self {
        let secret = |value: &str| Secret::from(value.to_owned());
        Self {
            mode: Mode::Development,
            issuer: "http://localhost:8000".parse().expect("an issuer"),
            nodes: 1,
            server: ServerConfig {
                listen: vec![(Ipv4Addr::LOCALHOST, 8000).into()],
                operations_listen: vec![(Ipv4Addr::LOCALHOST, 9090).into()],
            },
            limits: Limits::default(),
            database: DatabaseConfig::at("sqlite:data/auth-server.db"),
            ephemeral: EphemeralConfig {
                url: secret("memory"),
                prefix: "auth".into(),
                capacity: 1_000_000,
                timeout: Duration::from_millis(500),
            },
            keys: KeysConfig {
                // RFC 9068 §2.1: RS256 must be among them.
                algorithms: vec![Algorithm::Es256, Algorithm::Rs256],
                encryption: Vec::new(),
                publish_ahead: Duration::from_mins(10),
            },
            log: LogSettings::default(),
        }
    }
}

impl Config {
    /// What contradicts itself, or must not be in production: each names the key and the mend.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.server.listen.is_empty() {
            problems.push(
                "server.listen is empty: name at least one address, such as \"127.0.0.1:8000\""
                    .into(),
            );
        }
        if self.keys.algorithms.is_empty() {
            problems.push("keys.algorithms is empty: name at least one, such as \"ES256\"".into());
        }
        if self.nodes > 1 && self.ephemeral.url.expose_secret() == "memory" {
            problems.push("ephemeral.url is `memory` but nodes is more than 1: nodes share state through Redis".into());
        }
        if self.nodes > 1 && self.database.url.expose_secret().starts_with("sqlite:") {
            problems.push(
                "database.url is SQLite but nodes is more than 1: nodes share PostgreSQL".into(),
            );
        }
        if self.keys.publish_ahead < MIN_PUBLISH_AHEAD {
            problems.push("keys.publish_ahead is below 6m: verifiers keep the published keys for five minutes".into());
        }
        if self.mode == Mode::Production {
            if self.issuer.is_plain_http() {
                problems.push("issuer is plain http: production serves an https issuer".into());
            }
            if self.keys.encryption.is_empty() {
                problems.push("keys.encryption is empty: give a key of 32 random bytes in base64, or keys.encryption[].key_file".into());
            }
        } else if self.keys.encryption.is_empty() && self.sqlite_path().is_none() {
            problems.push("keys.encryption is empty: beside PostgreSQL there is no file to make one in; give one".into());
        }
        problems
    }

    /// Where the SQLite database lies, if it is one.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        let path = self.database.url.expose_secret().strip_prefix("sqlite:")?;
        Some(path.strip_prefix("//").unwrap_or(path).into())
    }

    /// The settings of the ephemeral store.
    #[must_use]
    pub fn ephemeral(&self) -> ephemeral::Settings {
        ephemeral::Settings {
            url: self.ephemeral.url.clone().into_inner(),
            prefix: self.ephemeral.prefix.clone(),
            capacity: self.ephemeral.capacity,
            timeout: self.ephemeral.timeout,
        }
    }
}
