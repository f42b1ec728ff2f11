//! Token revocation (RFC 7009).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use shared_protocol::time::Instant;

use crate::clients::authenticate::{AuthenticatedClient, AuthenticatedForm};
use crate::refresh_tokens::PresentedToken;
use crate::revocations::Revocations;
use crate::token::access_token::{AccessTokens, UnreadToken};
use crate::token::error::TokenError;
use crate::token::{Grantor, TokenParameter};

/// What revocation takes.
pub struct Revocation {
    /// Reads access tokens.
    pub tokens: Arc<AccessTokens>,
    /// Reads refresh tokens and ends their grants.
    pub grantor: Arc<Grantor>,
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
    if let Some(presented) = PresentedToken::parse(&token) {
        revocation
            .revoke_refresh_token(&client, &presented, now)
            .await?;
    } else {
        revocation.revoke_access_token(&client, &token, now).await?;
    }
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]))
}

impl Revocation {
    async fn revoke_access_token(
        &self,
        client: &AuthenticatedClient,
        token: &str,
        now: Instant,
    ) -> Result<(), TokenError> {
        let claims = match self.tokens.read(token, now).await {
            Ok(claims) => claims,
            Err(UnreadToken::Store(error)) => return Err(error.into()),
            Err(UnreadToken::Jwt(_) | UnreadToken::Unknown | UnreadToken::Damaged) => return Ok(()),
        };
        if claims.client_id != *client.id() {
            return Err(TokenError::NotIssuedToClient);
        }
        let expires_at = Instant::from_secs(claims.exp);
        let revoked = self.revocations.revoke_token(&claims.jti, expires_at, now);
        Ok(revoked.await?)
    }

    /// RFC 7009 §2.1: with a refresh token ends its grant, and every token of that; whichever generation of the family it is.
    async fn revoke_refresh_token(
        &self,
        client: &AuthenticatedClient,
        presented: &PresentedToken,
        now: Instant,
    ) -> Result<(), TokenError> {
        let Some((grant, _)) = self.grantor.read(presented, now).await? else {
            return Ok(());
        };
        if grant.terms.client_id != *client.id() {
            return Err(TokenError::NotIssuedToClient);
        }
        Ok(self.grantor.grants.revoke(&grant.id, now).await?)
    }
}
