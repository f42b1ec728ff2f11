//! What is tested, and what the tests are given to work with.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::browser::Person;
use crate::listener::Listen;

/// The server under test and what was prepared for the tests.
#[derive(Debug)]
pub struct Target {
    /// The issuer identifier, as the server states it (RFC 8414 §2).
    pub issuer: String,
    /// A confidential client with the `client_credentials` grant. Without one, and where none can be registered, what needs tokens
    /// stays unchecked.
    pub credentials: Option<Credentials>,
    /// The `client_id` of a public client.
    pub public_client: Option<String>,
    /// The resources that the confidential client may ask for (RFC 8707 §2), as registered.
    pub resources: Vec<String>,
    /// A protected resource that takes GET and a bearer token for one of `resources` of its own origin.
    pub api: Option<Url>,
    /// Somebody who can sign in by a plain form. Without one, what needs a person stays unchecked.
    pub person: Option<Person>,
    /// The client that the person uses. Where there is none and the issuer lets strangers register, one is registered.
    pub app: Option<App>,
    /// The initial access token with which clients are registered (RFC 7591 §1.2), where strangers may not.
    pub registration_token: Option<SecretString>,
    /// What the app may ask for in `authorization_details` (RFC 9396 §2): one object of a type that the issuer knows.
    pub authorization_details: Option<Value>,
    /// The `client_id` of a public client with the grant of RFC 8628. Where there is none and the issuer lets strangers register,
    /// one is registered.
    pub device: Option<String>,
    /// What the confidential client may exchange (RFC 8693), where it may and the defaults do not say it.
    pub exchange: Exchangeable,
    /// Somebody whose assertions the confidential client may present as grants (RFC 7523 §2.1).
    pub trusted_issuer: Option<TrustedIssuer>,
    /// The same whose assertions are Identity Assertion JWT Authorization Grants.
    pub identity_issuer: Option<TrustedIssuer>,
    /// A confidential client of the profile that is tested, with the grants of the app. Where there is none and the issuer lets
    /// strangers register, one is registered.
    pub profile_client: Option<ProfileClient>,
    /// Certificates in PEM of authorities that vouch for the server, beside those that the system knows.
    pub authorities: Option<Vec<u8>>,
    /// A public client with a metadata document at the URL that is its `client_id`.
    pub document_client: Option<App>,
    /// Where the tests listen for what the issuer fetches from its clients and sends to them. Without it, that stays unchecked.
    pub listen: Option<Listen>,
}

/// A public client with the `authorization_code` and `refresh_token` grants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct App {
    /// Its `client_id`.
    pub client_id: String,
    /// A redirection URI that it has registered. Nothing needs to listen there.
    pub redirect_uri: String,
}

/// A client that authenticates with `private_key_jwt` and signs its requests with the same key.
#[derive(Debug)]
pub struct ProfileClient {
    /// Its `client_id`.
    pub client_id: String,
    /// A redirection URI that it has registered. Nothing needs to listen there.
    pub redirect_uri: String,
    /// Its key.
    pub key: AssertionKey,
}

/// What the confidential client exchanges.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
pub struct Exchangeable {
    /// The resource that the person's token is for before; the one of the default token otherwise.
    pub resource: Option<String>,
    /// The scope that the person's token has before.
    pub scope: Option<String>,
    /// The resource that it is exchanged for; where there is none, the server chooses.
    pub target: Option<String>,
}

/// An issuer that the server under test trusts, and somebody for whom it speaks.
#[derive(Debug)]
pub struct TrustedIssuer {
    /// The `iss` of its assertions.
    pub issuer: String,
    /// The `sub` of its assertions.
    pub subject: String,
    /// What it signs with.
    pub key: AssertionKey,
    /// The scope to ask for with its assertions; where there is none, the server chooses.
    pub scope: Option<String>,
    /// The resource to ask for with its assertions; where there is none, the server chooses.
    pub resource: Option<String>,
}

/// A confidential client.
#[derive(Debug)]
pub struct Credentials {
    /// Its `client_id`.
    pub client_id: String,
    /// How it authenticates.
    pub authentication: Authentication,
}

/// The method that a client is registered with, and what it needs for it.
pub enum Authentication {
    /// `client_secret_basic` (RFC 6749 §2.3.1).
    ClientSecretBasic(SecretString),
    /// `client_secret_post` (RFC 6749 §2.3.1).
    ClientSecretPost(SecretString),
    /// `private_key_jwt` (RFC 7523 §2.2).
    PrivateKeyJwt(AssertionKey),
}

