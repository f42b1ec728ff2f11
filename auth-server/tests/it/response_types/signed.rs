//! Answers as JWTs (JWT Secured Authorization Response Mode for OAuth 2.0).

use auth_server::authorize::request::ResponseType;
use auth_server::clients::ClientMetadata;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, UnverifiedJwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{asking, metadata, started, told};
use crate::browser::{Browser, Page, parameter};
use crate::person::{self, REDIRECT};
use crate::pushed::{push, pushed, url_of};
use crate::server::{TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    jarm_2_3_each_mode_carries_a_signed_answer,
    jarm_2_1_errors_are_signed_too,
    jarm_3_a_client_that_nobody_can_sign_for,
    rfc8725_3_11_an_answer_is_no_other_kind_of_token,
);

/// Signed with ES256, which the test server has.
fn signing(types: &[ResponseType]) -> ClientMetadata {
    ClientMetadata {
        authorization_signed_response_alg: Some(Algorithm::Es256),
        ..metadata(types)
    }
}

/// The JWT of an answer, and whether it came in a fragment; `None` for one by a form.
fn response(page: &Page) -> (String, Option<bool>) {
    if page.has("continue") {
        assert_eq!(page.action("form-post").as_str(), REDIRECT);
        assert!(!page.body.contains("name=\"code\"") && !page.body.contains("name=\"state\""));
        return (page.input("response"), None);
    }
    let (answer, in_fragment) = told(&page.location());
    assert_eq!(answer.len(), 1, "nothing beside it: {answer:?}");
    (answer["response"].clone(), Some(in_fragment))
}

/// Its claims, verified with the published keys.
async fn verified(server: &TestServer, client: &TestClient, jwt: &str) -> Value {
    let (header, claims) = crate::token::decode(jwt);
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header.get("typ"), None);
    assert!(header["kid"].is_string());
    let keys = server.get("/oauth/jwks").await;
    let keys = JwkSet::from_object(keys.body.as_object().unwrap()).unwrap();
    let jwt = UnverifiedJwt::parse(jwt, JwtKind::AuthorizationResponse).unwrap();
    jwt.verify(&keys).unwrap();
    assert_eq!(claims["iss"], server.issuer);
    assert_eq!(claims["aud"], client.id);
    let left = claims["exp"].as_i64().unwrap() - server.clock.now().as_secs();
    assert!((240..=300).contains(&left), "{left}");
    claims
}

async fn jarm_2_3_each_mode_carries_a_signed_answer(stores: &Stores) {
    let (server, _, _) = started(stores).await;
    let app = server.register(signing(&ResponseType::ALL)).await;
    let announced = server.get("/.well-known/openid-configuration").await.body;
    assert_eq!(
        announced["authorization_signing_alg_values_supported"],
        json!(["ES256"])
    );
    let modes = announced["response_modes_supported"].as_array().unwrap();
    let browser = Browser::new(&server);
    for response_type in ResponseType::ALL {
        let front = response_type.is_in_front();
        for (mode, carried) in [
            ("jwt", Some(front)),
            ("query.jwt", Some(false)),
            ("fragment.jwt", Some(true)),
            ("form_post.jwt", None),
        ] {
            assert!(modes.contains(&json!(mode)), "{mode}");
            if front && mode == "query.jwt" {
                continue;
            }
            let mut changes = asking(response_type.as_str()).to_vec();
            changes.push(("response_mode", mode));
            let page = browser.arrive(server.authorize_url(&app, &changes)).await;
            let (jwt, found) = response(&page);
            assert_eq!(found, carried, "{response_type} {mode}");
            let claims = verified(&server, &app, &jwt).await;
            assert_eq!(claims["state"], "af0ifjsldkj");
            for (name, there) in [
                ("code", response_type.has_code()),
                ("access_token", response_type.has_token()),
                ("id_token", response_type.has_id_token()),
                ("error", false),
            ] {
                assert_eq!(
                    claims[name].is_string(),
                    there,
                    "{response_type} {mode} {name}"
                );
            }
            if let Some(code) = claims["code"].as_str() {
                let form = person::code_form(code);
                let tokens = server.post_as(&app, "/oauth/token", &form).await;
                assert_eq!(tokens.status, 200, "{}", tokens.body);
            }
        }
    }
    // Pushed as well.
    let uri = pushed(&server, &app, &[("response_mode", "jwt")]).await;
    let page = browser.arrive(url_of(&server, &app, &uri)).await;
    let claims = verified(&server, &app, &response(&page).0).await;
    assert!(claims["code"].is_string());
    server.stop().await;
}

