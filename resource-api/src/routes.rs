//! Every path of the server.

use axum::Router;
use axum::extract::FromRef;
use axum::http::{HeaderValue, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::IntoResponse;
use axum::routing::get;
use shared_protocol::bearer::{Guard, GuardLayer};
use shared_protocol::scope::{ScopeSet, ScopeToken};
use shared_server::web::{Health, Shutdown, not_found, uninterrupted};

use crate::answer::Answer;
use crate::users::{self, People};
use crate::{docs, problem};

/// Every scope that a route of this API asks for.
pub(crate) const SCOPES: [&str; 1] = ["profile:read"];

/// What the handlers hold.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) guard: Guard,
    pub(crate) people: People,
}

/// For everyone.
pub(crate) fn router(api: Api, health: &Health, shutdown: &Shutdown) -> Router {
    let [read_profile] = SCOPES.map(|scope| requiring(&api.guard, scope));
    // A first visit writes.
    let whole = from_fn_with_state(shutdown.clone(), uninterrupted);
    Router::new()
        // A path of the operator's identifier may look like a pattern of an earlier router; it is taken as it is.
        .without_v07_checks()
        .route(
            "/api/v1/users/me",
            get(users::me).route_layer(whole).route_layer(read_profile),
        )
        .layer(map_response(problem::describe_refusal))
        .merge(resource_metadata(&api.guard))
        .merge(docs::router())
        .with_state(api)
        .merge(health.router())
        .fallback(not_found)
}

fn requiring(guard: &Guard, scope: &str) -> GuardLayer {
    guard.requiring(scopes([scope]))
}

fn scopes<const N: usize>(names: [&str; N]) -> ScopeSet {
    let parse = |name: &str| -> ScopeToken { name.parse().expect("the names above are tokens") };
    names.into_iter().map(parse).collect()
}

/// RFC 9728 §3: the well-known path stands between the host and the path of our identifier. For pages of any origin.
fn resource_metadata<S: Clone + Send + Sync + 'static>(guard: &Guard) -> Router<S> {
    let document = guard.resource_metadata(&scopes(SCOPES));
    let headers = [
        (header::CACHE_CONTROL, "public, max-age=300"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ]
    .map(|(name, value)| (name, HeaderValue::from_static(value)));
    let path = guard.resource_metadata_url().path().to_owned();
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
