use super::*;

#[tokio::test]
async fn a_hundred_first_requests_wait_for_one_fetch() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = world.token().await;
    let requests = (0..100).map(|_| get_with(&guard, &token));
    for outcome in futures_util::future::join_all(requests).await {
        assert_eq!(outcome.status, StatusCode::OK);
    }
    assert_eq!(
        (world.count(METADATA).await, world.count(JWKS).await),
        (1, 1)
    );
}

#[tokio::test]
async fn keys_are_refreshed_ahead_of_expiry_in_the_background() {
    for (max_age, fresh) in [
        (None, 300),
        (Some(3600), 300),
        (Some(100), 100),
        (Some(0), 10),
    ] {
        let world = World::new().await;
        if let Some(max_age) = max_age {
            let control = format!("max-age={max_age}");
            let set = key_set(&[&world.key]).insert_header("cache-control", control);
            world.jwks.set(set);
        }
        let guard = world.guard(Policy::Jwks);
        guard.ready().await.unwrap();
        world.clock.forward(fresh * 4 / 5 - 1);
        assert_eq!(
            get_with(&guard, &world.token().await).await.status,
            StatusCode::OK
        );
        assert_eq!(world.count(JWKS).await, 1, "{max_age:?}");
        world.clock.forward(1);
        assert_eq!(
            get_with(&guard, &world.token().await).await.status,
            StatusCode::OK
        );
        world.until_count(JWKS, 2).await;
    }
}

#[tokio::test]
async fn a_stale_set_is_fetched_before_it_is_believed_and_a_removed_key_is_dead() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let claims = edited(&world.claims(), "exp", json!(START + 3600));
    let token = signed(&world.header(), &claims, &world.key).await;
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
    world.jwks.set(key_set(&[&signing_key(Algorithm::Es256)]));
    world.clock.forward(300);
    // Remembered, but by a key that is gone.
    let outcome = get_with(&guard, &token).await;
    assert_eq!(outcome.cause(), InvalidToken::Jwt(JwtError::UnknownKey));
    assert_eq!(world.count(JWKS).await, 2);
}

#[tokio::test]
async fn a_new_key_under_an_old_kid_does_not_inherit_what_is_remembered() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let claims = edited(&world.claims(), "exp", json!(START + 3600));
    let token = signed(&world.header(), &claims, &world.key).await;
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
    let kid = world.key.public().kid().unwrap().as_str();
    let other = edited(
        &signing_key(Algorithm::Es256).public().to_value(),
        "kid",
        json!(kid),
    );
    world.jwks.set(json_of(&json!({"keys": [other]})));
    world.clock.forward(300);
    let outcome = get_with(&guard, &token).await;
    assert_eq!(outcome.cause(), InvalidToken::Jwt(JwtError::Signature));
}

