//! One authorization server as an operator sets it up: a folder, a configuration for each node, and its commands.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use shared_protocol::random::{SystemRandom, alphanumeric, bytes};
use tempfile::TempDir;
use tokio::process::Command;

use super::{Server, Setting, Stores, free_port, rate_limits, tell};
use crate::LOG_FILTER;

/// Configurations of the nodes of one issuer, in a folder that goes when this is dropped.
pub(crate) struct Installation {
    program: PathBuf,
    /// What differs from the default.
    settings: Vec<Setting>,
    ports: Vec<Ports>,
    database: String,
    folder: TempDir,
}

/// Where a node listens on this machine.
#[derive(Clone, Copy)]
struct Ports {
    everyone: u16,
    operators: u16,
}

impl Installation {
    /// Writes a configuration for each of `nodes` nodes. The issuer is at the first.
    ///
    /// # Errors
    /// If the folder cannot be made or written to, or PostgreSQL makes no database.
    pub(crate) async fn new(
        program: &Path,
        stores: &Stores,
        nodes: usize,
        settings: Vec<Setting>,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ports = (0..nodes).map(|_| {
            Ok(Ports {
                everyone: free_port()?,
                operators: free_port()?,
            })
        });
        let ports = ports.collect::<anyhow::Result<Vec<_>>>()?;
        let file = folder.path().join("auth-server.db");
        let database = stores.database(&file).await?;
        let this = Self {
            program: program.to_owned(),
            settings,
            ports,
            database,
            folder,
        };
        let shared = this.shared_configuration(stores)?;
        for (node, ports) in this.ports.iter().enumerate() {
            let own = format!(
                "[server]\nlisten = [\"127.0.0.1:{}\"]\noperations_listen = [\"127.0.0.1:{}\"]\n",
                ports.everyone, ports.operators
            );
            std::fs::write(this.configuration(node), format!("{shared}{own}"))?;
        }
        Ok(this)
    }

    /// What all nodes have in common. Limits stay in the path, with a ceiling that this load does not reach.
    fn shared_configuration(&self, stores: &Stores) -> anyhow::Result<String> {
        let ephemeral = stores.redis.as_deref().unwrap_or("memory");
        let prefix = format!("load-{}", alphanumeric(8, &SystemRandom).to_lowercase());
        let key = STANDARD.encode(bytes::<32>(&SystemRandom));
        // A JSON string is a TOML string too.
        Ok(format!(
            "issuer = {}\nnodes = {}\n\
             [database]\nurl = {}\n\
             [ephemeral]\nurl = {}\nprefix = {}\n\
             {}\
             [[keys.encryption]]\nid = \"load\"\nkey = \"{key}\"\n\
             [log]\nfilter = {}\n",
            json!(self.issuer()?),
            self.ports.len(),
            json!(self.database),
            json!(ephemeral),
            json!(prefix),
            rate_limits(),
            json!(LOG_FILTER),
        ))
    }

    /// The folder: the configurations, SQLite's file, and whatever a run keeps there.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The issuer identifier.
    ///
    /// # Errors
    /// If there is no node.
    pub(crate) fn issuer(&self) -> anyhow::Result<String> {
        let port = self.ports.first().context("an issuer without a node")?;
        Ok(format!("http://127.0.0.1:{}", port.everyone))
    }

    /// A command of the program at the first node, which prints JSON.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_at(0, args)
    }

    /// The same at any node.
    pub(crate) fn command_at(&self, node: usize, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // The configuration is the file and these settings alone.
        command.env_clear();
        tell(&mut command, "AUTH_", &self.settings);
        let configuration = self.configuration(node);
        command.args(args).args(["--json", "--config"]);
        command.arg(configuration);
        command
    }

    /// Starts one node, or starts it again.
    ///
    /// # Errors
    /// If it does not listen soon.
    pub(crate) async fn start(&self, node: usize) -> anyhow::Result<Server> {
        let ports = self.ports.get(node).context("there is no such node")?;
        let command = &mut self.command_at(node, &["serve"]);
        Server::start(command, ports.everyone)
            .await
            .with_context(|| format!("node {node}"))
    }

    /// Where a node listens for everyone.
    pub(crate) fn port(&self, node: usize) -> Option<u16> {
        self.ports.get(node).map(|ports| ports.everyone)
    }

    /// The URL of its database.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Where a node tells operators of itself.
    pub(crate) fn operations_port(&self, node: usize) -> Option<u16> {
        self.ports.get(node).map(|ports| ports.operators)
    }

    /// How many nodes it has.
    pub(crate) fn nodes(&self) -> usize {
        self.ports.len()
    }

    fn configuration(&self, node: usize) -> PathBuf {
        self.folder().join(format!("node-{node}.toml"))
    }
}
