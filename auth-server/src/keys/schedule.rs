//! When each key is published and when it signs.

use std::time::Duration;

use shared_protocol::jose::{Algorithm, KeyId};
use shared_protocol::time::Instant;

/// One key and its instants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Times {
    pub(super) kid: KeyId,
    pub(super) algorithm: Algorithm,
    pub(super) created_at: Instant,
    pub(super) signs_from: Instant,
    pub(super) revoked_at: Option<Instant>,
    pub(super) wiped_at: Option<Instant>,
    /// Whether the row opens here.
    pub(super) opens: bool,
}

impl Times {
    /// Whether this node has the private half.
    fn can_sign(&self) -> bool {
        self.opens && self.wiped_at.is_none()
    }

    /// Whether it was made to sign at once, for nothing else could have.
    fn is_first(&self) -> bool {
        self.signs_from <= self.created_at
    }
}

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// Published ahead of use.
    Next,
    /// Signs.
    Current,
    /// Published until the last token it signed has expired.
    Previous,
    /// No longer published.
    Retired,
    /// Withdrawn: nothing that it signed counts any more.
    Revoked,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 5] = [
        Self::Next,
        Self::Current,
        Self::Previous,
        Self::Retired,
        Self::Revoked,
    ];

    /// As operators see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Previous => "previous",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// All keys, by the instant from which they may sign.
#[derive(Debug)]
pub(super) struct Schedule {
    keys: Vec<Times>,
    max_token_lifetime: Duration,
}

