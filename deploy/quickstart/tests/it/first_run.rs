//! What the first command of the README shows.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::process::{Place, http, send};

#[test]
fn the_three_printed_lines_work_when_pasted() {
    let place = Place::new();
    let running = place.start(&[]);
    let lines = running.pasted();
    let [token, call, introspect, by_certificate] = lines.as_slice() else {
        panic!("three lines, and one with a certificate: {lines:#?}");
    };
    assert!(
        token.starts_with("TOKEN=") && call.starts_with("curl") && introspect.starts_with("curl")
    );
    let script =
        format!("set -e\n{token}\necho \"$TOKEN\"\n{call}\n{introspect}\n{by_certificate}\n");
    let pasted = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    let output = String::from_utf8(pasted.stdout).unwrap();
    let told = String::from_utf8(pasted.stderr).unwrap();
    assert!(pasted.status.success(), "{output}{told}");

    let answers: Vec<_> = output.lines().collect();
    let [token, me, introspected, certified] = answers.as_slice() else {
        panic!("four answers: {output}{told}");
    };
    assert_eq!(token.split('.').count(), 3, "{token}");
    let json = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let service = place.service();
    assert_eq!(json(me)["type"], "client");
    assert_eq!(json(me)["client_id"], service.id.as_str());
    assert_eq!(json(certified)["token_type"], "Bearer", "{certified}");
    assert_eq!(json(introspected)["active"], true);
    assert_eq!(json(introspected)["aud"], place.api("").as_str());
}

#[test]
fn the_credentials_are_kept_for_their_owner_alone() {
    let place = Place::new();
    let _running = place.start(&[
        "--demo-email",
        "ada@example.com",
        "--demo-password",
        "of my own",
    ]);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place.data().join("demo.json")), 0o600);
    assert_eq!(mode(place.data()), 0o700);
    for name in ["mtls-server.key", "mtls-client.key"] {
        assert_eq!(mode(place.data().join(name)), 0o600, "{name}");
    }
    let demo = place.demo();
    assert_eq!(demo["issuer"], place.auth("").as_str());
    assert_eq!(demo["api"], place.api("").as_str());
    assert_eq!(demo["resources"][0], place.api("").as_str());
    assert_eq!(demo["resources"][1], place.api("/second").as_str());
    assert!(demo["app"]["client_id"].is_string());
    assert_eq!(demo["person"]["email"], "ada@example.com");
    assert_eq!(demo["person"]["password"], "of my own");
}

#[test]
fn it_says_that_it_is_not_for_production_and_ends_with_ready() {
    let place = Place::new();
    let running = place.start(&[]);
    let printed = running.printed.join("\n");
    assert!(printed.contains("Development mode"), "{printed}");
    assert_eq!(
        running
            .printed
            .iter()
            .filter(|line| *line == "ready")
            .count(),
        1
    );
    assert_eq!(running.log(), "", "nothing to complain about");
}

#[tokio::test]
async fn both_servers_answer_where_it_says() {
    let place = Place::new();
    let _running = place.start(&[]);
    for url in [
        place.auth("/health/ready"),
        place.auth("/.well-known/openid-configuration"),
        place.auth("/.well-known/oauth-authorization-server"),
        place.api("/health/ready"),
        place.api("/docs"),
        place.api("/.well-known/oauth-protected-resource"),
        place.app("/"),
    ] {
        assert_eq!(send(http().get(&url)).await.status(), 200, "{url}");
    }
}

#[test]
fn a_signal_stops_it_cleanly() {
    for signal in ["-TERM", "-INT"] {
        let place = Place::new();
        let status = place.start(&[]).stop(signal);
        assert_eq!(status.code(), Some(0), "{signal}");
    }
}

#[test]
fn what_keeps_it_from_starting_is_told_with_the_mend() {
    let place = Place::new();
    let auth = place.auth_port;
    let api = place.api_port;
    let app = place.app_port;
    let mtls = place.mtls_port;
    let unknown = place.file("unknown.toml");
    std::fs::write(&unknown, "isuer = 'http://localhost:1'\n").unwrap();
    let production = place.file("production.toml");
    std::fs::write(&production, "mode = 'production'\n").unwrap();
    let (unknown, production) = (unknown.to_str().unwrap(), production.to_str().unwrap());
    for (what, taken, flags, mend) in [
        ("a taken port", Some(auth), vec![], "--auth-port"),
        ("the API's port taken", Some(api), vec![], "--api-port"),
        ("the app's port taken", Some(app), vec![], "--app-port"),
        ("the last port taken", Some(mtls), vec![], "--mtls-port"),
        (
            "an unknown setting",
            None,
            vec!["--auth-config", unknown],
            "did you mean `issuer`?",
        ),
        (
            "production",
            None,
            vec!["--auth-config", production],
            "auth-server serve",
        ),
        (
            "a file that is not there",
            None,
            vec!["--api-config", "/nowhere.toml"],
            "/nowhere.toml",
        ),
    ] {
        let _taken = taken.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        let ended = place.command(&flags).output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{what}: {told}");
        assert!(told.contains(mend), "{what}: {told}");
        assert!(ended.stdout.is_empty(), "{what}");
    }
}

#[test]
fn one_folder_is_for_one_quickstart_at_a_time() {
    let place = Place::new();
    let _running = place.start(&[]);
    let ended = place.command(&[]).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(told.contains("--data"), "{told}");
}
