//! What a proof binds: access tokens and refresh tokens (RFC 9449 §5, §6).

use serde_json::{Value, json};

use super::{bound, is_bound};
use crate::check::{Stop, Verdict};
use crate::dpop::{Draft, INVALID_PROOF};
use crate::jws::Jws;
use crate::subject::{Code, Grant, Registered, Subject};

pub(super) async fn type_is_told(subject: &Subject) -> Verdict {
    let prover = subject.prover("token-type")?;
    let answer = super::asked(subject, &Draft::of(&prover)).await?;
    answer.status(&[200])?;
    let token = answer.text("access_token")?;
    subject.redactor().learn(&token);
    let told = answer.text("token_type")?.eq_ignore_ascii_case("dpop");
    let Some(token) = Jws::parse(&token) else {
        return answer.require(told, "token_type is not DPoP");
    };
    let named = token.claims.get("cnf").and_then(|cnf| cnf.get("jkt"));
    answer.require(
        told == named.is_some(),
        format!(
            "token_type says DPoP: {told}; the token names a key: {}",
            !told
        ),
    )?;
    let plain = subject.token().await?;
    let kind = plain.answer.text("token_type")?;
    plain.answer.require(
        !kind.eq_ignore_ascii_case("dpop"),
        "the answer to a request without a proof says DPoP",
    )
}

pub(super) async fn jwt_names_the_key(subject: &Subject) -> Verdict {
    let prover = subject.prover("jkt")?;
    let (token, answer) = bound(subject, &Draft::of(&prover)).await?;
    let token =
        Jws::parse(&token).ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let cnf = token.claims.get("cnf");
    answer.require(
        cnf == Some(&prover.confirmation()),
        format!("cnf is {cnf:?}, expected {}", prover.confirmation()),
    )
}

pub(super) async fn introspection_tells_the_key(subject: &Subject) -> Verdict {
    let prover = subject.prover("introspection")?;
    let (token, _) = bound(subject, &Draft::of(&prover)).await?;
    let answer = subject.introspect(&token).await?;
    answer.status(&[200])?;
    let told = answer.json()?;
    if told.get("active") != Some(&Value::Bool(true)) {
        let reason = "the given client is not told of its own token";
        return Err(Stop::unchecked(reason));
    }
    let cnf = told.get("cnf");
    answer.require(
        cnf == Some(&prover.confirmation()),
        format!("cnf is {cnf:?}, expected {}", prover.confirmation()),
    )?;
    let kind = told.get("token_type");
    let right = kind.is_none_or(|kind| kind.as_str() == Some("DPoP"));
    answer.require(right, format!("token_type is {kind:?}"))
}

/// The app's grant for a code, with that proof.
async fn redeemed(subject: &Subject, code: &Code, draft: &Draft<'_>) -> Result<Grant, Stop> {
    let request = || code.redemption(subject);
    let answer = subject.send_proved(request, draft).await?;
    Grant::read(subject, answer, &code.client_id)
}

/// A grant of the app with a refresh token.
async fn proved_grant(subject: &Subject, draft: &Draft<'_>) -> Result<Grant, Stop> {
    let code = subject.offline_authorization()?.code().await?;
    let grant = redeemed(subject, &code, draft).await?;
    grant.refresh_token()?;
    Ok(grant)
}

pub(super) async fn code_and_refresh(subject: &Subject) -> Verdict {
    let prover = subject.prover("grants")?;
    let draft = Draft::of(&prover);
    let grant = proved_grant(subject, &draft).await?;
    is_bound(subject, &grant.answer)?;
    let answer = subject
        .send_proved(|| grant.refresh(subject), &draft)
        .await?;
    let token = is_bound(subject, &answer)?;
    match Jws::parse(&token) {
        Some(token) => answer.require(
            token.claims.get("cnf") == Some(&prover.confirmation()),
            "the refreshed token is bound to another key",
        ),
        None => Ok(()),
    }
}

pub(super) async fn refresh_with_another_key(subject: &Subject) -> Verdict {
    let (prover, other) = (subject.prover("owner")?, subject.prover("thief")?);
    let grant = proved_grant(subject, &Draft::of(&prover)).await?;
    let answer = subject
        .send_proved(|| grant.refresh(subject), &Draft::of(&other))
        .await?;
    answer.refused(&[400], &["invalid_grant", INVALID_PROOF])
}

pub(super) async fn refresh_without_a_proof(subject: &Subject) -> Verdict {
    let prover = subject.prover("careless")?;
    let grant = proved_grant(subject, &Draft::of(&prover)).await?;
    let answer = grant.refresh(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant", INVALID_PROOF, "invalid_request"])
}

pub(super) async fn confidential_client_changes_its_key(subject: &Subject) -> Verdict {
    let (prover, other) = (subject.prover("first")?, subject.prover("second")?);
    let client = subject.web_app(json!({})).await?;
    let request = subject.authorization_of(&client)?;
    let request = if subject.knows_scope("offline_access") {
        let request = request.with("scope", "openid offline_access");
        request.with("prompt", "consent")
    } else {
        request
    };
    let code = request.code().await?;
    let redemption = || client.authenticated(code.redemption(subject)?);
    let answer = subject.send_proved(redemption, &Draft::of(&prover)).await?;
    let grant = Grant::read(subject, answer, &client.client_id)?;
    grant.refresh_token()?;
    let refresh = || client.authenticated(grant.refresh(subject)?);
    let answer = subject.send_proved(refresh, &Draft::of(&other)).await?;
    answer.status(&[200])
}

pub(super) fn algorithms_are_listed(subject: &Subject) -> Verdict {
    let member = "dpop_signing_alg_values_supported";
    let listed = subject.metadata().list(member);
    let symmetric = |name: &&str| name.eq_ignore_ascii_case("none") || name.starts_with("HS");
    let right = !listed.is_empty() && !listed.iter().any(symmetric);
    subject
        .document()?
        .require(right, format!("{member} is {listed:?}"))
}

/// A client that registered that its tokens are bound; it tells so where the server knows of that.
async fn always_bound(subject: &Subject) -> Result<Registered, Stop> {
    let more = json!({"dpop_bound_access_tokens": true});
    let client = subject.web_app(more).await?;
    if client.metadata()?.get("dpop_bound_access_tokens") != Some(&Value::Bool(true)) {
        let reason = "dpop_bound_access_tokens cannot be registered";
        return Err(Stop::not_applicable(reason));
    }
    Ok(client)
}

pub(super) async fn client_that_always_proves(subject: &Subject) -> Verdict {
    let client = always_bound(subject).await?;
    let code = subject.authorization_of(&client)?.code().await?;
    let request = client.authenticated(code.redemption(subject)?)?;
    request.send().await?.without_token()?;
    let prover = subject.prover("always")?;
    let code = subject.authorization_of(&client)?.code().await?;
    let redemption = || client.authenticated(code.redemption(subject)?);
    let answer = subject.send_proved(redemption, &Draft::of(&prover)).await?;
    is_bound(subject, &answer).map(drop)
}
