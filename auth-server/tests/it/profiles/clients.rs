//! Clients that do not meet what is demanded of them: not let in, and of no use where they were let in before.

use std::sync::Arc;

use auth_server::authorize::request::ResponseType;
use auth_server::clients::{
    ApplicationType, AuthMethod, Client, ClientMetadata, GrantType, ObjectAlgorithm,
};
use auth_server::config::RegistrationMode;
use auth_server::profiles::Profile;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwsAlgorithm};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{config_of, metadata};
use crate::browser::{Browser, parameter};
use crate::explain::asked;
use crate::person::{app, post};
use crate::pushed::PAR;
use crate::registration::{REGISTER, with};
use crate::request_object::new_key;
use crate::server::{TestClient, TestServer};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    what_a_profile_demands_is_asked_of_whoever_registers,
    rfc7591_who_registers_is_told_what_the_profile_says_for_it,
    threat_14_clients_of_before_the_profile_are_of_no_use,
    clients_are_held_to_a_profile_by_command,
    a_client_that_is_let_go_means_what_it_meant_before,
    clients_are_not_held_to_what_is_not_served,
);

type Change = fn(&mut ClientMetadata);

/// What is changed in a client that meets every profile, and a part of what is said of it under FAPI 2.0 and under MCP, if anything is.
const CHANGES: [(&str, Change, Option<&str>, Option<&str>); 13] = [
    ("nothing", |_| {}, None, None),
    (
        "a public client",
        |client| {
            client.token_endpoint_auth_method = AuthMethod::None;
            client.grant_types.remove(&GrantType::ClientCredentials);
        },
        Some("not by none"),
        None,
    ),
    (
        "a secret",
        |client| client.token_endpoint_auth_method = AuthMethod::ClientSecretBasic,
        Some("not by client_secret_basic"),
        None,
    ),
    (
        "a secret in the body",
        |client| client.token_endpoint_auth_method = AuthMethod::ClientSecretPost,
        Some("not by client_secret_post"),
        None,
    ),
    (
        "a secret for MACs",
        |client| client.token_endpoint_auth_method = AuthMethod::ClientSecretJwt,
        Some("not by client_secret_jwt"),
        None,
    ),
    (
        "a hybrid answer",
        |client| {
            client.response_types = vec![ResponseType::Code, ResponseType::CodeIdToken];
            client.grant_types.insert(GrantType::Implicit);
        },
        Some("implicit"),
        Some("implicit"),
    ),
    (
        "passwords",
        |client| {
            client.skip_consent = true;
            client.grant_types.insert(GrantType::Password);
        },
        Some("password grant"),
        Some("password grant"),
    ),
    (
        "assertions by RS256",
        |client| {
            client.token_endpoint_auth_signing_alg =
                Some(JwsAlgorithm::Signature(Algorithm::Rs256));
        },
        Some("token_endpoint_auth_signing_alg is RS256"),
        None,
    ),
    (
        "ID tokens by RS256",
        |client| client.id_token_signed_response_alg = Some(Algorithm::Rs256),
        Some("id_token_signed_response_alg is RS256"),
        None,
    ),
    (
        "userinfo by RS256",
        |client| client.userinfo_signed_response_alg = Some(Algorithm::Rs256),
        Some("userinfo_signed_response_alg is RS256"),
        None,
    ),
    (
        "answers by RS256",
        |client| client.authorization_signed_response_alg = Some(Algorithm::Rs256),
        Some("authorization_signed_response_alg is RS256"),
        None,
    ),
    (
        "objects by RS256",
        |client| {
            let alg = ObjectAlgorithm::Signature(Algorithm::Rs256);
            client.request_object_signing_alg = Some(alg);
        },
        Some("request_object_signing_alg is RS256"),
        None,
    ),
    (
        "a scheme of its own",
        |client| {
            client.application_type = ApplicationType::Native;
            client
                .redirect_uris
                .push("com.example.app:/cb".parse().unwrap());
        },
        None,
        Some("not com.example.app:/cb"),
    ),
];

async fn what_a_profile_demands_is_asked_of_whoever_registers(stores: &Stores) {
    let mut config = config_of(stores, None);
    config.authorization.response_types = ResponseType::ALL.into();
    config.authorization.password_grant = true;
    config.keys.algorithms.push(Algorithm::Rs256);
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    // One that all of them could be verified with.
    let keys = [new_key(Algorithm::Es256), new_key(Algorithm::Rs256)];
    for (what, change, fapi2, mcp) in CHANGES {
        for (profile, expected) in [
            (None, None),
            (Some(Profile::Fapi2), fapi2),
            (Some(Profile::Fapi2MessageSigning), fapi2),
            (Some(Profile::Mcp), mcp),
        ] {
            let mut metadata = metadata(&[&keys[0], &keys[1]]);
            change(&mut metadata);
            metadata.profile = profile;
            let registered = server.records.register_client(metadata, &server.world);
            let refused = registered.await.err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(refused, None, "{what}: {profile:?}"),
                Some(part) => {
                    let refused = refused.unwrap_or_default();
                    assert!(refused.contains(part), "{what}: {profile:?}: {refused}");
                }
            }
        }
    }
    server.stop().await;
}

