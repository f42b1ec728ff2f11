//! RFC 7523: JWT assertions for client authentication and as grants.

mod grant;

pub(super) use grant::{BEARER, changed_assertion, invented_assertion, refused_assertion};

use serde_json::{Map, Value};

use super::{Feature, Requirement, Standard, must};
use crate::check::{Stop, Verdict, check};
use crate::jws::{self, Jws};
use crate::subject::Subject;

const ASSERTIONS: &[Feature] = &[
    Feature::ClientAuthentication("private_key_jwt"),
    Feature::Grant("client_credentials"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 7523",
    title: "JSON Web Token (JWT) Profile for OAuth 2.0 Client Authentication and Authorization Grants",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc7523-2.1-grant",
        "2.1",
        "A client can ask for tokens with a JWT of an issuer that the server trusts.",
        &[check!(grant::valid_assertion_is_taken)],
    )
    .when(BEARER),
    must(
        "rfc7523-2.1-assertion",
        "2.1",
        "The parameter assertion is required beside the grant type.",
        &[check!(grant::assertion_is_missing)],
    )
    .when(BEARER),
    must(
        "rfc7523-2.2-assertion",
        "2.2",
        "A client can authenticate with a JWT in client_assertion.",
        &[check!(valid_assertion)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-2.2-type",
        "2.2",
        "client_assertion_type is the one defined for JWTs; no other makes a JWT an assertion.",
        &[check!(other_type)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-issuer",
        "3",
        "An assertion without the right iss is refused.",
        &[check!(wrong_issuer)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-subject",
        "3",
        "An assertion's sub is the client_id.",
        &[check!(wrong_subject)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-audience",
        "3",
        "An assertion that does not name the authorization server as its audience is refused.",
        &[check!(wrong_audience)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-expiry",
        "3",
        "An assertion without exp, or one that has expired, is refused.",
        &[check!(wrong_expiry)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-not-before",
        "3",
        "An assertion is refused before its nbf.",
        &[check!(not_yet_valid)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-signature",
        "3",
        "An assertion that is not signed, or not by a key of the client, is refused.",
        &[check!(unsigned), check!(signed_by_a_stranger)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-well-formed",
        "3",
        "What is not a valid JWT is refused.",
        &[check!(no_jwt)],
    )
    .when(ASSERTIONS),
    must(
        "rfc7523-3-grant-claims",
        "3",
        "A grant without iss, sub, aud or exp is refused.",
        &[check!(grant::claims_are_missing)],
    )
    .when(BEARER),
    must(
        "rfc7523-3-grant-audience",
        "3",
        "A grant that does not name the authorization server as its audience is refused.",
        &[check!(grant::wrong_audience)],
    )
    .when(BEARER),
    must(
        "rfc7523-3-grant-time",
        "3",
        "A grant is refused after its exp and before its nbf.",
        &[check!(grant::wrong_time)],
    )
    .when(BEARER),
    must(
        "rfc7523-3-grant-signature",
        "3",
        "A grant that is not signed, or not by a key of its issuer, is refused.",
        &[check!(grant::wrong_signature)],
    )
    .when(BEARER),
    must(
        "rfc7523-3.1-invalid-grant",
        "3.1",
        "A grant that is not a JWT, or of an issuer that nobody knows, is answered invalid_grant.",
        &[
            check!(grant::invented_assertion),
            check!(grant::unknown_issuer),
        ],
    )
    .when(BEARER),
    must(
        "rfc7523-3.2-invalid-client",
        "3.2",
        "A client JWT that is not valid is answered invalid_client.",
        &[check!(no_jwt), check!(unsigned)],
    )
    .when(ASSERTIONS),
];

/// The assertion, posted as it is, is answered `invalid_client`.
async fn refused(subject: &Subject, what: &str, assertion: &str) -> Verdict {
    let answer = subject.grant()?.assertion(assertion).send().await?;
    let code = answer.text("error")?;
    let right = [400, 401].contains(&answer.status) && code == "invalid_client";
    answer.require(
        right,
        format!("{what} was answered {} {code}", answer.status),
    )
}

/// A valid assertion with some of its claims changed (`Null` takes one out) and signed by the client.
async fn changed_is_refused(subject: &Subject, what: &str, changes: &[(&str, Value)]) -> Verdict {
    let (client_id, key) = subject.assertion_key()?;
    let mut claims = subject.assertion_claims(client_id);
    for (name, value) in changes {
        if value.is_null() {
            claims.remove(*name);
        } else {
            claims.insert((*name).to_owned(), value.clone());
        }
    }
    let assertion =
        jws::sign(key, &claims).ok_or_else(|| Stop::unchecked("the client's key cannot sign"))?;
    refused(subject, what, &assertion).await
}

async fn valid_assertion(subject: &Subject) -> Verdict {
    subject.assertion_key()?;
    subject.fresh_token().await.map(drop)
}

async fn other_type(subject: &Subject) -> Verdict {
    let (client_id, key) = subject.assertion_key()?;
    let assertion = jws::sign(key, &subject.assertion_claims(client_id));
    let assertion = assertion.ok_or_else(|| Stop::unchecked("the client's key cannot sign"))?;
    let request = subject.grant()?.form(&[
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        ),
        ("client_assertion", &assertion),
    ]);
    request.send().await?.without_token()
}

async fn wrong_issuer(subject: &Subject) -> Verdict {
    changed_is_refused(subject, "no iss", &[("iss", Value::Null)]).await?;
    changed_is_refused(subject, "another iss", &[("iss", "somebody-else".into())]).await
}

async fn wrong_subject(subject: &Subject) -> Verdict {
    changed_is_refused(subject, "no sub", &[("sub", Value::Null)]).await?;
    changed_is_refused(subject, "another sub", &[("sub", "somebody-else".into())]).await
}

async fn wrong_audience(subject: &Subject) -> Verdict {
    changed_is_refused(subject, "no aud", &[("aud", Value::Null)]).await?;
    changed_is_refused(
        subject,
        "another aud",
        &[("aud", "https://other.example".into())],
    )
    .await?;
    let beside = format!("{}.other.example", subject.issuer());
    changed_is_refused(
        subject,
        "an aud that only begins like ours",
        &[("aud", beside.into())],
    )
    .await
}

async fn wrong_expiry(subject: &Subject) -> Verdict {
    changed_is_refused(subject, "no exp", &[("exp", Value::Null)]).await?;
    let past = subject.now().saturating_sub(3600);
    let expired = [
        ("iat", past.saturating_sub(60).into()),
        ("exp", past.into()),
    ];
    changed_is_refused(subject, "exp an hour ago", &expired).await?;
    changed_is_refused(subject, "exp as a string", &[("exp", "never".into())]).await
}

async fn not_yet_valid(subject: &Subject) -> Verdict {
    let now = subject.now();
    let later = [
        ("nbf", now.saturating_add(1800).into()),
        ("exp", now.saturating_add(1860).into()),
    ];
    changed_is_refused(subject, "nbf in half an hour", &later).await
}

/// An assertion that needs no key to be tried: the client's claims, and whatever signature a forgery gives it.
fn unsigned_draft(subject: &Subject) -> Result<Jws, Stop> {
    let claims: Map<String, Value> = subject.assertion_claims(&subject.credentials()?.client_id);
    let header = r#"{"alg":"ES256"}"#;
    let part = |text: &str| {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
    };
    let token = format!(
        "{}.{}.x",
        part(header),
        part(&Value::Object(claims).to_string())
    );
    Jws::parse(&token).ok_or_else(|| Stop::unchecked("no assertion could be made"))
}

async fn unsigned(subject: &Subject) -> Verdict {
    for name in ["none", "None", "nOnE", "NONE"] {
        refused(
            subject,
            name,
            &jws::unsigned(&unsigned_draft(subject)?, name),
        )
        .await?;
    }
    Ok(())
}

async fn signed_by_a_stranger(subject: &Subject) -> Verdict {
    for (what, embed) in [
        ("a foreign key", false),
        ("a foreign key embedded in the header", true),
    ] {
        let forgery = jws::forged(&unsigned_draft(subject)?, embed);
        refused(
            subject,
            what,
            &forgery.ok_or_else(|| Stop::unchecked("no forgery could be made"))?,
        )
        .await?;
    }
    Ok(())
}

async fn no_jwt(subject: &Subject) -> Verdict {
    for (what, assertion) in [
        ("text", "no-jwt"),
        ("dots", ".."),
        ("arrays", "W10.W10.x"),
        ("empty objects", "e30.e30.x"),
    ] {
        refused(subject, what, assertion).await?;
    }
    Ok(())
}
