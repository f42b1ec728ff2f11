//! Whatever hands out what may be bound to its sender, or takes it: a good request for each, at the nodes of one server.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use shared_protocol::jose::{JwtKind, SigningKey};
use shared_protocol::time::Clock as _;
use shared_testing::proofs::Proven;
use shared_testing::prover::Prover;
use shared_testing::stores::Stores;

use crate::bound_userinfo::USERINFO;
use crate::browser::{EMAIL, PASSWORD};
use crate::certificates::{Pair, Pki};
use crate::dpop::{PAR, TOKEN, is_shared};
use crate::introspection::eventually;
use crate::person::{Scene, app, code_form, post, refresh_form};
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer};
use crate::token_exchange::{self, gateway_policy, introspects, service};
use crate::{certificate_bound, device, dpop, jwt_bearer, password_grant};

/// Where requests come in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    /// For everybody.
    Main,
    /// Where clients are asked for certificates.
    Certificates,
}

/// A server that does all that there is to do: two nodes where they share their stores, else one.
pub(crate) struct Nodes {
    pub(crate) scene: Scene,
    other: Option<TestServer>,
    pub(crate) pki: Pki,
    /// Somebody who shows no certificate.
    pub(crate) bare: Client,
    /// The gateway of [`API`], without what binds its tokens.
    gateway: ClientMetadata,
    /// Speaks for people.
    outside: SigningKey,
}

impl Nodes {
    pub(crate) async fn start(stores: &Stores) -> Self {
        // Futures hold all of it.
        Box::pin(Self::started(stores)).await
    }

    async fn started(stores: &Stores) -> Self {
        let pki = Pki::new();
        let mut config = pki.config(stores);
        config.authorization.password_grant = true;
        let one = TestServer::start_with(config.clone(), Arc::default()).await;
        let scene = Scene::on(one).await;
        let one = &scene.server;
        one.person(EMAIL).await;
        let outside = jwt_bearer::new_key();
        let issuer = (jwt_bearer::ISSUER, &outside);
        let trusted = jwt_bearer::trust(one, issuer, &json!({})).await;
        trusted.unwrap();
        // By now the first node has made all that the other reads when it starts.
        let other = if is_shared(stores) {
            config.issuer = one.issuer.parse().unwrap();
            config.mtls.url = Some(one.mtls.as_deref().unwrap().parse().unwrap());
            Some(TestServer::start_with(config, Arc::clone(&one.clock)).await)
        } else {
            None
        };
        // So that no proof is from before the memory of used ones.
        one.clock.advance(Duration::from_mins(2));
        Self {
            bare: pki.http().build().unwrap(),
            gateway: service("openid email read write reports", &gateway_policy()),
            scene,
            other,
            pki,
            outside,
        }
    }

    /// One after the other.
    pub(crate) fn node(&self, number: usize) -> &TestServer {
        let other = self.other.as_ref().filter(|_| number % 2 == 1);
        other.unwrap_or(&self.scene.server)
    }

    /// Where a door is, as the whole server is known.
    pub(crate) fn url(&self, door: Door) -> &str {
        base(&self.scene.server, door)
    }

    /// That this client introspects at [`API`], which it is told of as any other change.
    async fn know(&self, gateway: &TestClient) {
        let servers = &self.node(1).records.resource_servers;
        let is_known = async || {
            let found = servers.find(&API.parse().unwrap());
            let client = found.and_then(|known| known.introspection_client_id.clone());
            client.is_some_and(|client| client.to_string() == gateway.id)
        };
        assert!(eventually(is_known).await);
    }

    /// One good request for each, of clients that registered for how their tokens are bound.
    pub(crate) async fn places(&self, sender: &Sender<'_>) -> Vec<Place> {
        Box::pin(self.made(sender)).await
    }

