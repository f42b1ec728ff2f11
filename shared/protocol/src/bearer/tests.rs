mod authentication;
mod authorization_details;
mod claims;
mod introspection;
mod keys;
mod sender;
mod settings;

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use aws_lc_rs::hmac;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, Respond, ResponseTemplate};

use super::*;
use crate::jose::{Algorithm, JwkSet, JwtError, JwtKind, KeyId, SigningKey, UnverifiedJwt};
use crate::outbound::{FetcherSettings, Origin};
use crate::random::SystemRandom;
use crate::scope::ScopeSet;
use crate::time::Instant;

const RESOURCE: &str = "https://api.example/v1";
const START: i64 = 1_800_000_000;
const METADATA: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/jwks";
const INTROSPECT: &str = "/introspect";
/// Of what tokens are bound to, and nobody proves.
const DIGEST: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

struct HandClock(AtomicI64);

impl HandClock {
    fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A response that a test can change while the server runs.
#[derive(Clone)]
struct Changing(Arc<Mutex<ResponseTemplate>>);

impl Changing {
    fn new(template: ResponseTemplate) -> Self {
        Self(Arc::new(Mutex::new(template)))
    }

    fn set(&self, template: ResponseTemplate) {
        *self.0.lock().unwrap() = template;
    }
}

impl Respond for Changing {
    fn respond(&self, _: &wiremock::Request) -> ResponseTemplate {
        self.0.lock().unwrap().clone()
    }
}

fn signing_key(alg: Algorithm) -> SigningKey {
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

fn json_of(value: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(value)
}

fn key_set(keys: &[&SigningKey]) -> ResponseTemplate {
    let keys = keys.iter().map(|key| key.public().clone()).collect();
    json_of(&JwkSet::new(keys).to_value())
}

/// An issuer on this machine, and the clock that its tokens and our guard go by.
struct World {
    server: MockServer,
    key: SigningKey,
    clock: Arc<HandClock>,
    metadata: Changing,
    jwks: Changing,
    introspection: Changing,
}

impl World {
    async fn new() -> Self {
        let server = MockServer::start().await;
        let key = signing_key(Algorithm::Es256);
        let metadata = Changing::new(json_of(&json!({
            "issuer": server.uri(),
            "jwks_uri": format!("{}{JWKS}", server.uri()),
            "introspection_endpoint": format!("{}{INTROSPECT}", server.uri()),
        })));
        let jwks = Changing::new(key_set(&[&key]));
        let introspection = Changing::new(json_of(&json!({"active": false})));
        for (at, response) in [
            (METADATA, &metadata),
            (JWKS, &jwks),
            (INTROSPECT, &introspection),
        ] {
            Mock::given(path(at))
                .respond_with(response.clone())
                .mount(&server)
                .await;
        }
        Self {
            server,
            key,
            clock: Arc::new(HandClock(AtomicI64::new(START * 1000))),
            metadata,
            jwks,
            introspection,
        }
    }

    fn issuer(&self) -> Issuer {
        self.server.uri().parse().unwrap()
    }

    fn settings(&self, policy: Policy) -> GuardSettings {
        let url = self.issuer().url().clone();
        GuardSettings {
            resource: RESOURCE.parse().unwrap(),
            issuers: vec![TrustedIssuer {
                issuer: self.issuer(),
                policy,
                introspection: Some(IntrospectionCredentials::ClientSecretBasic {
                    client_id: "the api".parse().unwrap(),
                    client_secret: "s:e%cret".to_owned().into(),
                }),
            }],
            fetcher: Fetcher::new(FetcherSettings {
                allowed: vec![Origin::try_from(&url).unwrap()],
                timeout: Duration::from_millis(500),
                ..FetcherSettings::default()
            })
            .unwrap(),
            clock: Arc::<HandClock>::clone(&self.clock),
            remembered: 100,
            introspection_cache: Duration::from_secs(2),
            algorithms: dpop::ALGORITHMS.to_vec(),
            proofs: None,
            certificates: Certificates::Unseen,
            sender_constrained: false,
        }
    }

    fn guard(&self, policy: Policy) -> Guard {
        Guard::new(self.settings(policy)).unwrap()
    }

    fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": "ES256", "kid": self.key.public().kid().unwrap().as_str()})
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().as_secs();
        json!({
            "iss": self.server.uri(), "sub": "alice", "client_id": "app", "aud": RESOURCE, "exp": now + 300,
            "iat": now, "jti": "t1", "scope": "profile:read", "auth_time": now - 60,
        })
    }

    async fn token(&self) -> String {
        signed(&self.header(), &self.claims(), &self.key).await
    }

    async fn token_by(&self, key: &SigningKey) -> String {
        let kid = key.public().kid().map(KeyId::as_str).unwrap();
        let header = edited(&self.header(), "kid", json!(kid));
        signed(&header, &self.claims(), key).await
    }

    async fn count(&self, at: &str) -> usize {
        let requests = self.server.received_requests().await.unwrap();
        requests.iter().filter(|r| r.url.path() == at).count()
    }

    /// Waits for a fetch in the background.
    async fn until_count(&self, at: &str, count: usize) {
        let reached = async {
            while self.count(at).await != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), reached)
            .await
            .expect("the fetch happens");
    }
}

