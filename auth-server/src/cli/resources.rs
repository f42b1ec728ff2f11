//! `auth-server resource …`

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use serde_json::json;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::Algorithm;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeToken;
use shared_server::config::Period;

use super::output::Output;
use crate::records::Records;
use crate::resource_servers::{MAX_LIFETIME, ResourceServer};
use crate::server::World;
use crate::subjects::SubjectType;

#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Register a resource server, or replace what was registered under its identifier
    Create(CreateResource),
    /// List resource servers
    List,
    /// Forget a resource server
    Delete {
        /// Its identifier
        identifier: ResourceId,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CreateResource {
    /// Its identifier: an absolute URI, the `aud` of its tokens
    identifier: ResourceId,
    /// What people call it
    #[arg(long)]
    name: String,
    /// A scope and what people are told about it, as NAME="DESCRIPTION" (may repeat)
    #[arg(long = "scope", value_parser = scope)]
    scopes: Vec<(ScopeToken, String)>,
    /// The signature algorithm of its tokens; one of `keys.algorithms`
    #[arg(long, default_value = "ES256")]
    alg: Algorithm,
    /// How long its tokens live
    #[arg(long, default_value = "5m")]
    lifetime: Period,
    /// What people are called to it: `public`, as to everybody, or `pairwise`, what resource servers at its host alone know them by
    #[arg(long, default_value = "public")]
    subject_type: SubjectType,
    /// The client that may introspect its tokens
    #[arg(long, value_name = "CLIENT_ID")]
    introspection_client: Option<ClientId>,
}

fn scope(raw: &str) -> Result<(ScopeToken, String), String> {
    let (name, description) = raw.split_once('=').unwrap_or((raw, raw));
    let name = name
        .parse()
        .map_err(|_| format!("{name:?} is not a scope token"))?;
    Ok((name, description.to_owned()))
}

impl ResourceCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let now = world.clock.now();
        match self {
            Self::Create(create) => create.run(records, world, output).await,
            Self::List => {
                let all = records.resource_servers.all();
                if output.json {
                    return output.value(&all);
                }
                let lines: Vec<_> = all
                    .iter()
                    .map(|server| {
                        format!(
                            "{}  {}  {}  {}",
                            server.identifier,
                            server.alg,
                            server.scope(),
                            server.name
                        )
                    })
                    .collect();
                output.list(
                    "resource",
                    &lines,
                    "no resource servers yet: `auth-server resource create --help`",
                )
            }
            Self::Delete { identifier } => {
                ensure!(
                    records.resource_servers.delete(&identifier, now).await?,
                    "there is no resource server {identifier}"
                );
                output.done(
                    &format!("deleted {identifier}"),
                    &json!({"deleted": identifier}),
                )
            }
        }
    }
}

impl CreateResource {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let now = world.clock.now();
        let lifetime = self.lifetime.duration();
        ensure!(
            (1..=MAX_LIFETIME.as_secs()).contains(&lifetime.as_secs()),
            "--lifetime is 1s to 24h"
        );
        records
            .keys
            .ring()
            .signer(self.alg, now)
            .with_context(|| format!("there is no {} key: add it to keys.algorithms", self.alg))?;
        if let Some(client) = &self.introspection_client {
            ensure!(
                records.clients.find(client).await?.is_some(),
                "there is no client {client}"
            );
        }
        let server = ResourceServer {
            identifier: self.identifier,
            name: self.name,
            alg: self.alg,
            lifetime,
            subject_type: self.subject_type,
            token_format: crate::resource_servers::TokenFormat::Jwt,
            claims: Vec::new(),
            introspection_client_id: self.introspection_client,
            scopes: self.scopes,
        };
        records.resource_servers.put(&server, now).await?;
        output.done(&format!("registered {}", server.identifier), &server)
    }
}
