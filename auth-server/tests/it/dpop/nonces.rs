//! Nonces of this server (RFC 9449 §8), and in what order a request is judged.

use std::sync::Arc;

use shared_protocol::dpop::{NoncePolicy, Nonces};
use shared_testing::clock::MovableClock;

use super::*;
use crate::jwks_uri;
use crate::registration::with;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_8_a_client_that_meets_a_challenge_succeeds_on_the_second_try,
    rfc9449_8_a_client_whose_clock_is_wrong_succeeds_on_the_second_try,
    rfc9449_11_1_right_after_the_memory_began_the_second_try_succeeds,
    rfc9449_8_a_challenge_spends_an_assertion_and_nothing_else,
    rfc9449_8_nonces_are_of_one_server_and_one_time,
    rfc9449_8_nonces_are_good_on_every_node_and_after_a_restart,
    rfc9449_8_2_who_is_told_a_nonce,
    what_is_judged_in_which_order,
);

fn demanding(stores: &Stores) -> Config {
    let mut config = config(stores);
    config.dpop.nonce = NoncePolicy::Required;
    config
}

const CHALLENGED: (u16, &str) = (400, "use_dpop_nonce");

/// What the answer to a proof without one tells.
async fn nonce(server: &TestServer, client: &TestClient, prover: &Prover) -> String {
    let answer = ask(server, client, &[], prover).await;
    answer.header("dpop-nonce").to_owned()
}

/// A scene, and another node of the same configuration where there may be one.
async fn two_nodes(stores: &Stores, config: Config) -> (Scene, Option<TestServer>) {
    let scene = Box::pin(scene_of(config.clone())).await;
    if !is_shared(stores) {
        return (scene, None);
    }
    let mut second = config;
    second.issuer = scene.server.issuer.parse().unwrap();
    let other = Box::pin(TestServer::start_with(second, scene.server.clock.clone()));
    let other = other.await;
    (scene, Some(other))
}

/// At its first redemption, from one node to the other and back, with a clock that is so many seconds late.
async fn second_try((scene, other): &(Scene, Option<TestServer>), late: i64) {
    let (one, prover) = (&scene.server, Prover::new());
    let other = other.as_ref().unwrap_or(one);
    let web = one.register(app(AuthMethod::ClientSecretBasic)).await;
    let proof = async |nonce: &str| {
        let nonce = (!nonce.is_empty()).then_some(nonce);
        let claims = json!({"iat": one.clock.now().as_secs() - late, "nonce": nonce});
        prover.proof(one, TOKEN, &claims).await
    };
    for (client, [first, second]) in [
        (&scene.app, [one, other]),
        (&scene.app, [other, one]),
        (&web, [one, other]),
    ] {
        let code = scene.code(client, "openid read").await;
        let form = code_form(&code);
        let ask = async |server: &TestServer, form: &[(&str, &str)], nonce: &str| {
            let proof = proof(nonce).await;
            send(server, client, (TOKEN, form), &[&proof]).await
        };
        let challenge = ask(first, &form, "").await;
        assert_eq!(challenge.error(), CHALLENGED, "its first redemption");
        let answer = ask(second, &form, challenge.header("dpop-nonce")).await;
        assert_bound(&answer, Some(&prover), "the code was not spent");
        // The nonce that came with the answer does for the next.
        let refresh = refresh_form(answer.text("refresh_token"));
        let answer = ask(first, &refresh, answer.header("dpop-nonce")).await;
        assert_bound(&answer, Some(&prover), "refreshed");
        let again = ask(second, &form, answer.header("dpop-nonce")).await;
        assert_eq!(again.error(), (400, "invalid_grant"), "once is once");
    }
}

async fn rfc9449_8_a_client_that_meets_a_challenge_succeeds_on_the_second_try(stores: &Stores) {
    let nodes = two_nodes(stores, demanding(stores)).await;
    second_try(&nodes, 0).await;
    // Whoever wants no binding needs no nonce.
    let scene = &nodes.0;
    let code = scene.code(&scene.app, "openid read").await;
    let answer = scene.redeem(&scene.app, &code).await;
    assert_bound(&answer, None, "without a proof");
}

/// Where nonces are offered alone, whoever has no other way to be believed is told one.
async fn rfc9449_8_a_client_whose_clock_is_wrong_succeeds_on_the_second_try(stores: &Stores) {
    let nodes = two_nodes(stores, config(stores)).await;
    for late in [3600, -40] {
        second_try(&nodes, late).await;
    }
}

