//! Codes that are bound to a key from the authorization request on (RFC 9449 §10, §10.1).

use super::*;
use crate::browser::{Browser, EMAIL, code, parameter};
use crate::pushed::url_of;
use crate::request_object;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_10_a_code_is_redeemed_with_the_key_that_the_request_named,
    rfc9449_10_a_code_that_is_bound_to_nothing_is_redeemed_with_any_key,
    rfc9449_10_dpop_jkt_is_a_thumbprint,
    rfc9449_10_1_a_proof_that_was_pushed_binds_the_code,
);

/// A server with a person who signs in by the page, and an app; what it issues is redeemed at another node where there is one.
struct Stage {
    server: TestServer,
    other: Option<TestServer>,
    app: TestClient,
    signing: (TestClient, SigningKey),
}

impl Stage {
    async fn set(stores: &Stores) -> Self {
        let server = TestServer::start(stores).await.with_resources(None).await;
        server.clock.advance(Duration::from_mins(2));
        server.person(EMAIL).await;
        let app = server.register(app(AuthMethod::None)).await;
        let (_, key) = server.signing_client(Algorithm::Es256, "read").await;
        let metadata = ClientMetadata {
            jwks: TestServer::signing_metadata(&key, "read").jwks,
            ..crate::person::app(AuthMethod::None)
        };
        let signing = (server.register(metadata).await, key);
        let mut second = config(stores);
        second.issuer = server.issuer.parse().unwrap();
        let other = if is_shared(stores) {
            Some(TestServer::start_with(second, server.clock.clone()).await)
        } else {
            None
        };
        Self {
            server,
            other,
            app,
            signing,
        }
    }

    /// The code of a person who signs in and agrees.
    async fn code(&self, url: &str) -> String {
        code(&Browser::new(&self.server).sign_in_and_consent(url).await)
    }

    /// Redeems a code where it was not issued, with a proof of this key or with none.
    async fn redeem(&self, client: &TestClient, code: &str, prover: Option<&Prover>) -> Answer {
        let proof = match prover {
            Some(prover) => Some(prover.proof(&self.server, TOKEN, &json!({})).await),
            None => None,
        };
        let proofs: Vec<_> = proof.iter().map(String::as_str).collect();
        let server = self.other.as_ref().unwrap_or(&self.server);
        send(server, client, (TOKEN, &code_form(code)), &proofs).await
    }

    async fn push(&self, changes: &[(&str, &str)], prover: Option<&Prover>) -> Answer {
        let proof = match prover {
            Some(prover) => Some(prover.proof(&self.server, PAR, &json!({})).await),
            None => None,
        };
        let proofs: Vec<_> = proof.iter().map(String::as_str).collect();
        push(&self.server, &self.app, changes, &proofs).await
    }

    /// How the request came, and the URL that a browser opens.
    async fn url(&self, how: &str, jkt: &str) -> (&TestClient, String) {
        let named = [("dpop_jkt", jkt)];
        match how {
            "in the query" => (&self.app, self.server.authorize_url(&self.app, &named)),
            "in an object" => {
                let (client, key) = &self.signing;
                let claims = TestServer::asking(client, &named).into_iter();
                let claims: Value = claims.map(|(name, value)| (name, json!(value))).collect();
                let object = request_object::sign(key, &json!({}), &claims).await;
                let url = request_object::url(&self.server, client, ("request", &object), &[]);
                (client, url)
            }
            _ => {
                let pushed = self.push(&named, None).await;
                let uri = pushed.text("request_uri");
                (&self.app, url_of(&self.server, &self.app, uri))
            }
        }
    }
}

const WAYS: [&str; 3] = ["in the query", "in an object", "pushed"];

async fn rfc9449_10_a_code_is_redeemed_with_the_key_that_the_request_named(stores: &Stores) {
    let stage = Stage::set(stores).await;
    let (prover, other) = (Prover::new(), Prover::new());
    for how in WAYS {
        // Threat 27: another key, and none at all.
        for (what, proven) in [
            ("it", Some(&prover)),
            ("another", Some(&other)),
            ("none", None),
        ] {
            let (client, url) = stage.url(how, &prover.jkt()).await;
            let code = stage.code(&url).await;
            let answer = stage.redeem(client, &code, proven).await;
            if what == "it" {
                assert_bound(&answer, Some(&prover), how);
                continue;
            }
            assert_eq!(answer.error(), (400, "invalid_grant"), "{how}, {what}");
            let late = stage.redeem(client, &code, Some(&prover)).await;
            assert_eq!(
                late.error(),
                (400, "invalid_grant"),
                "{how}, {what}: it is dead"
            );
        }
    }
}

async fn rfc9449_10_a_code_that_is_bound_to_nothing_is_redeemed_with_any_key(stores: &Stores) {
    let stage = Stage::set(stores).await;
    let server = &stage.server;
    for prover in [Some(Prover::new()), None] {
        let code = stage.code(&server.authorize_url(&stage.app, &[])).await;
        let answer = stage.redeem(&stage.app, &code, prover.as_ref()).await;
        assert_bound(&answer, prover.as_ref(), "unbound");
    }
}

async fn rfc9449_10_dpop_jkt_is_a_thumbprint(stores: &Stores) {
    let stage = Stage::set(stores).await;
    let jkt = Prover::new().jkt();
    for bad in [
        "x",
        &jkt[1..],
        &format!("{jkt}A"),
        &format!("{jkt}="),
        &format!("{} ", &jkt[1..]),
        &jkt.replace(|_: char| true, "*"),
    ] {
        for how in &WAYS[..2] {
            let (_, url) = stage.url(how, bad).await;
            let answer = Browser::new(&stage.server).open(url).await.location();
            let error = parameter(&answer, "error");
            assert_eq!(error.as_deref(), Some("invalid_request"), "{how}: {bad}");
        }
        let pushed = stage.push(&[("dpop_jkt", bad)], None).await;
        assert_eq!(pushed.error(), (400, "invalid_request"), "pushed: {bad}");
    }
    let twice = format!(
        "{}&dpop_jkt={jkt}",
        stage
            .server
            .authorize_url(&stage.app, &[("dpop_jkt", &jkt)])
    );
    let answer = Browser::new(&stage.server).open(twice).await.location();
    let error = parameter(&answer, "error");
    assert_eq!(error.as_deref(), Some("invalid_request"), "twice");
}

async fn rfc9449_10_1_a_proof_that_was_pushed_binds_the_code(stores: &Stores) {
    let stage = Stage::set(stores).await;
    let server = &stage.server;
    let (prover, other) = (Prover::new(), Prover::new());
    let (own, foreign) = (prover.jkt(), other.jkt());
    let mismatch = stage.push(&[("dpop_jkt", &foreign)], Some(&prover)).await;
    assert_eq!(mismatch.error(), (400, "invalid_request"));
    for named in [&[][..], &[("dpop_jkt", own.as_str())]] {
        for proven in [Some(&prover), Some(&other), None] {
            let pushed = stage.push(named, Some(&prover)).await;
            assert_eq!(pushed.status, 201, "{}", pushed.body);
            let url = url_of(server, &stage.app, pushed.text("request_uri"));
            let code = stage.code(&url).await;
            let answer = stage.redeem(&stage.app, &code, proven).await;
            if proven.is_some_and(|proven| proven.jkt() == own) {
                assert_bound(&answer, Some(&prover), "pushed");
            } else {
                assert_eq!(answer.error(), (400, "invalid_grant"));
            }
        }
    }
}
