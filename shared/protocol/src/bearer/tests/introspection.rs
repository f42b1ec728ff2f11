use base64::engine::general_purpose::STANDARD;

use super::*;

fn active(world: &World) -> Value {
    edited(&world.claims(), "active", json!(true))
}

#[tokio::test]
async fn rfc7662_2_1_the_request_is_authenticated_and_names_the_token() {
    let world = World::new().await;
    world.introspection.set(json_of(&active(&world)));
    let guard = world.guard(Policy::Introspect);
    let outcome = get_with(&guard, "opaque+/~").await;
    assert_eq!(
        (outcome.status, outcome.body.as_str()),
        (StatusCode::OK, "alice")
    );
    let requests = world.server.received_requests().await.unwrap();
    let request = requests
        .iter()
        .find(|r| r.url.path() == INTROSPECT)
        .unwrap();
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(
        String::from_utf8(request.body.clone()).unwrap(),
        "token=opaque%2B%2F%7E&token_type_hint=access_token"
    );
    // RFC 6749 §2.3.1: both are form-encoded first.
    let expected = format!("Basic {}", STANDARD.encode("the+api:s%3Ae%25cret"));
    assert_eq!(
        request.headers.get("authorization").unwrap(),
        expected.as_str()
    );
    assert_eq!(world.count(JWKS).await, 0, "keys are of no use here");
}

#[tokio::test]
async fn rfc7523_3_who_asks_by_assertion_makes_a_new_one_for_this_issuer_each_time() {
    let world = World::new().await;
    world.introspection.set(json_of(&active(&world)));
    let key = signing_key(Algorithm::Es256);
    let public = key.public().clone();
    let mut settings = world.settings(Policy::Introspect);
    settings.introspection_cache = Duration::ZERO;
    settings.issuers[0].introspection = Some(IntrospectionCredentials::PrivateKeyJwt {
        client_id: "the api".parse().unwrap(),
        key: Arc::new(key),
        random: Arc::new(SystemRandom),
    });
    let guard = Guard::new(settings).unwrap();
    for _ in 0..2 {
        assert_eq!(get_with(&guard, "opaque").await.status, StatusCode::OK);
    }
    let requests = world.server.received_requests().await.unwrap();
    let asked = requests.iter().filter(|r| r.url.path() == INTROSPECT);
    let mut used = Vec::new();
    for request in asked {
        assert!(!request.headers.contains_key("authorization"));
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body)
            .into_owned()
            .collect();
        let [token, hint, (kind, what), (name, assertion)] = &form[..] else {
            panic!("{form:?}")
        };
        assert_eq!((&*token.0, &*token.1), ("token", "opaque"));
        assert_eq!(hint.0, "token_type_hint");
        assert_eq!(kind, "client_assertion_type");
        assert_eq!(
            what,
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        );
        assert_eq!(name, "client_assertion");
        let keys = JwkSet::new(vec![public.clone()]);
        let assertion = UnverifiedJwt::parse(assertion, JwtKind::ClientAssertion).unwrap();
        let claims: Value = assertion.verify(&keys).unwrap().0.parse().unwrap();
        let jti = claims["jti"].clone();
        assert_eq!(
            claims,
            json!({"iss": "the api", "sub": "the api", "aud": world.server.uri(), "jti": jti, "iat": START, "exp": START + 60})
        );
        used.push(jti);
    }
    assert_eq!(used.len(), 2);
    assert_ne!(used[0], used[1]);
}

