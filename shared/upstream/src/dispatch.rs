//! The attempts of one request. Conversations and everything else share the loop; `parts` is what an attempt does where there is no conversation.

mod parts;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::HeaderValue;
use ::http::header::CONTENT_TYPE;
use bytes::Bytes;
use tokio::time::Instant;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::exchange::{Inbound, Relay, Started, State};
use tollgate_wire::fault::retry_after;
use tollgate_wire::ir::{Dropped, Fault, FaultKind, Usage};
use tollgate_wire::unary::{Operation, Plan, Service, Unary};
use tollgate_wire::{codec, error::WireError};

use crate::body::{Body, MAX_ANSWER_BYTES, MAX_ERROR_BYTES, Reply};
use crate::error::TransportError;
use crate::failover::{Bounds, Candidate, FaultClass, MIN_ATTEMPT, Next, Place, Tried, next};
use crate::health::Failed;
use crate::http::Call;
use crate::provider::{Chain, Provider};
use crate::services::unserved;
use crate::within::within;

/// How long the end of an answer is waited for once its final event is there, so that the connection can be used again.
const LINGER: Duration = Duration::from_millis(100);

/// One request, on its way to a chain.
#[derive(Debug)]
pub struct Job<'a> {
    /// The client's request.
    pub work: Work<'a>,
    /// The client's dialect.
    pub client: Dialect,
    /// The model after aliasing.
    pub model: &'a str,
    /// What answers need.
    pub seed: &'a Seed,
    /// Refuse losses.
    pub strict: bool,
    /// When the whole request has to be over.
    pub deadline: Instant,
    /// Upstream calls, at most.
    pub max_attempts: usize,
    /// The client's `anthropic-version`.
    pub anthropic_version: Option<&'a HeaderValue>,
}

/// What a client wants.
#[derive(Debug, Clone, Copy)]
pub enum Work<'a> {
    /// An answer to a conversation.
    Conversation(&'a Inbound),
    /// Something else.
    Unary(&'a Unary),
}

/// An attempt that can be made. Conversations are most of them, and should not have to be fetched from elsewhere.
#[expect(clippy::large_enum_variant, reason = "the large one is the frequent one")]
enum Ready<'a> {
    Conversation(&'a Inbound, Target<'a>, Started),
    Parts(Service<'a>, Plan),
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
}

impl Attempt {
    /// A call that begins.
    pub(crate) fn begin(provider: &Arc<Provider>, model: String, begun: std::time::Instant) -> Self {
        let usage = Usage::default();
        Self {
            provider: Arc::clone(provider),
            model,
            status: None,
            class: None,
            begun,
            duration: Duration::ZERO,
            usage,
        }
    }
}

/// How it went.
#[derive(Debug)]
pub struct Outcome {
    /// The answer, or the fault for the client.
    pub result: Result<Answer, Fault>,
    /// Every upstream call.
    pub attempts: Vec<Attempt>,
    /// What the serving provider did not see as the client said it.
    pub dropped: Vec<Dropped>,
}

impl Default for Outcome {
    /// Nobody has been asked.
    fn default() -> Self {
        Self { result: Err(no_provider()), attempts: Vec::new(), dropped: Vec::new() }
    }
}

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// Whole, in the client's dialect.
    Whole {
        /// The body.
        body: Bytes,
        /// Usage and model.
        state: Box<State>,
        /// No upstream said it: the gateway estimates.
        estimate: bool,
    },
    /// Streaming; the first content is there.
    Stream(Box<LiveStream>),
}

/// Runs the attempts. Dropping the future stops the upstream call.
pub async fn dispatch(job: &Job<'_>, chain: &Chain) -> Outcome {
    let mut outcome = Outcome::default();
    dispatch_into(job, chain, &mut outcome).await;
    outcome
}