impl Schedule {
    pub(super) fn new(mut keys: Vec<Times>, max_token_lifetime: Duration) -> Self {
        keys.sort_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)));
        Self {
            keys,
            max_token_lifetime,
        }
    }

    pub(super) fn keys(&self) -> &[Times] {
        &self.keys
    }

    /// The keys of one algorithm that were not withdrawn.
    fn good(&self, algorithm: Algorithm) -> impl DoubleEndedIterator<Item = &Times> {
        self.keys
            .iter()
            .filter(move |key| key.algorithm == algorithm && key.revoked_at.is_none())
    }

    /// Of the keys whose time has come, the one whose time came last.
    fn current(&self, algorithm: Algorithm, now: Instant) -> Option<&Times> {
        self.good(algorithm)
            .rfind(|key| key.signs_from <= now)
            // The first key ever signs from the start, also where the clock is behind that of the node that made it.
            .or_else(|| self.good(algorithm).next().filter(|key| key.is_first()))
    }

    /// What signs here: the current key, or where this node lacks its private half, the last one before it that verifiers still know.
    pub(super) fn signer(&self, algorithm: Algorithm, now: Instant) -> Option<&Times> {
        let current = self.current(algorithm, now)?;
        if current.can_sign() {
            return Some(current);
        }
        self.good(algorithm)
            .rfind(|key| key.can_sign() && self.phase(key, now) == Phase::Previous)
    }

    /// Whether `algorithm` was added a while ago and its first key is not to sign yet.
    pub(super) fn awaits_first(&self, algorithm: Algorithm, now: Instant) -> bool {
        self.has(algorithm) && self.current(algorithm, now).is_none()
    }

    /// Whether there is a key of `algorithm` that was not withdrawn, whatever its phase.
    pub(super) fn has(&self, algorithm: Algorithm) -> bool {
        self.good(algorithm).next().is_some()
    }

    /// When the current key began to sign.
    pub(super) fn signs_since(&self, algorithm: Algorithm, now: Instant) -> Option<Instant> {
        self.current(algorithm, now).map(|key| key.signs_from)
    }

    /// The key that waits for its time, which comes within `ahead`. One whose time lies further off is of a node whose clock was wrong,
    /// and nobody waits for that.
    pub(super) fn next(
        &self,
        algorithm: Algorithm,
        ahead: Duration,
        now: Instant,
    ) -> Option<&Times> {
        self.good(algorithm)
            .find(|key| key.signs_from > now && key.signs_from <= now + ahead)
    }

    /// Whether verifiers know a key of `algorithm` that could sign in place of `kid`. One that was retired could not: they
    /// forgot it long ago, and the longer it lay the more often it may have been copied.
    pub(super) fn another_can_sign(&self, kid: &KeyId, algorithm: Algorithm, now: Instant) -> bool {
        self.good(algorithm).any(|key| {
            key.kid != *kid
                && key.can_sign()
                && matches!(self.phase(key, now), Phase::Current | Phase::Previous)
        })
    }

    pub(super) fn published(&self, now: Instant) -> impl Iterator<Item = &Times> {
        self.keys.iter().filter(move |key| {
            matches!(
                self.phase(key, now),
                Phase::Next | Phase::Current | Phase::Previous
            )
        })
    }

    pub(super) fn phase(&self, key: &Times, now: Instant) -> Phase {
        if key.revoked_at.is_some() {
            Phase::Revoked
        } else if self.current(key.algorithm, now) == Some(key) {
            Phase::Current
        } else if key.signs_from > now {
            Phase::Next
        } else if self.unpublished_at(key).is_none_or(|end| now < end) {
            Phase::Previous
        } else {
            Phase::Retired
        }
    }

    /// When the last token that `key` signed has expired, once it has a successor.
    fn unpublished_at(&self, key: &Times) -> Option<Instant> {
        let successor = self
            .good(key.algorithm)
            .skip_while(|other| *other != key)
            .nth(1)?;
        Some(successor.signs_from + self.max_token_lifetime)
    }

    /// When a key was of no use any more, if that has come: nothing that it signed is good, and it will never sign.
    pub(super) fn done_at(&self, kid: &KeyId, now: Instant) -> Option<Instant> {
        let key = self.keys.iter().find(|key| key.kid == *kid)?;
        match self.phase(key, now) {
            Phase::Revoked => key.revoked_at,
            Phase::Retired => self.unpublished_at(key),
            Phase::Next | Phase::Current | Phase::Previous => None,
        }
    }

    /// When a phase changes next, if no key is added or withdrawn.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let good = self.keys.iter().filter(|key| key.revoked_at.is_none());
        good.flat_map(|key| [Some(key.signs_from), self.unpublished_at(key)])
            .flatten()
            .filter(|instant| *instant > now)
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Current, Next, Previous, Retired, Revoked};

    const LIFETIME: Duration = Duration::from_mins(5);
    const AHEAD: Duration = Duration::from_mins(10);

    fn at(secs: i64) -> Instant {
        Instant::from_secs(secs)
    }

    fn key(kid: &str, algorithm: Algorithm, signs_from: i64, revoked_at: Option<i64>) -> Times {
        Times {
            kid: KeyId::new(kid).unwrap(),
            algorithm,
            created_at: at(signs_from) - AHEAD,
            signs_from: at(signs_from),
            revoked_at: revoked_at.map(at),
            wiped_at: None,
            opens: true,
        }
    }

    fn es(kid: &str, signs_from: i64, revoked_at: Option<i64>) -> Times {
        key(kid, Algorithm::Es256, signs_from, revoked_at)
    }

    fn phases(schedule: &Schedule, now: Instant) -> Vec<Phase> {
        let keys = schedule.keys().iter();
        keys.map(|key| schedule.phase(key, now)).collect()
    }

    #[test]
    fn keys_pass_through_their_phases() {
        let keys = vec![es("c", 2000, None), es("a", 0, None), es("b", 1000, None)];
        let schedule = Schedule::new(keys, LIFETIME);
        for (now, expected, change) in [
            (0, [Current, Next, Next], Some(1000)),
            (999, [Current, Next, Next], Some(1000)),
            (1000, [Previous, Current, Next], Some(1300)),
            (1299, [Previous, Current, Next], Some(1300)),
            (1300, [Retired, Current, Next], Some(2000)),
            (2000, [Retired, Previous, Current], Some(2300)),
            (2300, [Retired, Retired, Current], None),
        ] {
            assert_eq!(phases(&schedule, at(now)), expected, "at {now}");
            assert_eq!(schedule.next_change(at(now)), change.map(at), "at {now}");
        }
    }

    #[test]
    fn nothing_changes_between_two_changes() {
        let keys = vec![
            es("a", 10, None),
            es("b", 1000, Some(1500)),
            es("c", 1200, None),
            key("d", Algorithm::EdDsa, 5, None),
            key("e", Algorithm::EdDsa, 1100, None),
        ];
        let schedule = Schedule::new(keys, LIFETIME);
        let mut due = None;
        for now in 0..2000 {
            if now > 0 && phases(&schedule, at(now)) != phases(&schedule, at(now - 1)) {
                assert_eq!(due, Some(at(now)));
            }
            due = schedule.next_change(at(now));
        }
    }

    #[test]
    fn each_algorithm_has_its_own_turn() {
        let keys = vec![es("a", 0, None), key("b", Algorithm::EdDsa, 1000, None)];
        let schedule = Schedule::new(keys, LIFETIME);
        assert_eq!(phases(&schedule, at(5000)), [Current, Current]);
        assert_eq!(schedule.signer(Algorithm::Rs256, at(5000)), None);
    }

    #[test]
    fn the_first_key_signs_where_the_clock_is_behind() {
        let mut first = es("a", 100, None);
        first.created_at = at(100);
        let schedule = Schedule::new(vec![first], LIFETIME);
        assert_eq!(phases(&schedule, at(90)), [Current]);
    }

    #[test]
    fn the_first_key_of_an_algorithm_that_is_added_waits() {
        let schedule = Schedule::new(vec![es("a", 700, None)], LIFETIME);
        assert_eq!(phases(&schedule, at(699)), [Next]);
        assert_eq!(schedule.signer(Algorithm::Es256, at(699)), None);
        assert!(schedule.signer(Algorithm::Es256, at(700)).is_some());
    }

    #[test]
    fn a_node_without_the_current_key_signs_with_the_one_before_it_while_verifiers_know_that() {
        let (first, mut second) = (es("a", 0, None), es("b", 1000, None));
        second.opens = false;
        let schedule = Schedule::new(vec![first, second], LIFETIME);
        let signer = |now| schedule.signer(Algorithm::Es256, at(now));
        assert_eq!(signer(1299).map(|key| key.kid.as_str()), Some("a"));
        assert_eq!(signer(1300), None);
    }

    #[test]
    fn nobody_waits_for_a_key_of_a_clock_that_was_wrong() {
        let keys = vec![es("a", 0, None), es("b", 1_000_000, None)];
        let schedule = Schedule::new(keys, LIFETIME);
        assert_eq!(schedule.next(Algorithm::Es256, AHEAD, at(10)), None);
        assert!(
            schedule
                .next(Algorithm::Es256, AHEAD, at(999_500))
                .is_some()
        );
    }

    #[test]
    fn a_revoked_key_neither_signs_nor_is_published() {
        let keys = vec![es("a", 0, None), es("b", 1000, Some(1100))];
        let schedule = Schedule::new(keys, LIFETIME);
        assert_eq!(phases(&schedule, at(1100)), [Current, Revoked]);
        let published: Vec<_> = schedule
            .published(at(1100))
            .map(|key| key.kid.as_str())
            .collect();
        assert_eq!(published, ["a"]);
    }

    /// Threat: new keys used at once, which caches refuse.
    #[test]
    fn a_verifier_with_an_old_copy_knows_every_key_that_signs() {
        let keys = vec![es("a", 0, None), es("b", 1000, None), es("c", 2000, None)];
        for now in 0..3000 {
            // A node knows a key from its creation on, so a copy of `then` holds what was created by then.
            let then = at(now - 600);
            let known = keys
                .iter()
                .filter(|key| key.created_at <= then || key.signs_from == at(0));
            let copy = Schedule::new(known.cloned().collect(), LIFETIME);
            let schedule = Schedule::new(keys.clone(), LIFETIME);
            let signer = schedule.signer(Algorithm::Es256, at(now)).unwrap();
            assert!(copy.published(then).any(|key| key == signer), "at {now}");
        }
    }

    #[test]
    fn a_token_verifies_until_it_expires() {
        let keys = vec![es("a", 0, None), es("b", 1000, None), es("c", 2000, None)];
        let schedule = Schedule::new(keys, LIFETIME);
        for issued in 0..3000 {
            let signer = schedule.signer(Algorithm::Es256, at(issued)).unwrap();
            let last = at(issued) + LIFETIME - Duration::from_millis(1);
            assert!(
                schedule.published(last).any(|key| key == signer),
                "issued at {issued}"
            );
        }
    }
}
