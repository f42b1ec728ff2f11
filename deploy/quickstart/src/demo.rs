//! `demo.json`: the credentials that every start prints, and scripts read.

use anyhow::Context as _;
use auth_server::accounts::email::EmailAddress;
use auth_server::accounts::password::Password;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use shared_protocol::client_id::ClientId;
use shared_protocol::issuer::Issuer;
use shared_protocol::random::{Random, alphanumeric};
use shared_protocol::resource::ResourceId;

use crate::flags::Flags;
use crate::folder::Folder;

const FILE: &str = "demo.json";
/// What the person is called.
pub(crate) const PERSON_NAME: &str = "Demo Person";

/// What was seeded.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Demo {
    /// The issuer.
    pub(crate) issuer: Issuer,
    /// The API's identifier, which is its address too.
    pub(crate) api: ResourceId,
    /// All resource servers, the API first.
    pub(crate) resources: Vec<ResourceId>,
    /// The confidential client.
    pub(crate) service: Service,
    /// The confidential client that shows a certificate.
    pub(crate) worker: Worker,
    /// The public client.
    pub(crate) app: App,
    /// The device on which nobody can sign in (RFC 8628).
    pub(crate) device: Device,
    /// Who signs in.
    pub(crate) person: Person,
    /// What the app may ask for beside scopes (RFC 9396 §2): one object of the type that there is.
    #[serde(skip_deserializing, default = "authorization_details")]
    pub(crate) authorization_details: Value,
}

/// What anybody may ask a person for at the API.
pub(crate) fn authorization_details() -> Value {
    json!({"type": "profile_fields", "actions": ["read"], "datatypes": ["sub"]})
}

/// A confidential client.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Service {
    pub(crate) client_id: ClientId,
    #[serde(serialize_with = "exposed")]
    pub(crate) client_secret: SecretString,
}

/// A confidential client whose proof is a certificate.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Worker {
    pub(crate) client_id: ClientId,
}

/// A public client.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct App {
    pub(crate) client_id: ClientId,
}

/// A device.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Device {
    pub(crate) client_id: ClientId,
}

/// A person.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Person {
    pub(crate) email: String,
    #[serde(serialize_with = "exposed")]
    pub(crate) password: SecretString,
}

/// Into the file of mode 0600, whose purpose this is.
fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

impl Demo {
    /// What an earlier start left; `None` if there was none, or if it cannot be read, which is logged.
    ///
    /// # Errors
    /// A file that is there and cannot be opened.
    pub(crate) fn read(folder: &Folder) -> anyhow::Result<Option<Self>> {
        let named = || folder.file(FILE).display().to_string();
        let Some(content) = folder.read(FILE).with_context(named)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&content) {
            Ok(demo) => Ok(Some(demo)),
            Err(error) => {
                // Where, and not what: a message of serde could quote a secret.
                tracing::warn!(
                    file = named(),
                    line = error.line(),
                    "the file of demo credentials cannot be read; new ones are made"
                );
                Ok(None)
            }
        }
    }

    /// Keeps it for the next start.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        let mut content = serde_json::to_vec_pretty(self)?;
        content.push(b'\n');
        folder
            .write(FILE, &content)
            .with_context(|| folder.file(FILE).display().to_string())
    }
}

impl Person {
    /// As the flags say, else as it was, else made up.
    ///
    /// # Errors
    /// An address or a password with which nobody could sign in.
    pub(crate) fn new(
        flags: &Flags,
        before: Option<&Self>,
        random: &dyn Random,
    ) -> anyhow::Result<Self> {
        let email = flags.demo_email.clone();
        let password = flags.demo_password.clone();
        let person = Self {
            email: email
                .or_else(|| before.map(|person| person.email.clone()))
                .unwrap_or_else(|| "demo@example.com".into()),
            password: password
                .or_else(|| before.map(|person| person.password.clone()))
                .unwrap_or_else(|| alphanumeric(16, random).into()),
        };
        let email = person.address()?;
        Password::choose(&person.password, &email, Some(PERSON_NAME))
            .context("the demo person's password (--demo-password, or the one in demo.json)")?;
        Ok(person)
    }

    /// Their address as the server keeps it.
    ///
    /// # Errors
    /// Something that is none.
    pub(crate) fn address(&self) -> anyhow::Result<EmailAddress> {
        self.email
            .parse()
            .context("the demo person's address (--demo-email, or the one in demo.json)")
    }
}
