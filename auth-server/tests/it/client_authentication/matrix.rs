//! Every method at every endpoint, on two nodes: good proofs, and those that are wrong, over, used, another's, or of a method that the client
//! did not register for.

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::AuthMethod;
use auth_server::clients::secret::ClientSecret;
use shared_protocol::jose::{Algorithm, SigningKey};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use super::{ENDPOINTS, JWT_BEARER, claims};
use crate::certificates::{Pair, Pki, params, years};
use crate::macs;
use crate::server::{Answer, TestClient, TestServer};

on_each_store!(auth_server::store::MIGRATIONS;
    each_method_at_each_endpoint_on_two_nodes,
);

/// What a request carries to prove who sent it.
#[derive(Clone, Default)]
struct Proof {
    form: Vec<(&'static str, String)>,
    basic: Option<(String, String)>,
    certificate: Option<reqwest::Client>,
}

impl Proof {
    /// All that both carry.
    fn and(mut self, other: Self) -> Self {
        let new = other.form.into_iter();
        let new: Vec<_> = new.filter(|one| !self.form.contains(one)).collect();
        self.form.extend(new);
        Self {
            form: self.form,
            basic: self.basic.or(other.basic),
            certificate: self.certificate.or(other.certificate),
        }
    }
}

/// A client and what it proves itself with.
struct Subject {
    method: AuthMethod,
    client: TestClient,
    key: Arc<SigningKey>,
    certificate: reqwest::Client,
    /// The same that is over.
    expired: reqwest::Client,
    /// One of the name, but vouched for as the other method has it.
    other_kind: reqwest::Client,
}

struct World {
    nodes: Vec<TestServer>,
    pki: Pki,
}

impl World {
    async fn start(stores: &Stores) -> Self {
        let pki = Pki::new();
        let config = pki.config(stores);
        let one = TestServer::start_with(config.clone(), Arc::default())
            .await
            .with_resources(None)
            .await;
        let mut nodes = vec![one];
        // In process there is one node.
        if secrecy::ExposeSecret::expose_secret(&config.ephemeral.url) != "memory" {
            let mut second = config;
            second.issuer = nodes[0].issuer.parse().unwrap();
            let clock = nodes[0].clock.clone();
            nodes.push(TestServer::start_with(second, clock).await);
        }
        nodes[0].clock.advance(Duration::from_secs(12));
        Self { nodes, pki }
    }

    fn first(&self) -> &TestServer {
        &self.nodes[0]
    }

    fn last(&self) -> &TestServer {
        self.nodes.last().unwrap()
    }

    async fn subject(&self, method: AuthMethod, name: &str) -> Subject {
        let alg = Algorithm::Es256;
        let key = SigningKey::generate(alg, &SystemRandom).unwrap();
        let key = SigningKey::from_pkcs8(alg, &key).unwrap();
        let own = Pair::self_signed(&params(name));
        let issued = self.pki.authority.client(name);
        let over = years(name, 2000, 2001);
        let (pair, expired, other_kind) = if method == AuthMethod::SelfSignedTlsClientAuth {
            let expired = own.again(&over);
            (own, expired, issued)
        } else {
            (issued, self.pki.authority.issue(&over), own)
        };
        let mut metadata = TestServer::metadata(method, "read");
        match method {
            AuthMethod::TlsClientAuth => {
                metadata.tls_client_auth_subject_dn = Some(format!("CN={name}"));
            }
            AuthMethod::SelfSignedTlsClientAuth => metadata.jwks = Some(pair.jwks()),
            AuthMethod::PrivateKeyJwt => metadata = TestServer::signing_metadata(&key, "read"),
            AuthMethod::None
            | AuthMethod::ClientSecretBasic
            | AuthMethod::ClientSecretPost
            | AuthMethod::ClientSecretJwt => {}
        }
        let mut client = self.first().register(metadata).await;
        if client.secret.is_empty() {
            // One that it never had.
            client.secret = ClientSecret::generate(&SystemRandom).expose().to_owned();
        }
        Subject {
            method,
            client,
            key: Arc::new(key),
            certificate: pair.http(&self.pki),
            expired: expired.http(&self.pki),
            other_kind: other_kind.http(&self.pki),
        }
    }

