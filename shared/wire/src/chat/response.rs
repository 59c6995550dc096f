//! Whole answers: an upstream's to the IR, the IR's to a client.
//!
//! <https://platform.openai.com/docs/api-reference/chat/object>

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::{Value, json};

use super::error::fault_of;
use super::types::{
    AnswerIn, AnswerMessageOut, AnswerOut, CallFunctionIn, CallIn, CallOut, ChoiceOut, ExtraContent, MessageIn,
    ThinkingOut, UsageOut,
};
use crate::codec::Seed;
use crate::error::WireError;
use crate::ir::{self, Block, Citation, Echo, Stop, StopReason, Tier};
use crate::json;
use crate::names::ToolNames;
use crate::openai::cited::{annotation, citation_of};
use crate::openai::custom::arguments_of;
use crate::openai::read::{input_of, items};
use crate::openai::usage::usage_and_tier;

/// Reads an upstream's answer. Of several choices, the first.
pub(super) fn decode(body: &[u8], names: &ToolNames) -> Result<ir::Response, WireError> {
    let answer: AnswerIn =
        json::read(body).map_err(|error| WireError::BadAnswer(format!("it is no chat completion: {error}")))?;
    if !answer.error.is_null() {
        return Err(WireError::Fault(Box::new(fault_of(None, &answer.error))));
    }
    let usage = usage_and_tier(&answer.usage, answer.service_tier.as_deref());
    let Some(choice) = answer.choices.into_iter().min_by_key(|choice| choice.index.unwrap_or_default()) else {
        return Err(WireError::BadAnswer("it has no choices".to_owned()));
    };
    let logprobs = token_logprobs(choice.logprobs);
    let blocks = blocks_of(*choice.message.unwrap_or_default(), answer.id.as_deref(), names);
    let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
    let refused = blocks.iter().any(|block| matches!(block, Block::Refusal(_)));
    let stop = stop_of(choice.finish_reason.as_deref(), choice.stop_reason, calls, refused);
    let (id, model) = (answer.id.map(Cow::into_owned), answer.model.map(Cow::into_owned));
    Ok(ir::Response { id, model, blocks, stop, usage, logprobs })
}

fn blocks_of(mut message: MessageIn, answer_id: Option<&str>, names: &ToolNames) -> Vec<Block> {
    let mut blocks = Vec::new();
    let reasoning = message.take_reasoning();
    if message.thinking_blocks.is_empty() {
        blocks.extend(reasoning.map(|text| Block::Thinking { text, signature: None }));
    }
    for thinking in message.thinking_blocks {
        blocks.push(match thinking.data {
            Some(data) => Block::RedactedThinking(data),
            None => Block::Thinking { text: thinking.thinking.unwrap_or_default(), signature: thinking.signature },
        });
    }
    for piece in pieces_of(message.content) {
        blocks.push(match piece {
            Piece::Text(text) => Block::Text(text),
            Piece::Thinking(text) => Block::Thinking { text, signature: None },
        });
    }
    let sources: Vec<Citation> = items(message.annotations).iter().filter_map(citation_of).collect();
    blocks.extend((!sources.is_empty()).then_some(Block::Citations(sources)));
    blocks.extend(message.refusal.map(Block::Refusal));
    let legacy = message.function_call.map(|function| CallIn { function, ..CallIn::default() });
    for (index, call) in message.tool_calls.into_iter().chain(legacy).enumerate() {
        let signature = call.extra_content.signature();
        let (name, input) = match (call.custom, call.function) {
            (CallFunctionIn { name: Some(name), input, .. }, _) => (name, arguments_of(input)),
            (_, CallFunctionIn { name: Some(name), arguments, .. }) => (name, input_of(&arguments).0),
            _ => continue,
        };
        blocks.extend(signature.map(|signature| Block::Thinking { text: String::new(), signature: Some(signature) }));
        let id = call.id.unwrap_or_else(|| call_id(answer_id, index));
        blocks.push(Block::ToolUse { id, name: names.decode(&name).to_owned(), input });
    }
    blocks
}

/// An id for a call that has none, the same for the same answer. Letters, digits, `_` and `-`, as every dialect takes it.
pub(super) fn call_id(answer_id: Option<&str>, index: usize) -> String {
    // Of the answer's id the end, so that OpenAI (at most 40 characters) takes the id, too.
    let id = answer_id.unwrap_or_default();
    let id = id.char_indices().rev().nth(23).map_or(id, |(start, _)| id.get(start..).unwrap_or_default());
    let answer: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
    if answer.is_empty() { format!("call_{index}") } else { format!("call_{answer}_{index}") }
}

/// A piece of `content`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Thinking(String),
}

/// `content` is text, or, from Mistral's reasoning models, an array of `{"type": "text", "text"}` and
/// `{"type": "thinking", "thinking": [{"type": "text", "text"}]}`.
pub(super) fn pieces_of(content: Value) -> Vec<Piece> {
    let items = match content {
        Value::String(text) if !text.is_empty() => return vec![Piece::Text(text)],
        Value::Array(items) => items,
        _ => return Vec::new(),
    };
    let text = |value: &Value| value.get("text").and_then(Value::as_str).map(str::to_owned);
    let pieces = items.iter().filter_map(|item| match item.get("thinking") {
        Some(Value::Array(parts)) => Some(Piece::Thinking(parts.iter().filter_map(text).collect())),
        Some(Value::String(thinking)) => Some(Piece::Thinking(thinking.clone())),
        _ => text(item).map(Piece::Text),
    });
    pieces.filter(|piece| matches!(piece, Piece::Text(text) | Piece::Thinking(text) if !text.is_empty())).collect()
}

