//! Rich authorization requests (RFC 9396): what is asked for, shown, granted, carried and narrowed.

mod consent;
mod types;

use auth_server::authorization_details::{DetailsSchema, DetailsType};
use auth_server::authorize::agreement::Agreement;
use auth_server::clients::{AuthMethod, Client, ClientMetadata};
use serde_json::{Value, json};
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, code, parameter};
use crate::person::{self, Scene, ask, claims, code_form, refresh_form};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9396_3_a_request_without_a_scope_brings_what_was_agreed_to,
    rfc9396_5_what_the_authorization_endpoint_refuses,
    rfc9396_6_and_threat_10_details_narrow_and_never_widen,
    rfc9396_6_1_what_is_less_of_an_object_its_type_says,
    rfc9396_6_a_service_asks_for_itself,
    rfc9700_4_14_2_one_use_of_a_refresh_token_asks_for_one_thing,
    threat_14_what_was_taken_away_since_is_no_right,
    threat_25_introspection_shows_them_to_those_it_concerns,
    rfc6749_4_1_2_what_cannot_be_granted_leaves_the_code_dead,
);

pub(crate) const PARAMETER: &str = "authorization_details";
/// Of [`API`].
pub(crate) const READ: &str = r#"{"type":"album","actions":["read"],"identifier":"summer"}"#;
const WRITE: &str = r#"{"type":"album","actions":["read","write"],"identifier":"winter"}"#;
/// Of [`OTHER_API`].
pub(crate) const PAY: &str = r#"{"type":"payment","amount":"123.50"}"#;

fn list(objects: &[&str]) -> String {
    format!("[{}]", objects.join(","))
}

fn value(objects: &[&str]) -> Value {
    serde_json::from_str(&list(objects)).unwrap()
}

pub(crate) fn album_schema() -> Value {
    json!({
        "properties": {
            "type": {"const": "album"},
            "actions": {"items": {"enum": ["read", "write"]}, "minItems": 1},
            "locations": true,
            "identifier": {"type": "string"},
        },
        "required": ["actions"],
        "additionalProperties": false,
    })
}

fn payment_schema() -> Value {
    let amount = json!({"type": "string", "pattern": "^\\d+\\.\\d\\d$"});
    json!({"properties": {"type": true, "amount": amount}, "required": ["amount"], "additionalProperties": false})
}

impl TestServer {
    pub(crate) async fn put_details_type(&self, name: &str, resource: &str, schema: Value) {
        let details_type = DetailsType {
            name: name.parse().unwrap(),
            resource: resource.parse().unwrap(),
            description: format!("Use <one> {name}").parse().unwrap(),
            schema: DetailsSchema::compile(schema).unwrap(),
            additive: Vec::new(),
        };
        self.put(&details_type).await;
    }

    async fn put(&self, details_type: &DetailsType) {
        let servers = &self.records.resource_servers;
        servers
            .put_details_type(details_type, self.clock.now())
            .await
            .unwrap();
    }

    /// `album` of the one resource server, `payment` of the other.
    async fn put_details_types(&self) {
        self.put_details_type("album", API, album_schema()).await;
        self.put_details_type("payment", OTHER_API, payment_schema())
            .await;
    }
}

/// Metadata that may ask for both types.
fn rich(mut metadata: ClientMetadata) -> ClientMetadata {
    metadata.authorization_details_types =
        vec!["album".parse().unwrap(), "payment".parse().unwrap()];
    metadata
}

async fn set(stores: &Stores) -> Scene {
    let mut scene = Scene::set(stores).await;
    scene.server.put_details_types().await;
    let app = person::app(AuthMethod::None);
    scene.app = scene.server.register(rich(app)).await;
    scene
}

