//! Whether a schedule may be claimed, judged by this node's own time alone.
//!
//! Clocks of nodes differ, and a wrong one is put right some day. A node that compared its clock with an instant that another wrote
//! would take the lease of a live node, or wait for years. So a lease names no end: a node that shows no sign of life for its length
//! has lost it, as measured by whoever watches. A schedule whose next time lies further away than it can is due when it has not moved
//! for as long as the job should rest.

use std::time::Duration;

use shared_protocol::time::Instant;

use super::schedules::ScheduleRow;

/// How long this node has seen a schedule not move.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: Option<(i64, Instant)>,
    still: Duration,
}

impl Watch {
    /// Takes in what was read. From one look to the next, `step` at most counts: a clock that leaps forward proves nothing.
    pub(super) fn look(&mut self, row: &ScheduleRow, step: Duration, now: Instant) {
        self.still = match self.seen {
            Some((version, at)) if version == row.version => self.still + now.since(at).min(step),
            Some(_) | None => Duration::ZERO,
        };
        self.seen = Some((row.version, now));
    }

    /// Whether the schedule may be claimed.
    pub(super) fn is_free(
        &self,
        row: &ScheduleRow,
        every: Duration,
        lease: Duration,
        now: Instant,
    ) -> bool {
        if row.leased_by.is_some() {
            return self.still >= lease;
        }
        let is_impossible = row.next_at > now + every;
        row.next_at <= now || (is_impossible && self.still >= every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_mins(1);
    const LEASE: Duration = Duration::from_secs(30);
    const STEP: Duration = Duration::from_secs(5);

    fn row(version: i64, next_at: i64, leased: bool) -> ScheduleRow {
        ScheduleRow {
            name: "job".into(),
            version,
            next_at: Instant::from_secs(next_at),
            leased_by: leased.then(|| "other".into()),
            started_at: None,
            finished_at: None,
            failed_at: None,
            failures: 0,
            failure: None,
        }
    }

    /// Looks at each of these seconds; whether the schedule was free after the last.
    fn free_after(looks: impl IntoIterator<Item = i64>, row: &ScheduleRow) -> bool {
        let (mut watch, mut free) = (Watch::default(), false);
        for now in looks.into_iter().map(Instant::from_secs) {
            watch.look(row, STEP, now);
            free = watch.is_free(row, EVERY, LEASE, now);
        }
        free
    }

    #[test]
    fn a_schedule_is_free_from_its_time_on() {
        let row = row(1, 100, false);
        assert!(!free_after([99], &row));
        assert!(free_after([100], &row));
    }

    #[test]
    fn a_lease_is_lost_when_its_holder_is_silent_for_its_length() {
        let row = row(1, 0, true);
        assert!(!free_after(100..130, &row));
        assert!(free_after(100..=130, &row));
    }

    #[test]
    fn a_sign_of_life_begins_the_lease_anew() {
        let mut watch = Watch::default();
        for now in 0..1000 {
            let (row, now) = (row(now / 29, 0, true), Instant::from_secs(now));
            watch.look(&row, STEP, now);
            assert!(!watch.is_free(&row, EVERY, LEASE, now));
        }
    }

    #[test]
    fn a_clock_that_leaps_takes_no_lease() {
        let row = row(1, 0, true);
        assert!(!free_after([100, 1_000_000], &row));
        assert!(!free_after([1_000_000, 100, 110], &row));
        assert!(
            free_after((0..8).map(|n| n * 1000), &row),
            "one that leaps for ever does at last"
        );
    }

    #[test]
    fn what_a_clock_from_the_future_left_is_due_after_one_period() {
        let row = row(1, 1_000_000, false);
        assert!(!free_after(100..160, &row));
        assert!(free_after(100..=160, &row));
    }
}
