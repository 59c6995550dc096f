//! A table that fails is not asked by every request.
//!
//! ```text
//! Closed -> Open      FAILURES failures in a row
//! Open   -> Probing   PAUSE later: one call is let through
//! Probing -> Closed   it succeeded;   -> Open: it did not
//! ```

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// So many failures in a row open it.
const FAILURES: u32 = 5;
/// For so long.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Open until then; and from then on, while one call probes.
    until: Option<Instant>,
}

impl Breaker {
    /// May the table be asked now?
    pub(crate) fn lets_through(&self) -> bool {
        self.lets_through_at(Instant::now())
    }

    /// Would it turn a call away? Asking takes nobody's probe.
    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().is_ok_and(|state| state.until.is_some_and(|until| Instant::now() < until))
    }

    fn lets_through_at(&self, now: Instant) -> bool {
        let Ok(mut state) = self.0.lock() else { return true };
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // This call probes; the others wait for what it says, or for the next pause to end.
                state.until = Some(now + PAUSE);
                true
            }
        }
    }

    /// How a call went.
    pub(crate) fn note(&self, succeeded: bool) {
        self.note_at(succeeded, Instant::now());
    }

    fn note_at(&self, succeeded: bool, now: Instant) {
        let Ok(mut state) = self.0.lock() else { return };
        if succeeded {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures == FAILURES {
            tracing::error!(
                breaker.pause_s = PAUSE.as_secs(),
                "a table failed {FAILURES} times in a row: it is left alone for a moment. Of the ledger, failureMode decides"
            );
        }
        if state.failures >= FAILURES {
            state.until = Some(now + PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_some_failures_nobody_waits_until_a_probe_succeeds() {
        let breaker = Breaker::default();
        let start = Instant::now();
        for _ in 0..FAILURES {
            assert!(breaker.lets_through_at(start));
            breaker.note_at(false, start);
        }
        assert!(!breaker.lets_through_at(start));
        let later = start + PAUSE;
        assert!(breaker.lets_through_at(later), "the probe");
        assert!(!breaker.lets_through_at(later), "one at a time");
        breaker.note_at(false, later);
        assert!(!breaker.lets_through_at(later + PAUSE / 2));
        assert!(breaker.lets_through_at(later + PAUSE));
        breaker.note_at(true, later + PAUSE);
        assert!((0..10).all(|_| breaker.lets_through_at(later + PAUSE)));
    }
}
