//! The metadata tells what the server does: each field is tried with all that it might say, and what works is what it says.

mod dialogue;
mod endpoints;
mod people;
mod requests;
mod revocation;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::AccountId;
use auth_server::authorize::response_type::ResponseType;
use auth_server::clients::{AuthMethod, ClientMetadata};
use auth_server::config::{Config, Enabled, RegistrationMode, SignUpMode};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, UnverifiedJwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;
use url::Url;

use crate::browser::{Browser, EMAIL, Page, parameter};
use crate::certificates::Pki;
use crate::person::{self, code_form, post, refresh_form, userinfo};
use crate::registration::with;
use crate::server::{API, Answer, TestClient, TestServer, config};
use crate::site::Site;
use crate::token::decode;
use crate::token_exchange::{ACCESS, ASSERTION, EXCHANGE, ID, JWT};
use crate::{authorization_details, claims, jwt_bearer, request_object};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8414_2_what_a_server_with_everything_announces_is_what_works,
    rfc8414_2_what_a_server_with_little_announces_is_what_works,
);

/// Every field that this server may announce. What is not listed here is not tried, and fails.
const FIELDS: &[&str] = &[
    "issuer",
    "authorization_endpoint",
    "token_endpoint",
    "userinfo_endpoint",
    "jwks_uri",
    "introspection_endpoint",
    "revocation_endpoint",
    "registration_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
    "end_session_endpoint",
    "mtls_endpoint_aliases",
    "dpop_signing_alg_values_supported",
    "tls_client_certificate_bound_access_tokens",
    "scopes_supported",
    "response_types_supported",
    "response_modes_supported",
    "grant_types_supported",
    "authorization_grant_profiles_supported",
    "identity_chaining_requested_token_types_supported",
    "code_challenge_methods_supported",
    "prompt_values_supported",
    "display_values_supported",
    "ui_locales_supported",
    "acr_values_supported",
    "subject_types_supported",
    "claims_supported",
    "claims_parameter_supported",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "request_object_signing_alg_values_supported",
    "authorization_signing_alg_values_supported",
    "authorization_details_types_supported",
    "authorization_response_iss_parameter_supported",
    "client_id_metadata_document_supported",
    "id_token_signing_alg_values_supported",
    "id_token_encryption_alg_values_supported",
    "id_token_encryption_enc_values_supported",
    "userinfo_signing_alg_values_supported",
    "userinfo_encryption_alg_values_supported",
    "userinfo_encryption_enc_values_supported",
    "introspection_signing_alg_values_supported",
    "introspection_encryption_alg_values_supported",
    "introspection_encryption_enc_values_supported",
    "global_token_revocation_endpoint",
    "global_token_revocation_endpoint_auth_methods_supported",
    "backchannel_logout_supported",
    "backchannel_logout_session_supported",
    "signed_metadata",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint_auth_methods_supported",
    "introspection_endpoint_auth_signing_alg_values_supported",
    "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported",
];

/// Words that no field knows.
const BOGUS: &str = "bogus";

/// A server, and all that it takes to try it.
struct Walk<'a> {
    server: &'a TestServer,
    site: &'a Site,
    pki: &'a Pki,
    metadata: Value,
    /// Of the issuer that is trusted, if one is.
    issuer_key: SigningKey,
    person: AccountId,
}

