//! What a node knows of one subject of a limit whose buckets are elsewhere.

use std::time::Duration;

use shared_protocol::time::Instant;

use super::UNASKED;
use crate::ephemeral::{Bucket, Drawn};

/// How long drawn tokens may be used.
const LEASE: Duration = Duration::from_secs(1);

/// Of a bucket, the largest lease is one part in so many.
const LARGEST_LEASE: u32 = 20;

pub(super) struct Known {
    /// Tokens that were drawn and not used.
    left: u32,
    /// How many the last lease had.
    size: u32,
    /// When the lease lapses.
    lapses: Instant,
    /// When the draw of a lease that is under way began, if one is.
    asked: Option<Instant>,
    refused_until: Instant,
    /// Who comes again from then on is admitted unasked.
    credit_at: Instant,
    /// What was admitted unasked since, zero or one.
    owed: u32,
    /// What was in the bucket when it was last drawn from, and when it would have been full.
    remaining: u32,
    full_at: Instant,
    /// When anything here was last learnt.
    at: Instant,
}

impl Default for Known {
    fn default() -> Self {
        const LONG_AGO: Instant = Instant::from_millis(i64::MIN);
        Self {
            left: 0,
            size: 1,
            lapses: LONG_AGO,
            asked: None,
            refused_until: LONG_AGO,
            credit_at: LONG_AGO,
            owed: 0,
            remaining: 0,
            full_at: LONG_AGO,
            at: LONG_AGO,
        }
    }
}

pub(super) enum Look {
    Told(Told),
    /// So many are to be drawn.
    Draw(Order),
}

/// What a request draws from the bucket.
pub(super) struct Order {
    pub(super) want: u32,
    /// Of them, how many are spent already.
    pub(super) owed: u32,
    /// Whether the rest is a lease.
    pub(super) leases: bool,
}

impl Order {
    pub(super) const ONE: Self = Self {
        want: 1,
        owed: 0,
        leases: false,
    };
}

pub(super) enum Told {
    Admitted { remaining: u32, full_at: Instant },
    Refused { until: Instant },
}

impl Known {
    pub(super) fn look(&mut self, bucket: &Bucket, now: Instant) -> Look {
        if now + LEASE < self.at {
            // The clock was set back.
            *self = Self::default();
        }
        let is_leased = now < self.lapses;
        if !is_leased {
            self.left = 0;
        }
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return Look::Told(self.admitted());
        }
        if let Some(until) = self.refused(now) {
            return Look::Told(Told::Refused { until });
        }
        if self.credit_at <= now {
            (self.at, self.owed) = (now, 1);
            self.credit_at = now + bucket.time_of(UNASKED);
            self.remaining = bucket.capacity().saturating_sub(1);
            self.full_at = now + bucket.time_of(1);
            return Look::Told(self.admitted());
        }
        let owed = std::mem::take(&mut self.owed);
        // Others who find nothing while somebody fetches a lease take one for themselves, and no lease each.
        if self.asked.is_some_and(|at| now.since(at) < LEASE) {
            return Look::Draw(Order {
                want: owed + 1,
                owed,
                leases: false,
            });
        }
        self.asked = Some(now);
        let largest = (bucket.capacity() / LARGEST_LEASE).max(1);
        self.size = if is_leased {
            self.size.saturating_mul(2).min(largest)
        } else {
            1
        };
        Look::Draw(Order {
            want: owed + self.size,
            owed,
            leases: true,
        })
    }

    /// Keeps what was drawn, and takes one of it for the request that drew.
    pub(super) fn note(
        &mut self,
        bucket: &Bucket,
        drawn: Drawn,
        order: &Order,
        now: Instant,
    ) -> Told {
        self.at = now;
        if order.leases {
            self.asked = None;
        }
        (self.remaining, self.full_at) = (drawn.remaining, drawn.full_at);
        let unasked = now + bucket.time_of(UNASKED);
        self.credit_at = self.credit_at.max(drawn.full_at).max(unasked);
        if now >= self.lapses {
            self.left = 0;
        }
        let Some(left) = drawn.granted.checked_sub(order.owed + 1) else {
            self.refused_until = drawn.next_at;
            // A lease may have come meanwhile.
            return match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    self.admitted()
                }
                None => Told::Refused {
                    until: drawn.next_at,
                },
            };
        };
        let lapses = now + LEASE;
        self.lapses = if self.left > 0 {
            self.lapses.min(lapses)
        } else {
            lapses
        };
        self.left = self.left.saturating_add(left);
        self.admitted()
    }

    /// Until when the subject is refused, if it is.
    pub(super) fn refused(&self, now: Instant) -> Option<Instant> {
        // A clock that was put back proves nothing.
        let is_back = now + LEASE < self.at;
        (!is_back && now < self.refused_until).then_some(self.refused_until)
    }

    fn admitted(&self) -> Told {
        Told::Admitted {
            remaining: self.remaining.saturating_add(self.left),
            full_at: self.full_at,
        }
    }
}
