//! Client credentials (RFC 6749 §4.4): a service acts for itself.

use std::sync::Arc;

use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::access_token::AccessTokens;
use super::error::TokenError;
use super::{GrantName, Target, TokenResponse};
use crate::clients::authenticate::AuthenticatedClient;
use crate::clients::{ClientMetadata, GrantType};
use crate::resource_servers::ResourceServer;

/// Issues an access token to the client itself. No refresh token (RFC 6749 §4.4.3), and nothing is written.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    target: &Target,
    tokens: &AccessTokens,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    if !client.is_confidential() {
        return Err(TokenError::ConfidentialOnly);
    }
    if !metadata.grant_types.contains(&GrantType::ClientCredentials) {
        return Err(TokenError::UnauthorizedClient(GrantType::ClientCredentials));
    }
    // RFC 6749 §3.3: without a scope, all that was registered.
    let asked = target.scope.as_ref().unwrap_or(&metadata.scope);
    if !asked.is_subset(&metadata.scope) {
        return Err(TokenError::InvalidScope);
    }
    let (server, scope) = audience(asked, target, metadata, tokens)?;
    tokens.metrics.token_issued(GrantName::ClientCredentials);
    tokens
        .issue(client.id(), client.id().as_str(), &server, scope, now)
        .await
}

/// One audience, and what of `asked` belongs to it: the resource named, else the client's default, else the only one that has any
/// of the scopes, else this server (RFC 8707 §2.2, RFC 9068 §3).
fn audience(
    asked: &ScopeSet,
    target: &Target,
    metadata: &ClientMetadata,
    tokens: &AccessTokens,
) -> Result<(Arc<ResourceServer>, ScopeSet), TokenError> {
    if let Some(named) = target
        .resource
        .as_ref()
        .or(metadata.default_resource.as_ref())
    {
        let server = tokens
            .resource_servers
            .find(named)
            .ok_or(TokenError::UnknownResource)?;
        let scope = server.scope().intersection(asked);
        return if scope.is_empty() {
            Err(TokenError::NoScope)
        } else {
            Ok((server, scope))
        };
    }
    let mut candidates = tokens
        .resource_servers
        .all()
        .into_iter()
        .filter_map(|server| {
            let scope = server.scope().intersection(asked);
            (!scope.is_empty()).then_some((server, scope))
        });
    match (candidates.next(), candidates.next()) {
        (Some(only), None) => Ok(only),
        // RFC 9068 §3: scopes that lead to different resources are refused; a request that names nothing gets the default, this
        // server itself, of which no scope is held by a client.
        (Some(_), Some(_)) if target.scope.is_some() => Err(TokenError::AmbiguousScope),
        (Some(_), Some(_)) => Ok((Arc::clone(&tokens.own), ScopeSet::default())),
        (None, _) => Err(TokenError::NoScope),
    }
}
