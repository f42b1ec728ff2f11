//! One server on a free port, with a database of its own, an issuer of its own, and a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use diesel::QueryableByName;
use diesel::sql_types::BigInt;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use resource_api::config::{IssuerSettings, Policy};
use resource_api::{Bound, Config, MIGRATIONS, Server};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, Signer, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock, Instant};
use shared_server::config::Secret;
use shared_server::db::{Settings, Store};
use shared_server::ephemeral;
use shared_server::on;
use shared_server::web::Shutdown;
use shared_testing::databases::{PostgresDatabase, SqliteFile};
use shared_testing::redis;
use tokio::task::JoinHandle;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Runs a test once for each storage.
macro_rules! on_both_stores {
    ($(async fn $name:ident($storage:ident: Storage) $body:block)*) => { $(
        async fn $name($storage: $crate::harness::Storage) $body

        mod $name {
            use $crate::harness::Storage;

            #[tokio::test]
            async fn sqlite_memory() {
                super::$name(Storage::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres_redis() {
                super::$name(Storage::postgres().await).await;
            }
        }
    )* };
}
pub(crate) use on_both_stores;

/// What the API's tokens are for.
pub(crate) const RESOURCE: &str = "https://api.example";

/// 32 bytes that all nodes know.
const NONCE_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// When tests begin.
const START: Instant = Instant::from_secs(1_800_000_000);

/// Generous: a test machine is busy.
const SOON: Duration = Duration::from_secs(20);

/// A migrated database of one test.
pub(crate) enum Storage {
    Sqlite(SqliteFile),
    Postgres(PostgresDatabase),
}

impl Storage {
    pub(crate) async fn sqlite() -> Self {
        Self::Sqlite(SqliteFile::create("api", &MIGRATIONS).await)
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(PostgresDatabase::create("api", &MIGRATIONS).await)
    }

    pub(crate) fn settings(&self) -> Settings {
        match self {
            Self::Sqlite(file) => file.settings(),
            Self::Postgres(database) => database.settings(),
        }
    }

    /// Whether nodes on it share what is minutes old.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    fn ephemeral(&self) -> ephemeral::Settings {
        match self {
            Self::Sqlite(_) => redis::settings_at("memory"),
            Self::Postgres(_) => redis::settings(),
        }
    }
}

/// A clock that the test moves.
pub(crate) struct MovableClock(AtomicI64);

impl MovableClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap();
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// An issuer that publishes its metadata and one key.
pub(crate) struct FakeIssuer {
    pub(crate) server: MockServer,
    pub(crate) key: SigningKey,
}

impl FakeIssuer {
    /// One that answers nothing but 404.
    pub(crate) async fn silent() -> Self {
        Self {
            server: MockServer::start().await,
            key: new_key(),
        }
    }

    pub(crate) async fn start() -> Self {
        let issuer = Self::silent().await;
        let metadata = json!({
            "issuer": issuer.identifier(),
            "jwks_uri": format!("{}/jwks", issuer.identifier()),
            "introspection_endpoint": format!("{}/introspect", issuer.identifier()),
        });
        let keys = json!({ "keys": [issuer.key.public().to_value()] });
        for (place, document) in [
            ("/.well-known/oauth-authorization-server", metadata),
            ("/jwks", keys),
        ] {
            Mock::given(method("GET"))
                .and(path(place))
                .respond_with(ResponseTemplate::new(200).set_body_json(document))
                .mount(&issuer.server)
                .await;
        }
        issuer
    }

    pub(crate) fn identifier(&self) -> String {
        self.server.uri()
    }
}

pub(crate) fn new_key() -> SigningKey {
    let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap()
}

/// A running server.
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) operations: String,
    pub(crate) issuer: FakeIssuer,
    pub(crate) clock: Arc<MovableClock>,
    pub(crate) client: Client,
    pub(crate) storage: Storage,
    /// Where clients are asked for certificates, if anywhere.
    pub(crate) mtls: Option<String>,
    config: Config,
    shutdown: Shutdown,
    serving: JoinHandle<()>,
}

/// Where a node is.
pub(crate) struct Node {
    pub(crate) base: String,
    /// Where clients are asked for certificates, if anywhere.
    pub(crate) mtls: Option<String>,
}

impl Node {
    fn of(bound: &Bound) -> Self {
        let by_certificate = bound.mtls_addresses();
        let mtls = by_certificate.first();
        Self {
            base: format!("http://{}", bound.addresses()[0]),
            mtls: mtls.map(|address| format!("https://localhost:{}", address.port())),
        }
    }
}

impl Api {
    pub(crate) async fn start(storage: Storage) -> Self {
        Self::start_with(storage, FakeIssuer::start().await, |_| {}).await
    }