/// The same, for a caller that wants to know of the attempts when the future is dropped in the middle.
pub async fn dispatch_into(job: &Job<'_>, chain: &Chain, outcome: &mut Outcome) {
    let mut tried: Vec<Tried> = Vec::new();
    let mut again: Option<Place> = None;
    loop {
        let left = job.deadline.saturating_duration_since(Instant::now());
        let bounds = Bounds { content_sent: false, left, max_attempts: job.max_attempts };
        let resend = again.take().filter(|_| left >= MIN_ATTEMPT && outcome.attempts.len() < job.max_attempts);
        let decision = resend
            .map_or_else(|| next(&candidates(chain, job.model), &tried, bounds, fastrand::u64(..)), Next::Attempt);
        let Next::Attempt(place) = decision else {
            if tried.is_empty() && left < MIN_ATTEMPT {
                outcome.result = Err(TransportError::Deadline.fault());
            }
            return;
        };
        let Some((provider, retries)) = at(chain, place) else { return };
        let model = provider.model_for(job.model).to_owned();
        let ready = match ready(job, provider, &model) {
            Ok(Ready::Parts(_, plan)) if plan.calls.is_empty() => {
                outcome.dropped = plan.dropped;
                outcome.result = parts::finish(plan.reader).map_err(|failure| failure.fault);
                return;
            }
            Ok(ready) => ready,
            Err(error) => {
                let unsupported = matches!(error, WireError::Unsupported { .. });
                let class = if unsupported { FaultClass::Unsupported } else { FaultClass::Request };
                if tried.iter().all(|t| t.class == FaultClass::Unsupported) {
                    outcome.result = Err(error.into_fault());
                }
                tried.push(Tried { place, class, retryable: retries.allows(class) });
                continue;
            }
        };
        let dropped = match &ready {
            Ready::Conversation(_, _, started) => started.dropped.clone(),
            Ready::Parts(_, plan) => plan.dropped.clone(),
        };
        let begun = std::time::Instant::now();
        outcome.attempts.push(Attempt::begin(provider, model.clone(), begun));
        let ended = match ready {
            Ready::Conversation(inbound, target, started) => attempt(job, inbound, provider, &target, started).await,
            // In a box: conversations should not have to carry the room for it.
            Ready::Parts(service, plan) => Box::pin(parts::attempt(job, provider, service, plan)).await,
        };
        if let Some(record) = outcome.attempts.last_mut() {
            record.status = ended.status;
            record.class = ended.result.as_ref().err().map(|failure| failure.class);
            record.duration = begun.elapsed();
            record.usage = ended.usage;
        }
        match ended.result {
            Ok(answer) => {
                provider.health.succeeded(&model, begun);
                outcome.result = Ok(answer);
                outcome.dropped = dropped;
                return;
            }
            Err(failure) => {
                if failure.stale && tried.iter().all(|t| t.place != place) {
                    again = Some(place);
                    tracing::info!(
                        provider.name = provider.name(), fault.cause = %failure.cause,
                        "a connection that was used before is dead: the request is sent again on another"
                    );
                } else {
                    note(provider, Some(&model), &failure, begun);
                }
                outcome.result = Err(for_client(failure.class, failure.fault));
                tried.push(Tried { place, class: failure.class, retryable: retries.allows(failure.class) });
            }
        }
    }
}

fn ready<'a>(job: &Job<'a>, provider: &Provider, model: &'a str) -> Result<Ready<'a>, WireError> {
    match job.work {
        Work::Conversation(_) if !provider.converses() => Err(unserved(Operation::Generate, provider.name())),
        Work::Conversation(inbound) => {
            let target = provider.target(job.client, model);
            provider
                .start(inbound, &target, job.seed, job.strict)
                .map(|started| Ready::Conversation(inbound, target, started))
        }
        Work::Unary(unary) => {
            let service = provider.service(unary.operation(), job.client, model)?;
            unary.start(&service, job.seed, job.strict).map(|plan| Ready::Parts(service, plan))
        }
    }
}

fn no_provider() -> Fault {
    Fault::new(FaultKind::Overloaded, "no provider could take this request").with_code("no_provider")
}

/// `model`: before a provider makes its own of it.
pub(crate) fn candidates<'a>(chain: &'a Chain, model: &'a str) -> Vec<Candidate> {
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

pub(crate) fn at(chain: &Chain, place: Place) -> Option<(&Arc<Provider>, crate::failover::Retries)> {
    let group = chain.groups.get(place.group)?;
    Some((group.providers.get(place.provider)?, group.retries))
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: FaultClass,
    pub(crate) fault: Fault,
    pub(crate) cause: String,
    /// Nothing came back on a connection that may have been dead already: worth a second try at the same provider.
    pub(crate) stale: bool,
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        let stale = matches!(error, TransportError::Stale(_));
        Self { class: error.class(), fault: error.fault(), cause: error.cause().to_owned(), stale }
    }
}

