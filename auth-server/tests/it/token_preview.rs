//! `auth-server token preview`: what it shows is what is then issued.

use std::time::Duration;

use auth_server::accounts::attributes::Attributes;
use auth_server::authorize::acr::Proof;
use auth_server::clients::{AuthMethod, ClientMetadata};
use auth_server::resource_servers::TokenFormat;
use auth_server::sessions::Amr;
use auth_server::subjects::SubjectType;
use serde_json::{Value, json};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{self, Browser};
use crate::person::{REDIRECT, Scene, app, ask, claims, code_form, person};
use crate::pruning::count;
use crate::server::{API, TestClient, TestServer};
use crate::users::{ran, ran_json, run};

on_each_store!(auth_server::store::MIGRATIONS;
    what_is_previewed_is_what_is_issued,
    what_would_be_refused_says_why,
    for_people_each_claim_says_where_it_comes_from,
    what_is_previewed_is_what_a_sign_in_at_the_page_brings,
);

const EMAIL: &str = "alice@example.com";

/// What differs from one token to the next, and from one moment to the next.
fn lasting(claims: &Value) -> Value {
    let mut claims = claims.clone();
    let members = claims.as_object_mut().unwrap();
    if members.get("aud") == members.get("iss") {
        members.insert("aud".to_owned(), json!("this server"));
    }
    for name in [
        "jti",
        "iat",
        "exp",
        "grant_id",
        "auth_time",
        "sid",
        "at_hash",
        "active",
        "token_type",
        // The program knows no address that the test has drawn.
        "iss",
    ] {
        members.remove(name);
    }
    claims
}

async fn described(scene: &Scene) {
    let attributes = json!({"department": "Research", "groups": ["staff"]});
    let attributes: Attributes = serde_json::from_value(attributes).unwrap();
    let accounts = &scene.server.records.accounts;
    let written = accounts.set_attributes(&scene.account_id, &attributes);
    written.await.unwrap();
    let mappings = json!([
        {"claim": "department", "from": "attribute:department"},
        {"claim": "email", "from": "profile:email", "scope": "write"},
        {"claim": "app", "from": "client:client_name"},
        {"claim": "tenant", "constant": {"id": 7}},
    ]);
    let mappings: Vec<_> = serde_json::from_value(mappings).unwrap();
    scene
        .server
        .change_resource(API, |changed| changed.claims = mappings)
        .await;
}

async fn what_is_previewed_is_what_is_issued(stores: &Stores) {
    let scene = Scene::set(stores).await;
    described(&scene).await;
    let server = &scene.server;
    let mut pairwise = app(AuthMethod::ClientSecretBasic);
    pairwise.subject_type = Some(SubjectType::Pairwise);
    let mut plain = app(AuthMethod::ClientSecretBasic);
    plain.default_resource = Some(API.parse().unwrap());
    let people = [
        server.register(plain).await,
        server.register(pairwise).await,
    ];
    let service = TestServer::metadata(AuthMethod::ClientSecretBasic, "read write");
    let service = server.register(service).await;
    let acr = password_acr(&scene);
    for format in [TokenFormat::Jwt, TokenFormat::Opaque] {
        for subject_type in SubjectType::ALL {
            server
                .change_resource(API, |changed| {
                    (changed.token_format, changed.subject_type) = (format, subject_type);
                })
                .await;
            for client in &people {
                for scope in [
                    "read",
                    "openid profile read write",
                    "openid email",
                    "read reports",
                ] {
                    let what = format!("{format:?} {subject_type:?} {scope}");
                    let arguments = ["--client", &client.id, "--user", EMAIL, "--scope", scope];
                    let shown = preview(stores, &arguments);
                    let mut authorization = scene.authorization(client, scope);
                    authorization.terms.acr = Some(acr.clone());
                    let issued = scene.issue(authorization).await;
                    let issued = scene.redeem(client, &issued).await.body;
                    assert_eq!(shown["scope"], issued["scope"], "{what}");
                    assert_eq!(shown["expires_in"], issued["expires_in"], "{what}");
                    same_token(&scene, &shown, &issued, &what).await;
                    let id_token = issued["id_token"].as_str();
                    assert_eq!(
                        shown.get("id_token").is_some(),
                        id_token.is_some(),
                        "{what}"
                    );
                    let Some(id_token) = id_token else { continue };
                    let (header, told) = crate::token::decode(id_token);
                    assert_eq!(shown["id_token"]["header"], header, "{what}");
                    assert_eq!(
                        lasting(&shown["id_token"]["claims"]),
                        lasting(&told),
                        "{what}"
                    );
                    let told = scene
                        .userinfo(issued["access_token"].as_str().unwrap())
                        .await;
                    assert_eq!(shown["userinfo"], told.body, "{what}");
                }
            }
            let shown = preview(stores, &["--client", &service.id]);
            let token = server.token(&service, API).await;
            let issued = json!({"access_token": token});
            same_token(&scene, &shown, &issued, "a service").await;
        }
    }
}

