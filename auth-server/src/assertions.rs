//! What holds of every JWT from outside that is good once: its dates, and that it was not used before (RFC 7521 §5.2, RFC 7523 §3).

use std::time::Duration;

use serde_json::Number;
use shared_protocol::jose::JwtError;
use shared_protocol::time::{CLOCK_SKEW, Instant};
use shared_server::ephemeral::{Entry, Ephemeral, EphemeralError, Key, Kind, PutNew};

/// The farthest that `exp` may lie ahead, and `iat` behind.
pub const MAX_LIFETIME: Duration = Duration::from_hours(1);
/// How far the clock of whoever made it may run ahead of ours.
pub const MAX_AHEAD: Duration = CLOCK_SKEW;
/// How long past `exp` an identifier is remembered.
const SKEW: Duration = Duration::from_mins(1);

/// Why a JWT that is good once is no good.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// A date is none.
    #[error(transparent)]
    Jwt(#[from] JwtError),
    /// Past its `exp`.
    #[error("the assertion has expired")]
    Expired,
    /// Made longer ago than any assertion may live.
    #[error("iat of the assertion lies more than an hour back")]
    TooOld,
    /// `exp` too far ahead, or `iat` or `nbf` in the future.
    #[error("exp, iat or nbf of the assertion lies too far ahead")]
    TooFarAhead,
    /// `jti` is empty or longer than 256 bytes.
    #[error("jti of the assertion is empty or too long")]
    Identifier,
    /// Its `jti` was seen before.
    #[error("the assertion was used before")]
    Replayed,
    /// Made before this server's memory of used assertions began.
    #[error("the assertion is older than the memory of used ones; make a new one, with iat")]
    BeforeMemory,
    /// Made since, but so soon that the clock of whoever made it decides whether it was.
    #[error("the memory of used assertions has just begun; make a new one in {} s", .wait.as_millis().div_ceil(1000))]
    MemoryBegins {
        /// Until one that is made then is believed.
        wait: Duration,
    },
    /// The memory of used ones did not answer.
    #[error(transparent)]
    Ephemeral(#[from] EphemeralError),
}

/// The dates of an assertion.
#[derive(Clone, Copy)]
pub struct Dates {
    exp: Instant,
    iat: Option<Instant>,
    nbf: Option<Instant>,
}

/// A `jti`, of a length that is remembered.
#[derive(Clone, Copy)]
pub struct Identifier<'a>(&'a str);

impl Dates {
    /// The dates that these claims are.
    ///
    /// # Errors
    /// [`Unusable::Jwt`].
    pub fn read(
        exp: &Number,
        iat: Option<&Number>,
        nbf: Option<&Number>,
    ) -> Result<Self, Unusable> {
        Ok(Self {
            exp: numeric_date(exp)?,
            iat: iat.map(numeric_date).transpose()?,
            nbf: nbf.map(numeric_date).transpose()?,
        })
    }

    /// Whether it is good now, of those that may live for so long.
    ///
    /// # Errors
    /// [`Unusable::Expired`], [`Unusable::TooFarAhead`], [`Unusable::TooOld`].
    pub fn check(&self, lifetime: Duration, now: Instant) -> Result<(), Unusable> {
        let ahead = [self.iat, self.nbf].into_iter().flatten();
        if self.exp <= now {
            return Err(Unusable::Expired);
        }
        if self.exp > now + lifetime || ahead.into_iter().any(|at| at > now + MAX_AHEAD) {
            return Err(Unusable::TooFarAhead);
        }
        if self.iat.is_some_and(|iat| iat + MAX_LIFETIME < now) {
            return Err(Unusable::TooOld);
        }
        Ok(())
    }
}

impl<'a> Identifier<'a> {
    /// # Errors
    /// [`Unusable::Identifier`].
    pub fn new(jti: &'a str) -> Result<Self, Unusable> {
        if (1..=256).contains(&jti.len()) {
            Ok(Self(jti))
        } else {
            Err(Unusable::Identifier)
        }
    }

    /// Remembers that it was used, by whoever made it; of any number of callers, one does.
    ///
    /// # Errors
    /// [`Unusable::Replayed`], [`Unusable::BeforeMemory`], [`Unusable::MemoryBegins`], [`Unusable::Ephemeral`].
    pub async fn spend(
        self,
        (kind, maker): (Kind, &str),
        dates: Dates,
        used: &Ephemeral,
        now: Instant,
    ) -> Result<(), Unusable> {
        let key = Key::new(kind, format!("{maker}\n{}", self.0));
        let entry = Entry {
            value: &[],
            mark: &[],
            deadline: dates.exp + SKEW,
        };
        // Without `iat` it may be as old as its `exp` allows; with one, the clock of whoever made it may have run ahead.
        let made_at = dates.iat.unwrap_or(dates.exp - MAX_LIFETIME);
        match used.put_new(&key, entry, now).await? {
            PutNew::Exists => Err(Unusable::Replayed),
            PutNew::Stored { epoch } if made_at < epoch + MAX_AHEAD => {
                Err(too_old(made_at, epoch, now))
            }
            PutNew::Stored { .. } => Ok(()),
        }
    }
}

/// Why one is refused that may be from before the memory of used ones began. Right after that, nobody can make a better one.
fn too_old(made_at: Instant, epoch: Instant, now: Instant) -> Unusable {
    // Most say the second in which it was made.
    let believed_from = Instant::from_secs((epoch + MAX_AHEAD).as_secs() + 1);
    if made_at.as_secs() >= epoch.as_secs() && now < believed_from {
        let wait = believed_from.since(now);
        Unusable::MemoryBegins { wait }
    } else {
        Unusable::BeforeMemory
    }
}

/// RFC 7519 §2: seconds, with or without a fraction.
pub(crate) fn numeric_date(number: &Number) -> Result<Instant, JwtError> {
    if let Some(seconds) = number.as_i64() {
        return Ok(Instant::from_secs(seconds));
    }
    let seconds = number
        .as_f64()
        .filter(|seconds| seconds.abs() < 1e12)
        .ok_or(JwtError::Claims)?;
    #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
    let millis = (seconds * 1000.0).floor() as i64;
    Ok(Instant::from_millis(millis))
}
