//! RFC 7591: dynamic client registration.

use serde_json::{Value, json};

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::subject::{Registered, Subject};

const REGISTRATION: &[Feature] = &[Feature::Member("registration_endpoint")];
const TOKEN: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Grant("authorization_code"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7591",
    title: "OAuth 2.0 Dynamic Client Registration Protocol",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7591-2-defaults",
        "2",
        "A client that does not say so authenticates with client_secret_basic and uses codes.",
        &[check!(defaults_are_told)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-2-unknown-ignored",
        "2",
        "Metadata that the server does not understand is ignored.",
        &[check!(unknown_metadata_is_ignored)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-2-jwks-or-jwks-uri",
        "2",
        "jwks and jwks_uri are not both taken.",
        &[check!(two_kinds_of_keys)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-2.1-consistent",
        "2.1",
        "The grant types and response types of a client fit each other.",
        &[check!(types_fit)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-2.3-statement",
        "2.3",
        "A software statement of an issuer that the server trusts has precedence over the metadata beside it.",
        &[],
    )
    .unchecked("needs a software statement of an issuer that the server trusts")
    .when(REGISTRATION),
    must(
        "rfc7591-3-tls",
        "3",
        "The registration endpoint is protected by TLS (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-3.2.1-created",
        "3.2.1",
        "A registration is answered 201 in JSON, not to be stored, with a client_id of its own.",
        &[check!(is_created), check!(ids_differ)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-3.2.1-secret",
        "3.2.1",
        "A client_secret comes with client_secret_expires_at, and works.",
        &[check!(secret_comes_with_its_end), check!(secret_works)],
    )
    .when(TOKEN),
    must(
        "rfc7591-3.2.1-metadata",
        "3.2.1",
        "The response has all metadata that was registered.",
        &[check!(metadata_is_returned)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-3.2.2-invalid-redirect-uri",
        "3.2.2",
        "A bad redirection URI is answered 400 invalid_redirect_uri.",
        &[check!(bad_redirect_uri)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-3.2.2-invalid-client-metadata",
        "3.2.2",
        "Bad metadata is answered 400 invalid_client_metadata, in JSON.",
        &[check!(bad_metadata), check!(not_json)],
    )
    .when(REGISTRATION),
    must(
        "rfc7591-5-redirects",
        "5",
        "A client with redirects must register them.",
        &[check!(no_redirect_uris)],
    )
    .when(REGISTRATION),
    should(
        "rfc7591-5-no-script-redirects",
        "5",
        "Redirection URIs that run a script or hold data are not taken.",
        &[check!(script_redirects)],
    )
    .when(REGISTRATION),
];

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("registration_endpoint")?;
    subject.document()?.require(
        crate::metadata::is_protected(&url),
        format!("registration_endpoint is {url}"),
    )
}

/// A refusal of the form of §3.2.2.
fn refused(answer: &Answer, codes: &[&str]) -> Verdict {
    answer.refused(&[400], codes)?;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )
}

const BAD_METADATA: &[&str] = &["invalid_client_metadata"];
const BAD_REDIRECT: &[&str] = &["invalid_redirect_uri", "invalid_client_metadata"];

/// The web app of all checks with `more`, asked for and refused.
async fn is_refused(subject: &Subject, more: Value, codes: &[&str]) -> Verdict {
    let answer = subject.register(&subject.web_app_metadata(more)).await?;
    refused(&answer, codes)
}

async fn plain(subject: &Subject) -> Result<Registered, Stop> {
    subject.web_app(json!({})).await
}

async fn defaults_are_told(subject: &Subject) -> Verdict {
    let metadata = json!({"redirect_uris": ["https://client.example/defaults"]});
    let client = subject.client(&metadata).await?;
    let told = client.metadata()?;
    for (name, expected) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
    ] {
        // §3.2.1: all registered metadata is returned, whoever chose it.
        let value = told.get(name);
        client.answer.require(
            value == Some(&expected),
            format!("{name} is {value:?}, expected {expected}"),
        )?;
    }
    Ok(())
}

async fn unknown_metadata_is_ignored(subject: &Subject) -> Verdict {
    let more = json!({"no_such_metadata_of_any_kind": {"a": [1]}});
    let client = subject.web_app(more).await?;
    client.answer.require(
        !client
            .metadata()?
            .contains_key("no_such_metadata_of_any_kind"),
        "metadata that nobody understands was registered",
    )
}

async fn two_kinds_of_keys(subject: &Subject) -> Verdict {
    let more = json!({"jwks": {"keys": []}, "jwks_uri": "https://client.example/jwks"});
    is_refused(subject, more, BAD_METADATA).await
}

async fn types_fit(subject: &Subject) -> Verdict {
    let more = json!({"grant_types": ["client_credentials"], "response_types": ["code"]});
    let answer = subject.register(&subject.web_app_metadata(more)).await?;
    if answer.status != 201 {
        return refused(&answer, BAD_METADATA);
    }
    // §2: the server may replace what it was asked for.
    let told = Registered::read(subject, answer)?;
    let metadata = told.metadata()?;
    let lists = |member: &str, element: &str| {
        let list = metadata.get(member).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|given| given.as_str() == Some(element)))
    };
    told.answer.require(
        lists("grant_types", "authorization_code") == lists("response_types", "code"),
        "the registered grant types and response types do not fit",
    )
}

async fn is_created(subject: &Subject) -> Verdict {
    let answer = plain(subject).await?.answer;
    answer.require(
        answer.media_type() == "application/json",
        format!("the media type is {}", answer.media_type()),
    )?;
    answer.require(
        answer.has_directive("cache-control", "no-store"),
        "Cache-Control lacks no-store",
    )
}

async fn ids_differ(subject: &Subject) -> Verdict {
    let first = plain(subject).await?;
    let metadata = subject.web_app_metadata(json!({}));
    let again = subject.new_client(&metadata).await?;
    again.answer.require(
        first.client_id != again.client_id,
        "two registrations got the same client_id",
    )
}

async fn secret_comes_with_its_end(subject: &Subject) -> Verdict {
    let client = plain(subject).await?;
    client.secret()?;
    let end = client.metadata()?.get("client_secret_expires_at").cloned();
    let end = end.as_ref().and_then(Value::as_i64);
    client.answer.require(
        end.is_some_and(|end| end == 0 || end > subject.now()),
        "client_secret_expires_at is missing, no number, or past",
    )
}

/// A code that nobody issued: who is let as far as that has authenticated.
async fn secret_works(subject: &Subject) -> Verdict {
    let client = plain(subject).await?;
    let request = subject.post("token_endpoint")?.form(&[
        ("grant_type", "authorization_code"),
        ("code", "no-such-code"),
        ("redirect_uri", &client.redirect_uri),
        ("code_verifier", &"a".repeat(43)),
    ]);
    let answer = client.authenticated(request)?.send().await?;
    answer.refused(&[400], &["invalid_grant", "invalid_request"])
}

async fn metadata_is_returned(subject: &Subject) -> Verdict {
    let client = plain(subject).await?;
    let told = client.metadata()?;
    for name in ["redirect_uris", "client_name", "grant_types"] {
        let asked = subject.web_app_metadata(json!({})).get(name).cloned();
        let value = told.get(name).cloned();
        let sorted = |value: &Option<Value>| {
            let list = value.as_ref().and_then(Value::as_array).cloned();
            let mut texts: Vec<_> = list?.iter().map(Value::to_string).collect();
            texts.sort();
            Some(texts)
        };
        client.answer.require(
            value == asked || (value.is_some() && sorted(&value) == sorted(&asked)),
            format!("{name} is {value:?}, registered was {asked:?}"),
        )?;
    }
    Ok(())
}

async fn bad_redirect_uri(subject: &Subject) -> Verdict {
    for bad in [
        "https://client.example/callback#fragment",
        "/callback",
        "no uri",
    ] {
        let more = json!({ "redirect_uris": [bad] });
        is_refused(subject, more, &["invalid_redirect_uri"]).await?;
    }
    Ok(())
}

async fn bad_metadata(subject: &Subject) -> Verdict {
    let more = json!({"token_endpoint_auth_method": "no_such_method"});
    is_refused(subject, more, BAD_METADATA).await
}

async fn not_json(subject: &Subject) -> Verdict {
    for body in ["", "redirect_uris", "[]", r#"{"redirect_uris":"#] {
        let answer = subject.registration(body.to_owned())?.send().await?;
        if [401, 403].contains(&answer.status) {
            return Err(Stop::unchecked(
                "registration needs an initial access token",
            ));
        }
        answer.require(
            answer.status == 400,
            format!("{body:?} was answered {}", answer.status),
        )?;
    }
    Ok(())
}

async fn no_redirect_uris(subject: &Subject) -> Verdict {
    let mut metadata = subject.web_app_metadata(json!({}));
    if let Some(members) = metadata.as_object_mut() {
        members.remove("redirect_uris");
    }
    let answer = subject.register(&metadata).await?;
    refused(&answer, BAD_REDIRECT)
}

async fn script_redirects(subject: &Subject) -> Verdict {
    for bad in ["javascript:alert(1)", "data:text/html,<p>"] {
        let more = json!({ "redirect_uris": [bad] });
        is_refused(subject, more, BAD_REDIRECT).await?;
    }
    Ok(())
}