    /// What `subject` would prove itself with by `method`, as the client `claimed`.
    async fn proof(
        &self,
        subject: &Subject,
        method: AuthMethod,
        claimed: &TestClient,
        lifetime: i64,
    ) -> Proof {
        let named = |form| Proof {
            form,
            ..Proof::default()
        };
        let id = ("client_id", claimed.id.clone());
        let server = self.first();
        let mut claims = claims(server, claimed, &macs::unique());
        claims["exp"] = serde_json::json!(server.clock.now().as_secs() + lifetime);
        match method {
            AuthMethod::None => named(vec![id]),
            AuthMethod::ClientSecretBasic => Proof {
                basic: Some((claimed.id.clone(), subject.client.secret.clone())),
                ..Proof::default()
            },
            AuthMethod::ClientSecretPost => {
                named(vec![id, ("client_secret", subject.client.secret.clone())])
            }
            AuthMethod::ClientSecretJwt => {
                let secret = subject.client.secret.as_bytes();
                named(asserted(macs::assertion("HS256", secret, &claims)))
            }
            AuthMethod::PrivateKeyJwt => {
                named(asserted(server.assertion(&subject.key, &claims).await))
            }
            AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => {
                let own = method == subject.method || !subject.method.uses_certificate();
                let certificate = if own {
                    &subject.certificate
                } else {
                    &subject.other_kind
                };
                Proof {
                    certificate: Some(certificate.clone()),
                    ..named(vec![id])
                }
            }
        }
    }