    async fn made(&self, sender: &Sender<'_>) -> Vec<Place> {
        let (scene, server) = (&self.scene, &self.scene.server);
        let confidential = AuthMethod::ClientSecretBasic;
        let register = async |metadata| server.register(sender.registers(metadata)).await;
        let worker = register(TestServer::metadata(confidential, "read")).await;
        let (public, web) = (
            register(app(AuthMethod::None)).await,
            register(app(confidential)).await,
        );
        let gateway = register(self.gateway.clone()).await;
        introspects(scene, API, &["read", "write"], &gateway).await;
        self.know(&gateway).await;
        let television = register(device::television()).await;
        let bearer = register(jwt_bearer::metadata(confidential)).await;
        let trusting = register(password_grant::metadata()).await;

        let resource = ("resource", API);
        let code = || async { scene.code(&public, "openid email read").await };
        let redeem = async || {
            let code = code().await;
            let place = Place::of_grant("authorization_code", &public, &code_form(&code)[1..]);
            let answer = sender.send(self, &place).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer
        };
        let tokens = redeem().await;
        let subject = token_exchange::form(tokens.text("access_token"), OTHER_API);
        let asked = post(
            server,
            &television,
            device::PATH,
            &[("scope", "openid read")],
        )
        .await;
        device::decide(server, asked.text("user_code"), "approve").await;
        let claims = jwt_bearer::good_claims(server, &scene.account_id);
        let assertion = jwt_bearer::sign(JwtKind::BearerAssertion, &claims, &self.outside).await;
        let password = [
            ("username", EMAIL),
            ("password", PASSWORD),
            ("scope", "openid read"),
        ];
        let pushed = TestServer::asking(&web, &[]);
        let pushed: Vec<_> = pushed.iter().map(|(k, v)| (&**k, &**v)).collect();
        let refresh = refresh_form(tokens.text("refresh_token"));
        let device = [("device_code", asked.text("device_code"))];
        let bearing = [("assertion", assertion.as_str()), resource];
        let code = code().await;
        vec![
            // It lives for a minute.
            Place::of_grant("authorization_code", &public, &code_form(&code)[1..]),
            Place::of_grant("client_credentials", &worker, &[resource]).for_good(),
            Place::of_grant("refresh_token", &public, &refresh[1..]).for_good(),
            Place::of_grant(device::GRANT, &television, &device),
            Place::of_grant(token_exchange::EXCHANGE, &gateway, &subject[1..]).for_good(),
            Place::of_grant(jwt_bearer::GRANT, &bearer, &bearing),
            Place::of_grant("password", &trusting, &password).for_good(),
            Place::at("pushed", PAR, Some(&web), &pushed).for_good(),
            Place::of_token(
                "userinfo by GET",
                Method::GET,
                sender,
                redeem().await.text("access_token"),
            ),
            Place::of_token(
                "userinfo by POST",
                Method::POST,
                sender,
                redeem().await.text("access_token"),
            ),
        ]
    }
}

fn base(server: &TestServer, door: Door) -> &str {
    match door {
        Door::Main => &server.issuer,
        Door::Certificates => server.mtls.as_deref().unwrap(),
    }
}

/// How whoever sends a request shows who they are, beside what clients are known by.
pub(crate) enum Sender<'a> {
    /// By a key (RFC 9449).
    Key(&'a Prover),
    /// By a certificate (RFC 8705).
    Certificate(&'a Pair),
}

impl Sender<'_> {
    /// Of a client whose tokens are never bound to nothing.
    fn registers(&self, metadata: ClientMetadata) -> ClientMetadata {
        match self {
            Self::Key(_) => dpop::bound(metadata),
            Self::Certificate(_) => certificate_bound::certified(metadata),
        }
    }

    const fn scheme(&self) -> &'static str {
        match self {
            Self::Key(_) => "DPoP",
            Self::Certificate(_) => "Bearer",
        }
    }

    /// As it should be.
    async fn send(&self, nodes: &Nodes, place: &Place) -> Answer {
        let server = nodes.node(0);
        let request = match self {
            Self::Key(prover) => {
                let proof = place.proof((nodes, Door::Main), prover, &json!({})).await;
                place.request(nodes, (0, Door::Main)).header("dpop", proof)
            }
            Self::Certificate(pair) => {
                place.by((server, Door::Certificates), &pair.http(&nodes.pki))
            }
        };
        server.send(request).await
    }
}

/// A request that is good but for what is to bind or to prove it.
#[derive(Clone)]
pub(crate) struct Place {
    /// The grant type, or in words.
    pub(crate) what: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    client: Option<TestClient>,
    form: Vec<(String, String)>,
    /// The access token that it presents, and under which scheme.
    pub(crate) token: Option<(&'static str, String)>,
    /// Whether it is good any number of times.
    pub(crate) lasts: bool,
}

impl Place {
    fn at(
        what: &'static str,
        path: &'static str,
        client: Option<&TestClient>,
        form: &[(&str, &str)],
    ) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self {
            what,
            method: Method::POST,
            path,
            client: client.cloned(),
            form: form.iter().map(owned).collect(),
            token: None,
            lasts: false,
        }
    }

    fn of_grant(grant: &'static str, client: &TestClient, form: &[(&str, &str)]) -> Self {
        let form = [&[("grant_type", grant)], form].concat();
        Self::at(grant, TOKEN, Some(client), &form)
    }

    fn of_token(what: &'static str, method: Method, sender: &Sender<'_>, token: &str) -> Self {
        Self {
            method,
            token: Some((sender.scheme(), token.to_owned())),
            ..Self::at(what, USERINFO, None, &[])
        }
        .for_good()
    }

