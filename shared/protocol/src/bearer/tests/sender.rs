//! Tokens that are bound to a key (RFC 9449 §7) or a certificate (RFC 8705 §3).

use http::{HeaderMap, HeaderValue, Method};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::confirmation::CertificateThumbprint;
use crate::dpop::{
    self, Dpop, DpopError, DpopSettings, InvalidProof, LocalProofs, MemoryFailure, NoncePolicy,
    NonceWanted, Nonces, ProofId, ProofUse, UsedProofs,
};
use crate::outbound::FetchError;

const URL: &str = "https://api.example/things/one";
const METADATA_URL: &str =
    r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1""#;
const ALGS: &str = r#"algs="ES256 "#;

/// Whether a challenge is one of RFC 9449 §7.1 that names no error.
fn offers_dpop(challenge: &str) -> bool {
    challenge.starts_with("DPoP ") && challenge.contains(ALGS) && !challenge.contains("error")
}

fn proofs(used: Arc<dyn UsedProofs>, nonces: NoncePolicy) -> Proofs {
    Proofs {
        dpop: Dpop::new(DpopSettings {
            origins: vec!["https://api.example/v1".parse().unwrap()],
            nonces: Nonces::new(&[7; 32], Duration::from_mins(5)),
            used,
        }),
        nonces,
    }
}

fn remembered() -> Arc<dyn UsedProofs> {
    Arc::new(LocalProofs::new(1000, Instant::EPOCH))
}

/// Nobody knows what was used.
struct Broken;

impl UsedProofs for Broken {
    fn note(
        &self,
        _: ProofId,
        _: Instant,
        _: Instant,
    ) -> futures_util::future::BoxFuture<'_, Result<ProofUse, MemoryFailure>> {
        Box::pin(async { Err(MemoryFailure::new(FetchError::Timeout)) })
    }
}

/// A client with a key of its own.
struct Holder(SigningKey);

impl Holder {
    fn new() -> Self {
        Self(signing_key(Algorithm::Es256))
    }

    fn jkt(&self) -> Value {
        json!({"jkt": self.0.public().thumbprint().to_string()})
    }

    fn header(&self) -> Value {
        let mut jwk = self.0.public().to_value();
        jwk.as_object_mut()
            .unwrap()
            .retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
        json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk})
    }

    async fn proof(&self, claims: &Value) -> String {
        signed(&self.header(), claims, &self.0).await
    }
}

fn hash(token: &str) -> Value {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token)).into()
}

fn proof_claims(jti: &str, token: &str) -> Value {
    json!({"jti": jti, "htm": "GET", "htu": URL, "iat": START, "ath": hash(token)})
}

/// A request: what it shows, and what comes of it.
#[derive(Clone, Default)]
struct Attempt {
    headers: HeaderMap,
    certificate: Option<CertificateThumbprint>,
    method: Method,
}

