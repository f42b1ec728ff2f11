//! `auth-server client …`, as a program: clients of each method.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::certificates::Pki;
use crate::macs;
use crate::server::{TestClient, TestServer};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    clients_of_each_method_are_made_and_work,
    clients_say_how_they_send_people,
    what_does_not_go_together_is_said,
    oidc_registration_2_what_a_client_is_told_and_how,
);

const CREATE: [&str; 6] = [
    "client",
    "create",
    "--grant",
    "client_credentials",
    "--scope",
    "read",
];

fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&CREATE[..], more].concat()
}

fn client(made: &Value) -> TestClient {
    let text = |name: &str| made[name].as_str().unwrap_or_default().to_owned();
    TestClient {
        id: text("client_id"),
        secret: text("client_secret"),
    }
}

async fn clients_of_each_method_are_made_and_work(stores: &Stores) {
    let pki = Pki::new();
    let server = TestServer::start_with(pki.config(stores), Arc::default())
        .await
        .with_resources(None)
        .await;
    server.clock.advance(Duration::from_secs(12));
    let by_mac = [
        "--auth-method",
        "client_secret_jwt",
        "--signing-alg",
        "HS512",
    ];
    let mut by_mac = client(&ran_json(stores, &create(&by_mac), ""));
    let is_accepted = async |client: &TestClient| {
        let now = server.clock.now().as_secs();
        let claims = serde_json::json!({"iss": client.id, "sub": client.id, "aud": server.issuer, "iat": now,
            "exp": now + 60, "jti": macs::unique()});
        let assertion = macs::assertion("HS512", client.secret.as_bytes(), &claims);
        let form = [
            ("grant_type", "client_credentials"),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", &assertion),
        ];
        let answer = server.send(server.form("/oauth/token", &form)).await;
        answer.status == 200
    };
    assert!(is_accepted(&by_mac).await);
    let rotate = [
        "client",
        "rotate-secret",
        &by_mac.id.clone(),
        "--overlap",
        "1h",
    ];
    let rotated = client(&ran_json(stores, &rotate, ""));
    // This node would hear of it within a second.
    server.records.clients.forget_all();
    assert!(is_accepted(&by_mac).await, "until the overlap ends");
    by_mac.secret = rotated.secret;
    assert!(is_accepted(&by_mac).await);
    let shown = ran(stores, &["client", "show", &by_mac.id], "");
    assert!(shown.contains("HS512") && !shown.contains(&by_mac.secret));
    assert_eq!(
        ran_json(stores, &["keys", "rewrap"], "")["rewrapped"],
        0,
        "all of it is under the current key"
    );

    let pair = pki.authority.client("worker");
    let jwks = pki.folder.path().join("jwks.json");
    std::fs::write(&jwks, pair.jwks().to_string()).unwrap();
    let http = pair.http(&pki);
    for certified in [
        &[
            "--auth-method",
            "tls_client_auth",
            "--subject-dn",
            "CN=worker",
        ],
        &[
            "--auth-method",
            "self_signed_tls_client_auth",
            "--jwks",
            jwks.to_str().unwrap(),
        ],
    ] {
        let made = client(&ran_json(stores, &create(certified), ""));
        assert_eq!(made.secret, "");
        let url = format!("{}/oauth/token", server.mtls.as_deref().unwrap());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", made.id.as_str()),
        ];
        let answer = server.send(http.post(url).form(&form)).await;
        assert_eq!(answer.status, 200, "{certified:?}: {}", answer.body);
    }
}

async fn clients_say_how_they_send_people(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let mut create = vec!["client", "create"];
    for (name, value) in [
        ("--grant", "authorization_code"),
        ("--auth-method", "none"),
        ("--scope", "openid"),
        ("--redirect-uri", "https://app.example/cb"),
        ("--id-token-alg", "ES256"),
        ("--response-type", "code"),
        ("--response-alg", "ES256"),
        ("--request-object-alg", "EdDSA"),
        ("--request-uri", "https://app.example/request"),
        ("--jwks-uri", "https://app.example/keys"),
    ] {
        create.extend([name, value]);
    }
    create.extend(["--require-pushed-requests", "--require-signed-requests"]);
    let made = client(&ran_json(stores, &create, ""));
    let shown = ran_json(stores, &["client", "show", &made.id], "");
    for (name, expected) in [
        ("response_types", serde_json::json!(["code"])),
        ("authorization_signed_response_alg", "ES256".into()),
        ("request_object_signing_alg", "EdDSA".into()),
        (
            "request_uris",
            serde_json::json!(["https://app.example/request"]),
        ),
        ("require_pushed_authorization_requests", true.into()),
        ("require_signed_request_object", true.into()),
    ] {
        assert_eq!(shown["metadata"][name], expected, "{name}");
    }
    server.stop().await;
}

