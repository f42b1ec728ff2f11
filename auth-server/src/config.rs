//! The configuration: built-in defaults, a TOML file, the environment, flags. Every key stands in
//! `deploy/config/auth-server.example.toml`.

mod acr;
mod authorization;
mod client_authentication;
mod client_documents;
mod device;
mod dpop;
mod explain;
mod keys;
mod logout;
mod mtls;
mod passwords;
mod profile;
mod refresh_tokens;
mod registration;
mod retention;
mod server;
mod sessions;
mod sign_in;
mod sign_up;
mod waits;

use std::path::PathBuf;

use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Algorithm;
use shared_server::db::DatabaseConfig;
use shared_server::ephemeral::EphemeralConfig;
use shared_server::outbound::OutboundSettings;
use shared_server::rate_limits::{Rate, RateLimitsConfig};
use shared_server::telemetry::{LogSettings, TraceSettings};
use shared_server::web::{EdgeSettings, Limits, Proxies, TlsSettings};

pub use self::acr::AcrLevel;
pub use self::authorization::{AuthorizationConfig, PkcePolicy};
pub use self::client_authentication::ClientAuthenticationConfig;
pub use self::client_documents::{ClientDocumentsConfig, Enabled};
pub use self::device::DeviceConfig;
pub use self::dpop::DpopConfig;
pub use self::explain::ExplainConfig;
pub use self::keys::{EncryptionKey, KeysConfig};
pub use self::logout::LogoutConfig;
pub use self::mtls::MtlsConfig;
pub use self::passwords::PasswordsConfig;
pub use self::refresh_tokens::RefreshTokensConfig;
pub use self::registration::{RegistrationConfig, RegistrationMode};
pub use self::retention::RetentionConfig;
pub use self::server::ServerConfig;
pub use self::sessions::SessionsConfig;
pub use self::sign_in::SignInConfig;
pub use self::sign_up::{SignUpConfig, SignUpMode};
use crate::accounts::sign_in::SignInLimits;
use crate::authorize::acr::Levels;
use crate::device::GuessLimits;
use crate::metadata::Offered;
use crate::profiles::{Profile, Profiles};

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
    /// What it holds to, beside what every server does.
    pub profile: Option<Profile>,
    /// How many nodes serve this issuer.
    pub nodes: u32,
    /// Where it listens.
    pub server: ServerConfig,
    /// TLS on the addresses for everyone.
    pub tls: TlsSettings,
    /// The proxies before it.
    pub proxies: Proxies,
    /// Clients that authenticate by certificates.
    pub mtls: MtlsConfig,
    /// Bounds on requests and connections.
    pub limits: Limits,
    /// The relational store.
    pub database: DatabaseConfig,
    /// The store of what is minutes old at most.
    pub ephemeral: EphemeralConfig,
    /// How much may be asked.
    pub rate_limits: RateLimitsConfig,
    /// How many failures of clients to authenticate are suffered.
    pub client_authentication: ClientAuthenticationConfig,
    /// Clients that describe themselves.
    pub client_documents: ClientDocumentsConfig,
    /// What it may fetch.
    pub outbound: OutboundSettings,
    /// Clients that register themselves.
    pub registration: RegistrationConfig,
    /// Signing keys.
    pub keys: KeysConfig,
    /// The authorization endpoint.
    pub authorization: AuthorizationConfig,
    /// Proofs of possession of clients.
    pub dpop: DpopConfig,
    /// Devices on which nobody can sign in.
    pub device: DeviceConfig,
    /// People signed in at browsers.
    pub sessions: SessionsConfig,
    /// Telling clients that somebody signed out.
    pub logout: LogoutConfig,
    /// What brings people's apps fresh access tokens.
    pub refresh_tokens: RefreshTokensConfig,
    /// For how long rows are kept past their end.
    pub retention: RetentionConfig,
    /// Why requests were refused, kept for operators.
    pub explain: ExplainConfig,
    /// How passwords are hashed.
    pub passwords: PasswordsConfig,
    /// How many failures to sign in are suffered.
    pub sign_in: SignInConfig,
    /// People who make an account for themselves.
    pub sign_up: SignUpConfig,
    /// How sure this server may be of people, the weakest level first.
    pub acr: Vec<AcrLevel>,
    /// The log.
    pub log: LogSettings,
    /// Traces.
    pub traces: TraceSettings,
}

