//! FAPI 2.0 Message Signing: signed requests, signed answers, signed introspection.

use auth_server::profiles::Profile;
use serde_json::{Value, json};
use shared_protocol::jose::{JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Of, Scene};
use crate::browser::{Browser, parameter};
use crate::dpop::Prover;
use crate::pushed::{PAR, url_of};
use crate::request_object::{new_key, sign};
use crate::server::{API, Answer, TestServer};
use crate::token::decode;

on_each_store!(auth_server::store::MIGRATIONS;
    fapi2_message_signing_5_3_and_5_4_at_a_server,
    fapi2_message_signing_5_3_and_5_4_of_a_client,
    fapi2_message_signing_5_5_introspection_at_a_server,
    fapi2_message_signing_5_5_introspection_by_a_client,
);

impl Scene {
    /// The claims of a good request object, with some of them changed; `null` leaves one out.
    pub(super) fn object(&self, changes: &Value) -> Value {
        let now = self.server.clock.now().as_secs();
        let asked = TestServer::asking(&self.app, &[("response_mode", "jwt")]);
        let mut claims =
            json!({"iss": self.app.id, "aud": self.server.issuer, "exp": now + 300, "nbf": now});
        let members = claims.as_object_mut().unwrap();
        members.extend(asked.into_iter().map(|(name, value)| (name, json!(value))));
        crate::registration::with(&claims, changes)
    }

    pub(super) async fn push_signed(&self, changes: &Value) -> Answer {
        let object = self.signed_request(changes).await;
        self.post(PAR, &[("request", &object)]).await
    }

    pub(super) async fn signed_request(&self, changes: &Value) -> String {
        let header = json!({"typ": "oauth-authz-req+jwt"});
        sign(&self.key, &header, &self.object(changes)).await
    }
}

async fn fapi2_message_signing_5_3_and_5_4_at_a_server(stores: &Stores) {
    let scene = Scene::set(stores, Profile::Fapi2MessageSigning, Of::Server);
    requests(&scene.await).await;
}

