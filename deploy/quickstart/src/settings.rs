//! The settings of both servers: defaults that suit one machine, then what files, environment and flags say.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;

use anyhow::Context as _;
use auth_server::config as auth;
use resource_api::config as api;
use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;
use shared_server::config::{Secret, Sources, load};
use shared_server::db::DatabaseConfig;
use shared_server::telemetry::{LogFormat, LogSettings};

use crate::certificates;
use crate::flags::Flags;
use crate::seed::{details_types, resource_scopes};

const AUTH_PORT: u16 = 8000;
const API_PORT: u16 = 8080;
const APP_PORT: u16 = 8090;
const MTLS_PORT: u16 = 8443;

/// What the authorization server's own commands read besides its settings.
const NOT_A_SETTING: &str = "AUTH_CONFIG";

/// The settings of both servers, and of the app.
pub(crate) struct Settings {
    pub(crate) auth: auth::Config,
    pub(crate) api: api::Config,
    /// Where the demo app listens.
    pub(crate) app_port: u16,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// Every mistake in them, with where it stands and the mend.
    pub(crate) fn read(flags: &Flags, environment: Vec<(String, String)>) -> anyhow::Result<Self> {
        let environment: Vec<_> = environment
            .into_iter()
            .filter(|(name, _)| name != NOT_A_SETTING)
            .collect();
        let defaults = auth_defaults(flags)?;
        let mut auth = load(
            &defaults,
            &Sources {
                file: flags.auth_config.as_deref(),
                env_prefix: "AUTH_",
                env: environment.clone(),
                overrides: flags.auth_port.map_or(
                    Value::Null,
                    |port| json!({"issuer": origin(port), "server": {"listen": loopback(port)}}),
                ),
            },
        )
        .context("authorization server")?;
        let app_port = flags.app_port.unwrap_or(APP_PORT);
        let app = origin(app_port).parse()?;
        // To be told of sign-outs there; nothing else on this machine is reached because somebody names its address.
        if !auth.outbound.origins.contains(&app) {
            auth.outbound.origins.push(app);
        }
        if auth.mtls.url == defaults.mtls.url
            && let Some(url) = &defaults.mtls.url
        {
            // Its path is the issuer's.
            let path = auth.issuer.path();
            auth.mtls.url = Some(url.endpoint(path).parse()?);
        }
        let api = load(
            &api_defaults(flags, &auth.issuer)?,
            &Sources {
                file: flags.api_config.as_deref(),
                env_prefix: "API_",
                env: environment,
                overrides: flags.api_port.map_or(Value::Null, |port| {
                    json!({"resource": {"identifier": origin(port)}, "server": {"listen": loopback(port)}})
                }),
            },
        )
        .context("resource API")?;
        Ok(Self {
            auth,
            api,
            app_port,
        })
    }
}

/// The listener that asks clients for certificates, by those that the quickstart makes.
fn mtls(flags: &Flags) -> anyhow::Result<auth::MtlsConfig> {
    let port = flags.mtls_port.unwrap_or(MTLS_PORT);
    if port == 0 {
        return Ok(auth::MtlsConfig::default());
    }
    let file = |name| Some(flags.data.join(name));
    let [certificate, key] = certificates::SERVER.map(file);
    Ok(auth::MtlsConfig {
        listen: loopback(port),
        url: Some(format!("https://localhost:{port}").parse()?),
        certificate,
        key,
        client_ca: file(certificates::AUTHORITY),
    })
}

fn auth_defaults(flags: &Flags) -> anyhow::Result<auth::Config> {
    let port = flags.auth_port.unwrap_or(AUTH_PORT);
    let defaults = auth::Config::default();
    Ok(auth::Config {
        issuer: origin(port).parse()?,
        server: auth::ServerConfig {
            listen: loopback(port),
            operations_listen: Vec::new(),
        },
        mtls: mtls(flags)?,
        registration: auth::RegistrationConfig {
            scopes: resource_scopes()
                .map(str::parse)
                .collect::<Result<_, _>>()?,
            authorization_details_types: details_types()?,
            ..defaults.registration
        },
        client_documents: auth::ClientDocumentsConfig {
            authorization_details_types: details_types()?,
            ..defaults.client_documents
        },
        database: DatabaseConfig {
            url: sqlite(&flags.data, "auth-server.db")?,
            ..defaults.database
        },
        log: quiet(),
        ..defaults
    })
}

fn api_defaults(flags: &Flags, issuer: &Issuer) -> anyhow::Result<api::Config> {
    let port = flags.api_port.unwrap_or(API_PORT);
    let defaults = api::Config::default();
    Ok(api::Config {
        server: api::ServerSettings {
            listen: loopback(port),
            operations_listen: Vec::new(),
            ..defaults.server
        },
        resource: api::Resource {
            identifier: origin(port).parse()?,
        },
        issuers: vec![api::IssuerSettings {
            issuer: issuer.clone(),
            policy: api::Policy::Jwks,
            introspection: None,
        }],
        database: DatabaseConfig {
            url: sqlite(&flags.data, "resource-api.db")?,
            ..defaults.database
        },
        log: quiet(),
        ..defaults
    })
}

/// `localhost`, because passkeys refuse an IP address.
pub(crate) fn origin(port: u16) -> String {
    format!("http://localhost:{port}")
}

/// What `localhost` means to a browser: 127.0.0.1 and, where there is one, `[::1]`.
pub(crate) fn loopback(port: u16) -> Vec<SocketAddr> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    match TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) {
        Ok(_) => vec![v4, v6],
        Err(_) => vec![v4],
    }
}

fn sqlite(folder: &Path, name: &str) -> anyhow::Result<Secret> {
    let path = folder.join(name);
    let path = path.to_str().context("--data is not UTF-8")?;
    Ok(Secret::from(format!("sqlite:{path}")))
}

/// What is printed should stay readable.
fn quiet() -> LogSettings {
    LogSettings {
        format: LogFormat::Text,
        filter: "warn".into(),
    }
}
