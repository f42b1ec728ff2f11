//! `auth-server user …`

mod assignment;
mod attributes;
mod links;
mod profile;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use secrecy::SecretString;
use serde_json::{Value, json};
use shared_protocol::random;
use zeroize::Zeroizing;

use self::assignment::Assignment;
use self::attributes::AttributeArgs;
use self::links::Name;
use super::output::Output;
use crate::accounts::email::EmailAddress;
use crate::accounts::{Account, AccountId, NewAccount};
use crate::records::Records;
use crate::server::World;

/// Letters and digits of a password that we make: 119 bits.
const GENERATED: usize = 20;
/// Bytes that are read of a file or of the standard input.
const LONGEST_INPUT: u64 = 4096;
const PAGE: i64 = 200;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "A password is never an argument, where other programs could see it: it is the first line of the standard \
input, or of the file that --password-file names, or --generate-password makes one.

Examples:
  auth-server user create jo@example.com --name \"Jo Doe\" --generate-password
  auth-server user create jo@example.com --password-file /run/secrets/jo
  pass show jo | auth-server user set-password jo@example.com
  auth-server user set-profile jo@example.com name=\"Jo Doe\" birthdate=1815-12-10 address.locality=Vienna phone_number=
  auth-server user set jo@example.com --attribute department=Research --attribute-json groups='[\"staff\"]'
  auth-server user disable jo@example.com"
)]
pub(crate) enum UserCommand {
    /// Make an account
    Create(CreateUser),
    /// Give an account a new password; all its sessions and grants end, and so does a lock
    SetPassword {
        /// The address or the id of the account
        who: Who,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Say what is known of a person; whoever they allow it to is told
    ///
    /// Each is named as its claim (OpenID Connect Core section 5.1), a part of an address as in address.locality.
    SetProfile {
        /// The address or the id of the account
        who: Who,
        /// What is known, as NAME=VALUE; nothing behind = takes away what was known
        #[arg(required = true)]
        claims: Vec<Assignment<String>>,
    },
    /// Say what another issuer calls a person, so that it may speak for them (`trusted-issuer add --subject linked`)
    Link {
        /// The address or the id of the account
        who: Who,
        #[command(flatten)]
        name: Name,
    },
    /// Take such a link away; whatever the issuer brought for the person ends
    Unlink {
        #[command(flatten)]
        name: Name,
    },
    /// Say what resource servers may be told of a person: their department, groups, roles and the like
    ///
    /// A resource server gets what its claims are mapped from (`auth-server resource update --help`). groups, roles and entitlements are
    /// lists of texts, or of objects with a "value" (RFC 7643 section 4.1.2).
    Set {
        /// The address or the id of the account
        who: Who,
        #[command(flatten)]
        attributes: AttributeArgs,
    },
    /// List accounts
    List,
    /// Disable an account; it can do nothing any more, and all its sessions and grants end
    Disable {
        /// The address or the id of the account
        who: Who,
    },
    /// Enable an account that was disabled
    Enable {
        /// The address or the id of the account
        who: Who,
    },
}

#[derive(Args, Debug)]
pub(crate) struct CreateUser {
    /// The address by which the person signs in
    email: EmailAddress,
    /// What the person is called
    #[arg(long)]
    name: Option<String>,
    /// You know that the address is theirs: clients are told that it is verified
    #[arg(long)]
    email_verified: bool,
    #[command(flatten)]
    password: PasswordSource,
}

/// Where a password comes from; the standard input if nothing is said.
#[derive(Args, Debug)]
pub(crate) struct PasswordSource {
    /// A file whose first line is the password; without this or the next, the standard input is read
    #[arg(long, value_name = "FILE", conflicts_with = "generate_password")]
    password_file: Option<PathBuf>,
    /// Make a password and show it this once
    #[arg(long)]
    generate_password: bool,
}

/// An account, by what a person at a terminal knows of it.
#[derive(Clone, Debug)]
pub(crate) enum Who {
    Id(AccountId),
    Email(EmailAddress),
}

impl std::str::FromStr for Who {
    type Err = anyhow::Error;

    fn from_str(raw: &str) -> anyhow::Result<Self> {
        if let Ok(id) = raw.parse() {
            return Ok(Self::Id(id));
        }
        let email = raw.parse().map(Self::Email);
        email.context("neither the address nor the id of an account")
    }
}

impl UserCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let accounts = &records.accounts;
        match self {
            Self::Create(create) => create.run(records, world, output).await,
            Self::SetPassword { who, password } => {
                let account = find(records, &who).await?;
                let chosen = password.read(world)?;
                accounts
                    // Only now: somebody may have taken their time to type.
                    .set_password(
                        &account.id,
                        &chosen.password,
                        world.clock.now(),
                        &*world.random,
                    )
                    .await?;
                let done = format!("changed the password of {}", account.email);
                chosen.done(
                    &done,
                    json!({"id": account.id, "email": account.email}),
                    output,
                )
            }
            Self::SetProfile { who, claims } => {
                let account = find(records, &who).await?;
                let (name, profile) = profile::changed(&account, &claims)?;
                let known = (name.as_deref(), &profile);
                accounts
                    .set_profile(&account.id, known, world.clock.now())
                    .await?;
                let done = format!("changed the profile of {}", account.email);
                let value = json!({"id": account.id, "email": account.email, "name": name, "profile": profile});
                output.done(&done, &value)
            }
            Self::Link { who, name } => links::link(&who, &name, (records, world), output).await,
            Self::Unlink { name } => links::unlink(&name, (records, world), output).await,
            Self::Set { who, attributes } => {
                let account = find(records, &who).await?;
                let changed = attributes.applied_to(account.attributes)?;
                accounts.set_attributes(&account.id, &changed).await?;
                let done = format!("changed the attributes of {}", account.email);
                let value =
                    json!({"id": account.id, "email": account.email, "attributes": changed});
                output.done(&done, &value)
            }
            Self::List => list(records, output).await,
            Self::Disable { who } => {
                let account = find(records, &who).await?;
                accounts.disable(&account.id, world.clock.now()).await?;
                let value = json!({"id": account.id, "email": account.email, "disabled": true});
                output.done(&format!("disabled {}", account.email), &value)
            }
            Self::Enable { who } => {
                let account = find(records, &who).await?;
                accounts.enable(&account.id).await?;
                let value = json!({"id": account.id, "email": account.email, "disabled": false});
                output.done(&format!("enabled {}", account.email), &value)
            }
        }
    }
}

