//! When to fetch. Pure.
//!
//! ```text
//! due      => fetching   somebody looks, and begins
//! fetching => current    it was fetched: new, unchanged or refused; due again `every` later
//! fetching => due        it could not be fetched; due again RETRY later
//! fetching => fetching   it has been under way for longer than LOST: Lambda froze it, or took its connection away. Another one begins, and what the
//!                        lost one brings does not count
//! ```

use std::time::{Duration, Instant};

/// After a failure.
const RETRY: Duration = Duration::from_secs(5);
/// No fetch takes so long: it has a timeout.
const LOST: Duration = Duration::from_secs(10);

/// A fetch that was begun. Its result counts while no other one has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
pub(super) struct Freshness {
    due: Instant,
    under_way: Option<(Ticket, Instant)>,
    begun: u64,
}

impl Freshness {
    pub(super) fn due_at(due: Instant) -> Self {
        Self { due, under_way: None, begun: 0 }
    }

    /// Is it time? Then the caller fetches, and says how it went.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Ticket> {
        let lost = |begun: Instant| now.saturating_duration_since(begun) > LOST;
        if now < self.due || self.under_way.is_some_and(|(_, begun)| !lost(begun)) {
            return None;
        }
        self.begun += 1;
        let ticket = Ticket(self.begun);
        self.under_way = Some((ticket, now));
        Some(ticket)
    }

    /// Does its result count?
    pub(super) fn counts(&self, ticket: Ticket) -> bool {
        self.under_way.is_some_and(|(current, _)| current == ticket)
    }

    pub(super) fn ended(&mut self, ticket: Ticket, fetched: bool, every: Duration, now: Instant) {
        if self.counts(ticket) {
            self.under_way = None;
            self.due = now + if fetched { every } else { RETRY.min(every) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn one_fetch_at_a_time_and_the_next_one_when_it_is_due() {
        let start = Instant::now();
        let mut freshness = Freshness::due_at(start);
        let ticket = freshness.begin(start).unwrap();
        assert_eq!(freshness.begin(start), None, "one is under way");
        freshness.ended(ticket, true, EVERY, start);
        assert_eq!(freshness.begin(start + EVERY - Duration::from_millis(1)), None);
        assert!(freshness.begin(start + EVERY).is_some());
    }

    #[test]
    fn a_failure_is_tried_again_soon() {
        let start = Instant::now();
        let mut freshness = Freshness::due_at(start);
        let ticket = freshness.begin(start).unwrap();
        freshness.ended(ticket, false, EVERY, start);
        assert_eq!(freshness.begin(start + RETRY - Duration::from_millis(1)), None);
        assert!(freshness.begin(start + RETRY).is_some());
    }

    #[test]
    fn a_fetch_that_was_frozen_is_given_up_and_what_it_brings_does_not_count() {
        let start = Instant::now();
        let mut freshness = Freshness::due_at(start);
        let lost = freshness.begin(start).unwrap();
        let thawed = start + LOST + Duration::from_millis(1);
        let second = freshness.begin(thawed).unwrap();
        assert!(!freshness.counts(lost) && freshness.counts(second));
        freshness.ended(lost, true, EVERY, thawed);
        assert!(freshness.counts(second), "the lost one ends nothing");
        freshness.ended(second, true, EVERY, thawed);
        assert_eq!(freshness.begin(thawed), None);
    }
}
