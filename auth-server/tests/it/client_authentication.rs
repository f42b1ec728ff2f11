//! Client authentication, at every endpoint that takes it.

mod client_secret_jwt;
mod matrix;

use std::time::Duration;

use auth_server::clients::AuthMethod;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::server::{API, Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc6749_2_3_each_client_uses_the_method_it_registered,
    rfc6749_2_3_1_basic_is_form_urlencoded_and_strict,
    rfc6749_2_3_one_method_in_one_request,
    rfc6749_5_2_unknown_client_and_wrong_secret_look_alike,
    rfc7523_3_a_good_assertion_at_every_endpoint_once,
    rfc7523_3_assertions_that_prove_nothing,
    rfc7523_3_a_thousand_replays_on_two_nodes_one_success,
    threats_15_and_16_no_other_kind_of_token_is_an_assertion,
    a_rotated_secret_overlaps_and_ends,
    the_newest_of_many_secrets_works,
    an_assertion_does_not_tell_whether_a_client_exists,
    an_assertion_from_before_the_memory_of_used_ones_is_refused,
    who_comes_right_after_the_memory_began_is_told_when_to_come_again,
);

const ENDPOINTS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A form that each of the endpoints understands.
fn form<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [
        &[("grant_type", "client_credentials"), ("token", "none")],
        extra,
    ]
    .concat()
}

async fn rfc6749_2_3_each_client_uses_the_method_it_registered(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let basic = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let post = server.client(AuthMethod::ClientSecretPost, "read").await;
    for endpoint in ENDPOINTS {
        for (client, uses_basic) in [(&basic, true), (&post, false)] {
            let by_header = server.post_as(client, endpoint, &form(&[])).await;
            let in_body = [
                ("client_id", client.id.as_str()),
                ("client_secret", client.secret.as_str()),
            ];
            let by_body = server.send(server.form(endpoint, &form(&in_body))).await;
            let (good, bad) = if uses_basic {
                (by_header, by_body)
            } else {
                (by_body, by_header)
            };
            assert_eq!(good.status, 200, "{endpoint}: {}", good.body);
            assert_eq!(bad.error(), (401, "invalid_client"), "{endpoint}");
            let unproven = server
                .send(server.form(endpoint, &form(&in_body[..1])))
                .await;
            assert_eq!(
                unproven.error(),
                (401, "invalid_client"),
                "{endpoint}: nothing but a client_id"
            );
        }
        let nobody = server.send(server.form(endpoint, &form(&[]))).await;
        assert_eq!(
            nobody.error(),
            (401, "invalid_client"),
            "{endpoint}: nothing at all"
        );
    }
}

async fn rfc6749_2_3_1_basic_is_form_urlencoded_and_strict(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let TestClient { id, secret } = &client;
    let encoded = |text: String| STANDARD.encode(text);
    let escaped = id
        .bytes()
        .map(|byte| format!("%{byte:02x}"))
        .collect::<Vec<_>>()
        .concat();
    let good = encoded(format!("{id}:{secret}"));
    for (what, header, status) in [
        ("as it is", format!("Basic {good}"), 200),
        ("any case", format!("bAsIc {good}"), 200),
        ("two spaces", format!("Basic  {good}"), 200),
        (
            "escaped",
            format!("Basic {}", encoded(format!("{escaped}:{secret}"))),
            200,
        ),
        ("tab", format!("Basic\t{good}"), 401),
        ("no colon", format!("Basic {}", encoded(id.clone())), 401),
        (
            "no secret",
            format!("Basic {}", encoded(format!("{id}:"))),
            401,
        ),
        (
            "no client",
            format!("Basic {}", encoded(format!(":{secret}"))),
            401,
        ),
        (
            "cut secret",
            format!("Basic {}", encoded(format!("{id}:{}", &secret[1..]))),
            401,
        ),
        (
            "longer secret",
            format!("Basic {}", encoded(format!("{id}:{secret}x"))),
            401,
        ),
        (
            "broken escape",
            format!("Basic {}", encoded(format!("{id}:%zz"))),
            401,
        ),
        ("not base64", "Basic !!!".into(), 401),
        ("nothing", "Basic".into(), 401),
        ("Bearer", format!("Bearer {good}"), 401),
    ] {
        let request = server
            .form("/oauth/token", &form(&[]))
            .header("authorization", header);
        let answer = server.send(request).await;
        assert_eq!(answer.status.as_u16(), status, "{what}");
        if status == 401 {
            assert_eq!(answer.error(), (401, "invalid_client"), "{what}");
            assert!(
                answer.header("www-authenticate").starts_with("Basic "),
                "{what}"
            );
        }
    }
    let twice = server.form("/oauth/token", &form(&[]));
    let twice = twice
        .header("authorization", format!("Basic {good}"))
        .header("authorization", format!("Basic {good}"));
    assert_eq!(
        server.send(twice).await.error(),
        (401, "invalid_client"),
        "two headers"
    );
}

