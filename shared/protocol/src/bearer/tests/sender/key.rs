//! Tokens that are bound to a key (RFC 9449 §7).

use super::super::authorization_details::found;
use super::*;

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9449_7_1_a_bound_token_comes_with_one_proof_of_its_key() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let unbound = world.token().await;
    let good = proof_claims("good", &token);
    let proof = holder.proof(&good).await;
    let proof_of = async |name: &str, value: Value| {
        let claims = edited(&good, "jti", json!(format!("{name} {value}")));
        holder.proof(&edited(&claims, name, value)).await
    };
    let other = Holder::new()
        .proof(&edited(&good, "jti", json!("other")))
        .await;
    let dpop = |proof: &str| Attempt::new(&format!("DPoP {token}")).with("dpop", proof);
    let without_ath = holder.proof(&without(&good, "ath")).await;
    for (what, attempt, cause, error) in [
        ("good", dpop(&proof), "accepted", ""),
        ("again", dpop(&proof), "Replayed", "invalid_dpop_proof"),
        (
            "the scheme in lower case",
            Attempt::new(&format!("dpop {token}")).with("dpop", &proof_of("x", json!(1)).await),
            "accepted",
            "",
        ),
        (
            "the scheme in upper case",
            Attempt::new(&format!("DPOP  {token}")).with("dpop", &proof_of("x", json!(2)).await),
            "accepted",
            "",
        ),
        (
            "no proof",
            Attempt::new(&format!("DPoP {token}")),
            "NoProof",
            "invalid_dpop_proof",
        ),
        (
            "two proofs",
            dpop(&proof).with("dpop", &proof_of("x", json!(3)).await),
            "Twice",
            "invalid_dpop_proof",
        ),
        ("no JWT", dpop("x"), "Jwt(Malformed)", "invalid_dpop_proof"),
        (
            "the token for a proof",
            dpop(&token),
            "Jwt(Kind)",
            "invalid_dpop_proof",
        ),
        ("another key's", dpop(&other), "OtherKey", "invalid_token"),
        (
            "no ath",
            dpop(&without_ath),
            "AccessToken",
            "invalid_dpop_proof",
        ),
        (
            "ath of another token",
            dpop(&proof_of("ath", hash(&unbound)).await),
            "AccessToken",
            "invalid_dpop_proof",
        ),
        (
            "another method",
            dpop(&proof_of("htm", json!("POST")).await),
            "Method",
            "invalid_dpop_proof",
        ),
        (
            "the path as the inner router sees it",
            dpop(&proof_of("htu", json!("https://api.example/one")).await),
            "Url",
            "invalid_dpop_proof",
        ),
        (
            "another host",
            dpop(&proof_of("htu", json!("https://evil.example/things/one")).await),
            "Url",
            "invalid_dpop_proof",
        ),
        (
            "with the query",
            dpop(&proof_of("htu", json!(format!("{URL}?a=b"))).await),
            "accepted",
            "",
        ),
        (
            "of yesterday",
            dpop(&proof_of("iat", json!(START - 86_400)).await),
            "Date",
            "use_dpop_nonce",
        ),
        (
            "a nonce of somebody's",
            dpop(&proof_of("nonce", json!("x")).await),
            "NotGood",
            "use_dpop_nonce",
        ),
        (
            "a downgrade",
            Attempt::new(&format!("Bearer {token}")),
            "SenderConstrained",
            "invalid_token",
        ),
        (
            "a downgrade with a proof",
            Attempt::new(&format!("Bearer {token}")).with("dpop", &proof_of("x", json!(4)).await),
            "SenderConstrained",
            "invalid_token",
        ),
        (
            "an unbound token under DPoP",
            Attempt::new(&format!("DPoP {unbound}")).with(
                "dpop",
                &holder.proof(&proof_claims("unbound", &unbound)).await,
            ),
            "NotBound",
            "invalid_token",
        ),
        (
            "an unbound token with a proof beside it",
            Attempt::new(&format!("Bearer {unbound}")).with("dpop", "x"),
            "accepted",
            "",
        ),
    ] {
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.cause(), cause, "{what}");
        assert_eq!(
            told.status,
            if error.is_empty() { 200 } else { 401 },
            "{what}"
        );
        let first = told.challenges.first().map(String::as_str);
        let authorization = attempt.headers[AUTHORIZATION].to_str().unwrap();
        let is_dpop = authorization[..4].eq_ignore_ascii_case("dpop");
        if !error.is_empty() {
            let scheme = if is_dpop { "DPoP" } else { "Bearer" };
            let start = format!("{scheme} error=\"{error}\", error_description=\"");
            assert!(first.unwrap().starts_with(&start), "{what}: {first:?}");
            let algs = first.unwrap().contains(ALGS);
            assert_eq!(algs, is_dpop, "{what}: {first:?}");
            assert!(first.unwrap().ends_with(METADATA_URL), "{what}: {first:?}");
        }
        // RFC 9449 §9: for the next request, if this one was of DPoP.
        assert_eq!(told.nonces.len(), usize::from(is_dpop), "{what}");
        // §7.2: the other scheme is named where it would have done.
        let both = cause == "SenderConstrained";
        let expected = usize::from(!error.is_empty()) + usize::from(both);
        assert_eq!(told.challenges.len(), expected, "{what}");
        if let [_, second] = told.challenges.as_slice() {
            assert!(offers_dpop(second), "{what}: {second}");
        }
        if cause != "accepted" || is_dpop {
            assert_eq!(told.kept, ["no-store"], "{what}");
        }
    }
}