/// A code for these scopes, and these objects at their resources.
async fn granted(scene: &Scene, scope: &str, at: &[(&str, &[&str])]) -> String {
    let mut authorization = scene.authorization(&scene.app, scope);
    let agreed = &mut authorization.terms.agreed;
    for (resource, objects) in at {
        let normal = resource.parse::<shared_protocol::resource::ResourceId>();
        let normal = normal.unwrap().normal().to_owned();
        let details = list(objects).parse().unwrap();
        agreed.details.insert(normal, details);
    }
    scene.issue(authorization).await
}

/// The audience of the access token and its details, which the response tells too.
fn got(answer: &Answer) -> (String, Value) {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let claims = claims(answer.text("access_token"));
    let told = answer.body.get(PARAMETER);
    assert_eq!(claims.get(PARAMETER), told, "RFC 9396 §7, §9.1");
    let aud = claims["aud"].as_str().unwrap().to_owned();
    (aud, told.cloned().unwrap_or(json!([])))
}

async fn rfc9396_3_a_request_without_a_scope_brings_what_was_agreed_to(stores: &Stores) {
    let scene = set(stores).await;
    let server = &scene.server;
    server.person(crate::browser::EMAIL).await;
    let browser = Browser::new(server);
    let asked = list(&[READ, WRITE]);
    let changes = [("scope", ""), (PARAMETER, asked.as_str())];
    let url = server.authorize_url(&scene.app, &changes);
    let answer = browser.sign_in_and_consent(&url).await;
    let answer = scene.redeem(&scene.app, &code(&answer)).await;
    assert_eq!(got(&answer), (API.to_owned(), value(&[READ, WRITE])));
    assert_eq!(answer.body.get("scope"), None, "none was asked for");
    assert_eq!(answer.body.get("id_token"), None);
    let token = answer.text("access_token");
    assert_eq!(claims(token).get("scope"), None);
    let form = [("token", token)];
    let told = server.post_as(&scene.api, "/oauth/introspect", &form).await;
    assert_eq!(told.body["active"], true);
    assert_eq!(told.body[PARAMETER], value(&[READ, WRITE]));
    // RFC 9396 §6.1: and a refresh brings all of it again.
    let mut refresh = answer.text("refresh_token").to_owned();
    for _ in 0..2 {
        let answer = scene.refresh(&scene.app, &refresh).await;
        assert_eq!(got(&answer), (API.to_owned(), value(&[READ, WRITE])));
        refresh = answer.text("refresh_token").to_owned();
    }
    // Nobody reads a person by it.
    assert_eq!(scene.userinfo(token).await.status, 403);
    scene.server.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9396_5_what_the_authorization_endpoint_refuses(stores: &Stores) {
    let scene = set(stores).await;
    let server = &scene.server;
    let poor = server.register(person::app(AuthMethod::None)).await;
    let browser = Browser::new(server);
    let long = format!(
        r#"[{{"type":"album","actions":["read"],"identifier":"{}"}}]"#,
        "x".repeat(4096)
    );
    let many = list(&[READ; 21]);
    let deep = format!(
        r#"[{{"type":"album","x":{}{}}}]"#,
        "[".repeat(20),
        "]".repeat(20)
    );
    let at = |location: &str| {
        format!(r#"[{{"type":"album","actions":["read"],"locations":["{location}"]}}]"#)
    };
    let (elsewhere, below, both) = (
        at(OTHER_API),
        at("https://api.example/v1"),
        at("https://api.example\",\"https://other.example/v1"),
    );
    let invalid = "invalid_authorization_details";
    for (what, client, raw, expected) in [
        ("no JSON", &scene.app, "album", invalid),
        ("an object", &scene.app, READ, invalid),
        ("nothing in it", &scene.app, "[]", invalid),
        ("too long", &scene.app, &long, invalid),
        ("too many", &scene.app, &many, invalid),
        ("too deep", &scene.app, &deep, invalid),
        (
            "a name twice",
            &scene.app,
            r#"[{"type":"album","actions":["read"],"actions":["write"]}]"#,
            invalid,
        ),
        ("no type", &scene.app, r#"[{"actions":["read"]}]"#, invalid),
        (
            "an unknown type",
            &scene.app,
            r#"[{"type":"photo","actions":["read"]}]"#,
            invalid,
        ),
        (
            "one of two unknown",
            &scene.app,
            &list(&[READ, r#"{"type":"x"}"#]),
            invalid,
        ),
        (
            "another case",
            &scene.app,
            r#"[{"type":"Album","actions":["read"]}]"#,
            invalid,
        ),
        (
            "a member that the type lacks",
            &scene.app,
            r#"[{"type":"album","actions":["read"],"admin":true}]"#,
            invalid,
        ),
        (
            "a value that the type lacks",
            &scene.app,
            r#"[{"type":"album","actions":["delete"]}]"#,
            invalid,
        ),
        (
            "a member missing",
            &scene.app,
            r#"[{"type":"album"}]"#,
            invalid,
        ),
        (
            "actions that is a text",
            &scene.app,
            r#"[{"type":"album","actions":"read"}]"#,
            invalid,
        ),
        ("the location of another", &scene.app, &elsewhere, invalid),
        ("a location below", &scene.app, &below, invalid),
        ("two locations", &scene.app, &both, invalid),
        ("a location that is none", &scene.app, &at("/"), invalid),
        (
            "types that the client did not register",
            &poor,
            &list(&[READ]),
            invalid,
        ),
    ] {
        for prompt in ["", "none"] {
            let changes = [(PARAMETER, raw), ("prompt", prompt)];
            let answer = browser.get(server.authorize_url(client, &changes)).await;
            let answer = answer.location();
            assert_eq!(
                parameter(&answer, "error").as_deref(),
                Some(expected),
                "{what}"
            );
            assert_eq!(
                parameter(&answer, "state").as_deref(),
                Some("af0ifjsldkj"),
                "{what}"
            );
            let told = parameter(&answer, "error_description").unwrap();
            assert!(
                told.contains("authorization_details") && told.len() < 300,
                "{what}: {told}"
            );
        }
    }
    // Threat 3; RFC 9396 §3.2: it stands once.
    let once = list(&[READ]);
    let url = server.authorize_url(&scene.app, &[(PARAMETER, &once), (PARAMETER, &once)]);
    let answer = browser.get(url).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request")
    );
    // What is good, for comparison; an empty value counts as absent.
    for (raw, scope) in [
        (once.as_str(), ""),
        (&at(API), "openid"),
        (&at("https://api.example/"), ""),
        ("", "read"),
    ] {
        let changes = [(PARAMETER, raw), ("scope", scope), ("prompt", "none")];
        let answer = browser
            .get(server.authorize_url(&scene.app, &changes))
            .await;
        let error = parameter(&answer.location(), "error");
        assert_eq!(error.as_deref(), Some("login_required"), "{raw}");
    }
    scene.server.stop().await;
}

/// What may be asked for at the token endpoint, of a grant of `openid read reports` with objects at both resources.
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9396_6_and_threat_10_details_narrow_and_never_widen(stores: &Stores) {
    type Asked<'a> = &'a [(&'a str, &'a str)];
    type Row<'a> = (&'a str, Asked<'a>, Result<(&'a str, Value), &'a str>);
    let scene = set(stores).await;
    let at: &[(&str, &[&str])] = &[(API, &[READ, WRITE]), (OTHER_API, &[PAY])];
    let (read, write, pay) = (list(&[READ]), list(&[WRITE]), list(&[PAY]));
    let (both, all) = (list(&[WRITE, READ]), list(&[READ, PAY]));
    let turned = r#"[{"identifier":"summer","actions":["read"],"type":"album"}]"#;
    let details = "invalid_authorization_details";
    let rows: [Row<'_>; 23] = [
        (
            "nothing said: two resources, so that it is for this server",
            &[],
            Ok(("", value(&[]))),
        ),
        (
            "the one resource",
            &[("resource", API)],
            Ok((API, value(&[READ, WRITE]))),
        ),
        (
            "the other",
            &[("resource", OTHER_API)],
            Ok((OTHER_API, value(&[PAY]))),
        ),
        (
            "one object",
            &[(PARAMETER, &read)],
            Ok((API, value(&[READ]))),
        ),
        (
            "the same, written otherwise",
            &[(PARAMETER, turned)],
            Ok((API, value(&[READ]))),
        ),
        (
            "another",
            &[(PARAMETER, &write)],
            Ok((API, value(&[WRITE]))),
        ),
        (
            "both of one resource",
            &[(PARAMETER, &both)],
            Ok((API, value(&[WRITE, READ]))),
        ),
        (
            "that of the other",
            &[(PARAMETER, &pay)],
            Ok((OTHER_API, value(&[PAY]))),
        ),
        (
            "one, and where",
            &[(PARAMETER, &read), ("resource", API)],
            Ok((API, value(&[READ]))),
        ),
        (
            "of both resources, and where",
            &[(PARAMETER, &all), ("resource", OTHER_API)],
            Ok((OTHER_API, value(&[PAY]))),
        ),
        (
            "of both resources, and not where",
            &[(PARAMETER, &all)],
            Err("invalid_target"),
        ),
        (
            "one that is not of the resource",
            &[(PARAMETER, &read), ("resource", OTHER_API)],
            Err(details),
        ),
        (
            "at an unknown resource",
            &[(PARAMETER, &read), ("resource", "https://x.example")],
            Err("invalid_target"),
        ),
        (
            "an action more",
            &[(
                PARAMETER,
                r#"[{"type":"album","actions":["read","write"],"identifier":"summer"}]"#,
            )],
            Err(details),
        ),
        (
            "an action less, which only its API could judge",
            &[(
                PARAMETER,
                r#"[{"type":"album","actions":["read"],"identifier":"winter"}]"#,
            )],
            Err(details),
        ),
        (
            "without its bounds",
            &[(PARAMETER, r#"[{"type":"album","actions":["read"]}]"#)],
            Err(details),
        ),
        (
            "another thing",
            &[(
                PARAMETER,
                r#"[{"type":"album","actions":["read"],"identifier":"autumn"}]"#,
            )],
            Err(details),
        ),
        (
            "more money",
            &[(PARAMETER, r#"[{"type":"payment","amount":"1123.50"}]"#)],
            Err(details),
        ),
        (
            "granted and not",
            &[(
                PARAMETER,
                r#"[{"type":"payment","amount":"123.50"},{"type":"payment","amount":"1.00"}]"#,
            )],
            Err(details),
        ),
        (
            "an unknown type",
            &[(PARAMETER, r#"[{"type":"photo"}]"#)],
            Err(details),
        ),
        ("no JSON", &[(PARAMETER, "album")], Err(details)),
        ("nothing in it", &[(PARAMETER, "[]")], Err(details)),
        (
            "twice",
            &[(PARAMETER, &read), (PARAMETER, &read)],
            Err("invalid_request"),
        ),
    ];
    for (what, asked, expected) in rows {
        let first = granted(&scene, "openid read reports", at).await;
        let mut form = code_form(&first).to_vec();
        form.extend(asked);
        let answer = ask(&scene.server, &scene.app, &form).await;
        check(
            &scene,
            &answer,
            expected.clone(),
            &format!("{what}, by the code"),
        );
        let second = granted(&scene, "openid read reports", at).await;
        let tokens = scene.redeem(&scene.app, &second).await;
        let mut form = refresh_form(tokens.text("refresh_token")).to_vec();
        form.extend(asked);
        let answer = ask(&scene.server, &scene.app, &form).await;
        check(
            &scene,
            &answer,
            expected.clone(),
            &format!("{what}, by the refresh token"),
        );
        // Only that one token was narrowed.
        if let (Ok(_), Some(next)) = (expected, answer.body["refresh_token"].as_str()) {
            let mut form = refresh_form(next).to_vec();
            form.push(("resource", API));
            let again = ask(&scene.server, &scene.app, &form).await;
            assert_eq!(
                got(&again),
                (API.to_owned(), value(&[READ, WRITE])),
                "{what}, after"
            );
        }
    }
    scene.server.stop().await;
}

async fn rfc9396_6_1_what_is_less_of_an_object_its_type_says(stores: &Stores) {
    let scene = set(stores).await;
    let additive = DetailsType {
        name: "album".parse().unwrap(),
        resource: API.parse().unwrap(),
        description: "Use an album".parse().unwrap(),
        schema: DetailsSchema::compile(album_schema()).unwrap(),
        additive: vec!["actions".into(), "locations".into()],
    };
    scene.server.put(&additive).await;
    let album = |actions: &str, more: &str| {
        format!(r#"[{{"type":"album","actions":{actions},"identifier":"winter"{more}}}]"#)
    };
    let invalid = "invalid_authorization_details";
    for (what, asked, is_less) in [
        ("all of it", album(r#"["read","write"]"#, ""), true),
        ("turned round", album(r#"["write","read"]"#, ""), true),
        ("one action", album(r#"["read"]"#, ""), true),
        ("the other", album(r#"["write"]"#, ""), true),
        ("no action", album("[]", ""), false),
        ("another action", album(r#"["read","delete"]"#, ""), false),
        ("an action that is no text", album("[1]", ""), false),
        ("a member more", album(r#"["read"]"#, r#","locations":["https://api.example"]"#), false),
        ("a member less", r#"[{"type":"album","actions":["read"]}]"#.to_owned(), false),
        ("another thing", r#"[{"type":"album","actions":["read"],"identifier":"summer"}]"#.to_owned(), false),
        (
            "twice, each less",
            r#"[{"type":"album","actions":["read"],"identifier":"winter"},{"type":"album","actions":["write"],"identifier":"winter"}]"#.to_owned(),
            true,
        ),
    ] {
        let first = granted(&scene, "openid", &[(API, &[WRITE])]).await;
        let form = [&code_form(&first)[..], &[(PARAMETER, asked.as_str())]].concat();
        let answer = ask(&scene.server, &scene.app, &form).await;
        let asked: Value = serde_json::from_str(&asked).unwrap();
        let expected = if is_less { Ok((API, asked)) } else { Err(invalid) };
        check(&scene, &answer, expected, what);
        // The refresh token keeps all.
        if let Some(refresh) = answer.body["refresh_token"].as_str() {
            let again = scene.refresh(&scene.app, refresh).await;
            assert_eq!(got(&again), (API.to_owned(), value(&[WRITE])), "{what}, after");
        }
    }
    scene.server.stop().await;
}

#[track_caller]
fn check(scene: &Scene, answer: &Answer, expected: Result<(&str, Value), &str>, what: &str) {
    match expected {
        Ok((audience, details)) => {
            let issuer = scene.server.issuer.as_str();
            let audience = if audience.is_empty() {
                issuer
            } else {
                audience
            };
            assert_eq!(got(answer), (audience.to_owned(), details), "{what}");
        }
        Err(error) => assert_eq!(answer.error(), (400, error), "{what}"),
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9396_6_a_service_asks_for_itself(stores: &Stores) {
    type Asked<'a> = &'a [(&'a str, &'a str)];
    type Expected<'a> = Result<(&'a str, &'a str, Value), &'a str>;
    type Row<'a> = (&'a str, &'a TestClient, Asked<'a>, Expected<'a>);
    let scene = set(stores).await;
    let server = &scene.server;
    let metadata = TestServer::metadata(AuthMethod::ClientSecretBasic, "read reports");
    let mut by_default = metadata.clone();
    by_default.default_resource = Some(OTHER_API.parse().unwrap());
    let mut albums = metadata.clone();
    albums.authorization_details_types = vec!["album".parse().unwrap()];
    let poor = server.register(metadata.clone()).await;
    let service = server.register(rich(metadata)).await;
    let defaulted = server.register(rich(by_default)).await;
    let albums = server.register(albums).await;
    let (read, pay, all) = (list(&[READ]), list(&[PAY]), list(&[READ, PAY]));
    let here = format!(r#"[{{"type":"album","actions":["read"],"locations":["{API}"]}}]"#);
    let there = format!(r#"[{{"type":"album","actions":["read"],"locations":["{OTHER_API}"]}}]"#);
    let details = "invalid_authorization_details";
    let rows: [Row<'_>; 19] = [
        (
            "details, and no scope",
            &service,
            &[(PARAMETER, &read)],
            Ok((API, "", value(&[READ]))),
        ),
        (
            "the only resource of the details",
            &service,
            &[(PARAMETER, &pay)],
            Ok((OTHER_API, "", value(&[PAY]))),
        ),
        (
            "by their location",
            &service,
            &[(PARAMETER, &here)],
            Ok((API, "", serde_json::from_str(&here).unwrap())),
        ),
        (
            "rather than the default",
            &defaulted,
            &[(PARAMETER, &read)],
            Ok((API, "", value(&[READ]))),
        ),
        (
            "and a scope of the same resource",
            &service,
            &[(PARAMETER, &read), ("scope", "read")],
            Ok((API, "read", value(&[READ]))),
        ),
        (
            "and a scope of another",
            &service,
            &[(PARAMETER, &read), ("scope", "reports")],
            Ok((API, "", value(&[READ]))),
        ),
        (
            "of two resources, and where",
            &service,
            &[(PARAMETER, &all), ("resource", API)],
            Ok((API, "", value(&[READ]))),
        ),
        (
            "of two resources, and not where",
            &service,
            &[(PARAMETER, &all)],
            Err("invalid_target"),
        ),
        (
            "of another resource",
            &service,
            &[(PARAMETER, &read), ("resource", OTHER_API)],
            Err(details),
        ),
        (
            "at an unknown resource",
            &service,
            &[(PARAMETER, &read), ("resource", "https://x.example")],
            Err("invalid_target"),
        ),
        (
            "at this server",
            &service,
            &[(PARAMETER, &read), ("resource", &server.issuer)],
            Err("invalid_target"),
        ),
        (
            "at the location of another",
            &service,
            &[(PARAMETER, &there)],
            Err(details),
        ),
        (
            "a scope that is not the client's",
            &service,
            &[(PARAMETER, &read), ("scope", "write")],
            Err("invalid_scope"),
        ),
        (
            "a type that is not the client's",
            &albums,
            &[(PARAMETER, &pay)],
            Err(details),
        ),
        (
            "one of two that is not",
            &albums,
            &[(PARAMETER, &all), ("resource", API)],
            Err(details),
        ),
        (
            "no types at all",
            &poor,
            &[(PARAMETER, &read)],
            Err(details),
        ),
        (
            "not as the type has it",
            &service,
            &[(PARAMETER, r#"[{"type":"payment","amount":"-1"}]"#)],
            Err(details),
        ),
        (
            "without details, as ever",
            &service,
            &[("resource", API)],
            Ok((API, "read", value(&[]))),
        ),
        (
            "an empty value is none",
            &service,
            &[("resource", API), (PARAMETER, "")],
            Ok((API, "read", value(&[]))),
        ),
    ];
    for (what, client, asked, expected) in rows {
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(asked);
        let answer = server.post_as(client, "/oauth/token", &form).await;
        match expected {
            Ok((audience, scope, details)) => {
                assert_eq!(got(&answer), (audience.to_owned(), details), "{what}");
                assert_eq!(answer.body["scope"].as_str().unwrap_or(""), scope, "{what}");
                assert_eq!(
                    claims(answer.text("access_token"))["sub"],
                    client.id,
                    "{what}"
                );
            }
            Err(error) => assert_eq!(answer.error(), (400, error), "{what}"),
        }
    }
    scene.server.stop().await;
}

/// Two uses within the grace window are one if they ask for the same, and else the second is refused.
async fn rfc9700_4_14_2_one_use_of_a_refresh_token_asks_for_one_thing(stores: &Stores) {
    let scene = set(stores).await;
    let first = granted(&scene, "openid", &[(API, &[READ, WRITE])]).await;
    let tokens = scene.redeem(&scene.app, &first).await;
    let refresh = tokens.text("refresh_token");
    let (read, write) = (list(&[READ]), list(&[WRITE]));
    let asks = async |raw: &str| {
        let mut form = refresh_form(refresh).to_vec();
        form.push((PARAMETER, raw));
        ask(&scene.server, &scene.app, &form).await
    };
    let successor = asks(&read).await;
    let again = asks(&read).await;
    assert_eq!(again.text("refresh_token"), successor.text("refresh_token"));
    assert_eq!(got(&again), (API.to_owned(), value(&[READ])));
    assert_eq!(asks(&write).await.error(), (400, "invalid_grant"));
    let none = scene.refresh(&scene.app, refresh).await;
    assert_eq!(none.error(), (400, "invalid_grant"));
    let next = scene.refresh(&scene.app, successor.text("refresh_token"));
    assert_eq!(got(&next.await), (API.to_owned(), value(&[READ, WRITE])));
    scene.server.stop().await;
}

async fn threat_14_what_was_taken_away_since_is_no_right(stores: &Stores) {
    let scene = set(stores).await;
    let server = &scene.server;
    let now = || server.clock.now();
    let at: &[(&str, &[&str])] = &[(API, &[READ]), (OTHER_API, &[PAY])];
    let first = granted(&scene, "openid", at).await;
    let tokens = scene.redeem(&scene.app, &first).await;
    let mut refresh = tokens.text("refresh_token").to_owned();
    let mut only = scene
        .redeem(
            &scene.app,
            &granted(&scene, "", &[(OTHER_API, &[PAY])]).await,
        )
        .await;
    let mut refreshed = async |resource: &'static str| {
        let form = [&refresh_form(&refresh)[..], &[("resource", resource)]].concat();
        let answer = ask(server, &scene.app, &form).await;
        if let Some(next) = answer.body["refresh_token"].as_str() {
            refresh = next.to_owned();
        }
        answer
    };
    assert_eq!(
        got(&refreshed(OTHER_API).await),
        (OTHER_API.to_owned(), value(&[PAY]))
    );

    // A type that now belongs to another resource server: nobody agreed to it there.
    server
        .put_details_type("payment", API, payment_schema())
        .await;
    assert_eq!(refreshed(OTHER_API).await.error(), (400, "invalid_target"));
    assert_eq!(got(&refreshed(API).await), (API.to_owned(), value(&[READ])));
    server
        .put_details_type("payment", OTHER_API, payment_schema())
        .await;
    assert_eq!(
        got(&refreshed(OTHER_API).await),
        (OTHER_API.to_owned(), value(&[PAY]))
    );

    // Types that were taken from the client.
    let change = async |types: &[&str]| {
        let mut metadata = person::app(AuthMethod::None);
        metadata.authorization_details_types =
            types.iter().map(|name| name.parse().unwrap()).collect();
        let client = Client::new(scene.app.id.parse().unwrap(), metadata, Vec::new()).unwrap();
        let clients = &server.records.clients;
        clients.put(&client, None, now()).await.unwrap();
    };
    change(&["album"]).await;
    assert_eq!(refreshed(OTHER_API).await.error(), (400, "invalid_target"));
    assert_eq!(got(&refreshed(API).await), (API.to_owned(), value(&[READ])));
    let next = only.text("refresh_token").to_owned();
    only = scene.refresh(&scene.app, &next).await;
    assert_eq!(only.error(), (400, "invalid_scope"), "nothing is left");
    change(&["album", "payment"]).await;
    assert_eq!(
        got(&scene.refresh(&scene.app, &next).await),
        (OTHER_API.to_owned(), value(&[PAY]))
    );

    // A type that is gone.
    let servers = &server.records.resource_servers;
    let payment = "payment".parse().unwrap();
    assert!(servers.remove_details_type(&payment, now()).await.unwrap());
    assert!(!servers.remove_details_type(&payment, now()).await.unwrap());
    assert_eq!(refreshed(OTHER_API).await.error(), (400, "invalid_target"));
    assert_eq!(got(&refreshed(API).await), (API.to_owned(), value(&[READ])));

    // A resource server that is gone takes its types with it.
    servers.delete(&API.parse().unwrap(), now()).await.unwrap();
    assert!(servers.snapshot().details_types().is_empty());
    assert_eq!(refreshed(API).await.error(), (400, "invalid_target"));
    server
        .put_resource(API, &["read"], None, Algorithm::Es256)
        .await;
    assert!(
        servers.details_type("album").is_none(),
        "nor do they come back with it"
    );
    scene.server.stop().await;
}

async fn threat_25_introspection_shows_them_to_those_it_concerns(stores: &Stores) {
    let scene = set(stores).await;
    let server = &scene.server;
    let metadata = rich(person::app(AuthMethod::ClientSecretBasic));
    let app = server.register(metadata).await;
    let mut authorization = scene.authorization(&app, "openid read");
    let mut agreed = Agreement::default();
    for (resource, object) in [("https://api.example/", READ), (OTHER_API, PAY)] {
        let details = list(&[object]).parse().unwrap();
        agreed.details.insert(resource.to_owned(), details);
    }
    authorization.terms.agreed.details = agreed.details;
    let first = scene.issue(authorization).await;
    let form = [&code_form(&first)[..], &[("resource", API)]].concat();
    let tokens = ask(server, &app, &form).await;
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let stranger = server.client(AuthMethod::ClientSecretBasic, "").await;
    for (what, client, token, expected) in [
        (
            "the API of the token",
            &scene.api,
            access,
            Some(value(&[READ])),
        ),
        ("the client", &app, access, Some(value(&[READ]))),
        (
            "the client, of its refresh token",
            &app,
            refresh,
            Some(value(&[READ, PAY])),
        ),
        ("the API, of a refresh token", &scene.api, refresh, None),
        ("a stranger", &stranger, access, None),
    ] {
        let told = server
            .post_as(client, "/oauth/introspect", &[("token", token)])
            .await;
        assert_eq!(told.body["active"], expected.is_some(), "{what}");
        assert_eq!(told.body.get(PARAMETER).cloned(), expected, "{what}");
    }
    scene.server.stop().await;
}

async fn rfc6749_4_1_2_what_cannot_be_granted_leaves_the_code_dead(stores: &Stores) {
    let scene = set(stores).await;
    let at: &[(&str, &[&str])] = &[(API, &[READ])];
    for (what, raw, is_dead) in [
        // Judged by what the code stands for, which takes it.
        ("not granted", list(&[WRITE]), true),
        // Judged before anybody looks at the code.
        ("no JSON", "x".to_owned(), false),
    ] {
        let first = granted(&scene, "openid", at).await;
        let form = [&code_form(&first)[..], &[(PARAMETER, raw.as_str())]].concat();
        let answer = ask(&scene.server, &scene.app, &form).await;
        assert_eq!(
            answer.error(),
            (400, "invalid_authorization_details"),
            "{what}"
        );
        let again = scene.redeem(&scene.app, &first).await;
        assert_eq!(again.status == 400, is_dead, "{what}: {}", again.body);
    }
    scene.server.stop().await;
}
