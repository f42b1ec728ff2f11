//! Every path of the server, on one screen.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use shared_protocol::issuer::Issuer;
use shared_protocol::time::Instant;
use shared_server::rate_limits::{ByAddress, Limited, RateLimiter, by_address};
use shared_server::web::{
    self, Cors, Health, Now, Observed, Problem, Shutdown, layers, layers_for,
};

use crate::accounts::sign_up::SignUp;
use crate::authorize::page::PageError;
use crate::authorize::visit::Dialogue;
use crate::authorize::{self, consent, push, response, select_account, sign_in, sign_up};
use crate::clients::authenticate::Authenticator;
use crate::clients::directory::Clients;
use crate::clients::logo::{self, Pictures};
use crate::device::{authorization, qr, verification};
use crate::dpop::TellNonce;
use crate::global_revocation::{self, GlobalRevocation};
use crate::introspect::{self, Introspection};
use crate::keys::Keyring;
use crate::metadata::{self, Offered};
use crate::pages::{self, Frame};
use crate::published::{Document, Published};
use crate::registration::error::RegistrationError;
use crate::registration::{self, Registration};
use crate::resource_servers::Snapshot;
use crate::revoke::{self, Revocation};
use crate::sign_out::{self, SignOut};
use crate::telemetry::Metrics;
use crate::token::access_token::AccessTokens;
use crate::token::error::{ErrorCode, TokenError};
use crate::token::{self, Grantor};
use crate::trusted_issuers;
use crate::userinfo::{self, Userinfo};

/// RFC 6749 §3.1.
pub const AUTHORIZE: &str = "/oauth/authorize";
/// RFC 9126 §2.
pub const PUSH: &str = "/oauth/par";
/// RFC 6749 §3.2.
pub const TOKEN: &str = "/oauth/token";
/// RFC 8628 §3.1.
pub const DEVICE_AUTHORIZATION: &str = "/oauth/device_authorization";
/// RFC 8628 §3.3.
pub const DEVICE: &str = "/device";
/// RFC 7662 §2.
pub const INTROSPECT: &str = "/oauth/introspect";
/// RFC 7009 §2.
pub const REVOKE: &str = "/oauth/revoke";
/// Global Token Revocation §3.1.
pub const REVOKE_ALL: &str = "/oauth/global-token-revocation";
/// RFC 7591 §3. A client manages itself below it (RFC 7592 §2).
pub const REGISTER: &str = "/oauth/register";
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
    /// Knows whose pages may read answers.
    pub clients: Clients,
    /// Authenticates clients.
    pub authenticator: Arc<Authenticator>,
    /// Tells clients nonces for their proofs.
    pub tell_nonce: TellNonce,
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
    /// Makes accounts for those who ask.
    pub sign_up: Arc<SignUp>,
    /// Revokes.
    pub revocation: Arc<Revocation>,
    /// Has all end that somebody had.
    pub global_revocation: Arc<GlobalRevocation>,
    /// Shows pictures of clients.
    pub pictures: Arc<Pictures>,
    /// Registers clients.
    pub registration: Arc<Registration>,
    /// Signs people out.
    pub sign_out: Arc<SignOut>,
    /// Counts requests by address.
    pub addresses: RateLimiter,
    /// Makes documents of pages.
    pub frame: Arc<Frame>,
    /// How clients may authenticate.
    pub offered: Offered,
    /// The metadata, as it was last published.
    pub metadata: Published<(Arc<Snapshot>, Arc<trusted_issuers::Snapshot>, OfKeys)>,
    /// For how long anyone may keep the keys.
    pub jwks_max_age: Duration,
    /// The HTTP interface as OpenAPI.
    pub description: Document,
    /// The keys, as they were last published.
    pub jwks: Published<OfKeys>,
}

/// The keys that a document was made of, and until when it tells of them what it should.
pub struct OfKeys {
    ring: Arc<Keyring>,
    until: Option<Instant>,
}

