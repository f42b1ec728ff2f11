//! `auth-server resource …`

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use serde_json::json;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::Algorithm;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeToken;
use shared_server::config::Period;

use super::authorization_details_types::read;
use super::output::Output;
use crate::records::Records;
use crate::resource_servers::claims::ClaimMapping;
use crate::resource_servers::{MAX_LIFETIME, ResourceServer, TokenFormat};
use crate::server::World;
use crate::subjects::SubjectType;

/// More is no list of mappings that would be taken.
const MAX_FILE: u64 = 64 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum ResourceCommand {
    /// Register a resource server, or replace what was registered under its identifier
    Create(CreateResource),
    /// Change what is named of a resource server, and leave the rest as it is
    Update(UpdateResource),
    /// List resource servers
    List,
    /// Show a resource server
    Show {
        /// Its identifier
        identifier: ResourceId,
    },
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
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args, Debug)]
pub(crate) struct UpdateResource {
    /// Its identifier
    identifier: ResourceId,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// It has no scopes any more
    #[arg(long, conflicts_with = "scopes")]
    no_scopes: bool,
    /// Its tokens say nothing any more beside what every token does
    #[arg(long, conflicts_with_all = ["claims", "claims_file"])]
    no_claims: bool,
    /// Nobody introspects its tokens any more, but those that they were issued to
    #[arg(long, conflicts_with = "introspection_client")]
    no_introspection_client: bool,
}

#[derive(Args, Debug)]
struct Settings {
    /// A scope and what people are told about it, as NAME="DESCRIPTION" (may repeat); these are all that it has
    #[arg(long = "scope", value_parser = scope)]
    scopes: Vec<(ScopeToken, String)>,
    /// The signature algorithm of its tokens; one of `keys.algorithms` [without it: ES256]
    #[arg(long)]
    alg: Option<Algorithm>,
    /// How long its tokens live [without it: 5m]
    #[arg(long)]
    lifetime: Option<Period>,
    /// What its tokens are: `jwt`, which it reads by itself, or `opaque`, about which it asks [without it: jwt]
    #[arg(long)]
    token_format: Option<TokenFormat>,
    /// What people are called to it: `public`, as to everybody, or `pairwise`, what resource servers at its host alone know them by
    /// [without it: public]
    #[arg(long)]
    subject_type: Option<SubjectType>,
    /// The client that may introspect its tokens
    #[arg(long, value_name = "CLIENT_ID")]
    introspection_client: Option<ClientId>,
    /// A claim of its tokens beside those of every token, and where it comes from (may repeat); these are all that it has
    ///
    /// NAME=attribute:ATTRIBUTE is what `user set --attribute` says of the person, NAME=profile:CLAIM a standard claim (OpenID Connect Core
    /// section 5.1), `NAME=client:client_name`, `client:software_id` or `client:software_version` what the client registered, and
    /// NAME=constant:TEXT the same for everybody. But for constants, @SCOPE behind it leaves the claim out of tokens without that scope. A
    /// scope called groups, roles or entitlements brings the attribute of that name by itself.
    #[arg(long = "claim", value_name = "NAME=SOURCE[@SCOPE]")]
    claims: Vec<ClaimMapping>,
    /// The same in a file (or - for standard input): a JSON list of {"claim": NAME, "from": SOURCE, "scope": SCOPE}, or with "constant" and
    /// any JSON in the place of "from"
    #[arg(long, value_name = "FILE", conflicts_with = "claims")]
    claims_file: Option<PathBuf>,
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
            Self::Update(update) => update.run(records, world, output).await,
            Self::Show { identifier } => output.value(&find(records, &identifier)?),
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
                            match server.token_format {
                                TokenFormat::Jwt => server.alg.name(),
                                TokenFormat::Opaque => TokenFormat::Opaque.as_str(),
                            },
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

fn find(records: &Records, identifier: &ResourceId) -> anyhow::Result<Arc<ResourceServer>> {
    let found = records.resource_servers.find(identifier);
    found.with_context(|| format!("there is no resource server {identifier}"))
}

impl CreateResource {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let template = ResourceServer::new(self.identifier, self.name, Algorithm::Es256);
        let server = self.settings.applied_to(template)?;
        put(&server, (records, world)).await?;
        output.done(&format!("registered {}", server.identifier), &server)
    }
}

impl UpdateResource {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let mut before = (*find(records, &self.identifier)?).clone();
        if let Some(name) = self.name {
            before.name = name;
        }
        if self.no_scopes {
            before.scopes.clear();
        }
        if self.no_claims {
            before.claims.clear();
        }
        if self.no_introspection_client {
            before.introspection_client_id = None;
        }
        let server = self.settings.applied_to(before)?;
        put(&server, (records, world)).await?;
        output.done(&format!("changed {}", server.identifier), &server)
    }
}

impl Settings {
    /// What is named takes the place of what was there.
    fn applied_to(self, mut server: ResourceServer) -> anyhow::Result<ResourceServer> {
        if !self.scopes.is_empty() {
            server.scopes = self.scopes;
        }
        if !self.claims.is_empty() {
            server.claims = self.claims;
        }
        if let Some(path) = &self.claims_file {
            let name = path.display().to_string();
            let text = read(path, MAX_FILE).with_context(|| name.clone())?;
            server.claims = serde_json::from_slice(&text).with_context(|| name)?;
        }
        server.alg = self.alg.unwrap_or(server.alg);
        server.token_format = self.token_format.unwrap_or(server.token_format);
        server.subject_type = self.subject_type.unwrap_or(server.subject_type);
        if let Some(lifetime) = self.lifetime {
            server.lifetime = lifetime.duration();
        }
        if self.introspection_client.is_some() {
            server.introspection_client_id = self.introspection_client;
        }
        Ok(server)
    }
}

/// Every way to register one and to change it comes by here, so that what results is judged and not what was named.
async fn put(server: &ResourceServer, (records, world): (&Records, &World)) -> anyhow::Result<()> {
    let now = world.clock.now();
    ensure!(
        (1..=MAX_LIFETIME.as_secs()).contains(&server.lifetime.as_secs()),
        "--lifetime is 1s to 24h"
    );
    let permits = records.offered.profiles.server().permits(server.alg);
    anyhow::ensure!(
        permits,
        "the profile does not permit {}: choose ES256, EdDSA or PS256",
        server.alg
    );
    let signer = records.keys.ring().signer(server.alg, now);
    signer.with_context(|| format!("there is no {} key: add it to keys.algorithms", server.alg))?;
    if let Some(client) = &server.introspection_client_id {
        let found = records.clients.find(client).await?;
        ensure!(found.is_some(), "there is no client {client}");
    }
    Ok(records.resource_servers.put(server, now).await?)
}
