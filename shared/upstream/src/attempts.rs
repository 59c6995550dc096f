//! The attempts of one request, whatever is asked for: who is next, and what is written down of each call.
//!
//! 1. [`Attempts::next`] chooses, by [`failover::next`](crate::failover::next) or because a connection was dead.
//! 2. A provider that cannot be asked for this is [passed over](Attempts::pass_over): it costs no attempt.
//! 3. [`Turn::begin`] opens the record of a call, and [`Attempts::end`] closes it: log, books, the provider's health.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tollgate_wire::ir::{Fault, FaultKind, Usage};

use crate::chains::Chain;
use crate::dispatch::Outcome;
use crate::error::TransportError;
use crate::failover::{self, Bounds, Candidate, FaultClass, MIN_ATTEMPT, Next, Place, Retries, Tried};
use crate::health::Failed;
use crate::provider::Provider;

/// One request's way along a chain.
pub(crate) struct Attempts<'a> {
    chain: &'a Chain,
    /// After aliasing, before a provider makes its own of it.
    model: &'a str,
    deadline: Instant,
    max_attempts: usize,
    tried: Vec<Tried>,
    /// Whom to ask once more: its connection was dead.
    again: Option<Place>,
}

/// Whose turn it is.
pub(crate) struct Turn<'a> {
    pub(crate) provider: &'a Arc<Provider>,
    /// Its name of the model.
    pub(crate) model: &'a str,
    place: Place,
    retries: Retries,
    begun: std::time::Instant,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(chain: &'a Chain, model: &'a str, deadline: Instant, max_attempts: usize) -> Self {
        Self { chain, model, deadline, max_attempts, tried: Vec::new(), again: None }
    }

    /// The next one to ask; `None`: the last result stands.
    pub(crate) fn next(&mut self, outcome: &Outcome) -> Option<Turn<'a>> {
        let left = self.left();
        let may_resend = left >= MIN_ATTEMPT && outcome.attempts.len() < self.max_attempts;
        let place = match self.again.take().filter(|_| may_resend) {
            Some(place) => place,
            None => {
                let bounds = Bounds { content_sent: false, left, max_attempts: self.max_attempts };
                let candidates = candidates(self.chain, self.model);
                match failover::next(&candidates, &self.tried, bounds, fastrand::u64(..)) {
                    Next::Attempt(place) => place,
                    Next::Fail => return None,
                }
            }
        };
        let group = self.chain.groups.get(place.group)?;
        let provider = group.providers.get(place.provider)?;
        let (model, begun) = (provider.model_for(self.model), std::time::Instant::now());
        Some(Turn { provider, model, place, retries: group.retries, begun })
    }

    /// Nobody was asked, because the request's time was up.
    pub(crate) fn are_too_late(&self) -> bool {
        self.tried.is_empty() && self.left() < MIN_ATTEMPT
    }

    /// Everybody up to now was passed over, because what is asked for cannot be said there.
    pub(crate) fn were_all_unsupported(&self) -> bool {
        self.tried.iter().all(|tried| tried.class == FaultClass::Unsupported)
    }

    /// It is not asked at all.
    pub(crate) fn pass_over(&mut self, turn: &Turn<'_>, class: FaultClass) {
        self.tried.push(Tried { place: turn.place, class, retryable: turn.retries.allows(class) });
    }

    /// Its call is over: with an answer, or with a failure.
    pub(crate) fn end(
        &mut self,
        turn: &Turn<'_>,
        outcome: &mut Outcome,
        (status, usage): (Option<u16>, Usage),
        failure: Option<&Failure>,
    ) {
        if let Some(record) = outcome.attempts.last_mut() {
            record.status = status;
            record.class = failure.map(|failure| failure.class);
            record.duration = turn.begun.elapsed().max(Duration::from_nanos(1));
            record.usage = usage;
            record.worked = failure.is_some_and(|failure| failure.worked);
        }
        let Some(failure) = failure else {
            turn.provider.health.succeeded(turn.model, turn.begun);
            return;
        };
        if failure.stale && self.tried.iter().all(|tried| tried.place != turn.place) {
            self.again = Some(turn.place);
            tracing::info!(
                provider.name = turn.provider.name(), fault.cause = %failure.cause,
                "a connection that was used before is dead: the request is sent again on another"
            );
        } else {
            note(turn.provider, Some(turn.model), failure, turn.begun);
        }
        let retryable = failure.elsewhere || turn.retries.allows(failure.class);
        self.tried.push(Tried { place: turn.place, class: failure.class, retryable });
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Turn<'_> {
    /// Its call begins.
    pub(crate) fn begin(&mut self, outcome: &mut Outcome) {
        self.begun = std::time::Instant::now();
        outcome.attempts.push(Attempt {
            provider: Arc::clone(self.provider),
            model: self.model.to_owned(),
            status: None,
            class: None,
            begun: self.begun,
            duration: Duration::ZERO,
            usage: Usage::default(),
            worked: false,
        });
    }
}

