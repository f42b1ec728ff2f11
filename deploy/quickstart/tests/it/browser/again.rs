//! People who are asked again, though they are signed in.

use serde_json::Value;

use super::chrome::Chrome;
use super::landing::Landing;
use super::{DESK, PHONE, go_on, sign_in};
use crate::flow::{Flow, claims};
use crate::process::Place;

/// What the page of the demo app shows under this id.
async fn shown(chrome: &Chrome, id: &str) -> Value {
    serde_json::from_str(&chrome.text(id).await).unwrap()
}

/// A person changes something at the API, which wants them to have signed in a moment ago: the app sends them to do so, and the change
/// is made.
#[tokio::test]
async fn rfc9470_step_up_in_the_middle() {
    let place = Place::new();
    let (weak, recent) = ("urn:example:weak", "urn:example:recent");
    let auth = format!(
        "[[acr]]\nvalue = \"{weak}\"\namr = [\"pwd\"]\n[[acr]]\nvalue = \"{recent}\"\namr = [\"pwd\"]\nwithin = \"1s\"\n"
    );
    let api = format!("[step_up]\nacr_values = [\"{recent}\"]\n");
    let [auth, api] = [("auth.toml", auth), ("api.toml", api)].map(|(name, text)| {
        std::fs::write(place.file(name), text).unwrap();
        place.file(name).to_str().unwrap().to_owned()
    });
    let running = place.start(&["--auth-config", &auth, "--api-config", &api]);
    let chrome = Chrome::open(PHONE).await;
    chrome.goto(&place.app("/start")).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    assert_eq!(shown(&chrome, "id-token").await["acr"], recent);
    // Signed in once, and again and again sent back without it, until the sign-in is not a moment ago any more.
    while shown(&chrome, "id-token").await["acr"] != weak {
        chrome.goto(&place.app("/start")).await;
        assert_eq!(chrome.first_of(&["email", "approve"]).await, "approve");
        chrome.click("approve").await;
    }
    chrome.fill("name", "Ada").await;
    chrome.click("rename").await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    chrome.assert_fits().await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    assert_eq!(shown(&chrome, "me").await["display_name"], "Ada");
    assert_eq!(shown(&chrome, "id-token").await["acr"], recent);
    chrome.assert_fits().await;
    assert_eq!(chrome.violations().await, [""; 0]);
    assert_eq!(running.log(), "");
}

#[tokio::test]
async fn oidc_3_1_2_1_prompt_login_leaves_the_other_tab_usable() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(DESK).await;
    let client = chrome.client();
    chrome.goto(&flow.url(&[])).await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let before = flow.tokens(&code).await;
    // One tab waits for an answer; in another the person signs in again.
    chrome.goto(&flow.url(&[("prompt", "consent")])).await;
    chrome.element("approve").await;
    let first = client.window().await.unwrap();
    let second = client.new_window(true).await.unwrap().handle;
    client.switch_to_window(second).await.unwrap();
    chrome.goto(&flow.url(&[("prompt", "login")])).await;
    assert_eq!(chrome.first_of(&["email", "approve"]).await, "email");
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let again = flow.tokens(&code).await;
    let [old, new] = [&before, &again].map(|tokens| claims(&tokens["id_token"]));
    assert_eq!(old["sid"], new["sid"], "the same session, proven anew");
    assert!(old["auth_time"].as_i64() <= new["auth_time"].as_i64());
    // The first says that something changed, and goes on.
    client.switch_to_window(first).await.unwrap();
    chrome.click("approve").await;
    assert_eq!(chrome.first_of(&["go-on", "landed"]).await, "go-on");
    go_on(&chrome).await;
    let code = landing.arrival().await.parameter("code").unwrap();
    flow.tokens(&code).await;
    let refresh_token = before["refresh_token"].as_str().unwrap();
    assert_eq!(flow.refresh(refresh_token).await.status(), 200);
    assert!(!landing.has_more());
}

#[tokio::test]
async fn oidc_3_1_2_1_select_account_and_create_in_a_browser() {
    let place = Place::new();
    let _running = place.start(&[]);
    let mut landing = Landing::open().await;
    let flow = Flow::of_app(&place, &landing.redirect_uri());
    let chrome = Chrome::open(PHONE).await;
    chrome
        .goto(&flow.url(&[("prompt", "create"), ("display", "popup")]))
        .await;
    chrome.element("sign-up").await;
    chrome.assert_fits().await;
    chrome.fill("email", "grace@example.com").await;
    chrome.fill("name", "Grace Hopper").await;
    chrome.fill("password", "a nanosecond of wire 1906").await;
    chrome.click("sign-up-submit").await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let new = claims(&flow.tokens(&code).await["id_token"]);
    // That account, or another.
    let choose = flow.url(&[("prompt", "select_account")]);
    chrome.goto(&choose).await;
    assert_eq!(chrome.text("account-email").await, "grace@example.com");
    chrome.assert_fits().await;
    chrome.click("continue-as").await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let same = claims(&flow.tokens(&code).await["id_token"]);
    assert_eq!(same["sub"], new["sub"]);
    chrome.goto(&choose).await;
    chrome.click("another-account").await;
    sign_in(&chrome, &place).await;
    chrome.click("approve").await;
    let code = landing.arrival().await.parameter("code").unwrap();
    let other = claims(&flow.tokens(&code).await["id_token"]);
    assert_ne!(other["sub"], new["sub"]);
    assert_eq!(chrome.violations().await, [""; 0]);
}