    async fn good(&self, subject: &Subject) -> Proof {
        self.proof(subject, subject.method, &subject.client, 60)
            .await
    }
}

fn asserted(assertion: String) -> Vec<(&'static str, String)> {
    vec![
        ("client_assertion_type", JWT_BEARER.to_owned()),
        ("client_assertion", assertion),
    ]
}

async fn ask(node: &TestServer, endpoint: &str, proof: &Proof) -> Answer {
    let mut form = vec![
        ("grant_type", "client_credentials".to_owned()),
        ("token", "none".to_owned()),
    ];
    form.extend(proof.form.clone());
    let (http, base) = match &proof.certificate {
        Some(http) => (http, node.mtls.as_ref().unwrap()),
        None => (&node.http, &node.issuer),
    };
    let mut request = http.post(format!("{base}{endpoint}")).form(&form);
    if let Some((id, secret)) = &proof.basic {
        request = request.basic_auth(id, Some(secret));
    }
    node.send(request).await
}

/// Whoever is public gets no further than being known.
fn welcome(method: AuthMethod, endpoint: &str) -> (u16, &'static str) {
    if method == AuthMethod::None && endpoint != "/oauth/revoke" {
        (400, "unauthorized_client")
    } else {
        (200, "no error")
    }
}

const NOBODY: (u16, &str) = (401, "invalid_client");
const SEVERAL: (u16, &str) = (400, "invalid_request");

async fn each_method_at_each_endpoint_on_two_nodes(stores: &Stores) {
    let world = Box::pin(World::start(stores)).await;
    for method in AuthMethod::ALL {
        let (one, other) = (
            world.subject(method, &format!("one {method:?}")).await,
            world.subject(method, &format!("other {method:?}")).await,
        );
        for endpoint in ENDPOINTS {
            let about = |what: &str| format!("{what}: {} at {endpoint}", method.as_str());
            let is_public = method == AuthMethod::None;
            let is_asserted = matches!(
                method,
                AuthMethod::ClientSecretJwt | AuthMethod::PrivateKeyJwt
            );
            for node in &world.nodes {
                let good = ask(node, endpoint, &world.good(&one).await).await;
                assert_eq!(good.error(), welcome(method, endpoint), "{}", about("good"));
            }
            // Of an assertion, the first use is the last; a secret and a certificate are for many.
            let proof = world.good(&one).await;
            ask(world.first(), endpoint, &proof).await;
            for node in [world.last(), world.first()] {
                let again = ask(node, endpoint, &proof).await;
                let expected = if is_asserted {
                    NOBODY
                } else {
                    welcome(method, endpoint)
                };
                assert_eq!(again.error(), expected, "{}", about("replayed"));
            }
            if !is_public {
                let others = world.proof(&other, method, &one.client, 60).await;
                let others = ask(world.last(), endpoint, &others).await;
                assert_eq!(others.error(), NOBODY, "{}", about("another client's"));
                let unknown = TestClient {
                    id: "nobody".into(),
                    secret: String::new(),
                };
                let unknown = world.proof(&one, method, &unknown, 60).await;
                let unknown = ask(world.last(), endpoint, &unknown).await;
                assert_eq!(unknown.error(), NOBODY, "{}", about("nobody's"));
            }
            if is_asserted {
                let over = world.proof(&one, method, &one.client, -1).await;
                let over = ask(world.first(), endpoint, &over).await;
                assert_eq!(over.error(), NOBODY, "{}", about("expired"));
            }
            if method.uses_certificate() {
                let mut over = world.good(&one).await;
                over.certificate = Some(one.expired.clone());
                let over = ask(world.first(), endpoint, &over).await;
                assert_eq!(over.error(), NOBODY, "{}", about("expired"));
            }
            for foreign in AuthMethod::ALL {
                if foreign == method {
                    continue;
                }
                let what = about(foreign.as_str());
                let unregistered = world.proof(&one, foreign, &one.client, 60).await;
                let answer = ask(world.first(), endpoint, &unregistered).await;
                // A certificate is no proof of those that did not register for one, nor does it stand in their way.
                let expected = if is_public && foreign.uses_certificate() {
                    welcome(method, endpoint)
                } else {
                    NOBODY
                };
                assert_eq!(answer.error(), expected, "alone, {what}");
                // A connection has one certificate.
                let one_certificate = method.uses_certificate() && foreign.uses_certificate();
                if is_public || foreign == AuthMethod::None || one_certificate {
                    continue;
                }
                let both = world.good(&one).await.and(unregistered);
                let both = ask(world.first(), endpoint, &both).await;
                let expected = if foreign.uses_certificate() {
                    welcome(method, endpoint)
                } else {
                    SEVERAL
                };
                assert_eq!(both.error(), expected, "two at once, {what}");
                if method.uses_certificate() {
                    // Who has not proven to be the client does not learn what it registered.
                    let mut strangers = world.proof(&one, foreign, &one.client, 60).await;
                    strangers.certificate = Some(one.expired.clone());
                    let strangers = ask(world.first(), endpoint, &strangers).await;
                    assert_eq!(strangers.error(), NOBODY, "a stranger, {what}");
                }
            }
        }
        if method.uses_secret() {
            secrets_that_were_replaced_end(&world, one).await;
        }
    }
}

async fn secrets_that_were_replaced_end(world: &World, one: Subject) {
    let server = world.first();
    let id = TestServer::client_id(&one.client);
    let secret = ClientSecret::generate(&SystemRandom);
    let (overlap, now) = (Duration::from_mins(10), server.clock.now());
    let rotated = server
        .records
        .clients
        .rotate_secret(&id, &secret, overlap, now);
    rotated.await.unwrap();
    // How soon other nodes hear of it is told elsewhere.
    world.last().records.clients.forget_all();
    let replaced = Subject {
        client: TestClient {
            secret: secret.expose().to_owned(),
            ..one.client.clone()
        },
        key: Arc::clone(&one.key),
        certificate: one.certificate.clone(),
        expired: one.expired.clone(),
        other_kind: one.other_kind.clone(),
        method: one.method,
    };
    for (what, subject, expected) in [
        ("the old one meanwhile", &one, (200, "no error")),
        ("the new one", &replaced, (200, "no error")),
    ] {
        let proof = world.good(subject).await;
        let answer = ask(server, "/oauth/token", &proof).await;
        assert_eq!(answer.error(), expected, "{what} {}", one.method.as_str());
    }
    server.clock.advance(Duration::from_mins(11));
    for (what, subject, expected) in [
        ("the old one afterwards", &one, NOBODY),
        ("the new one for ever", &replaced, (200, "no error")),
    ] {
        for node in &world.nodes {
            for endpoint in ENDPOINTS {
                let proof = world.good(subject).await;
                let answer = ask(node, endpoint, &proof).await;
                assert_eq!(answer.error(), expected, "{what} {}", one.method.as_str());
            }
        }
    }
}
