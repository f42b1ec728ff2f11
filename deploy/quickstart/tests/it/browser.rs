//! People in Chromium: what no HTTP client shows is whether a browser does as the pages want.

mod again;
mod chrome;
mod device;
mod landing;
mod sign_out;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use axum::response::Html;
use axum::routing::{get, post};
use serde_json::{Value, json};

use self::chrome::Chrome;
use self::landing::Landing;
use crate::flow::{Flow, NONCE, STATE, claims};
use crate::operator::Operator;
use crate::process::Place;

const PHONE: (u32, u32) = (390, 844);
const DESK: (u32, u32) = (1280, 800);

/// Signs the demo person in at the page that is open.
async fn sign_in(chrome: &Chrome, place: &Place) {
    let demo = place.demo();
    let text = |name: &str| demo["person"][name].as_str().unwrap().to_owned();
    chrome.fill("email", &text("email")).await;
    chrome.fill("password", &text("password")).await;
    chrome.click("sign-in-submit").await;
}

/// A person who signs in at the demo app, agrees, and is shown what it got.
async fn a_person_ends_with_a_token(viewport: (u32, u32)) {
    let place = Place::new();
    let running = place.start(&[]);
    let chrome = Chrome::open(viewport).await;
    chrome.goto(&place.app("/")).await;
    chrome.assert_fits().await;
    chrome.click("sign-in").await;
    chrome.element("email").await;
    chrome.assert_fits().await;
    sign_in(&chrome, &place).await;
    chrome.element("approve").await;
    chrome.assert_fits().await;
    chrome.click("approve").await;

    assert_eq!(chrome.text("me-status").await, "200");
    chrome.assert_fits().await;
    let json = async |id: &str| serde_json::from_str::<Value>(&chrome.text(id).await).unwrap();
    let (me, id_token) = (json("me").await, json("id-token").await);
    assert_eq!(me["type"], "person");
    assert_eq!(me["sub"], id_token["sub"]);
    assert_eq!(json("userinfo").await["sub"], id_token["sub"]);
    let url = chrome.client().current_url().await.unwrap();
    assert_eq!(url.as_str(), place.app("/"), "nothing stays in the address");
    chrome.click("refresh").await;
    chrome.wait_for_text("refreshed", "1").await;
    assert_eq!(chrome.violations().await, [""; 0]);
    assert_eq!(running.log(), "");
}

#[tokio::test]
async fn a_person_ends_with_a_token_on_a_phone() {
    a_person_ends_with_a_token(PHONE).await;
}

#[tokio::test]
async fn a_person_ends_with_a_token_at_a_desk() {
    a_person_ends_with_a_token(DESK).await;
}

#[tokio::test]
async fn cookies_hold_on_http_loopback_and_scripts_cannot_read_them() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.element("approve").await;
    let cookies = chrome.client().get_all_cookies().await.unwrap();
    let session = format!("session-{}", place.auth_port);
    let found = cookies.iter().find(|cookie| cookie.name() == session);
    assert!(found.is_some(), "{cookies:?}");
    for cookie in &cookies {
        assert_eq!(cookie.http_only(), Some(true), "{}", cookie.name());
        assert_ne!(cookie.secure(), Some(true), "{}", cookie.name());
        assert_eq!(cookie.path(), Some("/"), "{}", cookie.name());
        let same_site = cookie.same_site().map(|scope| scope.to_string());
        assert_eq!(same_site.as_deref(), Some("Lax"), "{}", cookie.name());
    }
    chrome.click("approve").await;
    landing.arrival().await;
    // The session is held: nobody asks for the password again.
    chrome.goto(&flow.url(&[])).await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "approve");
}

#[tokio::test]
async fn consent_is_followed_to_another_origin() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    chrome.element("landed").await;
    let arrival = landing.arrival().await;
    assert_eq!(arrival.method, "GET");
    assert_eq!(arrival.parameter("state").as_deref(), Some(STATE));
    assert_eq!(arrival.parameter("iss"), Some(place.auth("")));
    let tokens = flow.tokens(&arrival.parameter("code").unwrap()).await;
    assert_eq!(claims(&tokens["id_token"])["nonce"], NONCE);
    assert_eq!(chrome.violations().await, [""; 0]);
}