impl Walk<'_> {
    /// What a field lists. Nothing, where it is not there.
    fn listed(&self, field: &str) -> BTreeSet<String> {
        let values = self.metadata[field].as_array().into_iter().flatten();
        values
            .map(|value| value.as_str().unwrap().to_owned())
            .collect()
    }

    /// Whether a field says yes.
    fn says(&self, field: &str) -> bool {
        self.metadata[field].as_bool().unwrap_or_default()
    }

    fn url(&self, field: &str) -> Option<&str> {
        self.metadata[field].as_str()
    }

    /// Of all that a field might list, it lists what works.
    async fn lists(&self, field: &str, all: &[&str], works: impl AsyncFn(&str) -> bool) {
        let mut working = BTreeSet::new();
        for one in all {
            if works(one).await {
                working.insert((*one).to_owned());
            }
        }
        assert_eq!(self.listed(field), working, "{field}");
    }

    /// A field says yes where it works.
    fn agrees(&self, field: &str, works: bool) {
        assert_eq!(self.says(field), works, "{field}");
    }

    /// An app that signs people in, if the server takes it.
    async fn app(&self, changes: &Value) -> Option<TestClient> {
        let good = serde_json::to_value(person::app(AuthMethod::ClientSecretBasic)).unwrap();
        self.register(&with(&good, changes)).await
    }

    async fn register(&self, metadata: &Value) -> Option<TestClient> {
        let metadata: ClientMetadata = serde_json::from_value(metadata.clone()).ok()?;
        let records = &self.server.records;
        let registered = records.register_client(metadata, &self.server.world).await;
        let (id, secret) = registered.ok()?;
        let secret = secret.map(|secret| secret.expose().to_owned());
        Some(TestClient {
            id: id.to_string(),
            secret: secret.unwrap_or_default(),
        })
    }

    /// What the client is answered, by a person who signs in and agrees to whatever they are asked.
    async fn answer(&self, app: &TestClient, changes: &[(&str, &str)]) -> Delivered {
        let browser = Browser::new(self.server);
        let url = self.server.authorize_url(app, changes);
        Delivered::of(&browser.arrive(url).await)
    }

    /// The tokens that come of that.
    async fn tokens(&self, app: &TestClient, changes: &[(&str, &str)]) -> Option<Value> {
        let answer = self.answer(app, changes).await;
        let code = answer.parameter("code")?;
        let tokens = post(self.server, app, "/oauth/token", &code_form(&code)).await;
        (tokens.status == 200).then_some(tokens.body)
    }

    async fn keys(&self) -> JwkSet {
        let keys = self.server.http.get(self.url("jwks_uri").unwrap());
        JwkSet::from_object(self.server.send(keys).await.body.as_object().unwrap()).unwrap()
    }

    async fn try_field(&self, field: &str) {
        match field {
            "issuer" => self.issuer().await,
            "authorization_endpoint" | "token_endpoint" | "userinfo_endpoint" | "jwks_uri" => {
                self.endpoints_of_the_code_flow().await;
            }
            "introspection_endpoint" | "revocation_endpoint" => self.endpoints_for_tokens().await,
            "registration_endpoint" => self.registration_endpoint().await,
            "pushed_authorization_request_endpoint" => self.pushed_endpoint().await,
            "device_authorization_endpoint" => self.device_endpoint().await,
            "end_session_endpoint" => self.end_session_endpoint().await,
            "mtls_endpoint_aliases" => self.mtls_endpoint_aliases().await,
            "dpop_signing_alg_values_supported" => self.proof_algorithms().await,
            "tls_client_certificate_bound_access_tokens" => self.certificate_binding().await,
            "scopes_supported" => self.scopes().await,
            "response_types_supported" => self.response_types().await,
            "response_modes_supported" => self.response_modes().await,
            "grant_types_supported" => self.grant_types().await,
            "authorization_grant_profiles_supported" => self.grant_profiles().await,
            "identity_chaining_requested_token_types_supported" => self.identity_chaining().await,
            "code_challenge_methods_supported" => self.code_challenge_methods().await,
            "prompt_values_supported" => self.prompts().await,
            "display_values_supported" => self.displays().await,
            "ui_locales_supported" => self.locales().await,
            "acr_values_supported" => self.acr_values().await,
            "subject_types_supported" => self.subject_types().await,
            "claims_supported" => self.claims().await,
            "claims_parameter_supported" => self.claims_parameter().await,
            "request_parameter_supported" => self.request_parameter().await,
            "request_uri_parameter_supported" | "require_request_uri_registration" => {
                self.request_uri_parameter(field).await;
            }
            "require_pushed_authorization_requests" | "require_signed_request_object" => {
                self.plain_requests(field).await;
            }
            "request_object_signing_alg_values_supported" => self.request_object_algorithms().await,
            "authorization_signing_alg_values_supported" => self.response_algorithms().await,
            "authorization_details_types_supported" => self.authorization_details_types().await,
            "authorization_response_iss_parameter_supported" => self.iss_of_responses().await,
            "client_id_metadata_document_supported" => self.client_documents().await,
            "id_token_signing_alg_values_supported" => self.id_token_algorithms().await,
            "id_token_encryption_alg_values_supported" => {
                self.encryption(field, "id_token_encrypted_response_alg", "A256GCM")
                    .await;
            }
            "id_token_encryption_enc_values_supported" => {
                self.content_encryption(field, "id_token_encrypted_response")
                    .await;
            }
            "userinfo_signing_alg_values_supported" => self.userinfo_algorithms().await,
            "userinfo_encryption_alg_values_supported" => {
                self.encryption(field, "userinfo_encrypted_response_alg", "A256GCM")
                    .await;
            }
            "userinfo_encryption_enc_values_supported" => {
                self.content_encryption(field, "userinfo_encrypted_response")
                    .await;
            }
            "introspection_signing_alg_values_supported" => self.introspection_algorithms().await,
            "introspection_encryption_alg_values_supported" => {
                self.encryption(field, "introspection_encrypted_response_alg", "A256GCM")
                    .await;
            }
            "introspection_encryption_enc_values_supported" => {
                self.content_encryption(field, "introspection_encrypted_response")
                    .await;
            }
            "global_token_revocation_endpoint" => self.global_revocation_endpoint().await,
            "global_token_revocation_endpoint_auth_methods_supported" => {
                self.global_revocation_methods().await;
            }
            "backchannel_logout_supported" | "backchannel_logout_session_supported" => {
                self.backchannel_logout().await;
            }
            "signed_metadata" => self.signed_metadata().await,
            "token_endpoint_auth_methods_supported"
            | "introspection_endpoint_auth_methods_supported"
            | "revocation_endpoint_auth_methods_supported" => {
                self.authentication_methods(field).await;
            }
            "token_endpoint_auth_signing_alg_values_supported"
            | "introspection_endpoint_auth_signing_alg_values_supported"
            | "revocation_endpoint_auth_signing_alg_values_supported" => {
                self.assertion_algorithms(field).await;
            }
            unknown => panic!("{unknown} is announced, and nothing tries it"),
        }
    }
}

