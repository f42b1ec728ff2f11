//! What people allowed clients.
//!
//! A grant is made when its code is redeemed (RFC 6749 §4.1.3), or with an answer that has none, by the statement that makes sure
//! that its session and its person are still there. It ends by revocation: a row that every node holds in memory, so that its JWTs
//! die, and a mark on the grant, so that its refresh tokens die for as long as the row is kept.

mod settled;
mod told;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::Confirmation;
use shared_protocol::time::Instant;
use shared_server::db::{Conn, DbError, Store};

use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::claims::GrantedClaims;
use crate::identifiers::identifier;
use crate::outage::Outage;
use crate::resource_servers::MAX_LIFETIME;
use crate::revocations::{RevocationKind, Revocations};
use crate::sessions::{Amr, SessionId};
use crate::store::grants::{self, GrantRow, GrantedPerson, Rotation};
use crate::store::revocations::{self, RevocationRow};
use crate::store::{identity_links, trusted_issuers};
use crate::token::chain::Chain;
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

/// Several grants at once.
#[derive(Clone, Copy, Debug)]
pub enum GrantsOf<'a> {
    /// Those of a session that do not outlive it.
    Session(&'a SessionId),
    /// Every one of a person, those that outlive their session too.
    Account(&'a AccountId),
    /// Every one of these clients.
    Clients(&'a [String]),
    /// Every one of people for whom this issuer spoke.
    Issuer(&'a str),
    /// Those of one of them.
    Link(&'a str, &'a AccountId),
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

/// Why no grant was made of another.
#[derive(Debug)]
enum NotMade {
    /// That one is over.
    Over,
    /// The database did not answer.
    Store(DbError),
}

impl From<DbError> for NotMade {
    fn from(error: DbError) -> Self {
        Self::Store(error)
    }
}

/// What became of a redemption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redeemed {
    /// There is a grant now.
    Granted,
    /// The code brought one before, which is dead now.
    Before,
    /// The person signed out since the code was made, or the issuer that speaks for them is trusted no longer.
    SessionOver,
    /// The person was shut out.
    PersonGone,
    /// All that the client had got was revoked since the person allowed it this.
    CutOff,
    /// The client was deleted since it proved who it is.
    ClientGone,
}

/// What a redemption keeps.
pub struct Redemption<'a> {
    /// The name that the code gave the grant.
    pub id: &'a GrantId,
    /// By which a second use of its code is known, if there was one.
    pub code_digest: Option<[u8; 32]>,
    /// What was allowed.
    pub terms: &'a Terms,
    /// When it was.
    pub allowed_at: Instant,
    /// The salt of its refresh tokens, if it is to have any.
    pub family_salt: Option<[u8; 16]>,
    /// What they are bound to, if they are.
    pub confirmation: Option<&'a Confirmation>,
    /// When it was tried before and nobody could say what came of it.
    pub unanswered: &'a [Instant],
    /// How long the access token lives that it brings.
    pub access_lifetime: Duration,
}

/// An issuer that speaks for a person.
#[derive(Clone, Copy)]
pub struct Spoken<'a> {
    /// The issuer.
    pub issuer: &'a str,
    /// What it calls them, if they were found by that.
    pub linked: Option<&'a str>,
}

/// A grant that a client makes of another one by token exchange (RFC 8693): it has refresh tokens of its own.
pub struct Descent<'a> {
    /// Its name.
    pub id: &'a GrantId,
    /// What of the other grant is allowed by it.
    pub terms: &'a Terms,
    /// The other grant.
    pub parent: &'a Grant,
    /// Who acts by it, and what it was exchanged for.
    pub chain: &'a Chain,
    /// The salt of its refresh tokens.
    pub salt: [u8; 16],
    /// When it ends.
    pub expires_at: Instant,
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
    /// Makes the grant that a code stands for, at most once for each code, whatever the store of codes has forgotten.
    ///
    /// Threat 34: what it rests on stays as it is until the grant is there, so that whoever ends the session or shuts the person out
    /// a moment later finds it.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn redeem(
        &self,
        redemption: &Redemption<'_>,
        now: Instant,
    ) -> Result<Redeemed, DbError> {
        let row = self.row(redemption, now);
        match self.insert(&row, redemption.allowed_at).await {
            Ok(Redeemed::Granted) => {
                if let (Some(salt), None) = (&redemption.family_salt, redemption.confirmation) {
                    self.settled.remember(redemption.id, redemption.terms, salt);
                }
                Ok(Redeemed::Granted)
            }
            Err(DbError::Duplicate(_)) if redemption.code_digest.is_some() => {
                // It was committed although nobody could be told: this is the same use, and it is answered once. Whoever ended its
                // session in the meantime has revoked it. One that was answered is of another instant.
                let unanswered = redemption.unanswered;
                if !unanswered.is_empty()
                    && grants::adopt(&mut self.store.write().await?, &row, unanswered).await?
                {
                    return Ok(Redeemed::Granted);
                }
                // RFC 6749 §4.1.2.
                let digest = redemption
                    .code_digest
                    .as_ref()
                    .map_or(&[][..], |digest| digest);
                let first = self.find_by_code(digest).await?;
                let first = first.as_ref().unwrap_or(redemption.id);
                self.revoke(first, now).await?;
                Ok(Redeemed::Before)
            }
            other => other,
        }
    }

    /// Makes the grant of what is answered without a code: an access token that lives for so long, if there is one. The grant is over at
    /// `ends_at` whatever happens.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn begin(
        &self,
        id: &GrantId,
        terms: &Terms,
        (access_lifetime, ends_at): (Option<Duration>, Instant),
        now: Instant,
    ) -> Result<Redeemed, DbError> {
        let access_until = now + access_lifetime.unwrap_or_default();
        let row = GrantRow {
            expires_at: ends_at,
            access_until,
            ..row_of(id, terms, now)
        };
        self.insert(&row, now).await
    }

    /// Makes the grant of a person for whom an issuer speaks, for as long as its one access token lives.
    ///
    /// Threat 34: that the issuer is trusted, and the link by which the person was found, stay until the grant is there, so that whoever
    /// takes either away a moment later finds it.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn begin_for(
        &self,
        spoken: &Spoken<'_>,
        (id, terms): (&GrantId, &Terms),
        access_lifetime: Duration,
        now: Instant,
    ) -> Result<Redeemed, DbError> {
        let until = now + access_lifetime;
        let row = GrantRow {
            expires_at: until,
            access_until: until,
            issuer: Some(spoken.issuer.to_owned()),
            ..row_of(id, terms, now)
        };
        let added = self
            .store
            .transaction(async |conn| {
                if !trusted_issuers::hold(conn, spoken.issuer).await? {
                    return Ok(Redeemed::SessionOver);
                }
                if let Some(subject) = spoken.linked {
                    let linked = identity_links::hold(conn, spoken.issuer, subject).await?;
                    if linked.as_deref() != Some(&*row.account_id) {
                        return Ok(Redeemed::SessionOver);
                    }
                }
                let is_added = grants::insert(conn, &row, now).await?;
                Ok(if is_added {
                    Redeemed::Granted
                } else {
                    Redeemed::PersonGone
                })
            })
            .await;
        match added {
            Err(DbError::Reference(_)) => Ok(Redeemed::ClientGone),
            other => other,
        }
    }

    /// Makes a grant of another one; `None` if that is over by now.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn descend(
        &self,
        descent: &Descent<'_>,
        now: Instant,
    ) -> Result<Option<()>, DbError> {
        let row = GrantRow {
            family_salt: Some(descent.salt.into()),
            expires_at: descent.expires_at,
            parent_id: Some(descent.parent.id.to_string()),
            chain: Some(serde_json::json!(descent.chain)),
            ..row_of(descent.id, descent.terms, now)
        };
        let made = self
            .store
            .transaction(async |conn| {
                // In the order in which the end of a session or a person takes the rows.
                let made = grants::insert(conn, &row, now).await?
                    && grants::hold(conn, descent.parent.id.as_str()).await?;
                made.then_some(()).ok_or(NotMade::Over)
            })
            .await;
        match made {
            Ok(()) => Ok(Some(())),
            Err(NotMade::Over | NotMade::Store(DbError::Reference(_))) => Ok(None),
            Err(NotMade::Store(error)) => Err(error),
        }
    }

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

    async fn insert(&self, row: &GrantRow, allowed_at: Instant) -> Result<Redeemed, DbError> {
        let added = grants::insert(&mut self.store.write().await?, row, allowed_at).await;
        match added {
            Ok(true) => Ok(Redeemed::Granted),
            Ok(false) => {
                let mut conn = self.store.read().await?;
                let shut_out = grants::find_shut_out(&mut conn, row).await?.flatten();
                if shut_out.is_some() {
                    return Ok(Redeemed::PersonGone);
                }
                let cut_off = revocations::is_cut_off(&mut conn, &row.client_id, allowed_at);
                Ok(if cut_off.await? {
                    Redeemed::CutOff
                } else {
                    Redeemed::SessionOver
                })
            }
            // Of all that a grant refers to, the rows above keep still; this is the client.
            Err(DbError::Reference(_)) => Ok(Redeemed::ClientGone),
            Err(error) => Err(error),
        }
    }

    fn row(&self, redemption: &Redemption<'_>, now: Instant) -> GrantRow {
        // Without refresh tokens too it is kept for as long as its session may go on: by it, the client hears of the end of that.
        let lives_on = if redemption.family_salt.is_some() {
            self.lifetimes.absolute
        } else {
            self.lifetimes.session_absolute
        };
        GrantRow {
            code_digest: redemption.code_digest.map(Vec::from),
            family_salt: redemption.family_salt.map(Vec::from),
            confirmation: redemption.confirmation.map(to_value),
            expires_at: now + lives_on,
            access_until: now + redemption.access_lifetime,
            ..row_of(redemption.id, redemption.terms, now)
        }
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

    /// Revokes a grant with all that came of it, whether or not it has been committed yet.
    ///
    /// # Errors
    /// [`DbError`]; nothing is revoked then.
    pub async fn revoke(&self, id: &GrantId, now: Instant) -> Result<(), DbError> {
        // A code that is used a thousand times is not written of a thousand times.
        if self
            .revocations
            .is_known(RevocationKind::Grant, id.as_str())
        {
            return Ok(());
        }
        let revoked = self
            .store
            .transaction(async |conn| self.revoke_in(conn, id.as_str(), now).await)
            .await?;
        self.revocations.learn(revoked);
        Ok(())
    }

    async fn revoke_in(
        &self,
        conn: &mut Conn,
        id: &str,
        now: Instant,
    ) -> Result<Vec<RevocationRow>, DbError> {
        // Once the row is marked, only access tokens are left to be told. Without a row, the first use of the code may be about to
        // commit one, and this is all that will ever be known of its end.
        let access_until = grants::revoke(conn, id, now).await?;
        let matters_until = access_until.unwrap_or(now + MAX_LIFETIME + self.lifetimes.absolute);
        let row = revocation(id.to_owned(), matters_until);
        revocations::put(conn, &row, now).await?;
        let mut rows = vec![row];
        rows.extend(revoke_children(conn, now).await?);
        Ok(rows)
    }
}

