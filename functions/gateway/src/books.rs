//! What is known of a request so far. Closing them writes the access log: at the end, or when the request is dropped in the middle because
//! its client went away.

use std::borrow::Cow;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tollgate_auth::Identity;
use tollgate_limits::{Bill, timestamp};
use tollgate_telemetry::otlp::Trace;
use tollgate_telemetry::{Access, AttemptLine};
use tollgate_upstream::Outcome;
use tollgate_wire::envelope::Envelope;
use tollgate_wire::exchange::State;
use tollgate_wire::ir::Fault;

use crate::kept::{Ended, Keeping};
use crate::meter::{Meter, Use};
use crate::record::Recorder;

/// A client that went away has no status; this is nginx's name for it.
const CLIENT_GONE: u16 = 499;
/// A bug of ours.
const PANICKED: u16 = 500;
/// The fault of an attempt whose answer broke off in the middle.
const BROKEN: &str = "stream";
/// The longest model name or path in a log line.
const MAX_LOGGED: usize = 256;
/// The most dropped paths in a log line: a request may have one per message.
const MAX_DROPPED: usize = 32;

/// The books of one request.
///
/// In a box: they are handed from step to step, and are large.
#[derive(Debug)]
pub struct Books(Box<Parts>);

#[derive(Debug)]
struct Parts {
    access: Access,
    /// The attempts, while they run: what is known of them if the client goes away.
    underway: Option<Outcome>,
    /// Its reservation.
    meter: Option<Box<Meter>>,
    /// The attempts that are over, for the bill.
    uses: Vec<Use>,
    /// What was seen of the answer.
    state: Option<Box<State>>,
    /// Its answer, if it may be the gateway's to keep.
    keeping: Option<Box<Keeping>>,
    recorder: Recorder,
    /// Where it stands in a trace.
    trace: Option<Box<Trace>>,
    begun: Instant,
    closed: bool,
}

/// An allocator has room for what is not larger at hand: glibc's caches per thread end here.
const _: () = assert!(size_of::<Parts>() <= 1_032);

impl Books {
    /// At the first byte of a request.
    pub fn open(recorder: &Recorder, request_id: &str, route: &'static str, method: &http::Method, path: &str) -> Self {
        let access = Access {
            timestamp: timestamp(SystemTime::now()),
            level: "INFO",
            message: "request",
            config: recorder.version().cloned(),
            request_id: request_id.to_owned(),
            route,
            operation: operation(route),
            method: method_name(method),
            path: logged(path),
            ..Access::default()
        };
        Self(Box::new(Parts {
            access,
            underway: None,
            meter: None,
            uses: Vec::new(),
            state: None,
            keeping: None,
            recorder: recorder.clone(),
            trace: None,
            begun: Instant::now(),
            closed: false,
        }))
    }

    /// Where it stands in a trace, if traces are exported.
    pub fn traced(&mut self, headers: &http::HeaderMap) {
        self.0.trace = self.0.recorder.trace(headers).map(Box::new);
        self.0.access.trace_id = self.0.trace.as_ref().map(|trace| trace.text());
    }

    /// Whose request it is.
    pub fn identity(&mut self, identity: &Identity) {
        self.0.access.team = Some(identity.team.clone());
        self.0.access.tier = Some(identity.tier.clone());
        self.0.access.client_id.clone_from(&identity.client_id);
    }

    /// Its body is there; it was waited for since then.
    pub fn received(&mut self, since: Instant) {
        self.0.access.receive_ms = Some(ms(since.elapsed()));
    }

    /// What it asks for.
    pub fn asked(&mut self, envelope: &Envelope) {
        self.0.access.request_model = Some(logged(&envelope.model));
        self.0.access.stream = envelope.stream;
        self.0.access.max_tokens = envelope.max_output_tokens;
    }

    /// The model that a request names which is no conversation.
    pub fn asked_for(&mut self, model: &str) {
        self.0.access.request_model = Some(logged(model));
    }

    /// It was admitted: from here on it is settled, however it ends.
    pub fn admitted(&mut self, meter: Meter) {
        if meter.degraded {
            self.0.access.limits = Some("degraded");
        }
        self.0.meter = Some(Box::new(meter));
    }

    /// Its answer may be the gateway's to keep.
    pub fn keeping(&mut self, keeping: Option<Box<Keeping>>) {
        self.0.keeping = keeping;
    }

    /// Bytes that may have the end of its answer, on their way to the client: what is the gateway's to keep is kept first.
    pub async fn kept(&mut self, bytes: Bytes) -> Bytes {
        let Some(keeping) = self.0.keeping.take() else { return bytes };
        // In a box: other requests should not have to carry the room for it.
        let (state, bytes) = match Box::pin(keeping.keep(&bytes)).await {
            Ended::Passed(keeping) => {
                self.0.keeping = keeping;
                return bytes;
            }
            Ended::Kept => ("kept", bytes),
            Ended::Lost(bytes) => ("lost", bytes),
        };
        self.0.access.state = Some(state);
        bytes
    }