impl OfKeys {
    fn new(ring: &Arc<Keyring>, now: Instant) -> Self {
        Self {
            ring: Arc::clone(ring),
            until: ring.published_until(now),
        }
    }

    fn is_same(&self, ring: &Arc<Keyring>, now: Instant) -> bool {
        Arc::ptr_eq(&self.ring, ring) && self.until.is_none_or(|until| now < until)
    }
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
    Pictures = pictures,
    Revocation = revocation,
    GlobalRevocation = global_revocation,
    Registration = registration,
    SignOut = sign_out,
    SignUp = sign_up
);

/// The routes of `issuer`, each group with all that surrounds it; those of an issuer with a path lie below it, its metadata where
/// RFC 8414 §3.1 puts it.
pub fn routes(
    issuer: &Issuer,
    state: &AppState,
    health: &Health,
    observed: &Observed,
    shutdown: &Shutdown,
) -> Router {
    let below = |endpoint: &str| format!("{}{endpoint}", issuer.path());
    // A client that hangs up must not cancel a write half way.
    let writing = from_fn_with_state(shutdown.clone(), web::uninterrupted);
    // As one layer, so that it costs no more.
    let proven = (state.0.tell_nonce.clone(), writing.clone());
    let for_apps = Router::new()
        .route(&below(TOKEN), post(token::endpoint).layer(proven.clone()))
        .route(
            &below(USERINFO),
            get(userinfo::endpoint).post(userinfo::endpoint),
        )
        .route(&below(PUSH), post(push::endpoint).layer(proven))
        .route(
            &below(DEVICE_AUTHORIZATION),
            post(authorization::endpoint).layer(writing.clone()),
        )
        .route(
            &below(REVOKE),
            post(revoke::endpoint).layer(writing.clone()),
        )
        .method_not_allowed_fallback(web::method_not_allowed);
    // Not counted by address: a resource server asks for each stranger who shows it a token, and who authenticates is counted as a
    // client, who does not by failures.
    let for_servers = Router::new().route(&below(INTROSPECT), post(introspect::endpoint));
    let for_tools = Router::new()
        .route(
            &below(REVOKE_ALL),
            post(global_revocation::endpoint).layer(writing),
        )
        .method_not_allowed_fallback(web::method_not_allowed)
        .fallback(web::not_found);
    let counted = |refusal: fn(Limited) -> Response| {
        let limiter = state.0.addresses.clone();
        from_fn_with_state(Arc::new(ByAddress { limiter, refusal }), by_address)
    };
    let refusing = |group: Router<AppState>| {
        let metrics = Arc::clone(&state.0.tokens.metrics);
        group.layer(map_response_with_state(metrics, count_refusals))
    };
    let refused = || counted(|limited| TokenError::from(limited).into_response());
    let people = people(issuer.path(), state.0.offered.sign_up, shutdown.clone())
        .layer(from_fn_with_state(
            Arc::clone(&state.0.tokens),
            response::signed,
        ))
        .layer(counted(|limited| PageError::from(limited).into_response()))
        .layer(from_fn_with_state(
            Arc::clone(&state.0.frame),
            pages::framed,
        ));
    let stated = |group: Router<AppState>| group.with_state(state.clone());
    let rest = refusing(for_servers.merge(for_tools.layer(refused()))).merge(people);
    let rest = stated(rest).merge(health.router());
    let registering =
        registering(issuer, state.0.offered.registration, shutdown).layer(counted(|limited| {
            RegistrationError::from(limited).into_response()
        }));
    let for_anyone = documents(issuer).merge(refusing(registering));
    layers_for(stated(for_anyone), observed, Cors::Anyone)
        .merge(layers_for(
            stated(refusing(for_apps.layer(refused()))),
            observed,
            of_clients(state),
        ))
        .merge(layers(rest, observed))
}

/// Pages of the origins that clients registered.
fn of_clients(AppState(state): &AppState) -> Cors {
    let clients = state.clients.clone();
    Cors::known(move |origin| {
        let clients = clients.clone();
        async move { clients.has_origin(origin).await }
    })
}

