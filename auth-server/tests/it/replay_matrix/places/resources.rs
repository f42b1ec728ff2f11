//! Where access tokens are of use, asked about, and ended.

use reqwest::RequestBuilder;
use serde_json::json;

use super::{Came as _, INTROSPECT, REVOKE, USERINFO, World};
use crate::bound_userinfo::{get, proof};
use crate::dpop::Prover;
use crate::replay_matrix::artefacts::Artefact;

impl World<'_> {
    async fn is_told(&self, request: RequestBuilder) -> bool {
        self.stage.server().send(request).await.is(200)
    }

    pub(super) async fn is_active(&self, value: &str) -> bool {
        let mut active = false;
        for client in [&self.stage.app, &self.stage.gateway] {
            let form = [("token", value)];
            let server = self.stage.server();
            let answer = server.post_as(client, INTROSPECT, &form).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            active |= answer.body["active"] == true;
        }
        active
    }

    /// RFC 7009 §2.2: the answer tells little. What others it might have ended is shown afterwards.
    pub(super) async fn is_revoked(&self, value: &str) -> bool {
        let was_active = self.is_active(value).await;
        for client in [&self.stage.app, &self.stage.gateway, &self.stage.bearer] {
            let form = [("token", value)];
            let server = self.stage.server();
            let answer = server.post_as(client, REVOKE, &form).await;
            assert!(answer.status.as_u16() < 500, "{}", answer.body);
        }
        was_active && !self.is_active(value).await
    }

    pub(super) async fn userinfo(&self, value: &str) -> bool {
        let request = self.stage.server().http.get(self.url(USERINFO, &[]));
        self.is_told(request.bearer_auth(value)).await
    }

    pub(super) async fn userinfo_by_post(&self, value: &str) -> bool {
        let request = self.stage.server().http.post(self.url(USERINFO, &[]));
        self.is_told(request.bearer_auth(value)).await
    }

    /// RFC 6750 §2.2.
    pub(super) async fn userinfo_in_form(&self, value: &str) -> bool {
        let form = [("access_token", value)];
        self.is_told(self.stage.server().form(USERINFO, &form))
            .await
    }

    /// By DPoP, with a good proof by this key, or none.
    pub(super) async fn userinfo_by(&self, prover: Option<&Prover>, value: &str) -> bool {
        let server = self.stage.server();
        let proof = match prover {
            Some(prover) => Some(proof(server, prover, value, &json!({})).await),
            None => None,
        };
        let proofs: Vec<&str> = proof.iter().map(String::as_str).collect();
        self.is_told(get(server, &format!("DPoP {value}"), &proofs))
            .await
    }

    /// With a certificate of the connection, the one of the stage or another.
    pub(super) async fn certified_userinfo(&self, is_its_own: bool, value: &str) -> bool {
        let presenting = if is_its_own {
            &self.stage.presenting
        } else {
            &self.stage.presenting_another
        };
        let url = format!("{}{USERINFO}", self.stage.server().mtls.as_deref().unwrap());
        self.is_told(presenting.get(url).bearer_auth(value)).await
    }

    pub(super) async fn proof_at_userinfo(&self, value: &str) -> bool {
        let authorization = format!("DPoP {}", self.made(Artefact::BoundToken));
        let server = self.stage.server();
        self.is_told(get(server, &authorization, &[value])).await
    }

    pub(super) async fn nonce_at_userinfo(&self, value: &str) -> bool {
        let (server, prover) = (self.stage.server(), &self.stage.prover);
        let token = self.made(Artefact::BoundToken);
        let proof = proof(server, prover, token, &json!({"nonce": value})).await;
        self.proof_at_userinfo(&proof).await
    }
}
