//! What is no proof (RFC 9449 §4.3, threat 27), at each endpoint that takes one.

use aws_lc_rs::hmac;
use futures_util::future::join_all;

use super::*;
use crate::registration::with;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9449_4_3_what_is_no_proof,
    rfc9449_4_3_dates,
    rfc9449_11_1_a_proof_is_good_once_on_every_node,
    threat_6_of_200_uses_of_one_proof_on_two_nodes_one_succeeds,
);

/// An endpoint that takes proofs, a client, and a request of it that is good any number of times.
struct Endpoint {
    path: &'static str,
    client: TestClient,
    form: Vec<(String, String)>,
}

impl Endpoint {
    async fn all(server: &TestServer) -> [Self; 2] {
        let service = server.client(AuthMethod::ClientSecretBasic, "read").await;
        let app = server.register(app(AuthMethod::ClientSecretBasic)).await;
        let credentials = CREDENTIALS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let asking = TestServer::asking(&app, &[]);
        [
            Self {
                path: TOKEN,
                client: service,
                form: credentials.into(),
            },
            Self {
                path: PAR,
                client: app,
                form: asking,
            },
        ]
    }

    fn request(&self, server: &TestServer) -> reqwest::RequestBuilder {
        let form: Vec<_> = self.form.iter().map(|(k, v)| (&**k, &**v)).collect();
        request(server, &self.client, self.path, &form)
    }

    async fn send(&self, server: &TestServer, proofs: &[&str]) -> Answer {
        let request = self.request(server);
        let request = proofs
            .iter()
            .fold(request, |request, proof| request.header("dpop", *proof));
        server.send(request).await
    }

    async fn assert_good(&self, server: &TestServer, proof: &str, what: &str) -> Answer {
        let answer = self.send(server, &[proof]).await;
        let good = [200, 201].contains(&answer.status.as_u16());
        assert!(good, "{what} at {}: {}", self.path, answer.body);
        assert!(!answer.header("dpop-nonce").is_empty(), "{what}");
        answer
    }

    async fn assert_refused(&self, server: &TestServer, proofs: &[&str], code: &str, what: &str) {
        let answer = self.send(server, proofs).await;
        assert_eq!(answer.error(), (400, code), "{what} at {}", self.path);
        // RFC 9449 §8.2: whoever tries again has what it takes.
        assert!(!answer.header("dpop-nonce").is_empty(), "{what}");
        assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    }
}

