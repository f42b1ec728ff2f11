//! Clients that register themselves (RFC 7591, OpenID Connect Registration 1.0): who may, what they are told, and what is refused.

mod command_line;
mod managing;
mod permission;
mod refusals;
mod unused;

use std::sync::Arc;

use auth_server::config::{Config, RegistrationMode};
use reqwest::Method;
use serde_json::{Value, json};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, code, parameter};
use crate::person::{REDIRECT, Scene, code_form, post};
use crate::server::{API, Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7591_3_2_1_what_was_registered_is_told_and_works,
    rfc7591_2_what_is_left_out_has_its_default,
    rfc7591_2_2_names_in_other_languages_are_kept,
    a_person_signs_in_at_an_app_that_registered_itself,
    openid_registration_2_default_max_age_asks_for_a_fresh_sign_in,
    pages_of_any_origin_may_register,
    registrations_of_one_address_are_limited,
    it_is_announced_where_somebody_may_register,
);

pub(crate) const REGISTER: &str = "/oauth/register";

/// What an answer told of a client, and how to manage it.
pub(crate) struct Registered {
    pub(crate) client: TestClient,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) document: Value,
}

impl Registered {
    fn of(answer: Answer) -> Self {
        let secret = answer.body["client_secret"].as_str().unwrap_or_default();
        let client = TestClient {
            id: answer.text("client_id").to_owned(),
            secret: secret.to_owned(),
        };
        Self {
            client,
            url: answer.text("registration_client_uri").to_owned(),
            token: answer.text("registration_access_token").to_owned(),
            document: answer.body,
        }
    }
}

/// A server with two resources, whose clients may get `read` and `write`.
pub(crate) async fn server(stores: &Stores, change: impl FnOnce(&mut Config)) -> TestServer {
    let mut config = open(stores);
    change(&mut config);
    let server = TestServer::start_with(config, Arc::default()).await;
    server.with_resources(None).await
}

fn open(stores: &Stores) -> Config {
    let mut config = config(stores);
    config.registration.mode = Some(RegistrationMode::Open);
    config.registration.scopes = vec!["read".parse().unwrap(), "write".parse().unwrap()];
    config
}

/// Another node of that issuer, on the same stores.
pub(crate) async fn another(
    stores: &Stores,
    one: &TestServer,
    change: impl FnOnce(&mut Config),
) -> TestServer {
    let mut config = open(stores);
    change(&mut config);
    config.issuer = one.issuer.parse().unwrap();
    TestServer::start_with(config, one.clock.clone()).await
}

/// What a service registers.
pub(crate) fn service() -> Value {
    json!({"client_name": "A service", "grant_types": ["client_credentials"], "scope": "read"})
}

/// What an app registers that signs people in.
pub(crate) fn app() -> Value {
    json!({"client_name": "An app", "redirect_uris": [REDIRECT], "scope": "openid profile read",
        "grant_types": ["authorization_code", "refresh_token"], "id_token_signed_response_alg": "ES256"})
}

/// `document` with these members changed; those that are null go.
pub(crate) fn with(document: &Value, changes: &Value) -> Value {
    let mut members = document.as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        members.insert(name.clone(), value.clone());
    }
    members.retain(|_, value| !value.is_null());
    Value::Object(members)
}

