//! The command line.

use std::path::PathBuf;

use clap::Parser;
use secrecy::SecretString;

/// Starts the authorization server, the resource API and a demo app in one process, for a first look and for development.
///
/// Needs nothing else: SQLite files and keys lie in the data folder, short-lived state in memory. Prints credentials and three lines
/// to paste, then `ready`. Everything is reachable from this machine alone, over plain http, but where clients show certificates. A second start keeps keys, clients and
/// data.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  cargo run
  cargo run -- --auth-port 9000 --api-port 9001 --data /tmp/demo
  AUTH_LOG__FILTER=info cargo run -- --api-config api.toml

Settings come from the quickstart's defaults, then the files, then the environment (AUTH_DATABASE__URL sets database.url of \
the authorization server, API_… of the resource API), then the flags. deploy/config/auth-server.example.toml and \
deploy/config/resource-api.example.toml explain every setting. Delete the data folder to begin anew."
)]
pub(crate) struct Flags {
    /// Port of the authorization server; its issuer becomes http://localhost:PORT (8000 by default)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) auth_port: Option<u16>,
    /// Port of the resource API; its identifier becomes http://localhost:PORT (8080 by default)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) api_port: Option<u16>,
    /// Port of the demo app, at http://localhost:PORT (8090 by default)
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) app_port: Option<u16>,
    /// Port at which the authorization server asks clients for certificates, https://localhost:PORT (8443 by default; 0 for none)
    #[arg(long, value_name = "PORT")]
    pub(crate) mtls_port: Option<u16>,
    /// Folder of databases, keys and demo.json, which holds the credentials
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) data: PathBuf,
    /// Email address of the demo person (by default what it was, or demo@example.com)
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) demo_email: Option<String>,
    /// Password of the demo person (by default what it was, or a random one)
    #[arg(long, value_name = "PASSWORD")]
    pub(crate) demo_password: Option<SecretString>,
    /// Settings of the authorization server (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) auth_config: Option<PathBuf>,
    /// Settings of the resource API (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) api_config: Option<PathBuf>,
}
