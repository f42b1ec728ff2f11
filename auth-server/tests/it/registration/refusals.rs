//! What is refused, by which code (RFC 7591 §3.2.2): tables that start from what is accepted.

use auth_server::config::{Config, Mode, RegistrationMode};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{REGISTER, app, server, service, with};
use crate::server::TestServer;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7591_3_2_2_metadata_that_makes_no_sense,
    rfc9101_10_5_requests_that_could_never_be_signed,
    threat_2_redirects_that_nobody_may_be_sent_to,
    what_is_not_offered_is_not_promised,
    threats_30_31_bodies_that_are_none,
);

const METADATA: &str = "invalid_client_metadata";
const REDIRECT_URI: &str = "invalid_redirect_uri";

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc7591_3_2_2_metadata_that_makes_no_sense(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let long = "n".repeat(257);
    let private = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "d": "x", "x": "x"}]});
    for (what, from, change, code, says) in [
        (
            "no redirects",
            app(),
            json!({"redirect_uris": null}),
            REDIRECT_URI,
            "redirect_uris",
        ),
        (
            "redirects for nothing",
            service(),
            json!({"redirect_uris": ["https://app.example/cb"]}),
            REDIRECT_URI,
            "authorization_code",
        ),
        (
            "an unknown grant",
            app(),
            json!({"grant_types": ["passwordless"]}),
            METADATA,
            "grant_types",
        ),
        (
            "a grant that is no text",
            app(),
            json!({"grant_types": "authorization_code"}),
            METADATA,
            "grant_types",
        ),
        (
            "a public service",
            service(),
            json!({"token_endpoint_auth_method": "none"}),
            METADATA,
            "client_credentials",
        ),
        (
            "an unknown method",
            service(),
            json!({"token_endpoint_auth_method": "magic"}),
            METADATA,
            "token_endpoint_auth_method",
        ),
        (
            "another response type",
            app(),
            json!({"response_types": ["token"]}),
            METADATA,
            "response_types",
        ),
        (
            "a response type without its grant",
            service(),
            json!({"response_types": ["code"]}),
            METADATA,
            "response_types",
        ),
        (
            "private_key_jwt without keys",
            service(),
            json!({"token_endpoint_auth_method": "private_key_jwt"}),
            METADATA,
            "jwks",
        ),
        (
            "private keys",
            service(),
            json!({"token_endpoint_auth_method": "private_key_jwt", "jwks": private}),
            METADATA,
            "jwks",
        ),
        (
            "a scope that is not open",
            service(),
            json!({"scope": "read reports"}),
            METADATA,
            "reports",
        ),
        (
            "a scope that is none",
            service(),
            json!({"scope": "read\u{e9}"}),
            METADATA,
            "scope",
        ),
        (
            "a scope that nobody has",
            service(),
            json!({"scope": "read admin"}),
            METADATA,
            "admin",
        ),
        (
            "a list of scopes",
            service(),
            json!({"scope": ["read"]}),
            METADATA,
            "scope",
        ),
        (
            "a long name",
            service(),
            json!({"client_name": long}),
            METADATA,
            "client_name",
        ),
        (
            "a blank name",
            service(),
            json!({"client_name": " "}),
            METADATA,
            "client_name",
        ),
        (
            "a name that turns around",
            service(),
            json!({"client_name": "evil\u{202e}knaB"}),
            METADATA,
            "client_name",
        ),
        (
            "a name with a line end",
            service(),
            json!({"client_name#de": "a\nb"}),
            METADATA,
            "client_name",
        ),
        (
            "a bad language",
            service(),
            json!({"client_name#de_AT": "a"}),
            METADATA,
            "language",
        ),
        (
            "a script for a page",
            service(),
            json!({"client_uri": "javascript:alert(1)"}),
            METADATA,
            "client_uri",
        ),
        (
            "data for terms",
            service(),
            json!({"tos_uri": "data:text/html,x"}),
            METADATA,
            "tos_uri",
        ),
        (
            "a plain place to begin",
            app(),
            json!({"initiate_login_uri": "http://app.example/begin"}),
            METADATA,
            "initiate_login_uri",
        ),
        (
            "many contacts",
            service(),
            json!({"contacts": vec!["a@b.example"; 11]}),
            METADATA,
            "contacts",
        ),
        (
            "an algorithm we do not sign with",
            app(),
            json!({"id_token_signed_response_alg": "PS256"}),
            METADATA,
            "id_token_signed_response_alg",
        ),
        (
            "RS256 by default, which this server lacks",
            app(),
            json!({"id_token_signed_response_alg": null}),
            METADATA,
            "RS256",
        ),
        (
            "an unsigned ID token",
            app(),
            json!({"id_token_signed_response_alg": "none"}),
            METADATA,
            "id_token_signed_response_alg",
        ),
        (
            "a negative age",
            app(),
            json!({"default_max_age": -1}),
            METADATA,
            "default_max_age",
        ),
        (
            "an unknown application",
            app(),
            json!({"application_type": "toaster"}),
            METADATA,
            "application_type",
        ),
    ] {
        let answer = server
            .post_json(REGISTER, &with(&from, &change), None)
            .await;
        assert_eq!(answer.error(), (400, code), "{what}: {}", answer.body);
        assert!(
            answer.text("error_description").contains(says),
            "{what}: {}",
            answer.body
        );
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    }
}

