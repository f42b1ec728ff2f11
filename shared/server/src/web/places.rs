//! What each network has at a time, of connections or of bodies that are waited for, so that one address cannot take all there is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::rate_limits::Network;

/// How many each network has. As large as there are of them.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<Network, usize>>>);

/// One of them, until it is dropped.
pub(super) struct Place {
    network: Network,
    places: Places,
}

impl Places {
    /// A place for `address`, unless its network has `most`.
    pub(super) fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let network = Network::from(address);
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            network,
            places: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.places.0;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut entry) = taken.entry(self.network) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_places_and_no_more() {
        let places = Places::default();
        let take = |raw: &str| places.take(raw.parse().unwrap(), 1);
        for (first, same, other) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ] {
            let held = take(first);
            assert!(held.is_some(), "{first}");
            assert!(take(same).is_none(), "{same}");
            assert!(take(other).is_some(), "{other}");
            drop(held);
            assert!(take(same).is_some(), "{same} after the first has gone");
            assert!(places.0.lock().unwrap().is_empty(), "nothing is kept");
        }
    }
}
