use super::authorization_details::found;
use super::*;

#[tokio::test]
async fn rfc9068_2_2_3_what_the_guard_does_not_judge_is_the_apis_to_read() {
    let world = World::new().await;
    let (by_keys, by_asking) = (world.guard(Policy::Jwks), world.guard(Policy::Introspect));
    let groups = json!(["staff", {"value": "g-1"}]);
    let mut claims = world.claims();
    for (name, value) in [
        ("groups", groups.clone()),
        ("department", json!("Research")),
        ("https://api.example/level", json!(3)),
        ("nothing", Value::Null),
    ] {
        claims = edited(&claims, name, value);
    }
    let token = signed(&world.header(), &claims, &world.key).await;
    let answer = edited(&claims, "active", json!(true));
    world.introspection.set(json_of(&answer));
    for (what, token) in [
        ("JWT", found(&by_keys, &token).await.unwrap()),
        (
            "the same, remembered",
            found(&by_keys, &token).await.unwrap(),
        ),
        ("answer", found(&by_asking, "oat_opaque").await.unwrap()),
    ] {
        assert_eq!(token.claim("groups"), Some(&groups), "{what}");
        assert_eq!(
            token.claim("department"),
            Some(&json!("Research")),
            "{what}"
        );
        assert_eq!(
            token.claim("https://api.example/level"),
            Some(&json!(3)),
            "{what}"
        );
        assert_eq!(token.claim("nothing"), Some(&Value::Null), "{what}");
        assert_eq!(token.claim("roles"), None, "{what}");
        // What the guard understands has a name of its own.
        for name in ["sub", "iss", "aud", "exp", "scope", "active", "client_id"] {
            assert_eq!(token.claim(name), None, "{what}: {name}");
        }
    }
}