async fn rfc9101_10_5_requests_that_could_never_be_signed(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let many: Vec<_> = (0..101)
        .map(|n| format!("https://app.example/{n}"))
        .collect();
    let alg = Algorithm::EdDsa;
    let key = SigningKey::generate(alg, &SystemRandom).unwrap();
    let key = SigningKey::from_pkcs8(alg, &key).unwrap();
    let keys = json!({"keys": [key.public().to_value()]});
    for (change, says) in [
        (
            json!({"require_signed_request_object": true}),
            "request objects",
        ),
        (
            json!({"require_signed_request_object": true, "jwks": {"keys": []}}),
            "request objects",
        ),
        (
            json!({"require_signed_request_object": "yes"}),
            "require_signed_request_object",
        ),
        (
            json!({"request_object_signing_alg": "ES256"}),
            "request objects",
        ),
        (
            json!({"request_object_signing_alg": "ES256", "jwks": keys}),
            "request objects",
        ),
        (
            json!({"request_object_signing_alg": "HS256"}),
            "request_object_signing_alg",
        ),
        (
            json!({"request_object_signing_alg": "none"}),
            "request_object_signing_alg",
        ),
        (
            json!({"request_object_signing_alg": "none", "require_signed_request_object": true}),
            "request_object_signing_alg",
        ),
        (
            json!({"request_object_encryption_alg": "RSA-OAEP-256"}),
            "request_object_encryption_alg",
        ),
        (json!({"request_uris": many}), "request_uris"),
        (
            json!({"request_uris": ["javascript:alert(1)"]}),
            "request_uris",
        ),
        (
            json!({"request_uris": ["http://app.example/r"]}),
            "request_uris",
        ),
        (
            json!({"request_uris": "https://app.example/r"}),
            "request_uris",
        ),
        (
            json!({"require_pushed_authorization_requests": 1}),
            "require_pushed_authorization_requests",
        ),
        (
            json!({"authorization_signed_response_alg": "none"}),
            "authorization_signed_response_alg",
        ),
        (
            json!({"authorization_signed_response_alg": "RS256"}),
            "authorization_signed_response_alg",
        ),
        (
            json!({"authorization_encrypted_response_alg": "ECDH-ES"}),
            "authorization_encrypted_response_alg",
        ),
    ] {
        let answer = server
            .post_json(REGISTER, &with(&app(), &change), None)
            .await;
        assert_eq!(answer.error(), (400, METADATA), "{change}: {}", answer.body);
        let told = answer.text("error_description");
        assert!(told.contains(says), "{change}: {told}");
    }
    // What is there is kept, told, and replaced as a whole.
    let all = json!({"request_object_signing_alg": "EdDSA", "require_signed_request_object": true, "jwks": keys,
        "request_uris": ["https://app.example/r#x"], "require_pushed_authorization_requests": true,
        "authorization_signed_response_alg": "ES256", "response_types": ["code"]});
    let registered = server.registers(&with(&app(), &all)).await;
    for (name, value) in all.as_object().unwrap() {
        assert_eq!(registered.document[name], *value, "{name}");
    }
}

