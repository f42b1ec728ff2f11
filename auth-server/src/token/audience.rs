//! Who an access token is for: one resource server, with the scopes that are its own (RFC 8707 §2.2, RFC 9068 §3).

use std::sync::Arc;

use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use super::error::TokenError;
use super::{Target, access_token::AccessTokens};
use crate::accounts::AccountId;
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::clients::ClientMetadata;
use crate::resource_servers::ResourceServer;
use crate::subjects::SubjectType;

/// A resource server, and what may be done there.
#[derive(Clone)]
pub struct Audience {
    /// Who.
    pub server: Arc<ResourceServer>,
    /// What, of that server's scopes.
    pub scope: ScopeSet,
}

impl Audience {
    /// A scope of this server stays here, whatever a resource server calls its own.
    fn of(server: Arc<ResourceServer>, allowed: &ScopeSet) -> Self {
        let scope = server.scope();
        let scope = scope
            .iter()
            .filter(|token| OwnScope::of(token).is_none() && allowed.contains(token));
        let scope = scope.cloned().collect();
        Self { server, scope }
    }

    /// This server itself, for what people allow there.
    fn of_issuer(server: &Arc<ResourceServer>, allowed: &ScopeSet) -> Self {
        Self {
            server: Arc::clone(server),
            scope: allowed.clone(),
        }
    }

    fn is_empty(&self) -> bool {
        self.scope.is_empty()
    }
}

impl AccessTokens {
    /// Where a client that acts for itself may do what of `asked` belongs there: the resource named, else the client's default, else
    /// the only one that has any of the scopes, else this server.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn audience_of_client(
        &self,
        asked: &ScopeSet,
        target: &Target,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        if let Some(named) = target
            .resource
            .as_ref()
            .or(metadata.default_resource.as_ref())
        {
            let audience = Audience::of(self.resource_server(named)?, asked);
            return if audience.is_empty() {
                Err(TokenError::NoScope)
            } else {
                Ok(audience)
            };
        }
        let mut candidates = self.with_any_of(asked);
        match (candidates.next(), candidates.next()) {
            (Some(only), None) => Ok(only),
            // RFC 9068 §3: scopes that lead to different resources are refused; a request that names nothing gets the default, this
            // server itself, of which no scope is held by a client.
            (Some(_), Some(_)) if target.scope.is_some() => Err(TokenError::AmbiguousScope),
            (Some(_), Some(_)) => Ok(Audience::of_issuer(&self.own, &ScopeSet::default())),
            (None, _) => Err(TokenError::NoScope),
        }
    }

    /// Where a client may act for a person, of what they agreed to: the resource named, else the client's default, else the only one
    /// that has any scope of it, else this server. Only scopes that the person saw at a resource count there (threat 9).
    ///
    /// # Errors
    /// [`TokenError::UnknownResource`], [`TokenError::PublicSubjects`].
    pub fn audience_of_grant(
        &self,
        allowed: &Agreement,
        named: Option<&ResourceId>,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        let audience = self.audience_of(allowed, named, metadata)?;
        // Who knows people by names that nobody else does must not read in a token what everybody calls them.
        let tells = !self.is_own(&audience.server)
            && audience.server.subject_type == SubjectType::Public
            && metadata.subject_type() == SubjectType::Pairwise;
        if tells {
            return Err(TokenError::PublicSubjects);
        }
        Ok(audience)
    }

    /// What a person is called in an access token: at this server, as the client that shows it calls them.
    #[must_use]
    pub fn subject(
        &self,
        server: &ResourceServer,
        metadata: &ClientMetadata,
        account_id: &AccountId,
    ) -> String {
        if self.is_own(server) {
            self.subjects.of(metadata, account_id)
        } else {
            self.subjects.at(server, account_id)
        }
    }

    fn is_own(&self, server: &ResourceServer) -> bool {
        server.identifier == self.own.identifier
    }

    fn audience_of(
        &self,
        allowed: &Agreement,
        named: Option<&ResourceId>,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        if let Some(named) = named {
            if *named == self.own.identifier {
                return Ok(Audience::of_issuer(&self.own, &allowed.own));
            }
            return self
                .agreed(named, allowed)
                .ok_or(TokenError::UnknownResource);
        }
        let default = metadata.default_resource.as_ref();
        let default = default.and_then(|default| self.agreed(default, allowed));
        if let Some(default) = default.filter(|audience| !audience.is_empty()) {
            return Ok(default);
        }
        let agreed = allowed.resources.keys().filter_map(|normal| {
            let id = normal.parse().ok()?;
            self.agreed(&id, allowed)
        });
        // One that was named without a scope comes second to those with one.
        let (bare, useful): (Vec<_>, Vec<_>) = agreed.partition(Audience::is_empty);
        let candidates = if useful.is_empty() { bare } else { useful };
        Ok(match <[Audience; 1]>::try_from(candidates) {
            Ok([only]) => only,
            Err(_) => Audience::of_issuer(&self.own, &allowed.own),
        })
    }

    /// A resource as far as a person agreed to it: even without a scope if they named it so, but not once all its scopes are gone.
    fn agreed(&self, resource: &ResourceId, allowed: &Agreement) -> Option<Audience> {
        let scope = allowed.resources.get(resource.normal())?;
        let audience = Audience::of(self.resource_servers.find(resource)?, scope);
        (scope.is_empty() || !audience.is_empty()).then_some(audience)
    }

    fn with_any_of(&self, allowed: &ScopeSet) -> impl Iterator<Item = Audience> {
        self.resource_servers
            .all()
            .into_iter()
            .map(|server| Audience::of(server, allowed))
            .filter(|audience| !audience.is_empty())
    }

    fn resource_server(&self, named: &ResourceId) -> Result<Arc<ResourceServer>, TokenError> {
        self.resource_servers
            .find(named)
            .ok_or(TokenError::UnknownResource)
    }
}
