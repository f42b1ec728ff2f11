//! Client credentials (RFC 6749 §4.4): a service acts for itself.

use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::access_token::{AccessTokens, Order, token_type};
use super::audience::Audience;
use super::chain::Chain;
use super::error::TokenError;
use super::{GrantName, Target, TokenResponse};
use crate::authorization_details::ByResource;
use crate::clients::authenticate::AuthenticatedClient;
use crate::clients::{Client, GrantType};

/// Issues an access token to the client itself. No refresh token (RFC 6749 §4.4.3), and nothing is written for a JWT.
///
/// # Errors
/// [`TokenError`].
pub async fn grant(
    client: &AuthenticatedClient,
    target: &Target,
    tokens: &AccessTokens,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let audience = audience(client.client(), target, tokens)?;
    let name = GrantName::ClientCredentials;
    issue(client, (name, audience), tokens, now).await
}

/// A token of the client's own.
///
/// # Errors
/// [`TokenError`].
pub(super) async fn issue(
    client: &AuthenticatedClient,
    (name, audience): (GrantName, Audience),
    tokens: &AccessTokens,
    now: Instant,
) -> Result<TokenResponse, TokenError> {
    let metadata = &client.client().metadata;
    let (mapped, _) = tokens.mapped(&audience, metadata, None).await?;
    let (expires_in, scope) = (audience.server.lifetime.as_secs(), audience.scope.clone());
    let authorization_details = audience.details.clone();
    let order = Order {
        client_id: client.id(),
        subject: client.id().to_string(),
        audience,
        on_behalf: None,
        chain: Chain::default(),
        confirmation: client.confirmation().cloned(),
        mapped,
    };
    let access_token = tokens.issue(order, now).await?;
    tokens.metrics.token_issued(name);
    Ok(TokenResponse {
        access_token,
        issued_token_type: None,
        token_type: token_type(client.confirmation()),
        expires_in,
        scope,
        authorization_details,
        refresh_token: None,
        id_token: None,
    })
}

/// Where the client may act for itself, and what it may do there.
///
/// # Errors
/// [`TokenError`].
pub fn audience(
    client: &Client,
    target: &Target,
    tokens: &AccessTokens,
) -> Result<Audience, TokenError> {
    let metadata = &client.metadata;
    if metadata.is_public() {
        return Err(TokenError::ConfidentialOnly);
    }
    if !metadata.grant_types.contains(&GrantType::ClientCredentials) {
        return Err(TokenError::UnauthorizedClient(GrantType::ClientCredentials));
    }
    // RFC 9396 §6: of the types that it registered for, for itself.
    let details = match &target.details {
        None => ByResource::default(),
        Some(details) => {
            let registered = &metadata.authorization_details_types;
            tokens.resource_servers.sort_details(details, registered)?
        }
    };
    // RFC 6749 §3.3: without a scope, all that was registered; but who asks for details wants nothing else that is not said.
    let none = ScopeSet::default();
    let asked = match &target.scope {
        Some(asked) => asked,
        None if details.is_empty() => &metadata.scope,
        None => &none,
    };
    if !asked.is_subset(&metadata.scope) {
        return Err(TokenError::not_allowed(asked, &metadata.scope));
    }
    tokens.audience_of_client(asked, &details, target, metadata)
}
