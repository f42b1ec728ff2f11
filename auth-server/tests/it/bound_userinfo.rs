//! Userinfo for those alone to whom a token is bound: by a proof (RFC 9449 §7), or a certificate (RFC 8705 §3).

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use shared_protocol::dpop::NoncePolicy;
use shared_testing::on_each_store;
use shared_testing::prover::ath;
use shared_testing::stores::Stores;

use crate::certificates::{Pair, Pki, params};
use crate::dpop::{Prover, ask, scene, scene_of};
use crate::person::{Scene, app, code_form};
use crate::server::{Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_7_1_a_bound_token_comes_with_one_proof_of_its_key,
    rfc9449_7_2_a_bound_token_is_no_bearer_token_and_no_other_is_bound,
    rfc9449_9_nonces_of_this_server_are_told_and_may_be_wanted,
    rfc8705_3_a_token_that_is_bound_to_a_certificate_comes_with_it,
    rfc9440_a_trusted_proxy_tells_of_the_certificate_and_nobody_else,
    threat_32_pages_may_read_what_a_proof_needs,
);

pub(crate) const USERINFO: &str = "/oauth/userinfo";

/// The claims of a good proof for a token.
fn good(server: &TestServer, token: &str) -> Value {
    let changes = json!({"htm": "GET", "ath": ath(token)});
    crate::registration::with(&crate::dpop::good(server, USERINFO), &changes)
}

/// A good proof, but for these claims.
pub(crate) async fn proof(
    server: &TestServer,
    prover: &Prover,
    token: &str,
    changes: &Value,
) -> String {
    let claims = crate::registration::with(&good(server, token), changes);
    prover.sign(&prover.header(), &claims).await
}

pub(crate) fn get(server: &TestServer, authorization: &str, proofs: &[&str]) -> RequestBuilder {
    let request = server.http.get(format!("{}{USERINFO}", server.issuer));
    let request = request.header("authorization", authorization);
    let add = |request: RequestBuilder, proof: &&str| request.header("dpop", *proof);
    proofs.iter().fold(request, add)
}

/// An access token of somebody, bound to this key.
async fn bound(scene: &Scene, prover: &Prover) -> String {
    let code = scene.code(&scene.app, "openid email read").await;
    let answer = ask(&scene.server, &scene.app, &code_form(&code), prover).await;
    assert_eq!(answer.text("token_type"), "DPoP");
    answer.text("access_token").to_owned()
}

