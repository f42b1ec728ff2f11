//! Threat 13: who is locked or disabled does not get in by a side door. Each way in is one function of the table.
//!
//! A lock answers guesses at a password, so it holds back whoever proves anew who somebody is, by a password or by the word of another
//! issuer, and nobody else: anybody can bring it about, and must not be able to sign others out by it. Who is disabled gets nothing any more, and what they had stays dead when they are enabled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::AccountId;
use auth_server::authorize::request::ResponseType;
use auth_server::clients::{AuthMethod, GrantType};
use futures_util::future::BoxFuture;
use reqwest::StatusCode;
use serde_json::json;
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, PASSWORD, Page, code};
use crate::person::{code_form, is_active, post, refresh_form, userinfo};
use crate::pushed::{pushed, url_of};
use crate::response_types::{metadata, told};
use crate::server::{API, Answer, TestClient, TestServer, config};
use crate::token_exchange::{gateway_policy, service};
use crate::{device, jwt_bearer, token_exchange};

on_each_store!(auth_server::store::MIGRATIONS;
    threat_13_every_way_in_is_open_without_a_lock,
    threat_13_who_is_locked_is_held_back_wherever_a_password_is_taken,
    threat_13_who_is_disabled_gets_nothing_by_any_way_and_never_again_by_an_old_one,
);

/// A person with everything that could bring something on their behalf.
struct Stage {
    server: TestServer,
    account_id: AccountId,
    /// Introspects, and acts for people at the next API.
    api: TestClient,
    /// Signs people in, by a code or without.
    app: TestClient,
    /// May use the password grant.
    trusted: TestClient,
    /// Shows a code that somebody types elsewhere.
    television: TestClient,
    /// Shows what another issuer says.
    bearer: TestClient,
    /// Signs what that issuer says.
    issuer_key: SigningKey,
}

/// What is tried at last: whether anything was brought.
struct Attempt<'a>(BoxFuture<'a, bool>);
/// What goes before it, while the account is open.
type Preparation<'a> = BoxFuture<'a, Attempt<'a>>;

/// One way in.
struct Way {
    name: &'static str,
    prepare: for<'a> fn(&'a Stage) -> Preparation<'a>,
    /// Whether it takes a password of a browser that nobody knows, or what stands for one.
    is_locked: bool,
}

/// Every way in.
const WAYS: [Way; 18] = [
    Way::by_password("the sign-in page", sign_in_page),
    Way::by_password("a sign-in page that was open before", open_sign_in_page),
    Way::by_password("the password grant", password_grant),
    Way::by_password("the word of another issuer", assertion),
    Way::of_before("a sign-in at a browser that is known", known_browser),
    Way::of_before("a code, redeemed later", code_later),
    Way::of_before("a refresh token within the session", refresh_token),
    Way::of_before("a refresh token that outlives it", offline_refresh_token),
    Way::of_before("userinfo with an access token", access_token_at_userinfo),
    Way::of_before("introspection of an access token", introspection),
    Way::of_before("a request without a page (prompt=none)", silent),
    Way::of_before("consent that is remembered", remembered_consent),
    Way::of_before("a consent page that was open before", open_consent_page),
    Way::of_before("an account page that was open before", open_account_page),
    Way::of_before("a request that was pushed", pushed_request),
    Way::of_before("tokens without a code", in_front),
    Way::of_before("a device that was let in", device_code),
    Way::of_before("a service that acts for somebody", token_exchange),
];

impl Way {
    const fn by_password(
        name: &'static str,
        prepare: for<'a> fn(&'a Stage) -> Preparation<'a>,
    ) -> Self {
        Self {
            name,
            prepare,
            is_locked: true,
        }
    }

    const fn of_before(
        name: &'static str,
        prepare: for<'a> fn(&'a Stage) -> Preparation<'a>,
    ) -> Self {
        Self {
            name,
            prepare,
            is_locked: false,
        }
    }
}

