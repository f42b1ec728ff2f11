//! Signing out at one app, with several signed in.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared_protocol::jose::{JwkSet, JwtKind, UnverifiedJwt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use url::{Url, form_urlencoded};

use super::chrome::Chrome;
use super::{DESK, PHONE, sign_in};
use crate::flow::{Flow, claims};
use crate::operator::Operator;
use crate::process::{Place, http, send};

const PATIENCE: Duration = Duration::from_secs(30);

/// An app on a port of its own: where people come back to, and where it hears that somebody signed out.
struct App {
    origin: String,
    client_id: String,
    arrived: UnboundedReceiver<String>,
    heard: UnboundedReceiver<(StatusCode, String)>,
    serving: tokio::task::JoinHandle<()>,
}

impl App {
    /// One that answers so when it hears something, and 200 from then on.
    async fn open(operator: &Operator, name: &str, answers: &[StatusCode]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let client = operator
            .register(json!({
                "client_name": name,
                "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"],
                "application_type": "native",
                "redirect_uris": [format!("{origin}/callback")],
                "post_logout_redirect_uris": [format!("{origin}/bye")],
                "backchannel_logout_uri": format!("{origin}/out"),
                "scope": "openid profile email offline_access profile:read",
            }))
            .await;
        let (page_opened, arrived) = unbounded_channel();
        let (posted, heard) = unbounded_channel();
        let page = async move |uri: Uri| {
            let _ = page_opened.send(uri.query().unwrap_or_default().to_owned());
            Html("<title>Landed</title><p id=\"landed\">Landed")
        };
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let out = async move |body: String| {
            let status = answers
                .lock()
                .unwrap()
                .pop_front()
                .unwrap_or(StatusCode::OK);
            let _ = posted.send((status, body));
            status
        };
        let app = Router::new()
            .route("/callback", get(page.clone()))
            .route("/bye", get(page))
            .route("/out", post(out));
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            origin,
            client_id: client.id,
            arrived,
            heard,
            serving,
        }
    }

    /// A parameter of the next address that the browser comes to.
    async fn arrival(&mut self, name: &str) -> String {
        let query = timeout(PATIENCE, self.arrived.recv()).await;
        let query = query.expect("the browser arrives").unwrap();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(key, _)| key == name);
        found
            .unwrap_or_else(|| panic!("no {name}: {query}"))
            .1
            .into_owned()
    }

    /// The claims of the next logout token that it takes, after those that it did not.
    async fn logout(&mut self, keys: &JwkSet) -> Value {
        loop {
            let heard = timeout(PATIENCE, self.heard.recv()).await;
            let (status, body) = heard.expect("it hears something").unwrap();
            let mut pairs = form_urlencoded::parse(body.as_bytes());
            let (name, token) = pairs.next().unwrap();
            assert_eq!(name, "logout_token");
            let jwt = UnverifiedJwt::parse(&token, JwtKind::LogoutToken).unwrap();
            let (verified, _) = jwt.verify(keys).unwrap();
            if status == StatusCode::OK {
                return verified.parse().unwrap();
            }
        }
    }

    /// The claims of the ID token, and itself, of who signs in here.
    async fn sign_in(&mut self, chrome: &Chrome, place: &Place) -> (Value, String) {
        let redirect_uri = format!("{}/callback", self.origin);
        let flow = Flow::of(place, &self.client_id, &redirect_uri);
        chrome.goto(&flow.url(&[])).await;
        if chrome.first_of(&["email", "approve"]).await == "email" {
            sign_in(chrome, place).await;
        }
        chrome.click("approve").await;
        chrome.element("landed").await;
        let tokens = flow.tokens(&self.arrival("code").await).await;
        let id_token = tokens["id_token"].as_str().unwrap().to_owned();
        (claims(&tokens["id_token"]), id_token)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn oidc_back_channel_signing_out_at_one_of_three_apps_ends_the_others() {
    let place = Place::new();
    let config = place.file("auth.toml");
    let text = "[outbound]\nloopback_http = true\n[logout]\nretry_after = \"1s\"\n";
    std::fs::write(&config, text).unwrap();
    let _running = place.start(&["--auth-config", config.to_str().unwrap()]);
    let operator = Operator::at(&place).await;
    let mut one = App::open(&operator, "One", &[]).await;
    // Down at first.
    let down = [StatusCode::SERVICE_UNAVAILABLE];
    let mut other = App::open(&operator, "Other", &down).await;
    let chrome = Chrome::open(DESK).await;
    chrome.goto(&place.app("/start")).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    assert_eq!(chrome.text("me-status").await, "200");
    let (at_one, hint) = one.sign_in(&chrome, &place).await;
    let (at_other, _) = other.sign_in(&chrome, &place).await;
    assert_eq!(at_one["sid"], at_other["sid"], "one session");

    let mut leave = Url::parse(&place.auth("/oauth/logout")).unwrap();
    leave.query_pairs_mut().extend_pairs([
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", &format!("{}/bye", one.origin)),
        ("state", "where was I?"),
    ]);
    chrome.goto(leave.as_str()).await;
    chrome.element("landed").await;
    assert_eq!(one.arrival("state").await, "where was I?");
    let url = chrome.client().current_url().await.unwrap();
    assert!(
        url.as_str().starts_with(&format!("{}/bye?", one.origin)),
        "{url}"
    );

    let keys: Value = send(http().get(place.auth("/oauth/jwks")))
        .await
        .json()
        .await
        .unwrap();
    let keys = JwkSet::from_object(keys.as_object().unwrap()).unwrap();
    for (app, id_token) in [(&mut one, &at_one), (&mut other, &at_other)] {
        let told = app.logout(&keys).await;
        assert_eq!(told["aud"], *app.client_id);
        assert_eq!(
            (&told["sub"], &told["sid"]),
            (&id_token["sub"], &id_token["sid"])
        );
        assert!(told.get("nonce").is_none());
    }
    // The demo app has heard it too, and the server knows nobody.
    chrome.goto(&place.app("/")).await;
    assert_eq!(chrome.first_of(&["sign-in", "me-status"]).await, "sign-in");
    chrome.click("sign-in").await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    assert!(one.heard.is_empty() && other.heard.is_empty(), "each once");
    assert_eq!(chrome.violations().await, [""; 0]);
}

#[tokio::test]
async fn oidc_rp_initiated_who_signs_out_at_the_app_is_signed_out_and_comes_back() {
    let place = Place::new();
    let running = place.start(&[]);
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&place.app("/start")).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    chrome.click("sign-out").await;
    chrome.element("sign-in").await;
    let url = chrome.client().current_url().await.unwrap();
    assert_eq!(url.as_str(), place.app("/"), "nothing stays in the address");
    chrome.click("sign-in").await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    assert_eq!(chrome.violations().await, [""; 0]);
    assert_eq!(running.log(), "");
}

