//! ID tokens (OpenID Connect Core §2, §3.1.3, §12.2).

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::check::{Stop, Verdict};
use crate::subject::{Grant, Subject};

/// How far another machine's clock may be off, in seconds.
const SKEW: i64 = 60;

async fn shared(subject: &Subject) -> Result<(&Grant, Map<String, Value>), Stop> {
    let grant = subject.grant_of_person().await?;
    Ok((grant, grant.id_token()?.claims))
}

/// The seconds of a `NumericDate`, which may have a fraction.
fn seconds(claims: &Map<String, Value>, name: &str) -> Option<i64> {
    let value = claims.get(name)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast from f64 saturates, and so large a time is wrong anyway"
    )]
    value
        .as_i64()
        .or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

pub(super) async fn comes_with_the_tokens(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    grant.id_token()?;
    let token_type = grant.answer.text("token_type")?;
    grant.answer.require(
        token_type.eq_ignore_ascii_case("bearer"),
        format!("token_type is {token_type}"),
    )
}

pub(super) async fn required_claims(subject: &Subject) -> Verdict {
    let (grant, claims) = shared(subject).await?;
    for name in ["iss", "sub", "aud", "exp", "iat"] {
        grant.answer.require(
            claims.get(name).is_some_and(|value| !value.is_null()),
            format!("{name} is missing"),
        )?;
    }
    let exp = seconds(&claims, "exp");
    let iat = seconds(&claims, "iat");
    grant
        .answer
        .require(exp.is_some() && iat.is_some(), "exp or iat is not a number")?;
    grant.answer.require(
        exp > iat && iat <= Some(subject.now().saturating_add(SKEW)),
        "the ID token was issued in the future, or expired before that",
    )
}

pub(super) async fn subject_is_stable(subject: &Subject) -> Verdict {
    let (grant, claims) = shared(subject).await?;
    let sub = claims.get("sub").and_then(Value::as_str);
    let right = sub.is_some_and(|sub| !sub.is_empty() && sub.len() <= 255 && sub.is_ascii());
    grant.answer.require(right, "sub is not such a string")?;
    let code = subject.authorization()?.code().await?;
    let again = subject.redeem(&code).await?;
    again.answer.require(
        again.id_token()?.claims.get("sub").and_then(Value::as_str) == sub,
        "sub differs from that of an earlier sign-in",
    )
}

