//! Every path of the server, on one screen.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::HeaderMap;
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use shared_protocol::issuer::Issuer;
use shared_server::web::{self, Now, Shutdown};

use crate::authorize::visit::Dialogue;
use crate::authorize::{self, consent, sign_in};
use crate::clients::authenticate::Authenticator;
use crate::introspect::{self, Introspection};
use crate::keys::Keyring;
use crate::metadata;
use crate::pages::{self, Frame};
use crate::published::{Document, Published};
use crate::resource_servers::Snapshot;
use crate::revoke::{self, Revocation};
use crate::sign_out::{self, SignOut};
use crate::telemetry::Metrics;
use crate::token::access_token::AccessTokens;
use crate::token::error::ErrorCode;
use crate::token::{self, Grantor};
use crate::userinfo::{self, Userinfo};

/// RFC 6749 §3.1.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// RFC 6749 §3.2.
pub const TOKEN: &str = "/oauth/token";
/// RFC 7662 §2.
pub const INTROSPECT: &str = "/oauth/introspect";
/// RFC 7009 §2.
pub const REVOKE: &str = "/oauth/revoke";
/// OpenID Connect Core §5.3.
pub const USERINFO: &str = "/oauth/userinfo";
/// RFC 7517 §5.
pub const JWKS: &str = "/oauth/jwks";
/// OpenID Connect RP-Initiated Logout 1.0 §2.
pub const LOGOUT: &str = "/oauth/logout";
/// Where signing out ends.
pub const LOGGED_OUT: &str = "/logged-out";

/// What the routes are made of; nothing below a handler sees it. One pointer, because every request clones it.
#[derive(Clone)]
pub struct AppState(pub Arc<Parts>);

/// What handlers and extractors ask for, each by a pointer of its own.
pub struct Parts {
    /// Authenticates clients.
    pub authenticator: Arc<Authenticator>,
    /// Makes and reads access tokens.
    pub tokens: Arc<AccessTokens>,
    /// Grants tokens.
    pub grantor: Arc<Grantor>,
    /// Tells of people.
    pub userinfo: Arc<Userinfo>,
    /// Introspects.
    pub introspection: Arc<Introspection>,
    /// The steps from an authorization request to its answer.
    pub dialogue: Arc<Dialogue>,
    /// Revokes.
    pub revocation: Arc<Revocation>,
    /// Signs people out.
    pub sign_out: Arc<SignOut>,
    /// Makes documents of pages.
    pub frame: Arc<Frame>,
    /// The metadata, as it was last published.
    pub metadata: Published<Arc<Snapshot>>,
    /// The HTTP interface as OpenAPI.
    pub description: Document,
    /// The keys, as they were last published.
    pub jwks: Published<(Arc<Keyring>, Option<shared_protocol::time::Instant>)>,
}

macro_rules! parts {
    ($($part:ty = $field:ident),*) => {$(
        impl FromRef<AppState> for Arc<$part> {
            fn from_ref(state: &AppState) -> Self {
                Arc::clone(&state.0.$field)
            }
        }
    )*};
}

parts!(
    Authenticator = authenticator,
    Dialogue = dialogue,
    AccessTokens = tokens,
    Grantor = grantor,
    Userinfo = userinfo,
    Introspection = introspection,
    Revocation = revocation,
    SignOut = sign_out
);

/// The routes of `issuer`; those of an issuer with a path lie below it, its metadata where RFC 8414 §3.1 puts it.
pub fn routes(issuer: &Issuer, state: AppState, shutdown: Shutdown) -> Router {
    let path = issuer.path();
    let metrics = Arc::clone(&state.0.tokens.metrics);
    // A client that hangs up must not cancel a write half way.
    let writing = from_fn_with_state(shutdown.clone(), web::uninterrupted);
    let below = |endpoint: &str| format!("{path}{endpoint}");
    Router::new()
        .route(issuer.metadata_url().path(), get(server_metadata))
        .route(
            &below("/.well-known/openid-configuration"),
            get(server_metadata),
        )
        .route(&below(JWKS), get(jwks))
        .route(&below("/.well-known/jwks.json"), get(jwks))
        .route(&below(TOKEN), post(token::endpoint).layer(writing.clone()))
        .route(
            &below(USERINFO),
            get(userinfo::endpoint).post(userinfo::endpoint),
        )
        .route(&below(INTROSPECT), post(introspect::endpoint))
        .route(&below(REVOKE), post(revoke::endpoint).layer(writing))
        .route("/openapi.json", get(description))
        .layer(map_response_with_state(metrics, count_refusals))
        .merge(people(path, Arc::clone(&state.0.frame), shutdown))
        .fallback(web::not_found)
        .with_state(state)
}

/// Where people go: each step may write, and answers with a page or leads to one.
fn people(path: &str, frame: Arc<Frame>, shutdown: Shutdown) -> Router<AppState> {
    let writing = from_fn_with_state(shutdown, web::uninterrupted);
    let below = |endpoint: &str| format!("{path}{endpoint}");
    Router::new()
        .route(&below(AUTHORIZE), get(authorize::get).post(authorize::post))
        .route(&below(authorize::RESUME), get(authorize::resume))
        .route(&below(sign_in::PATH), get(sign_in::get).post(sign_in::post))
        .route(&below(consent::PATH), get(consent::get).post(consent::post))
        .route(&below(LOGOUT), get(sign_out::ask).post(sign_out::answer))
        .route(&below(LOGGED_OUT), get(sign_out::done))
        .layer(writing)
        .layer(from_fn_with_state(frame, pages::framed))
}

async fn count_refusals(State(metrics): State<Arc<Metrics>>, response: Response) -> Response {
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        metrics.refused(*code);
    }
    response
}

/// RFC 8414 §3, OpenID Connect Discovery 1.0 §4.
async fn server_metadata(State(AppState(state)): State<AppState>, headers: HeaderMap) -> Response {
    let servers = state.tokens.resource_servers.snapshot();
    let document = state.metadata.get(
        |published| Arc::ptr_eq(published, &servers),
        || {
            let scopes = servers
                .values()
                .flat_map(|server| server.scopes.iter().map(|(name, _)| name.clone()));
            let signs = state.tokens.keys.algorithms();
            let value = metadata::document(&state.tokens.issuer, &scopes.collect(), signs);
            (
                Arc::clone(&servers),
                Document::new(&value, "application/json"),
            )
        },
    );
    document.respond(&headers)
}

async fn description(State(AppState(state)): State<AppState>, headers: HeaderMap) -> Response {
    state.description.respond(&headers)
}

/// RFC 7517 §5.
async fn jwks(
    State(AppState(state)): State<AppState>,
    Now(now): Now,
    headers: HeaderMap,
) -> Response {
    let ring = state.tokens.keys.ring();
    let document = state.jwks.get(
        |(published, until)| Arc::ptr_eq(published, &ring) && until.is_none_or(|until| now < until),
        || {
            let value = ring.published(now).to_value();
            let until = ring.published_until(now);
            (
                (Arc::clone(&ring), until),
                Document::new(&value, "application/jwk-set+json"),
            )
        },
    );
    document.respond(&headers)
}
