use serde_json::json;

use super::super::{Pkcs8, SigningKey};
use super::*;
use crate::random::SystemRandom;

fn key(alg: Algorithm) -> SigningKey {
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

fn set(keys: &[&SigningKey]) -> JwkSet {
    JwkSet::new(keys.iter().map(|key| key.public().clone()).collect())
}

async fn signed(header: &Value, payload: &str, key: &SigningKey) -> String {
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).await.unwrap());
    format!("{input}.{signature}")
}

fn verify(token: &str, kind: JwtKind, keys: &JwkSet) -> Result<Value, JwtError> {
    UnverifiedJwt::parse(token, kind)?.verify(keys)?.0.parse()
}

#[tokio::test]
async fn rfc7515_every_algorithm_signs_and_verifies_and_keeps_its_key() {
    for alg in Algorithm::ALL {
        let signer = key(alg);
        let token = sign_jwt(JwtKind::AccessToken, &json!({"sub": "a"}), &signer)
            .await
            .unwrap();
        assert_eq!(
            verify(&token, JwtKind::AccessToken, &set(&[&signer])),
            Ok(json!({"sub": "a"})),
            "{alg}"
        );
        // Another key of the same algorithm, first under its own id, then under the signer's.
        assert_eq!(
            verify(&token, JwtKind::AccessToken, &set(&[&key(alg)])),
            Err(JwtError::UnknownKey),
            "{alg}"
        );
        let header = json!({"alg": alg.name(), "typ": "at+jwt", "kid": signer.public().kid().unwrap().as_str()});
        let forged = signed(&header, r#"{"sub":"a"}"#, &key(alg)).await;
        assert_eq!(
            verify(&forged, JwtKind::AccessToken, &set(&[&signer])),
            Err(JwtError::Signature),
            "{alg}"
        );
    }
}

/// Threats 15 and 16: what an attacker writes into a header.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc8725_3_1_headers_that_confuse_are_refused() {
    let (signer, rsa) = (key(Algorithm::Es256), key(Algorithm::Rs256));
    let keys = set(&[&signer, &rsa]);
    let kid = signer.public().kid().unwrap().as_str().to_owned();
    let good = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid});
    let with = |name: &str, value: Value| {
        let mut header = good.clone();
        header.as_object_mut().unwrap().insert(name.into(), value);
        header
    };
    let payload = r#"{"sub":"a"}"#;
    assert!(
        verify(
            &signed(&good, payload, &signer).await,
            JwtKind::AccessToken,
            &keys
        )
        .is_ok()
    );
    for (what, header, expected) in [
        ("alg none", with("alg", "none".into()), JwtError::Algorithm),
        ("alg nOnE", with("alg", "nOnE".into()), JwtError::Algorithm),
        (
            "alg HS256",
            with("alg", "HS256".into()),
            JwtError::Algorithm,
        ),
        (
            "alg lower case",
            with("alg", "es256".into()),
            JwtError::Algorithm,
        ),
        ("alg a number", with("alg", 1.into()), JwtError::Malformed),
        (
            "alg absent",
            json!({"typ": "at+jwt", "kid": kid}),
            JwtError::Algorithm,
        ),
        (
            "another key's algorithm",
            with("alg", "RS256".into()),
            JwtError::UnknownKey,
        ),
        (
            "PS256 with an RS256 key",
            json!({"alg": "PS256", "typ": "at+jwt", "kid": rsa.public().kid().unwrap().as_str()}),
            JwtError::UnknownKey,
        ),
        ("crit", with("crit", json!(["b64"])), JwtError::Critical),
        (
            "crit, unknown",
            with("crit", json!(["x"])),
            JwtError::Critical,
        ),
        ("crit, empty", with("crit", json!([])), JwtError::Critical),
        ("b64 false", with("b64", false.into()), JwtError::Critical),
        ("zip", with("zip", "DEF".into()), JwtError::Critical),
        ("enc", with("enc", "A256GCM".into()), JwtError::Critical),
        (
            "kid traversal",
            with("kid", "../../dev/null".into()),
            JwtError::UnknownKey,
        ),
        (
            "kid SQL",
            with("kid", "' OR 1=1 --".into()),
            JwtError::UnknownKey,
        ),
        ("kid NUL", with("kid", "\u{0}".into()), JwtError::UnknownKey),
        (
            "kid 64 KiB",
            with("kid", "k".repeat(8000).into()),
            JwtError::Malformed,
        ),
        ("kid a number", with("kid", 7.into()), JwtError::Malformed),
        (
            "typ absent",
            json!({"alg": "ES256", "kid": kid}),
            JwtError::Kind,
        ),
        ("typ JWT", with("typ", "JWT".into()), JwtError::Kind),
        (
            "typ of a DPoP proof",
            with("typ", "dpop+jwt".into()),
            JwtError::Kind,
        ),
        (
            "typ of a security event",
            with("typ", "secevent+jwt".into()),
            JwtError::Kind,
        ),
        (
            "typ of a logout token",
            with("typ", "logout+jwt".into()),
            JwtError::Kind,
        ),
        (
            "typ of a request object",
            with("typ", "oauth-authz-req+jwt".into()),
            JwtError::Kind,
        ),
        (
            "typ of an introspection",
            with("typ", "token-introspection+jwt".into()),
            JwtError::Kind,
        ),
        (
            "typ of a client assertion",
            with("typ", "client-authentication+jwt".into()),
            JwtError::Kind,
        ),
        ("typ a number", with("typ", 1.into()), JwtError::Malformed),
    ] {
        let token = signed(&header, payload, &signer).await;
        assert_eq!(
            verify(&token, JwtKind::AccessToken, &keys),
            Err(expected),
            "{what}"
        );
    }
    // A key that the token brings along is not looked at: neither to trust it nor to stumble over it.
    let stranger = key(Algorithm::Es256);
    for name in ["jwk", "jku", "x5u", "x5c"] {
        let value = if name == "jwk" {
            stranger.public().to_value()
        } else {
            "https://evil.example/keys".into()
        };
        let token = signed(&with(name, value), payload, &stranger).await;
        assert_eq!(
            verify(&token, JwtKind::AccessToken, &keys),
            Err(JwtError::Signature),
            "{name}"
        );
    }
}

