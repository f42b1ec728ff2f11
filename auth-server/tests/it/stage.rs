//! A server with all that it can have, and everybody who has to do with it: for tables that try everything at everything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::RegistrationMode;
use auth_server::registration::initial::{InitialTokens, NewInitialToken};
use auth_server::resource_servers::TokenFormat;
use serde_json::{Value, json};
use shared_protocol::confirmation::{CertificateThumbprint, Confirmation};
use shared_protocol::jose::{Algorithm, JwkSet, Signer, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL};
use crate::certificates::{Pair, Pki, params};
use crate::dpop::Prover;
use crate::jwt_bearer::{self, new_key};
use crate::outbound::png;
use crate::person::{self, Scene};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer};
use crate::sign_out::{BYE, browser};
use crate::site::Site;
use crate::token_exchange::{ACCESS, ASSERTION, JWT, gateway_policy, service};

/// Whose software statements are believed.
pub(crate) const STATEMENTS: &str = "https://software.example";
/// Whose ID-JAGs are.
pub(crate) const JAGS: &str = "https://jag.example";
/// A resource server that gets opaque tokens.
pub(crate) const OPAQUE_API: &str = "https://opaque.example";

/// Whose servers the app gets ID-JAGs for.
pub(crate) const CHAT: &str = "https://chat.example";
/// Where the picture of the app is.
const LOGO: &str = "/logo";
/// Where the app publishes a request that it signed.
pub(crate) const REFERENCE: &str = "/request.jwt";

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
    /// Proves itself by a secret in the form.
    pub(crate) posting: TestClient,
    /// Public, and bound to certificates.
    pub(crate) certified: TestClient,
    /// Signs everything that comes from outside.
    pub(crate) outside: Arc<SigningKey>,
    /// Who makes proofs for the apps, and the same key once more.
    pub(crate) prover: Prover,
    pub(crate) proving: Arc<SigningKey>,
    /// Who has a key of their own.
    pub(crate) stranger: Prover,
    /// What the apps' tokens are bound to where they are to certificates, who presents it, and who presents another.
    pub(crate) thumbprint: CertificateThumbprint,
    pub(crate) presenting: reqwest::Client,
    pub(crate) presenting_another: reqwest::Client,
    /// Lets clients register.
    pub(crate) initial: String,
    pub(crate) initial_id: String,
    /// Of the app.
    pub(crate) site: Site,
    /// Holds the files of the listener's certificates.
    _pki: Pki,
}

impl Stage {
    pub(crate) async fn set(stores: &Stores) -> Self {
        let outside = new_key();
        let (site, pki) = (Site::start().await, Pki::new());
        let mut config = pki.config(stores);
        site.open_to(&mut config);
        site.put_with(LOGO, 200, &[], png(8, 8));
        config.client_documents.fetches_per_address = 0;
        config.registration.mode = Some(RegistrationMode::Token);
        config.registration.scopes = vec!["read".parse().unwrap()];
        let issuers = json!([{"issuer": STATEMENTS, "jwks": set(&outside).to_string()}]);
        config.registration.software_statement_issuers = serde_json::from_value(issuers).unwrap();
        config.authorization.interactions_per_address = 100_000;
        config.sign_up.rate.requests = 0;
        config.device.failures_before_wait = u32::MAX;
        config.device.address_failures_before_wait = 0;
        let server = TestServer::start_with(config, Arc::default()).await;
        // So that no assertion is from before the memory of used ones.
        server.clock.advance(Duration::from_mins(2));
        let scene = Scene::on(server).await;
        let server = &scene.server;
        server.person(EMAIL).await;
        let app_key = new_key();
        let app = server.register(everything(&app_key, &site)).await;
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
        metadata.redirect_uris = person::app(AuthMethod::None).redirect_uris;
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
        let posting = server.client(AuthMethod::ClientSecretPost, "read").await;
        let certified = ClientMetadata {
            tls_client_certificate_bound_access_tokens: true,
            ..person::app(AuthMethod::None)
        };
        let certified = server.register(certified).await;
        let bearer = jwt_bearer::metadata(AuthMethod::ClientSecretBasic);
        let bearer = server.register(bearer).await;
        for (issuer, kind) in [(jwt_bearer::ISSUER, "jwt"), (JAGS, "id-jag")] {
            let policy = json!({"kind": kind});
            let trusted = jwt_bearer::trust(server, (issuer, &outside), &policy).await;
            trusted.unwrap();
        }
        let (initial_id, initial) = initial(server).await;
        let (prover, proving) = twins();
        let [pair, another] = ["app", "another"].map(|name| Pair::self_signed(&params(name)));
        Self {
            app,
            app_key: Arc::new(app_key),
            signing,
            signing_key: Arc::new(signing_key),
            macs,
            gateway,
            bearer,
            posting,
            certified,
            outside: Arc::new(outside),
            prover,
            proving: Arc::new(proving),
            stranger: Prover::new(),
            thumbprint: CertificateThumbprint::of(pair.certificate.der()),
            presenting: pair.http(&pki),
            presenting_another: another.http(&pki),
            initial,
            initial_id,
            site,
            _pki: pki,
            scene,
        }
    }

