//! Server metadata (RFC 8414, OpenID Connect Discovery 1.0): derived from the very sets that the endpoints match on, so that
//! nothing is announced that is not done.

use serde::Serialize;
use serde_json::{Map, Value, json};
use shared_protocol::dpop;
use shared_protocol::issuer::Issuer;
use shared_protocol::jose::{
    Algorithm, ContentEncryption, JwtKind, KeyManagement, MacAlgorithm, SignError, Signer, sign_jwt,
};
use shared_protocol::scope::{ScopeSet, ScopeToken};

use crate::authorize::acr::Levels;
use crate::authorize::display::Display;
use crate::authorize::request::{OwnScope, Prompt, RequestPolicy, ResponseMode};
use crate::claims::Claim;
use crate::clients::{AuthMethod, ObjectAlgorithm};
use crate::global_revocation;
use crate::locales::UI_LOCALES;
use crate::pkce;
use crate::profiles::Profiles;
use crate::resource_servers::Snapshot;
use crate::routes;
use crate::subjects::SubjectType;
use crate::token::GrantName;
use crate::token::token_type::TokenType;
use crate::trusted_issuers::{self, AssertionKind};

/// The grant by an ID-JAG (draft-ietf-oauth-identity-assertion-authz-grant-03 §7.2).
const ID_JAG: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// What ID tokens say beside the claims of people.
const CLAIMS: [&str; 14] = [
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
    "c_hash",
    "grant_id",
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
    /// What is asked of their authorization requests, and what those may ask for.
    pub requests: RequestPolicy,
    /// What is demanded of them.
    pub profiles: Profiles,
    /// Whether people may make an account for themselves.
    pub sign_up: bool,
    /// Whether clients may be told passwords.
    pub password_grant: bool,
    /// How sure this server may be of people.
    pub acr: Levels,
}

impl Offered {
    /// What clients may sign with that is verified here.
    fn verified(&self) -> impl Iterator<Item = Algorithm> {
        let demands = self.profiles.server();
        let all = Algorithm::ALL.into_iter();
        all.filter(move |alg| demands.permits(*alg))
    }

    /// Whether certificates of clients are seen, here or by a proxy.
    #[must_use]
    pub fn sees_certificates(&self) -> bool {
        self.methods.contains(&AuthMethod::SelfSignedTlsClientAuth)
    }

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
    (servers, issuers): (&Snapshot, &trusted_issuers::Snapshot),
    signs: &[Algorithm],
    offered: &Offered,
) -> Value {
    let signs: Vec<_> = signs.iter().map(|alg| alg.name()).collect();
    let parts = [
        endpoints(issuer, offered),
        clients(offered),
        requests((servers, issuers), &signs, offered),
        people(&signs, offered),
    ];
    let mut document = Map::new();
    for part in parts {
        if let Value::Object(members) = part {
            // What is null is not there.
            document.extend(members.into_iter().filter(|(_, value)| !value.is_null()));
        }
    }
    Value::Object(document)
}

/// Where what is done. What is null is not there.
fn endpoints(issuer: &Issuer, offered: &Offered) -> Value {
    let register = offered
        .registration
        .then(|| issuer.endpoint(routes::REGISTER));
    // RFC 8705 §5.
    let aliases = offered.mtls.as_ref().map(|mtls| {
        json!({
            "token_endpoint": mtls.endpoint(routes::TOKEN),
            "introspection_endpoint": mtls.endpoint(routes::INTROSPECT),
            "revocation_endpoint": mtls.endpoint(routes::REVOKE),
            "pushed_authorization_request_endpoint": mtls.endpoint(routes::PUSH),
            "device_authorization_endpoint": mtls.endpoint(routes::DEVICE_AUTHORIZATION),
            "userinfo_endpoint": mtls.endpoint(routes::USERINFO),
        })
    });
    json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.endpoint(routes::AUTHORIZE),
        "pushed_authorization_request_endpoint": issuer.endpoint(routes::PUSH),
        "token_endpoint": issuer.endpoint(routes::TOKEN),
        // RFC 8628 §4.
        "device_authorization_endpoint": issuer.endpoint(routes::DEVICE_AUTHORIZATION),
        "userinfo_endpoint": issuer.endpoint(routes::USERINFO),
        "jwks_uri": issuer.endpoint(routes::JWKS),
        "introspection_endpoint": issuer.endpoint(routes::INTROSPECT),
        "revocation_endpoint": issuer.endpoint(routes::REVOKE),
        "registration_endpoint": register,
        "end_session_endpoint": issuer.endpoint(routes::LOGOUT),
        "global_token_revocation_endpoint": issuer.endpoint(routes::REVOKE_ALL),
        "mtls_endpoint_aliases": aliases,
    })
}

/// How clients come to be, and how they prove who they are.
fn clients(offered: &Offered) -> Value {
    let methods = |public: bool| {
        let methods = offered.methods.iter();
        methods
            .filter(|method| public || **method != AuthMethod::None)
            .map(|method| method.as_str())
            .collect::<Vec<_>>()
    };
    let macs = MacAlgorithm::ALL.into_iter().map(MacAlgorithm::name);
    let by_mac = offered.methods.contains(&AuthMethod::ClientSecretJwt);
    let signatures = offered.verified().flat_map(Algorithm::names);
    let algorithms: Vec<_> = signatures.chain(macs.filter(|_| by_mac)).collect();
    let demands = offered.profiles.server();
    let proofs = dpop::ALGORITHMS.into_iter();
    let proofs = proofs.filter(|alg| demands.permits(*alg));
    let proofs: Vec<_> = proofs.flat_map(Algorithm::names).collect();
    let to_revoke = global_revocation::METHODS.into_iter();
    let to_revoke = to_revoke.filter(|method| offered.methods.contains(method));
    let to_revoke = to_revoke.map(AuthMethod::as_str).collect::<Vec<_>>();
    json!({
        // One that nobody has let in yet cannot push, and so never comes in where all must.
        "client_id_metadata_document_supported": offered.documents && !offered.requests.require_pushed,
        "token_endpoint_auth_methods_supported": methods(true),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": methods(false),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": methods(true),
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        // RFC 9449 §5.1.
        "dpop_signing_alg_values_supported": proofs,
        // RFC 8705 §3.3.
        "tls_client_certificate_bound_access_tokens": offered.sees_certificates().then_some(true),
        "global_token_revocation_endpoint_auth_methods_supported": to_revoke,
    })
}

