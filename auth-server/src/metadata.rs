//! Server metadata (RFC 8414, OpenID Connect Discovery 1.0): derived from the very sets that the endpoints match on, so that
//! nothing is announced that is not done.

use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::Algorithm;
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::clients::AuthMethod;
use crate::routes;
use crate::token::GrantName;

/// The document of an issuer, for both well-known paths.
#[must_use]
pub fn document(issuer: &Issuer, scopes: &ScopeSet) -> Value {
    let methods = |public: bool| {
        AuthMethod::ALL
            .into_iter()
            .filter(|method| public || *method != AuthMethod::None)
            .map(AuthMethod::as_str)
            .collect::<Vec<_>>()
    };
    let algorithms: Vec<_> = Algorithm::ALL.into_iter().map(Algorithm::name).collect();
    let mut document = json!({
        "issuer": issuer.as_str(),
        "token_endpoint": issuer.endpoint(routes::TOKEN),
        "jwks_uri": issuer.endpoint(routes::JWKS),
        "introspection_endpoint": issuer.endpoint(routes::INTROSPECT),
        "revocation_endpoint": issuer.endpoint(routes::REVOKE),
        // RFC 8414 §2 requires it, though no flow with an authorization endpoint is served yet, and §3.2 would leave a list
        // without elements out: what is required wins.
        "response_types_supported": [],
        "grant_types_supported": GrantName::ALL.map(GrantName::as_str),
        // A public client has nothing to do at the token endpoint while client_credentials is the only grant.
        "token_endpoint_auth_methods_supported": methods(false),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods(false),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods(true),
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
    });
    // RFC 8414 §3.2: what has no elements is left out.
    if let Some(members) = document.as_object_mut().filter(|_| !scopes.is_empty()) {
        let scopes: Vec<_> = scopes.iter().map(ScopeToken::as_str).collect();
        members.insert("scopes_supported".into(), scopes.into());
    }
    document
}
