//! RFC 9700: what of the security best current practice shows in metadata and tokens.

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Verdict, check};
use crate::subject::Subject;

const SIGN_IN: &[Feature] = &[Feature::Member("authorization_endpoint")];
const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9700",
    title: "Best Current Practice for OAuth 2.0 Security",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9700-2.1.1-pkce",
        "2.1.1",
        "PKCE is supported, and S256 with it.",
        &[check!(look s256_is_announced)],
    )
    .when(SIGN_IN),
    must(
        "rfc9700-2.1.1-downgrade",
        "2.1.1",
        "A code_verifier is accepted only when the authorization request had a code_challenge.",
        &[],
    )
    .when(SIGN_IN),
    should(
        "rfc9700-2.1.2-no-implicit",
        "2.1.2",
        "No response type puts an access token into the authorization response.",
        &[check!(look no_token_in_front_channel)],
    ),
    should(
        "rfc9700-2.2.1-sender-constrained",
        "2.2.1",
        "Access tokens can be bound to their sender by mutual TLS or DPoP.",
        &[check!(look sender_constraint_is_announced)],
    ),
    must(
        "rfc9700-2.2.2-refresh-tokens",
        "2.2.2",
        "Refresh tokens of public clients are sender-constrained or rotated.",
        &[],
    )
    .when(&[Feature::Grant("refresh_token")]),
    should(
        "rfc9700-2.3-audience",
        "2.3",
        "An access token is restricted to one audience.",
        &[check!(one_audience)],
    )
    .when(TOKENS),
    must(
        "rfc9700-2.4-no-password-grant",
        "2.4",
        "The password grant is not used.",
        &[check!(look no_password_grant)],
    ),
    should(
        "rfc9700-2.5-asymmetric",
        "2.5",
        "Clients can authenticate with asymmetric keys: by mutual TLS or a signed JWT.",
        &[check!(look asymmetric_is_announced)],
    ),
    should(
        "rfc9700-2.6-metadata",
        "2.6",
        "The server publishes its metadata.",
        &[check!(look metadata_is_published)],
    ),
    must(
        "rfc9700-2.6-no-cors-at-authorize",
        "2.6",
        "The authorization endpoint does not support CORS.",
        &[check!(no_cors_at_authorize)],
    )
    .when(SIGN_IN),
    must(
        "rfc9700-4.11.2-no-open-redirector",
        "4.11.2",
        "The authorization endpoint is no open redirector.",
        &[check!(no_open_redirector)],
    )
    .when(SIGN_IN),
];

fn s256_is_announced(subject: &Subject) -> Verdict {
    let announced = subject
        .metadata()
        .list("code_challenge_methods_supported")
        .contains(&"S256");
    subject
        .document()?
        .require(announced, "code_challenge_methods_supported lacks S256")
}

fn no_token_in_front_channel(subject: &Subject) -> Verdict {
    let types = subject.metadata().list("response_types_supported");
    let in_front = types
        .iter()
        .any(|kind| kind.split(' ').any(|part| part == "token"));
    subject
        .document()?
        .require(!in_front, "a response type holds token")
}

fn sender_constraint_is_announced(subject: &Subject) -> Verdict {
    let metadata = subject.metadata();
    let mtls = metadata
        .0
        .get("tls_client_certificate_bound_access_tokens")
        .and_then(Value::as_bool)
        == Some(true);
    let dpop = !metadata
        .list("dpop_signing_alg_values_supported")
        .is_empty();
    subject.document()?.require(
        mtls || dpop,
        "neither mutual TLS nor DPoP is announced for access tokens",
    )
}

async fn one_audience(subject: &Subject) -> Verdict {
    let token = subject.token().await?;
    let audience = token.jwt()?.claims.get("aud").cloned().unwrap_or_default();
    let one = audience.is_string() || audience.as_array().is_some_and(|list| list.len() == 1);
    token.answer.require(one, format!("aud is {audience}"))
}

fn no_password_grant(subject: &Subject) -> Verdict {
    subject.document()?.require(
        !subject.metadata().grants().contains(&"password"),
        "the password grant is announced",
    )
}

fn asymmetric_is_announced(subject: &Subject) -> Verdict {
    let asymmetric = [
        "private_key_jwt",
        "tls_client_auth",
        "self_signed_tls_client_auth",
    ];
    let methods = subject.metadata().client_authentication();
    let announced = methods.iter().any(|method| asymmetric.contains(method));
    subject
        .document()?
        .require(announced, "no method with asymmetric keys is announced")
}

fn metadata_is_published(subject: &Subject) -> Verdict {
    subject.oauth_document()?.status(&[200])
}

async fn no_cors_at_authorize(subject: &Subject) -> Verdict {
    let request = subject.get(&subject.endpoint("authorization_endpoint")?);
    let answer = request
        .header("origin", "https://stranger.example")
        .send()
        .await?;
    answer.require(
        answer.header("access-control-allow-origin").is_none(),
        "there is Access-Control-Allow-Origin",
    )
}

async fn no_open_redirector(subject: &Subject) -> Verdict {
    for target in [
        "https://stranger.example/",
        "//stranger.example/",
        "javascript:alert(1)",
    ] {
        let request = subject.get(&subject.endpoint("authorization_endpoint")?);
        let request = request
            .query("response_type", "code")
            .query("client_id", "no-such-client");
        let answer = request.query("redirect_uri", target).send().await?;
        let location = answer.header("location").unwrap_or_default();
        answer.require(
            !location.starts_with(target),
            "redirected to an unproven redirect_uri",
        )?;
    }
    Ok(())
}
