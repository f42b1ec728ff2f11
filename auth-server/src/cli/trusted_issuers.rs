//! `auth-server trusted-issuer …`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{Algorithm, object};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeToken;
use shared_server::config::Period;

use super::output::Output;
use crate::clients::url::ClientUrl;
use crate::records::Records;
use crate::server::World;
use crate::trusted_issuers::{AssertionKind, Policy, SubjectRule, TrustedIssuer};

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Clients that show assertions are registered for the grant: `auth-server client create --grant jwt_bearer`.

Examples:
  auth-server trusted-issuer add https://idp.example --kind id-jag --jwks-uri https://idp.example/jwks \\
    --subject verified_email --email-domain example.com --scope chat.read
  auth-server trusted-issuer add https://ci.example --jwks ci.json --subject client --client 4Zx… --scope deploy
  auth-server user link jo@example.com --issuer https://idp.example --subject U019488227"
)]
pub(crate) enum TrustedIssuerCommand {
    /// Trust an issuer, or replace what is believed of it
    Add(Box<AddIssuer>),
    /// List issuers
    List,
    /// Show an issuer with what is believed of it
    Show {
        /// The `iss` of its assertions
        issuer: Issuer,
    },
    /// Trust an issuer no longer; whatever it brought for people ends
    Remove {
        /// The `iss` of its assertions
        issuer: Issuer,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AddIssuer {
    /// The `iss` of its assertions
    issuer: Issuer,
    /// What its assertions are: `jwt` for plain ones (RFC 7523), `id-jag` for identity assertion grants
    #[arg(long, value_enum, default_value = "jwt")]
    kind: KindArg,
    /// A file with its public keys as a JWK Set
    #[arg(long, value_name = "FILE", required_unless_present = "jwks_uri")]
    jwks: Option<PathBuf>,
    /// Where it publishes its public keys
    #[arg(long, value_name = "URL", conflicts_with = "jwks")]
    jwks_uri: Option<ClientUrl>,
    /// An algorithm that it may sign with (may repeat); ES256 unless said
    #[arg(long = "alg")]
    algorithms: Vec<Algorithm>,
    /// Whom `sub` names: the account of that id, the account linked to it (`user link`), the account of the address that the issuer verified
    /// (`email`, not `sub`), or the client that shows it
    #[arg(long, value_enum)]
    subject: SubjectArg,
    /// Where addresses may be that it verifies (may repeat)
    #[arg(long = "email-domain", value_name = "DOMAIN")]
    email_domains: Vec<String>,
    /// A client that may show its assertions (may repeat); without one, any that is registered for the grant
    #[arg(long = "client", value_name = "CLIENT_ID")]
    clients: Vec<ClientId>,
    /// Clients that cannot prove who they are may show them too
    #[arg(long)]
    public_clients: bool,
    /// A scope that it may bring (may repeat)
    #[arg(long = "scope", required = true)]
    scopes: Vec<ScopeToken>,
    /// A resource that it may bring them for (may repeat); wherever they belong unless said
    #[arg(long = "resource", value_name = "IDENTIFIER")]
    resources: Vec<ResourceId>,
    /// How far ahead the `exp` of its assertions may lie
    #[arg(long, default_value = "10m")]
    max_lifetime: Period,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum KindArg {
    Jwt,
    IdJag,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum SubjectArg {
    AccountId,
    Linked,
    VerifiedEmail,
    Client,
}

impl From<KindArg> for AssertionKind {
    fn from(arg: KindArg) -> Self {
        match arg {
            KindArg::Jwt => Self::Jwt,
            KindArg::IdJag => Self::IdJag,
        }
    }
}

impl From<SubjectArg> for SubjectRule {
    fn from(arg: SubjectArg) -> Self {
        match arg {
            SubjectArg::AccountId => Self::AccountId,
            SubjectArg::Linked => Self::Linked,
            SubjectArg::VerifiedEmail => Self::VerifiedEmail,
            SubjectArg::Client => Self::Client,
        }
    }
}

impl TrustedIssuerCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let issuers = &records.trusted_issuers;
        match self {
            Self::Add(add) => add.run(records, world, output).await,
            Self::List => {
                let all = issuers.all();
                if output.json {
                    let all: Vec<_> = all.iter().map(|issuer| described(issuer)).collect();
                    return output.value(&all);
                }
                let line = |known: &Arc<TrustedIssuer>| {
                    let policy = &known.policy;
                    let (kind, subject) = (json!(policy.kind), json!(policy.subject));
                    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                    let (kind, subject) = (text(&kind), text(&subject));
                    format!("{}  {kind}  {subject}  {}", known.issuer, policy.scope)
                };
                let lines: Vec<_> = all.iter().map(line).collect();
                output.list(
                    "issuer",
                    &lines,
                    "no issuer is trusted: `auth-server trusted-issuer add --help`",
                )
            }
            Self::Show { issuer } => {
                let known = issuers.find(issuer.as_str());
                let known = known.with_context(|| format!("{issuer} is not trusted"))?;
                output.value(&described(&known))
            }
            Self::Remove { issuer } => {
                let removed = issuers.remove(&issuer, world.clock.now()).await?;
                ensure!(removed, "{issuer} is not trusted");
                output.done(&format!("removed {issuer}"), &json!({"removed": issuer}))
            }
        }
    }
}

impl AddIssuer {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let jwks = match &self.jwks {
            None => None,
            Some(path) => {
                let file = path.display().to_string();
                let text = std::fs::read(path).with_context(|| file.clone())?;
                Some(Value::Object(object(&text).context(file)?))
            }
        };
        for client in &self.clients {
            ensure!(
                records.clients.find(client).await?.is_some(),
                "there is no client {client}"
            );
        }
        let algorithms = if self.algorithms.is_empty() {
            vec![Algorithm::Es256]
        } else {
            self.algorithms
        };
        let clients: BTreeSet<_> = self.clients.into_iter().collect();
        let policy = Policy {
            kind: self.kind.into(),
            jwks,
            jwks_uri: self.jwks_uri,
            algorithms,
            subject: self.subject.into(),
            email_domains: self.email_domains.into_iter().collect(),
            clients: (!clients.is_empty()).then_some(clients),
            public_clients: self.public_clients,
            scope: self.scopes.into_iter().collect(),
            resources: self.resources,
            max_lifetime_seconds: self.max_lifetime.duration().as_secs(),
        };
        let issuer = TrustedIssuer::new(self.issuer, policy)?;
        let issuers = &records.trusted_issuers;
        issuers.put(&issuer, world.clock.now()).await?;
        output.done(&format!("trusts {}", issuer.issuer), &described(&issuer))
    }
}

fn described(issuer: &TrustedIssuer) -> Value {
    json!({"issuer": issuer.issuer, "policy": issuer.policy})
}
