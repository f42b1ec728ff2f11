//! RFC 9700: what of the security best current practice shows in metadata, tokens and the code flow.

mod flow;

use serde_json::Value;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::{Verdict, check};
use crate::subject::Subject;
pub(super) use flow::stays_at_the_server;

const SIGN_IN: &[Feature] = &[Feature::Member("authorization_endpoint")];
const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];
const CODE: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
];
const REFRESH: &[Feature] = &[
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "RFC 9700",
    title: "Best Current Practice for OAuth 2.0 Security",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "rfc9700-2.1-exact-redirects",
        "2.1",
        "Redirection URIs are compared as strings, but for the port of a native app's localhost.",
        &[check!(flow::similar_redirects_stay_here)],
    )
    .when(CODE),
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
        &[check!(flow::verifier_without_challenge)],
    )
    .when(CODE),
    must(
        "rfc9700-2.1.1-public-clients",
        "2.1.1",
        "Public clients use PKCE: without a code_challenge they get no token.",
        &[check!(flow::no_token_without_pkce)],
    )
    .when(CODE),
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
        &[check!(flow::refresh_tokens_rotate)],
    )
    .when(REFRESH),
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
        &[check!(flow::no_cors_at_authorize)],
    )
    .when(SIGN_IN),
    must(
        "rfc9700-4.11.2-no-open-redirector",
        "4.11.2",
        "The authorization endpoint is no open redirector.",
        &[check!(flow::no_open_redirector)],
    )
    .when(SIGN_IN),
    must(
        "rfc9700-4.12-no-307",
        "4.12",
        "A request with credentials is not redirected by 307.",
        &[check!(flow::credentials_are_not_sent_on)],
    )
    .when(CODE),
    must(
        "rfc9700-4.14.2-reuse",
        "4.14.2",
        "A spent refresh token that comes back revokes the one that is in use.",
        &[check!(flow::replay_revokes_the_family)],
    )
    .when(REFRESH),
    must(
        "rfc9700-4.16-clickjacking",
        "4.16",
        "The pages of the authorization endpoint cannot be framed.",
        &[check!(flow::sign_in_cannot_be_framed)],
    )
    .when(CODE),
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
