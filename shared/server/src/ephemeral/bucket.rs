//! A token bucket that grows less patient with who goes on asking while it is empty.
//!
//! All arithmetic is on whole numbers, the same here and in `draw.lua`: each millisecond fills in `capacity` drops, and a token is
//! as many drops as the bucket takes milliseconds to fill.

use std::time::Duration;

use shared_protocol::time::Instant;

/// The most tokens of a bucket; with [`LONGEST_FILL`] it keeps every number below 2^53, which is all that Lua counts to.
pub const MOST_TOKENS: u32 = 10_000_000;

/// The longest that a bucket takes to fill, and the longest penalty.
pub const LONGEST_FILL: Duration = Duration::from_hours(24);

/// Further doublings make no difference: a day is less than this many milliseconds doubled.
const MOST_STRIKES: i64 = 32;

/// How large a bucket is, how it fills, and what asking an empty one brings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bucket {
    pub(super) capacity: i64,
    pub(super) per: i64,
    pub(super) penalty: i64,
    pub(super) longest_penalty: i64,
}

impl Bucket {
    /// A bucket of `capacity` tokens (at most [`MOST_TOKENS`]) that fills in `per` (at most [`LONGEST_FILL`]). Who finds it empty gets
    /// nothing for `penalty`, then for twice as long, and so on up to `longest_penalty`; until nothing of the kind has happened for
    /// as long as it takes to fill. It fills meanwhile: what a penalty takes away is time.
    #[must_use]
    pub fn new(capacity: u32, per: Duration, penalty: Duration, longest_penalty: Duration) -> Self {
        let millis = |duration: Duration| {
            let bounded = duration.min(LONGEST_FILL).as_millis();
            i64::try_from(bounded).unwrap_or(i64::MAX)
        };
        Self {
            capacity: i64::from(capacity.clamp(1, MOST_TOKENS)),
            per: millis(per).max(1),
            penalty: millis(penalty),
            longest_penalty: millis(longest_penalty),
        }
    }

    /// Its tokens.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        u32::try_from(self.capacity).unwrap_or(u32::MAX)
    }

    /// How long it takes until so many tokens have come.
    #[must_use]
    pub fn time_of(&self, tokens: u32) -> Duration {
        let millis = ceil(self.per.saturating_mul(tokens.into()), self.capacity);
        Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
    }

    fn full(&self) -> i64 {
        self.capacity * self.per
    }

    /// Takes up to `want` tokens from what is left, `None` being a full bucket.
    pub(crate) fn draw(&self, level: Option<Level>, want: u32, now: Instant) -> (Level, Drawn) {
        let now = now.as_millis();
        let mut level = level.unwrap_or(Level {
            drops: self.full(),
            at: now,
            strikes: 0,
            blocked_until: now,
        });
        level.refill(self, now);
        if level.is_blocked(now) {
            return (level, level.answer(self, 0, now));
        }
        let granted = i64::from(want).min(level.drops / self.per);
        level.drops -= granted * self.per;
        if granted == 0 && want > 0 {
            level.strike(self, now);
        }
        let granted = u32::try_from(granted).unwrap_or(want);
        (level, level.answer(self, granted, now))
    }
}

/// What came of drawing from a bucket.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drawn {
    /// Tokens that the caller has now.
    pub granted: u32,
    /// Tokens that could be drawn at once.
    pub remaining: u32,
    /// When at least one can be drawn; not after now if that is so already.
    pub next_at: Instant,
    /// When the bucket is full, should nobody draw.
    pub full_at: Instant,
}

/// What is in a bucket. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    pub(super) drops: i64,
    /// When it held so much. Never moves back, but for a clock that was set back.
    pub(super) at: i64,
    /// How often it was found empty.
    pub(super) strikes: i64,
    pub(super) blocked_until: i64,
}

