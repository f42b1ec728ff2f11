//! The example of `shared/protocol`, an API of a stranger, with the tokens of the running authorization server.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use shared_protocol::bearer::{Certificates, IntrospectionCredentials, TrustedIssuer};
use shared_protocol::confirmation::CertificateThumbprint;
use shared_protocol::jose::{Algorithm, JwtKind};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};
use tokio::net::TcpListener;

use crate::bound::bound_token;
use crate::operator::Operator;
use crate::process::{Credentials, Place, Running, http, send};
use crate::prover::{Prover, nonce};

#[expect(dead_code, reason = "what its program does, the tests do here")]
#[path = "../../../../shared/protocol/examples/api.rs"]
mod example;

const BOTH: &str = "notes:read notes:write";

struct Scene {
    place: Place,
    /// As a whole: its log is looked at when it goes.
    running: Running,
    operator: Operator,
    /// Where the example is.
    address: String,
    /// What `aud` has to be.
    resource: String,
    writer: Credentials,
}

impl Scene {
    /// The example, as it is reached under an address of this scheme.
    async fn set(scheme: &str, certificates: Certificates) -> Self {
        let place = Place::new();
        place.start(&[]).stop("-TERM");
        let operator = Operator::at(&place).await;
        let writer = operator.register_service_for(BOTH).await;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let resource = format!("{scheme}://{address}");
        let scopes: Vec<_> = BOTH.split(' ').collect();
        operator
            .register_scopes(&resource, &scopes, Some(&writer))
            .await;
        let running = place.start(&[]);
        let us = IntrospectionCredentials::ClientSecretBasic {
            client_id: writer.id.parse().unwrap(),
            client_secret: writer.secret.clone().into(),
        };
        let issuer = TrustedIssuer::by_keys(place.auth("").parse().unwrap()).asked_by(us);
        let app = example::api(resource.parse().unwrap(), issuer, certificates).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            place,
            running,
            operator,
            address: format!("http://{address}"),
            resource,
            writer,
        }
    }

    fn request(&self, method: Method) -> RequestBuilder {
        http().request(method, format!("{}/notes", self.address))
    }

    async fn with(&self, method: Method, token: &str) -> Response {
        send(self.request(method).bearer_auth(token)).await
    }

    async fn token_of(&self, client: &Credentials) -> String {
        self.place.token(client, &self.resource).await
    }

    /// A token of a person, with these claims besides.
    async fn signed(&self, more: Value) -> String {
        let now = SystemClock.now().as_secs();
        let mut claims = json!({
            "iss": self.place.auth(""), "aud": self.resource, "sub": "usr_somebody", "client_id": "an app",
            "jti": alphanumeric(22, &SystemRandom), "iat": now, "exp": now + 300, "scope": BOTH,
        });
        let more = more.as_object().unwrap().clone();
        claims.as_object_mut().unwrap().extend(more);
        let (kind, alg) = (JwtKind::AccessToken, Algorithm::Es256);
        self.operator.signed(kind, alg, &claims).await
    }
}