const INVALID: &str = "invalid_dpop_proof";
const NONCE: &str = "use_dpop_nonce";

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9449_4_3_what_is_no_proof(stores: &Stores) {
    let scene = scene(stores).await;
    let server = &scene.server;
    let (prover, other, rsa) = (Prover::new(), Prover::new(), Prover::of(Algorithm::Rs256));
    let endpoints = Endpoint::all(server).await;
    let sent_elsewhere: Vec<_> = endpoints
        .iter()
        .map(|endpoint| endpoint.path)
        .rev()
        .collect();
    for (endpoint, elsewhere) in endpoints.iter().zip(sent_elsewhere) {
        let path = endpoint.path;
        let fresh = || good(server, path);
        let htu = fresh()["htu"].as_str().unwrap().to_owned();
        let port = htu.split(':').nth(2).unwrap().split('/').next().unwrap();
        let public = prover.key.public().to_value();
        let jwk = |changes: Value| json!({"jwk": with(&public, &changes)});
        let rows = [
            // RFC 9449 §4.2, §4.3, the header.
            ("no typ", json!({"typ": null}), json!({})),
            (
                "typ of an access token",
                json!({"typ": "at+jwt"}),
                json!({}),
            ),
            ("typ JWT", json!({"typ": "JWT"}), json!({})),
            ("no alg", json!({"alg": null}), json!({})),
            ("alg none", json!({"alg": "none"}), json!({})),
            ("alg nOnE", json!({"alg": "nOnE"}), json!({})),
            ("alg HS256", json!({"alg": "HS256"}), json!({})),
            ("alg ES256K", json!({"alg": "ES256K"}), json!({})),
            ("alg of another key", json!({"alg": "RS256"}), json!({})),
            ("alg a number", json!({"alg": 1}), json!({})),
            ("no jwk", json!({"jwk": null}), json!({})),
            ("jwk a text", json!({"jwk": public.to_string()}), json!({})),
            ("jwk a set", json!({"jwk": {"keys": [public]}}), json!({})),
            ("jwk private", jwk(json!({"d": "AAAA"})), json!({})),
            (
                "jwk oct",
                json!({"jwk": {"kty": "oct", "k": "AAAA"}}),
                json!({}),
            ),
            (
                "jwk off the curve",
                jwk(json!({"x": public["y"]})),
                json!({}),
            ),
            (
                "jwk of another",
                json!({"jwk": other.key.public().to_value()}),
                json!({}),
            ),
            ("crit", json!({"crit": ["b64"], "b64": false}), json!({})),
            (
                "kid alone",
                json!({"jwk": null, "kid": public["kid"]}),
                json!({}),
            ),
            // RFC 9449 §4.2, each claim.
            ("no jti", json!({}), json!({"jti": null})),
            ("jti empty", json!({}), json!({"jti": ""})),
            ("jti a number", json!({}), json!({"jti": 1})),
            ("jti too long", json!({}), json!({"jti": "j".repeat(257)})),
            ("no htm", json!({}), json!({"htm": null})),
            ("htm another", json!({}), json!({"htm": "GET"})),
            ("htm in lower case", json!({}), json!({"htm": "post"})),
            ("no htu", json!({}), json!({"htu": null})),
            ("htu empty", json!({}), json!({"htu": ""})),
            ("htu a path", json!({}), json!({"htu": path})),
            (
                "htu another scheme",
                json!({}),
                json!({"htu": htu.replace("http:", "https:")}),
            ),
            (
                "htu another host",
                json!({}),
                json!({"htu": htu.replace("127.0.0.1", "127.0.0.2")}),
            ),
            (
                "htu another port",
                json!({}),
                json!({"htu": htu.replace(port, "1")}),
            ),
            (
                "htu without the port",
                json!({}),
                json!({"htu": htu.replace(&format!(":{port}"), "")}),
            ),
            (
                "htu another path",
                json!({}),
                json!({"htu": format!("{}{elsewhere}", server.issuer)}),
            ),
            ("htu the issuer", json!({}), json!({"htu": server.issuer})),
            (
                "htu with a slash behind",
                json!({}),
                json!({"htu": format!("{htu}/")}),
            ),
            (
                "htu with two slashes",
                json!({}),
                json!({"htu": htu.replace("/oauth", "//oauth")}),
            ),
            (
                "htu with a user",
                json!({}),
                json!({"htu": htu.replace("://", "://user@")}),
            ),
            (
                "htu in capitals",
                json!({}),
                json!({"htu": htu.to_uppercase()}),
            ),
            ("no iat", json!({}), json!({"iat": null})),
            ("iat a text", json!({}), json!({"iat": "1"})),
            ("iat beyond all", json!({}), json!({"iat": 1e300})),
            ("nonce a number", json!({}), json!({"nonce": 1})),
        ];
        for (what, header, claims) in rows {
            let (header, claims) = (with(&prover.header(), &header), with(&fresh(), &claims));
            let proof = prover.sign(&header, &claims).await;
            endpoint
                .assert_refused(server, &[&proof], INVALID, what)
                .await;
        }
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let proof = prover.proof(server, path, &json!({})).await;
        let (input, signature) = proof.rsplit_once('.').unwrap();
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[40] ^= 1;
        // Threat 15: the public key as the secret of a MAC.
        let header = with(&rsa.header(), &json!({"alg": "HS256"}));
        let hs256 = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(fresh().to_string().as_bytes())
        );
        let secret = rsa.key.public().to_value()["n"].to_string();
        let mac = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            hs256.as_bytes(),
        );
        let unsigned = with(&prover.header(), &json!({"alg": "none"}));
        let unsigned = format!(
            "{}.{}.",
            encode(unsigned.to_string().as_bytes()),
            encode(fresh().to_string().as_bytes())
        );
        let padded = prover
            .proof(server, path, &json!({"pad": "p".repeat(8 * 1024)}))
            .await;
        for (what, proofs) in [
            (
                "two",
                vec![
                    proof.as_str(),
                    &prover.proof(server, path, &json!({})).await,
                ],
            ),
            ("the same twice", vec![&proof, &proof]),
            ("a list of two", vec![&format!("{proof}, {proof}")]),
            ("empty", vec![""]),
            ("not a JWT", vec!["proof"]),
            ("two parts", vec![input]),
            ("no signature", vec![&format!("{input}.")]),
            (
                "a signature of zeros",
                vec![&format!("{input}.{}", encode(&[0; 64]))],
            ),
            (
                "another signature",
                vec![&format!("{input}.{}", encode(&flipped))],
            ),
            ("a MAC", vec![&format!("{hs256}.{}", encode(mac.as_ref()))]),
            ("unsigned", vec![&unsigned]),
            ("as a bearer token", vec![&format!("DPoP {proof}")]),
            ("too long", vec![&padded]),
        ] {
            endpoint
                .assert_refused(server, &proofs, INVALID, what)
                .await;
        }
        // None of that has used it up, and what does not count does not count.
        endpoint.assert_good(server, &proof, "good").await;
        for (what, claims) in [
            ("a query", json!({"htu": format!("{htu}?a=b")})),
            ("a fragment", json!({"htu": format!("{htu}#a")})),
            (
                "a scheme in capitals",
                json!({"htu": htu.replace("http", "HTTP")}),
            ),
            (
                "encoded without need",
                json!({"htu": htu.replace("/oauth", "/%6fauth")}),
            ),
            ("what nobody knows", json!({"color": "red"})),
            ("a hash of no token", json!({"ath": "x"})),
            (
                "jti as long as it may be",
                json!({"jti": macs::unique() + &"j".repeat(200)}),
            ),
        ] {
            let proof = prover.proof(server, path, &claims).await;
            endpoint.assert_good(server, &proof, what).await;
        }
    }
}