pub(crate) fn challenges(answer: &Answer) -> Vec<&str> {
    let lines = answer.headers.get_all("www-authenticate").iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

/// Status, and the scheme and code of the one challenge.
#[track_caller]
pub(crate) fn assert_refused(answer: &Answer, scheme: &str, code: &str, what: &str) {
    let expected = if code == "invalid_request" { 400 } else { 401 };
    assert_eq!(answer.status, expected, "{what}");
    let challenges = challenges(answer);
    let start = format!("{scheme} error=\"{code}\", error_description=\"");
    assert!(challenges[0].starts_with(&start), "{what}: {challenges:?}");
    let names_algorithms = challenges[0].contains("algs=\"ES256 ");
    assert_eq!(names_algorithms, scheme == "DPoP", "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    let has_nonce = !answer.header("dpop-nonce").is_empty();
    assert_eq!(has_nonce, scheme == "DPoP", "{what}");
}

async fn rfc9449_7_1_a_bound_token_comes_with_one_proof_of_its_key(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover, other) = (&scene.server, Prover::new(), Prover::new());
    let token = bound(&scene, &prover).await;
    let dpop = format!("DPoP {token}");
    for scheme in ["DPoP", "dpop", "DPOP", "dPoP   "] {
        let proof = proof(server, &prover, &token, &json!({})).await;
        let answer = server
            .send(get(server, &format!("{scheme} {token}"), &[&proof]))
            .await;
        assert_eq!(answer.status, 200, "{scheme}");
        assert_eq!(answer.body["email"], "alice@example.com");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(!answer.header("dpop-nonce").is_empty());
    }
    // By POST, with a form that has no token in it too.
    for form in [None, Some([("x", "y")])] {
        let proof = proof(server, &prover, &token, &json!({"htm": "POST"})).await;
        let post = server.http.post(format!("{}{USERINFO}", server.issuer));
        let post = post.header("authorization", &dpop).header("dpop", proof);
        let post = match &form {
            Some(form) => post.form(form),
            None => post,
        };
        assert_eq!(server.send(post).await.status, 200, "{form:?}");
    }
    let good = proof(server, &prover, &token, &json!({})).await;
    let others = proof(server, &other, &token, &json!({})).await;
    for (what, proofs, code) in [
        ("none", &[][..], "invalid_dpop_proof"),
        ("another key's", &[&*others], "invalid_token"),
    ] {
        let answer = server.send(get(server, &dpop, proofs)).await;
        assert_refused(&answer, "DPoP", code, what);
    }
    // None of that spent the good one.
    assert_eq!(server.send(get(server, &dpop, &[&good])).await.status, 200);
}

async fn rfc9449_7_2_a_bound_token_is_no_bearer_token_and_no_other_is_bound(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    let token = bound(&scene, &prover).await;
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let unbound = tokens["access_token"].as_str().unwrap();
    let url = format!("{}{USERINFO}", server.issuer);
    let proof_of = async |token: &str| proof(server, &prover, token, &json!({})).await;
    let by_form = |token: &str| server.http.post(&url).form(&[("access_token", token)]);
    for (what, request, scheme, code) in [
        (
            "a downgrade",
            get(server, &format!("Bearer {token}"), &[]),
            "Bearer",
            "invalid_token",
        ),
        (
            "a downgrade, proven",
            get(
                server,
                &format!("Bearer {token}"),
                &[&proof_of(&token).await],
            ),
            "Bearer",
            "invalid_token",
        ),
        (
            "in a form",
            by_form(&token).header("dpop", proof_of(&token).await),
            "Bearer",
            "invalid_token",
        ),
        (
            "in a form too",
            by_form(&token)
                .header("authorization", format!("DPoP {token}"))
                .header("dpop", proof_of(&token).await),
            "Bearer",
            "invalid_request",
        ),
        (
            "an unbound one",
            get(
                server,
                &format!("DPoP {unbound}"),
                &[&proof_of(unbound).await],
            ),
            "DPoP",
            "invalid_token",
        ),
        (
            "a tab",
            get(server, &format!("DPoP\t{token}"), &[]),
            "DPoP",
            "invalid_request",
        ),
        (
            "a tab behind a space",
            get(server, &format!("dpop \t{token}"), &[]),
            "DPoP",
            "invalid_request",
        ),
        (
            "two tokens",
            get(server, &format!("DPoP {token} {token}"), &[]),
            "DPoP",
            "invalid_request",
        ),
        (
            "two headers",
            get(server, &format!("Bearer {token}"), &[])
                .header("authorization", format!("DPoP {token}")),
            "Bearer",
            "invalid_request",
        ),
    ] {
        let answer = server.send(request).await;
        if scheme == "DPoP" || what != "in a form too" {
            assert_refused(&answer, scheme, code, what);
        }
        // RFC 9449 §7.2: where it is not clear what was tried, both are told of it; who tried the wrong one, of the other.
        let ambiguous = matches!(what, "in a form too" | "two headers");
        let lines = challenges(&answer);
        let both = ambiguous || (scheme == "Bearer" && code == "invalid_token");
        assert_eq!(lines.len(), if both { 2 } else { 1 }, "{what}: {lines:?}");
        if both {
            let tells = lines[1].starts_with(&format!("DPoP error=\"{code}\""));
            assert_eq!(tells, ambiguous, "{what}: {lines:?}");
        }
    }
    // A client that always sends proofs may go on with a token that needs none.
    let request = get(server, &format!("Bearer {unbound}"), &["anything"]);
    assert_eq!(server.send(request).await.status, 200);
    let none = server.send(server.http.get(&url)).await;
    let lines = challenges(&none);
    assert_eq!((none.status.as_u16(), lines[0]), (401, "Bearer"));
    assert!(lines[1].starts_with("DPoP algs="), "{lines:?}");
}

async fn rfc9449_9_nonces_of_this_server_are_told_and_may_be_wanted(stores: &Stores) {
    let mut demanding = config(stores);
    demanding.dpop.nonce = NoncePolicy::Required;
    let scene = scene_of(demanding).await;
    let (server, prover) = (&scene.server, Prover::new());
    let code = scene.code(&scene.app, "openid read").await;
    let challenged = ask(server, &scene.app, &code_form(&code), &prover).await;
    let nonce = challenged.header("dpop-nonce");
    let with_nonce = prover
        .proof(server, crate::dpop::TOKEN, &json!({"nonce": nonce}))
        .await;
    let at_token = (crate::dpop::TOKEN, &code_form(&code)[..]);
    let answer = crate::dpop::send(server, &scene.app, at_token, &[&with_nonce]).await;
    let token = answer.text("access_token");
    let dpop = format!("DPoP {token}");
    let without = proof(server, &prover, token, &json!({})).await;
    let answer = server.send(get(server, &dpop, &[&without])).await;
    assert_refused(&answer, "DPoP", "use_dpop_nonce", "without a nonce");
    // Of this server, whichever endpoint told it.
    for nonce in [nonce, answer.header("dpop-nonce")] {
        let with = proof(server, &prover, token, &json!({"nonce": nonce})).await;
        let answer = server.send(get(server, &dpop, &[&with])).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers.get_all("dpop-nonce").iter().count(), 1);
    }
    let made_up = proof(server, &prover, token, &json!({"nonce": "x"})).await;
    let answer = server.send(get(server, &dpop, &[&made_up])).await;
    assert_refused(&answer, "DPoP", "use_dpop_nonce", "made up");
    server.clock.advance(Duration::from_secs(299));
    let nonce = answer.header("dpop-nonce");
    server.clock.advance(Duration::from_secs(1));
    let late = proof(server, &prover, token, &json!({"nonce": nonce})).await;
    let answer = server.send(get(server, &dpop, &[&late])).await;
    assert_eq!(answer.status, 401, "the token and the nonce are over");
}

