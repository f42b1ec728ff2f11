//! What people allowed clients.
//!
//! A grant is made when its code is redeemed (RFC 6749 §4.1.3), or with an answer that has none, by the statement that makes sure
//! that its session and its person are still there. It ends by revocation: a row that every node holds in memory, so that its JWTs
//! die, and a mark on the grant, so that its refresh tokens die for as long as the row is kept.

mod ending;
mod making;
mod rows;
mod settled;
mod told;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::Confirmation;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::claims::GrantedClaims;
use crate::identifiers::identifier;
use crate::outage::Outage;
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::Revocations;
use crate::sessions::{Amr, SessionId};
use crate::store::grants::{self, GrantedPerson, Rotation};
use crate::token::chain::Chain;
pub use ending::{GrantsOf, revoke_of};
pub use making::{Descent, Redeemed, Redemption, Spoken};
use rows::{from_row, to_value};
pub use settled::{Settled, SettledGrants};
pub use told::Told;

/// What is noted of a refresh token that stays as it is holds for so many of its access tokens, one after the other.
const AHEAD: u32 = 8;

identifier!(
    /// Names what a person allowed a client; in access tokens as `grant_id`.
    GrantId, "grt_"
);

/// What a person allows a client, from the moment at which they do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Terms {
    /// The client.
    pub client_id: ClientId,
    /// The person.
    pub account_id: AccountId,
    /// Where they were signed in; nowhere if a trusted issuer speaks for them.
    pub session_id: Option<SessionId>,
    /// Whether it outlives that session (`offline_access`).
    pub offline: bool,
    /// The scopes, each at this server or at the resource that the person saw it belong to: what is registered later is not theirs to
    /// have agreed to.
    pub agreed: Agreement,
    /// The claims that the client asked for one by one, of those it may have.
    #[serde(default, skip_serializing_if = "GrantedClaims::is_empty")]
    pub claims: GrantedClaims,
    /// When they last proved who they are; always there if they did so here.
    pub auth_time: Option<Instant>,
    /// How.
    pub amr: Vec<Amr>,
    /// How sure of them that makes the client, as it asked.
    pub acr: Option<String>,
}

/// How long what came of a grant may go on.
#[derive(Clone, Copy, Debug)]
pub struct GrantLifetimes {
    /// A refresh token that is not used for so long is dead.
    pub idle: Duration,
    /// No refresh token lives longer, however often it is used.
    pub absolute: Duration,
    /// For how long after a rotation the token before it brings the same successor.
    pub grace: Duration,
    /// A session that is not used for so long is over.
    pub session_idle: Duration,
    /// Nor does one go on for longer since the person last signed in.
    pub session_absolute: Duration,
}

/// Why a grant could not be had.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
    /// A row that this server would not have written.
    #[error("the row of grant {0} is damaged")]
    Damaged(GrantId),
}

/// A grant as it stands.
pub struct Grant {
    /// Its name.
    pub id: GrantId,
    /// What was allowed.
    pub terms: Terms,
    /// Its refresh tokens, if it has any.
    pub family: Option<Family>,
    /// Whether anything ended it: a revocation, its session, its person.
    pub is_over: bool,
    /// When it ends whatever happens.
    pub expires_at: Instant,
    /// From when on no access token of it is good.
    pub access_until: Instant,
    /// What it was exchanged for, of one that a client made of another's (RFC 8693).
    pub chain: Option<Chain>,
    /// Whether another issuer spoke for the person, who did not sign in here.
    pub is_of_another_issuer: bool,
}

/// The refresh tokens of a grant: each generation takes the place of the one before it.
pub struct Family {
    /// What tells them from those of another family.
    pub salt: Vec<u8>,
    /// What they are bound to (RFC 9449 §5, RFC 8705 §4), for as long as there are any: whoever the client has become since.
    pub confirmation: Option<Confirmation>,
    /// The generation that is good.
    pub generation: u32,
    /// When it took the place of the one before it, and what was asked for then.
    pub rotation: Option<(Instant, Vec<u8>)>,
    /// When one was last used.
    pub used_at: Instant,
    /// When all of them end.
    pub expires_at: Instant,
    /// From when on no access token of the grant is good.
    pub access_until: Instant,
}

impl Family {
    /// Whether whoever uses one proved to have what it is bound to.
    #[must_use]
    pub fn is_bound_to(&self, proven: Option<&Confirmation>) -> bool {
        self.confirmation.is_none() || self.confirmation.as_ref() == proven
    }
}

