//! What an execution environment remembers of a provider: consecutive failures, and until when it is evicted.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::failover::FaultClass;

/// So many failures in a row evict.
const EVICT_AFTER: u32 = 3;
/// The first eviction; each further failure doubles it.
const FIRST_COOLDOWN: Duration = Duration::from_secs(2);
/// The longest eviction.
const MAX_COOLDOWN: Duration = Duration::from_secs(120);

/// One provider's health.
#[derive(Debug, Default)]
pub(crate) struct Health(Mutex<State>);

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    evicted_at: Option<Instant>,
    evicted_until: Option<Instant>,
}

impl Health {
    /// How long it is still evicted.
    pub(crate) fn evicted_for(&self, now: Instant) -> Duration {
        self.lock().evicted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// It answered a call that began then. A call that began before the eviction says nothing about it.
    pub(crate) fn succeeded(&self, begun: Instant) {
        let mut state = self.lock();
        if !state.is_before(begun) {
            *state = State::default();
        }
    }

    /// A call that began then has failed. A `Retry-After` evicts at once and for as long as it says; else the third failure in a row does, each
    /// longer than the last. The calls that were under way at an eviction fail of the same cause, and do not make it longer. Answers how
    /// long it is evicted now, if this failure evicted it.
    pub(crate) fn failed(
        &self,
        class: FaultClass,
        retry_after: Option<Duration>,
        begun: Instant,
        now: Instant,
    ) -> Option<Duration> {
        if !class.is_providers() {
            return None;
        }
        let mut state = self.lock();
        if retry_after.is_none() && state.is_before(begun) {
            return None;
        }
        state.failures = state.failures.saturating_add(1);
        let cooldown = match retry_after {
            Some(wait) if !wait.is_zero() => wait.min(MAX_COOLDOWN),
            _ if state.failures >= EVICT_AFTER => cooldown(state.failures),
            _ => return None,
        };
        state.evicted_at = Some(now);
        state.evicted_until = state.evicted_until.max(Some(now + cooldown));
        Some(cooldown)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Did a call begin before the last eviction?
    fn is_before(&self, begun: Instant) -> bool {
        self.evicted_at.is_some_and(|at| begun < at)
    }
}

fn cooldown(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(EVICT_AFTER).min(16);
    FIRST_COOLDOWN.saturating_mul(1 << doublings).min(MAX_COOLDOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failure_in_a_row_evicts_and_the_cooldown_grows_to_its_bound() {
        let (health, now) = (Health::default(), Instant::now());
        let cooldowns: Vec<Option<u64>> =
            (0..12).map(|_| health.failed(FaultClass::ServerError, None, now, now).map(|d| d.as_secs())).collect();
        let expected = [0, 0, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120].map(|s| (s > 0).then_some(s));
        assert_eq!(cooldowns, expected);
    }

    #[test]
    fn a_success_forgets() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..5 {
            health.failed(FaultClass::Connect, None, now, now);
        }
        assert!(!health.evicted_for(now).is_zero());
        health.succeeded(now);
        assert!(health.evicted_for(now).is_zero());
        assert_eq!(health.failed(FaultClass::Connect, None, now, now), None);
    }

    #[test]
    fn retry_after_sets_the_cooldown_at_once() {
        let (health, now) = (Health::default(), Instant::now());
        health.failed(FaultClass::RateLimited, Some(Duration::from_secs(7)), now, now);
        assert_eq!(health.evicted_for(now), Duration::from_secs(7));
        assert!(health.evicted_for(now + Duration::from_secs(8)).is_zero());
    }

    #[test]
    fn the_clients_faults_do_not_count() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..9 {
            assert_eq!(health.failed(FaultClass::Request, None, now, now), None);
        }
    }

    #[test]
    fn calls_that_were_under_way_at_an_eviction_neither_lengthen_nor_lift_it() {
        let (health, begun) = (Health::default(), Instant::now());
        let now = begun + Duration::from_millis(10);
        let evictions = (0..64).filter_map(|_| health.failed(FaultClass::Connect, None, begun, now)).count();
        assert_eq!((evictions, health.evicted_for(now)), (1, FIRST_COOLDOWN));
        health.succeeded(begun);
        assert_eq!(health.evicted_for(now), FIRST_COOLDOWN);
        let later = now + FIRST_COOLDOWN;
        assert_eq!(health.failed(FaultClass::Connect, None, later, later), Some(2 * FIRST_COOLDOWN));
        health.succeeded(later);
        assert!(health.evicted_for(later).is_zero());
    }
}
