//! The metadata of a server of a profile tells what it does: whatever a profile changes of it is tried with all that it might say.

use std::collections::BTreeSet;

use auth_server::clients::ClientMetadata;
use auth_server::profiles::Profile;
use serde_json::{Map, Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::demands::{CREDENTIALS, Case, RSA};
use super::{JWT_BEARER, Of, announced, config_of, metadata};
use crate::browser::{Browser, EMAIL};
use crate::dpop::Prover;
use crate::person::{CHALLENGE, REDIRECT, VERIFIER, code_form, refresh_form};
use crate::pushed::url_of;
use crate::request_object::{new_key, sign};
use crate::server::{API, Answer, TestClient, TestServer};
use crate::site::Site;
use crate::token::decode;
use crate::token_exchange::EXCHANGE;
use crate::{client_documents, device, macs};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8414_2_what_a_server_of_fapi2_announces_is_what_works,
    rfc8414_2_what_a_server_of_fapi2_message_signing_announces_is_what_works,
    rfc8414_2_what_a_server_of_mcp_announces_is_what_works,
);

const ALGORITHMS: &[&str] = &["ES256", "EdDSA", "PS256", "RS256", "HS256", "none"];
/// What others sign with has both names of `EdDSA` (RFC 9864).
const VERIFIED: &[&str] = &[
    "ES256", "EdDSA", "Ed25519", "PS256", "RS256", "HS256", "none",
];
const OF_ASSERTIONS: &[&str] = &[
    "ES256", "EdDSA", "Ed25519", "PS256", "RS256", "HS256", "HS384", "HS512", "none",
];
const METHODS: &[&str] = &[
    "none",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];
/// Of those that somebody proves who they are by.
const PROVING: &[&str] = METHODS.split_first().unwrap().1;

/// What lists say, and all that they might.
const LISTS: &[(&str, &[&str])] = &[
    ("token_endpoint_auth_methods_supported", METHODS),
    ("revocation_endpoint_auth_methods_supported", METHODS),
    ("introspection_endpoint_auth_methods_supported", PROVING),
    (
        "global_token_revocation_endpoint_auth_methods_supported",
        PROVING,
    ),
    (
        "token_endpoint_auth_signing_alg_values_supported",
        OF_ASSERTIONS,
    ),
    (
        "revocation_endpoint_auth_signing_alg_values_supported",
        OF_ASSERTIONS,
    ),
    (
        "introspection_endpoint_auth_signing_alg_values_supported",
        OF_ASSERTIONS,
    ),
    ("dpop_signing_alg_values_supported", VERIFIED),
    ("id_token_signing_alg_values_supported", ALGORITHMS),
    ("userinfo_signing_alg_values_supported", ALGORITHMS),
    ("introspection_signing_alg_values_supported", ALGORITHMS),
    ("authorization_signing_alg_values_supported", ALGORITHMS),
    ("request_object_signing_alg_values_supported", VERIFIED),
    (
        "response_types_supported",
        &[
            "code",
            "code id_token",
            "code token",
            "id_token",
            "token",
            "none",
        ],
    ),
    (
        "response_modes_supported",
        &[
            "query",
            "fragment",
            "form_post",
            "jwt",
            "query.jwt",
            "fragment.jwt",
            "form_post.jwt",
        ],
    ),
    (
        "grant_types_supported",
        &[
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "password",
            device::GRANT,
            EXCHANGE,
        ],
    ),
    ("code_challenge_methods_supported", &["S256", "plain"]),
];

/// What is said by yes or no.
const FLAGS: &[&str] = &[
    "require_pushed_authorization_requests",
    "require_signed_request_object",
    "request_parameter_supported",
    "request_uri_parameter_supported",
    "require_request_uri_registration",
    "client_id_metadata_document_supported",
    "authorization_response_iss_parameter_supported",
];

async fn rfc8414_2_what_a_server_of_fapi2_announces_is_what_works(stores: &Stores) {
    Box::pin(walk(stores, Profile::Fapi2)).await;
}

async fn rfc8414_2_what_a_server_of_fapi2_message_signing_announces_is_what_works(stores: &Stores) {
    Box::pin(walk(stores, Profile::Fapi2MessageSigning)).await;
}

