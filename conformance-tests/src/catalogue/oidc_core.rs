//! OpenID Connect Core 1.0: sign-in by the code flow, ID tokens, claims.

mod authentication;
mod claims;
mod client_keys;
mod id_token;
mod subjects;
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

const REGISTERED: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
    Feature::Member("registration_endpoint"),
];
const SIGNING: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Member("registration_endpoint"),
    Feature::ClientAuthentication("private_key_jwt"),
];
const CLAIMS: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Member("userinfo_endpoint"),
    Feature::Flag("claims_parameter_supported"),
];
const PAIRWISE: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Member("registration_endpoint"),
    Feature::Listed("subject_types_supported", "pairwise"),
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
        "oidccore-3.1.2.1-max-age-within",
        "3.1.2.1",
        "Within max_age nobody signs in again, and auth_time stays.",
        &[check!(id_token::max_age_within)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-prompt-none-consented",
        "3.1.2.1",
        "prompt=none gives a code to an app that the person has consented to, for the same person.",
        &[check!(authentication::none_with_consent)],
    )
    .when(REGISTERED),
    must(
        "oidccore-3.1.2.1-id-token-hint",
        "3.1.2.1",
        "With prompt=none, an id_token_hint of the person who is signed in is answered with a code; of nobody, login_required.",
        &[
            check!(authentication::hint_of_the_person),
            check!(authentication::hint_without_a_session),
        ],
    )
    .when(REGISTERED),
    should(
        "oidccore-3.1.2.1-login-hint",
        "3.1.2.1",
        "login_hint causes no error.",
        &[check!(authentication::login_hint_causes_no_error)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-display",
        "3.1.2.1",
        "Every value of display is taken, supported or not.",
        &[check!(authentication::every_display_is_taken)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-redirect-uri",
        "3.1.2.1",
        "A request without redirect_uri is refused at a page.",
        &[check!(authentication::redirect_uri_is_required)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-3.1.2.1-redirect-query",
        "3.1.2.1",
        "The query of a registered redirection URI is kept, and has to be the registered one.",
        &[
            check!(authentication::query_is_kept),
            check!(authentication::query_has_to_match),
        ],
    )
    .when(REGISTERED),
    should(
        "oidccore-3.1.2.1-acr-values",
        "3.1.2.1",
        "Asked for by acr_values, the ID token has acr.",
        &[check!(id_token::acr_is_told)],
    )
    .when(&[
        Feature::Member("authorization_endpoint"),
        Feature::Member("acr_values_supported"),
    ]),
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
    should(
        "oidccore-5.3.1-body",
        "5.3.1",
        "The userinfo endpoint takes the token in the body of a POST.",
        &[check!(userinfo::token_in_the_body)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.4-profile",
        "5.4",
        "The scope profile brings the known claims of the person's profile, each of its type.",
        &[check!(claims::profile_scope)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.4-email",
        "5.4",
        "The scope email brings email and email_verified, each of its type.",
        &[check!(claims::email_scope)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.4-address",
        "5.4",
        "The scope address brings address, an object.",
        &[check!(claims::address_scope)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.4-phone",
        "5.4",
        "The scope phone brings phone_number and phone_number_verified, each of its type.",
        &[check!(claims::phone_scope)],
    )
    .when(USERINFO),
    should(
        "oidccore-5.4-no-more",
        "5.4",
        "Claims of a scope that was not asked for are not told.",
        &[check!(claims::nothing_more)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.4-all",
        "5.4",
        "All scopes together bring claims of their types, in whatever order they are asked for.",
        &[check!(claims::all_scopes)],
    )
    .when(USERINFO),
    must(
        "oidccore-5.5-malformed",
        "5.5",
        "claims is a JSON object.",
        &[check!(claims::malformed_claims)],
    )
    .when(CLAIMS),
    must(
        "oidccore-5.5.1-essential",
        "5.5.1",
        "auth_time asked for as essential is in the ID token.",
        &[check!(claims::essential_auth_time)],
    )
    .when(CLAIMS),
    should(
        "oidccore-5.5.1-told",
        "5.5.1",
        "What is asked for by claims and known is told where it is asked for.",
        &[check!(claims::essential_claim_at_userinfo)],
    )
    .when(CLAIMS),
    must(
        "oidccore-5.5.1-subject",
        "5.5.1",
        "For a sub that is not the person's there is no code.",
        &[check!(claims::subject_of_somebody_else)],
    )
    .when(CLAIMS),
    must(
        "oidccore-6.1-not-supported",
        "6.1",
        "Where request is not supported, it is answered request_not_supported.",
        &[check!(authentication::request_not_supported)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-6.1-unsigned",
        "6.1",
        "Where unsigned request objects are announced, one is taken.",
        &[],
    )
    .unchecked("unsigned request objects protect nothing, and the tests ask nobody for them")
    .when(&[Feature::Listed(
        "request_object_signing_alg_values_supported",
        "none",
    )]),
    must(
        "oidccore-6.2-not-supported",
        "6.2",
        "Where request_uri is not supported, it is answered request_uri_not_supported.",
        &[check!(authentication::request_uri_not_supported)],
    )
    .when(SIGN_IN),
    must(
        "oidccore-8.1-sectors",
        "8.1",
        "Clients of different sectors are told different pairwise subjects, and none the public one.",
        &[check!(subjects::sectors_differ)],
    )
    .when(PAIRWISE),
    should(
        "oidccore-8.1-one-sector",
        "8.1",
        "Clients of one sector are told the same subject.",
        &[check!(subjects::one_sector_agrees)],
    )
    .when(PAIRWISE),
    must(
        "oidccore-8.1-userinfo",
        "8.1",
        "Userinfo and ID token tell a pairwise client the same subject.",
        &[check!(subjects::userinfo_agrees)],
    )
    .when(PAIRWISE),
    must(
        "oidccore-9-client-secret-post",
        "9",
        "A client that registered client_secret_post redeems its codes with the secret in the body.",
        &[check!(authentication::secret_in_the_body)],
    )
    .when(&[
        Feature::Member("authorization_endpoint"),
        Feature::Member("registration_endpoint"),
        Feature::ClientAuthentication("client_secret_post"),
    ]),
    must(
        "oidccore-9-private-key-jwt",
        "9",
        "A client that registered private_key_jwt redeems its codes with an assertion for the issuer.",
        &[check!(client_keys::assertion_for_the_issuer)],
    )
    .when(SIGNING),
    must(
        "oidccore-10.1.1-client-rotation",
        "10.1.1",
        "A client that has published another key at its jwks_uri authenticates with that one.",
        &[check!(client_keys::next_key_is_fetched)],
    )
    .when(SIGNING),
    must(
        "oidccore-10.1.1-rotation",
        "10.1.1",
        "When the server's keys change, the old ones stay published while what they signed is valid.",
        &[],
    )
    .unchecked("somebody at the server would have to rotate its keys")
    .when(SIGN_IN),
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