#[tokio::test]
async fn rfc9449_7_2_the_scheme_that_was_used_is_told_what_was_wrong() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let invalid = r#"error="invalid_request", error_description="#;
    for (what, authorization, status, challenges) in [
        (
            "nothing",
            &[][..],
            401,
            vec!["Bearer ".to_owned(), "DPoP ".to_owned()],
        ),
        (
            "a scheme of others",
            &["Basic YTpi"],
            401,
            vec!["Bearer ".to_owned(), "DPoP ".to_owned()],
        ),
        (
            "a tab",
            &["DPoP\tabc"],
            400,
            vec![format!("DPoP {invalid}")],
        ),
        (
            "a tab behind a space",
            &["dpop \tabc"],
            400,
            vec![format!("DPoP {invalid}")],
        ),
        (
            "a space behind",
            &["Bearer abc "],
            400,
            vec![format!("Bearer {invalid}")],
        ),
        (
            "both",
            &["Bearer abc", "DPoP abc"],
            400,
            vec![format!("Bearer {invalid}"), format!("DPoP {invalid}")],
        ),
        (
            "no token",
            &["DPoP abc"],
            401,
            vec![r#"DPoP error="invalid_token", "#.into()],
        ),
    ] {
        let mut attempt = Attempt::default();
        for value in authorization {
            attempt = attempt.with("authorization", value);
        }
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.status, status, "{what}");
        assert_eq!(told.challenges.len(), challenges.len(), "{what}");
        for (challenge, start) in told.challenges.iter().zip(&challenges) {
            assert!(challenge.starts_with(start), "{what}: {challenge}");
        }
        // RFC 6750 §3.1: who shows nothing learns no reason.
        let has_error = told.challenges.iter().any(|text| text.contains("error"));
        assert_eq!(has_error, !matches!(what, "nothing" | "a scheme of others"));
    }
    // A guard without proofs takes no token that is bound to a key, and does not speak of it.
    let plain = world.guard(Policy::Jwks);
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    for (authorization, cause) in [
        (format!("DPoP {token}"), "NoToken"),
        (format!("Bearer {token}"), "SenderConstrained"),
    ] {
        let told = Attempt::new(&authorization)
            .at(plain.requiring(read()), None)
            .await;
        assert_eq!((told.status, &*told.cause()), (401, cause));
        assert_eq!(told.challenges.len(), 1);
        assert!(told.challenges[0].starts_with("Bearer "));
    }
}

