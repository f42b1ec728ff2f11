//! `client_secret_jwt` (RFC 7523 §2.2): the secret that both sides have, and where it is kept.

use std::time::Duration;

use auth_server::clients::directory::DirectoryError;
use auth_server::clients::secret::ClientSecret;
use auth_server::clients::{AuthMethod, Client, ClientMetadata};
use auth_server::config::Config;
use auth_server::store::clients as rows;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwsAlgorithm, MacAlgorithm};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ENDPOINTS, claims, present};
use crate::macs;
use crate::server::{TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7523_2_2_each_mac_at_each_endpoint_and_audience,
    threat_15_macs_and_signatures_are_never_taken_for_one_another,
    rfc7591_2_the_one_algorithm_that_was_registered,
    the_secret_itself_is_kept_for_this_method_alone_and_encrypted,
    a_secret_opens_for_its_client_and_row_alone,
    keys_rewrap_covers_secrets_of_clients,
);

async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.clock.advance(Duration::from_secs(12));
    server
}

fn metadata(alg: Option<JwsAlgorithm>) -> ClientMetadata {
    ClientMetadata {
        token_endpoint_auth_signing_alg: alg,
        ..TestServer::metadata(AuthMethod::ClientSecretJwt, "read")
    }
}

/// The status that an assertion under the client's secret gets.
async fn status(server: &TestServer, client: &TestClient, alg: &str) -> u16 {
    let claims = claims(server, client, &macs::unique());
    let assertion = macs::assertion(alg, client.secret.as_bytes(), &claims);
    let answer = present(server, "/oauth/token", &assertion).await;
    answer.status.as_u16()
}

async fn rfc7523_2_2_each_mac_at_each_endpoint_and_audience(stores: &Stores) {
    let mut config = config(stores);
    config.proxies.trusted = vec!["192.0.2.1".parse().unwrap()];
    config.proxies.header = Some(shared_server::web::ForwardedBy::Forwarded);
    config.proxies.client_certificates = true;
    config.mtls.url = Some("https://mtls.example".parse().unwrap());
    let server = TestServer::start_with(config, std::sync::Arc::default())
        .await
        .with_resources(None)
        .await;
    server.clock.advance(Duration::from_secs(12));
    let client = server.register(metadata(None)).await;
    let own = &server.issuer;
    for alg in MacAlgorithm::ALL {
        for endpoint in ENDPOINTS {
            for (audience, good) in [
                (json!(own), true),
                (json!(format!("{own}/oauth/token")), true),
                (json!("https://mtls.example/oauth/token"), true),
                (json!("https://mtls.example"), false),
                (json!(format!("{own}{endpoint}x")), false),
                (json!([own]), false),
                (Value::Null, false),
            ] {
                let mut claims = claims(&server, &client, &macs::unique());
                claims["aud"] = audience.clone();
                let secret = client.secret.as_bytes();
                let assertion = macs::assertion(alg.name(), secret, &claims);
                let answer = present(&server, endpoint, &assertion).await;
                assert_eq!(answer.status == 200, good, "{alg:?} {endpoint} {audience}");
                let again = present(&server, endpoint, &assertion).await;
                assert_eq!(again.error(), (401, "invalid_client"), "once");
            }
        }
    }
    // Past what the memory of used assertions began with.
    server.clock.advance(Duration::from_hours(3));
    let now = server.clock.now().as_secs();
    for (what, name, value, good) in [
        ("made an hour ago", "iat", now - 3590, true),
        ("made longer ago", "iat", now - 3610, false),
        ("made in a moment", "iat", now + 8, true),
        ("made in a minute", "iat", now + 61, false),
        ("good in a moment", "nbf", now + 8, true),
        ("good in a minute", "nbf", now + 61, false),
        ("good for an hour", "exp", now + 3590, true),
        ("good for longer", "exp", now + 3700, false),
        ("over", "exp", now - 1, false),
    ] {
        let mut claims = claims(&server, &client, &macs::unique());
        claims[name] = json!(value);
        let assertion = macs::assertion("HS256", client.secret.as_bytes(), &claims);
        let answer = present(&server, "/oauth/token", &assertion).await;
        assert_eq!(answer.status == 200, good, "{what}: {}", answer.body);
    }
}

