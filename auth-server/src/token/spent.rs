//! What comes of something that brings one grant and was taken by its one atomic step: an authorization code, or a device code.

use serde::Serialize;
use shared_protocol::time::Instant;
use shared_server::db::DbError;
use shared_server::ephemeral::Key;

use super::audience::Audience;
use super::error::TokenError;
use super::person::{Prepared, allowed_to};
use super::{Grantor, Target};
use crate::authorize::agreement::Agreement;
use crate::clients::GrantType;
use crate::clients::authenticate::{AuthenticatedClient, ClientAuthError};
use crate::codes::Kept;
use crate::grants::{Redeemed, Redemption, Terms};

/// What was taken.
pub(super) struct Spent<'a, A> {
    /// As it was kept.
    pub(super) kept: &'a Kept<A>,
    /// What was allowed.
    pub(super) terms: &'a Terms,
    /// By which a second use is known, whatever the ephemeral store forgets.
    pub(super) digest: [u8; 32],
}

/// What came of it, before there are tokens.
pub(super) struct Brought {
    pub(super) allowed: Agreement,
    pub(super) prepared: Prepared,
    pub(super) family_salt: Option<[u8; 16]>,
}

impl Grantor {
    /// What of `agreed` tokens may be made for now, and whom an access token is for.
    pub(super) fn allowed_at(
        &self,
        client: &AuthenticatedClient,
        agreed: &Agreement,
        target: &Target,
        now: Instant,
    ) -> Result<(Agreement, Audience), TokenError> {
        let metadata = &client.client().metadata;
        let allowed = allowed_to(metadata, agreed)?;
        let allowed = target.of(allowed, &self.tokens.resource_servers)?;
        let audience = self.tokens.audience_of_grant(&allowed, target, metadata)?;
        self.tokens.check_signer(&audience, now)?;
        Ok((allowed, audience))
    }

    /// Makes the grant.
    pub(super) async fn bring<A>(
        &self,
        client: &AuthenticatedClient,
        spent: &Spent<'_, A>,
        target: &Target,
        now: Instant,
    ) -> Result<Brought, TokenError> {
        let (kept, terms) = (spent.kept, spent.terms);
        let (allowed, audience) = self.allowed_at(client, &terms.agreed, target, now)?;
        let grant_types = &client.client().metadata.grant_types;
        let refreshes = grant_types.contains(&GrantType::RefreshToken);
        let family_salt = refreshes.then_some(kept.family_salt);
        let redemption = Redemption {
            id: &kept.grant_id,
            code_digest: Some(spent.digest),
            terms,
            allowed_at: kept.issued_at,
            family_salt,
            confirmation: client.to_bind_refresh_tokens(),
            unanswered: &kept.unanswered,
            access_lifetime: audience.server.lifetime,
        };
        let person = terms.account_id.as_str().as_bytes();
        let standing = self.accounts.admit(person, now).await?;
        client.standings().note(standing);
        let of = (&kept.grant_id, terms);
        let prepared = self.prepare(client, of, &allowed, (audience, None), now);
        let prepared = prepared.await?;
        match self.grants.redeem(&redemption, now).await? {
            Redeemed::Granted => Ok(Brought {
                allowed,
                prepared,
                family_salt,
            }),
            Redeemed::Before => Err(TokenError::CodeReplayed),
            Redeemed::SessionOver => Err(TokenError::SessionOver),
            Redeemed::PersonGone => Err(TokenError::PersonGone),
            Redeemed::CutOff => Err(TokenError::CodeRevoked),
            // What it would have been told a moment later, for it no longer is who it was.
            Redeemed::ClientGone => Err(ClientAuthError::Refused.into()),
        }
    }

    /// What has to happen when nothing came of it.
    pub(super) async fn brought_nothing<A: Serialize>(
        &self,
        refusal: TokenError,
        (key, digest): (Key, [u8; 32]),
        kept: Box<Kept<A>>,
        now: Instant,
    ) -> TokenError {
        if !matches!(
            refusal,
            TokenError::Store(_) | TokenError::NoSigningKey | TokenError::RateLimited(_)
        ) {
            // RFC 6749 §4.1.2: to the ephemeral store this was the first use, and it may have forgotten another.
            return match self.revoke_brought_by(&digest, now).await {
                Ok(_) => refusal,
                Err(error) => error.into(),
            };
        }
        // Nothing is left half done: the client tries again. Should the transaction have been committed although nobody could say so,
        // then its grant is there, and the next use, which is the first to be answered, gets it. If it cannot be kept either, it is
        // spent.
        let kept = if matches!(refusal, TokenError::Store(_)) {
            kept.unanswered_at(now)
        } else {
            *kept
        };
        if let Err(error) = kept.put(&self.codes.ephemeral, &key, now).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a code was spent, and brought nothing"
            );
        }
        refusal
    }

    /// Revokes the grant that the code of this digest brought, however long ago; whether there was one.
    pub(super) async fn revoke_brought_by(
        &self,
        digest: &[u8; 32],
        now: Instant,
    ) -> Result<bool, DbError> {
        let Some(id) = self.grants.find_by_code(digest).await? else {
            return Ok(false);
        };
        self.grants.revoke(&id, now).await?;
        Ok(true)
    }
}