/// What may be asked for, in what form, and how it is answered.
fn requests(
    (servers, issuers): (&Snapshot, &trusted_issuers::Snapshot),
    signs: &[&str],
    offered: &Offered,
) -> Value {
    let requests = &offered.requests;
    let mut all: Vec<&str> = OwnScope::ALL.map(OwnScope::as_str).to_vec();
    let of_servers: ScopeSet = servers.scopes().cloned().collect();
    all.extend(of_servers.iter().map(ScopeToken::as_str));
    let details = servers.details_types();
    let details = details.iter().map(|known| known.name.as_str());
    let details: Vec<_> = details.collect();
    let grants = GrantName::ALL.into_iter();
    let grants = grants.filter(|grant| match grant {
        GrantName::Password => offered.password_grant,
        GrantName::JwtBearer => !issuers.is_empty(),
        GrantName::AuthorizationCode
        | GrantName::RefreshToken
        | GrantName::ClientCredentials
        | GrantName::DeviceCode
        | GrantName::TokenExchange => true,
    });
    let mut types = requests.response_types.iter();
    let implicit = types.any(|known| known.is_in_front()).then_some("implicit");
    let grants: Vec<_> = grants.map(GrantName::as_str).chain(implicit).collect();
    let demands = offered.profiles.server();
    let modes = ResponseMode::ALL.into_iter();
    let modes = modes.filter(|mode| demands.permits_response_mode(*mode));
    let modes: Vec<_> = modes.map(ResponseMode::as_str).collect();
    // One that stands elsewhere is not pushed.
    let by_reference = !requests.require_pushed;
    let signed = offered.verified().flat_map(Algorithm::names);
    let unsigned = requests.unsigned_objects.then_some(ObjectAlgorithm::None);
    let unsigned = unsigned.map(|alg| alg.to_string());
    let objects = signed.map(str::to_owned).chain(unsigned);
    json!({
        "scopes_supported": all,
        // RFC 9396 §10.
        "authorization_details_types_supported": (!details.is_empty()).then_some(details),
        "response_types_supported": requests.response_types,
        "response_modes_supported": modes,
        "grant_types_supported": grants,
        "authorization_grant_profiles_supported": issuers.has(AssertionKind::IdJag).then_some([ID_JAG]),
        // draft-ietf-oauth-identity-assertion-authz-grant-03: what it gives as an identity provider.
        "identity_chaining_requested_token_types_supported": [TokenType::IdentityAssertion.as_str()],
        "code_challenge_methods_supported": [pkce::METHOD],
        "authorization_response_iss_parameter_supported": true,
        "authorization_signing_alg_values_supported": signs,
        "request_parameter_supported": true,
        "request_uri_parameter_supported": by_reference,
        "require_request_uri_registration": by_reference.then_some(true),
        "request_object_signing_alg_values_supported": objects.collect::<Vec<_>>(),
        "require_signed_request_object": requests.require_signed,
        "require_pushed_authorization_requests": requests.require_pushed,
    })
}

/// What is said of people, in what envelope, what they are asked, and what clients hear of them.
fn people(signs: &[&str], offered: &Offered) -> Value {
    let management = KeyManagement::ALL.map(KeyManagement::name);
    let encryption = ContentEncryption::ALL.map(ContentEncryption::name);
    let prompts = Prompt::ALL.into_iter();
    let prompts = prompts.filter(|prompt| offered.sign_up || *prompt != Prompt::Create);
    // Where there are no levels, none is told.
    let levels: Vec<_> = offered.acr.values().collect();
    let levels = (!levels.is_empty()).then_some(levels);
    let of_people = Claim::ALL.iter().map(|claim| claim.as_str());
    let claims = CLAIMS.into_iter().chain(of_people);
    let mut types = offered.requests.response_types.iter();
    let is_beside_a_code = types.any(|known| known.has_code() && known.has_id_token());
    let claims = claims.filter(|claim| match *claim {
        "acr" => levels.is_some(),
        "c_hash" => is_beside_a_code,
        _ => true,
    });
    json!({
        "prompt_values_supported": prompts.map(Prompt::as_str).collect::<Vec<_>>(),
        "display_values_supported": Display::ALL.map(Display::as_str),
        "ui_locales_supported": UI_LOCALES,
        "acr_values_supported": levels,
        "subject_types_supported": SubjectType::ALL.map(SubjectType::as_str),
        "claims_supported": claims.collect::<Vec<_>>(),
        "claims_parameter_supported": true,
        "id_token_signing_alg_values_supported": signs,
        "id_token_encryption_alg_values_supported": management,
        "id_token_encryption_enc_values_supported": encryption,
        "userinfo_signing_alg_values_supported": signs,
        "userinfo_encryption_alg_values_supported": management,
        "userinfo_encryption_enc_values_supported": encryption,
        "introspection_signing_alg_values_supported": signs,
        "introspection_encryption_alg_values_supported": management,
        "introspection_encryption_enc_values_supported": encryption,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    })
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
