//! Profiles: what FAPI 2.0, FAPI 2.0 Message Signing and MCP demand, of everyone by the server's and of one client by its own.

mod announced;
mod clients;
mod demands;
mod fapi2;
mod mcp;
mod message_signing;

use std::sync::Arc;
use std::time::Duration;

use auth_server::clients::{AuthMethod, ClientMetadata, GrantType};
use auth_server::config::Config;
use auth_server::profiles::Profile;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwkSet, Signer as _, SigningKey};
use shared_protocol::time::Clock as _;
use shared_testing::on_each_store;
use shared_testing::stores::Stores;

use crate::browser::EMAIL;
use crate::dpop::{Prover, TOKEN};
use crate::macs;
use crate::person;
use crate::pushed::PAR;
use crate::request_object::{new_key, sign};
use crate::server::{API, Answer, TestClient, TestServer, config};

on_each_store!(auth_server::store::MIGRATIONS;
    rfc8414_2_a_server_of_a_profile_announces_what_the_profile_leaves,
    fapi2_5_4_1_a_server_of_the_profile_has_no_key_for_rs256,
);

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who holds to a profile.
#[derive(Clone, Copy, Debug)]
enum Of {
    Server,
    Client,
}

/// A server, an app that proves itself by a key, and that key.
struct Scene {
    server: TestServer,
    app: TestClient,
    key: SigningKey,
}

/// An app that meets every profile, and registered as little as it can.
fn metadata(keys: &[&SigningKey]) -> ClientMetadata {
    let keys = keys.iter().map(|key| key.public().clone());
    let mut metadata = ClientMetadata {
        jwks: Some(JwkSet::new(keys.collect()).to_value()),
        id_token_signed_response_alg: None,
        ..person::app(AuthMethod::PrivateKeyJwt)
    };
    metadata.grant_types.insert(GrantType::ClientCredentials);
    metadata
}

/// The configuration of a server of this profile, if it has one.
fn config_of(stores: &Stores, profile: Option<Profile>) -> Config {
    Config {
        profile,
        ..config(stores)
    }
}

impl Scene {
    async fn set(stores: &Stores, profile: Profile, of: Of) -> Self {
        Self::with(stores, profile, of, |_| {}).await
    }

    async fn with(
        stores: &Stores,
        profile: Profile,
        of: Of,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let (servers, own) = match of {
            Of::Server => (Some(profile), None),
            Of::Client => (None, Some(profile)),
        };
        let mut config = config_of(stores, servers);
        change(&mut config);
        let scene = Self::on(config, own).await;
        scene.server.person(EMAIL).await;
        scene
    }

    /// At a server of this configuration, with an app of this profile, if it has one.
    async fn on(config: Config, own: Option<Profile>) -> Self {
        let of_server = config.profile;
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        // Past the beginning of what it remembers of used assertions and proofs.
        server.clock.advance(Duration::from_mins(2));
        let key = new_key(Algorithm::Es256);
        let mut profiles = [of_server, own].into_iter().flatten();
        let has_default = profiles.any(|profile| profile != Profile::Mcp);
        // Who leaves them out means RS256, unless a profile says otherwise.
        let named = (!has_default).then_some(Algorithm::Es256);
        let metadata = ClientMetadata {
            profile: own,
            id_token_signed_response_alg: named,
            authorization_signed_response_alg: named,
            ..metadata(&[&key])
        };
        let app = server.register(metadata).await;
        Self { server, app, key }
    }

    /// The claims of a good assertion with some of them changed; `null` leaves one out.
    fn assertion(&self, changes: &Value) -> Value {
        let now = self.server.clock.now().as_secs();
        let good = json!({"iss": self.app.id, "sub": self.app.id, "aud": self.server.issuer, "iat": now,
            "exp": now + 60, "jti": macs::unique()});
        crate::registration::with(&good, changes)
    }

