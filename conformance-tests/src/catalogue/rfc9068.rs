//! RFC 9068: access tokens as JWTs, and how a resource server validates them.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::Subject;

const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];
const SIGNED: &[Feature] = &[
    Feature::Member("jwks_uri"),
    Feature::Grant("client_credentials"),
];

const SIGN_IN: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9068",
    title: "JSON Web Token (JWT) Profile for OAuth 2.0 Access Tokens",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9068-2.1-signed",
        "2.1",
        "JWT access tokens are signed, never with none.",
        &[check!(is_signed)],
    )
    .when(SIGNED),
    must(
        "rfc9068-2.1-rs256",
        "2.1",
        "RS256 is among the supported signature algorithms.",
        &[check!(rs256_is_supported)],
    )
    .when(SIGNED),
    must(
        "rfc9068-2.1-typ",
        "2.1",
        "The header's typ is at+jwt.",
        &[check!(typ_is_at_jwt)],
    )
    .when(TOKENS),
    must(
        "rfc9068-2.2-claims",
        "2.2",
        "The claims iss, exp, aud, sub, client_id, iat and jti are there.",
        &[check!(required_claims)],
    )
    .when(TOKENS),
    must(
        "rfc9068-2.2-client-id",
        "2.2",
        "client_id names the client that asked.",
        &[check!(client_id_is_ours)],
    )
    .when(TOKENS),
    should(
        "rfc9068-2.2-subject",
        "2.2",
        "Without a resource owner, sub identifies the client.",
        &[check!(subject_is_the_client)],
    )
    .when(TOKENS),
    should(
        "rfc9068-2.2-resource-owner",
        "2.2",
        "With a resource owner, sub identifies them, and client_id the client that they use.",
        &[check!(subject_is_the_person)],
    )
    .when(SIGN_IN),
    should(
        "rfc9068-2.2.3-scope",
        "2.2.3",
        "The token has the claim scope when a scope was asked for.",
        &[check!(scope_is_claimed)],
    )
    .when(TOKENS),
    should(
        "rfc9068-3-audience",
        "3",
        "aud has the value of the parameter resource.",
        &[check!(audience_is_the_resource)],
    )
    .when(TOKENS),
    must(
        "rfc9068-3-default-audience",
        "3",
        "Without the parameter resource, aud has a default resource indicator.",
        &[check!(default_audience)],
    )
    .when(TOKENS),
    must(
        "rfc9068-4-typ",
        "4",
        "A resource server refuses a JWT of the issuer whose typ is not at+jwt.",
        &[check!(other_typ_is_refused)],
    )
    .when(&[
        Feature::Member("signed_metadata"),
        Feature::Grant("client_credentials"),
    ]),
    must(
        "rfc9068-4-audience",
        "4",
        "A resource server refuses a token for another audience.",
        &[check!(other_audience_is_refused)],
    )
    .when(TOKENS),
    must(
        "rfc9068-4-none",
        "4",
        "A resource server refuses a token whose alg is none.",
        &[check!(unsigned_is_refused)],
    )
    .when(TOKENS),
    must(
        "rfc9068-4-signature",
        "4",
        "A resource server validates the signature with the issuer's keys.",
        &[check!(tampered_is_refused), check!(foreign_key_is_refused)],
    )
    .when(TOKENS),
    must(
        "rfc9068-4-expiry",
        "4",
        "A resource server refuses a token past its exp.",
        &[],
    )
    .unchecked("a token would have to be waited for until it expires")
    .when(TOKENS),
];

async fn is_signed(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let jwt = token.jwt()?;
    let (keys, _) = subject.keys().await?;
    jwt.verify(&keys)
        .map_err(|reason| token.answer.fail(reason))
}

/// From outside, support shows as a published key or as an announced algorithm.
async fn rs256_is_supported(subject: &Subject) -> Verdict {
    subject.token().await?.jwt()?;
    let (keys, answer) = subject.keys().await?;
    let key = keys.iter().any(|key| jws::fits(key, "RS256"));
    let announced = subject
        .metadata()
        .list("id_token_signing_alg_values_supported")
        .contains(&"RS256");
    answer.require(
        key || announced,
        "no published key can be used with RS256, and the metadata does not list it",
    )
}

async fn typ_is_at_jwt(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let typ = token
        .jwt()?
        .header
        .get("typ")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_ascii_lowercase();
    token.answer.require(
        ["at+jwt", "application/at+jwt"].contains(&typ.as_str()),
        format!("typ is {typ}"),
    )
}

async fn required_claims(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let claims = token.jwt()?.claims;
    for name in ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"] {
        token.answer.require(
            claims.get(name).is_some_and(|value| !value.is_null()),
            format!("{name} is missing"),
        )?;
    }
    Ok(())
}

/// The claim of the shared token, as a string.
async fn claim(subject: &Subject, name: &str) -> Result<Option<String>, Stop> {
    let claims = subject.token().await?.jwt()?.claims;
    Ok(claims.get(name).and_then(Value::as_str).map(str::to_owned))
}

