//! A response, with the questions that checks ask of it. Each refusal carries the exchange that shows it.

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

use crate::challenge::Challenge;
use crate::check::{Stop, Verdict};
use crate::exchange::Exchange;

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) exchange: Exchange,
}

impl Answer {
    pub(crate) fn fail(&self, reason: impl Into<String>) -> Stop {
        Stop::failed(reason, Some(self.exchange.clone()))
    }

    pub(crate) fn require(&self, holds: bool, reason: impl Into<String>) -> Verdict {
        if holds {
            Ok(())
        } else {
            Err(self.fail(reason))
        }
    }

    pub(crate) fn status(&self, allowed: &[u16]) -> Verdict {
        let reason = || format!("expected status {}, got {}", one_of(allowed), self.status);
        if allowed.contains(&self.status) {
            Ok(())
        } else {
            Err(self.fail(reason()))
        }
    }

    /// Every value of a header field, joined as RFC 9110 §5.2 allows.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(crate) fn media_type(&self) -> String {
        let value = self.header("content-type").unwrap_or_default();
        value
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    }

    pub(crate) fn has_directive(&self, field: &str, directive: &str) -> bool {
        let value = self.header(field).unwrap_or_default();
        value
            .split(',')
            .any(|given| given.trim().eq_ignore_ascii_case(directive))
    }

    /// The body, when it is a JSON object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, Stop> {
        serde_json::from_slice(&self.body).map_err(|_| self.fail("the body is not a JSON object"))
    }

    /// A member of the JSON body that must be a string.
    pub(crate) fn text(&self, member: &str) -> Result<String, Stop> {
        let json = self.json()?;
        let text = json.get(member).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| self.fail(format!("{member} is missing or not a string")))
    }

    /// An error response of the token endpoint's form (RFC 6749 §5.2).
    pub(crate) fn refused(&self, statuses: &[u16], codes: &[&str]) -> Verdict {
        self.status(statuses)?;
        let code = self.text("error")?;
        self.require(
            codes.contains(&code.as_str()),
            format!("expected error {}, got {code}", one_of(codes)),
        )
    }

    /// Refused in whatever 4xx form, and above all without a token.
    pub(crate) fn without_token(&self) -> Verdict {
        self.require(
            (400..500).contains(&self.status),
            format!("expected a refusal, got {}", self.status),
        )?;
        let token = self
            .json()
            .is_ok_and(|json| json.contains_key("access_token"));
        self.require(!token, "a token was issued")
    }

    /// Unless the client may not use the grant at all: `lacks` says so.
    pub(crate) fn is_for_the_client(&self, lacks: &str) -> Verdict {
        match self.text("error").as_deref() {
            Ok("unauthorized_client") => Err(Stop::unchecked(lacks)),
            _ => Ok(()),
        }
    }

    /// Every challenge of the response (RFC 9110 §11.6.1).
    pub(crate) fn challenges(&self) -> Result<Vec<Challenge>, Stop> {
        let value = self.header("www-authenticate").unwrap_or_default();
        Challenge::parse_all(&value)
            .ok_or_else(|| self.fail("WWW-Authenticate does not follow the grammar"))
    }

    /// The challenge with that scheme.
    pub(crate) fn challenge(&self, scheme: &str) -> Result<Challenge, Stop> {
        let mut challenges = self.challenges()?.into_iter();
        challenges
            .find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme))
            .ok_or_else(|| self.fail(format!("WWW-Authenticate has no {scheme} challenge")))
    }
}

fn one_of<T: ToString>(values: &[T]) -> String {
    values
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" or ")
}