/// What a refresh token is used for.
pub struct Refresh {
    /// Tells two uses apart that do not ask for the same.
    pub digest: [u8; 32],
    /// What its successor is bound to.
    pub confirmation: Option<Confirmation>,
    /// How long the access token lives that it brings.
    pub access_lifetime: Duration,
}

/// The grants of this server.
#[derive(Clone)]
pub struct Grants {
    /// Where they are kept.
    pub store: Store,
    /// Where their end is told.
    pub revocations: Revocations,
    /// How long they go on.
    pub lifetimes: GrantLifetimes,
    /// What does not count of that.
    pub outage: Outage,
    /// Whose they are.
    pub told: Told,
    /// What never changes of them.
    pub settled: SettledGrants,
}

impl Grants {
    /// Makes sure that an access token of a grant is told of that lives until then, should the grant be revoked; whether the grant goes
    /// on.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn cover(&self, grant: &Grant, until: Instant) -> Result<bool, DbError> {
        if until <= grant.access_until {
            return Ok(true);
        }
        let mut conn = self.store.write().await?;
        grants::cover(&mut conn, grant.id.as_str(), until).await
    }

    /// The grant of this name.
    ///
    /// # Errors
    /// [`GrantsError`].
    pub async fn find(&self, id: &GrantId, now: Instant) -> Result<Option<Grant>, GrantsError> {
        let state = grants::find(&mut self.store.read().await?, id.as_str()).await?;
        state
            .map(|state| {
                let is_over = state.standing.is_over(self.lifetimes.session_idle, now);
                let grant = from_row(state.row, is_over);
                let grant = grant.ok_or_else(|| GrantsError::Damaged(id.clone()))?;
                // What a client made of another's is judged with all that it was exchanged for, each time.
                if let (Some(family), None) = (&grant.family, &grant.chain) {
                    if family.confirmation.is_none() {
                        self.settled.remember(id, &grant.terms, &family.salt);
                    } else {
                        self.settled.forget(id);
                    }
                }
                Ok(grant)
            })
            .transpose()
    }

    /// The grant that this code brought, however long ago.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn find_by_code(&self, code_digest: &[u8]) -> Result<Option<GrantId>, DbError> {
        let found = grants::find_by_code(&mut self.store.read().await?, code_digest).await?;
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// Whom a grant is of, for userinfo: `None` if it is over or was never there. Remembered for a second, in which only its
    /// revocation is told: ask [`Revocations`] as well.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn find_person(
        &self,
        id: &GrantId,
        now: Instant,
    ) -> Result<Option<Arc<GrantedPerson>>, DbError> {
        let idle = self.lifetimes.session_idle;
        let goes_on = |person: &GrantedPerson| !person.standing.is_over(idle, now);
        if let Some(person) = self.told.recall(id, now).filter(|person| goes_on(person)) {
            return Ok(Some(person));
        }
        let found = grants::find_person(&mut self.store.read().await?, id.as_str()).await?;
        let found = found.map(Arc::new).filter(|person| goes_on(person));
        if let Some(person) = &found {
            self.told.remember(id, person, now);
        }
        Ok(found)
    }

    /// Moves the refresh tokens of a grant on from this generation; of any number of callers, one does. `false` too when the grant or
    /// they are over.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn rotate(
        &self,
        id: &GrantId,
        generation: u32,
        refresh: &Refresh,
        now: Instant,
    ) -> Result<bool, DbError> {
        let lifetimes = &self.lifetimes;
        let confirmation = refresh.confirmation.as_ref().map(to_value);
        let rotation = Rotation {
            id: id.as_str(),
            from: generation.into(),
            digest: &refresh.digest,
            confirmation: confirmation.as_ref(),
            // Whoever repeats it in the window is then not written of.
            access_until: now + lifetimes.grace + refresh.access_lifetime,
            idle_since: now - lifetimes.idle,
            session_idle_since: now - lifetimes.session_idle,
        };
        grants::rotate(&mut self.store.write().await?, &rotation, now).await
    }

    /// Notes that a refresh token was used that stays as it is, and how long the access token lives that it brings; whether the grant
    /// goes on. Not each time, for that would be a write for each request: what is noted is ahead of what was issued.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn note_use(
        &self,
        id: &GrantId,
        family: &Family,
        access_lifetime: Duration,
        now: Instant,
    ) -> Result<bool, DbError> {
        let used_lately = now.since(family.used_at) < self.lifetimes.idle / 32;
        if used_lately && now + access_lifetime <= family.access_until {
            return Ok(true);
        }
        let until = now + (access_lifetime * AHEAD).min(MAX_LIFETIME);
        grants::note(&mut self.store.write().await?, id.as_str(), until, now).await
    }
}
