//! What each workload is measured by: who works, beside what, how much it may cost, and what every response must be.

use anyhow::ensure;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use super::{ACCESS_TOKEN, Workload};
use crate::client::member;
use crate::drive::anything;
use crate::floor;

/// What a workload is measured by.
pub(crate) struct Terms {
    /// Whether it is the resource API that works, and not the authorization server.
    pub(crate) at_api: bool,
    /// Whether connections are made with a certificate, the floor's too. Else they are plain TCP.
    pub(crate) by_certificate: bool,
    /// The bare handler that it is compared with, and how many requests.
    pub(super) floor: (&'static str, usize),
    /// CPU time that one unit may cost the server, in milliseconds, where that was decided.
    pub(crate) budget: Option<f64>,
    /// What every response must be.
    pub(crate) check: fn(&Bytes) -> anyhow::Result<()>,
}

/// The authorization server answers, and signs nothing.
const ANSWERS: Terms = Terms {
    at_api: false,
    by_certificate: false,
    floor: (floor::ANSWER, 1),
    budget: None,
    check: anything,
};

/// It signs.
const SIGNS: Terms = Terms {
    floor: (floor::SIGN, 1),
    ..ANSWERS
};

/// The resource API answers.
const API_ANSWERS: Terms = Terms {
    at_api: true,
    ..ANSWERS
};

impl Terms {
    const fn within(self, budget: f64) -> Self {
        let budget = Some(budget);
        Self { budget, ..self }
    }

    const fn checked(self, check: fn(&Bytes) -> anyhow::Result<()>) -> Self {
        Self { check, ..self }
    }

    const fn by_certificate(self) -> Self {
        Self {
            by_certificate: true,
            ..self
        }
    }
}

impl Workload {
    /// What it is measured by.
    pub(crate) const fn terms(self) -> Terms {
        match self {
            Self::ClientCredentials => SIGNS.within(0.045),
            Self::CodeFlow => Terms {
                floor: (floor::SIGN, 2),
                ..SIGNS.within(0.20).checked(identifies)
            },
            Self::Refresh => SIGNS.within(0.13).checked(identifies),
            Self::Userinfo => ANSWERS.within(0.03),
            Self::IntrospectionRepeated => ANSWERS.within(0.02).checked(active),
            Self::IntrospectionFresh => ANSWERS.within(0.09).checked(active),
            Self::IntrospectionOpaque => ANSWERS.checked(active),
            Self::TokenExchange => SIGNS.checked(exchanged),
            Self::Jwks | Self::Metadata => ANSWERS.within(0.012),
            Self::PrivateKeyJwt => SIGNS.within(0.11),
            Self::DpopToken => SIGNS.within(0.12).checked(bound),
            Self::CertificateToken => SIGNS.by_certificate().checked(certified),
            Self::CertificateApiRead => API_ANSWERS.by_certificate(),
            Self::DpopApiRead | Self::ApiRead | Self::ApiReadFresh => API_ANSWERS,
        }
    }
}

/// RFC 8693 §2.2.1: what came is an access token.
fn exchanged(body: &Bytes) -> anyhow::Result<()> {
    let issued = member(body, "issued_token_type")?;
    ensure!(issued == ACCESS_TOKEN, "{issued} was issued");
    member(body, "access_token").map(drop)
}

/// RFC 8705 §3.1: what came is bound to a certificate, and used as any other.
pub(super) fn certified(body: &Bytes) -> anyhow::Result<()> {
    let (kind, token) = (member(body, "token_type")?, member(body, "access_token")?);
    ensure!(kind == "Bearer", "a token of type {kind} was issued");
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    let bound = claims
        .pointer("/cnf/x5t#S256")
        .is_some_and(Value::is_string);
    ensure!(bound, "a token is not bound to a certificate");
    Ok(())
}

/// RFC 9449 §5: what came is bound to the key of the proof.
fn bound(body: &Bytes) -> anyhow::Result<()> {
    let kind = member(body, "token_type")?;
    ensure!(kind == "DPoP", "a token of type {kind} was issued");
    member(body, "access_token").map(drop)
}

/// RFC 7662 §2.2: refusing is cheaper than what is to be measured, so that a token that is not active is an error.
fn active(body: &Bytes) -> anyhow::Result<()> {
    let text = b"\"active\":true";
    ensure!(
        body.windows(text.len()).any(|window| window == text),
        "a token is not active"
    );
    Ok(())
}

/// A token response with an ID token (OpenID Connect Core §3.1.3.3).
fn identifies(body: &Bytes) -> anyhow::Result<()> {
    member(body, "id_token").map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_must_be_is_an_error() {
        let said = |body: &str| Bytes::copy_from_slice(body.as_bytes());
        assert!(active(&said(r#"{"active":true,"sub":"x"}"#)).is_ok());
        assert!(active(&said(r#"{"active":false}"#)).is_err());
        assert!(identifies(&said(r#"{"id_token":"a.b.c"}"#)).is_ok());
        assert!(identifies(&said(r#"{"access_token":"a.b.c"}"#)).is_err());
        assert!(exchanged(&said(r#"{"access_token":"a.b.c"}"#)).is_err());
        assert!(bound(&said(r#"{"access_token":"a.b.c","token_type":"Bearer"}"#)).is_err());
        let issued = |kind: &str, claims: &str| {
            let claims = URL_SAFE_NO_PAD.encode(claims);
            let token = format!("a.{claims}.c");
            said(&format!(
                r#"{{"access_token":"{token}","token_type":"{kind}"}}"#
            ))
        };
        let to_certificate = r#"{"cnf":{"x5t#S256":"x"}}"#;
        assert!(certified(&issued("Bearer", to_certificate)).is_ok());
        for (kind, claims) in [
            ("DPoP", to_certificate),
            ("Bearer", r#"{"cnf":{"jkt":"x"}}"#),
            ("Bearer", "{}"),
            ("Bearer", "no"),
        ] {
            assert!(certified(&issued(kind, claims)).is_err(), "{kind} {claims}");
        }
    }
}
