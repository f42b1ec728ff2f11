//! What a check is and how it can end.

use std::fmt;
use std::pin::Pin;

use serde::Serialize;

use crate::exchange::Exchange;
use crate::subject::Subject;

/// How a check ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The server did what the requirement asks.
    Passed,
    /// It did not, and `exchange` shows it.
    Failed {
        /// What was expected and what came instead.
        reason: String,
        /// The request and the response, without secrets; absent where no exchange shows it.
        exchange: Option<Box<Exchange>>,
    },
    /// The requirement is about something that the server does not do.
    NotApplicable {
        /// What says so, mostly a member of the metadata.
        reason: String,
    },
    /// The requirement applies, but the target lacks what the check needs. Counts against the score: what was not
    /// looked at has not been shown.
    Unchecked {
        /// What was missing.
        reason: String,
    },
}

/// `Ok` when the server did as it must; otherwise how the check ended instead.
pub type Verdict = Result<(), Stop>;

/// Why a check ended without passing.
#[derive(Clone, Debug)]
pub struct Stop(Outcome);

impl Stop {
    pub(crate) fn failed(reason: impl Into<String>, exchange: Option<Exchange>) -> Self {
        Self(Outcome::Failed {
            reason: reason.into(),
            exchange: exchange.map(Box::new),
        })
    }

    pub(crate) fn not_applicable(reason: impl Into<String>) -> Self {
        Self(Outcome::NotApplicable {
            reason: reason.into(),
        })
    }

    pub(crate) fn unchecked(reason: impl Into<String>) -> Self {
        Self(Outcome::Unchecked {
            reason: reason.into(),
        })
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Ok(()) => Self::Passed,
            Err(Stop(outcome)) => outcome,
        }
    }
}

pub(crate) type Pending<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One experiment on the server under test.
#[derive(Clone, Copy)]
pub struct Check {
    /// The name of the experiment.
    pub name: &'static str,
    run: for<'a> fn(&'a Subject) -> Pending<'a>,
}

impl Check {
    pub(crate) const fn new(
        name: &'static str,
        run: for<'a> fn(&'a Subject) -> Pending<'a>,
    ) -> Self {
        Self { name, run }
    }

    /// Runs it.
    pub async fn run(&self, subject: &Subject) -> Outcome {
        let limit = subject.limits().check;
        let reason = || format!("the check did not end within {} s", limit.as_secs());
        tokio::time::timeout(limit, (self.run)(subject))
            .await
            .unwrap_or_else(|_| Err(Stop::failed(reason(), None)))
            .into()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A [`Check`] from a function: `check!(f)` for `async fn f(&Subject) -> Verdict`, `check!(look f)` for a plain one that
/// looks at what is known already.
macro_rules! check {
    (look $function:path) => {
        $crate::check::Check::new(stringify!($function), |subject| {
            Box::pin(std::future::ready($function(subject)))
        })
    };
    ($function:path) => {
        $crate::check::Check::new(stringify!($function), |subject| {
            Box::pin($function(subject))
        })
    };
}
pub(crate) use check;
