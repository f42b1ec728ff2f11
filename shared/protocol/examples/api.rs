//! A guarded API of your own. To try it beside the quickstart (`cargo run`), tell the authorization server of it, and of a client that may
//! read and one that may do all; each `client create` prints an id and a secret:
//!
//! ```text
//! cargo run -p auth-server -- resource create http://localhost:8100 --name Notes \
//!     --scope notes:read="Read your notes" --scope notes:write="Change your notes"
//! cargo run -p auth-server -- client create --name Reader --grant client_credentials --scope notes:read
//! cargo run -p auth-server -- client create --name Writer --grant client_credentials --scope notes:read --scope notes:write
//! cargo run -p auth-server -- resource update http://localhost:8100 --introspection-client $WRITER
//! CLIENT_SECRET=$WRITER_SECRET cargo run -p shared-protocol --example api -- $WRITER
//! ```
//!
//! Then, with `TOKEN=$(curl -su $READER:$READER_SECRET -d grant_type=client_credentials -d resource=http://localhost:8100
//! http://localhost:8000/oauth/token | sed 's/.*"access_token":"//;s/".*//')`:
//!
//! ```text
//! curl -i http://localhost:8100/notes                                             # 401: the challenge tells where to go, and what to ask for
//! curl -i http://localhost:8100/.well-known/oauth-protected-resource              # RFC 9728, where the challenge leads
//! curl -i -H "Authorization: Bearer $TOKEN" http://localhost:8100/notes           # 200: verified with the issuer's keys
//! curl -i -X POST -H "Authorization: Bearer $TOKEN" http://localhost:8100/notes   # 403: this needs notes:write too
//! ```
//!
//! With a token of the second client POST is 200 until the token is revoked, because that route asks the issuer each time, and DELETE is
//! 401: it needs a person who signed in within the last five minutes (RFC 9470). A token that its client bound to a key comes as
//! `Authorization: DPoP` with a proof (RFC 9449). For one that is bound to a certificate (RFC 8705), `--behind-proxy` says that a proxy
//! which ends TLS is the only way here, drops `Client-Cert` of its clients and writes its own (RFC 9440): what stands there is believed.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an API of a stranger, without extractors and configuration of its own"
)]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use shared_protocol::bearer::{
    AccessToken, AuthenticationRequirement, Guard, GuardSettings, IntrospectionCredentials, Proofs,
    TrustedIssuer,
};
use shared_protocol::client_cert;
use shared_protocol::dpop::{Dpop, NoncePolicy};
use shared_protocol::issuer::Issuer;
use shared_protocol::outbound::{Fetcher, FetcherSettings, Origin};
use shared_protocol::random::SystemRandom;
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::{Clock as _, SystemClock};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let (id, behind_proxy) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [id] => (id, false),
        [id, "--behind-proxy"] => (id, true),
        _ => return Err("name the client that this API introspects with".into()),
    };
    let us = IntrospectionCredentials::ClientSecretBasic {
        client_id: id.parse()?,
        client_secret: std::env::var("CLIENT_SECRET")?.into(),
    };
    let (issuer, resource) = ("http://localhost:8000", "http://localhost:8100");
    let app = api(issuer.parse()?, resource.parse()?, us, behind_proxy)?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8100").await?;
    Ok(axum::serve(listener, app).await?)
}

/// The API at the address `resource` for the tokens of `issuer`, which it asks about them as `us`.
pub(crate) fn api(
    issuer: Issuer,
    resource: ResourceId,
    us: IntrospectionCredentials,
    behind_proxy: bool,
) -> Result<Router, Box<dyn Error>> {
    // The operator named the issuer, so it may stand on this machine, and speak http.
    let fetcher = FetcherSettings {
        allowed: vec![Origin::try_from(issuer.url())?],
        ..FetcherSettings::default()
    };
    let issuer = TrustedIssuer {
        introspection: Some(us),
        ..TrustedIssuer::by_keys(issuer)
    };
    let origin = resource.url().clone();
    let guard = Guard::new(GuardSettings {
        proofs: Some(Proofs {
            dpop: Dpop::in_one_process(origin, &SystemRandom, SystemClock.now()),
            nonces: NoncePolicy::Offered,
        }),
        certificates: behind_proxy,
        // What the issuer says holds for the request that made us ask.
        introspection_cache: Duration::ZERO,
        ..GuardSettings::new(resource, issuer, Fetcher::new(fetcher)?)
    })?;
    let reads: ScopeSet = "notes:read".parse()?;
    let writes: ScopeSet = "notes:read notes:write".parse()?;
    let just_now = AuthenticationRequirement::new(Vec::new(), Some(Duration::from_mins(5)))?;
    let document = Json(guard.resource_metadata(&writes, &[]));
    let notes = get(whose)
        .layer(guard.requiring(reads))
        .merge(post(whose).layer(guard.introspecting(writes.clone())))
        .merge(delete(whose).layer(guard.requiring(writes).authenticated(just_now)));
    let app = Router::new()
        .route("/notes", notes)
        .route(guard.resource_metadata_url().path(), get(async || document));
    Ok(if behind_proxy {
        app.layer(from_fn(client_cert::believe))
    } else {
        app.layer(from_fn(client_cert::refuse))
    })
}

/// The guard lets nobody through of whom it does not say who it is.
async fn whose(Extension(token): Extension<Arc<AccessToken>>) -> String {
    format!("{} may {}\n", token.subject(), token.scope())
}
