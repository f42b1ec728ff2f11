//! Server metadata (RFC 8414, OpenID Connect Discovery 1.0): derived from the very sets that the endpoints match on, so that
//! nothing is announced that is not done.

use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Algorithm;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::authorize::request::{OwnScope, Prompt, RESPONSE_TYPES, ResponseMode};
use crate::clients::AuthMethod;
use crate::pkce;
use crate::routes;
use crate::token::GrantName;

/// What may be said of a person, in ID tokens and at userinfo.
const CLAIMS: [&str; 15] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "amr",
    "sid",
    "at_hash",
    "name",
    "updated_at",
    "email",
    "email_verified",
];

/// The document of an issuer that signs with `signs`, for both well-known paths.
#[must_use]
pub fn document(issuer: &Issuer, scopes: &ScopeSet, signs: &[Algorithm]) -> Value {
    let methods = |public: bool| {
        AuthMethod::ALL
            .into_iter()
            .filter(|method| public || *method != AuthMethod::None)
            .map(AuthMethod::as_str)
            .collect::<Vec<_>>()
    };
    let algorithms: Vec<_> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    let own = OwnScope::ALL.into_iter().filter(|scope| scope.is_served());
    let mut of_all: Vec<&str> = own.map(OwnScope::as_str).collect();
    of_all.extend(scopes.iter().map(ScopeToken::as_str));
    json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.endpoint(routes::AUTHORIZE),
        "token_endpoint": issuer.endpoint(routes::TOKEN),
        "userinfo_endpoint": issuer.endpoint(routes::USERINFO),
        "jwks_uri": issuer.endpoint(routes::JWKS),
        "introspection_endpoint": issuer.endpoint(routes::INTROSPECT),
        "revocation_endpoint": issuer.endpoint(routes::REVOKE),
        "scopes_supported": of_all,
        "response_types_supported": RESPONSE_TYPES,
        "response_modes_supported": ResponseMode::ALL.map(ResponseMode::as_str),
        "grant_types_supported": GrantName::ALL.map(GrantName::as_str),
        "code_challenge_methods_supported": [pkce::METHOD],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": Prompt::ALL.map(Prompt::as_str),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": signs.iter().map(|alg| alg.name()).collect::<Vec<_>>(),
        "claims_supported": CLAIMS,
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "token_endpoint_auth_methods_supported": methods(true),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods(false),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods(true),
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
    })
}

/// Adds where clients register, for a server that lets somebody do so.
pub fn add_registration(document: &mut Value, issuer: &Issuer) {
    if let Some(members) = document.as_object_mut() {
        let endpoint = issuer.endpoint(routes::REGISTER);
        members.insert("registration_endpoint".to_owned(), endpoint.into());
    }
}
