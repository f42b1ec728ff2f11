//! `auth-server token …`

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use prometheus::Registry;
use serde_json::{Map, Value, json};
use shared_protocol::client_id::ClientId;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use super::output::Output;
use super::users::{Who, find};
use crate::config::Config;
use crate::parameters::Parameters;
use crate::records::Records;
use crate::resource_servers::TokenFormat;
use crate::server::{World, access_tokens};
use crate::telemetry::Metrics;
use crate::token::GrantName;
use crate::token::preview::{Preview, Previewer, Question, Unsigned};

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Show what tokens a client would get, and where each claim comes from, or why it would get none
    ///
    /// Nothing is issued or written, and nothing is signed. With a person, it is shown what comes if they sign in by a password and agree
    /// to all that is asked for.
    Preview(PreviewArgs),
}

#[derive(Args, Debug)]
pub(crate) struct PreviewArgs {
    /// The client
    #[arg(long, value_name = "CLIENT_ID")]
    client: ClientId,
    /// The address or the id of the person for whom it acts; without one, it acts for itself
    #[arg(long, value_name = "EMAIL")]
    user: Option<Who>,
    /// The scopes that it asks for; without it, what it gets that asks for none
    #[arg(long)]
    scope: Option<ScopeSet>,
    /// The resource server that it names
    #[arg(long, value_name = "IDENTIFIER")]
    resource: Option<ResourceId>,
    /// The grant type [without it: `authorization_code` with a person, else `client_credentials`]
    #[arg(long, value_parser = grant)]
    grant: Option<GrantName>,
}

fn grant(raw: &str) -> Result<GrantName, String> {
    let mut all = GrantName::ALL.into_iter();
    let names = || GrantName::ALL.map(GrantName::as_str).join(", ");
    all.find(|grant| grant.as_str() == raw)
        .ok_or_else(|| format!("not one of {}", names()))
}

impl TokenCommand {
    pub(crate) async fn run(
        self,
        config: &Config,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let Self::Preview(args) = self;
        let client = records.clients.find(&args.client).await?;
        let client = client.with_context(|| format!("there is no client {}", args.client))?;
        let person = match &args.user {
            Some(who) => Some(find(records, who).await?),
            None => None,
        };
        let default = if person.is_some() {
            GrantName::AuthorizationCode
        } else {
            GrantName::ClientCredentials
        };
        let scope = args
            .scope
            .map(|scope| ("scope".to_owned(), scope.to_string()));
        let resource = args
            .resource
            .map(|resource| ("resource".to_owned(), resource.to_string()));
        let question = Question {
            client,
            person,
            grant: args.grant.unwrap_or(default),
            asked: Parameters::of(scope.into_iter().chain(resource).collect())?,
        };
        // Nothing is counted: nobody looks at it.
        let metrics = Metrics::register(&Registry::new())?.into();
        let tokens = access_tokens(config, world, records, &metrics);
        let previewer = Previewer {
            tokens: &tokens,
            levels: &records.offered.acr,
            password_grant: records.offered.password_grant,
        };
        match previewer.preview(&question, world.clock.now()).await {
            Ok(preview) => output.done(told(&preview).trim_end(), &preview),
            Err(refusal) => {
                if output.json {
                    output.value(&json!({"refused": refusal.to_string()}))?;
                }
                bail!("no token: {refusal}")
            }
        }
    }
}

fn told(preview: &Preview) -> String {
    let mut text = String::new();
    let format = match preview.access_token.format {
        TokenFormat::Jwt => "a JWT",
        TokenFormat::Opaque => "opaque: this is what its resource server is told by introspection",
    };
    section(
        &mut text,
        &format!("access token ({format})"),
        &preview.access_token,
    );
    if let Some(id_token) = &preview.id_token {
        section(&mut text, "ID token (with at_hash)", id_token);
    }
    if let Some(userinfo) = &preview.userinfo {
        text.push_str("userinfo\n");
        lines(&mut text, userinfo, None);
        text.push('\n');
    }
    // To a string nothing fails.
    let _ = writeln!(text, "scope:      {}", preview.scope);
    let _ = writeln!(text, "expires_in: {}", preview.expires_in);
    text
}

fn section(text: &mut String, title: &str, token: &Unsigned) {
    let _ = writeln!(text, "{title}");
    if let Some(header) = &token.header {
        let _ = writeln!(text, "  header {header}");
    }
    lines(text, &token.claims, Some(&token.sources));
    text.push('\n');
}

fn lines(text: &mut String, claims: &Map<String, Value>, sources: Option<&Map<String, Value>>) {
    for (name, value) in claims {
        let source = sources.and_then(|sources| sources.get(name)?.as_str());
        let source = source.map_or_else(String::new, |source| format!("   <- {source}"));
        let _ = writeln!(text, "  {name}: {value}{source}");
    }
}