    /// What proves the app by an assertion with these claims, beside other parameters.
    async fn proof_of(&self, key: &SigningKey, claims: &Value) -> [(&'static str, String); 2] {
        let assertion = sign(key, &json!({}), claims).await;
        [
            ("client_assertion_type", JWT_BEARER.to_owned()),
            ("client_assertion", assertion),
        ]
    }

    async fn proof(&self) -> [(&'static str, String); 2] {
        self.proof_of(&self.key, &self.assertion(&json!({}))).await
    }

    /// Posts as the app.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        self.post_with(path, form, &self.proof().await).await
    }

    async fn post_with(
        &self,
        path: &str,
        form: &[(&str, &str)],
        proof: &[(&'static str, String)],
    ) -> Answer {
        let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let form: Vec<_> = form.iter().copied().chain(proof).collect();
        self.server.send(self.server.form(path, &form)).await
    }

    /// Pushes a good request with some changes, as [`TestServer::asking`] has them.
    async fn push(&self, changes: &[(&str, &str)]) -> Answer {
        let form = TestServer::asking(&self.app, changes);
        let form: Vec<_> = form
            .iter()
            .filter(|(name, _)| name != "client_id")
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.post(PAR, &form).await
    }
}

impl Scene {
    /// A token request with a proof, made anew with the nonce that the server wants.
    async fn ask(&self, form: &[(&str, &str)], prover: &Prover) -> Answer {
        let first = self.ask_with(form, prover, &json!({})).await;
        let nonce = first.header("dpop-nonce");
        assert!(!nonce.is_empty(), "{}", first.body);
        if first.error().1 == "use_dpop_nonce" {
            self.ask_with(form, prover, &json!({"nonce": nonce})).await
        } else {
            first
        }
    }

    async fn ask_with(&self, form: &[(&str, &str)], prover: &Prover, claims: &Value) -> Answer {
        let proof = self.proof().await;
        let proof = proof.iter().map(|(name, value)| (*name, value.as_str()));
        let form: Vec<_> = form.iter().copied().chain(proof).collect();
        let shown = prover.proof(&self.server, TOKEN, claims).await;
        let request = self.server.form(TOKEN, &form).header("dpop", shown);
        self.server.send(request).await
    }
}

async fn announced(server: &TestServer) -> Value {
    let document = server.get("/.well-known/oauth-authorization-server").await;
    document.body
}

async fn rfc8414_2_a_server_of_a_profile_announces_what_the_profile_leaves(stores: &Stores) {
    for profile in Profile::ALL {
        let mut config = config_of(stores, Some(profile));
        config.keys.algorithms = vec![Algorithm::Es256];
        let server = TestServer::start_with(config, Arc::default()).await;
        let server = server.with_resources(None).await;
        let text = announced(&server).await.to_string();
        let text = text.replace(&server.issuer, "https://issuer.example");
        let mut document: Value = serde_json::from_str(&text).unwrap();
        // Another each time.
        document["signed_metadata"] = "a JWT".into();
        insta::assert_json_snapshot!(format!("metadata_{profile}"), document);
        if profile != Profile::Mcp {
            for word in ["RS256", "HS256", "client_secret", "password"] {
                assert!(!document.to_string().contains(word), "{profile}: {word}");
            }
        }
        server.stop().await;
    }
}

async fn fapi2_5_4_1_a_server_of_the_profile_has_no_key_for_rs256(stores: &Stores) {
    let scene = Scene::with(stores, Profile::Fapi2, Of::Server, |config| {
        config.keys.algorithms = vec![Algorithm::Rs256, Algorithm::Es256];
    })
    .await;
    let keys = scene.server.get("/oauth/jwks").await.body;
    let keys = keys["keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key["alg"] == "ES256"), "{keys:?}");
    let document = announced(&scene.server).await;
    assert_eq!(
        document["id_token_signing_alg_values_supported"],
        json!(["ES256"])
    );
    scene.server.stop().await;
}

/// What is registered of the app, with what the profile says where it said nothing.
async fn registered(server: &TestServer, client: &TestClient) -> ClientMetadata {
    let clients = &server.records.clients;
    let found = clients.find(&TestServer::client_id(client)).await.unwrap();
    found.unwrap().metadata.clone()
}

/// A resource server whose tokens are signed with RS256, though no key is made for that.
async fn with_rsa_resource(server: &TestServer) {
    let change = |server: &mut auth_server::resource_servers::ResourceServer| {
        server.alg = Algorithm::Rs256;
    };
    server.change_resource(API, change).await;
}
