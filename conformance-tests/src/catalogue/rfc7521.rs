//! RFC 7521: assertions as grants, whatever their form. What it says of client authentication stands with RFC 7523.

use serde_json::Value;

use super::rfc7523::{BEARER, invented_assertion};
use super::{Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::subject::Subject;
use crate::subject::assertion::LIFETIME;

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7521",
    title: "Assertion Framework for OAuth 2.0 Client Authentication and Authorization Grants",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    should(
        "rfc7521-4.1-lifetime",
        "4.1",
        "The token does not outlive the assertion by much.",
        &[check!(token_is_short_lived)],
    )
    .when(BEARER),
    should(
        "rfc7521-4.1-no-refresh-token",
        "4.1",
        "No refresh token is issued for an assertion.",
        &[check!(no_refresh_token)],
    )
    .when(BEARER),
    must(
        "rfc7521-4.1.1-invalid-grant",
        "4.1.1",
        "An assertion that is not valid is answered invalid_grant.",
        &[check!(invented_assertion)],
    )
    .when(BEARER),
];

/// As much longer than its assertion as a token may live, in seconds.
const LONGER: i64 = 3600;

async fn issued(subject: &Subject) -> Result<Answer, Stop> {
    let issuer = subject.trusted_issuer()?;
    let claims = subject.bearer_claims(issuer);
    Ok(subject.borne(issuer, None, &claims).await?.answer)
}

async fn token_is_short_lived(subject: &Subject) -> Verdict {
    let answer = issued(subject).await?;
    let told = answer.json()?.get("expires_in").and_then(Value::as_i64);
    let told = told.ok_or_else(|| Stop::unchecked("the answer does not tell the lifetime"))?;
    let reason = format!("the assertion lived {LIFETIME} s, the token lives {told} s");
    answer.require(told <= LIFETIME + LONGER, reason)
}

async fn no_refresh_token(subject: &Subject) -> Verdict {
    let answer = issued(subject).await?;
    let none = !answer.json()?.contains_key("refresh_token");
    answer.require(none, "there is a refresh_token")
}
