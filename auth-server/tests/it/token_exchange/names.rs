//! What people are called at each audience: found out anew, and never what another calls them.

use auth_server::clients::{AuthMethod, GrantType};
use auth_server::resource_servers::ResourceServer;
use auth_server::subjects::SubjectType;
use serde_json::json;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ACCESS, API, OTHER_API, exchange, exchanged, form, introspects, service};
use crate::person::{Scene, app, claims, person, sign_in};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_8_an_exchange_tells_nobody_what_another_calls_people,
);

const THIRD: &str = "https://third.example";

async fn knows_by_names_of_its_own(scene: &Scene, identifier: &str) {
    let servers = &scene.server.records.resource_servers;
    let found = servers.find(&identifier.parse().unwrap()).unwrap();
    let pairwise = ResourceServer {
        subject_type: SubjectType::Pairwise,
        ..(*found).clone()
    };
    let now = scene.server.clock.now();
    servers.put(&pairwise, now).await.unwrap();
}

/// An agent helps a customer: both are people, and each API knows them by other names.
async fn oidc_core_8_an_exchange_tells_nobody_what_another_calls_people(stores: &Stores) {
    let mut scene = Scene::set(stores).await;
    let policy = json!({
        "audiences": [API, OTHER_API],
        "downstream": [{"from": API, "scope": "read", "to": OTHER_API, "scopes": "reports"}],
    });
    let mut desk = app(AuthMethod::ClientSecretBasic);
    desk.grant_types.insert(GrantType::TokenExchange);
    desk.token_exchange = Some(serde_json::from_value(policy).unwrap());
    let desk = scene.server.register(desk).await;
    introspects(&scene, API, &["read", "write"], &desk).await;
    let policy = json!({
        "audiences": [THIRD],
        "downstream": [{"from": OTHER_API, "scope": "reports", "to": THIRD, "scopes": "third"}],
    });
    let backend = service("reports third", &policy);
    let backend = scene.server.register(backend).await;
    introspects(&scene, OTHER_API, &["reports"], &backend).await;
    introspects(&scene, THIRD, &["third"], &backend).await;
    for api in [API, OTHER_API, THIRD] {
        knows_by_names_of_its_own(&scene, api).await;
    }

    let tokens = scene.tokens(&scene.app, "openid read").await;
    let customers = tokens["access_token"].as_str().unwrap();
    let customer = scene.account_id.clone();
    let agent = person(&scene.server, "agent@example.com").await;
    scene.account_id = agent.clone();
    scene.session = sign_in(&scene.server, &agent).await.0;
    let tokens = scene.tokens(&desk, "openid read").await;
    let agents = tokens["access_token"].as_str().unwrap();

    let mut asked = form(customers, OTHER_API);
    asked.extend([("actor_token", agents), ("actor_token_type", ACCESS)]);
    let answer = exchange(&scene.server, &desk, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let helped = answer.text("access_token").to_owned();
    let (first, actor, second) = (claims(customers), claims(agents), claims(&helped));
    assert_ne!(second["sub"], first["sub"]);
    assert_ne!(second["act"]["sub"], actor["sub"]);
    assert_ne!(second["act"]["sub"], second["sub"]);
    assert_eq!(second["act"]["client_id"], desk.id.as_str());

    let third = exchanged(&scene.server, &backend, &helped, THIRD).await;
    let third_claims = claims(&third);
    assert_eq!(
        third_claims["act"],
        json!({"sub": backend.id, "client_id": backend.id, "act": {"client_id": desk.id}}),
        "the agent has another name there"
    );
    for token in [customers, agents, &helped, &third] {
        let told = claims(token).to_string();
        assert!(!told.contains(customer.as_str()) && !told.contains(agent.as_str()));
    }

    // With the agent's session ends what they did for the customer.
    let (sessions, now) = (&scene.server.records.sessions, scene.server.clock.now());
    let is_active =
        async |token: &str| crate::person::is_active(&scene.server, &backend, token).await;
    assert!(is_active(&helped).await && is_active(&third).await);
    sessions.end(&scene.session.id, now).await.unwrap();
    assert!(!is_active(&helped).await && !is_active(&third).await);
}
