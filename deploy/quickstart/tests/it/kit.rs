//! The example of `shared/protocol`, an API of a stranger, with the tokens of the running authorization server.

use std::net::Ipv4Addr;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use shared_protocol::confirmation::CertificateThumbprint;
use shared_protocol::jose::{Algorithm, JwtKind, Signer as _, SigningKey};
use shared_protocol::random::{SystemRandom, alphanumeric};
use shared_protocol::time::{Clock as _, SystemClock};
use tokio::net::TcpListener;

use crate::operator::Operator;
use crate::process::{Credentials, Place, Running, http, send};

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
    /// The example, to which requests come by http or through a proxy, by https.
    async fn set(scheme: &str) -> Self {
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
        let app: Router = example::api(
            place.auth("").parse().unwrap(),
            resource.parse().unwrap(),
            writer.id.parse().unwrap(),
            writer.secret.clone().into(),
        )
        .unwrap();
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

fn challenge(response: &Response) -> String {
    let lines = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let lines: Vec<_> = lines.map(|line| line.to_str().unwrap()).collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_example_reads_tokens_and_says_what_it_needs() {
    let scene = Scene::set("http").await;
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
    let scene = Scene::set("http").await;
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
    let scene = Scene::set("http").await;
    let key = SigningKey::generate(Algorithm::Es256, &SystemRandom).unwrap();
    let key = SigningKey::from_pkcs8(Algorithm::Es256, &key).unwrap();
    let jkt = key.public().thumbprint().to_string();
    let token = scene.signed(json!({"cnf": {"jkt": jkt}})).await;
    let show = async |proof: &str| {
        let request = scene.request(Method::GET).header("DPoP", proof);
        send(request.header(AUTHORIZATION, format!("DPoP {token}"))).await
    };
    // A process that has just started does not know what was used before: it asks for a proof that it can date (§9).
    let early = show(&proof(&key, &scene, &token, None).await).await;
    assert_eq!(early.status(), 401);
    let told = challenge(&early);
    assert!(told.contains("error=\"use_dpop_nonce\""), "{told}");
    let nonce = early.headers()["DPoP-Nonce"].to_str().unwrap();
    let proof = proof(&key, &scene, &token, Some(nonce)).await;
    assert_eq!(show(&proof).await.status(), 200);
    let again = show(&proof).await;
    assert_eq!(again.status(), 401);
    assert!(challenge(&again).contains("error=\"invalid_dpop_proof\""));
    let bare = scene.with(Method::GET, &token).await;
    assert_eq!(bare.status(), 401);
    assert!(challenge(&bare).contains("error=\"invalid_token\""));
}

/// That whoever has the key sends this token with a GET (RFC 9449 §4.2).
async fn proof(key: &SigningKey, scene: &Scene, token: &str, nonce: Option<&str>) -> String {
    let part = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
    let mut jwk = key.public().to_value();
    let members = jwk.as_object_mut().unwrap();
    members.retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
    let claims = json!({
        "jti": alphanumeric(22, &SystemRandom),
        "htm": "GET",
        "htu": format!("{}/notes", scene.resource),
        "iat": SystemClock.now().as_secs(),
        "ath": part(&Sha256::digest(token)),
        "nonce": nonce,
    });
    let [header, claims] = [header, claims].map(|value| part(value.to_string().as_bytes()));
    let input = format!("{header}.{claims}");
    let signature = key.sign(input.as_bytes()).await.unwrap();
    format!("{input}.{}", part(&signature))
}

#[tokio::test]
async fn rfc8705_3_behind_a_proxy_the_example_takes_a_bound_token_of_whoever_has_the_certificate() {
    let scene = Scene::set("https").await;
    let certificate = b"what a proxy saw";
    let bound = CertificateThumbprint::of(certificate).to_string();
    let token = scene.signed(json!({"cnf": {"x5t#S256": bound}})).await;
    let field = |der: &[u8]| format!(":{}:", STANDARD.encode(der));
    for (what, field, status) in [
        ("its own", Some(field(certificate)), 200),
        ("another", Some(field(b"another")), 401),
        ("no byte sequence", Some(STANDARD.encode(certificate)), 401),
        ("none", None, 401),
    ] {
        let request = scene.request(Method::GET).bearer_auth(&token);
        let request = field.iter().fold(request, |request, field| {
            request.header("Client-Cert", field)
        });
        assert_eq!(send(request).await.status(), status, "{what}");
    }
}
