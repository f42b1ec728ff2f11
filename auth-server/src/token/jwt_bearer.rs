//! The JWT bearer grant (RFC 7523 §2.1, RFC 7521 §4.1), and ID-JAGs where this is the server of the resource
//! (draft-ietf-oauth-identity-assertion-authz-grant-03 §4.4): an issuer that the operator trusts says for whom a client may have a token.
//!
//! What the operator allows the issuer stands for the consent of the person. There is no refresh token (RFC 7521 §4.1; the draft §4.4.3):
//! whoever wants another token brings another assertion. Nor is there an ID token, even with `openid`, which opens userinfo: who signed
//! in, and when, is the other issuer's to say.

mod assertion;
mod subject;

use std::sync::Arc;

use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use self::assertion::{Assertion, AssertionClaims};
pub use self::assertion::{AssertionRefusal, Judge};
pub use self::subject::People;
use self::subject::{Found, OfPerson};
use super::audience::Audience;
use super::client_credentials;
use super::error::TokenError;
use super::person::Granted;
use super::{GrantName, Grantor, Target, TokenResponse};
use crate::authorization_details::{ByResource, InvalidDetails};
use crate::authorize::agreement::Agreement;
use crate::authorize::request::OwnScope;
use crate::authorize::targets::Targets;
use crate::claims::GrantedClaims;
use crate::clients::GrantType;
use crate::clients::authenticate::{AuthenticatedClient, ClientAuthError};
use crate::grants::{GrantId, Redeemed, Spoken, Terms};
use crate::identity_links::ExternalSubject;
use crate::parameters::Parameters;
use crate::resource_servers::{ResourceServer, ResourceServers};
use crate::token::resource;
use crate::trusted_issuers::TrustedIssuer;

/// The parameters of this grant (RFC 7521 §4.1, RFC 8707 §2.2), as they came.
pub const PARAMETERS: [&str; 4] = ["assertion", "scope", "resource", "authorization_details"];

/// What the grant takes.
pub struct JwtBearer {
    /// Judges assertions.
    pub judge: Judge,
    /// Finds whom they are about.
    pub people: People,
}

/// What is asked for, within what the issuer and its assertion allow.
struct Asked {
    scope: ScopeSet,
    /// The resources that were named, if any were.
    named: Option<Vec<Arc<ResourceServer>>>,
    target: Target,
}

/// Gives a token for an assertion, which is spent after everything that can be judged without that.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    request: &Parameters,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let served = &grantor.jwt_bearer;
    if served.judge.issuers.snapshot().is_empty() {
        return Err(TokenError::UnsupportedGrantType);
    }
    let metadata = &client.client().metadata;
    if !metadata.grant_types.contains(&GrantType::JwtBearer) {
        return Err(TokenError::UnauthorizedClient(GrantType::JwtBearer));
    }
    let presented = request.required("assertion")?;
    // Nobody is shown what would be allowed by them.
    if request.optional("authorization_details").is_some() {
        return Err(InvalidDetails::NotGranted.into());
    }
    let assertion = served.judge.judge(presented, client, now).await?;
    let found = served.people.find(&assertion, client, now).await?;
    let asked = Asked::read(request, client, &assertion, grantor)?;
    match found {
        Found::Client => for_client(client, asked, assertion, grantor, now).await,
        Found::Person(person) => for_person(client, (person, asked), assertion, grantor, now).await,
    }
}

