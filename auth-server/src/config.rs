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

use crate::accounts::sign_in::SignInLimits;

/// A cache lifetime of the published keys, and a minute.
const MIN_PUBLISH_AHEAD: Duration = Duration::from_mins(6);
/// The longest that a code may be good.
const MAX_CODE_LIFETIME: Duration = Duration::from_mins(1);

/// The longest that a person may take.
const MAX_INTERACTION_LIFETIME: Duration = Duration::from_hours(1);
/// Shorter, and people would be signed out while they read a page.
const MIN_SESSION_IDLE: Duration = Duration::from_mins(5);

/// A lost answer is asked for again at once.
const MAX_GRACE: Duration = Duration::from_mins(1);
/// KiB below which no number of passes makes up for it (OWASP Password Storage).
const MIN_PASSWORD_MEMORY: u32 = 7168;

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
    /// The authorization endpoint.
    pub authorization: AuthorizationConfig,
    /// People signed in at browsers.
    pub sessions: SessionsConfig,
    /// What brings people's apps fresh access tokens.
    pub refresh_tokens: RefreshTokensConfig,
    /// How passwords are hashed.
    pub passwords: PasswordsConfig,
    /// How many failures to sign in are suffered.
    pub sign_in: SignInConfig,
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

/// The authorization endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationConfig {
    /// Whose requests must carry a code challenge (RFC 7636).
    pub pkce: PkcePolicy,
    /// Whether the port of a native client's redirect to `localhost` may vary as that of `127.0.0.1` and `[::1]` does.
    pub localhost_port_varies: bool,
    /// How long a code is good (RFC 6749 §4.1.2).
    #[serde(with = "shared_server::config::period")]
    pub code_lifetime: Duration,
    /// How long a person may take to sign in and to decide.
    #[serde(with = "shared_server::config::period")]
    pub interaction_lifetime: Duration,
    /// How many interactions may begin at one network address in a minute; zero for any number.
    pub interactions_per_address: u32,
}

impl AuthorizationConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.code_lifetime > MAX_CODE_LIFETIME {
            problems.push("authorization.code_lifetime is above 1m: a code is redeemed at once, and only a thief is late".into());
        }
        if self.code_lifetime < Duration::from_secs(1) {
            problems.push(
                "authorization.code_lifetime is below 1s: no client could redeem a code".into(),
            );
        }
        if self.interaction_lifetime < Duration::from_mins(1) {
            problems.push(
                "authorization.interaction_lifetime is below 1m: nobody signs in so fast".into(),
            );
        }
        if self.interaction_lifetime > MAX_INTERACTION_LIFETIME {
            problems.push("authorization.interaction_lifetime is above 1h: whoever asks, and never signs in, fills the ephemeral store for that long".into());
        }
        problems
    }
}

/// Whose authorization requests must carry a code challenge (RFC 7636, RFC 9700 §2.1.1).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PkcePolicy {
    /// Everyone's.
    #[default]
    Required,
    /// Public clients', and those of confidential clients that registered for it.
    PublicOnly,
}

/// People signed in at browsers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SessionsConfig {
    /// How long a session lives without being used.
    #[serde(with = "shared_server::config::period")]
    pub idle: Duration,
    /// How long a session lives since the person last proved who they are.
    #[serde(with = "shared_server::config::period")]
    pub absolute: Duration,
}

impl SessionsConfig {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.idle < MIN_SESSION_IDLE {
            problems.push(
                "sessions.idle is below 5m: people would be signed out while they read".into(),
            );
        }
        if self.idle > self.absolute {
            problems.push("sessions.idle is longer than sessions.absolute: shorten it".into());
        }
        problems
    }
}

/// What brings people's apps fresh access tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshTokensConfig {
    /// How long one lives without being used.
    #[serde(with = "shared_server::config::period")]
    pub idle: Duration,
    /// How long a person's consent brings fresh ones.
    #[serde(with = "shared_server::config::period")]
    pub absolute: Duration,
    /// For how long after its first use one brings the same successor again.
    #[serde(with = "shared_server::config::period")]
    pub grace: Duration,
}

/// How passwords are hashed: Argon2id (RFC 9106).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordsConfig {
    /// KiB that one hash takes.
    pub memory: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes of it.
    pub parallelism: u32,
    /// People who may wait for a core.
    pub queue: usize,
}

impl PasswordsConfig {
    /// The parameters of Argon2id.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn params(&self) -> Result<argon2::Params, argon2::Error> {
        argon2::Params::new(self.memory, self.iterations, self.parallelism, None)
    }
}