#[tokio::test]
async fn rfc9449_9_a_nonce_is_wanted_once_and_told_each_time() {
    let world = World::new().await;
    let guard = world.proving(|settings| {
        settings.proofs = Some(proofs(remembered(), NoncePolicy::Required));
    });
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let attempt = async |jti: &str, nonce: Option<&str>| {
        let mut claims = proof_claims(jti, &token);
        if let Some(nonce) = nonce {
            claims = edited(&claims, "nonce", json!(nonce));
        }
        Attempt::new(&format!("DPoP {token}")).with("dpop", &holder.proof(&claims).await)
    };
    let first = attempt("one", None)
        .await
        .at(guard.requiring(read()), None)
        .await;
    assert_eq!(first.cause(), format!("{:?}", NonceWanted::Missing));
    assert_eq!(first.status, 401);
    let start = r#"DPoP error="use_dpop_nonce", error_description=""#;
    assert!(
        first.challenges[0].starts_with(start),
        "{:?}",
        first.challenges
    );
    let nonce = first.nonces[0].as_str();
    // The refusal spent nothing: the same proof but for its nonce.
    let second = attempt("one", Some(nonce)).await;
    let told = second.at(guard.requiring(read()), None).await;
    assert_eq!((told.status, told.nonces.len()), (200, 1));
    for (what, kept, told_nonce, left) in [
        ("not said", None, 1, "no-store"),
        (
            "not at all",
            Some("private, No-Store"),
            1,
            "private, No-Store",
        ),
        ("for a while", Some("max-age=60"), 0, "max-age=60"),
        ("after asking", Some("no-cache"), 0, "no-cache"),
    ] {
        let again = attempt(what, Some(nonce)).await;
        let told = again.at(guard.requiring(read()), kept).await;
        assert_eq!(
            (told.status, told.nonces.len()),
            (200, told_nonce),
            "{what}"
        );
        assert_eq!(told.kept, [left], "{what}");
    }
    // Until it is not good any more, it stands for the minute in which it was made.
    world.clock.forward(59);
    let late = attempt("late", Some(nonce)).await;
    let told = late.at(guard.requiring(ScopeSet::default()), None).await;
    assert_eq!(told.cause(), "accepted");
    // A token that is remembered is asked for its proof each time.
    let told = late.at(guard.requiring(ScopeSet::default()), None).await;
    assert_eq!(told.cause(), format!("{:?}", InvalidProof::Replayed));
}

#[tokio::test]
async fn rfc9449_11_1_no_memory_of_proofs_is_503() {
    let world = World::new().await;
    let guard = world.proving(|settings| {
        settings.proofs = Some(proofs(Arc::new(Broken), NoncePolicy::Offered));
    });
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let proof = holder.proof(&proof_claims("one", &token)).await;
    let attempt = Attempt::new(&format!("DPoP {token}")).with("dpop", &proof);
    let told = attempt.at(guard.requiring(read()), None).await;
    assert_eq!((told.status, told.challenges.len()), (503, 0));
    // Whoever needs none is served.
    let plain = Attempt::new(&format!("Bearer {}", world.token().await));
    assert_eq!(plain.at(guard.requiring(read()), None).await.status, 200);
}

#[tokio::test]
async fn rfc9449_6_2_the_issuer_tells_whom_an_opaque_token_is_bound_to() {
    let world = World::new().await;
    let mut settings = world.settings(Policy::Introspect);
    settings.proofs = Some(proofs(remembered(), NoncePolicy::Offered));
    let guard = Guard::new(settings).unwrap();
    let holder = Holder::new();
    let active = edited(&world.claims(), "active", json!(true));
    let bound = edited(&active, "cnf", holder.jkt());
    let dpop = edited(&bound, "token_type", json!("DPoP"));
    let attempt = async |jti: &str, scheme: &str| {
        let proof = holder.proof(&proof_claims(jti, "opaque")).await;
        Attempt::new(&format!("{scheme} opaque")).with("dpop", &proof)
    };
    for (what, answer, scheme, cause) in [
        ("named so", &dpop, "DPoP", "accepted"),
        ("not named", &bound, "DPoP", "accepted"),
        ("a downgrade", &dpop, "Bearer", "SenderConstrained"),
        ("not bound", &active, "DPoP", "NotBound"),
        (
            "named so alone",
            &edited(&active, "token_type", json!("DPoP")),
            "DPoP",
            "Confirmation",
        ),
    ] {
        world.introspection.set(json_of(answer));
        world.clock.forward(2);
        let told = attempt(what, scheme)
            .await
            .at(guard.requiring(read()), None)
            .await;
        assert_eq!(told.cause(), cause, "{what}");
    }
}

