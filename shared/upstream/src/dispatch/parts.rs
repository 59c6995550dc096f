//! One attempt at what is no conversation: one upstream call or several, all or nothing.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http::{HeaderMap, StatusCode};
use tokio::time::Instant;
use tollgate_wire::error::WireError;
use tollgate_wire::ir::Usage;
use tollgate_wire::unary::{PartsReader, Plan, Service};

use super::{Answer, Ended, Job, refused, stream_failure};
use crate::attempts::Failure;
use crate::body::{MAX_ANSWER_BYTES, MAX_ERROR_BYTES};
use crate::error::TransportError;
use crate::http::Call;
use crate::provider::Provider;

/// Parts of one request that are under way at the same time.
const MAX_PARALLEL: usize = 8;

/// An upstream's answer to one part.
struct Part {
    index: usize,
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// Sends the calls, a few at a time. The first that fails ends the attempt and stops the others; what was reported up to then is known.
pub(super) async fn attempt(job: &Job<'_>, provider: &Provider, service: Service<'_>, plan: Plan) -> Ended {
    let Plan { calls, betas, mut reader, .. } = plan;
    let mut ended = Ended { status: None, usage: Usage::default(), result: Err(WireError::Incomplete.into()) };
    let sends = calls.into_iter().enumerate().map(|(index, body)| {
        let call = Call {
            dialect: service.target.dialect,
            way: Some(service.way),
            model: service.target.model,
            body,
            stream: false,
            betas: &betas,
            headers: &[],
            anthropic_version: job.anthropic_version,
        };
        send(job, provider, index, call)
    });
    let mut answers = stream::iter(sends).buffer_unordered(MAX_PARALLEL);
    while let Some(answer) = answers.next().await {
        let read = match answer {
            Ok(part) => {
                ended.status = Some(part.status.as_u16());
                if part.status.is_success() {
                    reader.part(part.index, &part.headers, part.body).map_err(Failure::from)
                } else if reader.spares(part.status, &part.body) {
                    Ok(Usage::default())
                } else {
                    Err(refused(job, &service.target, part.status, &part.headers, &part.body))
                }
            }
            Err(error) => Err(error.into()),
        };
        match read {
            Ok(usage) => add(&mut ended.usage, &usage),
            Err(failure) => {
                ended.result = Err(failure);
                return ended;
            }
        }
    }
    drop(answers);
    ended.result = finish(reader);
    ended
}

/// The answer, when all parts are there.
pub(super) fn finish(reader: Box<dyn PartsReader>) -> Result<Answer, Failure> {
    let finished = reader.finish()?;
    Ok(Answer::Whole { body: finished.body, state: Box::new(finished.state), estimate: finished.estimate })
}

async fn send(job: &Job<'_>, provider: &Provider, index: usize, call: Call<'_>) -> Result<Part, TransportError> {
    let first_byte = provider.first_byte_timeout(false);
    let own = first_byte.and_then(|timeout| Instant::now().checked_add(timeout));
    let until = own.map_or(job.deadline, |until| until.min(job.deadline));
    let sent = tokio::time::timeout_at(until, provider.send(&call)).await;
    let mut reply = sent.unwrap_or_else(|_| match first_byte {
        Some(timeout) if until < job.deadline => Err(TransportError::FirstByteTimeout(timeout)),
        _ => Err(TransportError::Deadline),
    })?;
    let limit = if reply.status.is_success() { MAX_ANSWER_BYTES } else { MAX_ERROR_BYTES };
    let read = reply.body.read(limit, provider.idle_timeout(), job.deadline).await;
    // An error is one without its text, too.
    let body = if reply.status.is_success() { read? } else { read.unwrap_or_default() };
    Ok(Part { index, status: reply.status, headers: reply.headers, body })
}

fn add(total: &mut Usage, part: &Usage) {
    let pairs =
        [(&mut total.input, part.input), (&mut total.output, part.output), (&mut total.searches, part.searches)];
    for (sum, more) in pairs {
        if let Some(more) = more {
            *sum = Some(sum.unwrap_or(0).saturating_add(more));
        }
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        stream_failure(error.into_fault())
    }
}