impl Attempt {
    fn new(authorization: &str) -> Self {
        Self::default().with("authorization", authorization)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    fn of(self, certificate: &[u8]) -> Self {
        let certificate = Some(CertificateThumbprint::of(certificate));
        Self {
            certificate,
            ..self
        }
    }

    /// A nested router, which takes off what leads to it, and a handler that says how its answer may be kept.
    async fn at(&self, layer: GuardLayer, kept: Option<&'static str>) -> Told {
        let whoami = async move |Extension(token): Extension<Arc<AccessToken>>| {
            let mut headers = HeaderMap::new();
            if let Some(kept) = kept {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
            }
            (headers, token.subject().to_owned())
        };
        let inner = Router::new()
            .route("/one", get(whoami).post(whoami))
            .route_layer(layer);
        let router = Router::new().nest("/things", inner);
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = "/things/one?a=b".parse().unwrap();
        *request.method_mut() = self.method.clone();
        *request.headers_mut() = self.headers.clone();
        if let Some(certificate) = self.certificate {
            request.extensions_mut().insert(certificate);
        }
        let response = router.oneshot(request).await.unwrap();
        let all = |name| {
            let values = response.headers().get_all(name).iter();
            let texts = values.map(|value| value.to_str().unwrap().to_owned());
            texts.collect::<Vec<_>>()
        };
        Told {
            status: response.status().as_u16(),
            challenges: all(WWW_AUTHENTICATE),
            nonces: all(dpop::NONCE),
            kept: all(CACHE_CONTROL),
            error: response.extensions().get::<Arc<BearerError>>().cloned(),
        }
    }
}

struct Told {
    status: u16,
    challenges: Vec<String>,
    nonces: Vec<String>,
    kept: Vec<String>,
    error: Option<Arc<BearerError>>,
}

impl Told {
    /// The cause of a refusal, in a word.
    fn cause(&self) -> String {
        match self.error.as_deref() {
            None => "accepted".into(),
            Some(BearerError::InvalidToken(cause)) => format!("{cause:?}"),
            Some(BearerError::ClientCert(cause)) => format!("{cause:?}"),
            Some(BearerError::Proof(DpopError::Invalid(cause))) => format!("{cause:?}"),
            Some(BearerError::Proof(DpopError::UseNonce(cause))) => format!("{cause:?}"),
            Some(other) => format!("{other:?}"),
        }
    }
}

impl World {
    fn proving(&self, edit: impl FnOnce(&mut GuardSettings)) -> Guard {
        let mut settings = self.settings(Policy::Jwks);
        settings.proofs = Some(proofs(remembered(), NoncePolicy::Offered));
        settings.certificates = Certificates::InExtensions;
        edit(&mut settings);
        Guard::new(settings).unwrap()
    }

