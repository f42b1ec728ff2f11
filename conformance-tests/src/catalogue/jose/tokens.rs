//! The tokens that the keys sign, and those that must not be taken.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::check::{Stop, Verdict};
use crate::jws;
use crate::subject::Subject;

pub(super) async fn no_padding(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let parts = token.value.split('.').collect::<Vec<_>>();
    if parts.len() != 3 || !token.value.starts_with("eyJ") {
        return Err(Stop::not_applicable("the access token is not a JWT"));
    }
    let plain = parts
        .iter()
        .all(|part| BASE64_URL_SAFE_NO_PAD.decode(part).is_ok());
    token.answer.require(
        plain,
        "a part of the token is not base64url without padding",
    )
}

pub(super) async fn header_has_alg(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    token.answer.require(
        token.jwt()?.algorithm().is_some(),
        "the token's header has no alg",
    )
}

pub(super) async fn unknown_crit_in_assertion(subject: &Subject) -> Verdict {
    let (client_id, key) = subject.assertion_key()?;
    let mut header = Map::new();
    header.insert("crit".into(), vec!["urn:example:unknown"].into());
    header.insert("urn:example:unknown".into(), true.into());
    let assertion = jws::sign_with_header(key, header, &subject.assertion_claims(client_id));
    let assertion =
        assertion.ok_or_else(|| Stop::unchecked("the client's key cannot sign an assertion"))?;
    subject
        .grant()?
        .assertion(&assertion)
        .send()
        .await?
        .refused(&[400, 401], &["invalid_client"])
}

pub(super) async fn token_verifies(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let (keys, answer) = subject.keys().await?;
    token
        .jwt()?
        .verify(&keys)
        .map_err(|reason| answer.fail(reason))
}

pub(super) async fn unique_names(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let repeated = token.jwt()?.repeated;
    token.answer.require(
        repeated.is_empty(),
        format!("more than once: {}", repeated.join(", ")),
    )
}

pub(super) async fn claim_types(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let claims = token.jwt()?.claims;
    for name in ["iss", "sub", "jti"] {
        // RFC 7519 §2, StringOrURI: what has a colon is a URI.
        let text = |value: &Value| {
            value
                .as_str()
                .is_some_and(|text| !text.contains(':') || text.parse::<url::Url>().is_ok())
        };
        let right = claims.get(name).is_none_or(|value| {
            if name == "jti" {
                value.is_string()
            } else {
                text(value)
            }
        });
        token
            .answer
            .require(right, format!("{name} is not a StringOrURI"))?;
    }
    for name in ["exp", "nbf", "iat"] {
        token.answer.require(
            claims.get(name).is_none_or(Value::is_number),
            format!("{name} is not a number"),
        )?;
    }
    let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    let audience = claims
        .get("aud")
        .is_none_or(|aud| aud.is_string() || aud.as_array().is_some_and(texts));
    token
        .answer
        .require(audience, "aud is neither a string nor a list of them")
}

/// How far another machine's clock may be off, in seconds.
const SKEW: f64 = 60.0;

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 need far fewer than 52 bits"
)]
fn now(subject: &Subject) -> f64 {
    subject.now() as f64
}

pub(super) async fn exp_is_ahead(subject: &Subject) -> Verdict {
    let token = subject.fresh_token().await?;
    let exp = token.jwt()?.claims.get("exp").and_then(Value::as_f64);
    let exp = exp.ok_or_else(|| Stop::not_applicable("the token has no exp"))?;
    token
        .answer
        .require(exp > now(subject) - SKEW, "a new token has expired")
}

pub(super) async fn nbf_has_passed(subject: &Subject) -> Verdict {
    let token = subject.fresh_token().await?;
    let nbf = token.jwt()?.claims.get("nbf").and_then(Value::as_f64);
    let nbf = nbf.ok_or_else(|| Stop::not_applicable("the token has no nbf"))?;
    token
        .answer
        .require(nbf <= now(subject) + SKEW, "a new token is not valid yet")
}

pub(super) async fn jti_differs(subject: &Subject) -> Verdict {
    let second = subject.fresh_token().await?;
    let jti = second
        .jwt()?
        .claims
        .get("jti")
        .cloned()
        .ok_or_else(|| Stop::not_applicable("the token has no jti"))?;
    let first = subject.token().await?.jwt()?;
    second.answer.require(
        first.claims.get("jti") != Some(&jti),
        "two tokens have the same jti",
    )
}