/// How an answer came to a client, and what it said.
#[derive(Debug)]
struct Delivered {
    mode: String,
    parameters: Vec<(String, String)>,
}

impl Delivered {
    fn of(page: &Page) -> Self {
        let (mode, parameters) = if page.status == 303 {
            let location = page.location();
            let pairs = |text: &str| {
                let pairs = url::form_urlencoded::parse(text.as_bytes());
                pairs.into_owned().collect::<Vec<_>>()
            };
            match location.fragment() {
                Some(fragment) => ("fragment", pairs(fragment)),
                None => ("query", pairs(location.query().unwrap_or_default())),
            }
        } else if page.has("form-post") {
            ("form_post", page.inputs("form-post"))
        } else {
            ("page", Vec::new())
        };
        let signed = match parameters.as_slice() {
            [(name, response)] if name == "response" => Some(decode(response).1),
            _ => None,
        };
        match signed {
            Some(Value::Object(claims)) => Self {
                mode: format!("{mode}.jwt"),
                parameters: claims
                    .into_iter()
                    .map(|(name, value)| {
                        let text = value.as_str().map(str::to_owned);
                        (name, text.unwrap_or_else(|| value.to_string()))
                    })
                    .collect(),
            },
            _ => Self {
                mode: mode.to_owned(),
                parameters,
            },
        }
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let mut found = self.parameters.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.clone())
    }

    fn has(&self, name: &str) -> bool {
        self.parameter(name).is_some()
    }
}

async fn walk(config: Config, pki: &Pki, site: &Site) {
    let has_types = config.registration.mode == Some(RegistrationMode::Open);
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    if has_types {
        let schema = authorization_details::album_schema();
        server.put_details_type("album", API, schema).await;
    }
    let issuer_key = jwt_bearer::new_key();
    if has_types {
        let policy = json!({"kind": "id-jag"});
        let trusted = jwt_bearer::trust(&server, (jwt_bearer::ISSUER, &issuer_key), &policy).await;
        trusted.unwrap();
    }
    // A memory that has just begun takes no assertions.
    server.clock.advance(Duration::from_secs(12));
    let person = server.person(EMAIL).await;
    claims::know(&server, &person, claims::profile()).await;
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    let walk = Walk {
        server: &server,
        site,
        pki,
        metadata,
        issuer_key,
        person,
    };
    for field in walk.metadata.as_object().unwrap().keys() {
        assert!(FIELDS.contains(&field.as_str()), "{field} is not tried");
    }
    // All that is wrong, and not the first of it alone.
    let mut wrong = Vec::new();
    for field in FIELDS {
        let trial = AssertUnwindSafe(Box::pin(walk.try_field(field)));
        if trial.catch_unwind().await.is_err() {
            wrong.push(field);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    server.stop().await;
}

async fn rfc8414_2_what_a_server_with_everything_announces_is_what_works(stores: &Stores) {
    let (pki, site) = (Pki::new(), Site::start().await);
    let mut config = pki.config(stores);
    site.open_to(&mut config);
    config.client_documents.enabled = Enabled::Always;
    config.registration.mode = Some(RegistrationMode::Open);
    config.registration.scopes = vec!["read".parse().unwrap()];
    config.keys.algorithms = Algorithm::ALL.to_vec();
    config.authorization.response_types = ResponseType::ALL.to_vec();
    config.authorization.unsigned_request_objects = true;
    config.authorization.password_grant = true;
    config.sign_up.mode = Some(SignUpMode::Open);
    Box::pin(walk(config, &pki, &site)).await;
}

async fn rfc8414_2_what_a_server_with_little_announces_is_what_works(stores: &Stores) {
    let (pki, site) = (Pki::new(), Site::start().await);
    let mut config = config(stores);
    site.open_to(&mut config);
    config.client_documents.enabled = Enabled::Never;
    config.registration.mode = Some(RegistrationMode::Closed);
    config.sign_up.mode = Some(SignUpMode::Closed);
    config.acr.clear();
    Box::pin(walk(config, &pki, &site)).await;
}
