//! Tokens that are bound to a key (RFC 9449 §7) or a certificate (RFC 8705 §3).

mod certificate;
mod key;

use http::header::VARY;
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
            .retain(|name, _| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()));
        json!({"typ": "dpop+jwt", "alg": self.0.algorithm().name(), "jwk": jwk})
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
            varies: all(VARY),
            error: response.extensions().get::<Arc<BearerError>>().cloned(),
        }
    }
}

struct Told {
    status: u16,
    challenges: Vec<String>,
    nonces: Vec<String>,
    kept: Vec<String>,
    varies: Vec<String>,
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