impl Authentication {
    /// The method's registered name.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ClientSecretBasic(_) => "client_secret_basic",
            Self::ClientSecretPost(_) => "client_secret_post",
            Self::PrivateKeyJwt(_) => "private_key_jwt",
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method())
    }
}

/// The private key of a client that authenticates with `private_key_jwt`.
pub struct AssertionKey {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) key: EncodingKey,
}

impl Target {
    /// That issuer, and nothing to work with.
    #[must_use]
    pub fn of(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            credentials: None,
            public_client: None,
            resources: Vec::new(),
            api: None,
            person: None,
            app: None,
            registration_token: None,
            authorization_details: None,
            device: None,
            exchange: Exchangeable::default(),
            trusted_issuer: None,
            identity_issuer: None,
            profile_client: None,
            document_client: None,
            authorities: None,
            listen: None,
        }
    }
}

impl AssertionKey {
    /// The registered name of what it signs with.
    pub(crate) fn name(&self) -> String {
        let name = serde_json::to_value(self.algorithm).unwrap_or_default();
        name.as_str().unwrap_or_default().to_owned()
    }

    /// The same key under that name.
    pub(crate) fn named(&self, kid: &str) -> Self {
        Self {
            algorithm: self.algorithm,
            kid: Some(kid.to_owned()),
            key: self.key.clone(),
        }
    }

    /// Reads a private key in PEM: RSA for `RS…` and `PS…`, EC for `ES…`, Ed25519 for `EdDSA`.
    ///
    /// # Errors
    /// When `algorithm` is none of these, or the key is not of its kind.
    pub fn from_pem(algorithm: &str, kid: Option<String>, pem: &[u8]) -> Result<Self, InvalidKey> {
        let read = match algorithm.get(..2) {
            Some("RS" | "PS") => EncodingKey::from_rsa_pem,
            Some("ES") => EncodingKey::from_ec_pem,
            Some("Ed") => EncodingKey::from_ed_pem,
            _ => return Err(InvalidKey),
        };
        Ok(Self {
            algorithm: algorithm.parse().map_err(|_| InvalidKey)?,
            kid,
            key: read(pem).map_err(|_| InvalidKey)?,
        })
    }
}

impl fmt::Debug for AssertionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssertionKey({:?})", self.algorithm)
    }
}

/// A private key that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidKey;

impl fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a private key in PEM for that algorithm")
    }
}

impl std::error::Error for InvalidKey {}

/// The file of a trusted issuer that cannot be used; the text says why.
#[derive(Debug)]
pub struct InvalidIssuer(String);

impl fmt::Display for InvalidIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the file of a trusted issuer: {}", self.0)
    }
}

impl std::error::Error for InvalidIssuer {}

#[derive(Deserialize)]
struct IssuerFile {
    issuer: String,
    subject: String,
    key: SecretString,
    #[serde(default = "es256")]
    alg: String,
    kid: Option<String>,
    scope: Option<String>,
    resource: Option<String>,
}

fn es256() -> String {
    "ES256".to_owned()
}

impl TrustedIssuer {
    /// Reads an object with `issuer`, `subject` and `key` (a private key in PEM), and where wanted `alg` (`ES256` otherwise),
    /// `kid`, `scope` and `resource`.
    ///
    /// # Errors
    /// When it is not JSON of that form, or the key cannot be used.
    pub fn from_json(json: &[u8]) -> Result<Self, InvalidIssuer> {
        let file: IssuerFile =
            serde_json::from_slice(json).map_err(|cause| InvalidIssuer(cause.to_string()))?;
        let pem = file.key.expose_secret().as_bytes();
        let key = AssertionKey::from_pem(&file.alg, file.kid, pem);
        Ok(Self {
            issuer: file.issuer,
            subject: file.subject,
            key: key.map_err(|cause| InvalidIssuer(cause.to_string()))?,
            scope: file.scope,
            resource: file.resource,
        })
    }
}

/// A demo file that cannot be read; the text says where.
#[derive(Debug)]
pub struct InvalidDemo(String);

impl fmt::Display for InvalidDemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a demo file: {}", self.0)
    }
}

impl std::error::Error for InvalidDemo {}

#[derive(Deserialize)]
struct Demo {
    issuer: String,
    api: Option<Url>,
    #[serde(default)]
    resources: Vec<String>,
    service: Option<Service>,
    app: Option<DemoApp>,
    person: Option<DemoPerson>,
    authorization_details: Option<Value>,
    device: Option<DemoDevice>,
    #[serde(default)]
    exchange: Exchangeable,
}