    async fn bound(&self, cnf: &Value) -> String {
        let claims = edited(&self.claims(), "cnf", cnf.clone());
        signed(&self.header(), &claims, &self.key).await
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9449_7_1_a_bound_token_comes_with_one_proof_of_its_key() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let unbound = world.token().await;
    let good = proof_claims("good", &token);
    let proof = holder.proof(&good).await;
    let proof_of = async |name: &str, value: Value| {
        let claims = edited(&good, "jti", json!(format!("{name} {value}")));
        holder.proof(&edited(&claims, name, value)).await
    };
    let other = Holder::new()
        .proof(&edited(&good, "jti", json!("other")))
        .await;
    let dpop = |proof: &str| Attempt::new(&format!("DPoP {token}")).with("dpop", proof);
    let without_ath = holder.proof(&without(&good, "ath")).await;
    for (what, attempt, cause, error) in [
        ("good", dpop(&proof), "accepted", ""),
        ("again", dpop(&proof), "Replayed", "invalid_dpop_proof"),
        (
            "the scheme in lower case",
            Attempt::new(&format!("dpop {token}")).with("dpop", &proof_of("x", json!(1)).await),
            "accepted",
            "",
        ),
        (
            "the scheme in upper case",
            Attempt::new(&format!("DPOP  {token}")).with("dpop", &proof_of("x", json!(2)).await),
            "accepted",
            "",
        ),
        (
            "no proof",
            Attempt::new(&format!("DPoP {token}")),
            "NoProof",
            "invalid_dpop_proof",
        ),
        (
            "two proofs",
            dpop(&proof).with("dpop", &proof_of("x", json!(3)).await),
            "Twice",
            "invalid_dpop_proof",
        ),
        ("no JWT", dpop("x"), "Jwt(Malformed)", "invalid_dpop_proof"),
        (
            "the token for a proof",
            dpop(&token),
            "Jwt(Kind)",
            "invalid_dpop_proof",
        ),
        ("another key's", dpop(&other), "OtherKey", "invalid_token"),
        (
            "no ath",
            dpop(&without_ath),
            "AccessToken",
            "invalid_dpop_proof",
        ),
        (
            "ath of another token",
            dpop(&proof_of("ath", hash(&unbound)).await),
            "AccessToken",
            "invalid_dpop_proof",
        ),
        (
            "another method",
            dpop(&proof_of("htm", json!("POST")).await),
            "Method",
            "invalid_dpop_proof",
        ),
        (
            "the path as the inner router sees it",
            dpop(&proof_of("htu", json!("https://api.example/one")).await),
            "Url",
            "invalid_dpop_proof",
        ),
        (
            "another host",
            dpop(&proof_of("htu", json!("https://evil.example/things/one")).await),
            "Url",
            "invalid_dpop_proof",
        ),
        (
            "with the query",
            dpop(&proof_of("htu", json!(format!("{URL}?a=b"))).await),
            "accepted",
            "",
        ),
        (
            "of yesterday",
            dpop(&proof_of("iat", json!(START - 86_400)).await),
            "Date",
            "use_dpop_nonce",
        ),
        (
            "a nonce of somebody's",
            dpop(&proof_of("nonce", json!("x")).await),
            "NotGood",
            "use_dpop_nonce",
        ),
        (
            "a downgrade",
            Attempt::new(&format!("Bearer {token}")),
            "SenderConstrained",
            "invalid_token",
        ),
        (
            "a downgrade with a proof",
            Attempt::new(&format!("Bearer {token}")).with("dpop", &proof_of("x", json!(4)).await),
            "SenderConstrained",
            "invalid_token",
        ),
        (
            "an unbound token under DPoP",
            Attempt::new(&format!("DPoP {unbound}")).with(
                "dpop",
                &holder.proof(&proof_claims("unbound", &unbound)).await,
            ),
            "NotBound",
            "invalid_token",
        ),
        (
            "an unbound token with a proof beside it",
            Attempt::new(&format!("Bearer {unbound}")).with("dpop", "x"),
            "accepted",
            "",
        ),
    ] {
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.cause(), cause, "{what}");
        assert_eq!(
            told.status,
            if error.is_empty() { 200 } else { 401 },
            "{what}"
        );
        let first = told.challenges.first().map(String::as_str);
        let authorization = attempt.headers[AUTHORIZATION].to_str().unwrap();
        let is_dpop = authorization[..4].eq_ignore_ascii_case("dpop");
        if !error.is_empty() {
            let scheme = if is_dpop { "DPoP" } else { "Bearer" };
            let start = format!("{scheme} error=\"{error}\", error_description=\"");
            assert!(first.unwrap().starts_with(&start), "{what}: {first:?}");
            let algs = first.unwrap().contains(ALGS);
            assert_eq!(algs, is_dpop, "{what}: {first:?}");
            assert!(first.unwrap().ends_with(METADATA_URL), "{what}: {first:?}");
        }
        // RFC 9449 §9: for the next request, if this one was of DPoP.
        assert_eq!(told.nonces.len(), usize::from(is_dpop), "{what}");
        // §7.2: the other scheme is named where it would have done.
        let both = cause == "SenderConstrained";
        let expected = usize::from(!error.is_empty()) + usize::from(both);
        assert_eq!(told.challenges.len(), expected, "{what}");
        if let [_, second] = told.challenges.as_slice() {
            assert!(offers_dpop(second), "{what}: {second}");
        }
        if cause != "accepted" || is_dpop {
            assert_eq!(told.kept, ["no-store"], "{what}");
        }
    }
}

#[tokio::test]
async fn rfc9449_7_2_the_scheme_that_was_used_is_told_what_was_wrong() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let invalid = r#"error="invalid_request", error_description="#;
    for (what, authorization, status, challenges) in [
        (
            "nothing",
            &[][..],
            401,
            vec!["Bearer ".to_owned(), "DPoP ".to_owned()],
        ),
        (
            "a scheme of others",
            &["Basic YTpi"],
            401,
            vec!["Bearer ".to_owned(), "DPoP ".to_owned()],
        ),
        (
            "a tab",
            &["DPoP\tabc"],
            400,
            vec![format!("DPoP {invalid}")],
        ),
        (
            "a tab behind a space",
            &["dpop \tabc"],
            400,
            vec![format!("DPoP {invalid}")],
        ),
        (
            "a space behind",
            &["Bearer abc "],
            400,
            vec![format!("Bearer {invalid}")],
        ),
        (
            "both",
            &["Bearer abc", "DPoP abc"],
            400,
            vec![format!("Bearer {invalid}"), format!("DPoP {invalid}")],
        ),
        (
            "no token",
            &["DPoP abc"],
            401,
            vec![r#"DPoP error="invalid_token", "#.into()],
        ),
    ] {
        let mut attempt = Attempt::default();
        for value in authorization {
            attempt = attempt.with("authorization", value);
        }
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.status, status, "{what}");
        assert_eq!(told.challenges.len(), challenges.len(), "{what}");
        for (challenge, start) in told.challenges.iter().zip(&challenges) {
            assert!(challenge.starts_with(start), "{what}: {challenge}");
        }
        // RFC 6750 §3.1: who shows nothing learns no reason.
        let has_error = told.challenges.iter().any(|text| text.contains("error"));
        assert_eq!(has_error, !matches!(what, "nothing" | "a scheme of others"));
    }
    // A guard without proofs takes no token that is bound to a key, and does not speak of it.
    let plain = world.guard(Policy::Jwks);
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    for (authorization, cause) in [
        (format!("DPoP {token}"), "NoToken"),
        (format!("Bearer {token}"), "SenderConstrained"),
    ] {
        let told = Attempt::new(&authorization)
            .at(plain.requiring(read()), None)
            .await;
        assert_eq!((told.status, &*told.cause()), (401, cause));
        assert_eq!(told.challenges.len(), 1);
        assert!(told.challenges[0].starts_with("Bearer "));
    }
}

