//! What is told in signed and encrypted form: userinfo (OpenID Connect Core §5.3.2), ID tokens (§10.2), metadata (RFC 8414 §2.1).

use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use serde_json::{Value, json};
use shared_protocol::jose::{
    Algorithm, ContentEncryption, JwkSet, JwtKind, KeyManagement, UnverifiedJwt,
};
use shared_testing::jwe::DecryptionKey;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{Scene, app, ask, code_form, refresh_form};
use crate::registration::{REGISTER, app as registered_app, server as registering, with};
use crate::server::{TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_5_3_2_userinfo_is_signed_and_encrypted_as_registered,
    oidc_core_10_2_id_tokens_are_encrypted_as_registered,
    oidc_core_10_2_the_signed_one_inside_is_a_hint,
    oidc_core_10_2_keys_that_a_client_publishes_are_followed,
    oidc_registration_2_what_is_asked_for_has_a_key_and_an_algorithm,
    oidc_registration_2_what_is_announced_can_be_registered_and_is_told,
    rfc8414_2_1_the_metadata_holds_itself_signed,
);

const USERINFO: &str = "/oauth/userinfo";

/// A body as it is, and its media type.
async fn told(server: &TestServer, token: &str) -> (String, String) {
    let url = format!("{}{USERINFO}", server.issuer);
    let response = server
        .http
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let media_type = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(response.headers()["cache-control"], "no-store");
    (response.text().await.unwrap(), media_type)
}

async fn keys(server: &TestServer) -> JwkSet {
    let keys = server.get("/oauth/jwks").await;
    JwkSet::from_object(keys.body.as_object().unwrap()).unwrap()
}

/// The claims of a JWT of this server.
fn verified(token: &str, kind: JwtKind, keys: &JwkSet) -> Value {
    let jwt = UnverifiedJwt::parse(token, kind).unwrap();
    jwt.verify(keys).unwrap().0.parse().unwrap()
}

fn set(keys: &[&Value]) -> Value {
    json!({ "keys": keys })
}

/// An app whose ID tokens, and what userinfo tells it, are encrypted to this key.
fn encrypted(key: &DecryptionKey) -> ClientMetadata {
    let alg: KeyManagement = key.alg().parse().unwrap();
    let enc = Some(ContentEncryption::A256Gcm);
    ClientMetadata {
        jwks: Some(set(&[&key.public("its")])),
        id_token_encrypted_response_alg: Some(alg),
        id_token_encrypted_response_enc: enc,
        userinfo_encrypted_response_alg: Some(alg),
        userinfo_encrypted_response_enc: enc,
        ..app(AuthMethod::ClientSecretBasic)
    }
}

async fn oidc_core_5_3_2_userinfo_is_signed_and_encrypted_as_registered(stores: &Stores) {
    let mut config = config(stores);
    config.keys.algorithms = vec![Algorithm::Es256, Algorithm::EdDsa];
    let scene = Scene::on(TestServer::start_with(config, std::sync::Arc::default()).await).await;
    let server = &scene.server;
    let published = keys(server).await;
    for alg in [None, Some(Algorithm::Es256), Some(Algorithm::EdDsa)] {
        for key in [None, Some(DecryptionKey::ec()), Some(DecryptionKey::rsa())] {
            let mut metadata = match &key {
                Some(key) => encrypted(key),
                None => app(AuthMethod::ClientSecretBasic),
            };
            metadata.userinfo_signed_response_alg = alg;
            let client = server.register(metadata).await;
            let tokens = scene.tokens(&client, "openid email").await;
            let (body, media_type) = told(server, tokens["access_token"].as_str().unwrap()).await;
            let is_json = alg.is_none() && key.is_none();
            let expected = if is_json {
                "application/json"
            } else {
                "application/jwt"
            };
            assert_eq!(media_type, expected);
            let (header, inner) = match &key {
                Some(key) => {
                    let (header, inner) = key.open(&body).unwrap();
                    (Some(header), String::from_utf8(inner).unwrap())
                }
                None => (None, body),
            };
            if let Some(header) = header {
                let nested = alg.is_some().then_some("JWT");
                assert_eq!(header["cty"].as_str(), nested);
                assert_eq!(header["kid"], "its");
            }
            let mut claims: Value = match alg {
                None => serde_json::from_str(&inner).unwrap(),
                Some(_) => verified(&inner, JwtKind::Userinfo, &published),
            };
            if let Some(alg) = alg {
                let (header, _) = crate::token::decode(&inner);
                assert_eq!(header["alg"], alg.name());
                let members = claims.as_object_mut().unwrap();
                assert_eq!(members.remove("iss"), Some(json!(server.issuer)));
                assert_eq!(members.remove("aud"), Some(json!(client.id)));
            }
            let expected = json!({"sub": scene.account_id, "email": "alice@example.com", "email_verified": true});
            assert_eq!(claims, expected);
        }
    }
}

