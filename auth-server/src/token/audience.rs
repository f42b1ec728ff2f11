//! Who an access token is for: one resource server, with the scopes and the authorization details that are its own (RFC 8707 §2.2,
//! RFC 9068 §3, RFC 9396 §9).

use std::sync::Arc;

use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

use super::error::TokenError;
use super::{Target, access_token::AccessTokens};
use crate::accounts::AccountId;
use crate::authorization_details::{ByResource, InvalidDetails};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::clients::ClientMetadata;
use crate::refusals::Detail;
use crate::resource_servers::{ResourceServer, TokenFormat};
use crate::subjects::SubjectType;

/// A resource server, and what may be done there.
#[derive(Clone)]
pub struct Audience {
    /// Who.
    pub server: Arc<ResourceServer>,
    /// What, of that server's scopes.
    pub scope: ScopeSet,
    /// What, in more words.
    pub details: AuthorizationDetails,
    /// How the client gets it.
    pub format: TokenFormat,
}

impl Audience {
    /// A scope of this server stays here, whatever a resource server calls its own.
    fn of(server: Arc<ResourceServer>, allowed: &ScopeSet, details: AuthorizationDetails) -> Self {
        let scope = server.scope();
        let scope = scope
            .iter()
            .filter(|token| OwnScope::of(token).is_none() && allowed.contains(token));
        let scope = scope.cloned().collect();
        Self {
            format: server.token_format,
            server,
            scope,
            details,
        }
    }

    /// This server itself, for what people allow there.
    fn of_issuer(server: &Arc<ResourceServer>, allowed: &ScopeSet) -> Self {
        Self {
            server: Arc::clone(server),
            scope: allowed.clone(),
            details: AuthorizationDetails::default(),
            format: server.token_format,
        }
    }

    fn is_empty(&self) -> bool {
        self.scope.is_empty() && self.details.is_empty()
    }

    /// The same if it holds any of the details, where some were asked for.
    fn with_what_is_asked(self, target: &Target) -> Result<Self, TokenError> {
        if target.details.is_some() && self.details.is_empty() {
            Err(InvalidDetails::OfOtherResources.into())
        } else {
            Ok(self)
        }
    }
}

