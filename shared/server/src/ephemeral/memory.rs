//! The ephemeral store of a single node: sharded maps with a hard cap that refuses.
//!
//! A cache that makes room by dropping what is live would forget a `jti` that must still refuse its replay.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use shared_protocol::dpop::LocalProofs;
use shared_protocol::time::{Clock, Instant};

use super::bucket::Level;
use super::{Bucket, Drawn, Entry, EphemeralError, Key, PutNew, Result, SLACK, Take, Window};
use crate::recent::Recent;

/// A lock is held for one look-up, or for the sweep of one shard.
const SHARDS: usize = 64;

const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Buckets stand apart from entries, and make room by forgetting: whoever comes from many addresses must not fill the store.
const BUCKETS: usize = 100_000;

pub(super) struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// Entries and counters in all shards.
    len: AtomicUsize,
    capacity: usize,
    buckets: Recent<Key, Option<Level>>,
    /// These stand apart too: anybody may send proofs, and what is refused when there is no room for them is not to be all the rest.
    proofs: LocalProofs,
    created: Instant,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Key, Kept>,
    counters: HashMap<(Key, Window), u64>,
    /// Nothing in this shard ends before; `None` if it is empty.
    earliest: Option<Instant>,
}

struct Kept {
    state: State,
    mark: Box<[u8]>,
    deadline: Instant,
}

enum State {
    Fresh(Box<[u8]>),
    Taken,
}

impl From<Entry<'_>> for Kept {
    fn from(entry: Entry<'_>) -> Self {
        Self {
            state: State::Fresh(entry.value.into()),
            mark: entry.mark.into(),
            deadline: entry.deadline,
        }
    }
}

impl Memory {
    /// An empty store, swept every few seconds until it is dropped.
    pub(super) fn start(capacity: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        let memory = Arc::new(Self::new(capacity, clock.now()));
        tokio::spawn(sweep_every(SWEEP_EVERY, Arc::downgrade(&memory), clock));
        memory
    }

