//! A person lets a device in, or does not, on a phone.

use serde_json::Value;

use super::chrome::Chrome;
use super::{PHONE, sign_in};
use crate::process::{Place, http, send};

/// A device of the demo, and what it was given.
struct Device<'a> {
    place: &'a Place,
    client_id: String,
    asked: Value,
}

impl<'a> Device<'a> {
    async fn begin(place: &'a Place) -> Self {
        let client_id = place.demo()["device"]["client_id"].clone();
        let client_id = client_id.as_str().unwrap().to_owned();
        let form = [
            ("client_id", client_id.as_str()),
            ("scope", "openid email offline_access profile:read"),
        ];
        let request = http()
            .post(place.auth("/oauth/device_authorization"))
            .form(&form);
        let asked: Value = send(request).await.json().await.unwrap();
        assert!(asked["device_code"].is_string(), "{asked}");
        Self {
            place,
            client_id,
            asked,
        }
    }

    fn told(&self, name: &str) -> &str {
        self.asked[name].as_str().unwrap()
    }

    async fn poll(&self) -> Value {
        let form = [
            ("client_id", self.client_id.as_str()),
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("device_code", self.told("device_code")),
        ];
        let request = http().post(self.place.auth("/oauth/token")).form(&form);
        send(request).await.json().await.unwrap()
    }
}

#[tokio::test]
async fn rfc8628_a_person_lets_a_device_in_on_a_phone_and_keeps_one_out() {
    let place = Place::new();
    let running = place.start(&[]);
    let chrome = Chrome::open(PHONE).await;

    // The code is typed.
    let device = Device::begin(&place).await;
    chrome.goto(device.told("verification_uri")).await;
    chrome.element("email").await;
    chrome.assert_fits().await;
    sign_in(&chrome, &place).await;
    chrome.element("user_code").await;
    chrome.assert_fits().await;
    chrome.fill("user_code", "bbbb bbbb").await;
    chrome.click("enter").await;
    chrome.element("device-notice").await;
    chrome.assert_fits().await;
    let spoken = device.told("user_code").to_lowercase().replace('-', "");
    // What was wrong stands there still.
    let field = chrome.element("user_code").await;
    field.clear().await.unwrap();
    chrome.fill("user_code", &spoken).await;
    chrome.click("enter").await;
    chrome.element("approve").await;
    chrome.assert_fits().await;
    assert_eq!(chrome.text("user-code").await, device.told("user_code"));
    assert_eq!(device.poll().await["error"], "authorization_pending");
    chrome.click("approve").await;
    chrome.element("device-approved").await;
    chrome.assert_fits().await;
    let tokens = device.poll().await;
    assert!(tokens["id_token"].is_string(), "{tokens}");

    // It comes with a link, as from a picture that the camera read.
    let device = Device::begin(&place).await;
    chrome.goto(device.told("verification_uri_qr")).await;
    chrome.goto(device.told("verification_uri_complete")).await;
    chrome.click("enter").await;
    chrome.click("deny").await;
    chrome.element("device-denied").await;
    chrome.assert_fits().await;
    assert_eq!(device.poll().await["error"], "access_denied");
    assert_eq!(chrome.violations().await, [""; 0]);
    assert_eq!(running.log(), "");
}
