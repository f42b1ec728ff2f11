//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use shared_protocol::time::Instant;

use crate::clients::authenticate::AuthenticatedForm;
use crate::revocations::Revocations;
use crate::token::TokenParameter;
use crate::token::access_token::AccessTokens;
use crate::token::error::TokenError;

/// What revocation takes.
pub struct Revocation {
    /// Reads tokens.
    pub tokens: Arc<AccessTokens>,
    /// Keeps what was revoked.
    pub revocations: Revocations,
}

/// POST `/oauth/revoke`. A token that is not ours, or no longer good, is as good as revoked (RFC 7009 §2.2).
///
/// # Errors
/// [`TokenError::NotIssuedToClient`], and those of its stores.
pub async fn endpoint(
    State(revocation): State<Arc<Revocation>>,
    AuthenticatedForm {
        client,
        form: TokenParameter(token),
        now,
    }: AuthenticatedForm<TokenParameter>,
) -> Result<(StatusCode, [(header::HeaderName, &'static str); 1]), TokenError> {
    if let Ok(claims) = revocation.tokens.read(&token, now) {
        if claims.client_id != *client.id() {
            return Err(TokenError::NotIssuedToClient);
        }
        let expires_at = Instant::from_secs(claims.exp);
        revocation
            .revocations
            .revoke_token(&claims.jti, expires_at, now)
            .await?;
    }
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]))
}
