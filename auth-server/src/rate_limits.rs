//! How much this server lets be asked, by address, client and account, and how many failures of clients.

use std::net::IpAddr;

use prometheus::Registry;
use shared_protocol::client_id::ClientId;
use shared_protocol::time::Instant;
use shared_server::ephemeral::Ephemeral;
use shared_server::rate_limits::{Buckets, Limit, Limited, Network, RateLimiter};

use crate::config::Config;

/// Every limit of this server.
pub struct RateLimits {
    /// Requests of a network address.
    pub address: RateLimiter,
    /// Requests of a client that proved who it is.
    pub client: RateLimiter,
    /// Requests on behalf of a person.
    pub account: RateLimiter,
    /// Documents of clients fetched for a network address.
    pub documents: RateLimiter,
    /// Failures of clients to authenticate.
    pub failures: Failures,
    /// Registrations of a network address.
    pub registration: RateLimiter,
    /// Attempts of a network address to make accounts.
    pub sign_up: RateLimiter,
}

impl RateLimits {
    /// The limits that `config` sets, counted in `ephemeral`.
    ///
    /// # Errors
    /// If `registry` has their metric already.
    pub fn new(
        config: &Config,
        ephemeral: &Ephemeral,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let buckets = Buckets::new(ephemeral.clone(), registry)?;
        let limiter = |limit, rate| buckets.limiter(limit, rate, &config.rate_limits);
        let (as_one, as_any) = config.client_failures();
        Ok(Self {
            address: limiter(Limit::Address, config.requests_per_address()),
            client: limiter(Limit::Client, config.rate_limits.client),
            account: limiter(Limit::Account, config.rate_limits.account),
            documents: limiter(Limit::Documents, config.fetches_per_address()),
            failures: Failures {
                as_one: limiter(Limit::ClientFailures, as_one),
                as_any: limiter(Limit::AddressFailures, as_any),
            },
            registration: limiter(Limit::Registration, config.registrations_per_address()),
            sign_up: limiter(Limit::SignUp, config.sign_ups_per_address()),
        })
    }
}

/// Counts failures of clients to authenticate by where they come from: nobody shuts a client out from elsewhere.
#[derive(Clone)]
pub struct Failures {
    as_one: RateLimiter,
    as_any: RateLimiter,
}

impl Failures {
    /// Whether `address` may try, or try to be `client`. After a failure, not before, is anybody asked: a success costs nothing.
    ///
    /// # Errors
    /// [`Limited`].
    pub fn check(
        &self,
        address: IpAddr,
        client: Option<&ClientId>,
        now: Instant,
    ) -> Result<(), Limited> {
        self.as_any.check(|| Network::from(address), now)?;
        client.map_or(Ok(()), |client| {
            self.as_one.check(|| of_one(address, client), now)
        })
    }

    /// Counts a failure of `address` to be `client`, or to be anybody.
    pub async fn count(&self, address: IpAddr, client: Option<&ClientId>, now: Instant) {
        let network = Network::from(address);
        self.as_any.count(network.as_ref(), now).await;
        if let Some(client) = client {
            self.as_one.count(&of_one(address, client), now).await;
        }
    }
}

/// A network has always the same length.
fn of_one(address: IpAddr, client: &ClientId) -> Vec<u8> {
    let network = Network::from(address);
    [network.as_ref(), client.as_str().as_bytes()].concat()
}