    /// It is over a limit.
    pub fn limited(&mut self, reason: &str) {
        self.0.access.limits = Some("refused");
        self.0.access.limit_reason = Some(logged(reason));
    }

    /// Where the attempts are written while they run.
    pub fn underway(&mut self) -> &mut Outcome {
        self.0.underway.get_or_insert_default()
    }

    /// The attempts are over.
    pub fn answered(&mut self) -> Outcome {
        let outcome = self.0.underway.take().unwrap_or_default();
        self.outcome(&outcome);
        outcome
    }

    /// What the upstreams said.
    fn outcome(&mut self, outcome: &Outcome) {
        if self.0.meter.is_some() {
            self.0.uses = outcome.attempts.iter().map(Use::of).collect();
        }
        self.0.access.attempts = outcome
            .attempts
            .iter()
            .map(|attempt| AttemptLine {
                provider: attempt.provider.name().to_owned(),
                model: logged(&attempt.model),
                status: attempt.status,
                fault: attempt.class.map(|class| class.name()),
                start_ms: ms(attempt.begun.saturating_duration_since(self.0.begun)),
                duration_ms: ms(attempt.duration),
            })
            .collect();
        self.0.access.upstream_ms = Some(ms(outcome.attempts.iter().map(|attempt| attempt.duration).sum()));
        self.0.access.dropped = outcome.dropped.iter().take(MAX_DROPPED).map(|dropped| logged(&dropped.path)).collect();
        if let (Ok(_), Some(served)) = (&outcome.result, outcome.attempts.last()) {
            self.0.access.first_content_ms = Some(ms(self.0.begun.elapsed()));
            self.0.access.provider = Some(served.provider.name().to_owned());
            self.0.access.provider_kind = Some(otel_kind(served.provider.kind()).to_owned());
        }
    }

    /// What the answer used, as far as it has come.
    pub fn used(&mut self, state: &State) {
        let usage = &state.usage;
        if usage.is_reported() {
            self.0.access.input_tokens = Some(usage.total_input());
        }
        self.0.access.output_tokens = usage.output;
        self.0.access.cache_read_tokens = usage.cache_read;
        self.0.access.cache_write_tokens = usage.cache_write;
        self.0.access.cache_write_1h_tokens = usage.cache_write_1h;
        self.0.access.reasoning_tokens = usage.reasoning;
        self.0.access.audio_input_tokens = usage.audio_input;
        self.0.access.audio_output_tokens = usage.audio_output;
        self.0.access.response_model.clone_from(&state.model);
        if self.0.meter.is_some() {
            self.0.state = Some(Box::new(state.clone()));
        }
    }

    /// The same of an answer that is not looked into further: what it does not say is not guessed, since not every answer costs tokens.
    pub fn used_as_said(&mut self, state: &State) {
        self.used(state);
        if let Some(kept) = &mut self.0.state {
            kept.usage.input.get_or_insert(0);
            kept.usage.output.get_or_insert(0);
        }
    }

    /// What its parts came to, which were settled one by one.
    #[cfg(feature = "realtime")]
    pub fn charged(&mut self, bill: &Bill) {
        self.billed(bill);
    }

    /// Why it failed.
    pub fn failed(&mut self, fault: &Fault) {
        let code = fault.code.clone();
        self.0.access.error = Some(logged(&code.unwrap_or_else(|| fault.kind.name().to_owned())));
    }

    /// Its answer broke off after its first content.
    pub fn broken(&mut self, fault: &Fault) {
        self.failed(fault);
        if let Some(line) = self.0.access.attempts.last_mut() {
            line.fault = Some(BROKEN);
        }
    }

    /// Why it was refused before it began.
    pub fn refused(&mut self, code: &str) {
        self.0.access.error = Some(code.to_owned());
    }

    /// A guard said no. `reason`: its own, if it gave one.
    pub fn rejected(&mut self, reason: Option<&str>) {
        self.0.access.error = Some("guard_rejected".to_owned());
        self.0.access.guard_reason = reason.map(logged);
    }