async fn rfc7591_who_registers_is_told_what_the_profile_says_for_it(stores: &Stores) {
    let mut config = config_of(stores, Some(Profile::Fapi2));
    config.registration.mode = Some(RegistrationMode::Open);
    let server = TestServer::start_with(config, Arc::default()).await;
    let key = new_key(Algorithm::Es256);
    let good = serde_json::to_value(ClientMetadata {
        scope: "openid profile".parse().unwrap(),
        ..metadata(&[&key])
    });
    let good = good.unwrap();
    let told = server
        .registers(&with(&good, &json!({"profile": "mcp"})))
        .await;
    assert_eq!(told.document["id_token_signed_response_alg"], "ES256");
    assert_eq!(told.document["authorization_signed_response_alg"], "ES256");
    assert_eq!(told.document.get("profile"), None, "the operator's to say");
    // Nor does it lose it by what it changes itself.
    let changed = with(
        &good,
        &json!({"client_id": told.client.id, "client_name": "Another"}),
    );
    let changed = server.puts(&told, &told.token, &changed).await;
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(changed.body["id_token_signed_response_alg"], "ES256");
    for changes in [
        json!({"token_endpoint_auth_method": null}),
        json!({"token_endpoint_auth_method": "none", "grant_types": ["authorization_code"]}),
        json!({"id_token_signed_response_alg": "RS256"}),
        json!({"request_object_signing_alg": "RS256"}),
        json!({"request_object_signing_alg": "none"}),
        json!({"userinfo_signed_response_alg": "RS256"}),
        json!({"response_types": ["code", "code id_token"], "grant_types": ["authorization_code", "implicit"]}),
    ] {
        let answer = server
            .post_json(REGISTER, &with(&good, &changes), None)
            .await;
        assert_eq!(
            answer.error(),
            (400, "invalid_client_metadata"),
            "{changes}"
        );
    }
    server.stop().await;
}

/// The clients are as they were; the server is not.
async fn threat_14_clients_of_before_the_profile_are_of_no_use(stores: &Stores) {
    let mut config = config_of(stores, None);
    config.authorization.response_types = ResponseType::ALL.into();
    let before = TestServer::start_with(config, Arc::default()).await;
    let before = before.with_resources(None).await;
    let secret = before.register(app(AuthMethod::ClientSecretBasic)).await;
    let public = before.register(app(AuthMethod::None)).await;
    for profile in [Profile::Fapi2, Profile::Fapi2MessageSigning] {
        let mut config = config_of(stores, Some(profile));
        config.issuer = before.issuer.parse().unwrap();
        let server = TestServer::start_with(config, before.clock.clone()).await;
        for client in [&secret, &public] {
            for (path, form) in [
                (PAR, TestServer::asking(client, &[])),
                (
                    "/oauth/token",
                    vec![("grant_type".into(), "client_credentials".into())],
                ),
                (
                    "/oauth/introspect",
                    vec![("token".into(), "unknown".into())],
                ),
                ("/oauth/device_authorization", Vec::new()),
            ] {
                let form: Vec<_> = form
                    .iter()
                    .filter(|(name, _)| name != "client_id")
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let answer = post(&server, client, path, &form).await;
                assert_eq!(answer.error(), (400, "unauthorized_client"), "{path}");
            }
            let url = server.authorize_url(client, &[]);
            let page = Browser::new(&server).open(&url).await;
            let error = parameter(&page.location(), "error");
            assert_eq!(error.as_deref(), Some("unauthorized_client"));
            // Who looks for the cause finds it.
            let (told, explained) = asked(&server, server.http.get(&url)).await;
            assert_eq!(told.status, 303);
            let causes = explained.causes.join(" ");
            assert!(causes.contains("section 5.3.2.1"), "{causes}");
            assert!(explained.mend.unwrap().contains("profile"));
        }
        // Wrong secrets are told nothing.
        let wrong = TestClient {
            secret: "wrong".into(),
            ..secret.clone()
        };
        let answer = post(&server, &wrong, "/oauth/introspect", &[("token", "x")]).await;
        assert_eq!(answer.error(), (401, "invalid_client"));
        server.stop().await;
    }
    before.stop().await;
}

