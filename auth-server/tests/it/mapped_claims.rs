//! What tokens say that a resource server asks for: attributes, profiles, clients and constants, by mapping.

use auth_server::accounts::attributes::Attributes;
use auth_server::clients::AuthMethod;
use auth_server::resource_servers::TokenFormat;
use auth_server::resource_servers::claims::ClaimMapping;
use serde_json::{Value, json};
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{Scene, app, ask, claims};
use crate::server::{API, OTHER_API, TestServer};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    each_source_brings_its_claim_in_jwts_and_opaque_tokens_alike,
    rfc9068_2_2_3_1_groups_roles_and_entitlements_when_asked,
    a_refresh_tells_what_is_known_now,
    mappings_are_judged_together_and_with_the_scopes_that_result,
    claims_too_long_for_a_token_are_refused,
    an_opaque_token_tells_its_owner_nothing_that_was_mapped,
    operators_say_what_is_known_of_people,
    operators_say_what_is_mapped,
    what_no_resource_server_can_be_is_refused,
);

async fn map(server: &TestServer, mappings: &Value) {
    let mappings: Vec<ClaimMapping> = serde_json::from_value(mappings.clone()).unwrap();
    server
        .change_resource(API, |changed| changed.claims = mappings)
        .await;
}

async fn describe(scene: &Scene, attributes: &Value) {
    let attributes: Attributes = serde_json::from_value(attributes.clone()).unwrap();
    let accounts = &scene.server.records.accounts;
    let written = accounts.set_attributes(&scene.account_id, &attributes);
    written.await.unwrap();
}

async fn introspect(scene: &Scene, token: &str) -> Value {
    let form = [("token", token)];
    let answer = scene.server.post_as(&scene.api, "/oauth/introspect", &form);
    answer.await.body
}

async fn each_source_brings_its_claim_in_jwts_and_opaque_tokens_alike(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    describe(
        &scene,
        &json!({"department": "Research", "level": 3, "secret": "x"}),
    )
    .await;
    let mappings = json!([
        {"claim": "department", "from": "attribute:department"},
        {"claim": "https://api.example/level", "from": "attribute:level"},
        {"claim": "absent", "from": "attribute:nothing"},
        {"claim": "email", "from": "profile:email"},
        {"claim": "called", "from": "profile:name"},
        {"claim": "nickname", "from": "profile:nickname"},
        {"claim": "app", "from": "client:client_name"},
        {"claim": "software", "from": "client:software_id"},
        {"claim": "tenant", "constant": {"id": 7}},
        {"claim": "may_write", "constant": true, "scope": "write"},
    ]);
    map(server, &mappings).await;
    let expected = [
        ("department", json!("Research")),
        ("https://api.example/level", json!(3)),
        ("email", json!("alice@example.com")),
        ("called", json!("Alice")),
        ("app", json!("An app")),
        ("tenant", json!({"id": 7})),
    ];
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        server
            .change_resource(API, |changed| changed.token_format = format)
            .await;
        let tokens = scene.tokens(&scene.app, "openid read").await;
        let token = tokens["access_token"].as_str().unwrap();
        let mut told = vec![introspect(&scene, token).await];
        // As it is remembered too.
        told.push(introspect(&scene, token).await);
        if format == TokenFormat::Jwt {
            told.push(claims(token));
        }
        for told in &told {
            for (name, value) in &expected {
                assert_eq!(&told[name], value, "{name} {format:?}");
            }
            for name in ["absent", "nickname", "software", "may_write", "secret"] {
                assert_eq!(told.get(name), None, "{name} {format:?}");
            }
        }
        let wider = scene.tokens(&scene.app, "openid read write").await;
        let wider = introspect(&scene, wider["access_token"].as_str().unwrap()).await;
        assert_eq!(wider["may_write"], true);
        // Nobody stands behind a service.
        let own = introspect(&scene, &server.token(&service, API).await).await;
        assert_eq!(
            (&own["app"], &own["tenant"]),
            (&json!("A service"), &json!({"id": 7}))
        );
        assert_eq!((own.get("email"), own.get("department")), (None, None));
        // Userinfo and ID tokens say what they said before.
        let id_token = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!(
            (id_token.get("department"), id_token.get("email")),
            (None, None)
        );
    }
    // No other resource server asked.
    let other = scene.tokens(&scene.app, "reports").await;
    let other = claims(other["access_token"].as_str().unwrap());
    assert_eq!(
        (&other["aud"], other.get("department")),
        (&json!(OTHER_API), None)
    );
}

