//! Introspection answered by a JWT (RFC 9701).

use std::sync::Arc;

use auth_server::clients::{AuthMethod, ClientMetadata};
use serde_json::{Value, json};
use shared_protocol::jose::{
    Algorithm, ContentEncryption, JwkSet, JwtError, JwtKind, KeyManagement, UnverifiedJwt,
};
use shared_protocol::time::Clock as _;
use shared_testing::jwe::DecryptionKey;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{Scene, app, userinfo};
use crate::registration::{REGISTER, app as registered_app, server as registering, with};
use crate::server::{API, OTHER_API, TestClient, TestServer, config};
use crate::token::decode;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9701_5_the_answer_is_signed_for_whoever_asks_and_says_the_same,
    rfc9701_5_what_is_not_theirs_is_inactive_and_nothing_else,
    rfc9701_4_only_who_proves_who_it_is_is_answered,
    rfc9701_6_the_client_registers_how_it_is_signed_and_encrypted,
    rfc9701_6_without_rs256_the_servers_own_algorithm_is_the_default,
    rfc9701_6_what_is_asked_for_has_a_key_and_an_algorithm,
    rfc9701_8_1_the_answer_passes_for_no_token,
);

const INTROSPECT: &str = "/oauth/introspect";
const JWT: &str = "application/token-introspection+jwt";

/// What introspection answers who asks for a JWT: its media type and its body.
async fn asked(server: &TestServer, client: &TestClient, token: &str) -> (String, String) {
    let request = server
        .form(INTROSPECT, &[("token", token)])
        .basic_auth(&client.id, Some(&client.secret))
        .header("accept", JWT);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let media_type = response.headers()["content-type"].to_str().unwrap();
    (media_type.to_owned(), response.text().await.unwrap())
}

async fn in_json(server: &TestServer, client: &TestClient, token: &str) -> Value {
    let form = [("token", token)];
    server.post_as(client, INTROSPECT, &form).await.body
}

async fn keys(server: &TestServer) -> JwkSet {
    let keys = server.get("/oauth/jwks").await;
    JwkSet::from_object(keys.body.as_object().unwrap()).unwrap()
}

/// The claims of an answer of this server to this client, with `token_introspection` taken out.
fn opened(jwt: &str, keys: &JwkSet, server: &TestServer, client: &TestClient) -> Value {
    let jwt = UnverifiedJwt::parse(jwt, JwtKind::TokenIntrospection).unwrap();
    let mut claims: Value = jwt.verify(keys).unwrap().0.parse().unwrap();
    let told = claims["token_introspection"].take();
    // The clock goes on from the answer to here.
    let (iat, now) = (
        claims["iat"].as_i64().unwrap(),
        server.clock.now().as_secs(),
    );
    assert!((now - 5..=now).contains(&iat), "{iat} is not {now}");
    assert_eq!(
        claims,
        json!({"iss": server.issuer, "aud": client.id, "iat": iat, "token_introspection": null}),
        "neither sub nor exp, which are the token's"
    );
    told
}

async fn rfc9701_5_the_answer_is_signed_for_whoever_asks_and_says_the_same(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let keys = keys(server).await;
    let owner = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let tokens = scene.tokens(&owner, "openid read offline_access").await;
    let text = |name: &str| tokens[name].as_str().unwrap();
    for (who, client, token) in [
        ("the audience", &scene.api, text("access_token")),
        ("the owner", &owner, text("access_token")),
        (
            "the owner of a refresh token",
            &owner,
            text("refresh_token"),
        ),
    ] {
        let (media_type, jwt) = asked(server, client, token).await;
        assert_eq!(media_type, JWT, "{who}");
        assert_eq!(decode(&jwt).0["typ"], "token-introspection+jwt", "{who}");
        let told = opened(&jwt, &keys, server, client);
        assert_eq!(told["active"], true, "{who}");
        assert_eq!(told, in_json(server, client, token).await, "{who}");
    }
}

async fn rfc9701_5_what_is_not_theirs_is_inactive_and_nothing_else(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let keys = keys(server).await;
    let stranger = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let tokens = scene.tokens(&scene.app, "openid read offline_access").await;
    let text = |name: &str| tokens[name].as_str().unwrap();
    let service = server
        .client(AuthMethod::ClientSecretBasic, "reports")
        .await;
    let elsewhere = server.token(&service, OTHER_API).await;
    let revoked = server.token(&stranger, API).await;
    let form = [("token", revoked.as_str())];
    server.post_as(&stranger, "/oauth/revoke", &form).await;
    for (what, client, token) in [
        ("a stranger's", &stranger, text("access_token")),
        ("another audience's", &scene.api, &elsewhere),
        ("another's refresh token", &scene.api, text("refresh_token")),
        ("an ID token", &scene.api, text("id_token")),
        ("revoked", &scene.api, &revoked),
        ("noise", &scene.api, "x"),
    ] {
        let (media_type, jwt) = asked(server, client, token).await;
        assert_eq!(media_type, JWT, "{what}");
        let told = opened(&jwt, &keys, server, client);
        assert_eq!(told, json!({"active": false}), "{what}");
    }
}

async fn rfc9701_4_only_who_proves_who_it_is_is_answered(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    let form = [("token", token), ("client_id", scene.app.id.as_str())];
    let wrong = TestClient {
        secret: "wrong".into(),
        ..scene.api.clone()
    };
    let form_of = |form: &[(&str, &str)]| server.form(INTROSPECT, form).header("accept", JWT);
    for (what, request, expected) in [
        (
            "a public client",
            form_of(&form),
            (400, "unauthorized_client"),
        ),
        ("nobody", form_of(&form[..1]), (401, "invalid_client")),
        (
            "a wrong secret",
            form_of(&form[..1]).basic_auth(&wrong.id, Some(&wrong.secret)),
            (401, "invalid_client"),
        ),
        (
            "no token",
            form_of(&[]).basic_auth(&scene.api.id, Some(&scene.api.secret)),
            (400, "invalid_request"),
        ),
    ] {
        let answer = server.send(request).await;
        assert_eq!(answer.error(), expected, "{what}");
        assert_eq!(answer.header("content-type"), "application/json", "{what}");
    }
}

