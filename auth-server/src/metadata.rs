//! Server metadata (RFC 8414, OpenID Connect Discovery 1.0): derived from the very sets that the endpoints match on, so that
//! nothing is announced that is not done.

use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{Algorithm, MacAlgorithm};
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::authorize::acr::Levels;
use crate::authorize::display::Display;
use crate::authorize::request::{OwnScope, Prompt, RESPONSE_TYPES, ResponseMode};
use crate::clients::AuthMethod;
use crate::locales::UI_LOCALES;
use crate::pkce;
use crate::routes;
use crate::token::GrantName;

/// What may be said of a person, in ID tokens and at userinfo.
const CLAIMS: [&str; 16] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "nonce",
    "amr",
    "sid",
    "at_hash",
    "name",
    "updated_at",
    "email",
    "email_verified",
];

/// What this server takes of clients.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a setting of its own"
)]
#[derive(Clone, Debug)]
pub struct Offered {
    /// How they may authenticate.
    pub methods: Vec<AuthMethod>,
    /// The issuer as it is reached where clients are asked for certificates, if that is elsewhere.
    pub mtls: Option<Issuer>,
    /// Whether they may describe themselves.
    pub documents: bool,
    /// Whether some may register themselves.
    pub registration: bool,
    /// Whether people may make an account for themselves.
    pub sign_up: bool,
    /// Whether clients may be told passwords.
    pub password_grant: bool,
    /// How sure this server may be of people.
    pub acr: Levels,
}

impl Offered {
    /// Whom the assertion of a client may be for, each alone (RFC 7523 §3): the issuer, the token endpoint, and its mTLS alias.
    #[must_use]
    pub fn audiences(&self, issuer: &Issuer) -> Vec<String> {
        let token = |issuer: &Issuer| issuer.endpoint(routes::TOKEN);
        let mut audiences = vec![issuer.as_str().to_owned(), token(issuer)];
        audiences.extend(self.mtls.as_ref().map(token));
        audiences
    }
}

/// The document of an issuer that signs with `signs`, for both well-known paths.
#[must_use]
pub fn document(
    issuer: &Issuer,
    scopes: &ScopeSet,
    signs: &[Algorithm],
    offered: &Offered,
) -> Value {
    let methods = |public: bool| {
        let methods = offered.methods.iter();
        methods
            .filter(|method| public || **method != AuthMethod::None)
            .map(|method| method.as_str())
            .collect::<Vec<_>>()
    };
    let macs = MacAlgorithm::ALL.into_iter().map(MacAlgorithm::name);
    let algorithms: Vec<_> = Algorithm::ALL
        .into_iter()
        .map(Algorithm::name)
        .chain(macs)
        .collect();
    let own = OwnScope::ALL.into_iter().filter(|scope| scope.is_served());
    let mut of_all: Vec<&str> = own.map(OwnScope::as_str).collect();
    of_all.extend(scopes.iter().map(ScopeToken::as_str));
    let grants = GrantName::ALL.into_iter();
    let grants = grants.filter(|grant| offered.password_grant || *grant != GrantName::Password);
    let prompts = Prompt::ALL.into_iter();
    let prompts = prompts.filter(|prompt| offered.sign_up || *prompt != Prompt::Create);
    // Where there are no levels, none is told.
    let levels: Vec<_> = offered.acr.values().collect();
    let claims = CLAIMS.into_iter();
    let claims = claims.filter(|claim| *claim != "acr" || !levels.is_empty());
    let mut document = json!({
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
        "grant_types_supported": grants.map(GrantName::as_str).collect::<Vec<_>>(),
        "code_challenge_methods_supported": [pkce::METHOD],
        "client_id_metadata_document_supported": offered.documents,
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": prompts.map(Prompt::as_str).collect::<Vec<_>>(),
        "display_values_supported": Display::ALL.map(Display::as_str),
        "ui_locales_supported": UI_LOCALES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": signs.iter().map(|alg| alg.name()).collect::<Vec<_>>(),
        "claims_supported": claims.collect::<Vec<_>>(),
        "claims_parameter_supported": false,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "token_endpoint_auth_methods_supported": methods(true),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods(false),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods(true),
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
    });
    if let (Some(mtls), Some(members)) = (&offered.mtls, document.as_object_mut()) {
        // RFC 8705 §5.
        let aliases = json!({
            "token_endpoint": mtls.endpoint(routes::TOKEN),
            "introspection_endpoint": mtls.endpoint(routes::INTROSPECT),
            "revocation_endpoint": mtls.endpoint(routes::REVOKE),
        });
        members.insert("mtls_endpoint_aliases".into(), aliases);
    }
    if let (false, Some(members)) = (levels.is_empty(), document.as_object_mut()) {
        members.insert("acr_values_supported".into(), json!(levels));
    }
    if let (true, Some(members)) = (offered.registration, document.as_object_mut()) {
        let endpoint = issuer.endpoint(routes::REGISTER);
        members.insert("registration_endpoint".into(), endpoint.into());
    }
    document
}