async fn threat_2_redirects_that_nobody_may_be_sent_to(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let web = json!({"application_type": "web"});
    let native = json!({"application_type": "native"});
    for (application, uri) in [
        (&web, "javascript:alert(1)"),
        (&web, "data:text/html,x"),
        (&web, "vbscript:x"),
        (&web, "file:///etc/passwd"),
        (&web, "http://app.example/cb"),
        (&web, "http://127.0.0.1/cb"),
        (&web, "https://app.example/cb#fragment"),
        (&web, "https://user@app.example/cb"),
        (&web, "https://app.example\\@evil.example/cb"),
        (&web, "//app.example/cb"),
        (&web, "/cb"),
        (&web, ""),
        (&native, "http://app.example/cb"),
        (&native, "http://127.0.0.1.evil.example/cb"),
        (&native, "http://0.0.0.0/cb"),
        (&native, "myapp:/cb"),
    ] {
        for member in ["redirect_uris", "post_logout_redirect_uris"] {
            let body = with(&with(&app(), application), &json!({member: [uri]}));
            let answer = server.post_json(REGISTER, &body, None).await;
            // RFC 7591 §3.2.2 has the code for redirection URIs alone.
            let (status, code) = answer.error();
            assert_eq!(status, 400, "{member} {uri}: {}", answer.body);
            assert!(
                code == REDIRECT_URI || member != "redirect_uris" && code == METADATA,
                "{member} {uri}: {code}"
            );
        }
    }
    let many: Vec<_> = (0..101)
        .map(|n| format!("https://app.example/{n}"))
        .collect();
    let body = with(&app(), &json!({"redirect_uris": many}));
    let answer = server.post_json(REGISTER, &body, None).await;
    assert_eq!(answer.error().0, 400);
}

async fn what_is_not_offered_is_not_promised(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    for (member, value) in [
        ("authorization_encrypted_response_alg", json!("ECDH-ES")),
        ("frontchannel_logout_uri", json!("https://app.example/out")),
    ] {
        let body = with(&app(), &json!({member: value}));
        let answer = server.post_json(REGISTER, &body, None).await;
        assert_eq!(answer.error(), (400, METADATA), "{member}: {}", answer.body);
        let says = answer.text("error_description");
        assert!(
            says.contains(member) && says.contains("does not offer"),
            "{says}"
        );
    }
}