/// Two clicks, the second of which comes while the browser waits for the answer to the first.
async fn double_click(chrome: &Chrome, id: &str) {
    chrome.element(id).await;
    let script = "const b = document.getElementById(arguments[0]); b.click(); setTimeout(() => b.click(), 100);";
    let script = chrome.client().execute(script, vec![json!(id)]);
    script.await.unwrap();
}

#[tokio::test]
async fn a_double_click_is_one_answer() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    chrome.goto(&flow.url(&[])).await;
    let demo = place.demo();
    let text = |name: &str| demo["person"][name].as_str().unwrap().to_owned();
    chrome.fill("email", &text("email")).await;
    chrome.fill("password", &text("password")).await;
    double_click(&chrome, "sign-in-submit").await;
    assert_eq!(
        chrome.first_of(&["approve", "stale-title"]).await,
        "approve"
    );
    chrome.element("approve").await;
    // An answer that is on its way for so long is not there yet when the second click comes.
    let slow =
        json!({"offline": false, "latency": 500, "downloadThroughput": -1, "uploadThroughput": -1});
    chrome.devtools("Network.enable", json!({})).await;
    chrome
        .devtools("Network.emulateNetworkConditions", slow)
        .await;
    double_click(&chrome, "approve").await;
    assert_eq!(chrome.first_of(&["landed", "stale-title"]).await, "landed");
    let arrival = landing.arrival().await;
    flow.tokens(&arrival.parameter("code").unwrap()).await;
    assert_eq!(chrome.violations().await, [""; 0]);
}

const PRIVATE_USE: &str = "com.example.app:/callback";

#[tokio::test]
async fn rfc8252_7_1_consent_is_followed_to_a_private_use_scheme() {
    let place = Place::new();
    let _running = place.start(&[]);
    let operator = Operator::at(&place).await;
    let app = operator.register_native("An app", &[PRIVATE_USE]).await;
    let flow = Flow::of(&place, &app.id, PRIVATE_USE);
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.element("approve").await;
    chrome.events().await;
    chrome.click("approve").await;
    let answer = chrome.attempted(PRIVATE_USE).await;
    let answer = answer.expect("the browser asks the system for the app");
    let parameter = |name: &str| {
        let mut pairs = answer.query_pairs();
        pairs.find(|(key, _)| key == name).unwrap().1.into_owned()
    };
    assert_eq!(parameter("state"), STATE);
    flow.tokens(&parameter("code")).await;
    assert_eq!(chrome.violations().await, [""; 0]);
}

/// Why pages whose form may end at a client carry no `form-action`, and proof that the test above would see it.
#[tokio::test]
async fn chromium_applies_form_action_to_redirects_too() {
    for (policy, followed) in [
        ("default-src 'none'", true),
        ("default-src 'none'; form-action 'self'", false),
    ] {
        let page =
            Html("<form method=\"post\" action=\"/go\"><button id=\"go\">Go</button></form>");
        let form = ([(CONTENT_SECURITY_POLICY, policy)], page);
        let app = Router::new().route("/", get(async move || form)).route(
            "/go",
            post(async || (StatusCode::SEE_OTHER, [(LOCATION, PRIVATE_USE)])),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let chrome = Chrome::open(DESK).await;
        chrome.goto(&origin).await;
        chrome.events().await;
        chrome.click("go").await;
        let attempted = chrome.attempted(PRIVATE_USE).await;
        assert_eq!(attempted.is_some(), followed, "{policy}");
        assert_eq!(chrome.violations().await.is_empty(), followed, "{policy}");
        serving.abort();
    }
}

#[tokio::test]
async fn rfc6749_4_1_2_1_who_denies_sends_access_denied_and_no_code() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("deny").await;
    let arrival = landing.arrival().await;
    for (name, expected) in [
        ("error", Some("access_denied".to_owned())),
        ("state", Some(STATE.to_owned())),
        ("iss", Some(place.auth(""))),
        ("code", None),
    ] {
        assert_eq!(arrival.parameter(name), expected, "{name}");
    }
}

