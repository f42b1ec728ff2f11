//! What is told of people (OpenID Connect Core §5): by scope, and claim by claim.

use auth_server::accounts::AccountId;
use auth_server::accounts::profile::Profile;
use auth_server::clients::AuthMethod;
use serde_json::{Map, Value, json};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::{Scene, app, ask, claims, code_form, refresh_form, userinfo};
use crate::server::{Answer, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    oidc_core_5_4_each_scope_brings_its_claims,
    oidc_core_5_5_claims_asked_for_one_by_one_are_shown_and_told,
    oidc_core_5_5_no_more_is_told_than_the_client_registered,
    oidc_core_5_5_consent_is_asked_again_when_more_is_asked_for,
    oidc_core_5_5_1_a_value_for_sub_is_the_person_or_nobody,
    oidc_core_5_5_what_is_no_request_is_refused,
    oidc_core_12_2_a_refresh_tells_what_is_known_then,
    oidc_discovery_3_claims_supported_are_those_that_are_told,
);

/// Something for every claim.
pub(crate) fn profile() -> Value {
    json!({
        "given_name": "Ada", "family_name": "Lovelace", "middle_name": "King", "nickname": "Enchantress",
        "preferred_username": "ada", "profile": "https://people.example/ada", "picture": "https://people.example/ada.png",
        "website": "https://ada.example", "gender": "female", "birthdate": "1815-12-10", "zoneinfo": "Europe/London",
        "locale": "en-GB", "phone_number": "+442012345678", "phone_number_verified": true,
        "address": {"street_address": "12 St James's Square", "locality": "London", "country": "England"},
    })
}

/// Has a person known so, by the name of Ada.
pub(crate) async fn know(server: &TestServer, id: &AccountId, profile: Value) {
    let profile: Profile = serde_json::from_value(profile).unwrap();
    let (accounts, now) = (&server.records.accounts, server.clock.now());
    let known = (Some("Ada"), &profile);
    accounts.set_profile(id, known, now).await.unwrap();
}

/// An app that may ask for anything.
async fn curious(server: &TestServer) -> TestClient {
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    let scope = "openid profile email address phone offline_access read";
    metadata.scope = scope.parse().unwrap();
    server.register(metadata).await
}

