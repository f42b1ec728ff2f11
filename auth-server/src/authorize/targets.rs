//! What a request is for: its scopes (RFC 6749 §3.3), its resources (RFC 8707 §2) and its authorization details (RFC 9396 §3), as
//! the ones belong to the others.

use std::sync::Arc;

use shared_protocol::issuer::Issuer;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::agreement::Agreement;
use super::authorization_details;
use super::claims::RequestedClaims;
use super::error::RedirectCause;
use super::request::OwnScope;
use crate::claims::ClaimSet;
use crate::clients::{Client, GrantType};
use crate::parameters::Parameters;
use crate::refusals::Detail;
use crate::resource_servers::{ResourceServer, ResourceServers};
use crate::subjects::SubjectType;

/// The most resources that one request may name.
const MAX_RESOURCES: usize = 20;

/// The scopes and resources of a request that make sense together.
pub(crate) struct Targets {
    pub(crate) scope: ScopeSet,
    pub(crate) asked: Agreement,
}

impl Targets {
    pub(crate) fn choose(
        client: &Client,
        parameters: &Parameters,
        resource_servers: &ResourceServers,
        issuer: &Issuer,
    ) -> Result<Self, RedirectCause> {
        let named = named(parameters, resource_servers, issuer)?;
        let details = authorization_details::asked(client, parameters, resource_servers)?;
        let wanted = wanted(client, parameters, !details.is_empty())?;
        // RFC 9396 §3.2: what is named bounds the scopes, and not the details, which say themselves where they belong.
        let mut asked = Agreement {
            own: OwnScope::those_in(&wanted),
            details,
            ..Agreement::default()
        };
        let is_named = named.is_some();
        // Without a name, every resource is meant that any of the scopes belongs to.
        for server in named.unwrap_or_else(|| resource_servers.all()) {
            let scope = server.scope().intersection(&wanted);
            let scope = scope.iter().filter(|token| OwnScope::of(token).is_none());
            let scope: ScopeSet = scope.cloned().collect();
            if !scope.is_empty() || is_named {
                let normal = server.identifier.normal().to_owned();
                asked.resources.insert(normal, scope);
            }
        }
        check_subjects(client, &asked, resource_servers)?;
        // A scope that belongs to nothing that was named is left out; the token response tells (RFC 6749 §3.3).
        if asked.is_empty() {
            let why = "no scope is left: none was asked for, none is registered for a resource, or none belongs to what was named";
            return Err(RedirectCause::InvalidScope(Detail::new(why)));
        }
        Ok(Self {
            scope: asked.scope(),
            asked,
        })
    }

    /// The same without one of this server's scopes, which this request cannot bring.
    pub(super) fn without(self, scope: OwnScope) -> Result<Self, RedirectCause> {
        let left = scope.left_out_of(&self.scope);
        if left.is_empty() {
            let why = format!(
                "nothing but {} was asked for, which this response_type does not bring",
                scope.as_str()
            );
            return Err(RedirectCause::InvalidScope(Detail::new(why)));
        }
        let own = scope.left_out_of(&self.asked.own);
        Ok(Self {
            scope: left,
            asked: Agreement { own, ..self.asked },
        })
    }

    /// Adds the claims that are asked for one by one, and that the scopes do not bring anyway.
    pub(super) fn ask(&mut self, claims: &RequestedClaims, client: &Client) {
        let asked = &mut self.asked;
        let granted = claims.granted(&client.metadata.scope, &asked.own);
        asked.claims = granted.all().without(ClaimSet::of_scope(&asked.own));
    }
}

/// Who knows people by names that nobody else does must not learn in an access token what everybody calls them.
fn check_subjects(
    client: &Client,
    asked: &Agreement,
    resource_servers: &ResourceServers,
) -> Result<(), RedirectCause> {
    if client.metadata.subject_type() == SubjectType::Public {
        return Ok(());
    }
    let tells = |server: &Arc<ResourceServer>| {
        let normal = server.identifier.normal();
        let is_asked = asked.resources.contains_key(normal) || asked.details.contains_key(normal);
        is_asked && server.subject_type == SubjectType::Public
    };
    if let Some(server) = resource_servers.all().iter().find(|server| tells(server)) {
        return Err(RedirectCause::PublicSubjects(Detail::new(
            server.identifier.as_str(),
        )));
    }
    Ok(())
}

/// The resources that were named, each once, if any were. This server, which has no scopes but those that refuse no request, may be
/// among them.
fn named(
    parameters: &Parameters,
    resource_servers: &ResourceServers,
    issuer: &Issuer,
) -> Result<Option<Vec<Arc<ResourceServer>>>, RedirectCause> {
    let mut raw = parameters.all("resource").peekable();
    if raw.peek().is_none() {
        return Ok(None);
    }
    let own = ResourceId::from(issuer);
    let mut named: Vec<Arc<ResourceServer>> = Vec::new();
    for raw in raw {
        let id: ResourceId = raw.parse().map_err(|_| unknown(raw))?;
        if id == own {
            continue;
        }
        let server = resource_servers.find(&id);
        let server = server.ok_or_else(|| unknown(raw))?;
        if named
            .iter()
            .any(|known| known.identifier == server.identifier)
        {
            continue;
        }
        if named.len() == MAX_RESOURCES {
            let why = format!("more than {MAX_RESOURCES} were named");
            return Err(RedirectCause::UnknownResource(Detail::new(why)));
        }
        named.push(server);
    }
    Ok(Some(named))
}

fn unknown(raw: &str) -> RedirectCause {
    RedirectCause::UnknownResource(Detail::new(Detail::uri(raw)))
}

/// The scopes that the client asks for and may have. Without a `scope` they are those it registered for resources: who wants to
/// know about people asks for it. Who asks for details wants nothing else that is not said.
fn wanted(
    client: &Client,
    parameters: &Parameters,
    has_details: bool,
) -> Result<ScopeSet, RedirectCause> {
    let registered = &client.metadata.scope;
    let Some(raw) = parameters.optional("scope") else {
        if has_details {
            return Ok(ScopeSet::default());
        }
        let of_resources = registered
            .iter()
            .filter(|token| OwnScope::of(token).is_none());
        return Ok(of_resources.cloned().collect());
    };
    let asked: ScopeSet = raw.parse().map_err(|_| {
        RedirectCause::InvalidScope(Detail::new(format!("{raw:?} is not a list of scopes")))
    })?;
    // OpenID Connect Core §11: offline_access that cannot be given is ignored.
    let offline = client
        .metadata
        .grant_types
        .contains(&GrantType::RefreshToken)
        && OwnScope::OfflineAccess.is_in(registered);
    let is_ignored =
        |token: &ScopeToken| OwnScope::of(token) == Some(OwnScope::OfflineAccess) && !offline;
    let wanted: ScopeSet = asked
        .iter()
        .filter(|token| !is_ignored(token))
        .cloned()
        .collect();
    if wanted.is_subset(registered) {
        Ok(wanted)
    } else {
        let more = wanted.iter().filter(|scope| !registered.contains(scope));
        let (more, registered) = (Detail::list(more), Detail::list(registered.iter()));
        let why = format!("the client did not register {more}; it registered: {registered}");
        Err(RedirectCause::InvalidScope(Detail::new(why)))
    }
}