/// What a sign-in at the page reaches.
fn password_acr(scene: &Scene) -> String {
    let proof = Proof {
        amr: &[Amr::Pwd],
        age: Duration::ZERO,
    };
    let levels = &scene.server.records.offered.acr;
    levels.highest(proof).unwrap().to_owned()
}

/// Nothing is written by it.
fn preview(stores: &Stores, arguments: &[&str]) -> Value {
    ran_json(stores, &[&["token", "preview"], arguments].concat(), "")
}

async fn same_token(scene: &Scene, shown: &Value, issued: &Value, what: &str) {
    let token = issued["access_token"].as_str().unwrap();
    let shown = &shown["access_token"];
    let said = if token.contains('.') {
        let (header, said) = crate::token::decode(token);
        assert_eq!(
            (&shown["format"], &shown["header"]),
            (&json!("jwt"), &header),
            "{what}"
        );
        said
    } else {
        assert_eq!(
            (&shown["format"], shown.get("header")),
            (&json!("opaque"), None),
            "{what}"
        );
        let form = [("token", token)];
        let answer = scene.server.post_as(&scene.api, "/oauth/introspect", &form);
        answer.await.body
    };
    assert_eq!(lasting(&shown["claims"]), lasting(&said), "{what}");
    let names = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&shown["claims"]), names(&shown["sources"]), "{what}");
}

async fn what_would_be_refused_says_why(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let app_of_people = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let service = server
        .client(AuthMethod::ClientSecretBasic, "read reports")
        .await;
    let public = server.register(ClientMetadata {
        grant_types: [].into(),
        redirect_uris: vec![],
        ..app(AuthMethod::None)
    });
    let public = public.await;
    let gone = person(server, "gone@example.com").await;
    let now = server.clock.now();
    server.records.accounts.disable(&gone, now).await.unwrap();
    let before = rows(&scene).await;
    for (client, arguments, expected) in [
        (
            &app_of_people,
            "--user alice@example.com --scope fly",
            "invalid_scope",
        ),
        (
            &app_of_people,
            "--user alice@example.com --resource https://unknown.example",
            "invalid_target",
        ),
        (
            &service,
            "--scope reports,read",
            "invalid_scope: the scopes belong to several resources",
        ),
        (&service, "--scope write", "invalid_scope"),
        (
            &app_of_people,
            "--grant authorization_code",
            "is a grant of people",
        ),
        (
            &service,
            "--user alice@example.com --grant client_credentials",
            "acts for itself",
        ),
        (&service, "--user alice@example.com", "unauthorized_client"),
        (&app_of_people, "", "unauthorized_client"),
        (&public, "", "unauthorized_client: a public client"),
        (
            &app_of_people,
            "--user alice@example.com --grant password",
            "unsupported_grant_type",
        ),
        (
            &app_of_people,
            "--user gone@example.com",
            "access_denied: the account is disabled",
        ),
        (
            &app_of_people,
            "--user nobody@example.com",
            "there is no account",
        ),
        (&app_of_people, "--grant magic", "not one of"),
    ] {
        let said = refused(stores, client, arguments);
        assert!(said.contains(expected), "{arguments}: {said}");
    }
    let unknown = TestClient {
        id: "nobody".into(),
        ..service
    };
    let said = refused(stores, &unknown, "");
    assert!(said.contains("there is no client"), "{said}");
    assert_eq!(rows(&scene).await, before, "nothing is written");
}