async fn rfc9449_4_3_dates(stores: &Stores) {
    let scene = scene(stores).await;
    let (server, prover) = (&scene.server, Prover::new());
    for endpoint in &Endpoint::all(server).await {
        let answer = endpoint.send(server, &["x"]).await;
        let nonce = answer.header("dpop-nonce").to_owned();
        for (what, seconds, with_nonce, expected) in [
            ("now", 0, false, ""),
            ("a minute old", -50, false, ""),
            ("older", -70, false, NONCE),
            ("very old", -100_000, false, NONCE),
            ("ahead", 5, false, ""),
            ("farther ahead", 30, false, NONCE),
            ("more than a minute ahead", 120, false, INVALID),
            ("now, with a nonce", 0, true, ""),
            ("older, with a nonce", -70, true, ""),
            ("very old, with a nonce", -100_000, true, ""),
            ("farther ahead, with a nonce", 30, true, ""),
            ("more than a minute ahead, with a nonce", 120, true, INVALID),
        ] {
            let iat = server.clock.now().as_secs() + seconds;
            let nonce = with_nonce.then_some(&nonce);
            // A NumericDate may have a fraction (RFC 7519 §2).
            for iat in [
                json!(iat),
                json!(format!("{iat}.25").parse::<f64>().unwrap()),
            ] {
                let claims = json!({"iat": iat, "nonce": nonce});
                let proof = prover.proof(server, endpoint.path, &claims).await;
                if expected.is_empty() {
                    endpoint.assert_good(server, &proof, what).await;
                } else {
                    endpoint
                        .assert_refused(server, &[&proof], expected, what)
                        .await;
                }
            }
        }
    }
}

async fn rfc9449_11_1_a_proof_is_good_once_on_every_node(stores: &Stores) {
    let scene = scene(stores).await;
    let (one, prover) = (&scene.server, Prover::new());
    let endpoints = Endpoint::all(one).await;
    let other = scene.another_node(stores).await;
    let is_shared = is_shared(stores);
    for endpoint in &endpoints {
        for with_nonce in [false, true] {
            let told = endpoint.send(one, &["x"]).await;
            let nonce = with_nonce.then(|| told.header("dpop-nonce"));
            let claims = with(&good(one, endpoint.path), &json!({"nonce": nonce}));
            let proof = prover.sign(&prover.header(), &claims).await;
            endpoint.assert_good(one, &proof, "first").await;
            endpoint
                .assert_refused(one, &[&proof], INVALID, "again")
                .await;
            if is_shared {
                endpoint
                    .assert_refused(&other, &[&proof], INVALID, "at another node")
                    .await;
            }
            // The same statement, signed anew.
            let again = prover.sign(&prover.header(), &claims).await;
            endpoint
                .assert_refused(one, &[&again], INVALID, "signed again")
                .await;
            // To the clock of a minute later it is too old, or still used.
            one.clock.advance(Duration::from_secs(45));
            endpoint
                .assert_refused(one, &[&proof], INVALID, "later")
                .await;
            one.clock.advance(Duration::from_mins(6));
            endpoint
                .assert_refused(one, &[&proof], NONCE, "too late")
                .await;
            // Another key may have come to the same jti.
            let theirs = Prover::new();
            let jti = json!({"jti": claims["jti"]});
            let theirs = theirs.proof(one, endpoint.path, &jti).await;
            endpoint.assert_good(one, &theirs, "another key").await;
        }
    }
}

async fn threat_6_of_200_uses_of_one_proof_on_two_nodes_one_succeeds(stores: &Stores) {
    let scene = scene(stores).await;
    let other = scene.another_node(stores).await;
    let (one, prover) = (&scene.server, Prover::new());
    let nodes = if is_shared(stores) {
        [one, &other]
    } else {
        [one, one]
    };
    for endpoint in &Endpoint::all(one).await {
        let proof = prover.proof(one, endpoint.path, &json!({})).await;
        let proofs = [&*proof];
        let uses = (0..200).map(|n| endpoint.send(nodes[n % 2], &proofs));
        let answers = join_all(uses).await;
        let good = answers.iter().filter(|answer| answer.status.is_success());
        assert_eq!(good.count(), 1, "{}", endpoint.path);
        let refused = answers
            .iter()
            .filter(|answer| answer.error() == (400, INVALID));
        assert_eq!(refused.count(), 199, "{}", endpoint.path);
    }
}
