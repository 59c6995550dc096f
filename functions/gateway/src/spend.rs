//! What one upstream call has used: what its provider said, else what it may have come to.

use std::time::Duration;

use tollgate_limits::Spent;
use tollgate_upstream::Attempt;
use tollgate_wire::exchange::State;
use tollgate_wire::ir::Usage;

/// A model that thinks in silence makes about so many tokens.
const TOKENS_PER_SECOND: u64 = 100;

/// How much of an answer is seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// As it comes: what was not relayed was not made, or nearly.
    Streamed,
    /// When it is done. One that nobody waits for any more is made, and billed, all the same.
    Whole,
    /// Perhaps never: it goes on in the background, or is not read here.
    Unseen,
}

/// What a call may have used, as far as nobody has said it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    /// Its prompt.
    pub(crate) input: u64,
    /// Seconds of sound, of a model that is paid by them.
    pub(crate) seconds: u64,
    /// What was not seen of its output.
    pub(crate) output: u64,
}

/// One upstream call, as far as it is known.
#[derive(Debug, Clone)]
pub struct Use {
    pub(crate) kind: String,
    pub(crate) model: String,
    usage: Usage,
    fate: Fate,
    /// Until its first content came, or it ended without any.
    silent: Duration,
}

/// What became of an upstream call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Failed,
    /// It failed, and may be billed all the same.
    Worked,
    Running,
    Served,
}

impl Use {
    /// Of an attempt.
    pub fn of(attempt: &Attempt) -> Self {
        let fate = match attempt.class {
            Some(_) if attempt.worked => Fate::Worked,
            Some(_) => Fate::Failed,
            None if attempt.duration == Duration::ZERO => Fate::Running,
            None => Fate::Served,
        };
        let (kind, model) = (attempt.provider.kind().to_owned(), attempt.model.clone());
        let silent = if fate == Fate::Running { attempt.begun.elapsed() } else { attempt.duration };
        Self { kind, model, usage: attempt.usage, fate, silent }
    }

    /// Output tokens that it may come to although nobody sees them. `most`: all that it may have.
    pub(crate) fn unseen(&self, watched: Watched, most: u64) -> u64 {
        match watched {
            // It may have thought in silence.
            Watched::Streamed => most.min(self.silent.as_secs().saturating_mul(TOKENS_PER_SECOND)),
            Watched::Whole if self.fate == Fate::Served => 0,
            Watched::Whole | Watched::Unseen => most,
        }
    }

    /// A failed call has used what it reported. An answer that was cut off, or whose upstream counts nothing, is estimated from what was relayed.
    pub(crate) fn spent(&self, last: Option<&State>, most: Most) -> Option<Spent> {
        let (mut usage, mut estimated) = (self.usage, false);
        match (self.fate, last) {
            (Fate::Failed, _) if !usage.is_reported() => return None,
            (Fate::Failed, _) => {}
            // The client went away before anything came, or we did not wait any longer: the provider had the prompt.
            (Fate::Running | Fate::Worked, _) | (Fate::Served, None) => {
                usage.input = usage.input.or(Some(most.input));
                usage.seconds = usage.seconds.or(Some(most.seconds).filter(|seconds| *seconds > 0));
                usage.output = usage.output.or((most.output > 0).then_some(most.output));
                estimated = true;
            }
            (Fate::Served, Some(state)) => {
                usage = state.usage;
                if usage.input.is_none() && usage.cache_read.is_none() && usage.searches.or(usage.seconds).is_none() {
                    usage.input = Some(most.input);
                    usage.seconds = Some(most.seconds).filter(|seconds| *seconds > 0);
                    estimated = true;
                }
                if usage.output.is_none() || !state.done {
                    let relayed = state.relayed.tokens().max(most.output);
                    estimated |= relayed > usage.output.unwrap_or_default() || usage.output.is_none();
                    usage.output = Some(usage.output.unwrap_or_default().max(relayed));
                }
            }
        }
        Some(Spent { kind: self.kind.clone(), model: self.model.clone(), usage, estimated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(input: Option<u64>, output: Option<u64>) -> Usage {
        Usage { input, output, ..Usage::default() }
    }

    fn one(fate: Fate, usage: Usage) -> Use {
        Use { kind: "custom".into(), model: "m".into(), usage, fate, silent: Duration::from_millis(3_900) }
    }

    fn of(fate: Fate, reported: Usage, last: Option<&State>) -> Option<(Option<u64>, Option<u64>, bool)> {
        charged(fate, reported, last, 0)
    }

    fn charged(
        fate: Fate,
        reported: Usage,
        last: Option<&State>,
        unseen: u64,
    ) -> Option<(Option<u64>, Option<u64>, bool)> {
        one(fate, reported)
            .spent(last, Most { input: 7, seconds: 0, output: unseen })
            .map(|spent| (spent.usage.input, spent.usage.output, spent.estimated))
    }

    #[test]
    fn what_a_call_used_is_what_its_provider_said() {
        let done = State { usage: usage(Some(3), Some(0)), done: true, ..State::default() };
        assert_eq!(of(Fate::Served, Usage::default(), Some(&done)), Some((Some(3), Some(0), false)), "zero is zero");
        assert_eq!(of(Fate::Failed, Usage::default(), None), None, "a failure without a report is free");
        assert_eq!(of(Fate::Failed, usage(Some(3), Some(1)), None), Some((Some(3), Some(1), false)));
    }

    #[test]
    fn what_no_provider_said_is_estimated() {
        let silent = State { done: true, ..State::default() };
        assert_eq!(of(Fate::Served, Usage::default(), Some(&silent)), Some((Some(7), Some(0), true)));
        let cut = State { usage: usage(Some(3), None), ..State::default() };
        assert_eq!(of(Fate::Served, Usage::default(), Some(&cut)), Some((Some(3), Some(0), true)));
        assert_eq!(of(Fate::Running, Usage::default(), None), Some((Some(7), None, true)), "it had the prompt");
    }

    #[test]
    fn what_goes_on_unseen_is_charged_with_all_that_it_may_come_to() {
        let queued = State { done: true, ..State::default() };
        assert_eq!(charged(Fate::Served, Usage::default(), Some(&queued), 500), Some((Some(7), Some(500), true)));
        assert_eq!(charged(Fate::Running, Usage::default(), None, 500), Some((Some(7), Some(500), true)));
        let watched = State { usage: usage(Some(3), Some(20)), done: true, ..State::default() };
        assert_eq!(charged(Fate::Served, Usage::default(), Some(&watched), 500), Some((Some(3), Some(20), false)));
        assert_eq!(charged(Fate::Failed, Usage::default(), None, 500), None, "it never began");
        assert_eq!(charged(Fate::Worked, Usage::default(), None, 500), Some((Some(7), Some(500), true)), "it did");
    }

    #[test]
    fn what_was_not_seen_is_bounded_by_the_cap_and_in_a_stream_by_the_time_in_silence() {
        let unseen = |watched, fate, most| one(fate, Usage::default()).unseen(watched, most);
        assert_eq!(unseen(Watched::Streamed, Fate::Running, 5_000), 300, "three whole seconds of thinking");
        assert_eq!(unseen(Watched::Streamed, Fate::Served, 200), 200);
        assert_eq!(unseen(Watched::Whole, Fate::Running, 5_000), 5_000);
        assert_eq!(unseen(Watched::Whole, Fate::Worked, 5_000), 5_000);
        assert_eq!(unseen(Watched::Whole, Fate::Served, 5_000), 0, "it was there");
        assert_eq!(unseen(Watched::Unseen, Fate::Served, 5_000), 5_000);
    }
}
