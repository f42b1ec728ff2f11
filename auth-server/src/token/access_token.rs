//! Access tokens, as JWTs (RFC 9068) or opaque: made, and read again by introspection, revocation and userinfo.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use shared_protocol::authorization_details::AuthorizationDetails;
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::Confirmation;
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
use super::opaque::{self, OpaqueTokens};
use crate::accounts::AccountId;
use crate::clients::jwks_uri::ClientKeys;
use crate::clients::{Client, ClientMetadata};
use crate::grants::{GrantId, Terms};
use crate::keys::Keys;
use crate::profiles::Profiles;
use crate::resource_servers::claims::{Asks, TooLong, is_reserved};
use crate::resource_servers::{ResourceServer, ResourceServers, TokenFormat};
use crate::revocations::{RestsOn, Revocations};
use crate::sessions::Amr;
use crate::store::accounts::{self, DescribedPersonRow};
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
    /// Who alone may use it (RFC 7800 §3.1): whoever holds this key, or this certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Actor>>,
    /// Who alone may (RFC 8693 §4.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may_act: Option<MayAct>,
    /// The tokens that it was exchanged for, the oldest first: with any of them it dies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_tokens: Vec<SubjectToken>,
    /// What its resource server asks for beside all that.
    #[serde(flatten, skip_deserializing, skip_serializing_if = "Map::is_empty")]
    pub mapped: Map<String, Value>,
    /// Whose it is, where it is opaque: what its audience calls them is not for the client.
    #[serde(skip)]
    pub account_id: Option<AccountId>,
}

impl AccessTokenClaims {
    /// Reads them. What has no meaning of its own in tokens was mapped.
    #[must_use]
    pub fn of(mut members: Map<String, Value>) -> Option<Self> {
        let mut mapped = Map::new();
        if !members.keys().all(|name| is_reserved(name)) {
            let (own, others) = members.into_iter().partition(|(name, _)| is_reserved(name));
            (members, mapped) = (own, others);
        }
        let claims: Self = serde_json::from_value(Value::Object(members)).ok()?;
        Some(Self { mapped, ..claims })
    }
}

impl AccessTokenClaims {
    /// How the token is presented (RFC 6749 §7.1).
    #[must_use]
    pub fn token_type(&self) -> &'static str {
        token_type(self.cnf.as_ref())
    }
}

/// How a token is presented that is bound so: with a proof, or as any other, for a certificate shows by itself (RFC 9449 §5, RFC 8705 §3).
#[must_use]
pub fn token_type(confirmation: Option<&Confirmation>) -> &'static str {
    match confirmation.and_then(Confirmation::jkt) {
        Some(_) => "DPoP",
        None => "Bearer",
    }
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
    /// What the audience asks for: [`AccessTokens::mapped`].
    pub mapped: Map<String, Value>,
    /// What it was exchanged for, if it was.
    pub chain: Chain,
    /// What its sender has to prove, if it is bound to anything.
    pub confirmation: Option<Confirmation>,
}

/// How a person stands behind an access token.
#[derive(Clone, Copy)]
pub struct OnBehalf<'a> {
    /// Who they are.
    pub account_id: &'a AccountId,
    /// What they granted.
    pub grant_id: &'a GrantId,
    /// When they last proved who they are, if that is known.
    pub auth_time: Option<Instant>,
    /// How.
    pub amr: &'a [Amr],
    /// How sure of them that makes the client.
    pub acr: Option<&'a str>,
}