async fn client_id_is_ours(subject: &Subject) -> Verdict {
    let expected = &subject.credentials()?.client_id;
    let right = claim(subject, "client_id").await?.as_ref() == Some(expected);
    subject
        .token()
        .await?
        .answer
        .require(right, "client_id is not that of the client")
}

async fn subject_is_the_client(subject: &Subject) -> Verdict {
    let expected = &subject.credentials()?.client_id;
    let right = claim(subject, "sub").await?.as_ref() == Some(expected);
    subject
        .token()
        .await?
        .answer
        .require(right, "sub is not the client_id")
}

/// The ID token tells who it is. Where subjects are pairwise the two may differ, and nothing can be seen.
async fn subject_is_the_person(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let token = Jws::parse(&grant.access_token)
        .ok_or_else(|| Stop::not_applicable("the access token is not a JWT"))?;
    let claim = |name: &str| token.claims.get(name).and_then(Value::as_str);
    grant.answer.require(
        claim("client_id") == Some(&grant.client_id),
        "client_id is not that of the app",
    )?;
    let pairwise = subject
        .metadata()
        .list("subject_types_supported")
        .contains(&"pairwise");
    let person = grant.id_token()?.claims;
    let same = claim("sub").is_some() && claim("sub") == person.get("sub").and_then(Value::as_str);
    if !same && pairwise {
        return Err(Stop::unchecked("the server may use pairwise subjects"));
    }
    grant
        .answer
        .require(same, "sub is not that of the ID token")
}

async fn scope_is_claimed(subject: &Subject) -> Verdict {
    let granted = subject.token().await?.answer.json()?;
    let scope = granted
        .get("scope")
        .and_then(Value::as_str)
        .filter(|scope| !scope.is_empty());
    let scope = scope
        .ok_or_else(|| Stop::unchecked("the server named no scope that could be asked for"))?;
    let token = subject
        .issue(subject.token_request()?.form(&[("scope", scope)]))
        .await?;
    let claims = token.jwt()?.claims;
    token.answer.require(
        claims.get("scope").is_some_and(Value::is_string),
        "the token has no scope",
    )
}

async fn audience_is_the_resource(subject: &Subject) -> Verdict {
    let resource = subject
        .api_resource()
        .ok_or_else(|| Stop::unchecked("no resources were given"))?;
    let token = subject.token().await?;
    let audience = token.jwt()?.claims.get("aud").cloned().unwrap_or_default();
    let named = audience.as_str() == Some(resource)
        || audience.as_array().is_some_and(|list| {
            list.len() == 1 && list.iter().all(|one| one.as_str() == Some(resource))
        });
    token
        .answer
        .require(named, format!("asked for {resource}, aud is {audience}"))
}

async fn default_audience(subject: &Subject) -> Verdict {
    let token = subject
        .issue(subject.token_request()?.without("resource"))
        .await?;
    let audience = token.jwt()?.claims.get("aud").cloned().unwrap_or_default();
    let named = audience.as_str().is_some_and(|aud| !aud.is_empty())
        || audience.as_array().is_some_and(|aud| !aud.is_empty());
    token.answer.require(named, "aud is missing")
}

/// The protected resource answers `token` with 401.
pub(super) async fn refused_by_api(subject: &Subject, what: &str, token: &str) -> Verdict {
    let answer = subject.call_api(token).await?;
    answer.require(
        answer.status == 401,
        format!("{what} was answered {}", answer.status),
    )
}

/// A JWT that is genuine in everything but its kind.
async fn other_typ_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let statement = subject
        .metadata()
        .text("signed_metadata")
        .unwrap_or_default();
    refused_by_api(subject, "signed_metadata as an access token", statement).await
}

async fn other_audience_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let own = subject.api_resource();
    let other = subject
        .target()
        .resources
        .iter()
        .find(|resource| Some(resource.as_str()) != own);
    let other = other.ok_or_else(|| Stop::unchecked("no second resource was given"))?;
    let token = subject
        .issue(
            subject
                .token_request()?
                .without("resource")
                .form(&[("resource", other)]),
        )
        .await?;
    refused_by_api(subject, "a token for another resource", &token.value).await
}

async fn unsigned_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let genuine = subject.token().await?.jwt()?;
    for name in ["none", "nOnE"] {
        refused_by_api(subject, "an unsigned token", &jws::unsigned(&genuine, name)).await?;
    }
    Ok(())
}

async fn tampered_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let genuine = subject.token().await?.jwt()?;
    refused_by_api(
        subject,
        "a tampered token",
        &jws::tampered(&genuine, "sub", "somebody-else".into()),
    )
    .await
}

async fn foreign_key_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let genuine = subject.token().await?.jwt()?;
    let forgery =
        jws::forged(&genuine, false).ok_or_else(|| Stop::unchecked("no forgery could be made"))?;
    refused_by_api(subject, "a token signed by a foreign key", &forgery).await
}
