//! What a verified access token says.

use std::sync::Arc;
use std::time::Duration;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{BearerError, InvalidToken};
use crate::authorization_details::AuthorizationDetails;
use crate::client_id::ClientId;
use crate::issuer::Issuer;
use crate::jose::Audience;
use crate::resource::ResourceId;
use crate::scope::ScopeSet;
use crate::time::{Instant, NumericDate};

/// How far the issuer's clock may be ahead of ours for `nbf` and `iat`. `exp` has no leeway.
const LEEWAY: Duration = Duration::from_secs(5);

/// An access token that was accepted. The guard puts it into the request's extensions as an `Arc`.
#[derive(Clone, Debug)]
pub struct AccessToken {
    issuer: Issuer,
    subject: String,
    client_id: ClientId,
    scope: ScopeSet,
    authorization_details: AuthorizationDetails,
    expires_at: Instant,
    issued_at: Option<Instant>,
    auth_time: Option<Instant>,
    acr: Option<String>,
    jti: Option<String>,
    others: Map<String, Value>,
    is_granted: bool,
}

impl AccessToken {
    /// Who issued it. A person is known by issuer and subject together.
    #[must_use]
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// `sub`: whom it speaks for, at its issuer.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client it was issued to.
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// What it allows.
    #[must_use]
    pub fn scope(&self) -> &ScopeSet {
        &self.scope
    }

    /// What it allows in more words than a scope has (RFC 9396 §9).
    #[must_use]
    pub fn authorization_details(&self) -> &AuthorizationDetails {
        &self.authorization_details
    }

    /// From when on it is not accepted.
    #[must_use]
    pub fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// When it was issued; always known of a JWT.
    #[must_use]
    pub fn issued_at(&self) -> Option<Instant> {
        self.issued_at
    }

    /// When the person signed in (RFC 9068 §2.2.1).
    #[must_use]
    pub fn auth_time(&self) -> Option<Instant> {
        self.auth_time
    }

    /// How sure the issuer is of the person (RFC 9068 §2.2.1): a level of its own naming.
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// Its own identifier; always known of a JWT.
    #[must_use]
    pub fn jti(&self) -> Option<&str> {
        self.jti.as_deref()
    }

    /// A claim that has no meaning to the guard, such as those that an operator of the issuer mapped for this resource server
    /// (`groups`, `roles` and `entitlements` of RFC 9068 §2.2.3.1 among them). The issuer vouches for it as for all others.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.others.get(name)
    }

    /// Whether it names a grant (`grant_id`): somebody allowed it, even where it does not say when they signed in, because another issuer
    /// spoke for them.
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.is_granted
    }

    /// Whether it speaks for the client itself, and no person (RFC 9068 §2.2: `sub` is then the client).
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.subject == self.client_id.as_str()
    }
}

/// The claims of RFC 9068 §2.2, by which RFC 7662 §2.2 names its members too. What only one of them demands is optional.
#[derive(Deserialize)]
pub(super) struct TokenClaims {
    pub(super) iss: Option<String>,
    sub: String,
    client_id: ClientId,
    aud: Audience,
    exp: NumericDate,
    pub(super) iat: Option<NumericDate>,
    nbf: Option<NumericDate>,
    auth_time: Option<NumericDate>,
    acr: Option<String>,
    pub(super) jti: Option<String>,
    #[serde(default)]
    scope: ScopeSet,
    #[serde(default)]
    authorization_details: AuthorizationDetails,
    token_type: Option<String>,
    #[serde(default, rename = "grant_id", deserialize_with = "present")]
    is_granted: bool,
    #[serde(default, rename = "cnf", deserialize_with = "present")]
    sender_constrained: bool,
    #[serde(skip)]
    others: Map<String, Value>,
}

impl TokenClaims {
    /// Reads them; what is not among the members of this type is kept as it is.
    pub(super) fn of(mut members: Map<String, Value>) -> Option<Self> {
        let mut others = Map::new();
        if !members.keys().all(|name| is_understood(name)) {
            let (own, rest) = members
                .into_iter()
                .partition(|(name, _)| is_understood(name));
            (members, others) = (own, rest);
        }
        let claims: Self = serde_json::from_value(Value::Object(members)).ok()?;
        Some(Self { others, ..claims })
    }
}

/// Whether [`TokenClaims`] has a member of this name, or an answer of the issuer does (RFC 7662 §2.2).
fn is_understood(name: &str) -> bool {
    matches!(
        name,
        "iss"
            | "sub"
            | "client_id"
            | "aud"
            | "exp"
            | "iat"
            | "nbf"
            | "auth_time"
            | "acr"
            | "jti"
            | "scope"
            | "authorization_details"
            | "token_type"
            | "grant_id"
            | "cnf"
            | "active"
    )
}

/// Whatever its value is, even `null`: a confirmation that we do not understand is not one to ignore.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A token that its issuer vouched for, by signature or by answer. It is accepted only after [`Vouched::accept`].
pub(super) struct Vouched {
    token: Arc<AccessToken>,
    audience: Audience,
    not_before: Instant,
    sender_constrained: bool,
}

impl Vouched {
    /// Takes the claims of a token of `issuer`.
    pub(super) fn new(issuer: &Issuer, claims: TokenClaims) -> Result<Self, InvalidToken> {
        if claims.sub.is_empty() {
            return Err(InvalidToken::Claims);
        }
        // RFC 7662 §2.2: only an answer has it. `DPoP` is bound to a key; what is no access token at all has another name.
        let bearer = claims
            .token_type
            .is_none_or(|token_type| token_type.eq_ignore_ascii_case("Bearer"));
        let instant = |date: Option<NumericDate>| date.map(NumericDate::instant);
        let (issued_at, not_before) = (instant(claims.iat), instant(claims.nbf));
        Ok(Self {
            audience: claims.aud,
            not_before: issued_at.max(not_before).unwrap_or(Instant::EPOCH),
            sender_constrained: claims.sender_constrained || !bearer,
            token: Arc::new(AccessToken {
                issuer: issuer.clone(),
                subject: claims.sub,
                client_id: claims.client_id,
                scope: claims.scope,
                authorization_details: claims.authorization_details,
                expires_at: claims.exp.instant(),
                issued_at,
                auth_time: instant(claims.auth_time),
                acr: claims.acr,
                jti: claims.jti,
                others: claims.others,
                is_granted: claims.is_granted,
            }),
        })
    }

    /// What depends on the moment and on the request, checked each time: `aud`, `exp`, `nbf`, `iat`, `cnf` and scope.
    pub(super) fn accept(
        &self,
        resource: &ResourceId,
        needed: &ScopeSet,
        now: Instant,
    ) -> Result<Arc<AccessToken>, BearerError> {
        if !self.audience.iter().any(|aud| names(aud, resource)) {
            return Err(InvalidToken::Audience.into());
        }
        if self.sender_constrained {
            return Err(InvalidToken::SenderConstrained.into());
        }
        if now >= self.token.expires_at {
            return Err(InvalidToken::Expired.into());
        }
        if now + LEEWAY < self.not_before {
            return Err(InvalidToken::NotYetValid.into());
        }
        if !needed.is_subset(&self.token.scope) {
            return Err(BearerError::InsufficientScope {
                needed: needed.clone(),
            });
        }
        Ok(Arc::clone(&self.token))
    }
}

/// Equal as text, or as identifiers that differ only in an empty path.
fn names(aud: &str, resource: &ResourceId) -> bool {
    aud == resource.as_str() || aud.parse::<ResourceId>().is_ok_and(|aud| aud == *resource)
}
