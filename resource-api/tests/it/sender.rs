//! Tokens of use to those alone to whom they are bound: by a key (RFC 9449 §7), or by a certificate (RFC 8705 §3).

mod proofs;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{Certificate, CertificateParams, KeyPair};
use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, RequestBuilder, Response};
use resource_api::Config;
use resource_api::config::{Introspection, Policy};
use serde_json::{Value, json};
use shared_protocol::confirmation::CertificateThumbprint;
use shared_protocol::dpop::NoncePolicy;
use shared_protocol::jose::{JwtKind, sign_jwt};
use shared_protocol::time::{Clock as _, Instant};
use shared_server::config::Secret;
use shared_server::web::ForwardedBy;
use shared_testing::prover::{Destination, Prover, ath, with};
use shared_testing::redis::RedisServer;
use wiremock::matchers::{body_string_contains, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::harness::{Api, FakeIssuer, RESOURCE, Storage, on_both_stores, problem};

pub(crate) const ME: &str = "/api/v1/users/me";
const MTLS: &str = "https://mtls.api.example";

/// An API that remembers proofs since long ago.
pub(crate) async fn api(storage: Storage, edit: impl FnOnce(&mut Config)) -> Api {
    let api = Api::start_with(storage, FakeIssuer::start().await, edit).await;
    api.clock.advance(Duration::from_mins(2));
    api
}

impl Destination for Api {
    fn url(&self, path: &str) -> String {
        format!("{RESOURCE}{path}")
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// A proof of this token for a look at the profile, with these claims in the place of good ones. What is null is left out.
pub(crate) async fn prove(api: &Api, prover: &Prover, token: &str, changes: &Value) -> String {
    let of_token = json!({"htm": "GET", "ath": ath(token)});
    prover.proof(api, ME, &with(&of_token, changes)).await
}

impl Api {
    /// A token of a service, bound so.
    pub(crate) async fn bound(&self, cnf: &Value) -> String {
        let mut claims = self.service_claims();
        claims["cnf"] = cnf.clone();
        self.sign(&claims).await
    }

    fn proven(&self, base: &str, authorization: &str, proofs: &[&str]) -> RequestBuilder {
        let request = self.client.get(format!("{base}{ME}"));
        let request = request.header(AUTHORIZATION, authorization);
        let add = |request: RequestBuilder, proof: &&str| request.header("dpop", *proof);
        proofs.iter().fold(request, add)
    }

    pub(crate) async fn show(&self, authorization: &str, proofs: &[&str]) -> Response {
        let request = self.proven(&self.base, authorization, proofs);
        request.send().await.unwrap()
    }
}

fn lines(response: &Response, name: &str) -> Vec<String> {
    let values = response.headers().get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

/// A refusal of this scheme and code, with a problem of this kind.
async fn refused(response: Response, (scheme, code): (&str, &str), slug: &str, what: &str) {
    let challenges = lines(&response, "www-authenticate");
    let start = format!("{scheme} error=\"{code}\", error_description=\"");
    assert!(challenges[0].starts_with(&start), "{what}: {challenges:?}");
    let metadata = "resource_metadata=\"https://api.example/.well-known/oauth-protected-resource\"";
    for challenge in &challenges {
        assert!(challenge.ends_with(metadata), "{what}: {challenge}");
        let names_algorithms = challenge.contains("algs=\"ES256 ");
        assert_eq!(names_algorithms, challenge.starts_with("DPoP "), "{what}");
    }
    let nonces = lines(&response, "dpop-nonce");
    assert_eq!(nonces.len(), usize::from(scheme == "DPoP"), "{what}");
    assert_eq!(lines(&response, "cache-control"), ["no-store"], "{what}");
    let (status, body) = problem(response).await;
    let expected = if code == "invalid_request" { 400 } else { 401 };
    assert_eq!(status, expected, "{what}");
    assert_eq!(body["type"], format!("urn:problem-type:{slug}"), "{what}");
}

const INVALID_PROOF: (&str, &str) = ("invalid_dpop_proof", "invalid-dpop-proof");
const INVALID_TOKEN: (&str, &str) = ("invalid_token", "invalid-token");
const MALFORMED: (&str, &str) = ("invalid_request", "invalid-authorization");
const USE_NONCE: (&str, &str) = ("use_dpop_nonce", "use-dpop-nonce");

on_both_stores! {
    async fn rfc9449_7_1_a_bound_token_comes_with_one_proof_of_its_key(storage: Storage) {
        let api = api(storage, |_| {}).await;
        let (prover, other) = (Prover::new(), Prover::new());
        let token = api.bound(&prover.cnf()).await;
        for scheme in ["DPoP", "dpop", "DPOP", "dPoP  "] {
            let proof = prove(&api, &prover, &token, &json!({})).await;
            let response = api.show(&format!("{scheme} {token}"), &[&proof]).await;
            assert_eq!(response.status(), 200, "{scheme}");
            assert_eq!(lines(&response, "dpop-nonce").len(), 1);
            assert_eq!(lines(&response, "cache-control"), ["no-store"]);
            // Whose token it is counts, as of any other.
            assert!(response.headers().contains_key("ratelimit"));
        }
        let dpop = format!("DPoP {token}");
        let of = async |changes: Value| prove(&api, &prover, &token, &changes).await;
        let good = of(json!({})).await;
        let others = prove(&api, &other, &token, &json!({})).await;
        for (what, proofs, (code, slug)) in [
            ("none", vec![], INVALID_PROOF),
            ("another key's", vec![others], INVALID_TOKEN),
            (
                "where it listens, not where it is known",
                vec![of(json!({"htu": format!("{}{ME}", api.base)})).await],
                INVALID_PROOF,
            ),
        ] {
            let proofs: Vec<&str> = proofs.iter().map(String::as_str).collect();
            refused(api.show(&dpop, &proofs).await, ("DPoP", code), slug, what).await;
        }
        // None of that spent it.
        assert_eq!(api.show(&dpop, &[&good]).await.status(), 200);
        refused(api.show(&dpop, &[&good]).await, ("DPoP", INVALID_PROOF.0), INVALID_PROOF.1, "again").await;
    }

    async fn rfc9449_7_2_a_bound_token_is_no_bearer_token_and_no_other_is_bound(storage: Storage) {
        let api = api(storage, |_| {}).await;
        let prover = Prover::new();
        let token = api.bound(&prover.cnf()).await;
        let unbound = api.sign(&api.service_claims()).await;
        let proof = prove(&api, &prover, &token, &json!({})).await;
        let of_unbound = prove(&api, &prover, &unbound, &json!({})).await;
        for (what, authorization, proofs, scheme, (code, slug)) in [
            ("a downgrade", format!("Bearer {token}"), vec![], "Bearer", INVALID_TOKEN),
            ("a downgrade, proven", format!("Bearer {token}"), vec![&*proof], "Bearer", INVALID_TOKEN),
            ("an unbound one", format!("DPoP {unbound}"), vec![&of_unbound], "DPoP", INVALID_TOKEN),
            ("a tab", format!("DPoP\t{token}"), vec![&proof], "DPoP", MALFORMED),
            ("a tab behind a space", format!("DPoP \t{token}"), vec![&proof], "DPoP", MALFORMED),
            ("a comma", format!("DPoP, {token}"), vec![&proof], "DPoP", MALFORMED),
            ("two tokens", format!("DPoP {token} {token}"), vec![&proof], "DPoP", MALFORMED),
        ] {
            let response = api.show(&authorization, &proofs).await;
            let both = lines(&response, "www-authenticate").len();
            assert_eq!(both, if what.starts_with("a downgrade") { 2 } else { 1 }, "{what}");
            refused(response, (scheme, code), slug, what).await;
        }
        let two = api.proven(&api.base, &format!("Bearer {token}"), &[&proof]);
        let two = two.header(AUTHORIZATION, format!("DPoP {token}")).send().await.unwrap();
        let challenges = lines(&two, "www-authenticate");
        assert_eq!(challenges.len(), 2, "RFC 9449 §7.2, figure 19");
        assert!(challenges[1].starts_with("DPoP error=\"invalid_request\""), "{challenges:?}");
        refused(two, ("Bearer", MALFORMED.0), MALFORMED.1, "two headers").await;
        let nothing = api.get(ME).await;
        let challenges = lines(&nothing, "www-authenticate");
        assert!(challenges[0].starts_with("Bearer "), "{challenges:?}");
        let algorithms = challenges[1].contains("algs=\"ES256 ");
        assert!(challenges[1].starts_with("DPoP ") && algorithms, "{challenges:?}");
        assert!(challenges.iter().all(|challenge| !challenge.contains("error")), "{challenges:?}");
        // What was not needed is not looked at.
        let response = api.show(&format!("Bearer {unbound}"), &["x"]).await;
        assert_eq!((response.status(), lines(&response, "dpop-nonce").len()), (reqwest::StatusCode::OK, 0));
    }

    async fn rfc9449_9_nonces_are_wanted_where_configured_and_good_on_each_node(storage: Storage) {
        let api = api(storage, |config| config.dpop.nonce = NoncePolicy::Required).await;
        let other = api.another_node(|_| {}).await;
        let foreign = api.another_node(|config| {
            config.dpop.nonce_key = Some(Secret::from(STANDARD.encode([9; 32])));
        }).await;
        api.clock.advance(Duration::from_mins(2));
        let prover = Prover::new();
        let token = api.bound(&prover.cnf()).await;
        let dpop = format!("DPoP {token}");
        let without = prove(&api, &prover, &token, &json!({})).await;
        let challenge = api.show(&dpop, &[&without]).await;
        let nonce = lines(&challenge, "dpop-nonce").remove(0);
        refused(challenge, ("DPoP", USE_NONCE.0), USE_NONCE.1, "without").await;
        let of = async || prove(&api, &prover, &token, &json!({"nonce": nonce})).await;
        assert_eq!(api.show(&dpop, &[&of().await]).await.status(), 200);
        let there = api.proven(&other.base, &dpop, &[&of().await]).send().await.unwrap();
        assert_eq!(there.status(), 200);
        let there = api.proven(&foreign.base, &dpop, &[&of().await]).send().await.unwrap();
        refused(there, ("DPoP", USE_NONCE.0), USE_NONCE.1, "another key's").await;
        api.clock.advance(Duration::from_mins(5));
        let token = api.bound(&prover.cnf()).await;
        let late = prove(&api, &prover, &token, &json!({"nonce": nonce})).await;
        refused(api.show(&format!("DPoP {token}"), &[&late]).await, ("DPoP", USE_NONCE.0), USE_NONCE.1, "late").await;
    }

    async fn rfc9449_11_1_a_proof_is_good_once_on_all_nodes(storage: Storage) {
        let is_shared = storage.is_shared();
        let api = api(storage, |_| {}).await;
        let other = api.another_node(|_| {}).await;
        let prover = Prover::new();
        let token = api.bound(&prover.cnf()).await;
        let dpop = format!("DPoP {token}");
        let proof = prove(&api, &prover, &token, &json!({})).await;
        assert_eq!(api.show(&dpop, &[&proof]).await.status(), 200);
        let there = api.proven(&other.base, &dpop, &[&proof]).send().await.unwrap();
        // A node with a memory of its own, which has just begun, knows nothing and says so.
        let (code, slug) = if is_shared { INVALID_PROOF } else { USE_NONCE };
        refused(there, ("DPoP", code), slug, "at another node").await;
    }

    async fn rfc9449_6_2_opaque_tokens_are_bound_as_their_issuer_says(storage: Storage) {
        let api = api(storage, |config| {
            config.issuers[0].policy = Policy::Introspect;
            config.issuers[0].introspection = Some(Introspection {
                client_id: "api".parse().unwrap(),
                client_secret: Some(Secret::from("secret".to_owned())),
                client_key: None,
            });
        })
        .await;
        let prover = Prover::new();
        let mut unbound = api.service_claims();
        unbound["active"] = true.into();
        let mut bound = unbound.clone();
        bound["cnf"] = prover.cnf();
        bound["token_type"] = "DPoP".into();
        let mut broken = unbound.clone();
        broken["token_type"] = "DPoP".into();
        for (token, answer) in [("bound", bound), ("unbound", unbound), ("broken", broken)] {
            Mock::given(method("POST"))
                .and(path("/introspect"))
                .and(body_string_contains(format!("token={token}&")))
                .respond_with(ResponseTemplate::new(200).set_body_json(answer))
                .mount(&api.issuer.server)
                .await;
        }
        for (scheme, token, status) in [
            ("DPoP", "bound", 200),
            ("Bearer", "bound", 401),
            ("Bearer", "unbound", 200),
            ("DPoP", "unbound", 401),
            ("DPoP", "broken", 401),
            ("Bearer", "broken", 401),
        ] {
            let proof = prove(&api, &prover, token, &json!({})).await;
            let response = api.show(&format!("{scheme} {token}"), &[&proof]).await;
            assert_eq!(response.status(), status, "{scheme} {token}");
        }
    }

    async fn only_sender_constrained_tokens_where_configured(storage: Storage) {
        let api = api(storage, |config| config.tokens.sender_constrained = true).await;
        let prover = Prover::new();
        let unbound = api.sign(&api.service_claims()).await;
        let response = api.show(&format!("Bearer {unbound}"), &[]).await;
        // Nobody here sees certificates, so there is one way.
        let challenges = lines(&response, "www-authenticate");
        assert_eq!(challenges.len(), 1, "{challenges:?}");
        assert!(challenges[0].starts_with("DPoP error=\"invalid_token\""), "{challenges:?}");
        assert_eq!(problem(response).await.0, 401);
        let token = api.bound(&prover.cnf()).await;
        let proof = prove(&api, &prover, &token, &json!({})).await;
        assert_eq!(api.show(&format!("DPoP {token}"), &[&proof]).await.status(), 200);
        let metadata: Value = api.get("/.well-known/oauth-protected-resource").await.json().await.unwrap();
        assert_eq!(metadata["dpop_bound_access_tokens_required"], true);
    }

    async fn rfc8705_3_a_token_that_is_bound_to_a_certificate_comes_with_it(storage: Storage) {
        let folder = tempfile::tempdir().unwrap();
        let server = Pair::new();
        let api = api(storage, |config| server.listens(folder.path(), config)).await;
        let (own, other, prover) = (Pair::new(), Pair::new(), Prover::new());
        let there = format!("{}{ME}", api.mtls.as_deref().unwrap());
        let token = api.bound(&own.cnf()).await;
        for (what, pair, status) in [
            ("its own", Some(&own), 200),
            ("another", Some(&other), 401),
            ("none", None, 401),
        ] {
            let request = server.client(pair).get(&there).bearer_auth(&token);
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), status, "{what}");
        }
        // Where nobody is asked for one, nobody has one.
        refused(api.me_with(&token).await, ("Bearer", INVALID_TOKEN.0), INVALID_TOKEN.1, "here").await;
        // Other tokens are taken there as here.
        let unbound = api.sign(&api.service_claims()).await;
        let request = server.client(Some(&other)).get(&there).bearer_auth(unbound);
        assert_eq!(request.send().await.unwrap().status(), 200);
        let mut both = own.cnf();
        both["jkt"] = prover.cnf()["jkt"].clone();
        let both = api.bound(&both).await;
        for (what, pair, htu, status) in [
            ("the key alone", None, MTLS, 401),
            ("both", Some(&own), MTLS, 200),
            ("both, as known elsewhere", Some(&own), RESOURCE, 200),
            ("both, elsewhere", Some(&own), "https://other.example", 401),
        ] {
            let changes = json!({"htu": format!("{htu}{ME}")});
            let proof = prove(&api, &prover, &both, &changes).await;
            let request = server.client(pair).get(&there).header("dpop", proof);
            let request = request.header(AUTHORIZATION, format!("DPoP {both}"));
            assert_eq!(request.send().await.unwrap().status(), status, "{what}");
        }
        let metadata: Value = api.get("/.well-known/oauth-protected-resource").await.json().await.unwrap();
        assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    }

    async fn rfc9440_a_trusted_proxy_tells_of_the_certificate_and_nobody_else(storage: Storage) {
        let behind = |network: &'static str| move |config: &mut Config| {
            config.proxies.trusted = vec![network.parse().unwrap()];
            config.proxies.header = Some(ForwardedBy::Forwarded);
            config.proxies.client_certificates = true;
        };
        let api = api(storage, behind("127.0.0.1")).await;
        let stranger = api.another_node(behind("192.0.2.0/24")).await;
        let (own, other) = (Pair::new(), Pair::new());
        let bearer = format!("Bearer {}", api.bound(&own.cnf()).await);
        for (what, base, told, status) in [
            ("its own", &api.base, Some(&own), 200),
            ("another", &api.base, Some(&other), 401),
            ("none", &api.base, None, 401),
            ("its own, as a stranger says", &stranger.base, Some(&own), 400),
            ("none of a stranger", &stranger.base, None, 401),
        ] {
            let mut request = api.proven(base, &bearer, &[]);
            if let Some(pair) = told {
                let written = STANDARD.encode(pair.certificate.der());
                request = request.header("client-cert", format!(":{written}:"));
            }
            assert_eq!(request.send().await.unwrap().status(), status, "{what}");
        }
    }
}

/// A proof is no token, and a token no proof.
#[tokio::test]
async fn rfc9449_11_5_a_proof_is_not_taken_for_a_token() {
    let api = api(Storage::sqlite().await, |_| {}).await;
    let prover = Prover::new();
    let token = api.bound(&prover.cnf()).await;
    let proof = prove(&api, &prover, &token, &json!({})).await;
    let signed = sign_jwt(JwtKind::DpopProof, &api.service_claims(), &api.issuer.key).await;
    for (what, presented) in [
        ("a proof", proof),
        ("a proof of the issuer's", signed.unwrap()),
    ] {
        let response = api
            .request(Method::GET, ME)
            .bearer_auth(presented)
            .send()
            .await;
        assert_eq!(response.unwrap().status(), 401, "{what}");
    }
}

/// A certificate for a server or a client, with its key.
struct Pair {
    certificate: Certificate,
    key: KeyPair,
}

impl Pair {
    fn new() -> Self {
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap(),
            key,
        }
    }

    /// Has the server ask clients for certificates where it shows this one.
    fn listens(&self, folder: &Path, config: &mut Config) {
        let (certificate, key) = (folder.join("crt"), folder.join("key"));
        std::fs::write(&certificate, self.certificate.pem()).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        config.mtls.listen = vec![([127, 0, 0, 1], 0).into()];
        config.mtls.url = Some(MTLS.parse().unwrap());
        (config.mtls.certificate, config.mtls.key) = (Some(certificate), Some(key));
    }

    fn cnf(&self) -> Value {
        let thumbprint = CertificateThumbprint::of(self.certificate.der());
        json!({ "x5t#S256": thumbprint.to_string() })
    }

    /// A client of this server that presents a certificate, or none.
    fn client(&self, presented: Option<&Self>) -> Client {
        let root = reqwest::Certificate::from_pem(self.certificate.pem().as_bytes()).unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([root]);
        let client = match presented {
            None => client,
            Some(pair) => {
                let pem = pair.certificate.pem() + &pair.key.serialize_pem();
                client.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
            }
        };
        client.build().unwrap()
    }
}

