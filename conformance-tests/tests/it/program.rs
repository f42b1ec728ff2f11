//! The program: its reports and its exit status.

use crate::server::{self, Fault, Server, Who};

/// Runs the program and answers its exit status and what it wrote to standard output.
async fn program(arguments: Vec<String>) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_conformance-tests"));
        let output = command
            .args(arguments)
            .env("CONFORMANCE_CLIENT_SECRET", server::SECRET)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_says_how_it_went() {
    let cached = Fault::Wire("/token", |wire| wire.set("cache-control", "private"));
    for (what, fault, format, status, shown) in [
        ("all is well", Fault::None, "text", 0, "RFC 6749"),
        (
            "something failed",
            cached,
            "text",
            1,
            "FAILED RFC 6749 §5.1",
        ),
        ("as JSON", cached, "json", 1, "\"failed\": 1"),
        ("as JUnit", cached, "junit", 1, "failures=\"1\""),
        ("as HTML", cached, "html", 1, "</html>"),
    ] {
        let target = Server::start(fault, Who::Basic).await;
        let arguments = [
            "--issuer",
            &target.issuer,
            "--client-id",
            "svc",
            "--rfc",
            "6749",
            "--format",
            format,
        ];
        let (code, output) = program(arguments.map(str::to_owned).to_vec()).await;
        assert_eq!(code, Some(status), "{what}: {output}");
        assert!(output.contains(shown), "{what}: {output}");
    }
    for arguments in [
        &["--issuer", "http://127.0.0.1:1"][..],
        &["--no-such-option"],
        &["--demo", "/no/such/file"],
    ] {
        let (code, output) = program(
            arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect(),
        )
        .await;
        assert_eq!((code, output.as_str()), (Some(2), ""), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_run_and_reported_by_its_modules() {
    let target = Server::start(Fault::None, Who::Basic).await;
    let arguments = [
        "--issuer",
        &target.issuer,
        "--plan",
        "config",
        "--format",
        "json",
    ];
    let (code, output) = program(arguments.map(str::to_owned).to_vec()).await;
    assert_eq!(code, Some(0), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output).unwrap();
    let plan = &report["standards"][0];
    assert_eq!(plan["id"], "Config OP");
    assert_eq!(plan["score"]["must"], 1.0);
    let module = &plan["requirements"][0];
    assert_eq!(module["id"], "oidcc-discovery-endpoint-verification");
    assert_eq!(module["standard"], "OIDC Discovery");
    assert_eq!(module["checks"][0]["name"], "oidcdiscovery-3-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_run_with_a_score_of_its_own() {
    let target = Server::start(Fault::None, Who::Basic).await;
    let arguments = [
        "--issuer",
        &target.issuer,
        "--profile",
        "mcp",
        "--format",
        "json",
    ];
    let (code, output) = program(arguments.map(str::to_owned).to_vec()).await;
    assert_eq!(code, Some(0), "{output}");
    let report: serde_json::Value = serde_json::from_str(&output).unwrap();
    let profile = &report["standards"][0];
    assert_eq!(profile["id"], "MCP Authorization");
    assert!(profile["score"]["must"].is_number(), "{profile}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_is_listed_without_a_server() {
    for (arguments, shown, other) in [
        (&["--list"][..], "rfc9126-2.2-response", "oidcc-server\n"),
        (
            &["--list", "--rfc", "rfc9126"],
            "a request_uri would have to be waited for until it expires",
            "rfc9101-4-signed",
        ),
        (
            &["--list", "--plan", "back-channel-logout"],
            "oidcc-backchannel-rp-initiated-logout\n",
            "rfc9126-2.2-response",
        ),
        (
            &["--list", "--profile", "fapi2"],
            "fapi2-5.3.2.2-only-pushed\n",
            "fapi2-message-signing",
        ),
    ] {
        let given = arguments.iter().map(|text| (*text).to_owned());
        let (code, output) = program(given.collect()).await;
        assert_eq!(code, Some(0), "{output}");
        assert!(
            output.contains(shown) && !output.contains(other),
            "{output}"
        );
    }
}