/// A hint of somebody else is no proof: the person who is there is asked, and goes on to the app when they say yes.
#[tokio::test]
async fn oidc_rp_initiated_who_is_asked_first_goes_on_to_the_app() {
    let place = Place::new();
    let _running = place.start(&[]);
    let operator = Operator::at(&place).await;
    let mut app = App::open(&operator, "One", &[]).await;
    let chrome = Chrome::open(PHONE).await;
    let (_, hint) = app.sign_in(&chrome, &place).await;
    operator
        .register_person("bob@example.com", "a bicycle for the mind 1842")
        .await;
    // Those of the page that is open.
    chrome.goto(&place.auth("/oauth/logout")).await;
    chrome.client().delete_all_cookies().await.unwrap();
    chrome.goto(&place.app("/start")).await;
    chrome.fill("email", "bob@example.com").await;
    chrome.fill("password", "a bicycle for the mind 1842").await;
    chrome.click("sign-in-submit").await;
    chrome.element("approve").await;

    // By a form of another site, which sends no cookie along.
    let form = format!(
        "document.body.innerHTML = '<form id=\"leave\" method=\"post\" action=\"{}\">\
         <input name=\"id_token_hint\" value=\"{hint}\"><input name=\"state\" value=\"s\">\
         <input name=\"post_logout_redirect_uri\" value=\"{}/bye\"></form>'; document.getElementById('leave').submit();",
        place.auth("/oauth/logout"),
        app.origin,
    );
    chrome.goto(&format!("{}/bye", app.origin)).await;
    app.arrived.recv().await;
    chrome.client().execute(&form, Vec::new()).await.unwrap();
    assert_eq!(chrome.text("account-email").await, "bob@example.com");
    chrome.element("asked-by").await;
    chrome.assert_fits().await;
    chrome.click("sign-out-submit").await;
    chrome.element("landed").await;
    assert_eq!(app.arrival("state").await, "s");
    assert_eq!(chrome.violations().await, [""; 0]);
}
