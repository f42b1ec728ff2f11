//! Authlib and Schemathesis, a client and a tester of strangers, in Python.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::json;

use crate::operator::Operator;
use crate::process::{Place, told};

/// An environment with the packages of the lock file, in the build folder.
static ENVIRONMENT: LazyLock<PathBuf> = LazyLock::new(|| {
    let lock = folder().join("requirements.txt");
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    let installed = environment.join("requirements.txt");
    if std::fs::read(&installed).ok() != std::fs::read(&lock).ok() {
        let run = |command: &mut Command| {
            let ended = command
                .output()
                .expect("python3, which deploy/test asks for");
            let told = String::from_utf8_lossy(&ended.stderr);
            assert!(ended.status.success(), "{command:?}: {told}");
        };
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&environment));
        run(Command::new(environment.join("bin/pip"))
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--require-hashes",
                "--only-binary",
                ":all:",
                "--requirement",
            ])
            .arg(&lock));
        // Last: what broke off is made anew.
        std::fs::copy(&lock, installed).unwrap();
    }
    environment.join("bin")
});

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python")
}

#[test]
fn rfc7591_a_python_client_registers_itself_and_uses_every_method_that_it_knows() {
    let place = Place::new();
    let running = place.start(&[]);
    let input = json!({"issuer": place.auth(""), "scope": "profile:read"});
    let mut authlib = Command::new(ENVIRONMENT.join("python"));
    let tokens = told(
        authlib.arg("-B").arg(folder().join("authlib_client.py")),
        &input,
    );
    assert_eq!(tokens.as_object().unwrap().len(), 4, "{tokens}");
    assert_eq!(running.complaints(), "");
}

/// RFC 8037, appendix A.1 and A.2.
const KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc7523_2_1_a_python_client_gets_tokens_for_what_a_trusted_issuer_says() {
    let place = Place::new();
    let running = place.start(&[]);
    let operator = Operator::at(&place).await;
    let metadata = json!({"token_endpoint_auth_method": "client_secret_basic", "scope": "profile:read",
        "grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"]});
    let client = operator.register(metadata).await;
    let key: serde_json::Value = serde_json::from_str(KEY).unwrap();
    let public = json!({"kty": key["kty"], "crv": key["crv"], "x": key["x"]});
    let policy = json!({"kind": "jwt", "jwks": {"keys": [public]}, "algorithms": ["EdDSA"], "subject": "linked",
        "scope": "profile:read", "max_lifetime_seconds": 600});
    let (trusted, subject) = ("https://idp.example", "U019488227");
    let demo = place.demo();
    let email = demo["person"]["email"].as_str().unwrap();
    operator.trust(trusted, policy, (email, subject)).await;
    let input = json!({"issuer": place.auth(""), "trusted": trusted, "subject": subject, "key": key,
        "client_id": client.id, "client_secret": client.secret, "scope": "profile:read",
        "api": place.api("/api/v1/users/me")});
    let mut authlib = Command::new(ENVIRONMENT.join("python"));
    let tokens = told(
        authlib.arg("-B").arg(folder().join("jwt_bearer.py")),
        &input,
    );
    assert_eq!(tokens["token_type"], "Bearer", "{tokens}");
    assert_eq!(tokens["scope"], "profile:read", "{tokens}");
    assert_eq!(tokens["again"], "invalid_grant", "{tokens}");
    assert!(
        tokens["refresh_token"].is_null() && tokens["id_token"].is_null(),
        "{tokens}"
    );
    assert_eq!(
        (&tokens["status"], &tokens["api"]["type"]),
        (&json!(200), &json!("person")),
        "{tokens}"
    );
    assert_eq!(running.complaints(), "");
}

/// Whatever its description allows, and what it does not: no 5xx, and no status that is not in it.
#[test]
fn rfc7591_registration_is_as_its_description_says() {
    let place = Place::new();
    let running = place.start(&[]);
    let kept = tempfile::tempdir().unwrap();
    let ended = Command::new(ENVIRONMENT.join("schemathesis"))
        .arg("run")
        .arg(place.auth("/openapi.json"))
        .args(["--include-path-regex", "^/oauth/register"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "100"])
        .args(["--generation-deterministic", "--no-color"])
        .current_dir(kept.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{told}");
    assert_eq!(running.complaints(), "");
}
