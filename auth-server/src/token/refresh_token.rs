//! The refresh token grant (RFC 6749 §6, RFC 9700 §4.14).
//!
//! The refresh tokens of a public client are bound to the key, or the certificate, by which it got the first (RFC 9449 §5, RFC 8705 §4), or
//! by which it got the next if that was the first time that it showed any. From then on they are not rotated (RFC 9700 §2.2.2 asks for one
//! of the two), and whoever comes without it is refused, and ends nothing: to find a token is no use of it. That does not change with the
//! client: one that proves who it is since needs the key all the same.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::audience::Audience;
use super::chain::Chain;
use super::error::TokenError;
use super::person::{Granted, Prepared};
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::authorize::agreement::Agreement;
use crate::clients::GrantType;
use crate::clients::authenticate::AuthenticatedClient;
use crate::grants::{Family, Grant, GrantId, GrantsError, Refresh, Settled, Terms};
use crate::refresh_tokens::PresentedToken;
use crate::refusals::Detail;
use crate::resource_servers::TokenFormat;

/// A request of this grant.
pub struct RefreshRequest {
    /// The refresh token.
    pub refresh_token: String,
    /// What of the grant the access token is for.
    pub target: Target,
}

/// Gives a fresh access token, and to a public client whose refresh token is bound to nothing a fresh one in place of that.
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
    grantor.check_id_token_keys(client, now).await?;
    let presented =
        PresentedToken::parse(&request.refresh_token).ok_or(TokenError::RefreshUnknown)?;
    let use_of = Use {
        client,
        request,
        presented: &presented,
    };
    if let Some(response) = grantor.rotate_settled(&use_of, now).await? {
        return Ok(response);
    }
    let found = grantor.read(&presented, now).await?;
    let (grant, family) = found.ok_or(TokenError::RefreshUnknown)?;
    use_of.check_client(&grant.terms)?;
    grantor.judge(&use_of, &grant, &family, now).await?;
    grantor.admit(&use_of, &grant.terms, now).await?;
    let RefreshOrder {
        allowed,
        audience,
        refresh,
    } = use_of.order(&grant.terms, grantor, now)?;
    if let Some(chain) = &grant.chain {
        grantor.check_descent(client, &grant, chain, now).await?;
    }
    let of = (&grant.id, &grant.terms);
    let exchanged = grant.chain.clone().map(|chain| Chain {
        ends_at: Some(grant.expires_at),
        ..chain
    });
    let audience = (audience, exchanged);
    let prepared = grantor.prepare(client, of, &allowed, audience, now).await?;
    let is_last = family.confirmation.is_some() && presented.generation == family.generation;
    let successor = if client.is_confidential() || is_last {
        grantor.current(&presented, &family, &refresh, now).await?;
        None
    } else {
        let successor = grantor.successor(&use_of, family, &refresh, now);
        Some(successor.await?)
    };
    grantor
        .refreshed(&use_of, of.1, (&allowed, prepared), (successor, now))
        .await
}

/// One use of a refresh token.
struct Use<'a> {
    client: &'a AuthenticatedClient,
    request: &'a RefreshRequest,
    presented: &'a PresentedToken,
}

/// What a use brings if the token is good.
struct RefreshOrder {
    allowed: Agreement,
    audience: Audience,
    refresh: Refresh,
}

impl Use<'_> {
    /// RFC 6749 §10.4. The family lives on: the token is worth nothing to this client, and whoever stole it would have named the
    /// right one, which for a public client takes no proof. To end it here would only punish who mixes up two of their own clients.
    fn check_client(&self, terms: &Terms) -> Result<(), TokenError> {
        if terms.client_id == *self.client.id() {
            Ok(())
        } else {
            let why = format!("to {}", terms.client_id);
            Err(TokenError::RefreshOfAnother(Detail::new(why)))
        }
    }

    fn order(
        &self,
        terms: &Terms,
        grantor: &Grantor,
        now: Instant,
    ) -> Result<RefreshOrder, TokenError> {
        let target = &self.request.target;
        // Only these tokens are narrowed: the refresh token keeps all.
        let allowed = Grantor::allowed(self.client, terms)?;
        let allowed = target.of(allowed, &grantor.tokens.resource_servers)?;
        let metadata = &self.client.client().metadata;
        let audience = grantor
            .tokens
            .audience_of_grant(&allowed, target, metadata)?;
        grantor.tokens.check_signer(&audience, now)?;
        let refresh = Refresh {
            digest: digest(target),
            confirmation: self.client.to_bind_refresh_tokens().cloned(),
            access_lifetime: audience.server.lifetime,
        };
        Ok(RefreshOrder {
            allowed,
            audience,
            refresh,
        })
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
    if let Some(details) = &target.details {
        hash.update(details.to_string());
    }
    hash.finalize().into()
}

