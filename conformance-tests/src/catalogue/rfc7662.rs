//! RFC 7662: introspection.

use serde_json::{Map, Value, json};

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws;
use crate::metadata::is_protected;
use crate::subject::Subject;

const ENDPOINT: &[Feature] = &[Feature::Member("introspection_endpoint")];
const TOKENS: &[Feature] = &[
    Feature::Member("introspection_endpoint"),
    Feature::Grant("client_credentials"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7662",
    title: "OAuth 2.0 Token Introspection",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7662-2-tls",
        "2",
        "The introspection endpoint is protected by TLS (this machine's own loopback excepted).",
        &[check!(look endpoint_is_protected)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-2.1-authorization",
        "2.1",
        "The endpoint requires some form of authorization.",
        &[check!(no_credentials)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-2.1-token-required",
        "2.1",
        "The parameter token is required.",
        &[check!(token_is_missing)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-2.1-wrong-hint",
        "2.1",
        "A token not found under the given hint is looked for among all supported types.",
        &[check!(wrong_hint_still_finds)],
    )
    .when(TOKENS),
    must(
        "rfc7662-2.2-json",
        "2.2",
        "The answer is a JSON object of media type application/json with the boolean active.",
        &[check!(answer_has_active)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-2.2-active",
        "2.2",
        "A valid token of the asking client is active.",
        &[check!(valid_is_active)],
    )
    .when(TOKENS),
    must(
        "rfc7662-2.2-types",
        "2.2",
        "The members of an answer have the types defined for them.",
        &[check!(member_types)],
    )
    .when(TOKENS),
    must(
        "rfc7662-2.2-same-token",
        "2.2",
        "What the answer says agrees with what the token itself says.",
        &[check!(agrees_with_the_token)],
    )
    .when(TOKENS),
    must(
        "rfc7662-2.2-inactive",
        "2.2",
        "A token that does not exist is answered with active false, not with an error.",
        &[check!(invented_is_inactive)],
    )
    .when(ENDPOINT),
    should(
        "rfc7662-2.2-inactive-is-silent",
        "2.2",
        "An answer about an inactive token says nothing else.",
        &[check!(inactive_is_silent)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-2.3-invalid-credentials",
        "2.3",
        "Invalid client credentials are answered 401.",
        &[check!(wrong_credentials)],
    )
    .when(ENDPOINT),
    must(
        "rfc7662-4-authentication",
        "4",
        "Who asks is authenticated: the name of a client is not enough.",
        &[check!(public_client_is_refused)],
    )
    .when(ENDPOINT),
    should(
        "rfc7662-4-authorized",
        "4",
        "A client that a token is neither from nor for learns nothing of it.",
        &[check!(strangers_learn_nothing)],
    )
    .when(TOKENS),
    must(
        "rfc7662-4-expiry",
        "4",
        "A token that has expired is not active.",
        &[],
    )
    .unchecked("a token would have to be waited for until it expires")
    .when(TOKENS),
    must(
        "rfc7662-4-revocation",
        "4",
        "A token that has been revoked is not active.",
        &[check!(revoked_is_inactive)],
    )
    .when(&[
        Feature::Member("introspection_endpoint"),
        Feature::Member("revocation_endpoint"),
        Feature::Grant("client_credentials"),
    ]),
    must(
        "rfc7662-4-signature",
        "4",
        "The signature of a signed token is validated.",
        &[check!(forgeries_are_inactive)],
    )
    .when(TOKENS),
];

fn endpoint_is_protected(subject: &Subject) -> Verdict {
    let url = subject.endpoint("introspection_endpoint")?;
    subject.document()?.require(
        is_protected(&url),
        format!("introspection_endpoint is {url}"),
    )
}

async fn no_credentials(subject: &Subject) -> Verdict {
    let request = subject
        .post("introspection_endpoint")?
        .form(&[("token", "no-such-token")]);
    request.send().await?.status(&[400, 401, 403])
}

async fn token_is_missing(subject: &Subject) -> Verdict {
    let request = subject.post("introspection_endpoint")?.authenticated()?;
    request
        .form(&[("token_type_hint", "access_token")])
        .send()
        .await?
        .status(&[400])
}

async fn wrong_credentials(subject: &Subject) -> Verdict {
    let (client_id, secret) = subject.basic_secret()?;
    let request = subject
        .post("introspection_endpoint")?
        .form(&[("token", "no-such-token")]);
    request
        .basic(client_id, &format!("{secret}x"))
        .send()
        .await?
        .status(&[401])
}

/// The JSON of a 200.
fn members(answer: &Answer) -> Result<Map<String, Value>, Stop> {
    answer.status(&[200])?;
    answer.json()
}

fn is_active(answer: &Answer) -> Result<bool, Stop> {
    let active = members(answer)?.get("active").and_then(Value::as_bool);
    active.ok_or_else(|| answer.fail("active is missing or not a boolean"))
}

/// What is said about a valid token, where it is shown at all (RFC 7662 §2.2 lets a server hide it).
async fn about_valid(subject: &Subject) -> Result<(Answer, Map<String, Value>), Stop> {
    let answer = subject.introspect(&subject.token().await?.value).await?;
    let json = members(&answer)?;
    if is_active(&answer)? {
        Ok((answer, json))
    } else {
        Err(Stop::unchecked(
            "introspection does not show the given client its own tokens",
        ))
    }
}

async fn wrong_hint_still_finds(subject: &Subject) -> Verdict {
    about_valid(subject).await?;
    let token = subject.token().await?;
    let request = subject
        .post("introspection_endpoint")?
        .form(&[("token", token.value.as_str())]);
    let answer = request
        .form(&[("token_type_hint", "refresh_token")])
        .authenticated()?
        .send()
        .await?;
    answer.require(
        is_active(&answer)?,
        "the token is not found under another hint",
    )
}

async fn answer_has_active(subject: &Subject) -> Verdict {
    let answer = subject.introspect("no-such-token").await?;
    is_active(&answer)?;
    answer.require(
        answer.media_type() == "application/json",
        "the media type is not application/json",
    )
}

async fn valid_is_active(subject: &Subject) -> Verdict {
    let answer = subject.introspect(&subject.token().await?.value).await?;
    answer.require(is_active(&answer)?, "a valid token is not active")
}

async fn member_types(subject: &Subject) -> Verdict {
    let (answer, json) = about_valid(subject).await?;
    for name in [
        "scope",
        "client_id",
        "username",
        "token_type",
        "sub",
        "iss",
        "jti",
    ] {
        let right = json.get(name).is_none_or(Value::is_string);
        answer.require(right, format!("{name} is not a string"))?;
    }
    for name in ["exp", "iat", "nbf"] {
        let right = json
            .get(name)
            .is_none_or(|value| value.is_i64() || value.is_u64());
        answer.require(right, format!("{name} is not an integer"))?;
    }
    let texts = |list: &Vec<Value>| list.iter().all(Value::is_string);
    let audience = json
        .get("aud")
        .is_none_or(|aud| aud.is_string() || aud.as_array().is_some_and(texts));
    answer.require(audience, "aud is neither a string nor a list of them")
}

async fn agrees_with_the_token(subject: &Subject) -> Verdict {
    let claims = subject.token().await?.jwt()?.claims;
    let (answer, json) = about_valid(subject).await?;
    for name in [
        "iss",
        "sub",
        "aud",
        "client_id",
        "exp",
        "iat",
        "nbf",
        "jti",
        "scope",
    ] {
        if let (Some(said), Some(claimed)) = (json.get(name), claims.get(name)) {
            answer.require(
                said == claimed,
                format!("{name} is {said}, the token says {claimed}"),
            )?;
        }
    }
    Ok(())
}

async fn invented_is_inactive(subject: &Subject) -> Verdict {
    for token in ["no-such-token", "e30.e30.e30", "\u{e9}"] {
        let answer = subject.introspect(token).await?;
        answer.require(!is_active(&answer)?, "an invented token is active")?;
    }
    Ok(())
}

async fn inactive_is_silent(subject: &Subject) -> Verdict {
    let answer = subject.introspect("no-such-token").await?;
    answer.require(members(&answer)?.len() == 1, "there is more than active")
}

async fn revoked_is_inactive(subject: &Subject) -> Verdict {
    about_valid(subject).await?;
    let token = subject.fresh_token().await?;
    let request = subject
        .post("revocation_endpoint")?
        .form(&[("token", token.value.as_str())]);
    request.authenticated()?.send().await?.status(&[200])?;
    let answer = subject.introspect(&token.value).await?;
    answer.require(!is_active(&answer)?, "a revoked token is active")
}

async fn public_client_is_refused(subject: &Subject) -> Verdict {
    let token = subject.token().await.map(|token| token.value.clone());
    let request = subject.post("introspection_endpoint")?.form(&[
        ("token", token.as_deref().unwrap_or("no-such-token")),
        ("client_id", subject.public_client()?),
    ]);
    request.send().await?.status(&[400, 401, 403])
}

async fn strangers_learn_nothing(subject: &Subject) -> Verdict {
    let stranger = subject.web_app(json!({})).await?;
    let token = subject.token().await?.value.as_str();
    let request = subject.post("introspection_endpoint")?;
    let request = request.form(&[("token", token)]);
    let answer = stranger.authenticated(request)?.send().await?;
    if [401, 403].contains(&answer.status) {
        return Ok(());
    }
    answer.require(!is_active(&answer)?, "a stranger is told of the token")
}

async fn forgeries_are_inactive(subject: &Subject) -> Verdict {
    let genuine = subject.token().await?.jwt()?;
    about_valid(subject).await?;
    let forgeries = [
        (
            "a tampered token",
            Some(jws::tampered(&genuine, "sub", "somebody-else".into())),
        ),
        ("an unsigned token", Some(jws::unsigned(&genuine, "none"))),
        (
            "a token signed by a foreign key",
            jws::forged(&genuine, false),
        ),
        (
            "a token signed by a key embedded in it",
            jws::forged(&genuine, true),
        ),
    ];
    for (what, token) in forgeries {
        let Some(token) = token else { continue };
        let answer = subject.introspect(&token).await?;
        answer.require(!is_active(&answer)?, format!("{what} is active"))?;
    }
    Ok(())
}