async fn rfc9068_2_2_3_1_groups_roles_and_entitlements_when_asked(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let groups = json!(["staff", {"value": "g-1", "display": "One"}]);
    describe(
        &scene,
        &json!({"groups": groups, "roles": ["editor"], "teams": "red"}),
    )
    .await;
    let scope = |name: &str| (name.parse().unwrap(), format!("Know your {name}"));
    scene
        .server
        .change_resource(API, |changed| {
            changed.scopes.extend(["groups", "entitlements"].map(scope));
        })
        .await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.scope = "openid read groups entitlements".parse().unwrap();
    let client = scene.server.register(metadata).await;
    let told = async |scope: &str| {
        let tokens = scene.tokens(&client, scope).await;
        claims(tokens["access_token"].as_str().unwrap())
    };
    let plain = told("read").await;
    assert_eq!((plain.get("groups"), plain.get("roles")), (None, None));
    let asked = told("read groups entitlements").await;
    assert_eq!(asked["groups"], groups);
    assert_eq!(
        (asked.get("roles"), asked.get("entitlements")),
        (None, None)
    );
    // A mapping of that name stands above the scope, and what is one is a list.
    map(
        &scene.server,
        &json!([
            {"claim": "groups", "from": "attribute:teams"},
            {"claim": "roles", "from": "attribute:roles"},
        ]),
    )
    .await;
    let mapped = told("read groups").await;
    assert_eq!(mapped["groups"], json!(["red"]));
    assert_eq!(mapped["roles"], json!(["editor"]));
}

async fn a_refresh_tells_what_is_known_now(stores: &Stores) {
    let scene = Scene::set(stores).await;
    map(
        &scene.server,
        &json!([{"claim": "department", "from": "attribute:department"}]),
    )
    .await;
    let department = |token: &str| claims(token).get("department").cloned();
    let tokens = scene.tokens(&scene.app, "openid read offline_access").await;
    assert_eq!(department(tokens["access_token"].as_str().unwrap()), None);
    describe(&scene, &json!({"department": "Research"})).await;
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let next = scene.refresh(&scene.app, refresh).await;
    assert_eq!(
        department(next.text("access_token")),
        Some(json!("Research"))
    );
    describe(&scene, &json!({})).await;
    let next = scene.refresh(&scene.app, next.text("refresh_token")).await;
    assert_eq!(department(next.text("access_token")), None);
}

#[test]
fn rfc9068_2_2_a_claim_that_has_a_meaning_is_not_mapped() {
    for name in [
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "client_id",
        "scope",
        "auth_time",
        "acr",
        "amr",
        "act",
        "may_act",
        "cnf",
        "authorization_details",
        "grant_id",
        "subject_tokens",
        "active",
        "username",
        "token_type",
        "nonce",
        "azp",
        "sid",
        "at_hash",
        "events",
    ] {
        let mapping = json!({"claim": name, "constant": "x"});
        let read = serde_json::from_value::<ClaimMapping>(mapping);
        assert!(read.is_err(), "{name}");
    }
}

#[test]
fn a_mapping_is_of_its_form() {
    for (what, mapping, good) in [
        ("a text", json!({"claim": "a", "constant": "x"}), true),
        (
            "an attribute",
            json!({"claim": "a", "from": "attribute:x"}),
            true,
        ),
        ("neither", json!({"claim": "a"}), false),
        (
            "both",
            json!({"claim": "a", "from": "attribute:x", "constant": 1}),
            false,
        ),
        ("no name", json!({"from": "attribute:x"}), false),
        (
            "an empty name",
            json!({"claim": "", "from": "attribute:x"}),
            false,
        ),
        (
            "a blank",
            json!({"claim": "a b", "from": "attribute:x"}),
            false,
        ),
        (
            "a quote",
            json!({"claim": "a\"b", "from": "attribute:x"}),
            false,
        ),
        (
            "a long name",
            json!({"claim": "a".repeat(129), "from": "attribute:x"}),
            false,
        ),
        (
            "an unknown source",
            json!({"claim": "a", "from": "header:x"}),
            false,
        ),
        (
            "no source",
            json!({"claim": "a", "from": "attribute"}),
            false,
        ),
        (
            "a bad attribute",
            json!({"claim": "a", "from": "attribute:1"}),
            false,
        ),
        (
            "an unknown claim",
            json!({"claim": "a", "from": "profile:shoe_size"}),
            false,
        ),
        (
            "the subject",
            json!({"claim": "a", "from": "profile:sub"}),
            false,
        ),
        (
            "a secret",
            json!({"claim": "a", "from": "client:client_secret"}),
            false,
        ),
        (
            "a member more",
            json!({"claim": "a", "from": "attribute:x", "if": "y"}),
            false,
        ),
    ] {
        is_read(what, mapping, good);
    }
}