/// `calls`, `refused`: the answer holds a call, a refusal. Several servers say `stop`, or nothing, after a call.
pub(super) fn stop_of(finish: Option<&str>, sequence: Option<String>, calls: bool, refused: bool) -> Stop {
    let reason = match finish {
        Some("length") => StopReason::MaxTokens,
        Some("model_context_window_exceeded") => StopReason::ContextWindow,
        Some("content_filter" | "sensitive") => StopReason::ContentFilter,
        Some("tool_calls" | "function_call") => StopReason::ToolUse,
        _ if calls => StopReason::ToolUse,
        _ if refused => StopReason::Refusal,
        _ if sequence.is_some() => StopReason::StopSequence,
        _ => StopReason::EndTurn,
    };
    let sequence = sequence.filter(|_| reason == StopReason::StopSequence);
    Stop { reason, sequence }
}

/// The `finish_reason` of a stop (case 18). `None` of its neighbours is OpenAI's.
pub(super) fn finish_reason(reason: StopReason) -> &'static str {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence | StopReason::Pause | StopReason::Malformed => "stop",
        StopReason::MaxTokens | StopReason::ContextWindow => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::Refusal | StopReason::ContentFilter => "content_filter",
    }
}

/// Writes an answer for a client.
pub fn encode_response(response: &ir::Response, seed: &Seed, echo: &Echo) -> Bytes {
    let id = answer_id(response.id.as_deref(), seed);
    let message = message_of(&response.blocks, echo);
    let choice = ChoiceOut {
        index: 0,
        message: Some(message),
        delta: None,
        logprobs: logprobs_of(response.logprobs.clone()),
        finish_reason: Some(finish_reason(response.stop.reason)),
        stop_reason: response.stop.sequence.as_deref(),
    };
    let answer = AnswerOut {
        id: &id,
        object: "chat.completion",
        created: seed.created_unix_s,
        model: response.model.as_deref().unwrap_or_default(),
        choices: &[choice],
        usage: Some(UsageOut::of(&response.usage)),
        service_tier: response.usage.tier.and_then(Tier::openai),
    };
    // These shapes have string keys only, so writing them cannot fail.
    serde_json::to_vec(&answer).unwrap_or_default().into()
}

/// `chatcmpl-` and the upstream's id, or the request's.
pub(super) fn answer_id(upstream: Option<&str>, seed: &Seed) -> String {
    match upstream.filter(|id| !id.is_empty()) {
        Some(id) if id.starts_with("chatcmpl-") => id.to_owned(),
        id => format!("chatcmpl-{}", id.unwrap_or(&seed.request_id)),
    }
}

/// Of the text's tokens; a refusal's are not looked at.
pub(super) fn token_logprobs(mut logprobs: Value) -> Vec<Value> {
    logprobs.get_mut("content").map(Value::take).map(items).unwrap_or_default()
}

/// `logprobs` of a choice; of none, `null`.
pub(super) fn logprobs_of(content: Vec<Value>) -> Option<Value> {
    (!content.is_empty()).then(|| json!({ "content": content, "refusal": null }))
}

fn message_of<'a>(blocks: &'a [Block], echo: &Echo) -> AnswerMessageOut<'a> {
    let mut message = AnswerMessageOut {
        role: "assistant",
        content: None,
        refusal: None,
        annotations: Value::Null,
        tool_calls: Vec::new(),
        reasoning_content: None,
        thinking_blocks: Vec::new(),
    };
    let mut of_call = None;
    let mut text_begins = 0;
    let mut annotations = Vec::new();
    for block in blocks {
        match block {
            Block::Text(text) => {
                let content = message.content.get_or_insert_default();
                text_begins = content.chars().count();
                content.push_str(text);
            }
            Block::Citations(sources) => {
                annotations.extend(sources.iter().map(|source| annotation(source, text_begins, true)));
            }
            Block::Refusal(text) => message.refusal.get_or_insert_default().push_str(text),
            Block::Thinking { text, signature } => {
                if !text.is_empty() {
                    message.reasoning_content.get_or_insert_default().push_str(text);
                }
                // Gemini's signature of the call behind it goes with the call.
                if let Some(extra) = ExtraContent::of(signature.as_deref()) {
                    of_call = Some(extra);
                    continue;
                }
                let (thinking, signature) = (text.as_str(), signature.as_deref());
                message.thinking_blocks.push(ThinkingOut::Thinking { thinking, signature });
            }
            Block::RedactedThinking(data) => message.thinking_blocks.push(ThinkingOut::RedactedThinking { data }),
            Block::ToolUse { id, name, input } => {
                let call = CallOut { id: Some(Cow::Borrowed(id)), extra_content: of_call.take(), ..CallOut::default() };
                message.tool_calls.push(call.whole(name, input.to_string(), echo));
            }
            // No model answers with these in a dialect that comes here.
            Block::Image(_)
            | Block::Document { .. }
            | Block::Audio { .. }
            | Block::ToolResult { .. }
            | Block::CacheMark(_)
            | Block::Detail { .. } => {}
        }
    }
    if !annotations.is_empty() {
        message.annotations = annotations.into();
    }
    if message.content.is_none() && message.tool_calls.is_empty() && message.refusal.is_none() {
        message.content = Some(String::new());
    }
    message
}