    fn for_good(self) -> Self {
        Self {
            lasts: true,
            ..self
        }
    }

    /// The same with another token.
    pub(crate) fn with_token(&self, scheme: &'static str, token: &str) -> Self {
        Self {
            token: Some((scheme, token.to_owned())),
            ..self.clone()
        }
    }

    /// Whether tokens come of it, or it takes one: a code or a request may be bound, and need not.
    pub(crate) fn is_bound(&self) -> bool {
        self.path != PAR
    }

    /// With no proof, at a node and through a door, by somebody who shows no certificate.
    pub(crate) fn request(&self, nodes: &Nodes, (number, door): (usize, Door)) -> RequestBuilder {
        let server = nodes.node(number);
        let http = match door {
            Door::Main => &server.http,
            Door::Certificates => &nodes.bare,
        };
        self.by((server, door), http)
    }

    /// The same by somebody else.
    pub(crate) fn by(&self, (server, door): (&TestServer, Door), http: &Client) -> RequestBuilder {
        let url = format!("{}{}", base(server, door), self.path);
        let mut request = http.request(self.method.clone(), url);
        let mut form = self.form.clone();
        match &self.client {
            Some(public) if public.secret.is_empty() => {
                form.push(("client_id".into(), public.id.clone()));
            }
            Some(client) => request = request.basic_auth(&client.id, Some(&client.secret)),
            None => {}
        }
        if let Some((scheme, token)) = &self.token {
            request = request.header("authorization", format!("{scheme} {token}"));
        }
        if form.is_empty() {
            request
        } else {
            request.form(&form)
        }
    }

    /// Sends these proofs with it.
    pub(crate) async fn send(&self, nodes: &Nodes, at: (usize, Door), proofs: &[String]) -> Answer {
        let request = proofs
            .iter()
            .fold(self.request(nodes, at), |request, proof| {
                request.header("dpop", proof)
            });
        nodes.node(at.0).send(request).await
    }

    /// What a proof is for that is for this place, by way of this door.
    pub(crate) fn proven(&self, nodes: &Nodes, door: Door, nonce: &str) -> Proven {
        Proven {
            method: self.method.to_string(),
            url: format!("{}{}", nodes.url(door), self.path),
            token: self.token.as_ref().map(|(_, token)| token.clone()),
            nonce: nonce.to_owned(),
            now: nodes.scene.server.clock.now(),
        }
    }

    /// A good proof but for these claims.
    pub(crate) async fn proof(
        &self,
        (nodes, door): (&Nodes, Door),
        prover: &Prover,
        changes: &Value,
    ) -> String {
        prover.prove(&self.proven(nodes, door, ""), changes).await
    }

    /// The nonce that a node tells whoever tries.
    pub(crate) async fn nonce(&self, nodes: &Nodes, at: (usize, Door)) -> String {
        let answer = self.send(nodes, at, &["x".to_owned()]).await;
        self.assert_refused(&answer, "invalid_dpop_proof", "no JWT");
        answer.header("dpop-nonce").to_owned()
    }

    pub(crate) fn assert_good(&self, answer: &Answer, what: &str) {
        let good = [200, 201].contains(&answer.status.as_u16());
        assert!(
            good,
            "{}, {what}: {} {}",
            self.what, answer.status, answer.body
        );
    }

    /// That a proof is refused with this code, and whoever sent it has what it takes to try again (RFC 9449 §8.2).
    #[track_caller]
    pub(crate) fn assert_refused(&self, answer: &Answer, code: &str, what: &str) {
        let what = format!("{}, {what}", self.what);
        if self.token.is_some() {
            crate::bound_userinfo::assert_refused(answer, "DPoP", code, &what);
        } else {
            assert_eq!(answer.error(), (400, code), "{what}");
            assert_eq!(answer.header("cache-control"), "no-store", "{what}");
        }
    }
}

/// The methods and paths at which an OpenAPI document says that a proof may come, and the grants of the metadata.
pub(crate) async fn announced(server: &TestServer) -> (BTreeSet<String>, BTreeSet<String>) {
    let document = server.get("/openapi.json").await.body;
    let mut places = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let list = |name: &str| operation[name].as_array().cloned().unwrap_or_default();
            let by_header = list("parameters")
                .iter()
                .any(|known| known["name"] == "DPoP");
            let by_scheme = list("security")
                .iter()
                .any(|known| known["dpop"].is_array());
            if by_header || by_scheme {
                places.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    let metadata = server.get("/.well-known/openid-configuration").await.body;
    let grants = metadata["grant_types_supported"].as_array().unwrap().iter();
    let grants = grants.map(|grant| grant.as_str().unwrap().to_owned());
    (places, grants.collect())
}
