//! The token endpoint and what it hands out.

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, UnverifiedJwt};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::server::{API, Answer, OTHER_API, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_4_4_a_service_gets_a_token_and_no_refresh_token,
    rfc9068_2_the_token_is_a_jwt_for_one_audience,
    rfc6749_5_2_refusals,
    rfc6749_3_3_scope_is_what_was_registered,
    rfc8707_2_the_audience_is_the_resource_named,
    rfc6749_4_4_public_clients_get_no_token,
    algorithms_follow_the_resource_server,
    rfc8414_metadata_is_one_document_and_cached,
    rfc8414_3_1_an_issuer_with_a_path,
    rfc7517_jwks_holds_public_keys_alone,
    threat_21_host_and_forwarded_headers_change_nothing,
    a_deleted_client_gets_no_token,
);

async fn rfc6749_4_4_a_service_gets_a_token_and_no_refresh_token(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read write")
        .await;
    let answer = server
        .post_as(
            &client,
            "/oauth/token",
            &[("grant_type", "client_credentials")],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("pragma"), "no-cache");
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        (answer.text("token_type"), answer.text("scope")),
        ("Bearer", "read write")
    );
    assert_eq!(answer.body["expires_in"], 300);
    assert!(answer.body.get("refresh_token").is_none());
    server.stop().await;
}

pub(crate) fn decode(token: &str) -> (Value, Value) {
    let mut parts = token
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap());
    let mut json = || serde_json::from_slice(&parts.next().unwrap()).unwrap();
    (json(), json())
}

async fn jwks(server: &TestServer) -> JwkSet {
    JwkSet::from_object(server.get("/oauth/jwks").await.body.as_object().unwrap()).unwrap()
}

async fn rfc9068_2_the_token_is_a_jwt_for_one_audience(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let token = server.token(&client, API).await;
    let (header, claims) = decode(&token);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("at+jwt"), &json!("ES256"))
    );
    assert_eq!(claims["iss"], server.issuer);
    assert_eq!(
        (&claims["sub"], &claims["client_id"]),
        (&json!(client.id), &json!(client.id))
    );
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!(API), &json!("read"))
    );
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        300
    );
    assert!(claims["jti"].as_str().unwrap().len() >= 22);
    for absent in ["auth_time", "acr", "amr", "cnf", "grant_id"] {
        assert!(claims.get(absent).is_none(), "{absent}");
    }
    let keys = jwks(&server).await;
    assert!(
        UnverifiedJwt::parse(&token, JwtKind::AccessToken)
            .unwrap()
            .verify(&keys)
            .is_ok()
    );
    assert_ne!(
        decode(&server.token(&client, API).await).1["jti"],
        claims["jti"]
    );
}

