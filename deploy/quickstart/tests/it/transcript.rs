//! Both servers against each other: every kind of token at the API, every kind of client at introspection.

use reqwest::Response;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use crate::operator::Operator;
use crate::process::{Credentials, Place, http, send};

fn challenge(response: &Response) -> &str {
    response.headers()[WWW_AUTHENTICATE].to_str().unwrap()
}

async fn introspect(place: &Place, client: &Credentials, token: &str) -> Value {
    let request = client.on(http().post(place.auth("/oauth/introspect")));
    let response = send(request.form(&[("token", token)])).await;
    assert_eq!(response.status(), 200);
    is_json(&response);
    response.json().await.unwrap()
}

/// Said once: of two media types a client may believe either.
fn is_json(response: &Response) {
    let types = response.headers().get_all(CONTENT_TYPE);
    let types: Vec<_> = types.iter().collect();
    assert_eq!(types, ["application/json"]);
}

#[tokio::test]
async fn the_api_takes_a_good_token_and_challenges_everything_else() {
    let place = Place::new();
    let _running = place.start(&[]);
    let service = place.service();
    is_json(&place.token_response(&service, &place.api("")).await);
    let good = place.token(&service, &place.api("")).await;
    let elsewhere = place.token(&service, &place.api("/second")).await;
    let forged = format!(
        "{}AAAA",
        good.strip_suffix(&good[good.len() - 4..]).unwrap()
    );

    let response = place.me(Some(&good)).await;
    assert_eq!(response.status(), 200);
    is_json(&response);
    let body: Value = response.json().await.unwrap();
    assert_eq!(
        body,
        json!({"type": "client", "client_id": service.id, "scope": "profile:read profile:write"})
    );

    let metadata = format!(
        "resource_metadata=\"{}\"",
        place.api("/.well-known/oauth-protected-resource")
    );
    for (what, token, code) in [
        ("none", None, None),
        (
            "for another audience",
            Some(elsewhere.as_str()),
            Some("invalid_token"),
        ),
        ("forged", Some(forged.as_str()), Some("invalid_token")),
        ("not a token", Some("nonsense"), Some("invalid_token")),
    ] {
        let response = place.me(token).await;
        assert_eq!(response.status(), 401, "{what}");
        let challenge = challenge(&response);
        assert!(challenge.starts_with("Bearer "), "{what}: {challenge}");
        assert!(challenge.contains(&metadata), "{what}: {challenge}");
        // RFC 6750 §3: who sent no token learns no code.
        let told = code.map(|code| format!("error=\"{code}\""));
        match told {
            Some(told) => assert!(challenge.contains(&told), "{what}: {challenge}"),
            None => assert!(!challenge.contains("error"), "{what}: {challenge}"),
        }
    }
}

#[tokio::test]
async fn rfc6750_3_1_a_token_without_the_scope_is_told_which() {
    let place = Place::new();
    let _running = place.start(&[]);
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", &place.api("")),
        ("scope", "profile:write"),
    ];
    let request = place.service().on(http().post(place.auth("/oauth/token")));
    let body: Value = send(request.form(&form)).await.json().await.unwrap();
    let response = place.me(body["access_token"].as_str()).await;
    assert_eq!(response.status(), 403);
    let challenge = challenge(&response);
    assert!(
        challenge.contains("error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"profile:read\""), "{challenge}");
}

/// The configuration of an API that asks about each token, as this client.
fn introspecting(place: &Place, client: &Credentials) -> String {
    let config = place.file("api.toml");
    let introspecting = format!(
        "[[issuers]]\nissuer = '{}'\npolicy = 'introspect'\nintrospection = {{ client_id = '{}', client_secret = '{}' }}\n",
        place.auth(""),
        client.id,
        client.secret,
    );
    std::fs::write(&config, introspecting).unwrap();
    config.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_api_that_gets_opaque_tokens_asks_what_they_say() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let service = place.service();
    let operator = Operator::at(&place).await;
    operator.make_opaque(&place.api(""), None).await;
    let running = place.start(&[]);
    let token = place.token(&service, &place.api("")).await;
    assert!(token.starts_with("oat_"));
    let response = place.me(Some(&token)).await;
    assert_eq!(response.status(), 401, "an API that reads JWTs alone");
    let refusal = challenge(&response);
    assert!(refusal.contains("error=\"invalid_token\""), "{refusal}");
    running.stop("-TERM");

    let config = introspecting(&place, &service);
    let _running = place.start(&["--api-config", &config]);
    let response = place.me(Some(&token)).await;
    assert_eq!(response.status(), 200, "it outlived both servers");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["client_id"], service.id.as_str());
    let other = place.token(&service, &place.api("/second")).await;
    assert_eq!(
        place.me(Some(&other)).await.status(),
        401,
        "for another audience"
    );
    let changed = format!("{}A", &token[..token.len() - 1]);
    let changed = if changed == token {
        format!("{token}A")
    } else {
        changed
    };
    assert_eq!(place.me(Some(&changed)).await.status(), 401, "made up");
    let revoke = service.on(http().post(place.auth("/oauth/revoke")));
    let fresh = place.token(&service, &place.api("")).await;
    assert_eq!(send(revoke.form(&[("token", &fresh)])).await.status(), 200);
    assert_eq!(place.me(Some(&fresh)).await.status(), 401, "revoked");
}

