//! The servers under load: ours, with what the workloads need registered in them, and the floor.

mod auth_server;
mod certificates;
mod installation;
mod keyed_client;
mod prover;
mod registered_later;
mod resource_api;
mod stores;

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use shared_protocol::random::{SystemRandom, bytes};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

pub(crate) use auth_server::{AuthServer, Credentials, Setup};
pub(crate) use certificates::Certificates;
pub(crate) use installation::Installation;
pub(crate) use prover::Prover;
pub(crate) use resource_api::{ME, ResourceApi};
pub(crate) use stores::Stores;

use crate::process::Process;

/// Requests that one address, client or person may make in a minute: the most that can be configured.
pub(crate) const CEILING: u32 = shared_server::ephemeral::MOST_TOKENS;
/// Where servers listen.
const PORTS: Range<u16> = 20_000..32_000;
/// How long a server may take to listen.
const START: Duration = Duration::from_secs(10);

/// The programs that are started.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Programs {
    /// The authorization server's program, for figures a release build [default: auth-server beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// The resource API's program [default: resource-api beside this program]
    #[arg(long, value_name = "FILE")]
    api: Option<PathBuf>,
}

impl Programs {
    /// The authorization server's.
    ///
    /// # Errors
    /// If the system does not tell where this program is.
    pub(crate) fn auth_server(&self) -> anyhow::Result<PathBuf> {
        beside(self.server.as_ref(), "auth-server")
    }

    /// The resource API's.
    ///
    /// # Errors
    /// If the system does not tell where this program is.
    pub(crate) fn resource_api(&self) -> anyhow::Result<PathBuf> {
        beside(self.api.as_ref(), "resource-api")
    }
}

fn beside(named: Option<&PathBuf>, name: &str) -> anyhow::Result<PathBuf> {
    match named {
        Some(program) => Ok(program.clone()),
        None => Ok(std::env::current_exe()?.with_file_name(name)),
    }
}

/// A server and where it listens.
pub(crate) struct Server {
    /// Its process.
    pub(crate) process: Process,
    /// Its port on this machine.
    pub(crate) port: u16,
}

impl Server {
    /// Starts `command` and waits until it listens on `port`.
    ///
    /// # Errors
    /// If it ends, or does not listen soon.
    pub(crate) async fn start(command: &mut Command, port: u16) -> anyhow::Result<Self> {
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
        // Else it is somebody else who listens there.
        process.still_runs()?;
        Ok(Self { process, port })
    }

    /// Starts the floor, which asks for these certificates too.
    ///
    /// # Errors
    /// If it does not listen soon.
    pub(crate) async fn floor(certificates: &Certificates) -> anyhow::Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--port", &port.to_string()]);
        command.args(certificates.of_floor());
        Self::start(&mut command, port).await.context("the floor")
    }
}

/// A key of the configuration, and its value: `("keys.publish_ahead", "20s")`.
pub(crate) type Setting = (&'static str, String);

/// Tells a program settings by its environment, where names begin so.
fn tell(command: &mut Command, prefix: &str, settings: &[Setting]) {
    for (key, value) in settings {
        let name = key.replace('.', "__").to_uppercase();
        command.env(format!("{prefix}{name}"), value);
    }
}

/// The ceiling as configuration.
fn rate_limits() -> String {
    ["address", "client", "account"]
        .map(|limit| format!("[rate_limits.{limit}]\nrequests = {CEILING}\n"))
        .concat()
}

/// Runs a command to its end and reads the JSON that it prints.
///
/// # Errors
/// If it does not start, or fails: what it says.
pub(crate) async fn output<T: for<'a> Deserialize<'a>>(mut command: Command) -> anyhow::Result<T> {
    let output = command.kill_on_drop(true).output().await;
    let output = output.with_context(|| {
        let program = command.as_std().get_program().display().to_string();
        format!("{program} does not start; build it, or name it on the command line")
    })?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("not the JSON that was expected")
}

/// A port that was free a moment ago, below the range from which systems hand out ports on their own: nobody's outgoing connection
/// takes it before a server does.
///
/// # Errors
/// If none is found.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    for _ in 0..100 {
        let [high, low] = bytes::<2>(&SystemRandom);
        let port = PORTS.start + u16::from_be_bytes([high, low]) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {} to {} is free", PORTS.start, PORTS.end)
}
