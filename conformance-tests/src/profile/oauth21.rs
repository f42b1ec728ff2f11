//! OAuth 2.1, a draft: RFC 6749, RFC 6750, RFC 7636, RFC 8252 and RFC 9700 in one document, without what has become insecure.

use super::{Profile, rests, should_rest};
use crate::catalogue::{Requirement, Standard};

pub(super) const PROFILE: Profile = Profile {
    id: "oauth2.1",
    title: "OAuth 2.1",
    edition: "draft-ietf-oauth-v2-1-16",
    parts: &[&STANDARD],
    signs: false,
    names_resources: false,
};

const STANDARD: Standard = Standard {
    id: "OAuth 2.1",
    title: "The OAuth 2.1 Authorization Framework",
    requirements: REQUIREMENTS,
};

const REQUIREMENTS: &[Requirement] = &[
    rests(
        "oauth2.1-2.3.1-exact-redirects",
        "2.3.1",
        "A redirection URI that is not exactly a registered one is refused, but for the port of a loopback.",
        &["rfc9700-2.1-exact-redirects", "rfc8252-8.4-exact"],
    ),
    rests(
        "oauth2.1-2.3.5-no-redirect",
        "2.3.5",
        "Nobody is sent to a redirection URI that is not valid.",
        &["rfc6749-3.1.2.4-unknown-client"],
    ),
    should_rest(
        "oauth2.1-2.4-asymmetric",
        "2.4",
        "Clients can authenticate with asymmetric keys.",
        &["rfc9700-2.5-asymmetric"],
    ),
    rests(
        "oauth2.1-2.4-one-method",
        "2.4",
        "A request with more than one method of client authentication is refused.",
        &["rfc6749-2.3-one-method"],
    ),
    rests(
        "oauth2.1-2.4.1-body",
        "2.4.1",
        "A client with a secret can send it in the body.",
        &["rfc6749-2.3.1-body"],
    ),
    rests(
        "oauth2.1-3.1-authorization-endpoint",
        "3.1",
        "The authorization endpoint has no fragment, ignores what it does not know, and treats what is empty as absent.",
        &[
            "rfc6749-3.1-fragment",
            "rfc6749-3.1-unknown-ignored",
            "rfc6749-3.1-empty-is-absent",
        ],
    ),
    rests(
        "oauth2.1-3.1-no-duplicates",
        "3.1",
        "No parameter of an authorization request may stand twice.",
        &["rfc6749-3.1-no-duplicates"],
    ),
    rests(
        "oauth2.1-3.1-no-cors",
        "3.1",
        "The authorization endpoint does not support CORS.",
        &["rfc9700-2.6-no-cors-at-authorize"],
    ),
    rests(
        "oauth2.1-3.2-token-endpoint",
        "3.2",
        "The token endpoint has no fragment, ignores what it does not know, and treats what is empty as absent.",
        &[
            "rfc6749-3.2-fragment",
            "rfc6749-3.2-unknown-ignored",
            "rfc6749-3.2-empty-is-absent",
        ],
    ),
    rests(
        "oauth2.1-3.2-no-duplicates",
        "3.2",
        "No parameter of a token request may stand twice.",
        &["rfc6749-3.2-no-duplicates"],
    ),
    rests(
        "oauth2.1-3.2.1-authentication",
        "3.2.1",
        "Confidential clients authenticate at the token endpoint.",
        &["rfc6749-3.2.1-client-authentication"],
    ),
    rests(
        "oauth2.1-3.2.3-response",
        "3.2.3",
        "The answer with tokens is JSON that is not stored, with access_token and token_type.",
        &[
            "rfc6749-5.1-fields",
            "rfc6749-5.1-json",
            "rfc6749-5.1-no-store",
        ],
    ),
    rests(
        "oauth2.1-3.2.4-errors",
        "3.2.4",
        "Refusals name what is wrong.",
        &[
            "rfc6749-5.2-invalid-request",
            "rfc6749-5.2-invalid-client",
            "rfc6749-5.2-invalid-grant",
            "rfc6749-5.2-unsupported-grant-type",
            "rfc6749-5.2-invalid-scope",
            "rfc6749-5.2-form",
        ],
    ),
    rests(
        "oauth2.1-4.1.1-response-type",
        "4.1.1",
        "A response_type that is missing or not known is answered with an error.",
        &["rfc6749-3.1.1-response-type"],
    ),
    rests(
        "oauth2.1-4.1.1-pkce",
        "4.1.1",
        "code_challenge and code_verifier are supported with S256, and enforced.",
        &[
            "rfc9700-2.1.1-pkce",
            "rfc7636-4.2-s256",
            "rfc7636-4.6-verifier",
        ],
    ),
    rests(
        "oauth2.1-4.1.2-state",
        "4.1.2",
        "Responses have state as it was sent.",
        &["rfc6749-4.1.2-state"],
    ),
    rests(
        "oauth2.1-4.1.2-iss",
        "4.1.2",
        "Responses, errors included, have iss.",
        &["rfc9207-2-iss"],
    ),
    rests(
        "oauth2.1-4.1.2.1-public-clients",
        "4.1.2.1",
        "A request of a public client without code_challenge is refused.",
        &["rfc9700-2.1.1-public-clients"],
    ),
    rests(
        "oauth2.1-4.1.2.1-errors",
        "4.1.2.1",
        "Errors are told to the client, with state.",
        &[
            "rfc6749-4.1.2.1-access-denied",
            "rfc6749-4.1.2.1-invalid-scope",
        ],
    ),
    rests(
        "oauth2.1-4.1.3-binding",
        "4.1.3",
        "A code is redeemed by the client that it was issued to, and with its verifier alone.",
        &[
            "rfc6749-4.1.3-code-binding",
            "rfc7636-4.6-verifier-required",
            "rfc9700-2.1.1-downgrade",
        ],
    ),
    rests(
        "oauth2.1-4.2-confidential",
        "4.2",
        "client_credentials is for clients that authenticate.",
        &["rfc6749-4.4-confidential-only"],
    ),
    rests(
        "oauth2.1-4.3-binding",
        "4.3",
        "A refresh token is bound to the client that it was issued to.",
        &["rfc6749-6-refresh-binding"],
    ),
    rests(
        "oauth2.1-4.3.1-scope",
        "4.3.1",
        "A refresh does not widen the scope.",
        &["rfc6749-6-refresh-scope"],
    ),
    rests(
        "oauth2.1-4.3.1-replay",
        "4.3.1",
        "Refresh tokens of public clients are sender-constrained, or rotated so that a replay is found out.",
        &["rfc9700-2.2.2-refresh-tokens", "rfc9700-4.14.2-reuse"],
    ),
    rests(
        "oauth2.1-5.1-no-query",
        "5.1",
        "Protected resources take no token from the query.",
        &["rfc6750-2.3-no-query"],
    ),
    rests(
        "oauth2.1-5.1.1-header",
        "5.1.1",
        "Protected resources take tokens from the Authorization header, whatever the case of the scheme.",
        &["rfc6750-2.1-header", "rfc6750-2.1-scheme-case"],
    ),
    rests(
        "oauth2.1-5.3.1-challenge",
        "5.3.1",
        "A request without a good token is answered with a Bearer challenge.",
        &[
            "rfc6750-3-challenge",
            "rfc6750-3-scheme",
            "rfc6750-3-parameters-once",
        ],
    ),
    should_rest(
        "oauth2.1-5.3.2-errors",
        "5.3.2",
        "The challenge names what is wrong.",
        &["rfc6750-3.1-invalid-token", "rfc6750-3.1-invalid-request"],
    ),
    should_rest(
        "oauth2.1-7.1.4-audience",
        "7.1.4",
        "Access tokens are restricted to one audience.",
        &["rfc9700-2.3-audience"],
    ),
    rests(
        "oauth2.1-7.5.2-no-plain",
        "7.5.2",
        "The challenge method plain is refused.",
        &["rfc7636-4.3-default-method", "rfc7636-4.4.1-method"],
    ),
    rests(
        "oauth2.1-7.5.3-code-once",
        "7.5.3",
        "A code is redeemed once.",
        &["rfc6749-4.1.2-code-once"],
    ),
    should_rest(
        "oauth2.1-7.5.3-replay-revokes",
        "7.5.3",
        "A second redemption revokes what the first gave.",
        &["rfc6749-4.1.2-replay-revokes"],
    ),
    rests(
        "oauth2.1-7.5.4-no-307",
        "7.5.4",
        "A request with credentials is not redirected by 307.",
        &["rfc9700-4.12-no-307"],
    ),
    rests(
        "oauth2.1-7.11-clickjacking",
        "7.11",
        "The pages of the authorization endpoint cannot be framed.",
        &["rfc9700-4.16-clickjacking"],
    ),
    rests(
        "oauth2.1-7.13.2-no-open-redirector",
        "7.13.2",
        "The authorization endpoint is no open redirector.",
        &["rfc9700-4.11.2-no-open-redirector"],
    ),
    rests(
        "oauth2.1-8.4.2-any-port",
        "8.4.2",
        "The port of a loopback redirection URI may vary.",
        &["rfc8252-7.3-any-port"],
    ),
    rests(
        "oauth2.1-10.1-no-implicit",
        "10.1",
        "There is no implicit grant.",
        &["rfc9700-2.1.2-no-implicit"],
    ),
    rests(
        "oauth2.1-10-no-password-grant",
        "10",
        "There is no password grant.",
        &["rfc9700-2.4-no-password-grant"],
    ),
];
