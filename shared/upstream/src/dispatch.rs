//! What is asked of the providers of a chain: an answer to a conversation, or something else (`parts`).

mod parts;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::HeaderValue;
use ::http::header::CONTENT_TYPE;
use bytes::Bytes;
use tokio::time::Instant;
use tollgate_wire::codec::{Carrier, Dialect, Seed, Target};
use tollgate_wire::exchange::{Inbound, Relay, Started, State};
use tollgate_wire::fault::heed;
use tollgate_wire::ir::{Dropped, Fault, FaultKind, Usage};
use tollgate_wire::messages::no_threads;
use tollgate_wire::unary::{Operation, Plan, Service, Unary};
use tollgate_wire::{codec, error::WireError};

use crate::attempts::{Attempt, Attempts, Failure};
use crate::body::{Body, MAX_ANSWER_BYTES, MAX_ERROR_BYTES, Reply};
use crate::chains::Chain;
use crate::error::TransportError;
use crate::failover::FaultClass;
use crate::http::Call;
use crate::live::LiveStream;
use crate::provider::Provider;
use crate::services::unserved;
use crate::within::within;

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
    let mut attempts = Attempts::new(chain, job.model, job.deadline, job.max_attempts);
    while let Some(mut turn) = attempts.next(outcome) {
        let ready = match ready(job, turn.provider, turn.model) {
            Ok(Ready::Parts(_, plan)) if plan.calls.is_empty() => {
                outcome.dropped = plan.dropped;
                outcome.result = parts::finish(plan.reader).map_err(|failure| failure.fault);
                return;
            }
            Ok(ready) => ready,
            Err(error) => {
                let unsupported = matches!(error, WireError::Unsupported { .. });
                // A client that learns that its conversation is not kept here can send it whole, and be answered.
                if attempts.were_all_unsupported() || error == no_threads() {
                    outcome.result = Err(error.into_fault());
                }
                attempts.pass_over(&turn, if unsupported { FaultClass::Unsupported } else { FaultClass::Request });
                continue;
            }
        };
        let dropped = match &ready {
            Ready::Conversation(_, _, started) => started.dropped.clone(),
            Ready::Parts(_, plan) => plan.dropped.clone(),
        };
        turn.begin(outcome);
        let ended = match ready {
            Ready::Conversation(inbound, target, started) => {
                attempt(job, inbound, turn.provider, &target, started).await
            }
            // In a box: conversations should not have to carry the room for it.
            Ready::Parts(service, plan) => Box::pin(parts::attempt(job, turn.provider, service, plan)).await,
        };
        attempts.end(&turn, outcome, (ended.status, ended.usage), ended.result.as_ref().err());
        match ended.result {
            Ok(answer) => {
                outcome.result = Ok(answer);
                outcome.dropped = dropped;
                return;
            }
            Err(failure) => outcome.result = Err(failure.for_client()),
        }
    }
    if attempts.are_too_late() {
        outcome.result = Err(TransportError::Deadline.fault());
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
        headers: &started.headers,
        anthropic_version: job.anthropic_version,
    };
    let begun = std::time::Instant::now();
    let first_byte = provider.first_byte_timeout(stream).unwrap_or(Duration::MAX);
    let until = Instant::now().checked_add(first_byte).map_or(job.deadline, |until| until.min(job.deadline));
    let late =
        || if until == job.deadline { TransportError::Deadline } else { TransportError::FirstByteTimeout(first_byte) };
    // Pinned here: it is large, and would be moved into the timeout.
    let sent = tokio::time::timeout_at(until, pin!(provider.send(&call))).await;
    let mut reply = match sent.unwrap_or_else(|_| Err(late())) {
        Ok(reply) => reply,
        Err(error) => return Ended { status: None, usage: Usage::default(), result: Err(error.into()) },
    };
    let status = Some(reply.status.as_u16());
    let mut relay = started.relay;
    relay.served(&reply.headers);
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
    heed(&mut fault, headers, SystemTime::now());
    // Bedrock's own errors are AWS's, whatever dialect its models speak.
    if target.dialect != job.client || target.carrier != Carrier::Direct {
        fault.body = None;
    }
    Failure::refused(fault, status)
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
pub(crate) fn stream_failure(fault: Fault) -> Failure {
    let class = match FaultClass::of(&fault) {
        FaultClass::ServerError | FaultClass::Timeout => FaultClass::Stream,
        class => class,
    };
    let cause = fault.code.clone().unwrap_or_else(|| fault.kind.name().to_owned());
    // An error that it tells is one that it does not bill.
    let worked = cause == "bad_upstream_answer";
    Failure { worked, ..Failure::answered(class, fault, cause) }
}