async fn oidc_core_10_2_id_tokens_are_encrypted_as_registered(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let published = keys(&scene.server).await;
    for key in [DecryptionKey::ec(), DecryptionKey::rsa()] {
        let client = scene.server.register(encrypted(&key)).await;
        let tokens = scene.tokens(&client, "openid offline_access").await;
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let refreshed = ask(&scene.server, &client, &refresh_form(refresh)).await;
        for token in [&tokens["id_token"], &refreshed.body["id_token"]] {
            let (header, inner) = key.open(token.as_str().unwrap()).unwrap();
            assert_eq!(
                (&header["alg"], &header["enc"]),
                (&json!(key.alg()), &json!("A256GCM"))
            );
            assert_eq!(header["cty"], "JWT", "RFC 7519 section 5.2");
            let inner = String::from_utf8(inner).unwrap();
            let claims = verified(&inner, JwtKind::IdToken, &published);
            assert_eq!(claims["sub"], scene.account_id.as_str());
            assert_eq!(claims["aud"], client.id);
        }
    }
}

/// OpenID Connect Core §3.1.2.1: the client sends what it decrypted.
async fn oidc_core_10_2_the_signed_one_inside_is_a_hint(stores: &Stores) {
    use crate::browser::{Browser, EMAIL, code, parameter};
    let server = TestServer::start(stores).await;
    server.person(EMAIL).await;
    let key = DecryptionKey::ec();
    let mut metadata = encrypted(&key);
    metadata.userinfo_signed_response_alg = Some(Algorithm::Es256);
    let client = server.register(metadata).await;
    let browser = Browser::new(&server);
    let openid = ("scope", "openid");
    let location = browser
        .sign_in_and_consent(server.authorize_url(&client, &[openid]))
        .await;
    let answer = ask(&server, &client, &code_form(&code(&location))).await;
    let open = |token: &str| String::from_utf8(key.open(token).unwrap().1).unwrap();
    let inner = open(answer.text("id_token"));
    let (userinfo, _) = told(&server, answer.text("access_token")).await;
    for (what, hint, error) in [
        ("the signed one", inner.as_str(), None),
        (
            "the encrypted one",
            answer.text("id_token"),
            Some("invalid_request"),
        ),
        (
            "what userinfo says",
            &open(&userinfo),
            Some("invalid_request"),
        ),
    ] {
        let changes = [openid, ("prompt", "none"), ("id_token_hint", hint)];
        let page = browser.open(server.authorize_url(&client, &changes)).await;
        let told = parameter(&page.location(), "error");
        assert_eq!(told.as_deref(), error, "{what}");
    }
    server.stop().await;
}

async fn oidc_core_10_2_keys_that_a_client_publishes_are_followed(stores: &Stores) {
    const JWKS: &str = "/jwks.json";
    let site = Site::start().await;
    let mut config = config(stores);
    site.open_to(&mut config);
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let scene = Scene::on(server).await;
    let (first, second) = (DecryptionKey::ec(), DecryptionKey::ec());
    site.put(JWKS, &set(&[&first.public("first")]));
    let mut metadata = encrypted(&first);
    metadata.jwks = None;
    metadata.jwks_uri = Some(site.at(JWKS).parse().unwrap());
    let client = scene.server.register(metadata).await;
    let tokens = scene.tokens(&client, "openid").await;
    assert!(first.open(tokens["id_token"].as_str().unwrap()).is_ok());

    // What was fetched is believed for five minutes.
    site.put(JWKS, &set(&[&second.public("second")]));
    scene.server.clock.advance(Duration::from_mins(6));
    let tokens = scene.tokens(&client, "openid").await;
    assert!(second.open(tokens["id_token"].as_str().unwrap()).is_ok());

    // None that fits: the client is told, and its code is not spent.
    let mut for_signatures = first.public("sig");
    for_signatures["use"] = "sig".into();
    site.put(JWKS, &set(&[&for_signatures]));
    scene.server.clock.advance(Duration::from_mins(6));
    let code = scene.code(&client, "openid email").await;
    let refused = scene.redeem(&client, &code).await;
    assert_eq!(refused.error(), (400, "invalid_request"));
    let description = refused.text("error_description");
    assert!(description.contains("ECDH-ES"), "{description}");
    // A key that came just now is found at once, or ten seconds later at most.
    site.put(JWKS, &set(&[&first.public("first")]));
    scene.server.clock.advance(Duration::from_secs(11));
    let answer = scene.redeem(&client, &code).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(first.open(answer.text("id_token")).is_ok());
    assert!(
        first
            .open(&told(&scene.server, answer.text("access_token")).await.0)
            .is_ok()
    );
}

