use axum::response::IntoResponse as _;

use super::*;
use crate::authorization_details::AuthorizationDetails;

const DETAILS: &str =
    r#"[{"type":"photos","actions":["read"],"locations":["https://api.example/v1"]}]"#;

fn details(raw: &str) -> AuthorizationDetails {
    raw.parse().unwrap()
}

/// What the handler finds, or the refusal.
pub(super) async fn found(guard: &Guard, token: &str) -> Result<Arc<AccessToken>, InvalidToken> {
    let seen = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&seen);
    let handler = tower::service_fn(move |request: axum::extract::Request| {
        *keep.lock().unwrap() = request.extensions().get::<Arc<AccessToken>>().cloned();
        async { Ok::<_, std::convert::Infallible>(axum::response::Response::default()) }
    });
    let mut request = Request::new(Body::empty());
    let value = format!("Bearer {token}").parse().unwrap();
    request.headers_mut().insert(AUTHORIZATION, value);
    let guarded = tower::Layer::layer(&guard.requiring(ScopeSet::default()), handler);
    let response = guarded.oneshot(request).await.unwrap();
    let error = response.extensions().get::<Arc<BearerError>>().cloned();
    match error.as_deref() {
        None => Ok(seen.lock().unwrap().take().unwrap()),
        Some(BearerError::InvalidToken(cause)) => Err(*cause),
        Some(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rfc9396_9_what_a_token_says_is_read_from_a_jwt_and_from_an_answer() {
    let world = World::new().await;
    let (by_keys, by_asking) = (world.guard(Policy::Jwks), world.guard(Policy::Introspect));
    for (what, value, expected) in [
        (
            "some",
            Some(serde_json::from_str(DETAILS).unwrap()),
            Ok(details(DETAILS)),
        ),
        ("none", None, Ok(AuthorizationDetails::default())),
        (
            "an empty list",
            Some(json!([])),
            Ok(AuthorizationDetails::default()),
        ),
        ("null", Some(json!(null)), Err(InvalidToken::Claims)),
        ("a text", Some(json!(DETAILS)), Err(InvalidToken::Claims)),
        (
            "no type",
            Some(json!([{"actions": ["read"]}])),
            Err(InvalidToken::Claims),
        ),
        (
            "actions that is a text",
            Some(json!([{"type": "photos", "actions": "read"}])),
            Err(InvalidToken::Claims),
        ),
    ] {
        let mut claims = world.claims();
        if let Some(value) = value {
            claims = edited(&claims, "authorization_details", value);
        }
        let token = signed(&world.header(), &claims, &world.key).await;
        let read = found(&by_keys, &token).await;
        assert_eq!(
            read.map(|token| token.authorization_details().clone()),
            expected,
            "{what}, JWT"
        );
        world
            .introspection
            .set(json_of(&edited(&claims, "active", json!(true))));
        let read = found(&by_asking, &what.replace(' ', "-")).await;
        assert_eq!(
            read.map(|token| token.authorization_details().clone()),
            expected,
            "{what}, answer"
        );
    }
}

#[tokio::test]
async fn the_challenge_names_what_is_missing() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = found(&guard, &world.token().await).await.unwrap();
    let needed = details(r#"[{"type":"photos","actions":["read"]}]"#);
    let refusal = guard.refusal(&token, BearerError::InsufficientDetails { needed });
    let challenges: Vec<String> = refusal.challenges().collect();
    assert_eq!(
        challenges,
        [
            "Bearer error=\"insufficient_scope\", error_description=\"the access token lacks authorization details\", \
         authorization_details=\"[{\\\"actions\\\":[\\\"read\\\"],\\\"type\\\":\\\"photos\\\"}]\", \
         resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/v1\""
        ]
    );
    assert_eq!(refusal.into_response().status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rfc9396_2_2_details_for_another_place_are_none_here() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    for (what, locations, expected) in [
        ("nowhere said", None, 1),
        ("no place", Some(json!([])), 1),
        ("here", Some(json!([RESOURCE])), 1),
        (
            "here too",
            Some(json!(["https://other.example", RESOURCE])),
            1,
        ),
        ("elsewhere", Some(json!(["https://other.example"])), 0),
        ("below", Some(json!(["https://api.example/v1/photos"])), 0),
        ("no place that there is", Some(json!(["v1"])), 0),
    ] {
        let mut detail = json!({"type": "photos"});
        if let Some(locations) = locations {
            detail = edited(&detail, "locations", locations);
        }
        let details = json!([detail, {"type": "films"}]);
        let claims = edited(&world.claims(), "authorization_details", details);
        let token = signed(&world.header(), &claims, &world.key).await;
        let token = found(&guard, &token).await.unwrap();
        assert_eq!(guard.details(&token, "photos").count(), expected, "{what}");
        assert_eq!(guard.details(&token, "films").count(), 1, "{what}");
        assert_eq!(guard.details(&token, "albums").count(), 0, "{what}");
    }
}