impl Default for Config {
    #[expect(clippy::expect_used, reason = "a constant, parsed by every test")]
    fn default() -> Self {
        Self {
            mode: Mode::Development,
            issuer: "http://localhost:8000".parse().expect("an issuer"),
            profile: None,
            nodes: 1,
            server: ServerConfig::default(),
            tls: TlsSettings::default(),
            proxies: Proxies::default(),
            mtls: MtlsConfig::default(),
            limits: Limits::default(),
            database: DatabaseConfig::at("sqlite:data/auth-server.db"),
            ephemeral: EphemeralConfig::with_prefix("auth"),
            rate_limits: RateLimitsConfig::default(),
            client_authentication: ClientAuthenticationConfig::default(),
            client_documents: ClientDocumentsConfig::default(),
            outbound: OutboundSettings::default(),
            registration: RegistrationConfig::default(),
            keys: KeysConfig::default(),
            authorization: AuthorizationConfig::default(),
            dpop: DpopConfig::default(),
            device: DeviceConfig::default(),
            sessions: SessionsConfig::default(),
            logout: LogoutConfig::default(),
            refresh_tokens: RefreshTokensConfig::default(),
            retention: RetentionConfig::default(),
            explain: ExplainConfig::default(),
            passwords: PasswordsConfig::default(),
            sign_in: SignInConfig::default(),
            sign_up: SignUpConfig::default(),
            acr: acr::default_levels(),
            log: LogSettings::default(),
            traces: TraceSettings::named("auth-server"),
        }
    }
}

