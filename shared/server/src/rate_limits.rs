//! How often one network address, one client, one person may ask: token buckets that all nodes share, and what is told of them.
//!
//! A request must not cost a round trip to the ephemeral store, so a node takes more than it needs, and remembers what it was told:
//!
//! - Who was quiet is admitted on credit, and the bucket is asked at the next request, should that come soon. So a node lets through
//!   at most one request unasked in the time in which [`UNASKED`] tokens come.
//! - Whoever goes on is served from a lease: tokens that the node has drawn for one subject, one at first, twice as many whenever a
//!   lease is used up within a second, up to a twentieth of the bucket. What is not used within a second is lost.
//! - A refusal is remembered until it ends.
//!
//! So within any time `t`, `n` nodes together admit at most `capacity + rate · (t + 1 s) + n · (1 + rate · t / 20)`. A store in
//! process is asked each time, and admits `capacity + rate · t`.
//!
//! If the store does not answer, each node counts alone.

mod answer;
mod config;
mod known;
mod layer;
mod network;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use axum::http::HeaderValue;
use prometheus::{IntCounterVec, Opts, Registry};
use shared_protocol::time::Instant;

pub use self::answer::{Limited, Standing, Standings};
pub use self::config::{Rate, RateLimitsConfig};
use self::known::{Known, Look, Order, Told};
pub use self::layer::{ByAddress, by_address};
pub use self::network::Network;
use crate::ephemeral::bucket::Level;
use crate::ephemeral::{Bucket, Drawn, Ephemeral, EphemeralError, Key, Kind};
use crate::recent::Recent;

/// A node admits a request without asking if it admitted none in the time in which so many tokens come.
pub const UNASKED: u32 = 20;

/// Subjects of each limit that a node knows something of. More only makes it forget, and ask.
const SUBJECTS: usize = 50_000;

/// How long a node counts alone before it asks a store again that did not answer.
const ALONE: Duration = Duration::from_secs(1);

/// What is counted, and by whom.
///
/// As an error it says which limit was reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Limit {
    /// Requests of a network address.
    #[error("the limit on requests of one network address was reached")]
    Address,
    /// Requests of an authenticated client.
    #[error("the limit on requests of one client was reached")]
    Client,
    /// Requests on behalf of a person.
    #[error("the limit on requests on behalf of one person was reached")]
    Account,
    /// Documents of clients fetched for a network address.
    #[error("the limit on documents of clients fetched for one network address was reached")]
    Documents,
    /// Failures to authenticate as one client, of a network address.
    #[error("one network address failed too often to authenticate as this client")]
    ClientFailures,
    /// Failures to authenticate as any client, of a network address.
    #[error("one network address failed too often to authenticate as any client")]
    AddressFailures,
    /// Registrations of clients, and changes to them, of a network address.
    #[error("the limit on registrations of one network address was reached")]
    Registration,
    /// Attempts of a network address to make accounts.
    #[error("the limit on accounts made from one network address was reached")]
    SignUp,
}

impl Limit {
    /// Its name: of its policy on the wire, and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Client => "client",
            Self::Account => "account",
            Self::Documents => "documents",
            Self::ClientFailures => "client-failures",
            Self::AddressFailures => "address-failures",
            Self::Registration => "registration",
            Self::SignUp => "sign-up",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Address => Kind::new("rate-address"),
            Self::Client => Kind::new("rate-client"),
            Self::Account => Kind::new("rate-account"),
            Self::Documents => Kind::new("rate-documents"),
            Self::ClientFailures => Kind::new("rate-client-failures"),
            Self::AddressFailures => Kind::new("rate-address-failures"),
            Self::Registration => Kind::new("rate-registration"),
            Self::SignUp => Kind::new("rate-sign-up"),
        }
    }
}

/// Where all limiters of a server keep their buckets.
#[derive(Clone)]
pub struct Buckets(Arc<Kept>);

struct Kept {
    ephemeral: Ephemeral,
    /// Milliseconds since 1970 until which the store is not asked; `i64::MIN` while it answers.
    alone_until: AtomicI64,
    refused: IntCounterVec,
}

impl Buckets {
    /// Buckets in that store. Counts refusals as `rate_limited_total{limit}`.
    ///
    /// # Errors
    /// If `registry` has that counter already.
    pub fn new(ephemeral: Ephemeral, registry: &Registry) -> Result<Self, prometheus::Error> {
        let refused = IntCounterVec::new(
            Opts::new(
                "rate_limited_total",
                "Requests refused for their number, by limit.",
            ),
            &["limit"],
        )?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self(Arc::new(Kept {
            ephemeral,
            alone_until: AtomicI64::new(i64::MIN),
            refused,
        })))
    }

    /// A limiter of this rate, with the penalties of `config`. A rate of zero limits nothing.
    #[must_use]
    pub fn limiter(&self, limit: Limit, rate: Rate, config: &RateLimitsConfig) -> RateLimiter {
        let (penalty, longest) = (config.penalty, config.longest_penalty);
        let bucket = Bucket::new(rate.requests, rate.per, penalty, longest);
        RateLimiter(Arc::new(Limiter {
            limit,
            kind: limit.kind(),
            bucket: (rate.requests > 0).then_some(bucket),
            policy: answer::policy(limit, &bucket, rate.per),
            buckets: self.clone(),
            known: Recent::new(SUBJECTS),
            alone: Recent::new(SUBJECTS),
            failing_until: AtomicI64::new(i64::MIN),
        }))
    }

    /// Whether the store is to be asked. While it does not answer, one caller a second asks.
    fn may_ask(&self, now: Instant) -> bool {
        let until = self.0.alone_until.load(Ordering::Relaxed);
        if until == i64::MIN {
            return true;
        }
        let next = (now + ALONE).as_millis();
        // Further away than that, it was set before the clock was set back.
        (until <= now.as_millis() || until > next)
            && self
                .0
                .alone_until
                .compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn answered(&self) {
        let until = &self.0.alone_until;
        if until.load(Ordering::Relaxed) != i64::MIN
            && until.swap(i64::MIN, Ordering::Relaxed) != i64::MIN
        {
            tracing::info!("rate limits are shared between nodes again");
        }
    }

    fn silent(&self, error: &EphemeralError, now: Instant) {
        let until = (now + ALONE).as_millis();
        if self.0.alone_until.swap(until, Ordering::Relaxed) == i64::MIN {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "this node counts alone for rate limits until the ephemeral store answers"
            );
        }
    }
}

