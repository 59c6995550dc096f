//! Whole answers: an upstream's to the IR, the IR's to a client.
//!
//! A whole answer is read as a stream of one chunk, so that both mean the same.

use bytes::Bytes;
use serde_json::{Value, json};

use super::error::fault_of;
use super::signature;
use super::stream::Assembler;
use super::types::{Answer, finish_of, usage_value};
use crate::codec::Seed;
use crate::error::WireError;
use crate::gemini::{grounding, logprobs, set};
use crate::ir::{self, Block, BlockKind, Delta, Event};
use crate::json::{self, object};
use crate::names::ToolNames;

/// Reads an upstream's answer. Of several candidates, the first.
pub(super) fn decode(body: &[u8], names: &ToolNames) -> Result<ir::Response, WireError> {
    let bad = |text: &str| WireError::BadAnswer(text.to_owned());
    let answer: Answer = json::read(body)
        .map_err(|error| WireError::BadAnswer(format!("it is no answer of GenerateContent: {error}")))?;
    if let Some(error) = &answer.error {
        return Err(WireError::Fault(Box::new(fault_of(None, error))));
    }
    if answer.candidates.is_none() && answer.prompt_feedback.is_none() {
        return Err(bad("it has neither candidates nor a reason why its prompt was blocked"));
    }
    let mut assembler = Assembler::default();
    let mut events = Vec::new();
    assembler.answer(answer, body, names, &mut events);
    assembler.end(&mut events);
    Ok(gathered(events))
}

fn gathered(events: Vec<Event>) -> ir::Response {
    let mut response = ir::Response::default();
    for event in events {
        match event {
            Event::Start { id, model } => (response.id, response.model) = (id, model),
            Event::BlockStart { kind, .. } => response.blocks.push(match kind {
                BlockKind::ToolUse { id, name } => Block::ToolUse { id, name, input: json!({}) },
                BlockKind::Thinking => Block::Thinking { text: String::new(), signature: None },
                BlockKind::RedactedThinking(data) => Block::RedactedThinking(data),
                BlockKind::Text | BlockKind::Refusal => Block::Text(String::new()),
            }),
            Event::Delta { delta, .. } => match (response.blocks.last_mut(), delta) {
                (_, Delta::Logprobs(more)) => response.logprobs.extend(more),
                (Some(Block::Citations(sources)), Delta::Citation(source)) => sources.push(source),
                (_, Delta::Citation(source)) => response.blocks.push(Block::Citations(vec![source])),
                (Some(Block::Text(text)), Delta::Text(more)) => text.push_str(&more),
                (Some(Block::Thinking { text, .. }), Delta::Thinking(more)) => text.push_str(&more),
                (Some(Block::Thinking { signature, .. }), Delta::Signature(more)) => *signature = Some(more),
                (Some(Block::ToolUse { input, .. }), Delta::ToolInput(text)) => {
                    *input = serde_json::from_str(&text).unwrap_or(Value::Null);
                }
                _ => {}
            },
            Event::Usage(usage) => response.usage.update(&usage),
            Event::Stop(stop) => response.stop = stop,
            Event::BlockStop { .. } | Event::Fault(_) => {}
        }
    }
    response
}

/// Writes an answer for a client.
pub fn encode_response(response: &ir::Response, seed: &Seed) -> Bytes {
    let mut parts = Vec::with_capacity(response.blocks.len());
    let mut of_call = None;
    let (mut all, mut begins, mut sources) = (String::new(), 0, Vec::new());
    for block in &response.blocks {
        match block {
            Block::Text(text) | Block::Refusal(text) if text.is_empty() => {}
            Block::Text(text) | Block::Refusal(text) => {
                begins = all.chars().count();
                all.push_str(text);
                parts.push(json!({ "text": text }));
            }
            Block::Citations(cited) => sources.extend(cited.iter().map(|source| (begins, source.clone()))),
            Block::Thinking { text, signature } => {
                let call = signature.as_deref().and_then(signature::of_call);
                of_call = call.or(of_call);
                let signature = signature.as_deref().filter(|signature| call.is_none() && !signature.is_empty());
                parts.extend(thought(text, signature));
            }
            Block::RedactedThinking(data) => parts.push(redacted(data)),
            Block::ToolUse { id, name, input } => parts.push(call(id, name, input, of_call.take())),
            // No model answers with these in a dialect that comes here.
            Block::Image(_)
            | Block::Document { .. }
            | Block::Audio { .. }
            | Block::ToolResult { .. }
            | Block::CacheMark(_)
            | Block::Detail { .. } => {}
        }
    }
    let mut candidate = object! {
        "content": object! { "parts": parts, "role": "model" },
        "finishReason": finish_of(response.stop.reason),
        "index": 0,
    };
    if !response.logprobs.is_empty() {
        set(&mut candidate, "logprobsResult", logprobs::encoded(&response.logprobs));
        set(&mut candidate, "avgLogprobs", logprobs::sum(&response.logprobs) / response.logprobs.len() as f64);
    }
    if !sources.is_empty() {
        set(&mut candidate, "groundingMetadata", grounding::metadata(&sources, &all));
    }
    let mut answer = object! { "candidates": vec![candidate] };
    if response.usage.is_reported() {
        set(&mut answer, "usageMetadata", usage_value(&response.usage));
    }
    set(&mut answer, "modelVersion", response.model.as_deref().unwrap_or_default());
    set(&mut answer, "responseId", response.id.as_deref().unwrap_or(&seed.request_id));
    json::bytes(&answer)
}

/// A part of thinking, unless there is nothing to say.
pub(super) fn thought(text: &str, signature: Option<&str>) -> Option<Value> {
    if text.is_empty() && signature.is_none() {
        return None;
    }
    let of_text =
        signature.is_some_and(|signature| matches!(signature::marked(signature), Some((signature::Place::Text, _))));
    let mut part = if of_text { json!({ "text": text }) } else { json!({ "text": text, "thought": true }) };
    if let Some(signature) = signature {
        set(&mut part, "thoughtSignature", signature::to_client(signature));
    }
    Some(part)
}

pub(super) fn redacted(data: &str) -> Value {
    json!({ "text": "", "thought": true, "thoughtSignature": signature::redacted_to_client(data) })
}

pub(super) fn call(id: &str, name: &str, args: &Value, signature: Option<&str>) -> Value {
    let mut part = json!({ "functionCall": { "id": id, "name": name, "args": args } });
    if let Some(signature) = signature {
        set(&mut part, "thoughtSignature", signature);
    }
    part
}