/// The tokens of a request with these changes, and the page on which the person agreed, if they were asked.
async fn journey(
    browser: &Browser<'_>,
    server: &TestServer,
    client: &TestClient,
    changes: &[(&str, &str)],
) -> (Answer, Option<String>) {
    let mut page = browser.open(server.authorize_url(client, changes)).await;
    if page.has("sign-in") {
        page = browser
            .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
            .await;
    }
    let shown = page.has("consent").then(|| page.body.clone());
    if shown.is_some() {
        page = browser.decide(&page, "approve").await;
    }
    let answer = ask(server, client, &code_form(&code(&page.location()))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    (answer, shown)
}

/// A server with a person of whom everything is known.
async fn started(stores: &Stores) -> TestServer {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let id = server.person(EMAIL).await;
    know(&server, &id, profile()).await;
    server
}

async fn oidc_core_5_4_each_scope_brings_its_claims(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let now = scene.server.clock.now().as_secs();
    know(&scene.server, &scene.account_id, profile()).await;
    let client = curious(&scene.server).await;
    let known = profile();
    let of = |names: &[&str]| -> Map<String, Value> {
        let member = |name: &&str| ((*name).to_owned(), known[*name].clone());
        names.iter().map(member).collect()
    };
    let mut of_profile = of(&[
        "given_name",
        "family_name",
        "middle_name",
        "nickname",
        "preferred_username",
        "profile",
        "picture",
        "website",
        "gender",
        "birthdate",
        "zoneinfo",
        "locale",
    ]);
    of_profile.insert("name".into(), "Ada".into());
    let mut of_email = Map::new();
    of_email.insert("email".into(), "alice@example.com".into());
    of_email.insert("email_verified".into(), true.into());
    for (scope, expected) in [
        ("openid", Map::new()),
        ("openid profile", of_profile),
        ("openid email", of_email),
        ("openid address", of(&["address"])),
        (
            "openid phone",
            of(&["phone_number", "phone_number_verified"]),
        ),
    ] {
        let tokens = scene.tokens(&client, scope).await;
        let id_token = claims(tokens["id_token"].as_str().unwrap());
        assert!(id_token.get("name").is_none(), "by userinfo: {scope}");
        let answer = scene
            .userinfo(tokens["access_token"].as_str().unwrap())
            .await;
        let mut told = answer.body.as_object().unwrap().clone();
        assert_eq!(
            told.remove("sub"),
            Some(scene.account_id.to_string().into())
        );
        let updated_at = told.remove("updated_at");
        assert_eq!(updated_at.is_some(), scope.contains("profile"), "{scope}");
        if let Some(at) = updated_at {
            assert!((now - 1..=now + 5).contains(&at.as_i64().unwrap()));
        }
        assert_eq!(told, expected, "{scope}");
    }
    // OpenID Connect Core §5.3.2: what nothing is known of is left out, and not null or empty.
    know(&scene.server, &scene.account_id, json!({})).await;
    let tokens = scene.tokens(&client, "openid profile address phone").await;
    let answer = scene
        .userinfo(tokens["access_token"].as_str().unwrap())
        .await;
    let names: Vec<_> = answer.body.as_object().unwrap().keys().collect();
    assert_eq!(names, ["name", "sub", "updated_at"]);
}

async fn oidc_core_5_5_claims_asked_for_one_by_one_are_shown_and_told(stores: &Stores) {
    let server = started(stores).await;
    let client = curious(&server).await;
    let browser = Browser::new(&server);
    let asked = r#"{"userinfo": {"nickname": {"essential": true}, "family_name#fr": null, "email": null, "shoe_size": null},
        "id_token": {"email": {"value": "somebody@example.com"}, "auth_time": {"essential": true}, "birthdate": null}}"#;
    let changes = [("claims", asked), ("scope", "openid email")];
    let (answer, shown) = journey(&browser, &server, &client, &changes).await;
    let shown = shown.unwrap();
    for (says, is_shown) in [
        ("data-scope=\"email\">See your email address<", true),
        ("data-scope=\"nickname\">See your nickname<", true),
        ("data-scope=\"family_name\">See your family name<", true),
        ("data-scope=\"birthdate\">See your birth date<", true),
        ("See your profile", false),
        ("shoe_size", false),
    ] {
        assert_eq!(shown.contains(says), is_shown, "{says}: {shown}");
    }
    let in_scope = shown.matches("See your email address<").count();
    assert_eq!(in_scope, 1, "what a scope brings is said once");
    let id_token = claims(answer.text("id_token"));
    // The truth, whatever value was asked for.
    assert_eq!(id_token["email"], EMAIL);
    assert_eq!(id_token["birthdate"], "1815-12-10");
    assert!(id_token["auth_time"].is_i64());
    for other in ["nickname", "family_name", "email_verified", "name"] {
        assert!(id_token.get(other).is_none(), "{other}");
    }
    let told = userinfo(&server, answer.text("access_token")).await.body;
    let names: Vec<_> = told.as_object().unwrap().keys().collect();
    let expected = ["email", "email_verified", "family_name", "nickname", "sub"];
    assert_eq!(names, expected);
    assert_eq!(told["family_name"], "Lovelace");
    server.stop().await;
}

async fn oidc_core_5_5_no_more_is_told_than_the_client_registered(stores: &Stores) {
    let server = started(stores).await;
    let mut metadata = app(AuthMethod::ClientSecretBasic);
    metadata.scope = "openid email read".parse().unwrap();
    let client = server.register(metadata.clone()).await;
    let browser = Browser::new(&server);
    let asked = r#"{"userinfo": {"birthdate": {"essential": true}, "email": null}, "id_token": {"phone_number": null, "email": null}}"#;
    let changes = [("claims", asked), ("scope", "openid")];
    let (answer, shown) = journey(&browser, &server, &client, &changes).await;
    let shown = shown.unwrap();
    assert!(shown.contains("See your email address"));
    assert!(!shown.contains("birth date") && !shown.contains("phone"));
    let id_token = claims(answer.text("id_token"));
    assert_eq!(id_token["email"], EMAIL);
    assert!(id_token.get("phone_number").is_none());
    let told = userinfo(&server, answer.text("access_token")).await.body;
    assert_eq!(told["email"], EMAIL);
    assert!(told.get("birthdate").is_none());

    // A scope that is taken away takes the claim with it, from what was granted too.
    metadata.scope = "openid read".parse().unwrap();
    let id = client.id.parse().unwrap();
    let less = auth_server::clients::Client::new(id, metadata, Vec::new()).unwrap();
    let clients = &server.records.clients;
    clients.put(&less, None, server.clock.now()).await.unwrap();
    let told = userinfo(&server, answer.text("access_token")).await.body;
    assert!(told.get("email").is_none());
    let again = refresh_form(answer.text("refresh_token"));
    let refreshed = ask(&server, &client, &again).await;
    assert!(
        claims(refreshed.text("id_token")).get("email").is_none(),
        "in a new ID token too"
    );

    // Without openid, nothing about people is asked.
    let other = curious(&server).await;
    let changes = [("claims", asked), ("scope", "email read")];
    let (answer, shown) = journey(&browser, &server, &other, &changes).await;
    assert!(!shown.unwrap().contains("birth date"));
    assert!(answer.body.get("id_token").is_none());
    server.stop().await;
}

