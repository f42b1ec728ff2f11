//! RFC 9470: step-up authentication.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::subject::{Arrival, Grant, Subject};

const ACR: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Member("acr_values_supported"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9470",
    title: "OAuth 2.0 Step Up Authentication Challenge Protocol",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9470-3-challenge",
        "3",
        "A resource that wants a stronger or fresher sign-in answers 401 insufficient_user_authentication.",
        &[],
    )
    .unchecked("needs a protected resource that asks for a stronger or fresher sign-in")
    .when(ACR),
    must(
        "rfc9470-5-acr-values",
        "5",
        "With acr_values, the tokens say by acr what was reached, or the request is refused.",
        &[check!(acr_is_reached)],
    )
    .when(ACR),
    should(
        "rfc9470-6.1-access-token",
        "6.1",
        "A JWT access token has the acr and the auth_time of the sign-in.",
        &[check!(token_has_acr)],
    )
    .when(ACR),
    should(
        "rfc9470-6.2-introspection",
        "6.2",
        "Introspection tells acr and auth_time.",
        &[check!(introspection_has_acr)],
    )
    .when(&[
        Feature::Member("authorization_endpoint"),
        Feature::Member("acr_values_supported"),
        Feature::Member("introspection_endpoint"),
    ]),
];

async fn asked(subject: &Subject) -> Result<Arrival, Stop> {
    let known = subject.metadata().list("acr_values_supported").join(" ");
    let request = subject.authorization()?.with("acr_values", &known);
    request.arrive().await
}

/// A grant of a sign-in that reached one of the announced classes.
async fn granted(subject: &Subject) -> Result<(Grant, String), Stop> {
    let arrival = asked(subject).await?;
    if arrival.parameter("error").is_some() {
        return Err(Stop::unchecked(
            "the person reaches none of the announced acr",
        ));
    }
    let grant = subject.redeem(&arrival.code()?).await?;
    let claims = grant.id_token()?.claims;
    let acr = claims.get("acr").and_then(Value::as_str).map(str::to_owned);
    let acr = acr.ok_or_else(|| grant.answer.fail("the ID token has no acr"))?;
    Ok((grant, acr))
}

async fn acr_is_reached(subject: &Subject) -> Verdict {
    let arrival = asked(subject).await?;
    if arrival.parameter("error").is_some() {
        return arrival.refused(&["unmet_authentication_requirements"]);
    }
    let (grant, acr) = granted(subject).await?;
    let known = subject.metadata().list("acr_values_supported");
    grant.answer.require(
        known.contains(&acr.as_str()),
        format!("acr is {acr}, which acr_values_supported does not list"),
    )
}

async fn token_has_acr(subject: &Subject) -> Verdict {
    let (grant, acr) = granted(subject).await?;
    let token = Jws::parse(&grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    grant.answer.require(
        token.claims.get("acr").and_then(Value::as_str) == Some(&acr),
        "the access token's acr is not that of the ID token",
    )?;
    grant.answer.require(
        token.claims.get("auth_time").is_some_and(Value::is_number),
        "the access token has no auth_time",
    )
}

async fn introspection_has_acr(subject: &Subject) -> Verdict {
    let (grant, acr) = granted(subject).await?;
    let answer = subject.introspect(&grant.access_token).await?;
    answer.status(&[200])?;
    let json = answer.json()?;
    if json.get("active") != Some(&Value::Bool(true)) {
        let reason = "the given client is not told of the app's tokens";
        return Err(Stop::unchecked(reason));
    }
    answer.require(
        json.get("acr").and_then(Value::as_str) == Some(&acr),
        "acr is not that of the ID token",
    )?;
    answer.require(
        json.get("auth_time").is_some_and(Value::is_number),
        "there is no auth_time",
    )
}