/// How many failures to sign in are suffered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SignInConfig {
    /// Failures of one account after which the next attempt has to wait.
    pub failures_before_wait: u32,
    /// The same of one network address, which many people may share; zero turns it off.
    pub address_failures_before_wait: u32,
    /// How long the first wait is. Each further failure doubles it.
    #[serde(with = "shared_server::config::period")]
    pub first_wait: Duration,
    /// The longest wait.
    #[serde(with = "shared_server::config::period")]
    pub longest_wait: Duration,
    /// Failures after which the account is locked, but for known devices.
    pub failures_before_lock: u32,
    /// How long a lock lasts.
    #[serde(with = "shared_server::config::period")]
    pub lock: Duration,
    /// How long a failure counts.
    #[serde(with = "shared_server::config::period")]
    pub window: Duration,
    /// How long a browser is known after somebody signed in with it.
    #[serde(with = "shared_server::config::period")]
    pub known_device: Duration,
}

impl SignInConfig {
    fn limits(&self) -> SignInLimits {
        SignInLimits {
            failures_before_wait: self.failures_before_wait,
            address_failures_before_wait: self.address_failures_before_wait,
            first_wait: self.first_wait,
            longest_wait: self.longest_wait,
            failures_before_lock: self.failures_before_lock,
            lock: self.lock,
            window: self.window,
        }
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.failures_before_lock == 0 {
            problems.push("sign_in.failures_before_lock is 0: the first slip would lock".into());
        }
        for (name, period) in [("lock", self.lock), ("window", self.window)] {
            // Shorter, and a guesser need not fear it; a window has to hold the waits before a lock.
            if period < Duration::from_mins(1) {
                problems.push(format!(
                    "sign_in.{name} is below 1m: guessing would cost nothing"
                ));
            }
        }
        if self.longest_wait < self.first_wait {
            problems
                .push("sign_in.longest_wait is below sign_in.first_wait: make it longer".into());
        }
        if self.longest_wait > self.window {
            problems.push(
                "sign_in.longest_wait is above sign_in.window: what fails would be forgotten before it ends".into(),
            );
        }
        problems
    }
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
            authorization: AuthorizationConfig {
                pkce: PkcePolicy::default(),
                localhost_port_varies: true,
                code_lifetime: MAX_CODE_LIFETIME,
                interaction_lifetime: Duration::from_mins(30),
                interactions_per_address: 600,
            },
            sessions: SessionsConfig {
                idle: Duration::from_hours(24),
                absolute: Duration::from_hours(24 * 14),
            },
            refresh_tokens: RefreshTokensConfig {
                idle: Duration::from_hours(24 * 30),
                absolute: Duration::from_hours(24 * 180),
                grace: Duration::from_secs(10),
            },
            // OWASP's choice for Argon2id.
            passwords: PasswordsConfig {
                memory: 19_456,
                iterations: 2,
                parallelism: 1,
                queue: 100,
            },
            sign_in: SignInConfig {
                failures_before_wait: 3,
                address_failures_before_wait: 50,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_mins(1),
                failures_before_lock: 10,
                lock: Duration::from_mins(15),
                window: Duration::from_hours(1),
                known_device: Duration::from_hours(24 * 180),
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
        problems.extend(self.authorization.problems());
        problems.extend(self.sessions.problems());
        if self.refresh_tokens.grace > MAX_GRACE {
            problems.push("refresh_tokens.grace is over 1m: a stolen token would work beside its successor for that long".into());
        }
        if self.refresh_tokens.idle > self.refresh_tokens.absolute {
            problems.push(
                "refresh_tokens.idle is longer than refresh_tokens.absolute: shorten it".into(),
            );
        }
        if let Err(error) = self.passwords.params() {
            problems.push(format!(
                "passwords: Argon2id does not take these parameters ({error}); leave them out for the defaults"
            ));
        }
        problems.extend(self.sign_in.problems());
        if self.mode == Mode::Production {
            if self.passwords.memory < MIN_PASSWORD_MEMORY {
                problems.push("passwords.memory is below 7168 KiB: whoever gets hold of hashes could guess too fast".into());
            }
            if !self.keys.algorithms.contains(&Algorithm::Rs256) {
                problems.push("keys.algorithms lacks \"RS256\": every client may count on it (RFC 9068 section 2.1, OpenID Connect Discovery section 3)".into());
            }
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

    /// How many failures to sign in are suffered.
    #[must_use]
    pub fn sign_in_limits(&self) -> SignInLimits {
        let limits = self.sign_in.limits();
        SignInLimits {
            address_failures_before_wait: self.by_address(limits.address_failures_before_wait),
            ..limits
        }
    }

    /// Requests of one address in a minute that may ask for a person; 0 for any number.
    #[must_use]
    pub fn interactions_per_address(&self) -> u32 {
        self.by_address(self.authorization.interactions_per_address)
    }

    /// An https issuer stands behind a proxy, for this server ends no TLS itself, and then everybody comes from one address: a limit
    /// by address would be one for all, which any stranger could reach for everyone.
    fn by_address(&self, limit: u32) -> u32 {
        if self.issuer.is_plain_http() {
            limit
        } else {
            0
        }
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
