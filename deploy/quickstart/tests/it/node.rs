//! `openid-client`, `oauth4webapi` and the MCP SDK from npm, clients of strangers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::process::{Place, told};

/// What is kept of it in the checkout.
const FILES: [&str; 14] = [
    "package.json",
    "package-lock.json",
    "browser.mjs",
    "claims.mjs",
    "device.mjs",
    "dpop.mjs",
    "exchange.mjs",
    "fapi.mjs",
    "flow.mjs",
    "mcp.mjs",
    "register.mjs",
    "requests.mjs",
    "rich.mjs",
    "sign_out.mjs",
];

/// A copy of the scripts with the packages of their lock file: in the build folder, because tests leave the checkout as it is.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node");
    std::fs::create_dir_all(&folder).unwrap();
    let read = |folder: &Path, file: &str| std::fs::read(folder.join(file)).ok();
    let current = folder.join("node_modules/.package-lock.json").exists()
        && read(&source, "package-lock.json") == read(&folder, "package-lock.json");
    for file in FILES {
        std::fs::copy(source.join(file), folder.join(file)).unwrap();
    }
    if !current {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output()
            .expect("npm, which deploy/test asks for");
        let told = String::from_utf8_lossy(&npm.stderr);
        assert!(npm.status.success(), "npm ci: {told}");
    }
    folder
});

/// What a script makes of its input.
pub(crate) fn run(script: &str, input: &Value) -> Value {
    told(
        Command::new("node").arg(script).current_dir(&*FOLDER),
        input,
    )
}

#[test]
fn a_node_client_signs_a_person_in_and_keeps_the_access() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        "client_id": demo["app"]["client_id"],
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let result = run("flow.mjs", &input);

    let subject = &result["claims"]["sub"];
    assert!(subject.as_str().unwrap().starts_with("usr_"), "{result}");
    assert_eq!(result["claims"]["amr"], json!(["pwd"]));
    assert!(result["claims"]["auth_time"].is_i64(), "{result}");
    assert_eq!(&result["userinfo"]["sub"], subject);
    assert_eq!(result["userinfo"]["email"], demo["person"]["email"]);
    assert_eq!(result["userinfo"]["email_verified"], true);
    assert_eq!(&result["me"]["sub"], subject);
    assert_eq!(result["me"]["type"], "person");
    assert_eq!(running.complaints(), "");
}

#[test]
fn rfc7591_node_clients_register_themselves_and_use_every_method() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "scope": "profile:read",
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
        "mtls": place.certificates(),
    });
    let tokens = run("register.mjs", &input);
    assert_eq!(tokens.as_object().unwrap().len(), 7, "{tokens}");
    assert_eq!(running.complaints(), "");
}

#[test]
fn oidc_rp_initiated_and_back_channel_a_node_client_signs_a_person_out_and_hears_of_it() {
    let place = Place::new();
    let config = place.file("auth.toml");
    // The script listens on this machine, as the developer's own apps do.
    std::fs::write(&config, "[outbound]\nloopback_http = true\n").unwrap();
    let running = place.start(&["--auth-config", config.to_str().unwrap()]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let told = run("sign_out.mjs", &input);
    assert_eq!(told["header"]["typ"], "logout+jwt", "{told}");
    assert_eq!(told["claims"]["iss"], place.auth(""));
    assert_eq!(running.complaints(), "");
}

#[test]
fn a_node_client_pushes_and_signs_its_requests_and_is_answered_by_jwts() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let result = run("requests.mjs", &input);
    let subjects = result.as_object().unwrap();
    assert_eq!(subjects.len(), 5, "{result}");
    assert!(
        subjects
            .values()
            .all(|subject| *subject == result["pushed"])
    );
    assert_eq!(running.complaints(), "");
}