/// What is said of these arguments, which a blank divides; a comma stands for one within.
fn refused(stores: &Stores, client: &TestClient, arguments: &str) -> String {
    let arguments = arguments.split(' ').filter(|text| !text.is_empty());
    let arguments: Vec<_> = arguments.map(|text| text.replace(',', " ")).collect();
    let mut all = vec!["token", "preview", "--client", &client.id];
    all.extend(arguments.iter().map(String::as_str));
    let output = run(stores, &all, "");
    assert!(!output.status.success(), "{all:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn rows(scene: &Scene) -> Vec<i64> {
    let store = &scene.server.records.store;
    let mut rows = Vec::new();
    for table in [
        "access_tokens",
        "grants",
        "sessions",
        "changes",
        "revocations",
    ] {
        rows.push(count(store, table).await);
    }
    rows
}

async fn for_people_each_claim_says_where_it_comes_from(stores: &Stores) {
    let scene = Scene::set(stores).await;
    described(&scene).await;
    let before = rows(&scene).await;
    let client = scene
        .server
        .register(app(AuthMethod::ClientSecretBasic))
        .await;
    let arguments = [
        "token",
        "preview",
        "--client",
        &client.id,
        "--user",
        EMAIL,
        "--scope",
        "openid email read write",
    ];
    let shown = ran(stores, &arguments, "");
    for line in [
        "access token (a JWT)",
        "  department: \"Research\"   <- attribute:department",
        "  email: \"alice@example.com\"   <- profile:email, by the scope write",
        "  tenant: {\"id\":7}   <- constant",
        "  app: \"An app\"   <- client:client_name",
        "ID token (with at_hash)",
        "userinfo",
        "expires_in: 300",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    scene
        .server
        .change_resource(API, |changed| changed.token_format = TokenFormat::Opaque)
        .await;
    let shown = ran(stores, &arguments, "");
    assert!(shown.starts_with("access token (opaque:"), "{shown}");
    assert!(!shown.contains("oat_") && !shown.contains(REDIRECT));
    let after = rows(&scene).await;
    assert_eq!(after[0], before[0], "no token is kept");
    assert_eq!(after[1..3], before[1..3]);
    assert_eq!(
        claims(
            scene.tokens(&client, "reports").await["access_token"]
                .as_str()
                .unwrap()
        )["sub"],
        scene.account_id.as_str()
    );
}

async fn what_is_previewed_is_what_a_sign_in_at_the_page_brings(stores: &Stores) {
    let scene = Scene::set(stores).await;
    described(&scene).await;
    let server = &scene.server;
    server.person(browser::EMAIL).await;
    let client = server.register(app(AuthMethod::ClientSecretBasic)).await;
    let scope = "openid email read write";
    let asked = ["--client", &client.id, "--user", browser::EMAIL];
    let shown = preview(
        stores,
        &[&asked[..], &["--scope", scope, "--resource", API]].concat(),
    );
    let browser = Browser::new(server);
    let url = server.authorize_url(&client, &[("scope", scope), ("resource", API)]);
    let location = browser.sign_in_and_consent(url).await;
    let code = browser::code(&location);
    let form = code_form(&code).to_vec();
    let form = [form, vec![("resource", API)]].concat();
    let issued = ask(server, &client, &form).await;
    assert_eq!(issued.status, 200, "{}", issued.body);
    same_token(&scene, &shown, &issued.body, "by the page").await;
    let id_token = claims(issued.text("id_token"));
    assert!(id_token["acr"].is_string());
    assert_eq!(lasting(&shown["id_token"]["claims"]), lasting(&id_token));
}
