//! What is measured, each with its requests, its floor and its budget.

use std::fmt;

use anyhow::ensure;
use bytes::Bytes;
use clap::ValueEnum;
use hyper::Method;
use url::form_urlencoded::Serializer;

use crate::client::member;
use crate::drive::{Refresh, Script, TOKEN, Template, anything, drive};
use crate::floor;
use crate::servers::{AuthServer, ME, Prover};

/// RFC 8693 §3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A kind of request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Workload {
    /// A token by `client_secret_basic`, signed with ES256
    ClientCredentials,
    /// From the authorization request to tokens: PKCE, an access token and an ID token, signed with ES256
    CodeFlow,
    /// A rotated refresh token, an access token and an ID token, signed with ES256
    Refresh,
    /// Claims about a person, by one and the same token
    Userinfo,
    /// Introspection of one and the same token
    IntrospectionRepeated,
    /// Introspection of tokens never seen before
    IntrospectionFresh,
    /// Introspection of opaque tokens never seen before
    IntrospectionOpaque,
    /// A token of a person's app exchanged for one of a service's own (RFC 8693), signed with ES256
    TokenExchange,
    /// The JWK Set
    Jwks,
    /// The authorization server's metadata
    Metadata,
    /// A token by `private_key_jwt`, with an ES256 assertion never seen before, signed with ES256
    PrivateKeyJwt,
    /// A token by `client_secret_basic` that is bound to a key, with a proof never seen before, signed with ES256
    DpopToken,
    /// The resource API: who am I, by a person's token that is bound to a key, with a proof never seen before
    DpopApiRead,
    /// The resource API: who am I, by one and the same token of a person
    ApiRead,
    /// The resource API: who am I, by tokens of a person never seen before
    ApiReadFresh,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientCredentials => "client-credentials",
            Self::CodeFlow => "code-flow",
            Self::Refresh => "refresh",
            Self::Userinfo => "userinfo",
            Self::IntrospectionRepeated => "introspection-repeated",
            Self::IntrospectionFresh => "introspection-fresh",
            Self::IntrospectionOpaque => "introspection-opaque",
            Self::TokenExchange => "token-exchange",
            Self::Jwks => "jwks",
            Self::Metadata => "metadata",
            Self::PrivateKeyJwt => "private-key-jwt",
            Self::DpopToken => "dpop-token",
            Self::DpopApiRead => "dpop-api-read",
            Self::ApiRead => "api-read",
            Self::ApiReadFresh => "api-read-fresh",
        })
    }
}

impl Workload {
    /// CPU time that one unit may cost the server, in milliseconds, where that was decided.
    pub(crate) const fn budget(self) -> Option<f64> {
        Some(match self {
            Self::ClientCredentials => 0.045,
            Self::CodeFlow => 0.20,
            Self::Refresh => 0.13,
            Self::Userinfo => 0.03,
            Self::IntrospectionRepeated => 0.02,
            Self::IntrospectionFresh => 0.09,
            Self::Jwks | Self::Metadata => 0.012,
            Self::PrivateKeyJwt => 0.11,
            Self::DpopToken => 0.12,
            Self::IntrospectionOpaque
            | Self::TokenExchange
            | Self::DpopApiRead
            | Self::ApiRead
            | Self::ApiReadFresh => return None,
        })
    }

    /// Whether it is the resource API that works.
    pub(crate) const fn at_api(self) -> bool {
        matches!(self, Self::DpopApiRead | Self::ApiRead | Self::ApiReadFresh)
    }

    /// The bare handler that it is compared with, one that signs if it signs, else one that only answers; and how many requests.
    const fn floor(self) -> (&'static str, usize) {
        match self {
            Self::CodeFlow => (floor::SIGN, 2),
            Self::ClientCredentials
            | Self::Refresh
            | Self::TokenExchange
            | Self::PrivateKeyJwt
            | Self::DpopToken => (floor::SIGN, 1),
            Self::Userinfo
            | Self::DpopApiRead
            | Self::ApiRead
            | Self::ApiReadFresh
            | Self::IntrospectionRepeated
            | Self::IntrospectionFresh
            | Self::IntrospectionOpaque
            | Self::Jwks
            | Self::Metadata => (floor::ANSWER, 1),
        }
    }

