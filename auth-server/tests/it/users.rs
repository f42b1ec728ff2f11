//! `auth-server user …`, as a program.

use std::process::{Command, Output, Stdio};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::accounts::{Door, EMAIL, HOME, Outcome, PASSWORD};

on_each_store!(auth_server::store::MIGRATIONS;
    accounts_are_made_and_can_be_signed_in_to,
    accounts_are_changed_by_address_and_by_id,
    what_cannot_be_done_is_said_without_the_password,
    oidc_core_5_1_what_is_known_of_a_person_is_said_claim_by_claim,
);

/// Runs the program on these stores.
pub(crate) fn run(stores: &Stores, arguments: &[&str], input: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let url = stores.database().url.expose_secret().to_owned();
    let text = format!(
        "[database]\nurl = \"{url}\"\n[passwords]\nmemory = 8\niterations = 1\n[keys]\nalgorithms = [\"ES256\"]\n\
         [[keys.encryption]]\nid = \"test\"\nkey = \"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n\
         [proxies]\ntrusted = [\"192.0.2.1\"]\nheader = \"forwarded\"\nclient_certificates = true\n\
         [mtls]\nclient_ca = \"authorities.pem\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_auth-server"))
        .args(arguments)
        .arg("--config")
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that reads no password may have ended by now.
    let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes());
    child.wait_with_output().unwrap()
}

pub(crate) fn ran(stores: &Stores, arguments: &[&str], input: &str) -> String {
    let output = run(stores, arguments, input);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(output.stderr)
    );
    text(output.stdout)
}

pub(crate) fn ran_json(stores: &Stores, arguments: &[&str], input: &str) -> Value {
    let printed = ran(stores, &[arguments, &["--json"]].concat(), input);
    serde_json::from_str(&printed).unwrap()
}

async fn accounts_are_made_and_can_be_signed_in_to(stores: &Stores) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\r\nsecond line\n")).unwrap();
    let file = file.to_str().unwrap();
    let create = ["user", "create", "Jo@example.com", "--password-file", file];
    let made = ran_json(stores, &create, "");
    assert_eq!(made["email"], "Jo@example.com");
    assert_eq!(made.get("password"), None, "known already");
    let create = ["user", "create", "ann@example.com", "--generate-password"];
    let ann = ran(stores, &create, "");
    let generated = ann.lines().last().unwrap();
    let generated = generated.strip_prefix("password: ").unwrap();
    let (generated, _) = generated.split_once(' ').unwrap();
    assert_eq!(generated.len(), 20);

    let door = Door::open(stores).await;
    for (email, password) in [(EMAIL, PASSWORD), ("ann@example.com", generated)] {
        let outcome = door.attempt(email, password, HOME).await;
        assert!(matches!(outcome, Outcome::In(_)), "{email} {outcome:?}");
    }
}

async fn accounts_are_changed_by_address_and_by_id(stores: &Stores) {
    let create = [
        "user",
        "create",
        "Jo@example.com",
        "--name",
        "Jo Doe",
        "--email-verified",
    ];
    let made = ran_json(stores, &create, PASSWORD);
    let id = made["id"].as_str().unwrap();
    let door = Door::open(stores).await;
    let signs_in = async |password| door.attempt(EMAIL, password, HOME).await != Outcome::Refused;
    ran(
        stores,
        &["user", "set-password", EMAIL],
        "another kiosk 37\n",
    );
    assert!(signs_in("another kiosk 37").await);
    assert!(!signs_in(PASSWORD).await);
    ran(stores, &["user", "disable", id], "");
    assert!(!signs_in("another kiosk 37").await);
    let listed = ran_json(stores, &["user", "list"], "");
    let jo = &listed[0];
    assert_eq!(jo["id"], id);
    assert_eq!(jo["disabled"], true);
    assert_eq!(jo["email_verified"], true);
    assert_eq!(jo["name"], "Jo Doe");
    ran(stores, &["user", "enable", EMAIL], "");
    assert!(signs_in("another kiosk 37").await);
    let listed = ran(stores, &["user", "list"], "");
    let line = format!("user: {id}  active       Jo@example.com  Jo Doe\n");
    assert_eq!(listed, line);
}

