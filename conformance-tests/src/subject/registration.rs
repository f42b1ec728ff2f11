//! Clients that the tests register for themselves (RFC 7591), each kind once.

use std::collections::HashMap;
use std::sync::OnceLock;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use url::Url;

use super::Subject;
use crate::answer::Answer;
use crate::check::Stop;
use crate::clock::Clock;
use crate::jws;
use crate::request::Request;
use crate::signers::Signers;
use crate::target::{App, AssertionKey, Authentication, Credentials, Target};

/// Where the registered web apps are. Nothing listens there: a browser that is sent there has arrived.
pub(crate) const CALLBACK: &str = "https://client.example/callback";

/// The registered clients by the metadata that was asked for, and the keys that those with keys have.
pub(crate) struct Clients {
    known: Mutex<HashMap<String, Result<Registered, Stop>>>,
    key: Option<AssertionKey>,
    seed: String,
    signers: OnceLock<Option<Signers>>,
}

impl Clients {
    pub(super) fn new(clock: &Clock) -> Self {
        // Unpredictable enough here: the clients that it stands for can do nothing but be tested.
        let seed = format!("conformance-tests {}", clock.now().as_nanos());
        Self {
            known: Mutex::default(),
            key: jws::derived_key(&seed, "conformance"),
            seed,
            signers: OnceLock::new(),
        }
    }
}

/// A client that the tests have registered.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    /// What it was answered, for its metadata and as evidence.
    pub(crate) answer: Answer,
    secret: Option<SecretString>,
}

impl Registered {
    /// Reads a client information response that must be a success (RFC 7591 §3.2.1).
    pub(crate) fn read(subject: &Subject, answer: Answer) -> Result<Self, Stop> {
        answer.status(&[201])?;
        let json = answer.json()?;
        let member = |name: &str| json.get(name).and_then(Value::as_str);
        for name in ["client_secret", "registration_access_token"] {
            if let Some(secret) = member(name) {
                subject.redactor().learn(secret);
            }
        }
        let redirect = json.get("redirect_uris").and_then(|list| list.get(0));
        Ok(Self {
            client_id: answer.text("client_id")?,
            redirect_uri: redirect
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
            secret: member("client_secret").map(Into::into),
            answer,
        })
    }

    pub(crate) fn metadata(&self) -> Result<Map<String, Value>, Stop> {
        self.answer.json()
    }

    pub(crate) fn secret(&self) -> Result<&str, Stop> {
        let secret = self.secret.as_ref().map(SecretString::expose_secret);
        secret.ok_or_else(|| self.answer.fail("there is no client_secret"))
    }

    /// A request in its name, with the method that it registered.
    pub(crate) fn authenticated<'s>(&self, request: Request<'s>) -> Result<Request<'s>, Stop> {
        let json = self.metadata()?;
        let method = json
            .get("token_endpoint_auth_method")
            .and_then(Value::as_str);
        Ok(match method {
            Some("none" | "tls_client_auth" | "self_signed_tls_client_auth") => request
                .without("client_id")
                .form(&[("client_id", &self.client_id)]),
            Some("client_secret_post") => request.without("client_id").form(&[
                ("client_id", self.client_id.as_str()),
                ("client_secret", self.secret()?),
            ]),
            Some("private_key_jwt") => {
                let subject = request.subject();
                self.asserted(request, subject.client_key()?)?
            }
            _ => request
                .without("client_id")
                .basic(&self.client_id, self.secret()?),
        })
    }

    /// A request in its name, with an assertion that `key` signs.
    pub(crate) fn asserted<'s>(
        &self,
        request: Request<'s>,
        key: &AssertionKey,
    ) -> Result<Request<'s>, Stop> {
        let claims = request.subject().assertion_claims(&self.client_id);
        let assertion = jws::sign(key, &claims);
        let assertion = assertion.ok_or_else(|| Stop::unchecked("no assertion could be made"))?;
        Ok(request.without("client_id").assertion(&assertion))
    }

    /// Where it is managed and the token for that (RFC 7592 §3).
    pub(crate) fn management(&self) -> Result<(Url, String), Stop> {
        let absent = || Stop::not_applicable("registered clients cannot manage themselves");
        let json = self.metadata()?;
        let member = |name: &str| json.get(name).and_then(Value::as_str);
        let uri = member("registration_client_uri").ok_or_else(absent)?;
        let token = member("registration_access_token");
        let token =
            token.ok_or_else(|| self.answer.fail("there is no registration_access_token"))?;
        let url = Url::parse(uri).map_err(|_| {
            self.answer
                .fail(format!("registration_client_uri is no URL: {uri}"))
        })?;
        Ok((url, token.to_owned()))
    }
}

/// What was registered because the target lacked it.
pub(super) struct Missing {
    app: Option<App>,
    credentials: Option<Credentials>,
}

impl Missing {
    pub(super) fn complete(self, target: &mut Target) {
        target.app = target.app.take().or(self.app);
        target.credentials = target.credentials.take().or(self.credentials);
        let app = target.app.as_ref().map(|app| app.client_id.clone());
        target.public_client = target.public_client.take().or(app);
    }
}

impl Subject {
    /// The keys of registered clients that sign with every algorithm.
    pub(crate) fn signers(&self) -> Result<&Signers, Stop> {
        let seed = &self.clients.seed;
        let made = self.clients.signers.get_or_init(|| Signers::of(seed));
        let made = made.as_ref();
        made.ok_or_else(|| Stop::unchecked("no keys could be made"))
    }