#[tokio::test]
async fn rfc8725_2_1_forged_signatures_are_refused() {
    let signer = key(Algorithm::Es256);
    let keys = set(&[&signer]);
    let token = sign_jwt(JwtKind::AccessToken, &json!({"sub": "a"}), &signer)
        .await
        .unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    for (what, forged) in [
        ("zero r and s", format!("{input}.{zeros}")),
        ("no signature", format!("{input}.")),
        ("cut", format!("{input}.{}", &signature[..80])),
        (
            "DER",
            format!(
                "{input}.{}",
                URL_SAFE_NO_PAD.encode([0x30, 6, 2, 1, 1, 2, 1, 1])
            ),
        ),
        ("not base64url", format!("{input}.!!!!")),
    ] {
        assert_eq!(
            verify(&forged, JwtKind::AccessToken, &keys),
            Err(JwtError::Signature),
            "{what}"
        );
    }
    for (what, forged) in [
        ("padding in the payload", token.replacen('.', "=.", 2)),
        ("two parts", input.to_owned()),
        ("four parts", format!("{token}.x")),
        ("five parts", format!("{token}.x.y")),
        ("empty", String::new()),
        ("long", format!("{token}{}", "A".repeat(MAX_BYTES))),
        (
            "nested: the payload is a JWT",
            signed(&json!({"alg": "ES256", "typ": "at+jwt"}), &token, &signer).await,
        ),
        (
            "duplicate claims",
            signed(
                &json!({"alg": "ES256", "typ": "at+jwt"}),
                r#"{"sub":"a","sub":"b"}"#,
                &signer,
            )
            .await,
        ),
    ] {
        assert_eq!(
            verify(&forged, JwtKind::AccessToken, &keys),
            Err(JwtError::Malformed),
            "{what}"
        );
    }
}

