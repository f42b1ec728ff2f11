//! The limit that needs to know nothing of a request but where it comes from.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::{Limited, Network, RateLimiter, Standings};
use crate::web::{ClientAddress, Now};

/// What [`by_address`] takes.
pub struct ByAddress {
    /// Counts.
    pub limiter: RateLimiter,
    /// The refusal as the routes behind it tell it.
    pub refusal: fn(Limited) -> Response,
}

/// A layer: counts requests by address, and has every response tell how its request stands with the tightest limit that counted it.
pub async fn by_address(
    State(routes): State<Arc<ByAddress>>,
    Now(now): Now,
    ClientAddress(address): ClientAddress,
    mut request: Request,
    next: Next,
) -> Response {
    let network = Network::from(address);
    let standings = Standings::default();
    match routes.limiter.admit(network.as_ref(), now).await {
        Ok(standing) => standings.note(standing),
        Err(limited) => return (routes.refusal)(limited),
    }
    request.extensions_mut().insert(standings.clone());
    let mut response = next.run(request).await;
    standings.write(response.headers_mut());
    response
}
