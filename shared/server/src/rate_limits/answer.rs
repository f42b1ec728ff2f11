//! What a client is told of its limits (draft-ietf-httpapi-ratelimit-headers, RFC 9110 §10.2.3).

use std::error::Error;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::Limit;
use crate::ephemeral::Bucket;
use crate::web::Problem;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How a subject stands with one limit.
#[derive(Clone, Debug)]
pub struct Standing {
    pub(super) limit: Limit,
    pub(super) policy: HeaderValue,
    pub(super) remaining: u32,
    /// Until the bucket is full; of a refusal, until it ends.
    pub(super) reset: Duration,
}

impl Standing {
    fn write(&self, headers: &mut HeaderMap) {
        let mut text = String::with_capacity(48);
        let name = self.limit.name();
        // Writing to a text never fails, and it is ASCII without line ends.
        let _ = write!(
            text,
            "\"{name}\";r={};t={}",
            self.remaining,
            seconds(self.reset)
        );
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(RATE_LIMIT, value);
            headers.insert(RATE_LIMIT_POLICY, self.policy.clone());
        }
    }
}

/// One request too many.
#[derive(Clone, Debug)]
pub struct Limited(pub(super) Standing);

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many requests; try again later")
    }
}

impl Error for Limited {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0.limit)
    }
}

impl Limited {
    /// The limit that was reached.
    #[must_use]
    pub fn limit(&self) -> Limit {
        self.0.limit
    }

    /// How long to wait.
    #[must_use]
    pub fn wait(&self) -> Duration {
        self.0.reset
    }

    /// Adds `Retry-After`, `RateLimit` and `RateLimit-Policy` to a response, whose status is 429 (RFC 6585 §4).
    pub fn write(&self, headers: &mut HeaderMap) {
        // `Retry-After: 0` would be an invitation.
        let told = Standing {
            reset: self.0.reset.max(Duration::from_secs(1)),
            ..self.0.clone()
        };
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(told.reset)));
        told.write(headers);
    }
}

impl From<Limited> for Problem {
    fn from(limited: Limited) -> Self {
        let mut headers = HeaderMap::new();
        limited.write(&mut headers);
        let mut problem = Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too-many-requests",
            "Too many requests",
        )
        .with("limit", limited.limit().name())
        .because(limited);
        for (name, value) in &headers {
            problem = problem.header(name.clone(), value.clone());
        }
        problem
    }
}

/// How the subjects of one request stand: an extractor, set by [`by_address`](super::by_address), to which whatever counts the request
/// adds. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Standings(Arc<Mutex<Option<Standing>>>);

impl Standings {
    /// Adds one. The response will tell of the tightest.
    pub fn note(&self, standing: Option<Standing>) {
        let Some(standing) = standing else {
            return;
        };
        let mut tightest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tightest
            .as_ref()
            .is_none_or(|other| standing.remaining < other.remaining)
        {
            *tightest = Some(standing);
        }
    }

    /// Adds `RateLimit` and `RateLimit-Policy` to a response that tells of no refusal.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let tightest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(standing) = &*tightest
            && !headers.contains_key(RATE_LIMIT)
        {
            standing.write(headers);
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Standings {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Where nothing counts by address, nobody is told.
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// `RateLimit-Policy` of a limit.
pub(super) fn policy(limit: Limit, bucket: &Bucket, per: Duration) -> HeaderValue {
    let (name, quota, window) = (limit.name(), bucket.capacity(), seconds(per));
    let text = format!("\"{name}\";q={quota};w={window}");
    HeaderValue::try_from(text).expect("names, quotes and numbers are visible ASCII")
}

/// Whole seconds, and no fewer than it takes.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