impl Stage {
    /// With a lock after so many failures.
    async fn set(stores: &Stores, failures_before_lock: u32) -> Self {
        let mut config = config(stores);
        config.authorization.password_grant = true;
        config.authorization.response_types = ResponseType::ALL.into();
        // So that what was prepared has not run out when the account is locked.
        config.sign_in.failures_before_wait = 100;
        config.sign_in.failures_before_lock = failures_before_lock;
        let server = TestServer::start_with(config, Arc::default()).await;
        let service = service("read write reports", &gateway_policy());
        let api = server.register(service).await;
        let server = server.with_resources(Some(&api)).await;
        // So that no assertion is from before the memory of used ones.
        server.clock.advance(Duration::from_mins(2));
        let account_id = server.person(EMAIL).await;
        let app = server.register(metadata(&ResponseType::ALL)).await;
        let mut by_password = TestServer::metadata(AuthMethod::ClientSecretBasic, "openid read");
        by_password.grant_types = BTreeSet::from([GrantType::Password, GrantType::RefreshToken]);
        by_password.skip_consent = true;
        by_password.id_token_signed_response_alg = Some(Algorithm::Es256);
        let trusted = server.register(by_password).await;
        let television = server.register(device::television()).await;
        let bearer = jwt_bearer::metadata(AuthMethod::ClientSecretBasic);
        let bearer = server.register(bearer).await;
        let issuer_key = jwt_bearer::new_key();
        jwt_bearer::trust(&server, (jwt_bearer::ISSUER, &issuer_key), &json!({}))
            .await
            .unwrap();
        Self {
            server,
            account_id,
            api,
            app,
            trusted,
            television,
            bearer,
            issuer_key,
        }
    }

    fn url(&self, changes: &[(&str, &str)]) -> String {
        self.server.authorize_url(&self.app, changes)
    }

    /// A browser at which the person signed in and agreed, and the answer to its app.
    async fn signed_in(&self, changes: &[(&str, &str)]) -> (Browser<'_>, String) {
        let browser = Browser::new(&self.server);
        let answer = browser.sign_in_and_consent(self.url(changes)).await;
        (browser, code(&answer))
    }

    async fn ask(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        post(&self.server, client, "/oauth/token", form).await
    }

    async fn tokens(&self, changes: &[(&str, &str)]) -> serde_json::Value {
        let (_, code) = self.signed_in(changes).await;
        let answer = self.ask(&self.app, &code_form(&code)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    async fn by_password(&self, password: &str) -> Answer {
        let form = [
            ("grant_type", "password"),
            ("username", EMAIL),
            ("password", password),
            ("scope", "read"),
        ];
        self.ask(&self.trusted, &form).await
    }

    async fn prepare(&self) -> Vec<(&'static Way, Attempt<'_>)> {
        let mut prepared = Vec::new();
        for way in &WAYS {
            prepared.push((way, (way.prepare)(self).await));
        }
        prepared
    }

    async fn disable(&self) {
        let now = self.server.clock.now();
        let accounts = &self.server.records.accounts;
        accounts.disable(&self.account_id, now).await.unwrap();
    }
}

/// Whether a page brought something, or is on the way to it.
fn leads_on(page: &Page) -> bool {
    if page.status == StatusCode::SEE_OTHER {
        let (told, _) = told(&page.location());
        return told.contains_key("code") || told.contains_key("access_token");
    }
    page.has("consent")
}

fn later<'a>(attempt: impl Future<Output = bool> + Send + 'a) -> Attempt<'a> {
    Attempt(Box::pin(attempt))
}

fn sign_in_page(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        later(async move {
            let browser = Browser::new(&stage.server);
            let page = browser.open(stage.url(&[])).await;
            leads_on(&browser.sign_in_as(&page, EMAIL, PASSWORD).await)
        })
    })
}

fn open_sign_in_page(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let browser = Browser::new(&stage.server);
        let page = browser.open(stage.url(&[])).await;
        later(async move { leads_on(&browser.sign_in_as(&page, EMAIL, PASSWORD).await) })
    })
}

fn password_grant(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move { later(async move { stage.by_password(PASSWORD).await.status == 200 }) })
}

fn known_browser(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        later(async move {
            let page = browser.open(stage.url(&[("prompt", "login")])).await;
            leads_on(&browser.sign_in_as(&page, EMAIL, PASSWORD).await)
        })
    })
}

fn code_later(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (_, code) = stage.signed_in(&[]).await;
        later(async move { stage.ask(&stage.app, &code_form(&code)).await.status == 200 })
    })
}

/// A refresh token of this scope.
async fn refreshed<'a>(stage: &'a Stage, scope: &str) -> Attempt<'a> {
    let tokens = stage
        .tokens(&[("scope", scope), ("prompt", "consent")])
        .await;
    let token = tokens["refresh_token"].as_str().unwrap().to_owned();
    later(async move { stage.ask(&stage.app, &refresh_form(&token)).await.status == 200 })
}

fn refresh_token(stage: &Stage) -> Preparation<'_> {
    Box::pin(refreshed(stage, "openid read"))
}

fn offline_refresh_token(stage: &Stage) -> Preparation<'_> {
    Box::pin(refreshed(stage, "openid read offline_access"))
}

fn access_token_at_userinfo(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let tokens = stage.tokens(&[]).await;
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        later(async move { userinfo(&stage.server, &token).await.status == 200 })
    })
}

