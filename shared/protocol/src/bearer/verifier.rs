//! Decides about a token: by its signature, or by asking its issuer.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::access_token::{TokenClaims, Vouched};
use super::introspection::{Answer, Introspection};
use super::issuer_keys::{IssuerKeys, Published, name_of};
use super::{AccessToken, BearerError, GuardSettings, InvalidGuard, InvalidToken};
use super::{IssuerFailure, Policy};
use crate::confirmation::Confirmation;
use crate::issuer::Issuer;
use crate::jose::{Algorithm, JwtError, JwtKind, UnverifiedJwt, VerifiedTokens, object};
use crate::lookups::Lookups;
use crate::resource::ResourceId;
use crate::time::{Clock, Instant};

/// The longest that an introspection answer may be believed.
const MAX_BELIEVED: Duration = Duration::from_secs(5);

/// Whether a token is introspected even where its issuer's policy is [`Policy::Jwks`], and even where an answer is remembered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Always {
    Introspect,
    AsThePolicySays,
}

pub(super) struct Verifier {
    resource: ResourceId,
    issuers: Vec<Trusted>,
    algorithms: Vec<Algorithm>,
    clock: Arc<dyn Clock>,
    verified: VerifiedTokens<Vouched>,
    introspected: Arc<Lookups>,
}

struct Trusted {
    issuer: Issuer,
    policy: Policy,
    keys: IssuerKeys,
    introspection: Option<Introspection>,
}

impl Verifier {
    pub(super) fn new(settings: GuardSettings) -> Result<Self, InvalidGuard> {
        if settings.issuers.is_empty() {
            return Err(InvalidGuard::NoIssuer);
        }
        if settings.algorithms.is_empty() {
            return Err(InvalidGuard::NoAlgorithm);
        }
        if settings.introspection_cache > MAX_BELIEVED {
            return Err(InvalidGuard::IntrospectionCache);
        }
        let introspected = Arc::<Lookups>::default();
        let mut issuers: Vec<Trusted> = Vec::with_capacity(settings.issuers.len());
        for trusted in settings.issuers {
            let issuer = trusted.issuer;
            if issuers.iter().any(|other| other.issuer == issuer) {
                return Err(InvalidGuard::IssuerTwice(issuer));
            }
            if trusted.policy == Policy::Introspect && trusted.introspection.is_none() {
                return Err(InvalidGuard::NoCredentials(issuer));
            }
            issuers.push(Trusted {
                policy: trusted.policy,
                keys: IssuerKeys::new(
                    issuer.clone(),
                    trusted.policy == Policy::Jwks,
                    settings.fetcher.clone(),
                    Arc::clone(&settings.clock),
                ),
                introspection: trusted.introspection.map(|credentials| {
                    Introspection::new(
                        issuer.clone(),
                        credentials,
                        settings.fetcher.clone(),
                        settings.introspection_cache,
                        settings.remembered,
                    )
                    .counting(Arc::clone(&introspected))
                }),
                issuer,
            });
        }
        Ok(Self {
            resource: settings.resource,
            issuers,
            algorithms: settings.algorithms,
            clock: settings.clock,
            verified: VerifiedTokens::new(settings.remembered),
            introspected,
        })
    }

    pub(super) fn lookups(&self) -> [(&'static str, Arc<Lookups>); 2] {
        [
            ("verified_tokens", self.verified.lookups()),
            ("introspections", Arc::clone(&self.introspected)),
        ]
    }

    pub(super) fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter().map(|trusted| &trusted.issuer)
    }

    /// Fetches what each issuer publishes, where it is not there yet.
    pub(super) async fn ready(&self) -> Result<(), (Issuer, IssuerFailure)> {
        for trusted in &self.issuers {
            if trusted.policy == Policy::Jwks {
                let fetched = trusted.keys.current().await;
                fetched.map_err(|failure| (trusted.issuer.clone(), failure))?;
            }
        }
        Ok(())
    }

    /// Now, by the clock that tokens are judged by.
    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The token, if it is good here and now for anything.
    pub(super) async fn accept(
        &self,
        token: &str,
        always: Always,
        now: Instant,
    ) -> Result<Arc<AccessToken>, BearerError> {
        if !is_jwt(token) {
            return self.accept_opaque(token, always, now).await;
        }
        let jwt = UnverifiedJwt::parse(token, JwtKind::AccessToken).map_err(InvalidToken::Jwt)?;
        // Nobody has vouched for this `iss`; whose keys or answer then speak for the token, follows from it.
        let trusted = jwt
            .unverified_text("iss")
            .and_then(|iss| self.issuers.iter().find(|t| t.issuer.as_str() == iss))
            .ok_or(InvalidToken::Issuer)?;
        let ask = async || {
            let answer = trusted.ask(token, always, now).await?;
            answer?
                .accept(&self.resource, now)
                .map_err(BearerError::from)
        };
        if trusted.policy == Policy::Introspect {
            // Nobody vouches for what the token says by itself, but to heed it opens nothing.
            let own = jwt.unverified("cnf").cloned();
            let own = own.map(serde_json::from_value).transpose();
            let own: Option<Confirmation> = own.map_err(|_| InvalidToken::Confirmation)?;
            return Ok(bound_as(own.as_ref(), ask().await?)?);
        }
        // RFC 8725 §3.1.
        if !self.algorithms.contains(&jwt.algorithm()) {
            return Err(InvalidToken::Jwt(JwtError::Algorithm).into());
        }
        let vouched = self.verify(trusted, token, jwt).await?;
        let verified = vouched.accept(&self.resource, now)?;
        if always == Always::AsThePolicySays {
            return Ok(verified);
        }
        let answered = ask().await?;
        // The answer is about this token, and nobody else's: an issuer that leaves the subject out does not make it the client's own.
        if verified.subject() != answered.subject() || verified.client_id() != answered.client_id()
        {
            return Err(InvalidToken::Claims.into());
        }
        Ok(bound_as(verified.confirmation(), answered)?)
    }