#[test]
fn rfc9449_a_node_client_binds_its_tokens_to_a_key_and_answers_every_challenge() {
    let place = Place::new();
    let config = place.file("auth.toml");
    std::fs::write(&config, "[dpop]\nnonce = \"required\"\n").unwrap();
    let config = config.to_str().unwrap();
    let running = place.start(&["--auth-config", config, "--api-config", config]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let subjects = run("dpop.mjs", &input);
    assert_eq!(subjects["ES256"], subjects["EdDSA"], "{subjects}");
    assert_eq!(running.complaints(), "");
}

/// At a server of this profile.
fn signs_in_under(profile: &str, signing: bool) -> Value {
    let place = Place::new();
    let config = place.file("auth.toml");
    std::fs::write(&config, format!("profile = \"{profile}\"\n")).unwrap();
    let running = place.start(&["--auth-config", config.to_str().unwrap()]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
        "mtls": place.certificates(),
        "signing": signing,
    });
    let subjects = run("fapi.mjs", &input);
    assert_eq!(running.complaints(), "");
    subjects
}

#[test]
fn fapi2_a_node_client_signs_a_person_in_by_key_and_by_certificate() {
    let subjects = signs_in_under("fapi2", false);
    assert_eq!(subjects.as_object().unwrap().len(), 2, "{subjects}");
    assert_eq!(subjects["proven"], subjects["certified"], "{subjects}");
}

#[test]
fn fapi2_message_signing_a_node_client_signs_its_requests_and_is_answered_signed() {
    let subjects = signs_in_under("fapi2-message-signing", true);
    let subject = subjects["proven"].as_str().unwrap();
    assert!(subject.starts_with("usr_"), "{subjects}");
}

#[test]
fn oidc_core_5_node_clients_are_told_of_people_signed_encrypted_and_under_names_of_their_own() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let told = run("claims.mjs", &input);
    assert_eq!(told["plain"]["nickname"], "Dee");
    assert_eq!(told["plain"]["address"]["locality"], "Vienna");
    let subject = |of: &str| told[of]["sub"].as_str().unwrap().to_owned();
    assert!(subject("plain").starts_with("usr_"), "{told}");
    assert_eq!(subject("pairwise"), subject("sister"));
    assert_ne!(subject("pairwise"), subject("stranger"));
    assert!(!told["pairwise"].to_string().contains("usr_"), "{told}");
    assert_eq!(running.complaints(), "");
}

#[test]
fn rfc9396_and_rfc8707_a_node_client_asks_for_details_and_for_resources() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        "second": place.api("/second"),
        "app": demo["app"]["client_id"],
        "service": demo["service"],
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let result = run("rich.mjs", &input);

    assert!(
        result["sub"].as_str().unwrap().starts_with("usr_"),
        "{result}"
    );
    assert_eq!(result["id"].as_str().unwrap().len(), 22, "{result}");
    assert_eq!(result["userinfo"]["sub"], result["sub"]);
    assert_eq!(running.complaints(), "");
}

#[test]
fn rfc8693_a_node_service_acts_for_a_person_at_the_next_service() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        "second": place.api("/second"),
        "app": demo["app"]["client_id"],
        "service": demo["service"],
        // Nobody listens there: the redirect is as far as the browser goes.
        "redirect_uri": "http://127.0.0.1:9/callback",
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let seen = &run("exchange.mjs", &input)["seen"];
    let id = &demo["service"]["client_id"];
    assert_eq!(seen["act"], json!({"sub": id, "client_id": id}), "{seen}");
    assert_eq!(seen["aud"], place.api("/second"));
    assert!(seen["sub"].as_str().unwrap().starts_with("usr_"), "{seen}");
    assert_eq!(running.complaints(), "");
}

#[test]
fn rfc8628_a_node_client_is_let_in_on_a_device_and_kept_out() {
    let place = Place::new();
    let running = place.start(&[]);
    let demo = place.demo();
    let input = json!({
        "issuer": place.auth(""),
        "api": place.api(""),
        "client_id": demo["device"]["client_id"],
        "email": demo["person"]["email"],
        "password": demo["person"]["password"],
    });
    let result = run("device.mjs", &input);

    let subject = &result["claims"]["sub"];
    assert!(subject.as_str().unwrap().starts_with("usr_"), "{result}");
    assert_eq!(&result["userinfo"]["sub"], subject);
    assert_eq!(result["userinfo"]["email"], demo["person"]["email"]);
    assert_eq!(&result["me"]["sub"], subject);
    assert_eq!(running.complaints(), "");
}
