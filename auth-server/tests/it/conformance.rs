//! The executable requirements of the RFCs, against this server.

use auth_server::accounts::AccountId;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance_tests::browser::Person;
use conformance_tests::{
    App, AssertionKey, Authentication, Clock, Credentials, Exchangeable, Level, Limits, Outcome,
    Subject, Target, TrustedIssuer, catalogue, plan, run, run_plans,
};
use serde_json::json;
use shared_protocol::jose::{Algorithm, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::PASSWORD;
use crate::server::{API, OTHER_API, TestClient, TestServer, config};
use crate::token_exchange::{gateway_policy, service};
use crate::{device, jwt_bearer};

on_each_store!(auth_server::store::MIGRATIONS;
    every_must_holds_for_client_secret_basic,
    every_must_holds_for_client_secret_post,
    every_must_holds_for_private_key_jwt,
    no_module_of_a_certification_plan_fails,
);

/// What the app may ask for: everything that a requirement looks at.
const APP_SCOPE: &str = "openid profile email offline_access read write reports";
/// Who uses it.
const PERSON: &str = "ada@example.com";
/// What the server does not do yet.
const KNOWN: [&str; 1] = ["rfc9700-2.2.1-sender-constrained"];

async fn start(stores: &Stores) -> TestServer {
    let mut config = config(stores);
    // RFC 9068 §2.1 requires RS256.
    config.keys.algorithms = vec![Algorithm::Es256, Algorithm::Rs256];
    let server = TestServer::start_with(config, std::sync::Arc::default())
        .await
        .with_resources(None)
        .await;
    // An assertion is refused that may be older than the memory of used ones.
    server.clock.advance(std::time::Duration::from_secs(12));
    server
}

async fn judge(server: &TestServer, credentials: Credentials, given: Given) {
    let subject = Box::pin(subject(server, credentials, given)).await;
    let report = run(&subject, catalogue::STANDARDS, |_| ()).await;
    assert!(report.summary.passed > 210, "{}", report.text());
    for requirement in report.requirements() {
        if let Outcome::Failed { reason, .. } = &requirement.result {
            let known = KNOWN.contains(&requirement.id) && requirement.level == Level::Should;
            assert!(
                known,
                "{} {}: {reason}",
                requirement.id, requirement.statement
            );
        }
    }
}

/// What the requirements are tried with beside the confidential client, and what that may do.
#[derive(Default)]
struct Given {
    exchange: Exchangeable,
    trusted_issuer: Option<TrustedIssuer>,
    identity_issuer: Option<TrustedIssuer>,
}

impl Given {
    /// All of it, for a client that [`everything`] is registered for.
    async fn all(server: &TestServer, client: &TestClient) -> Self {
        let scopes = ["read", "write"];
        server
            .put_resource(API, &scopes, Some(client), Algorithm::Es256)
            .await;
        let person = server.person(PERSON).await;
        let plain = trusted(server, "https://idp.example", "jwt", &person).await;
        let assertions = trusted(server, "https://sso.example", "id-jag", &person).await;
        Self {
            exchange: Exchangeable {
                resource: Some(API.into()),
                scope: Some("openid read".into()),
                target: Some(OTHER_API.into()),
            },
            trusted_issuer: Some(plain),
            identity_issuer: Some(assertions),
        }
    }
}

/// A client that may act for people, and show what other issuers say.
fn everything() -> ClientMetadata {
    let mut metadata = service("openid read write reports", &gateway_policy());
    metadata.grant_types.insert(GrantType::JwtBearer);
    metadata
}

async fn trusted(
    server: &TestServer,
    issuer: &str,
    kind: &str,
    person: &AccountId,
) -> TrustedIssuer {
    let (key, assertions) = new_key();
    let kind = json!({ "kind": kind });
    jwt_bearer::trust(server, (issuer, &key), &kind)
        .await
        .unwrap();
    TrustedIssuer {
        issuer: issuer.into(),
        subject: person.to_string(),
        key: assertions,
        scope: Some("read".into()),
        resource: Some(API.into()),
    }
}

/// A key for us, and the same for whoever tests us.
fn new_key() -> (SigningKey, AssertionKey) {
    let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap();
    let body = STANDARD.encode(pkcs8.expose_der());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let assertions = AssertionKey::from_pem("ES256", None, pem.as_bytes()).unwrap();
    (key, assertions)
}

async fn subject(server: &TestServer, credentials: Credentials, given: Given) -> Subject {
    let person = Person {
        login: PERSON.into(),
        password: PASSWORD.to_owned().into(),
    };
    // Unless there is one already.
    if given.trusted_issuer.is_none() {
        server.person(PERSON).await;
    }
    let redirect_uri = "http://127.0.0.1/callback";
    let mut metadata = TestServer::native_metadata(redirect_uri);
    metadata.scope = APP_SCOPE.parse().unwrap();
    let app = App {
        client_id: server.register(metadata).await.id,
        redirect_uri: redirect_uri.into(),
    };
    let target = Target {
        credentials: Some(credentials),
        public_client: Some(server.client(AuthMethod::None, "read").await.id),
        device: Some(server.register(device::television()).await.id),
        exchange: given.exchange,
        trusted_issuer: given.trusted_issuer,
        identity_issuer: given.identity_issuer,
        resources: vec![API.into(), OTHER_API.into()],
        person: Some(person),
        app: Some(app),
        ..Target::of(server.issuer.clone())
    };
    let clock = server.clock.clone();
    let clock = Clock::new(move || {
        let now = shared_protocol::time::Clock::now(&*clock).as_millis();
        std::time::Duration::from_millis(now.try_into().unwrap())
    });
    let moved = server.clock.clone();
    let clock = clock.moved_by(move |time| moved.advance(time));
    Subject::connect(target, clock, Limits::default())
        .await
        .unwrap()
}

async fn every_must_holds_for_client_secret_basic(stores: &Stores) {
    let server = start(stores).await;
    let client = server.register(everything()).await;
    let given = Given::all(&server, &client).await;
    let authentication = Authentication::ClientSecretBasic(client.secret.into());
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        given,
    )
    .await;
}

async fn every_must_holds_for_client_secret_post(stores: &Stores) {
    let server = start(stores).await;
    let client = server
        .client(AuthMethod::ClientSecretPost, "read write reports")
        .await;
    let authentication = Authentication::ClientSecretPost(client.secret.into());
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        Given::default(),
    )
    .await;
}

async fn every_must_holds_for_private_key_jwt(stores: &Stores) {
    let server = start(stores).await;
    let (key, assertions) = new_key();
    let client = server
        .register(TestServer::signing_metadata(&key, "read write reports"))
        .await;
    let authentication = Authentication::PrivateKeyJwt(assertions);
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        Given::default(),
    )
    .await;
}

async fn no_module_of_a_certification_plan_fails(stores: &Stores) {
    let server = start(stores).await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read write reports")
        .await;
    let authentication = Authentication::ClientSecretBasic(client.secret.into());
    let credentials = Credentials {
        client_id: client.id,
        authentication,
    };
    let subject = Box::pin(subject(&server, credentials, Given::default())).await;
    let report = run_plans(&subject, plan::PLANS, |_| ()).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    assert!(report.summary.passed > 70, "{}", report.text());
}