#[tokio::test]
async fn rfc7662_2_2_answers_that_do_not_let_a_token_in() {
    use InvalidToken::{
        Audience, Claims, Confirmation, Expired, Inactive, Issuer, NotYetValid, SenderConstrained,
        TokenType,
    };
    let world = World::new().await;
    let good = active(&world);
    let with = |name: &str, value: Value| edited(&good, name, value);
    let nameless = without(&without(&good, "sub"), "auth_time");
    for (what, answer, expected) in [
        ("inactive", json!({"active": false}), Inactive),
        (
            "inactive with claims",
            with("active", json!(false)),
            Inactive,
        ),
        (
            "another audience",
            with("aud", json!("https://other.example")),
            Audience,
        ),
        ("no audience", without(&good, "aud"), Claims),
        (
            "another issuer",
            with("iss", json!("https://evil.example")),
            Issuer,
        ),
        ("an empty subject", with("sub", json!("")), Claims),
        ("a subject of null", with("sub", Value::Null), Claims),
        // It speaks of somebody, who is not the client.
        ("a person without a subject", without(&good, "sub"), Claims),
        (
            "a person of another name",
            edited(&nameless, "username", json!("alice")),
            Claims,
        ),
        ("no client", without(&good, "client_id"), Claims),
        ("no expiry", without(&good, "exp"), Claims),
        ("expired", with("exp", json!(START)), Expired),
        ("not yet", with("nbf", json!(START + 11)), NotYetValid),
        (
            "bound to a key",
            with("cnf", json!({"jkt": DIGEST})),
            SenderConstrained,
        ),
        (
            "bound to nobody knows what",
            with("cnf", json!({"x": "y"})),
            Confirmation,
        ),
        (
            "DPoP without a key",
            with("token_type", json!("DPoP")),
            Confirmation,
        ),
        (
            "not an access token",
            with("token_type", json!("N_A")),
            TokenType,
        ),
    ] {
        world.introspection.set(json_of(&answer));
        let outcome = get_with(&world.guard(Policy::Introspect), "opaque").await;
        assert_eq!(outcome.cause(), expected, "{what}");
        assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{what}");
    }
    let scopeless = without(&good, "scope");
    world.introspection.set(json_of(&scopeless));
    let outcome = get_with(&world.guard(Policy::Introspect), "opaque").await;
    assert_eq!(outcome.status, StatusCode::FORBIDDEN);
    for (fine, subject) in [
        (without(&good, "iss"), "alice"),
        (with("token_type", json!("bearer")), "alice"),
        (with("nbf", json!(START + 10)), "alice"),
        // Nobody but the client is named.
        (nameless, "app"),
    ] {
        world.introspection.set(json_of(&fine));
        let outcome = get_with(&world.guard(Policy::Introspect), "opaque").await;
        assert_eq!((outcome.status, &*outcome.body), (StatusCode::OK, subject));
    }
}

#[tokio::test]
async fn no_answer_is_503_and_never_let_in() {
    let world = World::new().await;
    let good = active(&world);
    for (what, answer) in [
        ("401", ResponseTemplate::new(401).set_body_json(&good)),
        ("500", ResponseTemplate::new(500)),
        ("201", ResponseTemplate::new(201).set_body_json(&good)),
        (
            "a redirect",
            ResponseTemplate::new(307).insert_header("location", "/introspect"),
        ),
        (
            "too late",
            json_of(&good).set_delay(Duration::from_secs(30)),
        ),
        (
            "not JSON",
            ResponseTemplate::new(200).set_body_string("active"),
        ),
        ("active absent", json_of(&without(&good, "active"))),
        (
            "active a string",
            json_of(&edited(&good, "active", json!("true"))),
        ),
        (
            "active twice",
            ResponseTemplate::new(200).set_body_string(r#"{"active":false,"active":true}"#),
        ),
        (
            "huge",
            ResponseTemplate::new(200).set_body_string(" ".repeat(300_000)),
        ),
    ] {
        world.introspection.set(answer);
        let guard = world.guard(Policy::Introspect);
        let outcome = get_with(&guard, "opaque").await;
        assert_eq!(outcome.status, StatusCode::SERVICE_UNAVAILABLE, "{what}");
        assert!(outcome.retry_after, "{what}");
        // A failure is not remembered.
        world.introspection.set(json_of(&good));
        assert_eq!(
            get_with(&guard, "opaque").await.status,
            StatusCode::OK,
            "{what}"
        );
    }
}

#[tokio::test]
async fn answers_of_both_kinds_are_believed_for_two_seconds() {
    let world = World::new().await;
    let guard = world.guard(Policy::Introspect);
    world.introspection.set(json_of(&active(&world)));
    assert_eq!(get_with(&guard, "opaque").await.status, StatusCode::OK);
    world.introspection.set(json_of(&json!({"active": false})));
    world.clock.forward(1);
    assert_eq!(get_with(&guard, "opaque").await.status, StatusCode::OK);
    assert_eq!(
        get_with(&guard, "another").await.cause(),
        InvalidToken::Inactive
    );
    world.clock.forward(1);
    assert_eq!(
        get_with(&guard, "opaque").await.cause(),
        InvalidToken::Inactive
    );
    let asked = world.count(INTROSPECT).await;
    assert_eq!(
        get_with(&guard, "opaque").await.cause(),
        InvalidToken::Inactive
    );
    assert_eq!(world.count(INTROSPECT).await, asked);
}

#[tokio::test]
async fn a_revoked_jwt_is_refused_where_routes_introspect() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = world.token().await;
    let header = format!("Bearer {token}");
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
    assert_eq!(world.count(INTROSPECT).await, 0);
    let outcome = send(guard.introspecting(read()), &[&header]).await;
    assert_eq!(outcome.cause(), InvalidToken::Inactive);
    // At once: each time the issuer is asked anew.
    for (answer, expected) in [
        (active(&world), StatusCode::OK),
        (json!({"active": false}), StatusCode::UNAUTHORIZED),
        (active(&world), StatusCode::OK),
    ] {
        world.introspection.set(json_of(&answer));
        let outcome = send(guard.introspecting(read()), &[&header]).await;
        assert_eq!(outcome.status, expected);
    }
    // Nor does an answer make another's token of it, least of all the client's own.
    for (name, value) in [
        ("sub", json!("somebody-else")),
        ("sub", Value::Null),
        ("client_id", json!("another-client")),
    ] {
        let mut other = active(&world);
        other[name] = value;
        world.introspection.set(json_of(&other));
        let outcome = send(guard.introspecting(read()), &[&header]).await;
        assert_eq!(outcome.cause(), InvalidToken::Claims, "{name}");
    }
    let mut nameless = active(&world);
    nameless.as_object_mut().unwrap().remove("sub");
    world.introspection.set(json_of(&nameless));
    let outcome = send(guard.introspecting(read()), &[&header]).await;
    assert_eq!(outcome.cause(), InvalidToken::Claims, "without sub");
    // A forgery is refused before anybody is asked.
    let asked = world.count(INTROSPECT).await;
    let forged = signed(
        &world.header(),
        &world.claims(),
        &signing_key(Algorithm::Es256),
    )
    .await;
    let outcome = send(guard.introspecting(read()), &[&format!("Bearer {forged}")]).await;
    assert_eq!(outcome.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.count(INTROSPECT).await, asked);
}