#[test]
fn oidc_core_5_1_a_mapping_goes_with_its_name() {
    for (what, mapping, good) in [
        (
            "a standard claim",
            json!({"claim": "email", "from": "profile:email"}),
            true,
        ),
        (
            "of something else",
            json!({"claim": "email", "from": "attribute:email"}),
            false,
        ),
        (
            "a constant for it",
            json!({"claim": "email_verified", "constant": true}),
            false,
        ),
        (
            "groups of a profile",
            json!({"claim": "groups", "from": "profile:name"}),
            false,
        ),
        (
            "groups of a text",
            json!({"claim": "groups", "constant": "x"}),
            false,
        ),
        (
            "groups of a list",
            json!({"claim": "groups", "constant": ["x"]}),
            true,
        ),
        (
            "a long constant",
            json!({"claim": "a", "constant": "x".repeat(1023)}),
            false,
        ),
        (
            "a deep constant",
            json!({"claim": "a", "constant": [[[[[1]]]]]}),
            false,
        ),
        (
            "no scope",
            json!({"claim": "a", "constant": 1, "scope": "a b"}),
            false,
        ),
    ] {
        is_read(what, mapping, good);
    }
}

fn is_read(what: &str, mapping: Value, good: bool) {
    let read = serde_json::from_value::<ClaimMapping>(mapping);
    assert_eq!(read.is_ok(), good, "{what}: {read:?}");
}

async fn mappings_are_judged_together_and_with_the_scopes_that_result(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let api = API.parse().unwrap();
    let servers = &scene.server.records.resource_servers;
    let known = servers.find(&api).unwrap();
    let many: Vec<_> = (0..21)
        .map(|n| json!({"claim": format!("c{n}"), "constant": n}))
        .collect();
    for (what, mappings, drop_scopes) in [
        (
            "twice",
            json!([{"claim": "a", "constant": 1}, {"claim": "a", "constant": 2}]),
            false,
        ),
        (
            "an unknown scope",
            json!([{"claim": "a", "constant": 1, "scope": "reports"}]),
            false,
        ),
        (
            "a scope that goes",
            json!([{"claim": "a", "constant": 1, "scope": "read"}]),
            true,
        ),
        ("too many", json!(many), false),
    ] {
        let mut changed = (*known).clone();
        changed.claims = serde_json::from_value(mappings).unwrap();
        if drop_scopes {
            changed.scopes.clear();
        }
        let now = shared_protocol::time::Clock::now(&*scene.server.clock);
        assert!(servers.put(&changed, now).await.is_err(), "{what}");
    }
    assert_eq!(servers.find(&api).unwrap().claims, Vec::new());
}

async fn claims_too_long_for_a_token_are_refused(stores: &Stores) {
    let scene = Scene::set(stores).await;
    describe(&scene, &json!({"long": "x".repeat(4000)})).await;
    map(
        &scene.server,
        &json!([
            {"claim": "one", "from": "attribute:long"},
            {"claim": "two", "from": "attribute:long"},
        ]),
    )
    .await;
    let code = scene.code(&scene.app, "openid read").await;
    let refused = scene.redeem(&scene.app, &code).await;
    assert_eq!(refused.error(), (400, "invalid_target"));
    // One of them fits.
    map(
        &scene.server,
        &json!([{"claim": "one", "from": "attribute:long"}]),
    )
    .await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(
        introspect(&scene, token).await["one"]
            .as_str()
            .unwrap()
            .len(),
        4000
    );
}

async fn an_opaque_token_tells_its_owner_nothing_that_was_mapped(stores: &Stores) {
    let scene = Scene::set(stores).await;
    describe(&scene, &json!({"number": 4711})).await;
    map(
        &scene.server,
        &json!([{"claim": "number", "from": "attribute:number"}]),
    )
    .await;
    scene
        .server
        .change_resource(API, |changed| changed.token_format = TokenFormat::Opaque)
        .await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let tokens = scene.tokens(&client, "openid read").await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(introspect(&scene, token).await["number"], 4711);
    let form = [("token", token)];
    let own = scene
        .server
        .post_as(&client, "/oauth/introspect", &form)
        .await;
    assert_eq!(
        (&own.body["active"], own.body.get("number")),
        (&json!(true), None)
    );
    let told = ask(&scene.server, &client, &form).await;
    assert_eq!(told.status, 400);
}

