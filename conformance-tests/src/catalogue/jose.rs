//! RFC 7515, 7517, 7518, 7519 and 7638: published keys and the tokens that they sign.

mod keys;
mod tokens;

use super::{Feature, Standard, must, should};
use crate::check::check;

const KEYS: &[Feature] = &[Feature::Member("jwks_uri")];
const TOKENS: &[Feature] = &[Feature::Grant("client_credentials")];
const SIGNED: &[Feature] = &[
    Feature::Member("jwks_uri"),
    Feature::Grant("client_credentials"),
];

pub(super) const RFC7515: Standard = Standard {
    id: "RFC 7515",
    title: "JSON Web Signature (JWS)",
    requirements: &[
        must(
            "rfc7515-2-no-padding",
            "2",
            "The parts of a JWS are base64url without padding.",
            &[check!(tokens::no_padding)],
        )
        .when(TOKENS),
        must(
            "rfc7515-4.1.1-alg",
            "4.1.1",
            "The header of a JWS has alg.",
            &[check!(tokens::header_has_alg)],
        )
        .when(TOKENS),
        must(
            "rfc7515-4.1.11-crit",
            "4.1.11",
            "A JWS whose crit names an extension that is not understood is invalid.",
            &[check!(tokens::unknown_crit_in_assertion)],
        )
        .when(&[
            Feature::ClientAuthentication("private_key_jwt"),
            Feature::Grant("client_credentials"),
        ]),
        must(
            "rfc7515-5.2-signature",
            "5.2",
            "A signed access token verifies under a published key.",
            &[check!(tokens::token_verifies)],
        )
        .when(SIGNED),
    ],
};

pub(super) const RFC7517: Standard = Standard {
    id: "RFC 7517",
    title: "JSON Web Key (JWK)",
    requirements: &[
        must(
            "rfc7517-4.1-kty",
            "4.1",
            "Every key has kty.",
            &[check!(keys::kty_is_present)],
        )
        .when(KEYS),
        should(
            "rfc7517-4.3-use-or-key-ops",
            "4.3",
            "No key has both use and key_ops.",
            &[check!(keys::use_or_key_ops)],
        )
        .when(KEYS),
        should(
            "rfc7517-4.5-kid-distinct",
            "4.5",
            "Different keys have different kid.",
            &[check!(keys::kid_distinct)],
        )
        .when(KEYS),
        must(
            "rfc7517-5-keys",
            "5",
            "A JWK Set is a JSON object with the array keys.",
            &[check!(keys::keys_is_an_array)],
        )
        .when(KEYS),
        must(
            "rfc7517-9.2-no-private-members",
            "9.2",
            "Private and symmetric key material is not disclosed.",
            &[check!(keys::nothing_private)],
        )
        .when(KEYS),
    ],
};

pub(super) const RFC7518: Standard = Standard {
    id: "RFC 7518",
    title: "JSON Web Algorithms (JWA)",
    requirements: &[
        must(
            "rfc7518-3.1-alg-fits-key",
            "3.1",
            "The alg of a published signing key is one that keys of its type and curve can be used with.",
            &[check!(keys::alg_fits_key)],
        )
        .when(KEYS),
        must(
            "rfc7518-3.3-rsa-size",
            "3.3",
            "RSA keys have 2048 bits or more.",
            &[check!(keys::rsa_size)],
        )
        .when(KEYS),
        must(
            "rfc7518-6.2.1-ec-coordinates",
            "6.2.1",
            "EC keys have crv, and x and y of the full size of a coordinate.",
            &[check!(keys::ec_coordinates)],
        )
        .when(KEYS),
        must(
            "rfc7518-6.3.1-rsa-members",
            "6.3.1",
            "RSA keys have n and e, in the fewest octets that hold them.",
            &[check!(keys::rsa_members)],
        )
        .when(KEYS),
    ],
};

pub(super) const RFC7519: Standard = Standard {
    id: "RFC 7519",
    title: "JSON Web Token (JWT)",
    requirements: &[
        must("rfc7519-4-unique-names", "4", "The claim names of a JWT are unique.", &[check!(tokens::unique_names)]).when(TOKENS),
        must(
            "rfc7519-4.1-types",
            "4.1",
            "Registered claims have their types: strings, NumericDates, and for aud a string or a list of them.",
            &[check!(tokens::claim_types)],
        )
        .when(TOKENS),
        must("rfc7519-4.1.4-exp", "4.1.4", "A new token has not expired.", &[check!(tokens::exp_is_ahead)]).when(TOKENS),
        must("rfc7519-4.1.5-nbf", "4.1.5", "A new token may be used at once.", &[check!(tokens::nbf_has_passed)]).when(TOKENS),
        must("rfc7519-4.1.7-jti", "4.1.7", "Two tokens never have the same jti.", &[check!(tokens::jti_differs)]).when(TOKENS),
    ],
};

pub(super) const RFC7638: Standard = Standard {
    id: "RFC 7638",
    title: "JSON Web Key (JWK) Thumbprint",
    requirements: &[must(
        "rfc7638-3.2-members",
        "3.2",
        "Every published key has the members that its thumbprint is computed over.",
        &[check!(keys::thumbprints_exist)],
    )
    .when(KEYS)],
};