async fn jarm_2_1_errors_are_signed_too(stores: &Stores) {
    let (server, _, _) = started(stores).await;
    let app = server.register(signing(&[ResponseType::Code])).await;
    let browser = Browser::new(&server);
    for (changes, expected) in [
        (&[("prompt", "none")][..], "login_required"),
        (&[("scope", "admin")], "invalid_scope"),
        (&[("response_type", "token")], "unauthorized_client"),
        (&[("response_type", "saml")], "unsupported_response_type"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("request", "x")], "invalid_request_object"),
    ] {
        let mut changes = changes.to_vec();
        changes.push(("response_mode", "jwt"));
        let page = browser.open(server.authorize_url(&app, &changes)).await;
        let claims = verified(&server, &app, &response(&page).0).await;
        assert_eq!(claims["error"], expected);
        assert_eq!(claims["state"], "af0ifjsldkj");
        assert!(claims["error_description"].is_string() && claims["code"].is_null());
        assert_eq!(page.header("cache-control"), "no-store");
    }
    // And a person's no, after which the browser keeps its cookies.
    let changes = [("response_mode", "form_post.jwt")];
    let page = browser.open(server.authorize_url(&app, &changes)).await;
    let page = browser
        .sign_in_as(&page, crate::browser::EMAIL, crate::browser::PASSWORD)
        .await;
    let page = browser.decide(&page, "deny").await;
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("form-action"),
        "{policy}"
    );
    let claims = verified(&server, &app, &response(&page).0).await;
    assert_eq!(claims["error"], "access_denied");
    server.stop().await;
}

async fn jarm_3_a_client_that_nobody_can_sign_for(stores: &Stores) {
    let (server, _, _) = started(stores).await;
    // RS256 where it said nothing, with which this server does not sign.
    let app = server.register(metadata(&[ResponseType::Code])).await;
    let browser = Browser::new(&server);
    for mode in ["jwt", "query.jwt", "fragment.jwt", "form_post.jwt"] {
        let changes = [("response_mode", mode)];
        let answer = browser
            .open(server.authorize_url(&app, &changes))
            .await
            .location();
        assert_eq!(
            parameter(&answer, "error").as_deref(),
            Some("invalid_request"),
            "{mode}"
        );
        assert_eq!(
            parameter(&answer, "state").as_deref(),
            Some("af0ifjsldkj"),
            "{mode}"
        );
        let answer = push(&server, &app, &changes).await;
        assert_eq!(answer.error(), (400, "invalid_request"), "{mode}");
    }
    let document = |alg: &str| {
        json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
            "id_token_signed_response_alg": "ES256", "authorization_signed_response_alg": alg})
    };
    let url = format!("{}/oauth/register", server.issuer);
    for (alg, accepted) in [
        ("ES256", true),
        ("RS256", false),
        ("PS256", false),
        ("HS256", false),
        ("none", false),
        ("", false),
    ] {
        let answer = server
            .send(server.http.post(&url).json(&document(alg)))
            .await;
        assert_eq!(answer.status == 201, accepted, "{alg}: {}", answer.body);
        if accepted {
            assert_eq!(answer.body["authorization_signed_response_alg"], alg);
        } else {
            assert_eq!(answer.error(), (400, "invalid_client_metadata"), "{alg}");
        }
    }
    server.stop().await;
}

async fn rfc8725_3_11_an_answer_is_no_other_kind_of_token(stores: &Stores) {
    let (server, _, api) = started(stores).await;
    let app = server.register(signing(&[ResponseType::Code])).await;
    let browser = Browser::new(&server);
    let page = browser
        .arrive(server.authorize_url(&app, &[("response_mode", "jwt")]))
        .await;
    let (jwt, _) = response(&page);
    for kind in [JwtKind::AccessToken, JwtKind::IdToken] {
        assert!(UnverifiedJwt::parse(&jwt, kind).is_err());
    }
    assert_eq!(person::userinfo(&server, &jwt).await.status, 401);
    assert!(!person::is_active(&server, &api, &jwt).await);
    let changes = [("id_token_hint", jwt.as_str())];
    let answer = browser
        .open(server.authorize_url(&app, &changes))
        .await
        .location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request")
    );
    let changes = [("request", jwt.as_str())];
    let answer = browser
        .open(server.authorize_url(&app, &changes))
        .await
        .location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request_object")
    );
    server.stop().await;
}
