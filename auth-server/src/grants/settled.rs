//! What never changes of the grants that were used lately: with it, a refresh token is judged before its row is touched, and one
//! statement does the rest.

use std::sync::Arc;

use moka::sync::Cache;

use super::{GrantId, Terms};

/// Some 10 MiB at most.
const CAPACITY: u64 = 10_000;

/// What never changes of a grant that has refresh tokens which are bound to nothing, and so are rotated.
pub struct Settled {
    /// What was allowed.
    pub terms: Terms,
    /// What tells its refresh tokens from those of another.
    pub salt: Vec<u8>,
}

/// Grants by name. Whether one goes on is for the database to say.
#[derive(Clone)]
pub struct SettledGrants(Cache<GrantId, Arc<Settled>>);

impl Default for SettledGrants {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl SettledGrants {
    /// What is remembered of this grant.
    #[must_use]
    pub fn recall(&self, id: &GrantId) -> Option<Arc<Settled>> {
        self.0.get(id)
    }

    /// What was bound since, here or elsewhere, is not rotated any more.
    pub(super) fn forget(&self, id: &GrantId) {
        self.0.invalidate(id);
    }

    pub(super) fn remember(&self, id: &GrantId, terms: &Terms, salt: &[u8]) {
        if !self.0.contains_key(id) {
            let settled = Settled {
                terms: terms.clone(),
                salt: salt.to_vec(),
            };
            self.0.insert(id.clone(), Arc::new(settled));
        }
    }
}
