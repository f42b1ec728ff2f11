//! Tokens of the one server at the other: those that are bound to a key (RFC 9449), and those of which it has to ask.

use std::time::{Duration, Instant};

use rcgen::KeyPair;
use reqwest::Response;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use serde_json::{Value, json};
use shared_protocol::jose::{JwkSet, Signer as _, SigningKey};

use crate::kit::challenge;
use crate::operator::Operator;
use crate::process::{Credentials, Place, http, send};
use crate::prover::{Prover, nonce};

/// No server made it: whoever sends it is told a good one.
const NO_NONCE: &str = "of somebody else";

/// A token for `resource` that is bound to this key.
pub(crate) async fn bound_token(
    place: &Place,
    (client, resource): (&Credentials, &str),
    prover: &Prover,
) -> String {
    let url = place.auth("/oauth/token");
    let form = [("grant_type", "client_credentials"), ("resource", resource)];
    let ask = async |nonce: &str| {
        let proof = prover.proof(("POST", &url), None, nonce).await;
        let request = client.on(http().post(&url)).form(&form);
        send(request.header("DPoP", proof)).await
    };
    let first = ask(NO_NONCE).await;
    assert_eq!(first.status(), 400);
    let second = ask(&nonce(&first)).await;
    assert_eq!(second.status(), 200);
    let body: Value = second.json().await.unwrap();
    assert_eq!(body["token_type"], "DPoP");
    body["access_token"].as_str().unwrap().to_owned()
}

/// The API takes the token with a proof, each proof once, and never without one.
async fn is_of_use_to(place: &Place, prover: &Prover, token: &str) {
    let url = place.api("/api/v1/users/me");
    let show = async |scheme: &str, proof: &str| {
        let request = http().get(&url).header("DPoP", proof);
        send(request.header(AUTHORIZATION, format!("{scheme} {token}"))).await
    };
    let proof = async |nonce: &str| prover.proof(("GET", &url), Some(token), nonce).await;
    let refused = |response: &Response, error: &str, what: &str| {
        assert_eq!(response.status(), 401, "{what}");
        let told = challenge(response);
        let error = format!("error=\"{error}\"");
        assert!(told.contains(&error), "{what}: {told}");
    };
    let unknown = show("DPoP", &proof(NO_NONCE).await).await;
    refused(&unknown, "use_dpop_nonce", "a nonce of nobody");
    let good = proof(&nonce(&unknown)).await;
    let response = show("DPoP", &good).await;
    assert_eq!(response.status(), 200);
    let next = nonce(&response);
    refused(&show("DPoP", &good).await, "invalid_dpop_proof", "again");
    let fresh = proof(&next).await;
    refused(&show("Bearer", &fresh).await, "invalid_token", "as Bearer");
    refused(&place.me(Some(token)).await, "invalid_token", "bare");
    let stranger = Prover::new();
    let of_stranger = stranger.proof(("GET", &url), Some(token), &next).await;
    let response = show("DPoP", &of_stranger).await;
    assert_eq!(response.status(), 401, "another key");
    // What was refused with it spent nothing.
    assert_eq!(show("DPoP", &fresh).await.status(), 200);
}

#[tokio::test]
async fn rfc9449_7_a_bound_token_is_read_at_the_api_with_a_proof_alone() {
    let place = Place::new();
    let _running = place.start(&[]);
    let prover = Prover::new();
    let token = bound_token(&place, (&place.service(), &place.api("")), &prover).await;
    assert_eq!(token.split('.').count(), 3);
    is_of_use_to(&place, &prover, &token).await;
}

#[tokio::test]
async fn rfc9449_6_2_so_is_an_opaque_one_of_which_the_api_is_told_by_the_issuer() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let service = place.service();
    let operator = Operator::at(&place).await;
    operator.make_opaque(&place.api(""), None).await;
    let config = place.file("api.toml");
    let introspecting = format!(
        "[[issuers]]\nissuer = '{}'\npolicy = 'introspect'\n[issuers.introspection]\nclient_id = '{}'\nclient_secret = '{}'\n",
        place.auth(""),
        service.id,
        service.secret,
    );
    std::fs::write(&config, introspecting).unwrap();
    let _running = place.start(&["--api-config", config.to_str().unwrap()]);
    let prover = Prover::new();
    let token = bound_token(&place, (&service, &place.api("")), &prover).await;
    assert!(token.starts_with("oat_"));
    is_of_use_to(&place, &prover, &token).await;
}

/// Longer than the issuer takes to believe assertions, and than the servers take to hear of a change.
const LONGEST: Duration = Duration::from_secs(40);

/// It starts with the issuer, whose memory of used assertions is empty then: it says so, and comes again with another.
#[tokio::test]
async fn rfc7523_2_2_the_api_asks_with_a_key_of_its_own() {
    let place = Place::new();
    place.start(&[]).stop("-TERM");
    let operator = Operator::at(&place).await;
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let key = SigningKey::from_pem(pem.as_bytes()).unwrap();
    let asks = operator
        .register(json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "jwks": JwkSet::new(vec![key.public().clone()]).to_value(),
            "scope": "profile:read",
        }))
        .await;
    let (key_file, config) = (place.file("api.pem"), place.file("api.toml"));
    std::fs::write(&key_file, pem).unwrap();
    let introspecting = format!(
        "[[issuers]]\nissuer = '{}'\npolicy = 'introspect'\n[issuers.introspection]\nclient_id = '{}'\nclient_key_file = {key_file:?}\n",
        place.auth(""),
        asks.id,
    );
    std::fs::write(&config, introspecting).unwrap();
    let _running = place.start(&["--api-config", config.to_str().unwrap()]);
    // Each start of the quickstart has the demo service ask.
    operator.make_opaque(&place.api(""), Some(&asks)).await;
    let service = place.service();
    let since = Instant::now();
    let token = loop {
        let token = place.token(&service, &place.api("")).await;
        if token.starts_with("oat_") {
            break token;
        }
        assert!(since.elapsed() < LONGEST, "{token}");
    };
    let mut refusals = 0;
    loop {
        let response = place.me(Some(&token)).await;
        if response.status() == 200 {
            break;
        }
        assert_eq!(response.status(), 503);
        let wait = response.headers()[RETRY_AFTER].to_str().unwrap();
        let wait = Duration::from_secs(wait.parse().unwrap());
        assert!(since.elapsed() < LONGEST, "{refusals}");
        refusals += 1;
        tokio::time::sleep(wait).await;
    }
    assert!(refusals > 0, "nobody can know what was used before");

    let revoke = http().post(place.auth("/oauth/revoke"));
    let revoke = service.on(revoke).form(&[("token", &token)]);
    assert_eq!(send(revoke).await.status(), 200);
    // What was said of it is believed for two seconds.
    while place.me(Some(&token)).await.status() == 200 {
        assert!(since.elapsed() < LONGEST);
    }
    let response = place.me(Some(&token)).await;
    assert_eq!(response.status(), 401);
    assert!(challenge(&response).contains("error=\"invalid_token\""));
}
