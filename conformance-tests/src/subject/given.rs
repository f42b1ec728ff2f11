//! What the target was given for the tests. What is missing leaves a check unchecked, never passed.

use secrecy::ExposeSecret as _;
use url::Url;

use super::Subject;
use crate::browser::Person;
use crate::check::Stop;
use crate::listener::Listener;
use crate::target::{App, AssertionKey, Authentication, Credentials};

impl Subject {
    pub(crate) fn credentials(&self) -> Result<&Credentials, Stop> {
        self.target
            .credentials
            .as_ref()
            .ok_or_else(|| Stop::unchecked("no client credentials were given"))
    }

    /// The secret of a client that authenticates with one.
    pub(crate) fn secret(&self) -> Result<(&str, &str), Stop> {
        let credentials = self.credentials()?;
        match &credentials.authentication {
            Authentication::ClientSecretBasic(secret)
            | Authentication::ClientSecretPost(secret) => {
                Ok((&credentials.client_id, secret.expose_secret()))
            }
            Authentication::PrivateKeyJwt(_) => {
                Err(Stop::unchecked("the given client has no secret"))
            }
        }
    }

    /// The secret of a client that authenticates with HTTP Basic.
    pub(crate) fn basic_secret(&self) -> Result<(&str, &str), Stop> {
        match &self.credentials()?.authentication {
            Authentication::ClientSecretBasic(_) => self.secret(),
            Authentication::ClientSecretPost(_) | Authentication::PrivateKeyJwt(_) => Err(
                Stop::unchecked("the given client does not use client_secret_basic"),
            ),
        }
    }

    /// The key of a client that authenticates with assertions.
    pub(crate) fn assertion_key(&self) -> Result<(&str, &AssertionKey), Stop> {
        let credentials = self.credentials()?;
        match &credentials.authentication {
            Authentication::PrivateKeyJwt(key) => Ok((&credentials.client_id, key)),
            Authentication::ClientSecretBasic(_) | Authentication::ClientSecretPost(_) => Err(
                Stop::unchecked("the given client does not use private_key_jwt"),
            ),
        }
    }

    pub(crate) fn public_client(&self) -> Result<&str, Stop> {
        self.target
            .public_client
            .as_deref()
            .ok_or_else(|| Stop::unchecked("no public client was given"))
    }

    pub(crate) fn person(&self) -> Result<&Person, Stop> {
        self.target
            .person
            .as_ref()
            .ok_or_else(|| Stop::unchecked("no person was given"))
    }

    /// The client that the person uses.
    pub(crate) fn app(&self) -> Result<&App, Stop> {
        self.target
            .app
            .as_ref()
            .ok_or_else(|| Stop::unchecked("no app was given for a person to use"))
    }

    /// Where the issuer reaches the tests.
    pub(crate) fn listener(&self) -> Result<&Listener, Stop> {
        self.listener
            .as_deref()
            .ok_or_else(|| Stop::unchecked("the tests listen nowhere that the issuer could reach"))
    }

    pub(crate) fn api(&self) -> Result<&Url, Stop> {
        self.target
            .api
            .as_ref()
            .ok_or_else(|| Stop::unchecked("no protected resource was given"))
    }
}
