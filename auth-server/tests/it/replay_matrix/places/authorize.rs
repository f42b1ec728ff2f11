//! The authorization endpoint, and what is pushed ahead of it.

use serde_json::json;

use super::{Came as _, World};
use crate::browser::{Browser, parameter};
use crate::dpop::{PAR, ask, push};
use crate::person::{code_form, post};
use crate::pushed::url_of;
use crate::request_object;
use crate::server::TestClient;

impl World<'_> {
    /// The code for the person who is signed in, if nothing is in the way.
    async fn silent_code(&self, asked: &[(&str, &str)]) -> Option<String> {
        let asked = [asked, &[("prompt", "none")]].concat();
        let url = self.stage.server().authorize_url(&self.stage.app, &asked);
        let page = self.stage.browser().get(url).await;
        if !page.is(303) {
            return None;
        }
        parameter(&page.location(), "code")
    }

    /// Whether the code is of use to who has the key.
    pub(super) async fn key_of_code(&self, value: &str) -> bool {
        let Some(code) = self.silent_code(&[("dpop_jkt", value)]).await else {
            return false;
        };
        let (server, app) = (self.stage.server(), &self.stage.app);
        let answer = ask(server, app, &code_form(&code), &self.stage.prover).await;
        answer.is(200)
    }

    pub(super) async fn key_of_pushed_request(&self, value: &str) -> bool {
        let (server, app) = (self.stage.server(), &self.stage.app);
        let proof = self.stage.prover.proof(server, PAR, &json!({})).await;
        let answer = push(server, app, &[("dpop_jkt", value)], &[&proof]).await;
        answer.is(201)
    }

    pub(super) async fn proof_at_push(&self, value: &str) -> bool {
        let (server, app) = (self.stage.server(), &self.stage.app);
        push(server, app, &[], &[value]).await.is(201)
    }

    pub(super) async fn nonce_at_push(&self, value: &str) -> bool {
        let named = json!({"nonce": value});
        let (server, prover) = (self.stage.server(), &self.stage.prover);
        let proof = prover.proof(server, PAR, &named).await;
        self.proof_at_push(&proof).await
    }

    pub(super) async fn client_id(&self, value: &str) -> bool {
        let client = TestClient {
            id: value.to_owned(),
            secret: String::new(),
        };
        let server = self.stage.server();
        let url = server.authorize_url(&client, &[]);
        let page = Browser::new(server).open(url).await;
        page.is(200) && page.has("sign-in")
    }

    pub(super) async fn request(&self, value: &str) -> bool {
        let (server, app) = (self.stage.server(), &self.stage.app);
        let url = request_object::url(server, app, ("request", value), &[]);
        let page = Browser::new(server).open(url).await;
        page.is(200) && page.has("sign-in")
    }

    pub(super) async fn push(&self, name: &str, value: &str) -> bool {
        let (server, app) = (self.stage.server(), &self.stage.app);
        post(server, app, PAR, &[(name, value)]).await.is(201)
    }

    /// Of a request that was pushed, or is published by the app.
    pub(super) async fn request_uri(&self, value: &str) -> bool {
        let url = url_of(self.stage.server(), &self.stage.app, value);
        let page = self.made.open.pushed.open(url).await;
        page.is(200) && page.has("sign-in")
    }

    pub(super) async fn id_token_hint(&self, value: &str) -> bool {
        let code = self.silent_code(&[("id_token_hint", value)]).await;
        code.is_some()
    }

    pub(super) async fn session_cookie(&self, value: &str) -> bool {
        let browser = self.browser_with("session", value);
        let asked = [("prompt", "none")];
        let url = self.stage.server().authorize_url(&self.stage.app, &asked);
        let page = browser.get(url).await;
        page.is(303) && parameter(&page.location(), "code").is_some()
    }
}
