//! Instants as values. Code takes `now: Instant`, read from a [`Clock`] once for each request; nothing else reads the
//! system's clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

/// How far the clocks of two machines may be apart: dates that are not to lie ahead may, by as much. None expires later for it.
pub const CLOCK_SKEW: Duration = Duration::from_secs(10);

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z. Negative before it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)
)]
#[cfg_attr(feature = "diesel", diesel(sql_type = diesel::sql_types::BigInt))]
#[serde(transparent)]
pub struct Instant(i64);

impl Instant {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// The instant `millis` milliseconds after [`Instant::EPOCH`].
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant that a `NumericDate` in whole seconds names (RFC 7519 §2). Saturates.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since [`Instant::EPOCH`].
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since [`Instant::EPOCH`], rounded down: a `NumericDate` (RFC 7519 §2).
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long after `earlier` this is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Milliseconds of `duration`, as many as fit.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// RFC 3339, in UTC.
impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} ms after the epoch", self.0),
        }
    }
}

/// Seconds since 1970, maybe with a fraction (RFC 7519 §2).
#[derive(Clone, Copy)]
pub(crate) struct NumericDate(Instant);

impl NumericDate {
    pub(crate) const fn instant(self) -> Instant {
        self.0
    }
}

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = serde_json::Number::deserialize(deserializer)?;
        if let Some(secs) = number.as_i64() {
            return Ok(Self(Instant::from_secs(secs)));
        }
        let secs = number.as_f64().unwrap_or(f64::INFINITY);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from f64 saturates, and less than a millisecond is of no account"
        )]
        let millis = (secs * 1000.0) as i64;
        Ok(Self(Instant::from_millis(millis)))
    }
}

/// Where the time comes from. The system's in production; tests pass one that they move.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Instant;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the Clock that everything else is handed"
        )]
        let now = std::time::SystemTime::now();
        match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Instant::EPOCH + after,
            Err(before) => Instant::EPOCH - before.duration(),
        }
    }
}

#[cfg(feature = "diesel")]
mod column {
    use diesel::backend::Backend;
    use diesel::deserialize::{self, FromSql};
    use diesel::pg::Pg;
    use diesel::serialize::{self, IsNull, Output, ToSql};
    use diesel::sql_types::BigInt;
    use diesel::sqlite::Sqlite;

    use super::Instant;

    impl ToSql<BigInt, Sqlite> for Instant {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
            out.set_value(self.0);
            Ok(IsNull::No)
        }
    }

    impl ToSql<BigInt, Pg> for Instant {
        fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
            <i64 as ToSql<BigInt, Pg>>::to_sql(&self.0, out)
        }
    }

    impl<DB: Backend> FromSql<BigInt, DB> for Instant
    where
        i64: FromSql<BigInt, DB>,
    {
        fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
            Ok(Self(i64::from_sql(bytes)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7519_2_numeric_dates_round_down() {
        assert_eq!(Instant::from_millis(1999).as_secs(), 1);
        assert_eq!(Instant::from_millis(-1).as_secs(), -1);
        assert_eq!(Instant::from_secs(i64::MAX).as_millis(), i64::MAX);
    }

    #[test]
    fn arithmetic_saturates_and_since_is_never_negative() {
        let late = Instant::from_millis(i64::MAX);
        assert_eq!(late + Duration::from_secs(1), late);
        assert_eq!(Instant::EPOCH.since(late), Duration::ZERO);
        assert_eq!(
            (Instant::EPOCH + Duration::from_secs(3)).since(Instant::EPOCH),
            Duration::from_secs(3)
        );
    }

    #[test]
    fn display_is_rfc3339() {
        assert_eq!(
            Instant::from_secs(1_700_000_000).to_string(),
            "2023-11-14T22:13:20Z"
        );
    }
}
