//! The JWT bearer grant (RFC 7523 §2.1): tokens for what trusted issuers say of people and clients.

mod commands;
mod ends;
mod id_jag;
mod refusals;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use auth_server::accounts::AccountId;
use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::Config;
use auth_server::trusted_issuers::{TrustedIssuer, TrustedIssuersError};
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, JwtKind, Signer as _, SigningKey, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::person::{claims as read, is_active, person, userinfo};
use crate::registration::with;
use crate::server::{API, Answer, OTHER_API, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc7523_2_1_an_assertion_brings_a_token_for_whomever_its_sub_names,
    rfc7521_4_1_no_refresh_token_and_no_id_token,
    rfc6749_3_3_no_more_than_client_issuer_and_request_agree_on,
    threat_9_what_is_asked_for_belongs_to_a_resource,
    off_without_a_trusted_issuer_and_without_the_grant,
    rfc8414_2_announced_while_an_issuer_is_trusted,
    threat_19_an_address_counts_where_both_sides_verified_it,
);

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const ISSUER: &str = "https://idp.example";
const EMAIL: &str = "alice@example.com";

/// A server that trusts an issuer, and a client that shows its assertions.
pub(crate) struct Scene {
    pub(crate) server: TestServer,
    pub(crate) api: TestClient,
    pub(crate) client: TestClient,
    pub(crate) account_id: AccountId,
    pub(crate) key: SigningKey,
}

pub(crate) fn new_key() -> SigningKey {
    let alg = Algorithm::Es256;
    SigningKey::from_pkcs8(alg, &SigningKey::generate(alg, &SystemRandom).unwrap()).unwrap()
}

pub(crate) fn set(keys: &[&SigningKey]) -> Value {
    let keys = keys.iter().map(|key| key.public().clone());
    JwkSet::new(keys.collect()).to_value()
}

fn unique() -> String {
    shared_protocol::random::alphanumeric(16, &SystemRandom)
}

pub(crate) fn metadata(method: AuthMethod) -> ClientMetadata {
    let scope = "openid email offline_access read write reports";
    let mut metadata = TestServer::metadata(method, scope);
    metadata.grant_types = BTreeSet::from([GrantType::JwtBearer]);
    metadata.id_token_signed_response_alg = Some(Algorithm::Es256);
    metadata
}

impl Scene {
    async fn set(stores: &Stores) -> Self {
        Self::with(config(stores)).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let server = TestServer::start_with(config, Arc::default()).await;
        let api = server.client(AuthMethod::ClientSecretBasic, "").await;
        let server = server.with_resources(Some(&api)).await;
        // So that no assertion is from before the memory of used ones.
        server.clock.advance(Duration::from_mins(2));
        let account_id = person(&server, EMAIL).await;
        let client = server
            .register(metadata(AuthMethod::ClientSecretBasic))
            .await;
        let scene = Self {
            server,
            api,
            client,
            account_id,
            key: new_key(),
        };
        scene.trust(&json!({})).await;
        scene
    }

    /// Trusts the issuer, by a policy of which some members are changed; `null` leaves one out.
    async fn trust(&self, changes: &Value) {
        self.try_to_trust(changes).await.unwrap();
    }

    async fn try_to_trust(&self, changes: &Value) -> Result<(), TrustedIssuersError> {
        trust(&self.server, (ISSUER, &self.key), changes).await
    }

    /// Good claims, of which some are changed; `null` leaves one out.
    fn claims(&self, changes: &Value) -> Value {
        let good = good_claims(&self.server, &self.account_id);
        with(&good, changes)
    }

    async fn assertion(&self, changes: &Value) -> String {
        sign(JwtKind::BearerAssertion, &self.claims(changes), &self.key).await
    }

    async fn show(&self, assertion: &str) -> Answer {
        self.ask(&self.client, assertion, &[]).await
    }

    async fn ask(&self, client: &TestClient, assertion: &str, more: &[(&str, &str)]) -> Answer {
        let form = [("grant_type", GRANT), ("assertion", assertion)];
        let form = [&form[..], more].concat();
        crate::person::post(&self.server, client, "/oauth/token", &form).await
    }

    /// The answer to a new assertion with these claims, and these parameters.
    async fn bring(&self, changes: &Value, more: &[(&str, &str)]) -> Answer {
        let assertion = self.assertion(changes).await;
        self.ask(&self.client, &assertion, more).await
    }

