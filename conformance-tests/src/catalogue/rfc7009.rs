//! RFC 7009: revocation.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::metadata::is_protected;
use crate::request::Request;
use crate::subject::{Grant, Subject, Token};

const ENDPOINT: &[Feature] = &[Feature::Member("revocation_endpoint")];
const TOKENS: &[Feature] = &[
    Feature::Member("revocation_endpoint"),
    Feature::Grant("client_credentials"),
];
const WATCHED: &[Feature] = &[
    Feature::Member("revocation_endpoint"),
    Feature::Member("introspection_endpoint"),
    Feature::Grant("client_credentials"),
];

const REFRESH: &[Feature] = &[
    Feature::Member("revocation_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7009",
    title: "OAuth 2.0 Token Revocation",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7009-2-refresh-tokens",
        "2",
        "Refresh tokens can be revoked.",
        &[
            check!(refresh_token_is_dead),
            check!(refresh_token_under_a_wrong_hint_is_dead),
        ],
    )
    .when(REFRESH),
    should(
        "rfc7009-2-access-tokens",
        "2",
        "Access tokens can be revoked.",
        &[check!(access_token_is_taken)],
    )
    .when(TOKENS),
    should(
        "rfc7009-2-post",
        "2",
        "A token is revoked by POST; GET revokes nothing.",
        &[check!(get_revokes_nothing)],
    )
    .when(WATCHED),
    must(
        "rfc7009-2-tls",
        "2",
        "The revocation endpoint is an https URL (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(ENDPOINT),
    must(
        "rfc7009-2.1-client-authentication",
        "2.1",
        "The client's credentials are validated first.",
        &[check!(no_credentials), check!(wrong_credentials)],
    )
    .when(ENDPOINT),
    must(
        "rfc7009-2.1-token-required",
        "2.1",
        "The parameter token is required.",
        &[check!(token_is_missing)],
    )
    .when(ENDPOINT),
    must(
        "rfc7009-2.1-own-tokens",
        "2.1",
        "A token is revoked only by the client that it was issued to.",
        &[check!(foreign_client_revokes_nothing)],
    )
    .when(WATCHED),
    must(
        "rfc7009-2.1-own-refresh-tokens",
        "2.1",
        "A refresh token is revoked only by the client that it was issued to.",
        &[check!(foreign_client_revokes_no_refresh_token)],
    )
    .when(REFRESH),
    should(
        "rfc7009-2.1-refresh-and-access",
        "2.1",
        "Revoking a refresh token revokes the access tokens of its grant.",
        &[check!(access_token_dies_with_it)],
    )
    .when(&[
        Feature::Member("revocation_endpoint"),
        Feature::Member("userinfo_endpoint"),
        Feature::Grant("authorization_code"),
        Feature::Grant("refresh_token"),
    ]),
    must(
        "rfc7009-2.1-immediate",
        "2.1",
        "A revoked token cannot be used again.",
        &[check!(revoked_is_dead)],
    )
    .when(WATCHED),
    must(
        "rfc7009-2.1-wrong-hint",
        "2.1",
        "A token not found under the given hint is looked for among all supported types.",
        &[check!(wrong_hint_still_revokes)],
    )
    .when(WATCHED),
    must(
        "rfc7009-2.2-success",
        "2.2",
        "A revoked token is answered 200.",
        &[check!(access_token_is_taken)],
    )
    .when(TOKENS),
    must(
        "rfc7009-2.2-invalid-token",
        "2.2",
        "A token that is not valid is answered 200 too.",
        &[check!(invented_token), check!(revoked_twice)],
    )
    .when(TOKENS),
    must(
        "rfc7009-2.2-unknown-hint",
        "2.2",
        "A hint with an unknown value is ignored.",
        &[check!(unknown_hint)],
    )
    .when(TOKENS),
    must(
        "rfc7009-2.2.1-errors",
        "2.2.1",
        "Errors have the form of the token endpoint's (RFC 6749 §5.2); a kind of token that cannot be revoked is unsupported_token_type.",
        &[check!(wrong_credentials), check!(id_token_is_answered)],
    )
    .when(ENDPOINT),
];

/// A revocation by the given client.
fn revocation<'s>(subject: &'s Subject, token: &str) -> Result<Request<'s>, Stop> {
    subject
        .post("revocation_endpoint")?
        .form(&[("token", token)])
        .authenticated()
}

/// Whether introspection calls the token active.
async fn is_active(subject: &Subject, token: &Token) -> Result<bool, Stop> {
    let answer = subject.introspect(&token.value).await?;
    answer.status(&[200])?;
    let active = answer.json()?.get("active").and_then(Value::as_bool);
    active.ok_or_else(|| answer.fail("active is missing or not a boolean"))
}

/// A token that is known to be active, so that its death can be seen.
async fn living_token(subject: &Subject) -> Result<Token, Stop> {
    let token = subject.fresh_token().await?;
    if is_active(subject, &token).await? {
        Ok(token)
    } else {
        Err(Stop::unchecked(
            "introspection does not show the given client its own tokens",
        ))
    }
}

async fn access_token_is_taken(subject: &Subject) -> Verdict {
    let token = subject.fresh_token().await?;
    revocation(subject, &token.value)?
        .send()
        .await?
        .status(&[200])
}

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("revocation_endpoint")?;
    subject
        .document()?
        .require(is_protected(&url), format!("revocation_endpoint is {url}"))
}

