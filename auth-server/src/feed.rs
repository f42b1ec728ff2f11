//! How a node learns what other nodes, and the command line, changed: a poll of two small indexed tables twice a second.
//! What is remembered here is therefore at most about half a second behind, without a second channel to keep alive.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use shared_protocol::time::{Clock, Instant};
use shared_server::db::{DbError, Store};
use shared_server::web::Shutdown;

use crate::clients::directory::{self, Clients};
use crate::clients::document::ClientDocuments;
use crate::keys::Keys;
use crate::outage::Outage;
use crate::resource_servers::{self, ResourceServers};
use crate::revocations::{OVERLAP, Revocations};
use crate::store::changes;
use crate::trusted_issuers::{self, TrustedIssuers};

/// Between two polls.
const PERIOD: Duration = Duration::from_millis(500);
/// The same while they fail: a node is not ready until one succeeds.
const SEEK: Duration = Duration::from_millis(100);
/// After this long everything is loaded anew.
const WHOLE: Duration = Duration::from_secs(30);
/// As many changes as this within the overlap mean that everything is loaded anew.
const LIMIT: i64 = 10_000;

/// Keeps the memory of a node in step with the database.
pub struct Feed {
    /// Where changes are recorded.
    pub store: Store,
    /// Their clients are forgotten when changed.
    pub clients: Clients,
    /// Read by what scopes there are.
    pub documents: Option<ClientDocuments>,
    /// Reloaded when one changed.
    pub resource_servers: ResourceServers,
    /// Reloaded when one changed.
    pub trusted_issuers: TrustedIssuers,
    /// Reloaded when one changed.
    pub keys: Keys,
    /// Refreshed each time.
    pub revocations: Revocations,
    /// Told of polls that the database did not answer.
    pub outage: Outage,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// How far this node has followed.
#[derive(Default)]
struct Followed {
    /// Changes that were applied and still lie within the overlap.
    applied: HashSet<(String, String, Instant)>,
    /// When a poll last succeeded.
    at: Option<Instant>,
    /// When everything was last loaded anew.
    whole_at: Option<Instant>,
    /// What must be loaded again, until it is.
    keys_due: bool,
    servers_due: bool,
    issuers_due: bool,
}

impl Followed {
    /// Whether the overlap cannot cover what happened since: at first, after a gap, a step of the clock back, and every so
    /// often, because another node's clock may be so wrong that its changes lie outside of the overlap.
    fn is_broken(&self, now: Instant) -> bool {
        let older =
            |at: Option<Instant>, most| at.is_none_or(|at| now < at || now.since(at) > most);
        older(self.at, OVERLAP / 2) || older(self.whole_at, WHOLE)
    }
}

impl Feed {
    /// Polls until `shutdown` triggers.
    pub async fn run(self, shutdown: Shutdown) {
        let mut followed = Followed::default();
        let mut failing = false;
        let began = self.clock.now();
        loop {
            tokio::select! {
                () = shutdown.triggered() => {
                    self.record_uses().await;
                    return;
                }
                () = tokio::time::sleep(if failing { SEEK } else { PERIOD }) => {}
            }
            let outcome = self.poll(&mut followed).await;
            if let Err(error) = &outcome
                && !failing
            {
                let error = &**error as &dyn std::error::Error;
                tracing::warn!(error, "cannot follow changes in the database");
            }
            failing = outcome.is_err();
            match &outcome {
                Err(error) if is_unavailable(&**error) => {
                    self.outage.goes_on(followed.at.unwrap_or(began));
                }
                // If something else is wrong, the database is there for everybody.
                Ok(()) | Err(_) => self.outage.is_over(self.clock.now()),
            }
            self.record_uses().await;
        }
    }

    /// What cannot be written down now is tried again, and is lost without harm: whoever uses a client once uses it again.
    async fn record_uses(&self) {
        if let Err(error) = self.clients.record_uses().await {
            tracing::debug!(%error, "the first use of clients could not be written down");
        }
    }

    /// Applies what changed lately, or loads everything anew. The revocations come last: only a node that has followed all
    /// the rest confirms them, and is ready.
    async fn poll(
        &self,
        followed: &mut Followed,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let now = self.clock.now();
        let changes = {
            let mut conn = self.store.read().await?;
            changes::since(&mut conn, now - OVERLAP, LIMIT).await?
        };
        let whole = followed.is_broken(now) || changes.len() >= usize::try_from(LIMIT)?;
        if whole {
            (followed.keys_due, followed.servers_due) = (true, true);
            followed.issuers_due = true;
            self.clients.forget_all();
        }
        let mut within = HashSet::new();
        for change in changes {
            match change.kind.as_str() {
                // Each time that it is seen: a look-up that raced with the change may have remembered what was before it.
                directory::CHANGE => change
                    .subject
                    .parse()
                    .iter()
                    .for_each(|id| self.clients.forget(id)),
                kind => {
                    let seen = (change.kind.clone(), change.subject, change.changed_at);
                    let new = !followed.applied.contains(&seen);
                    followed.servers_due |= new && kind == resource_servers::CHANGE;
                    followed.issuers_due |= new && kind == trusted_issuers::CHANGE;
                    followed.keys_due |= new && kind == crate::keys::CHANGE_KIND;
                    within.insert(seen);
                }
            }
        }
        followed.applied = within;
        if followed.keys_due {
            self.keys.reload().await?;
            followed.keys_due = false;
        }
        if followed.servers_due {
            self.resource_servers.reload().await?;
            followed.servers_due = false;
            self.documents
                .iter()
                .for_each(ClientDocuments::follow_scopes);
        }
        if followed.issuers_due {
            self.trusted_issuers.reload().await?;
            followed.issuers_due = false;
        }
        if whole {
            self.revocations.reload(now).await?;
            followed.whole_at = Some(now);
        } else {
            self.revocations.refresh(now).await?;
        }
        followed.at = Some(now);
        Ok(())
    }
}

fn is_unavailable(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(
        error.downcast_ref::<DbError>(),
        Some(DbError::Unavailable(_))
    )
}
