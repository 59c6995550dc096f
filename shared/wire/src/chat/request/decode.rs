//! A client's body to the IR, part 1: everything but messages and tools.
//!
//! 1. The body is parsed once; values are taken out of the tree, not copied.
//! 2. Each field is looked at once: one that the IR holds is moved there, a default is skipped, everything else is reported in
//!    [`ir::Request::unmapped`] with its path. `null` is the same as absent.
//! 3. A wrong type is [`WireError::Invalid`] with the path and what was expected. Ranges are the upstream's business.
//!
//! Fields: <https://platform.openai.com/docs/api-reference/chat/create>. Beyond them, what clients of compatible servers send: `top_k`,
//! `thinking`, `reasoning_content`, `thinking_blocks` and `cache_control` (<https://docs.litellm.ai/docs/reasoning_content>).

use serde_json::{Map, Value};

use super::fields::{Path, array, boolean, integer, number, object, string, unsigned};
use super::{messages, tools};
use crate::error::WireError;
use crate::ir::{self, Dropped, OutputFormat, ThinkingMode};

/// Reads a client's request.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let fields = object(value, &Path::ROOT)?;
    let mut decoder = Decoder::default();
    for (key, value) in fields {
        if !value.is_null() {
            decoder.field(&key, value)?;
        }
    }
    decoder.finish()
}

pub(crate) fn not_json(error: &serde_json::Error) -> WireError {
    let text = error.to_string();
    let message = if text.starts_with("recursion limit") { format!("nested too deeply: {text}") } else { text };
    WireError::NotJson { message }
}

/// What a field needs to know of its neighbours is kept here until [`Decoder::finish`].
#[derive(Default)]
struct Decoder {
    request: ir::Request,
    has_model: bool,
    has_messages: bool,
    max_tokens: Option<u64>,
    user: Option<String>,
    allowed_tools: Option<Vec<String>>,
}