async fn rfc6749_5_2_refusals(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let grant = ("grant_type", "client_credentials");
    for (what, form, expected) in [
        ("no grant_type", vec![], (400, "invalid_request")),
        (
            "empty grant_type",
            vec![("grant_type", "")],
            (400, "invalid_request"),
        ),
        (
            "unknown grant_type",
            vec![("grant_type", "passport")],
            (400, "unsupported_grant_type"),
        ),
        (
            "not served yet",
            vec![("grant_type", "password")],
            (400, "unsupported_grant_type"),
        ),
        (
            "grant_type twice",
            vec![grant, grant],
            (400, "invalid_request"),
        ),
        (
            "scope twice",
            vec![grant, ("scope", "read"), ("scope", "read")],
            (400, "invalid_request"),
        ),
        (
            "unknown twice",
            vec![grant, ("x", "1"), ("x", "2")],
            (400, "invalid_request"),
        ),
        (
            "malformed scope",
            vec![grant, ("scope", "re\"ad")],
            (400, "invalid_scope"),
        ),
        (
            "two spaces",
            vec![grant, ("scope", "read  read")],
            (400, "invalid_scope"),
        ),
        (
            "foreign scope",
            vec![grant, ("scope", "read write")],
            (400, "invalid_scope"),
        ),
        (
            "relative resource",
            vec![grant, ("resource", "/v1")],
            (400, "invalid_target"),
        ),
        (
            "unknown resource",
            vec![grant, ("resource", "https://unknown.example")],
            (400, "invalid_target"),
        ),
        (
            "two resources",
            vec![grant, ("resource", API), ("resource", OTHER_API)],
            (400, "invalid_target"),
        ),
        (
            "nothing of the resource",
            vec![grant, ("resource", OTHER_API)],
            (400, "invalid_scope"),
        ),
    ] {
        let answer = server.post_as(&client, "/oauth/token", &form).await;
        assert_eq!(answer.error(), expected, "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        assert!(answer.body.get("access_token").is_none(), "{what}");
    }
    let unknown = [grant, ("unknown", "1"), ("scope", "")];
    assert_eq!(
        server
            .post_as(&client, "/oauth/token", &unknown)
            .await
            .status,
        200,
        "unknown is ignored, empty is absent"
    );
    forms(&server, &client.id, &client.secret).await;
}

/// What is not a form, or too much of one.
async fn forms(server: &TestServer, id: &str, secret: &str) {
    let url = format!("{}/oauth/token", server.issuer);
    let body = "grant_type=client_credentials";
    let post = |content_type: &str, body: Vec<u8>| {
        let request = server
            .http
            .post(&url)
            .basic_auth(id, Some(secret))
            .body(body);
        server.send(request.header("content-type", content_type))
    };
    let form = "application/x-www-form-urlencoded";
    let parameters = |count: u32| {
        (0..count)
            .map(|n| format!("p{n}=1"))
            .collect::<Vec<_>>()
            .join("&")
    };
    for (what, content_type, body, statuses) in [
        (
            "JSON",
            "application/json",
            body.as_bytes().to_vec(),
            &[400][..],
        ),
        (
            "multipart",
            "multipart/form-data",
            body.as_bytes().to_vec(),
            &[400],
        ),
        ("invalid UTF-8", form, b"grant_type=\xff".to_vec(), &[400]),
        ("broken escape", form, b"grant_type=%zz".to_vec(), &[400]),
        ("101 parameters", form, parameters(101).into_bytes(), &[400]),
        (
            "100,000 parameters",
            form,
            parameters(100_000).into_bytes(),
            &[413],
        ),
        (
            "a scope of 50 KB",
            form,
            format!("{body}&scope={}", "a".repeat(50_000)).into_bytes(),
            &[400],
        ),
        ("over 64 KiB", form, vec![b'a'; 65 * 1024], &[413]),
    ] {
        if body.len() > 64 * 1024 {
            let request = server.http.post(&url).basic_auth(id, Some(secret));
            let request = request.header("content-type", content_type).body(body);
            TestServer::send_too_much(request, what).await;
            continue;
        }
        let answer: Answer = post(content_type, body).await;
        assert!(
            statuses.contains(&answer.status.as_u16()),
            "{what}: {}",
            answer.status
        );
    }
    assert_eq!(
        post(&format!("{form}; charset=UTF-8"), body.into())
            .await
            .status,
        200
    );
    let get = server.send(server.http.get(&url)).await;
    assert_eq!(
        (get.status.as_u16(), get.header("allow")),
        (405, "POST"),
        "RFC 6749 section 3.2"
    );
}

async fn rfc6749_3_3_scope_is_what_was_registered(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read write reports")
        .await;
    let grant = ("grant_type", "client_credentials");
    for (what, form, expected) in [
        ("narrowed", vec![grant, ("scope", "write")], "write"),
        (
            "all of the resource",
            vec![grant, ("resource", API)],
            "read write",
        ),
        (
            "of two resources, those of the one named",
            vec![grant, ("scope", "read reports"), ("resource", API)],
            "read",
        ),
        (
            "an empty path equals /",
            vec![grant, ("resource", "https://api.example/")],
            "read write",
        ),
    ] {
        let answer = server.post_as(&client, "/oauth/token", &form).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        assert_eq!(answer.text("scope"), expected, "{what}");
        let (_, claims) = decode(answer.text("access_token"));
        assert_eq!(
            (&claims["scope"], &claims["aud"]),
            (&json!(expected), &json!(API)),
            "{what}"
        );
    }
}

async fn rfc8707_2_the_audience_is_the_resource_named(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server
        .client(AuthMethod::ClientSecretBasic, "read reports")
        .await;
    let (_, claims) = decode(&server.token(&client, OTHER_API).await);
    assert_eq!(
        (&claims["aud"], &claims["scope"]),
        (&json!(OTHER_API), &json!("reports"))
    );
    let answer = server
        .post_as(
            &client,
            "/oauth/token",
            &[("grant_type", "client_credentials")],
        )
        .await;
    let (_, claims) = decode(answer.text("access_token"));
    assert_eq!(
        claims["aud"],
        json!(server.issuer),
        "RFC 9068 section 3: nothing named gets the default"
    );
    assert!(claims.get("scope").is_none() && answer.body.get("scope").is_none());
    let both = [
        ("grant_type", "client_credentials"),
        ("scope", "read reports"),
    ];
    let answer = server.post_as(&client, "/oauth/token", &both).await;
    assert_eq!(
        answer.error(),
        (400, "invalid_scope"),
        "RFC 9068 section 3: scopes of two resources"
    );
    let mut metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read reports");
    metadata.default_resource = Some(OTHER_API.parse().unwrap());
    let client = server.register(metadata).await;
    let answer = server
        .post_as(
            &client,
            "/oauth/token",
            &[("grant_type", "client_credentials")],
        )
        .await;
    assert_eq!(
        decode(answer.text("access_token")).1["aud"],
        json!(OTHER_API),
        "the client's default"
    );
}

async fn rfc6749_4_4_public_clients_get_no_token(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::None, "read").await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &client.id),
    ];
    let answer = server.send(server.form("/oauth/token", &form)).await;
    assert_eq!(answer.error(), (400, "unauthorized_client"));
}