#[tokio::test]
async fn an_api_that_introspects_refuses_a_revoked_token_at_once() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let service = place.service();
    let config = introspecting(&place, &service);
    let _running = place.start(&["--api-config", &config]);

    let good = place.token(&service, &place.api("")).await;
    let revoked = place.token(&service, &place.api("")).await;
    let revoke = service.on(http().post(place.auth("/oauth/revoke")));
    let response = send(revoke.form(&[("token", &revoked)])).await;
    assert_eq!(response.status(), 200);

    assert_eq!(
        introspect(&place, &service, &revoked).await,
        json!({"active": false})
    );
    let response = place.me(Some(&revoked)).await;
    assert_eq!(response.status(), 401);
    let challenge = challenge(&response);
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    assert_eq!(introspect(&place, &service, &good).await["active"], true);
    assert_eq!(
        place.me(Some(&good)).await.status(),
        200,
        "the other one is as good as before"
    );
}

#[tokio::test]
async fn introspection_answers_the_audience_and_whom_the_token_was_issued_to() {
    let place = Place::new();
    let _running = place.start(&[]);
    let service = place.service();
    let operator = Operator::at(&place).await;
    let caller = operator.register_service().await;
    let other_audience = operator.register_service().await;
    let other = "http://other.localhost/";
    operator.register_resource(other, &other_audience).await;
    let token = place.token(&caller, &place.api("")).await;

    let stranger = operator.register_service().await;
    for (who, client, active) in [
        ("the API's own", &service, true),
        ("whom it was issued to", &caller, true),
        ("another audience's", &other_audience, false),
        ("a stranger", &stranger, false),
    ] {
        let answer = introspect(&place, client, &token).await;
        if active {
            assert_eq!(answer["active"], true, "{who}");
            assert_eq!(answer["client_id"], caller.id.as_str(), "{who}");
            assert_eq!(answer["aud"], place.api("").as_str(), "{who}");
        } else {
            // RFC 7662 §2.2: nothing but that.
            assert_eq!(answer, json!({"active": false}), "{who}");
        }
    }
}

#[tokio::test]
async fn rfc7662_2_1_introspection_wants_a_client_that_proves_who_it_is() {
    let place = Place::new();
    let _running = place.start(&[]);
    let service = place.service();
    let token = place.token(&service, &place.api("")).await;
    let app = place.demo()["app"]["client_id"]
        .as_str()
        .unwrap()
        .to_owned();
    let endpoint = place.auth("/oauth/introspect");
    let nobody = || http().post(&endpoint);
    let wrong = Credentials {
        id: service.id.clone(),
        secret: "wrong".into(),
    };
    let unknown = Credentials {
        id: "unknown".into(),
        secret: service.secret.clone(),
    };
    let token = ("token", token.as_str());
    for (who, request, status, code) in [
        ("nobody", nobody().form(&[token]), 401, "invalid_client"),
        (
            "a wrong secret",
            wrong.on(nobody()).form(&[token]),
            401,
            "invalid_client",
        ),
        (
            "an unknown client",
            unknown.on(nobody()).form(&[token]),
            401,
            "invalid_client",
        ),
        (
            "a public client",
            nobody().form(&[token, ("client_id", &app)]),
            400,
            "unauthorized_client",
        ),
    ] {
        let response = send(request).await;
        assert_eq!(response.status(), status, "{who}");
        // RFC 6749 §5.2: who tried the header is told of what works there.
        match status {
            401 if who != "nobody" => assert!(challenge(&response).starts_with("Basic "), "{who}"),
            _ => assert!(!response.headers().contains_key(WWW_AUTHENTICATE), "{who}"),
        }
        let body: Value = response.json().await.unwrap();
        assert_eq!(body["error"], code, "{who}");
    }
}
