//! OpenID Connect Discovery 1.0: the provider's configuration.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::metadata::Metadata;
use crate::subject::Subject;

/// Sign-in needs an authorization endpoint; what is asked of ID tokens asks nothing of a server without one.
const SIGN_IN: &[Feature] = &[Feature::Member("authorization_endpoint")];

pub(super) const STANDARD: Standard = Standard {
    id: "OIDC Discovery",
    title: "OpenID Connect Discovery 1.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "oidcdiscovery-3-required",
        "3",
        "issuer, the endpoints, jwks_uri and the lists of response types, subject types and algorithms are there.",
        &[check!(look required_members)],
    )
    .when(SIGN_IN),
    must(
        "oidcdiscovery-3-rs256",
        "3",
        "id_token_signing_alg_values_supported includes RS256.",
        &[check!(look rs256_is_listed)],
    )
    .when(SIGN_IN),
    should(
        "oidcdiscovery-3-scopes",
        "3",
        "scopes_supported is there and includes openid.",
        &[check!(look openid_is_listed)],
    )
    .when(SIGN_IN),
    must(
        "oidcdiscovery-4.2-json",
        "4.2",
        "The document is a JSON object of media type application/json, answered 200.",
        &[check!(look document_is_json)],
    ),
    must(
        "oidcdiscovery-4.2-no-empty-lists",
        "4.2",
        "Members with zero elements are left out.",
        &[check!(look no_empty_lists)],
    ),
    must(
        "oidcdiscovery-4.3-issuer-identical",
        "4.3",
        "issuer is identical to the issuer that the document was found by.",
        &[check!(look issuer_is_identical)],
    ),
];

fn served(subject: &Subject) -> Result<(&Answer, Metadata), Stop> {
    let answer = subject.openid_document()?;
    answer.status(&[200])?;
    Ok((answer, Metadata(answer.json()?)))
}

fn required_members(subject: &Subject) -> Verdict {
    let (answer, metadata) = served(subject)?;
    for name in [
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
    ] {
        answer.require(metadata.text(name).is_some(), format!("{name} is missing"))?;
    }
    for name in [
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        answer.require(
            !metadata.list(name).is_empty(),
            format!("{name} is missing"),
        )?;
    }
    Ok(())
}

fn rs256_is_listed(subject: &Subject) -> Verdict {
    let (answer, metadata) = served(subject)?;
    let listed = metadata
        .list("id_token_signing_alg_values_supported")
        .contains(&"RS256");
    answer.require(listed, "RS256 is not listed")
}

fn openid_is_listed(subject: &Subject) -> Verdict {
    let (answer, metadata) = served(subject)?;
    answer.require(
        metadata.list("scopes_supported").contains(&"openid"),
        "scopes_supported lacks openid",
    )
}

fn document_is_json(subject: &Subject) -> Verdict {
    let (answer, _) = served(subject)?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

/// As in RFC 8414, `response_types_supported` is required even where there is no response type.
fn no_empty_lists(subject: &Subject) -> Verdict {
    let (answer, metadata) = served(subject)?;
    for (name, value) in &metadata.0 {
        let empty =
            value.as_array().is_some_and(Vec::is_empty) && name != "response_types_supported";
        answer.require(!empty, format!("{name} is empty"))?;
    }
    Ok(())
}

fn issuer_is_identical(subject: &Subject) -> Verdict {
    let (answer, metadata) = served(subject)?;
    let issuer = metadata
        .0
        .get("issuer")
        .and_then(Value::as_str)
        .unwrap_or_default();
    answer.require(
        issuer == subject.issuer(),
        format!("issuer is {issuer}, expected {}", subject.issuer()),
    )
}
