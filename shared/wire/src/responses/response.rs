//! Whole answers: an upstream's to the IR, the IR's to a client.
//!
//! <https://platform.openai.com/docs/api-reference/responses/object>

use bytes::Bytes;
use serde_json::{Value, json};

use super::error::fault_of_answer;
use super::reasoning::{seal_item, seal_redacted, seal_signature};
use super::types::{AnswerIn, Item, ItemIn, ItemKind, usage_json};
use crate::codec::Seed;
use crate::error::WireError;
use crate::ir::{self, Block, Citation, Echo, Stop, StopReason, Tier, Usage};
use crate::json;
use crate::names::ToolNames;
use crate::openai::cited::{annotation, citation_of};
use crate::openai::custom::arguments_of;
use crate::openai::read::{input_of, items};
use crate::openai::usage::{usage_and_tier, web_searches};

/// Reads an upstream's answer.
pub(super) fn decode(body: &[u8], names: &ToolNames) -> Result<ir::Response, WireError> {
    let answer: AnswerIn =
        json::read(body).map_err(|error| WireError::BadAnswer(format!("it is no response: {error}")))?;
    if !answer.error.is_null() || answer.status.as_deref() == Some("failed") {
        return Err(WireError::Fault(Box::new(fault_of_answer(&answer))));
    }
    let stop = stop_of(&answer);
    let usage = usage_and_tier(&answer.usage, answer.service_tier.as_deref());
    let usage = Usage { web_searches: web_searches(body), ..usage };
    let output = answer.output.ok_or_else(|| WireError::BadAnswer("it has no output".to_owned()))?;
    let (mut blocks, mut logprobs) = (Vec::new(), Vec::new());
    for item in output {
        blocks.extend(blocks_of(item, names, &mut logprobs));
    }
    let stop = with_content(stop, &blocks);
    Ok(ir::Response { id: answer.id, model: answer.model, blocks, stop, usage, logprobs })
}

/// Steps of tools that the upstream runs itself have no place in another dialect; what came of them is in the messages.
fn blocks_of(item: ItemIn, names: &ToolNames, logprobs: &mut Vec<Value>) -> Vec<Block> {
    match item.kind.as_deref() {
        Some("message") => {
            let mut blocks = Vec::new();
            for part in item.content {
                logprobs.extend(items(part.logprobs));
                blocks.extend(part.refusal.map(Block::Refusal).or(part.text.map(Block::Text)));
                let sources: Vec<Citation> = items(part.annotations).iter().filter_map(citation_of).collect();
                blocks.extend((!sources.is_empty()).then_some(Block::Citations(sources)));
            }
            blocks
        }
        Some("reasoning") => reasoning_of(&item).into_iter().collect(),
        Some("function_call") => {
            let (Some(id), Some(name)) = (item.call_id.or(item.id), item.name) else { return Vec::new() };
            let (input, _) = input_of(&item.arguments);
            vec![Block::ToolUse { id, name: names.decode(&name).to_owned(), input }]
        }
        Some("custom_tool_call") => {
            let (Some(id), Some(name)) = (item.call_id.or(item.id), item.name) else { return Vec::new() };
            vec![Block::ToolUse { id, name: names.decode(&name).to_owned(), input: arguments_of(item.input) }]
        }
        _ => Vec::new(),
    }
}

/// The summary; without one, the text itself.
fn reasoning_of(item: &ItemIn) -> Option<Block> {
    let parts = if item.summary.is_empty() { &item.content } else { &item.summary };
    let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
    let (text, signature) = (texts.join("\n\n"), signature_of(item));
    (!text.is_empty() || signature.is_some()).then_some(Block::Thinking { text, signature })
}

/// What a client of another dialect has to bring back.
pub(super) fn signature_of(item: &ItemIn) -> Option<String> {
    Some(seal_item(item.id.as_deref().unwrap_or_default(), item.encrypted_content.as_deref()?))
}

/// Why an answer ended, as far as it says so itself.
pub(super) fn stop_of(answer: &AnswerIn) -> Stop {
    let reason = match answer.incomplete_details.reason.as_deref() {
        Some("content_filter") => StopReason::ContentFilter,
        Some(_) => StopReason::MaxTokens,
        None if answer.status.as_deref() == Some("incomplete") => StopReason::MaxTokens,
        None => StopReason::EndTurn,
    };
    Stop { reason, sequence: None }
}

fn with_content(mut stop: Stop, blocks: &[Block]) -> Stop {
    if stop.reason == StopReason::EndTurn {
        if blocks.iter().any(|block| matches!(block, Block::ToolUse { .. })) {
            stop.reason = StopReason::ToolUse;
        } else if blocks.iter().any(|block| matches!(block, Block::Refusal(_))) {
            stop.reason = StopReason::Refusal;
        }
    }
    stop
}

