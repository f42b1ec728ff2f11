//! Client credentials (RFC 6749 §4.4): a service acts for itself.

use shared_protocol::time::Instant;

use super::access_token::{AccessTokens, Order};
use super::error::TokenError;
use super::{GrantName, Target, TokenResponse};
use crate::clients::GrantType;
use crate::clients::authenticate::AuthenticatedClient;

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
    let audience = tokens.audience_of_client(asked, target, metadata)?;
    tokens.metrics.token_issued(GrantName::ClientCredentials);
    let (expires_in, scope) = (audience.server.lifetime.as_secs(), audience.scope.clone());
    let order = Order {
        client_id: client.id(),
        subject: client.id().to_string(),
        audience,
        on_behalf: None,
    };
    Ok(TokenResponse {
        access_token: tokens.issue(order, now).await?,
        token_type: "Bearer",
        expires_in,
        scope,
        refresh_token: None,
        id_token: None,
    })
}
