//! The rows of the running authorization server, as its command line has them.

use std::sync::Arc;

use auth_server::accounts::NewAccount;
use auth_server::config::Config;
use auth_server::records::Records;
use auth_server::resource_servers::{ResourceServer, TokenFormat};
use auth_server::server::World;
use auth_server::trusted_issuers::TrustedIssuer;
use serde_json::{Value, json};
use shared_protocol::jose::{Algorithm, JwtKind, Signer, sign_jwt};
use shared_protocol::random::SystemRandom;
use shared_protocol::time::SystemClock;

use crate::process::{Credentials, Place};

pub(crate) struct Operator {
    records: Records,
    world: World,
}

impl Operator {
    pub(crate) async fn at(place: &Place) -> Self {
        let mut config = Config::default();
        config.database.url =
            format!("sqlite:{}", place.data().join("auth-server.db").display()).into();
        let world = World {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let records = Records::open(&config, &world).await.unwrap();
        Self { records, world }
    }

    /// A client of this metadata (RFC 7591 §2). The secret of a public one is empty.
    pub(crate) async fn register(&self, metadata: Value) -> Credentials {
        let metadata = serde_json::from_value(metadata).unwrap();
        let registered = self.records.register_client(metadata, &self.world);
        let (id, secret) = registered.await.unwrap();
        Credentials {
            id: id.to_string(),
            secret: secret.map_or_else(String::new, |secret| secret.expose().to_owned()),
        }
    }

    /// A service that may read profiles.
    pub(crate) async fn register_service(&self) -> Credentials {
        self.register_service_for("profile:read").await
    }

    /// A service that may get these scopes.
    pub(crate) async fn register_service_for(&self, scope: &str) -> Credentials {
        self.register(json!({
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "scope": scope,
        }))
        .await
    }

    /// A native app that may sign people in, with these redirect URIs.
    pub(crate) async fn register_native(&self, name: &str, redirect_uris: &[&str]) -> Credentials {
        self.register(json!({
            "client_name": name,
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "application_type": "native",
            "redirect_uris": redirect_uris,
            "scope": "openid profile email offline_access profile:read",
        }))
        .await
    }

    /// A person who signs in with this password.
    pub(crate) async fn register_person(&self, email: &str, password: &str) {
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: None,
            email_verified: true,
            password: Some(password.to_owned().into()),
        };
        let (now, random) = (self.world.clock.now(), &*self.world.random);
        self.records
            .accounts
            .create(new, now, random)
            .await
            .unwrap();
    }

    /// Trusts an issuer, and links a person to what it calls them.
    pub(crate) async fn trust(&self, issuer: &str, policy: Value, (email, subject): (&str, &str)) {
        let (issuer, policy) = (issuer.parse().unwrap(), serde_json::from_value(policy));
        let trusted = TrustedIssuer::new(issuer, policy.unwrap()).unwrap();
        let (records, now) = (&self.records, self.world.clock.now());
        records.trusted_issuers.put(&trusted, now).await.unwrap();
        let email = email.parse().unwrap();
        let account = records.accounts.find_by_email(&email);
        let account = account.await.unwrap().unwrap();
        let name = (&trusted.issuer, &subject.parse().unwrap());
        let links = &records.identity_links;
        links.link(&account.id, name, now).await.unwrap();
    }

    /// A JWT as the server signs it.
    pub(crate) async fn signed(&self, kind: JwtKind, alg: Algorithm, claims: &Value) -> String {
        let ring = self.records.keys.ring();
        let signer = ring.signer(alg, self.world.clock.now()).unwrap();
        sign_jwt(kind, claims, &*signer).await.unwrap()
    }

    /// Has a resource server get opaque tokens; `asks` introspects for it, or who did before.
    pub(crate) async fn make_opaque(&self, identifier: &str, asks: Option<&Credentials>) {
        let servers = &self.records.resource_servers;
        let known = servers.find(&identifier.parse().unwrap()).unwrap();
        let asks = asks.map(|client| client.id.parse().unwrap());
        let server = ResourceServer {
            token_format: TokenFormat::Opaque,
            introspection_client_id: asks.or_else(|| known.introspection_client_id.clone()),
            ..(*known).clone()
        };
        let now = self.world.clock.now();
        servers.put(&server, now).await.unwrap();
    }

    /// Another resource server, for which `client` introspects.
    pub(crate) async fn register_resource(&self, identifier: &str, client: &Credentials) {
        let template = self.records.resource_servers.all().remove(0);
        let server = ResourceServer {
            identifier: identifier.parse().unwrap(),
            introspection_client_id: Some(client.id.parse().unwrap()),
            ..(*template).clone()
        };
        let now = self.world.clock.now();
        self.records
            .resource_servers
            .put(&server, now)
            .await
            .unwrap();
    }

    /// Another resource server, with these scopes; `asks` introspects for it.
    pub(crate) async fn register_scopes(
        &self,
        identifier: &str,
        scopes: &[&str],
        asks: Option<&Credentials>,
    ) {
        let identifier = identifier.parse().unwrap();
        let mut server = ResourceServer::new(identifier, "Notes".into(), Algorithm::Es256);
        let told = |scope: &&str| (scope.parse().unwrap(), (*scope).to_owned());
        server.scopes = scopes.iter().map(told).collect();
        server.introspection_client_id = asks.map(|client| client.id.parse().unwrap());
        let (servers, now) = (&self.records.resource_servers, self.world.clock.now());
        servers.put(&server, now).await.unwrap();
    }

    /// A key that the server signs with.
    pub(crate) fn signer(&self, alg: Algorithm) -> Arc<dyn Signer> {
        let ring = self.records.keys.ring();
        ring.signer(alg, self.world.clock.now()).unwrap()
    }
}
