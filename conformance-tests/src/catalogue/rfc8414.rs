//! RFC 8414: the metadata document.

use serde_json::Value;
use url::Url;

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::Jws;
use crate::metadata::is_protected;
use crate::subject::Subject;

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8414",
    title: "OAuth 2.0 Authorization Server Metadata",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8414-2-issuer",
        "2",
        "issuer is a URL with https and without query and fragment (this machine's own loopback may use http).",
        &[check!(look issuer_form)],
    ),
    must(
        "rfc8414-2-authorization-endpoint",
        "2",
        "authorization_endpoint is there unless no supported grant type uses it.",
        &[check!(look authorization_endpoint_is_there)],
    ),
    must(
        "rfc8414-2-token-endpoint",
        "2",
        "token_endpoint is there unless only the implicit grant is supported.",
        &[check!(look token_endpoint_is_there)],
    ),
    must(
        "rfc8414-2-response-types",
        "2",
        "response_types_supported is there, a list of strings.",
        &[check!(look response_types_are_there)],
    ),
    must(
        "rfc8414-2-types",
        "2",
        "Members that hold lists are JSON arrays of strings.",
        &[check!(look lists_are_lists)],
    ),
    must(
        "rfc8414-2-endpoints-protected",
        "2",
        "Endpoints and jwks_uri are absolute URLs and use https (this machine's own loopback excepted).",
        &[check!(look endpoints_are_protected)],
    ),
    must(
        "rfc8414-2-signing-algorithms",
        "2",
        "Where clients may authenticate by JWT, the algorithms for it are listed.",
        &[check!(look algorithms_are_listed)],
    ),
    must(
        "rfc8414-2-no-none",
        "2",
        "No list of algorithms for client authentication holds none.",
        &[check!(look none_is_not_listed)],
    ),
    must(
        "rfc8414-2-use",
        "2",
        "When keys for signing and for encryption are published, every key has use.",
        &[check!(keys_have_use)],
    )
    .when(&[Feature::Member("jwks_uri")]),
    must(
        "rfc8414-2.1-signed",
        "2.1",
        "signed_metadata is a JWT, signed by the issuer, with the claim iss.",
        &[check!(signed_metadata)],
    )
    .when(&[
        Feature::Member("signed_metadata"),
        Feature::Member("jwks_uri"),
    ]),
    should(
        "rfc8414-2.1-not-nested",
        "2.1",
        "signed_metadata does not appear as a claim within itself.",
        &[check!(look signed_metadata_is_not_nested)],
    )
    .when(&[Feature::Member("signed_metadata")]),
    must(
        "rfc8414-3-path",
        "3",
        "The document is at the well-known path, between the issuer's host and its path.",
        &[check!(look document_is_there)],
    ),
    must(
        "rfc8414-3.2-json",
        "3.2",
        "The document is a JSON object of media type application/json, answered 200.",
        &[check!(look document_is_json)],
    ),
    must(
        "rfc8414-3.2-no-empty-lists",
        "3.2",
        "Members with zero elements are left out.",
        &[check!(look no_empty_lists)],
    ),
    must(
        "rfc8414-3.3-issuer-identical",
        "3.3",
        "issuer is identical to the issuer identifier that the document was found by.",
        &[check!(look issuer_is_identical)],
    ),
];

fn served(subject: &Subject) -> Result<&Answer, Stop> {
    let answer = subject.oauth_document()?;
    answer.status(&[200])?;
    Ok(answer)
}

fn document_is_there(subject: &Subject) -> Verdict {
    served(subject).map(drop)
}

