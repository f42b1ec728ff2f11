//! Access tokens as JWTs (RFC 9068): made, and read again by introspection and revocation.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{JwtError, JwtKind, UnverifiedJwt, VerifiedTokens, sign_jwt};
use shared_protocol::random::{self, Random};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;

use super::TokenResponse;
use super::error::TokenError;
use crate::keys::Keys;
use crate::resource_servers::{ResourceServer, ResourceServers};
use crate::telemetry::Metrics;

/// The claims of RFC 9068 §2.2, in seconds where they are times (RFC 7519 §2).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AccessTokenClaims {
    /// This server.
    pub iss: String,
    /// On whose behalf: here the client's own.
    pub sub: String,
    /// The one resource server that may accept it.
    pub aud: ResourceId,
    /// Who it was issued to.
    pub client_id: ClientId,
    /// When it was issued.
    pub iat: i64,
    /// When it stops being good.
    pub exp: i64,
    /// Its own identifier, by which it is revoked.
    pub jti: String,
    /// What it allows.
    #[serde(default, skip_serializing_if = "ScopeSet::is_empty")]
    pub scope: ScopeSet,
}

/// Makes access tokens and knows its own.
pub struct AccessTokens {
    /// Whose they are.
    pub issuer: Arc<Issuer>,
    /// What they are signed with.
    pub keys: Keys,
    /// This server as the audience of tokens that name no other.
    pub own: Arc<ResourceServer>,
    /// Who they are for.
    pub resource_servers: ResourceServers,
    /// Makes their identifiers.
    pub random: Arc<dyn Random>,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Signatures that were verified before.
    pub verified: VerifiedTokens<AccessTokenClaims>,
}

impl AccessTokens {
    /// Issues an access token. Writes nothing anywhere.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`].
    pub async fn issue(
        &self,
        client_id: &ClientId,
        subject: &str,
        server: &ResourceServer,
        scope: ScopeSet,
        now: Instant,
    ) -> Result<TokenResponse, TokenError> {
        let signer = self
            .keys
            .ring()
            .signer(server.alg, now)
            .ok_or(TokenError::NoSigningKey)?;
        let claims = AccessTokenClaims {
            iss: self.issuer.to_string(),
            sub: subject.to_owned(),
            aud: server.identifier.clone(),
            client_id: client_id.clone(),
            iat: now.as_secs(),
            exp: (now + server.lifetime).as_secs(),
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<16>(&*self.random)),
            scope,
        };
        let access_token = sign_jwt(JwtKind::AccessToken, &claims, &*signer).await?;
        Ok(TokenResponse {
            access_token,
            token_type: "Bearer",
            expires_in: server.lifetime.as_secs(),
            scope: claims.scope,
        })
    }

    /// The claims of a token that this server signed and that has not expired. Whether it was revoked is another question.
    ///
    /// # Errors
    /// [`JwtError`]: not one of ours, or no longer good.
    pub fn read(&self, token: &str, now: Instant) -> Result<Arc<AccessTokenClaims>, JwtError> {
        let ring = self.keys.ring();
        let claims = if let Some(claims) = self.verified.recall(token, |kid| ring.is_current(kid)) {
            claims
        } else {
            let unverified = UnverifiedJwt::parse(token, JwtKind::AccessToken)?;
            let (claims, key) = unverified.verify(ring.verifying())?;
            let claims: Arc<AccessTokenClaims> = Arc::new(claims.parse()?);
            if let Some(kid) = key.kid().cloned() {
                self.verified.remember(token, kid, Arc::clone(&claims));
            }
            claims
        };
        // RFC 9068 §4: issued by this issuer, and its time has not passed.
        let in_time = claims.exp > now.as_secs();
        if claims.iss == self.issuer.as_str() && in_time {
            Ok(claims)
        } else {
            Err(JwtError::Claims)
        }
    }
}
