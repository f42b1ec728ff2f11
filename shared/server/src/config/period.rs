//! Lengths of time, as configuration writes them: a whole number and its unit, `500ms`, `10s`, `5m`, `1h`, `30d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Units and their milliseconds, the longest first.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A length of time in whole milliseconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Period(Duration);

/// Not a whole number of a known unit.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "not a length of time; write a whole number and its unit, such as \"500ms\", \"10s\", \"5m\", \"1h\" or \"30d\""
)]
pub struct InvalidPeriod;

impl Period {
    /// `millis` milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// `secs` seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// The same, as the rest of the code takes it.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl FromStr for Period {
    type Err = InvalidPeriod;

    fn from_str(raw: &str) -> Result<Self, InvalidPeriod> {
        let digits = raw
            .find(|c: char| !c.is_ascii_digit())
            .ok_or(InvalidPeriod)?;
        let (number, unit) = raw.split_at_checked(digits).ok_or(InvalidPeriod)?;
        let (_, millis) = UNITS
            .into_iter()
            .find(|(name, _)| *name == unit)
            .ok_or(InvalidPeriod)?;
        let number: u64 = number.parse().map_err(|_| InvalidPeriod)?;
        let millis = number.checked_mul(millis).ok_or(InvalidPeriod)?;
        Ok(Self::from_millis(millis))
    }
}

/// In the longest unit that leaves no rest.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let whole = |unit: u64| millis > 0 && millis % unit == 0;
        match UNITS.into_iter().find(|(_, unit)| whole(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", millis / unit),
            None => f.write_str("0s"),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl serde::de::Visitor<'_> for Text {
            type Value = Period;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a length of time such as \"500ms\", \"10s\", \"5m\", \"1h\" or \"30d\"",
                )
            }

            fn visit_str<E: serde::de::Error>(self, raw: &str) -> Result<Period, E> {
                raw.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// For `#[serde(with = "shared_server::config::period")]` on a `Duration`.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    Period(*duration).serialize(serializer)
}

/// For `#[serde(with = "shared_server::config::period")]` on a `Duration`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Period::deserialize(deserializer).map(Period::duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_whole_number_and_its_unit() {
        for (raw, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("30d", 2_592_000_000),
        ] {
            let period: Period = raw.parse().unwrap();
            assert_eq!(period, Period::from_millis(millis), "{raw}");
            assert_eq!(period.to_string(), raw);
        }
        assert_eq!(Period::from_secs(90).to_string(), "90s");
        assert_eq!(Period::from_secs(7200).to_string(), "2h");
    }

    #[test]
    fn anything_else_is_refused() {
        for raw in [
            "",
            "10",
            "s",
            "10 s",
            "-1s",
            "+1s",
            "1.5s",
            "10S",
            "1h30m",
            "10sec",
            "١s",
            "20000000000000000000ms",
            "1000000000000d",
        ] {
            assert_eq!(raw.parse::<Period>(), Err(InvalidPeriod), "{raw}");
        }
    }
}
