//! The device authorization grant (RFC 8628).

mod page;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::AccountId;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::Config;
use serde_json::{Value, json};
use shared_protocol::jose::Algorithm;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page};
use crate::introspection::eventually;
use crate::person::{self, claims, is_active, post, refresh_form};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8628_3_a_device_is_let_in,
    rfc8628_3_1_what_is_refused,
    rfc8628_3_1_who_may_ask_and_who_registers_for_it,
    rfc8628_3_5_what_a_device_is_told,
    rfc8628_3_5_a_device_that_asks_too_often_waits_longer_each_time,
    rfc8628_3_5_whose_device_code_it_is,
    threat_6_of_200_polls_one_gets_tokens,
    threat_6_a_second_use_revokes_what_the_first_brought_at_any_later_time,
    threat_9_no_more_is_issued_than_was_approved,
    threat_34_nothing_comes_of_what_was_ended_before_the_device_asked,
    offline_access_outlives_the_session_and_nothing_else_does,
    threat_30_how_many_devices_may_wait,
);

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
pub(crate) const PATH: &str = "/oauth/device_authorization";

pub(crate) fn television() -> ClientMetadata {
    let scope = "openid profile offline_access read write reports";
    let mut metadata = TestServer::metadata(AuthMethod::None, scope);
    metadata.client_name = Some("A television".into());
    metadata.grant_types = BTreeSet::from([GrantType::DeviceCode, GrantType::RefreshToken]);
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    metadata
}

/// A server with a person, a device, and an API that introspects.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) api: TestClient,
    pub(crate) account_id: AccountId,
    pub(crate) device: TestClient,
}

/// What a device was given.
pub(crate) struct Asked {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
    pub(crate) body: Value,
}

impl Scene {
    pub(crate) async fn set(stores: &Stores) -> Self {
        Self::on(config(stores)).await
    }

    pub(crate) async fn on(config: Config) -> Self {
        let server = TestServer::start_with(config, Arc::default()).await;
        let api = server.client(AuthMethod::ClientSecretBasic, "").await;
        let server = server.with_resources(Some(&api)).await;
        let account_id = server.person(EMAIL).await;
        let device = server.register(television()).await;
        Self {
            server,
            api,
            account_id,
            device,
        }
    }

    pub(crate) async fn try_begin(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        post(&self.server, client, PATH, form).await
    }

    pub(crate) async fn begin(&self, scope: &str) -> Asked {
        let answer = self.try_begin(&self.device, &[("scope", scope)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        Asked {
            device_code: answer.text("device_code").into(),
            user_code: answer.text("user_code").into(),
            body: answer.body,
        }
    }

    pub(crate) async fn poll_with(
        &self,
        client: &TestClient,
        device_code: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        poll_at(&self.server, client, device_code, more).await
    }

    pub(crate) async fn poll(&self, asked: &Asked) -> Answer {
        self.poll_with(&self.device, &asked.device_code, &[]).await
    }

    pub(crate) async fn is_active(&self, token: &str) -> bool {
        is_active(&self.server, &self.api, token).await
    }

    /// A browser at which the person has signed in and may type a code.
    pub(crate) async fn browser(&self) -> Browser<'_> {
        browser(&self.server).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.issuer)
    }

    /// The person types the code, and sees what it is for.
    pub(crate) async fn enter(&self, browser: &Browser<'_>, user_code: &str) -> Page {
        enter((&self.server, browser), user_code).await
    }

    pub(crate) async fn decide(&self, asked: &Asked, decision: &str) {
        decide(&self.server, &asked.user_code, decision).await;
    }
}

async fn browser(server: &TestServer) -> Browser<'_> {
    let browser = Browser::new(server);
    let page = browser.open(format!("{}/device", server.issuer)).await;
    let page = browser.sign_in_as(&page, EMAIL, PASSWORD).await;
    assert!(page.has("enter-code"), "{page:?}");
    browser
}

