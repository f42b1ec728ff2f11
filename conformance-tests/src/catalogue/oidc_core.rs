//! OpenID Connect Core 1.0: sign-in by the code flow, ID tokens, claims.

mod authentication;
mod id_token;
mod userinfo;

use super::{Feature, Requirement, Standard, must, should};
use crate::check::check;

const SIGN_IN: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
];
const USERINFO: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
    Feature::Member("userinfo_endpoint"),
];
const REFRESH: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Grant("refresh_token"),
    Feature::Listed("scopes_supported", "openid"),
];

pub(super) const STANDARD: Standard = Standard {
    id: "OIDC Core",
    title: "OpenID Connect Core 1.0",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    must(
        "oidccore-2-claims",
        "2",
        "An ID token has iss, sub, aud, exp and iat, and has not expired when it is issued.",
        &[check!(id_token::required_claims)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-2-subject",
        "2",
        "sub is the same at every sign-in and at most 255 ASCII characters long.",
        &[check!(id_token::subject_is_stable)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-2-nonce",
        "2",
        "nonce comes back in the ID token exactly as it was sent.",
        &[check!(id_token::nonce_is_kept)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-2-signed",
        "2",
        "ID tokens are signed, and none is not an algorithm.",
        &[check!(id_token::is_signed)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-post",
        "3.1.2.1",
        "The authorization endpoint takes POST as it takes GET.",
        &[check!(authentication::post_is_taken)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-prompt-none",
        "3.1.2.1",
        "prompt=none shows no page: without a session it is answered with login_required.",
        &[
            check!(authentication::none_without_a_session),
            check!(authentication::none_with_a_session),
        ],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-prompt-none-alone",
        "3.1.2.1",
        "prompt=none beside another value is an error.",
        &[check!(authentication::none_beside_login)],
    )
    .when(SIGN_IN),
    should(
        "oidccore-3.1.2.1-prompt-login",
        "3.1.2.1",
        "prompt=login asks somebody who is signed in to sign in again.",
        &[check!(authentication::login_signs_in_again)],
    )
    .when(SIGN_IN),
    should(
        "oidccore-3.1.2.1-prompt-consent",
        "3.1.2.1",
        "prompt=consent asks for consent.",
        &[check!(authentication::consent_is_asked)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-max-age",
        "3.1.2.1",
        "Somebody who signed in longer ago than max_age signs in again.",
        &[check!(authentication::max_age_signs_in_again)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-auth-time",
        "3.1.2.1",
        "When max_age is asked for, the ID token has auth_time.",
        &[check!(id_token::max_age_brings_auth_time)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.3.3-id-token",
        "3.1.3.3",
        "The token response has an ID token and the token type Bearer.",
        &[check!(id_token::comes_with_the_tokens)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.3.6-at-hash",
        "3.1.3.6",
        "at_hash, where it is present, is the left half of the access token's hash.",
        &[check!(id_token::at_hash_fits)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.3.7-issuer-and-audience",
        "3.1.3.7",
        "iss is the issuer, and aud has the client_id.",
        &[check!(id_token::issuer_and_audience)],
    )
    .when(SIGN_IN),
    should(
        "oidccore-3.1.3.7-algorithm",
        "3.1.3.7",
        "alg is one of id_token_signing_alg_values_supported.",
        &[check!(id_token::algorithm_is_announced)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-5.3-methods",
        "5.3",
        "The userinfo endpoint takes bearer tokens, by GET and by POST.",
        &[check!(userinfo::get_works), check!(userinfo::post_works)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.3.2-subject",
        "5.3.2",
        "Userinfo always has sub, and it is that of the ID token.",
        &[check!(userinfo::subject_is_the_same)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.3.2-json",
        "5.3.2",
        "Userinfo is JSON of media type application/json, or a JWT.",
        &[check!(userinfo::media_type)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.3.3-errors",
        "5.3.3",
        "Errors of the userinfo endpoint are those of RFC 6750, with a challenge.",
        &[
            check!(userinfo::no_token),
            check!(userinfo::invented_token),
            check!(userinfo::token_without_openid),
        ],
    )
    .when(USERINFO),
    must(
        "oidccore-12.2-id-token",
        "12.2",
        "An ID token from a refresh keeps iss, sub, aud and auth_time, and any nonce it has is the first one's.",
        &[check!(id_token::refresh_keeps_the_person)],
    )
    .when(REFRESH),
    must(
        "oidccore-15.1-parameters",
        "15.1",
        "display, ui_locales, claims_locales and acr_values cause no error.",
        &[check!(authentication::preferences_cause_no_error)],
    )
    .when(SIGN_IN),
];