struct Ended {
    status: Option<u16>,
    usage: Usage,
    result: Result<Answer, Failure>,
}

async fn attempt(
    job: &Job<'_>,
    inbound: &Inbound,
    provider: &Arc<Provider>,
    target: &Target<'_>,
    started: Started,
) -> Ended {
    let stream = inbound.envelope().stream;
    let call = Call {
        dialect: target.dialect,
        model: target.model,
        way: None,
        body: started.body,
        stream,
        betas: &started.betas,
        anthropic_version: job.anthropic_version,
    };
    let begun = std::time::Instant::now();
    let first_byte = provider.first_byte_timeout(stream).unwrap_or(Duration::MAX);
    let until = Instant::now().checked_add(first_byte).map_or(job.deadline, |until| until.min(job.deadline));
    let late =
        || if until == job.deadline { TransportError::Deadline } else { TransportError::FirstByteTimeout(first_byte) };
    let sent = tokio::time::timeout_at(until, provider.send(&call)).await;
    let mut reply = match sent.unwrap_or_else(|_| Err(late())) {
        Ok(reply) => reply,
        Err(error) => return Ended { status: None, usage: Usage::default(), result: Err(error.into()) },
    };
    let status = Some(reply.status.as_u16());
    let mut relay = started.relay;
    let result = if !reply.status.is_success() {
        Err(refusal(job, provider, target, reply).await)
    } else if stream {
        let first = within(until, reply.body.chunk()).await.unwrap_or_else(|_| Err(late()));
        match first_content(job, provider, first, &mut reply, &mut relay).await {
            Ok(held) => {
                let live = LiveStream {
                    relay,
                    body: reply.body,
                    provider: Arc::clone(provider),
                    begun,
                    deadline: job.deadline,
                    held: Some(held),
                };
                return Ended { status, usage: live.relay.state().usage, result: Ok(Answer::Stream(Box::new(live))) };
            }
            Err(failure) => Err(failure),
        }
    } else {
        whole(job, provider, reply, &mut relay).await
    };
    Ended { status, usage: relay.state().usage, result }
}

/// Reads a non-2xx answer.
async fn refusal(job: &Job<'_>, provider: &Provider, target: &Target<'_>, mut reply: Reply) -> Failure {
    let body = reply.body.read(MAX_ERROR_BYTES, provider.idle_timeout(), job.deadline).await.unwrap_or_default();
    refused(job, target, reply.status, &reply.headers, &body)
}

/// What a non-2xx answer says.
fn refused(
    job: &Job<'_>,
    target: &Target<'_>,
    status: ::http::StatusCode,
    headers: &::http::HeaderMap,
    body: &[u8],
) -> Failure {
    let mut fault = codec::decode_fault(target.dialect, status, headers, body);
    fault.retry_after = retry_after(headers, SystemTime::now());
    // Bedrock's own errors are AWS's, whatever dialect its models speak.
    if target.dialect != job.client || target.carrier != Carrier::Direct {
        fault.body = None;
    }
    let cause = cause_of(&fault, status);
    Failure { class: FaultClass::of(&fault), fault, cause, stale: false }
}

/// For the log: a provider's words only where they are about us. Its other errors may quote the prompt.
pub(crate) fn cause_of(fault: &Fault, status: ::http::StatusCode) -> String {
    let code = fault.code.as_deref().unwrap_or_default();
    match FaultClass::of(fault) {
        FaultClass::Auth | FaultClass::RateLimited => {
            format!("status {} {code}: {:.300}", status.as_u16(), fault.message)
        }
        _ => format!("status {} {code}", status.as_u16()),
    }
}

/// Reads a whole 2xx answer.
async fn whole(job: &Job<'_>, provider: &Provider, mut reply: Reply, relay: &mut Relay) -> Result<Answer, Failure> {
    let body = reply.body.read(MAX_ANSWER_BYTES, provider.idle_timeout(), job.deadline).await?;
    let body = relay.response(body).map_err(stream_failure)?;
    Ok(Answer::Whole { body, state: Box::new(relay.state().clone()), estimate: false })
}

