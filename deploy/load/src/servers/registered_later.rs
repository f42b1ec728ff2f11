//! What single workloads need beside: registered when they are first asked for, on the server that runs, so that the others do without.

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::auth_server::{APP, App};
use super::certificates::SUBJECT;
use super::{AuthServer, Certificates, Credentials, output};
use crate::client::{Call, Client};
use crate::drive::TOKEN;

/// The resource server whose tokens are opaque. Nobody ever goes there.
pub(crate) const OPAQUE: &str = "https://opaque.example";
/// Says of a client that its tokens are bound to the certificate by which it gets them.
const BOUND: &str = "--certificate-bound-access-tokens";
/// Within a second a node hears what was changed at its database.
const HEARD: Duration = Duration::from_secs(2);

impl AuthServer {
    /// The client that is known by its certificate (RFC 8705 §2.1), to which its tokens are bound (§3).
    ///
    /// # Errors
    /// If the server refuses it.
    pub(crate) async fn certified_client(&self) -> anyhow::Result<&App> {
        let registering = self.certified_client.get_or_try_init(async || {
            let create = [
                &["client", "create", "--name", "certified"][..],
                &["--auth-method", "tls_client_auth", "--subject-dn", SUBJECT],
                &["--grant", "client_credentials", "--scope", "profile:read"],
                &[BOUND],
            ];
            output(self.installation.command(&create.concat())).await
        });
        registering.await
    }

    /// Tokens of the person that are bound to the certificate of their app, as they came.
    ///
    /// # Errors
    /// If the person gets none.
    pub(crate) async fn certified(&self, certificates: &Certificates) -> anyhow::Result<Bytes> {
        let registering = self.certified_app.get_or_try_init(async || {
            let create = [APP, &[BOUND]].concat();
            let app: App = output(self.installation.command(&create)).await?;
            let cookie = self.agree_to(&app).await.context("signing in")?;
            anyhow::Ok((app, cookie))
        });
        let (app, cookie) = registering.await?;
        // People are not asked for certificates.
        let mut browser = Client::connect(self.first().port).await?;
        let form = app.code_flow(cookie).authorized(&mut browser).await?;
        let mut client = Client::connect(certificates.issuer.clone()).await?;
        client.ok(Call::post(TOKEN, form)).await
    }

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