/// Where proofs are kept there may be no room (`maxmemory`): then no proof is taken for unused.
#[tokio::test]
async fn rfc9449_11_1_while_redis_is_full_no_proof_is_taken() {
    let redis = RedisServer::start(&[]).await;
    let url = Secret::from(redis.url());
    let api = api(Storage::sqlite().await, |c| c.ephemeral.url = url).await;
    let prover = Prover::new();
    let token = api.bound(&prover.cnf()).await;
    let dpop = format!("DPoP {token}");
    let used = prove(&api, &prover, &token, &json!({})).await;
    let kept = prove(&api, &prover, &token, &json!({})).await;
    assert_eq!(api.show(&dpop, &[&used]).await.status(), 200);

    let () = redis.run(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..2 {
        let response = api.show(&dpop, &[&kept]).await;
        assert_eq!(lines(&response, "retry-after").len(), 1);
        assert_eq!(response.status(), 503);
    }
    let again = api.show(&dpop, &[&used]).await;
    refused(again, ("DPoP", INVALID_PROOF.0), INVALID_PROOF.1, "used").await;

    let () = redis.run(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(api.show(&dpop, &[&kept]).await.status(), 200);
    let again = api.show(&dpop, &[&kept]).await;
    assert_eq!(again.status(), 401, "once");
}
