//! Requests that clients sign: by value, at a URL that they registered, and pushed (RFC 9101, OpenID Connect Core §6).

mod by_reference;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata, ObjectAlgorithm};
use auth_server::codes::Taken;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::{Browser, EMAIL, Page, code, parameter};
use crate::person::{self, REDIRECT, post};
use crate::pushed::{PAR, url_of};
use crate::server::{API, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc9101_5_what_the_client_signed_is_what_counts,
    rfc9101_4_numbers_lists_and_objects_are_parameters,
    rfc9101_6_2_each_algorithm_and_the_registered_one_alone,
    rfc9126_3_a_signed_request_is_pushed,
    rfc9101_10_5_requests_that_must_be_signed,
    rfc9101_6_1_unsigned_objects_take_the_word_of_both,
);

/// A server, an app that signs its requests, and its key.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) app: TestClient,
    pub(crate) key: SigningKey,
}

pub(crate) fn new_key(alg: Algorithm) -> SigningKey {
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

/// An app with this key, which authenticates by a secret.
pub(crate) fn metadata(key: &SigningKey) -> ClientMetadata {
    ClientMetadata {
        jwks: Some(JwkSet::new(vec![key.public().clone()]).to_value()),
        ..person::app(AuthMethod::ClientSecretBasic)
    }
}

impl Scene {
    pub(crate) async fn set(stores: &Stores) -> Self {
        Self::on(TestServer::start_with(config(stores), Arc::default()).await).await
    }

    pub(crate) async fn on(server: TestServer) -> Self {
        let server = server.with_resources(None).await;
        let email = EMAIL.parse().unwrap();
        let found = server.records.accounts.find_by_email(&email).await;
        if found.unwrap().is_none() {
            server.person(EMAIL).await;
        }
        let key = new_key(Algorithm::Es256);
        let app = server.register(metadata(&key)).await;
        Self { server, app, key }
    }

    /// The claims of a good request object, with some of them changed; `null` leaves one out.
    pub(crate) fn claims(&self, changes: &Value) -> Value {
        self.claims_of(&self.app, changes)
    }

    pub(crate) fn claims_of(&self, client: &TestClient, changes: &Value) -> Value {
        let now = self.server.clock.now().as_secs();
        let asked = TestServer::asking(client, &[]);
        let mut claims = json!({"iss": client.id, "aud": self.server.issuer, "exp": now + 300, "nbf": now, "iat": now});
        let members = claims.as_object_mut().unwrap();
        members.extend(asked.into_iter().map(|(name, value)| (name, json!(value))));
        members.extend(changes.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        claims
    }

    pub(crate) async fn object(&self, changes: &Value) -> String {
        sign(
            &self.key,
            &json!({"typ": "oauth-authz-req+jwt"}),
            &self.claims(changes),
        )
        .await
    }

    /// Where the app sends a person with this object, and what stands beside it.
    pub(crate) fn url(&self, object: &str, beside: &[(&str, &str)]) -> String {
        url(&self.server, &self.app, ("request", object), beside)
    }

    /// The page that a new browser comes to.
    pub(crate) async fn open(&self, object: &str) -> Page {
        Browser::new(&self.server).open(self.url(object, &[])).await
    }

    /// Pushed, with nothing beside it that is needed.
    pub(crate) async fn push(&self, object: &str) -> crate::server::Answer {
        post(&self.server, &self.app, PAR, &[("request", object)]).await
    }
}

pub(crate) fn url(
    server: &TestServer,
    client: &TestClient,
    (name, value): (&str, &str),
    beside: &[(&str, &str)],
) -> String {
    let mut url = url::Url::parse(&format!("{}/oauth/authorize", server.issuer)).unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &client.id)
        .append_pair(name, value)
        .extend_pairs(beside);
    url.into()
}

/// A JWT with this header, to which `alg` and `kid` are added where it has none.
pub(crate) async fn sign(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let mut header = header.clone();
    let members = header.as_object_mut().unwrap();
    let kid = key.public().kid().unwrap().as_str();
    members
        .entry("alg")
        .or_insert(json!(key.algorithm().name()));
    members.entry("kid").or_insert(json!(kid));
    members.retain(|_, value| !value.is_null());
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let signature = key.sign(input.as_bytes()).await.unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

async fn rfc9101_5_what_the_client_signed_is_what_counts(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let object = scene.object(&json!({"nonce": "inside"})).await;
    let beside = [
        ("scope", "openid write"),
        ("state", "beside"),
        ("nonce", "beside"),
        ("response_type", "token"),
        ("response_mode", "fragment"),
        ("redirect_uri", "https://evil.example"),
        ("prompt", "none"),
        ("login_hint", "x"),
    ];
    let browser = Browser::new(server);
    let answer = browser
        .sign_in_and_consent(scene.url(&object, &beside))
        .await;
    assert!(answer.as_str().starts_with(REDIRECT), "{answer}");
    assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
    let taken = server.codes.take(&code(&answer), server.clock.now()).await;
    let Taken::First(kept) = taken.unwrap() else {
        panic!("the code is unknown");
    };
    assert_eq!(kept.authorization.nonce.as_deref(), Some("inside"));
    assert_eq!(
        kept.authorization.terms.agreed.scope().to_string(),
        "openid read"
    );
    // The same by POST, which another site makes.
    let form: Vec<_> = [("client_id", scene.app.id.as_str()), ("request", &object)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let endpoint = format!("{}/oauth/authorize", server.issuer);
    let resume = Browser::new(server).post(endpoint, &form).await.location();
    code(&browser.open(resume).await.location());
    // It is judged when it comes: a person may take longer than it lasts.
    let slow = Browser::new(server);
    let url = scene.url(&object, &[]);
    let page = slow.open(&url).await;
    server.clock.advance(Duration::from_mins(10));
    let page = slow
        .sign_in_as(&page, EMAIL, crate::browser::PASSWORD)
        .await;
    code(&page.location());
    assert!(slow.open(&url).await.has("error-title"), "expired");
    scene.server.stop().await;
}

async fn rfc9101_4_numbers_lists_and_objects_are_parameters(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let changes = json!({"max_age": 300, "scope": "openid read reports", "resource": [API, OTHER_API], "unknown": {"a": [1]}});
    let object = scene.object(&changes).await;
    let browser = Browser::new(&scene.server);
    let answer = browser.sign_in_and_consent(scene.url(&object, &[])).await;
    let now = scene.server.clock.now();
    let taken = scene.server.codes.take(&code(&answer), now).await.unwrap();
    let Taken::First(kept) = taken else {
        panic!("the code is unknown");
    };
    assert_eq!(kept.authorization.terms.agreed.resources.len(), 2);
    scene.server.clock.advance(Duration::from_mins(6));
    let object = scene.object(&changes).await;
    let page = browser.open(scene.url(&object, &[])).await;
    assert!(page.has("sign-in"), "max_age counts");
    let object = scene.object(&json!({"max_age": "soon"})).await;
    let answer = browser.open(scene.url(&object, &[])).await.location();
    let error = parameter(&answer, "error");
    assert_eq!(
        error.as_deref(),
        Some("invalid_request"),
        "told where the object says"
    );
    scene.server.stop().await;
}

async fn rfc9101_6_2_each_algorithm_and_the_registered_one_alone(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let server = &scene.server;
    let announced = server.get("/.well-known/openid-configuration").await;
    assert_eq!(
        announced.body["request_object_signing_alg_values_supported"],
        json!(["ES256", "EdDSA", "Ed25519", "PS256", "RS256"])
    );
    let keys: Vec<_> = Algorithm::ALL.into_iter().map(new_key).collect();
    let jwks = JwkSet::new(keys.iter().map(|key| key.public().clone()).collect()).to_value();
    for registered in [None, Some(Algorithm::Ps256)] {
        let app = server
            .register(ClientMetadata {
                jwks: Some(jwks.clone()),
                request_object_signing_alg: registered.map(ObjectAlgorithm::Signature),
                ..person::app(AuthMethod::None)
            })
            .await;
        for key in &keys {
            for typ in [json!("oauth-authz-req+jwt"), json!("JWT"), Value::Null] {
                let claims = scene.claims_of(&app, &json!({}));
                let object = sign(key, &json!({"typ": typ}), &claims).await;
                let url = url(server, &app, ("request", &object), &[]);
                let page = Browser::new(server).open(url).await;
                let good = registered.is_none_or(|alg| alg == key.algorithm());
                assert_eq!(page.has("sign-in"), good, "{} {typ}", key.algorithm());
            }
        }
    }
    scene.server.stop().await;
}

async fn rfc9126_3_a_signed_request_is_pushed(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let (server, app) = (&scene.server, &scene.app);
    let object = scene.object(&json!({"nonce": "inside"})).await;
    let beside = [
        ("request", object.as_str()),
        ("scope", "openid write"),
        ("redirect_uri", "https://evil.example"),
        ("state", "beside"),
    ];
    for form in [&beside[..], &beside[..1]] {
        let answer = post(server, app, PAR, form).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        let url = url_of(server, app, answer.text("request_uri"));
        let answer = Browser::new(server).sign_in_and_consent(url).await;
        assert_eq!(parameter(&answer, "state").as_deref(), Some("af0ifjsldkj"));
        code(&answer);
    }
    // What it asks for is checked now, and told now.
    for (changes, expected) in [
        (json!({"scope": "admin"}), "invalid_scope"),
        (
            json!({"redirect_uri": "https://evil.example"}),
            "invalid_request",
        ),
        (json!({"client_id": "another"}), "invalid_request_object"),
        (json!({"exp": 1}), "invalid_request_object"),
    ] {
        let answer = scene.push(&scene.object(&changes).await).await;
        assert_eq!(answer.error(), (400, expected), "{changes}");
    }
    // Another client's, pushed by itself.
    let other = server.app().await;
    let answer = post(server, &other, PAR, &[("request", &object)]).await;
    assert_eq!(answer.error(), (400, "invalid_request_object"));
    scene.server.stop().await;
}

async fn rfc9101_10_5_requests_that_must_be_signed(stores: &Stores) {
    for by_server in [true, false] {
        let mut config = config(stores);
        config.authorization.require_signed_request_object = by_server;
        let server = TestServer::start_with(config, Arc::default()).await;
        let mut scene = Scene::on(server).await;
        let announced = scene.server.get("/.well-known/openid-configuration").await;
        assert_eq!(announced.body["require_signed_request_object"], by_server);
        let server = &scene.server;
        scene.app = server
            .register(ClientMetadata {
                require_signed_request_object: !by_server,
                ..metadata(&scene.key)
            })
            .await;
        let browser = Browser::new(server);
        let answer = browser.open(server.authorize_url(&scene.app, &[])).await;
        let error = parameter(&answer.location(), "error");
        assert_eq!(error.as_deref(), Some("invalid_request"));
        let answer = crate::pushed::push(server, &scene.app, &[]).await;
        assert_eq!(answer.error(), (400, "invalid_request"));
        let object = scene.object(&json!({})).await;
        code(&browser.sign_in_and_consent(scene.url(&object, &[])).await);
        let pushed = scene.push(&object).await;
        let url = url_of(server, &scene.app, pushed.text("request_uri"));
        code(&browser.sign_in_and_consent(url).await);
        scene.server.stop().await;
    }
}

async fn rfc9101_6_1_unsigned_objects_take_the_word_of_both(stores: &Stores) {
    for offered in [true, false] {
        let mut config = config(stores);
        config.authorization.unsigned_request_objects = offered;
        let server = TestServer::start_with(config, Arc::default()).await;
        let mut scene = Scene::on(server).await;
        let announced = scene.server.get("/.well-known/openid-configuration").await;
        let algorithms = &announced.body["request_object_signing_alg_values_supported"];
        let known = algorithms.as_array().unwrap().contains(&json!("none"));
        assert_eq!(known, offered);
        let careless = ClientMetadata {
            request_object_signing_alg: Some(ObjectAlgorithm::None),
            ..metadata(&scene.key)
        };
        let world = &scene.server.world;
        let registered = scene.server.records.register_client(careless, world).await;
        assert_eq!(registered.is_ok(), offered);
        let unsigned = |claims: &Value, alg: &str| {
            let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
            format!("{}.{}.", encode(&json!({"alg": alg})), encode(claims))
        };
        let object = unsigned(&scene.claims(&json!({})), "none");
        assert!(
            !scene.open(&object).await.has("sign-in"),
            "it registered nothing of the kind"
        );
        let Ok((id, secret)) = registered else {
            scene.server.stop().await;
            continue;
        };
        scene.app = TestClient {
            id: id.to_string(),
            secret: secret.unwrap().expose().to_owned(),
        };
        let claims = scene.claims(&json!({}));
        assert!(scene.open(&unsigned(&claims, "none")).await.has("sign-in"));
        let signed = scene.object(&json!({})).await;
        for (what, object) in [
            ("signed", signed.clone()),
            (
                "with a signature",
                format!("{}AAAA", unsigned(&claims, "none")),
            ),
            ("nOnE", unsigned(&claims, "nOnE")),
            ("None", unsigned(&claims, "None")),
            (
                "for somebody else",
                unsigned(&scene.claims(&json!({"aud": "x"})), "none"),
            ),
            (
                "expired",
                unsigned(&scene.claims(&json!({"exp": 1})), "none"),
            ),
        ] {
            assert!(!scene.open(&object).await.has("sign-in"), "{what}");
        }
        scene.server.stop().await;
    }
}