async fn enter((server, browser): (&TestServer, &Browser<'_>), user_code: &str) -> Page {
    let page = browser.open(format!("{}/device", server.issuer)).await;
    let form = typed(&page, user_code);
    let answer = browser.post(page.action("enter-code"), &form).await;
    browser.follow(answer).await
}

/// [`EMAIL`] decides of a device.
pub(crate) async fn decide(server: &TestServer, user_code: &str, decision: &str) {
    let browser = browser(server).await;
    let page = enter((server, &browser), user_code).await;
    let page = browser
        .post(page.action("consent"), &decided(&page, decision))
        .await;
    let id = if decision == "approve" {
        "device-approved"
    } else {
        "device-denied"
    };
    assert!(page.has(id), "{page:?}");
}

pub(crate) async fn poll_at(
    server: &TestServer,
    client: &TestClient,
    device_code: &str,
    more: &[(&str, &str)],
) -> Answer {
    let mut form = vec![("grant_type", GRANT), ("device_code", device_code)];
    form.extend(more);
    post(server, client, "/oauth/token", &form).await
}

/// What the person would post from the page on which codes are typed.
pub(crate) fn typed(page: &Page, user_code: &str) -> Vec<(String, String)> {
    [
        ("csrf", page.input("csrf")),
        ("user_code", user_code.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// And from the one that shows the device.
pub(crate) fn decided(page: &Page, decision: &str) -> Vec<(String, String)> {
    [
        ("user_code", page.input("user_code")),
        ("csrf", page.input("csrf")),
        ("decision", decision.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

async fn rfc8628_3_a_device_is_let_in(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("openid read offline_access").await;
    let (issuer, user_code) = (&scene.server.issuer, &asked.user_code);
    assert_eq!(asked.device_code.len(), 43);
    assert_eq!(
        asked.body,
        json!({
            "device_code": asked.device_code,
            "user_code": user_code,
            "verification_uri": format!("{issuer}/device"),
            "verification_uri_complete": format!("{issuer}/device?user_code={user_code}"),
            "verification_uri_qr": format!("{issuer}/device/qr/{user_code}"),
            "expires_in": 600,
            "interval": 5,
        })
    );
    let pending = scene.poll(&asked).await;
    assert_eq!(pending.error(), (400, "authorization_pending"));
    assert_eq!(pending.header("cache-control"), "no-store");
    scene.decide(&asked, "approve").await;
    let answer = scene.poll(&asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.body["scope"], "offline_access openid read");
    let (access, id_token) = (answer.text("access_token"), answer.text("id_token"));
    let token = claims(access);
    assert_eq!(token["aud"], API);
    assert_eq!(token["client_id"], scene.device.id);
    assert_eq!(token["amr"], json!(["pwd"]));
    assert_eq!(token["acr"], "https://refeds.org/profile/sfa");
    let told = claims(id_token);
    assert_eq!(told["aud"], scene.device.id);
    assert_eq!(told["sub"], token["sub"]);
    for claim in ["auth_time", "amr", "acr"] {
        assert_eq!(told[claim], token[claim], "{claim}");
    }
    assert!(told["nonce"].is_null() && told["sid"].is_string());
    assert!(scene.is_active(access).await);
    assert_eq!(person::userinfo(&scene.server, access).await.status, 200);
    let form = refresh_form(answer.text("refresh_token"));
    let refreshed = post(&scene.server, &scene.device, "/oauth/token", &form).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    scene.server.stop().await;
}

async fn rfc8628_3_1_what_is_refused(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut album = television();
    album.authorization_details_types = vec!["album".parse().unwrap()];
    let album = scene.server.register(album).await;
    let schema = crate::authorization_details::album_schema();
    scene.server.put_details_type("album", API, schema).await;
    let long = format!(r#"[{{"type":"album","album":"{}"}}]"#, "x".repeat(17_000));
    for (what, client, form, expected) in [
        (
            "a scope of others",
            &scene.device,
            &[("scope", "openid email")][..],
            (400, "invalid_scope"),
        ),
        (
            "an unknown scope",
            &scene.device,
            &[("scope", "fly")],
            (400, "invalid_scope"),
        ),
        (
            "a malformed scope",
            &scene.device,
            &[("scope", "\"")],
            (400, "invalid_scope"),
        ),
        (
            "scope twice",
            &scene.device,
            &[("scope", "read"), ("scope", "read")],
            (400, "invalid_request"),
        ),
        (
            "an unknown resource",
            &scene.device,
            &[("scope", "read"), ("resource", "https://x.example")],
            (400, "invalid_target"),
        ),
        (
            "a malformed resource",
            &scene.device,
            &[("scope", "read"), ("resource", "x")],
            (400, "invalid_target"),
        ),
        (
            "scopes that belong to none of what is named",
            &scene.device,
            &[("scope", "read"), ("resource", OTHER_API)],
            (400, "invalid_scope"),
        ),
        (
            "details that are not registered",
            &scene.device,
            &[("authorization_details", r#"[{"type":"album"}]"#)],
            (400, "invalid_authorization_details"),
        ),
        (
            "details that are none",
            &album,
            &[("authorization_details", "{")],
            (400, "invalid_authorization_details"),
        ),
        (
            "details that are too long",
            &album,
            &[("authorization_details", &long)],
            (400, "invalid_authorization_details"),
        ),
        (
            "nobody",
            &TestClient {
                id: "nobody".into(),
                secret: String::new(),
            },
            &[("scope", "read")],
            (401, "invalid_client"),
        ),
    ] {
        let answer = scene.try_begin(client, form).await;
        assert_eq!(answer.error(), expected, "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    }
    // Several resources may be named, as at the authorization endpoint.
    let both = [
        ("scope", "read reports"),
        ("resource", API),
        ("resource", OTHER_API),
    ];
    assert_eq!(scene.try_begin(&scene.device, &both).await.status, 200);
    let get = scene.server.get(PATH).await;
    assert_eq!(get.status, 405);
    scene.server.stop().await;
}

async fn rfc8628_3_1_who_may_ask_and_who_registers_for_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let without = server.register(person::app(AuthMethod::None)).await;
    let refused = scene.try_begin(&without, &[("scope", "read")]).await;
    assert_eq!(refused.error(), (400, "unauthorized_client"));
    let refused = scene.poll_with(&without, "x", &[]).await;
    assert_eq!(refused.error(), (400, "unauthorized_client"));
    // Who can prove who it is has to, and otherwise is as good.
    let mut confidential = television();
    confidential.token_endpoint_auth_method = AuthMethod::ClientSecretBasic;
    let confidential = server.register(confidential).await;
    let answer = scene.try_begin(&confidential, &[("scope", "read")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let unproven = TestClient {
        secret: String::new(),
        ..confidential
    };
    let refused = scene.try_begin(&unproven, &[("scope", "read")]).await;
    assert_eq!(refused.error(), (401, "invalid_client"));
    // A stranger's device needs no redirect URIs.
    let members = json!({"grant_types": [GRANT, "refresh_token"], "token_endpoint_auth_method": "none",
        "client_name": "A kettle", "id_token_signed_response_alg": "ES256"});
    let url = format!("{}/oauth/register", server.issuer);
    let registered = server.send(server.http.post(&url).json(&members)).await;
    assert_eq!(registered.status, 201, "{}", registered.body);
    assert_eq!(
        registered.body["grant_types"],
        json!(["refresh_token", GRANT])
    );
    let kettle = TestClient {
        id: registered.text("client_id").into(),
        secret: String::new(),
    };
    let answer = scene.try_begin(&kettle, &[("scope", "openid")]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let redirects = json!({"grant_types": [GRANT], "redirect_uris": ["https://a.example/cb"],
        "id_token_signed_response_alg": "ES256"});
    let refused = server.send(server.http.post(&url).json(&redirects)).await;
    assert_eq!(refused.error(), (400, "invalid_redirect_uri"));
    scene.server.stop().await;
}

async fn rfc8628_3_5_what_a_device_is_told(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (clock, device) = (&scene.server.clock, &scene.device);
    // Nothing that a poll gets wrong is the end of it.
    let asked = scene.begin("read reports").await;
    scene.decide(&asked, "approve").await;
    for (what, form, expected) in [
        (
            "an unknown resource",
            &[("resource", "https://x.example")][..],
            "invalid_target",
        ),
        (
            "two resources",
            &[("resource", API), ("resource", OTHER_API)],
            "invalid_target",
        ),
        (
            "details that nobody allowed",
            &[
                ("resource", API),
                ("authorization_details", r#"[{"type":"album"}]"#),
            ],
            "invalid_authorization_details",
        ),
    ] {
        let answer = scene.poll_with(device, &asked.device_code, form).await;
        assert_eq!(answer.error(), (400, expected), "{what}: {}", answer.body);
    }
    let form = [("resource", OTHER_API)];
    let answer = scene.poll_with(device, &asked.device_code, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(claims(answer.text("access_token"))["aud"], OTHER_API);
    assert_eq!(answer.body["scope"], "reports");

    let asked = scene.begin("read").await;
    scene.decide(&asked, "deny").await;
    for _ in 0..3 {
        let denied = scene.poll(&asked).await;
        assert_eq!(denied.error(), (400, "access_denied"));
    }
    // Too late, though it was allowed.
    let asked = scene.begin("read").await;
    scene.decide(&asked, "approve").await;
    clock.advance(Duration::from_mins(10));
    for _ in 0..2 {
        assert_eq!(scene.poll(&asked).await.error(), (400, "expired_token"));
    }
    clock.advance(Duration::from_mins(11));
    assert_eq!(scene.poll(&asked).await.error(), (400, "invalid_grant"));

    for (what, device_code, expected) in [
        ("made up", "x", "invalid_grant"),
        (
            "a user code",
            &scene.begin("read").await.user_code,
            "invalid_grant",
        ),
        ("none", "", "invalid_request"),
        ("too long to be one", &"x".repeat(5000), "invalid_grant"),
    ] {
        let answer = scene.poll_with(device, device_code, &[]).await;
        assert_eq!(answer.error(), (400, expected), "{what}");
    }
    scene.server.stop().await;
}

async fn rfc8628_3_5_a_device_that_asks_too_often_waits_longer_each_time(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let asked = scene.begin("read").await;
    let clock = &scene.server.clock;
    let mut told = Vec::new();
    // The interval is 5 seconds, then 10, 15, and 20.
    for seconds in [0, 5, 1, 10, 10, 5, 10, 20] {
        clock.advance(Duration::from_secs(seconds));
        let answer = scene.poll(&asked).await;
        told.push(answer.error().1.to_owned());
    }
    let (wait, slow) = ("authorization_pending", "slow_down");
    assert_eq!(
        told,
        [wait, wait, slow, wait, wait, slow, slow, wait]
            .map(str::to_owned)
            .to_vec()
    );
    // Who was told to slow down and does not is told again.
    let asked = scene.begin("read").await;
    let mut slowed = 0;
    for _ in 0..20 {
        slowed += u32::from(scene.poll(&asked).await.error().1 == slow);
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(slowed, 19);
    // Whoever has been let in is told so however soon it asks.
    scene.decide(&asked, "approve").await;
    assert_eq!(scene.poll(&asked).await.status, 200);
    scene.server.stop().await;
}

async fn rfc8628_3_5_whose_device_code_it_is(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene.server.register(television()).await;
    let asked = scene.begin("read").await;
    scene.decide(&asked, "approve").await;
    let theirs = scene.poll_with(&other, &asked.device_code, &[]).await;
    assert_eq!(theirs.error(), (400, "invalid_grant"));
    let unknown = scene.poll_with(&other, "x", &[]).await;
    assert_eq!(theirs.body, unknown.body, "nothing is learnt");
    // Nor is it a code of another kind (threat 5).
    let app = scene.server.register(person::app(AuthMethod::None)).await;
    let form = person::code_form(&asked.device_code);
    let answer = post(&scene.server, &app, "/oauth/token", &form).await;
    assert_eq!(answer.error(), (400, "invalid_grant"));
    let answer = scene.poll(&asked).await;
    assert_eq!(answer.status, 200, "nothing was spent: {}", answer.body);
    let access = answer.text("access_token");
    for code in [&asked.device_code, &asked.user_code] {
        let form = person::code_form(code);
        post(&scene.server, &app, "/oauth/token", &form).await;
        let form = refresh_form(code);
        let answer = post(&scene.server, &app, "/oauth/token", &form).await;
        assert_eq!(answer.status, 400);
    }
    assert!(scene.is_active(access).await);
    scene.server.stop().await;
}

async fn threat_6_of_200_polls_one_gets_tokens(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut second = config(stores);
    second.issuer = scene.server.issuer.parse().unwrap();
    // Nodes of one issuer share Redis; in memory there is one.
    let second = if scene.server.codes.ephemeral.is_shared() {
        Some(TestServer::start_with(second, scene.server.clock.clone()).await)
    } else {
        None
    };
    let asked = scene.begin("read").await;
    scene.decide(&asked, "approve").await;
    let polls = (0..200).map(|n| {
        let other = second.as_ref().filter(|_| n % 2 == 1);
        let server = other.unwrap_or(&scene.server);
        poll_at(server, &scene.device, &asked.device_code, &[])
    });
    let answers = futures_util::future::join_all(polls).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_eq!(answer.error(), (400, "invalid_grant"));
    }
    let access = won[0].text("access_token");
    assert!(eventually(async || !scene.is_active(access).await).await);
    if let Some(second) = second {
        second.stop().await;
    }
    scene.server.stop().await;
}

async fn threat_6_a_second_use_revokes_what_the_first_brought_at_any_later_time(stores: &Stores) {
    let scene = Scene::set(stores).await;
    for late in [0, 11, 60] {
        let asked = scene.begin("read").await;
        scene.decide(&asked, "approve").await;
        let first = scene.poll(&asked).await;
        assert_eq!(first.status, 200, "{}", first.body);
        scene.server.clock.advance(Duration::from_mins(late));
        let form = refresh_form(first.text("refresh_token"));
        let again = post(&scene.server, &scene.device, "/oauth/token", &form).await;
        assert!(scene.is_active(again.text("access_token")).await);
        let replay = scene.poll(&asked).await;
        assert_eq!(replay.error(), (400, "invalid_grant"), "{late}");
        assert!(!scene.is_active(again.text("access_token")).await, "{late}");
        let form = refresh_form(again.text("refresh_token"));
        let dead = post(&scene.server, &scene.device, "/oauth/token", &form).await;
        assert_eq!(dead.error(), (400, "invalid_grant"), "{late}");
    }
    scene.server.stop().await;
}

async fn threat_9_no_more_is_issued_than_was_approved(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let change = async |scope: &str| {
        let mut metadata = television();
        metadata.scope = scope.parse().unwrap();
        let id = TestServer::client_id(&scene.device);
        let client = auth_server::clients::Client::new(id, metadata, Vec::new()).unwrap();
        let clients = &scene.server.records.clients;
        let now = scene.server.clock.now();
        clients.put(&client, None, now).await.unwrap();
    };
    // What was taken from the client while the page was shown is another request.
    let asked = scene.begin("openid read write").await;
    let browser = scene.browser().await;
    let page = scene.enter(&browser, &asked.user_code).await;
    assert!(page.body.contains("data-scope=\"write\""));
    change("openid read").await;
    let form = decided(&page, "approve");
    let stale = browser.post(page.action("consent"), &form).await;
    assert_eq!(stale.status, 400, "{stale:?}");
    let page = browser.open(stale.link("go-on")).await;
    assert!(!page.body.contains("data-scope=\"write\""));
    let form = decided(&page, "approve");
    let page = browser.post(page.action("consent"), &form).await;
    assert!(page.has("device-approved"), "{page:?}");
    // What it gets back later was not agreed to.
    change("openid read write").await;
    let answer = scene.poll(&asked).await;
    assert_eq!(answer.body["scope"], "openid read", "{}", answer.body);
    // And what is taken after it was approved is gone.
    let asked = scene.begin("openid read write").await;
    scene.decide(&asked, "approve").await;
    change("openid read").await;
    let answer = scene.poll(&asked).await;
    assert_eq!(answer.body["scope"], "openid read", "{}", answer.body);
    scene.server.stop().await;
}

async fn threat_34_nothing_comes_of_what_was_ended_before_the_device_asked(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let records = &scene.server.records;
    for scope in ["read", "read offline_access"] {
        let asked = scene.begin(scope).await;
        scene.decide(&asked, "approve").await;
        let now = scene.server.clock.now();
        let sessions = &records.sessions;
        sessions.end_all(&scene.account_id, now).await.unwrap();
        assert_eq!(scene.poll(&asked).await.error(), (400, "invalid_grant"));
        let unknown = scene.poll_with(&scene.device, "x", &[]).await;
        assert_eq!(scene.poll(&asked).await.body, unknown.body);
    }
    // Signed out while it was being decided.
    let asked = scene.begin("read").await;
    let browser = scene.browser().await;
    let page = scene.enter(&browser, &asked.user_code).await;
    let now = scene.server.clock.now();
    records
        .sessions
        .end_all(&scene.account_id, now)
        .await
        .unwrap();
    let form = decided(&page, "approve");
    let answer = browser.post(page.action("consent"), &form).await;
    let answer = browser.follow(answer).await;
    assert!(answer.has("sign-in"), "{answer:?}");
    let pending = scene.poll(&asked).await;
    assert_eq!(pending.error(), (400, "authorization_pending"));
    // Threat 13: shut out in between.
    let asked = scene.begin("read offline_access").await;
    scene.decide(&asked, "approve").await;
    let now = scene.server.clock.now();
    let accounts = &records.accounts;
    accounts.disable(&scene.account_id, now).await.unwrap();
    assert_eq!(scene.poll(&asked).await.error(), (400, "invalid_grant"));
    scene.server.stop().await;
}

async fn offline_access_outlives_the_session_and_nothing_else_does(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut tokens = Vec::new();
    for (scope, stays) in [("openid read", false), ("openid read offline_access", true)] {
        let asked = scene.begin(scope).await;
        scene.decide(&asked, "approve").await;
        tokens.push((scene.poll(&asked).await, stays));
    }
    let sessions = &scene.server.records.sessions;
    for (answer, _) in &tokens {
        let session = claims(answer.text("id_token"))["sid"].clone();
        let id = session.as_str().unwrap().parse().unwrap();
        let now = scene.server.clock.now();
        sessions.end(&id, now).await.unwrap();
    }
    for (answer, stays) in &tokens {
        let access = answer.text("access_token");
        assert_eq!(scene.is_active(access).await, *stays);
        let form = refresh_form(answer.text("refresh_token"));
        let again = post(&scene.server, &scene.device, "/oauth/token", &form).await;
        assert_eq!(again.status == 200, *stays, "{}", again.body);
    }
    scene.server.stop().await;
}

async fn threat_30_how_many_devices_may_wait(stores: &Stores) {
    let mut few = config(stores);
    (
        few.device.requests_per_client,
        few.device.requests_per_address,
    ) = (3, 5);
    let scene = Scene::on(few).await;
    let other = scene.server.register(television()).await;
    // They are counted in windows, and this one has just begun.
    let clock = &scene.server.clock;
    let window = 600_000;
    let left = window - clock.now().as_millis().rem_euclid(window);
    clock.advance(Duration::from_millis(left.unsigned_abs()));
    let form = [("scope", "read")];
    let mut told = Vec::new();
    for client in [
        &scene.device,
        &scene.device,
        &scene.device,
        &scene.device,
        &other,
        &other,
    ] {
        let answer = scene.try_begin(client, &form).await;
        if answer.status != 200 {
            assert_eq!(answer.error(), (429, "temporarily_unavailable"));
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=600).contains(&wait), "{wait}");
        }
        told.push(answer.status.as_u16());
    }
    // The fourth of one client, and the sixth of one network.
    assert_eq!(told, [200, 200, 200, 429, 200, 429]);
    scene.server.clock.advance(Duration::from_mins(10));
    assert_eq!(scene.try_begin(&other, &form).await.status, 200);
    scene.server.stop().await;
}
