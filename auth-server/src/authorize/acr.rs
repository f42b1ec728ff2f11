//! How sure a client wants to be of a person, and how sure this server is (`acr_values` and `acr`: OpenID Connect Core §3.1.2.1,
//! §5.5.1.1; RFC 9470 §4, §5).

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::error::RedirectCause;
use crate::clients::Client;
use crate::config::AcrLevel;
use crate::parameters::{InvalidParameters, Parameters};
use crate::refusals::Detail;
use crate::sessions::Amr;

/// The levels of this server, the weakest first.
#[derive(Clone, Debug, Default)]
pub struct Levels(Arc<[AcrLevel]>);

/// What a level rests on.
#[derive(Clone, Copy)]
pub struct Proof<'a> {
    /// How a person proved who they are.
    pub amr: &'a [Amr],
    /// How long ago that is; nothing, where they did so for this very request.
    pub age: Duration,
}

impl Levels {
    /// Those of the configuration.
    #[must_use]
    pub fn new(levels: &[AcrLevel]) -> Self {
        Self(levels.into())
    }

    /// What each is called.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|level| level.value.as_str())
    }

    /// The highest that a proof reaches.
    #[must_use]
    pub fn highest(&self, proof: Proof<'_>) -> Option<&str> {
        let mut from_above = self.0.iter().rev();
        let level = from_above.find(|level| proof.reaches(level))?;
        Some(&level.value)
    }

    fn reached(&self, value: &str, proof: Proof<'_>) -> bool {
        let mut levels = self.0.iter();
        levels.any(|level| level.value == value && proof.reaches(level))
    }
}

impl Proof<'_> {
    fn reaches(&self, level: &AcrLevel) -> bool {
        level.amr.iter().all(|amr| self.amr.contains(amr))
            && level
                .within
                .is_none_or(|within| self.age < within.duration())
    }
}

/// How sure a client wants to be.
#[derive(Clone, Debug, Default)]
pub struct RequestedAcr {
    levels: Levels,
    /// The levels that will do, the best first; without any, whatever is reached.
    wanted: Vec<String>,
    /// Whether there has to be a level, whichever it is.
    any: bool,
}

/// The members of `claims` that matter here (OpenID Connect Core §5.5).
#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    id_token: Option<InIdToken>,
}

#[derive(Deserialize)]
struct InIdToken {
    #[serde(default)]
    acr: Option<AcrClaim>,
}

/// OpenID Connect Core §5.5.1.
#[derive(Default, Deserialize)]
struct AcrClaim {
    #[serde(default)]
    essential: bool,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

impl RequestedAcr {
    /// What `claims`, else `acr_values`, else the client's registration asks for.
    ///
    /// A level that this server knows is insisted on, because a sign-in reaches it. Of others, `acr_values` is a wish to OpenID
    /// Connect, and what an essential claim wants must be met; a request that is not of OpenID Connect means its `acr_values` so too
    /// (RFC 9470 §5), or a client would be sent back and forth for ever.
    ///
    /// # Errors
    /// [`RedirectCause::UnmetAuthenticationRequirements`] where no sign-in could ever do.
    pub fn parse(
        client: &Client,
        parameters: &Parameters,
        is_openid: bool,
        levels: &Levels,
    ) -> Result<Self, RedirectCause> {
        let claim = claim(parameters)?;
        let asked = parameters.optional("acr_values").unwrap_or_default();
        let asked: Vec<String> = asked
            .split(' ')
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect();
        let AcrClaim {
            essential,
            value,
            values,
        } = claim.unwrap_or_default();
        let claimed: Vec<String> = value.into_iter().chain(values).collect();
        let insists = essential || (!is_openid && !asked.is_empty());
        let mut wanted = if !claimed.is_empty() {
            claimed
        } else if !asked.is_empty() {
            asked
        } else {
            client.metadata.default_acr_values.clone()
        };
        let any = essential && wanted.is_empty();
        let named = !wanted.is_empty();
        wanted.retain(|value| levels.values().any(|known| known == value));
        let is_hopeless = if named {
            wanted.is_empty()
        } else {
            levels.0.is_empty()
        };
        if insists && is_hopeless {
            let known = Detail::list(levels.values());
            let why = format!(
                "it insists on a level (acr) that this server does not know, which knows: {known}"
            );
            return Err(RedirectCause::UnmetAuthenticationRequirements(Detail::new(
                why,
            )));
        }
        Ok(Self {
            levels: levels.clone(),
            wanted,
            any,
        })
    }

    /// Whether the client is as sure as it wants to be.
    #[must_use]
    pub fn is_met(&self, proof: Proof<'_>) -> bool {
        if self.wanted.is_empty() {
            return !self.any || self.levels.highest(proof).is_some();
        }
        self.first_reached(proof).is_some()
    }

    /// What the client is told: the first of what it wanted that is reached, for it looks for just that, or else the highest.
    #[must_use]
    pub fn reached(&self, proof: Proof<'_>) -> Option<&str> {
        self.first_reached(proof)
            .or_else(|| self.levels.highest(proof))
    }

    fn first_reached(&self, proof: Proof<'_>) -> Option<&str> {
        let mut wanted = self.wanted.iter().map(String::as_str);
        wanted.find(|value| self.levels.reached(value, proof))
    }
}

fn claim(parameters: &Parameters) -> Result<Option<AcrClaim>, InvalidParameters> {
    let Some(raw) = parameters.optional("claims") else {
        return Ok(None);
    };
    let claims: Claims =
        serde_json::from_str(raw).map_err(|_| InvalidParameters::Malformed("claims"))?;
    Ok(claims.id_token.and_then(|claims| claims.acr))
}

#[cfg(test)]
mod tests;
