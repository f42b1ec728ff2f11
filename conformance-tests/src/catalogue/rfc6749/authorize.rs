//! The authorization endpoint: the request, and the response at the redirection URI (RFC 6749 §3.1, §4.1).

use crate::check::Verdict;
use crate::subject::Subject;

pub(super) async fn authorize_takes_get(subject: &Subject) -> Verdict {
    let answer = subject
        .get(&subject.endpoint("authorization_endpoint")?)
        .send()
        .await?;
    let taken = answer.status < 500 && ![404, 405, 501].contains(&answer.status);
    answer.require(taken, format!("GET was answered {}", answer.status))
}

pub(super) fn authorization_endpoint_without_fragment(subject: &Subject) -> Verdict {
    let url = subject.endpoint("authorization_endpoint")?;
    subject.document()?.require(
        url.fragment().is_none(),
        "authorization_endpoint has a fragment",
    )
}

const STRANGER: &str = "https://stranger.example/callback";

pub(super) async fn unknown_client_is_not_redirected(subject: &Subject) -> Verdict {
    not_redirected(subject, "no-such-client").await
}

pub(super) async fn unregistered_uri_is_not_redirected(subject: &Subject) -> Verdict {
    not_redirected(subject, subject.public_client()?).await
}

async fn not_redirected(subject: &Subject, client_id: &str) -> Verdict {
    let request = subject.get(&subject.endpoint("authorization_endpoint")?);
    let request = request
        .query("response_type", "code")
        .query("client_id", client_id);
    let answer = request.query("redirect_uri", STRANGER).send().await?;
    let location = answer.header("location").unwrap_or_default();
    answer.require(
        !location.starts_with("https://stranger.example"),
        "redirected to an unproven redirect_uri",
    )?;
    answer.require(answer.status < 500, format!("answered {}", answer.status))
}

/// None of these may be empty where they mean anything.
pub(super) async fn empty_parameters_are_omitted(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_mode", "");
    let request = request.with("prompt", "").with("max_age", "");
    request.code().await.map(drop)
}

pub(super) async fn empty_response_type_is_missing(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("response_type", "");
    request.refused(MISSING_TYPE).await.map(drop)
}

pub(super) async fn unknown_parameter_is_ignored(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.with("no_such_parameter", "value");
    request.code().await.map(drop)
}

pub(super) async fn duplicate_state(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.also("state", "another");
    request.yields_no_code().await
}

pub(super) async fn duplicate_redirect_uri(subject: &Subject) -> Verdict {
    let app = subject.app()?;
    let request = subject.authorization()?;
    request
        .also("redirect_uri", &app.redirect_uri)
        .yields_no_code()
        .await
}

/// RFC 6749 §4.1.2.1 has a code for what is missing and one for what is not supported, and leaves the choice between them.
const MISSING_TYPE: &[&str] = &["invalid_request", "unsupported_response_type"];

pub(super) async fn unknown_response_type(subject: &Subject) -> Verdict {
    let request = subject
        .authorization()?
        .with("response_type", "no-such-type");
    let arrival = request.refused(&["unsupported_response_type"]).await?;
    arrival.keeps_state()
}

pub(super) async fn missing_response_type(subject: &Subject) -> Verdict {
    let request = subject.authorization()?.without("response_type");
    let arrival = request.refused(MISSING_TYPE).await?;
    arrival.keeps_state()
}

pub(super) async fn state_is_kept(subject: &Subject) -> Verdict {
    // VSCHAR (RFC 6749 Appendix A.5), with everything that encoding and pages may damage.
    for state in ["a b+c&d=e%20f#g?h", r#"<i>"'\</i>;,/"#] {
        let arrival = subject
            .authorization()?
            .with("state", state)
            .arrive()
            .await?;
        arrival.keeps_state()?;
        arrival.code()?;
    }
    let arrival = subject.authorization()?.without("state").arrive().await?;
    arrival.keeps_state()
}

/// Where nobody asks, nobody can refuse: then the request must have been approved by other means.
pub(super) async fn refusal_is_access_denied(subject: &Subject) -> Verdict {
    let mut request = subject.authorization()?.refusing();
    if subject.knows_scope("openid") {
        request = request.with("prompt", "consent");
    }
    let arrival = request.arrive().await?;
    if arrival.redirected.consents == 0 && arrival.parameter("code").is_some() {
        let reason = "the person was not asked, so that nothing could be refused";
        return Err(crate::check::Stop::unchecked(reason));
    }
    arrival.refused(&["access_denied"])?;
    arrival.keeps_state()
}

pub(super) async fn malformed_scope(subject: &Subject) -> Verdict {
    // A quotation mark is none of the characters of a scope (RFC 6749 §3.3).
    let request = subject
        .authorization()?
        .with("scope", "openid no\"such\\scope");
    let arrival = request.refused(&["invalid_scope"]).await?;
    arrival.keeps_state()
}
