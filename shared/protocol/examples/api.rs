//! A guarded API of your own. To try it beside the quickstart (`cargo run`), tell the authorization server of it, and of a client that may
//! read and one that may do all; each `client create` prints an id and a secret:
//!
//! ```text
//! cargo run -p auth-server -- resource create http://localhost:8100 --name Notes \
//!     --scope notes:read="Read your notes" --scope notes:write="Change your notes"
//! cargo run -p auth-server -- client create --name Reader --grant client_credentials --scope notes:read
//! cargo run -p auth-server -- client create --name Writer --grant client_credentials --scope notes:read --scope notes:write
//! cargo run -p auth-server -- resource update http://localhost:8100 --introspection-client $WRITER
//! cargo run -p shared-protocol --example api -- $WRITER $WRITER_SECRET
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
//! `Authorization: DPoP` with a proof (RFC 9449); one that is bound to a certificate (RFC 8705) through a proxy that ends TLS.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use shared_protocol::bearer::{
    AccessToken, AuthenticationRequirement, Guard, GuardSettings, IntrospectionCredentials, Proofs,
    TrustedIssuer,
};
use shared_protocol::client_id::ClientId;
use shared_protocol::confirmation::CertificateThumbprint;
use shared_protocol::dpop::{Dpop, DpopSettings, LocalProofs, NoncePolicy, Nonces};
use shared_protocol::issuer::Issuer;
use shared_protocol::outbound::{Fetcher, FetcherSettings, Origin};
use shared_protocol::random::{SystemRandom, bytes};
use shared_protocol::resource::ResourceId;
use shared_protocol::scope::ScopeSet;
use shared_protocol::time::{Clock as _, SystemClock};

const ISSUER: &str = "http://localhost:8000";
const RESOURCE: &str = "http://localhost:8100";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let us = arguments.next().zip(arguments.next());
    let (id, secret) =
        us.ok_or("name the client that this API introspects with, and its secret")?;
    let app = api(
        ISSUER.parse()?,
        RESOURCE.parse()?,
        id.parse()?,
        secret.into(),
    )?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8100").await?;
    Ok(axum::serve(listener, app).await?)
}

/// The API at the address `resource` for the tokens of `issuer`, which it asks about them by this id and secret.
pub(crate) fn api(
    issuer: Issuer,
    resource: ResourceId,
    client_id: ClientId,
    client_secret: SecretString,
) -> Result<Router, Box<dyn Error>> {
    // The operator named the issuer, so it may stand on this machine, and speak http.
    let fetcher = FetcherSettings {
        allowed: vec![Origin::try_from(issuer.url())?],
        ..FetcherSettings::default()
    };
    // For one process; nodes that share the work share the key and the memory of proofs.
    let dpop = Dpop::new(DpopSettings {
        origins: vec![resource.url().clone()],
        nonces: Nonces::new(&bytes(&SystemRandom), Duration::from_mins(5)),
        used: Arc::new(LocalProofs::new(100_000, SystemClock.now())),
    });
    let issuer = TrustedIssuer {
        introspection: Some(IntrospectionCredentials {
            client_id,
            client_secret,
        }),
        ..TrustedIssuer::by_keys(issuer)
    };
    // Nothing ends TLS here: behind an https address there is a proxy that does.
    let certificates = resource.url().scheme() == "https";
    let guard = Guard::new(GuardSettings {
        proofs: Some(Proofs {
            dpop,
            nonces: NoncePolicy::Offered,
        }),
        certificates,
        // What the issuer says holds for the request that made us ask.
        introspection_cache: Duration::ZERO,
        ..GuardSettings::new(resource, issuer, Fetcher::new(fetcher)?)
    })?;
    let reads: ScopeSet = "notes:read".parse()?;
    let writes: ScopeSet = "notes:read notes:write".parse()?;
    let just_now = AuthenticationRequirement::new(Vec::new(), Some(Duration::from_mins(5)))?;
    let document = guard.resource_metadata(&writes, &[]).to_string();
    let document_path = guard.resource_metadata_url().path().to_owned();
    let document = ([(CONTENT_TYPE, "application/json")], document);
    let notes = get(whose)
        .layer(guard.requiring(reads))
        .merge(post(whose).layer(guard.introspecting(writes.clone())))
        .merge(delete(whose).layer(guard.requiring(writes).authenticated(just_now)));
    let app = Router::new()
        .route("/notes", notes)
        .route(&document_path, get(async || document));
    Ok(if certificates {
        app.layer(from_fn(certificate))
    } else {
        app
    })
}

/// The guard lets nobody through of whom it does not say who it is.
async fn whose(Extension(token): Extension<Arc<AccessToken>>) -> String {
    format!("{} may {}\n", token.subject(), token.scope())
}

/// What the proxy says of the client's certificate (RFC 9440 §2.2). It must be the only way here, and drop what clients write there.
async fn certificate(mut request: Request, next: Next) -> Response {
    let field = request.headers().get("client-cert");
    let field = field.and_then(|field| field.to_str().ok());
    let der = field.and_then(|field| field.strip_prefix(':')?.strip_suffix(':'));
    if let Some(der) = der.and_then(|der| STANDARD.decode(der).ok()) {
        let thumbprint = CertificateThumbprint::of(&der);
        request.extensions_mut().insert(thumbprint);
    }
    next.run(request).await
}