async fn oidc_registration_2_what_is_asked_for_has_a_key_and_an_algorithm(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let (ec, rsa) = (
        DecryptionKey::ec().public("e"),
        DecryptionKey::rsa().public("r"),
    );
    let mut sig = ec.clone();
    sig["use"] = "sig".into();
    let (of_ec, of_rsa, of_sig) = (set(&[&ec]), set(&[&rsa]), set(&[&sig]));
    for place in ["id_token", "userinfo"] {
        let (alg, enc) = (
            format!("{place}_encrypted_response_alg"),
            format!("{place}_encrypted_response_enc"),
        );
        for (what, changes, says) in [
            (
                "EC",
                json!({&alg: "ECDH-ES", &enc: "A256GCM", "jwks": of_ec}),
                None,
            ),
            (
                "RSA",
                json!({&alg: "RSA-OAEP-256", &enc: "A256GCM", "jwks": of_rsa}),
                None,
            ),
            (
                "published",
                json!({&alg: "ECDH-ES", &enc: "A256GCM", "jwks_uri": "https://app.example/jwks.json"}),
                None,
            ),
            (
                "no keys",
                json!({&alg: "ECDH-ES", &enc: "A256GCM"}),
                Some("needs jwks_uri"),
            ),
            (
                "another type",
                json!({&alg: "ECDH-ES", &enc: "A256GCM", "jwks": of_rsa}),
                Some("needs jwks_uri"),
            ),
            (
                "for signatures",
                json!({&alg: "ECDH-ES", &enc: "A256GCM", "jwks": of_sig}),
                Some("needs jwks_uri"),
            ),
            (
                "the default, which is not served",
                json!({&alg: "ECDH-ES", "jwks": of_ec}),
                Some("say A256GCM"),
            ),
            (
                "enc alone",
                json!({&enc: "A256GCM", "jwks": of_ec}),
                Some("name both"),
            ),
            (
                "another alg",
                json!({&alg: "RSA1_5", &enc: "A256GCM"}),
                Some("not one of"),
            ),
            (
                "dir",
                json!({&alg: "dir", &enc: "A256GCM"}),
                Some("not one of"),
            ),
            (
                "another enc",
                json!({&alg: "ECDH-ES", &enc: "A128CBC-HS256"}),
                Some("not A256GCM"),
            ),
        ] {
            let answer = server
                .post_json(REGISTER, &with(&registered_app(), &changes), None)
                .await;
            match says {
                None => assert_eq!(answer.status, 201, "{what}: {}", answer.body),
                Some(says) => {
                    assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{what}");
                    let told = answer.text("error_description");
                    assert!(told.contains(says), "{what}: {told}");
                }
            }
        }
    }
    for (alg, accepted) in [
        ("ES256", true),
        ("PS256", false),
        ("none", false),
        ("HS256", false),
    ] {
        let asked = json!({"userinfo_signed_response_alg": alg});
        let answer = server
            .post_json(REGISTER, &with(&registered_app(), &asked), None)
            .await;
        assert_eq!(answer.status == 201, accepted, "{alg}: {}", answer.body);
    }
    server.stop().await;
}

async fn oidc_registration_2_what_is_announced_can_be_registered_and_is_told(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let announced = server.get("/.well-known/openid-configuration").await.body;
    let values = |name: &str| announced[name].as_array().unwrap().clone();
    let jwks = set(&[
        &DecryptionKey::ec().public("e"),
        &DecryptionKey::rsa().public("r"),
    ]);
    for place in ["id_token", "userinfo"] {
        let enc = values(&format!("{place}_encryption_enc_values_supported"));
        assert_eq!(enc, [json!("A256GCM")]);
        let algs = values(&format!("{place}_encryption_alg_values_supported"));
        assert_eq!(algs, [json!("ECDH-ES"), json!("RSA-OAEP-256")]);
        for alg in algs {
            let asked = json!({"jwks": jwks, format!("{place}_encrypted_response_alg"): alg,
                format!("{place}_encrypted_response_enc"): enc[0]});
            let answer = server
                .post_json(REGISTER, &with(&registered_app(), &asked), None)
                .await;
            assert_eq!(answer.status, 201, "{}", answer.body);
            for (name, value) in asked.as_object().unwrap() {
                assert_eq!(&answer.body[name], value, "{name}");
            }
        }
    }
    for alg in values("userinfo_signing_alg_values_supported") {
        let asked = json!({"userinfo_signed_response_alg": alg});
        let answer = server
            .post_json(REGISTER, &with(&registered_app(), &asked), None)
            .await;
        assert_eq!(answer.body["userinfo_signed_response_alg"], alg);
    }
    server.stop().await;
}

async fn rfc8414_2_1_the_metadata_holds_itself_signed(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let before = server.get("/.well-known/oauth-authorization-server").await;
    let check = async |mut document: Value| {
        let members = document.as_object_mut().unwrap();
        let signed = members.remove("signed_metadata").unwrap();
        let keys = keys(&server).await;
        let mut claims = verified(signed.as_str().unwrap(), JwtKind::ServerMetadata, &keys);
        let iss = claims.as_object_mut().unwrap().remove("iss");
        assert_eq!(iss, Some(json!(server.issuer)));
        assert_eq!(claims, document, "every value");
    };
    check(before.body.clone()).await;
    let again = server.get("/.well-known/openid-configuration").await;
    assert_eq!(again.header("etag"), before.header("etag"), "signed once");
    // What changes is signed anew.
    server
        .put_resource("https://new.example", &["new"], None, Algorithm::Es256)
        .await;
    let changed = server.get("/.well-known/openid-configuration").await;
    assert_ne!(changed.header("etag"), before.header("etag"));
    assert_ne!(
        changed.body["signed_metadata"],
        before.body["signed_metadata"]
    );
    check(changed.body).await;
    server.stop().await;
}