/// OpenID Connect Core §2 gives ID tokens no type of their own; no other kind is taken for one, nor one for an access token.
#[tokio::test]
async fn rfc8725_3_11_an_id_token_is_of_type_jwt_alone() {
    let signer = key(Algorithm::Es256);
    let keys = set(&[&signer]);
    for (typ, accepted) in [
        (Some("JWT"), true),
        (Some("jwt"), true),
        (Some("application/jwt"), true),
        (None, false),
        (Some("at+jwt"), false),
        (Some("logout+jwt"), false),
        (Some("client-authentication+jwt"), false),
    ] {
        let mut header = json!({"alg": "ES256"});
        if let Some(typ) = typ {
            header["typ"] = typ.into();
        }
        let token = signed(&header, r#"{"sub":"a"}"#, &signer).await;
        assert_eq!(
            verify(&token, JwtKind::IdToken, &keys).is_ok(),
            accepted,
            "{typ:?}"
        );
    }
    let made = sign_jwt(JwtKind::IdToken, &json!({"sub": "a"}), &signer)
        .await
        .unwrap();
    assert!(verify(&made, JwtKind::IdToken, &keys).is_ok());
    assert_eq!(
        verify(&made, JwtKind::AccessToken, &keys),
        Err(JwtError::Kind)
    );
}

/// Also where the specification lets a client take one without it: then an ID token would pass for one.
#[tokio::test]
async fn oidc_back_channel_2_4_a_logout_token_says_what_it_is() {
    let signer = key(Algorithm::Es256);
    let keys = set(&[&signer]);
    for (typ, accepted) in [
        (Some("logout+jwt"), true),
        (Some("application/logout+jwt"), true),
        (Some("JWT"), false),
        (Some("at+jwt"), false),
        (Some("secevent+jwt"), false),
        (None, false),
    ] {
        let header = match typ {
            None => json!({"alg": "ES256"}),
            Some(typ) => json!({"alg": "ES256", "typ": typ}),
        };
        let token = signed(&header, "{}", &signer).await;
        let verified = verify(&token, JwtKind::LogoutToken, &keys);
        assert_eq!(verified.is_ok(), accepted, "{typ:?}");
    }
    let made = sign_jwt(JwtKind::LogoutToken, &json!({}), &signer).await;
    assert_eq!(
        verify(&made.unwrap(), JwtKind::IdToken, &keys),
        Err(JwtError::Kind)
    );
}

/// What it says of a token would else pass for the token.
#[tokio::test]
async fn rfc9701_8_1_what_introspection_says_is_of_its_type_alone() {
    let signer = key(Algorithm::Es256);
    let keys = set(&[&signer]);
    for (typ, accepted) in [
        (Some("token-introspection+jwt"), true),
        (Some("application/Token-Introspection+JWT"), true),
        (Some("at+jwt"), false),
        (Some("JWT"), false),
        (Some(""), false),
        (None, false),
    ] {
        let header = match typ {
            None => json!({"alg": "ES256"}),
            Some(typ) => json!({"alg": "ES256", "typ": typ}),
        };
        let token = signed(&header, "{}", &signer).await;
        let verified = verify(&token, JwtKind::TokenIntrospection, &keys);
        assert_eq!(verified.is_ok(), accepted, "{typ:?}");
    }
    let made = sign_jwt(JwtKind::TokenIntrospection, &json!({}), &signer).await;
    let made = made.unwrap();
    for other in [
        JwtKind::AccessToken,
        JwtKind::IdToken,
        JwtKind::LogoutToken,
        JwtKind::Userinfo,
        JwtKind::ServerMetadata,
        JwtKind::AuthorizationResponse,
        JwtKind::RequestObject,
        JwtKind::ClientAssertion,
        JwtKind::SoftwareStatement,
    ] {
        let verified = verify(&made, other, &keys);
        assert_eq!(verified, Err(JwtError::Kind), "{other:?}");
    }
}

/// RFC 7519 §6: exactly `none`, and then exactly no signature. Nothing else leads to claims that nobody signed.
#[tokio::test]
async fn rfc7519_6_an_unsecured_token_says_so_and_has_no_signature() {
    let signer = key(Algorithm::Es256);
    let unsecured = |header: &Value| {
        let encode = |part: &str| URL_SAFE_NO_PAD.encode(part);
        format!(
            "{}.{}.",
            encode(&header.to_string()),
            encode(r#"{"sub":"a"}"#)
        )
    };
    let read = |token: &str| unsecured_claims(token, JwtKind::RequestObject).map(drop);
    let good = unsecured(&json!({"alg": "none"}));
    assert_eq!(read(&good), Ok(()));
    for (what, token, expected) in [
        ("a signature", format!("{good}AAAA"), JwtError::Signature),
        (
            "nOnE",
            unsecured(&json!({"alg": "nOnE"})),
            JwtError::Algorithm,
        ),
        ("no alg", unsecured(&json!({})), JwtError::Algorithm),
        (
            "ES256",
            unsecured(&json!({"alg": "ES256"})),
            JwtError::Algorithm,
        ),
        (
            "HS256",
            unsecured(&json!({"alg": "HS256"})),
            JwtError::Algorithm,
        ),
        (
            "crit",
            unsecured(&json!({"alg": "none", "crit": ["x"]})),
            JwtError::Critical,
        ),
        (
            "another kind",
            unsecured(&json!({"alg": "none", "typ": "at+jwt"})),
            JwtError::Kind,
        ),
        (
            "signed",
            signed(&json!({"alg": "ES256"}), r#"{"sub":"a"}"#, &signer).await,
            JwtError::Algorithm,
        ),
        (
            "two parts",
            good.trim_end_matches('.').to_owned(),
            JwtError::Malformed,
        ),
    ] {
        assert_eq!(read(&token), Err(expected), "{what}");
    }
    for kind in [JwtKind::RequestObject, JwtKind::ClientAssertion] {
        let parsed = UnverifiedJwt::parse(&good, kind).map(drop);
        assert_eq!(parsed, Err(JwtError::Algorithm));
    }
}

#[tokio::test]
async fn rfc7523_3_and_rfc7591_2_3_a_type_may_be_left_out_but_not_lie() {
    let signer = key(Algorithm::EdDsa);
    let keys = set(&[&signer]);
    // What each is taken for: an assertion, a software statement, a request object (RFC 9101 §10.8), an answer, which has no type.
    for (typ, [assertion, statement, request, answer]) in [
        (None, [true, true, true, true]),
        (Some("JWT"), [true, true, true, false]),
        (Some("jwt"), [true, true, true, false]),
        (Some("application/jwt"), [true, true, true, false]),
        (
            Some("client-authentication+jwt"),
            [true, false, false, false],
        ),
        (Some("oauth-authz-req+jwt"), [false, false, true, false]),
        (
            Some("application/oauth-authz-req+JWT"),
            [false, false, true, false],
        ),
        (Some("at+jwt"), [false; 4]),
        (Some("dpop+jwt"), [false; 4]),
        (Some(""), [false; 4]),
    ] {
        let header = match typ {
            None => json!({"alg": "EdDSA"}),
            Some(typ) => json!({"alg": "EdDSA", "typ": typ}),
        };
        let token = signed(&header, "{}", &signer).await;
        for (kind, accepted) in [
            (JwtKind::ClientAssertion, assertion),
            (JwtKind::SoftwareStatement, statement),
            (JwtKind::RequestObject, request),
            (JwtKind::AuthorizationResponse, answer),
        ] {
            assert_eq!(
                verify(&token, kind, &keys).is_ok(),
                accepted,
                "{typ:?} {kind:?}"
            );
        }
    }
    let header = json!({"alg": "EdDSA", "typ": "application/at+JWT"});
    assert!(
        verify(
            &signed(&header, "{}", &signer).await,
            JwtKind::AccessToken,
            &keys
        )
        .is_ok()
    );
}

#[test]
fn a_key_for_one_algorithm_is_not_parsed_for_another() {
    for made in Algorithm::ALL {
        let der = SigningKey::generate(made, &SystemRandom).unwrap();
        for read in Algorithm::ALL {
            let rsa = |alg| matches!(alg, Algorithm::Rs256 | Algorithm::Ps256);
            let fits = made == read || (rsa(made) && rsa(read));
            assert_eq!(
                SigningKey::from_pkcs8(read, &der).is_ok(),
                fits,
                "{made} as {read}"
            );
        }
    }
    assert!(SigningKey::from_pkcs8(Algorithm::Es256, &Pkcs8::from_der(vec![0; 64])).is_err());
}
