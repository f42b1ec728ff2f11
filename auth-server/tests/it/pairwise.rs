//! Pairwise subjects (OpenID Connect Core §8).

use auth_server::clients::{AuthMethod, Client, ClientMetadata};
use auth_server::resource_servers::{ResourceServer, TokenFormat};
use auth_server::subjects::SubjectType;
use serde_json::{Value, json};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::{REDIRECT, Scene, app, ask, claims, code_form, refresh_form, userinfo};
use crate::registration::{REGISTER, app as registered_app, server as registering, with};
use crate::server::{API, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_8_1_each_sector_has_a_name_of_its_own_for_a_person,
    oidc_core_8_the_id_of_an_account_shows_in_no_answer_to_a_pairwise_client,
    oidc_core_8_an_access_token_names_people_as_its_resource_server_does,
    oidc_core_8_a_pairwise_client_gets_opaque_tokens_for_resource_servers,
    oidc_core_3_1_2_1_a_hint_and_a_value_are_what_the_client_calls_the_person,
    oidc_registration_5_a_pairwise_client_has_one_sector,
    oidc_core_8_1_a_client_that_moves_to_another_sector_begins_anew,
    oidc_core_8_1_a_session_has_a_name_of_its_own_in_each_sector,
);

/// An app that knows people by names of its own, sent back to this place.
fn pairwise(redirect: &str) -> ClientMetadata {
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.subject_type = Some(SubjectType::Pairwise);
    metadata.redirect_uris = vec![redirect.parse().unwrap()];
    metadata
}

/// Has a resource server know people so.
async fn put(server: &TestServer, identifier: &str, subject_type: SubjectType) {
    let change = |changed: &mut ResourceServer| changed.subject_type = subject_type;
    server.change_resource(identifier, change).await;
}

