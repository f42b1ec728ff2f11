//! RFC 9396: rich authorization requests.

use serde_json::{Value, json};

use super::{Feature, Requirement, Standard, must};
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::subject::{Grant, Subject};

const DETAILS: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Member("authorization_details_types_supported"),
];
const REFRESH: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
    Feature::Member("authorization_details_types_supported"),
];
const PUSHED: &[Feature] = &[
    Feature::Member("pushed_authorization_request_endpoint"),
    Feature::Member("authorization_details_types_supported"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9396",
    title: "OAuth 2.0 Rich Authorization Requests",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9396-2-array",
        "2",
        "authorization_details is a JSON array of objects, each with a type.",
        &[check!(malformed_details)],
    )
    .when(DETAILS),
    must(
        "rfc9396-3-asked",
        "3",
        "The person is asked for what the details say.",
        &[check!(details_are_asked)],
    )
    .when(DETAILS),
    must(
        "rfc9396-5-unknown-type",
        "5",
        "A type that the server does not know is answered invalid_authorization_details.",
        &[check!(unknown_type), check!(unknown_beside_known)],
    )
    .when(DETAILS),
    must(
        "rfc9396-5-pushed",
        "5",
        "Details are refused where they are pushed, too.",
        &[check!(unknown_type_is_not_pushed)],
    )
    .when(PUSHED),
    must(
        "rfc9396-6.1-not-more",
        "6.1",
        "A token request for more than was granted is refused with invalid_authorization_details.",
        &[check!(refresh_does_not_grow)],
    )
    .when(REFRESH),
    must(
        "rfc9396-7-token-response",
        "7",
        "The token response has the details that were granted.",
        &[check!(details_come_back)],
    )
    .when(DETAILS),
    must(
        "rfc9396-9.1-access-token",
        "9.1",
        "A JWT access token has the details that are for its audience.",
        &[check!(token_has_details)],
    )
    .when(DETAILS),
    must(
        "rfc9396-9.2-introspection",
        "9.2",
        "Introspection tells the details.",
        &[check!(introspection_has_details)],
    )
    .when(&[
        Feature::Member("authorization_endpoint"),
        Feature::Member("introspection_endpoint"),
        Feature::Member("authorization_details_types_supported"),
    ]),
    must(
        "rfc9396-10-metadata",
        "10",
        "authorization_details_types_supported is a list of types.",
        &[check!(look types_are_listed)],
    )
    .when(&[Feature::Member("authorization_details_types_supported")]),
];

/// What the app may ask for: what the target was given, else the barest object of the first type.
fn details(subject: &Subject) -> Value {
    let given = subject.target().authorization_details.clone();
    let types = subject
        .metadata()
        .list("authorization_details_types_supported");
    let given =
        given.unwrap_or_else(|| json!({"type": types.first().copied().unwrap_or_default()}));
    if given.is_array() {
        given
    } else {
        json!([given])
    }
}

/// A grant with the details. Only the owner of a type knows what it wants.
async fn granted(subject: &Subject) -> Result<Grant, Stop> {
    let request = subject.offline_authorization()?;
    let details = details(subject);
    let request = request.with("authorization_details", &details.to_string());
    let arrival = request.arrive().await?;
    if arrival.parameter("error") == Some("invalid_authorization_details")
        && subject.target().authorization_details.is_none()
    {
        let reason = "no authorization_details were given, and the barest object is refused";
        return Err(Stop::unchecked(reason));
    }
    subject.redeem(&arrival.code()?).await
}

/// Whether `found` has an object for each one asked for: the server may add members to it (§7).
fn covers(found: Option<&Value>, asked: &Value) -> bool {
    let found = found.and_then(Value::as_array);
    let kind = |object: &Value| object.get("type").cloned();
    let mut asked = asked.as_array().into_iter().flatten();
    found.is_some_and(|found| {
        asked.all(|asked| found.iter().any(|found| kind(found) == kind(asked)))
    })
}

async fn is_refused(subject: &Subject, details: &str) -> Verdict {
    let request = subject.authorization()?;
    let request = request.with("authorization_details", details);
    let arrival = request.refused(&["invalid_authorization_details"]).await?;
    arrival.keeps_state()
}

async fn malformed_details(subject: &Subject) -> Verdict {
    for malformed in ["no json", "{}", "[1]", "[{}]", r#"[{"type":1}]"#] {
        is_refused(subject, malformed).await?;
    }
    Ok(())
}

async fn details_are_asked(subject: &Subject) -> Verdict {
    granted(subject).await?;
    let details = details(subject).to_string();
    let request = subject.authorization()?.with("prompt", "consent");
    let request = request.with("authorization_details", &details);
    let arrival = request.arrive().await?;
    arrival
        .answer
        .require(arrival.redirected.consents > 0, "the person was not asked")
}

const UNKNOWN: &str = "urn:example:no-such-type";

async fn unknown_type(subject: &Subject) -> Verdict {
    is_refused(subject, &json!([{ "type": UNKNOWN }]).to_string()).await
}

async fn unknown_beside_known(subject: &Subject) -> Verdict {
    let mut details = details(subject);
    if let Some(details) = details.as_array_mut() {
        details.push(json!({ "type": UNKNOWN }));
    }
    is_refused(subject, &details.to_string()).await
}

async fn unknown_type_is_not_pushed(subject: &Subject) -> Verdict {
    let details = json!([{ "type": UNKNOWN }]).to_string();
    let request = subject.authorization()?;
    let request = request.with("authorization_details", &details);
    let endpoint = subject.post("pushed_authorization_request_endpoint")?;
    let answer = endpoint.form(request.parameters()).send().await?;
    answer.refused(&[400], &["invalid_authorization_details"])
}

async fn refresh_does_not_grow(subject: &Subject) -> Verdict {
    let grant = granted(subject).await?;
    let more = json!([{ "type": UNKNOWN }]).to_string();
    let request = grant.refresh(subject)?;
    let request = request.form(&[("authorization_details", more)]);
    let answer = request.send().await?;
    answer.refused(&[400], &["invalid_authorization_details"])
}

async fn details_come_back(subject: &Subject) -> Verdict {
    let grant = granted(subject).await?;
    let json = grant.answer.json()?;
    let found = json.get("authorization_details");
    grant.answer.require(
        covers(found, &details(subject)),
        format!("authorization_details is {found:?}"),
    )
}

async fn token_has_details(subject: &Subject) -> Verdict {
    let grant = granted(subject).await?;
    let token = Jws::parse(&grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let found = token.claims.get("authorization_details");
    grant.answer.require(
        covers(found, &details(subject)),
        format!("the access token's authorization_details is {found:?}"),
    )
}

async fn introspection_has_details(subject: &Subject) -> Verdict {
    let grant = granted(subject).await?;
    let answer = subject.introspect(&grant.access_token).await?;
    answer.status(&[200])?;
    let json = answer.json()?;
    if json.get("active") != Some(&Value::Bool(true)) {
        let reason = "the given client is not told of the app's tokens";
        return Err(Stop::unchecked(reason));
    }
    let found = json.get("authorization_details");
    answer.require(
        covers(found, &details(subject)),
        format!("authorization_details is {found:?}"),
    )
}

fn types_are_listed(subject: &Subject) -> Verdict {
    let member = "authorization_details_types_supported";
    let given = subject.metadata().0.get(member);
    let texts = given.and_then(Value::as_array);
    let right = texts.is_some_and(|list| !list.is_empty() && list.iter().all(Value::is_string));
    subject
        .document()?
        .require(right, format!("{member} is no list of texts"))
}