/// Revokes several grants in the transaction of whatever ends them; [`Revocations::learn`] what comes back once it has committed.
///
/// # Errors
/// [`DbError`].
pub async fn revoke_of(
    conn: &mut Conn,
    of: &GrantsOf<'_>,
    now: Instant,
) -> Result<Vec<RevocationRow>, DbError> {
    let revoked = grants::revoke_of(conn, of, now).await?;
    if revoked.is_empty() {
        return Ok(Vec::new());
    }
    grants::record_revoked(conn, of, now).await?;
    let children = revoke_children(conn, now).await?;
    let rows = revoked.into_iter().map(|(id, until)| revocation(id, until));
    Ok(rows.chain(children).collect())
}

/// What was made of the grants that were revoked at this instant by token exchange ends with them.
async fn revoke_children(conn: &mut Conn, now: Instant) -> Result<Vec<RevocationRow>, DbError> {
    let children = grants::revoke_children(conn, now).await?;
    if !children.is_empty() {
        grants::record_children(conn, now).await?;
    }
    let rows = children
        .into_iter()
        .map(|(id, until)| revocation(id, until));
    Ok(rows.collect())
}

fn revocation(id: String, matters_until: Instant) -> RevocationRow {
    RevocationRow {
        kind: RevocationKind::Grant.as_str().into(),
        subject: id,
        matters_until,
        cutoff: None,
    }
}