impl Config {
    /// What contradicts itself, or must not be in production: each names the key and the mend.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.server.problems();
        let edge = self.edge().mistakes(self.mode == Mode::Production);
        let outbound = self.outbound.mistakes(self.mode == Mode::Production);
        let mtls = self.mtls.mistakes(&self.issuer, &self.tls, &self.proxies);
        let mistakes = edge.into_iter().chain(self.limits.mistakes());
        let mistakes = mistakes.chain(outbound).chain(mtls);
        problems.extend(mistakes.map(|mistake| mistake.to_string()));
        if self.nodes > 1 && self.ephemeral.url.expose_secret() == "memory" {
            problems.push("ephemeral.url is `memory` but nodes is more than 1: nodes share state through Redis".into());
        }
        if self.nodes > 1 && self.database.url.expose_secret().starts_with("sqlite:") {
            problems.push(
                "database.url is SQLite but nodes is more than 1: nodes share PostgreSQL".into(),
            );
        }
        if self.mode == Mode::Production && self.issuer.is_plain_http() {
            problems.push("issuer is plain http: production serves an https issuer".into());
        }
        let rates = self.rate_limits.problems().into_iter();
        problems.extend(rates.map(|(key, reason)| format!("{key}: {reason}")));
        problems.extend(self.client_authentication.problems());
        problems.extend(self.client_documents.problems(self.mode));
        problems.extend(self.registration.problems(self.mode));
        let may_sign = |alg| self.profiles().server().permits(alg);
        let on_sqlite = self.sqlite_path().is_some();
        problems.extend(self.keys.problems(self.mode, on_sqlite, may_sign));
        problems.extend(self.contradictions());
        problems.extend(self.authorization.problems());
        problems.extend(self.device.problems());
        problems.extend(self.sessions.problems());
        problems.extend(self.logout.problems());
        problems.extend(self.refresh_tokens.problems());
        let code_lifetime = self.authorization.code_lifetime;
        problems.extend(self.retention.problems(self.mode, code_lifetime));
        let prunes = !self.retention.every.is_zero();
        problems.extend(self.explain.problems(prunes, self.mode));
        problems.extend(self.passwords.problems(self.mode));
        problems.extend(self.sign_in.problems());
        problems.extend(self.sign_up.problems(self.mode));
        problems.extend(acr::problems(&self.acr));
        let traces = self.traces.problems().into_iter();
        problems.extend(traces.map(|(key, mend)| format!("traces.{key} {mend}")));
        problems
    }

    /// What stands between the network and the routes.
    #[must_use]
    pub fn edge(&self) -> EdgeSettings<'_> {
        EdgeSettings {
            tls: &self.tls,
            proxies: &self.proxies,
            https: !self.issuer.is_plain_http(),
        }
    }

    /// How clients may authenticate.
    #[must_use]
    pub fn offered(&self) -> Offered {
        let mtls = self.mtls.url.clone();
        let profiles = self.profiles();
        let mut methods = self.mtls.methods(&self.proxies);
        methods.retain(|method| profiles.server().permits_method(*method));
        Offered {
            methods,
            mtls: mtls.filter(|_| self.mtls.is_on(&self.proxies)),
            documents: self.documents_are_on(),
            registration: self.registration_mode() != RegistrationMode::Closed,
            requests: self.authorization.request_policy(profiles.server()),
            profiles,
            sign_up: self.sign_up.is_open(self.mode),
            password_grant: self.authorization.password_grant,
            acr: Levels::new(&self.acr),
        }
    }

    /// What is demanded of this server's clients.
    #[must_use]
    pub fn profiles(&self) -> Profiles {
        Profiles::new(self.profile, &self.keys.algorithms)
    }

    /// What it signs with, as far as its profile permits that.
    #[must_use]
    pub fn signing_algorithms(&self) -> Vec<Algorithm> {
        let demands = self.profiles().server();
        let algorithms = self.keys.algorithms.iter().copied();
        algorithms.filter(|alg| demands.permits(*alg)).collect()
    }

    /// Whether clients may describe themselves.
    #[must_use]
    pub fn documents_are_on(&self) -> bool {
        let documents = &self.client_documents;
        let by_profile = self.profiles().server().client_documents();
        documents.is_on(self.mode) || by_profile && documents.enabled != Enabled::Never
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

    /// How many wrong user codes are suffered.
    #[must_use]
    pub fn guess_limits(&self) -> GuessLimits {
        let limits = self.device.guesses();
        GuessLimits {
            address_failures_before_wait: self.by_address(limits.address_failures_before_wait),
            ..limits
        }
    }

    /// Requests of one address in a minute that may ask for a person; 0 for any number.
    #[must_use]
    pub fn interactions_per_address(&self) -> u32 {
        self.by_address(self.authorization.interactions_per_address)
    }

    /// Requests of one address that are answered.
    #[must_use]
    pub fn requests_per_address(&self) -> Rate {
        self.rate_by_address(self.rate_limits.address)
    }

    /// Failures of one address to authenticate as one client, and as any, that are suffered.
    #[must_use]
    pub fn client_failures(&self) -> (Rate, Rate) {
        let (one, any) = self.client_authentication.rates();
        (self.rate_by_address(one), self.rate_by_address(any))
    }

    /// Documents that requests of one address may have us fetch.
    #[must_use]
    pub fn fetches_per_address(&self) -> Rate {
        self.rate_by_address(Rate::per_minute(self.client_documents.fetches_per_address))
    }

    /// Registrations, and changes to them, of one address.
    #[must_use]
    pub fn registrations_per_address(&self) -> Rate {
        self.rate_by_address(self.registration.rate)
    }

    /// Who may register clients.
    #[must_use]
    pub fn registration_mode(&self) -> RegistrationMode {
        self.registration.mode(self.mode)
    }

    /// Attempts of one address to make accounts.
    #[must_use]
    pub fn sign_ups_per_address(&self) -> Rate {
        self.rate_by_address(self.sign_up.rate)
    }

    fn rate_by_address(&self, rate: Rate) -> Rate {
        Rate {
            requests: self.by_address(rate.requests),
            ..rate
        }
    }

    /// What should not be, and does not keep the server from starting.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = match self.mode {
            Mode::Production => self.rate_limits.warnings(),
            Mode::Development => Vec::new(),
        };
        warnings.extend(self.authorization.warnings());
        warnings
    }

    /// In development something that nobody named may end TLS before this server, and then everybody comes from one address: a limit by
    /// address would be one for all, which any stranger could reach for everyone. Production does not start so.
    #[must_use]
    pub fn by_address(&self, limit: u32) -> u32 {
        if self.edge().tells_clients_apart() {
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
}