impl CreateUser {
    async fn run(self, records: &Records, world: &World, output: &Output) -> anyhow::Result<()> {
        let chosen = self.password.read(world)?;
        let email = self.email.clone();
        let new = NewAccount {
            email: self.email,
            name: self.name,
            email_verified: self.email_verified,
            password: Some(chosen.password.clone()),
        };
        let id = records
            .accounts
            .create(new, world.clock.now(), &*world.random)
            .await?;
        let done = format!("id:       {id}\nemail:    {email}");
        chosen.done(&done, json!({"id": id, "email": email}), output)
    }
}

/// A password, and whether it has to be shown because nobody knows it yet.
struct Chosen {
    password: SecretString,
    generated: Option<Zeroizing<String>>,
}

impl PasswordSource {
    fn read(&self, world: &World) -> anyhow::Result<Chosen> {
        if self.generate_password {
            let generated = Zeroizing::new(random::alphanumeric(GENERATED, &*world.random));
            return Ok(Chosen {
                password: generated.as_str().into(),
                generated: Some(generated),
            });
        }
        let line = match &self.password_file {
            Some(path) => first_line_of(path)?,
            None => first_line_of_input()?,
        };
        let password = line.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            bail!(
                "there is no password: give it on the standard input, or see --password-file and --generate-password"
            );
        }
        Ok(Chosen {
            password: password.into(),
            generated: None,
        })
    }
}

impl Chosen {
    fn done(&self, line: &str, mut value: Value, output: &Output) -> anyhow::Result<()> {
        let Some(generated) = &self.generated else {
            return output.done(line, &value);
        };
        if let Value::Object(members) = &mut value {
            members.insert("password".to_owned(), generated.as_str().into());
        }
        let generated = generated.as_str();
        let line =
            format!("{line}\npassword: {generated}   (kept as a hash: it cannot be shown again)");
        output.done(&line, &value)
    }
}

fn first_line_of(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    first_line(file).with_context(|| path.display().to_string())
}

fn first_line_of_input() -> anyhow::Result<Zeroizing<String>> {
    let input = io::stdin();
    if input.is_terminal() {
        // To the other stream, so that what the command prints can still be read by a program.
        write!(io::stderr(), "Password (shown while you type): ")?;
        io::stderr().flush()?;
    }
    first_line(input.lock()).context("the standard input")
}

fn first_line(from: impl io::Read) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    io::BufReader::new(from.take(LONGEST_INPUT)).read_line(&mut line)?;
    Ok(line)
}

pub(super) async fn find(records: &Records, who: &Who) -> anyhow::Result<Account> {
    let (found, name) = match who {
        Who::Id(id) => (records.accounts.find(id).await?, id.as_str()),
        Who::Email(email) => (records.accounts.find_by_email(email).await?, email.as_str()),
    };
    found.with_context(|| format!("there is no account {name}"))
}

async fn list(records: &Records, output: &Output) -> anyhow::Result<()> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let after = accounts.last().map_or("", |last| last.id.as_str());
        let page = records.accounts.list(after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        accounts.extend(page);
    }
    if output.json {
        return output.value(&accounts.iter().map(described).collect::<Vec<_>>());
    }
    let lines: Vec<_> = accounts
        .iter()
        .map(|account| {
            let state = match (account.disabled, account.has_password) {
                (true, _) => "disabled",
                (false, true) => "active",
                (false, false) => "no password",
            };
            let name = account.name.as_deref().unwrap_or("-");
            format!("{}  {state:<11}  {}  {name}", account.id, account.email)
        })
        .collect();
    output.list(
        "user",
        &lines,
        "no users yet: `auth-server user create --help`",
    )
}

fn described(account: &Account) -> Value {
    json!({
        "id": account.id,
        "email": account.email,
        "email_verified": account.email_verified,
        "name": account.name,
        "profile": account.profile,
        "attributes": account.attributes,
        "has_password": account.has_password,
        "disabled": account.disabled,
        "signed_in_at": account.signed_in_at.map(|at| at.to_string()),
        "updated_at": account.updated_at.to_string(),
    })
}
