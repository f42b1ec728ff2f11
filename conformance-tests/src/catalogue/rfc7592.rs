//! RFC 7592: management of registered clients.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Feature, Requirement, Standard, must};
use crate::answer::Answer;
use crate::check::{Verdict, check};
use crate::subject::{Registered, Subject};

const REGISTRATION: &[Feature] = &[Feature::Member("registration_endpoint")];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7592",
    title: "OAuth 2.0 Dynamic Client Registration Management Protocol",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7592-2.1-read",
        "2.1",
        "A client reads its registration with its token: 200, and what it was told before.",
        &[check!(registration_is_read)],
    )
    .when(REGISTRATION),
    must(
        "rfc7592-2.1-token",
        "2.1",
        "A registration is not read without its own token: 401.",
        &[check!(foreign_tokens_are_refused)],
    )
    .when(REGISTRATION),
    must(
        "rfc7592-2.2-replaces",
        "2.2",
        "An update replaces the whole: what it leaves out is gone.",
        &[check!(update_replaces)],
    )
    .when(REGISTRATION),
    must(
        "rfc7592-2.2-own-id",
        "2.2",
        "An update with another client_id, or with a secret of the client's choice, is refused.",
        &[check!(another_id_is_refused), check!(another_secret_is_refused)],
    )
    .when(REGISTRATION),
    must(
        "rfc7592-2.3-delete",
        "2.3",
        "A client that deletes itself is answered 204, and neither it nor its token is known any more.",
        &[check!(deleted_is_gone)],
    )
    .when(REGISTRATION),
    must(
        "rfc7592-3-management",
        "3",
        "registration_client_uri and registration_access_token come together, over TLS.",
        &[check!(management_is_complete)],
    )
    .when(REGISTRATION),
];

async fn manage(
    subject: &Subject,
    method: Method,
    client: &Registered,
    body: Option<&Map<String, Value>>,
) -> Result<Answer, crate::check::Stop> {
    let (url, token) = client.management()?;
    let request = subject.request(method, url).bearer(&token);
    let request = match body {
        Some(body) => request.raw("application/json", Value::Object(body.clone()).to_string()),
        None => request,
    };
    request.send().await
}

/// A client that no other check shares.
async fn own(subject: &Subject) -> Result<Registered, crate::check::Stop> {
    let more = json!({"client_uri": "https://client.example/about"});
    subject.new_client(&subject.web_app_metadata(more)).await
}

/// What §2.2 leaves to the server and an update may not have.
const OF_THE_SERVER: &[&str] = &[
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// The update that changes nothing (§2.2).
fn unchanged(client: &Registered) -> Result<Map<String, Value>, crate::check::Stop> {
    let mut metadata = client.metadata()?;
    metadata.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
    Ok(metadata)
}

async fn registration_is_read(subject: &Subject) -> Verdict {
    let client = own(subject).await?;
    let answer = manage(subject, Method::GET, &client, None).await?;
    answer.status(&[200])?;
    let (told, read) = (client.metadata()?, answer.json()?);
    for name in ["client_id", "redirect_uris", "client_name", "client_uri"] {
        answer.require(
            told.get(name) == read.get(name),
            format!("{name} is not what the registration was answered"),
        )?;
    }
    Ok(())
}

async fn foreign_tokens_are_refused(subject: &Subject) -> Verdict {
    let (client, other) = (own(subject).await?, own(subject).await?);
    let (url, _) = client.management()?;
    let (_, foreign) = other.management()?;
    for token in [None, Some("no-such-token"), Some(foreign.as_str())] {
        let request = subject.get(&url);
        let request = match token {
            Some(token) => request.bearer(token),
            None => request,
        };
        request.send().await?.status(&[401])?;
    }
    Ok(())
}

async fn update_replaces(subject: &Subject) -> Verdict {
    let client = own(subject).await?;
    let mut metadata = unchanged(&client)?;
    metadata.remove("client_uri");
    metadata.insert("client_name".into(), "Another name".into());
    let answer = manage(subject, Method::PUT, &client, Some(&metadata)).await?;
    answer.status(&[200])?;
    let told = answer.json()?;
    answer.require(
        told.get("client_name") == Some(&json!("Another name")),
        "client_name is not the new one",
    )?;
    answer.require(
        told.get("client_uri").is_none_or(Value::is_null),
        "client_uri is still there, although the update left it out",
    )
}

async fn update_is_refused(subject: &Subject, name: &str, value: &str) -> Verdict {
    let client = own(subject).await?;
    let mut metadata = unchanged(&client)?;
    metadata.insert(name.into(), value.into());
    let answer = manage(subject, Method::PUT, &client, Some(&metadata)).await?;
    answer.require(
        [400, 401, 403].contains(&answer.status),
        format!("{name} was changed: {}", answer.status),
    )
}

async fn another_id_is_refused(subject: &Subject) -> Verdict {
    update_is_refused(subject, "client_id", "no-such-client").await
}

async fn another_secret_is_refused(subject: &Subject) -> Verdict {
    update_is_refused(
        subject,
        "client_secret",
        "a-secret-of-the-clients-own-choice",
    )
    .await
}

async fn deleted_is_gone(subject: &Subject) -> Verdict {
    let client = own(subject).await?;
    let answer = manage(subject, Method::DELETE, &client, None).await?;
    if answer.status == 405 {
        let reason = "registered clients cannot delete themselves";
        return Err(crate::check::Stop::not_applicable(reason));
    }
    answer.status(&[204])?;
    let answer = manage(subject, Method::GET, &client, None).await?;
    answer.status(&[401])?;
    let request = subject.post("token_endpoint")?.form(&[
        ("grant_type", "authorization_code"),
        ("code", "no-such-code"),
        ("redirect_uri", &client.redirect_uri),
    ]);
    let answer = client.authenticated(request)?.send().await?;
    answer.refused(&[400, 401], &["invalid_client"])
}

async fn management_is_complete(subject: &Subject) -> Verdict {
    let client = subject.web_app(json!({})).await?;
    let told = client.metadata()?;
    let (uri, token) = (
        told.contains_key("registration_client_uri"),
        told.contains_key("registration_access_token"),
    );
    client
        .answer
        .require(uri == token, "one is there without the other")?;
    let (url, _) = client.management()?;
    client.answer.require(
        crate::metadata::is_protected(&url),
        format!("registration_client_uri is {url}"),
    )
}
