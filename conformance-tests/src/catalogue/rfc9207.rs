//! RFC 9207: the issuer in authorization responses.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must};
use crate::check::{Verdict, check};
use crate::subject::{Arrival, Subject};

const ANNOUNCED: &[Feature] = &[Feature::Member(
    "authorization_response_iss_parameter_supported",
)];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9207",
    title: "OAuth 2.0 Authorization Server Issuer Identification",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9207-2-iss",
        "2",
        "Authorization responses, errors included, carry iss, the issuer identifier of the metadata.",
        &[check!(iss_beside_a_code), check!(iss_beside_an_error)],
    )
    .when(&[
        Feature::Member("authorization_response_iss_parameter_supported"),
        Feature::Member("authorization_endpoint"),
        Feature::Grant("authorization_code"),
    ]),
    must(
        "rfc9207-3-flag",
        "3",
        "authorization_response_iss_parameter_supported is a boolean, and true only with an authorization endpoint.",
        &[check!(look flag_is_consistent)],
    )
    .when(ANNOUNCED),
];

fn flag_is_consistent(subject: &Subject) -> Verdict {
    let metadata = subject.metadata();
    let flag = metadata
        .0
        .get("authorization_response_iss_parameter_supported")
        .and_then(Value::as_bool);
    let answer = subject.document()?;
    let flag = flag.ok_or_else(|| answer.fail("the flag is not a boolean"))?;
    answer.require(
        !flag || metadata.has("authorization_endpoint"),
        "there is no authorization endpoint to answer with iss",
    )
}

async fn iss_beside_a_code(subject: &Subject) -> Verdict {
    let arrival = subject.authorization()?.arrive().await?;
    carries_iss(subject, &arrival)?;
    arrival.code().map(drop)
}

async fn iss_beside_an_error(subject: &Subject) -> Verdict {
    let request = subject
        .authorization()?
        .with("response_type", "no-such-type");
    let arrival = request.refused(&["unsupported_response_type"]).await?;
    carries_iss(subject, &arrival)
}

fn carries_iss(subject: &Subject, arrival: &Arrival) -> Verdict {
    let iss = arrival.parameter("iss");
    arrival.answer.require(
        iss == Some(subject.issuer()),
        format!("iss is {iss:?}, expected {}", subject.issuer()),
    )
}
