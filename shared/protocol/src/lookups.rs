//! How often a memory had what it was asked for: two numbers, for whoever measures.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts look-ups. Costs one addition for each.
#[derive(Debug, Default)]
pub struct Lookups {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl Lookups {
    /// Somebody looked something up, and it was there or not.
    pub fn count(&self, found: bool) {
        let counted = if found { &self.hits } else { &self.misses };
        counted.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was there.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// How often it was not.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
