//! What an execution environment remembers of a provider: consecutive failures, and until when it is evicted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::failover::FaultClass;

/// So many failures in a row evict.
const EVICT_AFTER: u32 = 3;
/// The first eviction; each further failure doubles it.
const FIRST_COOLDOWN: Duration = Duration::from_secs(2);
/// The longest eviction.
const MAX_COOLDOWN: Duration = Duration::from_secs(120);

/// Models of one provider whose limits are remembered; clients may name any.
const MAX_MODELS: usize = 256;

/// One provider's health. Rate limits are kept by model, as OpenAI, Anthropic and Bedrock count them: one model that is over its quota leaves the others where
/// they are.
#[derive(Debug, Default)]
pub(crate) struct Health {
    whole: Mutex<State>,
    limited: Mutex<HashMap<String, State>>,
    /// There is something in `limited`.
    any_limited: AtomicBool,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    failures: u32,
    evicted_at: Option<Instant>,
    evicted_until: Option<Instant>,
}

/// How a call has failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Failed<'a> {
    pub(crate) class: FaultClass,
    /// The provider limits this model, not everything.
    pub(crate) limited: Option<&'a str>,
    pub(crate) retry_after: Option<Duration>,
}

impl Health {
    /// How long this model is still evicted there.
    pub(crate) fn evicted_for<'a>(&self, model: impl FnOnce() -> &'a str, now: Instant) -> Duration {
        let whole = lock(&self.whole).left(now);
        if !self.any_limited.load(Ordering::Relaxed) {
            return whole;
        }
        lock(&self.limited).get(model()).map_or(whole, |state| state.left(now).max(whole))
    }

    /// It answered a call that began then. A call that began before the eviction says nothing about it.
    pub(crate) fn succeeded(&self, model: &str, begun: Instant) {
        let mut whole = lock(&self.whole);
        if !whole.is_before(begun) {
            *whole = State::default();
        }
        drop(whole);
        if self.any_limited.load(Ordering::Relaxed) {
            let mut limited = lock(&self.limited);
            if limited.get(model).is_some_and(|state| !state.is_before(begun)) {
                limited.remove(model);
            }
            self.any_limited.store(!limited.is_empty(), Ordering::Relaxed);
        }
    }

    /// A call that began then has failed. A `Retry-After` evicts at once and for as long as it says; else the third failure in a row does, each
    /// longer than the last. The calls that were under way at an eviction fail of the same cause, and do not make it longer. Answers how
    /// long it is evicted now, if this failure evicted it.
    pub(crate) fn failed(&self, failed: Failed<'_>, begun: Instant, now: Instant) -> Option<Duration> {
        if !failed.class.is_providers() {
            return None;
        }
        let Some(model) = failed.limited else {
            return lock(&self.whole).failed(failed.retry_after, begun, now);
        };
        let mut limited = lock(&self.limited);
        if limited.len() >= MAX_MODELS && !limited.contains_key(model) {
            limited.retain(|_, state| !state.left(now).is_zero());
            if limited.len() >= MAX_MODELS {
                limited.clear();
            }
        }
        self.any_limited.store(true, Ordering::Relaxed);
        limited.entry(model.to_owned()).or_default().failed(failed.retry_after, begun, now)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn left(&self, now: Instant) -> Duration {
        self.evicted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn failed(&mut self, retry_after: Option<Duration>, begun: Instant, now: Instant) -> Option<Duration> {
        if retry_after.is_none() && self.is_before(begun) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let cooldown = match retry_after {
            Some(wait) if !wait.is_zero() => wait.min(MAX_COOLDOWN),
            _ if self.failures >= EVICT_AFTER => cooldown(self.failures),
            _ => return None,
        };
        self.evicted_at = Some(now);
        self.evicted_until = self.evicted_until.max(Some(now + cooldown));
        Some(cooldown)
    }

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

    fn of(class: FaultClass) -> Failed<'static> {
        Failed { class, limited: None, retry_after: None }
    }

    fn limited(model: &str, seconds: u64) -> Failed<'_> {
        let retry_after = Some(Duration::from_secs(seconds));
        Failed { class: FaultClass::RateLimited, limited: Some(model), retry_after }
    }

    #[test]
    fn a_model_over_its_quota_leaves_the_providers_other_models_where_they_are() {
        let (health, now) = (Health::default(), Instant::now());
        health.failed(limited("a", 7), now, now);
        assert_eq!((health.evicted_for(|| "a", now), health.evicted_for(|| "b", now)), (7 * SECOND, Duration::ZERO));
        health.succeeded("b", now + SECOND);
        assert_eq!(health.evicted_for(|| "a", now), 7 * SECOND, "another model's success says nothing about it");
        for _ in 0..3 {
            health.failed(of(FaultClass::ServerError), now, now);
        }
        assert_eq!((health.evicted_for(|| "a", now), health.evicted_for(|| "b", now)), (7 * SECOND, FIRST_COOLDOWN));
        health.succeeded("a", now + SECOND);
        assert!(health.evicted_for(|| "a", now + SECOND).is_zero());
    }

    #[test]
    fn models_that_clients_make_up_do_not_fill_the_memory() {
        let (health, now) = (Health::default(), Instant::now());
        for n in 0..3 * MAX_MODELS {
            health.failed(limited(&n.to_string(), 1), now, now);
        }
        assert!(lock(&health.limited).len() <= MAX_MODELS);
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_third_failure_in_a_row_evicts_and_the_cooldown_grows_to_its_bound() {
        let (health, now) = (Health::default(), Instant::now());
        let cooldowns: Vec<Option<u64>> =
            (0..12).map(|_| health.failed(of(FaultClass::ServerError), now, now).map(|d| d.as_secs())).collect();
        let expected = [0, 0, 2, 4, 8, 16, 32, 64, 120, 120, 120, 120].map(|s| (s > 0).then_some(s));
        assert_eq!(cooldowns, expected);
    }

    #[test]
    fn a_success_forgets() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..5 {
            health.failed(of(FaultClass::Connect), now, now);
        }
        assert!(!health.evicted_for(|| "m", now).is_zero());
        health.succeeded("m", now);
        assert!(health.evicted_for(|| "m", now).is_zero());
        assert_eq!(health.failed(of(FaultClass::Connect), now, now), None);
    }

    #[test]
    fn retry_after_sets_the_cooldown_at_once() {
        let (health, now) = (Health::default(), Instant::now());
        health.failed(Failed { retry_after: Some(7 * SECOND), ..of(FaultClass::RateLimited) }, now, now);
        assert_eq!(health.evicted_for(|| "m", now), Duration::from_secs(7));
        assert!(health.evicted_for(|| "m", now + Duration::from_secs(8)).is_zero());
    }

    #[test]
    fn the_clients_faults_do_not_count() {
        let (health, now) = (Health::default(), Instant::now());
        for _ in 0..9 {
            assert_eq!(health.failed(of(FaultClass::Request), now, now), None);
        }
    }

    #[test]
    fn calls_that_were_under_way_at_an_eviction_neither_lengthen_nor_lift_it() {
        let (health, begun) = (Health::default(), Instant::now());
        let now = begun + Duration::from_millis(10);
        let evictions = (0..64).filter_map(|_| health.failed(of(FaultClass::Connect), begun, now)).count();
        assert_eq!((evictions, health.evicted_for(|| "m", now)), (1, FIRST_COOLDOWN));
        health.succeeded("m", begun);
        assert_eq!(health.evicted_for(|| "m", now), FIRST_COOLDOWN);
        let later = now + FIRST_COOLDOWN;
        assert_eq!(health.failed(of(FaultClass::Connect), later, later), Some(2 * FIRST_COOLDOWN));
        health.succeeded("m", later);
        assert!(health.evicted_for(|| "m", later).is_zero());
    }
}