async fn what_cannot_be_done_is_said_without_the_password(stores: &Stores) {
    ran(stores, &["user", "create", EMAIL], PASSWORD);
    let new = ["user", "create", "new@example.com"];
    let absent = [
        "user",
        "set-password",
        EMAIL,
        "--password-file",
        "/nothing/here",
    ];
    for (what, arguments, input, says) in [
        ("taken", &["user", "create", EMAIL][..], PASSWORD, "already"),
        (
            "no address",
            &["user", "create", "jo"],
            PASSWORD,
            "mail address",
        ),
        ("no password", &new, "", "no password"),
        ("a short password", &new, "kiosk 7\n", "at least 8"),
        (
            "a common password",
            &new,
            "letmein123\n",
            "others would guess",
        ),
        (
            "unknown",
            &["user", "disable", "who@example.com"],
            "",
            "no account who@example.com",
        ),
        ("no such file", &absent, "", "/nothing/here"),
    ] {
        let output = run(stores, arguments, input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{what}");
        assert!(error.contains(says), "{what}: {error}");
        let typed = input.trim();
        assert!(
            typed.is_empty() || !error.contains(typed),
            "{what}: {error}"
        );
    }
    let as_argument = run(stores, &[&new[..], &["--password", "x"]].concat(), "");
    assert_eq!(
        as_argument.status.code(),
        Some(2),
        "seen by every program of the machine"
    );
}

async fn oidc_core_5_1_what_is_known_of_a_person_is_said_claim_by_claim(stores: &Stores) {
    ran(stores, &["user", "create", EMAIL, "--name", "Jo"], PASSWORD);
    let set = |claims: &[&str]| {
        ran_json(
            stores,
            &[&["user", "set-profile", EMAIL], claims].concat(),
            "",
        )
    };
    let profile = set(&[
        "name=Jo Doe",
        "given_name=Jo",
        "birthdate=0000-02-29",
        "phone_number=+431234567",
        "phone_number_verified=true",
        "address.locality=Vienna",
        "address.country=Austria",
    ]);
    assert_eq!(profile["name"], "Jo Doe");
    let expected = json!({"given_name": "Jo", "birthdate": "0000-02-29", "phone_number": "+431234567",
        "phone_number_verified": true, "address": {"locality": "Vienna", "country": "Austria"}});
    assert_eq!(profile["profile"], expected);
    let profile = set(&[
        "birthdate=",
        "phone_number=+437654321",
        "address.locality=",
        "address.country=",
    ]);
    // Another number, which nobody has verified.
    let expected = json!({"given_name": "Jo", "phone_number": "+437654321"});
    assert_eq!(profile["profile"], expected);
    let listed = ran_json(stores, &["user", "list"], "");
    assert_eq!(
        (&listed[0]["name"], &listed[0]["profile"]),
        (&json!("Jo Doe"), &expected)
    );
    for (claim, says) in [
        ("given_name", "NAME=VALUE"),
        ("shoe_size=44", "shoe_size"),
        ("email=other@example.com", "email"),
        ("address.planet=Earth", "address.planet"),
        ("address=Vienna", "address"),
        ("birthdate=29.2.", "YYYY-MM-DD"),
        ("picture=http://example.com/jo.png", "https"),
        ("zoneinfo=/etc/passwd", "time zone"),
        ("locale=de_AT", "language tag"),
        ("phone_number=0123", "+ and 4 to 15 digits"),
        ("phone_number_verified=yes", "true or false"),
        ("nickname=a\nb", "one line"),
        ("name= ", "name"),
    ] {
        let refused = run(stores, &["user", "set-profile", EMAIL, claim], "");
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success(), "{claim}");
        assert!(told.contains(says), "{claim}: {told}");
    }
    let listed = ran_json(stores, &["user", "list"], "");
    assert_eq!(listed[0]["profile"], expected, "nothing of that was kept");
}