/// The endpoints at which clients show a certificate, once more, for the listener that asks them for one (RFC 8705 §5): those at which they
/// authenticate, and userinfo, which takes tokens that are bound to one. No page, for there every browser would ask its person.
pub fn for_certificates(
    issuer: &Issuer,
    state: &AppState,
    observed: &Observed,
    shutdown: &Shutdown,
) -> Router {
    let below = |endpoint: &str| format!("{}{endpoint}", issuer.path());
    let writing = from_fn_with_state(shutdown.clone(), web::uninterrupted);
    let proven = (state.0.tell_nonce.clone(), writing.clone());
    let limiter = state.0.addresses.clone();
    let refusal = |limited| TokenError::from(limited).into_response();
    let counted = from_fn_with_state(Arc::new(ByAddress { limiter, refusal }), by_address);
    let metrics = Arc::clone(&state.0.tokens.metrics);
    let group = Router::new()
        .route(&below(TOKEN), post(token::endpoint).layer(proven.clone()))
        .route(&below(PUSH), post(push::endpoint).layer(proven))
        .route(
            &below(DEVICE_AUTHORIZATION),
            post(authorization::endpoint).layer(writing.clone()),
        )
        .route(&below(REVOKE), post(revoke::endpoint).layer(writing))
        .fallback(web::not_found)
        .layer(counted.clone())
        // As in `routes`, not counted by address.
        .route(&below(INTROSPECT), post(introspect::endpoint))
        .layer(map_response_with_state(
            Arc::clone(&metrics),
            count_refusals,
        ))
        .with_state(state.clone());
    let for_apps = Router::new()
        .route(
            &below(USERINFO),
            get(userinfo::endpoint).post(userinfo::endpoint),
        )
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(counted)
        .layer(map_response_with_state(metrics, count_refusals))
        .with_state(state.clone());
    layers(group, observed).merge(layers_for(for_apps, observed, of_clients(state)))
}

/// What everybody may fetch, and caches keep: not counted.
fn documents(issuer: &Issuer) -> Router<AppState> {
    let below = |endpoint: &str| format!("{}{endpoint}", issuer.path());
    let routes = if issuer.path().is_empty() {
        Router::new()
    } else {
        // RFC 8414 §5: the name of OpenID Connect in the place of RFC 8414 §3.1 too.
        let inserted = format!("/.well-known/openid-configuration{}", issuer.path());
        Router::new().route(&inserted, get(server_metadata))
    };
    routes
        .route(issuer.metadata_url().path(), get(server_metadata))
        .route(
            &below("/.well-known/openid-configuration"),
            get(server_metadata),
        )
        .route(&below(JWKS), get(jwks))
        .route(&below("/.well-known/jwks.json"), get(jwks))
        .route("/openapi.json", get(description))
}

/// Where clients register, if any may, and manage themselves.
fn registering(issuer: &Issuer, is_offered: bool, shutdown: &Shutdown) -> Router<AppState> {
    let writing = from_fn_with_state(shutdown.clone(), web::uninterrupted);
    let register = format!("{}{REGISTER}", issuer.path());
    let one = format!("{register}/{{client_id}}");
    let managing = get(registration::tell)
        .put(registration::replace)
        .delete(registration::delete);
    let routes = Router::new().route(&one, managing);
    let routes = if is_offered {
        routes.route(&register, post(registration::register))
    } else {
        routes
    };
    routes
        .method_not_allowed_fallback(web::method_not_allowed)
        .layer(writing)
}