async fn oidc_core_5_5_consent_is_asked_again_when_more_is_asked_for(stores: &Stores) {
    let server = started(stores).await;
    let client = curious(&server).await;
    let browser = Browser::new(&server);
    let nickname = r#"{"userinfo": {"nickname": null}}"#;
    let elsewhere = r#"{"id_token": {"nickname": null}}"#;
    let both = r#"{"userinfo": {"nickname": null, "birthdate": null}}"#;
    for (what, scope, asked, is_asked) in [
        ("first", "openid", nickname, true),
        ("the same", "openid", nickname, false),
        ("the same, told elsewhere", "openid", elsewhere, false),
        ("less", "openid", "", false),
        ("more", "openid", both, true),
        ("both again", "openid", both, false),
        ("the whole scope", "openid profile", nickname, true),
        (
            "of a scope that was agreed to",
            "openid",
            r#"{"id_token": {"gender": null}}"#,
            false,
        ),
        (
            "of another",
            "openid",
            r#"{"id_token": {"address": null}}"#,
            true,
        ),
    ] {
        let changes = [("claims", asked), ("scope", scope)];
        let (_, shown) = journey(&browser, &server, &client, &changes).await;
        assert_eq!(shown.is_some(), is_asked, "{what}");
    }
    let silently = [
        ("claims", r#"{"userinfo": {"phone_number": null}}"#),
        ("scope", "openid"),
        ("prompt", "none"),
    ];
    let page = browser.open(server.authorize_url(&client, &silently)).await;
    let error = parameter(&page.location(), "error");
    assert_eq!(error.as_deref(), Some("consent_required"));
    server.stop().await;
}

async fn oidc_core_5_5_1_a_value_for_sub_is_the_person_or_nobody(stores: &Stores) {
    let server = started(stores).await;
    let client = curious(&server).await;
    let browser = Browser::new(&server);
    let scope = ("scope", "openid");
    let (answer, _) = journey(&browser, &server, &client, &[scope]).await;
    let sub = claims(answer.text("id_token"))["sub"].clone();
    let other = server.person("bob@example.com").await;
    let other = other.as_str();
    for (what, asked, fits) in [
        (
            "the person",
            json!({"id_token": {"sub": {"value": sub}}}),
            true,
        ),
        (
            "one of several",
            json!({"id_token": {"sub": {"values": [other, sub]}}}),
            true,
        ),
        (
            "at userinfo",
            json!({"userinfo": {"sub": {"value": sub}}}),
            true,
        ),
        ("any", json!({"id_token": {"sub": null}}), true),
        (
            "another",
            json!({"id_token": {"sub": {"value": other}}}),
            false,
        ),
        (
            "another at userinfo",
            json!({"userinfo": {"sub": {"value": other}}}),
            false,
        ),
        (
            "two who differ",
            json!({"id_token": {"sub": {"value": sub}}, "userinfo": {"sub": {"value": other}}}),
            false,
        ),
        (
            "nobody",
            json!({"id_token": {"sub": {"value": "nobody"}}}),
            false,
        ),
    ] {
        let asked = asked.to_string();
        let changes = [("claims", asked.as_str()), scope, ("prompt", "none")];
        let page = browser.open(server.authorize_url(&client, &changes)).await;
        let error = parameter(&page.location(), "error");
        let expected = (!fits).then_some("login_required");
        assert_eq!(error.as_deref(), expected, "{what}");
        // Where a page may be shown, whoever is meant may sign in; if another does, the client is told.
        if !fits {
            let page = browser
                .open(server.authorize_url(&client, &changes[..2]))
                .await;
            assert!(page.has("sign-in"), "{what}: {}", page.body);
            let password = crate::browser::PASSWORD;
            let page = browser.sign_in_as(&page, EMAIL, password).await;
            let error = parameter(&page.location(), "error");
            assert_eq!(error.as_deref(), Some("login_required"), "{what}");
        }
    }
    server.stop().await;
}

async fn oidc_core_5_5_what_is_no_request_is_refused(stores: &Stores) {
    let server = started(stores).await;
    let client = curious(&server).await;
    let browser = Browser::new(&server);
    let long = format!(r#"{{"x": "{}"}}"#, "x".repeat(5000));
    let deep = format!(r#"{{"userinfo": {{"name": {{"value": {}"#, "[".repeat(500));
    for raw in [
        "x",
        "[]",
        r#"{"userinfo": 1}"#,
        r#"{"id_token": {"name": true}}"#,
        r#"{"id_token": {"name": null, "name": null}}"#,
        r#"{"id_token": {"sub": {"value": {}}}}"#,
        &long,
        &deep,
    ] {
        let url = server.authorize_url(&client, &[("claims", raw), ("scope", "openid")]);
        let location = browser.get(url).await.location();
        let error = parameter(&location, "error");
        assert_eq!(error.as_deref(), Some("invalid_request"), "{raw:.40}");
        let told = parameter(&location, "error_description").unwrap();
        assert!(told.contains("claims"), "{told}");
    }
    let mut url: url::Url = server
        .authorize_url(&client, &[("claims", "{}")])
        .parse()
        .unwrap();
    url.query_pairs_mut().append_pair("claims", "{}");
    let location = browser.get(url).await.location();
    let error = parameter(&location, "error");
    assert_eq!(error.as_deref(), Some("invalid_request"), "twice");
    server.stop().await;
}

async fn oidc_core_12_2_a_refresh_tells_what_is_known_then(stores: &Stores) {
    let server = started(stores).await;
    for method in [AuthMethod::ClientSecretBasic, AuthMethod::None] {
        let client = server.register(app(method)).await;
        let browser = Browser::new(&server);
        let asked = r#"{"id_token": {"nickname": null}}"#;
        let changes = [("claims", asked), ("scope", "openid offline_access")];
        let (answer, _) = journey(&browser, &server, &client, &changes).await;
        let mut refresh = answer.text("refresh_token").to_owned();
        let id = claims(answer.text("id_token"))["sub"].clone();
        let id: AccountId = id.as_str().unwrap().parse().unwrap();
        for nickname in ["Addie", "The Enchantress"] {
            know(&server, &id, json!({ "nickname": nickname })).await;
            let answer = ask(&server, &client, &refresh_form(&refresh)).await;
            assert_eq!(
                claims(answer.text("id_token"))["nickname"],
                nickname,
                "{method:?}"
            );
            if let Some(next) = answer.body["refresh_token"].as_str() {
                next.clone_into(&mut refresh);
            }
        }
        know(&server, &id, json!({})).await;
        let answer = ask(&server, &client, &refresh_form(&refresh)).await;
        assert!(claims(answer.text("id_token")).get("nickname").is_none());
    }
    server.stop().await;
}

async fn oidc_discovery_3_claims_supported_are_those_that_are_told(stores: &Stores) {
    let server = started(stores).await;
    let client = curious(&server).await;
    let browser = Browser::new(&server);
    let changes = [
        ("scope", "openid profile email address phone"),
        ("nonce", "n"),
    ];
    let (answer, _) = journey(&browser, &server, &client, &changes).await;
    let id_token = claims(answer.text("id_token"));
    let told = userinfo(&server, answer.text("access_token")).await.body;
    let mut names: Vec<_> = [&id_token, &told]
        .into_iter()
        .flat_map(|claims| claims.as_object().unwrap().keys())
        .collect();
    names.sort();
    names.dedup();
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    let mut supported: Vec<String> =
        serde_json::from_value(metadata["claims_supported"].clone()).unwrap();
    supported.sort();
    assert_eq!(names, supported.iter().collect::<Vec<_>>());
    assert_eq!(metadata["claims_parameter_supported"], true);
    server.stop().await;
}
