//! What a verified access token says.

use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::InvalidToken;
use crate::authorization_details::AuthorizationDetails;
use crate::client_id::ClientId;
use crate::confirmation::Confirmation;
use crate::issuer::Issuer;
use crate::jose::Audience;
use crate::resource::ResourceId;
use crate::scope::ScopeSet;
use crate::time::{CLOCK_SKEW, Instant, NumericDate};

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
    confirmation: Option<Confirmation>,
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

    /// What its sender proved, if it is bound to anything (RFC 7800 §3.1).
    #[must_use]
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.confirmation.as_ref()
    }

    /// The same, bound so.
    pub(super) fn bound_to(&self, confirmation: &Confirmation) -> Self {
        Self {
            confirmation: Some(confirmation.clone()),
            ..self.clone()
        }
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
    #[serde(default, deserialize_with = "named")]
    pub(super) sub: Option<String>,
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
    #[serde(skip)]
    confirmation: Option<Confirmation>,
    #[serde(skip)]
    others: Map<String, Value>,
}

impl TokenClaims {
    /// Reads them; what is not among the members of this type is kept as it is.
    pub(super) fn of(mut members: Map<String, Value>) -> Result<Self, InvalidToken> {
        // RFC 7800 §3.1: whatever its value is, even `null`. A confirmation that we do not understand is not one to ignore.
        let confirmation = members.remove("cnf").map(serde_json::from_value);
        let confirmation = confirmation.transpose();
        let confirmation = confirmation.map_err(|_| InvalidToken::Confirmation)?;
        let mut others = Map::new();
        if !members.keys().all(|name| is_understood(name)) {
            let (own, rest) = members
                .into_iter()
                .partition(|(name, _)| is_understood(name));
            (members, others) = (own, rest);
        }
        let claims = serde_json::from_value(Value::Object(members));
        let claims: Self = claims.map_err(|_| InvalidToken::Claims)?;
        Ok(Self {
            confirmation,
            others,
            ..claims
        })
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
            | "active"
    )
}

/// A name, where there is one at all.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

/// Whatever its value is, even `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// A token that its issuer vouched for, by signature or by answer. It is accepted only after [`Vouched::accept`].
pub(super) struct Vouched {
    token: Arc<AccessToken>,
    audience: Audience,
    not_before: Instant,
}

impl Vouched {
    /// Takes the claims of a token of `issuer`.
    pub(super) fn new(issuer: &Issuer, claims: TokenClaims) -> Result<Self, InvalidToken> {
        // An answer may leave it out (RFC 7662 §2.2): where it names nobody but the client, the token speaks for no other.
        let speaks_of_a_person = claims.is_granted
            || claims.auth_time.is_some()
            || claims.acr.is_some()
            || claims.others.contains_key("username");
        let subject = match claims.sub {
            Some(subject) => subject,
            None if speaks_of_a_person => return Err(InvalidToken::Claims),
            None => claims.client_id.as_str().to_owned(),
        };
        if subject.is_empty() {
            return Err(InvalidToken::Claims);
        }
        // RFC 7662 §2.2: only an answer has it. What is `DPoP` is bound to a key; what is no access token at all has another name.
        let has_jkt = claims.confirmation.as_ref().and_then(Confirmation::jkt);
        match claims.token_type.as_deref() {
            None => {}
            Some(bearer) if bearer.eq_ignore_ascii_case("Bearer") => {}
            Some(dpop) if dpop.eq_ignore_ascii_case("DPoP") => {
                has_jkt.ok_or(InvalidToken::Confirmation)?;
            }
            Some(_) => return Err(InvalidToken::TokenType),
        }
        let instant = |date: Option<NumericDate>| date.map(NumericDate::instant);
        let (issued_at, not_before) = (instant(claims.iat), instant(claims.nbf));
        Ok(Self {
            audience: claims.aud,
            not_before: issued_at.max(not_before).unwrap_or(Instant::EPOCH),
            token: Arc::new(AccessToken {
                issuer: issuer.clone(),
                subject,
                client_id: claims.client_id,
                scope: claims.scope,
                authorization_details: claims.authorization_details,
                expires_at: claims.exp.instant(),
                issued_at,
                auth_time: instant(claims.auth_time),
                acr: claims.acr,
                jti: claims.jti,
                confirmation: claims.confirmation,
                others: claims.others,
                is_granted: claims.is_granted,
            }),
        })
    }

    /// What depends on the moment, checked each time: `aud`, `exp`, `nbf` and `iat`. What depends on the request, such as `cnf`, is for the
    /// guard to check.
    pub(super) fn accept(
        &self,
        resource: &ResourceId,
        now: Instant,
    ) -> Result<Arc<AccessToken>, InvalidToken> {
        if !self.audience.iter().any(|aud| names(aud, resource)) {
            return Err(InvalidToken::Audience);
        }
        if now >= self.token.expires_at {
            return Err(InvalidToken::Expired);
        }
        // What expires has no leeway.
        if now + CLOCK_SKEW < self.not_before {
            return Err(InvalidToken::NotYetValid);
        }
        Ok(Arc::clone(&self.token))
    }
}

/// Equal as text, or as identifiers that differ only in an empty path.
fn names(aud: &str, resource: &ResourceId) -> bool {
    aud == resource.as_str() || aud.parse::<ResourceId>().is_ok_and(|aud| aud == *resource)
}