impl Grantor {
    /// The tokens of a rotation by one statement, where what never changes of the grant is known and nothing speaks against the use
    /// of its newest token. Whatever does is for those to tell who read the row.
    async fn rotate_settled(
        &self,
        use_of: &Use<'_>,
        now: Instant,
    ) -> Result<Option<TokenResponse>, TokenError> {
        let presented = use_of.presented;
        let settled = self.grants.settled.recall(&presented.grant_id);
        let authentic =
            |settled: &Arc<Settled>| self.refresh_tokens.is_authentic(presented, &settled.salt);
        let Some(settled) = settled.filter(authentic) else {
            return Ok(None);
        };
        if use_of.client.is_confidential() || use_of.check_client(&settled.terms).is_err() {
            return Ok(None);
        }
        let (Ok(order), Some(next)) = (
            use_of.order(&settled.terms, self, now),
            presented.generation.checked_add(1),
        ) else {
            return Ok(None);
        };
        // A row for the access token is only written once nothing speaks against the use.
        if order.audience.format == TokenFormat::Opaque {
            return Ok(None);
        }
        self.admit(use_of, &settled.terms, now).await?;
        let RefreshOrder {
            allowed,
            audience,
            refresh,
        } = order;
        let (id, grants, terms) = (&presented.grant_id, &self.grants, &settled.terms);
        let (of, audience) = ((id, terms), (audience, None));
        let prepared = self.prepare(use_of.client, of, &allowed, audience, now);
        let prepared = prepared.await?;
        if !grants
            .rotate(id, presented.generation, &refresh, now)
            .await?
        {
            return Ok(None);
        }
        let successor = self.refresh_tokens.derive(id, &settled.salt, next);
        self.refreshed(use_of, terms, (&allowed, prepared), (Some(successor), now))
            .await
            .map(Some)
    }

    async fn admit(&self, use_of: &Use<'_>, terms: &Terms, now: Instant) -> Result<(), TokenError> {
        let person = terms.account_id.as_str().as_bytes();
        let standing = self.accounts.admit(person, now).await?;
        use_of.client.standings().note(standing);
        Ok(())
    }

    async fn refreshed(
        &self,
        use_of: &Use<'_>,
        terms: &Terms,
        (allowed, prepared): (&Agreement, Prepared),
        (refresh_token, now): (Option<String>, Instant),
    ) -> Result<TokenResponse, TokenError> {
        let granted = Granted {
            name: GrantName::RefreshToken,
            id: &use_of.presented.grant_id,
            terms,
            allowed,
            // OpenID Connect Core §12.2: the new ID token has none.
            nonce: None,
            prepared,
            refresh_token,
        };
        self.issue(use_of.client, granted, now).await
    }

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
    /// replaced long ago, and nobody can tell who (RFC 9700 §4.14.2). So is the one before it by whoever has not the key to which its
    /// successor was bound: the key may be the thief's.
    async fn judge(
        &self,
        use_of: &Use<'_>,
        grant: &Grant,
        family: &Family,
        now: Instant,
    ) -> Result<(), TokenError> {
        let presented = use_of.presented;
        if grant.is_over {
            return Err(TokenError::GrantOver);
        }
        let idle = self.grants.lifetimes.idle;
        if family.expires_at <= now || now.since(family.used_at) >= idle {
            return Err(TokenError::RefreshExpired);
        }
        let has_key = family.is_bound_to(use_of.client.confirmation());
        match presented.generation == family.generation {
            true if has_key => return Ok(()),
            // To find it is no use of it, and ends nothing.
            true => return Err(TokenError::RefreshOfAnotherKey),
            false if has_key && self.is_in_grace(presented, family, now) => return Ok(()),
            false => {}
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
    /// ones), unless it was public before; and so does one whose refresh token is bound.
    async fn current(
        &self,
        presented: &PresentedToken,
        family: &Family,
        refresh: &Refresh,
        now: Instant,
    ) -> Result<(), TokenError> {
        let id = &presented.grant_id;
        if presented.generation != family.generation {
            self.grants.revoke(id, now).await?;
            return Err(TokenError::RefreshReplayed);
        }
        self.note_use(id, family, refresh, now).await
    }

    async fn note_use(
        &self,
        id: &GrantId,
        family: &Family,
        refresh: &Refresh,
        now: Instant,
    ) -> Result<(), TokenError> {
        let lifetime = refresh.access_lifetime;
        if self.grants.note_use(id, family, lifetime, now).await? {
            Ok(())
        } else {
            Err(TokenError::GrantOver)
        }
    }

    /// Moves the family on, at most once, and derives the token of the next generation: the same one for everybody who asks for the
    /// same within the grace window.
    async fn successor(
        &self,
        use_of: &Use<'_>,
        mut family: Family,
        refresh: &Refresh,
        now: Instant,
    ) -> Result<String, TokenError> {
        let presented = use_of.presented;
        let id = &presented.grant_id;
        let next = presented
            .generation
            .checked_add(1)
            .ok_or(TokenError::RefreshExpired)?;
        if presented.generation == family.generation {
            if self
                .grants
                .rotate(id, family.generation, refresh, now)
                .await?
            {
                return Ok(self.refresh_tokens.derive(id, &family.salt, next));
            }
            // Somebody else moved it on, or ended it, since it was read.
            let found = self.read(presented, now).await?;
            let (grant, moved) = found.ok_or(TokenError::RefreshUnknown)?;
            self.judge(use_of, &grant, &moved, now).await?;
            family = moved;
        }
        match &family.rotation {
            Some((_, of)) if family.generation == next && *of == refresh.digest => {
                self.note_use(id, &family, refresh, now).await?;
                Ok(self.refresh_tokens.derive(id, &family.salt, next))
            }
            Some(_) | None => Err(TokenError::RefreshOtherRequest),
        }
    }
}
