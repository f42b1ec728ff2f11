//! ID tokens (OpenID Connect Core §2): who signed in, when and how, for the client alone.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, JwtKind, Signer, sign_jwt};
use shared_protocol::time::Instant;

use crate::accounts::AccountId;
use crate::clients::ClientMetadata;
use crate::grants::Terms;
use crate::sessions::{Amr, SessionId};
use crate::token::access_token::AccessTokens;
use crate::token::error::TokenError;

/// Clients look at an ID token once, when they get it; as a hint it comes back at any time.
const LIFETIME: Duration = Duration::from_mins(5);

/// The claims of OpenID Connect Core §2, §3.1.3.6 and Front-Channel Logout §3 (`sid`).
#[derive(Serialize)]
struct IdTokenClaims<'a> {
    iss: &'a str,
    sub: &'a AccountId,
    aud: &'a ClientId,
    azp: &'a ClientId,
    exp: i64,
    iat: i64,
    auth_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    amr: &'a [Amr],
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    sid: &'a SessionId,
    at_hash: String,
}

/// What an ID token is to say.
pub struct IdTokenOrder<'a> {
    /// What the client registered.
    pub metadata: &'a ClientMetadata,
    /// Who signed in, where, when and how; and for whom.
    pub terms: &'a Terms,
    /// The `nonce` of the authorization request.
    pub nonce: Option<&'a str>,
    /// The access token that it comes with.
    pub access_token: &'a str,
}

impl AccessTokens {
    /// What signs the ID tokens of a client.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`].
    pub fn id_token_signer(
        &self,
        metadata: &ClientMetadata,
        now: Instant,
    ) -> Result<Arc<dyn Signer>, TokenError> {
        let alg = metadata.id_token_algorithm();
        self.keys
            .ring()
            .signer(alg, now)
            .ok_or(TokenError::NoSigningKey)
    }

    /// Makes an ID token.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`].
    pub async fn issue_id_token(
        &self,
        order: &IdTokenOrder<'_>,
        now: Instant,
    ) -> Result<String, TokenError> {
        let signer = self.id_token_signer(order.metadata, now)?;
        let terms = order.terms;
        let claims = IdTokenClaims {
            iss: self.issuer.as_str(),
            sub: &terms.account_id,
            aud: &terms.client_id,
            azp: &terms.client_id,
            exp: (now + LIFETIME).as_secs(),
            iat: now.as_secs(),
            auth_time: terms.auth_time.as_secs(),
            nonce: order.nonce,
            amr: &terms.amr,
            acr: terms.acr.as_deref(),
            sid: &terms.session_id,
            at_hash: left_half(signer.algorithm(), order.access_token),
        };
        Ok(sign_jwt(JwtKind::IdToken, &claims, &*signer).await?)
    }
}

/// OpenID Connect Core §3.1.3.6: the left half of the hash that the algorithm signs over; for Ed25519 that is SHA-512.
fn left_half(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 => Sha256::digest(token).to_vec(),
        Algorithm::EdDsa => Sha512::digest(token).to_vec(),
    };
    let (left, _) = hash.split_at(hash.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The access token and its hash of OpenID Connect Core, appendix A.3.
    #[test]
    fn oidc_core_3_1_3_6_at_hash_of_the_example() {
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(left_half(Algorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
        assert_eq!(left_half(Algorithm::EdDsa, token).len(), 43);
    }
}
