//! Who says what may be exchanged: the operator, by command line, and nobody else.

use serde_json::{Value, json};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ACCESS, API, EXCHANGE, OTHER_API, exchange, form};
use crate::registration::{REGISTER, server as registering, service as registered, with};
use crate::server::{TestClient, TestServer};
use crate::users::{ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    the_command_line_gives_a_policy_and_takes_it_away,
    rfc7591_nobody_gives_themselves_a_policy,
);

/// A file with this policy.
fn file(name: &str, policy: &Value) -> String {
    let name = format!("{name}-{}.json", crate::macs::unique());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, policy.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn the_command_line_gives_a_policy_and_takes_it_away(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let (good, elsewhere) = (
        file("good", &json!({"audiences": [API]})),
        file(
            "elsewhere",
            &json!({"audiences": ["https://nobody.example"]}),
        ),
    );
    let create = |file: &str| {
        let words = "client create --grant client_credentials --scope read --token-exchange";
        let mut words: Vec<_> = words.split(' ').map(str::to_owned).collect();
        words.push(file.to_owned());
        words
    };
    let refused = create(&elsewhere);
    let refused: Vec<_> = refused.iter().map(String::as_str).collect();
    let refused = run(stores, &refused, "");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{told}");
    assert!(told.contains("https://nobody.example"), "{told}");
    for grant in ["token_exchange", EXCHANGE] {
        let mut words = create(&good);
        words.extend(["--grant".to_owned(), grant.to_owned()]);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        let made = ran_json(stores, &words, "");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let client = TestClient {
            id: text("client_id"),
            secret: text("client_secret"),
        };
        let token = server.token(&client, API).await;
        let ask = async |resource| exchange(&server, &client, &form(&token, resource)).await;
        assert_eq!(ask(API).await.status, 200);
        assert_eq!(ask(OTHER_API).await.error(), (400, "invalid_target"));
        let words = ["client", "set-token-exchange", &client.id];
        ran_json(stores, &words, "");
        // This node would hear of it within a second.
        server.records.clients.forget_all();
        assert_eq!(ask(API).await.error(), (400, "unauthorized_client"));
        let words = ["client", "set-token-exchange", &client.id, &good];
        ran_json(stores, &words, "");
        server.records.clients.forget_all();
        assert_eq!(ask(API).await.status, 200);
    }
}

async fn rfc7591_nobody_gives_themselves_a_policy(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let grants = json!(["client_credentials", EXCHANGE]);
    for changes in [
        json!({"grant_types": grants}),
        json!({"grant_types": grants, "token_exchange": {"audiences": [API]}}),
    ] {
        let document = with(&registered(), &changes);
        let answer = server.post_json(REGISTER, &document, None).await;
        assert_eq!(answer.error(), (400, "invalid_client_metadata"));
    }
    // Nor does the member alone do anything.
    let changes = json!({"token_exchange": {"audiences": [API]}, "may_act": "x"});
    let made = server.registers(&with(&registered(), &changes)).await;
    assert!(made.document["token_exchange"].is_null() && made.document["may_act"].is_null());
    let form = [
        ("grant_type", EXCHANGE),
        ("subject_token", "x"),
        ("subject_token_type", ACCESS),
    ];
    let answer = exchange(&server, &made.client, &form).await;
    assert_eq!(answer.error(), (400, "unauthorized_client"));
}
