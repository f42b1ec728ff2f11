//! The two servers under measurement: ours, with what the workloads need registered in it, and the floor.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::LOG_FILTER;
use crate::process::Process;

/// The resource server that tokens are for.
const RESOURCE: &str = "https://api.example";
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// A server and where it listens.
pub(crate) struct Server {
    /// Its process.
    pub(crate) process: Process,
    /// Its port on this machine.
    pub(crate) port: u16,
}

/// The authorization server, on a database of its own that goes when this is dropped.
pub(crate) struct AuthServer {
    /// The server. Before the folder: it ends before its database goes.
    pub(crate) server: Server,
    /// The client that gets tokens.
    pub(crate) client: Credentials,
    /// The client that introspects them.
    pub(crate) introspector: Credentials,
    _folder: TempDir,
}

/// What a confidential client authenticates with.
#[derive(Deserialize)]
pub(crate) struct Credentials {
    client_id: String,
    client_secret: String,
}

impl Credentials {
    /// The `Authorization` header (RFC 7617 §2). Ids and secrets made here are letters and digits alone.
    pub(crate) fn basic(&self) -> String {
        let pair = format!("{}:{}", self.client_id, self.client_secret);
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl Server {
    /// Starts `command` and waits until it listens on `port`.
    async fn start(command: &mut Command, port: u16) -> anyhow::Result<Self> {
        let mut process = Process::start(command)?;
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .is_err()
        {
            process.still_runs()?;
            if started.elapsed() > START {
                bail!(
                    "the server does not listen on port {port} after {} s",
                    START.as_secs()
                );
            }
            sleep(Duration::from_millis(10)).await;
        }
        Ok(Self { process, port })
    }

    /// Starts the floor.
    ///
    /// # Errors
    /// If it does not listen soon.
    pub(crate) async fn floor() -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--port", &port.to_string()]);
        Self::start(&mut command, port).await.context("the floor")
    }
}

impl AuthServer {
    /// Makes a configuration and a database, registers two clients and a resource server, and starts `program`.
    ///
    /// # Errors
    /// If any of that fails.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let port = free_port()?;
        let config = folder.path().join("auth-server.toml");
        std::fs::write(&config, configuration(folder.path(), port))?;
        let command = |args: &[&str]| {
            let mut command = Command::new(program);
            // The configuration is the file alone.
            command
                .env_clear()
                .args(args)
                .arg("--json")
                .arg("--config")
                .arg(&config);
            command
        };
        let common = ["--grant", "client_credentials"];
        let introspector = [&["client", "create", "--name", "introspector"], &common[..]].concat();
        let introspector: Credentials = output(command(&introspector)).await?;
        let resource: &[&str] = &[
            "resource",
            "create",
            RESOURCE,
            "--name",
            "API",
            "--scope",
            "read=Read",
            "--introspection-client",
            &introspector.client_id,
        ];
        output::<serde_json::Value>(command(resource)).await?;
        let client = ["client", "create", "--name", "client", "--scope", "read"];
        let client: Credentials = output(command(&[&client, &common[..]].concat())).await?;
        let server = Server::start(&mut command(&["serve"]), port).await?;
        Ok(Self {
            server,
            client,
            introspector,
            _folder: folder,
        })
    }
}

/// Limits are the defaults, those of production: none of them is in the way of this load.
fn configuration(folder: &Path, port: u16) -> String {
    let database = format!("sqlite:{}", folder.join("auth-server.db").display());
    // A JSON string is a TOML string too.
    format!(
        "issuer = \"http://127.0.0.1:{port}\"\n\
         [server]\nlisten = [\"127.0.0.1:{port}\"]\noperations_listen = []\n\
         [database]\nurl = {}\n\
         [log]\nfilter = {}\n",
        json!(database),
        json!(LOG_FILTER),
    )
}

/// Runs a command to its end and reads the JSON that it prints.
async fn output<T: for<'a> Deserialize<'a>>(mut command: Command) -> anyhow::Result<T> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| {
        let program = command.as_std().get_program().display().to_string();
        format!("{program} does not start; build it, or name it with --server")
    })?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("not the JSON that was expected")
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}