/// Whatever was used before is forgotten then.
async fn rfc9449_11_1_right_after_the_memory_began_the_second_try_succeeds(stores: &Stores) {
    let server = TestServer::start(stores).await.with_resources(None).await;
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let prover = Prover::new();
    let first = ask(&server, &service, &CREDENTIALS, &prover).await;
    assert_eq!(first.error(), CHALLENGED);
    let nonce = json!({"nonce": first.header("dpop-nonce")});
    let proof = prover.proof(&server, TOKEN, &nonce).await;
    let answer = send(&server, &service, (TOKEN, &CREDENTIALS), &[&proof]).await;
    assert_bound(&answer, Some(&prover), "the second try");
}

async fn rfc9449_8_a_challenge_spends_an_assertion_and_nothing_else(stores: &Stores) {
    let scene = scene_of(demanding(stores)).await;
    let (server, prover) = (&scene.server, Prover::new());
    let (_, key) = server.signing_client(Algorithm::Es256, "read").await;
    let signing = server
        .register(ClientMetadata {
            jwks: TestServer::signing_metadata(&key, "read").jwks,
            ..app(AuthMethod::PrivateKeyJwt)
        })
        .await;
    let code = scene.code(&signing, "openid read").await;
    let redeem = async |assertion: &[(&str, String); 2], proof: &str| {
        let mut form = code_form(&code).to_vec();
        form.extend(
            assertion
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let request = server.form(TOKEN, &form).header("dpop", proof);
        server.send(request).await
    };
    let first = jwks_uri::proof(server, &signing, &key).await;
    let proof = prover.proof(server, TOKEN, &json!({})).await;
    let challenge = redeem(&first, &proof).await;
    assert_eq!(challenge.error(), CHALLENGED);
    let nonce = json!({"nonce": challenge.header("dpop-nonce")});
    let proof = prover.proof(server, TOKEN, &nonce).await;
    let again = redeem(&first, &proof).await;
    assert_eq!(
        again.error(),
        (401, "invalid_client"),
        "the assertion is spent"
    );
    let next = jwks_uri::proof(server, &signing, &key).await;
    // Nor was the proof, for nobody had shown who sent it.
    let answer = redeem(&next, &proof).await;
    assert_bound(&answer, Some(&prover), "the code is not");
}

async fn rfc9449_8_nonces_are_of_one_server_and_one_time(stores: &Stores) {
    let mut config = demanding(stores);
    config.dpop.nonce_lifetime = "1m".parse().unwrap();
    let scene = scene_of(config).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let foreign = Nonces::new(&[7; 32], Duration::from_mins(1)).at(server.clock.now());
    let ours = nonce(server, &service, &prover).await;
    let mut flipped = ours.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for (what, nonce) in [
        ("of another server", foreign.as_str()),
        ("made up", "AAAA"),
        ("empty", ""),
        ("cut", &ours[1..]),
        ("longer", &format!("{ours}A")),
        ("changed", &flipped),
        ("not base64url", "\u{e4}\u{f6}\u{fc} \""),
    ] {
        let proof = prover.proof(server, TOKEN, &json!({"nonce": nonce})).await;
        let answer = send(server, &service, (TOKEN, &CREDENTIALS), &[&proof]).await;
        assert_eq!(answer.error(), CHALLENGED, "{what}");
    }
    let with_ours = json!({"nonce": ours});
    for (after, expected) in [(0, 200), (50, 200), (20, 400)] {
        server.clock.advance(Duration::from_secs(after));
        let proof = prover.proof(server, TOKEN, &with_ours).await;
        let answer = send(server, &service, (TOKEN, &CREDENTIALS), &[&proof]).await;
        assert_eq!(answer.status, expected, "{after}: {}", answer.body);
    }
}

async fn rfc9449_8_nonces_are_good_on_every_node_and_after_a_restart(stores: &Stores) {
    let scene = scene_of(demanding(stores)).await;
    let prover = Prover::new();
    let service = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let nonce = nonce(&scene.server, &service, &prover).await;
    let node = async |clock: &Arc<MovableClock>| {
        let mut config = demanding(stores);
        config.issuer = scene.server.issuer.parse().unwrap();
        TestServer::start_with(config, clock.clone()).await
    };
    let other = node(&scene.server.clock).await;
    let ask = async |server: &TestServer, nonce: &str| {
        let claims = with(&good(&scene.server, TOKEN), &json!({"nonce": nonce}));
        let proof = prover.sign(&prover.header(), &claims).await;
        send(server, &service, (TOKEN, &CREDENTIALS), &[&proof]).await
    };
    // One whose memory began since cannot know what became of the nonce: its own will do.
    let answer = ask(&other, &nonce).await;
    if is_shared(stores) {
        assert_bound(&answer, Some(&prover), "on another node");
    } else {
        assert_eq!(answer.error(), CHALLENGED, "its memory is younger");
    }
    let told = answer.header("dpop-nonce").to_owned();
    assert_bound(&ask(&other, &told).await, Some(&prover), "its own");
    assert_bound(
        &ask(&scene.server, &told).await,
        Some(&prover),
        "everywhere",
    );
}

async fn rfc9449_8_2_who_is_told_a_nonce(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let nobody = TestClient {
        id: "nobody".into(),
        secret: "wrong".into(),
    };
    for path in [TOKEN, PAR] {
        for (what, client) in [("a client", &service), ("nobody", &nobody)] {
            for form in [&CREDENTIALS[..], &[("grant_type", "nonsense")], &[]] {
                let proof = prover.proof(server, path, &json!({})).await;
                let answer = send(server, client, (path, form), &[&proof]).await;
                assert!(
                    !answer.header("dpop-nonce").is_empty(),
                    "{what} {path} {form:?}"
                );
                assert_eq!(answer.header("cache-control"), "no-store", "{what} {path}");
                let answer = send(server, client, (path, form), &[]).await;
                assert_eq!(answer.header("dpop-nonce"), "", "{what} {path} {form:?}");
            }
        }
        // Of another method, or no form, nothing comes that a cache could keep.
        let url = format!("{}{path}", server.issuer);
        for request in [server.http.get(&url), server.http.put(&url)] {
            let answer = server.send(request.header("dpop", "x")).await;
            assert_eq!(answer.header("dpop-nonce"), "", "{path}");
        }
    }
    for path in ["/.well-known/openid-configuration", "/oauth/jwks"] {
        let request = server.http.get(format!("{}{path}", server.issuer));
        let answer = server.send(request.header("dpop", "x")).await;
        assert_eq!(answer.header("dpop-nonce"), "", "{path}");
    }
}

/// Client, proof, parameters, and only then what is spent.
async fn what_is_judged_in_which_order(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
    let impostor = TestClient {
        secret: "wrong".into(),
        ..service.clone()
    };
    let proof = prover.proof(server, TOKEN, &json!({})).await;
    let late = json!({"iat": server.clock.now().as_secs() - 1000});
    let late = prover.proof(server, TOKEN, &late).await;
    let nonsense = [("grant_type", "nonsense")];
    for (what, client, form, proof, expected) in [
        (
            "no client",
            &impostor,
            &nonsense[..],
            "x",
            (401, "invalid_client"),
        ),
        (
            "no client, a good proof",
            &impostor,
            &CREDENTIALS,
            &proof,
            (401, "invalid_client"),
        ),
        (
            "no proof",
            &service,
            &nonsense,
            "x",
            (400, "invalid_dpop_proof"),
        ),
        ("no proof of now", &service, &nonsense, &late, CHALLENGED),
        // The proof is spent from here on.
        (
            "no parameters",
            &service,
            &nonsense,
            &proof,
            (400, "unsupported_grant_type"),
        ),
        (
            "again",
            &service,
            &CREDENTIALS,
            &proof,
            (400, "invalid_dpop_proof"),
        ),
    ] {
        let answer = send(server, client, (TOKEN, form), &[proof]).await;
        assert_eq!(answer.error(), expected, "{what}");
    }
    // Whatever is wrong with a proof, the code is not spent; what is wrong with the rest spends it.
    let code = scene.code(&scene.app, "openid read").await;
    let form = code_form(&code);
    for proofs in [&["x"][..], &[&late], &[&proof], &["x", "y"]] {
        let answer = send(server, &scene.app, (TOKEN, &form), proofs).await;
        assert_eq!(answer.status, 400, "{proofs:?}");
    }
    let answer = ask(server, &scene.app, &form, &prover).await;
    assert_bound(&answer, Some(&prover), "the code is there");
    let again = ask(server, &scene.app, &form, &prover).await;
    assert_eq!(again.error(), (400, "invalid_grant"));
    let token = answer.text("access_token");
    assert!(
        !scene.is_active(token).await,
        "a second use ended the grant"
    );
}
