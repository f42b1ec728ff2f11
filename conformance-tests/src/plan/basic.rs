//! Basic OP, and the same with the response mode `form_post`.

use super::{Module, Plan, module, unchecked};
use crate::catalogue::Feature;

pub(super) const PLAN: Plan = Plan {
    id: "basic",
    title: "Basic OP",
    name: "oidcc-basic-certification-test-plan",
    response_mode: None,
    modules: MODULES,
};

pub(super) const FORM_POST: Plan = Plan {
    id: "form-post",
    title: "Form Post OP",
    name: "oidcc-formpost-basic-certification-test-plan",
    response_mode: Some("form_post"),
    modules: MODULES,
};

const CORE: &str = "OIDC Core";

/// What an OpenID provider offers, or is none.
const CODE: &[Feature] = &[
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
];

const MODULES: &[Module] = &[
    module(
        "oidcc-server",
        (CORE, "3.1"),
        "A sign-in by the code flow gives an ID token as it should be.",
        &[
            "oidccore-2-claims",
            "oidccore-2-subject",
            "oidccore-2-nonce",
            "oidccore-2-signed",
            "oidccore-3.1.3.3-id-token",
            "oidccore-3.1.3.6-at-hash",
            "oidccore-3.1.3.7-issuer-and-audience",
            "oidccore-3.1.3.7-algorithm",
            "rfc6749-4.1.2-state",
        ],
    )
    .when(CODE),
    module(
        "oidcc-response-type-missing",
        (CORE, "3.1.2.2"),
        "A request without response_type is refused.",
        &["rfc6749-3.1.1-response-type"],
    )
    .when(CODE),
    module(
        "oidcc-idtoken-signature",
        (CORE, "3.1.3.7"),
        "The ID token is signed with a published key, which its header names where there are several.",
        &["oidccore-2-signed", "oidccore-3.1.3.7-algorithm"],
    )
    .when(CODE),
    unchecked(
        "oidcc-idtoken-unsigned",
        (CORE, "2"),
        "A client that registers none for its ID tokens gets unsigned ones.",
        "unsigned ID tokens are offered by servers that RFC 8725 §3.2 warns of, and the tests ask nobody for them",
    )
    .when(&[Feature::Listed(
        "id_token_signing_alg_values_supported",
        "none",
    )]),
    module(
        "oidcc-userinfo-get",
        (CORE, "5.3.1"),
        "Userinfo is answered by GET, for the person of the ID token.",
        &[
            "oidccore-5.3-methods",
            "oidccore-5.3.2-subject",
            "oidccore-5.3.2-json",
        ],
    )
    .when(CODE),
    module(
        "oidcc-userinfo-post-header",
        (CORE, "5.3.1"),
        "Userinfo is answered by POST with the token in the header.",
        &["oidccore-5.3-methods"],
    )
    .when(CODE),
    module(
        "oidcc-userinfo-post-body",
        (CORE, "5.3.1"),
        "Userinfo is answered by POST with the token in the body.",
        &["oidccore-5.3.1-body"],
    )
    .when(CODE),
    module(
        "oidcc-ensure-request-without-nonce-succeeds-for-code-flow",
        (CORE, "3.1.2.1"),
        "nonce may be left out in the code flow.",
        &["oidccore-2-nonce"],
    )
    .when(CODE),
    module(
        "oidcc-scope-profile",
        (CORE, "5.4"),
        "The scope profile brings the profile.",
        &["oidccore-5.4-profile"],
    )
    .when(CODE),
    module(
        "oidcc-scope-email",
        (CORE, "5.4"),
        "The scope email brings the email address.",
        &["oidccore-5.4-email"],
    )
    .when(CODE),
    module(
        "oidcc-scope-address",
        (CORE, "5.4"),
        "The scope address brings the postal address.",
        &["oidccore-5.4-address"],
    )
    .when(CODE),
    module(
        "oidcc-scope-phone",
        (CORE, "5.4"),
        "The scope phone brings the telephone number.",
        &["oidccore-5.4-phone"],
    )
    .when(CODE),
    module(
        "oidcc-scope-all",
        (CORE, "5.4"),
        "All scopes may be asked for at once.",
        &["oidccore-5.4-all"],
    )
    .when(CODE),
    module(
        "oidcc-alternate-happy-flow",
        ("RFC 6749", "3.3"),
        "The order of scopes and of parameters does not matter.",
        &["oidccore-5.4-all"],
    )
    .when(CODE),
    module(
        "oidcc-display-page",
        (CORE, "3.1.2.1"),
        "display=page is taken.",
        &["oidccore-3.1.2.1-display"],
    )
    .when(CODE),
    module(
        "oidcc-display-popup",
        (CORE, "3.1.2.1"),
        "display=popup is taken.",
        &["oidccore-3.1.2.1-display"],
    )
    .when(CODE),
    module(
        "oidcc-prompt-login",
        (CORE, "3.1.2.1"),
        "prompt=login makes the person sign in again.",
        &["oidccore-3.1.2.1-prompt-login"],
    )
    .when(CODE),
    module(
        "oidcc-prompt-none-not-logged-in",
        (CORE, "3.1.2.6"),
        "prompt=none without a session is answered login_required.",
        &["oidccore-3.1.2.1-prompt-none"],
    )
    .when(CODE),
    module(
        "oidcc-prompt-none-logged-in",
        (CORE, "3.1.2.1"),
        "prompt=none with a session gives a code for the same person.",
        &["oidccore-3.1.2.1-prompt-none-consented"],
    )
    .when(CODE),
    module(
        "oidcc-max-age-1",
        (CORE, "3.1.2.1"),
        "Past max_age the person signs in again, and auth_time says when.",
        &["oidccore-3.1.2.1-max-age", "oidccore-3.1.2.1-auth-time"],
    )
    .when(CODE),
    module(
        "oidcc-max-age-10000",
        (CORE, "3.1.2.1"),
        "Within max_age the person does not sign in again.",
        &["oidccore-3.1.2.1-max-age-within"],
    )
    .when(CODE),
    module(
        "oidcc-ensure-request-with-unknown-parameter-succeeds",
        (CORE, "3.1.2.1"),
        "A parameter that nobody knows is ignored.",
        &["rfc6749-3.1-unknown-ignored"],
    )
    .when(CODE),
    module(
        "oidcc-id-token-hint",
        (CORE, "3.1.2.1"),
        "prompt=none with the person's ID token as a hint gives a code.",
        &["oidccore-3.1.2.1-id-token-hint"],
    )
    .when(CODE),
    module(
        "oidcc-login-hint",
        (CORE, "3.1.2.1"),
        "login_hint is taken.",
        &["oidccore-3.1.2.1-login-hint"],
    )
    .when(CODE),
    module(
        "oidcc-ui-locales",
        (CORE, "3.1.2.1"),
        "ui_locales is taken.",
        &["oidccore-15.1-parameters"],
    )
    .when(CODE),
    module(
        "oidcc-claims-locales",
        (CORE, "5.2"),
        "claims_locales is taken.",
        &["oidccore-15.1-parameters"],
    )
    .when(CODE),
    module(
        "oidcc-ensure-request-with-acr-values-succeeds",
        (CORE, "3.1.2.1"),
        "acr_values is taken, and acr told where it is announced.",
        &["oidccore-15.1-parameters", "oidccore-3.1.2.1-acr-values"],
    )
    .when(CODE),
    module(
        "oidcc-codereuse",
        (CORE, "3.1.3.2"),
        "A code is redeemed once.",
        &["rfc6749-4.1.2-code-once"],
    )
    .when(CODE),
    module(
        "oidcc-codereuse-30seconds",
        (CORE, "3.1.3.2"),
        "A code that comes back later is refused, and what it gave is revoked.",
        &["rfc6749-4.1.2-code-once", "rfc6749-4.1.2-replay-revokes"],
    )
    .when(CODE),
    module(
        "oidcc-ensure-registered-redirect-uri",
        (CORE, "3.1.2.1"),
        "A redirection URI that is not registered is refused at a page.",
        &["rfc9700-2.1-exact-redirects"],
    )
    .when(CODE),
    module(
        "oidcc-ensure-post-request-succeeds",
        (CORE, "3.1.2.1"),
        "The authorization endpoint takes POST.",
        &["oidccore-3.1.2.1-post"],
    )
    .when(CODE),
    module(
        "oidcc-server-client-secret-post",
        (CORE, "9"),
        "A client may authenticate with client_secret_post.",
        &["oidccore-9-client-secret-post"],
    )
    .when(CODE),
    REQUEST_URI_UNSIGNED,
    module(
        "oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported",
        (CORE, "6.1"),
        "An unsigned request object is taken as it says, or refused as not supported.",
        &["oidccore-6.1-not-supported", "oidccore-6.1-unsigned"],
    )
    .when(CODE),
    module(
        "oidcc-claims-essential",
        (CORE, "5.5.1"),
        "A claim that is asked for as essential is told.",
        &["oidccore-5.5.1-essential", "oidccore-5.5.1-told"],
    )
    .when(CODE),
    REQUEST_OBJECT_WITH_REDIRECT,
    REFRESH_TOKEN,
    module(
        "oidcc-ensure-request-with-valid-pkce-succeeds",
        ("RFC 7636", "4.3"),
        "PKCE with S256 works.",
        &["rfc7636-4.2-s256", "rfc7636-4.6-verifier"],
    )
    .when(CODE),
];

const REQUEST_URI_UNSIGNED: Module = module(
    "oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported",
    (CORE, "6.2"),
    "An unsigned request object by reference is taken as it says, or refused as not supported.",
    &["oidccore-6.2-not-supported", "rfc9101-5.2-reference"],
)
.when(CODE);

pub(super) const REQUEST_OBJECT_WITH_REDIRECT: Module = module(
    "oidcc-ensure-request-object-with-redirect-uri",
    (CORE, "6.1"),
    "The redirection URI within a request object is the one that counts.",
    &["rfc9101-6.3-parameters", "rfc9101-6.3-validated"],
)
.when(CODE);

pub(super) const REFRESH_TOKEN: Module = module(
    "oidcc-refresh-token",
    (CORE, "12"),
    "A refresh token works for its client and for no other, and brings the same person.",
    &[
        "rfc6749-6-refresh",
        "rfc6749-6-refresh-binding",
        "oidccore-12.2-id-token",
    ],
)
.when(CODE);
