mod authentication;
mod authorization_details;
mod claims;
mod introspection;
mod keys;
mod sender;

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
#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc9068_4_claims_that_do_not_fit_are_refused() {
    use InvalidToken::{
        Audience, Certificate, Claims, Confirmation, Expired, Issuer, NotYetValid,
        SenderConstrained,
    };
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let good = world.claims();
    let with = |name: &str, value: Value| edited(&good, name, value);
    let mut rows = vec![
        (
            "aud, another",
            with("aud", json!("https://other.example")),
            Err(Audience),
        ),
        (
            "aud, a longer path",
            with("aud", json!("https://api.example/v1/")),
            Err(Audience),
        ),
        (
            "aud, array of others",
            with("aud", json!(["a", "https://api.example"])),
            Err(Audience),
        ),
        ("aud, empty array", with("aud", json!([])), Err(Audience)),
        (
            "aud, array with ours",
            with("aud", json!(["x", RESOURCE])),
            Ok(()),
        ),
        ("aud, a number", with("aud", json!(1)), Err(Claims)),
        (
            "iss, another",
            with("iss", json!("https://evil.example")),
            Err(Issuer),
        ),
        (
            "iss, with a slash",
            with("iss", json!(format!("{}/", world.server.uri()))),
            Err(Issuer),
        ),
        (
            "iss, an array",
            with("iss", json!([world.server.uri()])),
            Err(Issuer),
        ),
        ("iss absent", without(&good, "iss"), Err(Issuer)),
        ("exp now", with("exp", json!(START)), Err(Expired)),
        ("exp in a second", with("exp", json!(START + 1)), Ok(())),
        (
            "exp with a fraction",
            with("exp", json!(1_800_000_000.5)),
            Ok(()),
        ),
        ("exp far away", with("exp", json!(1e300)), Ok(())),
        ("exp negative", with("exp", json!(-1)), Err(Expired)),
        (
            "exp, a string",
            with("exp", json!("1900000000")),
            Err(Claims),
        ),
        (
            "nbf within the leeway",
            with("nbf", json!(START + 5)),
            Ok(()),
        ),
        (
            "nbf in the future",
            with("nbf", json!(START + 6)),
            Err(NotYetValid),
        ),
        (
            "iat in the future",
            with("iat", json!(START + 6)),
            Err(NotYetValid),
        ),
        (
            "cnf jkt",
            with("cnf", json!({"jkt": DIGEST})),
            Err(SenderConstrained),
        ),
        (
            "cnf x5t#S256",
            with("cnf", json!({"x5t#S256": DIGEST})),
            Err(Certificate),
        ),
        (
            "cnf jkt, no digest",
            with("cnf", json!({"jkt": "x"})),
            Err(Confirmation),
        ),
        (
            "cnf jwk",
            with("cnf", json!({"jwk": {}})),
            Err(Confirmation),
        ),
        (
            "cnf jkt and what nobody knows",
            with("cnf", json!({"jkt": DIGEST, "kid": "x"})),
            Err(Confirmation),
        ),
        ("cnf empty", with("cnf", json!({})), Err(Confirmation)),
        ("cnf null", with("cnf", Value::Null), Err(Confirmation)),
        ("sub empty", with("sub", json!("")), Err(Claims)),
        ("sub, a number", with("sub", json!(7)), Err(Claims)),
        (
            "scope, an array",
            with("scope", json!(["profile:read"])),
            Err(Claims),
        ),
    ];
    for name in ["exp", "aud", "sub", "client_id", "iat", "jti"] {
        rows.push(("a required claim absent", without(&good, name), Err(Claims)));
    }
    for (what, claims, expected) in rows {
        let token = signed(&world.header(), &claims, &world.key).await;
        // Twice: what is remembered of a token must not change the answer.
        for _ in 0..2 {
            let outcome = get_with(&guard, &token).await;
            match expected {
                Ok(()) => assert_eq!(outcome.status, StatusCode::OK, "{what} {claims}"),
                Err(cause) => {
                    assert_eq!(outcome.cause(), cause, "{what} {claims}");
                    assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{what}");
                }
            }
        }
    }
    let scopeless = signed(&world.header(), &without(&good, "scope"), &world.key).await;
    let outcome = get_with(&guard, &scopeless).await;
    assert_eq!(outcome.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rfc8725_3_11_only_the_issuers_signature_on_an_access_token_counts() {
    let world = World::new().await;
    let guard = world.guard(Policy::Jwks);
    let (header, claims) = (world.header(), world.claims());
    for typ in [
        json!("JWT"),
        json!("client-authentication+jwt"),
        json!("logout+jwt"),
        json!("secevent+jwt"),
        json!("dpop+jwt"),
        json!(""),
    ] {
        let token = signed(&edited(&header, "typ", typ.clone()), &claims, &world.key).await;
        let cause = get_with(&guard, &token).await.cause();
        assert_eq!(cause, InvalidToken::Jwt(JwtError::Kind), "{typ}");
    }
    let untyped = signed(&without(&header, "typ"), &claims, &world.key).await;
    let cause = get_with(&guard, &untyped).await.cause();
    assert_eq!(cause, InvalidToken::Jwt(JwtError::Kind));

    let none = format!(
        "{}.",
        input(&edited(&header, "alg", json!("none")), &claims)
    );
    // The public key as an HMAC secret: what a verifier does that lets the header choose.
    let hs256 = input(&edited(&header, "alg", json!("HS256")), &claims);
    let secret = world.key.public().to_value().to_string();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        hs256.as_bytes(),
    );
    let hs256 = format!("{hs256}.{}", URL_SAFE_NO_PAD.encode(tag));
    for (what, token) in [("none", none), ("HS256", hs256)] {
        let cause = get_with(&guard, &token).await.cause();
        assert_eq!(cause, InvalidToken::Jwt(JwtError::Algorithm), "{what}");
    }

    let forged = signed(&header, &claims, &signing_key(Algorithm::Es256)).await;
    let cause = get_with(&guard, &forged).await.cause();
    assert_eq!(cause, InvalidToken::Jwt(JwtError::Signature));
    let good = world.token().await;
    assert_eq!(get_with(&guard, &good).await.status, StatusCode::OK);
    // A remembered token vouches for no other with the same signature.
    let (_, signature) = good.rsplit_once('.').unwrap();
    let other = format!(
        "{}.{signature}",
        input(&header, &edited(&claims, "sub", json!("eve")))
    );
    assert_eq!(
        get_with(&guard, &other).await.status,
        StatusCode::UNAUTHORIZED
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

#[tokio::test]
async fn rfc9728_metadata_and_where_it_is() {
    let world = World::new().await;
    for (resource, expected) in [
        (
            "https://api.example",
            Some("https://api.example/.well-known/oauth-protected-resource"),
        ),
        (
            "https://api.example/",
            Some("https://api.example/.well-known/oauth-protected-resource"),
        ),
        (
            "https://api.example/a/",
            Some("https://api.example/.well-known/oauth-protected-resource/a/"),
        ),
        (
            "https://api.example/a?b=c",
            Some("https://api.example/.well-known/oauth-protected-resource/a?b=c"),
        ),
        ("urn:example:api", None),
    ] {
        let mut settings = world.settings(Policy::Jwks);
        settings.resource = resource.parse().unwrap();
        let url = Guard::new(settings).map(|guard| guard.resource_metadata_url().to_string());
        assert_eq!(url.ok().as_deref(), expected, "{resource}");
    }
    assert_eq!(
        world
            .guard(Policy::Jwks)
            .resource_metadata(&"b a".parse().unwrap(), &["t"]),
        json!({
            "resource": RESOURCE, "authorization_servers": [world.server.uri()],
            "scopes_supported": ["a", "b"], "bearer_methods_supported": ["header"],
            "authorization_details_types_supported": ["t"],
        })
    );
    let guard = world.guard(Policy::Jwks);
    let app: Router = guard.resource_metadata_route(&read(), &["t"]);
    let there = Request::get("/.well-known/oauth-protected-resource/v1");
    let response = app.oneshot(there.body(Body::empty()).unwrap()).await;
    let (head, body) = response.unwrap().into_parts();
    assert_eq!(head.headers[CONTENT_TYPE], "application/json");
    let body = to_bytes(body, 4096).await.unwrap();
    let served: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(served, guard.resource_metadata(&read(), &["t"]));
    let without = guard.resource_metadata(&read(), &[]);
    let of_types = without.get("authorization_details_types_supported");
    assert_eq!(of_types, None, "RFC 9728 §2: no empty arrays");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let world = World::new().await;
    let refused = |edit: &dyn Fn(&mut GuardSettings)| {
        let mut settings = world.settings(Policy::Introspect);
        edit(&mut settings);
        Guard::new(settings).err()
    };
    assert_eq!(refused(&|_| {}), None);
    assert_eq!(
        refused(&|s| s.issuers.clear()),
        Some(InvalidGuard::NoIssuer)
    );
    assert_eq!(
        refused(&|s| s.issuers[0].introspection = None),
        Some(InvalidGuard::NoCredentials(world.issuer()))
    );
    assert_eq!(
        refused(&|s| s.issuers.push(TrustedIssuer {
            issuer: world.issuer(),
            policy: Policy::Jwks,
            introspection: None
        })),
        Some(InvalidGuard::IssuerTwice(world.issuer()))
    );
    assert_eq!(
        refused(&|s| s.introspection_cache = Duration::from_millis(5001)),
        Some(InvalidGuard::IntrospectionCache)
    );
    assert_eq!(
        refused(&|s| s.resource = "urn:a:b".parse().unwrap()),
        Some(InvalidGuard::Resource)
    );
}
