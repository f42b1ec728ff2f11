//! A guarded API of your own. To try it beside the quickstart (`cargo run`), tell the authorization server of it, and of a client that may
//! read and one that may do all; each `client create` prints an id and a secret:
//!
//! ```text
//! cargo run -p auth-server -- resource create http://localhost:8100 --name Notes \
//!     --scope notes:read="Read your notes" --scope notes:write="Change your notes"
//! cargo run -p auth-server -- client create --name Reader --grant client_credentials --scope notes:read
//! cargo run -p auth-server -- client create --name Writer --grant client_credentials --scope notes:read --scope notes:write
//! cargo run -p auth-server -- resource update http://localhost:8100 --introspection-client $WRITER
//! CLIENT_ID=$WRITER CLIENT_SECRET=$WRITER_SECRET cargo run -p shared-protocol --example api
//! ```
//!
//! Then:
//!
//! ```text
//! TOKEN=$(curl -su $READER:$READER_SECRET -d grant_type=client_credentials -d resource=http://localhost:8100 \
//!     http://localhost:8000/oauth/token | sed 's/.*"access_token":"//;s/".*//')
//! curl -i http://localhost:8100/notes                                             # 401: the challenge tells where to go, and what to ask for
//! curl -i http://localhost:8100/.well-known/oauth-protected-resource              # RFC 9728, where the challenge leads
//! curl -i -H "Authorization: Bearer $TOKEN" http://localhost:8100/notes           # 200: verified with the issuer's keys
//! curl -i -X POST -H "Authorization: Bearer $TOKEN" http://localhost:8100/notes   # 403: this needs notes:write too
//! ```
//!
//! With a token of the second client POST is 200 until the token is revoked, because that route asks the issuer each time, and DELETE is
//! 401: it needs a person who signed in within the last five minutes (RFC 9470). A token that its client bound to a key comes as
//! `Authorization: DPoP` with a proof (RFC 9449). For one that is bound to a certificate (RFC 8705), `BEHIND_PROXY=https://notes.example`
//! names a proxy which ends TLS there, is the only way here, drops `Client-Cert` of its clients and writes its own (RFC 9440): what stands
//! there is believed. That address is then what tokens are for, in place of `http://localhost:8100` above.
#![expect(clippy::disallowed_methods, reason = "a program of a stranger")]

use std::env::var;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use shared_protocol::bearer::{
    AccessToken, AuthenticationRequirement, Certificates, Guard, GuardSettings,
    IntrospectionCredentials, TrustedIssuer,
};
use shared_protocol::random::SystemRandom;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let us = IntrospectionCredentials::ClientSecretBasic {
        client_id: var("CLIENT_ID")?.parse()?,
        client_secret: var("CLIENT_SECRET")?.into(),
    };
    let (resource, certificates) = match var("BEHIND_PROXY") {
        Ok(address) => (address.parse()?, Certificates::OfProxy),
        Err(_) => ("http://localhost:8100".parse()?, Certificates::Unseen),
    };
    let issuer = TrustedIssuer::by_keys("http://localhost:8000".parse()?).asked_by(us);
    let app = api(resource, issuer, certificates)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8100").await?;
    Ok(axum::serve(listener, app).await?)
}

/// The API at the address `resource` for the tokens of `issuer`.
pub(crate) fn api(
    resource: ResourceId,
    issuer: TrustedIssuer,
    certificates: Certificates,
) -> Result<Router, Box<dyn Error>> {
    let guard = Guard::new(GuardSettings {
        certificates,
        ..GuardSettings::new(resource, issuer)?.with_proofs_in_one_process(&SystemRandom)
    })?;
    let reads: ScopeSet = "notes:read".parse()?;
    let writes: ScopeSet = "notes:read notes:write".parse()?;
    let just_now = AuthenticationRequirement::within(Duration::from_mins(5));
    let described = guard.resource_metadata_route(&writes, &[]);
    let notes = get(whose)
        .layer(guard.requiring(reads))
        .merge(post(whose).layer(guard.introspecting(writes.clone())))
        .merge(delete(whose).layer(guard.requiring(writes).authenticated(just_now)));
    Ok(described.route("/notes", notes))
}

/// The guard lets nobody through of whom it does not say who it is.
async fn whose(Extension(token): Extension<Arc<AccessToken>>) -> String {
    format!("{} may {}\n", token.subject(), token.scope())
}
