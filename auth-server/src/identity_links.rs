//! What other issuers call people (`iss` and `sub`): one person may have several such names, and each is one person's.

use std::str::FromStr;

use serde::Serialize;
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use crate::accounts::AccountId;
use crate::grants::{GrantsOf, revoke_of};
use crate::revocations::Revocations;
use crate::store::identity_links::{self, IdentityLinkRow};

/// The most links of one person that are shown.
const SHOWN: i64 = 1000;

/// What an issuer calls somebody: one to 255 printable ASCII characters (OpenID Connect Core §2, `sub`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExternalSubject(Box<str>);

/// No `sub`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a subject is 1 to 255 printable ASCII characters (OpenID Connect Core section 2)")]
pub struct InvalidSubject;

impl FromStr for ExternalSubject {
    type Err = InvalidSubject;

    fn from_str(raw: &str) -> Result<Self, InvalidSubject> {
        let printable = raw.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if (1..=255).contains(&raw.len()) && printable {
            Ok(Self(raw.into()))
        } else {
            Err(InvalidSubject)
        }
    }
}

impl ExternalSubject {
    /// As the issuer writes it: compared character by character.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A link, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct IdentityLink {
    /// Who calls the person so.
    pub issuer: String,
    /// What.
    pub subject: String,
}

/// Why a link could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A name is one person's.
    #[error(
        "the issuer's subject is linked to an account already: `auth-server user unlink` first"
    )]
    Linked,
    /// There is nobody to link.
    #[error("there is no such account")]
    NoAccount,
    /// The database did not answer.
    #[error(transparent)]
    Store(DbError),
}

/// The links of this server.
#[derive(Clone)]
pub struct IdentityLinks {
    /// Where they are kept.
    pub store: Store,
    /// Where the end of what came by them is told.
    pub revocations: Revocations,
}

impl IdentityLinks {
    /// Whose account it is that this issuer calls so.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn find(
        &self,
        issuer: &Issuer,
        subject: &ExternalSubject,
    ) -> Result<Option<AccountId>, DbError> {
        let mut conn = self.store.read().await?;
        let found = identity_links::find(&mut conn, issuer.as_str(), subject.as_str()).await?;
        Ok(found.and_then(|id| id.parse().ok()))
    }

    /// The links of an account.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn of(&self, account_id: &AccountId) -> Result<Vec<IdentityLink>, DbError> {
        let mut conn = self.store.read().await?;
        let rows = identity_links::of_account(&mut conn, account_id.as_str(), SHOWN).await?;
        let links = rows.into_iter().map(|row| IdentityLink {
            issuer: row.issuer,
            subject: row.subject,
        });
        Ok(links.collect())
    }

    /// Links an account.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn link(
        &self,
        account_id: &AccountId,
        (issuer, subject): (&Issuer, &ExternalSubject),
        now: Instant,
    ) -> Result<(), LinkError> {
        let row = IdentityLinkRow {
            issuer: issuer.to_string(),
            subject: subject.as_str().to_owned(),
            account_id: account_id.to_string(),
            created_at: now,
        };
        let mut conn = self.store.write().await.map_err(LinkError::Store)?;
        match identity_links::insert(&mut conn, &row).await {
            Ok(()) => Ok(()),
            Err(DbError::Duplicate(_)) => Err(LinkError::Linked),
            Err(DbError::Reference(_)) => Err(LinkError::NoAccount),
            Err(error) => Err(LinkError::Store(error)),
        }
    }

    /// Takes a link away, and with it whatever the issuer brought for that person; whose it was, if it was there.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn unlink(
        &self,
        (issuer, subject): (&Issuer, &ExternalSubject),
        now: Instant,
    ) -> Result<Option<AccountId>, DbError> {
        let (issuer, subject) = (issuer.as_str(), subject.as_str());
        let (account_id, revoked) = self
            .store
            .transaction(async |conn| {
                let deleted = identity_links::delete(conn, issuer, subject).await?;
                let account_id: Option<AccountId> = deleted.and_then(|id| id.parse().ok());
                let revoked = match &account_id {
                    Some(id) => revoke_of(conn, &GrantsOf::Link(issuer, id), now).await?,
                    None => Vec::new(),
                };
                Ok::<_, DbError>((account_id, revoked))
            })
            .await?;
        self.revocations.learn(revoked);
        Ok(account_id)
    }
}
