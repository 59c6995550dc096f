//! The access log: one line per request, whatever became of it. `docs/telemetry.md` has the table of its fields; a test compares the two.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::emf;

/// One request.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Access {
    /// When it came, RFC 3339, UTC.
    pub timestamp: String,
    /// Always `INFO`.
    pub level: &'static str,
    /// Always `request`.
    pub message: &'static str,
    /// The version of the configuration that served it.
    #[serde(rename = "tollgate.config", serialize_with = "shared", skip_serializing_if = "Option::is_none")]
    pub config: Option<Arc<str>>,
    /// As in the answer's `x-request-id`.
    #[serde(rename = "request.id")]
    pub request_id: String,
    /// The trace that it belongs to, where traces are exported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The route type.
    #[serde(rename = "tollgate.route")]
    pub route: &'static str,
    /// What the route does, in OpenTelemetry's words.
    #[serde(rename = "gen_ai.operation.name", skip_serializing_if = "Option::is_none")]
    pub operation: Option<&'static str>,
    /// HTTP method.
    #[serde(rename = "http.request.method")]
    pub method: Cow<'static, str>,
    /// Path without query.
    #[serde(rename = "url.path")]
    pub path: String,
    /// What the client got; 499: it went away before.
    #[serde(rename = "http.response.status_code")]
    pub status: u16,
    /// Who asked.
    #[serde(rename = "tollgate.team", skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Their tier.
    #[serde(rename = "tollgate.tier", skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Their client id.
    #[serde(rename = "tollgate.client_id", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The model that the client named.
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    /// The model that answered, as its provider names it.
    #[serde(rename = "gen_ai.response.model", skip_serializing_if = "Option::is_none")]
    pub response_model: Option<String>,
    /// The output cap that the client named.
    #[serde(rename = "gen_ai.request.max_tokens", skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The kind of the provider that answered, in OpenTelemetry's words.
    #[serde(rename = "gen_ai.provider.name", skip_serializing_if = "Option::is_none")]
    pub provider_kind: Option<String>,
    /// Its name in the configuration.
    #[serde(rename = "tollgate.provider", skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Streamed?
    #[serde(rename = "gen_ai.request.stream")]
    pub stream: bool,
    /// Every upstream call.
    #[serde(rename = "tollgate.attempts", skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptLine>,
    /// Uncached input tokens, cache reads and cache writes together.
    #[serde(rename = "gen_ai.usage.input_tokens", skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Output tokens, reasoning included.
    #[serde(rename = "gen_ai.usage.output_tokens", skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Input tokens that were read from a cache.
    #[serde(rename = "gen_ai.usage.cache_read.input_tokens", skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Input tokens that were written to a cache.
    #[serde(rename = "gen_ai.usage.cache_creation.input_tokens", skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
    /// Those of them that are kept for an hour, which costs more.
    #[serde(rename = "tollgate.usage.cache_creation_1h.input_tokens", skip_serializing_if = "Option::is_none")]
    pub cache_write_1h_tokens: Option<u64>,
    /// Output tokens that were reasoning.
    #[serde(rename = "gen_ai.usage.reasoning.output_tokens", skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Input tokens that were sound.
    #[serde(rename = "gen_ai.usage.audio.input_tokens", skip_serializing_if = "Option::is_none")]
    pub audio_input_tokens: Option<u64>,
    /// Output tokens that were sound.
    #[serde(rename = "gen_ai.usage.audio.output_tokens", skip_serializing_if = "Option::is_none")]
    pub audio_output_tokens: Option<u64>,
    /// What the request came to, in nano-dollars; `None`: nothing is limited, so nothing is priced.
    #[serde(rename = "tollgate.cost_nano_usd", skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<u64>,
    /// The tokens that the team's limits were charged, those of failed attempts and estimates included.
    #[serde(rename = "tollgate.billed_tokens", skip_serializing_if = "Option::is_none")]
    pub billed_tokens: Option<u64>,
    /// A provider did not say what it used; a part of the bill is an estimate.
    #[serde(rename = "tollgate.usage_estimated", skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// A model without a price served, and no budget applied.
    #[serde(rename = "tollgate.unpriced", skip_serializing_if = "std::ops::Not::not")]
    pub unpriced: bool,
    /// `refused`: over a limit; `degraded`: admitted without the ledger's word.
    #[serde(rename = "tollgate.limits", skip_serializing_if = "Option::is_none")]
    pub limits: Option<&'static str>,
    /// Which limit, and where it stood.
    #[serde(rename = "tollgate.limits.reason", skip_serializing_if = "Option::is_none")]
    pub limit_reason: Option<String>,
    /// `kept`: the gateway keeps the response; `lost`: it was to be kept, and could not be.
    #[serde(rename = "tollgate.state", skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Paths that the translation could not carry.
    #[serde(rename = "tollgate.dropped", skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// Why it failed: a short code.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What a guard that rejected it said.
    #[serde(rename = "tollgate.guard.reason", skip_serializing_if = "Option::is_none")]
    pub guard_reason: Option<String>,
    /// The client went away.
    #[serde(rename = "tollgate.client_gone", skip_serializing_if = "std::ops::Not::not")]
    pub client_gone: bool,
    /// From the first byte of the request to the last of the answer.
    pub duration_ms: f64,
    /// From the first byte of the request to the first content of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_content_ms: Option<f64>,
    /// Spent waiting for upstreams up to the first content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_ms: Option<f64>,
    /// Spent waiting for the client's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receive_ms: Option<f64>,
    /// The gateway's own part: neither upstream nor client. Up to the first content of a stream, else to the end.
    pub overhead_ms: f64,
}

