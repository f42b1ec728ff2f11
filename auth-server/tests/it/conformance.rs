//! The executable requirements of the RFCs, against this server.

use auth_server::accounts::AccountId;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::RegistrationMode;
use auth_server::profiles::Profile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use conformance_tests::browser::Person;
use conformance_tests::{
    App, AssertionKey, Authentication, Clock, Credentials, Exchangeable, Limits, Outcome,
    ProfileClient, Report, Subject, Target, TrustedIssuer, catalogue, plan, profile, run,
    run_plans, run_profiles,
};
use serde_json::json;
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::PASSWORD;
use crate::certificates::Pki;
use crate::person;
use crate::server::{API, OTHER_API, TestClient, TestServer, config};
use crate::site::Site;
use crate::token_exchange::{gateway_policy, service};
use crate::{client_documents, device, jwt_bearer};

on_each_store!(auth_server::store::MIGRATIONS;
    every_must_holds_for_client_secret_basic,
    every_must_holds_for_client_secret_post,
    every_must_holds_for_private_key_jwt,
    no_module_of_a_certification_plan_fails,
    certificates_bind_what_the_requirements_say,
    a_server_of_a_profile_keeps_it,
    a_server_keeps_oauth_2_1_in_its_default,
    a_server_of_the_profile_of_mcp_keeps_it,
);

/// What the app may ask for: everything that a requirement looks at.
const APP_SCOPE: &str = "openid profile email offline_access read write reports";
/// Who uses it.
const PERSON: &str = "ada@example.com";

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
    assert!(report.summary.passed > 240, "{}", report.text());
    nothing_fails(&report);
}