fn edited(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().insert(name.into(), value);
    object
}

fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name).unwrap();
    object
}

fn input(header: &Value, claims: &Value) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", encode(header), encode(claims))
}

async fn signed(header: &Value, claims: &Value, key: &SigningKey) -> String {
    let input = input(header, claims);
    let signature = URL_SAFE_NO_PAD.encode(key.sign(input.as_bytes()).await.unwrap());
    format!("{input}.{signature}")
}

struct Outcome {
    status: StatusCode,
    challenge: Option<String>,
    error: Option<Arc<BearerError>>,
    retry_after: bool,
    body: String,
}

impl Outcome {
    #[track_caller]
    fn cause(&self) -> InvalidToken {
        match self.error.as_deref() {
            Some(BearerError::InvalidToken(cause)) => *cause,
            other => panic!("{} {other:?}", self.status),
        }
    }
}

async fn send(layer: GuardLayer, authorization: &[&str]) -> Outcome {
    async fn whoami(Extension(token): Extension<Arc<AccessToken>>) -> String {
        token.subject().to_owned()
    }
    let router = Router::new().route("/", get(whoami)).route_layer(layer);
    let mut request = Request::new(Body::empty());
    for value in authorization {
        request
            .headers_mut()
            .append(AUTHORIZATION, value.parse().unwrap());
    }
    let response = router.oneshot(request).await.unwrap();
    let text = |name| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
    let error = response.extensions().get::<Arc<BearerError>>().cloned();
    let no_store = text(CACHE_CONTROL).as_deref() == Some("no-store");
    assert_eq!(error.is_some(), no_store, "refusals are not stored");
    Outcome {
        status: response.status(),
        challenge: text(WWW_AUTHENTICATE),
        retry_after: text(RETRY_AFTER).is_some(),
        error,
        body: String::from_utf8(to_bytes(response.into_body(), 1024).await.unwrap().to_vec())
            .unwrap(),
    }
}

fn read() -> ScopeSet {
    "profile:read".parse().unwrap()
}

async fn get_with(guard: &Guard, token: &str) -> Outcome {
    send(guard.requiring(read()), &[&format!("Bearer {token}")]).await
}

