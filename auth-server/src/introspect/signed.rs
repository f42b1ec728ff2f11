//! Introspection answered by a JWT (RFC 9701 §5): signed, and encrypted to who asked for that.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shared_protocol::jose::{Algorithm, Content, JwtKind, sign_jwt};
use shared_protocol::time::Instant;

use super::accept::JWT;
use super::{Introspection, IntrospectionResponse};
use crate::clients::Client;
use crate::token::error::TokenError;

/// RFC 9701 §5: what is said of the token stands apart from what is said of the answer, which has neither `sub` nor `exp`, so that it
/// passes for no token itself.
#[derive(Serialize)]
struct Answer<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    token_introspection: &'a IntrospectionResponse,
}

impl Introspection {
    /// The answer as a JWT. It is for the client that asked, under the name by which that registered how it is answered: it may speak
    /// for several resource servers, or hold the token itself.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`], [`TokenError::Encryption`], [`TokenError::Encrypt`].
    pub(super) async fn signed(
        &self,
        told: &IntrospectionResponse,
        client: &Client,
        now: Instant,
    ) -> Result<Response, TokenError> {
        let ring = self.tokens.keys.ring();
        let signer = match client.metadata.introspection_signed_response_alg {
            Some(alg) => ring.signer(alg, now),
            // RFC 9701 §6: RS256 where nothing is registered; of a server that has no such key, what it has.
            None => ring
                .signer(Algorithm::Rs256, now)
                .or_else(|| ring.signer(self.tokens.own.alg, now)),
        };
        let signer = signer.ok_or(TokenError::NoSigningKey)?;
        let answer = Answer {
            iss: self.tokens.issuer.as_str(),
            aud: client.id.as_str(),
            iat: now.as_secs(),
            token_introspection: told,
        };
        let mut jwt = sign_jwt(JwtKind::TokenIntrospection, &answer, &*signer).await?;
        if let Some(encryption) = client.metadata.introspection_encryption() {
            let nested = (jwt.as_bytes(), Content::Jwt);
            let encrypted = self.tokens.encrypt(nested, client, encryption, now);
            jwt = encrypted.await?;
        }
        let headers = [
            (header::CONTENT_TYPE, JWT),
            (header::CACHE_CONTROL, "no-store"),
        ];
        Ok((headers, jwt).into_response())
    }
}
