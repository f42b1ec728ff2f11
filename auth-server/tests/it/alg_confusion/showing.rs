//! How a JWT is shown to each that reads one, and whether it is taken.

use serde_json::json;
use shared_testing::forgeries::fits_header;

use super::verifiers::Verifier;
use crate::bound_userinfo::{USERINFO, get, proof};
use crate::browser::{Browser, parameter};
use crate::dpop::{TOKEN, push, send};
use crate::jwt_bearer;
use crate::person::{is_active, post};
use crate::pushed::PAR;
use crate::registration::{REGISTER, service};
use crate::request_object;
use crate::server::API;
use crate::sign_out::logout;
use crate::stage::Stage;
use crate::token_exchange::{ACCESS, EXCHANGE, ID};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What stands beside the JWT that is tried.
pub(super) struct World<'a> {
    stage: &'a Stage,
    /// The token for which somebody acts.
    subject: String,
    /// The token that is shown with a proof.
    pub(super) beside: String,
    /// The JWT that holds.
    pub(super) good: String,
}

impl<'a> World<'a> {
    pub(super) async fn on(stage: &'a Stage) -> Self {
        let tokens = stage.tokens(&stage.scene.app, "openid read").await;
        Self {
            stage,
            subject: tokens["access_token"].as_str().unwrap().to_owned(),
            beside: String::new(),
            good: String::new(),
        }
    }
}

impl Verifier {
    /// Whether it takes this one; what it does not take is the fault of who sent it.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub(super) async fn takes(self, world: &World<'_>, token: &str) -> bool {
        let (stage, server) = (world.stage, world.stage.server());
        let (status, is_taken) = match self {
            Self::Assertion(endpoint) | Self::Mac(endpoint) => {
                let proof = [
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", token),
                    ("grant_type", "client_credentials"),
                    ("token", "none"),
                ];
                let answer = server.send(server.form(endpoint, &proof)).await;
                let status = answer.status.as_u16();
                (status, status != 401)
            }
            Self::Tool => {
                if !fits_header(token) {
                    return false;
                }
                let answer = stage.revoke_all(token).await;
                (answer.status.as_u16(), answer.status == 404)
            }
            Self::BearerAssertion | Self::IdentityAssertion => {
                let form = [("grant_type", jwt_bearer::GRANT), ("assertion", token)];
                let answer = server.post_as(&stage.bearer, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::RequestObject => {
                let url = request_object::url(server, &stage.app, ("request", token), &[]);
                let page = Browser::new(server).open(url).await;
                (page.status.as_u16(), page.has("sign-in"))
            }
            Self::PushedObject => {
                let answer = post(server, &stage.app, PAR, &[("request", token)]).await;
                (answer.status.as_u16(), answer.status == 201)
            }
            Self::Statement => {
                let mut document = service();
                document["software_statement"] = token.into();
                let answer = server.post_json(REGISTER, &document, None).await;
                (answer.status.as_u16(), answer.status == 201)
            }
            Self::Hint => {
                let asked = [("id_token_hint", token), ("prompt", "none")];
                let url = server.authorize_url(&stage.app, &asked);
                let page = stage.browser().get(url).await;
                let is_taken = page.status == 303 && parameter(&page.location(), "code").is_some();
                (page.status.as_u16(), is_taken)
            }
            Self::LogoutHint => {
                let hint = [("id_token_hint", token)];
                let page = logout(server, &stage.browser(), &hint).await;
                (page.status.as_u16(), page.status == 303)
            }
            Self::Subject(token_type) => {
                let client = if token_type == ID {
                    &stage.app
                } else {
                    &stage.gateway
                };
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", token),
                    ("subject_token_type", token_type),
                    ("resource", API),
                ];
                let answer = server.post_as(client, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Actor(token_type) => {
                let form = [
                    ("grant_type", EXCHANGE),
                    ("subject_token", &world.subject),
                    ("subject_token_type", ACCESS),
                    ("actor_token", token),
                    ("actor_token_type", token_type),
                ];
                let answer = server.post_as(&stage.gateway, "/oauth/token", &form).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Userinfo => {
                if !fits_header(token) {
                    return false;
                }
                let request = server.http.get(format!("{}/oauth/userinfo", server.issuer));
                let answer = server.send(request.bearer_auth(token)).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::Introspection => {
                let form = [("token", token)];
                let answer = server
                    .post_as(&stage.gateway, "/oauth/introspect", &form)
                    .await;
                (answer.status.as_u16(), answer.body["active"] == true)
            }
            Self::Revocation => {
                let form = [("token", token)];
                let answer = post(server, &stage.scene.app, "/oauth/revoke", &form).await;
                let is_active = is_active(server, &stage.gateway, &world.good).await;
                (answer.status.as_u16(), !is_active)
            }
            Self::UserinfoInForm => {
                let form = [("access_token", token)];
                let answer = server.send(server.form(USERINFO, &form)).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::BoundUserinfo => {
                if !fits_header(token) {
                    return false;
                }
                let proof = proof(server, &stage.prover, token, &json!({})).await;
                let request = get(server, &format!("DPoP {token}"), &[&proof]);
                let answer = server.send(request).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::CertifiedUserinfo => {
                if !fits_header(token) {
                    return false;
                }
                let url = format!("{}{USERINFO}", server.mtls.as_deref().unwrap());
                let request = stage.presenting.get(url).bearer_auth(token);
                let answer = server.send(request).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::TokenProof => {
                if !fits_header(token) {
                    return false;
                }
                let form = [("grant_type", "client_credentials"), ("resource", API)];
                let answer = send(server, &stage.app, (TOKEN, &form), &[token]).await;
                (answer.status.as_u16(), answer.status == 200)
            }
            Self::PushProof => {
                if !fits_header(token) {
                    return false;
                }
                let answer = push(server, &stage.app, &[], &[token]).await;
                (answer.status.as_u16(), answer.status == 201)
            }
            Self::UserinfoProof => {
                if !fits_header(token) {
                    return false;
                }
                let request = get(server, &format!("DPoP {}", world.beside), &[token]);
                let answer = server.send(request).await;
                (answer.status.as_u16(), answer.status == 200)
            }
        };
        assert!(status < 500, "{self:?}: {status} for {token}");
        is_taken
    }
}