async fn clients_are_held_to_a_profile_by_command(stores: &Stores) {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    let key = new_key(Algorithm::Es256);
    let keys = metadata(&[&key]).jwks.unwrap();
    std::fs::write(&jwks, keys.to_string()).unwrap();
    let create = ["client", "create", "--grant", "client_credentials"];
    let by_key = [
        "--auth-method",
        "private_key_jwt",
        "--jwks",
        jwks.to_str().unwrap(),
    ];
    let held = [
        &create[..],
        &by_key,
        &["--profile", "fapi2-message-signing"],
    ]
    .concat();
    let held = ran_json(stores, &held, "");
    let profile = |id: &Value| {
        let shown = ran_json(stores, &["client", "show", id.as_str().unwrap()], "");
        shown["metadata"]["profile"].clone()
    };
    let id = &held["client_id"];
    assert_eq!(profile(id), "fapi2-message-signing");
    ran(
        stores,
        &["client", "set-profile", id.as_str().unwrap(), "mcp"],
        "",
    );
    assert_eq!(profile(id), "mcp");
    ran(stores, &["client", "set-profile", id.as_str().unwrap()], "");
    assert_eq!(profile(id), Value::Null);
    // Nothing of it is left: it is as if it had never been held to one.
    let shown = |id: &Value| ran_json(stores, &["client", "show", id.as_str().unwrap()], "");
    let never = ran_json(stores, &[&create[..], &by_key].concat(), "");
    assert_eq!(
        shown(id)["metadata"],
        shown(&never["client_id"])["metadata"]
    );

    let by_secret = ran_json(stores, &create, "");
    let id = by_secret["client_id"].as_str().unwrap();
    for (arguments, part) in [
        (
            vec!["client", "set-profile", id, "fapi2"],
            "not by client_secret_basic",
        ),
        (
            vec!["client", "set-profile", id, "fapi1"],
            "no such profile",
        ),
        (
            [&create[..], &["--profile", "fapi2"]].concat(),
            "not by client_secret_basic",
        ),
    ] {
        let output = run(stores, &arguments, "");
        assert!(!output.status.success(), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(part), "{arguments:?}: {said}");
    }
    let checked = ran_json(stores, &["config", "check"], "");
    assert_eq!(checked["problem"], json!([]));
    let recommended = checked["recommendation"].as_array().unwrap();
    let profile = recommended
        .iter()
        .find(|one| one["key"] == "profile")
        .unwrap();
    assert_eq!(profile["rule"], "RFC 9700 section 2.2.1");
    let text = ran(stores, &["config", "check"], "");
    assert!(
        text.starts_with("the configuration can be used\nrecommendation: "),
        "{text}"
    );
}

async fn a_client_that_is_let_go_means_what_it_meant_before(stores: &Stores) {
    let server = TestServer::start_with(config_of(stores, None), Arc::default()).await;
    let key = new_key(Algorithm::Es256);
    let service = ClientMetadata {
        jwks: metadata(&[&key]).jwks,
        ..TestServer::metadata(AuthMethod::PrivateKeyJwt, "read")
    };
    let service = server.register(service).await;
    let shown = || ran_json(stores, &["client", "show", &service.id], "");
    let before = shown();
    let member = "introspection_signed_response_alg";
    assert_eq!(before["metadata"][member], Value::Null);
    ran(stores, &["client", "set-profile", &service.id, "fapi2"], "");
    assert_eq!(shown()["metadata"][member], "ES256");
    ran(stores, &["client", "set-profile", &service.id], "");
    assert_eq!(shown(), before);
    server.stop().await;
}

async fn clients_are_not_held_to_what_is_not_served(stores: &Stores) {
    let server = TestServer::start_with(config_of(stores, None), Arc::default()).await;
    let clients = &server.records.clients;
    let now = server.clock.now();
    let client = |id: &str, metadata| Client::new(id.parse().unwrap(), metadata, Vec::new());
    let document = "https://app.example/client.json";
    let describing = client(document, app(AuthMethod::None)).unwrap();
    clients.keep(&describing, now).await.unwrap();
    // Its ID tokens would be signed with RS256, of which there is no key.
    let unsigned = ClientMetadata {
        id_token_signed_response_alg: None,
        ..app(AuthMethod::None)
    };
    let unsigned = client("unsigned", unsigned).unwrap();
    clients.put(&unsigned, None, now).await.unwrap();
    for (id, part) in [
        (document, "describes itself"),
        ("unsigned", "does not sign"),
    ] {
        let output = run(stores, &["client", "set-profile", id, "mcp"], "");
        assert!(!output.status.success(), "{id}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(part), "{id}: {said}");
        let shown = ran_json(stores, &["client", "show", id], "");
        assert_eq!(shown["metadata"].get("profile"), None, "{id}");
    }
    server.stop().await;
}
