//! FAPI 2.0: the Security Profile and Message Signing, both final.

mod algorithms;
mod client;
mod endpoint;
mod signing;
mod tokens;

use super::{Profile, rests, should_rest};
use crate::catalogue::{Feature, Requirement, Standard, must, should};
use crate::check::check;

pub(super) const SECURITY_PROFILE: Profile = Profile {
    id: "fapi2",
    title: "FAPI 2.0 Security Profile",
    edition: "Final, February 2025",
    parts: &[&SECURITY],
    signs: false,
    names_resources: false,
};

pub(super) const MESSAGE_SIGNING_PROFILE: Profile = Profile {
    id: "fapi2-message-signing",
    title: "FAPI 2.0 Message Signing",
    edition: "Final, with the Security Profile",
    parts: &[&SECURITY, &SIGNING],
    signs: true,
    names_resources: false,
};

const SECURITY: Standard = Standard {
    id: "FAPI 2.0 Security Profile",
    title: "FAPI 2.0 Security Profile",
    requirements: SECURITY_REQUIREMENTS,
};

const SIGNING: Standard = Standard {
    id: "FAPI 2.0 Message Signing",
    title: "FAPI 2.0 Message Signing",
    requirements: SIGNING_REQUIREMENTS,
};

const SECURITY_REQUIREMENTS: &[Requirement] = &[
    rests(
        "fapi2-5.3.2.1-metadata",
        "5.3.2.1",
        "The server publishes its metadata.",
        &["rfc8414-3-path", "rfc8414-3.3-issuer-identical"],
    ),
    must(
        "fapi2-5.3.2.1-no-password-grant",
        "5.3.2.1",
        "The password grant is refused.",
        &[check!(tokens::password_grant)],
    ),
    must(
        "fapi2-5.3.2.1-confidential",
        "5.3.2.1",
        "Clients are confidential: without authentication no code is redeemed.",
        &[check!(tokens::unauthenticated_redemption)],
    ),
    must(
        "fapi2-5.3.2.1-sender-constrained",
        "5.3.2.1",
        "Access tokens are sender-constrained: without a proof there is none.",
        &[check!(tokens::redemption_without_proof)],
    ),
    must(
        "fapi2-5.3.2.1-method",
        "5.3.2.1",
        "Access tokens are bound by mutual TLS or DPoP.",
        &[check!(tokens::token_is_bound)],
    ),
    must(
        "fapi2-5.3.2.1-authentication",
        "5.3.2.1",
        "Clients authenticate by mutual TLS or private_key_jwt.",
        &[check!(tokens::assertion_works)],
    ),
    rests(
        "fapi2-5.3.2.1-no-open-redirector",
        "5.3.2.1",
        "The authorization endpoint is no open redirector.",
        &["rfc9700-4.11.2-no-open-redirector"],
    ),
    must(
        "fapi2-5.3.2.1-audience",
        "5.3.2.1",
        "The audience of a client assertion is the issuer identifier as a text, and nothing else.",
        &[check!(tokens::other_audiences)],
    ),
    must(
        "fapi2-5.3.2.1-no-rotation",
        "5.3.2.1",
        "Refresh tokens are not rotated.",
        &[check!(tokens::refresh_token_stays)],
    )
    .when(&[Feature::Grant("refresh_token")]),
    must(
        "fapi2-5.3.2.1-code-lifetime",
        "5.3.2.1",
        "A code lives for no more than 60 seconds.",
        &[],
    )
    .unchecked("a code would have to be waited for until it expires"),
    must(
        "fapi2-5.3.2.1-code-binding",
        "5.3.2.1",
        "With DPoP, codes are bound to the key of the pushed request.",
        &[check!(tokens::code_is_bound)],
    )
    .when(&[Feature::Member("dpop_signing_alg_values_supported")]),
    must(
        "fapi2-5.3.2.1-clocks",
        "5.3.2.1",
        "iat and nbf up to 10 seconds ahead are accepted, and more than 60 seconds ahead refused.",
        &[check!(tokens::clock_ahead), check!(tokens::clock_far_ahead)],
    ),
    should(
        "fapi2-5.3.2.1-least-privilege",
        "5.3.2.1",
        "An access token may do no more than its use needs.",
        &[],
    )
    .unchecked("what a use needs is for those who let the client in to say"),
    must(
        "fapi2-5.3.2.2-code",
        "5.3.2.2",
        "The response type is code.",
        &[check!(endpoint::other_response_types)],
    ),
    must(
        "fapi2-5.3.2.2-pushed",
        "5.3.2.2",
        "Pushed authorization requests of authenticated clients work.",
        &[check!(endpoint::pushed_request_works)],
    ),
    must(
        "fapi2-5.3.2.2-only-pushed",
        "5.3.2.2",
        "An authorization request that was not pushed is refused.",
        &[check!(endpoint::plain_request)],
    ),
    must(
        "fapi2-5.3.2.2-push-authenticated",
        "5.3.2.2",
        "A pushed request without client authentication is refused.",
        &[check!(endpoint::unauthenticated_push)],
    ),
    must(
        "fapi2-5.3.2.2-pkce",
        "5.3.2.2",
        "PKCE with S256 is required.",
        &[check!(endpoint::without_pkce)],
    ),
    must(
        "fapi2-5.3.2.2-redirect-uri",
        "5.3.2.2",
        "redirect_uri is required in pushed requests.",
        &[check!(endpoint::without_redirect_uri)],
    ),
    must(
        "fapi2-5.3.2.2-iss",
        "5.3.2.2",
        "Authorization responses have iss.",
        &[check!(endpoint::response_has_issuer)],
    ),
    must(
        "fapi2-5.3.2.2-no-http-redirect",
        "5.3.2.2",
        "Redirection URIs do not use http, loopback of native apps excepted.",
        &[check!(endpoint::http_redirect_is_not_registered)],
    )
    .when(&[Feature::Member("registration_endpoint")]),
    must(
        "fapi2-5.3.2.2-code-once",
        "5.3.2.2",
        "A code that was used is refused.",
        &[check!(endpoint::code_twice)],
    ),
    must(
        "fapi2-5.3.2.2-no-307",
        "5.3.2.2",
        "A request with credentials is not redirected by 307.",
        &[check!(endpoint::credentials_are_not_sent_on)],
    ),
    should(
        "fapi2-5.3.2.2-303",
        "5.3.2.2",
        "Redirects have the status 303.",
        &[check!(endpoint::redirects_are_303)],
    ),
    must(
        "fapi2-5.3.2.2-expires-in",
        "5.3.2.2",
        "A request_uri lives for less than 600 seconds.",
        &[check!(endpoint::request_uri_is_short_lived)],
    ),
    should(
        "fapi2-5.3.2.2-informed",
        "5.3.2.2",
        "People are told what they need to decide: the client, and the scope.",
        &[],
    )
    .unchecked("what a person understands of a page is for people to judge"),
    must(
        "fapi2-5.3.2.2-nonce",
        "5.3.2.2",
        "nonce may have 64 characters.",
        &[check!(endpoint::long_nonce)],
    )
    .when(&[Feature::Listed("scopes_supported", "openid")]),
    must(
        "fapi2-5.3.2.3-openid",
        "5.3.2.3",
        "A client that is told who signed in is told so by OpenID Connect.",
        &[check!(tokens::person_is_identified)],
    )
    .when(&[Feature::Listed("scopes_supported", "openid")]),
    must(
        "fapi2-5.3.4-header",
        "5.3.4",
        "Protected resources take bound tokens from the header, with a proof.",
        &[check!(tokens::resource_takes_bound_tokens)],
    ),
    must(
        "fapi2-5.3.4-verified",
        "5.3.4",
        "Protected resources verify that it is the sender who shows the token.",
        &[check!(tokens::resource_wants_the_proof)],
    ),
    must(
        "fapi2-5.3.4-valid",
        "5.3.4",
        "Protected resources take no token that was forged or revoked.",
        &[check!(tokens::forged_token), check!(tokens::revoked_token)],
    ),
    rests(
        "fapi2-5.3.4-sufficient",
        "5.3.4",
        "Protected resources refuse a token that does not reach as far as the request.",
        &["rfc6750-3.1-insufficient-scope"],
    ),
    must(
        "fapi2-5.3.4-no-query",
        "5.3.4",
        "Protected resources take no tokens from the query.",
        &[check!(tokens::token_in_query)],
    ),
    must(
        "fapi2-5.4.1-algorithms",
        "5.4.1",
        "JWTs are signed with PS256, ES256 or EdDSA.",
        &[
            check!(algorithms::of_tokens),
            check!(algorithms::no_secrets_of_client),
            check!(algorithms::of_assertions),
            check!(algorithms::of_proofs),
            check!(algorithms::of_request_objects),
        ],
    ),
    rests(
        "fapi2-5.4.1-best-practices",
        "5.4.1",
        "JWTs are handled as their best current practices have it.",
        &[
            "rfc8725-3.1-one-algorithm",
            "rfc8725-3.1-verified",
            "rfc8725-3.2-no-none",
            "rfc8725-3.8-issuer",
            "rfc8725-3.9-audience",
            "rfc8725-3.10-claims-not-trusted",
            "rfc8725-3.11-typ",
            "rfc8725-3.12-id-token",
        ],
    ),
    rests(
        "fapi2-5.4.1-rsa",
        "5.4.1",
        "RSA keys have at least 2048 bits.",
        &["rfc7518-3.3-rsa-size"],
    ),
    must(
        "fapi2-5.4.1-curves",
        "5.4.1",
        "Keys on elliptic curves have at least 224 bits.",
        &[check!(algorithms::curves_are_long)],
    ),
    rests(
        "fapi2-5.4.1-entropy",
        "5.4.1",
        "Tokens and codes cannot be guessed.",
        &["rfc6749-10.10-guessing"],
    ),
    must(
        "fapi2-5.4.2-tls",
        "5.4.2",
        "Keys are published over TLS (this machine's own loopback excepted).",
        &[check!(look algorithms::keys_are_protected)],
    ),
    should(
        "fapi2-5.4.2-no-urls-of-keys",
        "5.4.2",
        "No JWT says in its header where its key is: neither by x5u nor by jku.",
        &[check!(algorithms::keys_are_not_elsewhere)],
    ),
    should_rest(
        "fapi2-5.4.2-kid",
        "5.4.2",
        "No two published keys have the same kid.",
        &["rfc7517-4.5-kid-distinct"],
    ),
    must(
        "fapi2-5.4.3-shared-kid",
        "5.4.3",
        "Of keys with the same kid, the one of the right type and algorithm verifies.",
        &[check!(algorithms::one_name_for_two_keys)],
    ),
];

