//! OAuth 2.0 Form Post Response Mode.

use super::{Feature, Requirement, Standard, must};
use crate::browser::Carrier;
use crate::check::{Stop, Verdict, check};
use crate::subject::{Arrival, Subject};

const FORM_POST: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("response_modes_supported", "form_post"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "Form Post",
    title: "OAuth 2.0 Form Post Response Mode",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "formpost-2-form",
        "2",
        "The response is a form whose method is POST and whose action is the redirection URI.",
        &[
            check!(code_travels_in_a_form),
            check!(error_travels_in_a_form),
        ],
    )
    .when(FORM_POST),
    must(
        "formpost-2-no-store",
        "2",
        "The page is not to be stored or used again.",
        &[check!(page_is_not_stored)],
    )
    .when(FORM_POST),
];

/// The response must come as a form, sent to the redirection URI as it was asked for.
fn in_a_form(subject: &Subject, arrival: &Arrival) -> Result<(), Stop> {
    let (carrier, app) = (arrival.redirected.carrier, subject.app()?);
    arrival.answer.require(
        carrier == Carrier::FormPost,
        format!("expected a form, got {carrier:?}"),
    )?;
    let action = arrival.redirected.url.as_str();
    let right = url::Url::parse(&app.redirect_uri).is_ok_and(|url| url.as_str() == action);
    arrival
        .answer
        .require(right, format!("the form is sent to {action}"))?;
    arrival.keeps_state()
}

async fn code_travels_in_a_form(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_mode", "form_post");
    let arrival = request.arrive().await?;
    in_a_form(subject, &arrival)?;
    subject.redeem(&arrival.code()?).await.map(drop)
}

async fn error_travels_in_a_form(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_mode", "form_post");
    let request = request.with("response_type", "no-such-type");
    let arrival = request.refused(&["unsupported_response_type"]).await?;
    in_a_form(subject, &arrival)
}

async fn page_is_not_stored(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_mode", "form_post");
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.answer.has_directive("cache-control", "no-store"),
        "Cache-Control lacks no-store",
    )
}
