//! What is measured, each with its requests, its floor and its budget.

use std::fmt;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use clap::ValueEnum;
use hyper::Method;
use serde_json::Value;

use crate::drive::{Template, anything, drive};
use crate::floor;
use crate::servers::AuthServer;

/// A kind of request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Workload {
    /// A token by `client_secret_basic`, signed with ES256
    ClientCredentials,
    /// Introspection of one and the same token
    IntrospectionRepeated,
    /// Introspection of tokens never seen before
    IntrospectionFresh,
    /// The JWK Set
    Jwks,
    /// The authorization server's metadata
    Metadata,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCredentials => "client-credentials",
            Self::IntrospectionRepeated => "introspection-repeated",
            Self::IntrospectionFresh => "introspection-fresh",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
        })
    }
}

impl Workload {
    /// CPU time that one request may cost the server, in milliseconds.
    pub(crate) const fn budget(self) -> f64 {
        match self {
            Self::ClientCredentials => 0.045,
            Self::IntrospectionRepeated => 0.02,
            Self::IntrospectionFresh => 0.09,
            Self::Jwks | Self::Metadata => 0.012,
        }
    }

    /// The path of the bare handler that it is compared with: one that signs if it signs, else one that only answers.
    pub(crate) const fn floor(self) -> &'static str {
        match self {
            Self::ClientCredentials => floor::SIGN,
            Self::IntrospectionRepeated
            | Self::IntrospectionFresh
            | Self::Jwks
            | Self::Metadata => floor::ANSWER,
        }
    }

    /// What to send for a round of `requests`; tokens that it takes are got here, outside of what is measured.
    ///
    /// # Errors
    /// If the tokens cannot be had.
    pub(crate) async fn template(
        self,
        server: &AuthServer,
        connections: usize,
        requests: usize,
    ) -> anyhow::Result<Template> {
        let tokens = match self {
            Self::ClientCredentials => return Ok(token_request(server)),
            Self::Jwks => return Ok(Template::get("/oauth/jwks")),
            Self::Metadata => return Ok(Template::get("/.well-known/oauth-authorization-server")),
            Self::IntrospectionRepeated => 1,
            Self::IntrospectionFresh => requests,
        };
        let port = server.server.port;
        let got = drive(
            port,
            connections,
            tokens,
            token_request(server),
            introspection,
        )
        .await?;
        Ok(Template {
            method: Method::POST,
            path: "/oauth/introspect".into(),
            authorization: Some(server.introspector.basic()),
            bodies: got.read,
        })
    }

    /// What every response must be.
    pub(crate) const fn check(self) -> fn(&Bytes) -> anyhow::Result<()> {
        match self {
            Self::IntrospectionRepeated | Self::IntrospectionFresh => active,
            Self::ClientCredentials | Self::Jwks | Self::Metadata => anything,
        }
    }
}

fn token_request(server: &AuthServer) -> Template {
    Template {
        method: Method::POST,
        path: "/oauth/token".into(),
        authorization: Some(server.client.basic()),
        bodies: vec![Bytes::from_static(
            b"grant_type=client_credentials&scope=read",
        )],
    }
}

/// From a token response (RFC 6749 §5.1) the form that introspects its token (RFC 7662 §2.1). A JWT needs no escapes.
fn introspection(body: &Bytes) -> anyhow::Result<Bytes> {
    let response: Value = serde_json::from_slice(body)?;
    let token = response.get("access_token").and_then(Value::as_str);
    let token = token.context("a token response without a token")?;
    Ok(format!("token={token}").into())
}

/// RFC 7662 §2.2: refusing is cheaper than what is to be measured, so that a token that is not active is an error.
fn active(body: &Bytes) -> anyhow::Result<()> {
    let text = b"\"active\":true";
    ensure!(
        body.windows(text.len()).any(|window| window == text),
        "a token is not active"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for workload in Workload::value_variants() {
            let value = workload.to_possible_value().unwrap();
            assert_eq!(value.get_name(), workload.to_string());
        }
    }

    #[test]
    fn a_token_response_becomes_a_form_and_an_inactive_token_an_error() {
        let form = introspection(&Bytes::from_static(br#"{"access_token":"a.b.c"}"#));
        assert_eq!(form.unwrap(), "token=a.b.c");
        assert!(introspection(&Bytes::from_static(b"{}")).is_err());
        assert!(active(&Bytes::from_static(br#"{"active":true,"sub":"x"}"#)).is_ok());
        assert!(active(&Bytes::from_static(br#"{"active":false}"#)).is_err());
    }
}
