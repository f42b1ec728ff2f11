//! The resource API that all tokens are for.

use anyhow::Context as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{AuthServer, Programs, Server, Setting, Stores, rate_limits, tell};
use crate::LOG_FILTER;

/// What answers with whom a token speaks for.
pub(crate) const ME: &str = "/api/v1/users/me";

/// The resource API, on a database of its own, which verifies tokens with the issuer's published keys.
pub(crate) struct ResourceApi {
    /// Before the folder: it ends before its database goes.
    pub(crate) server: Server,
    _folder: TempDir,
}

impl ResourceApi {
    /// Starts it as the resource server that is registered at `auth`, with these settings besides.
    ///
    /// # Errors
    /// If it does not listen soon.
    pub(crate) async fn start(
        auth: &AuthServer,
        programs: &Programs,
        stores: &Stores,
        settings: &[Setting],
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = stores
            .database(&folder.path().join("resource-api.db"))
            .await?;
        let port = auth.api_port;
        // A JSON string is a TOML string too.
        let configuration = format!(
            "[server]\nlisten = [\"127.0.0.1:{port}\"]\noperations_listen = []\n\
             [resource]\nidentifier = \"http://127.0.0.1:{port}\"\n\
             [[issuers]]\nissuer = {}\n\
             [database]\nurl = {}\n\
             {}\
             [log]\nfilter = {}\n",
            json!(auth.installation.issuer()?),
            json!(database),
            rate_limits(),
            json!(LOG_FILTER),
        );
        let path = folder.path().join("resource-api.toml");
        std::fs::write(&path, configuration)?;
        let mut command = Command::new(programs.resource_api()?);
        // The configuration is the file and these settings alone.
        command.env_clear().args(["serve", "--config"]).arg(path);
        tell(&mut command, "API_", settings);
        let server = Server::start(&mut command, port).await;
        Ok(Self {
            server: server.context("the resource API")?,
            _folder: folder,
        })
    }
}
