//! When the database last did not answer this node. In that time nobody could use anything, so it is not held against anyone: a
//! refresh token whose use was committed although nobody could be told goes on in its grace window when the database is back.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use shared_protocol::time::Instant;

/// The most of an outage that counts as one: beyond it nobody waits for an answer, and what is told apart by it must end.
const LONGEST: Duration = Duration::from_mins(5);

/// The last outage that this node saw. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Outage(Arc<RwLock<Option<Span>>>);

/// From the last answer before it to the first after it; without an end, it goes on.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: Instant,
    to: Option<Instant>,
}

impl Outage {
    /// The database does not answer; it last did at `from`.
    pub fn goes_on(&self, from: Instant) {
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|span| span.to.is_some()) {
            *last = Some(Span { from, to: None });
        }
    }

    /// The database answered.
    pub fn is_over(&self, now: Instant) {
        if !self.is_now() {
            return;
        }
        let mut last = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(span) = &mut *last {
            span.to.get_or_insert(now);
        }
    }

    /// Whether it goes on.
    #[must_use]
    pub fn is_now(&self) -> bool {
        self.last().is_some_and(|span| span.to.is_none())
    }

    /// The time between two instants, without what of it the last outage took.
    #[must_use]
    pub fn time_without(&self, from: Instant, to: Instant) -> Duration {
        let lost = self.last().map_or(Duration::ZERO, |span| {
            let end = span.to.unwrap_or(to).min(to);
            end.since(span.from.max(from))
        });
        to.since(from).saturating_sub(lost.min(LONGEST))
    }

    fn last(&self) -> Option<Span> {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_an_outage_does_not_count() {
        let at = |second: i64| Instant::from_millis(second * 1000);
        let outage = Outage::default();
        let counted = |from, to| outage.time_without(at(from), at(to)).as_secs();
        assert_eq!(counted(0, 10), 10);
        outage.goes_on(at(100));
        outage.goes_on(at(120));
        for (from, to, seconds, what) in [
            (90, 99, 9, "before it"),
            (95, 110, 5, "into it"),
            (105, 110, 0, "within it"),
        ] {
            assert_eq!(counted(from, to), seconds, "while it goes on: {what}");
        }
        outage.is_over(at(130));
        outage.is_over(at(150));
        for (from, to, seconds, what) in [
            (90, 99, 9, "before it"),
            (95, 140, 15, "around it"),
            (105, 110, 0, "within it"),
            (120, 135, 5, "out of it"),
            (131, 140, 9, "after it"),
            (140, 131, 0, "a clock that went back"),
        ] {
            assert_eq!(counted(from, to), seconds, "when it is over: {what}");
        }
        outage.goes_on(at(1000));
        assert_eq!(counted(990, 2000), 710, "however long it goes on");
    }
}