/// One upstream call.
#[derive(Debug, Default, Clone, Serialize)]
pub struct AttemptLine {
    /// The provider's name.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// Its HTTP status, if a head came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<&'static str>,
    /// When it began, after the head of the request.
    pub start_ms: f64,
    /// How long it took to its first content or its failure.
    pub duration_ms: f64,
}

/// What a line is, beside a line of the access log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// It is a document of CloudWatch's embedded metric format.
    pub on: bool,
    /// Some of its metrics are kept by team, too.
    pub by_team: bool,
}

thread_local! {
    /// The memory of the last line, for the next: a line is too large for what an allocator hands out quickly.
    static MEMORY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// No more of it is kept. Most lines have one to three KiB.
const MAX_MEMORY: usize = 16 * 1024;

/// Writes the line.
pub fn write(access: &Access, metrics: Metrics) {
    let mut line = remembered();
    if append(&mut line, access, metrics) {
        crate::out::line(&line);
    }
    remember(line);
}

fn remembered() -> Vec<u8> {
    // A thread that is ending has no such memory any more.
    let mut line = MEMORY.try_with(Cell::take).unwrap_or_default();
    line.clear();
    line
}

fn remember(line: Vec<u8>) {
    if line.capacity() <= MAX_MEMORY {
        let _ = MEMORY.try_with(|memory| memory.set(line));
    }
}

/// False: it cannot be written as JSON.
fn append(line: &mut Vec<u8>, access: &Access, metrics: Metrics) -> bool {
    if crate::line::append(line, access).is_err() {
        return false;
    }
    if metrics.on {
        emf::append(line, access, metrics.by_team, SystemTime::now());
    }
    line.push(b'\n');
    true
}

fn shared<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A line with everything on it. No `..Default`: a new field has to stand here, and so in the documentation.
    pub(crate) fn full() -> Access {
        let attempt = AttemptLine {
            provider: "openai".to_owned(),
            model: "gpt-4o".to_owned(),
            status: Some(200),
            fault: Some("stream"),
            start_ms: 0.5,
            duration_ms: 9.5,
        };
        Access {
            timestamp: "2026-11-26T00:00:00Z".to_owned(),
            level: "INFO",
            message: "request",
            config: Some("0011aabbccdd".into()),
            request_id: "req_1".to_owned(),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
            route: "completions",
            operation: Some("chat"),
            method: "POST".into(),
            path: "/v1/chat/completions".to_owned(),
            status: 200,
            team: Some("search".to_owned()),
            tier: Some("standard".to_owned()),
            client_id: Some("client".to_owned()),
            request_model: Some("gpt-4o".to_owned()),
            response_model: Some("gpt-4o-2024-08-06".to_owned()),
            max_tokens: Some(100),
            provider_kind: Some("openai".to_owned()),
            provider: Some("openai-primary".to_owned()),
            stream: true,
            attempts: vec![attempt],
            input_tokens: Some(30),
            output_tokens: Some(20),
            cache_read_tokens: Some(10),
            cache_write_tokens: Some(8),
            cache_write_1h_tokens: Some(4),
            reasoning_tokens: Some(5),
            audio_input_tokens: Some(2),
            audio_output_tokens: Some(1),
            cost_nano_usd: Some(1_500_000),
            billed_tokens: Some(50),
            usage_estimated: true,
            unpriced: true,
            limits: Some("refused"),
            limit_reason: Some("RPM limit exceeded".to_owned()),
            state: Some("lost"),
            dropped: vec!["seed".to_owned()],
            error: Some("rate_limit_exceeded".to_owned()),
            guard_reason: Some("no".to_owned()),
            client_gone: true,
            duration_ms: 12.5,
            first_content_ms: Some(10.25),
            upstream_ms: Some(9.5),
            receive_ms: Some(0.25),
            overhead_ms: 0.5,
        }
    }

    #[test]
    fn a_line_in_the_memory_of_another_has_nothing_of_it() {
        let mut line = remembered();
        assert!(append(&mut line, &full(), Metrics::default()));
        let capacity = line.capacity();
        remember(line);
        let mut line = remembered();
        assert_eq!((line.len(), line.capacity()), (0, capacity), "it is kept");
        let short = Access { message: "request", ..Access::default() };
        assert!(append(&mut line, &short, Metrics::default()));
        assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&short).unwrap() + "\n");
        remember(Vec::with_capacity(MAX_MEMORY + 1));
        assert_eq!(remembered().capacity(), 0, "what is too large is not");
    }

    #[test]
    fn a_line_holds_what_is_known_and_nothing_else() {
        let access = Access { message: "request", status: 200, input_tokens: Some(3), ..Access::default() };
        let line: serde_json::Value = serde_json::to_value(&access).unwrap();
        assert_eq!(line["gen_ai.usage.input_tokens"], 3);
        assert!(line.get("gen_ai.usage.output_tokens").is_none() && line.get("tollgate.client_gone").is_none());
        assert!(line.get("tollgate.config").is_none() && line.get("trace_id").is_none());
    }
}