/// The token is the client's own, as by its credentials (RFC 6749 §4.4).
async fn for_client(
    client: &AuthenticatedClient,
    asked: Asked,
    assertion: Assertion,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let tokens = &grantor.tokens;
    let metadata = &client.client().metadata;
    let none = ByResource::default();
    let mut target = asked.target;
    // As if it had asked for just this: scopes that lead to several resources are refused.
    target.scope = Some(asked.scope.clone());
    if let (None, Some([only])) = (&target.resource, asked.named.as_deref()) {
        target.resource = Some(only.identifier.clone());
    }
    let audience = tokens.audience_of_client(&asked.scope, &none, &target, metadata)?;
    let is_named = |named: &Vec<Arc<ResourceServer>>| {
        let mut named = named.iter();
        named.any(|server| server.identifier == audience.server.identifier)
    };
    if !asked.named.as_ref().is_none_or(is_named) {
        return Err(TokenError::UnknownResource);
    }
    tokens.check_signer(&audience, now)?;
    let issued = client_credentials::issue(client, (GrantName::JwtBearer, audience), tokens, now);
    // Nobody gets it for an assertion that was used before.
    let issued = issued.await?;
    grantor.jwt_bearer.judge.spend(assertion, now).await?;
    Ok(issued)
}

/// The token is a person's, whose grant rests on no session.
async fn for_person(
    client: &AuthenticatedClient,
    (person, asked): (OfPerson, Asked),
    assertion: Assertion,
    grantor: &Grantor,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let tokens = &grantor.tokens;
    let agreed = asked.agreed(&tokens.resource_servers)?;
    let metadata = &client.client().metadata;
    let audience = tokens.audience_of_grant(&agreed, &asked.target, metadata)?;
    // As for a client: scopes that lead to several resources are refused, where the answer could be for none of them.
    if audience.scope.is_empty() && agreed.own.is_empty() && asked.target.resource.is_none() {
        return Err(TokenError::AmbiguousScope);
    }
    tokens.check_signer(&audience, now)?;
    let account = person.account_id.as_str().as_bytes();
    let standing = grantor.accounts.admit(account, now).await?;
    client.standings().note(standing);
    let terms = Terms {
        client_id: client.id().clone(),
        account_id: person.account_id,
        session_id: None,
        offline: false,
        agreed,
        claims: GrantedClaims::default(),
        auth_time: person.auth_time,
        amr: person.amr,
        acr: person.acr,
    };
    let issuer = Arc::clone(assertion.issuer());
    let id = GrantId::generate(&*tokens.random);
    let (of, audience) = ((&id, &terms), (audience, None));
    let prepared = grantor.prepare(client, of, &terms.agreed, audience, now);
    let prepared = prepared.await?;
    grantor.jwt_bearer.judge.spend(assertion, now).await?;
    let spoken = Spoken {
        issuer: issuer.issuer.as_str(),
        linked: person.linked.as_ref().map(ExternalSubject::as_str),
    };
    begin(&spoken, of, &prepared.audience, grantor, now).await?;
    let granted = Granted {
        name: GrantName::JwtBearer,
        id: &id,
        terms: &terms,
        allowed: &terms.agreed,
        nonce: None,
        prepared,
        refresh_token: None,
    };
    grantor.issue(client, granted, now).await
}

async fn begin(
    spoken: &Spoken<'_>,
    grant: (&GrantId, &Terms),
    audience: &Audience,
    grantor: &Grantor,
    now: Instant,
) -> Result<(), TokenError> {
    let lifetime = audience.server.lifetime;
    let begun = grantor.grants.begin_for(spoken, grant, lifetime, now);
    match begun.await? {
        Redeemed::Granted => Ok(()),
        // Trusted no longer, unlinked, or shut out, in this very moment.
        Redeemed::SessionOver | Redeemed::Before | Redeemed::CutOff => {
            Err(AssertionRefusal::Untrusted.into())
        }
        Redeemed::PersonGone => Err(AssertionRefusal::PersonGone.into()),
        Redeemed::ClientGone => Err(ClientAuthError::Refused.into()),
    }
}

