//! `auth-server revoke …`

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;
use shared_protocol::client_id::ClientId;

use super::output::Output;
use super::users::Who;
use crate::grants::GrantId;
use crate::records::Records;
use crate::resource_servers::MAX_LIFETIME;
use crate::server::World;
use crate::sessions::SessionId;

/// Characters of a `jti`; ours have 22.
const LONGEST_JTI: usize = 256;

#[derive(Debug, Subcommand)]
#[command(
    after_help = "Every running server refuses what was revoked within a second. Resource servers that introspect see it then; those that \
only verify signatures accept an access token until it expires, five minutes after it was issued unless `resource` says otherwise. \
The claims of an access token name most of what can be revoked: jti, grant_id, client_id, and sub.

Examples:
  auth-server revoke token 5ZQxd3xMrW1aH1nXHq0sJg
  auth-server revoke grant grt_0aB1cD2eF3gH4iJ5kL6mN7
  auth-server revoke client s6BhdRkqt3
  auth-server revoke account jo@example.com"
)]
pub(crate) enum RevokeCommand {
    /// One access token
    Token {
        /// Its `jti`
        #[arg(allow_hyphen_values = true)]
        jti: String,
    },
    /// What a person allowed a client at one time: its refresh token, and every access token of it
    Grant {
        /// Its name, the `grant_id` of its access tokens
        grant_id: GrantId,
    },
    /// One browser in which a person is signed in, and every grant that does not outlive it; its clients are told
    Session {
        /// Its name, the `sid` of ID tokens of clients that know people by public names
        session_id: SessionId,
    },
    /// All that a client got until now: its own tokens, and what people allowed it
    ///
    /// It can get new ones: to shut it out, delete it or change its secret.
    Client {
        /// The client
        client_id: ClientId,
    },
    /// Sign a person out everywhere: all their sessions and grants end, those that outlive their session too; their clients are told
    ///
    /// They can sign in again: to shut them out, see `auth-server user disable`.
    Account {
        /// The address or the id of the account
        who: Who,
    },
}

impl RevokeCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let now = world.clock.now();
        let (kind, name) = match self {
            Self::Token { jti } => {
                let is_jti = (1..=LONGEST_JTI).contains(&jti.len()) && !jti.contains('.');
                if !is_jti {
                    bail!("a jti is wanted, the claim of the token, and not the token itself");
                }
                // Of a token that nobody has seen, this is when it expires at the latest.
                let until = now + MAX_LIFETIME;
                records.revocations.revoke_token(&jti, until, now).await?;
                ("token", jti)
            }
            Self::Grant { grant_id } => {
                let known = records.grants.find(&grant_id, now).await?;
                known.with_context(|| format!("there is no grant {grant_id}"))?;
                records.grants.revoke(&grant_id, now).await?;
                ("grant", grant_id.to_string())
            }
            Self::Session { session_id } => {
                if !records.sessions.is_kept(&session_id).await? {
                    bail!("there is no session {session_id}");
                }
                records.sessions.end(&session_id, now).await?;
                ("session", session_id.to_string())
            }
            Self::Client { client_id } => {
                records.clients.revoke_tokens(&client_id, now).await?;
                ("client", client_id.to_string())
            }
            Self::Account { who } => {
                let account = super::users::find(records, &who).await?;
                records.sessions.end_all(&account.id, now).await?;
                ("account", account.id.to_string())
            }
        };
        output.done(
            &format!("revoked {kind} {name}"),
            &json!({"revoked": kind, "id": name}),
        )
    }
}