/// Counts by one limit. Clones share what they know.
#[derive(Clone)]
pub struct RateLimiter(Arc<Limiter>);

struct Limiter {
    limit: Limit,
    kind: Kind,
    bucket: Option<Bucket>,
    policy: HeaderValue,
    buckets: Buckets,
    known: Recent<Vec<u8>, Known>,
    /// Buckets of this node, for as long as the store does not answer.
    alone: Recent<Vec<u8>, Option<Level>>,
    /// Until then [`RateLimiter::check`] has something to look for.
    failing_until: AtomicI64,
}

impl RateLimiter {
    /// Counts a request of `subject`: whether it is one too many, else how the subject stands. `None` where there is no limit.
    ///
    /// # Errors
    /// [`Limited`], to be answered with 429.
    pub async fn admit(&self, subject: &[u8], now: Instant) -> Result<Option<Standing>, Limited> {
        let limiter = &*self.0;
        let Some(bucket) = &limiter.bucket else {
            return Ok(None);
        };
        if !limiter.buckets.0.ephemeral.is_shared() {
            let drawn = limiter.draw(bucket, subject, 1, now).await;
            return if drawn.granted > 0 {
                Ok(Some(limiter.standing(drawn.remaining, drawn.full_at, now)))
            } else {
                Err(limiter.refuse(drawn.next_at, now))
            };
        }
        let looked = limiter.known.with(subject, |known| known.look(bucket, now));
        let looked = match looked {
            Look::Draw(order) => {
                let drawn = limiter.draw(bucket, subject, order.want, now).await;
                limiter
                    .known
                    .with(subject, |known| known.note(bucket, drawn, &order, now))
            }
            Look::Told(told) => told,
        };
        match looked {
            Told::Admitted { remaining, full_at } => {
                Ok(Some(limiter.standing(remaining, full_at, now)))
            }
            Told::Refused { until } => Err(limiter.refuse(until, now)),
        }
    }

    /// Whether too many of `subject` failed, as far as this node knows. Asks nobody, and counts nothing.
    ///
    /// # Errors
    /// [`Limited`].
    pub fn check<S: AsRef<[u8]>>(
        &self,
        subject: impl FnOnce() -> S,
        now: Instant,
    ) -> Result<(), Limited> {
        if self.0.failing_until.load(Ordering::Relaxed) <= now.as_millis() {
            return Ok(());
        }
        let until = self
            .0
            .known
            .find(subject().as_ref(), |known| known.refused(now));
        match until.flatten() {
            Some(until) => Err(self.0.refuse(until, now)),
            None => Ok(()),
        }
    }

    /// Counts a failure of `subject`, which [`RateLimiter::check`] then knows.
    pub async fn count(&self, subject: &[u8], now: Instant) {
        let limiter = &*self.0;
        if let Some(bucket) = &limiter.bucket {
            let drawn = limiter.draw(bucket, subject, 1, now).await;
            if drawn.granted == 0 {
                let until = drawn.next_at.as_millis();
                limiter.failing_until.fetch_max(until, Ordering::Relaxed);
                limiter
                    .known
                    .with(subject, |known| known.note(bucket, drawn, &Order::ONE, now));
            }
        }
    }
}

impl Limiter {
    async fn draw(&self, bucket: &Bucket, subject: &[u8], want: u32, now: Instant) -> Drawn {
        if self.buckets.may_ask(now) {
            let key = Key::new(self.kind, subject);
            match self.buckets.0.ephemeral.draw(&key, bucket, want, now).await {
                Ok(drawn) => {
                    self.buckets.answered();
                    return drawn;
                }
                Err(error) => self.buckets.silent(&error, now),
            }
        }
        self.alone.with(subject, |level| {
            let (next, drawn) = bucket.draw(*level, want, now);
            *level = Some(next);
            drawn
        })
    }

    fn standing(&self, remaining: u32, full_at: Instant, now: Instant) -> Standing {
        Standing {
            limit: self.limit,
            policy: self.policy.clone(),
            remaining,
            reset: full_at.since(now),
        }
    }

    fn refuse(&self, until: Instant, now: Instant) -> Limited {
        let refused = &self.buckets.0.refused;
        refused.with_label_values(&[self.limit.name()]).inc();
        Limited(Standing {
            limit: self.limit,
            policy: self.policy.clone(),
            remaining: 0,
            reset: until.since(now),
        })
    }
}
