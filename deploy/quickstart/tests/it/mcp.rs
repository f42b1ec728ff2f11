//! The authorization specification of the Model Context Protocol, revision 2026-07-28 (<https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization>),
//! proven with its official TypeScript SDK, which speaks the revision before, 2025-11-25: what both ask of an authorization server and
//! of an MCP server, which is a resource server, is the same but for what is marked.
//!
//! Of the authorization server:
//!
//! | what | section | where it is proven |
//! |---|---|---|
//! | MUST be OAuth 2.1, for public and confidential clients | Overview 1 | the tests of auth-server |
//! | SHOULD take Client ID Metadata Documents, and announce it; the document's `client_id` MUST be its URL, redirect URIs MUST be listed in it; SHOULD be cached and fetched with care | Overview 2; Client ID Metadata Documents, Advertising CIMD Support; Client ID Metadata Document Security | here, `client_documents` and `outbound` of auth-server |
//! | MAY let clients register (deprecated in 2026-07-28) | Overview 3, Dynamic Client Registration | here |
//! | MUST publish metadata by RFC 8414 or OpenID Connect Discovery, whose `issuer` is the identifier; clients look with the path of the issuer inserted, and appended | Overview 5, Authorization Server Metadata Discovery | here, `announced` of auth-server |
//! | SHOULD put `iss` into every authorization response, errors too, and MUST announce it then (new) | Authorization Response Validation | here |
//! | `resource` of both requests decides the audience | Resource Parameter Implementation | here, `profiles::mcp` of auth-server |
//! | SHOULD issue access tokens that live shortly; MUST rotate the refresh tokens of public clients | Token Theft | here |
//! | MUST be served over https; redirects MUST go to localhost or to https | Communication Security | the modes and `profiles` of auth-server |
//! | MUST announce `code_challenge_methods_supported`, in the metadata of OpenID Connect too | Authorization Code Protection | here, `profiles::mcp` of auth-server |
//! | MUST compare redirect URIs exactly; SHOULD redirect by itself only where it trusts; MUST show where the redirect goes; SHOULD warn of `localhost` | Open Redirection, Localhost Redirect URI Risks | here, `consent` of auth-server |
//!
//! Of the MCP server, which `shared_protocol::bearer` guards:
//!
//! | what | section |
//! |---|---|
//! | MUST publish its metadata (RFC 9728) with `authorization_servers`, and lead to it by the challenge or by the well-known path | Overview 4, Authorization Server Location, Protected Resource Metadata Discovery Requirements |
//! | SHOULD name the `scope` in the challenge of 401 | Scope Selection Strategy |
//! | MUST take the token from the header of every request, and never from the query | Token Requirements |
//! | MUST refuse what was not issued for it: 401 for an invalid or expired token, 403 for a missing scope, 400 for a malformed request | Token Handling, Error Handling, Access Token Privilege Restriction |
//! | SHOULD challenge with `insufficient_scope`, all the scopes that the operation needs at once, and `resource_metadata` | Runtime Insufficient Scope Errors |
//! | MUST account for scopes that imply others; ours imply none | Step-Up Authorization Flow |
//! | SHOULD NOT ask for `offline_access` in challenge or metadata | Refresh Tokens |

mod endpoint;

use std::collections::BTreeMap;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::{Clock as _, SystemClock};

use self::endpoint::{Notes, READ, WRITE};
use crate::node;
use crate::operator::Operator;
use crate::process::{Place, Running, http, send};

/// Nobody listens there: the redirect is as far as the browser goes.
const REDIRECT: &str = "http://127.0.0.1:9/callback";

/// An authorization server that knows an MCP server, and both run.
struct Scene {
    place: Place,
    running: Running,
    /// The MCP server's address.
    url: String,
    operator: Operator,
}

