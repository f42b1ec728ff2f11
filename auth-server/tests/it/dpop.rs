//! Proofs of possession (RFC 9449) at the endpoints that take them: what they bind, and what is none.

mod codes;
mod downgrade;
mod nonces;
mod proofs;
mod refresh;

use std::collections::BTreeSet;
use std::time::Duration;

use auth_server::clients::{AuthMethod, Client, ClientMetadata, GrantType, InvalidClientMetadata};
use auth_server::config::Config;
use auth_server::resource_servers::{ResourceServer, TokenFormat};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, SigningKey};
use shared_protocol::time::{Clock as _, Instant};
use shared_testing::on_each_store;
use shared_testing::prover::Destination;
pub(crate) use shared_testing::prover::{Prover, good};
use shared_testing::stores::Stores;

use crate::person::{Scene, app, claims, code_form, refresh_form, request};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer, config};
use crate::token_exchange::{self, gateway_policy, introspects, service};
use crate::{device, jwt_bearer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_5_tokens_are_bound_to_the_key_of_the_proof,
    rfc9449_5_keys_of_every_algorithm,
    rfc9449_5_a_device_binds_its_tokens,
    rfc9449_5_an_assertion_of_an_issuer_brings_bound_tokens,
    rfc9449_5_2_a_client_that_registered_for_it_always_shows_a_proof,
    rfc9449_6_2_introspection_tells_what_a_token_is_bound_to,
    rfc8693_what_is_exchanged_is_bound_to_the_key_of_whom_exchanges_it,
    rfc9449_what_a_client_registers_makes_sense,
);

pub(crate) const TOKEN: &str = "/oauth/token";
pub(crate) const PAR: &str = "/oauth/par";
const CREDENTIALS: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("resource", API)];

