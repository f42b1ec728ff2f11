//! Keys that clients publish (RFC 7591 §2, `jwks_uri`).

use std::time::Duration;

use auth_server::clients::{AuthMethod, Client, ClientMetadata};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::server::{API, Answer, TestClient, TestServer, config};
use crate::site::Site;

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7591_2_a_client_proves_itself_with_keys_that_it_publishes,
    a_rotated_key_works_within_a_minute_and_a_removed_one_is_dead,
    a_key_without_a_name_may_be_replaced,
    an_unknown_name_has_the_site_asked_once_in_ten_seconds,
    rfc9111_caching_shortens_and_never_lengthens,
    a_site_that_fails_is_left_alone_and_only_fresh_keys_are_believed,
    documents_that_hold_no_keys,
    of_many_that_need_a_key_one_fetches_and_few_wait,
    two_nodes_learn_of_a_new_key,
);

const JWKS: &str = "/jwks.json";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A server, the site of a client, and the client.
struct Scene {
    server: TestServer,
    site: Site,
    client: TestClient,
    key: SigningKey,
}

impl Scene {
    async fn set(stores: &Stores) -> Self {
        let site = Site::start().await;
        let mut config = config(stores);
        site.open_to(&mut config);
        let server = TestServer::start_with(config, std::sync::Arc::default()).await;
        let server = server.with_resources(None).await;
        // So that no assertion is from before the memory of used ones.
        server.clock.advance(Duration::from_mins(2));
        let key = new_key();
        site.put(JWKS, &set(&[&key]));
        let client = server.register(metadata(&site.at(JWKS))).await;
        Self {
            server,
            site,
            client,
            key,
        }
    }

    async fn ask(&self, key: &SigningKey) -> Answer {
        ask(&self.server, &self.client, key).await
    }

    async fn accepts(&self, key: &SigningKey) -> bool {
        is_accepted(&self.ask(key).await)
    }

    fn later(&self, seconds: u64) {
        self.server.clock.advance(Duration::from_secs(seconds));
    }
}

fn new_key() -> SigningKey {
    let alg = Algorithm::Es256;
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

fn set(keys: &[&SigningKey]) -> Value {
    let keys = keys.iter().map(|key| key.public().clone());
    JwkSet::new(keys.collect()).to_value()
}

/// The same keys without `kid`.
fn nameless(keys: &[&SigningKey]) -> Value {
    let mut set = set(keys);
    for key in set["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("kid");
    }
    set
}

pub(crate) fn metadata(jwks_uri: &str) -> ClientMetadata {
    let mut metadata = TestServer::metadata(AuthMethod::PrivateKeyJwt, "read");
    metadata.jwks_uri = Some(jwks_uri.parse().unwrap());
    metadata
}

fn claims(server: &TestServer, client: &TestClient) -> Value {
    let now = server.clock.now().as_secs();
    let jti = shared_protocol::random::alphanumeric(16, &SystemRandom);
    json!({"iss": client.id, "sub": client.id, "aud": server.issuer, "iat": now, "exp": now + 60, "jti": jti})
}

async fn present(server: &TestServer, assertion: &str) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("resource", API),
        ("client_assertion_type", JWT_BEARER),
        ("client_assertion", assertion),
    ];
    server.send(server.form("/oauth/token", &form)).await
}

pub(crate) async fn ask(server: &TestServer, client: &TestClient, key: &SigningKey) -> Answer {
    let assertion = server.assertion(key, &claims(server, client)).await;
    present(server, &assertion).await
}