#[tokio::test]
async fn rfc9449_9_a_nonce_is_wanted_once_and_told_each_time() {
    let world = World::new().await;
    let guard = world.proving(|settings| {
        settings.proofs = Some(proofs(remembered(), NoncePolicy::Required));
    });
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let attempt = async |jti: &str, nonce: Option<&str>| {
        let mut claims = proof_claims(jti, &token);
        if let Some(nonce) = nonce {
            claims = edited(&claims, "nonce", json!(nonce));
        }
        Attempt::new(&format!("DPoP {token}")).with("dpop", &holder.proof(&claims).await)
    };
    let first = attempt("one", None)
        .await
        .at(guard.requiring(read()), None)
        .await;
    assert_eq!(first.cause(), format!("{:?}", NonceWanted::Missing));
    assert_eq!(first.status, 401);
    let start = r#"DPoP error="use_dpop_nonce", error_description=""#;
    assert!(
        first.challenges[0].starts_with(start),
        "{:?}",
        first.challenges
    );
    let nonce = first.nonces[0].as_str();
    // The refusal spent nothing: the same proof but for its nonce.
    let second = attempt("one", Some(nonce)).await;
    let told = second.at(guard.requiring(read()), None).await;
    assert_eq!((told.status, told.nonces.len()), (200, 1));
    for (what, kept, told_nonce, left) in [
        ("not said", None, 1, "no-store"),
        (
            "not at all",
            Some("private, No-Store"),
            1,
            "private, No-Store",
        ),
        ("for a while", Some("max-age=60"), 0, "max-age=60"),
        ("after asking", Some("no-cache"), 0, "no-cache"),
    ] {
        let again = attempt(what, Some(nonce)).await;
        let told = again.at(guard.requiring(read()), kept).await;
        assert_eq!(
            (told.status, told.nonces.len()),
            (200, told_nonce),
            "{what}"
        );
        assert_eq!(told.kept, [left], "{what}");
    }
    world.clock.forward(299);
    let late = attempt("late", Some(nonce)).await;
    let told = late.at(guard.requiring(ScopeSet::default()), None).await;
    assert_eq!(told.cause(), "accepted");
    // A token that is remembered is asked for its proof each time.
    let told = late.at(guard.requiring(ScopeSet::default()), None).await;
    assert_eq!(told.cause(), format!("{:?}", InvalidProof::Replayed));
}