impl Destination for TestServer {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// A request of a client with these proofs.
pub(crate) async fn send(
    server: &TestServer,
    client: &TestClient,
    (path, form): (&str, &[(&str, &str)]),
    proofs: &[&str],
) -> Answer {
    let request = request(server, client, path, form);
    let request = proofs
        .iter()
        .fold(request, |request, proof| request.header("dpop", *proof));
    server.send(request).await
}

/// Whether nodes share a memory of what was used.
pub(crate) fn is_shared(stores: &Stores) -> bool {
    stores.ephemeral.url.expose_secret() != "memory"
}

/// Pushes a request, as [`TestServer::asking`] has it, with these proofs.
pub(crate) async fn push(
    server: &TestServer,
    client: &TestClient,
    changes: &[(&str, &str)],
    proofs: &[&str],
) -> Answer {
    let form = TestServer::asking(client, changes);
    let form: Vec<_> = form
        .iter()
        .filter(|(name, _)| name != "client_id")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    send(server, client, (PAR, &form), proofs).await
}

/// A token request with a good proof.
pub(crate) async fn ask(
    server: &TestServer,
    client: &TestClient,
    form: &[(&str, &str)],
    prover: &Prover,
) -> Answer {
    let proof = prover.proof(server, TOKEN, &json!({})).await;
    send(server, client, (TOKEN, form), &[&proof]).await
}

/// A scene in which no proof is from before the memory of used ones.
pub(crate) async fn scene(stores: &Stores) -> Scene {
    scene_of(config(stores)).await
}

pub(crate) async fn scene_of(config: Config) -> Scene {
    let scene = Scene::on(TestServer::start_with(config, std::sync::Arc::default()).await).await;
    scene.server.clock.advance(Duration::from_mins(2));
    scene
}

/// Of an access token that was answered, that it is bound to this key and says so, or is bound to nothing.
pub(crate) fn assert_bound(answer: &Answer, prover: Option<&Prover>, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    let cnf = &claims(answer.text("access_token"))["cnf"];
    let expected = prover.map_or(Value::Null, |prover| json!({"jkt": prover.jkt()}));
    assert_eq!(*cnf, expected, "{what}");
    let token_type = prover.map_or("Bearer", |_| "DPoP");
    assert_eq!(answer.text("token_type"), token_type, "{what}");
}

pub(crate) fn bound(metadata: ClientMetadata) -> ClientMetadata {
    ClientMetadata {
        dpop_bound_access_tokens: true,
        ..metadata
    }
}

async fn rfc9449_5_tokens_are_bound_to_the_key_of_the_proof(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let answer = ask(server, &service, &CREDENTIALS, &prover).await;
    assert_bound(&answer, Some(&prover), "client_credentials");
    let answer = send(server, &service, (TOKEN, &CREDENTIALS), &[]).await;
    assert_bound(&answer, None, "client_credentials without a proof");

    let web = server.register(app(AuthMethod::ClientSecretBasic)).await;
    for client in [&scene.app, &web] {
        let code = scene.code(client, "openid read").await;
        let answer = ask(server, client, &code_form(&code), &prover).await;
        assert_bound(&answer, Some(&prover), "authorization_code");
        let refresh = answer.text("refresh_token").to_owned();
        let answer = ask(server, client, &refresh_form(&refresh), &prover).await;
        assert_bound(&answer, Some(&prover), "refresh_token");
        let code = scene.code(client, "openid read").await;
        let answer = scene.redeem(client, &code).await;
        assert_bound(&answer, None, "authorization_code without a proof");
    }
    // An ID token is not presented to anybody who could ask for a proof.
    let code = scene.code(&scene.app, "openid read").await;
    let answer = ask(server, &scene.app, &code_form(&code), &prover).await;
    assert!(claims(answer.text("id_token"))["cnf"].is_null());
}

async fn rfc9449_5_keys_of_every_algorithm(stores: &Stores) {
    let scene = scene(stores).await;
    let server = &scene.server;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    for alg in Algorithm::ALL {
        let prover = Prover::of(alg);
        let answer = ask(server, &service, &CREDENTIALS, &prover).await;
        assert_bound(&answer, Some(&prover), alg.name());
    }
}

async fn rfc9449_5_a_device_binds_its_tokens(stores: &Stores) {
    let scene = device::Scene::set(stores).await;
    scene.server.clock.advance(Duration::from_mins(2));
    let (server, prover, other) = (&scene.server, Prover::new(), Prover::new());
    let asked = scene.begin("openid read").await;
    let form = [
        ("grant_type", device::GRANT),
        ("device_code", asked.device_code.as_str()),
    ];
    let pending = ask(server, &scene.device, &form, &other).await;
    assert_eq!(pending.error(), (400, "authorization_pending"));
    assert!(!pending.header("dpop-nonce").is_empty());
    scene.decide(&asked, "approve").await;
    server.clock.advance(Duration::from_secs(10));
    let answer = ask(server, &scene.device, &form, &prover).await;
    assert_bound(&answer, Some(&prover), "device_code");
    let refresh = refresh_form(answer.text("refresh_token"));
    let stolen = ask(server, &scene.device, &refresh, &other).await;
    assert_eq!(stolen.error(), (400, "invalid_grant"));
    let answer = ask(server, &scene.device, &refresh, &prover).await;
    assert_bound(&answer, Some(&prover), "refresh_token");
}

async fn rfc9449_5_an_assertion_of_an_issuer_brings_bound_tokens(stores: &Stores) {
    let scene = jwt_bearer::Scene::with(config(stores)).await;
    let prover = Prover::new();
    let server = &scene.server;
    for (subject, sub) in [
        ("account_id", scene.account_id.as_str()),
        ("client", &scene.client.id),
    ] {
        let (trusted, changes) = (
            (jwt_bearer::ISSUER, &scene.key),
            json!({"subject": subject}),
        );
        let trusts = jwt_bearer::trust(server, trusted, &changes);
        trusts.await.unwrap();
        let good = jwt_bearer::good_claims(server, &scene.account_id);
        let said = crate::registration::with(&good, &json!({"sub": sub}));
        let kind = shared_protocol::jose::JwtKind::BearerAssertion;
        let assertion = jwt_bearer::sign(kind, &said, &scene.key).await;
        let form = [
            ("grant_type", jwt_bearer::GRANT),
            ("assertion", assertion.as_str()),
            ("resource", API),
        ];
        let answer = ask(server, &scene.client, &form, &prover).await;
        assert_bound(&answer, Some(&prover), subject);
    }
}

async fn rfc9449_5_2_a_client_that_registered_for_it_always_shows_a_proof(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let app = server.register(bound(app(AuthMethod::None))).await;
    let metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    let service = server.register(bound(metadata)).await;
    let code = scene.code(&app, "openid read").await;
    let refused = (400, "invalid_dpop_proof");
    for (what, client, form) in [
        ("a service", &service, &CREDENTIALS[..]),
        ("an app", &app, &code_form(&code)),
        // Judged before anything that is asked for.
        ("nonsense", &service, &[("grant_type", "nonsense")]),
    ] {
        let answer = send(server, client, (TOKEN, form), &[]).await;
        assert_eq!(answer.error(), refused, "{what}");
    }
    let answer = ask(server, &app, &code_form(&code), &prover).await;
    assert_bound(&answer, Some(&prover), "the code is not spent");
    let refresh = answer.text("refresh_token").to_owned();
    let answer = send(server, &app, (TOKEN, &refresh_form(&refresh)), &[]).await;
    assert_eq!(answer.error(), refused, "refresh_token");
    let answer = ask(server, &service, &CREDENTIALS, &prover).await;
    assert_bound(&answer, Some(&prover), "client_credentials");
    let token = answer.text("access_token").to_owned();
    // Where no token comes of it, none is asked for, and none is looked at.
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let form = [("token", token.as_str())];
        for proofs in [&[][..], &["x", "y"]] {
            let answer = send(server, &service, (path, &form), proofs).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
            assert_eq!(answer.header("dpop-nonce"), "", "{path}");
        }
    }
    let pushed = crate::pushed::push(server, &app, &[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
}

async fn rfc9449_6_2_introspection_tells_what_a_token_is_bound_to(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server
        .client(AuthMethod::ClientSecretBasic, "read reports")
        .await;
    let change = |format| move |known: &mut ResourceServer| known.token_format = format;
    let cnf = json!({"jkt": prover.jkt()});
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        server.change_resource(API, change(format)).await;
        for (proven, cnf, token_type) in [(true, &cnf, "DPoP"), (false, &Value::Null, "Bearer")] {
            let answer = if proven {
                ask(server, &service, &CREDENTIALS, &prover).await
            } else {
                send(server, &service, (TOKEN, &CREDENTIALS), &[]).await
            };
            let form = [("token", answer.text("access_token"))];
            for client in [&scene.api, &service] {
                let told = server.post_as(client, "/oauth/introspect", &form).await;
                let told = (
                    &told.body["active"],
                    &told.body["cnf"],
                    &told.body["token_type"],
                );
                assert_eq!(told, (&json!(true), cnf, &json!(token_type)), "{format:?}");
            }
        }
    }
    server.change_resource(API, change(TokenFormat::Jwt)).await;
    // Whoever has it may ask what its refresh token is bound to.
    let code = scene.code(&scene.app, "openid read").await;
    let tokens = ask(server, &scene.app, &code_form(&code), &prover).await;
    let tokens = claims(tokens.text("access_token"));
    let id = tokens["grant_id"].as_str().unwrap().parse().unwrap();
    let (grants, now) = (&server.records.grants, server.clock.now());
    let grant = grants.find(&id, now).await.unwrap().unwrap();
    let family = grant.family.unwrap();
    assert_eq!(json!(family.confirmation), cnf);
}

async fn rfc8693_what_is_exchanged_is_bound_to_the_key_of_whom_exchanges_it(stores: &Stores) {
    let scene = scene(stores).await;
    let server = &scene.server;
    let (prover, other) = (Prover::new(), Prover::new());
    let metadata = service("openid email read write reports", &gateway_policy());
    let gateway = server.register(metadata).await;
    introspects(&scene, API, &["read", "write"], &gateway).await;
    let code = scene.code(&scene.app, "openid read").await;
    let subject = ask(server, &scene.app, &code_form(&code), &prover).await;
    let form = token_exchange::form(subject.text("access_token"), OTHER_API);
    // Whoever may exchange it by policy need not have its key: its own is what counts.
    let answer = ask(server, &gateway, &form, &other).await;
    assert_bound(&answer, Some(&other), "exchanged");
    let answer = send(server, &gateway, (TOKEN, &form), &[]).await;
    assert_bound(&answer, None, "exchanged without a proof");
    for (requested, token_type) in [
        (token_exchange::REFRESH, "N_A"),
        (token_exchange::JWT, "DPoP"),
    ] {
        let form = [&form[..], &[("requested_token_type", requested)]].concat();
        let answer = ask(server, &gateway, &form, &other).await;
        assert_eq!(answer.text("token_type"), token_type, "{}", answer.body);
        if token_type == "N_A" {
            // The gateway proves who it is: it may come with any key.
            let refresh = refresh_form(answer.text("access_token"));
            let answer = ask(server, &gateway, &refresh, &prover).await;
            assert_bound(&answer, Some(&prover), "refreshed");
        }
    }
}

async fn rfc9449_what_a_client_registers_makes_sense(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let refused = async |metadata: ClientMetadata| {
        let registered = server.records.register_client(metadata, &server.world);
        let error = registered.await.err().map(|error| error.to_string());
        error.unwrap_or_else(|| "nothing".into())
    };
    let in_front = |metadata: ClientMetadata| ClientMetadata {
        grant_types: BTreeSet::from([GrantType::AuthorizationCode, GrantType::Implicit]),
        response_types: vec!["code".parse().unwrap(), "code token".parse().unwrap()],
        ..metadata
    };
    let certified = |metadata: ClientMetadata| ClientMetadata {
        tls_client_certificate_bound_access_tokens: true,
        ..metadata
    };
    let app = || app(AuthMethod::ClientSecretBasic);
    for (what, metadata, expected) in [
        ("a key", bound(app()), "nothing".to_owned()),
        (
            "certificates, which nobody sees",
            certified(app()),
            InvalidClientMetadata::NoCertificates.to_string(),
        ),
    ] {
        assert_eq!(refused(metadata).await, expected, "{what}");
    }
    let contradicts = |metadata| Client::new("app".parse().unwrap(), metadata, Vec::new()).err();
    for metadata in [bound(in_front(app())), certified(in_front(app()))] {
        let expected = Some(InvalidClientMetadata::BoundInFront);
        assert_eq!(contradicts(metadata), expected);
    }
    let expected = Some(InvalidClientMetadata::TwoBindings);
    assert_eq!(contradicts(bound(certified(app()))), expected);
    // By registration, and by the operator.
    let server = crate::registration::server(stores, |_| {})
        .await
        .with_resources(None)
        .await;
    let wanted = json!({"dpop_bound_access_tokens": true});
    let registered = crate::registration::with(&crate::registration::service(), &wanted);
    let registered = server.registers(&registered).await;
    assert_eq!(registered.document["dpop_bound_access_tokens"], true);
    let create = [
        "client",
        "create",
        "--grant",
        "client_credentials",
        "--scope",
        "read",
    ];
    let create = [&create[..], &["--dpop-bound-access-tokens"]].concat();
    let made = crate::users::ran_json(stores, &create, "");
    let made = TestClient {
        id: made["client_id"].as_str().unwrap().to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    for client in [&registered.client, &made] {
        let answer = send(&server, client, (TOKEN, &CREDENTIALS), &[]).await;
        assert_eq!(answer.error(), (400, "invalid_dpop_proof"));
    }
}
