//! The types: registered by the operator, announced, known to every node, and listed by clients.

use auth_server::config::RegistrationMode;
use serde_json::{Value, json};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{PARAMETER, PAY, READ, album_schema, list, rich, set};
use crate::browser::{Browser, parameter};
use crate::client_documents::describing;
use crate::introspection::eventually;
use crate::server::{API, OTHER_API, TestClient, TestServer, config};
use crate::site::Site;
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9396_10_types_are_announced_while_there_are_any,
    a_type_that_changed_at_one_node_has_changed_at_the_other,
    types_are_registered_and_removed_by_command,
    what_is_no_type_is_said,
    rfc9396_10_clients_that_register_themselves_list_what_there_is_for_them,
    rfc9396_10_clients_that_describe_themselves_get_what_there_is_for_them,
);

const COMMAND: &str = "authorization-details-type";

async fn rfc9396_10_types_are_announced_while_there_are_any(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let announced = async || {
        let answer = server.get("/.well-known/openid-configuration").await;
        let types = answer.body.get("authorization_details_types_supported");
        types.cloned()
    };
    assert_eq!(announced().await, None);
    server.put_details_types().await;
    assert_eq!(announced().await, Some(json!(["album", "payment"])));
    for name in ["album", "payment"] {
        let servers = &server.records.resource_servers;
        let name = name.parse().unwrap();
        let now = shared_protocol::time::Clock::now(&*server.clock);
        servers.remove_details_type(&name, now).await.unwrap();
    }
    assert_eq!(announced().await, None);
    server.stop().await;
}

async fn a_type_that_changed_at_one_node_has_changed_at_the_other(stores: &Stores) {
    let scene = set(stores).await;
    let other = scene.another_node(stores).await;
    let metadata = TestServer::metadata(auth_server::clients::AuthMethod::ClientSecretBasic, "");
    let service = scene.server.register(rich(metadata)).await;
    let read = list(&[READ]);
    let form = [
        ("grant_type", "client_credentials"),
        (PARAMETER, read.as_str()),
    ];
    let asks = async || other.post_as(&service, "/oauth/token", &form).await;
    assert_eq!(asks().await.status, 200);
    let mut narrower = album_schema();
    narrower["properties"]["actions"]["items"]["enum"] = json!(["write"]);
    scene.server.put_details_type("album", API, narrower).await;
    let refused = async || asks().await.error() == (400, "invalid_authorization_details");
    assert!(eventually(refused).await, "another schema");
    scene
        .server
        .put_details_type("album", API, album_schema())
        .await;
    assert!(
        eventually(async || asks().await.status == 200).await,
        "the first again"
    );
    scene
        .server
        .put_details_type("album", OTHER_API, album_schema())
        .await;
    let moved = async || {
        let answer = asks().await;
        answer.body["access_token"]
            .as_str()
            .is_some_and(|token| crate::person::claims(token)["aud"] == OTHER_API)
    };
    assert!(eventually(moved).await, "another resource server");
    let servers = &scene.server.records.resource_servers;
    let now = shared_protocol::time::Clock::now(&*scene.server.clock);
    servers
        .delete(&OTHER_API.parse().unwrap(), now)
        .await
        .unwrap();
    assert!(eventually(refused).await, "the end of its resource server");
    other.stop().await;
    scene.server.stop().await;
}

fn resource(stores: &Stores) {
    ran(stores, &["resource", "create", API, "--name", "An API"], "");
}

fn add<'a>(name: &'a str, schema: &'a str) -> [&'a str; 9] {
    [
        COMMAND,
        "add",
        name,
        "--resource",
        API,
        "--description",
        "Use an album",
        "--schema",
        schema,
    ]
}

