//! A server of its own for each test, on real sockets.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::back_channel::BackChannel;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::codes::Codes;
use auth_server::config::Config;
use auth_server::records::Records;
use auth_server::refusals::Refusals;
use auth_server::resource_servers::ResourceServer;
use auth_server::server::{AuthServer, World};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use shared_protocol::client_id::ClientId;
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_server::config::Secret;
use shared_server::ephemeral::MOST_TOKENS;
use shared_server::web::{Listener, Shutdown};
use shared_testing::clock::MovableClock;
use shared_testing::stores::Stores;

pub(crate) const API: &str = "https://api.example";
pub(crate) const OTHER_API: &str = "https://other.example/v1";

/// A running server.
pub(crate) struct TestServer {
    pub(crate) issuer: String,
    pub(crate) operations: String,
    /// Where clients are asked for certificates.
    pub(crate) mtls: Option<String>,
    pub(crate) clock: Arc<MovableClock>,
    // Boxed, for futures hold a server several times.
    pub(crate) records: Box<Records>,
    pub(crate) codes: Codes,
    pub(crate) back_channel: Box<BackChannel>,
    pub(crate) refusals: Box<Refusals>,
    pub(crate) world: World,
    pub(crate) http: reqwest::Client,
    shutdown: Shutdown,
    serving: Option<tokio::task::JoinHandle<()>>,
}

/// A client of that server.
#[derive(Clone)]
pub(crate) struct TestClient {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn error(&self) -> (u16, &str) {
        (
            self.status.as_u16(),
            self.body["error"].as_str().unwrap_or("no error"),
        )
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }
}

