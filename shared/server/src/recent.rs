//! A bounded memory of what was used lately, for what may be forgotten at any time.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock is held for one look-up.
const SHARDS: usize = 64;

/// Values by key. When a shard is full, what was not used since it was last half full is forgotten.
pub(crate) struct Recent<K, V> {
    shards: Box<[Mutex<Generations<K, V>>]>,
    hasher: RandomState,
    generation: usize,
}

struct Generations<K, V> {
    young: HashMap<K, V, RandomState>,
    old: HashMap<K, V, RandomState>,
}

impl<K: Eq + Hash, V: Default> Recent<K, V> {
    /// A memory of about `capacity` values, never more.
    pub(crate) fn new(capacity: usize) -> Self {
        let empty = || {
            Mutex::new(Generations {
                young: HashMap::default(),
                old: HashMap::default(),
            })
        };
        Self {
            shards: (0..SHARDS).map(|_| empty()).collect(),
            hasher: RandomState::new(),
            generation: (capacity / SHARDS / 2).max(1),
        }
    }

    /// What `change` answers, of the value of `key`: a new one if there is none.
    pub(crate) fn with<Q, R>(&self, key: &Q, change: impl FnOnce(&mut V) -> R) -> R
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let mut shard = self.shard(key);
        if let Some(value) = shard.young.get_mut(key) {
            return change(value);
        }
        let mut value = shard.old.remove(key).unwrap_or_default();
        let answer = change(&mut value);
        if shard.young.len() >= self.generation {
            shard.old = mem::take(&mut shard.young);
        }
        shard.young.insert(key.to_owned(), value);
        answer
    }

    /// What `look` answers, of the value of `key`, if there is one.
    pub(crate) fn find<Q, R>(&self, key: &Q, look: impl FnOnce(&mut V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let mut shard = self.shard(key);
        let Generations { young, old } = &mut *shard;
        young.get_mut(key).or_else(|| old.get_mut(key)).map(look)
    }

    fn shard<Q: Hash + ?Sized>(&self, key: &Q) -> MutexGuard<'_, Generations<K, V>> {
        let hash = self.hasher.hash_one(key).to_le_bytes();
        let shard = self.shards.get(usize::from(hash[0]) % SHARDS);
        let shard = shard.expect("a remainder is below the number of shards");
        // A panic elsewhere leaves no shard half changed: each change is one call on a map.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_no_more_than_its_capacity_and_forgets_what_was_not_used() {
        let recent = Recent::<u32, u32>::new(6_400);
        for key in 0..100_000 {
            recent.with(&key, |value| *value += 1);
            recent.with(&7, |value| *value += 1);
            let held: usize = recent
                .shards
                .iter()
                .map(|shard| shard.lock().unwrap())
                .map(|shard| shard.young.len() + shard.old.len())
                .sum();
            assert!(held <= 6_400, "{held}");
        }
        assert_eq!(recent.find(&7, |value| *value), Some(100_001));
        assert_eq!(recent.find(&8, |value| *value), None);
        assert_eq!(recent.find(&99_999, |value| *value), Some(1));
    }
}
