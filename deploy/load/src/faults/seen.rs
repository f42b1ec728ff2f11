//! What clients met.

use std::collections::BTreeMap;
use std::fmt;

use hyper::StatusCode;
use hyper::header::{LOCATION, RETRY_AFTER};
use serde::Serialize;
use tokio::time::error::Elapsed;

use crate::client::Answer;

/// How many wrongs are told.
const TOLD: usize = 20;

/// What is asked.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    ClientCredentials,
    Authorization,
    Code,
    Refresh,
    Introspection,
    Userinfo,
    Revocation,
    Api,
    Readiness,
}

/// What came of one request.
pub(super) enum Met {
    /// What was asked for.
    Done(Answer),
    /// 503 with `Retry-After`, or what an app is told by a redirect in its place (RFC 6749 §4.1.2.1).
    Later,
    /// The connection failed, and nobody knows.
    NoAnswer,
    /// Anything else.
    Refused(String),
}

impl Met {
    pub(super) fn of(answer: anyhow::Result<Answer>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.is::<Elapsed>() => return Self::Refused(format!("{error:#}")),
            Err(_) => return Self::NoAnswer,
        };
        let location = answer.headers.get(LOCATION);
        let location = location.and_then(|to| to.to_str().ok()).unwrap_or_default();
        let is_later = answer.status == StatusCode::SERVICE_UNAVAILABLE
            && answer.headers.contains_key(RETRY_AFTER);
        if is_later || location.contains("error=temporarily_unavailable") {
            Self::Later
        } else if answer.status == StatusCode::OK || location.contains("code=") {
            Self::Done(answer)
        } else {
            Self::Refused(format!("{} {location}", answer.describe()))
        }
    }
}

/// How often each.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Tally {
    pub(super) done: u64,
    pub(super) later: u64,
    pub(super) no_answer: u64,
    /// Flows that ended with the Redis that held them, or whose code was sent before and nothing heard of.
    pub(super) ended: u64,
}

/// What was met since the last fault.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) tallies: BTreeMap<Kind, Tally>,
    pub(super) wrong: u64,
    pub(super) wrongs: Vec<String>,
}

impl Seen {
    pub(super) fn note(&mut self, kind: Kind, met: &Met) {
        let tally = self.tallies.entry(kind).or_default();
        match met {
            Met::Done(_) => tally.done += 1,
            Met::Later => tally.later += 1,
            Met::NoAnswer => tally.no_answer += 1,
            // Whoever asked knows whether it may be.
            Met::Refused(_) => {}
        }
    }

    pub(super) fn ended(&mut self, kind: Kind) {
        self.tallies.entry(kind).or_default().ended += 1;
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrong += 1;
        if self.wrongs.len() < TOLD {
            self.wrongs.push(what);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, tally) in &self.tallies {
            writeln!(
                f,
                "  {:<20} {:>8} done {:>6} later {:>6} unanswered {:>4} ended",
                format!("{kind:?}"),
                tally.done,
                tally.later,
                tally.no_answer,
                tally.ended
            )?;
        }
        self.wrongs
            .iter()
            .try_for_each(|wrong| writeln!(f, "  WRONG {wrong}"))
    }
}

#[cfg(test)]
mod tests {
    use hyper::HeaderMap;
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_503_without_retry_after_is_no_excuse() {
        let answer = |status, headers: &[(_, &'static str)]| {
            let headers = headers.iter().cloned();
            let headers: HeaderMap = headers
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect();
            Met::of(Ok(Answer {
                status: StatusCode::from_u16(status).unwrap(),
                headers,
                body: bytes::Bytes::new(),
            }))
        };
        assert!(matches!(answer(503, &[(RETRY_AFTER, "1")]), Met::Later));
        assert!(matches!(answer(503, &[]), Met::Refused(_)));
        assert!(matches!(answer(200, &[]), Met::Done(_)));
        assert!(matches!(answer(400, &[]), Met::Refused(_)));
        let app = "https://app.example/?code=x&iss=y";
        assert!(matches!(answer(303, &[(LOCATION, app)]), Met::Done(_)));
        let app = "https://app.example/?error=temporarily_unavailable";
        assert!(matches!(answer(303, &[(LOCATION, app)]), Met::Later));
        let app = "https://app.example/?error=server_error";
        assert!(matches!(answer(303, &[(LOCATION, app)]), Met::Refused(_)));
        let lost = anyhow::anyhow!("connection reset");
        assert!(matches!(Met::of(Err(lost)), Met::NoAnswer));
    }
}