    /// The key of registered clients that have one; it signs with ES256.
    pub(crate) fn client_key(&self) -> Result<&AssertionKey, Stop> {
        let key = self.clients.key.as_ref();
        key.ok_or_else(|| Stop::unchecked("no key could be made"))
    }

    /// Asks for a client (RFC 7591 §3.1).
    pub(crate) async fn register(&self, metadata: &Value) -> Result<Answer, Stop> {
        let request = self.registration(metadata.to_string())?.send();
        let answer = request.await?;
        if [401, 403].contains(&answer.status) {
            let lacks = if self.target().registration_token.is_some() {
                "the initial access token is refused"
            } else {
                "registration needs an initial access token, and none was given"
            };
            return Err(Stop::unchecked(lacks));
        }
        if answer.status == 429 {
            return Err(Stop::unchecked(
                "the issuer registers no more clients for now",
            ));
        }
        Ok(answer)
    }

    /// The same with any body.
    pub(crate) fn registration(&self, body: String) -> Result<Request<'_>, Stop> {
        let request = self.post("registration_endpoint")?;
        let request = request.raw("application/json", body);
        Ok(match &self.target().registration_token {
            Some(token) => request.bearer(token.expose_secret()),
            None => request,
        })
    }

    /// A new client of which nothing else knows.
    pub(crate) async fn new_client(&self, metadata: &Value) -> Result<Registered, Stop> {
        Registered::read(self, self.register(metadata).await?)
    }

    /// The client with that metadata, which all checks that ask for the same share.
    pub(crate) async fn client(&self, metadata: &Value) -> Result<Registered, Stop> {
        let mut known = self.clients.known.lock().await;
        let name = metadata.to_string();
        if let Some(client) = known.get(&name) {
            return client.clone();
        }
        let client = self.new_client(metadata).await;
        known.insert(name, client.clone());
        client
    }

    /// A web app with a secret and `more`, which may stand in the place of what all have.
    pub(crate) async fn web_app(&self, more: Value) -> Result<Registered, Stop> {
        self.client(&self.web_app_metadata(more)).await
    }

    /// The metadata of such an app.
    pub(crate) fn web_app_metadata(&self, more: Value) -> Value {
        let own = [
            "openid",
            "profile",
            "email",
            "address",
            "phone",
            "offline_access",
        ];
        let known = own.into_iter().filter(|scope| self.knows_scope(scope));
        let metadata = json!({
            "client_name": "Conformance tests",
            "redirect_uris": [CALLBACK],
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": self.app_grants(),
            "response_types": ["code"],
            "scope": known.collect::<Vec<_>>().join(" "),
        });
        merged(metadata, more)
    }

    fn app_grants(&self) -> Vec<&'static str> {
        let known = self.metadata().grants();
        let mut grants = vec!["authorization_code", "refresh_token"];
        grants.retain(|grant| known.contains(grant));
        grants
    }

    /// A web app with the key of the tests, for what it signs.
    pub(crate) async fn signing_app(&self, more: Value) -> Result<Registered, Stop> {
        let keys = jws::public_keys(self.client_key()?);
        let keys = keys.ok_or_else(|| Stop::unchecked("no key could be made"))?;
        self.web_app(merged(json!({ "jwks": keys }), more)).await
    }

    /// A new client with metadata that points to the tests' own address, which issuers may refuse.
    pub(crate) async fn reaching_client(&self, more: Value) -> Result<Registered, Stop> {
        let answer = self.register(&self.web_app_metadata(more)).await?;
        if answer.status == 400 {
            let reason =
                "the issuer registers no client with the address at which the tests listen";
            return Err(Stop::unchecked(reason));
        }
        Registered::read(self, answer)
    }

    /// Registers what the target lacks, as far as the issuer lets strangers. What does not work is left out: then the checks that
    /// need it are unchecked.
    pub(super) async fn register_missing(&self) -> Missing {
        let mut missing = Missing {
            app: None,
            credentials: None,
        };
        if !self.metadata().has("registration_endpoint") {
            return missing;
        }
        if self.target().app.is_none() && self.target().person.is_some() {
            let native = json!({
                "redirect_uris": ["http://127.0.0.1/callback"],
                "token_endpoint_auth_method": "none",
                "application_type": "native",
            });
            let app = self.web_app(native).await.ok();
            missing.app = app.map(|app| App {
                client_id: app.client_id,
                redirect_uri: app.redirect_uri,
            });
        }
        if self.target().credentials.is_none()
            && self.metadata().grants().contains(&"client_credentials")
        {
            missing.credentials = self.register_service().await.ok();
        }
        missing
    }

    /// A client with the grant `client_credentials`, if it is let do everything that checks do with one.
    async fn register_service(&self) -> Result<Credentials, Stop> {
        let metadata = json!({
            "client_name": "Conformance tests",
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "response_types": [],
        });
        let client = self.client(&metadata).await?;
        let token = client.authenticated(self.grant()?)?;
        let token = self.issue(token).await?.value;
        if self.metadata().has("introspection_endpoint") {
            let request = self.post("introspection_endpoint")?;
            let request = client.authenticated(request.form(&[("token", token)]))?;
            let answer = request.send().await?;
            let active = answer.json()?.get("active") == Some(&Value::Bool(true));
            answer.require(active, "the client may not introspect")?;
        }
        Ok(Credentials {
            authentication: Authentication::ClientSecretBasic(client.secret()?.into()),
            client_id: client.client_id,
        })
    }
}

/// The members of both, with those of `more` in the place of others of their name.
pub(crate) fn merged(mut members: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (members.as_object_mut(), more) {
        members.extend(more);
    }
    members
}
