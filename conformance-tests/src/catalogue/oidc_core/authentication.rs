//! The authentication request (OpenID Connect Core §3.1.2.1).

use crate::check::Verdict;
use crate::subject::{Arrival, Subject};

pub(super) async fn post_is_taken(subject: &Subject) -> Verdict {
    let arrival = subject.authorization()?.end_by_post().await?.arrival()?;
    arrival.keeps_state()?;
    arrival.code().map(drop)
}

/// No form may have been filled in on the way.
fn without_pages(arrival: &Arrival) -> Verdict {
    let pages = arrival.redirected.sign_ins + arrival.redirected.consents;
    arrival
        .answer
        .require(pages == 0, "a page was shown on the way")
}

pub(super) async fn none_without_a_session(subject: &Subject) -> Verdict {
    let browser = subject.new_browser();
    let request = subject.authorization()?.with("prompt", "none");
    let arrival = request.end_in(&browser).await?.arrival()?;
    without_pages(&arrival)?;
    arrival.refused(&["login_required"])?;
    arrival.keeps_state()
}

/// Consent may not be given in silence, least of all to an app that anybody could be.
pub(super) async fn none_with_a_session(subject: &Subject) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with("prompt", "none");
    let arrival = request.arrive().await?;
    without_pages(&arrival)?;
    if arrival.parameter("code").is_some() {
        return Ok(());
    }
    arrival.refused(&["consent_required", "interaction_required"])
}

pub(super) async fn none_beside_login(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("prompt", "none login");
    let arrival = request.arrive().await?;
    without_pages(&arrival)?;
    arrival.refused(&["invalid_request"])
}

/// A first way signs the person in, so that the second one's form is the answer to its parameters.
async fn signs_in_again(subject: &Subject, name: &str, value: &str) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with(name, value);
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.redirected.sign_ins > 0,
        format!("{name}={value} did not lead to the sign-in form"),
    )?;
    arrival.code().map(drop)
}

pub(super) async fn login_signs_in_again(subject: &Subject) -> Verdict {
    signs_in_again(subject, "prompt", "login").await
}

/// Nothing is younger than 0 s.
pub(super) async fn max_age_signs_in_again(subject: &Subject) -> Verdict {
    signs_in_again(subject, "max_age", "0").await
}

pub(super) async fn consent_is_asked(subject: &Subject) -> Verdict {
    subject.authorization()?.code().await?;
    let request = subject.authorization()?.with("prompt", "consent");
    let arrival = request.arrive().await?;
    arrival.answer.require(
        arrival.redirected.consents > 0,
        "prompt=consent did not lead to a consent form",
    )
}

pub(super) async fn preferences_cause_no_error(subject: &Subject) -> Verdict {
    let request = subject
        .authorization()?
        .with("display", "popup")
        .with("ui_locales", "de-CH fr x-none");
    let request = request
        .with("claims_locales", "de fr")
        .with("acr_values", "urn:example:none 1");
    request.code().await.map(drop)
}
