//! The executable requirements of the RFCs, against this server.

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance_tests::browser::Person;
use conformance_tests::{
    App, AssertionKey, Authentication, Clock, Credentials, Level, Limits, Outcome, Subject, Target,
    catalogue, plan, run, run_plans,
};
use shared_protocol::jose::{Algorithm, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::PASSWORD;
use crate::server::{API, OTHER_API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    every_must_holds_for_client_secret_basic,
    every_must_holds_for_client_secret_post,
    every_must_holds_for_private_key_jwt,
    no_module_of_a_certification_plan_fails,
);

/// What the app may ask for: everything that a requirement looks at.
const APP_SCOPE: &str = "openid profile email offline_access read write reports";
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

async fn judge(server: &TestServer, credentials: Credentials, public_client: Option<String>) {
    let subject = subject(server, credentials, public_client).await;
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

async fn subject(
    server: &TestServer,
    credentials: Credentials,
    public_client: Option<String>,
) -> Subject {
    let person = Person {
        login: "ada@example.com".into(),
        password: PASSWORD.to_owned().into(),
    };
    server.person(&person.login).await;
    let redirect_uri = "http://127.0.0.1/callback";
    let mut metadata = TestServer::native_metadata(redirect_uri);
    metadata.scope = APP_SCOPE.parse().unwrap();
    let app = App {
        client_id: server.register(metadata).await.id,
        redirect_uri: redirect_uri.into(),
    };
    let target = Target {
        credentials: Some(credentials),
        public_client,
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
    let clock = clock.advanced_by(move |time| moved.advance(time));
    Subject::connect(target, clock, Limits::default())
        .await
        .unwrap()
}

async fn public_client(server: &TestServer) -> Option<String> {
    Some(server.client(AuthMethod::None, "read").await.id)
}

async fn every_must_holds_for_client_secret_basic(stores: &Stores) {
    let server = start(stores).await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read write reports")
        .await;
    let authentication = Authentication::ClientSecretBasic(client.secret.into());
    let public = public_client(&server).await;
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        public,
    )
    .await;
}

async fn every_must_holds_for_client_secret_post(stores: &Stores) {
    let server = start(stores).await;
    let client = server
        .client(AuthMethod::ClientSecretPost, "read write reports")
        .await;
    let authentication = Authentication::ClientSecretPost(client.secret.into());
    let public = public_client(&server).await;
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        public,
    )
    .await;
}

async fn every_must_holds_for_private_key_jwt(stores: &Stores) {
    let server = start(stores).await;
    let pkcs8 = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &pkcs8).unwrap();
    let client = server
        .register(TestServer::signing_metadata(&key, "read write reports"))
        .await;
    let body = STANDARD.encode(pkcs8.expose_der());
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
    let key = AssertionKey::from_pem("ES256", None, pem.as_bytes()).unwrap();
    let authentication = Authentication::PrivateKeyJwt(key);
    let public = public_client(&server).await;
    judge(
        &server,
        Credentials {
            client_id: client.id,
            authentication,
        },
        public,
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
    let subject = subject(&server, credentials, public_client(&server).await).await;
    let report = run_plans(&subject, plan::PLANS, |_| ()).await;
    assert_eq!(report.summary.failed, 0, "{}", report.text());
    assert!(report.summary.passed > 70, "{}", report.text());
}
