//! What a guard is made of, and what it says of itself (RFC 9728).

use super::*;

#[tokio::test]
async fn rfc9728_metadata_and_where_it_is() {
    let world = World::new().await;
    for (resource, expected) in [
        (
            "https://api.example",
            Some("https://api.example/.well-known/oauth-protected-resource"),
        ),
        (
            "https://api.example/",
            Some("https://api.example/.well-known/oauth-protected-resource"),
        ),
        (
            "https://api.example/a/",
            Some("https://api.example/.well-known/oauth-protected-resource/a/"),
        ),
        (
            "https://api.example/a?b=c",
            Some("https://api.example/.well-known/oauth-protected-resource/a?b=c"),
        ),
        ("urn:example:api", None),
    ] {
        let mut settings = world.settings(Policy::Jwks);
        settings.resource = resource.parse().unwrap();
        let url = Guard::new(settings).map(|guard| guard.resource_metadata_url().to_string());
        assert_eq!(url.ok().as_deref(), expected, "{resource}");
    }
    assert_eq!(
        world
            .guard(Policy::Jwks)
            .resource_metadata(&"b a".parse().unwrap(), &["t"]),
        json!({
            "resource": RESOURCE, "authorization_servers": [world.server.uri()],
            "scopes_supported": ["a", "b"], "bearer_methods_supported": ["header"],
            "authorization_details_types_supported": ["t"],
        })
    );
    let guard = world.guard(Policy::Jwks);
    let app: Router = guard.resource_metadata_route(&read(), &["t"]);
    let there = Request::get("/.well-known/oauth-protected-resource/v1");
    let response = app.oneshot(there.body(Body::empty()).unwrap()).await;
    let (head, body) = response.unwrap().into_parts();
    assert_eq!(head.headers[CONTENT_TYPE], "application/json");
    let body = to_bytes(body, 4096).await.unwrap();
    let served: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(served, guard.resource_metadata(&read(), &["t"]));
    // RFC 9728 §3.2: no empty arrays.
    assert_eq!(
        guard.resource_metadata(&ScopeSet::default(), &[]),
        json!({
            "resource": RESOURCE, "authorization_servers": [world.server.uri()],
            "bearer_methods_supported": ["header"],
        })
    );
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let refused = |edit: &dyn Fn(&mut GuardSettings)| {
        let mut settings = world.settings(Policy::Introspect);
        edit(&mut settings);
        Guard::new(settings).err()
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(
        refused(&|s| s.algorithms.clear()),
        Some(InvalidGuard::NoAlgorithm)
    );
    assert_eq!(
        refused(&|s| s.issuers.clear()),
        Some(InvalidGuard::NoIssuer)
    );
    assert_eq!(
        refused(&|s| s.issuers[0].introspection = None),
        Some(InvalidGuard::NoCredentials(world.issuer()))
    );
    assert_eq!(
        refused(&|s| s.issuers.push(TrustedIssuer {
            issuer: world.issuer(),
            policy: Policy::Jwks,
            introspection: None
        })),
        Some(InvalidGuard::IssuerTwice(world.issuer()))
    );
    assert_eq!(
        refused(&|s| s.introspection_cache = Duration::from_millis(5001)),
        Some(InvalidGuard::IntrospectionCache)
    );
    assert_eq!(
        refused(&|s| s.resource = "urn:a:b".parse().unwrap()),
        Some(InvalidGuard::Resource)
    );
}

/// FAPI 2.0 Security Profile §5.4.1 (1) is for resource servers too.
#[tokio::test]
async fn fapi2_5_4_1_tokens_of_an_algorithm_that_is_off_are_refused() {
    let world = World::new().await;
    let keys = Algorithm::ALL.map(signing_key);
    world.jwks.set(key_set(&keys.each_ref()));
    let mut settings = world.settings(Policy::Jwks);
    settings.algorithms.retain(|alg| *alg != Algorithm::Rs256);
    let (all, fapi2) = (world.guard(Policy::Jwks), Guard::new(settings).unwrap());
    for key in &keys {
        let alg = key.algorithm();
        let header = json!({"typ": "at+jwt", "alg": alg.name()});
        let token = signed(&header, &world.claims(), key).await;
        assert_eq!(get_with(&all, &token).await.status, StatusCode::OK, "{alg}");
        let outcome = get_with(&fapi2, &token).await;
        if alg == Algorithm::Rs256 {
            let cause = InvalidToken::Jwt(JwtError::Algorithm);
            assert_eq!(outcome.cause(), cause);
        } else {
            assert_eq!(outcome.status, StatusCode::OK, "{alg}");
        }
    }
}