#[tokio::test]
async fn form_post_sends_the_answer_in_a_body() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    chrome
        .goto(&flow.url(&[("response_mode", "form_post")]))
        .await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    chrome.element("landed").await;
    let arrival = landing.arrival().await;
    assert_eq!(
        (arrival.method.as_str(), arrival.query.as_str()),
        ("POST", "")
    );
    assert_eq!(arrival.parameter("state").as_deref(), Some(STATE));
    assert_eq!(arrival.parameter("iss"), Some(place.auth("")));
    flow.tokens(&arrival.parameter("code").unwrap()).await;
    assert_eq!(chrome.violations().await, [""; 0]);
}

#[tokio::test]
async fn every_step_works_without_scripts() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(PHONE).await;
    let off = json!({"value": true});
    chrome
        .devtools("Emulation.setScriptExecutionDisabled", off)
        .await;
    chrome
        .goto(&flow.url(&[("response_mode", "form_post")]))
        .await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    // What a script would have pressed.
    chrome.click("continue").await;
    chrome.element("landed").await;
    let arrival = landing.arrival().await;
    assert_eq!(arrival.method, "POST");
    flow.tokens(&arrival.parameter("code").unwrap()).await;
}

#[tokio::test]
async fn a_sign_in_begun_in_one_tab_survives_one_finished_in_another() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    let client = chrome.client();
    chrome.goto(&flow.url(&[])).await;
    chrome.element("email").await;
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let arrival = landing.arrival().await;
    flow.tokens(&arrival.parameter("code").unwrap()).await;

    client.switch_to_window(first).await.unwrap();
    sign_in(&chrome, &place).await;
    // The form is older than the sign-in: it says so and offers to go on.
    assert_eq!(chrome.first_of(&["go-on", "approve"]).await, "go-on");
    go_on(&chrome).await;
    let arrival = landing.arrival().await;
    flow.tokens(&arrival.parameter("code").unwrap()).await;
}

/// Past a page that says that the form was stale, and through whatever it offers, to the end.
async fn go_on(chrome: &Chrome) {
    if chrome.first_of(&["go-on", "approve"]).await == "go-on" {
        chrome.click("go-on").await;
    }
    chrome.click("approve").await;
    chrome.element("landed").await;
}

#[tokio::test]
async fn the_back_button_after_sign_in_leads_on() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.element("approve").await;
    chrome.client().back().await.unwrap();
    if chrome.first_of(&["email", "go-on", "approve"]).await == "email" {
        sign_in(&chrome, &place).await;
    }
    go_on(&chrome).await;
    let arrival = landing.arrival().await;
    flow.tokens(&arrival.parameter("code").unwrap()).await;
    // Back to a consent that was given: what was answered is not answered again, and says so.
    chrome.client().back().await.unwrap();
    if chrome.first_of(&["approve", "stale-title"]).await == "approve" {
        chrome.click("approve").await;
    }
    chrome.element("stale-title").await;
    assert!(!landing.has_more(), "one answer for one request");
}

#[tokio::test]
async fn openid_core_3_1_2_1_prompt_login_asks_again_in_an_open_session() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let before = claims(&flow.tokens(&code).await["id_token"]);

    chrome.goto(&flow.url(&[("prompt", "login")])).await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let after = claims(&flow.tokens(&code).await["id_token"]);
    assert_eq!(after["sub"], before["sub"]);
}

#[tokio::test]
async fn who_signs_out_is_asked_for_the_password_again() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let tokens = flow.tokens(&code).await;

    chrome.goto(&place.auth("/oauth/logout")).await;
    chrome.assert_fits().await;
    chrome.click("sign-out-submit").await;
    chrome.element("signed-out").await;
    chrome.assert_fits().await;
    chrome.goto(&flow.url(&[])).await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    // `offline_access` outlives the session.
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(flow.refresh(refresh_token).await.status(), 200);
}

#[tokio::test]
async fn a_request_that_proves_no_client_is_a_page_and_goes_nowhere() {
    let place = Place::new();
    let _running = place.start(&[]);
    let flow = Flow::of_app(&place, "https://elsewhere.example/callback");
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&flow.url(&[])).await;
    chrome.element("error-title").await;
    chrome.assert_fits().await;
    let url = chrome.client().current_url().await.unwrap();
    assert!(url.as_str().starts_with(&place.auth("/")), "{url}");
}
