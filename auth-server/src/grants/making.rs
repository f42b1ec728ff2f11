//! How a grant comes to be.

use std::time::Duration;

use shared_protocol::confirmation::Confirmation;
use shared_protocol::time::Instant;
use shared_server::db::DbError;

use super::rows::{row_of, to_value};
use super::{Grant, GrantId, Grants, Terms};
use crate::store::grants::{self, GrantRow};
use crate::store::{identity_links, revocations, trusted_issuers};
use crate::token::chain::Chain;

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
}
