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

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9068_4_claims_that_do_not_fit_are_refused() {
    use InvalidToken::{
        Audience, Certificate, Claims, Confirmation, Expired, Issuer, NotYetValid,
        SenderConstrained,
    };
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let good = world.claims();
    let with = |name: &str, value: Value| edited(&good, name, value);
    let mut rows = vec![
        (
            "aud, another",
            with("aud", json!("https://other.example")),
            Err(Audience),
        ),
        (
            "aud, a longer path",
            with("aud", json!("https://api.example/v1/")),
            Err(Audience),
        ),
        (
            "aud, array of others",
            with("aud", json!(["a", "https://api.example"])),
            Err(Audience),
        ),
        ("aud, empty array", with("aud", json!([])), Err(Audience)),
        (
            "aud, array with ours",
            with("aud", json!(["x", RESOURCE])),
            Ok(()),
        ),
        ("aud, a number", with("aud", json!(1)), Err(Claims)),
        (
            "iss, another",
            with("iss", json!("https://evil.example")),
            Err(Issuer),
        ),
        (
            "iss, with a slash",
            with("iss", json!(format!("{}/", world.server.uri()))),
            Err(Issuer),
        ),
        (
            "iss, an array",
            with("iss", json!([world.server.uri()])),
            Err(Issuer),
        ),
        ("iss absent", without(&good, "iss"), Err(Issuer)),
        ("exp now", with("exp", json!(START)), Err(Expired)),
        ("exp in a second", with("exp", json!(START + 1)), Ok(())),
        (
            "exp with a fraction",
            with("exp", json!(1_800_000_000.5)),
            Ok(()),
        ),
        ("exp far away", with("exp", json!(1e300)), Ok(())),
        ("exp negative", with("exp", json!(-1)), Err(Expired)),
        (
            "exp, a string",
            with("exp", json!("1900000000")),
            Err(Claims),
        ),
        (
            "nbf within the leeway",
            with("nbf", json!(START + 10)),
            Ok(()),
        ),
        (
            "nbf in the future",
            with("nbf", json!(START + 11)),
            Err(NotYetValid),
        ),
        (
            "iat in the future",
            with("iat", json!(START + 11)),
            Err(NotYetValid),
        ),
        (
            "cnf jkt",
            with("cnf", json!({"jkt": DIGEST})),
            Err(SenderConstrained),
        ),
        (
            "cnf x5t#S256",
            with("cnf", json!({"x5t#S256": DIGEST})),
            Err(Certificate),
        ),
        (
            "cnf jkt, no digest",
            with("cnf", json!({"jkt": "x"})),
            Err(Confirmation),
        ),
        (
            "cnf jwk",
            with("cnf", json!({"jwk": {}})),
            Err(Confirmation),
        ),
        (
            "cnf jkt and what nobody knows",
            with("cnf", json!({"jkt": DIGEST, "kid": "x"})),
            Err(Confirmation),
        ),
        ("cnf empty", with("cnf", json!({})), Err(Confirmation)),
        ("cnf null", with("cnf", Value::Null), Err(Confirmation)),
        ("sub empty", with("sub", json!("")), Err(Claims)),
        ("sub, a number", with("sub", json!(7)), Err(Claims)),
        (
            "scope, an array",
            with("scope", json!(["profile:read"])),
            Err(Claims),
        ),
    ];
    for name in ["exp", "aud", "sub", "client_id", "iat", "jti"] {
        rows.push(("a required claim absent", without(&good, name), Err(Claims)));
    }
    for (what, claims, expected) in rows {
        let token = signed(&world.header(), &claims, &world.key).await;
        // Twice: what is remembered of a token must not change the answer.
        for _ in 0..2 {
            let outcome = get_with(&guard, &token).await;
            match expected {
                Ok(()) => assert_eq!(outcome.status, StatusCode::OK, "{what} {claims}"),
                Err(cause) => {
                    assert_eq!(outcome.cause(), cause, "{what} {claims}");
                    assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{what}");
                }
            }
        }
    }
    let scopeless = signed(&world.header(), &without(&good, "scope"), &world.key).await;
    let outcome = get_with(&guard, &scopeless).await;
    assert_eq!(outcome.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rfc8725_3_11_only_the_issuers_signature_on_an_access_token_counts() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let (header, claims) = (world.header(), world.claims());
    for typ in [
        json!("JWT"),
        json!("client-authentication+jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!(""),
    ] {
        let token = signed(&edited(&header, "typ", typ.clone()), &claims, &world.key).await;
        let cause = get_with(&guard, &token).await.cause();
        assert_eq!(cause, InvalidToken::Jwt(JwtError::Kind), "{typ}");
    }
    let untyped = signed(&without(&header, "typ"), &claims, &world.key).await;
    let cause = get_with(&guard, &untyped).await.cause();
    assert_eq!(cause, InvalidToken::Jwt(JwtError::Kind));

    let none = format!(
        "{}.",
        input(&edited(&header, "alg", json!("none")), &claims)
    );
    // The public key as an HMAC secret: what a verifier does that lets the header choose.
    let hs256 = input(&edited(&header, "alg", json!("HS256")), &claims);
    let secret = world.key.public().to_value().to_string();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        hs256.as_bytes(),
    );
    let hs256 = format!("{hs256}.{}", URL_SAFE_NO_PAD.encode(tag));
    for (what, token) in [("none", none), ("HS256", hs256)] {
        let cause = get_with(&guard, &token).await.cause();
        assert_eq!(cause, InvalidToken::Jwt(JwtError::Algorithm), "{what}");
    }

    let forged = signed(&header, &claims, &signing_key(Algorithm::Es256)).await;
    let cause = get_with(&guard, &forged).await.cause();
    assert_eq!(cause, InvalidToken::Jwt(JwtError::Signature));
    let good = world.token().await;
    assert_eq!(get_with(&guard, &good).await.status, StatusCode::OK);
    // A remembered token vouches for no other with the same signature.
    let (_, signature) = good.rsplit_once('.').unwrap();
    let other = format!(
        "{}.{signature}",
        input(&header, &edited(&claims, "sub", json!("eve")))
    );
    assert_eq!(
        get_with(&guard, &other).await.status,
        StatusCode::UNAUTHORIZED
    );
}