#[tokio::test]
async fn rfc9449_11_1_no_memory_of_proofs_is_503() {
    let world = World::new().await;
    let guard = world.proving(|settings| {
        settings.proofs = Some(proofs(Arc::new(Broken), NoncePolicy::Offered));
    });
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let proof = holder.proof(&proof_claims("one", &token)).await;
    let attempt = Attempt::new(&format!("DPoP {token}")).with("dpop", &proof);
    let told = attempt.at(guard.requiring(read()), None).await;
    assert_eq!((told.status, told.challenges.len()), (503, 0));
    // Whoever needs none is served.
    let plain = Attempt::new(&format!("Bearer {}", world.token().await));
    assert_eq!(plain.at(guard.requiring(read()), None).await.status, 200);
}

#[tokio::test]
async fn rfc8705_3_a_token_that_is_bound_to_a_certificate_comes_with_it() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let thumbprint = CertificateThumbprint::of(b"own").to_string();
    let by_certificate = world.bound(&json!({"x5t#S256": &thumbprint})).await;
    let both = edited(&holder.jkt(), "x5t#S256", json!(&thumbprint));
    let by_both = world.bound(&both).await;
    let bearer = |token: &str| Attempt::new(&format!("Bearer {token}"));
    let dpop = async |jti: &str, token: &str| {
        let proof = holder.proof(&proof_claims(jti, token)).await;
        Attempt::new(&format!("DPoP {token}")).with("dpop", &proof)
    };
    for (what, attempt, cause) in [
        ("its own", bearer(&by_certificate).of(b"own"), "accepted"),
        ("none", bearer(&by_certificate), "Certificate"),
        (
            "another",
            bearer(&by_certificate).of(b"other"),
            "Certificate",
        ),
        (
            "under DPoP",
            dpop("a", &by_certificate).await.of(b"own"),
            "NotBound",
        ),
        (
            "a certificate nobody asked for",
            bearer(&world.token().await).of(b"own"),
            "accepted",
        ),
        (
            "of two, the certificate alone",
            bearer(&by_both).of(b"own"),
            "SenderConstrained",
        ),
        (
            "of two, the key alone",
            dpop("b", &by_both).await,
            "Certificate",
        ),
        ("both", dpop("b", &by_both).await.of(b"own"), "accepted"),
    ] {
        let told = attempt.at(guard.requiring(read()), None).await;
        assert_eq!(told.cause(), cause, "{what}");
        let status = if cause == "accepted" { 200 } else { 401 };
        assert_eq!(told.status, status, "{what}");
        let error = r#" error="invalid_token", "#;
        let told_so = told.challenges.iter().any(|text| text.contains(error));
        assert_eq!(told_so, status == 401, "{what}");
    }
}

/// A certificate is no secret: whoever could write the headers had anybody's.
#[tokio::test]
async fn rfc9440_4_the_word_for_a_certificate_is_taken_of_whom_the_guard_believes() {
    let world = World::new().await;
    let guards = [
        Certificates::Unseen,
        Certificates::InExtensions,
        Certificates::OfProxy,
    ]
    .map(|certificates| world.proving(|settings| settings.certificates = certificates));
    let thumbprint = CertificateThumbprint::of(b"leaf").to_string();
    let bound = world.bound(&json!({"x5t#S256": thumbprint})).await;
    let bound = Attempt::new(&format!("Bearer {bound}"));
    let plain = Attempt::new(&format!("Bearer {}", world.token().await));
    let (leaf, other) = (":bGVhZg==:", ":b3RoZXI=:");
    let told = |attempt: &Attempt, value| attempt.clone().with("client-cert", value);
    let chain = bound.clone().with("client-cert-chain", leaf);
    let proxy = |attempt: Attempt| attempt.of(b"the proxy's own");
    for (what, attempt, causes) in [
        ("nothing", bound.clone(), ["Certificate"; 3]),
        (
            "of the connection",
            bound.clone().of(b"leaf"),
            ["Certificate", "accepted", "Certificate"],
        ),
        (
            "told",
            proxy(told(&bound, leaf)),
            ["NotBelieved", "Certificate", "accepted"],
        ),
        (
            "another told",
            told(&bound, other).of(b"leaf"),
            ["NotBelieved", "accepted", "Certificate"],
        ),
        (
            "told twice",
            told(&told(&bound, leaf), leaf),
            ["NotBelieved", "Certificate", "Twice"],
        ),
        (
            "malformed",
            told(&bound, "leaf"),
            ["NotBelieved", "Certificate", "ByteSequence"],
        ),
        (
            "a chain alone",
            chain,
            ["NotBelieved", "Certificate", "NoLeaf"],
        ),
        (
            "of no use",
            told(&plain, leaf),
            ["NotBelieved", "accepted", "accepted"],
        ),
    ] {
        for (guard, cause) in guards.iter().zip(causes) {
            let told = attempt.at(guard.requiring(read()), None).await;
            assert_eq!(told.cause(), cause, "{what}");
            let expected = match cause {
                "accepted" => (200, None),
                "Certificate" => (401, Some("invalid_token")),
                _ => (400, Some("invalid_request")),
            };
            let names = |code| told.challenges.iter().any(|text| text.contains(code));
            assert_eq!(told.status, expected.0, "{what}, {cause}");
            assert!(expected.1.is_none_or(names), "{what}, {cause}");
        }
    }
}