fn introspection(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let tokens = stage.tokens(&[]).await;
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        later(async move { is_active(&stage.server, &stage.api, &token).await })
    })
}

fn silent(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        later(async move { leads_on(&browser.open(stage.url(&[("prompt", "none")])).await) })
    })
}

fn remembered_consent(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        later(async move { leads_on(&browser.open(stage.url(&[])).await) })
    })
}

fn open_consent_page(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        let page = browser.open(stage.url(&[("prompt", "consent")])).await;
        assert!(page.has("consent"), "{page:?}");
        later(async move { leads_on(&browser.decide(&page, "approve").await) })
    })
}

fn open_account_page(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        let choice = stage.url(&[("prompt", "select_account")]);
        let page = browser.open(choice).await;
        assert!(page.has("select-account"), "{page:?}");
        later(async move { leads_on(&browser.go_on_as_shown(&page).await) })
    })
}

fn pushed_request(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        let uri = pushed(&stage.server, &stage.app, &[]).await;
        let url = url_of(&stage.server, &stage.app, &uri);
        later(async move { leads_on(&browser.open(url).await) })
    })
}

fn in_front(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let (browser, _) = stage.signed_in(&[]).await;
        let url = stage.url(&[
            ("response_type", "token"),
            ("code_challenge", ""),
            ("code_challenge_method", ""),
        ]);
        later(async move { leads_on(&browser.open(url).await) })
    })
}

fn assertion(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let claims = jwt_bearer::good_claims(&stage.server, &stage.account_id);
        let jwt = jwt_bearer::sign(JwtKind::BearerAssertion, &claims, &stage.issuer_key).await;
        later(async move {
            let form = [("grant_type", jwt_bearer::GRANT), ("assertion", &*jwt)];
            stage.ask(&stage.bearer, &form).await.status == 200
        })
    })
}

fn device_code(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let asked = [("scope", "openid read")];
        let asked = post(&stage.server, &stage.television, device::PATH, &asked).await;
        let (browser, _) = stage.signed_in(&[]).await;
        let page = browser
            .open(format!("{}/device", stage.server.issuer))
            .await;
        let typed = device::typed(&page, asked.text("user_code"));
        let page = browser.post(page.action("enter-code"), &typed).await;
        let page = browser.follow(page).await;
        let decided = device::decided(&page, "approve");
        let page = browser.post(page.action("consent"), &decided).await;
        assert!(page.has("device-approved"), "{page:?}");
        let code = asked.text("device_code").to_owned();
        later(async move {
            let (server, device) = (&stage.server, &stage.television);
            device::poll_at(server, device, &code, &[]).await.status == 200
        })
    })
}

fn token_exchange(stage: &Stage) -> Preparation<'_> {
    Box::pin(async move {
        let tokens = stage.tokens(&[]).await;
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        later(async move {
            let form = token_exchange::form(&token, API);
            stage.ask(&stage.api, &form).await.status == 200
        })
    })
}

async fn threat_13_every_way_in_is_open_without_a_lock(stores: &Stores) {
    let stage = Box::pin(Stage::set(stores, 100)).await;
    for (way, attempt) in stage.prepare().await {
        assert!(attempt.0.await, "{}", way.name);
    }
}

async fn threat_13_who_is_locked_is_held_back_wherever_a_password_is_taken(stores: &Stores) {
    let stage = Box::pin(Stage::set(stores, 2)).await;
    let prepared = stage.prepare().await;
    for _ in 0..2 {
        let wrong = stage.by_password("wrong").await;
        assert_eq!(wrong.error(), (400, "invalid_grant"));
    }
    for (way, attempt) in prepared {
        assert_eq!(attempt.0.await, !way.is_locked, "{}", way.name);
    }
    stage.server.clock.advance(Duration::from_mins(16));
    assert_eq!(stage.by_password(PASSWORD).await.status, 200);
}

async fn threat_13_who_is_disabled_gets_nothing_by_any_way_and_never_again_by_an_old_one(
    stores: &Stores,
) {
    let stage = Box::pin(Stage::set(stores, 100)).await;
    let (during, after) = (stage.prepare().await, stage.prepare().await);
    stage.disable().await;
    for (way, attempt) in during {
        assert!(!attempt.0.await, "{}", way.name);
    }
    let accounts = &stage.server.records.accounts;
    accounts.enable(&stage.account_id).await.unwrap();
    for (way, attempt) in after {
        // Who knows the password signs in again.
        let takes_password = way.is_locked || way.name.contains("sign-in");
        assert_eq!(attempt.0.await, takes_password, "{}", way.name);
    }
}