fn document_is_json(subject: &Subject) -> Verdict {
    let answer = served(subject)?;
    answer.json()?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

fn issuer_is_identical(subject: &Subject) -> Verdict {
    let answer = served(subject)?;
    let issuer = answer.text("issuer")?;
    answer.require(
        issuer == subject.issuer(),
        format!("issuer is {issuer}, expected {}", subject.issuer()),
    )
}

fn issuer_form(subject: &Subject) -> Verdict {
    let answer = served(subject)?;
    let issuer = answer.text("issuer")?;
    let url = Url::parse(&issuer).map_err(|_| answer.fail("issuer is not a URL"))?;
    answer.require(is_protected(&url), "issuer does not use https")?;
    answer.require(
        url.query().is_none() && url.fragment().is_none(),
        "issuer has a query or a fragment",
    )
}

fn authorization_endpoint_is_there(subject: &Subject) -> Verdict {
    let metadata = subject.metadata();
    let uses = metadata
        .grants()
        .iter()
        .any(|grant| ["authorization_code", "implicit"].contains(grant));
    let there = !uses || metadata.has("authorization_endpoint");
    subject.document()?.require(
        there,
        "a supported grant type needs authorization_endpoint, which is missing",
    )
}

fn token_endpoint_is_there(subject: &Subject) -> Verdict {
    let metadata = subject.metadata();
    let there = metadata.grants() == ["implicit"] || metadata.text("token_endpoint").is_some();
    subject
        .document()?
        .require(there, "token_endpoint is missing")
}

fn response_types_are_there(subject: &Subject) -> Verdict {
    let list = subject
        .metadata()
        .0
        .get("response_types_supported")
        .and_then(Value::as_array);
    let right = list.is_some_and(|list| list.iter().all(Value::is_string));
    subject.document()?.require(
        right,
        "response_types_supported is missing or not a list of strings",
    )
}

fn lists_are_lists(subject: &Subject) -> Verdict {
    let answer = subject.document()?;
    for (name, value) in &subject.metadata().0 {
        let plural = ["scopes", "types", "modes", "methods", "values"]
            .map(|noun| format!("{noun}_supported"));
        if plural.iter().any(|end| name.ends_with(end)) {
            let right = value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string));
            answer.require(right, format!("{name} is not a list of strings"))?;
        }
    }
    Ok(())
}

fn endpoints_are_protected(subject: &Subject) -> Verdict {
    let answer = subject.document()?;
    for (name, value) in subject.metadata().endpoints() {
        let url = value.as_str().and_then(|url| Url::parse(url).ok());
        answer.require(
            url.is_some_and(|url| is_protected(&url)),
            format!("{name} is not an https URL: {value}"),
        )?;
    }
    Ok(())
}

/// The endpoints at which clients authenticate, as their members begin.
const AUTHENTICATED: [&str; 3] = ["token", "revocation", "introspection"];

fn algorithms_are_listed(subject: &Subject) -> Verdict {
    let metadata = subject.metadata();
    for endpoint in AUTHENTICATED {
        let methods = metadata.list(&format!("{endpoint}_endpoint_auth_methods_supported"));
        let by_jwt = methods
            .iter()
            .any(|method| ["private_key_jwt", "client_secret_jwt"].contains(method));
        let algorithms = format!("{endpoint}_endpoint_auth_signing_alg_values_supported");
        let listed = !by_jwt || !metadata.list(&algorithms).is_empty();
        subject
            .document()?
            .require(listed, format!("{algorithms} is missing"))?;
    }
    Ok(())
}

fn none_is_not_listed(subject: &Subject) -> Verdict {
    for endpoint in AUTHENTICATED {
        let name = format!("{endpoint}_endpoint_auth_signing_alg_values_supported");
        let listed = subject
            .metadata()
            .list(&name)
            .iter()
            .any(|alg| alg.eq_ignore_ascii_case("none"));
        subject
            .document()?
            .require(!listed, format!("{name} holds none"))?;
    }
    Ok(())
}

async fn keys_have_use(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    let uses = |name: &str| {
        keys.iter()
            .any(|key| key.get("use").and_then(Value::as_str) == Some(name))
    };
    let some = uses("enc");
    answer.require(
        !some || keys.iter().all(|key| key.get("use").is_some()),
        "a key has no use",
    )
}

fn signed_statement(subject: &Subject) -> Result<(Jws, &Answer), Stop> {
    let answer = subject.document()?;
    let statement = subject
        .metadata()
        .text("signed_metadata")
        .and_then(Jws::parse);
    Ok((
        statement.ok_or_else(|| answer.fail("signed_metadata is not a JWT"))?,
        answer,
    ))
}

async fn signed_metadata(subject: &Subject) -> Verdict {
    let (statement, answer) = signed_statement(subject)?;
    answer.require(
        statement.claims.contains_key("iss"),
        "signed_metadata has no iss",
    )?;
    let (keys, _) = subject.keys().await?;
    statement
        .verify(&keys)
        .map_err(|reason| answer.fail(reason))
}

fn signed_metadata_is_not_nested(subject: &Subject) -> Verdict {
    let (statement, answer) = signed_statement(subject)?;
    answer.require(
        !statement.claims.contains_key("signed_metadata"),
        "signed_metadata holds signed_metadata",
    )
}

/// `response_types_supported` is required even where there is no response type, so an empty one is no fault.
fn no_empty_lists(subject: &Subject) -> Verdict {
    let answer = served(subject)?;
    for (name, value) in answer.json()? {
        let empty =
            value.as_array().is_some_and(Vec::is_empty) && name != "response_types_supported";
        answer.require(!empty, format!("{name} is empty"))?;
    }
    Ok(())
}
