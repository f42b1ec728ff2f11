//! Software statements (RFC 7591 §2.3): what somebody whom the operator trusts says of a piece of software. One statement may register
//! any number of its installations.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{
    Algorithm, Audience, JwkSet, JwtError, JwtKind, UnverifiedJwt, object,
};
use shared_protocol::time::Instant;

use crate::assertions::{MAX_AHEAD, numeric_date};

/// The member that holds it.
pub const MEMBER: &str = "software_statement";

/// Claims of a statement that are about itself (RFC 7519 §4.1).
const OF_ITSELF: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", MEMBER];

/// Somebody whose statements are believed, as the configuration names them.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct StatementIssuer {
    /// The `iss` of their statements.
    pub issuer: String,
    /// Their public keys: a JWK Set as text.
    pub jwks: String,
}

/// Why a statement says nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StatementError {
    /// Its issuer is nobody who is trusted.
    #[error("the issuer of the software statement is not trusted here")]
    Unapproved,
    /// Its form, kind, algorithm or signature.
    #[error("software_statement: {0}")]
    Jwt(#[from] JwtError),
    /// Not a text.
    #[error("software_statement is not a text")]
    NotText,
    /// It is for other servers.
    #[error("aud of the software statement does not name this issuer")]
    Audience,
    /// Past its `exp`.
    #[error("the software statement has expired")]
    Expired,
    /// `iat` or `nbf` in the future.
    #[error("the software statement is not valid yet")]
    NotYetValid,
}

/// Those whose statements are believed, with their keys.
#[derive(Clone, Default)]
pub struct StatementIssuers(Vec<(Box<str>, JwkSet)>);

/// A statement that somebody made who is believed.
pub struct Statement {
    issuer: Box<str>,
    raw: String,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct AboutItself {
    aud: Option<Audience>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
}

impl StatementIssuers {
    /// Those that are configured.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn new(configured: &[StatementIssuer]) -> Result<Self, (usize, String)> {
        let mut issuers: Vec<(Box<str>, JwkSet)> = Vec::with_capacity(configured.len());
        for (index, StatementIssuer { issuer, jwks }) in configured.iter().enumerate() {
            let wrong = |reason: &str| Err((index, reason.to_owned()));
            if issuer.is_empty() || issuer.len() > 2048 {
                return wrong("issuer is empty or too long: give the `iss` of the statements");
            }
            if issuers.iter().any(|(other, _)| **other == **issuer) {
                return wrong("issuer comes twice: put all its keys into one set");
            }
            let keys = object(jwks.as_bytes())
                .map_err(|error| error.to_string())
                .and_then(|set| JwkSet::from_object(&set).map_err(|error| error.to_string()));
            match keys {
                Ok(keys) if keys.keys().is_empty() => {
                    return wrong("jwks holds no key that can be used");
                }
                Ok(keys) => issuers.push((issuer.as_str().into(), keys)),
                Err(error) => return wrong(&format!("jwks is not a set of public keys: {error}")),
            }
        }
        Ok(Self(issuers))
    }

    /// The statement that came with a request, if it holds and is signed with one of `permitted`.
    ///
    /// # Errors
    /// [`StatementError`].
    pub fn verify(
        &self,
        statement: &Value,
        permitted: &[Algorithm],
        audience: &Issuer,
        now: Instant,
    ) -> Result<Statement, StatementError> {
        let raw = statement.as_str().ok_or(StatementError::NotText)?;
        let statement = self.verify_signature(raw, permitted)?;
        let about = Value::Object(statement.claims.clone());
        let about: AboutItself =
            serde_json::from_value(about).map_err(|_| StatementError::Jwt(JwtError::Claims))?;
        // RFC 7519 §4.1.3: whoever is not named must refuse.
        if let Some(aud) = &about.aud
            && !aud.iter().any(|aud| aud == audience.as_str())
        {
            return Err(StatementError::Audience);
        }
        let at = |date: &Option<Number>| date.as_ref().map(numeric_date).transpose();
        if at(&about.exp)?.is_some_and(|exp| exp <= now) {
            return Err(StatementError::Expired);
        }
        let begins = [at(&about.nbf)?, at(&about.iat)?];
        if begins.into_iter().flatten().any(|at| at > now + MAX_AHEAD) {
            return Err(StatementError::NotYetValid);
        }
        Ok(statement)
    }

    /// A statement that let a client in, which still says what it said: it was looked at then, and its time passes without harm.
    ///
    /// # Errors
    /// [`StatementError`], if whoever made it is trusted no longer, or the algorithm that they used.
    pub fn verify_kept(
        &self,
        statement: &str,
        permitted: &[Algorithm],
    ) -> Result<Statement, StatementError> {
        self.verify_signature(statement, permitted)
    }

    fn verify_signature(
        &self,
        raw: &str,
        permitted: &[Algorithm],
    ) -> Result<Statement, StatementError> {
        let jwt = UnverifiedJwt::parse(raw, JwtKind::SoftwareStatement)?;
        if !permitted.contains(&jwt.algorithm()) {
            return Err(JwtError::Algorithm.into());
        }
        let issuer = jwt.unverified_text("iss").unwrap_or_default();
        let mut issuers = self.0.iter();
        let (issuer, keys) = issuers
            .find(|(known, _)| **known == *issuer)
            .ok_or(StatementError::Unapproved)?;
        let (claims, _) = jwt.verify(keys)?;
        Ok(Statement {
            issuer: issuer.clone(),
            raw: raw.to_owned(),
            claims: claims.parse()?,
        })
    }
}

impl Statement {
    /// Who made it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The statement, as it came.
    #[must_use]
    pub fn into_raw(self) -> String {
        self.raw
    }

    /// Its claims take the place of what the request says (RFC 7591 §2.3), in every language.
    pub fn overrule(&self, members: &mut Map<String, Value>) {
        let stated = self
            .claims
            .iter()
            .filter(|(name, value)| !OF_ITSELF.contains(&name.as_str()) && !value.is_null());
        let stated: Vec<_> = stated.collect();
        members.retain(|name, _| !stated.iter().any(|(other, _)| base(other) == base(name)));
        for (name, value) in stated {
            members.insert(name.clone(), value.clone());
        }
    }
}

fn base(name: &str) -> &str {
    name.split_once('#').map_or(name, |(base, _)| base)
}