    /// An access token for a person.
    async fn token(&self) -> String {
        let answer = self.bring(&json!({}), &[("resource", API)]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.text("access_token").to_owned()
    }

    async fn is_active(&self, token: &str) -> bool {
        is_active(&self.server, &self.api, token).await
    }

    async fn link(&self, subject: &str) {
        let links = &self.server.records.identity_links;
        let name = (&ISSUER.parse().unwrap(), &subject.parse().unwrap());
        let now = self.server.clock.now();
        links.link(&self.account_id, name, now).await.unwrap();
    }
}

/// Has a server trust an issuer that signs with this key.
pub(crate) async fn trust(
    server: &TestServer,
    (issuer, key): (&str, &SigningKey),
    changes: &Value,
) -> Result<(), TrustedIssuersError> {
    let good = json!({"kind": "jwt", "jwks": set(&[key]), "algorithms": ["ES256"], "subject": "account_id",
        "scope": "openid email read write", "max_lifetime_seconds": 600});
    let policy = serde_json::from_value(with(&good, changes)).unwrap();
    let issuer = TrustedIssuer::new(issuer.parse().unwrap(), policy)?;
    let issuers = &server.records.trusted_issuers;
    issuers.put(&issuer, server.clock.now()).await
}

/// Good claims of that issuer.
pub(crate) fn good_claims(server: &TestServer, sub: &AccountId) -> Value {
    let now = server.clock.now().as_secs();
    json!({"iss": ISSUER, "sub": sub, "aud": server.issuer, "iat": now, "exp": now + 300, "jti": unique()})
}

pub(crate) async fn sign(kind: JwtKind, claims: &Value, key: &SigningKey) -> String {
    sign_jwt(kind, claims, key).await.unwrap()
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!(
        answer.error(),
        (400, "invalid_grant"),
        "{what}: {}",
        answer.body
    );
    assert_eq!(
        answer.body["error_description"],
        "the assertion is malformed, expired, used, or of an issuer, subject or client for which it is no good",
        "{what}"
    );
}

async fn rfc7523_2_1_an_assertion_brings_a_token_for_whomever_its_sub_names(stores: &Stores) {
    let scene = Scene::set(stores).await;
    scene.link("U019488227").await;
    let id = scene.account_id.as_str();
    let email = json!({"sub": "U1", "email": "Alice@Example.com", "email_verified": true});
    for (rule, changes, claims, sub) in [
        ("account_id", json!({}), json!({}), id),
        ("linked", json!({}), json!({"sub": "U019488227"}), id),
        (
            "verified_email",
            json!({"email_domains": ["example.com"]}),
            email,
            id,
        ),
        (
            "client",
            json!({}),
            json!({"sub": scene.client.id}),
            scene.client.id.as_str(),
        ),
    ] {
        scene
            .trust(&with(&changes, &json!({"subject": rule})))
            .await;
        let answer = scene.bring(&claims, &[("scope", "read")]).await;
        assert_eq!(answer.status, 200, "{rule}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store", "{rule}");
        assert_eq!(answer.body["scope"], "read", "{rule}");
        let token = read(answer.text("access_token"));
        assert_eq!(
            (&token["sub"], &token["aud"]),
            (&json!(sub), &json!(API)),
            "{rule}"
        );
        assert_eq!(token["client_id"], json!(scene.client.id), "{rule}");
        assert_eq!(token["grant_id"].is_string(), rule != "client", "{rule}");
        // Nobody said when they signed in.
        assert!(token.get("auth_time").is_none(), "{rule}: {token}");
        assert!(token.get("amr").is_none(), "{rule}: {token}");
        assert!(scene.is_active(answer.text("access_token")).await, "{rule}");
        // One of the token endpoint, too.
        let endpoint = format!("{}/oauth/token", scene.server.issuer);
        let again = with(&claims, &json!({"aud": endpoint}));
        assert_eq!(scene.bring(&again, &[]).await.status, 200, "{rule}");
    }
    scene.server.stop().await;
}

async fn rfc7521_4_1_no_refresh_token_and_no_id_token(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let mut metadata = metadata(AuthMethod::ClientSecretBasic);
    metadata.grant_types.insert(GrantType::RefreshToken);
    let client = scene.server.register(metadata).await;
    let asked = [
        ("scope", "openid email offline_access read"),
        ("resource", API),
    ];
    let assertion = scene.assertion(&json!({"auth_time": 1_700_000_000})).await;
    let answer = scene.ask(&client, &assertion, &asked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body["refresh_token"].is_null() && answer.body["id_token"].is_null());
    assert_eq!(answer.body["scope"], "email openid read");
    let token = answer.text("access_token");
    assert_eq!(read(token)["auth_time"], 1_700_000_000);
    // What `openid` is good for here.
    let told = userinfo(&scene.server, token).await;
    assert_eq!(told.status, 200, "{}", told.body);
    assert_eq!(
        (told.text("sub"), told.text("email")),
        (scene.account_id.as_str(), EMAIL)
    );
    let plain = userinfo(&scene.server, &scene.token().await).await;
    assert_eq!(plain.status, 403, "without openid: {}", plain.body);
    // Beyond its lifetime, whatever sessions may do.
    assert!(scene.is_active(token).await);
    scene.server.clock.advance(Duration::from_mins(4));
    assert!(scene.is_active(token).await);
    assert_eq!(userinfo(&scene.server, token).await.status, 200);
    scene.server.clock.advance(Duration::from_mins(2));
    assert!(!scene.is_active(token).await);
    scene.server.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn rfc6749_3_3_no_more_than_client_issuer_and_request_agree_on(stores: &Stores) {
    let scene = Scene::set(stores).await;
    for (what, policy, claims, asked, expected) in [
        (
            "as much as the issuer may bring",
            "read",
            json!({}),
            "",
            Ok("read"),
        ),
        (
            "no own scope that was not asked for",
            "openid read",
            json!({}),
            "",
            Ok("read"),
        ),
        (
            "less, where less is asked for",
            "read write",
            json!({}),
            "write",
            Ok("write"),
        ),
        (
            "less, where the issuer may bring less",
            "read",
            json!({}),
            "read write",
            Ok("read"),
        ),
        (
            "less, where the assertion says less",
            "read write",
            json!({"scope": "read"}),
            "read write",
            Ok("read"),
        ),
        (
            "as much as the assertion says",
            "openid read write",
            json!({"scope": "openid read other"}),
            "",
            Ok("openid read"),
        ),
        (
            "never what the client has not",
            "read other",
            json!({}),
            "other",
            Err("invalid_scope"),
        ),
        (
            "beside what it has",
            "read other",
            json!({}),
            "read other",
            Err("invalid_scope"),
        ),
        (
            "nothing of what is asked for",
            "read",
            json!({}),
            "write",
            Err("invalid_scope"),
        ),
        (
            "nothing of what the assertion says",
            "read",
            json!({"scope": "write"}),
            "",
            Err("invalid_scope"),
        ),
        (
            "no scope",
            "read",
            json!({}),
            "re\"ad",
            Err("invalid_scope"),
        ),
        (
            "no offline_access",
            "read",
            json!({"scope": "offline_access read"}),
            "",
            Ok("read"),
        ),
    ] {
        for subject in ["account_id", "client"] {
            let changes = json!({"scope": policy, "subject": subject});
            scene.trust(&changes).await;
            let sub = match subject {
                "client" if expected == Ok("openid read") => continue,
                "client" => json!(scene.client.id),
                _ => json!(scene.account_id),
            };
            let claims = with(&claims, &json!({"sub": sub}));
            let answer = scene.bring(&claims, &[("scope", asked)]).await;
            match expected {
                Ok(scope) => {
                    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                    assert_eq!(answer.body["scope"], scope, "{what}");
                }
                Err(code) => assert_eq!(answer.error(), (400, code), "{what}"),
            }
        }
    }
    scene.server.stop().await;
}

#[expect(clippy::too_many_lines, reason = "a table")]
async fn threat_9_what_is_asked_for_belongs_to_a_resource(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let scope = "read reports";
    for (what, resources, claims, asked, expected) in [
        (
            "the one that is named",
            json!([]),
            json!({}),
            API,
            Ok((API, "read")),
        ),
        (
            "the other",
            json!([]),
            json!({}),
            OTHER_API,
            Ok((OTHER_API, "reports")),
        ),
        (
            "none of several",
            json!([]),
            json!({}),
            "",
            Err("invalid_scope"),
        ),
        (
            "the only one of the issuer",
            json!([API]),
            json!({}),
            "",
            Ok((API, "read")),
        ),
        (
            "beside the issuer's",
            json!([API]),
            json!({}),
            OTHER_API,
            Err("invalid_target"),
        ),
        (
            "the only one of the assertion",
            json!([]),
            json!({"resource": OTHER_API}),
            "",
            Ok((OTHER_API, "reports")),
        ),
        (
            "one of the assertion's",
            json!([]),
            json!({"resource": [API, OTHER_API]}),
            API,
            Ok((API, "read")),
        ),
        (
            "beside the assertion's",
            json!([]),
            json!({"resource": [API]}),
            OTHER_API,
            Err("invalid_target"),
        ),
        (
            "the assertion's beside the issuer's",
            json!([API]),
            json!({"resource": OTHER_API}),
            "",
            Err("invalid_target"),
        ),
        (
            "one that is not there",
            json!([]),
            json!({"resource": "https://nowhere.example"}),
            "",
            Err("invalid_target"),
        ),
        (
            "an unknown one",
            json!([]),
            json!({}),
            "https://nowhere.example",
            Err("invalid_target"),
        ),
        (
            "no resource",
            json!([]),
            json!({}),
            "nowhere",
            Err("invalid_target"),
        ),
    ] {
        for subject in ["account_id", "client"] {
            let changes = json!({"scope": scope, "subject": subject, "resources": resources});
            scene.trust(&changes).await;
            let sub = match subject {
                "client" => json!(scene.client.id),
                _ => json!(scene.account_id),
            };
            let claims = with(&claims, &json!({"sub": sub}));
            let answer = scene.bring(&claims, &[("resource", asked)]).await;
            let what = format!("{what}, {subject}");
            match expected {
                Ok((aud, scope)) => {
                    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
                    let token = read(answer.text("access_token"));
                    assert_eq!(
                        (&token["aud"], &token["scope"]),
                        (&json!(aud), &json!(scope)),
                        "{what}"
                    );
                }
                Err(code) => assert_eq!(answer.error(), (400, code), "{what}: {}", answer.body),
            }
        }
    }
    scene.trust(&json!({})).await;
    let several = [("resource", API), ("resource", OTHER_API)];
    let answer = scene.bring(&json!({}), &several).await;
    assert_eq!(answer.error(), (400, "invalid_target"));
    let details = [("authorization_details", r#"[{"type":"album"}]"#)];
    let answer = scene.bring(&json!({}), &details).await;
    assert_eq!(answer.error(), (400, "invalid_authorization_details"));
    scene.server.stop().await;
}

async fn off_without_a_trusted_issuer_and_without_the_grant(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let assertion = scene.assertion(&json!({})).await;
    let without = scene
        .server
        .client(AuthMethod::ClientSecretBasic, "read")
        .await;
    let public = scene.server.register(metadata(AuthMethod::None)).await;
    let wrong = TestClient {
        secret: "wrong".into(),
        ..scene.client.clone()
    };
    for (what, client, form, expected) in [
        (
            "not registered for it",
            &without,
            assertion.as_str(),
            (400, "unauthorized_client"),
        ),
        (
            "a wrong secret",
            &wrong,
            &assertion,
            (401, "invalid_client"),
        ),
        ("no assertion", &scene.client, "", (400, "invalid_request")),
        (
            "a public client",
            &public,
            &assertion,
            (400, "invalid_grant"),
        ),
    ] {
        let answer = scene.ask(client, form, &[]).await;
        assert_eq!(answer.error(), expected, "{what}: {}", answer.body);
    }
    let nobody = [("grant_type", GRANT), ("assertion", assertion.as_str())];
    let answer = scene
        .server
        .send(scene.server.form("/oauth/token", &nobody))
        .await;
    assert_eq!(answer.error(), (401, "invalid_client"), "nobody");
    let twice = scene
        .ask(&scene.client, &assertion, &[("assertion", "x")])
        .await;
    assert_eq!(twice.error(), (400, "invalid_request"), "twice");
    // All of that spent nothing.
    assert_eq!(scene.show(&assertion).await.status, 200);
    // Where the operator allows it, a public client may.
    scene.trust(&json!({"public_clients": true})).await;
    let assertion = scene.assertion(&json!({})).await;
    let answer = scene.ask(&public, &assertion, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let named = json!({"public_clients": true, "clients": [public.id]});
    scene.trust(&named).await;
    refused(
        &scene.bring(&json!({}), &[]).await,
        "a client that is not named",
    );
    let assertion = scene.assertion(&json!({})).await;
    assert_eq!(scene.ask(&public, &assertion, &[]).await.status, 200);

    let issuers = &scene.server.records.trusted_issuers;
    let issuer = ISSUER.parse().unwrap();
    assert!(
        issuers
            .remove(&issuer, scene.server.clock.now())
            .await
            .unwrap()
    );
    for form in [&assertion, "", "x"] {
        let answer = scene.ask(&scene.client, form, &[]).await;
        assert_eq!(answer.error(), (400, "unsupported_grant_type"), "{form}");
    }
    let members = json!({"grant_types": [GRANT], "scope": "read"});
    let url = format!("{}/oauth/register", scene.server.issuer);
    let stranger = scene.server.http.post(url).json(&members);
    let stranger = scene.server.send(stranger).await;
    assert_eq!(stranger.error(), (400, "invalid_client_metadata"));
    scene.server.stop().await;
}

async fn rfc8414_2_announced_while_an_issuer_is_trusted(stores: &Stores) {
    let server = TestServer::start(stores).await;
    let announced = async |server: &TestServer| {
        let metadata = server.get("/.well-known/openid-configuration").await.body;
        let grants = metadata["grant_types_supported"].as_array().unwrap();
        let profiles = metadata["authorization_grant_profiles_supported"].clone();
        (grants.contains(&json!(GRANT)), profiles)
    };
    assert_eq!(announced(&server).await, (false, Value::Null));
    server.stop().await;
    let scene = Scene::set(stores).await;
    assert_eq!(announced(&scene.server).await, (true, Value::Null));
    scene.trust(&json!({"kind": "id-jag"})).await;
    let profiles = json!(["urn:ietf:params:oauth:grant-profile:id-jag"]);
    assert_eq!(announced(&scene.server).await, (true, profiles));
    scene.server.stop().await;
}

async fn threat_19_an_address_counts_where_both_sides_verified_it(stores: &Stores) {
    let scene = Scene::set(stores).await;
    let rule = json!({"subject": "verified_email", "email_domains": ["example.com"]});
    scene.trust(&rule).await;
    let squatter = auth_server::accounts::NewAccount {
        email: "boss@example.com".parse().unwrap(),
        name: None,
        email_verified: false,
        password: None,
    };
    let (now, random) = (scene.server.clock.now(), &*scene.server.world.random);
    let accounts = &scene.server.records.accounts;
    accounts.create(squatter, now, random).await.unwrap();
    person(&scene.server, "alice@other.example").await;
    for (what, changes) in [
        ("no address", json!({"email_verified": true})),
        ("not said to be verified", json!({"email": EMAIL})),
        (
            "not verified",
            json!({"email": EMAIL, "email_verified": false}),
        ),
        (
            "verified, as a text",
            json!({"email": EMAIL, "email_verified": "true"}),
        ),
        (
            "verified, as a number",
            json!({"email": EMAIL, "email_verified": 1}),
        ),
        (
            "an address that is none",
            json!({"email": "alice", "email_verified": true}),
        ),
        (
            "an address of another type",
            json!({"email": [EMAIL], "email_verified": true}),
        ),
        (
            "a domain that the operator did not name",
            json!({"email": "alice@other.example", "email_verified": true}),
        ),
        (
            "one below it",
            json!({"email": "alice@a.example.com", "email_verified": true}),
        ),
        (
            "one that ends so",
            json!({"email": "alice@notexample.com", "email_verified": true}),
        ),
        (
            "nobody",
            json!({"email": "bob@example.com", "email_verified": true}),
        ),
        (
            "somebody who did not prove that it is theirs",
            json!({"email": "boss@example.com", "email_verified": true}),
        ),
    ] {
        refused(&scene.bring(&changes, &[]).await, what);
    }
    let full_width = json!({"email": "alice\u{ff20}example.com", "email_verified": true});
    let answer = scene.bring(&full_width, &[]).await;
    assert_eq!(answer.status, 200, "normalized first: {}", answer.body);
    assert_eq!(
        read(answer.text("access_token"))["sub"],
        json!(scene.account_id)
    );
    scene.server.stop().await;
}
