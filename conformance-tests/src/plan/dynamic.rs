//! Config OP and Dynamic OP.

use super::basic::{REFRESH_TOKEN, REQUEST_OBJECT_WITH_REDIRECT};
use super::{Module, Plan, module, unchecked};
use crate::catalogue::Feature;

pub(super) const CONFIG: Plan = Plan {
    id: "config",
    title: "Config OP",
    name: "oidcc-config-certification-test-plan",
    response_mode: None,
    modules: &[DISCOVERY],
};

pub(super) const PLAN: Plan = Plan {
    id: "dynamic",
    title: "Dynamic OP",
    name: "oidcc-dynamic-certification-test-plan",
    response_mode: None,
    modules: MODULES,
};

const CORE: &str = "OIDC Core";
const REGISTRATION: &str = "OIDC Registration";

const REGISTERED: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Member("authorization_endpoint"),
    Feature::Grant("authorization_code"),
    Feature::Listed("scopes_supported", "openid"),
];
const BY_REFERENCE: &[Feature] = &[
    Feature::Member("registration_endpoint"),
    Feature::Flag("request_uri_parameter_supported"),
];

const DISCOVERY: Module = module(
    "oidcc-discovery-endpoint-verification",
    ("OIDC Discovery", "4.3"),
    "The configuration is complete and right, and so are the keys that it names.",
    &[
        "oidcdiscovery-3-required",
        "oidcdiscovery-3-rs256",
        "oidcdiscovery-3-scopes",
        "oidcdiscovery-4.2-json",
        "oidcdiscovery-4.2-no-empty-lists",
        "oidcdiscovery-4.3-issuer-identical",
        "rfc8414-2-endpoints-protected",
        "rfc8414-2-types",
        "rfc7517-5-keys",
        "rfc7517-4.5-kid-distinct",
        "rfc7517-9.2-no-private-members",
    ],
);

const MODULES: &[Module] = &[
    module(
        "oidcc-idtoken-rs256",
        (REGISTRATION, "2"),
        "A client that registers RS256 gets ID tokens signed with it.",
        &["oidcregistration-2-id-token-alg"],
    )
    .when(REGISTERED),
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
        "oidcc-userinfo-rs256",
        (REGISTRATION, "2"),
        "A client that registers RS256 for userinfo gets a JWT signed with it.",
        &["oidcregistration-2-userinfo-alg"],
    )
    .when(REGISTERED),
    module(
        "oidcc-ensure-redirect-uri-in-authorization-request",
        (CORE, "3.1.2.1"),
        "A request without redirect_uri is refused.",
        &["oidccore-3.1.2.1-redirect-uri"],
    )
    .when(REGISTERED),
    module(
        "oidcc-redirect-uri-query-OK",
        (CORE, "3.1.2.1"),
        "A registered redirection URI may have a query, which is kept.",
        &["oidccore-3.1.2.1-redirect-query"],
    )
    .when(REGISTERED),
    module(
        "oidcc-redirect-uri-query-mismatch",
        (CORE, "3.1.2.1"),
        "A redirection URI whose query is another one is refused.",
        &["oidccore-3.1.2.1-redirect-query"],
    )
    .when(REGISTERED),
    module(
        "oidcc-redirect-uri-query-added",
        (CORE, "3.1.2.1"),
        "A redirection URI with a query that is not registered is refused.",
        &[
            "oidccore-3.1.2.1-redirect-query",
            "rfc9700-2.1-exact-redirects",
        ],
    )
    .when(REGISTERED),
    module(
        "oidcc-redirect-uri-regfrag",
        (REGISTRATION, "2"),
        "A redirection URI with a fragment is not registered.",
        &["rfc7591-3.2.2-invalid-redirect-uri"],
    )
    .when(REGISTERED),
    DISCOVERY,
    module(
        "oidcc-server",
        (REGISTRATION, "3"),
        "A client that has just registered signs a person in.",
        &[
            "oidcregistration-3.2-response",
            "rfc7591-3.2.1-created",
            "rfc7591-3.2.1-secret",
            "rfc7591-3.2.1-metadata",
            "oidcregistration-2-id-token-alg",
        ],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-logo-uri",
        (REGISTRATION, "2"),
        "logo_uri is taken and the logo shown.",
        &["oidcregistration-2-logo-uri"],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-policy-uri",
        (REGISTRATION, "2"),
        "policy_uri is taken and linked where consent is asked for.",
        &["oidcregistration-2-uris", "oidcregistration-2-uris-shown"],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-tos-uri",
        (REGISTRATION, "2"),
        "tos_uri is taken and linked where consent is asked for.",
        &["oidcregistration-2-uris", "oidcregistration-2-uris-shown"],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-jwks-uri",
        (REGISTRATION, "2"),
        "Keys that are registered by jwks_uri are fetched.",
        &["oidcregistration-2-jwks-uri"],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-sector-uri",
        (REGISTRATION, "5"),
        "A sector_identifier_uri that lists the redirection URIs is taken.",
        &["oidcregistration-5-sector"],
    )
    .when(REGISTERED),
    module(
        "oidcc-registration-sector-bad",
        (REGISTRATION, "5"),
        "A sector_identifier_uri that does not is refused.",
        &["oidcregistration-5-sector-bad"],
    )
    .when(REGISTERED),
    module(
        "oidcc-server-rotate-keys",
        (CORE, "10.1.1"),
        "The server's keys rotate, and the old ones stay for a while.",
        &["oidccore-10.1.1-rotation"],
    )
    .when(REGISTERED),
    module(
        "oidcc-refresh-token-rp-key-rotation",
        (CORE, "10.1.1"),
        "A client that has changed its keys authenticates with the new ones.",
        &["oidccore-10.1.1-client-rotation"],
    )
    .when(REGISTERED),
    unchecked(
        "oidcc-request-uri-unsigned",
        (CORE, "6.2"),
        "An unsigned request object by reference is taken.",
        "unsigned request objects protect nothing, and the tests ask nobody for them",
    )
    .when(BY_REFERENCE),
    unchecked(
        "oidcc-request-uri-signed-rs256",
        (CORE, "6.2"),
        "A request object by reference that is signed with RS256 is taken.",
        "the tests sign request objects with ES256 alone",
    )
    .when(BY_REFERENCE),
    REQUEST_OBJECT_WITH_REDIRECT,
    REFRESH_TOKEN,
    module(
        "oidcc-ensure-client-assertion-with-iss-aud-succeeds",
        (CORE, "9"),
        "A client assertion whose aud is the issuer is taken.",
        &["oidccore-9-private-key-jwt"],
    )
    .when(REGISTERED),
];
