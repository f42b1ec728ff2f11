//! Identity Assertion JWT Authorization Grant (draft-ietf-oauth-identity-assertion-authz-grant-03), in both roles.

use serde_json::{Value, json};

use super::rfc7523::{changed_assertion, refused_assertion};
use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::subject::assertion::{ID_JAG, JWT_BEARER, signed};
use crate::subject::exchange::{NOT_ALLOWED, TOKEN_EXCHANGE};
use crate::subject::{Subject, Token, TokenType};

const PROFILES: &str = "authorization_grant_profiles_supported";
const ISSUED: &str = "identity_chaining_requested_token_types_supported";

/// The server takes them.
const RESOURCE: &[Feature] = &[
    Feature::Grant(JWT_BEARER),
    Feature::Listed(PROFILES, "urn:ietf:params:oauth:grant-profile:id-jag"),
];
/// The server issues them.
const PROVIDER: &[Feature] = &[
    Feature::Grant(TOKEN_EXCHANGE),
    Feature::Listed(ISSUED, TokenType::IdJag.uri()),
];

pub(super) const STANDARD: Standard = Standard {
    id: "ID-JAG",
    title: "Identity Assertion JWT Authorization Grant (draft 03)",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "id-jag-3.1-claims",
        "3.1",
        "An assertion without iss, sub, aud, client_id, jti, exp or iat is refused.",
        &[check!(claims_are_missing)],
    )
    .when(RESOURCE),
    must(
        "id-jag-4.3-audience",
        "4.3",
        "A request for an assertion names the server that it is for.",
        &[check!(audience_is_missing)],
    )
    .when(PROVIDER),
    must(
        "id-jag-4.3.3-subject-of-the-client",
        "4.3.3",
        "The ID token of another client is exchanged for nothing.",
        &[check!(id_token_of_another_client)],
    )
    .when(PROVIDER),
    must(
        "id-jag-4.3.4-response",
        "4.3.4",
        "An assertion comes as issued_token_type id-jag and token_type N_A.",
        &[],
    )
    .unchecked("the given client has no ID token of a person")
    .when(PROVIDER),
    must(
        "id-jag-4.4-grant",
        "4.4",
        "A client gets a token for an assertion of an issuer that the server trusts.",
        &[check!(assertion_is_taken)],
    )
    .when(RESOURCE),
    must(
        "id-jag-4.4.1-typ",
        "4.4.1",
        "An assertion whose typ is not oauth-id-jag+jwt is refused.",
        &[check!(typ_is_another)],
    )
    .when(RESOURCE),
    must(
        "id-jag-4.4.1-audience",
        "4.4.1",
        "An assertion whose aud is not this server alone is answered invalid_grant.",
        &[check!(audience_is_another)],
    )
    .when(RESOURCE),
    must(
        "id-jag-4.4.1-client",
        "4.4.1",
        "An assertion whose client_id is not the client's is answered invalid_grant.",
        &[check!(client_is_another)],
    )
    .when(RESOURCE),
    should(
        "id-jag-4.4.3-no-refresh-token",
        "4.4.3",
        "No refresh token is issued for an assertion.",
        &[check!(no_refresh_token)],
    )
    .when(RESOURCE),
    must(
        "id-jag-7-profiles",
        "7",
        "authorization_grant_profiles_supported is a list of texts, and the grant is announced beside the profile.",
        &[check!(look profiles_are_listed)],
    )
    .when(&[Feature::Member(PROFILES)]),
    should(
        "id-jag-8.1-confidential",
        "8.1",
        "A client that cannot authenticate gets no token for an assertion.",
        &[check!(public_client_gets_nothing)],
    )
    .when(RESOURCE),
    must(
        "id-jag-8.3-own",
        "8.3",
        "The issuer of an assertion takes none of its own.",
        &[],
    )
    .unchecked("no assertion of the server under test can be had")
    .when(PROVIDER),
];

/// The token that a valid assertion is worth.
async fn taken(subject: &Subject) -> Result<Token, Stop> {
    let issuer = subject.identity_issuer()?;
    let claims = subject.identity_claims(issuer)?;
    subject.borne(issuer, Some(ID_JAG), &claims).await
}

