//! ID tokens (OpenID Connect Core §2): who signed in, when and how, for the client alone.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256, Sha512};
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, Content, JwtKind, Signer, sign_jwt};
use shared_protocol::time::Instant;

use crate::accounts::AccountId;
use crate::claims::{ClaimSet, Told};
use crate::clients::{Client, ClientMetadata};
use crate::grants::{GrantId, Terms};
use crate::sessions::Amr;
use crate::store::accounts::{self, PersonRow};
use crate::token::access_token::AccessTokens;
use crate::token::error::TokenError;

/// Clients look at an ID token once, when they get it; as a hint it comes back at any time.
const LIFETIME: Duration = Duration::from_mins(5);

/// The claims of OpenID Connect Core §2, §3.1.3.6, §3.3.2.11 and Front-Channel Logout §3 (`sid`), and those of §5.1 that it is to tell.
#[derive(Serialize)]
pub(crate) struct IdTokenClaims<'a> {
    iss: &'a str,
    sub: String,
    aud: &'a ClientId,
    azp: &'a ClientId,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    amr: &'a [Amr],
    #[serde(skip_serializing_if = "Option::is_none")]
    acr: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    c_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_id: Option<&'a GrantId>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    told: Option<Told<'a>>,
}

/// What an ID token is to say.
pub struct IdTokenOrder<'a> {
    /// For whom.
    pub client: &'a Client,
    /// Who signed in, where, when and how.
    pub terms: &'a Terms,
    /// What they granted the client, by which the token can be exchanged (RFC 8693); nothing for one that was exchanged itself.
    pub grant_id: Option<&'a GrantId>,
    /// When it must end, if that may be before it would by itself.
    pub ends_at: Option<Instant>,
    /// The `nonce` of the authorization request.
    pub nonce: Option<&'a str>,
    /// The access token that it comes with.
    pub access_token: Option<&'a str>,
    /// The code that it comes with.
    pub code: Option<&'a str>,
    /// What is known of the person, if that was read before; else it is read where any of it is told.
    pub person: Option<PersonRow>,
}

impl IdTokenOrder<'_> {
    /// When it ends.
    #[must_use]
    pub fn expires_at(&self, now: Instant) -> Instant {
        let by_itself = now + LIFETIME;
        self.ends_at.map_or(by_itself, |end| end.min(by_itself))
    }

    /// What it tells of the person: what was asked for, and, where nothing comes with it by which more could be had, what the scopes bring
    /// (OpenID Connect Core §5.4).
    fn claims(&self) -> ClaimSet {
        let registered = &self.client.metadata.scope;
        let mut claims = self.terms.claims.id_token;
        if self.access_token.is_none() && self.code.is_none() {
            claims = claims.union(ClaimSet::of_scope(&self.terms.agreed.own));
        }
        claims.intersection(ClaimSet::of_scope(registered))
    }
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

    /// What may be told of a person.
    ///
    /// # Errors
    /// [`TokenError::PersonGone`], [`TokenError::Store`].
    pub async fn person(&self, account_id: &AccountId) -> Result<PersonRow, TokenError> {
        let mut conn = self.people.read().await?;
        let person = accounts::find_person(&mut conn, account_id.as_str()).await?;
        person.ok_or(TokenError::PersonGone)
    }

    /// Makes an ID token, encrypted if the client registered that.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`], [`TokenError::Encryption`], [`TokenError::Encrypt`], and as
    /// [`AccessTokens::person`].
    pub async fn issue_id_token(
        &self,
        order: &IdTokenOrder<'_>,
        now: Instant,
    ) -> Result<String, TokenError> {
        let (terms, metadata) = (order.terms, &order.client.metadata);
        let signer = self.id_token_signer(metadata, now)?;
        let told = order.claims();
        let read = match &order.person {
            None if !told.is_empty() => Some(self.person(&terms.account_id).await?),
            Some(_) | None => None,
        };
        let person = order.person.as_ref().or(read.as_ref());
        let claims = self.id_token_claims(order, person, signer.algorithm(), now);
        let token = sign_jwt(JwtKind::IdToken, &claims, &*signer).await?;
        match metadata.id_token_encryption() {
            None => Ok(token),
            Some(encryption) => {
                let content = (token.as_bytes(), Content::Jwt);
                self.encrypt(content, order.client, encryption, now).await
            }
        }
    }

    /// What an ID token says that is made now.
    pub(crate) fn id_token_claims<'a>(
        &'a self,
        order: &'a IdTokenOrder<'a>,
        person: Option<&'a PersonRow>,
        alg: Algorithm,
        now: Instant,
    ) -> IdTokenClaims<'a> {
        let (terms, metadata) = (order.terms, &order.client.metadata);
        let session = terms.session_id.as_ref();
        let hash = |token| left_half(alg, token);
        IdTokenClaims {
            iss: self.issuer.as_str(),
            sub: self.subjects.of(metadata, &terms.account_id),
            aud: &terms.client_id,
            azp: &terms.client_id,
            exp: order.expires_at(now).as_secs(),
            iat: now.as_secs(),
            auth_time: terms.auth_time.map(Instant::as_secs),
            nonce: order.nonce,
            amr: &terms.amr,
            acr: terms.acr.as_deref(),
            sid: session.map(|session| self.subjects.session(metadata, session)),
            at_hash: order.access_token.map(hash),
            c_hash: order.code.map(hash),
            grant_id: order.grant_id,
            told: person.map(|person| Told {
                person,
                claims: order.claims(),
            }),
        }
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

    /// The code and its hash of OpenID Connect Core, appendix A.4.
    #[test]
    fn oidc_core_3_3_2_11_c_hash_of_the_example() {
        let code = "Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk";
        assert_eq!(left_half(Algorithm::Rs256, code), "LDktKdoQak3Pk0cnXxCltA");
    }
}
