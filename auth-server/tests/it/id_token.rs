//! ID tokens (OpenID Connect Core §2, §3.1.3, §12.2).

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256, Sha512};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{Scene, app};
use crate::server::{TestServer, config};
use crate::token::decode;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_2_what_an_id_token_says,
    oidc_registration_2_the_algorithm_is_the_clients_and_rs256_by_default,
    oidc_core_12_2_a_refresh_brings_a_new_one,
    without_a_key_for_it_no_code_is_spent,
    oidc_registration_2_an_algorithm_without_a_key_is_not_registered,
);

async fn oidc_core_2_what_an_id_token_says(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut authorization = scene.authorization(&scene.app, "openid read");
    authorization.nonce = Some("n-0S6_WzA2Mj".into());
    let code = scene.issue(authorization).await;
    let answer = scene.redeem(&scene.app, &code).await;
    let id_token = answer.text("id_token");
    let (header, claims) = decode(id_token);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("JWT"), &json!("ES256"))
    );
    let now = scene.server.clock.now().as_secs();
    let iat = claims["iat"].as_i64().unwrap();
    assert!((now - 5..=now).contains(&iat));
    let left = &Sha256::digest(answer.text("access_token"))[..16];
    assert_eq!(
        claims,
        json!({
            "iss": scene.server.issuer,
            "sub": scene.account_id.as_str(),
            "aud": scene.app.id,
            "azp": scene.app.id,
            "iat": iat,
            "exp": iat + 300,
            "auth_time": scene.session.auth_time.as_secs(),
            "nonce": "n-0S6_WzA2Mj",
            "amr": ["pwd"],
            "sid": scene.session.id.as_str(),
            "at_hash": URL_SAFE_NO_PAD.encode(left),
            "grant_id": decode(answer.text("access_token")).1["grant_id"],
        })
    );
}

async fn oidc_registration_2_the_algorithm_is_the_clients_and_rs256_by_default(stores: &Stores) {
    let mut config = config(stores);
    config.keys.algorithms = Algorithm::ALL.to_vec();
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let scene = Scene::on(server).await;
    let keys = scene.server.get("/oauth/jwks").await;
    let keys = JwkSet::from_object(keys.body.as_object().unwrap()).unwrap();
    let registered = Algorithm::ALL.map(Some).into_iter().chain([None]);
    for alg in registered {
        let mut metadata = app(AuthMethod::ClientSecretBasic);
        metadata.id_token_signed_response_alg = alg;
        let client = scene.server.register(metadata).await;
        let tokens = scene.tokens(&client, "openid").await;
        let id_token = tokens["id_token"].as_str().unwrap();
        let expected = alg.unwrap_or(Algorithm::Rs256);
        let (header, claims) = decode(id_token);
        assert_eq!(header["alg"], expected.name());
        let verified = UnverifiedJwt::parse(id_token, JwtKind::IdToken)
            .unwrap()
            .verify(&keys);
        assert!(verified.is_ok(), "{expected}");
        assert!(UnverifiedJwt::parse(id_token, JwtKind::AccessToken).is_err());
        let access = tokens["access_token"].as_str().unwrap();
        let left = match expected {
            Algorithm::EdDsa => Sha512::digest(access)[..32].to_vec(),
            Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 => {
                Sha256::digest(access)[..16].to_vec()
            }
        };
        assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(left));
    }
    let listed = scene.server.get("/.well-known/openid-configuration").await;
    assert_eq!(
        listed.body["id_token_signing_alg_values_supported"],
        json!(["ES256", "EdDSA", "PS256", "RS256"])
    );
}

async fn oidc_core_12_2_a_refresh_brings_a_new_one(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut authorization = scene.authorization(&scene.app, "openid offline_access");
    authorization.nonce = Some("n".into());
    let code = scene.issue(authorization).await;
    let first = scene.redeem(&scene.app, &code).await;
    scene
        .server
        .clock
        .advance(std::time::Duration::from_hours(1));
    let second = scene.refresh(&scene.app, first.text("refresh_token")).await;
    let (_, first) = decode(first.text("id_token"));
    let (_, second) = decode(second.text("id_token"));
    for same in ["iss", "sub", "aud", "azp", "auth_time", "sid", "amr"] {
        assert_eq!(first[same], second[same], "{same}");
    }
    assert!(second.get("nonce").is_none());
    assert!(second["iat"].as_i64() >= first["iat"].as_i64().map(|iat| iat + 3600));
    let plain = scene.tokens(&scene.app, "read").await;
    let again = scene
        .refresh(&scene.app, plain["refresh_token"].as_str().unwrap())
        .await;
    assert!(again.body.get("id_token").is_none(), "no openid");
}

async fn without_a_key_for_it_no_code_is_spent(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let metadata = app(AuthMethod::None);
    let client = scene.server.register(metadata.clone()).await;
    let put = async |alg| {
        let mut metadata = metadata.clone();
        metadata.id_token_signed_response_alg = alg;
        let id = client.id.parse().unwrap();
        let changed = auth_server::clients::Client::new(id, metadata, Vec::new()).unwrap();
        let (clients, now) = (&scene.server.records.clients, scene.server.clock.now());
        clients.put(&changed, None, now).await.unwrap();
    };
    // As of a time when the server had such a key.
    put(None).await;
    let code = scene.code(&client, "openid").await;
    let answer = scene.redeem(&client, &code).await;
    assert_eq!(answer.error(), (503, "temporarily_unavailable"));
    put(Some(Algorithm::Es256)).await;
    assert_eq!(scene.redeem(&client, &code).await.status, 200);
}

async fn oidc_registration_2_an_algorithm_without_a_key_is_not_registered(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let service = |alg, scope: &str| {
        let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, scope);
        metadata.id_token_signed_response_alg = alg;
        metadata
    };
    let app = |alg, scope: &str| {
        let mut metadata = app(AuthMethod::None);
        metadata.id_token_signed_response_alg = alg;
        metadata.scope = scope.parse().unwrap();
        metadata
    };
    for (what, metadata, accepted) in [
        ("ours", app(Some(Algorithm::Es256), "openid"), true),
        ("another", app(Some(Algorithm::Ps256), "openid"), false),
        ("RS256 by default", app(None, "openid read"), false),
        ("no ID tokens", app(None, "read"), true),
        ("no people", service(None, "openid"), true),
        (
            "another, for nothing",
            service(Some(Algorithm::Rs256), "read"),
            false,
        ),
    ] {
        let registered = server.records.register_client(metadata, &server.world);
        match registered.await {
            Ok(_) => assert!(accepted, "{what}"),
            Err(refused) => {
                assert!(!accepted, "{what}: {refused}");
                assert!(refused.to_string().contains("keys.algorithms"), "{refused}");
            }
        }
    }
}
