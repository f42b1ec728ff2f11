//! Every path of the server.

use axum::Router;
use axum::extract::FromRef;
use axum::http::header;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::{get, put};
use shared_protocol::bearer::{AuthenticationRequirement, Guard, GuardLayer};
use shared_protocol::scope::{ScopeSet, ScopeToken};
use shared_server::rate_limits::by_address;
use shared_server::web::{
    Cors, Health, Observed, Shutdown, layers, layers_for, method_not_allowed, not_found,
    uninterrupted,
};

use crate::answer::Answer;
use crate::rate_limits::{RateLimits, by_token};
use crate::users::{self, People};
use crate::{docs, problem, profile_fields};

/// Every scope that a route of this API asks for.
pub(crate) const SCOPES: [&str; 2] = ["profile:read", "profile:write"];

/// Every type of authorization details that a route of this API asks for.
const DETAILS_TYPES: [&str; 1] = [profile_fields::TYPE];

/// What the handlers hold.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) guard: Guard,
    /// How people must have signed in who change something of themselves.
    pub(crate) step_up: AuthenticationRequirement,
    pub(crate) people: People,
    pub(crate) limits: RateLimits,
}

/// For everyone, each group with all that surrounds it; `callers` are the pages that may call the API.
pub(crate) fn router(
    api: Api,
    health: &Health,
    shutdown: &Shutdown,
    observed: &Observed,
    callers: Cors,
) -> Router {
    let [read_profile, write_profile] = SCOPES.map(|scope| requiring(&api.guard, scope));
    let write_profile = write_profile.authenticated(api.step_up.clone());
    // A first visit writes.
    let whole = from_fn_with_state(shutdown.clone(), uninterrupted);
    let RateLimits {
        by_address: addresses,
        by_token: tokens,
    } = api.limits.clone();
    let counted = from_fn_with_state(addresses, by_address);
    let of_token = from_fn_with_state(tokens, by_token);
    let published = resource_metadata(&api.guard).merge(docs::description());
    let api_routes = Router::new()
        .route(
            "/api/v1/users/me",
            get(users::me)
                .route_layer(whole.clone())
                .route_layer(of_token.clone())
                .route_layer(read_profile)
                .merge(
                    put(users::change)
                        .route_layer(whole.clone())
                        .route_layer(of_token.clone())
                        .route_layer(write_profile),
                ),
        )
        // Whose handler judges what a scope cannot say.
        .route(
            "/api/v1/users/me/fields/{field}",
            get(profile_fields::field)
                .route_layer(whole)
                .route_layer(of_token)
                .route_layer(api.guard.requiring(ScopeSet::default())),
        )
        .method_not_allowed_fallback(method_not_allowed)
        .layer(map_response(problem::describe_refusal))
        .layer(counted.clone())
        .with_state(api);
    let rest = docs::pages()
        .fallback(not_found)
        .layer(counted)
        .merge(health.router());
    layers_for(published, observed, Cors::Anyone)
        .merge(layers_for(api_routes, observed, callers))
        .merge(layers(rest, observed))
}

fn requiring(guard: &Guard, scope: &str) -> GuardLayer {
    guard.requiring(scopes([scope]))
}

fn scopes<const N: usize>(names: [&str; N]) -> ScopeSet {
    let parse = |name: &str| -> ScopeToken { name.parse().expect("the names above are tokens") };
    names.into_iter().map(parse).collect()
}

/// RFC 9728 §3: the well-known path stands between the host and the path of our identifier.
fn resource_metadata(guard: &Guard) -> Router {
    let document = guard.resource_metadata(&scopes(SCOPES), &DETAILS_TYPES);
    let headers = [(header::CACHE_CONTROL, "public, max-age=300")];
    let path = guard.resource_metadata_url().path().to_owned();
    // A path of the operator's identifier may look like a pattern of an earlier router; it is taken as it is.
    Router::new().without_v07_checks().route(
        &path,
        get(async move || (headers, Answer(document)).into_response()),
    )
}

impl FromRef<Api> for People {
    fn from_ref(api: &Api) -> Self {
        api.people.clone()
    }
}
