//! RFC 8707: resource indicators.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::subject::{Grant, Subject};

const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];

const CODE: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Member("authorization_endpoint"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8707",
    title: "Resource Indicators for OAuth 2.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8707-2-absolute",
        "2",
        "A resource that is not an absolute URI is not accepted.",
        &[check!(relative_resource)],
    )
    .when(TOKENS),
    must(
        "rfc8707-2-no-fragment",
        "2",
        "A resource with a fragment is not accepted.",
        &[check!(resource_with_fragment)],
    )
    .when(TOKENS),
    should(
        "rfc8707-2-invalid-target",
        "2",
        "A resource that the server does not know is answered invalid_target.",
        &[check!(unknown_resource), check!(unknown_beside_known)],
    )
    .when(TOKENS),
    should(
        "rfc8707-2-audience",
        "2",
        "An access token is restricted to the audience of the resource that was asked for.",
        &[check!(audience_is_the_resource)],
    )
    .when(TOKENS),
    should(
        "rfc8707-2.1-authorization-endpoint",
        "2.1",
        "The authorization endpoint takes resource: the token is for it, and an unknown one is answered invalid_target.",
        &[
            check!(token_is_for_what_was_authorized),
            check!(unknown_resource_at_authorize),
        ],
    )
    .when(CODE),
    must(
        "rfc8707-2.2-of-the-grant",
        "2.2",
        "A grant for two resources gives a token for each, by code and by refresh, and none for a third.",
        &[check!(each_of_two_resources), check!(resource_beyond_the_grant)],
    )
    .when(CODE),
    must(
        "rfc8707-2.2-token-endpoint",
        "2.2",
        "The token endpoint takes the parameter resource.",
        &[check!(every_resource_is_granted)],
    )
    .when(TOKENS),
];

/// A server that was given no resources may know nothing of the parameter and ignore it (RFC 6749 §3.2).
fn resources(subject: &Subject) -> Result<&[String], Stop> {
    let resources = subject.target().resources.as_slice();
    if resources.is_empty() {
        Err(Stop::unchecked("no resources were given"))
    } else {
        Ok(resources)
    }
}

async fn asked(subject: &Subject, resources: &[&str]) -> Result<Answer, Stop> {
    let mut request = subject.token_request()?.without("resource");
    for resource in resources {
        request = request.form(&[("resource", resource)]);
    }
    request.send().await
}

async fn relative_resource(subject: &Subject) -> Verdict {
    resources(subject)?;
    for relative in ["/relative", "no-uri", "//host/path"] {
        asked(subject, &[relative]).await?.without_token()?;
    }
    Ok(())
}

async fn resource_with_fragment(subject: &Subject) -> Verdict {
    for resource in resources(subject)? {
        asked(subject, &[&format!("{resource}#fragment")])
            .await?
            .without_token()?;
    }
    Ok(())
}

async fn unknown_resource(subject: &Subject) -> Verdict {
    resources(subject)?;
    let answer = asked(subject, &["https://stranger.example/resource"]).await?;
    answer.refused(&[400], &["invalid_target"])
}

async fn unknown_beside_known(subject: &Subject) -> Verdict {
    let known = resources(subject)?.first().map_or("", String::as_str);
    let answer = asked(subject, &[known, "https://stranger.example/resource"]).await?;
    answer.refused(&[400], &["invalid_target"])
}

async fn every_resource_is_granted(subject: &Subject) -> Verdict {
    for resource in resources(subject)? {
        let request = subject
            .token_request()?
            .without("resource")
            .form(&[("resource", resource)]);
        subject.issue(request).await?;
    }
    Ok(())
}

async fn audience_is_the_resource(subject: &Subject) -> Verdict {
    for resource in resources(subject)? {
        let request = subject
            .token_request()?
            .without("resource")
            .form(&[("resource", resource)]);
        let token = subject.issue(request).await?;
        let audience = token.jwt()?.claims.get("aud").cloned().unwrap_or_default();
        let alone = audience.as_array().is_some_and(|list| list.len() == 1);
        let only = if alone {
            audience.get(0).unwrap_or(&Value::Null)
        } else {
            &audience
        };
        let restricted = only.as_str() == Some(resource.as_str());
        token.answer.require(
            restricted,
            format!("asked for {resource}, the token's aud is {audience}"),
        )?;
    }
    Ok(())
}

