//! What is measured, and the requests that it is made of.

mod terms;

use std::fmt;

use bytes::Bytes;
use clap::ValueEnum;
use hyper::Method;
use url::form_urlencoded::Serializer;

use crate::client::member;
use crate::drive::{Refresh, Script, TOKEN, Template, drive};
use crate::servers::{AuthServer, Certificates, ME, Prover};

pub(crate) use self::terms::Terms;

/// RFC 8693 §3.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// RFC 6749 §4.4.2.
const CREDENTIALS: &str = "grant_type=client_credentials&scope=profile:read";

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
    /// A token by `tls_client_auth` that is bound to the certificate of the connection, signed with ES256
    CertificateToken,
    /// The resource API: who am I, by a person's token that is bound to the certificate of the connection
    CertificateApiRead,
    /// The resource API: who am I, by one and the same token of a person
    ApiRead,
    /// The resource API: who am I, by tokens of a person never seen before
    ApiReadFresh,
}

/// As on the command line.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => f.write_str(value.get_name()),
            None => Ok(()),
        }
    }
}

impl Workload {
    /// What to do for a round of `requests`; tokens that it takes are got here, outside of what is measured.
    ///
    /// # Errors
    /// If the tokens cannot be had.
    pub(crate) async fn script(
        self,
        (server, certificates): (&AuthServer, &Certificates),
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
            Self::CertificateToken => {
                let client_id = &server.certified_client().await?.client_id;
                let form = format!("{CREDENTIALS}&client_id={client_id}");
                Template::token(form)
            }
            Self::CertificateApiRead => {
                let issued = server.certified(certificates).await?;
                terms::certified(&issued)?;
                bearer(ME, &[member(&issued, "access_token")?])
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
        let (path, times) = self.terms().floor;
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
        ..Template::token(CREDENTIALS.into())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        let names = [Workload::Jwks, Workload::CertificateToken].map(|it| it.to_string());
        assert_eq!(names, ["jwks", "certificate-token"]);
    }

    #[test]
    fn a_token_response_becomes_a_form() {
        let form = introspection(&Bytes::from_static(br#"{"access_token":"a.b.c"}"#));
        assert_eq!(form.unwrap(), "token=a.b.c");
        assert!(introspection(&Bytes::from_static(b"{}")).is_err());
        let form = exchange(&["a.b.c".into()], "http://127.0.0.1:1");
        assert!(form.ends_with("&resource=http%3A%2F%2F127.0.0.1%3A1&subject_token=a.b.c"));
    }
}
