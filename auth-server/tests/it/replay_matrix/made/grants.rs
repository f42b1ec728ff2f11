//! What comes of what people allowed: codes, tokens, and what is told of them.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use shared_protocol::jose::{JwtKind, sign_jwt};

use super::{Values, code};
use crate::browser::parameter;
use crate::device;
use crate::dpop::{TOKEN, ask, send};
use crate::macs::unique;
use crate::person::{claims, code_form, post};
use crate::pushed::pushed;
use crate::replay_matrix::artefacts::Artefact;
use crate::server::{API, Answer, TestClient};
use crate::stage::{CHAT, Stage};
use crate::token::decode;
use crate::token_exchange::{ASSERTION, EXCHANGE, ID};

/// What others are made with.
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) subject: String,
}

pub(super) async fn make(stage: &Stage, values: &mut Values) -> Tokens {
    let (server, app) = (stage.server(), &stage.app);
    for artefact in [Artefact::Code, Artefact::BoundCode, Artefact::CertifiedCode] {
        values.put(artefact, code(stage, artefact).await);
    }
    values.put(Artefact::RequestUri, pushed(server, app, &[]).await);
    let device = post(server, app, device::PATH, &[("scope", "openid read")]).await;
    values.put(Artefact::DeviceCode, device.text("device_code"));
    values.put(Artefact::UserCode, device.text("user_code"));
    let tokens = stage
        .tokens(app, "openid read reports offline_access")
        .await;
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    values.put(Artefact::RefreshToken, text(&tokens, "refresh_token"));
    let id_token = text(&tokens, "id_token");
    values.put(Artefact::IdToken, &*id_token);
    let own = text(&stage.tokens(app, "openid email").await, "access_token");
    values.put(Artefact::OwnToken, &*own);
    let api = text(&stage.tokens(app, "openid read").await, "access_token");
    values.put(Artefact::ApiToken, &*api);
    let opaque = text(&stage.tokens(app, "openid secrets").await, "access_token");
    assert!(!opaque.contains('.'));
    values.put(Artefact::OpaqueToken, opaque);
    let actor = server.token(&stage.gateway, API).await;
    values.put(Artefact::ActorToken, actor);
    bound(stage, values).await;
    named(&api, &id_token, values);
    told(stage, (&own, &api, &id_token), values).await;
    let subject = text(&stage.tokens(app, "openid read").await, "access_token");
    Tokens { id_token, subject }
}

/// What is of use to those alone who prove a key, or show a certificate.
async fn bound(stage: &Stage, values: &mut Values) {
    let (server, public) = (stage.server(), &stage.scene.app);
    let by_key = async |client: &TestClient, scope: &str| {
        let code = stage.scene.code(client, scope).await;
        let answer = ask(server, client, &code_form(&code), &stage.prover).await;
        assert_eq!(answer.text("token_type"), "DPoP");
        answer
    };
    for (artefact, scope) in [
        (Artefact::BoundToken, "openid read"),
        (Artefact::BoundOpaqueToken, "openid secrets"),
    ] {
        let answer = by_key(&stage.app, scope).await;
        values.put(artefact, answer.text("access_token"));
    }
    let answer = by_key(public, "openid read").await;
    values.put(Artefact::BoundRefreshToken, answer.text("refresh_token"));
    let unbound = public_refresh_token(stage).await;
    values.put(Artefact::PublicRefreshToken, unbound);
    let code = stage.scene.code(&stage.certified, "openid read").await;
    let answer = stage
        .certified(&stage.presenting, TOKEN, &code_form(&code))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    values.put(Artefact::CertifiedToken, answer.text("access_token"));
    values.put(
        Artefact::CertifiedRefreshToken,
        answer.text("refresh_token"),
    );
    values.put(Artefact::KeyThumbprint, stage.prover.jkt());
    let thumbprint = stage.thumbprint.to_string();
    values.put(Artefact::CertificateThumbprint, thumbprint);
    // As the server tells it who comes without.
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    let outdated = json!({"nonce": "outdated"});
    let proof = stage.prover.proof(server, TOKEN, &outdated).await;
    let answer = send(server, &stage.app, (TOKEN, &form), &[&proof]).await;
    assert_eq!(answer.error(), (400, "use_dpop_nonce"));
    values.put(Artefact::DpopNonce, answer.header("dpop-nonce"));
}

/// One that is bound to nothing, until it comes with a proof.
pub(super) async fn public_refresh_token(stage: &Stage) -> String {
    let tokens = stage.tokens(&stage.scene.app, "openid read").await;
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

/// Names that stand in tokens, for all to read.
fn named(api: &str, id_token: &str, values: &mut Values) {
    let (header, of_access) = decode(api);
    let of_id = claims(id_token);
    for (artefact, name) in [
        (Artefact::TokenId, &of_access["jti"]),
        (Artefact::GrantId, &of_access["grant_id"]),
        (Artefact::AccountId, &of_access["sub"]),
        (Artefact::SessionId, &of_id["sid"]),
        (Artefact::KeyId, &header["kid"]),
    ] {
        values.put(artefact, name.as_str().unwrap());
    }
}

/// What the server signs for others.
async fn told(stage: &Stage, (own, api, id_token): (&str, &str, &str), values: &mut Values) {
    let (server, app, now) = (stage.server(), &stage.app, stage.now());
    let exchange = [
        ("grant_type", EXCHANGE),
        ("requested_token_type", ASSERTION),
        ("subject_token", id_token),
        ("subject_token_type", ID),
        ("audience", CHAT),
    ];
    let answer = server.post_as(app, TOKEN, &exchange).await;
    values.put(Artefact::OwnIdentityAssertion, answer.text("access_token"));
    values.put(Artefact::RequestId, answer.header("x-request-id"));
    let asked = [("response_mode", "jwt"), ("prompt", "none")];
    let page = stage.browser().get(server.authorize_url(app, &asked)).await;
    let response = parameter(&page.location(), "response").unwrap();
    values.put(Artefact::AuthorizationResponse, response);
    // As those who are told of a sign-out get it.
    let told = json!({"iss": server.issuer, "aud": app.id, "sub": stage.scene.account_id, "sid": "x", "iat": now,
        "exp": now + 120, "jti": unique(), "events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    let told = sign_jwt(JwtKind::LogoutToken, &told, &*stage.own_key()).await;
    values.put(Artefact::LogoutToken, told.unwrap());
    let userinfo = server.http.get(format!("{}/oauth/userinfo", server.issuer));
    let userinfo = jwt(userinfo.bearer_auth(own)).await;
    values.put(Artefact::SignedUserinfo, userinfo);
    let introspection = server.form("/oauth/introspect", &[("token", api)]);
    let introspection = introspection.basic_auth(&app.id, Some(&app.secret));
    let introspection = introspection.header("accept", "application/token-introspection+jwt");
    values.put(Artefact::SignedIntrospection, jwt(introspection).await);
    let metadata: Answer = server.get("/.well-known/openid-configuration").await;
    values.put(Artefact::SignedMetadata, metadata.text("signed_metadata"));
}

async fn jwt(request: RequestBuilder) -> String {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let jwt = response.text().await.unwrap();
    assert_eq!(jwt.split('.').count(), 3, "{jwt}");
    jwt
}