async fn threats_30_31_bodies_that_are_none(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let url = format!("{}{REGISTER}", server.issuer);
    let good = service().to_string();
    let deep = format!("{{\"contacts\": {}{}}}", "[".repeat(20), "]".repeat(20));
    let deeper = format!(
        "{{\"contacts\": {}{}}}",
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let twice =
        "{\"grant_types\": [\"client_credentials\"], \"scope\": \"read\", \"scope\": \"write\"}"
            .to_owned();
    let json_type = Some("application/json");
    for (what, media_type, body, status, code) in [
        (
            "a form",
            Some("application/x-www-form-urlencoded"),
            good.clone(),
            415,
            "invalid_request",
        ),
        (
            "a text",
            Some("text/plain"),
            good.clone(),
            415,
            "invalid_request",
        ),
        ("no type", None, good.clone(), 415, "invalid_request"),
        ("nothing", json_type, String::new(), 400, METADATA),
        (
            "half an object",
            json_type,
            "{\"scope\":".to_owned(),
            400,
            METADATA,
        ),
        ("an array", json_type, "[]".to_owned(), 400, METADATA),
        ("null", json_type, "null".to_owned(), 400, METADATA),
        (
            "two objects",
            json_type,
            format!("{good}{good}"),
            400,
            METADATA,
        ),
        ("a member twice", json_type, twice, 400, METADATA),
        ("nested", json_type, deep, 400, METADATA),
        ("nested deeply", json_type, deeper, 400, METADATA),
    ] {
        let request = server.http.post(&url).body(body);
        let request = match media_type {
            Some(media_type) => request.header("content-type", media_type),
            None => request,
        };
        let answer = server.send(request).await;
        assert_eq!(answer.error(), (status, code), "{what}: {}", answer.body);
    }
    let with_charset = server.http.post(&url).body(good.clone());
    let with_charset = with_charset.header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(server.send(with_charset).await.status, 201);
    let not_text = server
        .http
        .post(&url)
        .body(b"{\"scope\": \"\xff\"}".to_vec());
    let not_text = not_text.header("content-type", "application/json");
    assert_eq!(server.send(not_text).await.error(), (400, METADATA));
    let large = json!({"software_id": "x".repeat(70_000)}).to_string();
    let large = server
        .http
        .post(&url)
        .body(large)
        .header("content-type", "application/json");
    TestServer::send_too_much(large, "70 KB").await;
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let method = method.parse().unwrap();
        let answer = server.send(server.http.request(method, &url)).await;
        assert_eq!(answer.status, 405);
    }
}

/// What production refuses, each by its key.
#[test]
fn production_does_not_start_with_unlimited_open_registration() {
    let problems = |change: fn(&mut Config)| {
        let mut config = Config {
            mode: Mode::Production,
            ..Config::default()
        };
        config.registration.mode = Some(RegistrationMode::Open);
        change(&mut config);
        let problems = config.problems();
        let own = problems
            .into_iter()
            .filter(|problem| problem.starts_with("registration."));
        own.collect::<Vec<_>>()
    };
    assert_eq!(problems(|_| {}), Vec::<String>::new());
    for (key, change) in [
        (
            "registration.rate.requests",
            (|config| config.registration.rate.requests = 0) as fn(&mut Config),
        ),
        ("registration.max_unused", |config| {
            config.registration.max_unused = 0;
        }),
        ("registration.unused_lifetime", |config| {
            config.registration.unused_lifetime = std::time::Duration::ZERO;
        }),
        ("registration.rate.per", |config| {
            config.registration.rate.per = std::time::Duration::ZERO;
        }),
        ("registration.software_statement_issuers[0]", |config| {
            issuer(config, "", "{\"keys\":[]}");
        }),
        ("registration.software_statement_issuers[0]", |config| {
            issuer(config, "https://a.example", "{\"keys\":[]}");
        }),
        ("registration.software_statement_issuers[0]", |config| {
            issuer(config, "https://a.example", "a file");
        }),
        ("registration.mode", |config| {
            config.registration.mode = Some(RegistrationMode::Closed);
            let keys = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
            issuer(config, "https://a.example", keys);
        }),
    ] {
        let found = problems(change);
        assert!(
            matches!(found.as_slice(), [only] if only.starts_with(key)),
            "{key}: {found:?}"
        );
    }
    let mut by_token = Config {
        mode: Mode::Production,
        ..Config::default()
    };
    assert_eq!(by_token.registration_mode(), RegistrationMode::Token);
    by_token.mode = Mode::Development;
    assert_eq!(by_token.registration_mode(), RegistrationMode::Open);
}

fn issuer(config: &mut Config, issuer: &str, jwks: &str) {
    let issuers: Value = json!([{"issuer": issuer, "jwks": jwks}]);
    config.registration.software_statement_issuers = serde_json::from_value(issuers).unwrap();
}
