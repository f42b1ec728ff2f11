//! Client ID Metadata Documents, a draft (02): clients that are known by the URL of a document about them.

use super::rfc9700::stays_at_the_server;
use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::subject::{Authorization, Subject};
use crate::target::App;

const DOCUMENTS: &[Feature] = &[
    Feature::Flag("client_id_metadata_document_supported"),
    Feature::Member("authorization_endpoint"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "Client ID Metadata Document",
    title: "OAuth Client ID Metadata Document",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "clientidmetadatadocument-3-https",
        "3",
        "The URL of a client has the scheme https.",
        &[check!(plain_http)],
    )
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-3-form",
        "3",
        "The URL of a client has a path, and neither userinfo, fragment nor dot segments.",
        &[check!(malformed_urls)],
    )
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-4-document",
        "4",
        "A client is what the document at its URL says, if the document names that URL and no other.",
        &[check!(document_works), check!(document_of_another_url)],
    )
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-4.1-no-shared-secrets",
        "4.1",
        "A document with a shared secret, or a method that needs one, is refused.",
        &[],
    )
    .unchecked("the tests publish no documents over https")
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-4.2-redirects",
        "4.2",
        "A redirection URI that the document does not have leads nowhere.",
        &[check!(another_redirect)],
    )
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-5-no-redirect",
        "5",
        "A document that is answered with a redirect, or any status but 200, is none.",
        &[],
    )
    .unchecked("the tests publish no documents over https")
    .when(DOCUMENTS),
    should(
        "clientidmetadatadocument-5.1-errors",
        "5.1",
        "A request whose document cannot be fetched ends at a page of the server.",
        &[check!(document_out_of_reach)],
    )
    .when(DOCUMENTS),
    must(
        "clientidmetadatadocument-6-metadata",
        "6",
        "client_id_metadata_document_supported is a boolean.",
        &[check!(look flag_is_boolean)],
    )
    .when(&[Feature::Member("client_id_metadata_document_supported")]),
];

const REDIRECT: &str = "https://client.example/callback";

/// A request of the client with that URL must end at a page of the server.
async fn is_refused(subject: &Subject, url: &str) -> Verdict {
    let request = subject.flow(url, REDIRECT)?;
    stays_at_the_server(request).await
}

async fn plain_http(subject: &Subject) -> Verdict {
    is_refused(subject, "http://client.invalid/client.json").await
}

async fn malformed_urls(subject: &Subject) -> Verdict {
    for url in [
        "https://somebody@client.invalid/client.json",
        "https://somebody:secret@client.invalid/client.json",
        "https://client.invalid/client.json#fragment",
        "https://client.invalid/a/../client.json",
        "https://client.invalid/./client.json",
        "https://client.invalid",
    ] {
        is_refused(subject, url).await?;
    }
    Ok(())
}

async fn document_out_of_reach(subject: &Subject) -> Verdict {
    is_refused(subject, "https://client.invalid/client.json").await
}

/// A client with a document that was given.
fn given(subject: &Subject) -> Result<&App, Stop> {
    let given = subject.target().document_client.as_ref();
    given.ok_or_else(|| Stop::unchecked("no client with a metadata document was given"))
}

fn request(subject: &Subject) -> Result<Authorization<'_>, Stop> {
    let given = given(subject)?;
    subject.flow(&given.client_id, &given.redirect_uri)
}

async fn document_works(subject: &Subject) -> Verdict {
    let arrival = request(subject)?.arrive().await?;
    arrival.keeps_state()?;
    arrival.code().map(drop)
}

/// Most servers of documents do not look at the query: what comes is the same document, which names the URL without it.
async fn document_of_another_url(subject: &Subject) -> Verdict {
    let given = given(subject)?;
    let url = format!("{}?another=1", given.client_id);
    let request = subject.flow(&url, &given.redirect_uri)?;
    stays_at_the_server(request).await
}

async fn another_redirect(subject: &Subject) -> Verdict {
    let redirect = "https://stranger.example/callback";
    let request = request(subject)?.with("redirect_uri", redirect);
    stays_at_the_server(request).await
}

fn flag_is_boolean(subject: &Subject) -> Verdict {
    let member = "client_id_metadata_document_supported";
    let boolean = subject
        .metadata()
        .0
        .get(member)
        .is_some_and(serde_json::Value::is_boolean);
    subject
        .document()?
        .require(boolean, format!("{member} is not a boolean"))
}