async fn rfc8414_2_what_a_server_of_mcp_announces_is_what_works(stores: &Stores) {
    Box::pin(walk(stores, Profile::Mcp)).await;
}

async fn walk(stores: &Stores, profile: Profile) {
    let site = Site::start().await;
    let mut documents = Vec::new();
    let mut walk = None;
    for profile in [None, Some(profile)] {
        let mut config = config_of(stores, profile);
        site.open_to(&mut config);
        config.client_documents.fetches_per_address = 0;
        config.keys.algorithms = Algorithm::ALL.to_vec();
        let case = Case::of(config, profile.map(|profile| (profile, Of::Server))).await;
        documents.push(bare(&case.scene.server).await);
        walk = Some(Walk { case, site: &site });
    }
    let mut walk = walk.unwrap();
    walk.case.scene.server.person(EMAIL).await;
    // What this profile, or another, changes is tried here.
    let tried: BTreeSet<_> = LISTS
        .iter()
        .map(|(field, _)| *field)
        .chain(FLAGS.iter().copied())
        .collect();
    for name in documents[0].keys().chain(documents[1].keys()) {
        let is_changed = documents[0].get(name) != documents[1].get(name);
        assert!(
            !is_changed || tried.contains(&**name),
            "{name} is changed, and not tried"
        );
    }

    let told = documents.remove(1);
    let mut wrong = Vec::new();
    for (field, all) in LISTS {
        let listed: BTreeSet<_> = told[*field]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap())
            .collect();
        let mut working = BTreeSet::new();
        for value in *all {
            if walk.works(field, value).await {
                working.insert(*value);
            }
        }
        if listed != working {
            wrong.push(format!("{field}: lists {listed:?}, and {working:?} work"));
        }
    }
    for field in FLAGS {
        let says = told.get(*field).is_some_and(|value| value == true);
        let is_so = walk.is_so(field).await;
        if says != is_so {
            wrong.push(format!("{field}: says {says}, and is {is_so}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    walk.case.scene.server.stop().await;
}

/// What a server announces, without what is its own.
async fn bare(server: &TestServer) -> Map<String, Value> {
    let text = announced(server).await.to_string();
    let text = text.replace(&server.issuer, "https://issuer.example");
    let mut document: Map<String, Value> = serde_json::from_str(&text).unwrap();
    document.remove("signed_metadata");
    document
}

/// A key of that algorithm. Keys of RSA take a while to make: there is one.
fn key_for(alg: Option<Algorithm>) -> SigningKey {
    match alg {
        Some(alg @ (Algorithm::Ps256 | Algorithm::Rs256)) => {
            SigningKey::from_pkcs8(alg, &RSA).unwrap()
        }
        other => new_key(other.unwrap_or(Algorithm::Es256)),
    }
}

fn algorithm(name: &str) -> Option<Algorithm> {
    name.parse().ok()
}

struct Walk<'a> {
    case: Case,
    site: &'a Site,
}

impl Walk<'_> {
    /// Whether a field may list that.
    async fn works(&mut self, field: &str, value: &str) -> bool {
        let base = field.strip_suffix("_supported").unwrap();
        match base {
            "token_endpoint_auth_methods" => self.proves("/oauth/token", value).await,
            "revocation_endpoint_auth_methods" => self.proves("/oauth/revoke", value).await,
            "introspection_endpoint_auth_methods" => self.proves("/oauth/introspect", value).await,
            "global_token_revocation_endpoint_auth_methods" => self.revokes_all(value).await,
            "token_endpoint_auth_signing_alg_values" => self.asserts("/oauth/token", value).await,
            "revocation_endpoint_auth_signing_alg_values" => {
                self.asserts("/oauth/revoke", value).await
            }
            "introspection_endpoint_auth_signing_alg_values" => {
                self.asserts("/oauth/introspect", value).await
            }
            "dpop_signing_alg_values" => self.shows(value).await,
            "id_token_signing_alg_values" => {
                let member = "id_token_signed_response_alg";
                self.registers(json!({member: value})).await
                    && decode(self.tokens().await.text("id_token")).0["alg"] == value
            }
            "userinfo_signing_alg_values" => {
                self.registers(json!({"userinfo_signed_response_alg": value}))
                    .await
            }
            "introspection_signing_alg_values" => {
                let member = "introspection_signed_response_alg";
                self.registers(json!({member: value})).await
                    && self.introspected().await["alg"] == value
            }
            "authorization_signing_alg_values" => {
                let member = "authorization_signed_response_alg";
                self.registers(json!({member: value})).await
                    && self.answered_by_jwt().await["alg"] == value
            }
            "request_object_signing_alg_values" => self.signs_requests(value).await,
            "response_types" => {
                let in_front = value.contains("token");
                let grants = if in_front {
                    vec!["authorization_code", "implicit"]
                } else {
                    vec!["authorization_code"]
                };
                let types = if value == "none" {
                    vec!["code", "none"]
                } else {
                    vec![value]
                };
                self.registers(json!({"response_types": types, "grant_types": grants}))
                    .await
                    && self
                        .case
                        .pushes(&[("response_type", value), ("nonce", "n")])
                        .await
            }
            "response_modes" => {
                self.good().await;
                self.case.pushes(&[("response_mode", value)]).await
            }
            "grant_types" => self.grants(value).await,
            "code_challenge_methods" => {
                self.good().await;
                let challenge = if value == "S256" { CHALLENGE } else { VERIFIER };
                let changes = [
                    ("code_challenge_method", value),
                    ("code_challenge", challenge),
                ];
                self.case.pushes(&changes).await
            }
            unknown => panic!("{unknown} is not tried"),
        }
    }

    /// Whether a field may say yes.
    async fn is_so(&mut self, field: &str) -> bool {
        self.good().await;
        let server = &self.case.scene.server;
        let resource = ("resource", API);
        match field {
            "require_pushed_authorization_requests" => {
                let url = server.authorize_url(&self.case.scene.app, &[resource]);
                !Browser::new(server).open(url).await.has("sign-in")
            }
            "require_signed_request_object" => {
                let mode = ("response_mode", "jwt");
                self.case.scene.push(&[resource, mode]).await.status != 201
            }
            "request_parameter_supported" => self.signs_requests("ES256").await,
            "request_uri_parameter_supported" => self.refers("known").await,
            // Where none is taken, there is nothing to register.
            "require_request_uri_registration" => {
                self.refers("known").await && !self.refers("unknown").await
            }
            "client_id_metadata_document_supported" => {
                let app = TestClient {
                    id: self.site.at("/agent.json"),
                    secret: String::new(),
                };
                let document = client_documents::describing(&app.id);
                self.site.put("/agent.json", &document);
                let url = server.authorize_url(&app, &[resource]);
                Browser::new(server).open(url).await.has("sign-in")
            }
            "authorization_response_iss_parameter_supported" => {
                self.told(&[("prompt", "none")]).await["iss"] == server.issuer
            }
            unknown => panic!("{unknown} is not tried"),
        }
    }

    /// Whether an app that differs in this may register, which is the app then.
    async fn registers(&mut self, changes: Value) -> bool {
        let scene = &mut self.case.scene;
        let mut good = metadata(&[&scene.key]);
        good.id_token_signed_response_alg = Some(Algorithm::Es256);
        let good = serde_json::to_value(good).unwrap();
        let document = crate::registration::with(&good, &changes);
        let Ok(metadata) = serde_json::from_value::<ClientMetadata>(document) else {
            return false;
        };
        let registered = scene
            .server
            .records
            .register_client(metadata, &scene.server.world);
        let Ok((id, secret)) = registered.await else {
            return false;
        };
        let secret = secret.map(|secret| secret.expose().to_owned());
        scene.app = TestClient {
            id: id.to_string(),
            secret: secret.unwrap_or_default(),
        };
        true
    }

    async fn good(&mut self) {
        assert!(self.registers(json!({})).await);
    }

    /// Whether a client of this method registers and is known at the endpoint.
    async fn proves(&mut self, path: &str, method: &str) -> bool {
        let mut changes = json!({"token_endpoint_auth_method": method});
        if method == "none" {
            changes["grant_types"] = json!(["authorization_code"]);
        }
        if method == "tls_client_auth" {
            changes["tls_client_auth_subject_dn"] = json!("CN=walker");
        }
        if !self.registers(changes).await {
            return false;
        }
        let scene = &self.case.scene;
        let mut form = vec![("token", "unknown".to_owned())];
        match method {
            "private_key_jwt" => form.extend(scene.proof().await),
            "client_secret_jwt" => {
                let claims = scene.assertion(&json!({}));
                let secret = scene.app.secret.as_bytes();
                form.push(("client_assertion_type", JWT_BEARER.to_owned()));
                form.push((
                    "client_assertion",
                    macs::assertion("HS256", secret, &claims),
                ));
            }
            "client_secret_post" => {
                form.push(("client_id", scene.app.id.clone()));
                form.push(("client_secret", scene.app.secret.clone()));
            }
            _ => {}
        }
        if method == "none" {
            form.push(("client_id", scene.app.id.clone()));
        }
        let form: Vec<_> = form
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let mut request = scene.server.form(path, &form);
        if method == "client_secret_basic" {
            request = request.basic_auth(&scene.app.id, Some(&scene.app.secret));
        }
        let answer = scene.server.send(request).await;
        !["invalid_client", "unauthorized_client"].contains(&answer.error().1)
    }

    async fn revokes_all(&mut self, method: &str) -> bool {
        let changes =
            json!({"token_endpoint_auth_method": method, "global_token_revocation": true});
        self.registers(changes).await
    }

    /// Whether a client of that one algorithm registers, and is known at the endpoint by it.
    async fn asserts(&mut self, path: &str, alg: &str) -> bool {
        let key = key_for(algorithm(alg));
        let method = if alg.starts_with("HS") {
            "client_secret_jwt"
        } else {
            "private_key_jwt"
        };
        let changes = json!({"token_endpoint_auth_method": method, "token_endpoint_auth_signing_alg": alg,
            "jwks": JwkSet::new(vec![key.public().clone()]).to_value()});
        if !self.registers(changes).await {
            return false;
        }
        let scene = &self.case.scene;
        let claims = scene.assertion(&json!({}));
        let assertion = match alg {
            "HS256" | "HS384" | "HS512" => {
                macs::assertion(alg, scene.app.secret.as_bytes(), &claims)
            }
            _ => sign(&key, &json!({"alg": alg}), &claims).await,
        };
        let form = [
            ("token", "unknown"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ];
        let answer = scene.server.send(scene.server.form(path, &form)).await;
        answer.error().1 != "invalid_client"
    }

    /// Whether a proof by that algorithm binds a token.
    async fn shows(&mut self, alg: &str) -> bool {
        let Some(known) = algorithm(alg) else {
            return false;
        };
        self.good().await;
        let prover = Prover {
            key: key_for(Some(known)),
        };
        let answer = self.case.scene.ask(&CREDENTIALS, &prover).await;
        answer.status == 200 && answer.text("token_type") == "DPoP"
    }

    /// Whether a request that is signed by that algorithm, and pushed, is taken.
    async fn signs_requests(&mut self, alg: &str) -> bool {
        let key = key_for(algorithm(alg));
        let keys = [&key, &self.case.scene.key].map(|key| key.public().clone());
        let changes = json!({"request_object_signing_alg": alg,
            "jwks": JwkSet::new(keys.to_vec()).to_value()});
        if !self.registers(changes).await {
            return false;
        }
        let scene = &self.case.scene;
        let object = scene.object(&json!({"resource": API}));
        let object = sign(&key, &json!({"alg": alg}), &object).await;
        let answer = scene
            .post(crate::pushed::PAR, &[("request", &object)])
            .await;
        answer.status == 201
    }

    /// Whether a request object at an address is fetched.
    async fn refers(&mut self, name: &str) -> bool {
        // Of its own each time, for what was fetched is kept.
        let folder = self.case.scene.app.id.clone();
        let known = self.site.at(&format!("/{folder}/known.jwt"));
        assert!(self.registers(json!({"request_uris": [known]})).await);
        let scene = &self.case.scene;
        let path = format!("/{folder}/{name}.jwt");
        let object = scene.object(&json!({"resource": API}));
        let object = sign(&scene.key, &json!({}), &object).await;
        let kind = [("content-type", "application/oauth-authz-req+jwt")];
        self.site.put_with(&path, 200, &kind, object);
        let uri = self.site.at(&path);
        let url = crate::request_object::url(&scene.server, &scene.app, ("request_uri", &uri), &[]);
        Browser::new(&scene.server).open(url).await.has("sign-in")
    }

    /// What the app is told in answer to a good request with these changes, by somebody who agrees to all of it.
    async fn told(&self, changes: &[(&str, &str)]) -> Map<String, Value> {
        let scene = &self.case.scene;
        let pushed = self.case.push(changes).await;
        assert_eq!(pushed.status, 201, "{}", pushed.body);
        let url = url_of(&scene.server, &scene.app, pushed.text("request_uri"));
        let page = Browser::new(&scene.server).arrive(url).await;
        let answer = page.location();
        assert!(answer.as_str().starts_with(REDIRECT), "{answer}");
        let pairs = answer.query_pairs();
        let told: Map<_, _> = pairs
            .map(|(name, value)| (name.into(), json!(value)))
            .collect();
        match told.get("response").and_then(Value::as_str) {
            Some(response) => decode(response).1.as_object().unwrap().clone(),
            None => told,
        }
    }

    /// The tokens of a grant that outlives the session.
    async fn tokens(&self) -> Answer {
        self.tokens_of(&Prover::new()).await
    }

    async fn tokens_of(&self, prover: &Prover) -> Answer {
        let scope = ("scope", "openid read offline_access");
        let told = self
            .told(&[scope, ("prompt", "consent"), ("resource", API)])
            .await;
        let form = code_form(told["code"].as_str().unwrap());
        let form = [&form[..], &[("resource", API)]].concat();
        let tokens = self.case.scene.ask(&form, prover).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        tokens
    }

    /// The header of the JWT that the app is answered by.
    async fn answered_by_jwt(&self) -> Value {
        let scene = &self.case.scene;
        let pushed = self
            .case
            .push(&[("response_mode", "jwt"), ("prompt", "none")])
            .await;
        let url = url_of(&scene.server, &scene.app, pushed.text("request_uri"));
        let answer = Browser::new(&scene.server).open(url).await.location();
        decode(&crate::browser::parameter(&answer, "response").unwrap()).0
    }

    /// The same of introspection.
    async fn introspected(&self) -> Value {
        let scene = &self.case.scene;
        let proof = scene.proof().await;
        let form = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let form: Vec<_> = form.chain([("token", "unknown")]).collect();
        let request = scene.server.form("/oauth/introspect", &form);
        let request = request.header("accept", "application/token-introspection+jwt");
        let response = request.send().await.unwrap();
        decode(&response.text().await.unwrap()).0
    }

    /// Whether that grant brings a client tokens; of those that need somebody else too, whether it is known.
    async fn grants(&mut self, grant: &str) -> bool {
        self.good().await;
        let prover = Prover::new();
        match grant {
            "authorization_code" => self.tokens().await.status == 200,
            "refresh_token" => {
                let tokens = self.tokens_of(&prover).await;
                let form = refresh_form(tokens.text("refresh_token"));
                let form = [&form[..], &[("resource", API)]].concat();
                self.case.scene.ask(&form, &prover).await.status == 200
            }
            "client_credentials" => self.case.scene.ask(&CREDENTIALS, &prover).await.status == 200,
            device::GRANT => {
                let types = [device::GRANT];
                let changes =
                    json!({"grant_types": types, "redirect_uris": [], "response_types": []});
                self.registers(changes).await
                    && self
                        .case
                        .scene
                        .post(device::PATH, &[("scope", "openid"), ("resource", API)])
                        .await
                        .status
                        == 200
            }
            other => {
                let form = [("grant_type", other), ("resource", API)];
                let answer = self.case.scene.ask(&form, &prover).await;
                answer.error().1 != "unsupported_grant_type"
            }
        }
    }
}
