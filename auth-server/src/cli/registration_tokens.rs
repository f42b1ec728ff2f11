//! `auth-server registration-token …`

use std::time::Duration;

use anyhow::ensure;
use clap::Subcommand;
use serde_json::json;
use shared_server::config::Period;

use super::output::Output;
use crate::records::Records;
use crate::registration::initial::{InitialTokens, NewInitialToken, RegistrationTokenId};
use crate::server::World;

/// The longest that a token may lie about.
const LONGEST: Duration = Duration::from_hours(24 * 366);

#[derive(Debug, Subcommand)]
pub(crate) enum RegistrationTokenCommand {
    /// Make a token by which others register clients; it is shown this once
    Create {
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// How many clients it registers
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        uses: u32,
        /// How long it lives
        #[arg(long, default_value = "7d")]
        lifetime: Period,
    },
    /// List tokens and how many clients each still registers
    List,
    /// Revoke a token; the clients that it registered stay
    Revoke {
        /// The token, by its name that begins with `irt_`
        id: RegistrationTokenId,
    },
}

impl RegistrationTokenCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let (now, random) = (world.clock.now(), &*world.random);
        let tokens = InitialTokens {
            store: records.store.clone(),
        };
        match self {
            Self::Create {
                name,
                uses,
                lifetime,
            } => {
                let lifetime = lifetime.duration();
                ensure!(
                    !lifetime.is_zero() && lifetime <= LONGEST,
                    "--lifetime is more than 0s and at most 366d"
                );
                let readable =
                    |name: &String| name.len() <= 256 && !name.chars().any(char::is_control);
                ensure!(
                    name.as_ref().is_none_or(readable),
                    "--name is at most 256 bytes without control characters"
                );
                let new = NewInitialToken {
                    name,
                    uses,
                    lifetime,
                };
                let (id, token) = tokens.create(new, now, random).await?;
                let expires_at = (now + lifetime).to_string();
                let text = format!(
                    "id:      {id}\ntoken:   {}   (kept as a digest: it cannot be shown again)\nuses:    {uses}\nexpires: {expires_at}",
                    token.expose()
                );
                output.done(
                    &text,
                    &json!({"id": id, "token": token.expose(), "uses": uses, "expires_at": expires_at}),
                )
            }
            Self::List => list(&tokens, output).await,
            Self::Revoke { id } => {
                ensure!(
                    tokens.revoke(&id).await?,
                    "there is no registration token {id}"
                );
                output.done(&format!("revoked {id}"), &json!({"revoked": id}))
            }
        }
    }
}

async fn list(tokens: &InitialTokens, output: &Output) -> anyhow::Result<()> {
    let mut after = String::new();
    let mut all = Vec::new();
    loop {
        let page = tokens.list(&after, 200).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        all.extend(page);
    }
    if output.json {
        let tokens: Vec<_> = all
            .iter()
            .map(|token| {
                json!({"id": token.id, "name": token.name, "uses_left": token.uses_left,
                    "created_at": token.created_at.to_string(), "expires_at": token.expires_at.to_string()})
            })
            .collect();
        return output.value(&tokens);
    }
    let lines: Vec<_> = all
        .iter()
        .map(|token| {
            let name = token.name.as_deref().unwrap_or("-");
            format!(
                "{}  {:>7} left  until {}  {name}",
                token.id, token.uses_left, token.expires_at
            )
        })
        .collect();
    output.list(
        "registration token",
        &lines,
        "no registration tokens: `auth-server registration-token create --help`",
    )
}
