//! The authorization of the Model Context Protocol: what it asks of authorization servers, and of MCP servers as protected resources.
//!
//! Sections are those of the page "Authorization"; what its pages "Client Registration" and "Security Considerations" ask stands
//! under the sections that refer to them, 5 and 12.

use serde_json::json;
use url::Url;

use super::{Profile, rests, should_rest};
use crate::catalogue::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::subject::Subject;

pub(super) const PROFILE: Profile = Profile {
    id: "mcp",
    title: "MCP Authorization",
    edition: "Revision 2026-07-28",
    parts: &[&STANDARD],
    signs: false,
    // «Resource Parameter Implementation» (1).
    names_resources: true,
};

const STANDARD: Standard = Standard {
    id: "MCP Authorization",
    title: "Model Context Protocol: Authorization",
    requirements: REQUIREMENTS,
};

/// As long as a token that leaked may do harm, in seconds, before it is called long-lived.
const SHORT: u64 = 3600;

const REQUIREMENTS: &[Requirement] = &[
    rests(
        "mcp-3-oauth21",
        "3",
        "The authorization server keeps to OAuth 2.1: PKCE for all, exact redirects, no password grant, no tokens in front.",
        &[
            "rfc9700-2.1-exact-redirects",
            "rfc9700-2.1.1-pkce",
            "rfc9700-2.1.1-public-clients",
            "rfc9700-2.1.2-no-implicit",
            "rfc9700-2.4-no-password-grant",
        ],
    ),
    should(
        "mcp-3-client-documents",
        "3",
        "The authorization server takes Client ID Metadata Documents.",
        &[check!(look client_documents_are_taken)],
    ),
    rests(
        "mcp-3-resource-metadata",
        "3",
        "The MCP server publishes protected resource metadata.",
        &[
            "rfc9728-3-path",
            "rfc9728-3.2-json",
            "rfc9728-2-resource",
            "rfc9728-3.3-resource-identical",
        ],
    ),
    rests(
        "mcp-3-discovery",
        "3",
        "The authorization server publishes its metadata.",
        &["rfc8414-3-path", "rfc8414-3.3-issuer-identical"],
    ),
    rests(
        "mcp-4-authorization-servers",
        "4",
        "The metadata of the MCP server names its authorization servers.",
        &["rfc9728-2-authorization-servers"],
    ),
    should_rest(
        "mcp-4-challenge",
        "4",
        "The challenge of the MCP server points to its metadata.",
        &["rfc9728-5.1-challenge"],
    ),
    rests(
        "mcp-5-client-documents",
        "5",
        "Client ID Metadata Documents are handled as their specification says.",
        &[
            "clientidmetadatadocument-3-https",
            "clientidmetadatadocument-3-form",
            "clientidmetadatadocument-4-document",
            "clientidmetadatadocument-4.2-redirects",
            "clientidmetadatadocument-5.1-errors",
        ],
    )
    .when(&[Feature::Flag("client_id_metadata_document_supported")]),
    should(
        "mcp-6-scope",
        "6",
        "The challenge of the MCP server tells the scopes that it wants.",
        &[check!(challenge_has_scope)],
    ),
    should_rest(
        "mcp-7.1-iss",
        "7.1",
        "Authorization responses, errors included, have iss.",
        &["rfc9207-2-iss"],
    ),
    rests(
        "mcp-7.1-flag",
        "7.1",
        "A server that sends iss announces it.",
        &["rfc9207-3-flag"],
    ),
    rests(
        "mcp-8-resource",
        "8",
        "The parameter resource chooses the audience, at both endpoints.",
        &[
            "rfc8707-2.1-authorization-endpoint",
            "rfc8707-2.2-token-endpoint",
            "rfc8707-2-audience",
        ],
    ),
    should(
        "mcp-8-capitals",
        "8",
        "Scheme and host of a resource may come in capitals.",
        &[check!(resource_in_capitals)],
    ),
    rests(
        "mcp-9.1-header",
        "9.1",
        "Tokens travel in the Authorization header, and not in the query.",
        &["rfc6750-2.1-header", "rfc6750-2.3-no-query"],
    ),
    rests(
        "mcp-9.2-audience",
        "9.2",
        "The MCP server takes tokens that were issued for it, and no others.",
        &["rfc9068-4-audience"],
    ),
    rests(
        "mcp-9.2-invalid",
        "9.2",
        "A token that is not valid is answered 401.",
        &["rfc6750-3.1-invalid-token"],
    ),
    should(
        "mcp-10-no-offline-access",
        "10",
        "The MCP server does not ask for offline_access, which is no business of a resource.",
        &[check!(no_offline_access)],
    ),
    rests(
        "mcp-11-statuses",
        "11",
        "Nothing shown is answered 401, and a malformed request 400.",
        &["rfc6750-3-challenge", "rfc6750-3.1-invalid-request"],
    ),
    should_rest(
        "mcp-11.1-insufficient-scope",
        "11.1",
        "A token with too little scope is answered 403 insufficient_scope, with the scope that is needed.",
        &["rfc6750-3.1-insufficient-scope"],
    ),
    must(
        "mcp-11.1-hierarchies",
        "11.1",
        "A scope that implies others is enough where one of those is needed.",
        &[],
    )
    .unchecked("which scope implies which is for the MCP server to say"),
    should(
        "mcp-12-short-lived",
        "12",
        "Access tokens are short-lived.",
        &[check!(tokens_are_short_lived)],
    ),
    rests(
        "mcp-12-rotation",
        "12",
        "Refresh tokens of public clients are rotated.",
        &["rfc9700-2.2.2-refresh-tokens"],
    ),
    rests(
        "mcp-12-https",
        "12",
        "All endpoints are served over https (this machine's own loopback excepted).",
        &["rfc8414-2-endpoints-protected"],
    ),
    must(
        "mcp-12-pkce-announced",
        "12",
        "code_challenge_methods_supported is announced wherever metadata is, and has S256.",
        &[check!(look pkce_is_announced)],
    ),
    must(
        "mcp-12-redirect-schemes",
        "12",
        "Redirection URIs are https, or of this device.",
        &[check!(redirects_of_other_schemes)],
    )
    .when(&[Feature::Member("registration_endpoint")]),
    must(
        "mcp-12-redirect-host",
        "12",
        "Who is asked about a client with a metadata document is shown the host of its redirection URI.",
        &[check!(host_is_shown)],
    )
    .when(&[Feature::Flag("client_id_metadata_document_supported")]),
    should(
        "mcp-12-warning",
        "12",
        "People are warned of clients whose redirection URIs are all of their own device.",
        &[],
    )
    .unchecked("what warns a person is for people to judge"),
    should(
        "mcp-12-fetches",
        "12",
        "Metadata documents are not fetched from where a stranger should not reach.",
        &[],
    )
    .unchecked("what a server reaches does not show from outside"),
    rests(
        "mcp-12-redirects",
        "12",
        "Redirection URIs are compared exactly, and people are not sent to others.",
        &[
            "rfc9700-2.1-exact-redirects",
            "rfc9700-4.11.2-no-open-redirector",
        ],
    ),
];