async fn token_is_for_what_was_authorized(subject: &Subject) -> Verdict {
    resources(subject)?;
    let resource = subject.api_resource().unwrap_or_default();
    let request = subject.authorization()?.with("resource", resource);
    let arrival = request.arrive().await?;
    if arrival.parameter("error") == Some("invalid_target") {
        return Err(Stop::unchecked("the app may not ask for the resource"));
    }
    let grant = subject.redeem(&arrival.code()?).await?;
    let token = Jws::parse(&grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let audience = token.claims.get("aud").cloned().unwrap_or_default();
    let ours = |value: &Value| value.as_str() == Some(resource);
    let named = ours(&audience)
        || audience
            .as_array()
            .is_some_and(|list| list.len() == 1 && list.iter().all(ours));
    grant
        .answer
        .require(named, format!("asked for {resource}, aud is {audience}"))
}

async fn unknown_resource_at_authorize(subject: &Subject) -> Verdict {
    resources(subject)?;
    let request = subject
        .authorization()?
        .with("resource", "https://stranger.example/no-such-resource");
    let arrival = request.refused(&["invalid_target"]).await?;
    arrival.keeps_state()
}

/// A grant of the app for both resources, with the code redeemed for `first`.
async fn grant_for_two(subject: &Subject, both: [&str; 2], first: &str) -> Result<Grant, Stop> {
    let [one, other] = both;
    let request = subject.offline_authorization()?;
    let request = request.with("resource", one).also("resource", other);
    let arrival = request.arrive().await?;
    if arrival.parameter("error") == Some("invalid_target") {
        return Err(Stop::unchecked("the app may not ask for the resources"));
    }
    let code = arrival.code()?;
    let request = code.redemption(subject)?.without("resource");
    let request = request.form(&[("resource", first)]);
    let answer = request.send().await?;
    Grant::read(subject, answer, &code.client_id)
}

fn is_for(grant: &Grant, resource: &str) -> Verdict {
    let token = Jws::parse(&grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let audience = token.claims.get("aud").cloned().unwrap_or_default();
    let ours = |value: &Value| value.as_str() == Some(resource);
    let alone = audience
        .as_array()
        .is_some_and(|list| list.len() == 1 && list.iter().all(ours));
    grant.answer.require(
        ours(&audience) || alone,
        format!("asked for {resource}, aud is {audience}"),
    )
}

fn two(subject: &Subject) -> Result<[&str; 2], Stop> {
    match resources(subject)? {
        [one, other, ..] => Ok([one, other]),
        _ => Err(Stop::unchecked("fewer than two resources were given")),
    }
}

async fn each_of_two_resources(subject: &Subject) -> Verdict {
    let both = two(subject)?;
    let [one, other] = both;
    let first = grant_for_two(subject, both, one).await?;
    is_for(&first, one)?;
    let request = first.refresh(subject)?.without("resource");
    let request = request.form(&[("resource", other)]);
    let answer = request.send().await?;
    let second = Grant::read(subject, answer, &first.client_id)?;
    is_for(&second, other)
}

/// The person agreed to one of the two.
async fn resource_beyond_the_grant(subject: &Subject) -> Verdict {
    let [one, other] = two(subject)?;
    let request = subject.offline_authorization()?.with("resource", one);
    let arrival = request.arrive().await?;
    if arrival.parameter("error") == Some("invalid_target") {
        return Err(Stop::unchecked("the app may not ask for the resource"));
    }
    let code = arrival.code()?;
    let request = code.redemption(subject)?.without("resource");
    let request = request.form(&[("resource", other)]);
    let answer = request.send().await?;
    answer.refused(&[400], &["invalid_target"])
}