/// A public client whose tokens are bound to its certificate.
async fn certified(scene: &Scene) -> TestClient {
    let metadata = ClientMetadata {
        tls_client_certificate_bound_access_tokens: true,
        ..app(AuthMethod::None)
    };
    scene.server.register(metadata).await
}

/// A token of somebody that is bound to this certificate.
async fn by_certificate(scene: &Scene, pki: &Pki, pair: &Pair) -> String {
    let client = certified(scene).await;
    let code = scene.code(&client, "openid email read").await;
    let url = format!("{}/oauth/token", scene.server.mtls.as_deref().unwrap());
    let mut form = code_form(&code).to_vec();
    form.push(("client_id", &client.id));
    let request = pair.http(pki).post(url).form(&form);
    let answer = scene.server.send(request).await;
    answer.text("access_token").to_owned()
}

async fn on_mtls(stores: &Stores, pki: &Pki) -> Scene {
    scene_of(pki.config(stores)).await
}

async fn rfc8705_3_a_token_that_is_bound_to_a_certificate_comes_with_it(stores: &Stores) {
    let pki = Pki::new();
    let scene = on_mtls(stores, &pki).await;
    let server = &scene.server;
    let (own, other) = (
        Pair::self_signed(&params("own")),
        Pair::self_signed(&params("own")),
    );
    let token = by_certificate(&scene, &pki, &own).await;
    let alias = format!("{}{USERINFO}", server.mtls.as_deref().unwrap());
    let nobody = pki.http().build().unwrap();
    for (what, http, status) in [
        ("its own", &own.http(&pki), 200),
        ("another", &other.http(&pki), 401),
        (
            "another of its key",
            &own.again(&params("renewed")).http(&pki),
            401,
        ),
        ("none", &nobody, 401),
    ] {
        for request in [
            http.get(&alias).bearer_auth(&token),
            http.post(&alias).form(&[("access_token", &token)]),
        ] {
            let answer = server.send(request).await;
            assert_eq!(answer.status, status, "{what}");
            let told = status == 200 || answer.header("www-authenticate").contains("invalid_token");
            assert!(told, "{what}");
        }
    }
    // Where nobody is asked for one, nobody has one.
    let plain = server
        .send(get(server, &format!("Bearer {token}"), &[]))
        .await;
    assert_refused(&plain, "Bearer", "invalid_token", "on the plain listener");
    let proof = proof(server, &Prover::new(), &token, &json!({})).await;
    let dpop = server
        .send(get(server, &format!("DPoP {token}"), &[&proof]))
        .await;
    assert_refused(&dpop, "DPoP", "invalid_token", "as DPoP");
    // A token that is bound to nothing is taken there too, whoever shows what.
    let tokens = scene.tokens(&scene.app, "openid read").await;
    let unbound = tokens["access_token"].as_str().unwrap();
    let request = other.http(&pki).get(&alias).bearer_auth(unbound);
    assert_eq!(server.send(request).await.status, 200);
}