/// Why a token says nothing.
#[derive(Debug, thiserror::Error)]
pub enum UnreadToken {
    /// None of ours, or no longer good.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// The same of an opaque one.
    #[error("the opaque access token is unknown or has expired")]
    Unknown,
    /// A row that this server would not have written.
    #[error("the row of an opaque access token is damaged")]
    Damaged,
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] DbError),
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
    /// What may be given to whom.
    pub profiles: Profiles,
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
    /// Those that are no JWTs.
    pub opaque: OpaqueTokens,
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

    /// Refuses early, while nothing is spent yet, where a token for this audience could not be signed.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`].
    pub fn check_signer(&self, audience: &Audience, now: Instant) -> Result<(), TokenError> {
        match audience.format {
            TokenFormat::Jwt => self.signer(&audience.server, now).map(drop),
            TokenFormat::Opaque => Ok(()),
        }
    }

    /// What the audience asks for beside the claims that every token has, and the person if that took looking them up.
    ///
    /// # Errors
    /// [`TokenError::PersonGone`], [`TokenError::ClaimsTooLong`], [`TokenError::Store`].
    pub async fn mapped(
        &self,
        audience: &Audience,
        metadata: &ClientMetadata,
        account_id: Option<&AccountId>,
    ) -> Result<(Map<String, Value>, Option<DescribedPersonRow>), TokenError> {
        let (server, scope) = (&audience.server, &audience.scope);
        let person = match (server.asks(scope), account_id) {
            (Asks::Nothing, _) => return Ok((Map::new(), None)),
            (Asks::ForThePerson, Some(id)) => {
                let mut conn = self.people.read().await?;
                let person = accounts::find_described(&mut conn, id.as_str()).await?;
                Some(person.ok_or(TokenError::PersonGone)?)
            }
            (Asks::Something, _) | (Asks::ForThePerson, None) => None,
        };
        let mapped = server.mapped(scope, metadata, person.as_ref());
        let mapped = mapped.map_err(|TooLong| TokenError::ClaimsTooLong)?;
        Ok((mapped, person))
    }

    /// What the access token of a grant is to say, for this audience and with the claims that it asks for.
    #[must_use]
    pub fn order<'a>(
        &self,
        client: &'a Client,
        (grant_id, terms): (&'a GrantId, &'a Terms),
        (audience, mapped): (Audience, Map<String, Value>),
        (chain, confirmation): (Chain, Option<Confirmation>),
    ) -> Order<'a> {
        let account_id = &terms.account_id;
        Order {
            client_id: &client.id,
            subject: self.subject(&audience.server, &client.metadata, account_id),
            audience,
            on_behalf: Some(OnBehalf {
                account_id,
                grant_id,
                auth_time: terms.auth_time,
                amr: &terms.amr,
                acr: terms.acr.as_deref(),
            }),
            chain,
            confirmation,
            mapped,
        }
    }

    /// What a token says that is issued now.
    #[must_use]
    pub fn claims(&self, order: Order<'_>, now: Instant) -> AccessTokenClaims {
        let server = &order.audience.server;
        let person = order.on_behalf;
        let ends_at = now + server.lifetime;
        AccessTokenClaims {
            iss: self.issuer.to_string(),
            sub: order.subject,
            aud: server.identifier.clone(),
            client_id: order.client_id.clone(),
            iat: now.as_secs(),
            exp: order.chain.end(ends_at).as_secs(),
            jti: URL_SAFE_NO_PAD.encode(random::bytes::<16>(&*self.random)),
            scope: order.audience.scope,
            authorization_details: order.audience.details,
            auth_time: person
                .and_then(|person| person.auth_time)
                .map(Instant::as_secs),
            amr: person.map_or_else(Vec::new, |person| person.amr.to_vec()),
            acr: person.and_then(|person| person.acr.map(str::to_owned)),
            grant_id: person.map(|person| person.grant_id.clone()),
            cnf: order.confirmation,
            act: order.chain.act,
            may_act: order.chain.may_act,
            subject_tokens: order.chain.subject_tokens,
            mapped: order.mapped,
            account_id: person
                .filter(|_| order.audience.format == TokenFormat::Opaque)
                .map(|person| person.account_id.clone()),
        }
    }

    /// Issues an access token. A JWT is written nowhere. An opaque one is a row: whoever spends something for it does that afterwards,
    /// so that nothing is spent for a token that could not be kept.
    ///
    /// # Errors
    /// [`TokenError::NoSigningKey`], [`TokenError::Sign`], [`TokenError::Store`].
    pub async fn issue(&self, order: Order<'_>, now: Instant) -> Result<String, TokenError> {
        match order.audience.format {
            TokenFormat::Jwt => {
                let signer = self.signer(&order.audience.server, now)?;
                let claims = self.claims(order, now);
                Ok(sign_jwt(JwtKind::AccessToken, &claims, &*signer).await?)
            }
            TokenFormat::Opaque => {
                let claims = self.claims(order, now);
                Ok(self.opaque.keep(&claims, &*self.random).await?)
            }
        }
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
            account_id: claims.account_id.as_ref().map_or_else(
                || claims.grant_id.as_ref().map(|_| claims.sub.as_str()),
                |account_id| Some(account_id.as_str()),
            ),
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

    /// The claims of a token that this server issued and that has not expired. Whether it was revoked is another question.
    ///
    /// # Errors
    /// [`UnreadToken`]: not one of ours, no longer good, or nobody knows.
    pub async fn read(
        &self,
        token: &str,
        now: Instant,
    ) -> Result<Arc<AccessTokenClaims>, UnreadToken> {
        let is_opaque = opaque::is_opaque(token);
        let claims = if is_opaque {
            self.opaque.read(token).await?
        } else {
            self.verify(token)?
        };
        // RFC 9068 §4: issued by this issuer, and its time has not passed.
        if claims.iss == self.issuer.as_str() && claims.exp > now.as_secs() {
            Ok(claims)
        } else if is_opaque {
            Err(UnreadToken::Unknown)
        } else {
            Err(JwtError::Claims.into())
        }
    }

    /// The claims of a JWT that this server signed.
    fn verify(&self, token: &str) -> Result<Arc<AccessTokenClaims>, JwtError> {
        let ring = self.keys.ring();
        if let Some(claims) = self.verified.recall(token, |kid| ring.is_current(kid)) {
            return Ok(claims);
        }
        let unverified = UnverifiedJwt::parse(token, JwtKind::AccessToken)?;
        let (claims, key) = unverified.verify(ring.verifying())?;
        let claims = AccessTokenClaims::of(claims.into_members()).ok_or(JwtError::Claims)?;
        let claims = Arc::new(claims);
        if let Some(kid) = key.kid().cloned() {
            self.verified.remember(token, kid, Arc::clone(&claims));
        }
        Ok(claims)
    }
}
