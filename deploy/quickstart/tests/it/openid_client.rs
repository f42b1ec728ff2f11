//! `openid-client` from npm, a client of strangers, runs the whole flow.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::process::Place;

/// What is kept of it in the checkout.
const FILES: [&str; 3] = ["package.json", "package-lock.json", "flow.mjs"];

/// A copy of the script with the packages of its lock file: in the build folder, because tests leave the checkout as it is.
fn installed() -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openid-client");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openid-client");
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
}

#[test]
fn a_node_client_signs_a_person_in_and_keeps_the_access() {
    let folder = installed();
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
    let mut node = Command::new("node")
        .arg("flow.mjs")
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node, which deploy/test asks for");
    let mut stdin = node.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let ended = node.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{told}");

    let result: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let subject = &result["claims"]["sub"];
    assert!(subject.as_str().unwrap().starts_with("usr_"), "{result}");
    assert_eq!(result["claims"]["amr"], json!(["pwd"]));
    assert!(result["claims"]["auth_time"].is_i64(), "{result}");
    assert_eq!(&result["userinfo"]["sub"], subject);
    assert_eq!(result["userinfo"]["email"], demo["person"]["email"]);
    assert_eq!(result["userinfo"]["email_verified"], true);
    assert_eq!(&result["me"]["sub"], subject);
    assert_eq!(result["me"]["type"], "person");
    assert_eq!(running.log(), "");
}