pub(super) async fn nonce_is_kept(subject: &Subject) -> Verdict {
    for nonce in [Some(r#"a b+c&d=e%20f"<g>"#), None] {
        let request = subject.authorization()?;
        let request = match nonce {
            Some(nonce) => request.with("nonce", nonce),
            None => request.without("nonce"),
        };
        let grant = subject.redeem(&request.code().await?).await?;
        let claims = grant.id_token()?.claims;
        grant.answer.require(
            claims.get("nonce").and_then(Value::as_str) == nonce,
            "nonce is not what the request had",
        )?;
    }
    Ok(())
}

pub(super) async fn is_signed(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let token = grant.id_token()?;
    let (keys, _) = subject.keys().await?;
    token
        .verify(&keys)
        .map_err(|reason| grant.answer.fail(reason))
}

pub(super) async fn algorithm_is_announced(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let token = grant.id_token()?;
    let algorithm = token.algorithm().unwrap_or_default();
    let announced = subject
        .metadata()
        .list("id_token_signing_alg_values_supported");
    grant.answer.require(
        announced.contains(&algorithm),
        format!("alg is {algorithm}, which the metadata does not list"),
    )
}

pub(super) async fn issuer_and_audience(subject: &Subject) -> Verdict {
    let (grant, claims) = shared(subject).await?;
    let iss = claims.get("iss").and_then(Value::as_str);
    grant.answer.require(
        iss == Some(subject.issuer()),
        format!("iss is {iss:?}, expected {}", subject.issuer()),
    )?;
    let ours = |value: &Value| value.as_str() == Some(&grant.client_id);
    let audience = claims.get("aud").cloned().unwrap_or_default();
    let named = ours(&audience)
        || audience
            .as_array()
            .is_some_and(|list| list.iter().any(ours));
    grant
        .answer
        .require(named, format!("aud is {audience}, without the client_id"))?;
    // §3.1.3.7, 4 and 5: azp, where it is there, names us too.
    grant.answer.require(
        claims.get("azp").is_none_or(ours),
        "azp names another client",
    )
}

/// The left half of the hash that `alg` signs (§3.1.3.6). Ed25519 hashes with SHA-512 (RFC 8032 §5.1).
fn left_half(algorithm: &str, token: &str) -> Option<String> {
    let hash = match algorithm.get(2..) {
        Some("256") => Sha256::digest(token).to_vec(),
        Some("384") => Sha384::digest(token).to_vec(),
        Some("512" | "DSA" | "25519") => Sha512::digest(token).to_vec(),
        _ => return None,
    };
    let half = hash.get(..hash.len() / 2)?;
    Some(BASE64_URL_SAFE_NO_PAD.encode(half))
}

pub(super) async fn at_hash_fits(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let token = grant.id_token()?;
    let at_hash = token.claims.get("at_hash");
    let at_hash = at_hash.ok_or_else(|| Stop::not_applicable("the ID token has no at_hash"))?;
    let expected = left_half(token.algorithm().unwrap_or_default(), &grant.access_token);
    let expected = expected
        .ok_or_else(|| Stop::unchecked("the hash of the ID token's algorithm is not known"))?;
    grant.answer.require(
        at_hash.as_str() == Some(&expected),
        "at_hash is not that of the access token",
    )
}

pub(super) async fn max_age_brings_auth_time(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("max_age", "3600");
    let grant = subject.redeem(&request.code().await?).await?;
    let claims = grant.id_token()?.claims;
    let auth_time = seconds(&claims, "auth_time");
    let auth_time =
        auth_time.ok_or_else(|| grant.answer.fail("auth_time is missing or not a number"))?;
    let now = subject.now();
    grant.answer.require(
        auth_time <= now.saturating_add(SKEW)
            && auth_time >= now.saturating_sub(3600).saturating_sub(SKEW),
        "auth_time is outside the last 3600 s",
    )
}

pub(super) async fn max_age_within(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("max_age", "10000");
    let first = subject.redeem(&request.code().await?).await?;
    let request = subject.authorization()?.with("max_age", "10000");
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.redirected.sign_ins == 0,
        "somebody who has just signed in was asked to sign in again",
    )?;
    let next = subject.redeem(&arrival.code()?).await?;
    // Another check may have signed the person in anew between the two.
    let (first, next_time) = (first.id_token()?.claims, next.id_token()?.claims);
    next.answer.require(
        seconds(&next_time, "auth_time") >= seconds(&first, "auth_time")
            && seconds(&next_time, "auth_time").is_some(),
        "auth_time is missing, or before that of the first sign-in",
    )
}

pub(super) async fn acr_is_told(subject: &Subject) -> Verdict {
    let known = subject.metadata().list("acr_values_supported").join(" ");
    let request = subject.authorization()?.with("acr_values", &known);
    let arrival = request.arrive().await?;
    if arrival.parameter("error").is_some() {
        return arrival.refused(&["unmet_authentication_requirements"]);
    }
    let grant = subject.redeem(&arrival.code()?).await?;
    let claims = grant.id_token()?.claims;
    grant.answer.require(
        claims.get("acr").is_some_and(Value::is_string),
        "the ID token has no acr",
    )
}

pub(super) async fn refresh_keeps_the_person(subject: &Subject) -> Verdict {
    let grant = subject.fresh_grant().await?;
    let first = grant.id_token()?.claims;
    let next = grant.refreshed(subject).await?;
    if !next.has_id_token() {
        let reason = "a refresh brings no ID token";
        return Err(Stop::not_applicable(reason));
    }
    let token = next.id_token()?;
    let (keys, _) = subject.keys().await?;
    token
        .verify(&keys)
        .map_err(|reason| next.answer.fail(reason))?;
    for name in ["iss", "sub", "aud", "auth_time", "azp"] {
        next.answer.require(
            token.claims.get(name) == first.get(name),
            format!("{name} differs from that of the first ID token"),
        )?;
    }
    let nonce = token.claims.get("nonce").and_then(Value::as_str);
    next.answer.require(
        nonce.is_none() || nonce == grant.nonce.as_deref(),
        "nonce differs from that of the request",
    )?;
    next.answer.require(
        seconds(&token.claims, "iat") >= seconds(&first, "iat"),
        "iat is before that of the first ID token",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenID Connect Core, Appendix A.3: an access token and its `at_hash`.
    #[test]
    fn oidc_core_a_3_the_left_half_of_the_hash() {
        assert_eq!(
            left_half("RS256", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y").as_deref(),
            Some("77QmUPtjPfzWtF2AnpK9RQ")
        );
        for (algorithm, length) in [("ES384", 32), ("PS512", 43), ("EdDSA", 43), ("Ed25519", 43)] {
            let hash = left_half(algorithm, "token").unwrap();
            assert_eq!(hash.len(), length, "{algorithm}");
        }
        assert_eq!(left_half("none", "token"), None);
    }
}
