//! What an assertion must be (RFC 7523 §3), and what is none.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;

use super::*;
use crate::macs;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7523_3_every_claim_is_looked_at,
    threats_15_and_16_no_other_kind_of_token_is_an_assertion,
    threat_17_of_200_uses_on_two_nodes_one_wins,
    an_assertion_from_before_the_memory_of_used_ones_is_refused,
    rfc7523_3_nothing_is_spent_by_what_is_refused,
    the_keys_of_an_issuer_are_where_it_publishes_them,
);

async fn rfc7523_3_every_claim_is_looked_at(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let now = scene.server.clock.now().as_secs();
    let issuer = scene.server.issuer.clone();
    let mut rows = vec![
        ("iss of nobody", json!({"iss": "https://evil.example"})),
        ("iss with a slash", json!({"iss": "https://idp.example/"})),
        ("iss in capitals", json!({"iss": "https://IDP.example"})),
        ("iss a number", json!({"iss": 1})),
        ("iss an array", json!({"iss": [ISSUER]})),
        ("iss this server", json!({"iss": issuer})),
        (
            "sub of nobody",
            json!({"sub": "usr_0000000000000000000000"}),
        ),
        ("sub an address", json!({"sub": EMAIL})),
        ("sub empty", json!({"sub": ""})),
        ("sub a number", json!({"sub": 1})),
        (
            "aud of another server",
            json!({"aud": "https://other.example"}),
        ),
        ("aud an array", json!({"aud": [issuer]})),
        ("aud two", json!({"aud": [issuer, "https://other.example"]})),
        ("aud with a slash", json!({"aud": format!("{issuer}/")})),
        (
            "aud another endpoint",
            json!({"aud": format!("{issuer}/oauth/introspect")}),
        ),
        ("aud the client", json!({"aud": scene.client.id})),
        ("aud an object", json!({"aud": {"0": issuer}})),
        ("expired", json!({"exp": now})),
        ("exp too far ahead", json!({"exp": now + 601})),
        ("exp a text", json!({"exp": (now + 60).to_string()})),
        ("exp beyond numbers", json!({"exp": 1e300})),
        ("exp before all time", json!({"exp": i64::MIN})),
        ("iat 11 s ahead", json!({"iat": now + 11})),
        ("iat an hour back", json!({"iat": now - 3601})),
        ("iat a text", json!({"iat": "now"})),
        ("nbf 11 s ahead", json!({"nbf": now + 11})),
        ("nbf a boolean", json!({"nbf": true})),
        ("jti empty", json!({"jti": ""})),
        ("jti long", json!({"jti": "j".repeat(257)})),
        ("jti a number", json!({"jti": 1})),
        ("auth_time ahead", json!({"auth_time": now + 60})),
        ("auth_time a text", json!({"auth_time": "now"})),
        ("scope a list", json!({"scope": ["read"]})),
        ("scope that is none", json!({"scope": "re\"ad"})),
        ("resource that is none", json!({"resource": "api"})),
        ("resource a number", json!({"resource": 1})),
        ("amr a text", json!({"amr": "pwd"})),
    ];
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        rows.push(("a claim is absent", json!({name: null})));
    }
    for (what, changes) in rows {
        refused(
            &scene.bring(&changes, &[]).await,
            &format!("{what} {changes}"),
        );
    }
    for (what, changes) in [
        ("iat 8 s ahead", json!({"iat": now + 8, "nbf": now + 8})),
        (
            "with a fraction",
            serde_json::from_str(&format!(r#"{{"iat": {now}.5}}"#)).unwrap(),
        ),
        ("as long as it may", json!({"exp": now + 600})),
        (
            "with what nobody looks at",
            json!({"azp": "x", "nonce": "y", "client_id": "z"}),
        ),
    ] {
        let answer = scene.bring(&changes, &[]).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    }
    // Without iat it may be as old as an assertion can be.
    scene.server.clock.advance(Duration::from_hours(1));
    let exp = scene.server.clock.now().as_secs() + 60;
    let undated = scene.bring(&json!({"iat": null, "exp": exp}), &[]).await;
    assert_eq!(undated.status, 200, "{}", undated.body);
    scene.server.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn threats_15_and_16_no_other_kind_of_token_is_an_assertion(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let access_token = scene.server.token(&service, API).await;
    let good = scene.assertion(&json!({})).await;
    let claims = scene.claims(&json!({}));
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let header = |json: &str| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(json));
    let public = scene.key.public().to_value().to_string();
    let mac = |secret: &[u8]| macs::assertion("HS256", secret, &claims);
    let flipped = {
        let last = if good.ends_with('A') { "B" } else { "A" };
        format!("{}{last}", &good[..good.len() - 1])
    };
    let mut rows = vec![
        ("our own access token", access_token),
        (
            "another's key",
            sign(JwtKind::BearerAssertion, &claims, &new_key()).await,
        ),
        (
            "alg none",
            format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)),
        ),
        ("alg none, signed", header(r#"{"alg":"none"}"#)),
        ("alg nOnE", header(r#"{"alg":"nOnE"}"#)),
        ("alg HS256", header(r#"{"alg":"HS256"}"#)),
        ("a MAC by the public key", mac(public.as_bytes())),
        (
            "a MAC by the client's secret",
            mac(scene.client.secret.as_bytes()),
        ),
        ("alg of another family", header(r#"{"alg":"RS256"}"#)),
        ("no alg", header(r#"{"typ":"JWT"}"#)),
        ("crit", header(r#"{"alg":"ES256","crit":["exp"],"exp":1}"#)),
        ("b64", header(r#"{"alg":"ES256","b64":false}"#)),
        (
            "a jwk of its own",
            header(&format!(r#"{{"alg":"ES256","jwk":{public}}}"#)),
        ),
        (
            "jku",
            header(r#"{"alg":"ES256","jku":"https://evil.example/jwks"}"#),
        ),
        (
            "x5u",
            header(r#"{"alg":"ES256","x5u":"https://evil.example/x5u"}"#),
        ),
        (
            "a header with another signature",
            header(r#"{"alg":"ES256"}"#),
        ),
        (
            "kid with a path",
            header(r#"{"alg":"ES256","kid":"../../../dev/null"}"#),
        ),
        (
            "kid with SQL",
            header(r#"{"alg":"ES256","kid":"' OR 1=1 --"}"#),
        ),
        (
            "kid with NUL",
            header(r#"{"alg":"ES256","kid":"a\u0000b"}"#),
        ),
        (
            "kid of 64 KiB",
            header(&format!(
                r#"{{"alg":"ES256","kid":"{}"}}"#,
                "k".repeat(9000)
            )),
        ),
        ("kid a number", header(r#"{"alg":"ES256","kid":1}"#)),
        ("typ a number", header(r#"{"alg":"ES256","typ":1}"#)),
        (
            "an empty signature",
            format!("{}.", good.rsplit_once('.').unwrap().0),
        ),
        ("one bit of it flipped", flipped),
        ("cut", good[..good.len() - 4].to_owned()),
        ("longer", format!("{good}AAAA")),
        ("four parts", format!("{good}.x")),
        ("five parts", format!("{good}.x.y")),
        ("too long", format!("{good}{}", "A".repeat(20_000))),
        ("empty parts", "..".into()),
        ("not a JWT", "x".into()),
        ("a claim twice", {
            let twice = format!(r#"{{"jti":"a","jti":"b","iss":"{ISSUER}"}}"#);
            format!(
                "{}.{}.{signature}",
                good.split('.').next().unwrap(),
                URL_SAFE_NO_PAD.encode(twice)
            )
        }),
    ];
    // The issuer's own, of every other kind that has a name.
    for kind in [
        JwtKind::AccessToken,
        JwtKind::ClientAssertion,
        JwtKind::LogoutToken,
        JwtKind::RequestObject,
        JwtKind::IdentityAssertion,
    ] {
        let claims = scene.claims(&json!({"client_id": scene.client.id}));
        rows.push(("of another kind", sign(kind, &claims, &scene.key).await));
    }
    // An ID token is for its client, and that is no server.
    let claims = scene.claims(&json!({"aud": scene.client.id, "azp": scene.client.id}));
    rows.push((
        "an ID token",
        sign(JwtKind::IdToken, &claims, &scene.key).await,
    ));
    for (what, assertion) in &rows {
        refused(&scene.show(assertion).await, what);
    }
    assert_eq!(
        scene.show(&good).await.status,
        200,
        "the forgeries spent nothing"
    );
    // Where the operator names another algorithm, the key that fits counts no more.
    let other = SigningKey::generate(Algorithm::EdDsa, &SystemRandom).unwrap();
    let other = SigningKey::from_pkcs8(Algorithm::EdDsa, &other).unwrap();
    let both = json!({"jwks": set(&[&scene.key, &other]), "algorithms": ["EdDSA"]});
    scene.trust(&both).await;
    refused(
        &scene.bring(&json!({}), &[]).await,
        "alg that the operator did not name",
    );
    let named = sign(JwtKind::BearerAssertion, &scene.claims(&json!({})), &other).await;
    assert_eq!(scene.show(&named).await.status, 200);
    scene.server.stop().await;
}

async fn threat_17_of_200_uses_on_two_nodes_one_wins(stores: &Stores) {
    let scene = Scene::set(stores).await;
    // In process there is one node, so that the second address leads to the same.
    let shared = config(stores).ephemeral.url;
    let other = if secrecy::ExposeSecret::expose_secret(&shared) == "memory" {
        None
    } else {
        let mut second = config(stores);
        second.issuer = scene.server.issuer.parse().unwrap();
        Some(TestServer::start_with(second, scene.server.clock.clone()).await)
    };
    let assertion = scene.assertion(&json!({})).await;
    let racers = (0..200).map(async |n| {
        let node = other
            .as_ref()
            .filter(|_| n % 2 == 1)
            .unwrap_or(&scene.server);
        let form = [("grant_type", GRANT), ("assertion", assertion.as_str())];
        let answer = node.post_as(&scene.client, "/oauth/token", &form).await;
        answer.status.as_u16()
    });
    let statuses = join_all(racers).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    assert_eq!((count(200), count(400)), (1, 199), "{statuses:?}");
    // Another issuer may use the same words.
    let claims = scene.claims(&json!({"jti": "the same"}));
    let one = sign(JwtKind::BearerAssertion, &claims, &scene.key).await;
    assert_eq!(scene.show(&one).await.status, 200);
    refused(&scene.show(&one).await, "again");
    let resigned = sign(JwtKind::BearerAssertion, &claims, &scene.key).await;
    assert_ne!(resigned, one);
    refused(&scene.show(&resigned).await, "signed anew");
    // For as long as it might count.
    scene.server.clock.advance(Duration::from_secs(299));
    refused(&scene.show(&one).await, "just before its end");
    scene.server.stop().await;
}

async fn an_assertion_from_before_the_memory_of_used_ones_is_refused(stores: &Stores) {
    let scene = Scene::set(stores).await;
    // A node whose memory begins now; where two share one, it has begun before.
    let issuer = scene.server.issuer.clone();
    let now = scene.server.clock.now().as_secs();
    let start = scene.claims(&json!({"iat": now - 200}));
    let undated = scene.claims(&json!({"iat": null}));
    for (what, claims) in [("old", start), ("undated", undated)] {
        let assertion = sign(JwtKind::BearerAssertion, &claims, &scene.key).await;
        refused(&scene.show(&assertion).await, what);
    }
    assert_eq!(issuer, scene.server.issuer);
    scene.server.clock.advance(Duration::from_hours(2));
    let later = scene.server.clock.now().as_secs();
    let answer = scene
        .bring(&json!({"iat": null, "exp": later + 60}), &[])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    scene.server.stop().await;
}

async fn rfc7523_3_nothing_is_spent_by_what_is_refused(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let other = scene
        .server
        .register(metadata(AuthMethod::ClientSecretBasic))
        .await;
    scene.trust(&json!({"clients": [scene.client.id]})).await;
    let assertion = scene.assertion(&json!({})).await;
    for (what, client, more) in [
        ("another client", &other, &[][..]),
        (
            "a scope that is none",
            &scene.client,
            &[("scope", "re\"ad")],
        ),
        (
            "a scope that nobody has",
            &scene.client,
            &[("scope", "other")],
        ),
        (
            "an unknown resource",
            &scene.client,
            &[("resource", "https://nowhere.example")],
        ),
        ("details", &scene.client, &[("authorization_details", "[]")]),
    ] {
        let answer = scene.ask(client, &assertion, more).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.body);
    }
    assert_eq!(scene.show(&assertion).await.status, 200);
    refused(&scene.show(&assertion).await, "again");
    scene.server.stop().await;
}

async fn the_keys_of_an_issuer_are_where_it_publishes_them(stores: &Stores) {
    let site = crate::site::Site::start().await;
    let mut config = config(stores);
    site.open_to(&mut config);
    let mut scene = Scene::with(config).await;
    let path = "/jwks.json";
    let published = json!({"jwks": null, "jwks_uri": site.at(path)});
    scene.trust(&published).await;
    site.put_with(path, 500, &[], "{}");
    let first = scene.bring(&json!({}), &[]).await;
    refused(&first, "keys that could not be had");
    scene.server.clock.advance(Duration::from_mins(1));
    site.put(path, &set(&[&scene.key]));
    assert_eq!(scene.bring(&json!({}), &[]).await.status, 200);
    // A new key is seen within ten seconds, and the one that it took the place of is dead.
    let old = std::mem::replace(&mut scene.key, new_key());
    site.put(path, &set(&[&scene.key]));
    scene.server.clock.advance(Duration::from_secs(10));
    assert_eq!(scene.bring(&json!({}), &[]).await.status, 200);
    let before = sign(JwtKind::BearerAssertion, &scene.claims(&json!({})), &old).await;
    refused(&scene.show(&before).await, "a key that was taken away");
    let asked = site.asked(path);
    for _ in 0..5 {
        let stranger = sign(
            JwtKind::BearerAssertion,
            &scene.claims(&json!({})),
            &new_key(),
        )
        .await;
        refused(&scene.show(&stranger).await, "a stranger's key");
    }
    assert!(
        site.asked(path) <= asked + 1,
        "asked at most once in ten seconds"
    );
    scene.server.stop().await;
}