/// What proves a client, beside other parameters.
pub(crate) async fn proof(
    server: &TestServer,
    client: &TestClient,
    key: &SigningKey,
) -> [(&'static str, String); 2] {
    let assertion = server.assertion(key, &claims(server, client)).await;
    [
        ("client_assertion_type", JWT_BEARER.to_owned()),
        ("client_assertion", assertion),
    ]
}

/// At another node of the same issuer.
async fn ask_at(node: &TestServer, scene: &Scene, key: &SigningKey) -> Answer {
    let claims = claims(&scene.server, &scene.client);
    let assertion = scene.server.assertion(key, &claims).await;
    present(node, &assertion).await
}

/// With an assertion that does not name its key.
async fn ask_without_name(scene: &Scene, key: &SigningKey) -> Answer {
    let header = json!({"alg": "ES256"}).to_string();
    let claims = claims(&scene.server, &scene.client).to_string();
    let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
    let input = format!(
        "{}.{}",
        encode(header.as_bytes()),
        encode(claims.as_bytes())
    );
    let signature = key.sign(input.as_bytes()).await.unwrap();
    let assertion = format!("{input}.{}", encode(&signature));
    present(&scene.server, &assertion).await
}

/// Whether an answer is a token; nothing else but `invalid_client` will do.
pub(crate) fn is_accepted(answer: &Answer) -> bool {
    if answer.status == 200 {
        return true;
    }
    assert_eq!(answer.error(), (401, "invalid_client"), "{}", answer.body);
    assert_eq!(
        answer.text("error_description"),
        "client authentication failed",
        "nothing of the site or of our network is told"
    );
    false
}

async fn rfc7591_2_a_client_proves_itself_with_keys_that_it_publishes(stores: &Stores) {
    let scene = Scene::set(stores).await;
    assert_eq!(scene.site.asked_in_all(), 0, "nothing before it is needed");
    for _ in 0..3 {
        assert!(scene.accepts(&scene.key).await);
    }
    assert!(!scene.accepts(&new_key()).await);
    // Another client with the same URL shares what is known.
    let other = scene.server.register(metadata(&scene.site.at(JWKS))).await;
    let answer = ask(&scene.server, &other, &scene.key).await;
    assert!(is_accepted(&answer));
    assert_eq!(scene.site.asked(JWKS), 1);
}

async fn a_rotated_key_works_within_a_minute_and_a_removed_one_is_dead(stores: &Stores) {
    let scene = Scene::set(stores).await;
    assert!(scene.accepts(&scene.key).await);
    let next = new_key();
    scene.site.put(JWKS, &set(&[&next]));
    // At the worst somebody had the site asked just now.
    assert!(!scene.accepts(&next).await, "ten seconds have not passed");
    assert!(scene.accepts(&scene.key).await, "still fresh");
    scene.later(10);
    assert!(scene.accepts(&next).await);
    assert!(!scene.accepts(&scene.key).await, "gone at the next fetch");
    assert_eq!(scene.site.asked(JWKS), 2);
}

async fn a_key_without_a_name_may_be_replaced(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.site.put(JWKS, &nameless(&[&scene.key]));
    assert!(is_accepted(&ask_without_name(&scene, &scene.key).await));
    let next = new_key();
    scene.site.put(JWKS, &nameless(&[&next]));
    scene.later(10);
    assert!(is_accepted(&ask_without_name(&scene, &next).await));
    assert!(!is_accepted(&ask_without_name(&scene, &scene.key).await));
    assert_eq!(scene.site.asked(JWKS), 2);
}

/// Threat 30.
async fn an_unknown_name_has_the_site_asked_once_in_ten_seconds(stores: &Stores) {
    let scene = Scene::set(stores).await;
    assert!(scene.accepts(&scene.key).await);
    for round in 1..=3 {
        scene.later(10);
        for _ in 0..5 {
            assert!(!scene.accepts(&new_key()).await);
        }
        assert_eq!(scene.site.asked(JWKS), 1 + round);
    }
    // A name that is known, under somebody else's signature, is no reason to ask.
    scene.later(10);
    let claims = claims(&scene.server, &scene.client);
    let forged = scene.server.assertion(&scene.key, &claims).await;
    let (input, _) = forged.rsplit_once('.').unwrap();
    let signature = new_key().sign(input.as_bytes()).await.unwrap();
    let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature));
    assert!(!is_accepted(&present(&scene.server, &forged).await));
    assert_eq!(scene.site.asked(JWKS), 4);
}

async fn rfc9111_caching_shortens_and_never_lengthens(stores: &Stores) {
    for (what, header, seconds) in [
        ("nothing is said", ("x-nothing", "x"), 300),
        ("long", ("cache-control", "max-age=86400"), 300),
        ("short", ("cache-control", "max-age=60"), 60),
        ("shorter than the floor", ("cache-control", "no-store"), 10),
        ("by a date", ("expires", "0"), 10),
    ] {
        let scene = Scene::set(stores).await;
        let keys = set(&[&scene.key]).to_string();
        scene.site.put_with(JWKS, 200, &[header], keys);
        assert!(scene.accepts(&scene.key).await, "{what}");
        // The key goes; who asks for nothing new does not notice until the time has passed.
        scene.site.put(JWKS, &set(&[]));
        scene.later(seconds * 4 / 5 - 1);
        assert!(scene.accepts(&scene.key).await, "{what}");
        assert_eq!(scene.site.asked(JWKS), 1, "{what}");
        scene.later(seconds / 5 + 2);
        assert!(!scene.accepts(&scene.key).await, "{what}");
        assert_eq!(scene.site.asked(JWKS), 2, "{what}");
    }
}

async fn a_site_that_fails_is_left_alone_and_only_fresh_keys_are_believed(stores: &Stores) {
    let scene = Scene::set(stores).await;
    assert!(scene.accepts(&scene.key).await);
    scene.site.put_with(JWKS, 500, &[], "");
    scene.later(60);
    assert!(!scene.accepts(&new_key()).await);
    assert!(scene.accepts(&scene.key).await, "still fresh");
    assert_eq!(scene.site.asked(JWKS), 2);
    scene.later(29);
    assert!(!scene.accepts(&new_key()).await);
    assert_eq!(scene.site.asked(JWKS), 2, "the failure is remembered");
    scene.later(212);
    assert!(!scene.accepts(&scene.key).await, "five minutes have passed");
    assert_eq!(scene.site.asked(JWKS), 3);
    scene.site.put(JWKS, &set(&[&scene.key]));
    scene.later(29);
    assert!(!scene.accepts(&scene.key).await, "remembered again");
    scene.later(1);
    assert!(scene.accepts(&scene.key).await);
    assert_eq!(scene.site.asked(JWKS), 4);
}