fn client_documents_are_taken(subject: &Subject) -> Verdict {
    let member = "client_id_metadata_document_supported";
    let flag = subject.metadata().0.get(member);
    subject
        .document()?
        .require(flag == Some(&true.into()), format!("{member} is not true"))
}

async fn challenge_has_scope(subject: &Subject) -> Verdict {
    let answer = subject.get(subject.api()?).send().await?;
    let challenge = answer.challenge("Bearer")?;
    answer.require(
        challenge.parameter("scope").is_some(),
        "the challenge has no scope",
    )
}

async fn resource_in_capitals(subject: &Subject) -> Verdict {
    let resource = subject.api_resource();
    let resource = resource.ok_or_else(|| Stop::unchecked("no resources were given"))?;
    let path = resource
        .match_indices('/')
        .nth(2)
        .map_or(resource.len(), |(at, _)| at);
    let (origin, path) = resource.split_at_checked(path).unwrap_or((resource, ""));
    let request = subject.authorization()?;
    let request = request.with("resource", &format!("{}{path}", origin.to_uppercase()));
    request.code().await.map(drop)
}

async fn no_offline_access(subject: &Subject) -> Verdict {
    let answer = subject.get(subject.api()?).send().await?;
    for challenge in answer.challenges()? {
        let scope = challenge.parameter("scope").unwrap_or_default();
        let asks = scope.split(' ').any(|scope| scope == "offline_access");
        answer.require(!asks, "the challenge has offline_access")?;
    }
    let document = crate::catalogue::resource_metadata(subject).await?;
    let scopes = document.json()?.remove("scopes_supported");
    let scopes = scopes.as_ref().and_then(serde_json::Value::as_array);
    let asks = scopes.is_some_and(|scopes| scopes.contains(&"offline_access".into()));
    document.require(!asks, "scopes_supported has offline_access")
}

async fn redirects_of_other_schemes(subject: &Subject) -> Verdict {
    for (redirect, right) in [
        ("https://client.example/callback", true),
        ("http://127.0.0.1/callback", true),
        ("http://client.example/callback", false),
        ("com.example.client:/callback", false),
    ] {
        let native = !redirect.starts_with("https");
        let metadata = subject.web_app_metadata(json!({
            "redirect_uris": [redirect],
            "token_endpoint_auth_method": "none",
            "application_type": if native { "native" } else { "web" },
        }));
        let answer = subject.register(&metadata).await?;
        let expected = if right { &[201][..] } else { &[400, 403] };
        answer.require(
            expected.contains(&answer.status),
            format!("{redirect} was answered {}", answer.status),
        )?;
    }
    Ok(())
}

async fn host_is_shown(subject: &Subject) -> Verdict {
    let given = subject.target().document_client.as_ref();
    let given =
        given.ok_or_else(|| Stop::unchecked("no client with a metadata document was given"))?;
    let host = Url::parse(&given.redirect_uri).ok();
    let host = host.as_ref().and_then(Url::host_str).unwrap_or_default();
    let request = subject.flow(&given.client_id, &given.redirect_uri)?;
    let page = request.with("prompt", "consent").consent_page().await?;
    let text = page_text(&String::from_utf8_lossy(&page.body));
    page.require(
        text.contains(host),
        format!("the page does not show {host}"),
    )
}

/// What stands on a page, without its tags.
fn page_text(page: &str) -> String {
    page.split('<')
        .filter_map(|piece| piece.split_once('>').map(|(_, text)| text))
        .collect()
}

async fn tokens_are_short_lived(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let told = grant.answer.json()?;
    let seconds = told.get("expires_in").and_then(serde_json::Value::as_u64);
    let seconds = seconds.ok_or_else(|| Stop::unchecked("the lifetime is not told"))?;
    grant.answer.require(
        seconds <= SHORT,
        format!("an access token lives for {seconds} seconds"),
    )
}

fn pkce_is_announced(subject: &Subject) -> Verdict {
    let member = "code_challenge_methods_supported";
    let document = subject.document()?;
    let announced = subject.metadata().list(member).contains(&"S256");
    document.require(announced, format!("{member} lacks S256"))?;
    match subject.openid_document() {
        Ok(answer) => {
            let json = answer.json()?;
            answer.require(json.contains_key(member), format!("there is no {member}"))
        }
        Err(_) => Ok(()),
    }
}