async fn what_does_not_go_together_is_said(stores: &Stores) {
    for (more, mend) in [
        (&["--auth-method", "tls_client_auth"][..], "exactly one of"),
        (
            &[
                "--auth-method",
                "tls_client_auth",
                "--san-dns",
                "a.example",
                "--san-ip",
                "192.0.2.1",
            ],
            "exactly one of",
        ),
        (
            &["--auth-method", "tls_client_auth", "--subject-dn", "worker"],
            "RFC 4514",
        ),
        (&["--san-email", "a@a.example"], "is for tls_client_auth"),
        (
            &[
                "--certificate-bound-access-tokens",
                "--dpop-bound-access-tokens",
            ],
            "cannot be used with",
        ),
        (
            &["--auth-method", "self_signed_tls_client_auth"],
            "needs `jwks_uri`, or `jwks`",
        ),
        (
            &[
                "--auth-method",
                "client_secret_jwt",
                "--signing-alg",
                "ES256",
            ],
            "HS256, HS384 or HS512",
        ),
        (
            &[
                "--auth-method",
                "client_secret_jwt",
                "--signing-alg",
                "none",
            ],
            "not one of",
        ),
        (&["--require-signed-requests"], "request_object_signing_alg"),
        (
            &["--request-object-alg", "ES256"],
            "request objects are verified",
        ),
        (&["--request-object-alg", "none"], "not offered"),
        (&["--request-object-alg", "HS256"], "not one of"),
        (&["--response-alg", "PS256"], "does not sign"),
        (&["--response-type", "token"], "response_types"),
        (&["--response-type", "saml"], "no such response type"),
        (
            &[
                "--grant",
                "implicit",
                "--response-type",
                "token",
                "--redirect-uri",
                "https://app.example/cb",
            ],
            "not offered",
        ),
    ] {
        let refused = run(stores, &create(more), "");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{more:?}");
        assert!(told.contains(mend), "{more:?}: {told}");
    }
}

async fn oidc_registration_2_what_a_client_is_told_and_how(stores: &Stores) {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    let key = shared_testing::jwe::DecryptionKey::ec().public("its");
    std::fs::write(&jwks, serde_json::json!({ "keys": [key] }).to_string()).unwrap();
    let app = [
        "client",
        "create",
        "--grant",
        "authorization_code",
        "--scope",
        "openid",
        "--redirect-uri",
        "https://app.example/cb",
        "--id-token-alg",
        "ES256",
    ];
    let more = [
        "--jwks",
        jwks.to_str().unwrap(),
        "--subject-type",
        "pairwise",
        "--userinfo-alg",
        "ES256",
        "--id-token-encryption",
        "ECDH-ES",
        "--userinfo-encryption",
        "ECDH-ES",
        "--introspection-alg",
        "ES256",
        "--introspection-encryption",
        "ECDH-ES",
    ];
    let made = client(&ran_json(stores, &[&app[..], &more].concat(), ""));
    let shown = ran_json(stores, &["client", "show", &made.id], "");
    for (name, value) in [
        ("subject_type", "pairwise"),
        ("userinfo_signed_response_alg", "ES256"),
        ("id_token_encrypted_response_alg", "ECDH-ES"),
        ("id_token_encrypted_response_enc", "A256GCM"),
        ("userinfo_encrypted_response_alg", "ECDH-ES"),
        ("userinfo_encrypted_response_enc", "A256GCM"),
        ("introspection_signed_response_alg", "ES256"),
        ("introspection_encrypted_response_alg", "ECDH-ES"),
        ("introspection_encrypted_response_enc", "A256GCM"),
    ] {
        assert_eq!(shown["metadata"][name], value, "{name}");
    }
    let other = ["--redirect-uri", "https://b.example/cb"];
    for (more, mend) in [
        (&["--userinfo-encryption", "ECDH-ES"][..], "needs jwks_uri"),
        (&["--userinfo-encryption", "dir"], "not one of"),
        (&["--userinfo-alg", "PS256"], "does not sign"),
        (&["--introspection-alg", "PS256"], "does not sign"),
        (
            &[
                "--auth-method",
                "client_secret_post",
                "--global-token-revocation",
            ],
            "global_token_revocation is for",
        ),
        (&["--subject-type", "private"], "not one of"),
        (
            &[&["--subject-type", "pairwise"][..], &other].concat(),
            "of one host",
        ),
    ] {
        let refused = run(stores, &[&app[..], more].concat(), "");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{more:?}");
        assert!(told.contains(mend), "{more:?}: {told}");
    }
    let resource = [
        "resource",
        "create",
        "https://api.example",
        "--name",
        "An API",
    ];
    let made = ran_json(stores, &resource, "");
    assert_eq!(made["subject_type"], "public");
    let made = ran_json(
        stores,
        &[&resource[..], &["--subject-type", "pairwise"]].concat(),
        "",
    );
    assert_eq!(made["subject_type"], "pairwise");
    let listed = ran_json(stores, &["resource", "list"], "");
    assert_eq!(listed[0]["subject_type"], "pairwise");
}
