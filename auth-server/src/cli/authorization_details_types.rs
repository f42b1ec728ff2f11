//! `auth-server authorization-details-type …`

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use serde_json::json;
use shared_protocol::resource::ResourceId;

use super::output::Output;
use crate::authorization_details::{Description, DetailsSchema, DetailsType, TypeName};
use crate::records::Records;
use crate::server::World;

/// More is no schema that would be taken.
const MAX_FILE: u64 = 1024 * 1024;

#[derive(Debug, Subcommand)]
pub(crate) enum DetailsTypeCommand {
    /// Register a type, or replace what was registered under its name
    Add(AddDetailsType),
    /// List types
    List,
    /// Show a type with its schema
    Show {
        /// What stands in `type`
        name: TypeName,
    },
    /// Remove a type: nobody gets a token for it from then on
    Remove {
        /// What stands in `type`
        name: TypeName,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AddDetailsType {
    /// What stands in `type`
    name: TypeName,
    /// The resource server that understands it
    #[arg(long, value_name = "IDENTIFIER")]
    resource: ResourceId,
    /// What people are told that it allows
    #[arg(long)]
    description: Description,
    /// A file with the JSON Schema of its objects, or - for standard input: it must know `type`, and refuse members that it does not know
    /// ("additionalProperties": false)
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    /// A member that is a list of which each value adds a right, such as actions: a token may be asked for with fewer of them (may repeat)
    #[arg(long = "additive", value_name = "MEMBER")]
    additive: Vec<String>,
}

impl DetailsTypeCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let servers = &records.resource_servers;
        match self {
            Self::Add(add) => add.run(records, world, output).await,
            Self::List => {
                let snapshot = servers.snapshot();
                let all = snapshot.details_types();
                if output.json {
                    return output.value(&all);
                }
                let line = |known: &&std::sync::Arc<DetailsType>| {
                    let DetailsType {
                        name,
                        resource,
                        description,
                        ..
                    } = &***known;
                    format!("{name}  {resource}  {}", description.as_str())
                };
                let lines: Vec<_> = all.iter().map(line).collect();
                output.list(
                    "type",
                    &lines,
                    "no types yet: `auth-server authorization-details-type add --help`",
                )
            }
            Self::Show { name } => {
                let known = servers.details_type(name.as_str());
                output.value(&known.with_context(|| format!("there is no type {name}"))?)
            }
            Self::Remove { name } => {
                let removed = servers
                    .remove_details_type(&name, world.clock.now())
                    .await?;
                ensure!(removed, "there is no type {name}");
                output.done(&format!("removed {name}"), &json!({"removed": name}))
            }
        }
    }
}

impl AddDetailsType {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let file = self.schema.display().to_string();
        let text = read(&self.schema, MAX_FILE).with_context(|| file.clone())?;
        let details_type = DetailsType {
            name: self.name,
            resource: self.resource,
            description: self.description,
            schema: DetailsSchema::parse(&text).with_context(|| file)?,
            additive: self.additive,
        };
        let servers = &records.resource_servers;
        servers
            .put_details_type(&details_type, world.clock.now())
            .await?;
        output.done(&format!("registered {}", details_type.name), &details_type)
    }
}

/// The first bytes of a file, or of the standard input where it is called `-`.
pub(super) fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().take(most).read_to_end(&mut text)?;
    } else {
        std::fs::File::open(path)?
            .take(most)
            .read_to_end(&mut text)?;
    }
    Ok(text)
}