async fn rfc6749_2_3_one_method_in_one_request(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let other = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let assertion = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", "a.b.c"),
    ];
    for (what, extra, expected) in [
        (
            "the same client_id",
            vec![("client_id", client.id.as_str())],
            (200, "no error"),
        ),
        (
            "another client_id",
            vec![("client_id", other.id.as_str())],
            (401, "invalid_client"),
        ),
        (
            "a secret in the body too",
            vec![("client_secret", client.secret.as_str())],
            (400, "invalid_request"),
        ),
        (
            "an assertion too",
            assertion.to_vec(),
            (400, "invalid_request"),
        ),
        (
            "half an assertion too",
            assertion[..1].to_vec(),
            (400, "invalid_request"),
        ),
    ] {
        let answer = server.post_as(&client, "/oauth/token", &form(&extra)).await;
        assert_eq!(answer.error(), expected, "{what}");
    }
    let body = [
        &[
            ("client_id", client.id.as_str()),
            ("client_secret", client.secret.as_str()),
        ],
        &assertion[..],
    ];
    assert_eq!(
        server
            .send(server.form("/oauth/token", &form(&body.concat())))
            .await
            .error(),
        (400, "invalid_request")
    );
}

async fn rfc6749_5_2_unknown_client_and_wrong_secret_look_alike(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let known = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let wrong = TestClient {
        secret: "wrong".into(),
        ..known
    };
    let unknown = TestClient {
        id: "unknown".into(),
        secret: "wrong".into(),
    };
    let (wrong, unknown) = (
        server.post_as(&wrong, "/oauth/token", &form(&[])).await,
        server.post_as(&unknown, "/oauth/token", &form(&[])).await,
    );
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    let names = |answer: &Answer| {
        answer
            .headers
            .keys()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&wrong), names(&unknown));
}

fn claims(server: &TestServer, client: &TestClient, jti: &str) -> Value {
    let now = server.clock.now().as_secs();
    json!({"iss": client.id, "sub": client.id, "aud": server.issuer, "iat": now, "exp": now + 60, "jti": jti})
}