    /// A token whose issuer nobody knows: the first that calls it active speaks for it.
    async fn accept_opaque(
        &self,
        token: &str,
        always: Always,
        now: Instant,
    ) -> Result<Arc<AccessToken>, BearerError> {
        let mut refusal = BearerError::InvalidToken(InvalidToken::Opaque);
        for trusted in &self.issuers {
            if trusted.policy != Policy::Introspect {
                continue;
            }
            match trusted.ask(token, always, now).await {
                Ok(Ok(vouched)) => return Ok(vouched.accept(&self.resource, now)?),
                // The token may be that of an issuer which did not answer: then it is not known to be invalid.
                Ok(Err(cause)) if !matches!(refusal, BearerError::Unavailable(_)) => {
                    refusal = cause.into();
                }
                Ok(Err(_)) => {}
                Err(failure) => refusal = failure.into(),
            }
        }
        Err(refusal)
    }

    /// RFC 9068 §4, as far as it does not depend on the moment: signature, and claims of the right form.
    async fn verify(
        &self,
        trusted: &Trusted,
        token: &str,
        jwt: UnverifiedJwt<'_>,
    ) -> Result<Arc<Vouched>, BearerError> {
        let mut published = trusted.keys.current().await?;
        if let Some(vouched) = self.verified.recall(token, |key| published.has(key)) {
            return Ok(vouched);
        }
        if !has_key(&published, &jwt) {
            published = trusted.keys.after_unknown_key(published).await;
        }
        let verified = match jwt.verify(published.keys()) {
            // Without `kid` it may be the signature of a key that came just now.
            Err(JwtError::Signature) => {
                let jwt =
                    UnverifiedJwt::parse(token, JwtKind::AccessToken).map_err(InvalidToken::Jwt)?;
                if jwt.kid().is_some() {
                    Err(JwtError::Signature)
                } else {
                    published = trusted.keys.after_unknown_key(published).await;
                    jwt.verify(published.keys())
                }
            }
            verified => verified,
        };
        let (claims, key) = verified.map_err(InvalidToken::Jwt)?;
        let claims = TokenClaims::of(claims.into_members())?;
        // RFC 9068 §2.2: these too are required of a JWT.
        let TokenClaims {
            iss, sub, iat, jti, ..
        } = &claims;
        if iss.is_none() || sub.is_none() || iat.is_none() || jti.is_none() {
            return Err(InvalidToken::Claims.into());
        }
        let vouched = Arc::new(Vouched::new(&trusted.issuer, claims)?);
        if let Some(key) = name_of(&key) {
            self.verified.remember(token, key, Arc::clone(&vouched));
        }
        Ok(vouched)
    }
}

impl Trusted {
    async fn ask(
        &self,
        token: &str,
        always: Always,
        now: Instant,
    ) -> Result<Answer, IssuerFailure> {
        let introspection = self
            .introspection
            .as_ref()
            .ok_or(IssuerFailure::NoIntrospection)?;
        let published = self.keys.current().await?;
        let endpoint = published
            .introspection_endpoint()
            .ok_or(IssuerFailure::NoIntrospection)?;
        match always {
            Always::Introspect => introspection.ask(token, endpoint, now).await,
            Always::AsThePolicySays => introspection.recall_or_ask(token, endpoint, now).await,
        }
    }
}

/// What the token itself is bound to is not for an answer to leave out, or to change.
fn bound_as(
    own: Option<&Confirmation>,
    answered: Arc<AccessToken>,
) -> Result<Arc<AccessToken>, InvalidToken> {
    match (own, answered.confirmation()) {
        (Some(own), None) => Ok(Arc::new(answered.bound_to(own))),
        (Some(own), Some(other)) if own != other => Err(InvalidToken::Confirmation),
        (Some(_) | None, Some(_)) | (None, None) => Ok(answered),
    }
}

fn has_key(published: &Published, jwt: &UnverifiedJwt<'_>) -> bool {
    let mut candidates = published.keys().candidates(jwt.kid(), jwt.algorithm());
    candidates.next().is_some()
}

/// Whether a token is meant to be a JWS (RFC 7519 §7.2): three parts, of which the first is a JSON object. What the header says is
/// judged later.
fn is_jwt(token: &str) -> bool {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    URL_SAFE_NO_PAD
        .decode(header)
        .is_ok_and(|header| object(&header).is_ok())
}
