//! Wire types of answers and streams: <https://platform.claude.com/docs/en/api/messages>.
//!
//! Requests are read and written as JSON values: their reading needs the path of what is wrong, their writing keeps the order of schemas.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ir::{self, Citation, StopReason, Tier};
use crate::scalar::{borrowed, count};

/// A whole answer.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    #[serde(default)]
    pub(super) content: Vec<ContentBlock>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    #[serde(default)]
    pub(super) usage: Option<Usage>,
}

/// A block of an answer, or the beginning of one in a stream.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ContentBlock {
    Text {
        #[serde(default)]
        text: String,
        #[serde(default)]
        citations: Value,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
        signature: Option<String>,
    },
    RedactedThinking {
        #[serde(default)]
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    /// A provider's own (`server_tool_use`, `web_search_tool_result`, ...), or a new one.
    #[serde(other)]
    Other,
}

/// An event of a stream: what any of them has. A tagged `enum` would read each event twice.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamEvent<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) index: Option<u64>,
    pub(super) message: Option<Message>,
    pub(super) content_block: Option<ContentBlock>,
    #[serde(borrow)]
    pub(super) delta: Option<StreamDelta<'a>>,
    pub(super) usage: Option<Usage>,
    #[serde(rename = "amazon-bedrock-invocationMetrics")]
    pub(super) metrics: Option<InvocationMetrics>,
    pub(super) error: Option<ErrorObject>,
}

/// More of a block, or why the answer ends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamDelta<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) text: Option<String>,
    pub(super) partial_json: Option<String>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) citation: Value,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
}

/// A source on the web of a block's whole text of so many characters; of a document that the client sent, none.
pub(super) fn citation_of(citation: &Value, end: usize) -> Option<Citation> {
    let text = |key: &str| citation.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(Citation { url: text("url")?, title: text("title"), start: 0, end })
}

/// An error, in a body or in a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ErrorObject {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
    pub(super) details: Option<Value>,
}

/// Tokens. A count that is no count (a word, a negative number) is as good as none: an answer is not lost over it.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Usage {
    #[serde(deserialize_with = "count")]
    input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_read_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    #[serde(deserialize_with = "count")]
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    #[serde(deserialize_with = "tier", skip_serializing)]
    service_tier: Option<Tier>,
    #[serde(deserialize_with = "iterations", skip_serializing)]
    iterations: Iterations,
    #[serde(skip_serializing)]
    server_tool_use: Option<ServerToolUse>,
    #[serde(deserialize_with = "fast", skip_serializing)]
    speed: Option<bool>,
    #[serde(deserialize_with = "in_region", skip_serializing)]
    inference_geo: Option<bool>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
struct ServerToolUse {
    #[serde(deserialize_with = "count")]
    web_search_requests: Option<u64>,
}

/// What the steps of a call come to, in the order of [`COUNTS`]. A call that compacts its conversation, or asks an advisor, has used more than the figures at its top:
/// <https://platform.claude.com/docs/en/build-with-claude/compaction>, <https://platform.claude.com/docs/en/agents-and-tools/tool-use/advisor-tool>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Iterations {
    /// Of steps that the figures at the top leave out (`compaction`, `advisor_message`).
    beside: [u64; 4],
    /// Of the others.
    within: [u64; 4],
}

const COUNTS: [&str; 4] = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];

impl Iterations {
    /// What the figure at the top has with what it leaves out.
    fn with(&self, at: usize, top: Option<u64>) -> Option<u64> {
        let of = |counts: &[u64; 4]| counts.get(at).copied().unwrap_or_default();
        let all = top.unwrap_or_default().max(of(&self.within)).saturating_add(of(&self.beside));
        if all > 0 { Some(all) } else { top }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
struct CacheCreation {
    #[serde(deserialize_with = "count")]
    ephemeral_5m_input_tokens: Option<u64>,
    #[serde(deserialize_with = "count")]
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(default)]
struct OutputDetails {
    #[serde(deserialize_with = "count")]
    thinking_tokens: Option<u64>,
}

/// What Bedrock adds to the last event of an invoke stream.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct InvocationMetrics {
    #[serde(deserialize_with = "count")]
    input_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    output_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_read_input_token_count: Option<u64>,
    #[serde(deserialize_with = "count")]
    cache_write_input_token_count: Option<u64>,
}

fn tier<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Tier>, D::Error> {
    Ok(borrowed(deserializer)?.as_deref().and_then(Tier::named))
}

fn iterations<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Iterations, D::Error> {
    let mut sums = Iterations::default();
    for step in Value::deserialize(deserializer)?.as_array().into_iter().flatten() {
        let beside = matches!(step.get("type").and_then(Value::as_str), Some("compaction" | "advisor_message"));
        let sums = if beside { &mut sums.beside } else { &mut sums.within };
        for (sum, key) in sums.iter_mut().zip(COUNTS) {
            *sum = sum.saturating_add(step.get(key).and_then(Value::as_u64).unwrap_or_default());
        }
    }
    Ok(sums)
}

fn fast<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(borrowed(deserializer)?.map(|speed| speed == "fast"))
}

