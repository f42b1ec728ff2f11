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
    /// Until when a node said last that it signs with it.
    pub(super) signs_until: Option<Instant>,
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
    /// Until when any node said that it signs, with whatever key.
    said_until: Option<Instant>,
}

impl Schedule {
    pub(super) fn new(mut keys: Vec<Times>, max_token_lifetime: Duration) -> Self {
        keys.sort_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)));
        Self {
            said_until: keys.iter().filter_map(|key| key.signs_until).max(),
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
    pub(super) fn latest(&self, algorithm: Algorithm, now: Instant) -> Option<&Times> {
        self.good(algorithm)
            .rfind(|key| key.signs_from <= now)
            // The first key ever signs from the start, also where the clock is behind that of the node that made it.
            .or_else(|| self.good(algorithm).next().filter(|key| key.is_first()))
    }

    /// The one that signs, unless nobody does with this algorithm any more.
    fn current(&self, algorithm: Algorithm, now: Instant) -> Option<&Times> {
        self.latest(algorithm, now)
            .filter(|key| !self.is_stopped(key, now))
    }

    /// When the last node stopped to sign with `key`: the others went on, and none said that it signs with this one. While nobody says
    /// anything nothing stops, for then the whole server is down, or cannot write.
    fn stops_at(&self, key: &Times) -> Option<Instant> {
        key.signs_until
            .filter(|until| self.said_until.is_some_and(|said| *until < said))
    }

    pub(super) fn is_stopped(&self, key: &Times, now: Instant) -> bool {
        self.stops_at(key).is_some_and(|at| at <= now)
    }

    /// When the last token that was signed before all stopped has expired.
    fn expired_at(&self, key: &Times) -> Option<Instant> {
        self.stops_at(key).map(|at| at + self.max_token_lifetime)
    }

    /// The same, if anybody has served since, and so published the others without it.
    fn forgotten_at(&self, key: &Times) -> Option<Instant> {
        self.expired_at(key)
            .filter(|end| self.said_until.is_some_and(|said| *end <= said))
    }

    /// The key with which a node goes on that signs with `algorithm`, or does so again: verifiers know it, and will for as long as it
    /// takes until all nodes have heard that it is to be published for longer.
    fn resumed(&self, algorithm: Algorithm, ahead: Duration, now: Instant) -> Option<&Times> {
        let key = self.latest(algorithm, now)?;
        let is_known = match self.expired_at(key) {
            Some(end) if self.is_stopped(key, now) => match self.said_until {
                // Nobody serves, and nobody has published the others without it.
                Some(said) if said < now => said < end,
                Some(_) | None => now + ahead < end,
            },
            Some(_) | None => true,
        };
        (is_known && key.wiped_at.is_none()).then_some(key)
    }

    /// Whether a node that signs with `algorithm` has a key here to go on with.
    pub(super) fn resumes(&self, algorithm: Algorithm, ahead: Duration, now: Instant) -> bool {
        self.resumed(algorithm, ahead, now)
            .is_some_and(Times::can_sign)
    }

    /// The keys of which a node that signs with `algorithms` has to say that it does, as soon as what was said of one of them ends before
    /// `soon`; and those of other algorithms of which nobody ever said anything.
    pub(super) fn to_say(
        &self,
        algorithms: &[Algorithm],
        (ahead, soon): (Duration, Instant),
        now: Instant,
    ) -> Vec<&Times> {
        let own = algorithms.iter();
        let own = own.filter_map(|alg| self.resumed(*alg, ahead, now));
        let own: Vec<_> = own.collect();
        let is_due = |key: &&Times| key.signs_until.is_none_or(|until| until < soon);
        // All at once: of what ends together, nothing stops while the server is down.
        let own = if own.iter().any(is_due) {
            own
        } else {
            Vec::new()
        };
        let others = Algorithm::ALL.into_iter();
        let others = others.filter(|alg| !algorithms.contains(alg));
        let others = others.filter_map(|alg| self.current(alg, now));
        let unsaid = others.filter(|key| key.signs_until.is_none());
        own.into_iter().chain(unsaid).collect()
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
        self.current(algorithm, now).is_none() && self.has_waiting(algorithm, now)
    }

    fn has_waiting(&self, algorithm: Algorithm, now: Instant) -> bool {
        self.good(algorithm).any(|key| key.signs_from > now)
    }

    /// Whether there is a key with which a node can sign that has `algorithm`, now or in time.
    pub(super) fn has(&self, algorithm: Algorithm, ahead: Duration, now: Instant) -> bool {
        self.resumed(algorithm, ahead, now).is_some() || self.has_waiting(algorithm, now)
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

    /// When the last token that `key` signed has expired, once it has a successor or nobody signs with it any more.
    fn unpublished_at(&self, key: &Times) -> Option<Instant> {
        let forgotten_at = self.forgotten_at(key);
        let successor = self
            .good(key.algorithm)
            .skip_while(|other| *other != key)
            .nth(1);
        match successor {
            // While it is published, somebody may sign with it.
            Some(next) if forgotten_at.is_none_or(|end| next.signs_from <= end) => {
                Some(next.signs_from + self.max_token_lifetime)
            }
            Some(_) | None => forgotten_at,
        }
    }

    /// Until when a key is published that signs no more.
    pub(super) fn published_until(&self, key: &Times, now: Instant) -> Option<Instant> {
        match self.phase(key, now) {
            Phase::Previous => self.unpublished_at(key).or_else(|| self.expired_at(key)),
            Phase::Next | Phase::Current | Phase::Retired | Phase::Revoked => None,
        }
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
        let changes = |key: &Times| {
            [
                Some(key.signs_from),
                self.stops_at(key),
                self.unpublished_at(key),
            ]
        };
        good.flat_map(changes)
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
            signs_until: None,
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

    /// The same, of which it was said that it signs until then.
    fn said(key: Times, until: i64) -> Times {
        Times {
            signs_until: Some(at(until)),
            ..key
        }
    }

    #[test]
    fn what_nobody_signs_with_any_more_ends() {
        let stopped = said(key("old", Algorithm::EdDsa, 0, None), 1000);
        for (until, now, expected, change) in [
            // The others said as much: nothing has stopped.
            (1000, 5000, Current, None),
            (1001, 999, Current, Some(1000)),
            (1001, 1000, Previous, None),
            // Nobody serves, and nobody has published the others without it.
            (1001, 5000, Previous, None),
            (1299, 5000, Previous, None),
            (1300, 1299, Previous, Some(1300)),
            (1300, 1300, Retired, None),
            (9999, 5000, Retired, None),
        ] {
            let keys = vec![said(es("a", 0, None), until), stopped.clone()];
            let schedule = Schedule::new(keys, LIFETIME);
            let phase = schedule.phase(&stopped, at(now));
            assert_eq!(phase, expected, "said until {until}, at {now}");
            assert_eq!(
                schedule.next_change(at(now)),
                change.map(at),
                "{until}, {now}"
            );
            let signs = schedule.signer(Algorithm::EdDsa, at(now)).is_some();
            assert_eq!(signs, expected == Current, "{until}, {now}");
        }
    }

    #[test]
    fn what_verifiers_know_for_long_enough_signs_again() {
        let old = said(key("old", Algorithm::EdDsa, 0, None), 1000);
        let ahead = Duration::from_secs(100);
        for (until, now, resumes) in [
            (1000, 5000, true),
            (9999, 1000, true),
            (9999, 1199, true),
            (9999, 1200, false),
            (9999, 5000, false),
            // Down since, whoever it was that said more.
            (1299, 5000, true),
            (1300, 5000, false),
        ] {
            let keys = vec![said(es("a", 0, None), until), old.clone()];
            let schedule = Schedule::new(keys, LIFETIME);
            let found = schedule.resumes(Algorithm::EdDsa, ahead, at(now));
            assert_eq!(found, resumes, "said until {until}, at {now}");
            let has = schedule.has(Algorithm::EdDsa, ahead, at(now));
            assert_eq!(has, resumes, "{until}, {now}");
        }
    }

    #[test]
    fn a_key_ends_before_its_successor_signs_if_verifiers_forgot_it() {
        let other = said(es("a", 0, None), 9999);
        let old = said(key("old", Algorithm::EdDsa, 0, None), 1000);
        for (from, now, expected) in [
            (1300, 1300, Previous),
            (1300, 1599, Previous),
            (1300, 1600, Retired),
            (1301, 1299, Previous),
            (1301, 1300, Retired),
            (1301, 1500, Retired),
        ] {
            let next = key("next", Algorithm::EdDsa, from, None);
            let keys = vec![other.clone(), old.clone(), next];
            let schedule = Schedule::new(keys, LIFETIME);
            let phase = schedule.phase(&old, at(now));
            assert_eq!(phase, expected, "the next signs from {from}, at {now}");
        }
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