async fn rfc9440_a_trusted_proxy_tells_of_the_certificate_and_nobody_else(stores: &Stores) {
    let pki = Pki::new();
    let scene = scene_of(pki.behind_proxy(stores, "127.0.0.1")).await;
    let server = &scene.server;
    let mut strict = pki.behind_proxy(stores, "192.0.2.0/24");
    strict.issuer = server.issuer.parse().unwrap();
    let strict = TestServer::start_with(strict, Arc::clone(&server.clock)).await;
    let (own, other) = (pki.authority.client("own"), pki.authority.client("other"));
    let client = certified(&scene).await;
    let code = scene.code(&client, "openid read").await;
    let with = |request: RequestBuilder, pair: &Pair| {
        let headers = pair.headers().into_iter();
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    };
    let mut form = code_form(&code).to_vec();
    form.push(("client_id", &client.id));
    let answer = server
        .send(with(server.form("/oauth/token", &form), &own))
        .await;
    let token = answer.text("access_token");
    let bearer = format!("Bearer {token}");
    for (what, request, status) in [
        ("its own", with(get(server, &bearer, &[]), &own), 200),
        ("another", with(get(server, &bearer, &[]), &other), 401),
        ("none", get(server, &bearer, &[]), 401),
        (
            "its own, as a stranger says",
            with(get(&strict, &bearer, &[]), &own),
            400,
        ),
        ("none of a stranger", get(&strict, &bearer, &[]), 401),
    ] {
        assert_eq!(server.send(request).await.status, status, "{what}");
    }
}

async fn threat_32_pages_may_read_what_a_proof_needs(stores: &Stores) {
    let pki = Pki::new();
    let scene = on_mtls(stores, &pki).await;
    let server = &scene.server;
    let http = pki.http().build().unwrap();
    let alias = format!("{}{USERINFO}", server.mtls.as_deref().unwrap());
    for url in [format!("{}{USERINFO}", server.issuer), alias] {
        for (origin, allowed) in [
            ("https://app.example", true),
            ("https://evil.example", false),
        ] {
            let request = http.get(&url).header("origin", origin);
            let answer = server.send(request.header("authorization", "DPoP x")).await;
            assert_eq!(answer.status, 401);
            let told = answer.header("access-control-allow-origin") == origin;
            assert_eq!(told, allowed, "{url} {origin}");
            let exposed = answer.header("access-control-expose-headers");
            let names = ["DPoP-Nonce", "WWW-Authenticate"];
            let has_all = names.iter().all(|name| exposed.contains(name));
            assert_eq!(has_all, allowed, "{url} {origin}");
        }
    }
}
