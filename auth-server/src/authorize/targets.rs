//! What a request is for: its scopes (RFC 6749 §3.3) and its resources (RFC 8707 §2), as one belongs to the other.

use std::sync::Arc;

use shared_protocol::scope::{ScopeSet, ScopeToken};

use super::agreement::Agreement;
use super::claims::RequestedClaims;
use super::error::RedirectCause;
use super::request::OwnScope;
use crate::claims::ClaimSet;
use crate::clients::{Client, GrantType};
use crate::parameters::Parameters;
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
    ) -> Result<Self, RedirectCause> {
        let named = named(parameters, resource_servers)?;
        let wanted = wanted(client, parameters)?;
        // Without a name, every resource is meant that any of the scopes belongs to.
        let mut asked = Agreement {
            own: OwnScope::those_in(&wanted),
            ..Agreement::default()
        };
        let candidates = if named.is_empty() {
            resource_servers.all()
        } else {
            named.clone()
        };
        for server in candidates {
            let scope = server.scope().intersection(&wanted);
            let scope = scope.iter().filter(|token| OwnScope::of(token).is_none());
            let scope: ScopeSet = scope.cloned().collect();
            if !scope.is_empty() || !named.is_empty() {
                let normal = server.identifier.normal().to_owned();
                asked.resources.insert(normal, scope);
            }
        }
        check_subjects(client, &asked, resource_servers)?;
        // A scope that belongs to nothing that was named is left out; the token response tells (RFC 6749 §3.3).
        let scope = asked.scope();
        if scope.is_empty() {
            return Err(RedirectCause::InvalidScope);
        }
        Ok(Self { scope, asked })
    }

    /// The same without one of this server's scopes, which this request cannot bring.
    pub(super) fn without(self, scope: OwnScope) -> Result<Self, RedirectCause> {
        let left = scope.left_out_of(&self.scope);
        if left.is_empty() {
            return Err(RedirectCause::InvalidScope);
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
    if client.metadata.subject_type() == SubjectType::Public || asked.resources.is_empty() {
        return Ok(());
    }
    let snapshot = resource_servers.snapshot();
    let mut targets = snapshot
        .values()
        .filter(|server| asked.resources.contains_key(server.identifier.normal()));
    if targets.any(|server| server.subject_type == SubjectType::Public) {
        return Err(RedirectCause::PublicSubjects);
    }
    Ok(())
}

/// The resources that were named, each once.
fn named(
    parameters: &Parameters,
    resource_servers: &ResourceServers,
) -> Result<Vec<Arc<ResourceServer>>, RedirectCause> {
    let mut named: Vec<Arc<ResourceServer>> = Vec::new();
    for raw in parameters.all("resource") {
        let server = raw
            .parse()
            .ok()
            .and_then(|id| resource_servers.find(&id))
            .ok_or(RedirectCause::UnknownResource)?;
        if named
            .iter()
            .any(|known| known.identifier == server.identifier)
        {
            continue;
        }
        if named.len() == MAX_RESOURCES {
            return Err(RedirectCause::UnknownResource);
        }
        named.push(server);
    }
    Ok(named)
}

/// The scopes that the client asks for and may have. Without a `scope` they are those it registered for resources: who wants to
/// know about people asks for it.
fn wanted(client: &Client, parameters: &Parameters) -> Result<ScopeSet, RedirectCause> {
    let registered = &client.metadata.scope;
    let Some(raw) = parameters.optional("scope") else {
        let of_resources = registered
            .iter()
            .filter(|token| OwnScope::of(token).is_none());
        return Ok(of_resources.cloned().collect());
    };
    let asked: ScopeSet = raw.parse().map_err(|_| RedirectCause::InvalidScope)?;
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
        Err(RedirectCause::InvalidScope)
    }
}
