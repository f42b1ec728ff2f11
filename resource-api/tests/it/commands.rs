//! The program, as an operator runs it.

use std::io::{BufRead as _, BufReader, Lines};
use std::mem;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use serde_json::Value;

use crate::harness::FakeIssuer;

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_resource-api"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap()
}

#[test]
fn production_refuses_plain_http_everywhere() {
    let output = run(&["config", "check", "--production"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(
        told.contains("resource.identifier: production refuses"),
        "{told}"
    );
    assert!(
        told.contains("issuers.0.issuer: production refuses"),
        "{told}"
    );
    let output = run(&["config", "check"]);
    assert!(output.status.success());
    assert_eq!(output.stdout, b"the configuration can be used\n");
}

#[test]
fn an_unknown_key_stops_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("api.toml");
    std::fs::write(&file, "[database]\npoolsize = 5\n").unwrap();
    let file = file.to_str().unwrap();
    for command in [
        &["serve"][..],
        &["migrate"],
        &["config", "show"],
        &["config", "check"],
    ] {
        let output = run(&[&["--config", file], command].concat());
        assert!(!output.status.success(), "{command:?}");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("database.poolsize"), "{told}");
        assert!(told.contains("database.pool_size"), "{told}");
    }
}

#[test]
fn what_is_shown_holds_no_secret() {
    let shown = Command::new(env!("CARGO_BIN_EXE_resource-api"))
        .args(["config", "show"])
        .env_clear()
        .env(
            "API_DATABASE__URL",
            "postgres://api:hunter2@db.internal/api",
        )
        .output()
        .unwrap();
    assert!(shown.status.success());
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["database"]["url"], "[redacted]");
    assert_eq!(shown["server"]["listen"][0], "127.0.0.1:8080");
}

#[test]
fn a_database_is_migrated_once() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/new/api.db", folder.path().display());
    // What every server has, and its own.
    for applied in [3, 0] {
        let output = Command::new(env!("CARGO_BIN_EXE_resource-api"))
            .args(["migrate", "--json"])
            .env_clear()
            .env("API_DATABASE__URL", &url)
            .output()
            .unwrap();
        assert!(output.status.success());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["applied"].as_array().unwrap().len(), applied);
    }
}

/// `serve`, as a process of its own.
struct Serving {
    process: Child,
    lines: Lines<BufReader<ChildStderr>>,
    log: String,
}

impl Serving {
    /// Starts on free ports, with these settings in the environment.
    fn start(settings: &[(&str, &str)]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_resource-api"))
            .arg("serve")
            .env_clear()
            .env("API_SERVER__LISTEN", "127.0.0.1:0")
            .env("API_SERVER__OPERATIONS_LISTEN", "[]")
            .envs(settings.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        Self {
            process,
            lines,
            log: String::new(),
        }
    }

    /// The next line of the log with this message.
    fn told(&mut self, message: &str) -> Value {
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            self.log.push_str(&line);
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"] == message {
                return line;
            }
        }
        panic!("the server ends without telling {message:?}: {}", self.log)
    }

    /// Sends SIGTERM, and gives the whole log once the process has ended well.
    fn stop(mut self) -> String {
        let id = self.process.id().to_string();
        let kill = Command::new("kill").args(["-TERM", &id]).status();
        assert!(kill.unwrap().success());
        for line in self.lines.by_ref() {
            self.log.push_str(&line.unwrap());
        }
        assert!(self.process.wait().unwrap().success());
        mem::take(&mut self.log)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_server_serves_until_sigterm_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = format!("sqlite:{}/api.db\n", folder.path().display());
    std::fs::write(&file, url).unwrap();
    let mut server = Serving::start(&[("API_DATABASE__URL_FILE", file.to_str().unwrap())]);
    assert_eq!(server.told("listening")["operations"], "[]");
    server.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_and_no_secret_reaches_the_log() {
    let issuer = FakeIssuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}/api.db", folder.path().display());
    let issuers = format!(
        "[{{ issuer = \"{}\", policy = \"introspect\", \
         introspection = {{ client_id = \"api\", client_secret = \"secret-of-the-api\" }} }}]",
        issuer.identifier()
    );
    let mut server = Serving::start(&[
        ("API_DATABASE__URL", &database),
        ("API_ISSUERS", &issuers),
        ("API_LOG__FILTER", "debug"),
    ]);
    let addresses = server.told("listening")["addresses"].clone();
    let address = addresses.as_str().unwrap().trim_matches(['[', ']']);
    let response = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(format!(
            "http://{address}/api/v1/users/me?code=secret-in-the-query"
        ))
        .bearer_auth("secret-token-of-a-client")
        .header("cookie", "session=secret-of-the-session")
        .send()
        .await
        .unwrap();
    // The issuer does not answer the question, which is told with its cause.
    assert_eq!(response.status(), 503);
    let line = server.told("request");
    assert_eq!(line["status"], "503");
    assert!(line["cause"].is_string(), "{line}");
    let log = server.stop();
    assert!(!log.contains("secret-"), "{log}");
    // RFC 6749 §2.3.1: how the secret went to the issuer.
    assert!(!log.contains("YXBpOnNlY3JldC1vZi10aGUtYXBp"), "{log}");
}