async fn documents_that_hold_no_keys(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let good = set(&[&scene.key]).to_string();
    let mut private = set(&[&scene.key]);
    private["keys"][0]["d"] = json!("AAAA");
    let elsewhere = scene.site.at("/elsewhere");
    scene.site.put("/elsewhere", &set(&[&scene.key]));
    let many: Vec<_> = (0..101).map(|_| &scene.key).collect();
    for (what, status, headers, body, good) in [
        (
            "another media type",
            200,
            &[("content-type", "text/plain")][..],
            good.clone(),
            true,
        ),
        ("not found", 404, &[], good.clone(), false),
        ("gone", 410, &[], good.clone(), false),
        ("failing", 500, &[], good.clone(), false),
        ("another success", 203, &[], good.clone(), false),
        (
            "moved",
            301,
            &[("location", elsewhere.as_str())],
            good.clone(),
            false,
        ),
        ("nothing", 200, &[], String::new(), false),
        ("no JSON", 200, &[], "<html>".into(), false),
        ("no set", 200, &[], "[]".into(), false),
        (
            "an empty set",
            200,
            &[],
            json!({"keys": []}).to_string(),
            false,
        ),
        ("a private key", 200, &[], private.to_string(), false),
        ("too many keys", 200, &[], set(&many).to_string(), false),
        (
            "64 KiB and more",
            200,
            &[],
            " ".repeat(65_536) + &good,
            false,
        ),
        (
            "a name twice",
            200,
            &[],
            good.replacen("{\"keys\"", "{\"keys\":[],\"keys\"", 1),
            false,
        ),
    ] {
        let path = format!("/{}", what.replace(' ', "-"));
        scene.site.put_with(&path, status, headers, body);
        let client = scene.server.register(metadata(&scene.site.at(&path))).await;
        let answer = ask(&scene.server, &client, &scene.key).await;
        assert_eq!(is_accepted(&answer), good, "{what}");
        assert_eq!(scene.site.asked(&path), 1, "{what}");
    }
    assert_eq!(scene.site.asked("/elsewhere"), 0);
    scene.site.put_endless("/endless");
    let client = scene
        .server
        .register(metadata(&scene.site.at("/endless")))
        .await;
    let answer = ask(&scene.server, &client, &scene.key).await;
    assert!(!is_accepted(&answer), "an endless one");
}

/// Threat 30: a site that does not answer keeps few requests waiting, and those of others go on.
async fn of_many_that_need_a_key_one_fetches_and_few_wait(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let permits = scene.site.hold("/held", &set(&[&scene.key]));
    let client = scene
        .server
        .register(metadata(&scene.site.at("/held")))
        .await;
    let asking = join_all((0..100).map(|_| ask(&scene.server, &client, &scene.key)));
    let others = async {
        assert!(scene.accepts(&scene.key).await, "others go on");
        permits.add_permits(100);
    };
    let (answers, ()) = tokio::join!(asking, others);
    let accepted = answers.iter().filter(|answer| answer.status == 200).count();
    let busy: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 503)
        .collect();
    assert_eq!(accepted + busy.len(), 100);
    assert!(accepted >= 64, "{accepted}");
    for answer in busy {
        assert_eq!(answer.error(), (503, "temporarily_unavailable"));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert_eq!(scene.site.asked("/held"), 1);
}

async fn two_nodes_learn_of_a_new_key(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut second = config(stores);
    scene.site.open_to(&mut second);
    second.issuer = scene.server.issuer.parse().unwrap();
    let clock = scene.server.clock.clone();
    let other = TestServer::start_with(second, clock).await;
    // In process, each has a memory of used assertions of its own.
    scene.later(120);
    let next = new_key();
    for node in [&scene.server, &other] {
        assert!(is_accepted(&ask_at(node, &scene, &scene.key).await));
    }
    scene.site.put(JWKS, &set(&[&next]));
    scene.later(10);
    for node in [&scene.server, &other] {
        assert!(is_accepted(&ask_at(node, &scene, &next).await));
        assert!(!is_accepted(&ask_at(node, &scene, &scene.key).await));
    }
}

#[test]
fn rfc7591_2_keys_are_registered_by_value_or_by_reference() {
    let key = new_key();
    let both = ClientMetadata {
        jwks: Some(set(&[&key])),
        ..metadata("https://client.example/jwks.json")
    };
    let secret = ClientMetadata {
        token_endpoint_auth_method: AuthMethod::ClientSecretBasic,
        ..metadata("https://client.example/jwks.json")
    };
    for (what, metadata, good) in [
        ("a URL", metadata("https://client.example/jwks.json"), true),
        (
            "a fragment",
            metadata("https://client.example/jwks.json#a"),
            false,
        ),
        ("both", both, false),
        (
            "beside a secret, for what else is signed or encrypted",
            secret,
            true,
        ),
    ] {
        let made = Client::new("client".parse().unwrap(), metadata, Vec::new());
        assert_eq!(made.is_ok(), good, "{what}: {made:?}");
    }
}
