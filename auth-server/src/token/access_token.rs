//! Access tokens as JWTs (RFC 9068): made, and read again by introspection and revocation.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{JwtError, JwtKind, Signer, UnverifiedJwt, VerifiedTokens, sign_jwt};
use shared_protocol::random::{self, Random};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::Instant;
use shared_server::db::{DbError, Store};

use super::audience::Audience;
use super::chain::{Actor, Chain, MayAct, SubjectToken};
use super::error::TokenError;
use crate::clients::jwks_uri::ClientKeys;
use crate::grants::GrantId;
use crate::keys::Keys;
use crate::resource_servers::{ResourceServer, ResourceServers};
use crate::revocations::{RestsOn, Revocations};
use crate::sessions::Amr;
use crate::subjects::Subjects;
use crate::telemetry::Metrics;

/// The claims of RFC 9068 §2.2, in seconds where they are times (RFC 7519 §2).
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct AccessTokenClaims {
    /// This server.
    pub iss: String,
    /// On whose behalf: a person's, or the client's own.
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
    /// The same in more words (RFC 9396 §9.1).
    #[serde(default, skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub authorization_details: AuthorizationDetails,
    /// When the person who granted it last proved who they are (RFC 9068 §2.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<i64>,
    /// How they proved it (RFC 9068 §2.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<Amr>,
    /// How sure of them that makes the client (RFC 9068 §2.2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// What they granted: with it the token dies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_id: Option<GrantId>,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
    /// Who alone may (RFC 8693 §4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<MayAct>,
    /// The tokens that it was exchanged for, the oldest first: with any of them it dies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_tokens: Vec<SubjectToken>,
}

/// What an access token is to say.
pub struct Order<'a> {
    /// Who it is issued to.
    pub client_id: &'a ClientId,
    /// On whose behalf, as the audience calls them.
    pub subject: String,
    /// For whom, and what for.
    pub audience: Audience,
    /// The person behind it, if there is one.
    pub on_behalf: Option<OnBehalf<'a>>,
    /// What it was exchanged for, if it was.
    pub chain: Chain,
}

/// How a person stands behind an access token.
#[derive(Clone, Copy)]
pub struct OnBehalf<'a> {
    /// What they granted.
    pub grant_id: &'a GrantId,
    /// When they last proved who they are, if that is known.
    pub auth_time: Option<Instant>,
    /// How.
    pub amr: &'a [Amr],
    /// How sure of them that makes the client.
    pub acr: Option<&'a str>,
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
    /// What people are called there.
    pub subjects: Subjects,
    /// What is known of them, for ID tokens.
    pub people: Store,
    /// What is encrypted to clients.
    pub client_keys: ClientKeys,
    /// Which of them were revoked.
    pub revocations: Revocations,
    /// Makes their identifiers.
    pub random: Arc<dyn Random>,
    /// Counts them.
    pub metrics: Arc<Metrics>,
    /// Signatures that were verified before.
    pub verified: VerifiedTokens<AccessTokenClaims>,
}

impl AccessTokens {
    /// What signs the tokens of a resource server.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`].
    pub fn signer(
        &self,
        server: &ResourceServer,
        now: Instant,
    ) -> Result<Arc<dyn Signer>, TokenError> {
        let signer = self.keys.ring().signer(server.alg, now);
        signer.ok_or(TokenError::NoSigningKey)
    }

    /// Issues an access token. Writes nothing anywhere.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`].
    pub async fn issue(&self, order: Order<'_>, now: Instant) -> Result<String, TokenError> {
        let server = &order.audience.server;
        let signer = self.signer(server, now)?;
        let ends_at = now + server.lifetime;
        let claims = AccessTokenClaims {
            iss: self.issuer.to_string(),
            sub: order.subject,
            aud: server.identifier.clone(),
            client_id: order.client_id.clone(),
            iat: now.as_secs(),
            exp: order.chain.end(ends_at).as_secs(),
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<16>(&*self.random)),
            scope: order.audience.scope,
            authorization_details: order.audience.details,
            auth_time: order
                .on_behalf
                .and_then(|person| person.auth_time)
                .map(Instant::as_secs),
            amr: order
                .on_behalf
                .map_or_else(Vec::new, |person| person.amr.to_vec()),
            acr: order
                .on_behalf
                .and_then(|person| person.acr.map(str::to_owned)),
            grant_id: order.on_behalf.map(|person| person.grant_id.clone()),
            act: order.chain.act,
            may_act: order.chain.may_act,
            subject_tokens: order.chain.subject_tokens,
        };
        Ok(sign_jwt(JwtKind::AccessToken, &claims, &*signer).await?)
    }

    /// Whether the token was revoked, or anything that it rests on, or that it was exchanged for.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows.
    pub async fn is_revoked(
        &self,
        claims: &AccessTokenClaims,
        now: Instant,
    ) -> Result<bool, DbError> {
        let rests = RestsOn {
            jti: &claims.jti,
            grant_id: claims.grant_id.as_ref().map(GrantId::as_str),
            client_id: claims.client_id.as_str(),
            account_id: claims.grant_id.as_ref().map(|_| claims.sub.as_str()),
            issued_at: Instant::from_secs(claims.iat),
        };
        Ok(self.revocations.is_revoked(&rests, now).await?
            || self.is_any_revoked(&claims.subject_tokens, now).await?)
    }

    /// Whether any of the tokens was revoked that another was exchanged for.
    ///
    /// # Errors
    /// [`DbError`]: nobody knows.
    pub async fn is_any_revoked(
        &self,
        tokens: &[SubjectToken],
        now: Instant,
    ) -> Result<bool, DbError> {
        for token in tokens {
            if self.revocations.is_revoked(&token.rests_on(), now).await? {
                return Ok(true);
            }
        }
        Ok(false)
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