/// Reads a stream from its first bytes up to its first content: until then it can fail without the client seeing it. A model that thinks in silence
/// may take long from the one to the other: there the idle timeout rules.
async fn first_content(
    job: &Job<'_>,
    provider: &Provider,
    first: Result<Option<Bytes>, TransportError>,
    reply: &mut Reply,
    relay: &mut Relay,
) -> Result<Vec<u8>, Failure> {
    let is_json = reply.headers.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/json"));
    if is_json && !matches!(reply.body, Body::Invoke(..)) {
        let fault = WireError::BadAnswer("a stream was asked for, and a JSON document came".to_owned()).into_fault();
        return Err(stream_failure(fault));
    }
    let mut held = Vec::new();
    let mut next = first;
    loop {
        match next? {
            Some(bytes) => relay.chunk(&bytes, &mut held).map_err(stream_failure)?,
            None => {
                relay.finish(&mut held).map_err(stream_failure)?;
                return Ok(held);
            }
        }
        if relay.state().content {
            return Ok(held);
        }
        next = reply.body.chunk_within(provider.idle_timeout(), job.deadline).await;
    }
}

/// A fault inside a 200 answer: what it says if it says something, a broken stream else.
fn stream_failure(fault: Fault) -> Failure {
    let class = match FaultClass::of(&fault) {
        FaultClass::ServerError | FaultClass::Timeout => FaultClass::Stream,
        class => class,
    };
    let cause = fault.code.clone().unwrap_or_else(|| fault.kind.name().to_owned());
    Failure { class, cause, fault, stale: false }
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

/// The provider's refusal of *our* credentials must not read as a refusal of the client's.
pub(crate) fn for_client(class: FaultClass, fault: Fault) -> Fault {
    if class != FaultClass::Auth {
        return fault;
    }
    let text = format!("{}; this is a fault of the gateway's configuration, not of your token", credentials(&fault));
    Fault { status: fault.status, ..Fault::new(FaultKind::Api, text).with_code("upstream_credentials") }
}

/// Which of the two: the provider answered, or it was not asked, because there is nothing to show it.
fn credentials(fault: &Fault) -> &'static str {
    match fault.status {
        Some(_) => "the provider refused the gateway's credentials",
        None => "the gateway's credentials for the provider could not be had",
    }
}

/// A streaming answer. Dropping it stops the upstream call; the books up to there are in [`Self::state`].
#[derive(Debug)]
pub struct LiveStream {
    relay: Relay,
    body: Body,
    provider: Arc<Provider>,
    begun: std::time::Instant,
    deadline: Instant,
    held: Option<Vec<u8>>,
}

/// What a step of a stream brought.
#[derive(Debug)]
pub enum Step {
    /// Bytes for the client. When [`LiveStream::state`] is done now, nothing comes after them.
    Bytes(Bytes),
    /// Bytes for the client, the last ones (possibly none): the answer is complete.
    Last(Bytes),
    /// Bytes for the client, the last ones: an error event, since the upstream failed in the middle.
    Failed(Bytes, Fault),
}

impl LiveStream {
    /// What was seen so far.
    pub fn state(&self) -> &State {
        self.relay.state()
    }

    /// The next bytes. Not to be called again after `Last` or `Failed`.
    pub async fn step(&mut self, request_id: &str) -> Step {
        if let Some(held) = self.held.take() {
            return Step::Bytes(held.into());
        }
        if self.relay.state().done {
            // The client has everything. The connection goes back to the pool only if its end was read.
            let until = Instant::now() + LINGER;
            let _ = within(until, async { while let Ok(Some(_)) = self.body.chunk().await {} }).await;
            return Step::Last(Bytes::new());
        }
        let mut out = Vec::new();
        let ended = loop {
            match self.body.chunk_within(self.provider.idle_timeout(), self.deadline).await {
                Ok(Some(bytes)) => match self.relay.chunk(&bytes, &mut out) {
                    Ok(()) if out.is_empty() && !self.relay.state().done => {}
                    Ok(()) => return Step::Bytes(out.into()),
                    Err(fault) => break Err(stream_failure(fault)),
                },
                Ok(None) => break self.relay.finish(&mut out).map_err(stream_failure),
                Err(error) => break Err(error.into()),
            }
        };
        match ended {
            Ok(()) => Step::Last(out.into()),
            Err(failure) => {
                note(&self.provider, None, &failure, self.begun);
                let fault = for_client(failure.class, failure.fault);
                self.relay.fail(&fault, request_id, &mut out);
                Step::Failed(out.into(), fault)
            }
        }
    }
}