async fn fapi2_message_signing_5_3_and_5_4_of_a_client(stores: &Stores) {
    let scene = Scene::set(stores, Profile::Fapi2MessageSigning, Of::Client);
    requests(&scene.await).await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn requests(scene: &Scene) {
    let server = &scene.server;
    let now = server.clock.now().as_secs();
    let unsigned = scene.push(&[("response_mode", "jwt")]).await;
    assert_eq!(unsigned.error(), (400, "invalid_request"), "not signed");
    let rows = [
        ("as it is", json!({}), None),
        (
            "an array with us",
            json!({"aud": ["https://x.example", server.issuer]}),
            None,
        ),
        (
            "59 minutes old",
            json!({"nbf": now - 59 * 60, "exp": now + 50}),
            None,
        ),
        ("a clock 9 seconds ahead", json!({"nbf": now + 9}), None),
        (
            "form_post.jwt",
            json!({"response_mode": "form_post.jwt"}),
            None,
        ),
        (
            "no iss",
            json!({"iss": null}),
            Some("invalid_request_object"),
        ),
        (
            "no aud",
            json!({"aud": null}),
            Some("invalid_request_object"),
        ),
        (
            "no exp",
            json!({"exp": null}),
            Some("invalid_request_object"),
        ),
        (
            "no nbf",
            json!({"nbf": null}),
            Some("invalid_request_object"),
        ),
        (
            "another aud",
            json!({"aud": "https://x.example"}),
            Some("invalid_request_object"),
        ),
        (
            "expired",
            json!({"nbf": now - 60, "exp": now - 1}),
            Some("invalid_request_object"),
        ),
        (
            "61 minutes old",
            json!({"nbf": now - 61 * 60, "exp": now + 10}),
            Some("invalid_request_object"),
        ),
        (
            "good for more than 60 minutes",
            json!({"nbf": now, "exp": now + 3601}),
            Some("invalid_request_object"),
        ),
        (
            "a minute ahead",
            json!({"nbf": now + 70}),
            Some("invalid_request_object"),
        ),
        (
            "no response_mode",
            json!({"response_mode": null}),
            Some("invalid_request"),
        ),
        (
            "query",
            json!({"response_mode": "query"}),
            Some("invalid_request"),
        ),
        (
            "fragment",
            json!({"response_mode": "fragment"}),
            Some("invalid_request"),
        ),
        (
            "form_post",
            json!({"response_mode": "form_post"}),
            Some("invalid_request"),
        ),
        (
            "no challenge",
            json!({"code_challenge": null, "code_challenge_method": null}),
            Some("invalid_request"),
        ),
    ];
    for (what, changes, error) in rows {
        let answer = scene.push_signed(&changes).await;
        match error {
            None => assert_eq!(answer.status, 201, "{what}: {}", answer.body),
            Some(error) => assert_eq!(answer.error(), (400, error), "{what}: {}", answer.body),
        }
    }
    let stranger = new_key(shared_protocol::jose::Algorithm::Es256);
    let object = sign(&stranger, &json!({}), &scene.object(&json!({}))).await;
    let answer = scene.post(PAR, &[("request", &object)]).await;
    assert_eq!(answer.error(), (400, "invalid_request_object"));

    // What comes of it is signed: a code, and an error too.
    let keys = server.get("/oauth/jwks").await.body;
    let keys = JwkSet::from_object(keys.as_object().unwrap()).unwrap();
    for (changes, member) in [(json!({}), "code"), (json!({"prompt": "none"}), "error")] {
        let pushed = scene.push_signed(&changes).await;
        let url = url_of(server, &scene.app, pushed.text("request_uri"));
        let answer = Browser::new(server).sign_in_and_consent(url).await;
        assert_eq!(answer.query_pairs().count(), 1, "{answer}");
        let response = parameter(&answer, "response").unwrap();
        let jwt = UnverifiedJwt::parse(&response, JwtKind::AuthorizationResponse).unwrap();
        let claims: Value = jwt.verify(&keys).unwrap().0.parse().unwrap();
        assert_eq!(claims["iss"], server.issuer);
        assert_eq!(claims["aud"], scene.app.id);
        assert!(claims[member].is_string(), "{claims}");
    }
    // One that was not pushed is told so, signed.
    let page = Browser::new(server)
        .open(server.authorize_url(&scene.app, &[]))
        .await;
    assert!(parameter(&page.location(), "response").is_some());
}

async fn fapi2_message_signing_5_5_introspection_at_a_server(stores: &Stores) {
    let scene = Scene::set(stores, Profile::Fapi2MessageSigning, Of::Server);
    introspection(&scene.await).await;
}

async fn fapi2_message_signing_5_5_introspection_by_a_client(stores: &Stores) {
    let scene = Scene::set(stores, Profile::Fapi2MessageSigning, Of::Client);
    introspection(&scene.await).await;
}

async fn introspection(scene: &Scene) {
    let jwt = "application/token-introspection+jwt";
    let form = [("grant_type", "client_credentials"), ("resource", API)];
    let tokens = scene.ask(&form, &Prover::new()).await;
    let token = tokens.text("access_token");
    let keys = scene.server.get("/oauth/jwks").await.body;
    let keys = JwkSet::from_object(keys.as_object().unwrap()).unwrap();
    for (accept, expected) in [
        (None, jwt),
        (Some("*/*"), jwt),
        (Some(jwt), jwt),
        // By name, as those who cannot read the other ask for it.
        (Some("application/json"), "application/json"),
    ] {
        let proof = scene.proof().await;
        let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let form: Vec<_> = proof.chain([("token", token)]).collect();
        let mut request = scene.server.form("/oauth/introspect", &form);
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{accept:?}");
        assert_eq!(response.headers()["content-type"], expected, "{accept:?}");
        let body = response.text().await.unwrap();
        let told = if expected == jwt {
            assert_eq!(decode(&body).0["typ"], "token-introspection+jwt");
            let jwt = UnverifiedJwt::parse(&body, JwtKind::TokenIntrospection).unwrap();
            let claims: Value = jwt.verify(&keys).unwrap().0.parse().unwrap();
            assert_eq!(claims["iss"], scene.server.issuer);
            assert_eq!(claims["aud"], scene.app.id);
            claims["token_introspection"].clone()
        } else {
            body.parse().unwrap()
        };
        assert_eq!(told["active"], true, "{accept:?}");
        assert_eq!(told["client_id"], scene.app.id, "{accept:?}");
    }
}