async fn operators_say_what_is_known_of_people(stores: &Stores) {
    let _scene = Scene::set(stores).await;
    let person = ["user", "set", "alice@example.com"];
    let set = [
        &person[..],
        &[
            "--attribute",
            "department=R&D = fun",
            "--attribute-json",
            "groups=[\"staff\"]",
        ],
    ]
    .concat();
    let set = ran_json(stores, &set, "");
    assert_eq!(
        set["attributes"],
        json!({"department": "R&D = fun", "groups": ["staff"]})
    );
    let cleared = ran_json(
        stores,
        &[&person[..], &["--attribute", "department="]].concat(),
        "",
    );
    assert_eq!(cleared["attributes"], json!({"groups": ["staff"]}));
    for bad in [
        &[][..],
        &["--attribute", "groups=staff"],
        &["--attribute-json", "groups=staff"],
        &["--attribute-json", "x=null"],
        &["--attribute", "1=x"],
        &["--attribute", "x"],
    ] {
        let refused = run(stores, &[&person[..], bad].concat(), "");
        assert!(!refused.status.success(), "{bad:?}");
    }
}

async fn operators_say_what_is_mapped(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claims.json");
    let written = json!([{"claim": "tenant", "constant": {"id": 7}}, {"claim": "groups", "from": "attribute:groups", "scope": "read"}]);
    std::fs::write(&file, written.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let update = ["resource", "update", API];
    for (what, arguments, member, expected) in [
        ("name", vec!["--name", "Photos"], "name", json!("Photos")),
        (
            "lifetime",
            vec!["--lifetime", "2m"],
            "lifetime_seconds",
            json!(120),
        ),
        (
            "format",
            vec!["--token-format", "opaque"],
            "token_format",
            json!("opaque"),
        ),
        (
            "subjects",
            vec!["--subject-type", "pairwise"],
            "subject_type",
            json!("pairwise"),
        ),
        (
            "a client",
            vec!["--introspection-client", &scene.api.id],
            "introspection_client_id",
            json!(scene.api.id),
        ),
        (
            "no client",
            vec!["--no-introspection-client"],
            "introspection_client_id",
            Value::Null,
        ),
        (
            "claims",
            vec![
                "--claim",
                "a=attribute:x@read",
                "--claim",
                "b=constant:c=d@e",
            ],
            "claims",
            json!([{"claim": "a", "from": "attribute:x", "scope": "read"}, {"claim": "b", "constant": "c=d@e"}]),
        ),
        (
            "a file",
            vec!["--claims-file", file],
            "claims",
            written.clone(),
        ),
        (
            "scopes",
            vec!["--scope", "read=Read", "--scope", "groups"],
            "scopes",
            json!([["groups", "groups"], ["read", "Read"]]),
        ),
        ("no claims", vec!["--no-claims"], "claims", json!([])),
        ("alg", vec!["--alg", "ES256"], "alg", json!("ES256")),
    ] {
        ran(stores, &[&update[..], &arguments].concat(), "");
        let shown = ran_json(stores, &["resource", "show", API], "");
        assert_eq!(shown[member], expected, "{what}");
        assert_eq!(
            (&shown["name"], &shown["identifier"]),
            (&json!("Photos"), &json!(API)),
            "the rest stays"
        );
    }
    // A running node hears of it.
    let heard = crate::introspection::eventually(async || {
        let servers = &scene.server.records.resource_servers;
        let known = servers.find(&API.parse().unwrap()).unwrap();
        known.token_format == TokenFormat::Opaque && known.lifetime.as_secs() == 120
    });
    assert!(heard.await);
}

async fn what_no_resource_server_can_be_is_refused(stores: &Stores) {
    let _scene = Scene::set(stores).await;
    let update = ["resource", "update", API];
    for bad in [
        &["--claim", "sub=attribute:x"][..],
        &["--claim", "a=header:x"],
        &["--claim", "a=attribute:x@reports"],
        &["--lifetime", "25h"],
        &["--alg", "PS256"],
        &["--token-format", "cbor"],
        &["--introspection-client", "nobody"],
        &["--no-claims", "--claim", "a=attribute:x"],
    ] {
        let refused = run(stores, &[&update[..], bad].concat(), "");
        assert!(!refused.status.success(), "{bad:?}");
    }
    let unknown = run(
        stores,
        &[
            "resource",
            "update",
            "https://unknown.example",
            "--name",
            "x",
        ],
        "",
    );
    assert!(!unknown.status.success());
}