#[tokio::test]
async fn an_unknown_kid_refetches_at_most_once_in_ten_seconds() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    guard.ready().await.unwrap();
    world.clock.forward(1);
    let stranger = signing_key(Algorithm::Es256);
    let token = world.token_by(&stranger).await;
    let requests = (0..100).map(|_| get_with(&guard, &token));
    for outcome in futures_util::future::join_all(requests).await {
        assert_eq!(outcome.cause(), InvalidToken::Jwt(JwtError::UnknownKey));
    }
    assert_eq!(world.count(JWKS).await, 2);
    world.clock.forward(9);
    get_with(&guard, &token).await;
    assert_eq!(world.count(JWKS).await, 2);
    world.clock.forward(1);
    get_with(&guard, &token).await;
    assert_eq!(world.count(JWKS).await, 3);
    // What strangers ask for does not keep good tokens out.
    assert_eq!(
        get_with(&guard, &world.token().await).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_rotated_key_is_found_at_its_first_token_with_and_without_kid() {
    for with_kid in [true, false] {
        let world = World::new().await;
        let guard = world.guard(Policy::Jwks);
        guard.ready().await.unwrap();
        world.clock.forward(1);
        let next = signing_key(Algorithm::Es256);
        world.jwks.set(key_set(&[&world.key, &next]));
        let token = if with_kid {
            world.token_by(&next).await
        } else {
            signed(&without(&world.header(), "kid"), &world.claims(), &next).await
        };
        assert_eq!(
            get_with(&guard, &token).await.status,
            StatusCode::OK,
            "{with_kid}"
        );
        assert_eq!(
            get_with(&guard, &world.token().await).await.status,
            StatusCode::OK
        );
        assert_eq!(world.count(JWKS).await, 2);
    }
}

#[tokio::test]
async fn the_last_good_set_is_kept_while_the_issuer_answers_nonsense() {
    for (what, nonsense) in [
        ("500", ResponseTemplate::new(500)),
        ("304", ResponseTemplate::new(304)),
        ("404", ResponseTemplate::new(404)),
        (
            "not JSON",
            ResponseTemplate::new(200).set_body_string("<html>"),
        ),
        ("no keys member", json_of(&json!({}))),
        (
            "a duplicate name",
            ResponseTemplate::new(200).set_body_string(r#"{"keys":[],"keys":[]}"#),
        ),
        (
            "huge",
            ResponseTemplate::new(200).set_body_string(" ".repeat(300_000)),
        ),
    ] {
        let world = World::new().await;
        let guard = world.guard(Policy::Jwks);
        guard.ready().await.unwrap();
        world.jwks.set(nonsense);
        world.clock.forward(3600);
        let token = world.token().await;
        assert_eq!(
            get_with(&guard, &token).await.status,
            StatusCode::OK,
            "{what}"
        );
        assert_eq!(world.count(JWKS).await, 2, "{what}");
        // Attempts are spaced: one now would be too soon.
        assert_eq!(
            get_with(&guard, &token).await.status,
            StatusCode::OK,
            "{what}"
        );
        assert_eq!(guard.ready().await, Ok(()), "{what}");
        assert_eq!(world.count(JWKS).await, 2, "{what}");
        // Once it works again, the next fetch counts.
        world.jwks.set(key_set(&[]));
        world.clock.forward(1);
        get_with(&guard, &token).await;
        world.until_count(JWKS, 3).await;
    }
}

#[tokio::test]
async fn while_the_issuer_fails_nobody_waits_for_it() {
    let world = World::new().await;
    let mut settings = world.settings(Policy::Jwks);
    settings.fetcher = Fetcher::new(FetcherSettings {
        allowed: vec![Origin::try_from(world.issuer().url()).unwrap()],
        timeout: Duration::from_mins(10),
        ..FetcherSettings::default()
    })
    .unwrap();
    let guard = Guard::new(settings).unwrap();
    guard.ready().await.unwrap();
    world.jwks.set(ResponseTemplate::new(500));
    world.clock.forward(300);
    guard.ready().await.unwrap();
    world.clock.forward(1);
    world
        .jwks
        .set(key_set(&[&world.key]).set_delay(Duration::from_mins(10)));
    let token = world.token().await;
    for _ in 0..2 {
        let request = tokio::time::timeout(Duration::from_mins(1), get_with(&guard, &token));
        assert_eq!(request.await.expect("at once").status, StatusCode::OK);
        world.until_count(JWKS, 3).await;
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_at_the_start_is_retried_ever_more_rarely_and_then_found() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    world.jwks.set(ResponseTemplate::new(503));
    let token = world.token().await;
    let mut fetches = 0;
    for spacing in [1, 2, 4, 8, 10, 10] {
        let outcome = get_with(&guard, &token).await;
        assert_eq!(outcome.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(outcome.retry_after && outcome.challenge.is_none());
        fetches += 1;
        assert_eq!(world.count(JWKS).await, fetches, "{spacing}");
        world.clock.forward(spacing - 1);
        assert!(guard.ready().await.is_err());
        assert_eq!(world.count(JWKS).await, fetches, "{spacing}");
        world.clock.forward(1);
    }
    world.jwks.set(key_set(&[&world.key]));
    guard.ready().await.unwrap();
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn rfc8414_3_3_metadata_of_another_issuer_is_not_used() {
    let world = World::new().await;
    let uri = world.server.uri();
    let jwks_uri = format!("{uri}{JWKS}");
    for (what, metadata) in [
        (
            "another issuer",
            json!({"issuer": "https://evil.example", "jwks_uri": jwks_uri}),
        ),
        (
            "a slash more",
            json!({"issuer": format!("{uri}/"), "jwks_uri": jwks_uri}),
        ),
        ("no issuer", json!({"jwks_uri": jwks_uri})),
        ("no jwks_uri", json!({"issuer": uri})),
        (
            "jwks_uri not a URL",
            json!({"issuer": uri, "jwks_uri": "/jwks"}),
        ),
        (
            "jwks_uri inside",
            json!({"issuer": uri, "jwks_uri": "http://127.0.0.1:1/jwks"}),
        ),
    ] {
        world.metadata.set(json_of(&metadata));
        let guard = world.guard(Policy::Jwks);
        let outcome = get_with(&guard, &world.token().await).await;
        assert_eq!(outcome.status, StatusCode::SERVICE_UNAVAILABLE, "{what}");
    }
    assert_eq!(world.count(JWKS).await, 0);
}

#[tokio::test]
async fn metadata_may_be_where_openid_providers_have_it() {
    let world = World::new().await;
    world.metadata.set(ResponseTemplate::new(404));
    let uri = world.server.uri();
    let metadata = json!({"issuer": uri, "jwks_uri": format!("{uri}{JWKS}")});
    Mock::given(path(OPENID))
        .respond_with(json_of(&metadata))
        .mount(&world.server)
        .await;
    let guard = world.guard(Policy::Jwks);
    assert_eq!(
        get_with(&guard, &world.token().await).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn each_issuer_vouches_for_its_own_tokens_alone() {
    let (one, other) = (World::new().await, World::new().await);
    let mut settings = one.settings(Policy::Jwks);
    settings
        .issuers
        .extend(other.settings(Policy::Jwks).issuers);
    settings.fetcher = Fetcher::new(FetcherSettings {
        allowed: [&one, &other]
            .map(|world| Origin::try_from(world.issuer().url()).unwrap())
            .into(),
        ..FetcherSettings::default()
    })
    .unwrap();
    let guard = Guard::new(settings).unwrap();
    for world in [&one, &other] {
        assert_eq!(
            get_with(&guard, &world.token().await).await.status,
            StatusCode::OK
        );
    }
    // The other's key, known and good, under the one's name.
    let token = signed(&other.header(), &one.claims(), &other.key).await;
    let outcome = get_with(&guard, &token).await;
    assert_eq!(outcome.cause(), InvalidToken::Jwt(JwtError::UnknownKey));
}