/// A model that cannot be held to a region says `not_available`: <https://platform.claude.com/docs/en/build-with-claude/data-residency>
fn in_region<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(borrowed(deserializer)?.map(|region| !matches!(region.as_ref(), "global" | "not_available")))
}

impl Usage {
    pub(super) fn to_ir(self) -> ir::Usage {
        let parts = self.cache_creation.unwrap_or_default();
        let written = match (parts.ephemeral_5m_input_tokens, parts.ephemeral_1h_input_tokens) {
            (None, None) => None,
            (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
        };
        ir::Usage {
            input: self.iterations.with(0, self.input_tokens),
            cache_write: self.iterations.with(1, self.cache_creation_input_tokens.or(written)),
            cache_read: self.iterations.with(2, self.cache_read_input_tokens),
            cache_write_1h: parts.ephemeral_1h_input_tokens,
            output: self.iterations.with(3, self.output_tokens),
            reasoning: self.output_tokens_details.and_then(|details| details.thinking_tokens),
            web_searches: self.server_tool_use.and_then(|used| used.web_search_requests),
            tier: self.service_tier,
            fast: self.speed,
            in_region: self.inference_geo,
            ..ir::Usage::default()
        }
    }
}

impl InvocationMetrics {
    pub(super) fn to_ir(self) -> ir::Usage {
        ir::Usage {
            input: self.input_token_count,
            output: self.output_token_count,
            cache_read: self.cache_read_input_token_count,
            cache_write: self.cache_write_input_token_count,
            ..ir::Usage::default()
        }
    }
}

/// Takes over a later report. Counts are cumulative and never shrink, so the larger one is the better one: a last event that knows less (zeros,
/// Bedrock's metrics without the cache) takes nothing away (cases 17 and 26).
pub(super) fn merge_usage(ours: &mut ir::Usage, later: &ir::Usage) {
    ours.input = ours.input.max(later.input);
    ours.cache_read = ours.cache_read.max(later.cache_read);
    ours.cache_write = ours.cache_write.max(later.cache_write);
    ours.cache_write_1h = ours.cache_write_1h.max(later.cache_write_1h);
    ours.output = ours.output.max(later.output);
    ours.reasoning = ours.reasoning.max(later.reasoning);
    ours.web_searches = ours.web_searches.max(later.web_searches);
    ours.served_as(later);
}

/// Usage for a client. `input_tokens` and `output_tokens` are required there; the others are left out where nothing is known.
pub(super) fn usage_value(usage: &ir::Usage) -> Value {
    let mut out = Map::new();
    out.insert("input_tokens".to_owned(), json!(usage.input.unwrap_or(0)));
    if let Some(written) = usage.cache_write {
        out.insert("cache_creation_input_tokens".to_owned(), json!(written));
    }
    if let Some(read) = usage.cache_read {
        out.insert("cache_read_input_tokens".to_owned(), json!(read));
    }
    if let (Some(all), Some(long)) = (usage.cache_write, usage.cache_write_1h) {
        let parts = json!({
            "ephemeral_5m_input_tokens": all.saturating_sub(long),
            "ephemeral_1h_input_tokens": long,
        });
        out.insert("cache_creation".to_owned(), parts);
    }
    out.insert("output_tokens".to_owned(), json!(usage.output.unwrap_or(0)));
    if let Some(thinking) = usage.reasoning {
        out.insert("output_tokens_details".to_owned(), json!({ "thinking_tokens": thinking }));
    }
    if let Some(tier) = usage.tier.and_then(Tier::anthropic) {
        out.insert("service_tier".to_owned(), json!(tier));
    }
    Value::Object(out)
}

/// The stop reason that an upstream gives. One that is new ends the turn.
pub(super) fn stop_from(reason: Option<&str>, sequence: Option<String>) -> ir::Stop {
    let reason = match reason {
        Some("max_tokens") => StopReason::MaxTokens,
        Some("stop_sequence") => StopReason::StopSequence,
        Some("tool_use") => StopReason::ToolUse,
        Some("pause_turn") => StopReason::Pause,
        Some("refusal") => StopReason::Refusal,
        Some("model_context_window_exceeded") => StopReason::ContextWindow,
        _ => StopReason::EndTurn,
    };
    ir::Stop { reason, sequence }
}

/// The stop reason for a client.
pub(super) fn stop_name(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn | StopReason::Malformed => "end_turn",
        StopReason::StopSequence => "stop_sequence",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextWindow => "model_context_window_exceeded",
        StopReason::ToolUse => "tool_use",
        StopReason::Refusal | StopReason::ContentFilter => "refusal",
        StopReason::Pause => "pause_turn",
    }
}

/// An answer's id for a client: the upstream's if it is one of this API.
pub(super) fn message_id(upstream: Option<&str>, request_id: &str) -> String {
    match upstream {
        Some(id) if id.starts_with("msg_") => id.to_owned(),
        _ => format!("msg_{request_id}"),
    }
}
