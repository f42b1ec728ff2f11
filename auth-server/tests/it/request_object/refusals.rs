//! Request objects that say nothing (threats 15, 16), and who is told.

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, Signer as _, sign_jwt};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{Scene, metadata, new_key, sign, url};
use crate::browser::{Browser, parameter};
use crate::macs;
use crate::person::{self, REDIRECT, post};
use crate::pushed::PAR;

on_each_store!(auth_server::store::MIGRATIONS;
    threats_15_16_objects_that_prove_nothing,
    rfc9101_4_objects_that_say_what_they_must_not,
    rfc9101_7_who_is_told,
);

impl Scene {
    /// Neither at the authorization endpoint, where only the person is told, nor pushed, where the client is.
    async fn assert_refused(&self, what: &str, object: &str) {
        let page = self.open(object).await;
        assert_eq!(
            page.status,
            StatusCode::BAD_REQUEST,
            "{what}: {}",
            page.body
        );
        assert!(
            page.has("error-title") && page.header("location").is_empty(),
            "{what}"
        );
        assert!(!page.body.contains("evil.example"), "{what}");
        let answer = self.push(object).await;
        assert_eq!(answer.error(), (400, "invalid_request_object"), "{what}");
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn threats_15_16_objects_that_prove_nothing(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let claims = scene.claims(&json!({}));
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let stranger = new_key(Algorithm::Es256);
    let kid = scene.key.public().kid().unwrap().as_str();
    let jwk = scene.key.public().to_value();
    let public_key = jwk.to_string();
    let coordinates = format!(
        "{}{}",
        jwk["x"].as_str().unwrap(),
        jwk["y"].as_str().unwrap()
    );
    let good = scene.object(&json!({})).await;
    assert!(scene.open(&good).await.has("sign-in"));
    let (input, signature) = good.rsplit_once('.').unwrap();
    for (what, alg) in [
        ("none", "none"),
        ("nOnE", "nOnE"),
        ("NONE", "NONE"),
        ("no name", ""),
    ] {
        let header = json!({"alg": alg, "typ": "JWT"});
        let object = format!("{}.{}.", encode(&header), encode(&claims));
        scene.assert_refused(what, &object).await;
        let object = format!("{}.{}.{signature}", encode(&header), encode(&claims));
        scene
            .assert_refused(&format!("{what} with a signature"), &object)
            .await;
    }
    for alg in ["HS256", "HS384", "HS512"] {
        for (what, secret) in [
            ("the public key", public_key.as_bytes()),
            ("its coordinates", coordinates.as_bytes()),
            ("the client's secret", scene.app.secret.as_bytes()),
            ("nothing", b""),
        ] {
            let header = json!({"alg": alg, "kid": kid});
            let object = macs::with_header(&header, secret, &claims);
            scene
                .assert_refused(&format!("{alg} under {what}"), &object)
                .await;
        }
    }
    let zeros = URL_SAFE_NO_PAD.encode([0; 64]);
    let mut flipped = signature.to_owned();
    flipped.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    for (what, object) in [
        ("no signature", format!("{input}.")),
        ("zeros", format!("{input}.{zeros}")),
        ("another letter", format!("{input}.{flipped}")),
        ("cut", good[..good.len() - 2].to_owned()),
        ("two parts", input.to_owned()),
        ("encrypted", format!("{good}.x.y")),
        ("no JWT", "x".to_owned()),
        ("dots", "..".to_owned()),
        ("JSON", claims.to_string()),
        ("nested", {
            let header = json!({"cty": "JWT"});
            let input = format!("{}.{}", encode(&header), URL_SAFE_NO_PAD.encode(&good));
            let signature = scene.key.sign(input.as_bytes()).await.unwrap();
            format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
        }),
        ("another key", sign(&stranger, &json!({}), &claims).await),
        (
            "another key of the same name",
            sign(&stranger, &json!({"kid": kid}), &claims).await,
        ),
        (
            "a name of no key",
            sign(&scene.key, &json!({"kid": "../../dev/null"}), &claims).await,
        ),
        (
            "an embedded key",
            sign(
                &stranger,
                &json!({"kid": kid, "jwk": stranger.public().to_value()}),
                &claims,
            )
            .await,
        ),
        (
            "a key elsewhere",
            sign(
                &stranger,
                &json!({"kid": kid, "jku": "https://evil.example/k"}),
                &claims,
            )
            .await,
        ),
        (
            "another certificate",
            sign(
                &stranger,
                &json!({"kid": kid, "x5u": "https://evil.example/c"}),
                &claims,
            )
            .await,
        ),
        (
            "another algorithm",
            sign(&scene.key, &json!({"alg": "RS256"}), &claims).await,
        ),
        (
            "crit",
            sign(&scene.key, &json!({"crit": ["b64"], "b64": false}), &claims).await,
        ),
        (
            "crit of nothing",
            sign(&scene.key, &json!({"crit": []}), &claims).await,
        ),
    ] {
        scene.assert_refused(what, &object).await;
    }
    // Longer than what is looked at, and than a URL.
    let long = scene.object(&json!({"unknown": "x".repeat(13_000)})).await;
    assert_eq!(
        scene.push(&long).await.error(),
        (400, "invalid_request_object")
    );
    assert_eq!(scene.open(&long).await.status, 431);
    // No other kind of JWT is taken for one (RFC 8725 §3.11).
    for typ in [
        "at+jwt",
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "client-authentication+jwt",
    ] {
        let object = sign(&scene.key, &json!({"typ": typ}), &claims).await;
        scene.assert_refused(typ, &object).await;
    }
    let id_token = scene.server.records.keys.ring();
    let id_token = id_token
        .signer(Algorithm::Es256, scene.server.clock.now())
        .unwrap();
    let id_token = sign_jwt(JwtKind::IdToken, &claims, &*id_token)
        .await
        .unwrap();
    scene.assert_refused("an ID token of ours", &id_token).await;
    scene.server.stop().await;
}

async fn rfc9101_4_objects_that_say_what_they_must_not(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (server, app) = (&scene.server, &scene.app);
    let now = server.clock.now().as_secs();
    let other = server.register(metadata(&scene.key)).await;
    for (what, changes, accepted) in [
        ("good", json!({}), true),
        (
            "for several",
            json!({"aud": ["https://other.example", server.issuer]}),
            true,
        ),
        ("for nobody in particular", json!({"aud": null}), true),
        ("of nobody in particular", json!({"iss": null}), true),
        (
            "without dates",
            json!({"exp": null, "nbf": null, "iat": null}),
            true,
        ),
        (
            "a clock that runs ahead",
            json!({"nbf": now + 9, "iat": now + 9}),
            true,
        ),
        ("another subject", json!({"sub": "somebody"}), true),
        (
            "fractions",
            json!({"exp": f64::from(u32::try_from(now).unwrap()) + 300.5}),
            true,
        ),
        ("another issuer", json!({"iss": other.id}), false),
        ("us as issuer", json!({"iss": server.issuer}), false),
        (
            "for another server",
            json!({"aud": "https://other.example"}),
            false,
        ),
        (
            "for others",
            json!({"aud": ["https://other.example"]}),
            false,
        ),
        ("for none", json!({"aud": []}), false),
        (
            "for a prefix of us",
            json!({"aud": format!("{}/", server.issuer)}),
            false,
        ),
        (
            "for the token endpoint",
            json!({"aud": format!("{}/oauth/token", server.issuer)}),
            false,
        ),
        ("for a number", json!({"aud": 1}), false),
        ("expired", json!({"exp": now}), false),
        ("expired long ago", json!({"exp": 1}), false),
        ("a word as a date", json!({"exp": "soon"}), false),
        ("not yet", json!({"nbf": now + 3600}), false),
        ("made in an hour", json!({"iat": now + 3600}), false),
        ("made some time", json!({"iat": "now"}), false),
        ("another client", json!({"client_id": other.id}), false),
        ("no client", json!({"client_id": null}), false),
        ("a number as client", json!({"client_id": 1}), false),
        ("an object within", json!({"request": "x"}), false),
        (
            "a reference within",
            json!({"request_uri": "https://app.example/r"}),
            false,
        ),
        ("an assertion of the client", json!({"sub": app.id}), false),
        ("a list of what is none", json!({"resource": [1]}), false),
    ] {
        let object = scene.object(&changes).await;
        if accepted {
            assert!(scene.open(&object).await.has("sign-in"), "{what}");
            let pushed = scene.push(&object).await;
            assert_eq!(pushed.status, 201, "{what}: {}", pushed.body);
        } else {
            scene.assert_refused(what, &object).await;
        }
    }
    // Another client shows what this one signed, with the same key or another.
    let object = scene.object(&json!({})).await;
    let stranger = server.register(metadata(&new_key(Algorithm::Es256))).await;
    let keyless = server.register(person::app(AuthMethod::None)).await;
    for client in [&other, &stranger, &keyless] {
        let url = url(server, client, ("request", &object), &[]);
        assert!(Browser::new(server).open(url).await.has("error-title"));
    }
    scene.server.stop().await;
}

/// Nothing that stands in an object is believed until that holds; what stands beside it is proven as ever.
async fn rfc9101_7_who_is_told(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let browser = Browser::new(server);
    let expired = scene.object(&json!({"exp": 1, "state": "inside"})).await;
    for object in [expired.as_str(), "x"] {
        for (beside, told) in [
            (&[][..], false),
            (&[("redirect_uri", "https://evil.example/cb")], false),
            (
                &[("redirect_uri", REDIRECT), ("redirect_uri", REDIRECT)],
                false,
            ),
            (&[("redirect_uri", REDIRECT), ("state", "beside")], true),
        ] {
            let page = browser.open(scene.url(object, beside)).await;
            if !told {
                assert!(page.has("error-title"), "{beside:?}");
                continue;
            }
            let answer = page.location();
            assert!(answer.as_str().starts_with(REDIRECT), "{answer}");
            let error = parameter(&answer, "error");
            assert_eq!(error.as_deref(), Some("invalid_request_object"));
            assert_eq!(parameter(&answer, "state").as_deref(), Some("beside"));
            assert_eq!(
                parameter(&answer, "iss").as_deref(),
                Some(server.issuer.as_str())
            );
        }
    }
    // By the means that the request names.
    let means = [("redirect_uri", REDIRECT), ("response_mode", "form_post")];
    let page = browser.open(scene.url(&expired, &means)).await;
    assert_eq!(page.input("error"), "invalid_request_object");
    // One that holds is told where it says, and only if that is registered.
    for (changes, expected) in [
        (json!({"redirect_uri": "https://evil.example/cb"}), None),
        (json!({"redirect_uri": null}), None),
        (json!({"scope": "admin"}), Some("invalid_scope")),
        (
            json!({"registration": {"client_name": "x"}}),
            Some("registration_not_supported"),
        ),
    ] {
        let object = scene.object(&changes).await;
        let page = browser
            .open(scene.url(&object, &[("redirect_uri", REDIRECT)]))
            .await;
        match expected {
            None => assert!(page.has("error-title"), "{changes}"),
            Some(code) => assert_eq!(parameter(&page.location(), "error").as_deref(), Some(code)),
        }
    }
    // Two requests are none.
    let two = [("request_uri", "https://app.example/r")];
    assert!(
        browser
            .open(scene.url(&expired, &two))
            .await
            .has("error-title")
    );
    let two = [two[0], ("redirect_uri", REDIRECT)];
    let answer = browser.open(scene.url(&expired, &two)).await.location();
    assert_eq!(
        parameter(&answer, "error").as_deref(),
        Some("invalid_request")
    );
    let both = [
        ("request", expired.as_str()),
        ("request_uri", "https://app.example/r"),
    ];
    let answer = post(server, &scene.app, PAR, &both).await;
    assert_eq!(answer.error(), (400, "invalid_request"));
    // Without the client, nobody's keys are tried.
    let object = scene.object(&json!({})).await;
    let page = browser
        .open(format!(
            "{}/oauth/authorize?request={object}",
            server.issuer
        ))
        .await;
    assert!(page.has("error-title"));
    scene.server.stop().await;
}