/// What a client is told of a person by each way that there is: ID token, userinfo, and introspection of the refresh token.
async fn subjects(scene: &Scene, client: &TestClient) -> [Value; 3] {
    let mut authorization = scene.authorization(client, "openid offline_access");
    let id = client.id.parse().unwrap();
    let registered = scene.server.records.clients.find(&id).await.unwrap();
    let redirect = &registered.unwrap().metadata.redirect_uris[0];
    authorization.redirect_uri = redirect.to_string();
    let code = scene.issue(authorization).await;
    let mut form = code_form(&code);
    let redirect = redirect.to_string();
    form[2].1 = &redirect;
    let answer = ask(&scene.server, client, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let told = scene.userinfo(answer.text("access_token")).await;
    let token = [("token", answer.text("refresh_token"))];
    let state = scene
        .server
        .post_as(client, "/oauth/introspect", &token)
        .await;
    let access = claims(answer.text("access_token"));
    assert_eq!(access["sub"], told.body["sub"], "a token for this server");
    [
        claims(answer.text("id_token"))["sub"].clone(),
        told.body["sub"].clone(),
        state.body["sub"].clone(),
    ]
}

async fn oidc_core_8_1_each_sector_has_a_name_of_its_own_for_a_person(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let register = async |metadata| scene.server.register(metadata).await;
    let one = register(pairwise("https://app.example/cb")).await;
    let sister = register(pairwise("https://app.example/other")).await;
    let stranger = register(pairwise("https://stranger.example/cb")).await;
    let public = register(app(AuthMethod::ClientSecretBasic)).await;
    let mut names = Vec::new();
    for client in [&one, &sister, &stranger, &public] {
        let [name, at_userinfo, introspected] = subjects(&scene, client).await;
        assert_eq!((&name, &name), (&at_userinfo, &introspected));
        assert_eq!(name, subjects(&scene, client).await[0], "each time");
        names.push(name);
    }
    assert_eq!(names[0], names[1], "one sector");
    assert_ne!(names[0], names[2]);
    assert_eq!(names[3], scene.account_id.as_str());
    assert!(names[0].as_str().unwrap().len() == 43 && names[2] != names[3]);
    // On another node too: the key is one of all.
    let other = scene.another_node(stores).await;
    let scene = Scene {
        server: other,
        ..scene
    };
    assert_eq!(subjects(&scene, &one).await[0], names[0]);
}

/// Looks through all that a pairwise client gets to see.
async fn oidc_core_8_the_id_of_an_account_shows_in_no_answer_to_a_pairwise_client(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let id = server.person(EMAIL).await;
    put(&server, API, SubjectType::Pairwise).await;
    let client = server.register(pairwise(REDIRECT)).await;
    let browser = Browser::new(&server);
    let asked =
        r#"{"id_token": {"sub": null, "name": null}, "userinfo": {"sub": {"essential": true}}}"#;
    let changes = [
        ("claims", asked),
        ("scope", "openid profile email read offline_access"),
    ];
    let arrived = browser
        .arrive(server.authorize_url(&client, &changes))
        .await;
    let location = arrived.location();
    let mut seen = vec![location.to_string()];
    let answer = ask(&server, &client, &code_form(&code(&location))).await;
    let refreshed = ask(
        &server,
        &client,
        &refresh_form(answer.text("refresh_token")),
    )
    .await;
    let mut form = refresh_form(answer.text("refresh_token")).to_vec();
    form.push(("resource", server.issuer.as_str()));
    let own = ask(&server, &client, &form).await;
    for answer in [&answer, &refreshed, &own] {
        assert_eq!(answer.status, 200, "{}", answer.body);
        seen.push(answer.body.to_string());
        seen.push(claims(answer.text("id_token")).to_string());
        let access = answer.text("access_token");
        if access.contains('.') {
            assert_eq!(claims(access)["aud"], server.issuer, "for this server");
            seen.push(claims(access).to_string());
        }
        let told = userinfo(&server, answer.text("access_token")).await;
        assert_eq!(told.status, 200);
        seen.push(told.body.to_string());
        for token in [
            Some(answer.text("access_token")),
            answer.body["refresh_token"].as_str(),
        ] {
            let Some(token) = token else { continue };
            let form = [("token", token)];
            let state = server.post_as(&client, "/oauth/introspect", &form).await;
            assert_eq!(state.body["active"], true);
            assert_eq!(state.body["sub"], told.body["sub"], "as the client says");
            seen.push(state.body.to_string());
        }
    }
    // What went wrong tells no more.
    let hint = answer.text("id_token");
    let of_account = json!({"id_token": {"sub": {"value": id}}}).to_string();
    for changes in [
        &[][..],
        &[("id_token_hint", hint)],
        &[("claims", &of_account)],
        &[("claims", "x")],
        &[("resource", "https://unknown.example")],
    ] {
        let silent = [("scope", "openid"), ("prompt", "none")];
        let changes = [&silent, changes].concat();
        let page = browser.open(server.authorize_url(&client, &changes)).await;
        seen.push(page.location().to_string());
    }
    for text in &seen {
        assert!(!text.contains("usr_"), "{text}");
    }
    server.stop().await;
}

async fn oidc_core_8_an_access_token_names_people_as_its_resource_server_does(stores: &Stores) {
    let scene = Scene::set(stores).await;
    put(&scene.server, API, SubjectType::Pairwise).await;
    let client = scene.server.register(pairwise(REDIRECT)).await;
    let public = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let mut at_api = Vec::new();
    for client in [&client, &public] {
        let tokens = scene.tokens(client, "openid read").await;
        let access = tokens["access_token"].as_str().unwrap();
        let of_client = claims(tokens["id_token"].as_str().unwrap())["sub"].clone();
        let form = [("token", access)];
        let introspect = async |who| {
            let state = scene.server.post_as(who, "/oauth/introspect", &form);
            state.await.body["sub"].clone()
        };
        let sub = introspect(&scene.api).await;
        assert_ne!(sub, of_client);
        assert_ne!(sub, scene.account_id.as_str());
        if access.contains('.') {
            assert_eq!(sub, claims(access)["sub"], "as the token says");
        } else {
            assert_eq!(introspect(client).await, of_client, "as the client says");
        }
        // Whoever shows it at userinfo is told what the client calls the person.
        let told = scene.userinfo(access).await;
        assert_eq!(told.body["sub"], of_client);
        at_api.push(sub);
    }
    assert_eq!(at_api[0], at_api[1], "one person there, whichever client");
    let tokens = scene.tokens(&public, "reports").await;
    let sub = claims(tokens["access_token"].as_str().unwrap())["sub"].clone();
    assert_eq!(sub, scene.account_id.as_str(), "a public one");
}

/// What the resource server calls the person is for neither of two clients that could compare it, be it everybody's name or its own.
async fn oidc_core_8_a_pairwise_client_gets_opaque_tokens_for_resource_servers(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let api = server.client(AuthMethod::ClientSecretBasic, "").await;
    let server = server.with_resources(Some(&api)).await;
    let id = server.person(EMAIL).await;
    let client = server.register(pairwise(REDIRECT)).await;
    let stranger = server.register(pairwise(REDIRECT)).await;
    let browser = Browser::new(&server);
    for (what, subject_type, format, changes, opaque) in [
        (
            "public",
            SubjectType::Public,
            TokenFormat::Jwt,
            &[("scope", "openid read")][..],
            true,
        ),
        (
            "pairwise",
            SubjectType::Pairwise,
            TokenFormat::Jwt,
            &[("scope", "openid read")],
            true,
        ),
        (
            "opaque anyway",
            SubjectType::Public,
            TokenFormat::Opaque,
            &[("scope", "openid read")],
            true,
        ),
        (
            "by name",
            SubjectType::Public,
            TokenFormat::Jwt,
            &[("scope", "openid"), ("resource", API)],
            true,
        ),
        (
            "this server",
            SubjectType::Public,
            TokenFormat::Opaque,
            &[("scope", "openid")],
            false,
        ),
        (
            "two resources, so this server",
            SubjectType::Public,
            TokenFormat::Jwt,
            &[("scope", "openid read reports")],
            false,
        ),
    ] {
        server
            .change_resource(API, |changed| {
                (changed.subject_type, changed.token_format) = (subject_type, format);
            })
            .await;
        let arrived = browser.arrive(server.authorize_url(&client, changes)).await;
        let answer = ask(&server, &client, &code_form(&code(&arrived.location()))).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
        let access = answer.text("access_token");
        assert_eq!(access.starts_with("oat_"), opaque, "{what}");
        assert_ne!(access.contains('.'), opaque, "{what}");
        let form = [("token", access)];
        let introspect = async |who| {
            let state = server.post_as(who, "/oauth/introspect", &form);
            state.await.body
        };
        let of_client = claims(answer.text("id_token"))["sub"].clone();
        assert_eq!(introspect(&client).await["sub"], of_client, "{what}");
        assert_eq!(introspect(&stranger).await["active"], false, "{what}");
        let at_api = introspect(&api).await;
        assert_eq!(at_api["active"], opaque, "{what}: for the API alone");
        if opaque {
            let is_public = at_api["sub"] == id.as_str();
            assert_eq!(is_public, subject_type == SubjectType::Public, "{what}");
            assert_ne!(at_api["sub"], of_client, "{what}");
        }
    }
    // A public client reads its tokens, whatever the resource server calls people.
    let public = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let changes = [("scope", "openid read")];
    let location = browser
        .sign_in_and_consent(server.authorize_url(&public, &changes))
        .await;
    let answer = ask(&server, &public, &code_form(&code(&location))).await;
    assert!(answer.text("access_token").contains('.'));
    server.stop().await;
}

async fn oidc_core_3_1_2_1_a_hint_and_a_value_are_what_the_client_calls_the_person(
    stores: &Stores,
) {
    let server = TestServer::start(stores).await;
    let id = server.person(EMAIL).await;
    let client = server.register(pairwise(REDIRECT)).await;
    let public = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let browser = Browser::new(&server);
    let openid = ("scope", "openid");
    let id_token = async |client| {
        let url = server.authorize_url(client, &[openid]);
        let location = browser.sign_in_and_consent(url).await;
        let answer = ask(&server, client, &code_form(&code(&location))).await;
        answer.text("id_token").to_owned()
    };
    let (own, others) = (id_token(&client).await, id_token(&public).await);
    let sub = claims(&own)["sub"].clone();
    let by_value = |sub: &Value| json!({"id_token": {"sub": {"value": sub}}}).to_string();
    for (what, change, error) in [
        ("its own hint", ("id_token_hint", own.clone()), None),
        (
            "another client's hint",
            ("id_token_hint", others),
            Some("invalid_request"),
        ),
        ("its own value", ("claims", by_value(&sub)), None),
        (
            "the id of the account",
            ("claims", by_value(&json!(id))),
            Some("login_required"),
        ),
    ] {
        let changes = [openid, ("prompt", "none"), (change.0, &change.1)];
        let page = browser.open(server.authorize_url(&client, &changes)).await;
        let told = parameter(&page.location(), "error");
        assert_eq!(told.as_deref(), error, "{what}");
    }
    server.stop().await;
}

async fn oidc_registration_5_a_pairwise_client_has_one_sector(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let app = with(&registered_app(), &json!({"subject_type": "pairwise"}));
    for (what, changes, accepted) in [
        ("one host", json!({}), true),
        (
            "one host, twice",
            json!({"redirect_uris": [REDIRECT, "https://app.example:8443/b"]}),
            true,
        ),
        (
            "two hosts",
            json!({"redirect_uris": [REDIRECT, "https://b.example/cb"]}),
            false,
        ),
        (
            "the device",
            json!({"redirect_uris": ["http://127.0.0.1/cb"]}),
            false,
        ),
        (
            "the device, by a scheme",
            json!({"redirect_uris": ["com.example.app:/cb"]}),
            false,
        ),
        (
            "two hosts, public",
            json!({"redirect_uris": [REDIRECT, "https://b.example/cb"], "subject_type": "public"}),
            true,
        ),
        (
            "something else",
            json!({"subject_type": "ephemeral"}),
            false,
        ),
        ("no text", json!({"subject_type": ["pairwise"]}), false),
    ] {
        let answer = server
            .post_json(REGISTER, &with(&app, &changes), None)
            .await;
        if accepted {
            assert_eq!(answer.status, 201, "{what}: {}", answer.body);
            let expected = changes.get("subject_type").unwrap_or(&app["subject_type"]);
            assert_eq!(&answer.body["subject_type"], expected, "{what}");
        } else {
            assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{what}");
        }
    }
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    assert_eq!(
        metadata["subject_types_supported"],
        json!(["public", "pairwise"])
    );
    server.stop().await;
}

/// Otherwise a client could move what was allowed to it into the sector of another, and learn what people are called there.
async fn oidc_core_8_1_a_client_that_moves_to_another_sector_begins_anew(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let there = "https://somebody-elses.example/cb";
    for (what, before, after, lives) in [
        (
            "to a sector",
            app(AuthMethod::ClientSecretBasic),
            pairwise(REDIRECT),
            false,
        ),
        ("to another", pairwise(REDIRECT), pairwise(there), false),
        (
            "to none",
            pairwise(REDIRECT),
            app(AuthMethod::ClientSecretBasic),
            false,
        ),
        ("nowhere", pairwise(REDIRECT), pairwise(REDIRECT), true),
    ] {
        let client = server.register(before).await;
        let tokens = scene.tokens(&client, "openid offline_access").await;
        let in_flight = scene.code(&client, "openid").await;
        let moves = after.redirect_uris[0].to_string() == there;
        let id = client.id.parse().unwrap();
        let changed = Client::new(id, after, Vec::new()).unwrap();
        let clients = &server.records.clients;
        clients
            .put(&changed, None, server.clock.now())
            .await
            .unwrap();
        let told = scene
            .userinfo(tokens["access_token"].as_str().unwrap())
            .await;
        assert_eq!(told.status == 200, lives, "{what}");
        let token = tokens["refresh_token"].as_str().unwrap();
        let refreshed = scene.refresh(&client, token).await;
        assert_eq!(refreshed.status == 200, lives, "{what}: {}", refreshed.body);
        // What was allowed where it was before is for nobody who is elsewhere now.
        let redeemed = scene.redeem(&client, &in_flight).await;
        assert_eq!(redeemed.status == 200, !moves, "{what}: {}", redeemed.body);
    }
}

async fn oidc_core_8_1_a_session_has_a_name_of_its_own_in_each_sector(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let mut seen = Vec::new();
    for redirect in [
        REDIRECT,
        "https://app.example/other",
        "https://stranger.example/cb",
    ] {
        let client = server.register(pairwise(redirect)).await;
        let mut authorization = scene.authorization(&client, "openid");
        authorization.redirect_uri = redirect.to_owned();
        let code = scene.issue(authorization).await;
        let mut form = code_form(&code);
        form[2].1 = redirect;
        let answer = ask(server, &client, &form).await;
        let id_token = answer.text("id_token").to_owned();
        seen.push((claims(&id_token)["sid"].clone(), id_token));
    }
    assert_eq!(seen[0].0, seen[1].0, "one sector");
    assert_ne!(seen[0].0, seen[2].0);
    assert_ne!(seen[0].0, scene.session.id.as_str());
    // It is known again in what the client brings back.
    let own = crate::sign_out::browser(server, &scene.cookie);
    let hint = [("id_token_hint", seen[2].1.as_str())];
    crate::sign_out::logout(server, &own, &hint).await;
    assert!(!crate::sign_out::is_signed_in(server, &scene.cookie).await);
}
