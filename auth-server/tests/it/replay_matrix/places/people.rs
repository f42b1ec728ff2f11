//! Pages: cookies, handles, and codes that people type.

use super::{Came as _, World};
use crate::browser::{Browser, EMAIL, PASSWORD};
use crate::device::typed;
use crate::replay_matrix::artefacts::Artefact;
use crate::sign_out::logout;

impl World<'_> {
    /// A browser with this cookie and no other.
    pub(super) fn browser_with(&self, name: &str, value: &str) -> Browser<'_> {
        let server = self.stage.server();
        let port = server.issuer.rsplit(':').next().unwrap();
        let browser = Browser::new(server);
        browser.set_cookie(&format!("{name}-{port}"), value);
        browser
    }

    pub(super) async fn browser_cookie(&self, value: &str) -> bool {
        let query = [("interaction", self.made(Artefact::Interaction))];
        let url = self.url("/login", &query);
        let page = self.browser_with("browser", value).get(url).await;
        page.is(200) && page.has("sign-in")
    }

    /// Whether the device that somebody signs in on keeps the name that the cookie gives it.
    pub(super) async fn device_cookie(&self, value: &str) -> bool {
        let browser = self.browser_with("device", value);
        let server = self.stage.server();
        let page = browser
            .open(server.authorize_url(&self.stage.app, &[]))
            .await;
        browser.sign_in_as(&page, EMAIL, PASSWORD).await;
        let now = browser.cookie("device").unwrap();
        now != value && now.split('.').next() == value.split('.').next()
    }

    pub(super) async fn interaction(&self, value: &str) -> bool {
        let mut shown = false;
        for path in ["/login", "/register", "/consent", "/select-account"] {
            let url = self.url(path, &[("interaction", value)]);
            let page = self.made.open.sign_in.browser.open(url).await;
            assert!(page.status.as_u16() < 500, "{path}");
            shown |= page.has("sign-in");
        }
        shown
    }

    pub(super) async fn resume(&self, value: &str) -> bool {
        let url = self.url("/oauth/authorize/resume", &[("interaction", value)]);
        let page = self.made.open.sign_in.browser.open(url).await;
        page.is(200) && page.has("sign-in")
    }

    pub(super) async fn user_code_form(&self, value: &str) -> bool {
        let open = &self.made.open.user_code;
        let page = open.send(value).await;
        let page = open.browser.follow(page).await;
        page.is(200) && page.has("consent")
    }

    pub(super) async fn device_form(&self, value: &str) -> bool {
        let page = self.made.open.device.send(value).await;
        page.is(200) && page.has("device-approved")
    }

    pub(super) async fn user_code(&self, value: &str) -> bool {
        let browser = self.stage.browser();
        let page = browser.open(self.url("/device", &[])).await;
        let form = typed(&page, value);
        let answer = browser.post(page.action("enter-code"), &form).await;
        let page = browser.follow(answer).await;
        page.is(200) && page.has("consent")
    }

    /// As it stands in `verification_uri_complete`: whatever it says, the person still has to send it.
    pub(super) async fn user_code_in_link(&self, value: &str) -> bool {
        let browser = self.stage.browser();
        let url = self.url("/device", &[("user_code", value)]);
        let page = browser.open(url).await;
        if !page.is(200) || !page.has("enter-code") {
            return false;
        }
        let form = page.inputs("enter-code");
        let answer = browser.post(page.action("enter-code"), &form).await;
        let page = browser.follow(answer).await;
        page.is(200) && page.has("consent")
    }

    /// A picture of a link, drawn of all that looks like a user code.
    pub(super) async fn user_code_in_picture(&self, value: &str) -> bool {
        let mut url = self.url("/device/qr", &[]);
        url.path_segments_mut().unwrap().push(value);
        Browser::new(self.stage.server()).get(url).await.is(200)
    }

    pub(super) async fn logout_hint(&self, value: &str) -> bool {
        let hint = [("id_token_hint", value)];
        let browser = self.stage.browser();
        logout(self.stage.server(), &browser, &hint).await.is(303)
    }

    pub(super) async fn logout_resume(&self, value: &str) -> bool {
        let url = self.url("/oauth/logout/resume", &[("request", value)]);
        Browser::new(self.stage.server()).get(url).await.is(303)
    }

    pub(super) async fn logo(&self, value: &str) -> bool {
        let url = self.url("/clients/logo", &[("client_id", value)]);
        let page = Browser::new(self.stage.server()).get(url).await;
        page.is(200)
    }
}
