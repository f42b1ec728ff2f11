//! How long the nonces of DPoP proofs are good (RFC 9449 §8).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Period;

/// Shorter, and clients would be asked for another nonce again and again.
const SHORTEST: Period = Period::from_secs(10);
/// Longer, and proofs that were made ahead would be good for hours.
const LONGEST: Period = Period::from_secs(60 * 60);

/// Ten seconds to an hour; five minutes, if nobody says more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NonceLifetime(Period);

/// No such length of time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "not \"10s\" to \"1h\": in less, clients would be asked for another nonce again and again; for more, proofs that were made ahead would be good for hours"
)]
pub struct InvalidNonceLifetime;

impl NonceLifetime {
    /// The same, as the rest of the code takes it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0.duration()
    }
}

impl Default for NonceLifetime {
    fn default() -> Self {
        Self(Period::from_secs(5 * 60))
    }
}

impl TryFrom<Period> for NonceLifetime {
    type Error = InvalidNonceLifetime;

    fn try_from(period: Period) -> Result<Self, InvalidNonceLifetime> {
        if (SHORTEST..=LONGEST).contains(&period) {
            Ok(Self(period))
        } else {
            Err(InvalidNonceLifetime)
        }
    }
}

impl FromStr for NonceLifetime {
    type Err = InvalidNonceLifetime;

    fn from_str(raw: &str) -> Result<Self, InvalidNonceLifetime> {
        let period: Period = raw.parse().map_err(|_| InvalidNonceLifetime)?;
        period.try_into()
    }
}

impl fmt::Display for NonceLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for NonceLifetime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for NonceLifetime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let period = Period::deserialize(deserializer)?;
        period.try_into().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_of_nonces_has_bounds() {
        for good in ["10s", "1m", "5m", "1h"] {
            let lifetime: NonceLifetime = good.parse().unwrap();
            assert_eq!(lifetime.to_string(), good);
            let again: Result<NonceLifetime, _> = serde_json::from_value(good.into());
            assert_eq!(again.unwrap(), lifetime);
        }
        for bad in ["0s", "9s", "9999ms", "3601s", "2h", "", "x"] {
            let refused = Err(InvalidNonceLifetime);
            assert_eq!(bad.parse::<NonceLifetime>(), refused, "{bad}");
            let read: Result<NonceLifetime, _> = serde_json::from_value(bad.into());
            assert!(read.is_err(), "{bad}");
        }
        assert_eq!(NonceLifetime::default().to_string(), "5m");
    }
}