    /// What to do for a round of `requests`; tokens that it takes are got here, outside of what is measured.
    ///
    /// # Errors
    /// If the tokens cannot be had.
    pub(crate) async fn script(
        self,
        server: &AuthServer,
        connections: usize,
        requests: usize,
    ) -> anyhow::Result<Script> {
        let port = server.first().port;
        let template = match self {
            Self::ClientCredentials => token_request(server),
            Self::Jwks => Template::get("/oauth/jwks"),
            Self::Metadata => Template::get("/.well-known/oauth-authorization-server"),
            Self::CodeFlow => return Ok(Script::CodeFlow(server.code_flow())),
            Self::Refresh => {
                let flow = Script::CodeFlow(server.code_flow());
                let read = |body: &Bytes| member(body, "refresh_token");
                let got = drive(port, connections, connections, flow, read).await?;
                return Ok(Script::Refresh(Refresh {
                    form: server.refresh_form(),
                    tokens: got.read,
                }));
            }
            Self::PrivateKeyJwt => Template {
                bodies: server.assertions(requests).await?,
                ..Template::token(String::new())
            },
            Self::DpopToken => {
                let url = format!("{}{TOKEN}", server.issuer()?);
                server.remembers_proofs().await;
                Template {
                    proofs: Prover::new()?.proofs(requests, "POST", &url, None).await?,
                    ..token_request(server)
                }
            }
            Self::DpopApiRead => {
                let prover = Prover::new()?;
                let token = server.bound_token(&prover).await?;
                let url = format!("{}{ME}", server.api());
                let proofs = prover.proofs(requests, "GET", &url, Some(&token)).await?;
                Template {
                    authorizations: vec![format!("DPoP {token}")],
                    proofs,
                    ..Template::get(ME)
                }
            }
            Self::Userinfo => bearer("/oauth/userinfo", &person_tokens(server, 1, 1).await?),
            Self::ApiRead => bearer(ME, &person_tokens(server, 1, 1).await?),
            Self::ApiReadFresh => bearer(ME, &person_tokens(server, connections, requests).await?),
            Self::IntrospectionRepeated | Self::IntrospectionFresh => {
                let tokens = if self == Self::IntrospectionFresh {
                    requests
                } else {
                    1
                };
                let request = Script::Repeat(token_request(server), 1);
                let got = drive(port, connections, tokens, request, introspection).await?;
                introspect(server, got.read)
            }
            Self::IntrospectionOpaque => {
                let request = Template {
                    authorizations: vec![server.opaque_client().await?.basic()],
                    ..Template::token("grant_type=client_credentials".into())
                };
                let request = Script::Repeat(request, 1);
                let got = drive(port, connections, requests, request, introspection).await?;
                introspect(server, got.read)
            }
            Self::TokenExchange => Template {
                authorizations: vec![server.exchanger().await?.basic()],
                ..Template::token(exchange(&person_tokens(server, 1, 1).await?, &server.api()))
            },
        };
        Ok(Script::Repeat(template, 1))
    }

    /// The same load for the floor: as large a request where it is one and the same, to a bare handler.
    pub(crate) fn at_floor(self, script: &Script) -> Script {
        let (path, times) = self.floor();
        let posted = |form: &str| Template {
            method: Method::POST,
            bodies: vec![form.to_owned().into()],
            ..Template::get(path)
        };
        let template = match script {
            Script::Repeat(template, _) => Template {
                path: path.into(),
                ..template.clone()
            },
            Script::CodeFlow(flow) => posted(&flow.form),
            Script::Refresh(refresh) => posted(&refresh.form),
        };
        Script::Repeat(template, times)
    }

