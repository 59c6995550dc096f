//! A client's body to the IR, part 1: everything but input and tools.
//!
//! Each field is looked at once: one that the IR holds is moved there, a default is skipped, what only keeps the answer's form is put into
//! [`ir::Echo`], everything else is reported with its path. What would change the meaning if it were left out (state that another server keeps) is
//! refused.
//!
//! Fields: <https://platform.openai.com/docs/api-reference/responses/create>.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{items, tools};
use crate::chat::request::decode::{include_usage, not_json, schema_format, unknown};
use crate::chat::request::fields::{Path, array, boolean, number, object, string, unsigned};
use crate::error::WireError;
use crate::ir::{self, Dropped, Echo, OutputFormat};

/// What an answer repeats as the client said it: <https://platform.openai.com/docs/api-reference/responses/object>.
const REPEATED: [&str; 16] = [
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "safety_identifier",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Reads a client's request.
pub fn decode_request(body: &[u8]) -> Result<ir::Request, WireError> {
    let value: Value = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    let mut decoder = Decoder::default();
    for (key, value) in object(value, &Path::ROOT)? {
        if value.is_null() {
            continue;
        }
        if REPEATED.contains(&key.as_str()) {
            decoder.echo.fields.insert(key.clone(), value.clone());
        }
        decoder.field(&key, value)?;
    }
    decoder.finish()
}

/// What a field needs to know of its neighbours is kept here until [`Decoder::finish`].
#[derive(Default)]
struct Decoder {
    request: ir::Request,
    echo: Echo,
    has_model: bool,
    input: Option<Value>,
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
            "input" => self.input = Some(value),
            "instructions" => request.system.insert(0, ir::Block::Text(string(value, &path)?)),
            "tools" => {
                let mut tools = tools::Tools { forms: &mut self.echo.tools, unmapped: &mut request.unmapped };
                request.tools = tools.decode(array(value, &path)?, &path)?;
            }
            "tool_choice" => {
                let (choice, allowed) = tools::decode_choice(value, &path)?;
                request.tool_choice = Some(choice);
                self.allowed_tools = allowed;
            }
            "parallel_tool_calls" => request.parallel_tool_calls = Some(boolean(&value, &path)?),
            "max_output_tokens" => request.max_output_tokens = Some(unsigned(&value, &path)?),
            "temperature" => request.temperature = Some(number(&value, &path)?),
            "top_p" => request.top_p = Some(number(&value, &path)?),
            "text" => request.output_format = text(value, &path, &mut request.unmapped)?,
            "reasoning" => self.reasoning(value, &path)?,
            "include" => include(value, &path, &mut request.unmapped)?,
            "stream" => request.stream = boolean(&value, &path)?,
            // Of its fields only the padding of the stream is left: usage always comes.
            "stream_options" => {
                include_usage(value, &path, &mut request.unmapped)?;
            }
            "safety_identifier" => request.user = Some(string(value, &path)?),
            "user" => self.user = Some(string(value, &path)?),
            _ => rest(key, &value, &path, &mut request.unmapped)?,
        }
        Ok(())
    }

    fn reasoning(&mut self, value: Value, path: &Path<'_>) -> Result<(), WireError> {
        for (key, value) in object(value, path)? {
            let path = path.key(&key);
            match key.as_str() {
                _ if value.is_null() => {}
                "effort" => self.request.effort = Some(string(value, &path)?),
                "summary" | "generate_summary" => {
                    string(value, &path)?;
                    self.echo.summaries = true;
                }
                "context" | "mode" if value == "auto" || value == "standard" => {}
                "context" | "mode" => {
                    self.request.unmapped.push(Dropped::new(path.to_string(), "only OpenAI has it"));
                }
                _ => self.request.unmapped.push(unknown(&path)),
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ir::Request, WireError> {
        if !self.has_model {
            return Err(Path::ROOT.missing("model"));
        }
        let input = self.input.ok_or_else(|| Path::ROOT.missing("input"))?;
        let request = &mut self.request;
        items::decode(input, &Path::ROOT.key("input"), request)?;
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
        request.include_usage = true;
        request.echo = Arc::new(self.echo);
        Ok(self.request)
    }
}

/// `text`: the format, flat where chat completions has it nested, and the verbosity.
fn text(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<Option<OutputFormat>, WireError> {
    let mut format = None;
    for (key, value) in object(value, path)? {
        let path = path.key(&key);
        match key.as_str() {
            _ if value.is_null() => {}
            "format" => format = output_format(object(value, &path)?, &path, unmapped)?,
            "verbosity" if value == "medium" => {}
            "verbosity" => unmapped.push(Dropped::new(path.to_string(), "only OpenAI has it")),
            _ => unmapped.push(unknown(&path)),
        }
    }
    Ok(format)
}

fn output_format(
    mut fields: Map<String, Value>,
    path: &Path<'_>,
    unmapped: &mut Vec<Dropped>,
) -> Result<Option<OutputFormat>, WireError> {
    let kind = fields.shift_remove("type").ok_or_else(|| path.missing("type"))?;
    match string(kind, &path.key("type"))?.as_str() {
        "text" => Ok(None),
        "json_object" => Ok(Some(OutputFormat::JsonObject)),
        "json_schema" => schema_format(fields, path, unmapped).map(Some),
        other => {
            let message = format!("expected \"text\", \"json_object\" or \"json_schema\", got {other:?}");
            Err(path.key("type").invalid(message))
        }
    }
}

/// More of the answer than is there by itself. Reasoning always comes with what the next turn needs.
fn include(value: Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    for (index, item) in array(value, path)?.into_iter().enumerate() {
        let path = path.index(index);
        let wanted = string(item, &path)?;
        if wanted != "reasoning.encrypted_content" {
            unmapped.push(Dropped::new(path.to_string(), format!("an answer of this model has no {wanted}")));
        }
    }
    Ok(())
}

/// Top-level fields that the IR does not hold: refused, harmless, or reported.
fn rest(key: &str, value: &Value, path: &Path<'_>, unmapped: &mut Vec<Dropped>) -> Result<(), WireError> {
    let reason = match key {
        "previous_response_id" | "conversation" => {
            let message = "the provider of this model keeps no conversations; send the whole conversation as input";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "prompt" => {
            let message = "prompt templates exist only at OpenAI; send the text as instructions or input";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        "background" if value == false => return Ok(()),
        "background" => {
            let message = "this model answers while the client waits; leave background out";
            return Err(WireError::unsupported(path.to_string(), message));
        }
        // The answer repeats it, and there is no other use of it.
        "metadata" => return Ok(()),
        "store" if value == false => return Ok(()),
        "store" => "the provider of this model keeps no answers",
        "top_logprobs" if value == 0 => return Ok(()),
        "top_logprobs" => "this model gives no log probabilities",
        "truncation" if value == "disabled" => return Ok(()),
        "truncation" => "only OpenAI shortens conversations; one that is too long is refused",
        "service_tier" if value == "auto" || value == "default" => return Ok(()),
        "service_tier" => "service tiers differ between providers",
        "max_tool_calls" => "it counts calls of hosted tools, which this model does not have",
        "moderation" | "context_management" => "only OpenAI has it",
        "client_metadata" => "it is for OpenAI's own statistics",
        "prompt_cache_key" | "prompt_cache_options" | "prompt_cache_retention" => "this provider caches by marks",
        _ => "unknown field",
    };
    unmapped.push(Dropped::new(path.to_string(), reason));
    Ok(())
}