/// A grant of these terms that brings nothing yet.
fn row_of(id: &GrantId, terms: &Terms, now: Instant) -> GrantRow {
    GrantRow {
        id: id.to_string(),
        code_digest: None,
        client_id: terms.client_id.to_string(),
        account_id: terms.account_id.to_string(),
        session_id: terms.session_id.as_ref().map(ToString::to_string),
        offline: terms.offline,
        scope: terms.agreed.own.to_string(),
        resources: serde_json::json!(terms.agreed.resources),
        auth_time: terms.auth_time,
        amr: serde_json::json!(terms.amr),
        family_salt: None,
        generation: 0,
        rotated_at: None,
        rotation_digest: None,
        used_at: now,
        created_at: now,
        expires_at: now,
        revoked_at: None,
        access_until: now,
        requested_claims: terms.claims.to_row(),
        acr: terms.acr.clone(),
        authorization_details: terms.agreed.details_value(),
        issuer: None,
        parent_id: None,
        chain: None,
        confirmation: None,
    }
}

/// As it is kept.
fn to_value(confirmation: &Confirmation) -> Value {
    serde_json::json!(confirmation)
}

fn from_row(row: GrantRow, is_over: bool) -> Option<Grant> {
    let confirmation = row.confirmation.map(serde_json::from_value);
    let family = match row.family_salt {
        Some(salt) => Some(Family {
            salt,
            confirmation: confirmation.transpose().ok()?,
            generation: row.generation.try_into().ok()?,
            rotation: row.rotated_at.zip(row.rotation_digest),
            used_at: row.used_at,
            expires_at: row.expires_at,
            access_until: row.access_until,
        }),
        None => None,
    };
    let claims = GrantedClaims::from_row(row.requested_claims.as_ref())?;
    let chain = row.chain.map(serde_json::from_value).transpose().ok()?;
    Some(Grant {
        id: row.id.parse().ok()?,
        terms: Terms {
            client_id: row.client_id.parse().ok()?,
            account_id: row.account_id.parse().ok()?,
            session_id: row.session_id.map(|id| id.parse()).transpose().ok()?,
            offline: row.offline,
            agreed: Agreement {
                own: row.scope.parse().ok()?,
                resources: serde_json::from_value(row.resources).ok()?,
                claims: claims.all(),
                details: Agreement::details_of(row.authorization_details)?,
            },
            claims,
            auth_time: row.auth_time,
            amr: serde_json::from_value(row.amr).ok()?,
            acr: row.acr,
        },
        family,
        is_over,
        expires_at: row.expires_at,
        access_until: row.access_until,
        chain,
        is_of_another_issuer: row.issuer.is_some(),
    })
}