#[derive(Deserialize)]
struct DemoDevice {
    client_id: String,
}

#[derive(Deserialize)]
struct Service {
    client_id: String,
    client_secret: SecretString,
}

#[derive(Deserialize)]
struct DemoApp {
    client_id: String,
    #[serde(default = "loopback")]
    redirect_uri: String,
}

/// The redirection URI of the native app that development modes prepare (RFC 8252 §7.3).
fn loopback() -> String {
    "http://127.0.0.1/callback".to_owned()
}

#[derive(Deserialize)]
struct DemoPerson {
    email: String,
    password: SecretString,
}

impl Target {
    /// Reads the file in which a server in development mode says what it has prepared. Unknown members are ignored.
    ///
    /// # Errors
    /// When it is not JSON of that form.
    pub fn from_demo(json: &[u8]) -> Result<Self, InvalidDemo> {
        let demo: Demo =
            serde_json::from_slice(json).map_err(|cause| InvalidDemo(cause.to_string()))?;
        let user = |api: Url| {
            api.join("api/v1/users/me")
                .map_err(|cause| InvalidDemo(cause.to_string()))
        };
        Ok(Self {
            issuer: demo.issuer,
            credentials: demo.service.map(|service| Credentials {
                client_id: service.client_id,
                authentication: Authentication::ClientSecretBasic(service.client_secret),
            }),
            public_client: demo.app.as_ref().map(|app| app.client_id.clone()),
            resources: demo.resources,
            api: demo.api.map(user).transpose()?,
            person: demo.person.map(|person| Person {
                login: person.email,
                password: person.password,
            }),
            app: demo.app.map(|app| App {
                client_id: app.client_id,
                redirect_uri: app.redirect_uri,
            }),
            registration_token: None,
            authorization_details: demo.authorization_details,
            device: demo.device.map(|device| device.client_id),
            exchange: demo.exchange,
            trusted_issuer: None,
            identity_issuer: None,
            profile_client: None,
            document_client: None,
            authorities: None,
            listen: Some(Listen::here()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_file_is_a_whole_target() {
        let target = Target::from_demo(
            br#"{"issuer":"http://localhost:8000","api":"http://localhost:8080",
                 "resources":["http://localhost:8080","http://localhost:8080/second"],
                 "service":{"client_id":"svc","client_secret":"hush-hush"},"app":{"client_id":"app"},
                 "person":{"email":"a@b.example","password":"hush"},"later":1,
                 "device":{"client_id":"box"},"exchange":{"scope":"read"}}"#,
        )
        .unwrap();
        assert_eq!(target.issuer, "http://localhost:8000");
        assert_eq!(
            target.api.as_ref().unwrap().as_str(),
            "http://localhost:8080/api/v1/users/me"
        );
        assert_eq!(target.resources.len(), 2);
        assert_eq!(target.public_client.as_deref(), Some("app"));
        assert_eq!(target.person.as_ref().unwrap().login, "a@b.example");
        let app = target.app.as_ref().unwrap();
        assert_eq!(app.client_id, "app");
        assert_eq!(app.redirect_uri, "http://127.0.0.1/callback");
        assert_eq!(target.device.as_deref(), Some("box"));
        assert_eq!(target.exchange.scope.as_deref(), Some("read"));
        // What runs in development mode runs on this machine.
        assert_eq!(target.listen, Some(Listen::here()));
        let shown = format!("{target:?}");
        assert!(
            shown.contains("client_secret_basic") && !shown.contains("hush"),
            "{shown}"
        );
    }

    #[test]
    fn a_file_of_another_form_is_refused() {
        for json in [
            "",
            "[]",
            "{}",
            r#"{"issuer":1}"#,
            r#"{"issuer":"x","api":"not a url"}"#,
        ] {
            assert!(Target::from_demo(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn the_file_of_an_issuer_without_a_key_is_refused() {
        for json in [
            "",
            "{}",
            r#"{"issuer":"https://idp.example","subject":"a"}"#,
            r#"{"issuer":"https://idp.example","subject":"a","key":"no key"}"#,
        ] {
            assert!(TrustedIssuer::from_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn a_key_must_fit_its_algorithm() {
        for algorithm in ["none", "HS256", "ES256", "RS256", "EdDSA", ""] {
            assert!(
                AssertionKey::from_pem(algorithm, None, b"no key").is_err(),
                "{algorithm}"
            );
        }
    }
}
