//! The command line.

mod authorization_details_types;
mod clients;
mod explain;
mod keys;
mod output;
mod registration_tokens;
mod resources;
mod revoke;
mod tokens;
mod trusted_issuers;
mod users;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde_json::json;
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::config::{Sources, load};
use shared_server::db::Store;
use shared_server::telemetry;
use shared_server::web::{Listener, Shutdown};

use self::authorization_details_types::DetailsTypeCommand;
use self::clients::ClientCommand;
use self::explain::Explain;
use self::keys::KeysCommand;
use self::output::Output;
use self::registration_tokens::RegistrationTokenCommand;
use self::resources::ResourceCommand;
use self::revoke::RevokeCommand;
use self::tokens::TokenCommand;
use self::trusted_issuers::TrustedIssuerCommand;
use self::users::UserCommand;
use crate::config::{Config, Mode};
use crate::profiles::recommendations::recommendations;
use crate::records::Records;
use crate::server::{AuthServer, World};
use crate::store::MIGRATIONS;

/// OAuth 2 and OpenID Connect authorization server.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  auth-server serve --config auth-server.toml
  auth-server resource create https://api.example --name \"Example API\" --scope read=\"Read your data\"
  auth-server authorization-details-type add album --resource https://api.example --description \"Use an album\" --schema album.json
  auth-server client create --name worker --grant client_credentials --scope read
  auth-server registration-token create --uses 5 --lifetime 7d
  auth-server user create jo@example.com --generate-password
  auth-server revoke account jo@example.com
  auth-server token preview --client CLIENT_ID --user jo@example.com --scope \"openid read\"
  auth-server keys rotate
  auth-server explain 6a57dbc40e574f5c8ee10c

Every key of the configuration can be set in the environment too: AUTH_DATABASE__URL=postgres://… sets database.url,
AUTH_DATABASE__URL_FILE=/run/secrets/db reads it from a file."
)]
pub struct Cli {
    /// The configuration file (TOML); every key is documented in deploy/config/auth-server.example.toml
    #[arg(long, global = true, value_name = "FILE", env = "AUTH_CONFIG")]
    config: Option<PathBuf>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C
    Serve,
    /// Apply pending migrations to the database
    Migrate,
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the metadata of the HTTP interface as OpenAPI
    Openapi,
    /// Register and change clients
    #[command(subcommand)]
    Client(ClientCommand),
    /// Make and revoke tokens by which others register clients (initial access tokens)
    #[command(subcommand)]
    RegistrationToken(RegistrationTokenCommand),
    /// Register and change resource servers
    #[command(subcommand)]
    Resource(ResourceCommand),
    /// Register and remove types of authorization details (RFC 9396)
    #[command(subcommand)]
    AuthorizationDetailsType(DetailsTypeCommand),
    /// Register and remove issuers whose assertions bring tokens (RFC 7523)
    #[command(subcommand)]
    TrustedIssuer(TrustedIssuerCommand),
    /// Make and change accounts of people
    #[command(subcommand)]
    User(UserCommand),
    /// Have tokens end before their time: one, those of a grant, a session, a client, or a person
    #[command(subcommand)]
    Revoke(RevokeCommand),
    /// See what tokens would say
    #[command(subcommand)]
    Token(TokenCommand),
    /// Say why a request was refused: what was asked, what its client was told, the cause, and the mend where one is known
    Explain(Explain),
    /// Look at signing keys and change them
    #[command(subcommand)]
    Keys(KeysCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check the configuration: what must be mended, and what is recommended
    Check(CheckArgs),
    /// Print the whole configuration, secrets redacted
    Show,
}

#[derive(Args, Debug)]
struct CheckArgs {
    /// Judge it as production does, whatever `mode` says
    #[arg(long)]
    production: bool,
}

/// Does what the command line says. `environment` holds the variables of the process.
///
/// # Errors
/// Whatever keeps it from being done, with the mend.
pub async fn run(cli: Cli, environment: Vec<(String, String)>) -> anyhow::Result<()> {
    let environment = environment
        .into_iter()
        .filter(|(name, _)| name != "AUTH_CONFIG")
        .collect();
    let sources = Sources {
        file: cli.config.as_deref(),
        env_prefix: "AUTH_",
        env: environment,
        overrides: serde_json::Value::Null,
    };
    let config = load(&Config::default(), &sources)?;
    let output = Output { json: cli.json };
    let world = World {
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
    };
    match cli.command {
        Command::Serve => serve(&config, &world).await,
        Command::Migrate => migrate(&config, &output).await,
        Command::Config(ConfigCommand::Check(args)) => check(config, args.production, &output),
        Command::Config(ConfigCommand::Show) => output.toml(&config),
        Command::Openapi => output.value(&crate::openapi::document(&config)),
        Command::Client(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::RegistrationToken(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::Resource(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::AuthorizationDetailsType(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::TrustedIssuer(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::User(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::Revoke(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
        Command::Token(command) => {
            let records = Records::open(&config, &world).await?;
            command.run(&config, &records, &world, &output).await
        }
        Command::Explain(command) => {
            let records = Records::open(&config, &world).await?;
            command.run(&records, &config.explain, &output).await
        }
        Command::Keys(command) => {
            command
                .run(&Records::open(&config, &world).await?, &world, &output)
                .await
        }
    }
}

async fn serve(config: &Config, world: &World) -> anyhow::Result<()> {
    let traces = telemetry::init(&config.log, &config.traces)?;
    let shutdown = Shutdown::new();
    shutdown.on_signal()?;
    let listener = Listener::bind(&config.server.listen)
        .await
        .context("server.listen")?;
    let operations = Listener::bind(&config.server.operations_listen)
        .await
        .context("server.operations_listen")?;
    let by_certificate = Listener::bind(&config.mtls.listen)
        .await
        .context("mtls.listen")?;
    let server = AuthServer::open(config, world, shutdown)
        .await?
        .with_mtls(by_certificate);
    traces.register(server.registry())?;
    if config.mode == Mode::Development {
        tracing::warn!(
            "development mode: plain http, in-process stores and a key beside the database are accepted"
        );
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    tracing::info!(issuer = %config.issuer, listening = ?listener.addresses(), "ready");
    server.serve(listener, operations).await;
    traces.finish().await;
    Ok(())
}

async fn migrate(config: &Config, output: &Output) -> anyhow::Result<()> {
    let store = Store::connect(&config.database.settings())
        .await
        .context("database.url")?;
    let applied = store.migrate(&MIGRATIONS).await?;
    output.list("applied", &applied, "the database is up to date")
}

fn check(mut config: Config, production: bool, output: &Output) -> anyhow::Result<()> {
    if production {
        config.mode = Mode::Production;
    }
    Output::warn(&config.warnings())?;
    let problems = config.problems();
    let recommendations = recommendations(&config);
    if output.json {
        let found = json!({"problem": problems, "recommendation": recommendations});
        output.value(&found)?;
    } else {
        output.list("problem", &problems, "the configuration can be used")?;
        Output::advise(&recommendations)?;
    }
    anyhow::ensure!(problems.is_empty(), "{} to mend", problems.len());
    Ok(())
}
