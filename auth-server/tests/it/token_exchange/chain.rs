//! Three actors, one behind the other, and what ends the tokens of each.

use auth_server::clients::AuthMethod;
use auth_server::grants::GrantId;
use futures_util::future::join_all;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{app_token, exchange, exchanged, form, introspects, service};
use crate::person::{Scene, app, claims, is_active, post, sign_in};
use crate::server::{API, OTHER_API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8693_4_1_three_actors_are_nested_the_last_outermost,
    threat_10_each_link_takes_down_what_came_of_it,
    threat_34_a_subject_that_ends_between_exchange_and_use,
    threat_34_a_subject_that_ends_while_it_is_exchanged,
    a_chain_has_an_end,
);

const THIRD: &str = "https://third.example";
const FOURTH: &str = "https://fourth.example";

/// Services `a`, `b` and `c`, each of an API and with the right to call the next one's.
struct Row {
    scene: Scene,
    services: [TestClient; 3],
}

impl Row {
    async fn set(stores: &Stores) -> Self {
        let scene = Scene::set(stores).await;
        let step = |from: &str, scope: &str, to: &str, scopes: &str| {
            service(
                "read reports third fourth",
                &json!({
                    "audiences": [from, to],
                    "downstream": [{"from": from, "scope": scope, "to": to, "scopes": scopes}],
                }),
            )
        };
        let server = &scene.server;
        server
            .put_resource(
                FOURTH,
                &["fourth"],
                None,
                shared_protocol::jose::Algorithm::Es256,
            )
            .await;
        let a = server
            .register(step(API, "read", OTHER_API, "reports"))
            .await;
        let b = server
            .register(step(OTHER_API, "reports", THIRD, "third"))
            .await;
        let c = server
            .register(step(THIRD, "third", FOURTH, "fourth"))
            .await;
        introspects(&scene, API, &["read", "write"], &a).await;
        introspects(&scene, OTHER_API, &["reports"], &b).await;
        introspects(&scene, THIRD, &["third"], &c).await;
        Self {
            scene,
            services: [a, b, c],
        }
    }

    /// The app's token, and what each service made of the one before it.
    async fn tokens(&self) -> [String; 4] {
        let [a, b, c] = &self.services;
        let server = &self.scene.server;
        let first = app_token(&self.scene, "openid read").await;
        let second = exchanged(server, a, &first, OTHER_API).await;
        let third = exchanged(server, b, &second, THIRD).await;
        let fourth = exchanged(server, c, &third, FOURTH).await;
        [first, second, third, fourth]
    }

    /// Which of them are good, each asked by whom it was issued to or is for.
    async fn alive(&self, tokens: &[String; 4]) -> [bool; 4] {
        let [a, b, c] = &self.services;
        let mut alive = [false; 4];
        for ((token, client), is_alive) in tokens.iter().zip([a, b, c, c]).zip(&mut alive) {
            *is_alive = is_active(&self.scene.server, client, token).await;
        }
        alive
    }

