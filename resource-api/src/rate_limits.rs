//! How much this API lets be asked, by address, client and person.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use prometheus::Registry;
use shared_protocol::bearer::AccessToken;
use shared_protocol::time::Instant;
use shared_server::ephemeral::Ephemeral;
use shared_server::rate_limits::{Buckets, ByAddress, Limit, Limited, RateLimiter, Standings};
use shared_server::web::{Now, Problem};

use crate::Config;

/// Every limit of this API.
#[derive(Clone)]
pub(crate) struct RateLimits {
    pub(crate) by_address: Arc<ByAddress>,
    pub(crate) by_token: Arc<ByToken>,
}

/// Counts requests by the client and the person of their token.
pub(crate) struct ByToken {
    client: RateLimiter,
    account: RateLimiter,
}

impl RateLimits {
    /// The limits that `config` sets, counted in `ephemeral`.
    pub(crate) fn new(
        config: &Config,
        ephemeral: &Ephemeral,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let buckets = Buckets::new(ephemeral.clone(), registry)?;
        let limiter = |limit, rate| buckets.limiter(limit, rate, &config.rate_limits);
        Ok(Self {
            by_address: Arc::new(ByAddress {
                limiter: limiter(Limit::Address, config.requests_per_address()),
                refusal: |limited| Problem::from(limited).into_response(),
            }),
            by_token: Arc::new(ByToken {
                client: limiter(Limit::Client, config.rate_limits.client),
                account: limiter(Limit::Account, config.rate_limits.account),
            }),
        })
    }
}

impl ByToken {
    async fn admit(
        &self,
        token: &AccessToken,
        standings: &Standings,
        now: Instant,
    ) -> Result<(), Limited> {
        let client = subject(token, token.client_id().as_str());
        standings.note(self.client.admit(&client, now).await?);
        if !token.is_service() {
            let person = subject(token, token.subject());
            standings.note(self.account.admit(&person, now).await?);
        }
        Ok(())
    }
}

/// Clients and people are known by their name at their issuer, which holds no line break.
fn subject(token: &AccessToken, name: &str) -> Vec<u8> {
    [token.issuer().as_str(), "\n", name].concat().into_bytes()
}

/// A layer behind the guard.
pub(crate) async fn by_token(
    State(limits): State<Arc<ByToken>>,
    Now(now): Now,
    standings: Standings,
    request: Request,
    next: Next,
) -> Response {
    let token = request.extensions().get::<Arc<AccessToken>>().cloned();
    // Only a route without its guard lacks it.
    let Some(token) = token else {
        return crate::problem::internal().into_response();
    };
    match limits.admit(&token, &standings, now).await {
        Ok(()) => next.run(request).await,
        Err(limited) => Problem::from(limited).into_response(),
    }
}
