//! JWT Secured Authorization Response Mode for OAuth 2.0.

use serde_json::Value;

use super::oidc_registration::names;
use super::{Feature, Requirement, Standard, must};
use crate::browser::Carrier;
use crate::check::{Verdict, check};
use crate::jws::Jws;
use crate::subject::{Arrival, Code, Subject};

const JARM: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("response_modes_supported", "jwt"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "JARM",
    title: "JWT Secured Authorization Response Mode for OAuth 2.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "jarm-2.1-claims",
        "2.1",
        "The response is a JWT with iss, aud, exp and the parameters, of which none stands outside.",
        &[check!(claims_are_there)],
    )
    .when(JARM),
    must(
        "jarm-2.1-errors",
        "2.1",
        "Errors come as a JWT too.",
        &[check!(errors_are_signed)],
    )
    .when(JARM),
    must(
        "jarm-2.2-signed",
        "2.2",
        "The JWT is signed with a published key, by an announced algorithm that is not none.",
        &[check!(response_is_signed)],
    )
    .when(JARM),
    must(
        "jarm-2.3.1-query",
        "2.3.1",
        "query.jwt puts the response into the query.",
        &[check!(in_the_query)],
    )
    .when(&[Feature::Listed("response_modes_supported", "query.jwt")]),
    must(
        "jarm-2.3.2-fragment",
        "2.3.2",
        "fragment.jwt puts the response into the fragment.",
        &[check!(in_the_fragment)],
    )
    .when(&[Feature::Listed("response_modes_supported", "fragment.jwt")]),
    must(
        "jarm-2.3.3-form-post",
        "2.3.3",
        "form_post.jwt posts the response in a form.",
        &[check!(in_a_form)],
    )
    .when(&[Feature::Listed("response_modes_supported", "form_post.jwt")]),
    must(
        "jarm-2.3.4-default",
        "2.3.4",
        "jwt means query.jwt for the response type code.",
        &[check!(by_default_in_the_query)],
    )
    .when(JARM),
    must(
        "jarm-2.2-encrypted",
        "2.2",
        "The JWT is encrypted for clients that registered authorization_encrypted_response_alg.",
        &[],
    )
    .unchecked("the tests do not decrypt")
    .when(&[Feature::Member(
        "authorization_encryption_alg_values_supported",
    )]),
];

/// The JWT of the response, which must be its one parameter.
fn response(arrival: &Arrival) -> Result<Jws, crate::check::Stop> {
    let given = &arrival.redirected.parameters;
    let alone = given.iter().all(|(name, _)| name == "response") && given.len() == 1;
    arrival
        .answer
        .require(alone, "the response is not the one parameter response")?;
    let token = arrival.parameter("response").and_then(Jws::parse);
    token.ok_or_else(|| arrival.answer.fail("response is not a signed JWT"))
}

async fn answered(subject: &Subject, mode: &str) -> Result<(Arrival, Jws), crate::check::Stop> {
    let request = subject.authorization()?.with("response_mode", mode);
    let arrival = request.arrive().await?;
    let token = response(&arrival)?;
    Ok((arrival, token))
}

async fn claims_are_there(subject: &Subject) -> Verdict {
    let (arrival, token) = answered(subject, "jwt").await?;
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
    let client_id = &subject.app()?.client_id;
    for (holds, what) in [
        (
            text("iss") == Some(subject.issuer()),
            "iss is not the issuer",
        ),
        (
            names(token.claims.get("aud"), client_id),
            "aud does not name the client",
        ),
        (
            token.claims.get("exp").and_then(Value::as_i64) > Some(subject.now()),
            "exp is missing, no number, or past",
        ),
        (
            text("state") == arrival.asked("state").as_deref(),
            "state is not what the request had",
        ),
    ] {
        arrival.answer.require(holds, what)?;
    }
    let value = text("code").ok_or_else(|| arrival.answer.fail("there is no code"))?;
    let code: Code = arrival.code_of(value);
    subject.redeem(&code).await.map(drop)
}

async fn errors_are_signed(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_mode", "jwt");
    let request = request.with("scope", "openid no\"such\\scope");
    let arrival = request.arrive().await?;
    let token = response(&arrival)?;
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
    arrival.answer.require(
        text("error") == Some("invalid_scope"),
        format!("error is {:?}, expected invalid_scope", text("error")),
    )?;
    arrival.answer.require(
        text("state") == arrival.asked("state").as_deref(),
        "state is not what the request had",
    )
}

async fn response_is_signed(subject: &Subject) -> Verdict {
    let (arrival, token) = answered(subject, "jwt").await?;
    let (keys, _) = subject.keys().await?;
    let verified = token.verify(&keys);
    verified.map_err(|reason| arrival.answer.fail(reason))?;
    let member = "authorization_signing_alg_values_supported";
    let (metadata, algorithm) = (subject.metadata(), token.algorithm().unwrap_or_default());
    arrival.answer.require(
        !metadata.has(member) || metadata.list(member).contains(&algorithm),
        format!("alg is {algorithm}, which {member} does not list"),
    )
}

async fn carried(subject: &Subject, mode: &str, carrier: Carrier) -> Verdict {
    let (arrival, _) = answered(subject, mode).await?;
    let found = arrival.redirected.carrier;
    arrival.answer.require(
        found == carrier,
        format!("{mode} came as {found:?}, expected {carrier:?}"),
    )
}

async fn in_the_query(subject: &Subject) -> Verdict {
    carried(subject, "query.jwt", Carrier::Query).await
}

async fn in_the_fragment(subject: &Subject) -> Verdict {
    carried(subject, "fragment.jwt", Carrier::Fragment).await
}

async fn in_a_form(subject: &Subject) -> Verdict {
    carried(subject, "form_post.jwt", Carrier::FormPost).await
}

async fn by_default_in_the_query(subject: &Subject) -> Verdict {
    carried(subject, "jwt", Carrier::Query).await
}
