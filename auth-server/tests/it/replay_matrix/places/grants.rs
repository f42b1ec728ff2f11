//! The token endpoint.

use serde_json::json;

use super::{Came as _, World};
use crate::device;
use crate::dpop::{Prover, TOKEN, ask, send};
use crate::jwt_bearer;
use crate::person::{code_form, post, refresh_form};
use crate::server::{API, Answer, TestClient};
use crate::token_exchange::{ACCESS, EXCHANGE, ID, REFRESH};

impl World<'_> {
    async fn token(&self, client: &TestClient, form: &[(&str, &str)]) -> Answer {
        post(self.stage.server(), client, TOKEN, form).await
    }

    /// As the public app that is bound to certificates.
    async fn certified(&self, is_its_own: bool, form: &[(&str, &str)]) -> bool {
        let stage = self.stage;
        let presenting = if is_its_own {
            &stage.presenting
        } else {
            &stage.presenting_another
        };
        stage.certified(presenting, TOKEN, form).await.is(200)
    }

    pub(super) async fn code(&self, value: &str) -> bool {
        let form = code_form(value);
        self.token(&self.stage.app, &form).await.is(200)
    }

    pub(super) async fn code_by(&self, prover: &Prover, value: &str) -> bool {
        let (server, form) = (self.stage.server(), code_form(value));
        ask(server, &self.stage.app, &form, prover).await.is(200)
    }

    pub(super) async fn certified_code(&self, is_its_own: bool, value: &str) -> bool {
        self.certified(is_its_own, &code_form(value)).await
    }

    pub(super) async fn refresh(&self, value: &str) -> bool {
        let form = refresh_form(value);
        self.token(&self.stage.app, &form).await.is(200)
    }

    pub(super) async fn public_refresh(&self, value: &str) -> bool {
        let form = refresh_form(value);
        self.token(&self.stage.scene.app, &form).await.is(200)
    }

    pub(super) async fn refresh_by(&self, prover: &Prover, value: &str) -> bool {
        let (server, form) = (self.stage.server(), refresh_form(value));
        let public = &self.stage.scene.app;
        ask(server, public, &form, prover).await.is(200)
    }

    pub(super) async fn certified_refresh(&self, is_its_own: bool, value: &str) -> bool {
        self.certified(is_its_own, &refresh_form(value)).await
    }

    /// It is known, and waits for the person.
    pub(super) async fn device_code(&self, value: &str) -> bool {
        let form = [("grant_type", device::GRANT), ("device_code", value)];
        let answer = self.token(&self.stage.app, &form).await;
        ["authorization_pending", "slow_down"].contains(&answer.error().1)
    }

    async fn exchanged(&self, client: &TestClient, form: &[(&str, &str)]) -> bool {
        let form = [&[("grant_type", EXCHANGE)], form].concat();
        self.token(client, &form).await.is(200)
    }

    pub(super) async fn subject(&self, value: &str, token_type: &str) -> bool {
        let mut form = vec![("subject_token", value), ("subject_token_type", token_type)];
        // What stands for a whole grant is its client's alone, and names no audience.
        if [ID, REFRESH].contains(&token_type) {
            form.push(("resource", API));
            return self.exchanged(&self.stage.app, &form).await;
        }
        self.exchanged(&self.stage.gateway, &form).await
    }

    pub(super) async fn actor(&self, value: &str, token_type: &str) -> bool {
        let form = [
            ("subject_token", self.made.subject.as_str()),
            ("subject_token_type", ACCESS),
            ("actor_token", value),
            ("actor_token_type", token_type),
        ];
        self.exchanged(&self.stage.gateway, &form).await
    }

    pub(super) async fn assertion(&self, value: &str) -> bool {
        let form = [("grant_type", jwt_bearer::GRANT), ("assertion", value)];
        self.token(&self.stage.bearer, &form).await.is(200)
    }

    pub(super) async fn proof_at_token(&self, value: &str) -> bool {
        let form = [("grant_type", "client_credentials"), ("scope", "read")];
        let (server, app) = (self.stage.server(), &self.stage.app);
        send(server, app, (TOKEN, &form), &[value]).await.is(200)
    }

    pub(super) async fn nonce_at_token(&self, value: &str) -> bool {
        let named = json!({"nonce": value});
        let (server, prover) = (self.stage.server(), &self.stage.prover);
        let proof = prover.proof(server, TOKEN, &named).await;
        self.proof_at_token(&proof).await
    }
}