const SIGNING_REQUIREMENTS: &[Requirement] = &[
    must(
        "fapi2-message-signing-5.3.1-signed",
        "5.3.1",
        "Pushed requests are signed request objects, and others are refused.",
        &[
            check!(signing::signed_request_works),
            check!(signing::unsigned_request),
            check!(signing::forged_request),
        ],
    ),
    must(
        "fapi2-message-signing-5.3.1-audience",
        "5.3.1",
        "The audience of a request object is the issuer, alone or among others.",
        &[check!(signing::audience)],
    ),
    must(
        "fapi2-message-signing-5.3.1-not-before",
        "5.3.1",
        "A request object has nbf, no longer than 60 minutes ago.",
        &[check!(signing::not_before)],
    ),
    must(
        "fapi2-message-signing-5.3.1-expiry",
        "5.3.1",
        "A request object has exp, no longer than 60 minutes after nbf.",
        &[check!(signing::expiry)],
    ),
    must(
        "fapi2-message-signing-5.3.1-typ",
        "5.3.1",
        "A request object may have the typ oauth-authz-req+jwt.",
        &[check!(signing::signed_request_works)],
    ),
    must(
        "fapi2-message-signing-5.4.1-signed",
        "5.4.1",
        "Authorization responses are signed, and no others can be had.",
        &[
            check!(signing::response_is_signed),
            check!(signing::plain_response),
        ],
    ),
    must(
        "fapi2-message-signing-5.5.1-introspection",
        "5.5.1",
        "Introspection as JWT is signed.",
        &[check!(signing::introspection_is_signed)],
    )
    .when(&[Feature::Member("introspection_endpoint")]),
];
