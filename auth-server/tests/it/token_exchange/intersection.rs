//! Threat 10 for random scopes: what comes of an exchange is within the token that was shown, the client's own scope and the policy.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;
use shared_protocol::scope::ScopeSet;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{API, OTHER_API, exchange, form, introspects, service};
use crate::person::Scene;

on_each_store!(auth_server::store::MIGRATIONS;
    threat_10_what_comes_of_an_exchange_is_within_all_that_bounds_it,
);

fn some_of(all: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(all, 0..=all.len())
}

async fn threat_10_what_comes_of_an_exchange_is_within_all_that_bounds_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let here: &[&str] = &["read", "write"];
    let there: &[&str] = &["reports", "bills"];
    let draw = (
        some_of(&["read", "write"]),
        some_of(&["read", "write", "reports", "bills"]),
        proptest::collection::vec(
            (
                proptest::sample::select(here.to_vec()),
                some_of(&["reports", "bills"]),
            ),
            0..3,
        ),
        proptest::option::of(some_of(&["read", "write", "reports", "bills"])),
    );
    let mut runner = TestRunner::deterministic();
    for _ in 0..12 {
        let (held, own, rules, asked) = draw.new_tree(&mut runner).unwrap().current();
        let downstream: Vec<_> = rules
            .iter()
            .map(|(scope, scopes)| {
                json!({"from": API, "scope": scope, "to": OTHER_API, "scopes": scopes.join(" ")})
            })
            .collect();
        let policy = json!({"audiences": [API, OTHER_API], "downstream": downstream});
        let client = server.register(service(&own.join(" "), &policy)).await;
        introspects(&scene, API, here, &client).await;
        introspects(&scene, OTHER_API, there, &client).await;
        let tokens = scene
            .tokens(&scene.app, &[&["openid"][..], &held].concat().join(" "))
            .await;
        let token = tokens["access_token"].as_str().unwrap();
        for (resource, of_it) in [(API, here), (OTHER_API, there)] {
            let within = |scope: &&str| {
                let by_subject = if resource == API {
                    held.contains(scope)
                } else {
                    let mut rules = rules.iter();
                    rules.any(|(from, to)| held.contains(from) && to.contains(scope))
                };
                by_subject && own.contains(scope)
            };
            let allowed: Vec<_> = of_it
                .iter()
                .filter(|scope| within(scope))
                .copied()
                .collect();
            let text = asked.as_ref().map(|asked| asked.join(" "));
            let mut request = form(token, resource);
            request.extend(text.as_deref().map(|text| ("scope", text)));
            let answer = exchange(server, &client, &request).await;
            let what = format!("{held:?} {own:?} {rules:?} {asked:?} {resource}");
            let asked = asked.as_ref().filter(|asked| !asked.is_empty());
            let expected: Option<Vec<_>> = match asked {
                _ if allowed.is_empty() || held.is_empty() => None,
                None => Some(allowed),
                Some(asked) => asked
                    .iter()
                    .all(|scope| allowed.contains(scope))
                    .then(|| asked.clone()),
            };
            let scopes = |text: &str| text.parse::<ScopeSet>().unwrap();
            if let Some(expected) = expected {
                assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                assert_eq!(
                    scopes(answer.text("scope")),
                    scopes(&expected.join(" ")),
                    "{what}"
                );
            } else {
                assert_eq!(answer.status, 400, "{what}: {}", answer.body);
            }
        }
    }
}