pub(crate) fn config(stores: &Stores) -> Config {
    let mut config = Config::default();
    let encryption =
        serde_json::json!([{"id": "test", "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}]);
    // An RSA key takes longer to make than most tests to run.
    config.keys.algorithms = vec![Algorithm::Es256];
    // Hashes that cost next to nothing.
    (config.passwords.memory, config.passwords.iterations) = (8, 1);
    config.keys.encryption = serde_json::from_value(encryption).unwrap();
    config.database.url = Secret::from(stores.database().url.expose_secret().to_owned());
    config.database.wait_timeout = shared_server::config::Period::from_secs(20);
    config.ephemeral.url = Secret::from(stores.ephemeral.url.expose_secret().to_owned());
    // A thousand requests at once share two cores with the stores that answer them.
    config.ephemeral.timeout = Duration::from_secs(20);
    // They all come from one address.
    config.limits.connections_per_address = config.limits.connections;
    config.ephemeral.prefix.clone_from(&stores.ephemeral.prefix);
    // Tests ask more than people do, all from one address.
    for rate in [
        &mut config.rate_limits.address,
        &mut config.rate_limits.client,
        &mut config.rate_limits.account,
    ] {
        rate.requests = MOST_TOKENS;
    }
    config.registration.rate.requests = MOST_TOKENS;
    config.client_authentication.failures = MOST_TOKENS;
    config.client_authentication.address_failures = MOST_TOKENS;
    // A test that moves the clock by a year looks at what is still there. Those of pruning and rotation turn them on.
    config.retention.every = Duration::ZERO;
    config.keys.rotate_every = Duration::ZERO;
    config
}

impl TestServer {
    pub(crate) async fn start(stores: &Stores) -> Self {
        Self::start_with(config(stores), Arc::default()).await
    }

    /// A node with this configuration. Nodes of one issuer share its stores and a clock.
    pub(crate) async fn start_with(mut config: Config, clock: Arc<MovableClock>) -> Self {
        let any = [std::net::SocketAddr::from(([127, 0, 0, 1], 0))];
        let (listener, operations) = (
            Listener::bind(&any).await.unwrap(),
            Listener::bind(&any).await.unwrap(),
        );
        let address = listener.addresses()[0];
        if config.issuer == Config::default().issuer {
            config.issuer = format!("http://{address}").parse().unwrap();
        }
        let path = config.issuer.path().to_owned();
        let by_certificate = Listener::bind(&config.mtls.listen).await.unwrap();
        let mtls = by_certificate.addresses().first().map(|address| {
            let url = format!("https://localhost:{}{path}", address.port());
            // Another node is known by the name of the first.
            let known = &mut config.mtls.url;
            known.get_or_insert_with(|| url.parse().unwrap());
            url
        });
        let world = World {
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
        };
        let shutdown = Shutdown::new();
        // On the heap, for each test that awaits this holds all of it.
        let opened = Box::pin(AuthServer::open(&config, &world, shutdown.clone()));
        let server = opened.await.unwrap();
        let (records, codes) = (Box::new(server.records.clone()), server.codes.clone());
        let back_channel = Box::new(server.back_channel.clone());
        let refusals = Box::new(server.refusals.clone());
        let operations_address = operations.addresses()[0];
        let server = server.with_mtls(by_certificate);
        let serving = tokio::spawn(server.serve(listener, operations));
        Self {
            issuer: format!("http://{address}{path}"),
            operations: format!("http://{operations_address}"),
            mtls,
            clock,
            records,
            codes,
            back_channel,
            refusals,
            world,
            http: reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            shutdown,
            serving: Some(serving),
        }
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.trigger();
        self.serving.take().unwrap().await.unwrap();
    }

    /// Two resource servers, the first introspected by `introspector`.
    pub(crate) async fn with_resources(self, introspector: Option<&TestClient>) -> Self {
        for (identifier, scopes) in [(API, &["read", "write"][..]), (OTHER_API, &["reports"])] {
            let client = introspector.filter(|_| identifier == API);
            self.put_resource(identifier, scopes, client, Algorithm::Es256)
                .await;
        }
        self
    }

    pub(crate) async fn put_resource(
        &self,
        identifier: &str,
        scopes: &[&str],
        introspector: Option<&TestClient>,
        alg: Algorithm,
    ) {
        let server = ResourceServer {
            introspection_client_id: introspector.map(|client| client.id.parse().unwrap()),
            scopes: scopes
                .iter()
                .map(|name| (name.parse().unwrap(), format!("May {name}")))
                .collect(),
            ..ResourceServer::new(identifier.parse().unwrap(), "An API".into(), alg)
        };
        self.records
            .resource_servers
            .put(&server, self.clock.now())
            .await
            .unwrap();
    }

    /// Changes a resource server, on every node that hears of it.
    pub(crate) async fn change_resource(
        &self,
        identifier: &str,
        change: impl FnOnce(&mut ResourceServer),
    ) {
        let servers = &self.records.resource_servers;
        let found = servers.find(&identifier.parse().unwrap());
        let mut changed = (*found.unwrap()).clone();
        change(&mut changed);
        servers.put(&changed, self.clock.now()).await.unwrap();
    }

    pub(crate) fn metadata(method: AuthMethod, scope: &str) -> ClientMetadata {
        ClientMetadata {
            client_name: Some("A service".into()),
            token_endpoint_auth_method: method,
            grant_types: if method == AuthMethod::None {
                BTreeSet::new()
            } else {
                BTreeSet::from([GrantType::ClientCredentials])
            },
            scope: scope.parse().unwrap(),
            ..ClientMetadata::default()
        }
    }

    pub(crate) async fn client(&self, method: AuthMethod, scope: &str) -> TestClient {
        self.register(Self::metadata(method, scope)).await
    }

    pub(crate) async fn register(&self, metadata: ClientMetadata) -> TestClient {
        let (id, secret) = self
            .records
            .register_client(metadata, &self.world)
            .await
            .unwrap();
        TestClient {
            id: id.to_string(),
            secret: secret
                .map(|secret| secret.expose().to_owned())
                .unwrap_or_default(),
        }
    }

    /// A client that signs its assertions.
    pub(crate) async fn signing_client(
        &self,
        alg: Algorithm,
        scope: &str,
    ) -> (TestClient, SigningKey) {
        let key = SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap())
            .unwrap();
        (
            self.register(Self::signing_metadata(&key, scope)).await,
            key,
        )
    }

    pub(crate) fn signing_metadata(key: &SigningKey, scope: &str) -> ClientMetadata {
        let mut metadata = Self::metadata(AuthMethod::PrivateKeyJwt, scope);
        metadata.jwks = Some(JwkSet::new(vec![key.public().clone()]).to_value());
        metadata
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        }
    }

    /// Sends a body of more than 64 KiB, over a connection of its own: the refusal may reach a client that still writes, or the end
    /// of the connection may.
    pub(crate) async fn send_too_much(request: reqwest::RequestBuilder, what: &str) {
        let (_, request) = request.build_split();
        let sent = reqwest::Client::new().execute(request.unwrap()).await;
        assert!(
            sent.is_err() || sent.is_ok_and(|refused| refused.status() == 413),
            "{what}"
        );
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.issuer)))
            .await
    }

    /// A POST of a form as one of the endpoints for clients takes it.
    pub(crate) fn form(&self, path: &str, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.issuer)).form(form)
    }

    pub(crate) async fn post_as(
        &self,
        client: &TestClient,
        path: &str,
        form: &[(&str, &str)],
    ) -> Answer {
        self.send(
            self.form(path, form)
                .basic_auth(&client.id, Some(&client.secret)),
        )
        .await
    }

    /// An access token of `client` for `resource`.
    pub(crate) async fn token(&self, client: &TestClient, resource: &str) -> String {
        let form = [("grant_type", "client_credentials"), ("resource", resource)];
        let answer = self.post_as(client, "/oauth/token", &form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token").to_owned()
    }

    pub(crate) async fn assertion(&self, key: &SigningKey, claims: &Value) -> String {
        sign_jwt(JwtKind::ClientAssertion, claims, key)
            .await
            .unwrap()
    }

    pub(crate) fn client_id(client: &TestClient) -> ClientId {
        client.id.parse().unwrap()
    }
}
