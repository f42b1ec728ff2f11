//! RFC 9701: introspection answered with a JWT.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Feature, Requirement, Standard, must, should};
use crate::answer::Answer;
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::request::Request;
use crate::subject::{Registered, Subject, merged};

/// What a resource server asks for with `Accept` (§4).
const MEDIA_TYPE: &str = "application/token-introspection+jwt";

const ALGORITHMS: &str = "introspection_signing_alg_values_supported";
const ENCRYPTION: &str = "introspection_encryption_alg_values_supported";
const CONTENT: &str = "introspection_encryption_enc_values_supported";

const SIGNED: &[Feature] = &[
    Feature::Member("introspection_endpoint"),
    Feature::Member(ALGORITHMS),
];
const TOKENS: &[Feature] = &[
    Feature::Member("introspection_endpoint"),
    Feature::Member(ALGORITHMS),
    Feature::Grant("client_credentials"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9701",
    title: "JSON Web Token (JWT) Response for OAuth Token Introspection",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9701-4-accept",
        "4",
        "A JWT is answered where Accept asks for one, and JSON where it does not.",
        &[check!(jwt_is_answered), check!(json_is_answered)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-typ",
        "5",
        "The JWT's typ is token-introspection+jwt.",
        &[check!(typ_is_told)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-signed",
        "5",
        "The JWT is signed by a published key, with an algorithm that is announced.",
        &[check!(signature_verifies)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-claims",
        "5",
        "The JWT has iss, the issuer, aud, iat and the object token_introspection.",
        &[check!(claims_are_there)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-audience",
        "5",
        "The aud is who asked.",
        &[check!(audience_is_the_caller)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-active",
        "5",
        "A valid token of the asking client is active in it, as in the JSON.",
        &[check!(valid_is_active)],
    )
    .when(TOKENS),
    must(
        "rfc9701-5-inactive",
        "5",
        "For a token that is not valid, token_introspection has active false and nothing else.",
        &[check!(invented_is_inactive)],
    )
    .when(SIGNED),
    must(
        "rfc9701-5-authentication",
        "5",
        "A request without authentication is refused, whatever it asks for.",
        &[check!(nobody_is_refused)],
    )
    .when(SIGNED),
    should(
        "rfc9701-5-no-sub-and-exp",
        "5",
        "The JWT itself has neither sub nor exp, so that nobody takes it for an access token.",
        &[check!(no_claims_of_an_access_token)],
    )
    .when(SIGNED),
    must(
        "rfc9701-6-default",
        "6",
        "RS256 signs for a client that registered no algorithm.",
        &[check!(default_is_rs256)],
    )
    .when(&[
        Feature::Member("introspection_endpoint"),
        Feature::Listed(ALGORITHMS, "RS256"),
    ]),
    must(
        "rfc9701-6-registered",
        "6",
        "The algorithm that a client registered signs for it.",
        &[check!(registered_algorithm_signs)],
    )
    .when(&[
        Feature::Member("introspection_endpoint"),
        Feature::Listed(ALGORITHMS, "ES256"),
    ]),
    must(
        "rfc9701-6-encrypted",
        "6",
        "The JWT is encrypted for a client that registered algorithms for that.",
        &[check!(registered_encryption_is_used)],
    )
    .when(&[
        Feature::Member("introspection_endpoint"),
        Feature::Listed(ENCRYPTION, "ECDH-ES"),
        Feature::Member(CONTENT),
    ]),
    must(
        "rfc9701-7-metadata",
        "7",
        "The announced algorithms are lists of names, and none is not among them.",
        &[check!(look algorithms_are_names)],
    )
    .when(SIGNED),
];

/// An introspection that asks for a JWT, not yet authenticated.
fn question<'s>(subject: &'s Subject, token: &str) -> Result<Request<'s>, Stop> {
    let request = subject.post("introspection_endpoint")?;
    Ok(request
        .header("accept", MEDIA_TYPE)
        .form(&[("token", token)]))
}

fn read(answer: &Answer) -> Result<Jws, Stop> {
    answer.status(&[200])?;
    let text = String::from_utf8_lossy(&answer.body);
    Jws::parse(text.trim()).ok_or_else(|| answer.fail("the body is not a JWT"))
}

/// What is said about `token` in a JWT.
async fn asked(subject: &Subject, token: &str) -> Result<(Answer, Jws), Stop> {
    let answer = question(subject, token)?.authenticated()?.send().await?;
    let jwt = read(&answer)?;
    Ok((answer, jwt))
}

const NO_TOKEN: &str = "no-such-token";

async fn jwt_is_answered(subject: &Subject) -> Verdict {
    let (answer, _) = asked(subject, NO_TOKEN).await?;
    answer.require(
        answer.media_type() == MEDIA_TYPE,
        format!("the media type is {}", answer.media_type()),
    )
}

async fn json_is_answered(subject: &Subject) -> Verdict {
    let request = subject.post("introspection_endpoint")?;
    let request = request.header("accept", "application/json");
    let request = request.form(&[("token", NO_TOKEN)]).authenticated()?;
    let answer = request.send().await?;
    answer.status(&[200])?;
    answer.json().map(drop)
}

async fn typ_is_told(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    let typ = jwt.header.get("typ").and_then(Value::as_str);
    let plain = typ.map(|typ| typ.trim_start_matches("application/"));
    let right = plain.is_some_and(|typ| typ.eq_ignore_ascii_case("token-introspection+jwt"));
    answer.require(right, format!("typ is {typ:?}"))
}

async fn signature_verifies(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    let algorithm = jwt.algorithm().unwrap_or_default();
    let announced = subject.metadata().list(ALGORITHMS).contains(&algorithm);
    answer.require(announced, format!("{algorithm} is not announced"))?;
    let (keys, _) = subject.keys().await?;
    jwt.verify(&keys).map_err(|cause| answer.fail(cause))
}

fn introspection<'j>(answer: &Answer, jwt: &'j Jws) -> Result<&'j Map<String, Value>, Stop> {
    let told = jwt.claims.get("token_introspection");
    told.and_then(Value::as_object)
        .ok_or_else(|| answer.fail("token_introspection is missing or not an object"))
}

async fn claims_are_there(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    introspection(&answer, &jwt)?;
    let own = jwt.claims.get("iss").and_then(Value::as_str) == Some(subject.issuer());
    answer.require(own, "iss is not the issuer")?;
    let dated = jwt.claims.get("iat").is_some_and(Value::is_number);
    answer.require(dated, "iat is missing or no number")?;
    answer.require(jwt.claims.contains_key("aud"), "aud is missing")
}

async fn audience_is_the_caller(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    let client_id = subject.credentials()?.client_id.as_str();
    let is_caller = |name: &str| {
        name == client_id
            || subject
                .target()
                .resources
                .iter()
                .any(|resource| resource == name)
    };
    let right = match jwt.claims.get("aud") {
        Some(Value::String(name)) => is_caller(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is_caller),
        _ => false,
    };
    answer.require(right, "aud is neither the client nor its resource")
}

async fn valid_is_active(subject: &Subject) -> Verdict {
    let token = subject.token().await?.value.as_str();
    let plain = subject.introspect(token).await?.json()?;
    if plain.get("active") != Some(&Value::Bool(true)) {
        let reason = "introspection does not show the given client its own tokens";
        return Err(Stop::unchecked(reason));
    }
    let (answer, jwt) = asked(subject, token).await?;
    let told = introspection(&answer, &jwt)?;
    for name in ["active", "sub", "client_id", "exp", "scope"] {
        let same = told.get(name) == plain.get(name);
        answer.require(same, format!("{name} is not what the JSON says"))?;
    }
    Ok(())
}

async fn invented_is_inactive(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    let told = introspection(&answer, &jwt)?;
    let right = told.len() == 1 && told.get("active") == Some(&Value::Bool(false));
    answer.require(right, "there is more than active false")
}

async fn nobody_is_refused(subject: &Subject) -> Verdict {
    let answer = question(subject, NO_TOKEN)?.send().await?;
    answer.status(&[400, 401, 403])
}

async fn no_claims_of_an_access_token(subject: &Subject) -> Verdict {
    let (answer, jwt) = asked(subject, NO_TOKEN).await?;
    let none = ["sub", "exp"]
        .iter()
        .all(|name| !jwt.claims.contains_key(*name));
    answer.require(none, "there is a sub or an exp beside token_introspection")
}

/// What is said to a registered client about no token at all.
async fn told(subject: &Subject, client: &Registered) -> Result<Answer, Stop> {
    client
        .authenticated(question(subject, NO_TOKEN)?)?
        .send()
        .await
}

async fn signs(subject: &Subject, metadata: Value, algorithm: &str) -> Verdict {
    let client = subject.web_app(metadata).await?;
    let answer = told(subject, &client).await?;
    let signed = read(&answer)?.algorithm() == Some(algorithm);
    answer.require(signed, format!("the JWT is not signed with {algorithm}"))
}

async fn default_is_rs256(subject: &Subject) -> Verdict {
    signs(subject, json!({}), "RS256").await
}

async fn registered_algorithm_signs(subject: &Subject) -> Verdict {
    let metadata = json!({"introspection_signed_response_alg": "ES256"});
    signs(subject, metadata, "ES256").await
}

async fn registered_encryption_is_used(subject: &Subject) -> Verdict {
    let contents = subject.metadata().list(CONTENT);
    let content = contents.first().copied().unwrap_or_default();
    let keys = jws::public_keys(subject.client_key()?);
    let mut keys = keys.ok_or_else(|| Stop::unchecked("no key could be made"))?;
    if let Some(keys) = keys.get_mut("keys").and_then(Value::as_array_mut) {
        for key in keys {
            *key = merged(key.take(), json!({"use": "enc", "alg": "ECDH-ES"}));
        }
    }
    let metadata = json!({
        "jwks": keys,
        "introspection_encrypted_response_alg": "ECDH-ES",
        "introspection_encrypted_response_enc": content,
    });
    let client = subject.web_app(metadata).await?;
    let answer = told(subject, &client).await?;
    answer.status(&[200])?;
    let text = String::from_utf8_lossy(&answer.body).trim().to_owned();
    let header = text.split('.').next().unwrap_or_default();
    let header = BASE64_URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    let named = |name: &str| header.get(name).and_then(Value::as_str);
    let right = text.split('.').count() == 5
        && named("alg") == Some("ECDH-ES")
        && named("enc") == Some(content);
    answer.require(right, "the answer is not encrypted as registered")
}

fn algorithms_are_names(subject: &Subject) -> Verdict {
    for member in [ALGORITHMS, ENCRYPTION, CONTENT] {
        let names = subject.metadata().0.get(member);
        let is_name = |name: &Value| name.as_str().is_some_and(|name| name != "none");
        let right = names.is_none_or(|names| {
            let names = names.as_array();
            names.is_some_and(|names| !names.is_empty() && names.iter().all(is_name))
        });
        let reason = format!("{member} is no list of algorithms");
        subject.document()?.require(right, reason)?;
    }
    Ok(())
}
