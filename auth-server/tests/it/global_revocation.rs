//! Global Token Revocation: whom the operator trusts with it has all end that a person had.

use std::time::Duration;

use auth_server::clients::{AuthMethod, Client, ClientMetadata, InvalidClientMetadata};
use auth_server::subjects::SubjectType;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::back_channel::{listener, open};
use crate::person::{Scene, pair, person, sign_in};
use crate::registration::{REGISTER, app as registered_app, server as registering, with};
use crate::server::{API, Answer, TestClient, TestServer};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    gtr_3_3_by_each_name_of_a_person_all_that_they_had_ends,
    gtr_3_3_the_clients_of_the_person_are_told,
    gtr_3_4_2_what_is_refused_ends_nothing,
    gtr_3_5_an_assertion_for_this_endpoint_is_taken_once,
    gtr_the_operator_says_who_may,
);

const ENDPOINT: &str = "/oauth/global-token-revocation";

/// A client that may.
fn tool() -> ClientMetadata {
    ClientMetadata {
        global_token_revocation: true,
        ..TestServer::metadata(AuthMethod::ClientSecretBasic, "")
    }
}

fn request(server: &TestServer, subject: &Value) -> reqwest::RequestBuilder {
    let url = format!("{}{ENDPOINT}", server.issuer);
    server.http.post(url).json(&json!({ "sub_id": subject }))
}

async fn revoke(server: &TestServer, client: &TestClient, subject: &Value) -> Answer {
    let request = request(server, subject);
    let request = request.basic_auth(&client.id, Some(&client.secret));
    server.send(request).await
}

