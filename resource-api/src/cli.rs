//! The commands.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use resource_api::config::Mode;
use resource_api::{Config, MIGRATIONS, Server, openapi};
use serde_json::{Value, json};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;
use shared_server::config::{ConfigError, Sources, load};
use shared_server::db::Store;
use shared_server::telemetry;
use shared_server::web::Shutdown;

const EXAMPLES: &str = "\
Settings come from built-in defaults, then the file of --config, then the environment, then flags. \
In the environment, `database.url` is API_DATABASE__URL, and API_DATABASE__URL_FILE names a file that holds it. \
deploy/config/resource-api.example.toml describes every setting.

Examples:
  resource-api serve
  resource-api --config /etc/resource-api.toml config check --production
  API_DATABASE__URL=postgres://api@db.internal/api resource-api migrate
  resource-api openapi > openapi.json";

/// Serves the resource API: a multi-tenant backend that trusts only access tokens.
#[derive(Parser)]
#[command(name = "resource-api", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Answer in JSON, for scripts
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C
    Serve,
    /// Bring the database to this version's schema, and say what was applied
    Migrate,
    /// Look at the settings without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the description of the API (an openapi.json)
    Openapi,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Say everything that is wrong with the settings; exits with 1 if anything is
    Check(Judged),
    /// Print the settings as they would be used, without secrets
    Show(Judged),
}

#[derive(Args)]
struct Judged {
    /// As if server.mode were "production"
    #[arg(long)]
    production: bool,
}

/// Does what was asked.
pub(crate) async fn run(arguments: Arguments) -> Result<ExitCode> {
    match &arguments.command {
        Command::Serve => serve(arguments.settings(false)?).await,
        Command::Migrate => arguments.migrate().await,
        Command::Config(ConfigCommand::Check(judged)) => arguments.check(judged),
        Command::Config(ConfigCommand::Show(judged)) => print(&serde_json::to_value(
            arguments.settings(judged.production)?,
        )?),
        Command::Openapi => print(&serde_json::to_value(openapi())?),
    }
}

async fn serve(config: Config) -> Result<ExitCode> {
    let traces = telemetry::init(&config.log, &config.traces)?;
    if config.server.mode == Mode::Development {
        tracing::warn!("development mode: plain http is allowed");
    }
    let shutdown = Shutdown::new();
    shutdown.on_signal()?;
    let server = Server::build(config, Arc::new(SystemClock), Arc::new(SystemRandom)).await?;
    traces.register(server.registry())?;
    let bound = server.bind().await?;
    tracing::info!(
        addresses = ?bound.addresses(),
        operations = ?bound.operations_addresses(),
        mtls = ?bound.mtls_addresses(),
        "listening"
    );
    bound.serve(shutdown).await;
    traces.finish().await;
    Ok(ExitCode::SUCCESS)
}

impl Arguments {
    fn settings(&self, production: bool) -> Result<Config, ConfigError> {
        let overrides = if production {
            json!({ "server": { "mode": "production" } })
        } else {
            json!({})
        };
        let sources = Sources {
            file: self.config.as_deref(),
            env_prefix: "API_",
            env: std::env::vars().collect(),
            overrides,
        };
        load(&Config::default(), &sources)
    }

    async fn migrate(&self) -> Result<ExitCode> {
        let config = self.settings(false)?;
        let store = Store::connect(&config.database.settings()).await?;
        let applied = store.migrate(&MIGRATIONS).await?;
        if self.json {
            return print(&json!({ "applied": applied }));
        }
        match applied.as_slice() {
            [] => say("nothing to apply"),
            names => say(&format!("applied {}", names.join(", "))),
        }
    }

    fn check(&self, judged: &Judged) -> Result<ExitCode> {
        let mistakes = match self.settings(judged.production) {
            Ok(config) => {
                for warning in config.warnings() {
                    writeln!(std::io::stderr(), "warning: {warning}")?;
                }
                config.check()
            }
            Err(error) => error.mistakes,
        };
        let code = ExitCode::from(u8::from(!mistakes.is_empty()));
        if self.json {
            let told = mistakes.iter().map(ToString::to_string);
            print(&json!({ "mistakes": told.collect::<Vec<_>>() }))?;
        } else if mistakes.is_empty() {
            say("the configuration can be used")?;
        } else {
            say(&ConfigError { mistakes }.to_string())?;
        }
        Ok(code)
    }
}

/// Indented: both documents are for people as well.
fn print(document: &Value) -> Result<ExitCode> {
    say(&serde_json::to_string_pretty(document)?)
}

fn say(text: &str) -> Result<ExitCode> {
    // Unlike `println!`, no panic when the reader of a pipe has gone.
    writeln!(std::io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