/// A client that is told in this form.
fn told_so(alg: Option<Algorithm>, key: Option<&DecryptionKey>) -> ClientMetadata {
    let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read");
    metadata.introspection_signed_response_alg = alg;
    if let Some(key) = key {
        let encryption: KeyManagement = key.alg().parse().unwrap();
        metadata.jwks = Some(json!({"keys": [key.public("its")]}));
        metadata.introspection_encrypted_response_alg = Some(encryption);
        metadata.introspection_encrypted_response_enc = Some(ContentEncryption::A256Gcm);
    }
    metadata
}

async fn rfc9701_6_the_client_registers_how_it_is_signed_and_encrypted(stores: &Stores) {
    // Where there is RS256, it is the default.
    told_as_registered(stores, &[Algorithm::Es256, Algorithm::Rs256], "RS256").await;
}

async fn rfc9701_6_without_rs256_the_servers_own_algorithm_is_the_default(stores: &Stores) {
    told_as_registered(stores, &[Algorithm::Es256, Algorithm::EdDsa], "ES256").await;
}

async fn told_as_registered(stores: &Stores, algorithms: &[Algorithm], default: &'static str) {
    let mut config = config(stores);
    config.keys.algorithms = algorithms.to_vec();
    let server = TestServer::start_with(config, Arc::default()).await;
    let server = server.with_resources(None).await;
    let published = keys(&server).await;
    let registered = algorithms.iter().copied().map(Some);
    for alg in registered.chain([None]) {
        for key in [None, Some(DecryptionKey::ec()), Some(DecryptionKey::rsa())] {
            let client = server.register(told_so(alg, key.as_ref())).await;
            let token = server.token(&client, API).await;
            let (media_type, mut jwt) = asked(&server, &client, &token).await;
            assert_eq!(media_type, JWT);
            if let Some(key) = &key {
                let (header, inner) = key.open(&jwt).unwrap();
                let nested = (&json!("JWT"), &json!("its"));
                assert_eq!((&header["cty"], &header["kid"]), nested);
                jwt = String::from_utf8(inner).unwrap();
            }
            let expected = alg.map_or(default, Algorithm::name);
            assert_eq!(decode(&jwt).0["alg"], expected);
            let told = opened(&jwt, &published, &server, &client);
            // Who does not ask for a JWT gets none, whatever it registered.
            assert_eq!(told, in_json(&server, &client, &token).await);
        }
    }
}

async fn rfc9701_6_what_is_asked_for_has_a_key_and_an_algorithm(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let register = async |changes: &Value| {
        let body = with(&registered_app(), changes);
        let url = format!("{}{REGISTER}", server.issuer);
        server.send(server.http.post(url).json(&body)).await
    };
    let key = DecryptionKey::ec().public("its");
    let good = json!({
        "introspection_signed_response_alg": "ES256",
        "introspection_encrypted_response_alg": "ECDH-ES",
        "introspection_encrypted_response_enc": "A256GCM",
        "jwks": {"keys": [key]},
    });
    let answer = register(&good).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    for (name, value) in good.as_object().unwrap() {
        assert_eq!(answer.body[name], *value, "{name}");
    }
    for (what, changes) in [
        (
            "an algorithm that does not sign here",
            json!({"introspection_signed_response_alg": "PS256"}),
        ),
        (
            "no signature",
            json!({"introspection_signed_response_alg": "none"}),
        ),
        ("no key", json!({"jwks": null})),
        (
            "no enc, whose default is not served",
            json!({"introspection_encrypted_response_enc": null}),
        ),
        (
            "no alg",
            json!({"introspection_encrypted_response_alg": null}),
        ),
        (
            "another enc",
            json!({"introspection_encrypted_response_enc": "A128CBC-HS256"}),
        ),
    ] {
        let answer = register(&with(&good, &changes)).await;
        assert_eq!(
            answer.error(),
            (400, "invalid_client_metadata"),
            "{what}: {}",
            answer.body
        );
    }
}

async fn rfc9701_8_1_the_answer_passes_for_no_token(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let keys = keys(server).await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let access = tokens["access_token"].as_str().unwrap();
    let (_, jwt) = asked(server, &scene.api, access).await;
    assert_eq!(userinfo(server, &jwt).await.status, 401);
    let inactive = json!({"active": false});
    assert_eq!(in_json(server, &scene.api, &jwt).await, inactive);
    for kind in [
        JwtKind::AccessToken,
        JwtKind::IdToken,
        JwtKind::LogoutToken,
        JwtKind::Userinfo,
        JwtKind::AuthorizationResponse,
        JwtKind::RequestObject,
        JwtKind::ClientAssertion,
        JwtKind::SoftwareStatement,
    ] {
        let parsed = UnverifiedJwt::parse(&jwt, kind).map(drop);
        assert_eq!(parsed, Err(JwtError::Kind), "{kind:?}");
    }
    for token in [access, tokens["id_token"].as_str().unwrap()] {
        let parsed = UnverifiedJwt::parse(token, JwtKind::TokenIntrospection).map(drop);
        assert_eq!(parsed, Err(JwtError::Kind));
    }
    let parsed = UnverifiedJwt::parse(&jwt, JwtKind::TokenIntrospection).unwrap();
    assert!(parsed.verify(&keys).is_ok());
}
