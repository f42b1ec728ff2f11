//! `auth-server registration-token …` and `auth-server client delete`, as programs.

use auth_server::config::RegistrationMode;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{REGISTER, Registered, scene, server, service};
use crate::introspection::eventually;
use crate::person::{is_active, pair};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    operators_make_list_and_revoke_tokens,
    operators_delete_clients_with_all_that_is_theirs,
);

async fn operators_make_list_and_revoke_tokens(stores: &Stores) {
    let server = server(stores, |config| {
        config.registration.mode = Some(RegistrationMode::Token);
    })
    .await;
    let create = [
        "registration-token",
        "create",
        "--name",
        "a partner",
        "--uses",
        "2",
        "--lifetime",
        "1h",
    ];
    let made = ran_json(stores, &create, "");
    let (id, token) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    assert!(
        id.starts_with("irt_") && token.starts_with("iat_"),
        "{made}"
    );
    // The clock of tests stands at another time: what the program makes has its own.
    let now = made["expires_at"].as_str().unwrap();
    assert!(now.ends_with('Z'), "{now}");
    let list = ["registration-token", "list"];
    let listed = ran_json(stores, &list, "");
    assert_eq!(listed[0]["id"], *id);
    assert_eq!(listed[0]["uses_left"], 2);
    assert_eq!(listed[0]["name"], "a partner");
    let shown = ran(stores, &list, "");
    assert!(shown.contains(id) && !shown.contains(token), "{shown}");
    let register = async || server.post_json(REGISTER, &service(), Some(token)).await;
    let answer = register().await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    let client = Registered::of(answer).client;
    let known = ran_json(stores, &["client", "show", &client.id], "");
    assert_eq!(known["registered_by"], format!("token {id}"));
    ran(stores, &["registration-token", "revoke", id], "");
    assert_eq!(register().await.error(), (401, "invalid_token"));
    assert_eq!(
        server.wants_token(&client).await.status,
        200,
        "its clients stay"
    );
    for (what, arguments) in [
        ("gone", &["registration-token", "revoke", id][..]),
        ("no token", &["registration-token", "revoke", "irt_x"]),
        ("no use", &["registration-token", "create", "--uses", "0"]),
        (
            "no time",
            &["registration-token", "create", "--lifetime", "0s"],
        ),
        (
            "for ever",
            &["registration-token", "create", "--lifetime", "9999d"],
        ),
    ] {
        assert!(!run(stores, arguments, "").status.success(), "{what}");
    }
}

async fn operators_delete_clients_with_all_that_is_theirs(stores: &Stores) {
    let (scene, app) = scene(stores).await;
    let tokens = scene.tokens(&app.client, "openid profile read").await;
    let (access, _) = pair(&tokens);
    assert!(is_active(&scene.server, &scene.api, access).await);
    ran(stores, &["client", "delete", &app.client.id], "");
    let is_dead = async || !is_active(&scene.server, &scene.api, access).await;
    assert!(eventually(is_dead).await);
    let read = scene.server.reads(&app, &app.token).await;
    assert_eq!(read.error(), (401, "invalid_token"));
}