/// Where both the token and the issuer are asked, neither may say less than the other.
#[tokio::test]
async fn an_answer_does_not_unbind_a_token() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let (bound, unbound) = (world.bound(&holder.jkt()).await, world.token().await);
    let active = edited(&world.claims(), "active", json!(true));
    let with = |cnf: Value| edited(&active, "cnf", cnf);
    for (what, token, answer, scheme, cause) in [
        ("alike", &bound, with(holder.jkt()), "DPoP", "accepted"),
        ("silent", &bound, active.clone(), "DPoP", "accepted"),
        (
            "silent",
            &bound,
            active.clone(),
            "Bearer",
            "SenderConstrained",
        ),
        ("more", &unbound, with(holder.jkt()), "DPoP", "accepted"),
        (
            "more",
            &unbound,
            with(holder.jkt()),
            "Bearer",
            "SenderConstrained",
        ),
        (
            "another",
            &bound,
            with(Holder::new().jkt()),
            "DPoP",
            "Confirmation",
        ),
    ] {
        world.introspection.set(json_of(&answer));
        let proof = holder.proof(&proof_claims(what, token)).await;
        let attempt = Attempt::new(&format!("{scheme} {token}")).with("dpop", &proof);
        let told = attempt.at(guard.introspecting(read()), None).await;
        assert_eq!(told.cause(), cause, "{what} {scheme}");
    }
}