impl Decoder {
    fn field(&mut self, key: &str, value: Value) -> Result<(), WireError> {
        let path = Path::ROOT.key(key);
        let request = &mut self.request;
        match key {
            "model" => {
                request.model = string(value, &path)?;
                self.has_model = true;
            }
            "messages" => {
                messages::decode(array(value, &path)?, &path, request)?;
                self.has_messages = true;
            }
            "tools" => request.tools = tools::decode(array(value, &path)?, &path, &mut request.unmapped)?,
            "tool_choice" => {
                let (choice, allowed) = tools::decode_choice(value, &path, &mut request.unmapped)?;
                request.tool_choice = Some(choice);
                self.allowed_tools = allowed;
            }
            "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(&value, &path)?),
            "max_completion_tokens" => request.max_output_tokens = Some(unsigned(&value, &path)?),
            "max_tokens" => self.max_tokens = Some(unsigned(&value, &path)?),
            "temperature" => request.temperature = Some(number(&value, &path)?),
            "top_p" => request.top_p = Some(number(&value, &path)?),
            "top_k" => request.top_k = Some(unsigned(&value, &path)?),
            "frequency_penalty" => request.frequency_penalty = Some(number(&value, &path)?),
            "presence_penalty" => request.presence_penalty = Some(number(&value, &path)?),
            "seed" => request.seed = Some(integer(&value, &path)?),
            "stop" => request.stop = stop(value, &path)?,
            "response_format" => request.output_format = output_format(value, &path, &mut request.unmapped)?,
            "reasoning_effort" => request.effort = Some(string(value, &path)?),
            "thinking" => request.thinking = Some(thinking(value, &path, &mut request.unmapped)?),
            "stream" => request.stream = boolean(&value, &path)?,
            "stream_options" => request.include_usage = include_usage(value, &path, &mut request.unmapped)?,
            "safety_identifier" => request.user = Some(string(value, &path)?),
            "user" => self.user = Some(string(value, &path)?),
            _ => rest(key, &value, &path, &mut request.unmapped)?,
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ir::Request, WireError> {
        if !self.has_model {
            return Err(Path::ROOT.missing("model"));
        }
        if !self.has_messages {
            return Err(Path::ROOT.missing("messages"));
        }
        let request = &mut self.request;
        // `max_tokens` is the deprecated name of the same cap (case 19).
        request.max_output_tokens = request.max_output_tokens.or(self.max_tokens);
        match (&request.user, self.user) {
            (None, user) => request.user = user,
            (Some(identifier), Some(user)) if *identifier != user => {
                request.unmapped.push(Dropped::new("user", "safety_identifier is sent in its place"));
            }
            (Some(_), _) => {}
        }
        if let Some(allowed) = self.allowed_tools {
            request.tools.retain(|tool| allowed.contains(&tool.name));
        }
        if request.tools.is_empty() && request.tool_choice == Some(ir::ToolChoice::Auto) {
            request.tool_choice = None;
        }
        Ok(self.request)
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

pub(crate) fn include_usage(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<bool, WireError> {
    let mut include = false;
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "include_usage" => include = boolean(&value, &path)?,
            // Padding against traffic analysis. We never write it, so `false` is what the client gets.
            "include_obfuscation" => {
                if boolean(&value, &path)? {
                    unmapped.push(Dropped::new(path.to_string(), "a translated stream has no obfuscation"));
                }
            }
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok(include)
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

fn output_format(
    value: Value,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<OutputFormat>, WireError> {
    let mut kind = None;
    let mut json_schema = None;
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "type" => kind = Some(string(value, &path)?),
            "json_schema" => json_schema = Some(schema_format(object(value, &path)?, &path, unmapped)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    match kind.as_deref() {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some(OutputFormat::JsonObject)),
        Some("json_schema") => json_schema.map(Some).ok_or_else(|| path.missing("json_schema")),
        None => Err(path.missing("type")),
        Some(other) => {
            let message = format!("expected \"text\", \"json_object\" or \"json_schema\", got {other:?}");
            Err(path.key("type").invalid(message))
        }
    }
}

pub(crate) fn schema_format(
    fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<OutputFormat, WireError> {
    let (mut name, mut description, mut schema, mut strict) = (None, None, None, None);
    for (key, value) in fields {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "name" => name = Some(string(value, &path)?),
            "description" => description = Some(string(value, &path)?),
            "schema" => schema = Some(Value::Object(object(value, &path)?)),
            "strict" => strict = Some(boolean(&value, &path)?),
            _ => unmapped.push(unknown(&path)),
        }
    }
    let schema = schema.ok_or_else(|| path.missing("schema"))?;
    Ok(OutputFormat::JsonSchema { name, description, schema, strict })
}

/// A field that no other dialect knows.
pub(crate) fn unknown(path: &Path<'_>) -> Dropped {
    Dropped::new(path.to_string(), "unknown field")
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
        "n" => "a translated answer has one choice",
        "logprobs" | "store" if value == false => return Ok(()),
        "top_logprobs" if value == 0 => return Ok(()),
        "service_tier" if value == "auto" || value == "default" => return Ok(()),
        "modalities" if value.as_array().is_some_and(|list| list.iter().all(|item| item == "text")) => return Ok(()),
        "verbosity" if value == "medium" => return Ok(()),
        "logit_bias" | "metadata" if value.as_object().is_some_and(Map::is_empty) => return Ok(()),
        "logprobs" | "top_logprobs" => "this model gives no log probabilities",
        "logit_bias" => "token ids differ between models",
        "store" | "metadata" => "stored completions exist only at OpenAI",
        "service_tier" => "service tiers differ between providers",
        "modalities" | "audio" => "a translated answer has text only",
        "prediction" | "verbosity" | "web_search_options" | "moderation" => "only OpenAI has it",
        "prompt_cache_key" | "prompt_cache_options" | "prompt_cache_retention" => {
            "this provider caches by marks (cache_control)"
        }
        _ => "unknown field",
    };
    unmapped.push(Dropped::new(path.to_string(), reason));
    Ok(())
}