    async fn revoke(&self, client: &TestClient, token: &str) {
        let form = [("token", token)];
        let answer = post(&self.scene.server, client, "/oauth/revoke", &form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn delete(&self, client: &TestClient) {
        let clients = &self.scene.server.records.clients;
        let now = self.scene.server.clock.now();
        let id = TestServer::client_id(client);
        clients.delete(&id, now).await.unwrap();
    }
}

async fn rfc8693_4_1_three_actors_are_nested_the_last_outermost(stores: &Stores) {
    let row = Row::set(stores).await;
    let tokens = row.tokens().await;
    let [a, b, c] = row.services.each_ref().map(|client| client.id.as_str());
    let app = row.scene.app.id.as_str();
    let [first, second, third, fourth] = tokens.each_ref().map(|token| claims(token));
    assert_eq!(
        fourth["act"],
        json!({"sub": c, "client_id": c,
            "act": {"sub": b, "client_id": b, "act": {"sub": a, "client_id": a}}})
    );
    assert_eq!(
        fourth["subject_tokens"],
        json!([
            {"jti": first["jti"], "client_id": app, "iat": first["iat"]},
            {"jti": second["jti"], "client_id": a, "iat": second["iat"]},
            {"jti": third["jti"], "client_id": b, "iat": third["iat"]},
        ])
    );
    assert_eq!(fourth["sub"], row.scene.account_id.as_str());
    assert_eq!(fourth["exp"], claims(&tokens[0])["exp"]);
    let answer = row
        .scene
        .server
        .post_as(
            &row.services[2],
            "/oauth/introspect",
            &[("token", &tokens[3])],
        )
        .await;
    assert_eq!(answer.body["act"], fourth["act"]);
}

async fn threat_10_each_link_takes_down_what_came_of_it(stores: &Stores) {
    let row = Row::set(stores).await;
    let app = row.scene.app.clone();
    let owners = [&app, &row.services[0], &row.services[1], &row.services[2]];
    for (revoked, owner) in owners.into_iter().enumerate() {
        let tokens = row.tokens().await;
        assert_eq!(row.alive(&tokens).await, [true; 4]);
        row.revoke(owner, &tokens[revoked]).await;
        let expected = [0, 1, 2, 3].map(|token| token < revoked);
        assert_eq!(row.alive(&tokens).await, expected, "token {revoked}");
    }
    let tokens = row.tokens().await;
    row.delete(&row.services[1]).await;
    let [a, _, c] = &row.services;
    let mut alive = Vec::new();
    for (client, token) in [
        (a, &tokens[0]),
        (a, &tokens[1]),
        (c, &tokens[2]),
        (c, &tokens[3]),
    ] {
        alive.push(is_active(&row.scene.server, client, token).await);
    }
    assert_eq!(alive, [true, true, false, false], "a client in the middle");
}

async fn threat_34_a_subject_that_ends_between_exchange_and_use(stores: &Stores) {
    let mut row = Row::set(stores).await;
    for end in ["grant", "session", "client", "account"] {
        let scene = &mut row.scene;
        scene.session = sign_in(&scene.server, &scene.account_id).await.0;
        scene.app = scene.server.register(app(AuthMethod::None)).await;
        let tokens = row.tokens().await;
        assert_eq!(row.alive(&tokens).await, [true; 4], "{end}");
        let (records, now) = (&row.scene.server.records, row.scene.server.clock.now());
        match end {
            "grant" => {
                let id = claims(&tokens[0])["grant_id"].as_str().unwrap().to_owned();
                let id: GrantId = id.parse().unwrap();
                records.grants.revoke(&id, now).await.unwrap();
            }
            "session" => {
                let id = &row.scene.session.id;
                records.sessions.end(id, now).await.unwrap();
            }
            "client" => row.delete(&row.scene.app).await,
            _ => {
                let id = &row.scene.account_id;
                records.accounts.disable(id, now).await.unwrap();
            }
        }
        assert_eq!(row.alive(&tokens).await, [false; 4], "{end}");
        let again = form(&tokens[0], OTHER_API);
        let again = exchange(&row.scene.server, &row.services[0], &again).await;
        assert_eq!(again.error(), (400, "invalid_request"), "{end}");
    }
}

/// Whoever is answered while the subject ends holds a token that is dead, and so does everybody who made something of it.
async fn threat_34_a_subject_that_ends_while_it_is_exchanged(stores: &Stores) {
    let row = Row::set(stores).await;
    let first = app_token(&row.scene, "openid read").await;
    let (server, a) = (&row.scene.server, &row.services[0]);
    let asked = form(&first, OTHER_API);
    let exchanges = (0..40).map(|_| exchange(server, a, &asked));
    let revoked = [("token", first.as_str())];
    let revoke = post(server, &row.scene.app, "/oauth/revoke", &revoked);
    let (answers, revoked) = tokio::join!(join_all(exchanges), revoke);
    assert_eq!(revoked.status, 200);
    for answer in answers {
        if answer.status == 200 {
            let token = answer.text("access_token");
            assert!(!is_active(server, a, token).await);
        } else {
            assert_eq!(answer.error(), (400, "invalid_request"));
        }
    }
}

async fn a_chain_has_an_end(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let policy = json!({"audiences": [API]});
    let loops = scene.server.register(service("read", &policy)).await;
    introspects(&scene, API, &["read"], &loops).await;
    let mut token = app_token(&scene, "openid read").await;
    for _ in 0..8 {
        token = exchanged(&scene.server, &loops, &token, API).await;
    }
    let answer = exchange(&scene.server, &loops, &form(&token, API)).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    assert!(is_active(&scene.server, &loops, &token).await);
}