impl TestServer {
    pub(crate) async fn post_json(&self, path: &str, body: &Value, token: Option<&str>) -> Answer {
        let request = self.http.post(format!("{}{path}", self.issuer)).json(body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        self.send(request).await
    }

    pub(crate) async fn registers(&self, body: &Value) -> Registered {
        let answer = self.post_json(REGISTER, body, None).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        Registered::of(answer)
    }

    /// A request to manage a client, by whatever node this is.
    pub(crate) fn managing(
        &self,
        method: Method,
        registered: &Registered,
        token: &str,
    ) -> reqwest::RequestBuilder {
        let url = format!("{}{REGISTER}/{}", self.issuer, registered.client.id);
        self.http.request(method, url).bearer_auth(token)
    }

    pub(crate) async fn reads(&self, registered: &Registered, token: &str) -> Answer {
        self.send(self.managing(Method::GET, registered, token))
            .await
    }

    pub(crate) async fn puts(
        &self,
        registered: &Registered,
        token: &str,
        changes: &Value,
    ) -> Answer {
        let id = json!({"client_id": registered.client.id});
        let body = with(changes, &id);
        self.send(self.managing(Method::PUT, registered, token).json(&body))
            .await
    }

    pub(crate) async fn deletes(&self, registered: &Registered, token: &str) -> Answer {
        self.send(self.managing(Method::DELETE, registered, token))
            .await
    }

    /// What it is answered with when it wants a token for itself.
    pub(crate) async fn wants_token(&self, client: &TestClient) -> Answer {
        let form = [("grant_type", "client_credentials"), ("resource", API)];
        self.post_as(client, "/oauth/token", &form).await
    }
}

async fn rfc7591_3_2_1_what_was_registered_is_told_and_works(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let body = json!({
        "client_name": "A service", "client_uri": "https://service.example/", "tos_uri": "https://service.example/tos",
        "policy_uri": "https://service.example/policy", "contacts": ["ops@service.example"],
        "grant_types": ["client_credentials"], "scope": "read write", "token_endpoint_auth_method": "client_secret_post",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R", "software_version": "2.1",
        "application_type": "web", "color": "red", "skip_consent": true, "subject_type": "public",
        "dpop_bound_access_tokens": false,
    });
    let answer = server.post_json(REGISTER, &body, None).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let registered = Registered::of(answer);
    let id = &registered.client.id;
    let url = format!("{}{REGISTER}/{id}", server.issuer);
    let expected = with(
        &body,
        &json!({"color": null, "skip_consent": null, "dpop_bound_access_tokens": null,
            "response_types": [], "client_id": id, "client_id_issued_at": server.clock.now().as_secs(),
            "client_secret": registered.client.secret, "client_secret_expires_at": 0,
            "registration_access_token": registered.token, "registration_client_uri": url}),
    );
    assert_eq!(registered.document, expected);

    let form = [
        ("grant_type", "client_credentials"),
        ("resource", API),
        ("client_id", id),
        ("client_secret", &registered.client.secret),
    ];
    let answer = server.send(server.form("/oauth/token", &form)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.text("scope"), "read write");
    let other = server.registers(&body).await;
    assert_ne!(other.client.id, registered.client.id);
    assert_ne!(other.client.secret, registered.client.secret);
    assert_ne!(other.token, registered.token);
}

async fn rfc7591_2_what_is_left_out_has_its_default(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let least = json!({"redirect_uris": [REDIRECT], "id_token_signed_response_alg": "ES256"});
    let document = server.registers(&least).await.document;
    for (name, value) in [
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("application_type", json!("web")),
        (
            "scope",
            json!("address email offline_access openid phone profile read write"),
        ),
    ] {
        assert_eq!(document[name], value, "{name}");
    }
    // What a client on a device sends that knows RFC 7591 alone.
    let native = with(
        &least,
        &json!({"redirect_uris": ["http://localhost:33418/", "http://127.0.0.1/"], "token_endpoint_auth_method": "none"}),
    );
    let document = server.registers(&native).await.document;
    assert_eq!(document["application_type"], "native");
    for absent in ["client_secret", "client_secret_expires_at"] {
        assert_eq!(document.get(absent), None);
    }
}

async fn rfc7591_2_2_names_in_other_languages_are_kept(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let names = json!({"client_name#de": "Dienst", "client_name#ja-Jpan-JP": "\u{30af}\u{30e9}\u{30a4}\u{30a2}\u{30f3}\u{30c8}",
        "tos_uri#fr": "https://service.example/conditions"});
    let registered = server.registers(&with(&service(), &names)).await;
    let read = server.reads(&registered, &registered.token).await;
    for (name, value) in names.as_object().unwrap() {
        assert_eq!(registered.document[name], *value);
        assert_eq!(read.body[name], *value);
    }
    let changed = server
        .puts(&registered, &registered.token, &service())
        .await;
    assert_eq!(changed.body.get("client_name#de"), None, "left out");
}

async fn a_person_signs_in_at_an_app_that_registered_itself(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    server.person(EMAIL).await;
    let app = server.registers(&app()).await;
    let browser = Browser::new(&server);
    let url = server.authorize_url(&app.client, &[("scope", "openid read")]);
    let code = code(&browser.sign_in_and_consent(url).await);
    let tokens = post(&server, &app.client, "/oauth/token", &code_form(&code)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert!(tokens.body["id_token"].is_string());
}

async fn openid_registration_2_default_max_age_asks_for_a_fresh_sign_in(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    server.person(EMAIL).await;
    let fresh = with(
        &app(),
        &json!({"default_max_age": 60, "require_auth_time": true}),
    );
    let (patient, fresh) = (
        server.registers(&app()).await,
        server.registers(&fresh).await,
    );
    assert_eq!(fresh.document["default_max_age"], 60);
    let browser = Browser::new(&server);
    for app in [&patient, &fresh] {
        let url = server.authorize_url(&app.client, &[("scope", "openid read")]);
        code(&browser.sign_in_and_consent(url).await);
    }
    let silent = async |app: &Registered, changes: &[(&str, &str)]| {
        let changes = [changes, &[("prompt", "none"), ("scope", "openid read")]].concat();
        let page = browser.get(server.authorize_url(&app.client, &changes));
        let location = page.await.location();
        parameter(&location, "error")
    };
    server.clock.advance(std::time::Duration::from_secs(61));
    let login_required = Some("login_required".to_owned());
    assert_eq!(silent(&patient, &[]).await, None);
    assert_eq!(silent(&fresh, &[]).await, login_required);
    assert_eq!(silent(&fresh, &[("max_age", "600")]).await, None);
}

async fn pages_of_any_origin_may_register(stores: &Stores) {
    let server = server(stores, |_| {}).await;
    let url = format!("{}{REGISTER}", server.issuer);
    let asked = |method| server.http.request(method, &url);
    let page = asked(Method::OPTIONS)
        .header("origin", "https://anywhere.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type");
    let preflight = server.send(page).await;
    assert_eq!(preflight.status, 204);
    for (body, status) in [(service(), 201), (json!({}), 400)] {
        let page = asked(Method::POST)
            .header("origin", "https://anywhere.example")
            .json(&body);
        let answer = server.send(page).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let credentials = answer.headers.get("access-control-allow-credentials");
        assert_eq!(credentials, None);
    }
}

async fn registrations_of_one_address_are_limited(stores: &Stores) {
    let server = server(stores, |config| config.registration.rate.requests = 3).await;
    let registered = server.registers(&service()).await;
    let changed = server
        .puts(&registered, &registered.token, &service())
        .await;
    assert_eq!(changed.status, 200);
    // Refusals count too.
    let refused = server.post_json(REGISTER, &json!({}), None).await;
    assert_eq!(refused.status, 400);
    for answer in [
        server.post_json(REGISTER, &service(), None).await,
        server
            .puts(&registered, &registered.token, &service())
            .await,
        server.deletes(&registered, &registered.token).await,
    ] {
        assert_eq!(answer.error(), (429, "temporarily_unavailable"));
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        assert!(answer.header("ratelimit").starts_with("\"registration\""));
    }
    let read = server.reads(&registered, &registered.token).await;
    assert_eq!(read.status, 200, "which writes nothing");
    server.clock.advance(std::time::Duration::from_hours(1));
    server.registers(&service()).await;
}

async fn it_is_announced_where_somebody_may_register(stores: &Stores) {
    let mut first = None;
    for (mode, is_offered) in [
        (RegistrationMode::Open, true),
        (RegistrationMode::Token, true),
        (RegistrationMode::Closed, false),
    ] {
        let server = server(stores, |config| config.registration.mode = Some(mode)).await;
        let announced = format!("{}{REGISTER}", server.issuer);
        let announced = is_offered.then_some(announced);
        for path in [
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
        ] {
            let metadata = server.get(path).await.body;
            let endpoint = metadata["registration_endpoint"].as_str();
            assert_eq!(endpoint, announced.as_deref(), "{mode:?} {path}");
        }
        let described = server.get("/openapi.json").await.body;
        let is_described = described["paths"].get(REGISTER).is_some();
        assert_eq!(is_described, is_offered);
        let one = &described["paths"]["/oauth/register/{client_id}"];
        assert!(one["get"].is_object() && one["put"].is_object() && one["delete"].is_object());
        let answer = server.post_json(REGISTER, &service(), None).await;
        let expected = match mode {
            RegistrationMode::Open => 201,
            RegistrationMode::Token => 401,
            RegistrationMode::Closed => 404,
        };
        assert_eq!(answer.status, expected, "{mode:?} {}", answer.body);
        // Who registered before it was closed still manages itself.
        let first = first.get_or_insert_with(|| Registered::of(answer));
        let read = server.reads(first, &first.token).await;
        assert_eq!(read.status, 200, "{mode:?} {}", read.body);
    }
}

/// A person, an API that introspects, and an app that registered itself.
pub(crate) async fn scene(stores: &Stores) -> (Scene, Registered) {
    let scene = Scene::on(TestServer::start_with(open(stores), Arc::default()).await).await;
    let public = with(&app(), &json!({"token_endpoint_auth_method": "none"}));
    let app = scene.server.registers(&public).await;
    (scene, app)
}
