//! Whom a request speaks for.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use shared_protocol::bearer::AccessToken;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::scope::ScopeSet;
use shared_server::web::Problem;

use crate::problem;

/// Whom the token of a request speaks for: an extractor for guarded routes.
pub(crate) enum Caller {
    /// A client on its own behalf: `sub` is its `client_id` (RFC 9068 §2.2).
    Client {
        client_id: ClientId,
        scope: ScopeSet,
    },
    /// A person who signed in, which `auth_time` says (RFC 9068 §2.2.1), or for whom somebody spoke, whose grant the token names.
    Person { iss: Issuer, sub: String },
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Only a route without its guard lacks it.
        let token = parts.extensions.get::<Arc<AccessToken>>();
        let token = token.ok_or_else(problem::internal)?;
        tracing::Span::current().record("client_id", token.client_id().as_str());
        if token.is_service() {
            Ok(Self::Client {
                client_id: token.client_id().clone(),
                scope: token.scope().clone(),
            })
        } else if token.auth_time().is_some() || token.is_granted() {
            Ok(Self::Person {
                iss: token.issuer().clone(),
                sub: token.subject().to_owned(),
            })
        } else {
            Err(problem::no_person())
        }
    }
}