async fn threat_15_macs_and_signatures_are_never_taken_for_one_another(stores: &Stores) {
    let server = started(stores).await;
    let client = server.register(metadata(None)).await;
    let basic = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let (signing, key) = server.signing_client(Algorithm::Es256, "read").await;
    let metadata = &server
        .records
        .clients
        .find(&TestServer::client_id(&signing))
        .await
        .unwrap()
        .unwrap()
        .metadata;
    let jwks = metadata.jwks.clone().unwrap();
    let key_bytes = |name: &str| {
        let text = jwks["keys"][0][name].as_str().unwrap();
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
    };
    let point = [&[4], &key_bytes("x")[..], &key_bytes("y")].concat();
    let secret = client.secret.as_bytes();
    let of = |client: &TestClient| claims(&server, client, &macs::unique());
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    let public = jwks.to_string();
    let mut rows = vec![
        (
            "an empty secret",
            macs::assertion("HS256", b"", &of(&client)),
        ),
        (
            "another's secret",
            macs::assertion("HS256", basic.secret.as_bytes(), &of(&client)),
        ),
        (
            "its digest for its secret",
            macs::assertion(
                "HS256",
                ClientSecret::presented(client.secret.clone())
                    .digest()
                    .as_bytes(),
                &of(&client),
            ),
        ),
        (
            "of a client of another method",
            macs::assertion("HS256", basic.secret.as_bytes(), &of(&basic)),
        ),
        (
            "signed by a key",
            server.assertion(&key, &of(&client)).await,
        ),
    ];
    for alg in ["HS256", "HS384", "HS512"] {
        for (what, public) in [
            ("the public key for a secret", point.as_slice()),
            ("its document for a secret", public.as_bytes()),
            ("nothing for a secret", b"".as_slice()),
        ] {
            rows.push((what, macs::assertion(alg, public, &of(&signing))));
        }
    }
    for alg in [
        "none", "nOnE", "hs256", "HS1", "ES256", "RS256", "EdDSA", "",
    ] {
        rows.push((alg, macs::with_header(&header(alg), secret, &of(&client))));
    }
    for (what, header) in [
        (
            "crit",
            json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        ),
        ("an access token", json!({"alg": "HS256", "typ": "at+jwt"})),
    ] {
        rows.push((what, macs::with_header(&header, secret, &of(&client))));
    }
    let good = macs::assertion("HS256", secret, &of(&client));
    let (input, tag) = good.rsplit_once('.').unwrap();
    for (what, tag) in [
        ("no MAC", ""),
        ("half a MAC", &tag[..21]),
        ("a zero MAC", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    ] {
        rows.push((what, format!("{input}.{tag}")));
    }
    for (what, assertion) in rows {
        let answer = present(&server, "/oauth/token", &assertion).await;
        assert_eq!(answer.error(), (401, "invalid_client"), "{what}");
    }
    assert_eq!(present(&server, "/oauth/token", &good).await.status, 200);
}

async fn rfc7591_2_the_one_algorithm_that_was_registered(stores: &Stores) {
    let server = started(stores).await;
    for registered in [None, Some(MacAlgorithm::Hs256), Some(MacAlgorithm::Hs512)] {
        let client = server
            .register(metadata(registered.map(JwsAlgorithm::from)))
            .await;
        for alg in MacAlgorithm::ALL {
            let good = registered.is_none_or(|one| one == alg);
            let status = status(&server, &client, alg.name()).await;
            assert_eq!(status == 200, good, "{registered:?} {alg:?}");
        }
    }
    let (_, key) = server.signing_client(Algorithm::Es256, "read").await;
    let signing = TestServer::signing_metadata(&key, "read");
    for (what, metadata, alg) in [
        (
            "a signature for a MAC",
            metadata(None),
            JwsAlgorithm::Signature(Algorithm::Es256),
        ),
        ("a MAC for a signature", signing, MacAlgorithm::Hs256.into()),
        (
            "for a secret in a header",
            TestServer::metadata(AuthMethod::ClientSecretBasic, "read"),
            MacAlgorithm::Hs256.into(),
        ),
    ] {
        let metadata = ClientMetadata {
            token_endpoint_auth_signing_alg: Some(alg),
            ..metadata
        };
        let refused = server.records.register_client(metadata, &server.world);
        let refused = refused.await.err().unwrap().to_string();
        assert!(
            refused.starts_with(&format!("token_endpoint_auth_signing_alg {alg} is not")),
            "{what}: {refused}"
        );
    }
}

async fn kept(server: &TestServer, client: &TestClient) -> Vec<rows::SecretRow> {
    let mut conn = server.records.store.read().await.unwrap();
    let found = rows::find(&mut conn, &TestServer::client_id(client)).await;
    found.unwrap().unwrap().secrets
}

async fn switch(
    server: &TestServer,
    client: &TestClient,
    method: AuthMethod,
    secret: Option<&ClientSecret>,
) -> Result<(), DirectoryError> {
    let metadata = TestServer::metadata(method, "read");
    let client = Client::new(TestServer::client_id(client), metadata, Vec::new()).unwrap();
    let now = server.clock.now();
    server.records.clients.put(&client, secret, now).await
}

async fn the_secret_itself_is_kept_for_this_method_alone_and_encrypted(stores: &Stores) {
    let server = started(stores).await;
    let basic = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let row = &kept(&server, &basic).await[0];
    assert!(row.sealed.is_none() && row.kek_id.is_none());
    let client = server.register(metadata(None)).await;
    let row = &kept(&server, &client).await[0];
    let sealed = row.sealed.clone().unwrap();
    assert_eq!(row.kek_id.as_deref(), Some("test"));
    let parts = client.secret.as_bytes().windows(8);
    for part in parts {
        assert!(!sealed.windows(8).any(|window| window == part));
    }
    assert_eq!(status(&server, &client, "HS256").await, 200);

    // Away: what was sealed goes, and the digest does for the other method.
    switch(&server, &client, AuthMethod::ClientSecretBasic, None)
        .await
        .unwrap();
    let row = &kept(&server, &client).await[0];
    assert!(row.sealed.is_none() && row.kek_id.is_none());
    assert_eq!(status(&server, &client, "HS256").await, 401);
    let form = [("grant_type", "client_credentials")];
    let by_secret = server.post_as(&client, "/oauth/token", &form).await;
    assert_eq!(by_secret.status, 200);
    // Back: a digest verifies no MAC.
    let refused = switch(&server, &client, AuthMethod::ClientSecretJwt, None).await;
    assert!(matches!(refused, Err(DirectoryError::NewSecret(_))));
    assert_eq!(kept(&server, &client).await.len(), 1, "nothing was changed");
    let secret = ClientSecret::generate(&*server.world.random);
    switch(&server, &client, AuthMethod::ClientSecretJwt, Some(&secret))
        .await
        .unwrap();
    assert_eq!(kept(&server, &client).await.len(), 1);
    assert_eq!(status(&server, &client, "HS256").await, 401, "the old one");
    let renewed = TestClient {
        secret: secret.expose().to_owned(),
        ..client.clone()
    };
    assert_eq!(status(&server, &renewed, "HS256").await, 200);
    // Other metadata, the same method: the secret stays.
    switch(&server, &client, AuthMethod::ClientSecretJwt, None)
        .await
        .unwrap();
    assert_eq!(status(&server, &renewed, "HS256").await, 200);
    // To a method without secrets, and none is left.
    let (_, key) = server.signing_client(Algorithm::Es256, "read").await;
    let metadata = TestServer::signing_metadata(&key, "read");
    let signing = Client::new(TestServer::client_id(&client), metadata, Vec::new()).unwrap();
    let now = server.clock.now();
    let clients = &server.records.clients;
    clients.put(&signing, None, now).await.unwrap();
    assert!(kept(&server, &client).await.is_empty());
}

async fn a_secret_opens_for_its_client_and_row_alone(stores: &Stores) {
    let server = started(stores).await;
    let (one, two) = (
        server.register(metadata(None)).await,
        server.register(metadata(None)).await,
    );
    let (of_one, of_two) = (&kept(&server, &one).await[0], &kept(&server, &two).await[0]);
    // Whoever can write to the database gives the second client the secret of the first, which they know.
    let mut conn = server.records.store.write().await.unwrap();
    let sealed = of_one.sealed.clone().unwrap();
    let moved = rows::reseal_secret(&mut conn, &two.id, of_two, "test", &sealed).await;
    assert!(moved.unwrap());
    drop(conn);
    server.records.clients.forget_all();
    let forged = TestClient {
        id: two.id.clone(),
        secret: one.secret.clone(),
    };
    assert_eq!(status(&server, &forged, "HS256").await, 503);
    assert_eq!(status(&server, &one, "HS256").await, 200);
}

async fn keys_rewrap_covers_secrets_of_clients(stores: &Stores) {
    let with_keys = |ids: &[&str]| -> Config {
        let mut config = config(stores);
        let keys: Vec<Value> = ids
            .iter()
            .map(|id| {
                let key = if *id == "test" {
                    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
                } else {
                    "HxweHRobGBkWFxQVEhMQEQ4PDA0KCwgJBgcEBQIDAAE="
                };
                json!({"id": id, "key": key})
            })
            .collect();
        config.keys.encryption = serde_json::from_value(json!(keys)).unwrap();
        config
    };
    let server = started(stores).await;
    let mut clients = Vec::new();
    for _ in 0..120 {
        clients.push(server.register(metadata(None)).await);
    }
    let basic = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let both = TestServer::start_with(with_keys(&["next", "test"]), server.clock.clone()).await;
    server.clock.advance(Duration::from_secs(12));
    assert_eq!(status(&both, &clients[0], "HS256").await, 200, "both open");
    let now = both.clock.now();
    both.records
        .keys
        .rewrap(now, &*both.world.random)
        .await
        .unwrap();
    // Two at once do each of them once.
    let (one, two) = tokio::join!(
        both.records.clients.rewrap_secrets(),
        both.records.clients.rewrap_secrets()
    );
    assert_eq!(one.unwrap() + two.unwrap(), 120);
    assert_eq!(both.records.clients.rewrap_secrets().await.unwrap(), 0);
    let next = TestServer::start_with(with_keys(&["next"]), server.clock.clone()).await;
    server.clock.advance(Duration::from_secs(12));
    for client in &clients {
        let row = &kept(&next, client).await[0];
        assert_eq!(row.kek_id.as_deref(), Some("next"));
    }
    assert_eq!(status(&next, &clients[119], "HS256").await, 200);
    assert!(kept(&next, &basic).await[0].kek_id.is_none());
    // Without the key, 503: it is the operator's to mend, and nobody else's.
    server.records.clients.forget_all();
    assert_eq!(status(&server, &clients[1], "HS256").await, 503);
    let refused = server.records.clients.rewrap_secrets().await;
    assert!(matches!(refused, Err(DirectoryError::Sealed { .. })));
}