/// Writes an answer for a client.
pub fn encode_response(response: &ir::Response, seed: &Seed, echo: &Echo) -> Bytes {
    let id = answer_id(response.id.as_deref(), seed, echo);
    let mut items: Vec<Item> = Vec::new();
    let mut logprobs = response.logprobs.clone();
    for block in &response.blocks {
        let kind = match block {
            Block::Text(text) if text.is_empty() => continue,
            Block::Text(text) => ItemKind::Text(text.clone()),
            Block::Refusal(text) => ItemKind::Refusal(text.clone()),
            Block::Thinking { text, signature } => ItemKind::Reasoning {
                text: text.clone(),
                summary: echo.summaries,
                encrypted: signature.as_deref().map(seal_signature),
            },
            Block::RedactedThinking(data) => ItemKind::Reasoning {
                text: String::new(),
                summary: echo.summaries,
                encrypted: Some(seal_redacted(data)),
            },
            Block::ToolUse { id, name, input } => ItemKind::Call {
                call_id: id.clone(),
                name: name.clone(),
                form: echo.tools.get(name).cloned(),
                arguments: input.to_string(),
                told: 0,
            },
            Block::Citations(sources) => {
                if let Some(item) = items.last_mut() {
                    item.annotations.extend(sources.iter().map(|source| annotation(source, 0, false)));
                }
                continue;
            }
            // No model answers with these in a dialect that comes here.
            Block::Image(_)
            | Block::Document { .. }
            | Block::Audio { .. }
            | Block::ToolResult { .. }
            | Block::CacheMark(_)
            | Block::Detail { .. } => continue,
        };
        let mut item = Item::new(&id, items.len(), kind);
        if matches!(item.kind, ItemKind::Text(_)) {
            item.logprobs = std::mem::take(&mut logprobs);
        }
        items.push(item);
    }
    let ending = Ending::of(&response.stop, &items);
    let answer = Answer {
        id: &id,
        created: seed.created_unix_s,
        model: response.model.as_deref().unwrap_or_default(),
        echo,
        usage: &response.usage,
    };
    json::bytes(&answer.ended(ending, &items))
}

/// The id under which the gateway keeps it; else `resp_` and the upstream's id, or the request's.
pub(super) fn answer_id(upstream: Option<&str>, seed: &Seed, echo: &Echo) -> String {
    if let Some(id) = &echo.kept {
        return id.clone();
    }
    match upstream.filter(|id| !id.is_empty()) {
        Some(id) if id.starts_with("resp_") => id.to_owned(),
        id => format!("resp_{}", id.unwrap_or(&seed.request_id)),
    }
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Completed,
    /// `incomplete_details.reason`.
    Incomplete(&'static str),
}

impl Ending {
    /// A model that declines with a refusal has completed its answer.
    pub(super) fn of(stop: &Stop, items: &[Item]) -> Self {
        let refused = items.iter().any(|item| matches!(item.kind, ItemKind::Refusal(_)));
        match stop.reason {
            StopReason::MaxTokens | StopReason::ContextWindow => Self::Incomplete("max_output_tokens"),
            StopReason::ContentFilter => Self::Incomplete("content_filter"),
            StopReason::Refusal if !refused => Self::Incomplete("content_filter"),
            StopReason::Refusal
            | StopReason::EndTurn
            | StopReason::StopSequence
            | StopReason::ToolUse
            | StopReason::Pause
            | StopReason::Malformed => Self::Completed,
        }
    }

    pub(super) fn status(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}

/// A response object, at any time of its life.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) echo: &'a Echo,
    pub(super) usage: &'a Usage,
}

impl Answer<'_> {
    /// Begun, and nothing said.
    pub(super) fn begun(&self) -> Value {
        self.object("in_progress", Vec::new(), Vec::new())
    }

    /// At its end. What was cut off is the last item.
    pub(super) fn ended(&self, ending: Ending, items: &[Item]) -> Value {
        let last = items.len().saturating_sub(1);
        let status = |index: usize| if index == last { ending.status() } else { "completed" };
        let output: Vec<Value> = items.iter().enumerate().map(|(index, item)| item.json(status(index))).collect();
        let mut more = vec![("usage", usage_json(self.usage))];
        match ending {
            Ending::Completed => more.push(("completed_at", self.created.into())),
            Ending::Incomplete(reason) => more.push(("incomplete_details", json!({ "reason": reason }))),
        }
        self.object(ending.status(), output, more)
    }

    /// Broken off.
    pub(super) fn failed(&self, error: Value, items: &[Item]) -> Value {
        let output: Vec<Value> = items.iter().map(|item| item.json("incomplete")).collect();
        self.object("failed", output, vec![("error", error), ("usage", usage_json(self.usage))])
    }

    /// Every field that the official SDKs' types require; settings as the client gave them, else as OpenAI's defaults are. `store` is no
    /// setting: it says whether the answer is kept.
    fn object(&self, status: &str, output: Vec<Value>, more: Vec<(&str, Value)>) -> Value {
        let object = json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "background": false,
            "completed_at": null, "error": null, "incomplete_details": null, "instructions": null, "max_output_tokens": null,
            "max_tool_calls": null, "model": self.model, "output": [], "parallel_tool_calls": true, "previous_response_id": null,
            "prompt_cache_key": null, "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": "default",
            "store": false, "temperature": null, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0,
            "top_p": null, "truncation": "disabled", "usage": null, "user": null, "metadata": {},
        });
        let Value::Object(mut fields) = object else { return object };
        if let Some(tier) = self.usage.tier.and_then(Tier::openai) {
            fields.insert("service_tier".to_owned(), tier.into());
        }
        fields.extend(self.echo.fields.iter().map(|(key, value)| (key.clone(), value.clone())));
        let output = ("output", Value::Array(output));
        fields.extend(more.into_iter().chain([output]).map(|(key, value)| (key.to_owned(), value)));
        Value::Object(fields)
    }
}
