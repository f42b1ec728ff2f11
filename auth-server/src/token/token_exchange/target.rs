//! Where the new token is to be used (RFC 8693 §2.1, `resource` and `audience`).

use std::sync::Arc;

use shared_protocol::resource::ResourceId;

use super::error::ExchangeError;
use super::subject::Subject;
use super::{Exchange, ExchangeRequest};
use crate::resource_servers::ResourceServer;
use crate::token::error::TokenError;

impl Exchange<'_> {
    /// The one resource server that all of the request names; without a name, that of the subject token, else the client's default, else
    /// the only one of the policy.
    pub(super) fn target(
        &self,
        request: &ExchangeRequest,
        subject: &Subject,
    ) -> Result<Arc<ResourceServer>, TokenError> {
        let mut named: Vec<Arc<ResourceServer>> = Vec::new();
        for resource in &request.resources {
            named.push(self.known(resource).ok_or(ExchangeError::Target)?);
        }
        for audience in &request.audiences {
            named.push(self.called(audience)?);
        }
        let server = if let Some((first, others)) = named.split_first() {
            if others
                .iter()
                .any(|other| other.identifier != first.identifier)
            {
                return Err(ExchangeError::SeveralTargets.into());
            }
            Arc::clone(first)
        } else {
            let only = match self.policy.audiences.as_slice() {
                [only] => Some(only),
                _ => None,
            };
            let unnamed = subject.audience.as_ref();
            let unnamed = unnamed.or(self.metadata.default_resource.as_ref());
            let unnamed = unnamed.or(only).and_then(|resource| self.known(resource));
            unnamed.ok_or(ExchangeError::Target)?
        };
        // Default deny: also the audience that the subject token has.
        if self.policy.audiences.contains(&server.identifier) {
            Ok(server)
        } else {
            Err(ExchangeError::Target.into())
        }
    }

    /// What is for the client itself is for no resource server.
    pub(super) fn check_own_target(&self, request: &ExchangeRequest) -> Result<(), ExchangeError> {
        let id = self.client.id().as_str();
        if request.resources.is_empty() && request.audiences.iter().all(|name| name == id) {
            Ok(())
        } else {
            Err(ExchangeError::Target)
        }
    }

    fn known(&self, resource: &ResourceId) -> Option<Arc<ResourceServer>> {
        let tokens = &self.grantor.tokens;
        if *resource == tokens.own.identifier {
            Some(Arc::clone(&tokens.own))
        } else {
            tokens.resource_servers.find(resource)
        }
    }

    /// By its identifier, or by the one client that introspects for it and for no other.
    fn called(&self, name: &str) -> Result<Arc<ResourceServer>, ExchangeError> {
        if let Some(known) = name.parse().ok().and_then(|resource| self.known(&resource)) {
            return Ok(known);
        }
        let all = self.grantor.tokens.resource_servers.all();
        let mut theirs = all.into_iter().filter(|server| {
            let id = server.introspection_client_id.as_ref();
            id.is_some_and(|id| id.as_str() == name)
        });
        match (theirs.next(), theirs.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(ExchangeError::Target),
            (Some(_), Some(_)) => Err(ExchangeError::SeveralTargets),
        }
    }
}
