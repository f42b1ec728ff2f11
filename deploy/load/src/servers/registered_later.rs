//! What single workloads need beside: registered when they are first asked for, on the server that runs, so that the others do without.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::{AuthServer, Credentials, output};

/// The resource server whose tokens are opaque. Nobody ever goes there.
pub(crate) const OPAQUE: &str = "https://opaque.example";
/// Within a second a node hears what was changed at its database.
const HEARD: Duration = Duration::from_secs(2);

impl AuthServer {
    /// The client that exchanges tokens of the app for tokens of its own (RFC 8693), for the same resource server.
    ///
    /// # Errors
    /// If the server refuses it.
    pub(crate) async fn exchanger(&self) -> anyhow::Result<&Credentials> {
        let registering = self.exchanger.get_or_try_init(async || {
            let policy = json!({
                "audiences": [self.api()],
                "subject_clients": [self.app.client_id],
                "impersonation": true,
            });
            let file = self.installation.folder().join("exchange.json");
            tokio::fs::write(&file, policy.to_string()).await?;
            let file = file.to_string_lossy();
            let create = [
                &["client", "create", "--name", "exchanger"][..],
                &["--grant", "token_exchange", "--token-exchange", &file],
                &["--scope", "profile:read"],
            ];
            output(self.installation.command(&create.concat())).await
        });
        registering.await
    }

    /// The client that gets opaque tokens.
    ///
    /// # Errors
    /// If the server refuses it, or the resource server.
    pub(crate) async fn opaque_client(&self) -> anyhow::Result<&Credentials> {
        let registering = self.opaque_client.get_or_try_init(async || {
            let introspector = &self.introspector.client_id;
            let resource = [
                &["resource", "create", OPAQUE, "--name", "Opaque"][..],
                &["--scope", "opaque:read=Read", "--token-format", "opaque"],
                &["--introspection-client", introspector],
            ];
            output::<Value>(self.installation.command(&resource.concat())).await?;
            let create = [
                &["client", "create", "--name", "opaque"][..],
                &["--grant", "client_credentials", "--scope", "opaque:read"],
            ];
            let client = output(self.installation.command(&create.concat())).await?;
            sleep(HEARD).await;
            Ok(client)
        });
        registering.await
    }

    /// The identifier of the resource server of all other tokens.
    pub(crate) fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.api_port)
    }
}