    /// What every response must be.
    pub(crate) const fn check(self) -> fn(&Bytes) -> anyhow::Result<()> {
        match self {
            Self::IntrospectionRepeated | Self::IntrospectionFresh | Self::IntrospectionOpaque => {
                active
            }
            Self::TokenExchange => exchanged,
            Self::DpopToken => bound,
            Self::CodeFlow | Self::Refresh => identifies,
            Self::ClientCredentials
            | Self::PrivateKeyJwt
            | Self::Userinfo
            | Self::DpopApiRead
            | Self::ApiRead
            | Self::ApiReadFresh
            | Self::Jwks
            | Self::Metadata => anything,
        }
    }
}

/// GET with each of these tokens in turn.
fn bearer(path: &str, tokens: &[String]) -> Template {
    let authorizations = tokens.iter().map(|token| format!("Bearer {token}"));
    Template {
        authorizations: authorizations.collect(),
        ..Template::get(path)
    }
}

/// So many access tokens of a person's app, each of a code flow of its own.
async fn person_tokens(
    server: &AuthServer,
    connections: usize,
    tokens: usize,
) -> anyhow::Result<Vec<String>> {
    let flow = Script::CodeFlow(server.code_flow());
    let read = |body: &Bytes| member(body, "access_token");
    let got = drive(server.first().port, connections, tokens, flow, read).await?;
    Ok(got.read)
}

pub(crate) fn token_request(server: &AuthServer) -> Template {
    Template {
        authorizations: vec![server.client.basic()],
        ..Template::token("grant_type=client_credentials&scope=profile:read".into())
    }
}

/// From a token response (RFC 6749 §5.1) the form that introspects its token (RFC 7662 §2.1). A JWT needs no escapes.
fn introspection(body: &Bytes) -> anyhow::Result<Bytes> {
    Ok(format!("token={}", member(body, "access_token")?).into())
}

/// Each of these forms, by the client that introspects.
fn introspect(server: &AuthServer, forms: Vec<Bytes>) -> Template {
    Template {
        method: Method::POST,
        authorizations: vec![server.introspector.basic()],
        bodies: forms,
        ..Template::get("/oauth/introspect")
    }
}

/// The form that exchanges the first of these tokens for one for `audience` (RFC 8693 §2.1).
fn exchange(tokens: &[String], audience: &str) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair(
        "grant_type",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    );
    form.append_pair("subject_token_type", ACCESS_TOKEN);
    form.append_pair("resource", audience);
    for token in tokens.iter().take(1) {
        form.append_pair("subject_token", token);
    }
    form.finish()
}

/// RFC 8693 §2.2.1: what came is an access token.
fn exchanged(body: &Bytes) -> anyhow::Result<()> {
    let issued = member(body, "issued_token_type")?;
    ensure!(issued == ACCESS_TOKEN, "{issued} was issued");
    member(body, "access_token").map(drop)
}

/// RFC 9449 §5: what came is bound to the key of the proof.
fn bound(body: &Bytes) -> anyhow::Result<()> {
    let kind = member(body, "token_type")?;
    ensure!(kind == "DPoP", "a token of type {kind} was issued");
    member(body, "access_token").map(drop)
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

/// A token response with an ID token (OpenID Connect Core §3.1.3.3).
fn identifies(body: &Bytes) -> anyhow::Result<()> {
    member(body, "id_token").map(drop)
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
        assert!(identifies(&Bytes::from_static(br#"{"id_token":"a.b.c"}"#)).is_ok());
        assert!(identifies(&Bytes::from_static(br#"{"access_token":"a.b.c"}"#)).is_err());
        let form = exchange(&["a.b.c".into()], "http://127.0.0.1:1");
        assert!(form.ends_with("&resource=http%3A%2F%2F127.0.0.1%3A1&subject_token=a.b.c"));
        assert!(exchanged(&Bytes::from_static(br#"{"access_token":"a.b.c"}"#)).is_err());
        let plain = br#"{"access_token":"a.b.c","token_type":"Bearer"}"#;
        assert!(bound(&Bytes::from_static(plain)).is_err());
    }
}
