//! Token introspection (RFC 7662).

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use shared_protocol::time::Instant;

use crate::clients::authenticate::{AuthenticatedClient, AuthenticatedForm};
use crate::clients::directory::Clients;
use crate::revocations::Revocations;
use crate::token::TokenParameter;
use crate::token::access_token::{AccessTokenClaims, AccessTokens};
use crate::token::error::TokenError;

/// What introspection takes.
pub struct Introspection {
    /// Reads tokens.
    pub tokens: Arc<AccessTokens>,
    /// Knows which were revoked.
    pub revocations: Revocations,
    /// Knows which clients still exist.
    pub clients: Clients,
}

/// RFC 7662 §2.2. An inactive token is told apart by nothing but that (RFC 7662 §2.2, §4).
pub enum IntrospectionResponse {
    /// Good, and meant for the one who asks.
    Active(Arc<AccessTokenClaims>),
    /// Anything else.
    Inactive,
}

#[derive(Serialize)]
struct ActiveToken<'a> {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    claims: &'a AccessTokenClaims,
}

impl IntoResponse for IntrospectionResponse {
    fn into_response(self) -> Response {
        let body = match &self {
            Self::Active(claims) => serde_json::to_vec(&ActiveToken {
                active: true,
                token_type: "Bearer",
                claims,
            }),
            Self::Inactive => serde_json::to_vec(&json!({"active": false})),
        };
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (headers, body.unwrap_or_default()).into_response()
    }
}

/// POST `/oauth/introspect`.
///
/// # Errors
/// [`TokenError`].
pub async fn endpoint(
    State(introspection): State<Arc<Introspection>>,
    AuthenticatedForm {
        client,
        form: TokenParameter(token),
        now,
    }: AuthenticatedForm<TokenParameter>,
) -> Result<IntrospectionResponse, TokenError> {
    introspection.introspect(&client, &token, now).await
}

impl Introspection {
    async fn introspect(
        &self,
        client: &AuthenticatedClient,
        token: &str,
        now: Instant,
    ) -> Result<IntrospectionResponse, TokenError> {
        // RFC 7662 §2.1: the endpoint must not be open to whoever knows a client_id.
        if !client.is_confidential() {
            return Err(TokenError::ConfidentialOnly);
        }
        let Ok(claims) = self.tokens.read(token, now) else {
            return Ok(IntrospectionResponse::Inactive);
        };
        if !self.concerns(client, &claims)
            || self.clients.find(&claims.client_id).await?.is_none()
            || self.revocations.is_revoked(&claims.jti, now).await?
        {
            return Ok(IntrospectionResponse::Inactive);
        }
        Ok(IntrospectionResponse::Active(claims))
    }

    /// A token is shown to the client it was issued to, and to the one that introspects for its audience (threat 25).
    fn concerns(&self, client: &AuthenticatedClient, claims: &AccessTokenClaims) -> bool {
        let server = self.tokens.resource_servers.find(&claims.aud);
        claims.client_id == *client.id()
            || server
                .is_some_and(|server| server.introspection_client_id.as_ref() == Some(client.id()))
    }
}
