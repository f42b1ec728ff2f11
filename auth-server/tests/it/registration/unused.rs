//! Clients that registered and never got a token: so many and no more, and not for long.

use std::time::Duration;

use auth_server::config::Config;
use futures_util::future::join_all;
use serde_json::json;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{REGISTER, Registered, another, app, scene, server, service, with};
use crate::introspection::eventually;
use crate::server::TestServer;

on_each_store!(auth_server::store::MIGRATIONS;
    never_used_clients_are_capped_whoever_races,
    a_used_client_makes_room,
    a_client_that_is_never_used_goes,
);

const LIFETIME: Duration = Duration::from_hours(1);

fn capped(config: &mut Config) {
    config.registration.max_unused = 5;
}

fn pruning(config: &mut Config) {
    config.registration.unused_lifetime = LIFETIME;
    config.retention.every = Duration::from_secs(1);
}

async fn never_used_clients_are_capped_whoever_races(stores: &Stores) {
    let server = server(stores, capped).await;
    let other = another(stores, &server, capped).await;
    let body = service();
    let nodes = [&server, &other].into_iter().cycle().take(60);
    let racing = nodes.map(|node| node.post_json(REGISTER, &body, None));
    let answers = join_all(racing).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(made, 5);
    for refused in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(refused.error(), (429, "temporarily_unavailable"));
        assert_eq!(refused.header("retry-after"), "60");
    }
    // What operators make is no stranger's.
    for _ in 0..6 {
        let method = auth_server::clients::AuthMethod::ClientSecretBasic;
        server.client(method, "read").await;
    }
}

async fn a_used_client_makes_room(stores: &Stores) {
    let server = server(stores, capped).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(server.registers(&service()).await);
    }
    let is_full = async || server.post_json(REGISTER, &service(), None).await.status == 429;
    assert!(is_full().await);
    let refused = [("grant_type", "client_credentials"), ("scope", "reports")];
    let refused = server
        .post_as(&clients[0].client, "/oauth/token", &refused)
        .await;
    assert_eq!(refused.status, 400);
    assert!(is_full().await, "a refusal is no use");
    assert_eq!(server.wants_token(&clients[0].client).await.status, 200);
    let makes_room = async || server.post_json(REGISTER, &service(), None).await.status == 201;
    assert!(eventually(makes_room).await);
    assert!(is_full().await, "for one");
    let deleted = server.deletes(&clients[1], &clients[1].token).await;
    assert_eq!(deleted.status, 204);
    server.registers(&service()).await;
    assert!(is_full().await);
}

async fn a_client_that_is_never_used_goes(stores: &Stores) {
    let server = server(stores, pruning).await;
    let unused = server.registers(&service()).await;
    let used = server.registers(&service()).await;
    let by_operator = server
        .client(auth_server::clients::AuthMethod::ClientSecretBasic, "read")
        .await;
    assert_eq!(server.wants_token(&used.client).await.status, 200);
    let reads = async |registered: &Registered| {
        server
            .reads(registered, &registered.token)
            .await
            .status
            .as_u16()
    };
    // Written down a moment later.
    let written = async || {
        let id = TestServer::client_id(&used.client);
        let mut conn = server.records.store.read().await.unwrap();
        let row = auth_server::store::clients::find(&mut conn, &id)
            .await
            .unwrap();
        row.unwrap().unused_since.is_none()
    };
    assert!(eventually(written).await);
    server.clock.advance(Duration::from_secs(3599));
    assert_eq!(reads(&unused).await, 200);
    server.clock.advance(Duration::from_secs(1));
    assert!(eventually(async || reads(&unused).await == 401).await);
    let gone = async || server.wants_token(&unused.client).await.status == 401;
    assert!(eventually(gone).await);
    assert_eq!(reads(&used).await, 200);
    assert_eq!(server.wants_token(&by_operator).await.status, 200);
    server.stop().await;

    // A grant is proof enough, should a node stop before it wrote that down.
    let (scene, app_of_person) = scene(stores).await;
    let public = with(&app(), &json!({"token_endpoint_auth_method": "none"}));
    let never = scene.server.registers(&public).await;
    scene.tokens(&app_of_person.client, "openid read").await;
    let id = TestServer::client_id(&app_of_person.client);
    let store = &scene.server.records.store;
    let now = shared_protocol::time::Clock::now(&*scene.server.clock);
    // As if it had not.
    auth_server::store::clients::set_unused(&mut store.write().await.unwrap(), &id, now)
        .await
        .unwrap();
    let until = now + LIFETIME;
    let gone = auth_server::store::pruning::prune_unused_clients(store, until, until);
    assert_eq!(gone.await.unwrap(), 1);
    for (registered, is_there) in [(&app_of_person, true), (&never, false)] {
        let answer = scene.server.reads(registered, &registered.token).await;
        assert_eq!(answer.status == 200, is_there);
    }
}