impl Asked {
    /// What the request asks for: not what the client may not ask for anyway (RFC 6749 §5.2), and of the rest what the issuer, and its
    /// assertion where that says so, allow (the draft §4.4.1: it may be less).
    fn read(
        request: &Parameters,
        client: &AuthenticatedClient,
        assertion: &Assertion,
        grantor: &Grantor,
    ) -> Result<Self, TokenError> {
        let registered = &client.client().metadata.scope;
        let asked = request.optional("scope").map(str::parse::<ScopeSet>);
        let asked = asked.transpose().map_err(|_| TokenError::InvalidScope)?;
        if asked
            .as_ref()
            .is_some_and(|asked| !asked.is_subset(registered))
        {
            return Err(TokenError::InvalidScope);
        }
        let issuer = assertion.issuer();
        let claims = assertion.claims();
        let said = claims.scope.as_deref().map(str::parse::<ScopeSet>);
        let said = said.transpose().map_err(|_| AssertionRefusal::Scope)?;
        let scope = match (&asked, &said) {
            (Some(asked), Some(said)) => asked.intersection(said),
            (Some(one), None) | (None, Some(one)) => one.intersection(registered),
            // Who wants to know about people asks for it.
            (None, None) => {
                let of_resources = registered.iter();
                let of_resources = of_resources.filter(|token| OwnScope::of(token).is_none());
                of_resources.cloned().collect()
            }
        };
        let scope = scope.intersection(&issuer.policy.scope);
        if scope.is_empty() {
            return Err(TokenError::NoScope);
        }
        let servers = &grantor.tokens.resource_servers;
        let own = ResourceId::from(&*grantor.tokens.issuer);
        let asked = resource(request)?;
        let named = Named::choose(asked.as_ref(), (issuer, claims), servers, &own)?;
        Ok(Self {
            scope,
            named: named.servers,
            target: Target {
                resource: named.only,
                ..Target::default()
            },
        })
    }

    /// The same, each scope where it belongs.
    fn agreed(&self, servers: &ResourceServers) -> Result<Agreement, TokenError> {
        let mut agreed = Targets::belonging(&self.scope, self.named.clone(), servers);
        if self.target.resource.is_none() {
            agreed.resources.retain(|_, scope| !scope.is_empty());
        }
        if agreed.is_empty() {
            Err(TokenError::NoScope)
        } else {
            Ok(agreed)
        }
    }
}

/// The resources that are meant.
struct Named {
    /// Those that there are; any, where nobody names one.
    servers: Option<Vec<Arc<ResourceServer>>>,
    /// The one that the token is for, where request or assertion leave no choice.
    only: Option<ResourceId>,
}

impl Named {
    /// That which the request names, else those of the assertion, else those that the issuer may bring, and never one beside the next of
    /// these lists.
    fn choose(
        asked: Option<&ResourceId>,
        (issuer, claims): (&TrustedIssuer, &AssertionClaims),
        servers: &ResourceServers,
        own: &ResourceId,
    ) -> Result<Self, TokenError> {
        let said = match &claims.resource {
            None => None,
            Some(said) => {
                let said: Result<Vec<ResourceId>, _> = said.iter().map(str::parse).collect();
                Some(said.map_err(|_| AssertionRefusal::Resource)?)
            }
        };
        let policy = &issuer.policy.resources;
        let policy = (!policy.is_empty()).then_some(policy);
        let is_allowed = |id: &ResourceId| {
            said.as_ref().is_none_or(|said| said.contains(id))
                && policy.is_none_or(|policy| policy.contains(id))
        };
        let is_said = asked.is_some() || said.is_some();
        let meant = match (asked, &said, policy) {
            (Some(asked), ..) => vec![asked.clone()],
            (None, Some(said), _) => said.clone(),
            (None, None, Some(policy)) => policy.clone(),
            (None, None, None) => {
                return Ok(Self {
                    servers: None,
                    only: None,
                });
            }
        };
        let mut meant: Vec<_> = meant.into_iter().filter(|id| is_allowed(id)).collect();
        meant.retain(|id| id == own || servers.find(id).is_some());
        // RFC 8707 §2: nothing that was named may be had.
        if meant.is_empty() && is_said {
            return Err(TokenError::UnknownResource);
        }
        let only = match meant.as_slice() {
            [only] if is_said => Some(only.clone()),
            _ => None,
        };
        let named = meant.iter().filter_map(|id| servers.find(id));
        Ok(Self {
            servers: Some(named.collect()),
            only,
        })
    }
}