async fn algorithms_follow_the_resource_server(stores: &Stores) {
    let mut config = config(stores);
    config.keys.algorithms = Algorithm::ALL.to_vec();
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "x").await;
    for alg in Algorithm::ALL {
        server.put_resource(API, &["x"], None, alg).await;
        let token = server.token(&client, API).await;
        assert_eq!(decode(&token).0["alg"], alg.name());
        let keys = jwks(&server).await;
        assert!(
            UnverifiedJwt::parse(&token, JwtKind::AccessToken)
                .unwrap()
                .verify(&keys)
                .is_ok(),
            "{alg}"
        );
    }
}

async fn rfc8414_metadata_is_one_document_and_cached(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let oauth = server.get("/.well-known/oauth-authorization-server").await;
    let openid = server.get("/.well-known/openid-configuration").await;
    assert_eq!(oauth.body, openid.body);
    assert_eq!(oauth.header("content-type"), "application/json");
    assert_eq!(
        oauth.body["scopes_supported"],
        json!([
            "openid",
            "profile",
            "email",
            "address",
            "phone",
            "offline_access",
            "read",
            "reports",
            "write"
        ])
    );
    let text = oauth
        .body
        .to_string()
        .replace(&server.issuer, "https://issuer.example");
    let mut document: Value = serde_json::from_str(&text).unwrap();
    // Another each time.
    document["signed_metadata"] = "a JWT".into();
    insta::assert_json_snapshot!("metadata", document);
    let url = format!("{}/.well-known/oauth-authorization-server", server.issuer);
    let known = server
        .http
        .get(&url)
        .header("if-none-match", oauth.header("etag"));
    assert_eq!(server.send(known).await.status, 304);
    server
        .put_resource(API, &["changed"], None, Algorithm::Es256)
        .await;
    let changed = server
        .send(
            server
                .http
                .get(&url)
                .header("if-none-match", oauth.header("etag")),
        )
        .await;
    assert_eq!(
        (
            changed.status.as_u16(),
            &changed.body["scopes_supported"][6]
        ),
        (200, &json!("changed"))
    );
}

async fn rfc8414_3_1_an_issuer_with_a_path(stores: &Stores) {
    let mut config = config(stores);
    config.issuer = "https://as.example/tenant".parse().unwrap();
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let origin = server.issuer.strip_suffix("/tenant").unwrap().to_owned();
    for path in [
        "/.well-known/oauth-authorization-server/tenant",
        "/.well-known/openid-configuration/tenant",
        "/tenant/.well-known/openid-configuration",
    ] {
        let answer = server
            .send(server.http.get(format!("{origin}{path}")))
            .await;
        assert_eq!(answer.text("issuer"), "https://as.example/tenant", "{path}");
        assert_eq!(
            answer.text("token_endpoint"),
            "https://as.example/tenant/oauth/token"
        );
    }
    assert_eq!(server.get("/oauth/jwks").await.status, 200);
    assert_eq!(
        server
            .send(server.http.get(format!("{origin}/oauth/jwks")))
            .await
            .status,
        404
    );
}

async fn rfc7517_jwks_holds_public_keys_alone(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let answer = server.get("/oauth/jwks").await;
    assert_eq!(answer.header("content-type"), "application/jwk-set+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.body["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let members: Vec<_> = keys[0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(server.get("/.well-known/jwks.json").await.body, answer.body);
}

async fn threat_21_host_and_forwarded_headers_change_nothing(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let plain = server.get("/.well-known/oauth-authorization-server").await;
    let url = format!("{}/.well-known/oauth-authorization-server", server.issuer);
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=https"),
    ] {
        let answer = server.send(server.http.get(&url).header(name, value)).await;
        assert_eq!(answer.body, plain.body, "{name}");
    }
}

async fn a_deleted_client_gets_no_token(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    server.token(&client, API).await;
    let id = TestServer::client_id(&client);
    server
        .records
        .clients
        .delete(&id, shared_protocol::time::Clock::now(&*server.clock))
        .await
        .unwrap();
    let answer = server
        .post_as(
            &client,
            "/oauth/token",
            &[("grant_type", "client_credentials")],
        )
        .await;
    assert_eq!(answer.error(), (401, "invalid_client"));
}