impl Scene {
    /// With settings of the authorization server besides its profile, as TOML.
    async fn set(settings: &str) -> Self {
        let place = Place::new();
        let notes = Notes::bind().await;
        let url = notes.url.clone();
        let file = place.file("auth.toml");
        std::fs::write(&file, format!("profile = \"mcp\"\n{settings}")).unwrap();
        let flags = ["--auth-config", file.to_str().unwrap()];
        // What the operator says is read at the next start.
        place.start(&flags).stop("-TERM");
        let operator = Operator::at(&place).await;
        operator.register_scopes(&url, &[READ, WRITE], None).await;
        let running = place.start(&flags);
        notes.serve(&place.auth(""));
        Self {
            place,
            running,
            url,
            operator,
        }
    }

    /// Tokens that are signed as they should be, and not for the MCP server, by what is wrong with them; and one that has expired.
    async fn not_for_it(&self) -> (BTreeMap<&'static str, String>, String) {
        let now = SystemClock.now().as_secs();
        let claims = json!({
            "iss": self.place.auth(""), "aud": self.url, "sub": "usr_somebody", "client_id": "an agent", "jti": "one",
            "iat": now, "exp": now + 300, "scope": "notes:read notes:write",
        });
        let with = |changes: Value| {
            let mut claims = claims.clone();
            let changes = changes.as_object().unwrap().clone();
            claims.as_object_mut().unwrap().extend(changes);
            claims
        };
        let (kind, alg) = (JwtKind::AccessToken, Algorithm::Es256);
        let signed = async |claims: Value| self.operator.signed(kind, alg, &claims).await;
        let stranger = SigningKey::generate(alg, &SystemRandom).unwrap();
        let stranger = SigningKey::from_pkcs8(alg, &stranger).unwrap();
        let of_stranger = async |claims: Value| sign_jwt(kind, &claims, &stranger).await.unwrap();
        let place = &self.place;
        let expired = signed(with(json!({"iat": now - 400, "exp": now - 100}))).await;
        let refused = BTreeMap::from([
            (
                "for another audience",
                place.token(&place.service(), &place.api("")).await,
            ),
            (
                "for the server beside it",
                signed(with(json!({"aud": self.url.replace("/mcp", "")}))).await,
            ),
            (
                "of another issuer",
                of_stranger(with(json!({"iss": "https://as.example"}))).await,
            ),
            ("signed by a stranger", of_stranger(claims.clone()).await),
            ("expired", expired.clone()),
            (
                "not an access token",
                self.operator.signed(JwtKind::IdToken, alg, &claims).await,
            ),
        ]);
        // Nothing else is wrong with them.
        let good = signed(claims).await;
        assert_eq!(self.told(&good).await.status(), 200);
        (refused, expired)
    }

    /// A call of the tool that needs most.
    fn add_note(&self, query: &str) -> RequestBuilder {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add_note"}});
        http()
            .post(format!("{}{query}", self.url))
            .body(call.to_string())
    }

    /// The answer to such a call.
    async fn told(&self, token: &str) -> Response {
        send(self.add_note("").bearer_auth(token)).await
    }

    /// What the SDK's client makes of it, as a client that is known in one way or the other.
    async fn agent(&self, site: Value) -> Value {
        let demo = self.place.demo();
        let (refused, expired) = self.not_for_it().await;
        let input = json!({
            "url": self.url,
            "redirect_uri": REDIRECT,
            "email": demo["person"]["email"],
            "password": demo["person"]["password"],
            "site": site,
            "refused": refused,
            "expired": expired,
        });
        let told = tokio::task::spawn_blocking(move || node::run("mcp.mjs", &input));
        let told = told.await.unwrap();
        let subject = told["first"]["sub"].as_str().unwrap();
        assert!(subject.starts_with("usr_"), "{told}");
        let consent = told["consent"].as_str().unwrap();
        let destination = "an app on this device, at <bdi>127.0.0.1:9</bdi>. Approve only if";
        assert!(consent.contains(destination), "{consent}");
        assert_eq!(self.running.log(), "");
        told
    }
}

