//! The refresh token grant (RFC 6749 §6, RFC 9700 §4.14).

use sha2::{Digest, Sha256};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::error::TokenError;
use super::person::Granted;
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::clients::GrantType;
use crate::clients::authenticate::AuthenticatedClient;
use crate::grants::{Family, Grant, GrantsError};
use crate::refresh_tokens::PresentedToken;

/// A request of this grant.
pub struct RefreshRequest {
    /// The refresh token.
    pub refresh_token: String,
    /// What of the grant the access token is for.
    pub target: Target,
}

/// Gives a fresh access token, and to a public client a fresh refresh token in place of the one that it used.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: &RefreshRequest,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    if !metadata.grant_types.contains(&GrantType::RefreshToken) {
        return Err(TokenError::UnauthorizedClient(GrantType::RefreshToken));
    }
    grantor.check_id_token_key(client, now)?;
    let presented =
        PresentedToken::parse(&request.refresh_token).ok_or(TokenError::RefreshUnknown)?;
    let found = grantor.read(&presented, now).await?;
    let (grant, family) = found.ok_or(TokenError::RefreshUnknown)?;
    // RFC 6749 §10.4. The family lives on: the token is worth nothing to this client, and whoever stole it would have named the
    // right one, which for a public client takes no proof. To end it here would only punish who mixes up two of their own clients.
    if grant.terms.client_id != *client.id() {
        return Err(TokenError::RefreshOfAnother);
    }
    grantor.judge(&presented, &grant, &family, now).await?;
    let person = grant.terms.account_id.as_str().as_bytes();
    client
        .standings()
        .note(grantor.accounts.admit(person, now).await?);
    let allowed = allowed(client, request, &grant)?;
    let named = request.target.resource.as_ref();
    let audience = grantor
        .tokens
        .audience_of_grant(&allowed, named, metadata)?;
    let successor = if client.is_confidential() {
        grantor.current(&presented, &grant, &family, now).await?;
        None
    } else {
        Some(
            grantor
                .successor(&presented, request, &grant, family, now)
                .await?,
        )
    };
    let granted = Granted {
        name: GrantName::RefreshToken,
        id: &grant.id,
        terms: &grant.terms,
        allowed: &allowed,
        // OpenID Connect Core §12.2: the new ID token has none.
        nonce: None,
        refresh_token: successor,
    };
    grantor.issue(client, granted, audience, now).await
}

/// RFC 6749 §6: without a scope, all that was granted; it may be narrowed, and only for these tokens: the refresh token keeps all.
fn allowed(
    client: &AuthenticatedClient,
    request: &RefreshRequest,
    grant: &Grant,
) -> Result<Agreement, TokenError> {
    let allowed = Grantor::allowed(client, &grant.terms)?;
    match &request.target.scope {
        None => Ok(allowed),
        Some(asked) if asked.is_subset(&allowed.scope()) => Ok(allowed.narrowed(asked)),
        Some(_) => Err(TokenError::InvalidScope),
    }
}

/// Two uses within the grace window are one only if they ask for the same.
fn digest(target: &Target) -> [u8; 32] {
    let scope = target.scope.as_ref().map(ScopeSet::to_string);
    let resource = target
        .resource
        .as_ref()
        .map(|resource| resource.normal().to_owned());
    let mut hash = Sha256::new();
    for part in [scope, resource] {
        // Neither holds a line break.
        hash.update(part.map_or_else(String::new, |part| format!("={part}")));
        hash.update("\n");
    }
    hash.finalize().into()
}

impl Grantor {
    /// The grant of a token that this server made. What is made up tells nothing apart from what is forgotten.
    pub(crate) async fn read(
        &self,
        presented: &PresentedToken,
        now: Instant,
    ) -> Result<Option<(Grant, Family)>, GrantsError> {
        let found = self.grants.find(&presented.grant_id, now).await?;
        Ok(found.and_then(|mut grant| {
            let family = grant.family.take()?;
            let authentic = self.refresh_tokens.is_authentic(presented, &family.salt);
            authentic.then_some((grant, family))
        }))
    }

    /// Whether the family goes on, and the token is the last or the one before it. Any older one is a replay: somebody has what was
    /// replaced long ago, and nobody can tell who (RFC 9700 §4.14.2).
    async fn judge(
        &self,
        presented: &PresentedToken,
        grant: &Grant,
        family: &Family,
        now: Instant,
    ) -> Result<(), TokenError> {
        if grant.is_over {
            return Err(TokenError::GrantOver);
        }
        let idle = self.grants.lifetimes.idle;
        if family.expires_at <= now || now.since(family.used_at) >= idle {
            return Err(TokenError::RefreshExpired);
        }
        if self.is_in_grace(presented, family, now) || presented.generation == family.generation {
            return Ok(());
        }
        self.grants.revoke(&grant.id, now).await?;
        Err(TokenError::RefreshReplayed)
    }

    /// Open from the first use of a token until the successor is used, which moves the family on, or the window has passed. While the
    /// database is away it stands still: the first use may have been committed although nobody could be told.
    fn is_in_grace(&self, presented: &PresentedToken, family: &Family, now: Instant) -> bool {
        let grants = &self.grants;
        let within = |at: Instant| grants.outage.time_without(at, now) < grants.lifetimes.grace;
        presented.generation.checked_add(1) == Some(family.generation)
            && family.rotation.as_ref().is_some_and(|(at, _)| within(*at))
    }

    /// A client that proves who it is keeps its refresh token (RFC 9700 §2.2.2 asks for rotation or sender constraint only of public
    /// ones), unless it was public before.
    async fn current(
        &self,
        presented: &PresentedToken,
        grant: &Grant,
        family: &Family,
        now: Instant,
    ) -> Result<(), TokenError> {
        if presented.generation != family.generation {
            self.grants.revoke(&grant.id, now).await?;
            return Err(TokenError::RefreshReplayed);
        }
        Ok(self.grants.note_use(&grant.id, family, now).await?)
    }

    /// Moves the family on, at most once, and derives the token of the next generation: the same one for everybody who asks for the
    /// same within the grace window.
    async fn successor(
        &self,
        presented: &PresentedToken,
        request: &RefreshRequest,
        grant: &Grant,
        mut family: Family,
        now: Instant,
    ) -> Result<String, TokenError> {
        let digest = digest(&request.target);
        let next = presented
            .generation
            .checked_add(1)
            .ok_or(TokenError::RefreshExpired)?;
        if presented.generation == family.generation {
            let id = &grant.id;
            if self
                .grants
                .rotate(id, presented.generation, &digest, now)
                .await?
            {
                return Ok(self.refresh_tokens.derive(id, &family.salt, next));
            }
            // Somebody else moved it on, or ended it, since it was read.
            let found = self.read(presented, now).await?;
            let (grant, moved) = found.ok_or(TokenError::RefreshUnknown)?;
            self.judge(presented, &grant, &moved, now).await?;
            family = moved;
        }
        match &family.rotation {
            Some((_, of)) if family.generation == next && *of == digest => {
                Ok(self.refresh_tokens.derive(&grant.id, &family.salt, next))
            }
            Some(_) | None => Err(TokenError::RefreshOtherRequest),
        }
    }
}
