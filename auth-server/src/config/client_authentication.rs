//! How many failures of clients to authenticate are suffered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_server::rate_limits::Rate;

/// How many failures of clients to authenticate are suffered. They count where they come from, so that nobody shuts a client out from
/// elsewhere; the penalties are those of `rate_limits`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthenticationConfig {
    /// Failures of one network address as one client; zero for any number.
    pub failures: u32,
    /// Failures of one network address as any client; zero for any number.
    pub address_failures: u32,
    /// How long it takes until as many are suffered again.
    #[serde(with = "shared_server::config::period")]
    pub window: Duration,
}

impl ClientAuthenticationConfig {
    pub(super) fn rates(&self) -> (Rate, Rate) {
        let rate = |requests| Rate {
            requests,
            per: self.window,
        };
        (rate(self.failures), rate(self.address_failures))
    }

    pub(super) fn problems(&self) -> Vec<String> {
        let (one, any) = self.rates();
        [("failures", one), ("address_failures", any)]
            .into_iter()
            .filter_map(|(name, rate)| {
                let (part, reason) = rate.problem()?;
                let key = if part == "per" { "window" } else { name };
                Some(format!("client_authentication.{key}: {reason}"))
            })
            .collect()
    }
}

impl Default for ClientAuthenticationConfig {
    fn default() -> Self {
        Self {
            failures: 100,
            address_failures: 300,
            window: Duration::from_mins(1),
        }
    }
}