async fn present(server: &TestServer, endpoint: &str, assertion: &str) -> Answer {
    let proof = [
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    server.send(server.form(endpoint, &form(&proof))).await
}

async fn rfc7523_3_a_good_assertion_at_every_endpoint_once(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.clock.advance(Duration::from_secs(12));
    for alg in Algorithm::ALL {
        let (client, key) = server.signing_client(alg, "read").await;
        for endpoint in ENDPOINTS {
            for audience in [
                server.issuer.clone(),
                format!("{}/oauth/token", server.issuer),
            ] {
                let mut claims = claims(&server, &client, &format!("{endpoint}{audience}"));
                claims["aud"] = json!(audience);
                let assertion = server.assertion(&key, &claims).await;
                let answer = present(&server, endpoint, &assertion).await;
                assert_eq!(
                    answer.status, 200,
                    "{alg} {endpoint} {audience}: {}",
                    answer.body
                );
                for again in ENDPOINTS {
                    assert_eq!(
                        present(&server, again, &assertion).await.error(),
                        (401, "invalid_client"),
                        "{again}"
                    );
                }
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc7523_3_assertions_that_prove_nothing(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.clock.advance(Duration::from_secs(12));
    let (client, key) = server.signing_client(Algorithm::Es256, "read").await;
    let (other, other_key) = server.signing_client(Algorithm::Es256, "read").await;
    let now = server.clock.now().as_secs();
    let with = |name: &str, value: Value| {
        let mut claims = claims(&server, &client, name);
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = claims(&server, &client, "without");
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let mut rows = vec![
        ("iss differs", with("iss", json!(other.id))),
        ("sub differs", with("sub", json!(other.id))),
        (
            "aud of another server",
            with("aud", json!("https://other.example")),
        ),
        ("aud is an array", with("aud", json!([server.issuer]))),
        (
            "aud of the introspection endpoint",
            with("aud", json!(format!("{}/oauth/introspect", server.issuer))),
        ),
        (
            "aud with a slash",
            with("aud", json!(format!("{}/", server.issuer))),
        ),
        ("expired", with("exp", json!(now - 1))),
        (
            "exp more than an hour ahead",
            with("exp", json!(now + 3700)),
        ),
        ("exp a string", with("exp", json!("1"))),
        ("exp beyond numbers", with("exp", json!(1e300))),
        ("iat 61 s ahead", with("iat", json!(now + 61))),
        ("nbf 61 s ahead", with("nbf", json!(now + 61))),
        ("jti empty", with("jti", json!(""))),
        ("jti long", with("jti", json!("j".repeat(257)))),
        ("jti a number", with("jti", json!(1))),
    ];
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        rows.push(("a claim is absent", without(name)));
    }
    for (what, claims) in rows {
        let answer = present(
            &server,
            "/oauth/token",
            &server.assertion(&key, &claims).await,
        )
        .await;
        assert_eq!(answer.error(), (401, "invalid_client"), "{what}: {claims}");
        // RFC 6749 §5.2: Basic is for who tried a header, and libraries that find a challenge look no further for the error.
        assert_eq!(answer.header("www-authenticate"), "", "{what}");
    }
    let stolen = server
        .assertion(&other_key, &claims(&server, &client, "stolen"))
        .await;
    assert_eq!(
        present(&server, "/oauth/token", &stolen).await.error(),
        (401, "invalid_client"),
        "another's key"
    );
    let ahead = server.assertion(&key, &with("iat", json!(now + 8))).await;
    assert_eq!(
        present(&server, "/oauth/token", &ahead).await.status,
        200,
        "iat up to 10 s ahead"
    );
    let good = server
        .assertion(&key, &claims(&server, &client, "type"))
        .await;
    for (what, kind) in [
        (
            "another type",
            "urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
        ),
        ("no type", ""),
    ] {
        let proof = [
            ("client_assertion_type", kind),
            ("client_assertion", good.as_str()),
        ];
        let answer = server
            .send(server.form("/oauth/token", &form(&proof)))
            .await;
        assert!(
            matches!(
                answer.error(),
                (401, "invalid_client") | (400, "invalid_request")
            ),
            "{what}"
        );
    }
    let secret = [("client_id", client.id.as_str()), ("client_secret", "x")];
    let answer = server
        .send(server.form("/oauth/token", &form(&secret)))
        .await;
    assert_eq!(
        answer.error(),
        (401, "invalid_client"),
        "a secret from a client that signs"
    );
}

async fn rfc7523_3_a_thousand_replays_on_two_nodes_one_success(stores: &Stores) {
    let one = TestServer::start(stores).await.with_resources(None).await;
    // In process there is one node, so that the second address leads to the same.
    let shared = config(stores).ephemeral.url;
    let is_shared = secrecy::ExposeSecret::expose_secret(&shared) != "memory";
    let mut second = config(stores);
    second.issuer = one.issuer.parse().unwrap();
    let two = if is_shared {
        Some(TestServer::start_with(second, one.clock.clone()).await)
    } else {
        None
    };
    one.clock.advance(Duration::from_secs(12));
    let (client, key) = one.signing_client(Algorithm::Es256, "read").await;
    let assertion = one.assertion(&key, &claims(&one, &client, "once")).await;
    let racers = (0..1000).map(|n| {
        let node = two.as_ref().filter(|_| n % 2 == 1).unwrap_or(&one);
        let proof = [
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion.as_str()),
        ];
        let request = node.form("/oauth/token", &form(&proof));
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    let mut statuses = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        statuses.push(racer.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        999
    );
}

async fn threats_15_and_16_no_other_kind_of_token_is_an_assertion(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.clock.advance(Duration::from_secs(12));
    let (client, key) = server.signing_client(Algorithm::Es256, "read").await;
    let token_client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let access_token = server.token(&token_client, API).await;
    let as_access_token = sign_jwt(
        JwtKind::AccessToken,
        &claims(&server, &client, "kind"),
        &key,
    )
    .await
    .unwrap();
    let good = server
        .assertion(&key, &claims(&server, &client, "forged"))
        .await;
    let (_, rest) = good.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let header = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    for (what, assertion) in [
        ("our own access token", access_token),
        ("the client's, but of kind at+jwt", as_access_token),
        (
            "alg none",
            format!("{}.{payload}.", header(r#"{"alg":"none"}"#)),
        ),
        (
            "alg nOnE",
            format!("{}.{payload}.", header(r#"{"alg":"nOnE"}"#)),
        ),
        (
            "alg HS256",
            format!("{}.{payload}.{signature}", header(r#"{"alg":"HS256"}"#)),
        ),
        (
            "crit",
            format!(
                "{}.{payload}.{signature}",
                header(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#)
            ),
        ),
        (
            "kid traversal",
            format!(
                "{}.{payload}.{signature}",
                header(r#"{"alg":"ES256","kid":"../../dev/null"}"#)
            ),
        ),
        (
            "jku",
            format!(
                "{}.{payload}.{signature}",
                header(r#"{"alg":"ES256","jku":"https://evil.example"}"#)
            ),
        ),
        ("64 KiB", format!("{good}{}", "A".repeat(60_000))),
        ("empty parts", "..".into()),
        ("not a JWT", "x".into()),
    ] {
        let answer = present(&server, "/oauth/token", &assertion).await;
        assert_eq!(answer.error(), (401, "invalid_client"), "{what}");
    }
    assert_eq!(
        present(&server, "/oauth/token", &good).await.status,
        200,
        "the forgeries spent nothing"
    );
}

async fn a_rotated_secret_overlaps_and_ends(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let old = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let secret = auth_server::clients::secret::ClientSecret::generate(&*server.world.random);
    let (id, now) = (TestServer::client_id(&old), server.clock.now());
    server
        .records
        .clients
        .rotate_secret(&id, &secret, Duration::from_mins(10), now)
        .await
        .unwrap();
    let new = TestClient {
        secret: secret.expose().into(),
        ..old.clone()
    };
    for client in [&old, &new] {
        assert_eq!(
            server
                .post_as(client, "/oauth/token", &form(&[]))
                .await
                .status,
            200
        );
    }
    server.clock.advance(Duration::from_mins(11));
    assert_eq!(
        server
            .post_as(&old, "/oauth/token", &form(&[]))
            .await
            .error(),
        (401, "invalid_client")
    );
    assert_eq!(
        server
            .post_as(&new, "/oauth/token", &form(&[]))
            .await
            .status,
        200
    );
}

async fn the_newest_of_many_secrets_works(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let mut client = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let id = TestServer::client_id(&client);
    for _ in 0..15 {
        let secret = auth_server::clients::secret::ClientSecret::generate(&*server.world.random);
        let (overlap, now) = (Duration::from_hours(1), server.clock.now());
        server
            .records
            .clients
            .rotate_secret(&id, &secret, overlap, now)
            .await
            .unwrap();
        client.secret = secret.expose().into();
        server.clock.advance(Duration::from_millis(5));
    }
    assert_eq!(
        server
            .post_as(&client, "/oauth/token", &form(&[]))
            .await
            .status,
        200
    );
}

async fn an_assertion_does_not_tell_whether_a_client_exists(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    server.clock.advance(Duration::from_secs(12));
    let (client, _) = server.signing_client(Algorithm::Es256, "read").await;
    let (_, es256) = server.signing_client(Algorithm::Es256, "read").await;
    let (_, eddsa) = server.signing_client(Algorithm::EdDsa, "read").await;
    let unknown = TestClient {
        id: "unknown".into(),
        secret: String::new(),
    };
    let mut bodies = Vec::new();
    for (claimed, key) in [(&client, &es256), (&client, &eddsa), (&unknown, &es256)] {
        let assertion = server.assertion(key, &claims(&server, claimed, "x")).await;
        let answer = present(&server, "/oauth/token", &assertion).await;
        assert_eq!(answer.error(), (401, "invalid_client"));
        bodies.push(answer.body);
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

/// A node that starts with its clients: nothing is wrong with them.
async fn who_comes_right_after_the_memory_began_is_told_when_to_come_again(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let (client, key): (_, SigningKey) = server.signing_client(Algorithm::EdDsa, "read").await;
    let now = || json!(server.clock.now().as_secs());
    let made = async |jti: &str, iat: Value| {
        let mut claims = claims(&server, &client, jti);
        claims["iat"] = iat;
        server.assertion(&key, &claims).await
    };
    let early = made("early", now()).await;
    let answer = present(&server, "/oauth/token", &early).await;
    assert_eq!(answer.error(), (503, "temporarily_unavailable"));
    let told = answer.text("error_description");
    assert!(
        told.contains("has just begun; make a new one in "),
        "{told}"
    );
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    server.clock.advance(Duration::from_secs(wait));
    // It was spent, and another made then would be good.
    let answer = present(&server, "/oauth/token", &early).await;
    assert_eq!(answer.error(), (401, "invalid_client"));
    let began = json!(server.clock.now().as_secs() - 9);
    let slow = made("slow", began).await;
    let answer = present(&server, "/oauth/token", &slow).await;
    assert_eq!(answer.error(), (401, "invalid_client"));
    let again = made("again", now()).await;
    let answer = present(&server, "/oauth/token", &again).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    // Whoever is not who it says learns nothing of that.
    let other = SigningKey::generate(Algorithm::EdDsa, &SystemRandom).unwrap();
    let other = SigningKey::from_pkcs8(Algorithm::EdDsa, &other).unwrap();
    let another = TestServer::start(stores).await;
    let mut theirs = claims(&another, &client, "theirs");
    theirs["iat"] = json!(another.clock.now().as_secs());
    let theirs = another.assertion(&other, &theirs).await;
    let answer = present(&another, "/oauth/token", &theirs).await;
    assert_eq!(answer.error(), (401, "invalid_client"));
}

async fn an_assertion_from_before_the_memory_of_used_ones_is_refused(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let (client, key): (_, SigningKey) = server.signing_client(Algorithm::EdDsa, "read").await;
    let mut old = claims(&server, &client, "old");
    old["iat"] = json!(server.clock.now().as_secs() - 50);
    // A memory that has just begun cannot know what was used before.
    let answer = present(&server, "/oauth/token", &server.assertion(&key, &old).await).await;
    assert_eq!(answer.error(), (401, "invalid_client"));
    let mut undated = claims(&server, &client, "undated");
    undated.as_object_mut().unwrap().remove("iat");
    let answer = present(
        &server,
        "/oauth/token",
        &server.assertion(&key, &undated).await,
    )
    .await;
    assert_eq!(
        answer.error(),
        (401, "invalid_client"),
        "without iat it may be as old as exp allows"
    );
    server.clock.advance(Duration::from_hours(2));
    let mut undated = claims(&server, &client, "undated later");
    undated.as_object_mut().unwrap().remove("iat");
    let answer = present(
        &server,
        "/oauth/token",
        &server.assertion(&key, &undated).await,
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