impl Level {
    fn refill(&mut self, bucket: &Bucket, now: i64) {
        // Nodes' clocks differ a little, and then whoever is behind fills nothing in. One that differs by more was set back.
        if self.at > now.saturating_add(bucket.per) {
            self.at = now;
        }
        let elapsed = now.saturating_sub(self.at).clamp(0, bucket.per);
        self.drops = bucket.full().min(self.drops + elapsed * bucket.capacity);
        self.at = self.at.max(now);
        let longest = bucket
            .longest_penalty
            .max(ceil(bucket.per, bucket.capacity));
        self.blocked_until = self.blocked_until.min(now.saturating_add(longest));
        if self.blocked_until.saturating_add(bucket.per) <= now {
            self.strikes = 0;
        }
    }

    fn is_blocked(&self, now: i64) -> bool {
        self.strikes > 0 && now < self.blocked_until
    }

    fn strike(&mut self, bucket: &Bucket, now: i64) {
        let doubled = bucket.penalty << self.strikes;
        let penalized = now.saturating_add(doubled.min(bucket.longest_penalty));
        self.strikes = MOST_STRIKES.min(self.strikes + 1);
        // Whoever was told to wait for a token is not struck again for asking earlier.
        self.blocked_until = penalized.max(self.token_at(bucket));
    }

    /// When there is one token, if there is none.
    fn token_at(&self, bucket: &Bucket) -> i64 {
        let lacking = (bucket.per - self.drops).max(0);
        self.at.saturating_add(ceil(lacking, bucket.capacity))
    }

    /// What a caller learns at `now`.
    pub(super) fn answer(&self, bucket: &Bucket, granted: u32, now: i64) -> Drawn {
        let to_fill = ceil(bucket.full() - self.drops, bucket.capacity);
        let is_blocked = self.is_blocked(now);
        let next_at = if is_blocked {
            self.blocked_until.max(self.token_at(bucket))
        } else if self.drops < bucket.per {
            self.token_at(bucket)
        } else {
            now
        };
        Drawn {
            granted,
            remaining: if is_blocked {
                0
            } else {
                u32::try_from(self.drops / bucket.per).unwrap_or(0)
            },
            next_at: Instant::from_millis(next_at),
            full_at: Instant::from_millis(self.at.saturating_add(to_fill)),
        }
    }
}

