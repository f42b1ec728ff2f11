//! `auth-server keys …`

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::json;
use shared_protocol::jose::{Algorithm, KeyId};

use super::output::Output;
use crate::keys::PrivateHalf;
use crate::records::Records;
use crate::server::World;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List signing keys and where each stands in its life
    List,
    /// Make the next key: published now, signing once every cache can know it
    Rotate {
        /// Only for this algorithm
        #[arg(long)]
        alg: Option<Algorithm>,
    },
    /// Withdraw a compromised key at once; what it signed is dead
    Revoke {
        /// The key
        kid: String,
    },
    /// Encrypt every key, the root secret, and secrets of clients anew under the first of `keys.encryption`
    Rewrap,
}

impl KeysCommand {
    pub(crate) async fn run(
        self,
        records: &Records,
        world: &World,
        output: &Output,
    ) -> anyhow::Result<()> {
        let (now, random, keys) = (world.clock.now(), &*world.random, &records.keys);
        match self {
            Self::List => {
                let states = keys.ring().states(now);
                if output.json {
                    let states: Vec<_> = states
                        .iter()
                        .map(|key| {
                            json!({
                                "kid": key.kid.as_str(),
                                "alg": key.algorithm,
                                "phase": key.phase.as_str(),
                                "created_at": key.created_at.to_string(),
                                "signs_from": key.signs_from.to_string(),
                                "private_half": private_half(key.private_half),
                            })
                        })
                        .collect();
                    return output.value(&states);
                }
                let lines: Vec<_> = states
                    .iter()
                    .map(|key| {
                        format!(
                            "{}  {}  {}  signs from {}{}",
                            key.kid,
                            key.algorithm,
                            key.phase.as_str(),
                            key.signs_from,
                            match key.private_half {
                                PrivateHalf::Kept => "",
                                PrivateHalf::Wiped => "  (private half wiped)",
                                PrivateHalf::Unreadable => "  (does not open)",
                            }
                        )
                    })
                    .collect();
                output.list("key", &lines, "no keys")
            }
            Self::Rotate { alg } => {
                let made = keys.rotate(alg, &*world.clock, random).await?;
                let kids: Vec<_> = made.iter().map(ToString::to_string).collect();
                output.list("made", &kids, "no keys are configured")
            }
            Self::Revoke { kid } => {
                let kid = KeyId::new(&kid).context("not a key id")?;
                let successor = keys
                    .revoke(&kid, now, random)
                    .await?
                    .map(|kid| kid.to_string());
                let line = successor.as_ref().map_or_else(
                    || format!("revoked {kid}"),
                    |successor| format!("revoked {kid}; {successor} signs from now on"),
                );
                output.done(
                    &line,
                    &json!({"revoked": kid.as_str(), "signs_now": successor}),
                )
            }
            Self::Rewrap => {
                let count = keys.rewrap(now, random).await?;
                let count = count + records.clients.rewrap_secrets().await?;
                output.done(
                    &format!("{count} keys and secrets encrypted anew"),
                    &json!({"rewrapped": count}),
                )
            }
        }
    }
}

fn private_half(half: PrivateHalf) -> &'static str {
    match half {
        PrivateHalf::Kept => "kept",
        PrivateHalf::Wiped => "wiped",
        PrivateHalf::Unreadable => "unreadable",
    }
}