#[tokio::test]
async fn what_a_route_that_introspects_hears_is_heard_by_all() {
    let world = World::new().await;
    let guard = world.guard(Policy::Introspect);
    world.introspection.set(json_of(&active(&world)));
    for token in ["opaque", &world.token().await] {
        assert_eq!(get_with(&guard, token).await.status, StatusCode::OK);
        world.introspection.set(json_of(&json!({"active": false})));
        assert_eq!(get_with(&guard, token).await.status, StatusCode::OK);
        let header = format!("Bearer {token}");
        let outcome = send(guard.introspecting(read()), &[&header]).await;
        assert_eq!(outcome.cause(), InvalidToken::Inactive);
        world.introspection.set(json_of(&active(&world)));
        let outcome = get_with(&guard, token).await;
        assert_eq!(outcome.cause(), InvalidToken::Inactive, "remembered");
    }
}

#[tokio::test]
async fn a_route_that_introspects_does_not_make_do_without() {
    let world = World::new().await;
    let mut settings = world.settings(Policy::Jwks);
    settings.issuers[0].introspection = None;
    let guard = Guard::new(settings).unwrap();
    let header = format!("Bearer {}", world.token().await);
    let outcome = send(guard.introspecting(read()), &[&header]).await;
    assert_eq!(outcome.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_jwt_of_an_introspecting_issuer_is_asked_for() {
    let world = World::new().await;
    let guard = world.guard(Policy::Introspect);
    let token = world.token().await;
    assert_eq!(
        get_with(&guard, &token).await.cause(),
        InvalidToken::Inactive
    );
    world.clock.forward(2);
    world.introspection.set(json_of(&active(&world)));
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_opaque_token_is_not_sent_to_issuers_of_jwts() {
    let world = World::new().await;
    world.introspection.set(json_of(&active(&world)));
    let guard = world.guard(Policy::Jwks);
    for token in ["opaque", "a.b", "a.b.c", "a.b.c.d.e"] {
        assert_eq!(
            get_with(&guard, token).await.cause(),
            InvalidToken::Opaque,
            "{token}"
        );
    }
    assert_eq!(world.count(INTROSPECT).await, 0);
}

#[tokio::test]
async fn of_several_issuers_the_one_that_knows_the_token_speaks_for_it() {
    let (one, other) = (World::new().await, World::new().await);
    let mut settings = one.settings(Policy::Introspect);
    settings
        .issuers
        .extend(other.settings(Policy::Introspect).issuers);
    settings.fetcher = Fetcher::new(FetcherSettings {
        allowed: [&one, &other]
            .map(|world| Origin::try_from(world.issuer().url()).unwrap())
            .into(),
        ..FetcherSettings::default()
    })
    .unwrap();
    let guard = Guard::new(settings).unwrap();
    assert_eq!(
        get_with(&guard, "nobodys").await.cause(),
        InvalidToken::Inactive
    );
    other.introspection.set(json_of(&active(&other)));
    assert_eq!(get_with(&guard, "others").await.status, StatusCode::OK);
    // One does not answer, the other does not know it: nobody can say that it is invalid.
    one.introspection.set(ResponseTemplate::new(500));
    other.introspection.set(json_of(&json!({"active": false})));
    assert_eq!(
        get_with(&guard, "ones").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
}