impl AccessTokens {
    /// Where a client that acts for itself may do what of `asked` and `details` belongs there: the resource named, else the only one
    /// that has any of the details, else the client's default, else the only one that has any of the scopes, else this server.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn audience_of_client(
        &self,
        asked: &ScopeSet,
        details: &ByResource,
        target: &Target,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        let audience = self.audience_by(asked, details, target, metadata)?;
        self.permitted(audience, metadata)
    }

    fn audience_by(
        &self,
        asked: &ScopeSet,
        details: &ByResource,
        target: &Target,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        let of_details;
        let named = if target.resource.is_some() {
            target.resource.as_ref()
        } else {
            of_details = only_of(details)?;
            of_details.as_ref()
        };
        if let Some(named) = named.or(metadata.default_resource.as_ref()) {
            let server = self.known(named)?;
            let theirs = details.get(server.identifier.normal());
            let theirs = theirs.cloned().unwrap_or_default();
            let audience = Audience::of(server, asked, theirs).with_what_is_asked(target)?;
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

    /// Where a client may act for a person, of what they agreed to and it asks for: the resource named, else the only one that has any
    /// of the authorization details asked for, else the client's default, else the only one that has any scope or details of it, else
    /// this server. Only what the person saw at a resource counts there (threat 9).
    ///
    /// A client that knows people by names that nobody else does (OpenID Connect Core §8) must not read in a token what a resource
    /// server calls them, nor compare it with what another client of that server reads there: it gets opaque ones.
    ///
    /// # Errors
    /// [`TokenError::UnknownResource`], [`TokenError::SeveralResources`], [`TokenError::TokenAlgorithm`],
    /// [`InvalidDetails::OfOtherResources`].
    pub fn audience_of_grant(
        &self,
        allowed: &Agreement,
        target: &Target,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        let mut audience = self.audience_of(allowed, target, metadata)?;
        if metadata.subject_type() == SubjectType::Pairwise && !self.is_own(&audience.server) {
            audience.format = TokenFormat::Opaque;
        }
        self.permitted(audience, metadata)
    }

    /// The same, if the client may have what it would be given: what no JWT is has no signature. What is for this server is signed with
    /// what the client may have.
    fn permitted(
        &self,
        mut audience: Audience,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        let alg = audience.server.alg;
        let demands = self.profiles.demands_on(metadata);
        if audience.format == TokenFormat::Jwt && !demands.permits(alg) {
            if !self.is_own(&audience.server) {
                return Err(TokenError::TokenAlgorithm(alg));
            }
            let own = Arc::make_mut(&mut audience.server);
            own.alg = self.profiles.signs();
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
        target: &Target,
        metadata: &ClientMetadata,
    ) -> Result<Audience, TokenError> {
        if let Some(named) = &target.resource {
            if *named == self.own.identifier {
                return Audience::of_issuer(&self.own, &allowed.own).with_what_is_asked(target);
            }
            let agreed = self.agreed(named, allowed);
            return agreed
                .ok_or_else(|| {
                    TokenError::NoSuchResource(Detail::new(Detail::uri(named.as_str())))
                })?
                .with_what_is_asked(target);
        }
        if target.details.is_some()
            && let Some(only) = only_of(&allowed.details)?
        {
            let agreed = self.agreed(&only, allowed);
            return agreed
                .ok_or(InvalidDetails::NotGranted)?
                .with_what_is_asked(target);
        }
        let default = metadata.default_resource.as_ref();
        let default = default.and_then(|default| self.agreed(default, allowed));
        if let Some(default) = default.filter(|audience| !audience.is_empty()) {
            return Ok(default);
        }
        let of_details = allowed.details.keys();
        let of_details = of_details.filter(|normal| !allowed.resources.contains_key(*normal));
        let agreed = allowed.resources.keys().chain(of_details);
        let agreed = agreed.filter_map(|normal| self.agreed(&normal.parse().ok()?, allowed));
        // One that was named and nothing more comes second to those with a scope or details.
        let (bare, useful): (Vec<_>, Vec<_>) = agreed.partition(Audience::is_empty);
        let candidates = if useful.is_empty() { bare } else { useful };
        Ok(match <[Audience; 1]>::try_from(candidates) {
            Ok([only]) => only,
            Err(_) => Audience::of_issuer(&self.own, &allowed.own),
        })
    }

    /// A resource as far as a person agreed to it: even without a scope if they named it so, but not once all that they agreed to is
    /// gone.
    fn agreed(&self, resource: &ResourceId, allowed: &Agreement) -> Option<Audience> {
        let scope = allowed.resources.get(resource.normal());
        let details = allowed.details.get(resource.normal());
        if scope.is_none() && details.is_none() {
            return None;
        }
        let server = self.resource_servers.find(resource)?;
        let left = details.map(|details| self.resource_servers.details_at(&server, details));
        let none = ScopeSet::default();
        let audience = Audience::of(server, scope.unwrap_or(&none), left.unwrap_or_default());
        let is_bare = scope.is_some_and(ScopeSet::is_empty) && details.is_none();
        (is_bare || !audience.is_empty()).then_some(audience)
    }

    fn with_any_of(&self, allowed: &ScopeSet) -> impl Iterator<Item = Audience> {
        self.resource_servers
            .all()
            .into_iter()
            .map(|server| Audience::of(server, allowed, AuthorizationDetails::default()))
            .filter(|audience| !audience.is_empty())
    }

    fn known(&self, named: &ResourceId) -> Result<Arc<ResourceServer>, TokenError> {
        let unknown = || TokenError::NoSuchResource(Detail::new(Detail::uri(named.as_str())));
        self.resource_servers.find(named).ok_or_else(unknown)
    }
}

/// The only resource that any of the details belong to, if there are any. Where there are several, the client says for which the token
/// is.
fn only_of(details: &ByResource) -> Result<Option<ResourceId>, TokenError> {
    let mut resources = details.keys();
    match (resources.next(), resources.next()) {
        (None, _) => Ok(None),
        (Some(only), None) => Ok(only.parse().ok()),
        (Some(_), Some(_)) => Err(TokenError::SeveralResources),
    }
}