/// FAPI 2.0 Security Profile §5.4.1 (1) is for resource servers too.
#[tokio::test]
async fn fapi2_5_4_1_proofs_of_an_algorithm_that_is_off_are_refused() {
    let world = World::new().await;
    let fapi2 =
        world.proving(|settings| settings.algorithms.retain(|alg| *alg != Algorithm::Rs256));
    for alg in Algorithm::ALL {
        let holder = Holder(signing_key(alg));
        let token = world.bound(&holder.jkt()).await;
        for name in alg.names() {
            let header = edited(&holder.header(), "alg", json!(name));
            let proof = signed(&header, &proof_claims(name, &token), &holder.0).await;
            let attempt = Attempt::new(&format!("DPoP {token}")).with("dpop", &proof);
            let all = world.proving(|_| {});
            let told = attempt.at(all.requiring(read()), None).await;
            assert_eq!(told.cause(), "accepted", "{name}");
            assert_eq!(algorithms_of(&all), json!(NAMES));
            let told = attempt.at(fapi2.requiring(read()), None).await;
            if alg == Algorithm::Rs256 {
                assert_eq!(told.cause(), "Algorithm(Rs256)");
                let algs = told.challenges[0].contains(r#"algs="ES256 EdDSA Ed25519 PS256""#);
                assert!(algs, "{:?}", told.challenges);
            } else {
                assert_eq!(told.cause(), "accepted", "{name}");
            }
        }
    }
    assert_eq!(algorithms_of(&fapi2), json!(NAMES[..4]));
    // A handler that finds out later says the same.
    let token = found(&fapi2, &world.token().await).await.unwrap();
    let refusal = fapi2.refusal(&token, InvalidToken::Unconstrained.into());
    let challenges: Vec<_> = refusal.challenges().collect();
    assert!(challenges[1].contains(r#"algs="ES256 EdDSA Ed25519 PS256""#));
}

/// RFC 9864 §2.2: what `EdDSA` means here has a name of its own, and some clients use no other.
const NAMES: [&str; 5] = ["ES256", "EdDSA", "Ed25519", "PS256", "RS256"];

fn algorithms_of(guard: &Guard) -> Value {
    let metadata = guard.resource_metadata(&read(), &[]);
    metadata["dpop_signing_alg_values_supported"].clone()
}

/// RFC 9449 §11.1: a proof is good once, whatever stands around a route.
#[tokio::test]
async fn of_layers_around_each_other_one_looks_at_the_proof() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let active = edited(&world.claims(), "active", json!(true));
    let active = edited(&active, "cnf", holder.jkt());
    let write = "profile:write".parse().unwrap();
    let another = world.proving(|_| {});
    let twin = guard.clone();
    for (what, outer, inner, answer, status) in [
        (
            "one guard",
            guard.requiring(ScopeSet::default()),
            twin.requiring(read()),
            &active,
            200,
        ),
        (
            "asking within",
            guard.requiring(read()),
            guard.introspecting(read()),
            &active,
            200,
        ),
        (
            "asking around",
            guard.introspecting(read()),
            guard.requiring(read()),
            &active,
            200,
        ),
        (
            "asking, in vain",
            guard.requiring(read()),
            guard.introspecting(read()),
            &json!({"active": false}),
            401,
        ),
        (
            "less scope within",
            guard.requiring(read()),
            guard.requiring(write),
            &active,
            403,
        ),
        (
            "another guard with a memory of its own",
            guard.requiring(read()),
            another.requiring(read()),
            &active,
            200,
        ),
    ] {
        world.introspection.set(json_of(answer));
        let proof = holder.proof(&proof_claims(what, &token)).await;
        let app = Router::new()
            .route("/things/one", get(async || ()))
            .route_layer(inner)
            .layer(outer);
        let ask = async |proof: &str| {
            let request = Request::get("/things/one")
                .header(AUTHORIZATION, format!("DPoP {token}"))
                .header("dpop", proof);
            let response = app
                .clone()
                .oneshot(request.body(Body::empty()).unwrap())
                .await;
            let response = response.unwrap();
            assert_eq!(response.headers().get_all(dpop::NONCE).iter().count(), 1);
            response.status()
        };
        assert_eq!(ask(&proof).await, status, "{what}");
        assert_eq!(ask(&proof).await, 401, "{what}, again");
    }
    // Two guards that share a memory are two.
    let shared = proofs(remembered(), NoncePolicy::Offered);
    let [outer, inner] =
        [(); 2].map(|()| world.proving(|settings| settings.proofs = Some(shared.clone())));
    let app = Router::new()
        .route("/things/one", get(async || ()))
        .route_layer(inner.requiring(read()))
        .layer(outer.requiring(read()));
    let proof = holder.proof(&proof_claims("two", &token)).await;
    let request = Request::get("/things/one")
        .header(AUTHORIZATION, format!("DPoP {token}"))
        .header("dpop", proof);
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.unwrap().status(), 401);
}

/// What a layer leaves for those within is of one token.
#[tokio::test]
async fn a_proof_that_was_looked_at_is_of_no_other_token() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let (holder, victim) = (Holder::new(), Holder::new());
    let (own, other) = (
        world.bound(&holder.jkt()).await,
        world.bound(&victim.jkt()).await,
    );
    let header: HeaderValue = format!("DPoP {other}").parse().unwrap();
    let swap = move |mut request: axum::extract::Request| {
        request.headers_mut().insert(AUTHORIZATION, header.clone());
        request
    };
    let app = Router::new()
        .route("/things/one", get(async || ()))
        .route_layer(guard.requiring(read()))
        .layer(tower::util::MapRequestLayer::new(swap))
        .layer(guard.requiring(read()));
    let proof = holder.proof(&proof_claims("one", &own)).await;
    let request = Request::get("/things/one")
        .header(AUTHORIZATION, format!("DPoP {own}"))
        .header("dpop", proof);
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.unwrap().status(), 401);
}
