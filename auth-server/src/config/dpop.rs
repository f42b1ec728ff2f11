//! Proofs of possession of clients (RFC 9449).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared_protocol::dpop::NoncePolicy;

/// Shorter, and a client's proof is refused for the time that it takes to come here.
const SHORTEST: Duration = Duration::from_secs(10);
/// Longer, and a proof that was made ahead is good for hours.
const LONGEST: Duration = Duration::from_hours(1);

/// Whether proofs must carry a nonce of this server.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NonceMode {
    /// They may; where one comes, it must be good.
    #[default]
    Offered,
    /// They must (RFC 9449 §8).
    Required,
}

impl From<NonceMode> for NoncePolicy {
    fn from(mode: NonceMode) -> Self {
        match mode {
            NonceMode::Offered => Self::Offered,
            NonceMode::Required => Self::Required,
        }
    }
}

/// Proofs of possession of clients (RFC 9449).
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DpopConfig {
    /// Whether they must carry a nonce of this server.
    pub nonce: NonceMode,
    /// How long a nonce is good, at least.
    #[serde(with = "shared_server::config::period")]
    pub nonce_lifetime: Duration,
}

impl Default for DpopConfig {
    fn default() -> Self {
        Self {
            nonce: NonceMode::default(),
            nonce_lifetime: Duration::from_mins(5),
        }
    }
}

impl DpopConfig {
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.nonce_lifetime < SHORTEST {
            problems.push(
                "dpop.nonce_lifetime is below 10s: clients would be asked for another nonce again and again; lengthen it"
                    .into(),
            );
        }
        if self.nonce_lifetime > LONGEST {
            problems.push(
                "dpop.nonce_lifetime is above 1h: a proof that was made ahead would be good for that long; shorten it"
                    .into(),
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_of_nonces_has_bounds() {
        for (nonce_lifetime, good) in [
            (Duration::from_mins(5), true),
            (SHORTEST, true),
            (LONGEST, true),
            (Duration::ZERO, false),
            (Duration::from_secs(9), false),
            (LONGEST + Duration::from_secs(1), false),
        ] {
            let config = DpopConfig {
                nonce_lifetime,
                ..DpopConfig::default()
            };
            let problems = config.problems();
            assert_eq!(problems.is_empty(), good, "{nonce_lifetime:?}");
            assert!(
                problems
                    .iter()
                    .all(|text| text.starts_with("dpop.nonce_lifetime"))
            );
        }
    }
}