    /// The route type.
    pub fn route(&self) -> &'static str {
        self.0.access.route
    }

    /// It is over, with this status. Done when it is settled, too: the process may freeze afterwards.
    pub async fn close(mut self, status: u16) {
        if let Some(settlement) = self.settle() {
            let _ = settlement.await;
        }
        self.write(status);
        self.0.recorder.flush().await;
    }

    fn settle(&mut self) -> Option<tokio::task::JoinHandle<()>> {
        let meter = self.0.meter.take()?;
        let bill = meter.bill(&self.0.uses, self.0.state.as_deref());
        self.billed(&bill);
        meter.settle(bill)
    }

    fn billed(&mut self, bill: &Bill) {
        self.0.access.cost_nano_usd = Some(bill.nano_usd);
        self.0.access.billed_tokens = Some(bill.tokens);
        self.0.access.usage_estimated = bill.is_estimated();
        self.0.access.unpriced = bill.unpriced;
    }

    /// Nobody closed them: a bug of ours, or the client went away. Answers the status to write.
    fn cut_off(&mut self, panicking: bool) -> u16 {
        if panicking {
            self.0.access.error = Some("panic".to_owned());
            return PANICKED;
        }
        self.0.access.client_gone = true;
        if let Some(outcome) = self.0.underway.take()
            && let Some(running) = outcome.attempts.last()
        {
            self.outcome(&outcome);
            if let Some(line) = self.0.access.attempts.last_mut() {
                line.fault = Some("client_gone");
                line.duration_ms = ms(running.begun.elapsed());
            }
        }
        CLIENT_GONE
    }

    fn write(&mut self, status: u16) {
        self.0.closed = true;
        self.0.access.status = status;
        self.0.access.duration_ms = ms(self.0.begun.elapsed());
        self.0.access.overhead_ms = overhead_ms(&self.0.access);
        let Parts { access, recorder, trace, .. } = &mut *self.0;
        recorder.write(access, trace.as_deref().copied());
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        if !self.0.closed {
            let status = self.cut_off(std::thread::panicking());
            // Nobody waits for it: a client that hangs up is seen by the native server alone, which goes on.
            drop(self.settle());
            self.write(status);
        }
    }
}

/// The part of the time that is neither an upstream's nor the client's. A stream goes on at its upstream's pace: there only the way to its first content
/// counts.
fn overhead_ms(access: &Access) -> f64 {
    let ours = access.first_content_ms.filter(|_| access.stream).unwrap_or(access.duration_ms);
    let theirs = access.upstream_ms.unwrap_or_default() + access.receive_ms.unwrap_or_default();
    rounded_ms((ours - theirs).max(0.0))
}

/// What a route does: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/>, `gen_ai.operation.name`.
fn operation(route: &str) -> Option<&'static str> {
    match route {
        "completions" | "messages" | "responses" => Some("chat"),
        "embeddings" => Some("embeddings"),
        // The registry has no word for these: the routes' own.
        "rerank" => Some("rerank"),
        "anthropicTokenCount" | "geminiCountTokens" | "responsesTokenCount" => Some("count_tokens"),
        "generateContent" => Some("generate_content"),
        _ => None,
    }
}

/// OpenTelemetry's name of a kind of provider: the same page, `gen_ai.provider.name`.
fn otel_kind(kind: &str) -> &str {
    match kind {
        "openAI" => "openai",
        "bedrock" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "azure" => "azure.ai.openai",
        other => other,
    }
}

fn method_name(method: &http::Method) -> Cow<'static, str> {
    match *method {
        http::Method::POST => Cow::Borrowed("POST"),
        http::Method::GET => Cow::Borrowed("GET"),
        _ => Cow::Owned(logged(method.as_str())),
    }
}

fn ms(duration: Duration) -> f64 {
    rounded_ms(duration.as_secs_f64() * 1e3)
}

/// To the microsecond.
fn rounded_ms(ms: f64) -> f64 {
    (ms * 1e3).round() / 1e3
}

fn logged(text: &str) -> String {
    if text.len() <= MAX_LOGGED {
        return text.to_owned();
    }
    text.chars().take(MAX_LOGGED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_not_booked_as_a_client_that_went_away() {
        for (panicking, status, client_gone) in [(true, 500, false), (false, 499, true)] {
            let mut books =
                Books::open(&Recorder::default(), "r", "completions", &http::Method::POST, "/v1/chat/completions");
            assert_eq!((books.cut_off(panicking), books.0.access.client_gone), (status, client_gone));
            assert_eq!(books.0.access.error.is_some(), panicking);
        }
    }

    #[test]
    fn the_overhead_is_what_neither_the_upstream_nor_the_client_took() {
        let access = |stream, first| Access {
            stream,
            first_content_ms: first,
            duration_ms: 100.0,
            upstream_ms: Some(30.0),
            receive_ms: Some(5.0),
            ..Access::default()
        };
        assert_eq!(overhead_ms(&access(false, Some(40.0))), 65.0, "a whole answer counts to its end");
        assert_eq!(overhead_ms(&access(true, Some(40.0))), 5.0, "a stream to its first content");
        assert_eq!(overhead_ms(&access(true, Some(1.0))), 0.0);
        assert_eq!(overhead_ms(&Access { duration_ms: 2.0, ..Access::default() }), 2.0, "a refusal is all ours");
    }

    #[test]
    fn a_line_stays_short_whatever_the_client_sends() {
        let method = http::Method::from_bytes(&[b'X'; 10_000]).unwrap();
        let books = Books::open(&Recorder::default(), "r", "unknown", &method, &"/x".repeat(10_000));
        assert_eq!((books.0.access.method.len(), books.0.access.path.len()), (MAX_LOGGED, MAX_LOGGED));
    }
}
