//! A client's body to the IR, part 1: everything but messages and tools.
//!
//! What both of OpenAI's dialects have, and how fields are read at all, stands in `openai::settings`.
//!
//! Fields: <https://platform.openai.com/docs/api-reference/chat/create>. Beyond them, what clients of compatible servers send: `top_k`,
//! `thinking`, `reasoning_content`, `thinking_blocks` and `cache_control` (<https://docs.litellm.ai/docs/reasoning_content>).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{messages, tools};
use crate::error::WireError;
use crate::ir::{self, Dropped, Echo, ThinkingMode, ToolForm};
use crate::openai::fields::{Path, array, boolean, integer, number, object, string, unsigned};
use crate::openai::settings::{Settings, fields_of, labels, output_format, unknown, web_search};
use crate::openai::tools::{Tools, decode_choice};

/// Reads a client's request.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let mut decoder = Decoder::default();
    for (key, value) in fields_of(body)? {
        if !value.is_null() {
            decoder.field(&key, value)?;
        }
    }
    decoder.finish()
}

/// What a field needs to know of its neighbours is kept here until [`Decoder::finish`].
#[derive(Default)]
struct Decoder {
    settings: Settings,
    has_messages: bool,
    max_tokens: Option<u64>,
    logprobs: bool,
    top_logprobs: u64,
    /// Tools that are no functions for the client.
    forms: BTreeMap<String, ToolForm>,
}

impl Decoder {
    fn field(&mut self, key: &str, value: Value) -> Result<(), WireError> {
        let path = Path::ROOT.key(key);
        let Some(value) = self.settings.field(key, value, &path)? else { return Ok(()) };
        let request = &mut self.settings.request;
        match key {
            "messages" => {
                messages::decode(array(value, &path)?, &path, request)?;
                self.has_messages = true;
            }
            "tools" => {
                let mut tools = Tools { forms: &mut self.forms, unmapped: &mut request.unmapped };
                request.tools = tools::decode(array(value, &path)?, &path, &mut tools)?;
            }
            "tool_choice" => {
                let (choice, allowed) = decode_choice(value, &path, &tools::name)?;
                request.tool_choice = Some(choice);
                self.settings.allowed_tools = allowed;
            }
            "max_completion_tokens" => request.max_output_tokens = Some(unsigned(&value, &path)?),
            "max_tokens" => self.max_tokens = Some(unsigned(&value, &path)?),
            "top_k" => request.top_k = Some(unsigned(&value, &path)?),
            "frequency_penalty" => request.frequency_penalty = Some(number(&value, &path)?),
            "presence_penalty" => request.presence_penalty = Some(number(&value, &path)?),
            "seed" => request.seed = Some(integer(&value, &path)?),
            "stop" => request.stop = stop(value, &path)?,
            "metadata" => {
                request.metadata = labels(&value);
                self.settings.shared(key, value, &path);
            }
            "store" | "verbosity" => self.settings.shared(key, value, &path),
            "web_search_options" => {
                request.web_search = Some(web_search(object(value, &path)?, &path, &mut request.unmapped)?);
            }
            "logprobs" => self.logprobs = boolean(&value, &path)?,
            "top_logprobs" => self.top_logprobs = unsigned(&value, &path)?,
            "response_format" => {
                request.output_format =
                    output_format(object(value, &path)?, Some("json_schema"), &path, &mut request.unmapped)?;
            }
            "reasoning_effort" => request.effort = Some(string(value, &path)?),
            "thinking" => request.thinking = Some(thinking(value, &path, &mut request.unmapped)?),
            _ => rest(key, &value, &path, &mut request.unmapped)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<ir::Request, WireError> {
        let mut request = self.settings.finish(("messages", self.has_messages))?;
        // `max_tokens` is the deprecated name of the same cap (case 19).
        request.max_output_tokens = request.max_output_tokens.or(self.max_tokens);
        request.logprobs = (self.logprobs || self.top_logprobs > 0).then_some(self.top_logprobs);
        if !self.forms.is_empty() {
            request.echo = Arc::new(Echo { tools: self.forms, ..Echo::default() });
        }
        Ok(request)
    }
}

fn stop(value: Value, path: &Path<'_>) -> Result<Vec<String>, WireError> {
    match value {
        Value::String(text) => Ok(vec![text]),
        Value::Array(items) => {
            items.into_iter().enumerate().map(|(index, item)| string(item, &path.index(index))).collect()
        }
        other => Err(path.expected("a string or an array of strings", &other)),
    }
}

fn thinking(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<ThinkingMode, WireError> {
    let mut kind = None;
    let mut budget = None;
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "type" => kind = Some(string(value, &path)?),
            "budget_tokens" => budget = Some(unsigned(&value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    match (kind.as_deref(), budget) {
        (Some("disabled"), _) => Ok(ThinkingMode::Disabled),
        (Some("enabled"), Some(budget)) => Ok(ThinkingMode::Budget(budget)),
        // DeepSeek's and Zhipu's form has no budget.
        (Some("enabled" | "adaptive"), _) => Ok(ThinkingMode::Adaptive),
        (None, _) => Err(path.missing("type")),
        (Some(other), _) => {
            let message = format!("expected \"enabled\", \"disabled\" or \"adaptive\", got {other:?}");
            Err(path.key("type").invalid(message))
        }
    }
}

/// Top-level fields that the IR does not hold: refused, harmless, or reported.
fn rest(key: &str, value: &Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    let reason = match key {
        // The answer of a translated call has `tool_calls`, which a client of the old form does not read.
        "functions" | "function_call" => {
            let empty = value.as_array().is_some_and(Vec::is_empty);
            let message = "deprecated and not translated; use tools and tool_choice";
            return if empty { Ok(()) } else { Err(WireError::unsupported(path.to_string(), message)) };
        }
        "n" if value == 1 => return Ok(()),
        // Whoever reads `choices[1]` would fail over it later, and further away.
        "n" => {
            let message = "the provider of this model gives one answer to a request; send the request several times";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "modalities" if value.as_array().is_some_and(|list| list.iter().all(|item| item == "text")) => return Ok(()),
        "logit_bias" if value.as_object().is_some_and(Map::is_empty) => return Ok(()),
        "logit_bias" => "token ids differ between models",
        "modalities" | "audio" => "a translated answer has text only",
        "prediction" => "only OpenAI has it, in chat completions",
        _ => "unknown field",
    };
    unmapped.push(Dropped::new(path.to_string(), reason));
    Ok(())
}
