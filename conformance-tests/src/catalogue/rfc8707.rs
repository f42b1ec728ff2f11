//! RFC 8707: resource indicators.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::subject::Subject;

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