#[tokio::test]
async fn routes_and_guards_may_take_sender_constrained_tokens_alone() {
    let world = World::new().await;
    let holder = Holder::new();
    let token = world.bound(&holder.jkt()).await;
    let plain = Attempt::new(&format!("Bearer {}", world.token().await));
    let proof = holder.proof(&proof_claims("one", &token)).await;
    let proven = Attempt::new(&format!("DPoP {token}")).with("dpop", &proof);
    let of_route = world.proving(|_| {});
    let demanding = of_route.requiring(read()).sender_constrained().unwrap();
    let told = plain.at(demanding.clone(), None).await;
    assert_eq!((told.status, &*told.cause()), (401, "Unconstrained"));
    let [first, second] = told.challenges.as_slice() else {
        panic!("{:?}", told.challenges);
    };
    assert!(
        first.starts_with(r#"Bearer error="invalid_token""#),
        "{first}"
    );
    assert!(offers_dpop(second), "{second}");
    let told = proven.at(demanding, None).await;
    assert_eq!(told.cause(), "accepted");
    assert_eq!(plain.at(of_route.requiring(read()), None).await.status, 200);
    // A guard without certificates leaves nothing but DPoP.
    let all = world.proving(|settings| {
        settings.sender_constrained = true;
        settings.certificates = Certificates::Unseen;
    });
    let told = plain.at(all.introspecting(read()), None).await;
    assert_eq!(told.status, 401);
    let told = plain.at(all.requiring(read()), None).await;
    assert_eq!(
        (told.cause().as_str(), told.challenges.len()),
        ("Unconstrained", 1)
    );
    assert!(told.challenges[0].starts_with(r#"DPoP error="invalid_token""#));
    let told = Attempt::default().at(all.requiring(read()), None).await;
    assert_eq!(told.challenges.len(), 1);
    assert!(offers_dpop(&told.challenges[0]));
    // Nor does a route of one, whatever the other routes take.
    let some = world.proving(|settings| settings.certificates = Certificates::Unseen);
    let demanding = some.requiring(read()).sender_constrained().unwrap();
    for attempt in [&plain, &Attempt::default()] {
        let told = attempt.at(demanding.clone(), None).await;
        assert_eq!((told.status, told.challenges.len()), (401, 1));
        assert!(told.challenges[0].starts_with("DPoP "));
    }
    let told = plain.at(some.requiring(read()), None).await;
    assert_eq!(told.status, 200);
    // And where nothing could be proven, nobody would come in.
    let none = world.guard(Policy::Jwks).requiring(read());
    let refused = none.sender_constrained().err();
    assert_eq!(refused, Some(InvalidGuard::NoConstraint));
}

/// What a server says of itself.
type Edit = fn(&mut GuardSettings);

#[tokio::test]
async fn rfc9728_2_the_metadata_tells_which_tokens_are_taken() {
    let world = World::new().await;
    let none: Edit =
        |settings| (settings.proofs, settings.certificates) = (None, Certificates::Unseen);
    let dpop_alone: Edit = |settings| {
        (settings.certificates, settings.sender_constrained) = (Certificates::Unseen, true);
    };
    let demanding: Edit = |settings| settings.sender_constrained = true;
    for (edit, algs, required, certificates) in [
        (none, false, false, false),
        ((|_| {}) as Edit, true, false, true),
        (dpop_alone, true, true, false),
        (demanding, true, false, true),
    ] {
        let metadata = world.proving(edit).resource_metadata(&read(), &[]);
        let algorithms = metadata["dpop_signing_alg_values_supported"].as_array();
        assert_eq!(algorithms.is_some(), algs);
        assert!(algorithms.is_none_or(|known| known.contains(&json!("ES256"))));
        for (name, expected) in [
            ("dpop_bound_access_tokens_required", required),
            ("tls_client_certificate_bound_access_tokens", certificates),
        ] {
            let told = metadata.get(name).and_then(Value::as_bool);
            assert_eq!(told, expected.then_some(true), "{name}");
        }
    }
    let mut settings = world.settings(Policy::Jwks);
    settings.sender_constrained = true;
    assert_eq!(Guard::new(settings).err(), Some(InvalidGuard::NoConstraint));
}

#[tokio::test]
async fn rfc9449_6_2_the_issuer_tells_whom_an_opaque_token_is_bound_to() {
    let world = World::new().await;
    let mut settings = world.settings(Policy::Introspect);
    settings.proofs = Some(proofs(remembered(), NoncePolicy::Offered));
    let guard = Guard::new(settings).unwrap();
    let holder = Holder::new();
    let active = edited(&world.claims(), "active", json!(true));
    let bound = edited(&active, "cnf", holder.jkt());
    let dpop = edited(&bound, "token_type", json!("DPoP"));
    let attempt = async |jti: &str, scheme: &str| {
        let proof = holder.proof(&proof_claims(jti, "opaque")).await;
        Attempt::new(&format!("{scheme} opaque")).with("dpop", &proof)
    };
    for (what, answer, scheme, cause) in [
        ("named so", &dpop, "DPoP", "accepted"),
        ("not named", &bound, "DPoP", "accepted"),
        ("a downgrade", &dpop, "Bearer", "SenderConstrained"),
        ("not bound", &active, "DPoP", "NotBound"),
        (
            "named so alone",
            &edited(&active, "token_type", json!("DPoP")),
            "DPoP",
            "Confirmation",
        ),
    ] {
        world.introspection.set(json_of(answer));
        world.clock.forward(2);
        let told = attempt(what, scheme)
            .await
            .at(guard.requiring(read()), None)
            .await;
        assert_eq!(told.cause(), cause, "{what}");
    }
}

/// Where both the token and the issuer are asked, neither may say less than the other.
#[tokio::test]
async fn an_answer_does_not_unbind_a_token() {
    let world = World::new().await;
    let guard = world.proving(|_| {});
    let holder = Holder::new();
    let (bound, unbound) = (world.bound(&holder.jkt()).await, world.token().await);
    let active = edited(&world.claims(), "active", json!(true));
    let with = |cnf: Value| edited(&active, "cnf", cnf);
    for (what, token, answer, scheme, cause) in [
        ("alike", &bound, with(holder.jkt()), "DPoP", "accepted"),
        ("silent", &bound, active.clone(), "DPoP", "accepted"),
        (
            "silent",
            &bound,
            active.clone(),
            "Bearer",
            "SenderConstrained",
        ),
        ("more", &unbound, with(holder.jkt()), "DPoP", "accepted"),
        (
            "more",
            &unbound,
            with(holder.jkt()),
            "Bearer",
            "SenderConstrained",
        ),
        (
            "another",
            &bound,
            with(Holder::new().jkt()),
            "DPoP",
            "Confirmation",
        ),
    ] {
        world.introspection.set(json_of(&answer));
        world.clock.forward(2);
        let proof = holder.proof(&proof_claims(what, token)).await;
        let attempt = Attempt::new(&format!("{scheme} {token}")).with("dpop", &proof);
        let told = attempt.at(guard.introspecting(read()), None).await;
        assert_eq!(told.cause(), cause, "{what} {scheme}");
    }
}
