//! What an operator decides. `deploy/config/resource-api.example.toml` says it at length.

mod check;
mod cors;
mod dpop;
mod introspection;
mod mtls;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shared_protocol::bearer::{self, AuthenticationRequirement, InvalidAcrValue, TrustedIssuer};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Algorithm;
use shared_protocol::random::Random;
use shared_protocol::resource::ResourceId;
use shared_server::config::Period;
use shared_server::db::DatabaseConfig;
use shared_server::ephemeral::EphemeralConfig;
use shared_server::outbound::OutboundSettings;
use shared_server::rate_limits::{Rate, RateLimitsConfig};
use shared_server::telemetry::{LogSettings, TraceSettings};
use shared_server::web::{EdgeSettings, Limits, Proxies, TlsSettings};
use url::Url;

pub use self::cors::{AllowedOrigin, CorsSettings};
pub use self::dpop::DpopConfig;
pub use self::introspection::Introspection;
pub use self::mtls::MtlsConfig;

/// The whole configuration. The default suits development beside an authorization server on this machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How it runs and listens.
    pub server: ServerSettings,
    /// What this API is to those who issue tokens.
    pub resource: Resource,
    /// Whose tokens are accepted, each issuer once.
    pub issuers: Vec<IssuerSettings>,
    /// Which tokens are taken, and what is remembered of them.
    pub tokens: Tokens,
    /// Proofs of clients whose tokens are bound to a key.
    pub dpop: DpopConfig,
    /// How people must have signed in who change something of themselves.
    pub step_up: StepUp,
    /// What it may fetch besides.
    pub outbound: OutboundSettings,
    /// This API's own database.
    pub database: DatabaseConfig,
    /// The store of what is minutes old at most.
    pub ephemeral: EphemeralConfig,
    /// How much may be asked.
    pub rate_limits: RateLimitsConfig,
    /// The log.
    pub log: LogSettings,
    /// Traces.
    pub traces: TraceSettings,
    /// TLS on the addresses of the API.
    pub tls: TlsSettings,
    /// The proxies before it.
    pub proxies: Proxies,
    /// Where clients are asked for certificates.
    pub mtls: MtlsConfig,
    /// How much one client may ask.
    pub limits: Limits,
    /// Whose pages may call from a browser.
    pub cors: CorsSettings,
}

/// How the server runs and listens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// What is allowed.
    pub mode: Mode,
    /// How many nodes serve this API.
    pub nodes: u32,
    /// Addresses of the API; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// Addresses for operators, with metrics and health in detail; none turns them off.
    pub operations_listen: Vec<SocketAddr>,
}

/// What is allowed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Plain http on this machine.
    Development,
    /// Nothing but https.
    Production,
}

/// What this API is to those who issue tokens.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resource {
    /// What `aud` of an access token must name (RFC 9068 §4), and the base of our public address (RFC 9728 §1.2).
    pub identifier: ResourceId,
}

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// Its identifier, character by character as it stands in `iss`.
    pub issuer: Issuer,
    /// How its tokens are verified.
    #[serde(default)]
    pub policy: Policy,
    /// What we introspect with; the policy `introspect` needs it.
    #[serde(default)]
    pub introspection: Option<Introspection>,
}

/// How tokens are verified.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Offline, with the issuer's published keys.
    #[default]
    Jwks,
    /// By asking the issuer (RFC 7662).
    Introspect,
}

/// Which tokens are taken, and what is remembered of them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tokens {
    /// How many verified tokens are remembered, and how many introspection answers for each issuer.
    pub remembered: u64,
    /// How long an introspection answer is believed; at most 5 s.
    pub introspection_cache: Period,
    /// What tokens that are verified by keys, and proofs, may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Whether only those are taken that are bound to a key (RFC 9449) or a certificate (RFC 8705).
    pub sender_constrained: bool,
}

/// How people must have signed in who change something of themselves (RFC 9470); in any way by default.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct StepUp {
    /// The levels (`acr`) of which one must be reached; none for any.
    pub acr_values: Vec<String>,
    /// How long ago they may have signed in.
    pub max_age: Option<Period>,
}

impl StepUp {
    pub(crate) fn requirement(&self) -> Result<AuthenticationRequirement, InvalidAcrValue> {
        let max_age = self.max_age.map(Period::duration);
        AuthenticationRequirement::new(self.acr_values.clone(), max_age)
    }
}

impl Default for Config {
    fn default() -> Self {
        let issuer = IssuerSettings {
            issuer: "http://localhost:8000".parse().expect("a loopback URL"),
            policy: Policy::Jwks,
            introspection: None,
        };
        Self {
            server: ServerSettings::default(),
            resource: Resource::default(),
            issuers: vec![issuer],
            tokens: Tokens::default(),
            dpop: DpopConfig::default(),
            step_up: StepUp::default(),
            outbound: OutboundSettings::default(),
            database: DatabaseConfig::at("sqlite:data/resource-api.db"),
            ephemeral: EphemeralConfig::with_prefix("api"),
            rate_limits: RateLimitsConfig::default(),
            log: LogSettings::default(),
            traces: TraceSettings::named("resource-api"),
            tls: TlsSettings::default(),
            proxies: Proxies::default(),
            mtls: MtlsConfig::default(),
            limits: Limits::default(),
            cors: CorsSettings::default(),
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            mode: Mode::Development,
            nodes: 1,
            listen: vec![local(8080)],
            operations_listen: vec![local(9091)],
        }
    }
}

impl Default for Resource {
    fn default() -> Self {
        let identifier = "http://localhost:8080".parse().expect("an absolute URI");
        Self { identifier }
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            remembered: 10_000,
            introspection_cache: Period::from_secs(2),
            algorithms: Algorithm::ALL.to_vec(),
            sender_constrained: false,
        }
    }
}

impl Config {
    /// What stands between the network and the routes.
    pub(crate) fn edge(&self) -> EdgeSettings<'_> {
        EdgeSettings {
            tls: &self.tls,
            proxies: &self.proxies,
            https: self.resource.identifier.url().scheme() == "https",
        }
    }

    /// Where clients reach the API.
    pub(crate) fn origins(&self) -> Vec<Url> {
        let public = std::iter::once(&self.resource.identifier);
        let all = public.chain(&self.mtls.url);
        all.map(ResourceId::url).cloned().collect()
    }

    /// Requests of one address that are answered. Where everybody may come from one, it would be a limit for all, which any stranger
    /// could reach for everyone.
    pub(crate) fn requests_per_address(&self) -> Rate {
        let rate = self.rate_limits.address;
        if self.edge().tells_clients_apart() {
            rate
        } else {
            Rate {
                requests: 0,
                ..rate
            }
        }
    }

    /// What should not be in production, and does not keep it from starting.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        match self.server.mode {
            Mode::Production => self.rate_limits.warnings(),
            Mode::Development => Vec::new(),
        }
    }

    pub(crate) fn trusted_issuers(&self, random: &Arc<dyn Random>) -> Vec<TrustedIssuer> {
        let trusted = |settings: &IssuerSettings| TrustedIssuer {
            issuer: settings.issuer.clone(),
            policy: match settings.policy {
                Policy::Jwks => bearer::Policy::Jwks,
                Policy::Introspect => bearer::Policy::Introspect,
            },
            // What is wrong with them stopped the start.
            introspection: settings
                .introspection
                .as_ref()
                .and_then(|us| us.credentials(random)),
        };
        self.issuers.iter().map(trusted).collect()
    }
}
