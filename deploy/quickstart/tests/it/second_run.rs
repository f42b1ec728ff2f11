//! A later start keeps what there is, moves what the ports changed, and mends what does not fit.

use std::fs;

use serde_json::{Value, json};

use crate::flow::Flow;
use crate::forms::Person;
use crate::process::Place;

#[tokio::test]
async fn it_prints_the_same_and_takes_the_tokens_of_the_first() {
    let place = Place::new();
    let first = place.start(&[]);
    let printed = first.printed.clone();
    let token = place.token(&place.service(), &place.api("")).await;
    assert_eq!(first.stop("-TERM").code(), Some(0));

    let second = place.start(&[]);
    assert_eq!(second.printed, printed);
    assert_eq!(place.me(Some(&token)).await.status(), 200, "the same keys");
    assert_eq!(second.log(), "");
}

#[tokio::test]
async fn other_ports_move_the_resources_and_keep_the_clients() {
    let mut place = Place::new();
    place.start(&[]).stop("-TERM");
    let (service, before, old_api) = (place.service(), place.demo(), place.api(""));
    let elsewhere = Place::new();
    (place.auth_port, place.api_port) = (elsewhere.auth_port, elsewhere.api_port);

    let running = place.start(&[]);
    let demo = place.demo();
    for kept in ["service", "app", "person"] {
        assert_eq!(demo[kept], before[kept], "{kept}");
    }
    assert_eq!(demo["issuer"], place.auth("").as_str());
    let token = place.token(&service, &place.api("")).await;
    assert_eq!(place.me(Some(&token)).await.status(), 200);
    place.token(&service, &place.api("/second")).await;
    for gone in [old_api.clone(), format!("{old_api}/second")] {
        let refused = place.token_response(&service, &gone).await;
        assert_eq!(refused.status(), 400, "{gone}");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["error"], "invalid_target", "{gone}");
    }
    assert_eq!(running.log(), "");
}

/// What the file says with one value changed.
fn with(demo: &Value, pointer: &str, value: Value) -> String {
    let mut demo = demo.clone();
    *demo.pointer_mut(pointer).unwrap() = value;
    demo.to_string()
}

#[tokio::test]
async fn credentials_that_do_not_fit_the_database_are_mended() {
    type Edit = fn(&Value) -> String;
    let edits: [(&str, Edit, &str, [bool; 3]); 4] = [
        ("not JSON", |_| "{".into(), "cannot be read", [false; 3]),
        (
            "no client",
            |demo| with(demo, "/service", json!({})),
            "cannot be read",
            [false; 3],
        ),
        (
            "another secret",
            |demo| with(demo, "/service/client_secret", json!("other")),
            "it has a new one",
            [true, false, true],
        ),
        (
            "an unknown app",
            |demo| with(demo, "/app/client_id", json!("other")),
            "registered again",
            [true, true, false],
        ),
    ];
    for (what, edit, told, kept) in edits {
        let place = Place::new();
        place.start(&[]).stop("-TERM");
        let before = place.demo();
        fs::write(place.data().join("demo.json"), edit(&before)).unwrap();

        let running = place.start(&[]);
        assert!(running.log().contains(told), "{what}: {}", running.log());
        assert_eq!(
            running.log().lines().count(),
            1,
            "{what}: {}",
            running.log()
        );
        let after = place.demo();
        let pointers = [
            "/service/client_id",
            "/service/client_secret",
            "/app/client_id",
        ];
        let same = pointers.map(|pointer| before.pointer(pointer) == after.pointer(pointer));
        assert_eq!(same, kept, "{what}");
        assert_ne!(after["service"]["client_secret"], "other", "{what}");
        place.token(&place.service(), &place.api("")).await;
    }
}

#[tokio::test]
async fn a_database_that_is_gone_is_filled_with_the_same_credentials() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let before = place.demo();
    for entry in fs::read_dir(place.data()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("auth-server.db") {
            fs::remove_file(&path).unwrap();
        }
    }
    let running = place.start(&[]);
    assert_eq!(place.demo(), before);
    place.token(&place.service(), &place.api("")).await;
    assert!(
        running.log().contains("registered again"),
        "{}",
        running.log()
    );
}

/// Nobody listens there: the redirect is as far as the browser goes.
const NOWHERE: &str = "http://127.0.0.1:9/callback";

#[tokio::test]
async fn the_person_stays_allowed_until_the_password_in_the_file_is_another() {
    let place = Place::new();
    let first = place.start(&[]);
    let flow = Flow::of_app(&place, NOWHERE);
    let mut person = Person::until(NOWHERE);
    let answer = person.sign_in(&place, &flow.url(&[])).await;
    let tokens = flow.tokens(&answer.parameter("code").unwrap()).await;
    first.stop("-TERM");

    let second = place.start(&[]);
    let page = person.visit(&flow.url(&[])).await;
    assert!(page.has("consent"), "the session goes on: {page:?}");
    let refreshed = flow
        .refresh(tokens["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(refreshed.status(), 200);
    let tokens: Value = refreshed.json().await.unwrap();
    second.stop("-TERM");

    let changed = with(&place.demo(), "/person/password", json!("of my own choice"));
    fs::write(place.data().join("demo.json"), changed).unwrap();
    let third = place.start(&[]);
    assert_eq!(place.demo()["person"]["password"], "of my own choice");
    let page = person.visit(&flow.url(&[])).await;
    assert!(page.has("sign-in"), "the session ended: {page:?}");
    let refused = flow
        .refresh(tokens["refresh_token"].as_str().unwrap())
        .await;
    assert_eq!(refused.status(), 400);
    let answer = person.sign_in(&place, &flow.url(&[])).await;
    flow.tokens(&answer.parameter("code").unwrap()).await;
    assert_eq!(third.log(), "");
}

#[test]
fn a_password_or_an_address_that_will_not_do_is_told_and_not_kept() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let before = place.demo();
    for (flag, value) in [
        ("--demo-password", "short"),
        ("--demo-password", "demo@example.com"),
        ("--demo-email", "nobody"),
    ] {
        let ended = place.command(&[flag, value]).output().unwrap();
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{value}: {told}");
        assert!(told.contains(flag), "{value}: {told}");
        assert_eq!(place.demo(), before, "{value}");
    }
}