pub(crate) fn challenge(response: &Response) -> String {
    let lines = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_example_reads_tokens_and_says_what_it_needs() {
    let scene = Scene::set("http", Certificates::Unseen).await;
    let reader = scene.operator.register_service_for("notes:read").await;
    let reading = scene.token_of(&reader).await;
    let response = scene.with(Method::GET, &reading).await;
    assert_eq!(response.status(), 200);
    let told = response.text().await.unwrap();
    assert_eq!(told, format!("{} may notes:read\n", reader.id));

    let response = send(scene.request(Method::GET)).await;
    assert_eq!(response.status(), 401);
    let told = challenge(&response);
    let metadata = format!("{}/.well-known/oauth-protected-resource", scene.address);
    let needed = format!("scope=\"notes:read\", resource_metadata=\"{metadata}\"");
    assert!(told.contains(&needed), "{told}");
    assert!(told.contains("\nDPoP scope="), "{told}");
    let metadata: Value = send(http().get(metadata)).await.json().await.unwrap();
    assert_eq!(metadata["resource"], scene.resource);
    assert_eq!(
        metadata["authorization_servers"],
        json!([scene.place.auth("")])
    );
    assert_eq!(
        metadata["scopes_supported"],
        json!(["notes:read", "notes:write"])
    );

    let response = scene.with(Method::POST, &reading).await;
    assert_eq!(response.status(), 403);
    let told = challenge(&response);
    assert!(told.contains("error=\"insufficient_scope\""), "{told}");
    assert!(told.contains("scope=\"notes:read notes:write\""), "{told}");
    let (place, service) = (&scene.place, scene.place.service());
    let elsewhere = place.token(&service, &place.api("")).await;
    let response = scene.with(Method::GET, &elsewhere).await;
    assert_eq!(response.status(), 401);
    assert!(challenge(&response).contains("error=\"invalid_token\""));
    assert_eq!(scene.running.log(), "");
}

#[tokio::test]
async fn the_example_asks_where_it_must_know_at_once_and_wants_people_who_just_signed_in() {
    let scene = Scene::set("http", Certificates::Unseen).await;
    let writing = scene.token_of(&scene.writer).await;
    assert_eq!(scene.with(Method::POST, &writing).await.status(), 200);
    let revoke = http().post(scene.place.auth("/oauth/revoke"));
    let revoke = scene.writer.on(revoke).form(&[("token", &writing)]);
    assert_eq!(send(revoke).await.status(), 200);
    let response = scene.with(Method::POST, &writing).await;
    assert_eq!(response.status(), 401);
    assert!(challenge(&response).contains("error=\"invalid_token\""));

    let now = SystemClock.now().as_secs();
    let just_now = scene.signed(json!({"auth_time": now - 10})).await;
    assert_eq!(scene.with(Method::DELETE, &just_now).await.status(), 200);
    let long_ago = scene.signed(json!({"auth_time": now - 400})).await;
    for (what, token) in [("a service", &writing), ("long ago", &long_ago)] {
        let response = scene.with(Method::DELETE, token).await;
        assert_eq!(response.status(), 401, "{what}");
        let told = challenge(&response);
        let error = "error=\"insufficient_user_authentication\"";
        assert!(told.contains(error), "{what}: {told}");
        assert!(told.contains("max_age=\"300\""), "{what}: {told}");
    }
}

#[tokio::test]
async fn rfc9449_7_the_example_takes_a_bound_token_of_whoever_has_the_key() {
    let scene = Scene::set("http", Certificates::Unseen).await;
    let prover = Prover::new();
    let client = (&scene.writer, &*scene.resource);
    let token = bound_token(&scene.place, client, &prover).await;
    let here = format!("{}/notes", scene.resource);
    let show = async |proof: &str| {
        let request = scene.request(Method::GET).header("DPoP", proof);
        send(request.header(AUTHORIZATION, format!("DPoP {token}"))).await
    };
    // Whoever knows no nonce yet is told one (§9).
    let proof = async |nonce: &str| prover.proof(("GET", &here), Some(&token), nonce).await;
    let unknown = show(&proof("of somebody else").await).await;
    assert_eq!(unknown.status(), 401);
    let told = challenge(&unknown);
    assert!(told.contains("error=\"use_dpop_nonce\""), "{told}");
    let proof = proof(&nonce(&unknown)).await;
    assert_eq!(show(&proof).await.status(), 200);
    let again = show(&proof).await;
    assert_eq!(again.status(), 401);
    assert!(challenge(&again).contains("error=\"invalid_dpop_proof\""));
    let bare = scene.with(Method::GET, &token).await;
    assert_eq!(bare.status(), 401);
    assert!(challenge(&bare).contains("error=\"invalid_token\""));
}

const OF_PROXY: &[u8] = b"what a proxy saw";

fn client_cert(der: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(der))
}

/// A token that is bound to the certificate of `OF_PROXY`.
async fn of_certificate(scene: &Scene) -> String {
    let bound = CertificateThumbprint::of(OF_PROXY).to_string();
    scene.signed(json!({"cnf": {"x5t#S256": bound}})).await
}

#[tokio::test]
async fn rfc8705_3_behind_a_proxy_the_example_takes_a_bound_token_of_whoever_has_the_certificate() {
    let scene = Scene::set("https", Certificates::OfProxy).await;
    let token = of_certificate(&scene).await;
    for (what, fields, status) in [
        ("its own", vec![client_cert(OF_PROXY)], 200),
        ("another", vec![client_cert(b"another")], 401),
        ("none", vec![], 401),
        ("no byte sequence", vec![STANDARD.encode(OF_PROXY)], 400),
        (
            "two",
            vec![client_cert(OF_PROXY), client_cert(OF_PROXY)],
            400,
        ),
    ] {
        let request = scene.request(Method::GET).bearer_auth(&token);
        let add = |request: RequestBuilder, field| request.header("Client-Cert", field);
        let request = fields.iter().fold(request, add);
        assert_eq!(send(request).await.status(), status, "{what}");
    }
}

#[tokio::test]
async fn rfc9440_4_unless_it_is_said_to_be_behind_a_proxy_the_example_believes_nobody() {
    for scheme in ["http", "https"] {
        let scene = Scene::set(scheme, Certificates::Unseen).await;
        let token = of_certificate(&scene).await;
        for (name, status) in [
            ("Client-Cert", 400),
            ("Client-Cert-Chain", 400),
            ("X-Other", 401),
        ] {
            let request = scene.request(Method::GET).bearer_auth(&token);
            let response = send(request.header(name, client_cert(OF_PROXY))).await;
            assert_eq!(response.status(), status, "{scheme}, {name}");
        }
        let metadata = format!("{}/.well-known/oauth-protected-resource", scene.address);
        let metadata: Value = send(http().get(metadata)).await.json().await.unwrap();
        let announced = metadata.get("tls_client_certificate_bound_access_tokens");
        assert_eq!(announced, None, "{scheme}");
    }
}
