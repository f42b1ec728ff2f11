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