    fn new(capacity: usize, created: Instant) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            len: AtomicUsize::new(0),
            capacity,
            buckets: Recent::new(BUCKETS),
            proofs: LocalProofs::new(capacity / 2, created),
            created,
        }
    }

    pub(super) fn put(&self, key: &Key, entry: Entry<'_>, now: Instant) -> Result<()> {
        self.make_room(now);
        let mut shard = self.shard(key);
        match shard.entries.entry(*key) {
            Place::Occupied(mut there) => {
                there.insert(entry.into());
            }
            Place::Vacant(place) => {
                self.count_one_more()?;
                place.insert(entry.into());
            }
        }
        shard.ends_at(entry.deadline);
        Ok(())
    }

    pub(super) fn put_new(&self, key: &Key, entry: Entry<'_>, now: Instant) -> Result<PutNew> {
        self.make_room(now);
        let mut shard = self.shard(key);
        match shard.entries.entry(*key) {
            Place::Occupied(there) if there.get().deadline > now => return Ok(PutNew::Exists),
            Place::Occupied(mut there) => {
                there.insert(entry.into());
            }
            Place::Vacant(place) => {
                self.count_one_more()?;
                place.insert(entry.into());
            }
        }
        shard.ends_at(entry.deadline);
        Ok(PutNew::Stored {
            epoch: self.created,
        })
    }

    pub(super) fn get(&self, key: &Key, now: Instant) -> Option<Vec<u8>> {
        let shard = self.shard(key);
        let kept = shard.entries.get(key)?;
        match &kept.state {
            State::Fresh(value) if kept.deadline > now => Some(value.to_vec()),
            State::Fresh(_) | State::Taken => None,
        }
    }

    pub(super) fn take(&self, key: &Key, now: Instant) -> Take {
        let mut shard = self.shard(key);
        match shard.entries.get_mut(key) {
            Some(kept) if kept.deadline > now => {
                match std::mem::replace(&mut kept.state, State::Taken) {
                    State::Fresh(value) => Take::First(value.into_vec()),
                    State::Taken => Take::Before(kept.mark.to_vec()),
                }
            }
            Some(_) | None => Take::Unknown,
        }
    }

    pub(super) fn hit(&self, key: &Key, window: Window, now: Instant) -> Result<u64> {
        self.make_room(now);
        let mut shard = self.shard(key);
        match shard.counters.entry((*key, window)) {
            Place::Occupied(mut count) => {
                *count.get_mut() += 1;
                Ok(*count.get())
            }
            Place::Vacant(place) => {
                self.count_one_more()?;
                place.insert(1);
                shard.ends_at(window.end());
                Ok(1)
            }
        }
    }

    pub(super) fn draw(&self, key: &Key, bucket: &Bucket, want: u32, now: Instant) -> Drawn {
        self.buckets.with(key, |level| {
            let (next, drawn) = bucket.draw(*level, want, now);
            *level = Some(next);
            drawn
        })
    }

    pub(super) fn proofs(&self) -> &LocalProofs {
        &self.proofs
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Takes a place below the cap, for a caller who holds the lock of the shard that it fills at once.
    fn count_one_more(&self) -> Result<()> {
        self.len
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |len| {
                (len < self.capacity).then_some(len + 1)
            })
            .map(drop)
            .map_err(|_| EphemeralError::Full)
    }

    /// At the cap, sweeps shards until one gives something up. A shard in which nothing has ended is not searched, so
    /// that refusing is cheap while the store stays full.
    fn make_room(&self, now: Instant) {
        if self.len() >= self.capacity {
            self.shards.iter().find(|shard| self.sweep(shard, now) > 0);
        }
    }

    /// Drops what ended more than the slack before `now`, and says how much that was.
    fn sweep(&self, shard: &Mutex<Shard>, now: Instant) -> usize {
        let mut shard = locked(shard);
        let is_rubbish = |end: Instant| end + SLACK <= now;
        if !shard.earliest.is_some_and(is_rubbish) {
            return 0;
        }
        let before = shard.len();
        shard.entries.retain(|_, kept| !is_rubbish(kept.deadline));
        shard.counters.retain(|(_, w), _| !is_rubbish(w.end()));
        let entries = shard.entries.values().map(|kept| kept.deadline);
        let counters = shard.counters.keys().map(|(_, window)| window.end());
        shard.earliest = entries.chain(counters).min();
        let freed = before - shard.len();
        self.len.fetch_sub(freed, Ordering::Relaxed);
        freed
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let shard = self.shards.get(key.bucket(SHARDS));
        locked(shard.expect("a bucket is below the number of shards"))
    }
}

impl Shard {
    fn len(&self) -> usize {
        self.entries.len() + self.counters.len()
    }

    fn ends_at(&mut self, end: Instant) {
        self.earliest = Some(self.earliest.map_or(end, |earliest| earliest.min(end)));
    }
}