/// A valid assertion with these changes is refused; a valid one is taken.
async fn changed_is_refused(
    subject: &Subject,
    what: &str,
    typ: Option<&str>,
    changes: &[(&str, Value)],
) -> Verdict {
    let issuer = subject.identity_issuer()?;
    let claims = subject.identity_claims(issuer)?;
    let assertion = changed_assertion(issuer, typ, claims, changes)?;
    refused_assertion(subject, what, &assertion).await
}

async fn assertion_is_taken(subject: &Subject) -> Verdict {
    taken(subject).await.map(drop)
}

async fn claims_are_missing(subject: &Subject) -> Verdict {
    taken(subject).await?;
    for name in ["iss", "sub", "aud", "client_id", "jti", "exp", "iat"] {
        let what = format!("an assertion without {name}");
        changed_is_refused(subject, &what, Some(ID_JAG), &[(name, Value::Null)]).await?;
    }
    Ok(())
}

async fn typ_is_another(subject: &Subject) -> Verdict {
    taken(subject).await?;
    for typ in [None, Some("JWT"), Some("at+jwt")] {
        changed_is_refused(subject, "an assertion of another typ", typ, &[]).await?;
    }
    Ok(())
}

async fn audience_is_another(subject: &Subject) -> Verdict {
    taken(subject).await?;
    let other = "https://other.example";
    for audience in [json!(other), json!([subject.issuer(), other])] {
        let what = "an assertion for another server";
        changed_is_refused(subject, what, Some(ID_JAG), &[("aud", audience)]).await?;
    }
    Ok(())
}

async fn client_is_another(subject: &Subject) -> Verdict {
    taken(subject).await?;
    let other = [("client_id", "somebody-else".into())];
    let what = "an assertion for another client";
    changed_is_refused(subject, what, Some(ID_JAG), &other).await
}

async fn no_refresh_token(subject: &Subject) -> Verdict {
    let answer = taken(subject).await?.answer;
    let none = !answer.json()?.contains_key("refresh_token");
    answer.require(none, "there is a refresh_token")
}

fn profiles_are_listed(subject: &Subject) -> Verdict {
    let listed = subject.metadata().0.get(PROFILES);
    let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    let right = listed.and_then(Value::as_array).is_some_and(texts);
    let document = subject.document()?;
    document.require(right, format!("{PROFILES} is no list of texts"))?;
    let profile = "urn:ietf:params:oauth:grant-profile:id-jag";
    let takes = subject.metadata().list(PROFILES).contains(&profile);
    let grant = subject.metadata().grants().contains(&JWT_BEARER);
    document.require(
        grant || !takes,
        format!("grant_types_supported does not list {JWT_BEARER}"),
    )
}

async fn public_client_gets_nothing(subject: &Subject) -> Verdict {
    taken(subject).await?;
    let issuer = subject.identity_issuer()?;
    let client_id = subject.public_client()?;
    let mut claims = subject.identity_claims(issuer)?;
    claims.insert("client_id".into(), client_id.into());
    let assertion = signed(issuer, Some(ID_JAG), &claims)?;
    let request = subject.post("token_endpoint")?.form(&[
        ("grant_type", JWT_BEARER),
        ("assertion", &assertion),
        ("client_id", client_id),
    ]);
    request.send().await?.without_token()
}

/// An exchange of the app's ID token for an assertion.
async fn exchanged(subject: &Subject, audience: Option<&str>) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let request = subject.untargeted_exchange(grant.raw_id_token()?, TokenType::IdToken)?;
    let request = request.form(&[("requested_token_type", TokenType::IdJag.uri())]);
    let request = match audience {
        Some(audience) => request.form(&[("audience", audience)]),
        None => request,
    };
    let answer = request.send().await?;
    answer.is_for_the_client(NOT_ALLOWED)?;
    answer.without_token()
}

async fn audience_is_missing(subject: &Subject) -> Verdict {
    exchanged(subject, None).await
}

async fn id_token_of_another_client(subject: &Subject) -> Verdict {
    exchanged(subject, Some("https://resource-server.example")).await
}
