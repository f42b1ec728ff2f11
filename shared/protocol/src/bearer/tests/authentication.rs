//! RFC 9470.

use super::*;

const WEAK: &str = "urn:example:weak";
const STRONG: &str = "urn:example:strong";

fn requirement(acr_values: &[&str], max_age: Option<u64>) -> AuthenticationRequirement {
    let acr_values = acr_values.iter().map(|value| (*value).to_owned()).collect();
    AuthenticationRequirement::new(acr_values, max_age.map(Duration::from_secs)).unwrap()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9470_3_a_sign_in_that_will_not_do_is_a_challenge() {
    let world = World::new().await;
    let now = world.clock.now().as_secs();
    let claims = |acr: Option<&str>, auth_time: Option<i64>| {
        let mut claims = without(&world.claims(), "auth_time");
        for (name, value) in [
            ("acr", acr.map(Value::from)),
            ("auth_time", auth_time.map(Value::from)),
        ] {
            if let Some(value) = value {
                claims = edited(&claims, name, value);
            }
        }
        claims
    };
    let levels = r#"acr_values="urn:example:weak urn:example:strong", "#;
    for (what, needed, acr, auth_time, refused) in [
        ("nothing", requirement(&[], None), None, None, None),
        (
            "the level",
            requirement(&[STRONG], None),
            Some(STRONG),
            Some(now),
            None,
        ),
        (
            "one of them",
            requirement(&[WEAK, STRONG], None),
            Some(STRONG),
            None,
            None,
        ),
        (
            "neither",
            requirement(&[WEAK, STRONG], None),
            Some("other"),
            Some(now),
            Some(levels),
        ),
        (
            "no level",
            requirement(&[WEAK, STRONG], None),
            None,
            Some(now),
            Some(levels),
        ),
        (
            "not quite",
            requirement(&[WEAK, STRONG], None),
            Some("urn:example"),
            None,
            Some(levels),
        ),
        (
            "just recent",
            requirement(&[], Some(60)),
            None,
            Some(now - 60),
            None,
        ),
        (
            "too old",
            requirement(&[], Some(60)),
            None,
            Some(now - 61),
            Some(r#"max_age="60", "#),
        ),
        (
            "never",
            requirement(&[], Some(60)),
            Some(STRONG),
            None,
            Some(r#"max_age="60", "#),
        ),
        (
            "a clock ahead",
            requirement(&[], Some(0)),
            None,
            Some(now + 3),
            None,
        ),
        (
            "both, too old",
            requirement(&[STRONG], Some(300)),
            Some(STRONG),
            Some(now - 301),
            Some(r#"acr_values="urn:example:strong", max_age="300", "#),
        ),
        (
            "both, too weak",
            requirement(&[STRONG], Some(300)),
            Some(WEAK),
            Some(now),
            Some(r#"acr_values="urn:example:strong", max_age="300", "#),
        ),
        (
            "both",
            requirement(&[STRONG], Some(300)),
            Some(STRONG),
            Some(now - 300),
            None,
        ),
    ] {
        let token = signed(&world.header(), &claims(acr, auth_time), &world.key).await;
        let layer = world.guard(Policy::Jwks).requiring(read());
        let outcome = send(layer.authenticated(needed), &[&format!("Bearer {token}")]).await;
        let Some(parameters) = refused else {
            assert_eq!(
                (outcome.status.as_u16(), &*outcome.body),
                (200, "alice"),
                "{what}"
            );
            continue;
        };
        assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{what}");
        let expected = format!(
            "Bearer error=\"insufficient_user_authentication\", error_description=\"the person has to sign in again for this, in the way that it needs\", {parameters}resource_metadata=\"https://api.example/.well-known/oauth-protected-resource/v1\""
        );
        assert_eq!(outcome.challenge, Some(expected), "{what}");
    }
}

#[tokio::test]
async fn rfc9470_6_2_an_answer_of_the_issuer_tells_as_much() {
    let world = World::new().await;
    let guard = world.guard(Policy::Introspect);
    let answer = edited(&world.claims(), "active", json!(true));
    for (acr, status) in [(STRONG, 200), (WEAK, 401)] {
        world.clock.forward(10);
        world
            .introspection
            .set(json_of(&edited(&answer, "acr", json!(acr))));
        let layer = guard
            .requiring(read())
            .authenticated(requirement(&[STRONG], None));
        let outcome = send(layer, &["Bearer opaque"]).await;
        assert_eq!(outcome.status.as_u16(), status, "{acr}");
    }
}

#[tokio::test]
async fn rfc6750_3_1_what_else_is_wrong_comes_first() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = world.token().await;
    let write: ScopeSet = "profile:write".parse().unwrap();
    let strong = || requirement(&[STRONG], Some(0));
    let layer = guard.requiring(write).authenticated(strong());
    let outcome = send(layer, &[&format!("Bearer {token}")]).await;
    assert_eq!(outcome.status, StatusCode::FORBIDDEN);
    world.clock.forward(300);
    let layer = guard.requiring(read()).authenticated(strong());
    let outcome = send(layer, &[&format!("Bearer {token}")]).await;
    assert_eq!(outcome.cause(), InvalidToken::Expired);
    // The same token, remembered, is judged anew each time.
    let fresh = world.token().await;
    let needed = || requirement(&[], Some(90));
    for (forward, status) in [(0, 200), (30, 200), (1, 401)] {
        world.clock.forward(forward);
        let layer = guard.requiring(read()).authenticated(needed());
        let outcome = send(layer, &[&format!("Bearer {fresh}")]).await;
        assert_eq!(outcome.status.as_u16(), status, "{forward}");
    }
}

#[test]
fn rfc9470_3_levels_fit_into_a_challenge() {
    for (value, fits) in [
        ("https://refeds.org/profile/mfa", true),
        ("", false),
        ("two words", false),
        ("quo\"te", false),
        ("back\\slash", false),
        ("line\n", false),
        ("\u{e9}", false),
    ] {
        let made = AuthenticationRequirement::new(vec![value.to_owned()], None);
        assert_eq!(made.is_ok(), fits, "{value:?}");
    }
}
