//! Global Token Revocation (draft-parecki-oauth-global-token-revocation-06).

use serde_json::{Value, json};

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::metadata::is_protected;
use crate::request::Request;
use crate::subject::Subject;

const MEMBER: &str = "global_token_revocation_endpoint";
const METHODS: &str = "global_token_revocation_endpoint_auth_methods_supported";
const ENDPOINT: &[Feature] = &[Feature::Member(MEMBER)];

pub(super) const STANDARD: Standard = Standard {
    id: "Global Token Revocation",
    title: "Global Token Revocation (draft 06)",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "globaltokenrevocation-3.1-tls",
        "3.1",
        "The endpoint is an https URL (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(ENDPOINT),
    must(
        "globaltokenrevocation-3.2-authenticated",
        "3.2",
        "A request that is not authenticated is refused.",
        &[check!(nobody_is_refused), check!(a_stranger_is_refused)],
    )
    .when(ENDPOINT),
    must(
        "globaltokenrevocation-3.3-refresh-tokens",
        "3.3",
        "Every refresh token of the person is revoked.",
        &[],
    )
    .unchecked("it would end what the other checks of the person rest on")
    .when(ENDPOINT),
    must(
        "globaltokenrevocation-3.4.2-malformed",
        "3.4.2",
        "A request that is malformed, or names nobody in a way that is known, is answered 400.",
        &[check!(malformed_is_refused)],
    )
    .when(ENDPOINT),
    must(
        "globaltokenrevocation-3.4.2-unknown",
        "3.4.2",
        "A request about somebody who does not exist is answered 404.",
        &[check!(unknown_person_is_not_found)],
    )
    .when(ENDPOINT),
    must(
        "globaltokenrevocation-5-methods",
        "5",
        "The announced methods of authentication are a list of names.",
        &[check!(look methods_are_names)],
    )
    .when(&[Feature::Member(MEMBER), Feature::Member(METHODS)]),
    should(
        "globaltokenrevocation-6.1-narrow",
        "6.1",
        "A client that was not let do so revokes nothing.",
        &[check!(another_client_is_refused)],
    )
    .when(ENDPOINT),
];

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint(MEMBER)?;
    let reason = format!("{MEMBER} is {url}");
    subject.document()?.require(is_protected(&url), reason)
}

fn methods_are_names(subject: &Subject) -> Verdict {
    let methods = subject.metadata().0.get(METHODS).and_then(Value::as_array);
    let right = methods.is_some_and(|methods| methods.iter().all(Value::is_string));
    let reason = format!("{METHODS} is no list of names");
    subject.document()?.require(right, reason)
}

/// Nobody has this address (RFC 2606 §2).
fn nobody() -> Value {
    json!({"sub_id": {"format": "email", "email": "nobody@no-such-domain.invalid"}})
}

fn revocation<'s>(subject: &'s Subject, body: &Value) -> Result<Request<'s>, Stop> {
    let request = subject.post(MEMBER)?;
    Ok(request.raw("application/json", body.to_string()))
}

async fn nobody_is_refused(subject: &Subject) -> Verdict {
    let answer = revocation(subject, &nobody())?.send().await?;
    answer.status(&[400, 401, 403])
}

async fn a_stranger_is_refused(subject: &Subject) -> Verdict {
    let request = revocation(subject, &nobody())?;
    let request = request.basic("no-such-client", "no-such-secret");
    request.send().await?.status(&[400, 401, 403])
}

async fn another_client_is_refused(subject: &Subject) -> Verdict {
    let client = subject.web_app(json!({})).await?;
    let request = client.authenticated(revocation(subject, &nobody())?)?;
    request.send().await?.status(&[401, 403])
}

/// The given client's request, if it may make any.
async fn asked(subject: &Subject, body: &Value) -> Result<Answer, Stop> {
    let (client_id, secret) = subject.basic_secret()?;
    let request = revocation(subject, body)?.basic(client_id, secret);
    let answer = request.send().await?;
    if [401, 403].contains(&answer.status) {
        let reason = "the given client may not revoke what others were given";
        return Err(Stop::unchecked(reason));
    }
    Ok(answer)
}

async fn malformed_is_refused(subject: &Subject) -> Verdict {
    for body in [
        json!([]),
        json!({}),
        json!({"sub_id": "nobody"}),
        json!({"sub_id": {"email": "nobody@no-such-domain.invalid"}}),
        json!({"sub_id": {"format": "email"}}),
        json!({"sub_id": {"format": "no-such-format", "id": "nobody"}}),
    ] {
        asked(subject, &body).await?.status(&[400])?;
    }
    Ok(())
}

async fn unknown_person_is_not_found(subject: &Subject) -> Verdict {
    asked(subject, &nobody()).await?.status(&[404])
}
