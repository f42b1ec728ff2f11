//! A server with all that it can have, and everybody who has to do with it: for tables that try everything at everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::RegistrationMode;
use auth_server::resource_servers::TokenFormat;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer, SigningKey};
use shared_protocol::time::Clock as _;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL};
use crate::jwt_bearer::{self, new_key};
use crate::person::{Scene, app};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer, config};
use crate::sign_out::{BYE, browser};
use crate::token_exchange::{gateway_policy, service};

/// Whose software statements are believed.
pub(crate) const STATEMENTS: &str = "https://software.example";
/// Whose ID-JAGs are.
pub(crate) const JAGS: &str = "https://jag.example";
/// A resource server that gets opaque tokens.
pub(crate) const OPAQUE_API: &str = "https://opaque.example";

/// Where that is asked for.
pub(crate) const REVOKE_ALL: &str = "/oauth/global-token-revocation";

/// A server, a person who is signed in, and clients of every kind.
pub(crate) struct Stage {
    pub(crate) scene: Scene,
    /// Confidential, does all that an app does: pushes, signs its requests, gets signed answers.
    pub(crate) app: TestClient,
    /// With which it signs.
    pub(crate) app_key: Arc<SigningKey>,
    /// Proves itself by signatures, and may have all end that somebody had.
    pub(crate) signing: TestClient,
    pub(crate) signing_key: Arc<SigningKey>,
    /// Proves itself by MACs.
    pub(crate) macs: TestClient,
    /// Exchanges tokens for [`API`], and introspects there.
    pub(crate) gateway: TestClient,
    /// Shows assertions of others.
    pub(crate) bearer: TestClient,
    /// Signs everything that comes from outside.
    pub(crate) outside: Arc<SigningKey>,
}

impl Stage {
    pub(crate) async fn set(stores: &Stores) -> Self {
        let outside = new_key();
        let mut config = config(stores);
        config.registration.mode = Some(RegistrationMode::Open);
        config.registration.scopes = vec!["read".parse().unwrap()];
        let issuers = json!([{"issuer": STATEMENTS, "jwks": set(&outside).to_string()}]);
        config.registration.software_statement_issuers = serde_json::from_value(issuers).unwrap();
        config.authorization.interactions_per_address = 100_000;
        config.device.failures_before_wait = u32::MAX;
        config.device.address_failures_before_wait = 0;
        let server = TestServer::start_with(config, Arc::default()).await;
        // So that no assertion is from before the memory of used ones.
        server.clock.advance(Duration::from_mins(2));
        let scene = Scene::on(server).await;
        let server = &scene.server;
        server.person(EMAIL).await;
        let app_key = new_key();
        let app = server.register(everything(&app_key)).await;
        let signing_key = new_key();
        let metadata = ClientMetadata {
            global_token_revocation: true,
            ..TestServer::signing_metadata(&signing_key, "read")
        };
        let signing = server.register(metadata).await;
        let macs = server.client(AuthMethod::ClientSecretJwt, "read").await;
        let mut policy = gateway_policy();
        policy["audiences"] = json!([API, OTHER_API, OPAQUE_API]);
        let mut metadata = service("openid email read write reports secrets", &policy);
        metadata.grant_types.insert(GrantType::AuthorizationCode);
        metadata.redirect_uris = app_metadata().redirect_uris;
        let gateway = server.register(metadata).await;
        for (api, scopes) in [(API, &["read", "write"][..]), (OPAQUE_API, &["secrets"])] {
            server
                .put_resource(api, scopes, Some(&gateway), Algorithm::Es256)
                .await;
        }
        server
            .change_resource(OPAQUE_API, |changed| {
                changed.token_format = TokenFormat::Opaque;
            })
            .await;
        let bearer = jwt_bearer::metadata(AuthMethod::ClientSecretBasic);
        let bearer = server.register(bearer).await;
        for (issuer, kind) in [(jwt_bearer::ISSUER, "jwt"), (JAGS, "id-jag")] {
            let policy = json!({"kind": kind});
            let trusted = jwt_bearer::trust(server, (issuer, &outside), &policy).await;
            trusted.unwrap();
        }
        Self {
            app,
            app_key: Arc::new(app_key),
            signing,
            signing_key: Arc::new(signing_key),
            macs,
            gateway,
            bearer,
            outside: Arc::new(outside),
            scene,
        }
    }

    pub(crate) fn server(&self) -> &TestServer {
        &self.scene.server
    }

    pub(crate) fn now(&self) -> i64 {
        self.server().clock.now().as_secs()
    }

    /// The key with which the server itself signs.
    pub(crate) fn own_key(&self) -> Arc<dyn Signer> {
        let ring = self.server().records.keys.ring();
        let now = self.server().clock.now();
        ring.signer(Algorithm::Es256, now).unwrap()
    }

    /// The browser in which the person of the scene is signed in.
    pub(crate) fn browser(&self) -> Browser<'_> {
        browser(self.server(), &self.scene.cookie)
    }

    /// What the app signs to ask for something, with some of it changed.
    pub(crate) fn request(&self, changes: &Value) -> Value {
        let now = self.now();
        let asked = TestServer::asking(&self.app, &[]).into_iter();
        let mut claims = json!({"iss": self.app.id, "aud": self.server().issuer, "exp": now + 300, "nbf": now, "iat": now});
        let members = claims.as_object_mut().unwrap();
        members.extend(asked.map(|(name, value)| (name, json!(value))));
        members.extend(changes.as_object().unwrap().clone());
        claims
    }

    /// What answers a client who may ask for that, of a person who is not there: 404.
    pub(crate) async fn revoke_all(&self, assertion: &str) -> Answer {
        let server = self.server();
        let nobody = json!({"sub_id": {"format": "opaque", "id": "usr_0000000000000000000000"}});
        let request = server.http.post(format!("{}{REVOKE_ALL}", server.issuer));
        server
            .send(request.json(&nobody).bearer_auth(assertion))
            .await
    }

    /// What the person's grant brings to a client.
    pub(crate) async fn tokens(&self, client: &TestClient, scope: &str) -> Value {
        self.scene.tokens(client, scope).await
    }
}

pub(crate) fn set(key: &SigningKey) -> Value {
    JwkSet::new(vec![key.public().clone()]).to_value()
}

fn app_metadata() -> ClientMetadata {
    app(AuthMethod::ClientSecretBasic)
}

/// An app that asks for everything that there is.
fn everything(key: &SigningKey) -> ClientMetadata {
    let mut metadata = app_metadata();
    metadata.jwks = Some(set(key));
    metadata.skip_consent = true;
    metadata.scope = "openid profile email offline_access read write reports secrets"
        .parse()
        .unwrap();
    metadata.post_logout_redirect_uris = vec![BYE.parse().unwrap()];
    metadata.grant_types = BTreeSet::from([
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::TokenExchange,
        GrantType::DeviceCode,
    ]);
    let policy = json!({"audiences": [API, OTHER_API], "impersonation": true});
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    metadata.userinfo_signed_response_alg = Some(Algorithm::Es256);
    metadata.introspection_signed_response_alg = Some(Algorithm::Es256);
    metadata.authorization_signed_response_alg = Some(Algorithm::Es256);
    metadata
}
