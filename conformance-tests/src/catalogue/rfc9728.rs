//! RFC 9728: the metadata of a protected resource.

use serde_json::Value;
use url::Url;

use super::{Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::metadata::{is_protected, well_known};
use crate::subject::Subject;

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9728",
    title: "OAuth 2.0 Protected Resource Metadata",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9728-2-resource",
        "2",
        "resource is there: a URL with https and without fragment (this machine's own loopback may use http).",
        &[check!(resource_form)],
    ),
    should(
        "rfc9728-2-authorization-servers",
        "2",
        "authorization_servers lists the issuer whose tokens are taken.",
        &[check!(issuer_is_listed)],
    ),
    must(
        "rfc9728-2-bearer-methods",
        "2",
        "bearer_methods_supported holds only header, body and query.",
        &[check!(bearer_methods)],
    ),
    must(
        "rfc9728-2-no-none",
        "2",
        "resource_signing_alg_values_supported does not hold none.",
        &[check!(none_is_not_listed)],
    ),
    must(
        "rfc9728-3-path",
        "3",
        "The document is at the well-known path, between the resource's host and its path.",
        &[check!(path_is_inserted)],
    ),
    must(
        "rfc9728-3.2-json",
        "3.2",
        "The document is a JSON object of media type application/json, answered 200.",
        &[check!(document_is_json)],
    ),
    must(
        "rfc9728-3.2-no-empty-lists",
        "3.2",
        "Members with zero elements are left out.",
        &[check!(no_empty_lists)],
    ),
    must(
        "rfc9728-3.3-resource-identical",
        "3.3",
        "resource is identical to the identifier that the well-known path was inserted into.",
        &[check!(resource_is_identical)],
    ),
    should(
        "rfc9728-5.1-challenge",
        "5.1",
        "The challenge of the protected resource points to its metadata by resource_metadata.",
        &[check!(challenge_points_here)],
    ),
];

/// The identifier of the protected resource: the one given that covers it, else what its challenge leads to.
fn identifier(subject: &Subject) -> Result<&str, Stop> {
    subject.api()?;
    subject
        .api_resource()
        .ok_or_else(|| Stop::unchecked("the resource's identifier was not given"))
}

pub(crate) async fn document(subject: &Subject) -> Result<Answer, Stop> {
    let url = well_known(identifier(subject)?, "oauth-protected-resource");
    let url = url.ok_or_else(|| Stop::unchecked("the resource's identifier is not a URL"))?;
    let answer = subject.get(&url).send().await?;
    answer.status(&[200])?;
    Ok(answer)
}

async fn path_is_inserted(subject: &Subject) -> Verdict {
    document(subject).await.map(drop)
}

async fn document_is_json(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    answer.json()?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

async fn resource_form(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    let resource =
        Url::parse(&answer.text("resource")?).map_err(|_| answer.fail("resource is not a URL"))?;
    answer.require(is_protected(&resource), "resource does not use https")?;
    answer.require(resource.fragment().is_none(), "resource has a fragment")
}

async fn resource_is_identical(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    let (resource, expected) = (answer.text("resource")?, identifier(subject)?);
    answer.require(
        resource == expected,
        format!("resource is {resource}, expected {expected}"),
    )
}

async fn issuer_is_listed(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    let json = answer.json()?;
    let servers = json.get("authorization_servers").and_then(Value::as_array);
    let listed = servers.is_some_and(|list| {
        list.iter()
            .any(|server| server.as_str() == Some(subject.issuer()))
    });
    answer.require(listed, "authorization_servers lacks the issuer")
}

async fn bearer_methods(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    let Some(methods) = answer.json()?.get("bearer_methods_supported").cloned() else {
        return Err(Stop::not_applicable(
            "the document has no bearer_methods_supported",
        ));
    };
    let known = |method: &Value| {
        method
            .as_str()
            .is_some_and(|method| ["header", "body", "query"].contains(&method))
    };
    let right = methods
        .as_array()
        .is_some_and(|list| list.iter().all(known));
    answer.require(right, format!("bearer_methods_supported is {methods}"))
}

async fn none_is_not_listed(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    let Some(algorithms) = answer
        .json()?
        .get("resource_signing_alg_values_supported")
        .cloned()
    else {
        return Err(Stop::not_applicable(
            "the document has no resource_signing_alg_values_supported",
        ));
    };
    let listed = algorithms
        .as_array()
        .is_some_and(|list| list.iter().any(|alg| alg.as_str() == Some("none")));
    answer.require(!listed, "none is listed")
}

async fn no_empty_lists(subject: &Subject) -> Verdict {
    let answer = document(subject).await?;
    for (name, value) in answer.json()? {
        answer.require(
            !value.as_array().is_some_and(Vec::is_empty),
            format!("{name} is empty"),
        )?;
    }
    Ok(())
}

async fn challenge_points_here(subject: &Subject) -> Verdict {
    let answer = subject.get(subject.api()?).send().await?;
    let challenge = answer.challenge("Bearer")?;
    let pointer = challenge.parameter("resource_metadata");
    let pointer = pointer.ok_or_else(|| answer.fail("the challenge has no resource_metadata"))?;
    let expected = well_known(identifier(subject)?, "oauth-protected-resource");
    answer.require(
        Url::parse(pointer).ok() == expected,
        format!(
            "resource_metadata is {pointer}, not the document of {}",
            identifier(subject)?
        ),
    )
}
