//! RFC 8725: what of the best current practices for JWTs can be seen from outside.

use serde_json::Value;

use super::rfc9068::refused_by_api;
use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Stop, Verdict, check};
use crate::jws;
use crate::subject::Subject;

const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];
const SIGNED: &[Feature] = &[
    Feature::Member("jwks_uri"),
    Feature::Grant("client_credentials"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 8725",
    title: "JSON Web Token Best Current Practices",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc8725-3.1-one-algorithm",
        "3.1",
        "Each key is used with exactly one algorithm: published keys state it.",
        &[check!(keys_state_their_algorithm)],
    )
    .when(&[Feature::Member("jwks_uri")]),
    must(
        "rfc8725-3.1-verified",
        "3.1",
        "The algorithm is bound to the key: a public key is never taken for a shared secret.",
        &[check!(confusion_is_refused)],
    )
    .when(SIGNED),
    must(
        "rfc8725-3.2-no-none",
        "3.2",
        "Unsecured JWTs are neither issued nor announced.",
        &[
            check!(none_is_not_issued),
            check!(look none_is_not_announced),
        ],
    )
    .when(TOKENS),
    must(
        "rfc8725-3.8-issuer",
        "3.8",
        "A token names the issuer whose keys sign it.",
        &[check!(issuer_is_named)],
    )
    .when(SIGNED),
    must(
        "rfc8725-3.9-audience",
        "3.9",
        "A token names its audience.",
        &[check!(audience_is_named)],
    )
    .when(TOKENS),
    must(
        "rfc8725-3.10-claims-not-trusted",
        "3.10",
        "Keys and key locations that a token itself brings are not trusted.",
        &[check!(embedded_key_is_refused)],
    )
    .when(TOKENS),
    should(
        "rfc8725-3.11-typ",
        "3.11",
        "Tokens are typed explicitly.",
        &[check!(token_is_typed)],
    )
    .when(TOKENS),
    must(
        "rfc8725-3.12-id-token",
        "3.12",
        "Tokens of one kind are not taken for another: an ID token is no access token.",
        &[
            check!(id_token_is_refused_by_api),
            check!(id_token_is_refused_by_userinfo),
        ],
    )
    .when(&[
        Feature::Member("authorization_endpoint"),
        Feature::Member("userinfo_endpoint"),
        Feature::Grant("authorization_code"),
        Feature::Listed("scopes_supported", "openid"),
    ]),
];

async fn keys_state_their_algorithm(subject: &Subject) -> Verdict {
    let (keys, answer) = subject.keys().await?;
    // A type and curve that fit one algorithm alone state it too.
    let implied = |key: &Value| {
        key.get("kty")
            .and_then(Value::as_str)
            .is_some_and(|kty| kty == "EC" || kty == "OKP")
    };
    let stated = keys
        .iter()
        .all(|key| key.get("alg").is_some_and(Value::is_string) || implied(key));
    answer.require(stated, "a key that fits several algorithms has no alg")
}

async fn confusion_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let genuine = subject.token().await?.jwt()?;
    let (keys, _) = subject.keys().await?;
    for key in &keys {
        let forgery = jws::confused(&genuine, key)
            .ok_or_else(|| Stop::unchecked("no forgery could be made"))?;
        refused_by_api(subject, "a token under HS256 with the public key", &forgery).await?;
    }
    Ok(())
}

async fn none_is_not_issued(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let jwt = token.jwt()?;
    let unsecured = jwt
        .algorithm()
        .is_none_or(|alg| alg.eq_ignore_ascii_case("none"));
    token
        .answer
        .require(!unsecured, "the access token is an unsecured JWT")
}

/// Request objects may be unsecured where a client registered it (RFC 9101 §10.5), and so may ID tokens that never leave
/// the token endpoint (OpenID Connect Core §2).
fn none_is_not_announced(subject: &Subject) -> Verdict {
    let lists = subject
        .metadata()
        .0
        .iter()
        .filter(|(name, _)| name.ends_with("_alg_values_supported"));
    for (name, list) in lists
        .filter(|(name, _)| !name.starts_with("request_object") && !name.starts_with("id_token"))
    {
        let listed = list
            .as_array()
            .is_some_and(|list| list.iter().any(|alg| alg.as_str() == Some("none")));
        subject
            .document()?
            .require(!listed, format!("{name} holds none"))?;
    }
    Ok(())
}

async fn issuer_is_named(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let issuer = token.jwt()?.claims.get("iss").cloned().unwrap_or_default();
    token.answer.require(
        issuer.as_str() == Some(subject.issuer()),
        format!("iss is {issuer}"),
    )
}

async fn audience_is_named(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let audience = token.jwt()?.claims.get("aud").cloned().unwrap_or_default();
    let named = audience.as_str().is_some_and(|aud| !aud.is_empty())
        || audience.as_array().is_some_and(|aud| !aud.is_empty());
    token.answer.require(named, "the token has no aud")
}

async fn embedded_key_is_refused(subject: &Subject) -> Verdict {
    subject.api()?;
    let genuine = subject.token().await?.jwt()?;
    let forgery =
        jws::forged(&genuine, true).ok_or_else(|| Stop::unchecked("no forgery could be made"))?;
    refused_by_api(subject, "a token signed by a key embedded in it", &forgery).await
}

async fn token_is_typed(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let typ = token
        .jwt()?
        .header
        .get("typ")
        .and_then(Value::as_str)
        .map(str::to_ascii_lowercase);
    token.answer.require(
        typ.is_some_and(|typ| typ != "jwt"),
        "the token's typ is missing or says only JWT",
    )
}

async fn id_token_is_refused_by_api(subject: &Subject) -> Verdict {
    subject.api()?;
    let token = subject.grant_of_person().await?.raw_id_token()?;
    refused_by_api(subject, "an ID token", token).await
}

async fn id_token_is_refused_by_userinfo(subject: &Subject) -> Verdict {
    let token = subject.grant_of_person().await?.raw_id_token()?;
    let answer = subject.userinfo(token).await?;
    answer.require(
        answer.status == 401,
        format!("an ID token was answered {}", answer.status),
    )
}
