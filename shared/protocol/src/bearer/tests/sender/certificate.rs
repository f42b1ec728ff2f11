//! Tokens that are bound to a certificate (RFC 8705 §3).

use super::*;

#[tokio::test]
async fn rfc8705_3_a_token_that_is_bound_to_a_certificate_comes_with_it() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let thumbprint = CertificateThumbprint::of(b"own").to_string();
    let by_certificate = world.bound(&json!({"x5t#S256": &thumbprint})).await;
    let both = edited(&holder.jkt(), "x5t#S256", json!(&thumbprint));
    let by_both = world.bound(&both).await;
    let bearer = |token: &str| Attempt::new(&format!("Bearer {token}"));
    let dpop = async |jti: &str, token: &str| {
        let proof = holder.proof(&proof_claims(jti, token)).await;
        Attempt::new(&format!("DPoP {token}")).with("dpop", &proof)
    };
    for (what, attempt, cause) in [
        ("its own", bearer(&by_certificate).of(b"own"), "accepted"),
        ("none", bearer(&by_certificate), "Certificate"),
        (
            "another",
            bearer(&by_certificate).of(b"other"),
            "Certificate",
        ),
        (
            "under DPoP",
            dpop("a", &by_certificate).await.of(b"own"),
            "NotBound",
        ),
        (
            "a certificate nobody asked for",
            bearer(&world.token().await).of(b"own"),
            "accepted",
        ),
        (
            "of two, the certificate alone",
            bearer(&by_both).of(b"own"),
            "SenderConstrained",
        ),
        (
            "of two, the key alone",
            dpop("b", &by_both).await,
            "Certificate",
        ),
        ("both", dpop("b", &by_both).await.of(b"own"), "accepted"),
    ] {
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.cause(), cause, "{what}");
        let status = if cause == "accepted" { 200 } else { 401 };
        assert_eq!(told.status, status, "{what}");
        let error = r#" error="invalid_token", "#;
        let told_so = told.challenges.iter().any(|text| text.contains(error));
        assert_eq!(told_so, status == 401, "{what}");
    }
}

/// A certificate is no secret: whoever could write the headers had anybody's.
#[tokio::test]
async fn rfc9440_4_the_word_for_a_certificate_is_taken_of_whom_the_guard_believes() {
    let world = World::new().await;
    let guards = [
        Certificates::Unseen,
        Certificates::InExtensions,
        Certificates::OfProxy,
    ]
    .map(|certificates| world.proving(|settings| settings.certificates = certificates));
    let thumbprint = CertificateThumbprint::of(b"leaf").to_string();
    let bound = world.bound(&json!({"x5t#S256": thumbprint})).await;
    let bound = Attempt::new(&format!("Bearer {bound}"));
    let plain = Attempt::new(&format!("Bearer {}", world.token().await));
    let (leaf, other) = (":bGVhZg==:", ":b3RoZXI=:");
    let told = |attempt: &Attempt, value| attempt.clone().with("client-cert", value);
    let chain = bound.clone().with("client-cert-chain", leaf);
    let proxy = |attempt: Attempt| attempt.of(b"the proxy's own");
    for (what, attempt, causes) in [
        ("nothing", bound.clone(), ["Certificate"; 3]),
        (
            "of the connection",
            bound.clone().of(b"leaf"),
            ["Certificate", "accepted", "Certificate"],
        ),
        (
            "told",
            proxy(told(&bound, leaf)),
            ["NotBelieved", "Certificate", "accepted"],
        ),
        (
            "another told",
            told(&bound, other).of(b"leaf"),
            ["NotBelieved", "accepted", "Certificate"],
        ),
        (
            "told twice",
            told(&told(&bound, leaf), leaf),
            ["NotBelieved", "Certificate", "Twice"],
        ),
        (
            "malformed",
            told(&bound, "leaf"),
            ["NotBelieved", "Certificate", "ByteSequence"],
        ),
        (
            "a chain alone",
            chain,
            ["NotBelieved", "Certificate", "NoLeaf"],
        ),
        (
            "of no use",
            told(&plain, leaf),
            ["NotBelieved", "accepted", "accepted"],
        ),
    ] {
        for (guard, cause) in guards.iter().zip(causes) {
            let told = attempt.at(guard.requiring(read()), None).await;
            assert_eq!(told.cause(), cause, "{what}");
            let expected = match cause {
                "accepted" => (200, None),
                "Certificate" => (401, Some("invalid_token")),
                _ => (400, Some("invalid_request")),
            };
            let names = |code| told.challenges.iter().any(|text| text.contains(code));
            assert_eq!(told.status, expected.0, "{what}, {cause}");
            assert!(expected.1.is_none_or(names), "{what}, {cause}");
        }
    }
}

#[tokio::test]
async fn rfc9440_2_4_an_answer_to_a_token_that_is_bound_is_for_nobody_else() {
    let world = World::new().await;
    let thumbprint = CertificateThumbprint::of(b"leaf").to_string();
    let holder = Holder::new();
    let by_certificate = world.bound(&json!({"x5t#S256": &thumbprint})).await;
    let both = edited(&holder.jkt(), "x5t#S256", json!(&thumbprint));
    let by_both = world.bound(&both).await;
    for certificates in [Certificates::OfProxy, Certificates::InExtensions] {
        let guard = world.proving(|settings| settings.certificates = certificates);
        for (kept, left, varies) in [
            (None, &["no-store"][..], &[][..]),
            (Some("private, no-store"), &["private, no-store"], &[]),
            (Some("max-age=60"), &["max-age=60"], &["client-cert"]),
        ] {
            let bearer = Attempt::new(&format!("Bearer {by_certificate}"));
            let proof = holder
                .proof(&proof_claims(&format!("{kept:?}"), &by_both))
                .await;
            let dpop = Attempt::new(&format!("DPoP {by_both}")).with("dpop", &proof);
            for attempt in [bearer, dpop] {
                let attempt = match certificates {
                    Certificates::OfProxy => attempt.with("client-cert", ":bGVhZg==:"),
                    Certificates::InExtensions | Certificates::Unseen => attempt.of(b"leaf"),
                };
                let told = attempt.at(guard.requiring(read()), kept).await;
                assert_eq!(told.cause(), "accepted", "{kept:?}");
                assert_eq!(told.kept, left, "{kept:?}");
                assert_eq!(told.varies, varies, "{kept:?}");
            }
        }
        // Whose token is bound to nothing has the answer that the handler gave.
        let plain = Attempt::new(&format!("Bearer {}", world.token().await));
        for kept in [None, Some("max-age=60")] {
            let told = plain.at(guard.requiring(read()), kept).await;
            assert_eq!(told.kept.first().map(String::as_str), kept);
            assert!(told.varies.is_empty());
        }
    }
}