    pub(crate) async fn start_with(
        storage: Storage,
        issuer: FakeIssuer,
        edit: impl FnOnce(&mut Config),
    ) -> Self {
        let clock = Arc::new(MovableClock(AtomicI64::new(START.as_millis())));
        let mut config = config(&storage, &issuer);
        edit(&mut config);
        let built = Server::build(config.clone(), clock.clone(), Arc::new(SystemRandom));
        let server = built.await;
        let bound = server.unwrap().bind().await.unwrap();
        let Node { base, mtls } = Node::of(&bound);
        let operations = format!("http://{}", bound.operations_addresses()[0]);
        let shutdown = Shutdown::new();
        Self {
            base,
            operations,
            issuer,
            clock,
            client: Client::builder().no_proxy().build().unwrap(),
            storage,
            mtls,
            config,
            serving: tokio::spawn(bound.serve(shutdown.clone())),
            shutdown,
        }
    }

    /// Another node on the same stores, configured alike but for this.
    pub(crate) async fn another_node(&self, edit: impl FnOnce(&mut Config)) -> Node {
        let mut config = self.config.clone();
        edit(&mut config);
        let built = Server::build(config, self.clock.clone(), Arc::new(SystemRandom));
        let bound = built.await.unwrap().bind().await.unwrap();
        let node = Node::of(&bound);
        tokio::spawn(bound.serve(self.shutdown.clone()));
        node
    }

    /// The claims of a service's token that is good for everything.
    pub(crate) fn service_claims(&self) -> Value {
        let now = self.clock.now().as_secs();
        json!({
            "iss": self.issuer.identifier(),
            "sub": "service-1",
            "client_id": "service-1",
            "aud": RESOURCE,
            "exp": now + 300,
            "iat": now,
            "jti": "token-1",
            "scope": "profile:read",
        })
    }

    /// The claims of a person's token that is good for everything.
    pub(crate) fn person_claims(&self, sub: &str) -> Value {
        let mut claims = self.service_claims();
        claims["sub"] = sub.into();
        claims["auth_time"] = claims["iat"].clone();
        claims
    }

    pub(crate) async fn sign(&self, claims: &Value) -> String {
        let signed = sign_jwt(JwtKind::AccessToken, claims, &self.issuer.key).await;
        signed.unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// `GET /api/v1/users/me` with a token of these claims.
    pub(crate) async fn me(&self, claims: &Value) -> Response {
        self.me_with(&self.sign(claims).await).await
    }

    pub(crate) async fn me_with(&self, token: &str) -> Response {
        let request = self.request(Method::GET, "/api/v1/users/me");
        request.bearer_auth(token).send().await.unwrap()
    }

    pub(crate) async fn people(&self) -> i64 {
        #[derive(QueryableByName)]
        struct Count {
            #[diesel(sql_type = BigInt)]
            count: i64,
        }
        use diesel_async::RunQueryDsl;
        let store = Store::connect(&self.storage.settings()).await.unwrap();
        let mut conn = store.read().await.unwrap();
        let query = diesel::sql_query("SELECT count(*) AS count FROM people");
        let counted: Count = on!(&mut conn, |c| query.get_result(c)).unwrap();
        counted.count
    }

    /// Asks the server to stop, and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.trigger();
        let stopped = tokio::time::timeout(SOON, self.serving).await;
        stopped.expect("the server stops").unwrap();
    }
}

pub(crate) fn config(storage: &Storage, issuer: &FakeIssuer) -> Config {
    let mut config = Config::default();
    config.server.listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.server.operations_listen = vec!["127.0.0.1:0".parse().unwrap()];
    config.resource.identifier = RESOURCE.parse().unwrap();
    config.issuers = vec![IssuerSettings {
        issuer: issuer.identifier().parse().unwrap(),
        policy: Policy::Jwks,
        introspection: None,
    }];
    config.database.url = Secret::from(storage.settings().url.expose_secret().to_owned());
    let ephemeral = storage.ephemeral();
    config.ephemeral.url = Secret::from(ephemeral.url.expose_secret().to_owned());
    config.ephemeral.prefix = ephemeral.prefix;
    // A busy machine must not turn a slow answer into a refusal.
    config.ephemeral.timeout = SOON;
    config.dpop.nonce_key = Some(Secret::from(NONCE_KEY.to_owned()));
    config.database.wait_timeout = "30s".parse().unwrap();
    config
}

/// A problem read off the wire: its status is the response's, its request the one that the header names.
pub(crate) async fn problem(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["request_id"], id);
    assert!(problem["title"].is_string());
    (status, problem)
}