#[tokio::test]
async fn rfc6750_3_each_refusal_is_a_challenge_that_names_its_reason() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = format!("Bearer {}", world.token().await);
    let expired = edited(&world.claims(), "exp", json!(START));
    let expired = signed(&world.header(), &expired, &world.key).await;
    let expired = format!("Bearer {expired}");
    let metadata =
        r#"resource_metadata="https://api.example/.well-known/oauth-protected-resource/v1""#;
    let write = "profile:read profile:write";
    for (what, scope, headers, status, challenge) in [
        (
            "no token",
            "",
            &[][..],
            401,
            String::from("Bearer ") + metadata,
        ),
        (
            "no token where a scope is needed",
            write,
            &[],
            401,
            format!(r#"Bearer scope="{write}", {metadata}"#),
        ),
        (
            "another scheme",
            "",
            &["Basic YTpi"],
            401,
            String::from("Bearer ") + metadata,
        ),
        (
            "a tab",
            "",
            &["Bearer\tabc"],
            400,
            format!(
                r#"Bearer error="invalid_request", error_description="the Authorization header is malformed", {metadata}"#
            ),
        ),
        (
            "two headers",
            "",
            &[&token, &token],
            400,
            format!(
                r#"Bearer error="invalid_request", error_description="the request carries more than one Authorization header", {metadata}"#
            ),
        ),
        (
            "expired",
            "",
            &[&expired],
            401,
            format!(
                r#"Bearer error="invalid_token", error_description="the token has expired", {metadata}"#
            ),
        ),
        (
            "expired where a scope is needed",
            write,
            &[&expired],
            401,
            format!(
                r#"Bearer error="invalid_token", error_description="the token has expired", scope="{write}", {metadata}"#
            ),
        ),
        (
            "scope",
            write,
            &[&token],
            403,
            format!(
                r#"Bearer error="insufficient_scope", error_description="the access token lacks scope", scope="{write}", {metadata}"#
            ),
        ),
    ] {
        let outcome = send(guard.requiring(scope.parse().unwrap()), headers).await;
        assert_eq!(outcome.status.as_u16(), status, "{what}");
        assert_eq!(outcome.challenge, Some(challenge), "{what}");
        assert_eq!(outcome.body, "", "{what}");
        assert!(outcome.error.is_some(), "{what}");
    }
    let outcome = send(guard.requiring(read()), &[&token]).await;
    assert_eq!(
        (outcome.status, outcome.body.as_str()),
        (StatusCode::OK, "alice")
    );
}

#[tokio::test]
async fn a_remembered_token_still_expires_and_still_needs_scope() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let token = world.token().await;
    assert_eq!(get_with(&guard, &token).await.status, StatusCode::OK);
    let write = guard.requiring("profile:write".parse().unwrap());
    let outcome = send(write, &[&format!("Bearer {token}")]).await;
    assert_eq!(outcome.status, StatusCode::FORBIDDEN);
    world.clock.forward(300);
    assert_eq!(
        get_with(&guard, &token).await.cause(),
        InvalidToken::Expired
    );
}

#[tokio::test]
async fn a_token_says_whom_it_speaks_for() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    for (sub, service) in [("alice", false), ("app", true)] {
        let claims = edited(&world.claims(), "sub", json!(sub));
        let token = signed(&world.header(), &claims, &world.key).await;
        let seen = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&seen);
        let service_fn = tower::service_fn(move |request: axum::extract::Request| {
            let token = request.extensions().get::<Arc<AccessToken>>().cloned();
            *keep.lock().unwrap() = token;
            async { Ok::<_, std::convert::Infallible>(axum::response::Response::default()) }
        });
        let mut request = Request::new(Body::empty());
        let value = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
        let guarded = tower::Layer::layer(&guard.requiring(read()), service_fn);
        guarded.oneshot(request).await.unwrap();
        let token = seen.lock().unwrap().take().unwrap();
        assert_eq!(token.is_service(), service, "{sub}");
        assert_eq!(token.issuer(), &world.issuer());
        assert_eq!(token.client_id().as_str(), "app");
        assert_eq!(token.scope(), &read());
        assert_eq!(token.expires_at(), Instant::from_secs(START + 300));
        assert_eq!(token.issued_at(), Some(Instant::from_secs(START)));
        assert_eq!(token.auth_time(), Some(Instant::from_secs(START - 60)));
        assert_eq!(token.jti(), Some("t1"));
    }
}