/// Where people go: each step may write, and answers with a page or leads to one.
fn people(path: &str, may_sign_up: bool, shutdown: Shutdown) -> Router<AppState> {
    let writing = from_fn_with_state(shutdown, web::uninterrupted);
    let below = |endpoint: &str| format!("{path}{endpoint}");
    let routes = Router::new();
    let routes = if may_sign_up {
        routes.route(&below(sign_up::PATH), get(sign_up::get).post(sign_up::post))
    } else {
        routes
    };
    routes
        .route(
            &below(AUTHORIZE),
            get(authorize::get)
                .post(authorize::post)
                .head(|| no_head("GET,POST")),
        )
        .route(
            &below(authorize::RESUME),
            get(authorize::resume).head(|| no_head("GET")),
        )
        .route(&below(sign_in::PATH), get(sign_in::get).post(sign_in::post))
        .route(
            &below(select_account::PATH),
            get(select_account::get).post(select_account::post),
        )
        .route(&below(consent::PATH), get(consent::get).post(consent::post))
        .route(
            &below(DEVICE),
            get(verification::get)
                .post(verification::enter)
                .head(|| no_head("GET,POST")),
        )
        .route(
            &below(verification::CONFIRM),
            get(verification::confirm)
                .post(verification::decide)
                .head(|| no_head("GET,POST")),
        )
        .route(
            &below(&format!("{}/{{user_code}}", qr::PATH)),
            get(qr::endpoint),
        )
        .route(&below(logo::PATH), get(logo::endpoint))
        .route(
            &below(LOGOUT),
            get(sign_out::ask)
                .post(sign_out::post)
                .head(|| no_head("GET,POST")),
        )
        .route(
            &below(sign_out::RESUME),
            get(sign_out::resume).head(|| no_head("GET")),
        )
        .route(&below(LOGGED_OUT), get(sign_out::done))
        .layer(writing)
}

/// RFC 9110 §9.3.2 would have HEAD do what GET does here: begin something, answer a client once, sign somebody out. Who sends it wants
/// to know what a link leads to, and nothing of that.
async fn no_head(allow: &'static str) -> Problem {
    let problem = web::method_not_allowed().await;
    // RFC 9110 §15.5.6.
    problem.header(header::ALLOW, HeaderValue::from_static(allow))
}

async fn count_refusals(State(metrics): State<Arc<Metrics>>, response: Response) -> Response {
    if let Some(code) = response.extensions().get::<ErrorCode>() {
        metrics.refused(*code);
    }
    response
}

/// RFC 8414 §3, OpenID Connect Discovery 1.0 §4.
async fn server_metadata(
    State(AppState(state)): State<AppState>,
    Now(now): Now,
    headers: HeaderMap,
) -> Response {
    let servers = state.tokens.resource_servers.snapshot();
    let issuers = state.grantor.jwt_bearer.judge.issuers.snapshot();
    let ring = state.tokens.keys.ring();
    let found = state.metadata.find(|(published, trusted, keys)| {
        Arc::ptr_eq(published, &servers)
            && Arc::ptr_eq(trusted, &issuers)
            && keys.is_same(&ring, now)
    });
    if let Some(document) = found {
        return document.respond(&headers);
    }
    // An algorithm that was added is announced when its first key signs.
    let signs = ring.signing(now);
    let issuer = &state.tokens.issuer;
    let value = metadata::document(issuer, (&servers, &issuers), &signs, &state.offered);
    let signer = signs.first().and_then(|alg| ring.signer(*alg, now));
    let made = match signer {
        // Of those who ask at one moment each may sign; the last one stays.
        Some(signer) => metadata::signed(value, &*signer).await,
        None => Ok(value),
    };
    match made {
        Ok(value) => {
            let of = (servers, issuers, OfKeys::new(&ring, now));
            let document = Document::new(&value, "application/json");
            state.metadata.put((of, document)).respond(&headers)
        }
        Err(error) => TokenError::from(error).into_response(),
    }
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
        |published| published.is_same(&ring, now),
        || {
            let value = ring.published(now).to_value();
            (
                OfKeys::new(&ring, now),
                Document::new(&value, "application/jwk-set+json").kept_for(state.jwks_max_age),
            )
        },
    );
    document.respond(&headers)
}