/// One upstream call, for the log and the books. Of a request that is sent in parts: all calls to one provider.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Whom.
    pub provider: Arc<Provider>,
    /// The model that was asked for.
    pub model: String,
    /// The HTTP status, if a head came.
    pub status: Option<u16>,
    /// How it failed; `None`: it brought the answer.
    pub class: Option<FaultClass>,
    /// When.
    pub begun: std::time::Instant,
    /// From the call to the answer's first content, or to the failure. Zero: it is still running.
    pub duration: Duration,
    /// What it reported to have used, also when it failed.
    pub usage: Usage,
    /// It failed after its provider had the request, and no answer says that nothing was done: it may be billed.
    pub worked: bool,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: FaultClass,
    pub(crate) fault: Fault,
    pub(crate) cause: String,
    /// Nothing came back on a connection that may have been dead already: worth a second try at the same provider.
    pub(crate) stale: bool,
    /// The next provider may know better, whatever the group says.
    pub(crate) elsewhere: bool,
    /// The provider had the request, and may have worked on it.
    pub(crate) worked: bool,
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let stale = matches!(error, TransportError::Stale(_));
        let (class, fault, cause) = (error.class(), error.fault(), error.cause().to_owned());
        Self { class, fault, cause, stale, elsewhere: false, worked: error.has_worked() }
    }
}

impl Failure {
    /// A provider's answer that is none, or a fault inside one.
    pub(crate) fn answered(class: FaultClass, fault: Fault, cause: String) -> Self {
        Self { class, fault, cause, stale: false, elsewhere: false, worked: false }
    }

    /// A provider's answer with this status.
    pub(crate) fn refused(fault: Fault, status: ::http::StatusCode) -> Self {
        let (class, code) = (FaultClass::of(&fault), fault.code.as_deref().unwrap_or_default());
        // A provider's words only where they are about us. Its other errors may quote the prompt.
        let cause = match class {
            FaultClass::Auth | FaultClass::RateLimited => {
                format!("status {} {code}: {:.300}", status.as_u16(), fault.message)
            }
            _ => format!("status {} {code}", status.as_u16()),
        };
        Self::answered(class, fault, cause)
    }

    /// What the client is told. The provider's refusal of *our* credentials must not read as a refusal of the client's.
    pub(crate) fn for_client(self) -> Fault {
        let Self { class, fault, .. } = self;
        if class != FaultClass::Auth {
            return fault;
        }
        let text =
            format!("{}; this is a fault of the gateway's configuration, not of your token", credentials(&fault));
        Fault { status: fault.status, ..Fault::new(FaultKind::Api, text).with_code("upstream_credentials") }
    }
}

/// `model`: before a provider makes its own of it.
fn candidates<'a>(chain: &'a Chain, model: &'a str) -> Vec<Candidate> {
    let now = std::time::Instant::now();
    let groups = chain.groups.iter().enumerate();
    groups
        .flat_map(|(group, members)| {
            members.providers.iter().enumerate().map(move |(provider, p)| Candidate {
                place: Place { group, provider },
                weight: p.weight(),
                evicted_for: p.health.evicted_for(|| p.model_for(model), now),
            })
        })
        .collect()
}

/// What a failure means for the provider's health, and the night shift. `model`: what was asked for, where a rate limit may be about it alone.
pub(crate) fn note(provider: &Provider, model: Option<&str>, failure: &Failure, begun: std::time::Instant) {
    let now = std::time::Instant::now();
    // A 403 may be about this model only: whoever asks for it must not take the provider away from everybody else.
    let counts = failure.fault.kind != FaultKind::Permission;
    // A spent account (`QuotaExhausted`) is everything's.
    let limited = model.filter(|_| failure.fault.kind == FaultKind::RateLimited);
    let failed = Failed { class: failure.class, limited, retry_after: failure.fault.retry_after };
    let failed = || provider.health.failed(failed, begun, now);
    let cooldown = counts.then(failed).flatten();
    let evicted_ms = cooldown.map(|c| u64::try_from(c.as_millis()).unwrap_or(u64::MAX));
    let (name, class) = (provider.name(), failure.class.name());
    match failure.class {
        FaultClass::Auth => tracing::error!(
            provider.name = name, fault.class = class, fault.cause = %failure.cause, provider.evicted_ms = evicted_ms,
            "{}: check its key or role", credentials(&failure.fault)
        ),
        class if class.is_providers() => tracing::warn!(
            provider.name = name, fault.class = class.name(), fault.cause = %failure.cause, provider.evicted_ms = evicted_ms,
            "an upstream attempt failed"
        ),
        _ => {}
    }
}

/// Which of the two: the provider answered, or it was not asked, because there is nothing to show it.
fn credentials(fault: &Fault) -> &'static str {
    match fault.status {
        Some(_) => "the provider refused the gateway's credentials",
        None => "the gateway's credentials for the provider could not be had",
    }
}