    pub(crate) fn server(&self) -> &TestServer {
        &self.scene.server
    }

    pub(crate) fn now(&self) -> i64 {
        self.server().clock.now().as_secs()
    }

    /// A code of the person's, for what their app asked and bound to that.
    pub(crate) async fn code(
        &self,
        client: &TestClient,
        confirmation: Option<Confirmation>,
    ) -> String {
        let mut authorization = self.scene.authorization(client, "openid read");
        authorization.confirmation = confirmation;
        self.scene.issue(authorization).await
    }

    /// What answers whoever is bound to certificates, by way of one who presents one.
    pub(crate) async fn certified(
        &self,
        presenting: &reqwest::Client,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        let form = [form, &[("client_id", &self.certified.id)]].concat();
        let url = format!("{}{path}", self.server().mtls.as_deref().unwrap());
        self.server().send(presenting.post(url).form(&form)).await
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
        let request = server.http.post(format!("{}{REVOKE_ALL}", server.issuer));
        server
            .send(request.json(&nobody()).bearer_auth(assertion))
            .await
    }

    /// What the person's grant brings to a client.
    pub(crate) async fn tokens(&self, client: &TestClient, scope: &str) -> Value {
        self.scene.tokens(client, scope).await
    }
}

/// Whom nothing can be ended of.
pub(crate) fn nobody() -> Value {
    json!({"sub_id": {"format": "opaque", "id": "usr_0000000000000000000000"}})
}

pub(crate) fn set(key: &SigningKey) -> Value {
    JwkSet::new(vec![key.public().clone()]).to_value()
}

/// One key, twice.
fn twins() -> (Prover, SigningKey) {
    let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let key = || SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap();
    (Prover { key: key() }, key())
}

/// An initial access token, after what operators call it.
async fn initial(server: &TestServer) -> (String, String) {
    let tokens = InitialTokens {
        store: server.records.store.clone(),
    };
    let new = NewInitialToken {
        name: None,
        uses: 10,
        lifetime: Duration::from_hours(1),
    };
    let made = tokens.create(new, server.clock.now(), &SystemRandom).await;
    let (id, token) = made.unwrap();
    (id.to_string(), token.expose().to_owned())
}

/// An app that asks for everything that there is.
fn everything(key: &SigningKey, site: &Site) -> ClientMetadata {
    let mut metadata = person::app(AuthMethod::ClientSecretBasic);
    metadata.logo_uri = Some(site.at(LOGO).parse().unwrap());
    metadata.request_uris = vec![site.at(REFERENCE).parse().unwrap()];
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
    let policy = json!({"audiences": [API, OTHER_API], "impersonation": true, "requested_token_types": [ACCESS, JWT, ASSERTION],
        "identity_assertions": [{"audience": CHAT, "client_id": "app-at-chat", "scopes": "chat.read"}]});
    metadata.token_exchange = Some(serde_json::from_value(policy).unwrap());
    metadata.userinfo_signed_response_alg = Some(Algorithm::Es256);
    metadata.introspection_signed_response_alg = Some(Algorithm::Es256);
    metadata.authorization_signed_response_alg = Some(Algorithm::Es256);
    metadata
}
