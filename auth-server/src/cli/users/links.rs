//! `auth-server user link` and `unlink`.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use shared_protocol::issuer::Issuer;

use super::Who;
use crate::cli::output::Output;
use crate::identity_links::ExternalSubject;
use crate::records::Records;
use crate::server::World;

/// What an issuer calls somebody.
#[derive(Args, Debug)]
pub(crate) struct Name {
    /// Who calls them so: the `iss` of what it signs
    #[arg(long)]
    issuer: Issuer,
    /// What: the `sub`
    #[arg(long)]
    subject: ExternalSubject,
}

pub(super) async fn link(
    who: &Who,
    name: &Name,
    (records, world): (&Records, &World),
    output: &Output,
) -> anyhow::Result<()> {
    let account = super::find(records, who).await?;
    let links = &records.identity_links;
    let Name { issuer, subject } = name;
    let now = world.clock.now();
    links.link(&account.id, (issuer, subject), now).await?;
    let subject = subject.as_str();
    let value =
        json!({"id": account.id, "email": account.email, "links": links.of(&account.id).await?});
    output.done(
        &format!("linked {} to {subject} of {issuer}", account.email),
        &value,
    )
}

pub(super) async fn unlink(
    name: &Name,
    (records, world): (&Records, &World),
    output: &Output,
) -> anyhow::Result<()> {
    let Name { issuer, subject } = name;
    let links = &records.identity_links;
    let unlinked = links.unlink((issuer, subject), world.clock.now()).await?;
    let subject = subject.as_str();
    let id = unlinked.with_context(|| format!("nobody is linked to {subject} of {issuer}"))?;
    output.done(
        &format!("unlinked {id} from {subject} of {issuer}"),
        &json!({"id": id, "issuer": issuer, "subject": subject}),
    )
}