fn challenge(response: &Response) -> &str {
    response.headers()[WWW_AUTHENTICATE].to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_registers_itself_calls_a_tool() {
    let settings =
        "[registration]\nscopes = [\"notes:read\", \"notes:write\"]\nwiden_scope = true\n";
    let scene = Scene::set(settings).await;
    let told = scene.agent(Value::Null).await;
    let client = &told["client"];
    assert_eq!(client["token_endpoint_auth_method"], "none");
    let scope = client["scope"].as_str().unwrap();
    assert!(scope.contains(WRITE), "{scope}: what it was let ask for");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_known_by_its_document_calls_a_tool() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca");
    std::fs::write(&ca, authority).unwrap();

    let settings = format!("[outbound]\nca = {ca:?}\nnetworks = [\"127.0.0.0/8\"]\n");
    let scene = Scene::set(&settings).await;
    let site = json!({"cert": leaf, "key": key.serialize_pem()});
    let told = scene.agent(site).await;
    let id = told["client"]["client_id"].as_str().unwrap();
    assert!(id.starts_with("https://127.0.0.1:"), "{id}");
    assert!(id.ends_with("/agent.json"), "{id}");
}

#[tokio::test]
async fn the_endpoint_takes_nothing_but_tokens_for_it_and_says_why() {
    let scene = Scene::set("").await;
    let path = "/.well-known/oauth-protected-resource/mcp";
    let metadata = scene.url.replace("/mcp", path);
    let pointer = format!("resource_metadata=\"{metadata}\"");

    let none = send(scene.add_note("")).await;
    assert_eq!(none.status(), 401);
    let expected = format!("Bearer scope=\"notes:read\", {pointer}");
    assert_eq!(challenge(&none), expected);

    let (refused, _) = scene.not_for_it().await;
    for (what, token) in &refused {
        let response = scene.told(token).await;
        assert_eq!(response.status(), 401, "{what}");
        let told = challenge(&response);
        assert!(
            told.starts_with("Bearer error=\"invalid_token\", "),
            "{told}"
        );
        assert!(
            told.ends_with(&format!("scope=\"notes:read\", {pointer}")),
            "{told}"
        );
    }

    let service = scene.operator.register_service_for(READ).await;
    let reading = scene.place.token(&service, &scene.url).await;
    let response = scene.told(&reading).await;
    assert_eq!(response.status(), 403);
    let told = challenge(&response);
    assert!(
        told.starts_with("Bearer error=\"insufficient_scope\", "),
        "{told}"
    );
    assert!(
        told.ends_with(&format!("scope=\"notes:read notes:write\", {pointer}")),
        "{told}"
    );

    // OAuth 2.1 §5.1: what stands elsewhere is no token.
    let response = send(scene.add_note(&format!("?access_token={reading}"))).await;
    assert_eq!(response.status(), 401);
    assert_eq!(challenge(&response), expected);
    let twice = scene
        .add_note("")
        .bearer_auth(&reading)
        .bearer_auth(&reading);
    let response = send(twice).await;
    assert_eq!(response.status(), 400);
    assert!(challenge(&response).contains("error=\"invalid_request\""));
}

#[tokio::test]
async fn what_a_client_must_find_is_announced() {
    let scene = Scene::set("").await;
    let json = async |url: String| -> Value { send(http().get(url)).await.json().await.unwrap() };
    let path = "/.well-known/oauth-protected-resource/mcp";
    let resource = json(scene.url.replace("/mcp", path)).await;
    assert_eq!(
        resource,
        json!({
            "resource": scene.url,
            "authorization_servers": [scene.place.auth("")],
            "scopes_supported": [READ, WRITE],
            "bearer_methods_supported": ["header"],
        })
    );
    for name in ["oauth-authorization-server", "openid-configuration"] {
        let server = json(scene.place.auth(&format!("/.well-known/{name}"))).await;
        assert_eq!(server["issuer"], scene.place.auth(""));
        for (member, value) in [
            ("code_challenge_methods_supported", json!(["S256"])),
            (
                "authorization_response_iss_parameter_supported",
                json!(true),
            ),
            ("client_id_metadata_document_supported", json!(true)),
        ] {
            assert_eq!(server[member], value, "{name}: {member}");
        }
        assert!(server["registration_endpoint"].is_string(), "{name}");
        let grants = server["grant_types_supported"].as_array().unwrap();
        assert!(grants.contains(&json!("refresh_token")), "{name}");
    }
}