/// A panic elsewhere leaves no shard half changed: each change is one call on a map.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn sweep_every(interval: Duration, memory: Weak<Memory>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(memory) = memory.upgrade() else {
            return;
        };
        let now = clock.now();
        for shard in &memory.shards {
            memory.sweep(shard, now);
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicI64;

    use super::super::Kind;
    use super::*;

    const KIND: Kind = Kind::new("kind");
    const START: Instant = Instant::from_secs(1_700_000_000);
    const MINUTE: Duration = Duration::from_mins(1);

    struct Hands(AtomicI64);

    impl Clock for Hands {
        fn now(&self) -> Instant {
            Instant::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn entry(deadline: Instant) -> Entry<'static> {
        Entry {
            value: b"value",
            mark: b"mark",
            deadline,
        }
    }

    /// `len` says what is there, and every shard knows when its first thing ends.
    fn assert_whole(memory: &Memory) {
        let shards: Vec<_> = memory.shards.iter().map(locked).collect();
        assert_eq!(
            memory.len(),
            shards.iter().map(|shard| shard.len()).sum::<usize>()
        );
        for shard in shards {
            let first = shard.entries.values().map(|kept| kept.deadline).min();
            assert!(shard.earliest <= first.or(shard.earliest));
        }
    }

    #[test]
    fn the_cap_holds_exactly_under_concurrency() {
        let memory = Memory::new(1_000, START);
        let stored = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (memory, stored) = (&memory, &stored);
                scope.spawn(move || {
                    for n in 0..500 {
                        let key = Key::new(KIND, format!("{thread}-{n}"));
                        let refused = match n % 3 {
                            0 => memory.hit(&key, Window::at(START, MINUTE), START).err(),
                            1 => memory.put(&key, entry(START + MINUTE), START).err(),
                            _ => memory.put_new(&key, entry(START + MINUTE), START).err(),
                        };
                        match refused {
                            None => stored.fetch_add(1, Ordering::Relaxed),
                            Some(EphemeralError::Full) => 0,
                            Some(other) => panic!("{other}"),
                        };
                    }
                });
            }
        });
        assert_eq!(stored.into_inner(), 1_000);
        assert_whole(&memory);
        assert_eq!(memory.len(), 1_000);
    }

    #[test]
    fn at_the_cap_what_is_there_still_works_and_nothing_live_is_dropped() {
        let memory = Memory::new(3, START);
        let [a, b, c, d] = ["a", "b", "c", "d"].map(|id| Key::new(KIND, id));
        let window = Window::at(START, MINUTE);
        memory.put(&a, entry(START + MINUTE), START).unwrap();
        memory.put(&b, entry(START + 2 * MINUTE), START).unwrap();
        memory.hit(&c, window, START).unwrap();

        assert!(matches!(
            memory.put(&d, entry(START + MINUTE), START),
            Err(EphemeralError::Full)
        ));
        assert_eq!(memory.hit(&c, window, START).unwrap(), 2);
        memory.put(&a, entry(START + 2 * MINUTE), START).unwrap();
        assert!(memory.take(&b, START) == Take::First(b"value".to_vec()));

        // All of it has ended, but not for long enough for a caller whose clock is behind.
        let ended = START + 2 * MINUTE + MINUTE / 2;
        memory.sweep(&memory.shards[a.bucket(SHARDS)], ended);
        assert!(memory.get(&a, START).is_some());
    }

    #[test]
    fn at_the_cap_what_has_ended_makes_room() {
        let memory = Memory::new(100, START);
        for n in 0..100 {
            let deadline = START + MINUTE * (1 + n % 2);
            memory
                .put(&Key::new(KIND, n.to_string()), entry(deadline), START)
                .unwrap();
        }
        // One half has ended, the slack included.
        let now = START + MINUTE + SLACK;
        for n in 100..150 {
            let key = Key::new(KIND, n.to_string());
            memory.put_new(&key, entry(now + MINUTE), now).unwrap();
        }
        let one_more = memory.put(&Key::new(KIND, "150"), entry(now + MINUTE), now);
        assert!(matches!(one_more, Err(EphemeralError::Full)));
        assert_whole(&memory);
        assert_eq!(memory.len(), 100);
    }

    #[tokio::test]
    async fn the_sweeper_frees_and_ends_with_the_store() {
        let memory = Arc::new(Memory::new(1_000, START));
        for n in 0..100 {
            let key = Key::new(KIND, n.to_string());
            memory.put(&key, entry(START + MINUTE), START).unwrap();
            memory.hit(&key, Window::at(START, MINUTE), START).unwrap();
        }
        let kept = Key::new(KIND, "kept");
        memory
            .put(&kept, entry(START + 10 * MINUTE), START)
            .unwrap();

        let clock = Arc::new(Hands(AtomicI64::new(START.as_millis())));
        let sweeper = tokio::spawn(sweep_every(
            Duration::from_millis(1),
            Arc::downgrade(&memory),
            clock.clone(),
        ));
        let later = START + 3 * MINUTE;
        clock.0.store(later.as_millis(), Ordering::Relaxed);
        let swept = async {
            while memory.len() > 1 {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), swept).await;
        in_time.unwrap();
        assert_whole(&memory);
        assert!(memory.get(&kept, later).is_some());

        drop(memory);
        sweeper.await.unwrap();
    }
}