/// Both are at least zero, and `by` is more.
fn ceil(number: i64, by: i64) -> i64 {
    number / by + i64::from(number % by > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_700_000_000_000;

    fn at(millis: i64) -> Instant {
        Instant::from_millis(START + millis)
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    proptest! {
        /// Of the draws of any callers, whatever order their clocks are in within `per`.
        #[test]
        fn no_window_grants_more_than_the_capacity_and_what_came_in_it(
            capacity in 1_u32..200,
            per in 1_u64..100_000,
            penalty in 0_u64..5_000,
            draws in prop::collection::vec((0_i64..3_000, 0_i64..3, 0_u32..50), 1..80),
        ) {
            let per = Duration::from_millis(per.max(10));
            let bucket = Bucket::new(capacity, per, Duration::from_millis(penalty), secs(8));
            let (mut level, mut now, mut latest) = (None, 0, 0);
            let mut granted = Vec::new();
            for (pass, back, want) in draws {
                now += pass;
                latest = now.max(latest);
                let (next, drawn) = bucket.draw(level, want, at(now - back));
                level = Some(next);
                prop_assert!(drawn.granted <= want);
                prop_assert!(drawn.remaining <= capacity - drawn.granted);
                prop_assert!(drawn.full_at >= drawn.next_at || drawn.remaining == 0);
                granted.push((latest, i64::from(drawn.granted)));
            }
            for (first, (from, _)) in granted.iter().enumerate() {
                let mut sum = 0;
                for (until, count) in &granted[first..] {
                    sum += count;
                    // The clock was up to 2 ms behind when the window began.
                    let came = (until - from + 2) * i64::from(capacity);
                    let bound = i64::from(capacity) * bucket.per + came;
                    prop_assert!(sum * bucket.per <= bound, "{sum} of {capacity} in {} ms", until - from);
                }
            }
        }

        /// Whoever waits as long as was said gets one.
        #[test]
        fn there_is_one_when_it_says(
            capacity in 1_u32..1_000,
            per in 10_u64..1_000_000,
            tries in prop::collection::vec((0_i64..500, 0_u32..2_000), 1..40),
        ) {
            let bucket = Bucket::new(capacity, Duration::from_millis(per), secs(1), secs(60));
            let (mut level, mut now) = (None, at(0));
            for (pass, want) in tries {
                now = now + Duration::from_millis(pass.unsigned_abs());
                let (next, drawn) = bucket.draw(level, want, now);
                let (_, then) = bucket.draw(Some(next), 1, drawn.next_at.max(now));
                prop_assert_eq!(then.granted, 1);
                let (_, whole) = bucket.draw(Some(next), capacity, drawn.full_at.max(drawn.next_at));
                prop_assert_eq!(whole.granted, capacity);
                level = Some(next);
            }
        }
    }

    #[test]
    fn asking_an_empty_bucket_doubles_the_wait_until_it_was_let_alone() {
        let bucket = Bucket::new(10, secs(10), secs(2), secs(9));
        let (mut level, drawn) = bucket.draw(None, 10, at(0));
        assert_eq!((drawn.granted, drawn.remaining), (10, 0));
        assert_eq!((drawn.next_at, drawn.full_at), (at(1_000), at(10_000)));
        let mut now = 0;
        for (wait, came) in [(2, 2), (4, 4), (8, 8), (9, 9), (9, 9)] {
            let (empty, drawn) = bucket.draw(Some(level), 10, at(now));
            assert_eq!(drawn.next_at, at(now + wait * 1_000));
            // While it is blocked, asking changes nothing.
            let (blocked, again) = bucket.draw(Some(empty), 1, at(now + 1));
            assert_eq!((again.granted, again.next_at), (0, drawn.next_at));
            now += wait * 1_000;
            let (emptied, drawn) = bucket.draw(Some(blocked), 100, at(now));
            assert_eq!(drawn.granted, came, "it fills meanwhile");
            level = emptied;
        }
        now += 10_000;
        let (emptied, _) = bucket.draw(Some(level), 10, at(now));
        let (_, drawn) = bucket.draw(Some(emptied), 1, at(now));
        assert_eq!(drawn.next_at, at(now + 2_000), "forgotten");
    }

    #[test]
    fn without_a_penalty_the_wait_is_for_one_token() {
        let bucket = Bucket::new(10, secs(10), secs(0), secs(0));
        let (mut level, _) = bucket.draw(None, 10, at(0));
        for _ in 0..100 {
            let (next, drawn) = bucket.draw(Some(level), 1, at(10));
            assert_eq!((drawn.granted, drawn.next_at), (0, at(1_000)));
            level = next;
        }
    }

    #[test]
    fn a_clock_that_was_set_back_freezes_nothing_for_longer_than_it_fills() {
        let bucket = Bucket::new(10, secs(10), secs(1), secs(60));
        let (level, _) = bucket.draw(None, 10, at(0));
        let (level, _) = bucket.draw(Some(level), 1, at(0));
        let (level, drawn) = bucket.draw(Some(level), 1, at(-3_600_000));
        assert_eq!(drawn.granted, 0, "nor does it fill anything in");
        let (_, drawn) = bucket.draw(Some(level), 10, at(-3_600_000 + 60_000));
        assert_eq!(drawn.granted, 10);
    }

    #[test]
    fn the_largest_bucket_overflows_nowhere() {
        let day = Duration::from_secs(1_000_000);
        let bucket = Bucket::new(u32::MAX, day, day, day);
        assert!(bucket.full() < 1 << 53);
        let mut level = None;
        for want in [u32::MAX, 1, 1, 0] {
            for now in [i64::MAX, 0, i64::MIN] {
                level = Some(bucket.draw(level, want, Instant::from_millis(now)).0);
            }
        }
        let mut level = bucket.draw(None, u32::MAX, at(0)).0;
        for strikes in 0..100 {
            level = bucket
                .draw(Some(level), u32::MAX, at(strikes * 86_400_000))
                .0;
            level = bucket.draw(Some(level), 1, at(strikes * 86_400_000)).0;
        }
    }
}