async fn gtr_3_3_by_each_name_of_a_person_all_that_they_had_ends(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let tool = server
        .register(ClientMetadata {
            scope: "read".parse().unwrap(),
            ..tool()
        })
        .await;
    let own = server.token(&tool, API).await;
    let (elsewhere, name) = ("https://sso.example", "00u1a2b3");
    for format in ["opaque", "iss_sub", "linked", "email"] {
        let bob = person(server, &format!("{format}@example.com")).await;
        let subject = match format {
            "opaque" => json!({"format": format, "id": bob}),
            "iss_sub" => json!({"format": format, "iss": server.issuer, "sub": bob}),
            "linked" => {
                let name = (&elsewhere.parse().unwrap(), &name.parse().unwrap());
                let links = &server.records.identity_links;
                let now = server.clock.now();
                links.link(&bob, name, now).await.unwrap();
                json!({"format": "iss_sub", "iss": elsewhere, "sub": name.1.as_str()})
            }
            _ => json!({"format": format, "email": "Email@Example.com"}),
        };
        let (session, cookie) = sign_in(server, &bob).await;
        let of_bob = async |scope: &str| {
            let mut authorization = scene.authorization(&scene.app, scope);
            authorization.terms.account_id = bob.clone();
            authorization.terms.session_id = Some(session.id.clone());
            scene.issue(authorization).await
        };
        let tokens = scene
            .redeem(&scene.app, &of_bob("openid read offline_access").await)
            .await
            .body;
        let (access, refresh) = pair(&tokens);
        let code = of_bob("openid read").await;
        let alices = scene.tokens(&scene.app, "openid read").await;
        assert!(scene.is_active(access).await, "{subject}");

        let answer = revoke(server, &tool, &subject).await;
        assert_eq!(answer.status, 204, "{subject}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!scene.is_active(access).await, "{subject}");
        assert_eq!(scene.userinfo(access).await.status, 401, "{subject}");
        let refused = scene.refresh(&scene.app, refresh).await;
        assert_eq!(refused.error(), (400, "invalid_grant"), "{subject}");
        let refused = scene.redeem(&scene.app, &code).await;
        assert_eq!(refused.error(), (400, "invalid_grant"), "{subject}");
        let sessions = &server.records.sessions;
        let found = sessions.find(&cookie, server.clock.now()).await.unwrap();
        assert!(found.is_none(), "{subject}: they must sign in again");

        let (others, _) = pair(&alices);
        assert!(scene.is_active(others).await, "nobody else's");
        assert!(scene.is_active(&own).await, "nor its own");
    }
}

async fn gtr_3_3_the_clients_of_the_person_are_told(stores: &Stores) {
    let site = Site::start().await;
    let server = TestServer::start_with(open(stores, &site), std::sync::Arc::default()).await;
    let scene = Scene::on(server).await;
    listener(&scene, &site, "/hears").await;
    let tool = scene.server.register(tool()).await;
    let subject = json!({"format": "opaque", "id": scene.account_id});
    let answer = revoke(&scene.server, &tool, &subject).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    scene.server.back_channel.run().await.unwrap();
    assert_eq!(site.heard("/hears").len(), 1);
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn gtr_3_4_2_what_is_refused_ends_nothing(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let tool = server.register(tool()).await;
    let untrusted = server.client(AuthMethod::ClientSecretBasic, "").await;
    let tokens = scene.tokens(&scene.app, "openid read offline_access").await;
    let (access, _) = pair(&tokens);
    let alice = json!({"format": "opaque", "id": scene.account_id});
    let as_tool =
        |request: reqwest::RequestBuilder| request.basic_auth(&tool.id, Some(&tool.secret));
    let to = |subject: &Value| request(server, subject);
    let url = format!("{}{ENDPOINT}", server.issuer);
    let raw = |body: &str| {
        let request = server.http.post(&url).body(body.to_owned());
        as_tool(request.header("content-type", "application/json"))
    };
    for (what, request, expected) in [
        ("nobody", to(&alice), (401, "invalid_client")),
        (
            "a wrong secret",
            to(&alice).basic_auth(&tool.id, Some("wrong")),
            (401, "invalid_client"),
        ),
        (
            "an access token",
            to(&alice).bearer_auth(access),
            (401, "invalid_client"),
        ),
        (
            "a client that may not",
            to(&alice).basic_auth(&untrusted.id, Some(&untrusted.secret)),
            (403, "unauthorized_client"),
        ),
        (
            "a client that may not, of nobody",
            to(&json!({"format": "opaque", "id": "x"}))
                .basic_auth(&untrusted.id, Some(&untrusted.secret)),
            (403, "unauthorized_client"),
        ),
        (
            "a client_id beside it",
            as_tool(server.form(ENDPOINT, &[("client_id", tool.id.as_str())])),
            (400, "invalid_request"),
        ),
        (
            "two headers",
            as_tool(to(&alice)).header("authorization", "Basic eDp5"),
            (400, "invalid_request"),
        ),
        (
            "an unknown person",
            as_tool(to(
                &json!({"format": "opaque", "id": "usr_0123456789012345678901"}),
            )),
            (404, "invalid_request"),
        ),
        (
            "a client",
            as_tool(to(&json!({"format": "opaque", "id": tool.id}))),
            (404, "invalid_request"),
        ),
        (
            "an unknown address",
            as_tool(to(&json!({"format": "email", "email": "x@example.com"}))),
            (404, "invalid_request"),
        ),
        (
            "of another issuer",
            as_tool(to(
                &json!({"format": "iss_sub", "iss": "https://x.example", "sub": scene.account_id}),
            )),
            (404, "invalid_request"),
        ),
        (
            "a format that is not known",
            as_tool(to(
                &json!({"format": "phone_number", "phone_number": "+12065550100"}),
            )),
            (400, "invalid_request"),
        ),
        (
            "one member more",
            as_tool(to(
                &json!({"format": "opaque", "id": scene.account_id, "iss": "x"}),
            )),
            (400, "invalid_request"),
        ),
        ("no subject", raw("{}"), (400, "invalid_request")),
        ("no JSON", raw("sub_id"), (400, "invalid_request")),
        (
            "a name twice",
            raw(r#"{"sub_id":{"format":"opaque","id":"a","id":"b"}}"#),
            (400, "invalid_request"),
        ),
        (
            "very deep",
            raw(&format!("{{\"sub_id\":{}1", "[".repeat(10_000))),
            (400, "invalid_request"),
        ),
    ] {
        let answer = server.send(request).await;
        assert_eq!(answer.error(), expected, "{what}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        let challenged = answer.header("www-authenticate").starts_with("Basic");
        assert_eq!(challenged, answer.status == 401, "{what}");
    }
    let get = server.send(as_tool(server.http.get(&url))).await;
    assert_eq!(get.status, 405);
    TestServer::send_too_much(raw(&" ".repeat(70_000)), "a long body").await;
    assert!(scene.is_active(access).await);
}

async fn gtr_3_5_an_assertion_for_this_endpoint_is_taken_once(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    // A memory that has just begun takes no assertions.
    server.clock.advance(Duration::from_secs(12));
    let generated = SigningKey::generate(Algorithm::Es256, &*server.world.random).unwrap();
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &generated).unwrap();
    let tool = server
        .register(ClientMetadata {
            global_token_revocation: true,
            ..TestServer::signing_metadata(&key, "")
        })
        .await;
    let endpoint = format!("{}{ENDPOINT}", server.issuer);
    let subject = json!({"format": "opaque", "id": scene.account_id});
    let now = server.clock.now().as_secs();
    let claims = |aud: Value, jti: &str| json!({"iss": tool.id, "sub": tool.id, "aud": aud, "iat": now, "exp": now + 300, "jti": jti});
    let with_assertion = async |claims: &Value| {
        let assertion = sign_jwt(JwtKind::ClientAssertion, claims, &key)
            .await
            .unwrap();
        let request = request(server, &subject).bearer_auth(assertion);
        server.send(request).await
    };
    let token_endpoint = format!("{}/oauth/token", server.issuer);
    for (what, claims) in [
        ("for the token endpoint", claims(json!(token_endpoint), "a")),
        ("for the issuer", claims(json!(server.issuer), "b")),
        ("for several", claims(json!([endpoint]), "c")),
        ("with a query", claims(json!(format!("{endpoint}?")), "d")),
    ] {
        let answer = with_assertion(&claims).await;
        assert_eq!(answer.error(), (401, "invalid_client"), "{what}");
    }
    let good = claims(json!(endpoint), "e");
    assert_eq!(with_assertion(&good).await.status, 204);
    let again = with_assertion(&good).await;
    assert_eq!(again.error(), (401, "invalid_client"), "its jti is spent");
    let unsigned = request(server, &subject).bearer_auth("eyJhbGciOiJub25lIn0.e30.");
    assert_eq!(server.send(unsigned).await.error(), (401, "invalid_client"));
}

async fn gtr_the_operator_says_who_may(stores: &Stores) {
    let server = registering(stores, |_| {}).await;
    let body = with(&registered_app(), &json!({"global_token_revocation": true}));
    let url = format!("{}{REGISTER}", server.issuer);
    let answer = server.send(server.http.post(url).json(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert!(answer.body["global_token_revocation"].is_null());

    let judged = |change: &dyn Fn(&mut ClientMetadata)| {
        let mut metadata = tool();
        change(&mut metadata);
        let client = Client::new("tool".parse().unwrap(), metadata, Vec::new());
        client.map(drop)
    };
    assert_eq!(judged(&|_| {}), Ok(()));
    let refused = Err(InvalidClientMetadata::GlobalTokenRevocation);
    for method in [
        AuthMethod::None,
        AuthMethod::ClientSecretPost,
        AuthMethod::ClientSecretJwt,
        AuthMethod::TlsClientAuth,
        AuthMethod::SelfSignedTlsClientAuth,
    ] {
        let outcome = judged(&|metadata| {
            metadata.token_endpoint_auth_method = method;
            metadata.grant_types.clear();
        });
        assert_eq!(outcome, refused, "{method:?}");
    }
    let pairwise = judged(&|metadata| metadata.subject_type = Some(SubjectType::Pairwise));
    assert_eq!(
        pairwise, refused,
        "what it calls people is not what they are called here"
    );
}