async fn no_credentials(subject: &Subject) -> Verdict {
    let request = subject
        .post("revocation_endpoint")?
        .form(&[("token", "no-such-token")]);
    request
        .send()
        .await?
        .refused(&[400, 401], &["invalid_client", "invalid_request"])
}

async fn wrong_credentials(subject: &Subject) -> Verdict {
    let request = subject
        .post("revocation_endpoint")?
        .form(&[("token", "no-such-token")]);
    let request = request.form(&[
        ("client_id", "no-such-client"),
        ("client_secret", "no-such-secret"),
    ]);
    request
        .send()
        .await?
        .refused(&[400, 401], &["invalid_client"])
}

async fn token_is_missing(subject: &Subject) -> Verdict {
    let request = subject.post("revocation_endpoint")?.authenticated()?;
    request
        .form(&[("token_type_hint", "access_token")])
        .send()
        .await?
        .refused(&[400], &["invalid_request"])
}

/// What the other client is told may differ; that the token lives on may not.
async fn foreign_client_revokes_nothing(subject: &Subject) -> Verdict {
    let other = subject.public_client()?;
    let token = living_token(subject).await?;
    let request = subject
        .post("revocation_endpoint")?
        .form(&[("token", token.value.as_str()), ("client_id", other)]);
    let answer = request.send().await?;
    let alive = is_active(subject, &token).await?;
    answer.require(alive, "another client revoked the token")
}

async fn get_revokes_nothing(subject: &Subject) -> Verdict {
    let token = living_token(subject).await?;
    let url = subject.endpoint("revocation_endpoint")?;
    let request = subject.get(&url).query("token", &token.value);
    // Who authenticates in the body cannot do so here; a body of a GET is read by nobody.
    let (client_id, secret) = subject.basic_secret()?;
    let answer = request.basic(client_id, secret).send().await?;
    let alive = is_active(subject, &token).await?;
    answer.require(alive, "GET revoked the token")
}

/// An ID token is none of the kinds that can be revoked: it is invalid, or of an unsupported type.
async fn id_token_is_answered(subject: &Subject) -> Verdict {
    let grant = subject.grant_of_person().await?;
    let request = subject.post("revocation_endpoint")?.form(&[
        ("token", grant.raw_id_token()?),
        ("client_id", &grant.client_id),
    ]);
    let answer = request.send().await?;
    if answer.status == 200 {
        return Ok(());
    }
    answer.refused(&[400], &["unsupported_token_type"])
}

async fn revoked_is_dead(subject: &Subject) -> Verdict {
    let token = living_token(subject).await?;
    dies_of(subject, &token, revocation(subject, &token.value)?).await
}

async fn wrong_hint_still_revokes(subject: &Subject) -> Verdict {
    let token = living_token(subject).await?;
    let request = revocation(subject, &token.value)?.form(&[("token_type_hint", "refresh_token")]);
    dies_of(subject, &token, request).await
}

async fn dies_of(subject: &Subject, token: &Token, request: Request<'_>) -> Verdict {
    let answer = request.send().await?;
    answer.status(&[200])?;
    let alive = is_active(subject, token).await?;
    answer.require(!alive, "the token is still active after this")
}

async fn invented_token(subject: &Subject) -> Verdict {
    revocation(subject, "no-such-token")?
        .send()
        .await?
        .status(&[200])
}

async fn revoked_twice(subject: &Subject) -> Verdict {
    let token = subject.fresh_token().await?;
    revocation(subject, &token.value)?
        .send()
        .await?
        .status(&[200])?;
    revocation(subject, &token.value)?
        .send()
        .await?
        .status(&[200])
}

async fn unknown_hint(subject: &Subject) -> Verdict {
    let request =
        revocation(subject, "no-such-token")?.form(&[("token_type_hint", "no-such-type")]);
    request.send().await?.status(&[200])
}

/// A revocation of the refresh token by the app itself, which answers 200.
async fn revoked(subject: &Subject, hint: &str) -> Result<Grant, Stop> {
    let grant = subject.fresh_grant().await?;
    let request = subject.post("revocation_endpoint")?.form(&[
        ("token", grant.refresh_token()?),
        ("token_type_hint", hint),
        ("client_id", &grant.client_id),
    ]);
    request.send().await?.status(&[200])?;
    Ok(grant)
}

async fn refresh_token_is_dead(subject: &Subject) -> Verdict {
    let grant = revoked(subject, "refresh_token").await?;
    let answer = grant.refresh(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

async fn refresh_token_under_a_wrong_hint_is_dead(subject: &Subject) -> Verdict {
    let grant = revoked(subject, "access_token").await?;
    let answer = grant.refresh(subject)?.send().await?;
    answer.refused(&[400], &["invalid_grant"])
}

async fn access_token_dies_with_it(subject: &Subject) -> Verdict {
    let grant = revoked(subject, "refresh_token").await?;
    let answer = subject.userinfo(&grant.access_token).await?;
    answer.require(
        answer.status == 401,
        format!("the access token was answered {} after this", answer.status),
    )
}

async fn foreign_client_revokes_no_refresh_token(subject: &Subject) -> Verdict {
    subject.credentials()?;
    let grant = subject.fresh_grant().await?;
    revocation(subject, grant.refresh_token()?)?.send().await?;
    grant.refreshed(subject).await.map(drop)
}