async fn types_are_registered_and_removed_by_command(stores: &Stores) {
    resource(stores);
    assert!(ran(stores, &[COMMAND, "list"], "").contains("no types yet"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("album.json");
    std::fs::write(&file, album_schema().to_string()).unwrap();
    let made = ran_json(stores, &add("album", file.to_str().unwrap()), "");
    assert_eq!(
        made,
        json!({"name": "album", "resource": API, "description": "Use an album", "schema": album_schema(), "additive": []})
    );
    // From standard input, and over what was there.
    let mut other = album_schema();
    other["required"] = json!([]);
    ran(
        stores,
        &add("urn:x:photo", "-"),
        &album_schema().to_string(),
    );
    let said = ran(
        stores,
        &[&add("album", "-")[..], &["--additive", "actions"]].concat(),
        &other.to_string(),
    );
    assert_eq!(said, "registered album\n");
    let listed = ran(stores, &[COMMAND, "list"], "");
    assert_eq!(
        listed,
        format!("type: album  {API}/  Use an album\ntype: urn:x:photo  {API}/  Use an album\n")
    );
    let all = ran_json(stores, &[COMMAND, "list"], "");
    assert_eq!(all[0]["schema"], other);
    assert_eq!(all[0]["additive"], json!(["actions"]));
    let shown = ran(stores, &[COMMAND, "show", "album"], "");
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown, all[0]);

    // A client for it, and what it gets.
    let client = [
        "client",
        "create",
        "--grant",
        "client_credentials",
        "--authorization-details-type",
    ];
    let made = ran_json(stores, &[&client[..], &["album"]].concat(), "");
    let client = TestClient {
        id: made["client_id"].as_str().unwrap().to_owned(),
        secret: made["client_secret"].as_str().unwrap().to_owned(),
    };
    let server = TestServer::start(stores).await;
    let form = [
        ("grant_type", "client_credentials"),
        (PARAMETER, r#"[{"type":"album"}]"#),
    ];
    let answer = server.post_as(&client, "/oauth/token", &form).await;
    assert_eq!(
        answer.body[PARAMETER],
        json!([{"type": "album"}]),
        "{}",
        answer.body
    );
    ran(stores, &[COMMAND, "remove", "album"], "");
    let refused = async || {
        let answer = server.post_as(&client, "/oauth/token", &form).await;
        answer.error() == (400, "invalid_authorization_details")
    };
    assert!(eventually(refused).await);
    server.stop().await;
}

async fn what_is_no_type_is_said(stores: &Stores) {
    resource(stores);
    let schema = album_schema().to_string();
    let remote = json!({"properties": {"type": true}, "additionalProperties": false, "$ref": "https://x.example/s"}).to_string();
    let mut described = add("album", "-");
    described[6] = " ";
    let mut elsewhere = add("album", "-");
    elsewhere[4] = OTHER_API;
    for (what, arguments, input, says) in [
        (
            "no name",
            &add("an album", "-")[..],
            schema.as_str(),
            "printable ASCII",
        ),
        ("no description", &described, &schema, "description"),
        (
            "no resource server",
            &elsewhere,
            &schema,
            "there is no resource server",
        ),
        (
            "no file",
            &add("album", "/nothing/here"),
            "",
            "/nothing/here",
        ),
        ("no JSON", &add("album", "-"), "{", "not a JSON object"),
        (
            "an open schema",
            &add("album", "-"),
            "{}",
            "additionalProperties",
        ),
        (
            "a schema that leads elsewhere",
            &add("album", "-"),
            &remote,
            "nothing is fetched",
        ),
        (
            "an unknown type to show",
            &[COMMAND, "show", "album"],
            "",
            "there is no type album",
        ),
        (
            "an unknown type to remove",
            &[COMMAND, "remove", "album"],
            "",
            "there is no type album",
        ),
        (
            "an unknown type of a client",
            &[
                "client",
                "create",
                "--grant",
                "client_credentials",
                "--authorization-details-type",
                "album",
            ],
            "",
            "there is no type album",
        ),
    ] {
        let output = run(stores, arguments, input);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{what}");
        assert!(error.contains(says), "{what}: {error}");
    }
    let none = ran_json(stores, &[COMMAND, "list"], "");
    assert_eq!(none, json!([]));
}

async fn rfc9396_10_clients_that_register_themselves_list_what_there_is_for_them(stores: &Stores) {
    let mut config = config(stores);
    config.registration.mode = Some(RegistrationMode::Open);
    config.registration.authorization_details_types =
        ["album", "gone"].map(|name| name.parse().unwrap()).to_vec();
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let server = server.with_resources(None).await;
    server.put_details_types().await;
    let register = async |types: Value| {
        let body = json!({"redirect_uris": ["https://app.example/cb"], "id_token_signed_response_alg": "ES256", "authorization_details_types": types});
        let url = format!("{}/oauth/register", server.issuer);
        server.send(server.http.post(url).json(&body)).await
    };
    for (what, types, expected) in [
        ("one that there is", json!(["album"]), Ok(json!(["album"]))),
        ("none", json!([]), Ok(Value::Null)),
        ("nothing said", Value::Null, Ok(Value::Null)),
        (
            "one that is not for them",
            json!(["payment"]),
            Err("payment"),
        ),
        (
            "one of two that is not",
            json!(["album", "payment"]),
            Err("payment"),
        ),
        ("one that does not exist", json!(["gone"]), Err("gone")),
        ("one that nobody knows", json!(["photo"]), Err("photo")),
        (
            "no list",
            json!("album"),
            Err("authorization_details_types"),
        ),
        ("no names", json!([1]), Err("authorization_details_types")),
        (
            "what is no name",
            json!(["a b"]),
            Err("authorization_details_types"),
        ),
        ("too many", json!(vec!["album"; 51]), Err("too long")),
    ] {
        let answer = register(types).await;
        match expected {
            Ok(types) => {
                assert_eq!(answer.status, 201, "{what}: {}", answer.body);
                assert_eq!(answer.body["authorization_details_types"], types, "{what}");
            }
            Err(says) => {
                assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{what}");
                let told = answer.text("error_description");
                assert!(told.contains(says), "{what}: {told}");
            }
        }
    }
    server.stop().await;
}

/// What they list beyond that is left out, as scopes are: the document is the same for every server.
async fn rfc9396_10_clients_that_describe_themselves_get_what_there_is_for_them(stores: &Stores) {
    let site = Site::start().await;
    let mut config = config(stores);
    site.open_to(&mut config);
    config.client_documents.authorization_details_types = vec!["album".parse().unwrap()];
    let server = TestServer::start_with(config, std::sync::Arc::default()).await;
    let server = server.with_resources(None).await;
    server.put_details_types().await;
    server.clock.advance(std::time::Duration::from_mins(2));
    let invalid = Some("invalid_authorization_details");
    for (place, types, read, pay) in [
        (
            "/both.json",
            json!(["album", "payment", "unknown"]),
            None,
            invalid,
        ),
        ("/none.json", Value::Null, invalid, invalid),
    ] {
        let app = TestClient {
            id: site.at(place),
            secret: String::new(),
        };
        let mut document = describing(&app.id);
        document["authorization_details_types"] = types;
        site.put(place, &document);
        for (object, expected) in [(READ, read), (PAY, pay)] {
            let details = list(&[object]);
            let url = server.authorize_url(&app, &[(PARAMETER, &details)]);
            let page = Browser::new(&server).open(url).await;
            let told = page
                .headers
                .contains_key("location")
                .then(|| page.location());
            let error = told.and_then(|told| parameter(&told, "error"));
            assert_eq!(error.as_deref(), expected, "{place}: {}", page.body);
            assert_eq!(page.has("sign-in"), expected.is_none(), "{place}");
        }
    }
    server.stop().await;
}
