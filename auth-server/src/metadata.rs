//! Server metadata (RFC 8414, OpenID Connect Discovery 1.0): derived from the very sets that the endpoints match on, so that
//! nothing is announced that is not done.

use serde::Serialize;
use serde_json::{Value, json};
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{
    Algorithm, ContentEncryption, JwtKind, KeyManagement, MacAlgorithm, SignError, Signer, sign_jwt,
};
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::authorize::request::{OwnScope, Prompt, RESPONSE_TYPES, ResponseMode};
use crate::claims::Claim;
use crate::clients::AuthMethod;
use crate::pkce;
use crate::routes;
use crate::subjects::SubjectType;
use crate::token::GrantName;

/// What ID tokens say beside the claims of people.
const CLAIMS: [&str; 11] = [
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
];

/// What this server takes of clients.
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
    let mut of_all = OwnScope::ALL.map(OwnScope::as_str).to_vec();
    of_all.extend(scopes.iter().map(ScopeToken::as_str));
    let signs: Vec<_> = signs.iter().map(|alg| alg.name()).collect();
    let of_people = Claim::ALL.iter().map(|claim| claim.as_str());
    let claims: Vec<_> = CLAIMS.into_iter().chain(of_people).collect();
    let management = KeyManagement::ALL.map(KeyManagement::name);
    let encryption = ContentEncryption::ALL.map(ContentEncryption::name);
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
        "grant_types_supported": GrantName::ALL.map(GrantName::as_str),
        "code_challenge_methods_supported": [pkce::METHOD],
        "client_id_metadata_document_supported": offered.documents,
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": Prompt::ALL.map(Prompt::as_str),
        "subject_types_supported": SubjectType::ALL.map(SubjectType::as_str),
        "id_token_signing_alg_values_supported": signs,
        "id_token_encryption_alg_values_supported": management,
        "id_token_encryption_enc_values_supported": encryption,
        "userinfo_signing_alg_values_supported": signs,
        "userinfo_encryption_alg_values_supported": management,
        "userinfo_encryption_enc_values_supported": encryption,
        "claims_supported": claims,
        "claims_parameter_supported": true,
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
    if let (true, Some(members)) = (offered.registration, document.as_object_mut()) {
        let endpoint = issuer.endpoint(routes::REGISTER);
        members.insert("registration_endpoint".into(), endpoint.into());
    }
    document
}

/// The document with itself in it once more, signed (RFC 8414 §2.1, `signed_metadata`), for whoever got it by a way that could have changed
/// it.
///
/// # Errors
/// [`SignError`].
pub async fn signed(mut document: Value, signer: &dyn Signer) -> Result<Value, SignError> {
    #[derive(Serialize)]
    struct Statement<'a> {
        iss: &'a Value,
        #[serde(flatten)]
        members: &'a Value,
    }
    let statement = Statement {
        iss: document.get("issuer").unwrap_or(&Value::Null),
        members: &document,
    };
    let jwt = sign_jwt(JwtKind::ServerMetadata, &statement, signer).await?;
    if let Some(members) = document.as_object_mut() {
        members.insert("signed_metadata".into(), jwt.into());
    }
    Ok(document)
}