fn nothing_fails(report: &Report) {
    let failed = report.requirements().filter_map(|requirement| {
        let Outcome::Failed { reason, exchange } = &requirement.result else {
            return None;
        };
        let shown = exchange
            .as_ref()
            .map(|shown| format!("{}\n{}", shown.request, shown.response));
        Some(format!(
            "{}: {reason}\n{}",
            requirement.id,
            shown.unwrap_or_default()
        ))
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

fn passed(report: &Report, id: &str) -> bool {
    let mut requirements = report.requirements();
    requirements.any(|requirement| requirement.id == id && requirement.result == Outcome::Passed)
}

/// What the requirements are tried with beside the confidential client, and what that may do.
#[derive(Default)]
struct Given {
    exchange: Exchangeable,
    trusted_issuer: Option<TrustedIssuer>,
    identity_issuer: Option<TrustedIssuer>,
    authorities: Option<Vec<u8>>,
    document_client: Option<App>,
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
            authorities: None,
            document_client: None,
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
        authorities: given.authorities,
        document_client: given.document_client,
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
    connect(server, target).await
}

async fn connect(server: &TestServer, target: Target) -> Subject {
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

async fn certificates_bind_what_the_requirements_say(stores: &Stores) {
    let pki = Pki::new();
    let mut config = pki.config(stores);
    // Whoever registers without a word about it is signed for with RS256.
    config.keys.algorithms = vec![Algorithm::Es256, Algorithm::Rs256];
    let server = TestServer::start_with(config, std::sync::Arc::default())
        .await
        .with_resources(None)
        .await;
    server.clock.advance(std::time::Duration::from_secs(12));
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read write reports")
        .await;
    let credentials = Credentials {
        client_id: client.id,
        authentication: Authentication::ClientSecretBasic(client.secret.into()),
    };
    let authorities = std::fs::read(pki.folder.path().join("roots.crt")).unwrap();
    let given = Given {
        authorities: Some(authorities),
        ..Given::default()
    };
    let subject = Box::pin(subject(&server, credentials, given)).await;
    let standards = ["8705", "9440"].map(|name| catalogue::find(name).unwrap());
    let report = run(&subject, &standards, |_| ()).await;
    nothing_fails(&report);
    for id in [
        "rfc8705-2.2-self-signed",
        "rfc8705-3-same-certificate",
        "rfc8705-3-other-certificate",
        "rfc8705-3.1-thumbprint",
        "rfc8705-3.2-introspection",
        "rfc8705-4-public-clients",
        "rfc8705-4-refresh-tokens",
        "rfc8705-5-aliases",
        "rfc9440-2.4-not-from-clients",
    ] {
        assert!(passed(&report, id), "{id}\n{}", report.text());
    }
}

/// An app that proves itself by a key, with which it signs all that it has to sign.
async fn keyed(server: &TestServer) -> ProfileClient {
    let (key, assertions) = new_key();
    let mut metadata = person::app(AuthMethod::PrivateKeyJwt);
    metadata.jwks = Some(JwkSet::new(vec![key.public().clone()]).to_value());
    metadata.grant_types.insert(GrantType::ClientCredentials);
    metadata.id_token_signed_response_alg = None;
    let redirect_uri = metadata.redirect_uris.first().unwrap().to_string();
    ProfileClient {
        client_id: server.register(metadata).await.id,
        redirect_uri,
        key: assertions,
    }
}

async fn a_server_of_a_profile_keeps_it(stores: &Stores) {
    for (profile, name) in [
        (Profile::Fapi2, "fapi2"),
        (Profile::Fapi2MessageSigning, "fapi2-message-signing"),
    ] {
        let mut config = config(stores);
        config.profile = Some(profile);
        // Some of it is tried with clients of other keys than the one that is given.
        config.registration.mode = Some(RegistrationMode::Open);
        let server = TestServer::start_with(config, std::sync::Arc::default())
            .await
            .with_resources(None)
            .await;
        server.clock.advance(std::time::Duration::from_secs(12));
        if profile == Profile::Fapi2 {
            server.person(PERSON).await;
        }
        let target = Target {
            person: Some(Person {
                login: PERSON.into(),
                password: PASSWORD.to_owned().into(),
            }),
            profile_client: Some(keyed(&server).await),
            ..Target::of(server.issuer.clone())
        };
        let subject = Box::pin(connect(&server, target)).await;
        let report = run_profiles(&subject, &[profile::find(name).unwrap()], |_| ()).await;
        nothing_fails(&report);
        let unshown = unshown(&report);
        assert_eq!(unshown, UNSHOWN_OF_FAPI2, "{}", report.text());
    }
}

/// What a server of FAPI 2.0 is not seen to do: what would have to be waited for, what people judge or those who serve, and what needs a
/// resource other than userinfo or a client of another kind.
const UNSHOWN_OF_FAPI2: &[&str] = &[
    "fapi2-5.3.2.1-code-lifetime",
    "fapi2-5.3.2.1-least-privilege",
    "fapi2-5.3.2.2-informed",
    "fapi2-5.3.4-sufficient",
    "fapi2-5.4.1-best-practices",
    // It has no RSA key.
    "fapi2-5.4.1-rsa",
    "fapi2-5.4.1-entropy",
];

/// What is not shown to hold.
fn unshown(report: &Report) -> Vec<&'static str> {
    let all = report.requirements();
    all.filter(|requirement| requirement.result != Outcome::Passed)
        .map(|requirement| requirement.id)
        .collect()
}

/// A client with a secret that it sends in the body.
async fn posting(server: &TestServer) -> Credentials {
    let client = server.client(AuthMethod::ClientSecretPost, "read write reports");
    let client = client.await;
    Credentials {
        client_id: client.id,
        authentication: Authentication::ClientSecretPost(client.secret.into()),
    }
}

/// What needs a resource other than userinfo.
const OF_RESOURCES: &[&str] = &[
    "oauth2.1-5.1-no-query",
    "oauth2.1-5.1.1-header",
    "oauth2.1-5.3.1-challenge",
    "oauth2.1-5.3.2-errors",
];

async fn a_server_keeps_oauth_2_1_in_its_default(stores: &Stores) {
    let server = start(stores).await;
    assert_eq!(auth_server::config::Config::default().profile, None);
    let credentials = posting(&server).await;
    let subject = Box::pin(subject(&server, credentials, Given::default())).await;
    let report = run_profiles(&subject, &[profile::find("oauth2.1").unwrap()], |_| ()).await;
    nothing_fails(&report);
    assert_eq!(unshown(&report), OF_RESOURCES, "{}", report.text());
}

/// The same of MCP, what people judge or those who serve, and what does not show from outside.
const UNSHOWN_OF_MCP: &[&str] = &[
    "mcp-3-resource-metadata",
    "mcp-4-authorization-servers",
    "mcp-4-challenge",
    "mcp-6-scope",
    "mcp-9.1-header",
    "mcp-9.2-audience",
    "mcp-9.2-invalid",
    "mcp-10-no-offline-access",
    "mcp-11-statuses",
    "mcp-11.1-insufficient-scope",
    "mcp-11.1-hierarchies",
    "mcp-12-warning",
    "mcp-12-fetches",
];

async fn a_server_of_the_profile_of_mcp_keeps_it(stores: &Stores) {
    let site = Site::start().await;
    let mut config = config(stores);
    site.open_to(&mut config);
    config.profile = Some(Profile::Mcp);
    config.registration.mode = Some(RegistrationMode::Open);
    config.client_documents.fetches_per_address = 0;
    // RFC 9068 §2.1 requires RS256.
    config.keys.algorithms = vec![Algorithm::Es256, Algorithm::Rs256];
    let server = TestServer::start_with(config, std::sync::Arc::default())
        .await
        .with_resources(None)
        .await;
    server.clock.advance(std::time::Duration::from_mins(2));
    let agent = site.at("/agent.json");
    site.put("/agent.json", &client_documents::describing(&agent));
    let credentials = posting(&server).await;
    let given = Given {
        document_client: Some(App {
            client_id: agent,
            redirect_uri: person::REDIRECT.into(),
        }),
        ..Given::default()
    };
    let subject = Box::pin(subject(&server, credentials, given)).await;
    let report = run_profiles(&subject, &[profile::find("mcp").unwrap()], |_| ()).await;
    nothing_fails(&report);
    assert_eq!(unshown(&report), UNSHOWN_OF_MCP, "{}", report.text());
}
